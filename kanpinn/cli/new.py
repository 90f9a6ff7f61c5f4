"""kanpinn new: writes the files of a new problem, from a template or from the library."""

import re
from pathlib import Path
from typing import Annotated

import typer

from kanpinn._support.errors import InputError, nearest
from kanpinn.cli.screen import note, plain_table, reporting
from kanpinn.runs.library import copy_problem, library, read_entry

CLASS = '''"""A problem for kanpinn to start from: replace what the class says by your own."""

import torch

import kanpinn as kp


class {kind}(kp.Problem):
    """u_xx + u_yy = f on the unit square, u = 0 on its boundary; u = sin(πx) sin(πy)."""

    domain = kp.Box(x=(0, 1), y=(0, 1))

    def residual(self, p, u):
        # Zero for the solution. p.x and p.y are (n, 1); for derivatives of u see kp.partial.
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        return -2 * torch.pi**2 * self.exact(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact(self, p):
        # For errors only. If no solution is known, leave it out, and write `source` without it.
        return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y)
'''

UNIT_SQUARE = 'domain = { type = "box", x = [0, 1], y = [0, 1] }\n'
SPACE_TIME = 'domain = { type = "box", x = [0, 1], t = [0, 1] }\n'
EXACT = """# Source, boundary and initial data are those of `exact`. Without a known solution give
# `source`, `boundary` and, with a time, `initial` in its place.
"""
EQUATIONS = {
    "poisson": (UNIT_SQUARE, 'diffusion = "1"\n', "sin(pi*x) * sin(pi*y)"),
    "helmholtz": (UNIT_SQUARE, "wavenumber = 3.0\n", "sin(pi*x) * sin(2*pi*y)"),
    "heat": (SPACE_TIME, 'diffusion = "1"\n', "exp(-t) * sin(pi*x)"),
    "wave": (SPACE_TIME, 'speed = "1"\n', "sin(pi*x) * cos(pi*t)"),
    "advection_diffusion": (
        UNIT_SQUARE,
        'velocity = ["1", "x"]\ndiffusion = "0.1"\nreaction = "0"\n',
        "exp(x) * sin(pi*y)",
    ),
}

TABLES = """# kanpinn solve {name}.toml
[problem]
{problem}
[network]                    # without this section, trials choose
type = "kan"                 # or "mlp"; "cells" for what is local, without hidden units
hidden = [64]                # units; inputs and outputs follow from the problem
degree = 9                   # of the splines, above the order of the equation
grid = [4, 10]               # intervals per layer

[run]
seed = 0
# tolerance = 1e-6           # of the estimated relative error
# budget_seconds = 60
"""


def new_command(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The files' name, such as heat or problems/heat."),
    ] = None,
    equation: Annotated[
        str | None,
        typer.Option(
            "--equation",
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
            autocompletion=lambda: [one.name for one in library()],
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the problems of the library, and write nothing.")
    ] = False,
) -> None:
    """Write a problem to start from.

    It is NAME.py with a class and NAME.toml, which run as they are. With --equation it is NAME.toml
    alone, with --from a problem of the library with all files that it needs.
    """
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
        note(f"next: {_next(files[-1])}")


def _write(target: Path, equation: str | None) -> list[Path]:
    """Write the files of a template, and return their paths, the problem file last."""
    texts = _texts(target.name, equation)
    files = {target.with_name(target.name + end): text for end, text in texts.items()}
    for file in files:
        if file.exists():
            raise InputError(f"{file} exists already, and is left as it is")
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    return list(files)


def _next(problem: Path) -> str:
    """Return the command that runs a new file, with its seconds if they are known."""
    one = read_entry(problem)
    takes = "" if one.seconds is None else f" takes {one.seconds:g} s of one core for the solve"
    check = f"kanpinn check {problem} shows what it does"
    return f"kanpinn {one.command} {problem}{takes}; {check}"


def _texts(name: str, equation: str | None) -> dict[str, str]:
    """Return the texts of the files to write by their suffixes."""
    kind = "".join(part[0].upper() + part[1:] for part in name.split("_") if part)
    if equation is None:
        problem = f'class = "{name}.py:{kind}"\n'
        return {".py": CLASS.format(kind=kind), ".toml": TABLES.format(name=name, problem=problem)}
    if equation not in EQUATIONS:
        raise InputError(
            f"--equation {equation}: expected one of {', '.join(EQUATIONS)}"
            f"{nearest(equation, EQUATIONS)}"
        )
    domain, data, exact = EQUATIONS[equation]
    problem = f'equation = "{equation}"\n{domain}{data}{EXACT}exact = "{exact}"\n'
    return {".toml": TABLES.format(name=name, problem=problem)}
