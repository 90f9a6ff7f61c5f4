"""kanpinn solve, fit, check and schema: run, resume or preview a problem file, in one process
or in several of torchrun.
"""

import contextlib
import dataclasses
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kanpinn._support.errors import STOPPED_BY_USER, UNUSABLE, InputError, NumericalError, expecting
from kanpinn._support.interrupts import INTERRUPTED, handling, importing, leave
from kanpinn.cli.figures import run_page
from kanpinn.cli.kinds import KINDS, Kind
from kanpinn.cli.options import (
    RESULTS,
    Json,
    Open,
    Output,
    Overrides,
    ProblemFile,
    Quiet,
    Resume,
    Seed,
    Trust,
    only_file,
)
from kanpinn.cli.screen import note, plain_table, reporting, show_page

if TYPE_CHECKING:
    from kanpinn.runs.config import Config, Job, Result
    from kanpinn.runs.results import RunFolder
    from kanpinn.solvers.auto import Choice
    from kanpinn.solvers.state import Observer, SolverState


CODE, SEEN = "exit code", "seen by "


@dataclass(frozen=True)
class Ranks:
    """The processes of one command.

    joined: a context manager in which they form a process group of torch.distributed.
    alone: whether this is the only process.
    first: whether this is rank 0, which alone prints and writes files.
    """

    joined: AbstractContextManager[None] = field(default_factory=contextlib.nullcontext)
    alone: bool = True
    first: bool = True


@contextmanager
def ranks(quiet: bool) -> Iterator[Ranks]:
    """Run a command in `reporting`, with output from rank 0 only if torchrun started several.

    At the end of the block the other ranks wait for rank 0 and exit with its exit code.
    """
    if "RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        with reporting(quiet):
            yield Ranks()
        return
    with reporting():
        store = _meeting()
    first, code = int(os.environ["RANK"]) == 0, 1  # the code of an unexpected error
    try:
        with contextlib.nullcontext() if first else _silence(), reporting(quiet):
            yield Ranks(_joined(store), alone=False, first=first)
        code = 0
    except typer.Exit as end:
        code = end.exit_code
    finally:
        code = _same_code(store, code, first)
    raise typer.Exit(code)


def _meeting() -> Any:
    """Return the key-value store that torchrun's processes share; it outlives their group."""
    with importing():
        from torch.distributed import rendezvous  # type: ignore[attr-defined]
    try:
        return next(iter(rendezvous("env://")))[0]
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"the processes of torchrun do not find each other: {reason}") from error


@contextmanager
def _joined(store: Any) -> Iterator[None]:
    """Form the process group for the block; "cuda" is the GPU that belongs to the rank."""
    import torch
    import torch.distributed as dist
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]

    if torch.cuda.is_available():
        number = int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
        torch.cuda.set_device(number % torch.cuda.device_count())
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        dist.init_process_group(store=PrefixStore("kanpinn", store), rank=rank, world_size=size)
    except RuntimeError as error:
        raise NumericalError(f"the {size} processes do not form a group: {error}") from error
    try:
        yield
    finally:  # closed connections end the wait of other ranks for one that has failed
        dist.destroy_process_group()


def _same_code(store: Any, code: int, first: bool) -> int:
    if first:
        # Flushed before the other ranks exit: torchrun kills all processes once one has failed.
        sys.stdout.flush()
        sys.stderr.flush()
        store.set(CODE, str(code))
        others = [SEEN + str(rank) for rank in range(1, int(os.environ["WORLD_SIZE"]))]
        with contextlib.suppress(RuntimeError):  # a rank may have been killed
            store.wait(others, timedelta(seconds=5))  # the store may end with this process
        return code
    try:
        with handling(lambda *_: None):  # only rank 0 reacts to Ctrl-C
            store.wait([CODE], timedelta(days=1))  # until the folder is written
            code = int(store.get(CODE))
            store.set(SEEN + os.environ["RANK"], "")
            return code
    except RuntimeError:  # rank 0 has ended, and the store with it
        return code or 1


@contextmanager
def _silence() -> Iterator[None]:
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


