"""kanpinn schema."""

import json

import typer

from kanpinn.cli.screen import reporting
from kanpinn.interrupts import importing


def schema() -> None:
    """Print the JSON schema of problem files."""
    with reporting():
        with importing():
            from kanpinn.config import document_schema

        typer.echo(json.dumps(document_schema(), indent=2))
