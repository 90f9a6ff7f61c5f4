"""kanpinn plot and kanpinn export: figures and files from a run folder."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from kanpinn.cli.options import RunPath
from kanpinn.cli.screen import reporting
from kanpinn.errors import InputError
from kanpinn.interrupts import importing


class Format(Enum):
    """The formats of `export`, named like the files' suffixes."""

    VTKHDF = "vtkhdf"
    NPZ = "npz"


def plot(run: RunPath) -> None:
    """Draw the figures of a run again."""
    with reporting():
        with importing():
            from kanpinn.plotting import draw_figures
            from kanpinn.results import load
            from kanpinn.results.reading import run_folder

        for path in draw_figures(load(run), run_folder(run) / "figures"):
            typer.echo(path)


def export(
    run: RunPath,
    format: Annotated[
        Format, typer.Option("--format", help="VTKHDF for ParaView, NPZ for NumPy.")
    ] = Format.VTKHDF,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="By default in the run folder.")
    ] = None,
) -> None:
    """Write the fields of a run on a grid."""
    with reporting():
        with importing():
            from kanpinn.results import load, to_npz, to_vtkhdf
            from kanpinn.results.reading import run_folder

        target = output or run_folder(run) / f"fields.{format.value}"
        if not target.parent.is_dir():
            raise InputError(f"--output {target}: there is no folder {target.parent}")
        write = to_vtkhdf if format is Format.VTKHDF else to_npz
        write(load(run), target)
        typer.echo(target)