@dataclass(eq=False)
class NoFolder:
    """Stands in for the run folder on ranks that write no files.

    state: the solver's state to start from, None for a start from the beginning.
    """

    state: dict[str, Any] | None = None
    _run: "SolverState | None" = field(default=None, init=False)

    path = Path(os.devnull)

    def adopt(self, choice: object, why: str, state: object) -> None:
        """Do nothing: there is no folder to write a choice of trials to."""

    def checkpoint(self, run: "SolverState") -> None:
        """Observer of the solve: keep the run's state object, and write no checkpoint."""
        self._run = run

    @property
    def begun(self) -> bool:
        """True if a step has been taken."""
        return self._run is not None

    def keep(self) -> None:
        """Do nothing: there is no folder to write a checkpoint to."""

    def fail(self, message: str) -> None:
        """Do nothing: there is no folder to write the message to."""

    def discard(self) -> None:
        """Do nothing: there is no folder to remove."""


@dataclass(frozen=True)
class Wish:
    """The arguments of `kanpinn solve` and `kanpinn fit`.

    file: the problem file, None for the only one of the working folder or with `resume`.
    resume: the run folder to resume, or None.
    trust: whether a run folder may run class files that the run has not used.
    pairs: "KEY=VALUE" texts that override settings.
    output: the folder for run folders.
    json, quiet: what is printed.
    shown: whether a page with the results is shown in the browser at the end.
    """

    file: Path | None
    resume: Path | None
    trust: bool
    pairs: list[str]
    output: Path
    json: bool
    quiet: bool
    shown: bool


def solve_command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A problem file (TOML); by default the only one here."),
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
    output: Output = RESULTS,
    seed: Seed = None,
    quiet: Quiet = False,
    resume: Resume = None,
    trust: Trust = False,
    shown: Open = False,
) -> None:
    """Solve a problem file and print a table of errors.

    Everything else is in a run folder: figures, fields, the network, a checkpoint. With a section
    [eigen] the problem is an eigenvalue problem, and the table is of eigenvalues.

    Several processes solve it together by torchrun --nproc-per-node 2 -m kanpinn solve FILE.
    Exit codes: 0 a usable solution, 1 numerical failure or overfitting, 2 bad input,
    130 interrupted.
    """
    pairs = [*(overrides or ()), *([] if seed is None else [f"run.seed={seed}"])]
    follow("solve", Wish(file, resume, trust, pairs, output, json, quiet, shown))


def fit_command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A fit file (TOML); by default the only one here."),
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
    output: Output = RESULTS,
    seed: Seed = None,
    quiet: Quiet = False,
    resume: Resume = None,
    trust: Trust = False,
    shown: Open = False,
) -> None:
    """Fit a network to data and print a table of scores.

    Everything else is in a run folder: figures, the network, a checkpoint.

    Exit codes: 0 a usable fit, 1 numerical failure, 2 bad input, 130 interrupted.
    """
    pairs = [*(overrides or ()), *([] if seed is None else [f"run.seed={seed}"])]
    follow("fit", Wish(file, resume, trust, pairs, output, json, quiet, shown))


def follow(command: str, wish: Wish) -> None:
    """Run the file, print its results, and exit with the command's exit code."""
    with ranks(wish.quiet) as group:
        with importing():
            from kanpinn._support.distributed import from_first, together

        with group.joined:
            with together():
                config = _configuration(command, wish)
                job, kind = build(config, wish.quiet), KINDS[config.file.kind]
                kind.check(job)
            with importing():  # only now: h5py is slow to import, and bad input is reported before
                from kanpinn.runs.results import RunFolder
            folder: RunFolder | NoFolder
            with together():
                if not group.first:
                    folder = NoFolder()
                elif wish.resume is not None:
                    folder = RunFolder.resume(wish.resume, config)
                else:
                    folder = RunFolder.create(wish.output, config.name, config)
            if not group.alone:
                folder.state = from_first(folder.state)
            result = _run(job, folder, wish.quiet)
        if isinstance(folder, NoFolder):
            raise typer.Exit
        result = _finish(kind, job, result, folder)
        if wish.json:
            typer.echo((folder.path / "run.json").read_text(encoding="utf-8"), nl=False)
        elif not wish.quiet:
            for line in kind.lines(result):
                typer.echo(line)
        if wish.quiet and not wish.json:
            typer.echo(folder.path)
        elif not wish.quiet:
            typer.echo(f"run folder: {folder.path}", err=wish.json)
        if wish.shown:
            show_page(run_page(folder.path))
        if result.status == STOPPED_BY_USER:
            raise typer.Exit(INTERRUPTED)
        raise typer.Exit(1 if result.status.startswith(UNUSABLE) else 0)


