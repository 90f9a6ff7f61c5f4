"""kanpinn schema."""

import json

import typer

from kanpinn.config import document_schema


def schema() -> None:
    """Print the JSON schema of problem files."""
    typer.echo(json.dumps(document_schema(), indent=2))
