"""kanpinn solve, fit, check and schema: run, resume or preview a problem file.

torchrun may start several processes for a run: rank 0 prints, and all end with its exit code.
"""

import contextlib
import dataclasses
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from kanpinn._support.errors import STOPPED_BY_USER, UNUSABLE, InputError, NumericalError, expecting
from kanpinn._support.interrupts import INTERRUPTED, handling, leave
from kanpinn._support.shown import plain_table
from kanpinn.cli import options
from kanpinn.cli.screen import note, reporting

if TYPE_CHECKING:
    from kanpinn.pde.defects import Defect
    from kanpinn.runs.config import Config, Job, Result
    from kanpinn.runs.results import RunFolder
    from kanpinn.solvers.auto import Choice
    from kanpinn.solvers.state import Observer

COMMANDS = {"problem": "solve", "eigen": "solve", "fit": "fit"}  # by the kind of a file
Line = tuple[str, str]


def _command(name: str, about: str) -> Callable[..., None]:
    """Return the command `kanpinn solve` or `kanpinn fit`.

    Args:
        name: the name of the command.
        about: its help text.
    """

    def command(
        file: options.ProblemFile = None,
        overrides: options.Overrides = None,
        json: options.Json = False,
        output: options.Output = options.RESULTS,
        seed: options.Seed = None,
        quiet: options.Quiet = False,
        resume: options.Resume = None,
        trust: options.Trust = False,
    ) -> None:
        pairs = [*(overrides or ()), *([] if seed is None else [f"run.seed={seed}"])]
        with ranks(quiet) as group:
            from kanpinn._support.distributed import from_first, together

            with group.joined:
                with together():
                    config = _configuration(name, file, resume, trust, pairs)
                    job = build(config, quiet)
                # Only now: h5py is slow, and bad input is reported before.
                from kanpinn.runs.results import RunFolder

                folder = None
                with together():
                    if group.first and resume is not None:
                        folder = RunFolder.resume(resume, config)
                    elif group.first:
                        folder = RunFolder.create(output, config.name, config)
                state = None if folder is None else folder.state
                state = state if group.alone else from_first(state)
                if folder is None:  # rank 0 alone writes and reports
                    job.run((), state)
                    raise typer.Exit
                result = _run(job, folder, quiet)
            result = _finish(job, result, folder)
            from kanpinn.solvers.summary import text

            if json:
                typer.echo((folder.path / "run.json").read_text(encoding="utf-8"), nl=False)
            elif not quiet:
                typer.echo(text(result))
            if quiet and not json:
                typer.echo(folder.path)
            elif not quiet:
                typer.echo(f"run folder: {folder.path}", err=json)
            if result.status == STOPPED_BY_USER:
                raise typer.Exit(INTERRUPTED)
            raise typer.Exit(1 if result.status.startswith(UNUSABLE) else 0)

    command.__doc__ = about
    return command


solve_command = _command(
    "solve",
    """Solve a problem file and print a table of errors.

    Everything else is in a run folder: figures, fields, the network, a checkpoint. With a section
    [eigen] the problem is an eigenvalue problem, and the table is of eigenvalues.

    Several processes solve it together by torchrun --nproc-per-node 2 -m kanpinn solve FILE.
    Exit codes: 0 a usable solution, 1 numerical failure or overfitting, 2 bad input,
    130 interrupted.
    """,
)
fit_command = _command(
    "fit",
    """Fit a network to data and print a table of scores.

    Everything else is in a run folder: figures, the network, a checkpoint.

    Exit codes: 0 a usable fit, 1 numerical failure, 2 bad input, 130 interrupted.
    """,
)


def _configuration(
    command: str, file: Path | None, resume: Path | None, trust: bool, pairs: list[str]
) -> "Config":
    """Return the configuration of the file, or of the run to resume, with the overrides.

    Args:
        command: "solve" or "fit".
        file: the problem file; None for the only file in the working folder.
        resume: the folder of the run to resume; None to start a new run.
        trust: whether class files may lie outside the folder of `resume` or have changed.
        pairs: the overrides, "KEY=VALUE".

    Raises:
        InputError: if options exclude each other, or the file is for the other command.
    """
    if file is not None and resume is not None:
        raise InputError(f"{command} takes either a file, or --resume with a run folder")
    if trust and resume is None:
        raise InputError("--trust goes with --resume: class files of a problem file are run anyway")
    from kanpinn.runs.config import Config

    if resume is None:
        file = options.only_file(command) if file is None else file
        config, given = Config.read(file, pairs), str(file)
    else:
        from kanpinn.runs.results.folder import config_to_resume
        from kanpinn.runs.results.record import run_folder

        name = run_folder(resume).parent.name
        config = config_to_resume(resume, trust).override(pairs)
        config = dataclasses.replace(config, name=name)
        given = f"--resume {resume}"
    if (other := COMMANDS[config.file.kind]) != command:
        raise InputError(f"{given} is not for kanpinn {command}: expected kanpinn {other} {given}")
    return config


