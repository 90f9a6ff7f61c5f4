"""kanpinn list: tables of problem files, runs and studies."""

import ast
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from kanpinn._support.errors import FAILED, UNUSABLE, InputError
from kanpinn._support.shown import plain_table
from kanpinn.cli.options import RESULTS, Output
from kanpinn.cli.screen import note, reporting

PROBLEMS = Path("problems")
DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError)  # errors of damaged records


def list_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder of the problem files.")
    ] = PROBLEMS,
    output: Output = RESULTS,
) -> None:
    """List problem files, runs and studies.

    Runs and studies in results/, or in the folder of --output, are listed with their errors.
    """
    with reporting():
        if folder != PROBLEMS and not folder.is_dir():
            raise InputError(f"{folder} is not a folder")
        files = list(_problems(folder))
        _show(f"problem files in {folder}", files)
        if not files:
            note("kanpinn new --list shows the problems that come with kanpinn")
        width = shutil.get_terminal_size((120, 0)).columns  # 120 without a terminal
        _show(f"runs in {output}", _cut(list(_runs(output)), width))
        if studies := list(_studies(output)):
            _show(f"studies in {output}", _cut(studies, width))


def _show(title: str, rows: list[tuple[str, ...]]) -> None:
    """Print a titled table; "none" if it has no rows."""
    typer.echo(f"{title}:" if rows else f"{title}: none")
    if rows:
        typer.echo(plain_table(rows, left=True))


def _cut(rows: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Return the rows with the second column cut so that a line has at most `width` characters."""
    longest = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = width - sum(longest[:1] + longest[2:]) - 2 * (len(longest) - 1)
    if room < 20:  # the table becomes blocks, in which a status has a line of its own
        room = max(20, width - 6)
    cut = lambda text: text if len(text) <= room else f"{text[: room - 1]}…"  # noqa: E731
    return [(name, cut(text), *rest) for name, text, *rest in rows]


def _problems(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of problems: the name of each TOML file and its first comment."""
    from kanpinn.runs.config import Config

    for path in sorted(folder.glob("*.toml")):
        try:
            config = Config.read(path)
            line = path.read_text(encoding="utf-8").partition("\n")[0]
            if line.startswith("#") and (comment := line.lstrip("#").strip()):
                yield f"  {path.name}", comment
                continue
            # The first line of the class's docstring, without running its file.
            about = config.file.title
            file, _, name = about.rpartition(":")
            with suppress(OSError, SyntaxError, ValueError):
                for node in ast.walk(ast.parse((config.directory / file).read_bytes())):
                    if isinstance(node, ast.ClassDef) and node.name == name:
                        about = (ast.get_docstring(node) or about).partition("\n")[0]
            yield f"  {path.name}", about
        except InputError as error:
            yield f"  {path.name}", f"unusable: {str(error).partition(chr(10))[0]}"


def _runs(output: Path) -> Iterator[tuple[str, ...]]:
    """Yield a row for each run: its folder, status, errors, and seconds."""
    from kanpinn.runs.results.record import PARTIAL, read_record
    from kanpinn.runs.study.table import columns_of, kind_of

    bare: dict[str, Any] = dict.fromkeys(("errors", "parameters", "steps"))
    bare |= {"points": {}, "seconds": {}}
    for path in sorted(output.glob("*/*/run.json")):
        name = f"  {path.parent.relative_to(output)}"
        try:
            record = bare | read_record(path.parent)
            row, status = columns_of(record, ""), str(record["status"])
            if name.endswith(PARTIAL) and not status.startswith(FAILED):
                status = "not finished"
            yield name, status, *_errors([row], kind_of(record)), _seconds([row])
        except (InputError, *DAMAGED):
            yield name, "run.json cannot be read", "", "", ""


def _studies(output: Path) -> Iterator[tuple[str, ...]]:
    """Yield a row for each study: its folder, finished runs, lowest errors, and total seconds."""
    from kanpinn.runs.study.table import WAITING, Study, has_failed

    for path in sorted(output.glob("*/study.json")):
        try:
            study = Study.read(path)
            states = [row["status"].partition(":")[0] for row in study.rows]
            told = f"{len(states) - states.count(WAITING)} of {len(states)} runs done"
            for state in UNUSABLE:
                told += f", {states.count(state)} {state}" if state in states else ""
            good = [row for row in study.rows if not has_failed(row)]
            best = [f"best {text}" for text in _errors(good, study.kind)]
            yield f"  {path.parent.name}", told, *best, _seconds(study.rows)
        except (InputError, *DAMAGED):
            yield f"  {path.parent.name}", "study.json cannot be read", "", "", ""


def _errors(rows: Sequence[dict[str, Any]], kind: str) -> list[str]:
    """Return two texts, each with the lowest value in a column of errors of the rows.

    Columns without a value are chosen only if fewer than two columns have values.
    """
    from kanpinn.runs.study.table import ERRORS, title_of

    columns = ERRORS[kind] + (("train_rmse", "train_cross_entropy") if kind == "fit" else ())
    known = {c: [row[c] for row in rows if row[c] is not None] for c in columns}
    chosen = sorted(columns, key=lambda column: not known[column])[:2]
    named = [(title_of(c).removeprefix("rel. "), known[c]) for c in chosen]
    return [f"{title} {min(values):.1e}" if values else f"{title} -" for title, values in named]


def _seconds(rows: Sequence[dict[str, Any]]) -> str:
    """Return the total time of the rows, such as "12.3 s"."""
    return f"{sum(row['seconds'] or 0 for row in rows):.1f} s"
