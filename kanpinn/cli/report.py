"""kanpinn report: a study as one HTML page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kanpinn._support.errors import InputError
from kanpinn._support.interrupts import importing
from kanpinn.cli.screen import reporting


def report(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A study's folder.")],
) -> None:
    """Write a study's tables and figures as one HTML page, report.html in its folder."""
    with reporting():
        with importing():
            from kanpinn.runs.report.page import write_report
            from kanpinn.runs.study.table import Study

        with writing(study):
            typer.echo(write_report(Study.read(study)))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A folder that cannot be written to is bad input."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {error.strerror}") from error
