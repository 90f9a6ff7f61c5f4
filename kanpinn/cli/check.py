"""kanpinn check and kanpinn schema: a preview of what a file runs, and the schema of files."""

import json
from typing import Annotated

import typer

from kanpinn._support.interrupts import importing
from kanpinn.cli.files_here import only_file
from kanpinn.cli.kinds import KINDS
from kanpinn.cli.options import Overrides, ProblemFile
from kanpinn.cli.screen import reporting
from kanpinn.cli.solve import build
from kanpinn.cli.text_table import plain_table


def check_command(file: ProblemFile = None, overrides: Overrides = None) -> None:
    """Check a file and show what would be run."""
    with reporting():
        with importing():
            from kanpinn.runs.config import Config

        config = Config.read(file or only_file("check"), overrides or ())
        job = build(config)
        rows = list(KINDS[config.file.kind].preview(config, job))
        default = " (first trial)" if job.by_trials else " (by default)"
        for index, optimizer in enumerate(job.optimizers):
            chosen = "" if "optimizer" in config.sections else default
            rows.append((f"optimizer[{index}]", f"{optimizer}{chosen}"))
        typer.echo(plain_table(rows, left=True))


def schema_command(
    fit: Annotated[bool, typer.Option("--fit", help="The schema of fit files.")] = False,
) -> None:
    """Print the JSON schema of problem or fit files."""
    with reporting():
        with importing():
            from kanpinn.runs.config import document_schema

        typer.echo(json.dumps(document_schema("fit" if fit else "problem"), indent=2))
