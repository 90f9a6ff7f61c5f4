"""kanpinn study: does the runs of a study file."""

import contextlib
import json
import signal
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kanpinn._support.errors import InputError, NumericalError
from kanpinn._support.interrupts import handling, leave
from kanpinn.cli.options import RESULTS, Json, Output, Quiet
from kanpinn.cli.screen import note, reporting

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from kanpinn.runs.study import Study, StudyFile, Tally


class Where(Enum):
    """The executors of a study, by the values of --executor."""

    PROCESSES = "processes"
    DASK = "dask"
    SLURM = "slurm"
    PBS = "pbs"


BATCH = (Where.SLURM, Where.PBS)


def study_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A study's file (TOML).")],
    output: Output = RESULTS,
    quiet: Quiet = False,
    as_json: Json = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Runs at a time; by default one for each core.")
    ] = None,
    executor: Annotated[Where, typer.Option(help="What executes the runs.")] = Where.PROCESSES,
    address: Annotated[
        str | None, typer.Option(metavar="TCP://HOST:PORT", help="The address of a dask scheduler.")
    ] = None,
    cluster: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="An option of batch jobs (queue=short); repeatable."
        ),
    ] = None,
) -> None:
    """Run a file for every combination of values.

    The study's folder has a table of all runs and a folder for each run.

    Finished runs are not done again: after Ctrl-C or a crash the same command continues.
    Exit codes: 0 all runs are done, 1 some of them failed, 2 bad input, 130 interrupted.
    """
    with reporting(quiet):
        there = _executor(executor, workers, address, cluster or [], output)
        from kanpinn.runs.study import StudyFile

        given = StudyFile.read(file)
        study = _sweep(given, output, workers, quiet, there)
        from kanpinn.runs.study.table import failure_lines, has_failed, summary_of

        here, folder = Path.cwd(), study.path
        folder = folder.relative_to(here) if folder.is_relative_to(here) else folder
        if as_json:
            typer.echo(json.dumps(summary_of(study), indent=2, ensure_ascii=False, allow_nan=False))
        elif not quiet:
            typer.echo(study)
        if not as_json:
            typer.echo(folder if quiet else f"study: {folder}")
        elif not quiet:
            note(f"study: {folder}")
        if any(map(has_failed, study.rows)):
            raise NumericalError(failure_lines(study))


def _executor(
    where: Where, workers: int | None, address: str | None, cluster: list[str], output: Path
) -> "AbstractContextManager[Executor | None]":
    """Return a context manager that yields the executor, or None for processes of this machine.

    Raises:
        InputError: for an option that belongs to another executor.
    """
    if address is not None and where is not Where.DASK:
        raise InputError(f"--address {address}: only --executor dask has a scheduler's address")
    if address is not None and workers is not None:
        raise InputError(f"--workers {workers}: the scheduler at --address has workers of its own")
    if cluster and where not in BATCH:
        raise InputError(f"--cluster {cluster[0]}: only --executor slurm and pbs submit jobs")
    if where is Where.PROCESSES:
        return contextlib.nullcontext()
    if where is Where.DASK:
        from kanpinn.runs.study.executors import dask_workers

        return dask_workers(address, workers)
    if workers is None:
        raise InputError(
            f"--executor {where.value} needs --workers N, the number of runs at a time"
        )
    from kanpinn.runs.study.executors import batch_workers, job_options

    options = job_options(where.value, cluster)
    return batch_workers(where.value, workers, options, output.absolute() / "jobs")


def _sweep(
    study: "StudyFile",
    output: Path,
    workers: int | None,
    quiet: bool,
    executor: "AbstractContextManager[Executor | None]",
) -> "Study":
    """Run the study; after Ctrl-C print the number of runs that are finished and kept."""
    from kanpinn.runs.progress import StudyProgress
    from kanpinn.runs.study import sweep

    def interrupt(*_: object) -> None:  # the table is written; the next Ctrl-C ends at once
        """End the study with KeyboardInterrupt; the next Ctrl-C ends the process at once."""
        signal.signal(signal.SIGINT, leave)
        raise KeyboardInterrupt

    tallies: list[Tally] = []
    shown: Any = contextlib.nullcontext() if quiet else StudyProgress()
    try:
        with handling(interrupt), executor as there, shown as progress:
            return sweep(
                study.base, study.over, zipped=study.zipped, name=study.name, output=output,
                executor=there, workers=workers,
                observers=[tallies.append, *([] if quiet else [progress])],
            )  # fmt: skip
    except KeyboardInterrupt:
        kept = [f"{one.done} of {one.total} runs are finished and kept; " for one in tallies[-1:]]
        if not quiet:
            note(f"interrupted: {''.join(kept)}the same command continues from there")
        raise