def _configuration(command: str, wish: Wish) -> "Config":
    """Return the configuration of the file, or of the run to resume, with the overrides."""
    if wish.file is not None and wish.resume is not None:
        raise InputError(f"{command} takes either a file, or --resume with a run folder")
    if wish.trust and wish.resume is None:
        raise InputError("--trust goes with --resume: class files of a problem file are run anyway")
    with importing():
        from kanpinn.runs.config import Config
    if wish.resume is None:
        file = only_file(command) if wish.file is None else wish.file
        config, given = Config.read(file, wish.pairs), str(file)
    else:
        with importing():
            from kanpinn.runs.results.folder import config_to_resume
            from kanpinn.runs.results.record import run_folder

        name = run_folder(wish.resume).parent.name
        config = config_to_resume(wish.resume, wish.trust).override(wish.pairs)
        config = dataclasses.replace(config, name=name)
        given = f"--resume {wish.resume}"
    if (other := KINDS[config.file.kind].command) != command:
        raise InputError(f"{given} is not for kanpinn {command}: expected kanpinn {other} {given}")
    return config


def build(config: "Config", quiet: bool = False) -> "Job":
    """Return the job of a configuration, after printing its notes and setting the threads."""
    for line in () if quiet else config.notes:
        note(f"note: {line}")
    job = config.build()
    if (threads := config.threads_of(job)) is not None:
        from kanpinn._support.distributed import set_threads

        set_threads(threads)
    return job


def _run(job: "Job", folder: "RunFolder | NoFolder", quiet: bool) -> "Result":
    """Run the job in a folder, which is discarded if an error or Ctrl-C precedes the first step."""
    with importing():
        from kanpinn.runs.progress import Progress

    def interrupt(*_: object) -> None:  # before and after the solve loop, which has its own handler
        folder.keep()
        raise KeyboardInterrupt

    def announce(choice: "Choice", why: str, state: Mapping[str, Any]) -> None:
        folder.adopt(choice, why, state)
        if not quiet:
            note(f"{why}: {choice}")

    shown: Any = contextlib.nullcontext() if quiet else Progress()
    try:
        with handling(interrupt), shown as progress:
            observers: list[Observer] = [] if progress is None else [progress]
            return job.run([*observers, folder.checkpoint], folder.state, announce)
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
    except Exception:  # a checkpoint with wrong contents can raise any at the first step
        if folder.state is None or folder.begun:
            raise
        folder.discard()
        with expecting("the checkpoint"):
            raise


def _finish(kind: Kind, job: "Job", result: "Result", folder: "RunFolder") -> "Result":
    """Complete the result and write the folder, which Ctrl-C leaves unfinished at once."""

    def interrupt(*_: object) -> None:
        folder.keep()
        _say_interrupted(folder)
        leave()

    with handling(interrupt):
        result = kind.complete(job, result)
        folder.finish(result)
    for layer, share in enumerate(folder.record["outside_grids"]):
        if share:
            warnings.warn(
                f"{share:.1%} of the points lie outside the grids of layer {layer}, where its "
                "splines continue as straight lines",
                stacklevel=2,
            )
    return result


def _say_interrupted(folder: "RunFolder | NoFolder") -> None:
    note(f"interrupted; the last checkpoint, if there is one, is in {folder.path}")


def check_command(file: ProblemFile = None, overrides: Overrides = None) -> None:
    """Check a file and show what would be run."""
    with reporting():
        with importing():
            from kanpinn.runs.config import Config

        config = Config.read(file or only_file("check"), overrides or ())
        job = build(config)
        rows = list(KINDS[config.file.kind].preview(config, job))
        default = " (first trial)" if job.by_trials else " (by default)"
        for index, optimizer in enumerate(job.optimizers):
            chosen = "" if "optimizer" in config.sections else default
            rows.append((f"optimizer[{index}]", f"{optimizer}{chosen}"))
        typer.echo(plain_table(rows, left=True))


def schema_command(
    fit: Annotated[bool, typer.Option("--fit", help="The schema of fit files.")] = False,
) -> None:
    """Print the JSON schema of problem or fit files."""
    with reporting():
        with importing():
            from kanpinn.runs.config import document_schema

        typer.echo(json.dumps(document_schema("fit" if fit else "problem"), indent=2))
