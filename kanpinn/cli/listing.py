"""kanpinn list: tables of problem files, runs and studies."""

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kanpinn._support.errors import FAILED, UNUSABLE, InputError
from kanpinn._support.interrupts import importing
from kanpinn.cli.options import RESULTS, Output
from kanpinn.cli.screen import note, plain_table, reporting

if TYPE_CHECKING:
    from kanpinn.runs.config import Config

PROBLEMS = Path("problems")


def list_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder of the problem files.")
    ] = PROBLEMS,
    output: Output = RESULTS,
) -> None:
    """List problem files, runs and studies.

    Runs and studies are those in results/, or in the folder of --output, with their errors.
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
    typer.echo(f"{title}:" if rows else f"{title}: none")
    if rows:
        typer.echo(plain_table(rows, left=True))


def _cut(rows: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Return the rows with the second column cut so that the table has at most this width."""
    longest = [max(map(len, column)) for column in zip(*rows, strict=True)]
    others = sum(longest[:1] + longest[2:]) + 2 * (len(longest) - 1)
    room = width - others
    if room < 20:  # the table becomes blocks, in which a status has a line of its own
        room = max(20, width - 6)
    return [
        (name, text if len(text) <= room else f"{text[: room - 1]}…", *rest)
        for name, text, *rest in rows
    ]


def _problems(folder: Path) -> Iterator[tuple[str, ...]]:
    with importing():
        from kanpinn.runs.config import Config

    for path in sorted(folder.glob("*.toml")):
        try:
            config = Config.read(path)
            line = path.read_text(encoding="utf-8").partition("\n")[0]
            comment = line.lstrip("#").strip() if line.startswith("#") else ""
            yield f"  {path.name}", comment or _docstring(config)
        except InputError as error:
            yield f"  {path.name}", f"unusable: {str(error).partition(chr(10))[0]}"


def _docstring(config: "Config") -> str:
    """Return the first line of the docstring of a problem's class, without running its file."""
    file, _, name = config.file.title.rpartition(":")
    try:
        tree = ast.parse((config.directory / file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return config.file.title
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return (ast.get_docstring(node) or config.file.title).partition("\n")[0]
    return config.file.title


def _runs(output: Path) -> Iterator[tuple[str, ...]]:
    for path in sorted(output.glob("*/*/run.json")):
        run = f"  {path.parent.relative_to(output)}"
        try:
            status, *figures = _record(json.loads(path.read_text(encoding="utf-8")))
            if run.endswith(".partial") and not status.startswith(FAILED):
                status = "not finished"
            yield run, status, *figures
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            yield run, "run.json cannot be read", "", "", ""


def _studies(output: Path) -> Iterator[tuple[str, ...]]:
    """Yield for each study its folder, finished runs, lowest errors, and total seconds."""
    for path in sorted(output.glob("*/study.json")):
        try:
            yield f"  {path.parent.name}", *_study(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            yield f"  {path.parent.name}", "study.json cannot be read", "", "", ""


def _study(record: dict[str, Any]) -> tuple[str, ...]:
    rows = record["rows"]
    states = [row["status"].partition(":")[0] for row in rows]
    told = f"{len(rows) - states.count('waiting')} of {len(rows)} runs done"
    for state in UNUSABLE:
        if lost := states.count(state):
            told += f", {lost} {state}"
    columns = {"L2": "l2_relative", "H1": "h1_relative"}
    if record.get("kind") == "eigen":
        columns = {"eigenvalues": "eigenvalue_relative", "residual": "residual"}
    if record.get("kind") == "fit":
        score = "rmse" if any(row["test_rmse"] is not None for row in rows) else "cross_entropy"
        columns = {part: f"{part}_{score}" for part in ("test", "validation")}
    good = [row for row in rows if not row["status"].startswith(UNUSABLE)]
    lowest = {
        name: min((row[key] for row in good if row[key] is not None), default=None)
        for name, key in columns.items()
    }
    best = [f"best {name} {_figure(value)}" for name, value in lowest.items()]
    return told, *best, f"{sum(row['seconds'] or 0 for row in rows):.1f} s"


def _record(record: dict[str, Any]) -> tuple[str, str, str, str]:
    errors, seconds = record.get("errors") or {}, (record.get("seconds") or {}).get("total")
    if entries := record.get("eigenvalues"):
        worst = max(entry["residual"] for entry in entries)
        figures = [f"λ {_figure(errors.get('eigenvalue_relative'))}", f"residual {_figure(worst)}"]
    elif "train" in errors:
        figures = [f"{part} {_score(errors.get(part))}" for part in ("test", "train")]
    else:
        names = ("l2", "h1")
        figures = [f"{n.upper()} {_figure(errors.get(f'{n}_relative'))}" for n in names]
    first, second = figures
    return record["status"], first, second, "" if seconds is None else f"{seconds:.1f} s"


def _score(scores: dict[str, Any] | None) -> str:
    """Return the accuracy of a fit to classes, or the root mean square error of one to numbers."""
    accuracy = (scores or {}).get("accuracy")
    return _figure((scores or {}).get("rmse")) if accuracy is None else f"{accuracy:.1%}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"