def build(config: "Config", quiet: bool = False) -> "Job":
    """Return the job of a configuration; print the notes, unless `quiet`, and set the threads."""
    for line in () if quiet else config.notes:
        note(f"note: {line}")
    job = config.build()
    if (threads := config.file.run.threads or job.network.threads) is not None:
        from kanpinn._support.distributed import set_threads

        set_threads(threads)
    return job


def _run(job: "Job", folder: "RunFolder", quiet: bool) -> "Result":
    """Run the job in a folder; an error or Ctrl-C before the first step discards the folder."""
    from kanpinn.runs.progress import Progress

    def interrupt(*_: object) -> None:  # before and after the solve loop, which has its own handler
        """Write a checkpoint, if the steps have ended, and raise KeyboardInterrupt."""
        folder.keep()
        raise KeyboardInterrupt

    def announce(choice: "Choice", why: str, state: Mapping[str, Any]) -> None:
        """Record the choice of a trial solve in the folder, and print it unless `quiet` is set."""
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
    except Exception:  # a checkpoint with wrong contents can raise any exception
        if folder.state is None or folder.begun:
            raise
        folder.discard()
        with expecting("the checkpoint"):
            raise


def _finish(job: Any, result: Any, folder: "RunFolder") -> Any:
    """Estimate errors if the settings ask for it, write all files, and return the result.

    Ctrl-C ends the process at once; the folder stays unfinished.
    """

    def interrupt(*_: object) -> None:
        """Write a checkpoint, print where it is, and end the process."""
        folder.keep()
        _say_interrupted(folder)
        leave()

    with handling(interrupt):
        result = job.judged(result)
        folder.finish(result)
    for layer, share in enumerate(folder.record["outside_grids"]):
        if share:
            where = f"lie outside the grids of layer {layer}"
            what = "where its splines continue as straight lines"
            warnings.warn(f"{share:.1%} of the points {where}, {what}", stacklevel=2)
    return result


def _say_interrupted(folder: "RunFolder") -> None:
    """Print where the last checkpoint of an interrupted run is."""
    note(f"interrupted; the last checkpoint, if there is one, is in {folder.path}")


def check_command(file: options.ProblemFile = None, overrides: options.Overrides = None) -> None:
    """Check a file and show what would be run."""
    with reporting():
        from kanpinn.runs.config import Config

        config = Config.read(file or options.only_file("check"), overrides or ())
        job = build(config)
        preview = _fit_preview if config.file.kind == "fit" else _preview
        rows = list(preview(config, job))
        default = " (first trial)" if job.by_trials else " (by default)"
        for index, optimizer in enumerate(job.optimizers):
            chosen = "" if "optimizer" in config.sections else default
            rows.append((f"optimizer[{index}]", f"{optimizer}{chosen}"))
        typer.echo(plain_table(rows, left=True))


def warned_defects(job: Any) -> "list[Defect]":
    """Warn if the exact solution of a problem does not satisfy the problem; return its residuals.

    The list of residuals is empty for jobs other than solves, and without an exact solution.
    """
    from kanpinn.pde.defects import exact_defects
    from kanpinn.runs.config import SolveJob, blaming

    if not isinstance(job, SolveJob):
        return []
    with blaming(type(job.problem).__name__, job.problem):
        defects = list(exact_defects(job.problem))
    for defect in defects:
        if not defect.is_rounding:
            warnings.warn(defect.words, stacklevel=2)
    return defects


def _fit_preview(config: "Config", job: Any) -> Iterator[Line]:
    """Yield the lines (name, text) that describe a fit before it starts."""
    job.preview()  # refuses settings that do not fit together
    train = job.data.train
    counts = ", ".join(f"{len(table)} rows {part}" for part, table in job.data.parts.items())
    yield "data", f"{config.file.title}: {counts}"
    yield "inputs", ", ".join(train.names)
    yield "targets", ", ".join(train.outputs)
    if train.classes:
        yield "classes", f"{len(train.classes)}: {', '.join(train.classes)}"
    yield _network(config, job)
    yield "batch", f"{job.settings.batch} rows a step" if job.settings.batch else "all rows"
    yield _threads(config)


