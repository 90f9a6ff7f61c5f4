"""kanpinn solve."""

import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kanpinn.cli.options import RESULTS, Json, Output, Overrides, Quiet, Resume, Seed
from kanpinn.cli.running import Course, Wish, follow
from kanpinn.cli.tables import (
    against,
    doubt,
    eigenvalues_table,
    errors_table,
    remarks,
    summary,
    unknowns,
)

if TYPE_CHECKING:
    from kanpinn.pde.verify import Defect
    from kanpinn.runs.config import EigenJob, SolveJob
    from kanpinn.solvers.eigen import Eigensolution
    from kanpinn.solvers.solution import Solution


def solve(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A problem file (TOML).")
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
    output: Output = RESULTS,
    seed: Seed = None,
    quiet: Quiet = False,
    resume: Resume = None,
) -> None:
    """Solve a problem: a table of errors, and a run folder with everything else.

    With a section [eigen] it is an eigenvalue problem, and the table is of eigenvalues.

    Several processes solve it together by torchrun --nproc-per-node 2 -m kanpinn solve FILE.
    Exit codes: 0 a usable solution, 1 numerical failure, 2 bad input, 130 interrupted.
    """
    pairs = [*(overrides or ()), *([] if seed is None else [f"run.seed={seed}"])]
    wish = Wish(file, resume, pairs, output, json, quiet)
    follow(Course("solve", _checked, _estimated, _lines), wish)


def _checked(job: "SolveJob | EigenJob") -> None:
    from kanpinn.runs.config import SolveJob

    if isinstance(job, SolveJob):
        check_exact(job)


def check_exact(job: "SolveJob") -> "list[Defect]":
    """The exact solution's residuals, with a warning for each that does not vanish."""
    from kanpinn.pde.verify import exact_defects

    with job.blamed():
        defects = list(exact_defects(job.problem))
    for defect in defects:
        if not defect.is_rounding:
            warnings.warn(
                f"the exact solution does not satisfy {defect.name}: its residual is "
                f"{defect.size:.1e} (root mean square), {defect.relative:.1e} of the terms",
                stacklevel=2,
            )
    return defects


def _estimated(
    job: "SolveJob | EigenJob", solution: "Solution | Eigensolution"
) -> "Solution | Eigensolution":
    """The solution with the estimate of its errors that [run] asks for, where it came to an end."""
    from kanpinn.runs.config import EigenJob
    from kanpinn.solvers.eigen import Eigensolution
    from kanpinn.solvers.error_estimate import ENDED, estimate_error, judged

    if isinstance(solution, Eigensolution) or isinstance(job, EigenJob):
        return solution
    alone = solution.processes == 1
    if not (job.estimate and alone) or solution.status.startswith(ENDED):
        return solution
    known = dataclasses.replace(solution, estimate=estimate_error(solution))
    return known if job.tolerance is None else judged(known, job.tolerance)


def _lines(solution: "Solution | Eigensolution") -> Iterator[str]:
    from kanpinn.solvers.eigen import Eigensolution

    if isinstance(solution, Eigensolution):
        if solution.count:
            yield eigenvalues_table(solution)
        yield from remarks(solution)
        yield summary(solution)
        return
    estimated = None if solution.estimate is None else solution.estimate.errors
    if solution.errors is not None or estimated is not None:
        yield errors_table(solution.errors, estimated)
    yield from unknowns(solution)
    if line := doubt(solution.estimate):
        yield line
    if line := against(solution):
        yield line
    yield summary(solution)
