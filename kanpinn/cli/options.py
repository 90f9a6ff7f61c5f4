"""Arguments and options that several commands share, and the default problem file."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from kanpinn._support.errors import InputError
from kanpinn.cli.screen import note

ProblemFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="A problem or fit file; by default the only one here."),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, nothing else.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="The same as --set run.seed=N.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors and the folder.")]
Resume = Annotated[Path | None, typer.Option(metavar="RUN", help="Resume the run of a run folder.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run class files that the run has not used, or outside RUN.")
]
Output = Annotated[Path, typer.Option(metavar="DIR", help="The folder for run folders.")]
OutputFile = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="By default in the folder.")
]
RESULTS = Path("results")


SECTIONS = {"solve": ("problem",), "fit": ("data",), "check": ("problem", "data")}


def only_file(command: str) -> Path:
    """Return the only file of the working folder that the command can run, and print its name.

    Args:
        command: "solve", "fit" or "check".

    Raises:
        InputError: if there is no such file, or more than one.
    """
    import tomllib

    found = []
    for path in sorted(Path().glob("*.toml")):
        with suppress(OSError, ValueError):  # files that are not TOML have no sections
            if {*SECTIONS[command]} & tomllib.loads(path.read_text("utf-8")).keys():
                found.append(path)
    what = "fit file" if command == "fit" else "problem file"
    if not found:
        where = f"{Path.cwd()} has none: kanpinn new NAME writes one"
        raise InputError(f"{command} takes a {what}, and {where}")
    if len(found) > 1:
        names = ", ".join(map(str, found[:8])) + (", …" if len(found) > 8 else "")
        raise InputError(f"{command} takes one of the {len(found)} {what}s here: {names}")
    note(f"{command}: {found[0]}, the only {what} here")
    return found[0]
