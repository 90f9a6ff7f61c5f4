"""The course of a command that runs a file and leaves a run folder: solve, and fit."""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kanpinn._support.errors import InputError, NumericalError
from kanpinn._support.interrupts import INTERRUPTED, deferring, handling, importing
from kanpinn.cli.ranks import NoFolder, ranks
from kanpinn.cli.screen import exit_code, note

if TYPE_CHECKING:
    from kanpinn.runs.config import Config, Job, Result
    from kanpinn.runs.results import RunFolder
    from kanpinn.solvers.auto import Choice
    from kanpinn.solvers.state import Observer

OTHER = {"solve": "fit", "fit": "solve"}


@dataclass(frozen=True)
class Course:
    """What a command does beside running a file: its name, what it checks before, what it adds to
    the result after, and the lines that it shows of it."""

    name: str
    check: Callable[[Any], object]
    complete: Callable[[Any, Any], Any]
    show: Callable[[Any], Iterable[str]]


@dataclass(frozen=True)
class Wish:
    """The command line: a file, or a run to resume; "KEY=VALUE" pairs; where, and how loud."""

    file: Path | None
    resume: Path | None
    pairs: list[str]
    output: Path
    json: bool
    quiet: bool


def follow(course: Course, wish: Wish) -> None:
    """Run the file to its end and leave with the exit code."""
    with ranks(wish.quiet) as group:
        with importing():
            from kanpinn._support.distributed import together
        with group:
            with together():
                config, job = _job(course, wish)
            folder = _folder(wish, job, config)
            result, late = _run(job, folder, wish.quiet)
        if isinstance(folder, NoFolder):
            raise typer.Exit
        result = course.complete(job, result)
        interrupted = _finish(result, job, folder) or late
        _report(course.show(result), folder.path, wish)
        raise typer.Exit(INTERRUPTED if interrupted else exit_code(result.status))


def _job(course: Course, wish: Wish) -> "tuple[Config, Job]":
    config = _configuration(course.name, wish)
    for line in () if wish.quiet else config.notes:
        note(f"note: {line}")
    set_threads(config)
    job = config.build()
    course.check(job)
    return config, job


def _configuration(command: str, wish: Wish) -> "Config":
    if (wish.file is None) == (wish.resume is None):
        raise InputError(f"{command} takes either a file, or --resume with a run folder")
    with importing():
        from kanpinn.runs.config import Config
    if wish.file is not None:
        config = Config.read(wish.file, wish.pairs)
        _check_command(command, config, str(wish.file))
        return config
    assert wish.resume is not None
    with importing():
        from kanpinn.runs.results import config_of
        from kanpinn.runs.results.record import run_folder

    config = config_of(wish.resume).override(wish.pairs)
    _check_command(command, config, f"--resume {wish.resume}")
    return dataclasses.replace(config, name=run_folder(wish.resume).parent.name)


def _check_command(command: str, config: "Config", given: str) -> None:
    """Refuse a file that is for the other command, and name that."""
    if config.file.command != command:
        article = f"a {config.kind}"
        raise InputError(
            f"{given} is of {article}: the command is kanpinn {OTHER[command]} {given}"
        )


def _folder(wish: Wish, job: "Job", config: "Config") -> "RunFolder | NoFolder":
    """The run folder, which rank 0 makes or opens; the others get its state."""
    with importing():  # only now: it brings matplotlib and h5py, for which bad input need not wait
        from kanpinn._support.distributed import from_first, rank, together
        from kanpinn.runs.results import RunFolder

    folder: RunFolder | None = None
    with together():
        if rank() == 0 and wish.resume is not None:
            folder = RunFolder.resume(wish.resume, config)
        elif rank() == 0:
            folder = RunFolder.create(wish.output, job.name, config)
    state = from_first(None if folder is None else folder.state)
    return NoFolder(state) if folder is None else folder


def set_threads(config: "Config") -> None:
    """The threads that [run] names; torch takes all cores (or OMP_NUM_THREADS) by itself."""
    if config.run.threads is not None:
        import torch

        torch.set_num_threads(config.run.threads)


def _run(job: "Job", folder: "RunFolder | NoFolder", quiet: bool) -> "tuple[Result, bool]":
    """Run in a folder, of which nothing stays where no step was taken.

    Returns also whether Ctrl-C came after the last step, when it is too late to stop anything.
    """
    with importing():
        from kanpinn.runs.progress import Progress

    late = False

    def interrupt(*_: object) -> None:  # in the loop it is the second one that comes here
        nonlocal late
        if late or folder.interrupted or not folder.begun:
            raise KeyboardInterrupt
        late = True

    shown: Any = contextlib.nullcontext() if quiet else Progress()
    try:
        with handling(interrupt), job.blamed(), shown as progress:
            observers: list[Observer] = [] if progress is None else [progress]
            attached = folder.attach(job, None if quiet else _say_choice)
            return attached.run([*observers, folder.checkpoint], folder.state), late
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


def _say_choice(choice: "Choice", why: str) -> None:
    note(f"{why}: {choice}")


def _finish(result: "Result", job: "Job", folder: "RunFolder") -> bool:
    """Write the folder, whatever Ctrl-C says; returns whether it said something."""

    def first() -> None:
        note("the run folder is being written; Ctrl-C once more ends at once")

    with deferring(first, lambda: _say_interrupted(folder)) as deferral:
        _warn_of_points_outside(result)
        folder.finish(result)
    return deferral.interrupted


def _say_interrupted(folder: "RunFolder | NoFolder") -> None:
    note(f"interrupted at once; the last checkpoint, if there is one, is in {folder.path}")


def _warn_of_points_outside(result: "Result") -> None:
    from kanpinn.runs.results.record import outside_grids

    for layer, share in enumerate(outside_grids(result)):
        if share:
            warnings.warn(
                f"{share:.1%} of the points lie outside the grids of layer {layer}, where its "
                "splines are straight lines",
                stacklevel=2,
            )


def _report(lines: Iterable[str], path: Path, wish: Wish) -> None:
    if wish.json:
        typer.echo((path / "run.json").read_text(encoding="utf-8"), nl=False)
        if not wish.quiet:
            note(f"run folder: {path}")
        return
    if wish.quiet:
        typer.echo(path)
        return
    for line in lines:
        typer.echo(line)
    typer.echo(f"run folder: {path}")
