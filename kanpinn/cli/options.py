"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ProblemFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE", help="A problem or fit file (TOML); by default the only one here."
    ),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key (network.width=[2,32,1]); repeatable.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print run.json on standard output, nothing else.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="The same as --set run.seed=N.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only the run folder.")]
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="RUN", help="Resume the run of a run folder.")
]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Run class files that the run has not used, or outside RUN."),
]
Open = Annotated[
    bool, typer.Option("--open", help="Show a page with numbers and figures in the browser.")
]
Output = Annotated[
    Path, typer.Option("--output", metavar="DIR", help="The folder for run folders.")
]
RESULTS = Path("results")
