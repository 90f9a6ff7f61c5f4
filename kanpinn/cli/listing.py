"""kanpinn list."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from kanpinn.cli.options import RESULTS, Output
from kanpinn.cli.screen import reporting
from kanpinn.cli.tables import table
from kanpinn.config import Config
from kanpinn.errors import InputError

PROBLEMS = Path("problems")


def list_everything(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the problem files are.")
    ] = PROBLEMS,
    output: Output = RESULTS,
) -> None:
    """List the problem files of a folder, and the runs in results/ with status and errors."""
    with reporting():
        if folder != PROBLEMS and not folder.is_dir():
            raise InputError(f"{folder} is no folder")
        _show(f"problem files in {folder}", _problems(folder))
        _show(f"runs in {output}", _runs(output))


def _show(title: str, rows: Iterator[tuple[str, ...]]) -> None:
    found = list(rows)
    typer.echo(f"{title}:" if found else f"{title}: none")
    if found:
        typer.echo(table(found, left=True))


def _problems(folder: Path) -> Iterator[tuple[str, ...]]:
    for path in sorted(folder.glob("*.toml")):
        try:
            yield f"  {path.name}", _docstring(Config.read(path))
        except InputError as error:
            yield f"  {path.name}", f"unusable: {str(error).partition(chr(10))[0]}"


def _docstring(config: Config) -> str:
    """The first line of the class's docstring; to list a class does not run its file."""
    file, _, name = config.problem.class_.rpartition(":")
    try:
        tree = ast.parse((config.directory / file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return config.problem.class_
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return (ast.get_docstring(node) or config.problem.class_).partition("\n")[0]
    return config.problem.class_


def _runs(output: Path) -> Iterator[tuple[str, ...]]:
    for path in sorted(output.glob("*/*/run.json")):
        run = f"  {path.parent.relative_to(output)}"
        try:
            status, *figures = _record(json.loads(path.read_text(encoding="utf-8")))
            yield run, "not finished" if run.endswith(".partial") else status, *figures
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            yield run, "run.json cannot be read", "", "", ""


def _record(record: dict[str, Any]) -> tuple[str, str, str, str]:
    errors, seconds = record.get("errors") or {}, (record.get("seconds") or {}).get("total")
    figures = [f"{name.upper()} {_figure(errors.get(f'{name}_relative'))}" for name in ("l2", "h1")]
    return record["status"], *figures, "" if seconds is None else f"{seconds:.1f} s"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"
