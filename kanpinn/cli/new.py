"""kanpinn new: writes the files of a new problem, from a template or from the library."""

import re
from pathlib import Path
from typing import Annotated

import typer

from kanpinn._support.errors import InputError, nearest
from kanpinn._support.shown import plain_table, template
from kanpinn.cli.screen import note, reporting

EQUATIONS = ("poisson", "helmholtz", "heat", "wave", "advection_diffusion")


def _names() -> list[str]:
    """Return the names of the problems in the library."""
    from kanpinn.runs.library import library

    return [one.name for one in library()]


def new_command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The files' name, or FOLDER/NAME.")
    ] = None,
    equation: Annotated[
        str | None,
        typer.Option(
            help=f"Write no class, but one of the equations {', '.join(EQUATIONS)}.",
            autocompletion=lambda: list(EQUATIONS),
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PROBLEM",
            help="Copy a problem of the library.",
            autocompletion=_names,
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the problems of the library.")
    ] = False,
) -> None:
    """Write a problem to start from.

    NAME.py with a class and NAME.toml are written, which run as they are. With --equation only
    NAME.toml is written, with --from a problem of the library and all files that it needs.
    """
    from kanpinn.runs.library import copy_problem, library, read_entry

    with reporting():
        if listed:
            if name is not None or equation is not None or source is not None:
                raise InputError("--list goes without NAME and other options: it writes nothing")
            rows = [(f.name, f.about, f"{f.seconds:g} s" if f.seconds else "") for f in library()]
            typer.echo(plain_table(rows, left=True))
            return
        if name is None:
            raise InputError("new takes a NAME for the files, or --list")
        if equation is not None and source is not None:
            raise InputError("--equation and --from exclude each other")
        target = Path(name)
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", target.name):
            raise InputError(f"NAME = {name!r}: expected letters, digits and _, such as heat_2d")
        if not target.parent.is_dir():
            raise InputError(f"NAME = {name!r}: there is no folder {target.parent}")
        files = _write(target, equation) if source is None else copy_problem(source, target)
        for file in files:
            typer.echo(file)
        one = read_entry(files[-1])
        takes = "" if one.seconds is None else f" takes {one.seconds:g} s of one core for the solve"
        check = f"kanpinn check {files[-1]} shows what it does"
        note(f"next: kanpinn {one.command} {files[-1]}{takes}; {check}")


def _write(target: Path, equation: str | None) -> list[Path]:
    """Write the files of the templates, and return their paths, the problem file last."""
    if equation not in (None, *EQUATIONS):
        expected = f"one of {', '.join(EQUATIONS)}{nearest(equation, EQUATIONS)}"
        raise InputError(f"--equation {equation}: expected {expected}")
    ends = (".py", ".toml") if equation is None else (".toml",)
    files = {end: target.with_name(target.name + end) for end in ends}
    for file in files.values():
        if file.exists():
            raise InputError(f"{file} exists already, and is left as it is")
    kind = "".join(part[0].upper() + part[1:] for part in target.name.split("_") if part)
    for end, file in files.items():
        page = template("kanpinn.cli", f"new{end}.jinja")
        text = page.render(name=target.name, kind=kind, equation=equation)
        file.write_text(f"{text}\n", encoding="utf-8")
    return list(files.values())
