"""kanpinn solve."""

import contextlib
import dataclasses
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kanpinn.cli.options import RESULTS, Output, Overrides
from kanpinn.cli.ranks import NoFolder, agreed, ranks
from kanpinn.cli.screen import exit_code, note
from kanpinn.cli.tables import against, doubt, errors_table, summary
from kanpinn.errors import InputError, NumericalError
from kanpinn.interrupts import INTERRUPTED, deferring, handling, importing

if TYPE_CHECKING:
    from kanpinn.config import Config, Job
    from kanpinn.exactness import Defect
    from kanpinn.results import RunFolder
    from kanpinn.run import Observer
    from kanpinn.solution import Solution


def solve(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A problem file (TOML).")
    ] = None,
    overrides: Overrides = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print run.json on standard output, nothing else.")
    ] = False,
    output: Output = RESULTS,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="The same as --set run.seed=N.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print nothing but the run folder's line.")
    ] = False,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Go on in a run folder.")
    ] = None,
) -> None:
    """Solve a problem: a table of errors, and a run folder with everything else.

    Several processes solve it together by torchrun --nproc-per-node 2 -m kanpinn solve FILE.
    Exit codes: 0 a usable solution, 1 numerical failure, 2 bad input, 130 interrupted.
    """
    with ranks(quiet) as together:
        pairs = [*(overrides or ()), *([] if seed is None else [f"run.seed={seed}"])]
        with together:
            config, job = agreed(lambda: _job(file, resume, pairs, quiet))
            folder = _folder(output, job, config, resume)
            solution, late = _run(job, folder, quiet)
        if isinstance(folder, NoFolder):
            raise typer.Exit
        solution = _estimated(solution, config)
        interrupted = _finish(solution, job, folder) or late
        _report(solution, folder.path, json, quiet)
        raise typer.Exit(INTERRUPTED if interrupted else exit_code(solution.status))


def _job(
    file: Path | None, resume: Path | None, pairs: list[str], quiet: bool
) -> "tuple[Config, Job]":
    config = _configuration(file, resume, pairs)
    for line in () if quiet else config.notes:
        note(f"note: {line}")
    set_threads(config)
    job = config.build()
    check_exact(job)
    return config, job


def _configuration(file: Path | None, resume: Path | None, pairs: list[str]) -> "Config":
    if (file is None) == (resume is None):
        raise InputError("solve takes either a problem file, or --resume with a run folder")
    with importing():
        from kanpinn.config import Config
    if file is not None:
        return Config.read(file, pairs)
    assert resume is not None
    with importing():
        from kanpinn.results import config_of
        from kanpinn.results.reading import run_folder

    name = run_folder(resume).parent.name
    return dataclasses.replace(config_of(resume).override(pairs), name=name)


def _folder(
    output: Path, job: "Job", config: "Config", resume: Path | None
) -> "RunFolder | NoFolder":
    """The run folder, which rank 0 makes or opens; the others get its state."""
    with importing():  # only now: it brings matplotlib and h5py, for which bad input need not wait
        from kanpinn.distributed import from_first, rank
        from kanpinn.results import RunFolder

    def first() -> RunFolder | None:
        if rank():
            return None
        if resume is None:
            return RunFolder.create(output, job.name, config)
        return RunFolder.resume(resume, config)

    folder = agreed(first)
    state = from_first(None if folder is None else folder.state)
    return NoFolder(state) if folder is None else folder


def set_threads(config: "Config") -> None:
    """The threads that [run] names; torch takes all cores (or OMP_NUM_THREADS) by itself."""
    if config.run.threads is not None:
        import torch

        torch.set_num_threads(config.run.threads)


def check_exact(job: "Job") -> "list[Defect]":
    """The exact solution's residuals, with a warning for each that does not vanish."""
    from kanpinn.config import blaming
    from kanpinn.exactness import exact_defects

    with blaming(type(job.problem).__name__, *job.sources):
        defects = list(exact_defects(job.problem))
    for defect in defects:
        if not defect.is_rounding:
            warnings.warn(
                f"the exact solution does not satisfy {defect.name}: its residual is "
                f"{defect.size:.1e} (root mean square), {defect.relative:.1e} of the terms",
                stacklevel=2,
            )
    return defects


def _run(job: "Job", folder: "RunFolder | NoFolder", quiet: bool) -> "tuple[Solution, bool]":
    """Solve in a folder, of which nothing stays where no step was taken.

    Returns also whether Ctrl-C came after the last step, when it is too late to stop anything.
    """
    with importing():
        from kanpinn.config import blaming
        from kanpinn.progress import Progress

    late = False

    def interrupt(*_: object) -> None:  # in the loop it is the second one that comes here
        nonlocal late
        if late or folder.interrupted or not folder.begun:
            raise KeyboardInterrupt
        late = True

    shown: Any = contextlib.nullcontext() if quiet else Progress()
    try:
        blamed = blaming(type(job.problem).__name__, *job.sources)
        with handling(interrupt), blamed, shown as progress:
            observers: list[Observer] = [] if progress is None else [progress]
            return job.solve([*observers, folder.checkpoint], folder.state), late
    except (InputError, NumericalError) as error:
        if not folder.begun:
            folder.discard()
            raise
        folder.fail(" ".join(str(error).split()))
        note(f"run folder: {folder.path}")
        raise NumericalError(str(error)) from error
    except KeyboardInterrupt:
        if folder.begun:
            _say_interrupted(folder)
        else:
            folder.discard()
        raise


def _estimated(solution: "Solution", config: "Config") -> "Solution":
    """The solution with the estimate of its errors that [run] asks for, where it came to an end."""
    from kanpinn.estimate import ENDED, estimate_error

    alone = solution.processes == 1
    if not (config.run.estimate and alone) or solution.status.startswith(ENDED):
        return solution
    return dataclasses.replace(solution, estimate=estimate_error(solution))


def _finish(solution: "Solution", job: "Job", folder: "RunFolder") -> bool:
    """Write the folder, whatever Ctrl-C says; returns whether it said something."""

    def first() -> None:
        note("the run folder is being written; Ctrl-C once more ends at once")

    with deferring(first, lambda: _say_interrupted(folder)) as deferral:
        _warn_of_points_outside(solution)
        folder.finish(solution, job)
    return deferral.interrupted


def _say_interrupted(folder: "RunFolder | NoFolder") -> None:
    note(f"interrupted at once; the last checkpoint, if there is one, is in {folder.path}")


def _warn_of_points_outside(solution: "Solution") -> None:
    from kanpinn.results.record import outside_grids

    for layer, share in enumerate(outside_grids(solution)):
        if share:
            warnings.warn(
                f"{share:.1%} of the points lie outside the grids of layer {layer}, where its "
                "splines are straight lines",
                stacklevel=2,
            )


def _report(solution: "Solution", path: Path, json: bool, quiet: bool) -> None:
    if json:
        typer.echo((path / "run.json").read_text(encoding="utf-8"), nl=False)
        if not quiet:
            note(f"run folder: {path}")
        return
    if quiet:
        typer.echo(path)
        return
    estimated = None if solution.estimate is None else solution.estimate.errors
    if solution.errors is not None or estimated is not None:
        typer.echo(errors_table(solution.errors, estimated))
    if line := doubt(solution.estimate):
        typer.echo(line)
    if line := against(solution):
        typer.echo(line)
    typer.echo(summary(solution))
    typer.echo(f"run folder: {path}")
