"""kanpinn schema."""

import json
from typing import Annotated

import typer

from kanpinn._support.interrupts import importing
from kanpinn.cli.screen import reporting


def schema(
    fit: Annotated[bool, typer.Option("--fit", help="Of fit files.")] = False,
) -> None:
    """Print the JSON schema of problem files, or of fit files."""
    with reporting():
        with importing():
            from kanpinn.runs.config import document_schema

        typer.echo(json.dumps(document_schema("fit" if fit else "problem"), indent=2))
