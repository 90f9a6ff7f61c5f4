"""kanpinn plot, report, export, certify: figures, pages and data files of runs and studies."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kanpinn._support.errors import InputError
from kanpinn._support.files import replacing
from kanpinn.cli.options import OutputFile, RunPath, Trust
from kanpinn.cli.screen import reporting

if TYPE_CHECKING:
    from kanpinn.accuracy.certificates import Certificate
    from kanpinn.accuracy.eigenvalue_bounds import EigenvalueCertificate

RunOrStudy = Annotated[
    Path, typer.Argument(metavar="RUN|STUDY", help="A run folder, or the folder of a study.")
]


class Format(Enum):
    """The formats of `export`, by file suffix; the function kanpinn.to_SUFFIX writes the format."""

    VTKHDF = "vtkhdf"
    NPZ = "npz"


def plot_command(folder: RunOrStudy, trust: Trust = False) -> None:
    """Draw the figures of a run, or of a study.

    The figures of a run are PNG files, the figures of a study PNG and PDF files; both are in the
    folder's subfolder figures/.
    """
    with reporting():
        if _is_study(folder):
            from kanpinn.runs.report import draw_study
            from kanpinn.runs.study import Study

            study = Study.read(folder)
            paths = draw_study(study, _figures(study.path))
        else:
            from kanpinn.plotting import draw_figures
            from kanpinn.runs.results import load
            from kanpinn.runs.results.record import run_folder

            found = run_folder(folder)
            paths = draw_figures(load(found, trust=trust), _figures(found))
        for path in paths:
            typer.echo(path)


def _figures(folder: Path) -> Path:
    """Return the subfolder of the figures of a run or a study.

    Raises:
        InputError: if it is a link, which could lead out of the folder.
    """
    found = folder / "figures"
    if found.is_symlink():
        raise InputError(f"{found} is a link: figures are written into the folder itself")
    return found


def report_command(folder: RunOrStudy, output: OutputFile = None) -> None:
    """Write a run or a study as one HTML page.

    The page has numbers, figures, settings and the commands that repeat the run or study. It needs
    no other file and no network. No code in the run folder is executed.
    """
    with reporting():
        if output is not None and not output.absolute().parent.is_dir():
            raise InputError(f"--output {output}: there is no folder {output.parent}")
        is_study = _is_study(folder)
        from kanpinn.runs.report import write_report, write_run_report
        from kanpinn.runs.study import Study

        if is_study:
            typer.echo(write_report(Study.read(folder), output))
        else:
            typer.echo(write_run_report(folder, output))


def _is_study(folder: Path) -> bool:
    """Return True for the folder of a study, False for a run folder.

    Raises:
        InputError: if the folder is neither.
    """
    place = folder.parent if folder.is_file() else folder
    if (place / "study.json").is_file():
        return True
    from kanpinn.runs.results.record import run_folder

    try:
        run_folder(folder)
    except InputError as error:
        _, semicolon, hint = str(error).partition("; ")
        reason = f"{folder} is neither a run nor a study: no run.json, no study.json"
        raise InputError(f"{reason}{semicolon}{hint}") from None
    return False


def export_command(
    run: RunPath,
    format: Annotated[
        Format, typer.Option(help="VTKHDF for ParaView, NPZ for NumPy.")
    ] = Format.VTKHDF,
    output: OutputFile = None,
    trust: Trust = False,
) -> None:
    """Write the fields of a run for other programs.

    The fields are sampled on a grid. For a fit, the data and the fitted values are written (NPZ
    only).
    """
    with reporting():
        import kanpinn
        from kanpinn.runs.results.record import run_folder

        target = output or run_folder(run) / f"fields.{format.value}"
        if not target.parent.is_dir():
            raise InputError(f"--output {target}: there is no folder {target.parent}")
        getattr(kanpinn, f"to_{format.value}")(kanpinn.load(run, trust=trust), target)
        typer.echo(target)


def certify_command(
    run: RunPath,
    output: OutputFile = None,
    budget: Annotated[
        float | None, typer.Option(help="The most seconds for refining the triangles.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Write a certificate of the error of a run, which a script checks with NumPy alone.

    The certificate bounds the energy norm of the error for -div(A∇u) + c u = f with c ≥ 0, or for
    elasticity; or the eigenvalues of -div(A∇u) + c u = λ r u with r > 0, from both sides. Domains
    are in the plane, with straight sides. Exit codes: 0 written, 2 there is no certificate.
    """
    with reporting():
        import numpy

        from kanpinn.pde.coefficients import Unsuitable
        from kanpinn.runs.results import load
        from kanpinn.runs.results.record import run_folder
        from kanpinn.solvers import Eigensolution, Solution
        from kanpinn.solvers.error_estimate import certified

        target = output or run_folder(run) / "certificate.npz"
        if not target.parent.is_dir():
            raise InputError(f"--output {target}: there is no folder {target.parent}")
        solution = load(run, trust=trust)
        try:
            if isinstance(solution, Eigensolution):
                found: Certificate | EigenvalueCertificate = solution.certificate(budget=budget)
            elif isinstance(solution, Solution):
                found = certified(solution, budget=budget)
            else:
                raise Unsuitable("a fit has neither an equation nor eigenvalues")
        except Unsuitable as reason:
            raise InputError(f"{run} has no certificate: {reason}") from None
        arrays: dict[str, Any] = {**found.arrays()}
        with replacing(target) as temporary, temporary.open("wb") as file:
            numpy.savez_compressed(file, **arrays)
        typer.echo(f"{target}: {found.bound()}")
