"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ProblemFile = Annotated[Path, typer.Argument(metavar="FILE", help="A problem file (TOML).")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key (network.width=[2,32,1]); repeatable.",
    ),
]
Output = Annotated[
    Path, typer.Option("--output", metavar="DIR", help="The folder in place of results/.")
]
RESULTS = Path("results")
