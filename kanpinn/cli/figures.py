"""kanpinn plot, report and export: figures, an HTML page and data files of runs and studies."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from kanpinn._support.errors import InputError
from kanpinn._support.interrupts import importing
from kanpinn.cli.options import RunPath, Trust
from kanpinn.cli.screen import reporting


class Format(Enum):
    """The formats of `export`, named like the files' suffixes."""

    VTKHDF = "vtkhdf"
    NPZ = "npz"


def plot_command(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN|STUDY", help="A run folder, or the folder of a study.")
    ],
    trust: Trust = False,
) -> None:
    """Draw the figures of a run, or of a study.

    Those of a run are PNG files, those of a study PNG and PDF files, in the folder's figures/.
    """
    with reporting():
        place = folder.parent if folder.is_file() else folder
        is_study = (place / "study.json").is_file()  # false for a run folder inside a study
        for path in _study_figures(folder) if is_study else _run_figures(folder, trust):
            typer.echo(path)


def _run_figures(run: Path, trust: bool) -> list[Path]:
    with importing():
        from kanpinn.runs.results import config_of, load
        from kanpinn.runs.results.kinds import CONTENTS
        from kanpinn.runs.results.record import run_folder

    try:
        found = run_folder(run)
    except InputError:
        raise InputError(
            f"{run} is neither a run nor a study: no run.json, no study.json"
        ) from None
    contents = CONTENTS[config_of(found, trust).file.kind]
    return contents.draw(load(found, trust=trust), found / "figures")


def _study_figures(folder: Path) -> list[Path]:
    with importing():
        from kanpinn.runs.report import draw_study
        from kanpinn.runs.study import Study

    with writing(folder):
        return draw_study(Study.read(folder))


def report_command(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A study's folder.")],
) -> None:
    """Write a study as one HTML page.

    The page is report.html in the study's folder, with tables, figures and how to repeat it.
    """
    with reporting():
        with importing():
            from kanpinn.runs.report import write_report
            from kanpinn.runs.study import Study

        with writing(study):
            typer.echo(write_report(Study.read(study)))


def export_command(
    run: RunPath,
    format: Annotated[
        Format, typer.Option("--format", help="VTKHDF for ParaView, NPZ for NumPy.")
    ] = Format.VTKHDF,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="By default in the run folder.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Write the fields of a run for other programs.

    They are sampled on a grid. For a fit, its data and the fitted values are written (NPZ only).
    """
    with reporting():
        with importing():
            from kanpinn.runs.results import load, to_npz, to_vtkhdf
            from kanpinn.runs.results.record import run_folder

        target = output or run_folder(run) / f"fields.{format.value}"
        if not target.parent.is_dir():
            raise InputError(f"--output {target}: there is no folder {target.parent}")
        write = to_vtkhdf if format is Format.VTKHDF else to_npz
        write(load(run, trust=trust), target)
        typer.echo(target)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an OSError of a block that writes to a folder into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {error.strerror}") from error