def _preview(config: "Config", job: Any) -> Iterator[Line]:
    """Yield pairs (name, text) that describe the solve which a file asks for, except optimizers."""
    from kanpinn.accuracy.references import reference_of
    from kanpinn.networks.constraints import describe_imposition
    from kanpinn.runs.config import blaming
    from kanpinn.solvers.auto import TrialSearch

    defects, problem, settings = warned_defects(job), job.problem, job.settings
    with blaming(type(problem).__name__, problem, job.network):
        terms = job.preview().terms
        terms = terms() if callable(terms) else terms
    if job.by_trials:
        tolerance = TrialSearch.tolerance if job.tolerance is None else job.tolerance
        seconds = job.budget_seconds or TrialSearch.budget
        goal = f"until the estimated relative L2 error is {tolerance:g}, or for {seconds:g} s"
        what = f"network, points and optimizers, {goal}; below is the first trial"
        yield "chosen by trials", what
    about = (type(problem).__doc__ or "").strip().partition("\n")[0]
    yield "problem", f"{config.file.title}: {about}"
    yield "domain", repr(problem.domain)
    if config.file.kind == "eigen":
        which = "smallest" if job.near is None else f"nearest to {job.near:g}"
        yield "eigenvalues", f"{job.count}, the {which}"
        yield "exact eigenvalues", "known" if problem.has_exact_eigenvalues else "none"
    elif not defects:
        reference = reference_of(problem, job.reference)
        measured = f"are measured against {reference!r}" if reference else "cannot be measured"
        yield "exact solution", f"none: errors {measured}"
    for defect in defects:
        yield "exact solution", f"{defect.name}: {defect.size:.1e} (root mean square)"
    yield _network(config, job)
    boundary, unweighted = settings.boundary, job.network.unweighted
    if unweighted:  # all conditions are residuals
        boundary = "penalty"
    words = describe_imposition(problem, boundary, settings.loss.form == "energy")
    imposed_by_method = unweighted and words == boundary
    yield "boundary data", f"as residuals: {unweighted}" if imposed_by_method else words
    yield _threads(config)
    points = settings.points
    every = f", new ones every {points.resample} steps" if points.resample else ""
    yield "sampler", points.sampler + every
    for term in terms:
        uses, channels = ["the value"], term.channels
        uses += ["the gradient"] if channels.gradient else []
        uses += [f"the {channels.second}"] if channels.second != "none" else []
        if count := len(channels.directions):
            uses.append(f"derivatives to order {channels.order} along {count} direction(s)")
        counted = f"{len(term.points)} points, weight {term.weight:g}"
        yield f"term {term.name}", f"{counted}, uses {', '.join(uses)}"


def _network(config: "Config", job: "Job") -> Line:
    """Return the line (name, text) about the network."""
    network, run = job.network, config.file.run
    size = f"{list(network.width)}, {network.parameter_count} parameters"
    return "network", f"{type(network).__name__} {size}, {run.dtype} on {run.device}"


def _threads(config: "Config") -> Line:
    """Return the line (name, text) about the seed and the threads."""
    import torch

    threads = torch.get_num_threads()
    return "run", f"seed {config.file.run.seed}, {threads} thread{'s' * (threads > 1)}"


def schema_command(
    fit: Annotated[bool, typer.Option("--fit", help="The schema of fit files.")] = False,
) -> None:
    """Print the JSON schema of problem or fit files."""
    with reporting():
        from kanpinn.runs.config import document_schema

        typer.echo(json.dumps(document_schema("fit" if fit else "problem"), indent=2))


CODE, SEEN = "exit code", "seen by "


class Ranks(NamedTuple):
    """The processes of one command.

    Args:
        joined: a context manager in which the processes form a process group of torch.distributed.
        alone: whether this process is the only process.
        first: whether this process is rank 0, the only rank that prints and writes files.
    """

    joined: AbstractContextManager[None] = contextlib.nullcontext()
    alone: bool = True
    first: bool = True


@contextmanager
def ranks(quiet: bool) -> Iterator[Ranks]:
    """Run a command in `reporting`; of several processes of torchrun, only rank 0 prints.

    At the end of the block the other ranks wait for rank 0 and exit with its exit code.
    """
    if "RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        with reporting(quiet):
            yield Ranks()
        return
    with reporting():
        from torch.distributed import rendezvous  # type: ignore[attr-defined]

        try:  # the key-value store that torchrun's processes share; it outlives their group
            store = next(iter(rendezvous("env://")))[0]
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            text = f"the processes of torchrun do not find each other: {reason}"
            raise InputError(text) from error
    first, code = int(os.environ["RANK"]) == 0, 1  # the code of an unexpected error
    try:
        with contextlib.ExitStack() as silenced:
            if not first:
                nowhere = silenced.enter_context(open(os.devnull, "w"))
                silenced.enter_context(contextlib.redirect_stdout(nowhere))
                silenced.enter_context(contextlib.redirect_stderr(nowhere))
            with reporting(quiet):
                yield Ranks(_joined(store), alone=False, first=first)
        code = 0
    except typer.Exit as end:
        code = end.exit_code
    finally:
        code = _same_code(store, code, first)
    raise typer.Exit(code)


@contextmanager
def _joined(store: Any) -> Iterator[None]:
    """Form the process group for the block, and select a GPU for the device "cuda" of each rank.

    Args:
        store: the key-value store that the processes of torchrun share.
    """
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
    finally:  # if this rank fails, its closed connections end the waiting of the other ranks
        dist.destroy_process_group()


def _same_code(store: Any, code: int, first: bool) -> int:
    """Return the exit code of rank 0 on all ranks of a run by torchrun.

    Rank 0 stores its code and waits until the other ranks have read it, at most 5 seconds.

    Args:
        store: the key-value store that the processes share.
        code: the exit code of this rank.
        first: True on rank 0.
    """
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
