"""One command in several processes, torchrun's: rank 0 speaks, and all end with its exit code."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kanpinn._support.errors import InputError, NumericalError
from kanpinn._support.interrupts import handling, importing
from kanpinn.cli.screen import reporting

if TYPE_CHECKING:
    from kanpinn.runs.config import Job
    from kanpinn.solvers.state import SolverState

CODE, SEEN = "exit code", "seen by "


@dataclass(frozen=True)
class Ranks:
    """The processes of one command.

    joined: a context manager inside of which they are a process group of torch.distributed.
    alone: whether there is no other; first: whether this is rank 0, which writes and speaks.
    """

    joined: AbstractContextManager[None] = field(default_factory=contextlib.nullcontext)
    alone: bool = True
    first: bool = True


@contextmanager
def ranks(quiet: bool) -> Iterator[Ranks]:
    """`reporting`, by rank 0 alone where torchrun has started several processes.

    At the end the others wait for rank 0, and leave with its exit code.
    """
    if "RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        with reporting(quiet):
            yield Ranks()
        return
    with reporting():
        store = _meeting()
    first, code = int(os.environ["RANK"]) == 0, 1  # the code of an error that nobody expected
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
    """The store of keys and values where torchrun's processes meet; it outlives their group."""
    with importing():
        from torch.distributed import rendezvous  # type: ignore[attr-defined]
    try:
        return next(iter(rendezvous("env://")))[0]
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"the processes of torchrun do not find each other: {reason}") from error


@contextmanager
def _joined(store: Any) -> Iterator[None]:
    """The process group, in which each rank of a machine with GPUs has its own as "cuda"."""
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
    finally:  # ranks that wait for one that has failed are told so by its closed connections
        dist.destroy_process_group()


def _same_code(store: Any, code: int, first: bool) -> int:
    if first:
        # Before the others leave: torchrun ends everybody when one has failed.
        sys.stdout.flush()
        sys.stderr.flush()
        store.set(CODE, str(code))
        others = [SEEN + str(rank) for rank in range(1, int(os.environ["WORLD_SIZE"]))]
        with contextlib.suppress(RuntimeError):  # one that was killed
            store.wait(others, timedelta(seconds=5))  # this process may keep the store
        return code
    try:
        with handling(lambda *_: None):  # it is rank 0 that answers to Ctrl-C
            store.wait([CODE], timedelta(days=1))  # until the folder is written
            code = int(store.get(CODE))
            store.set(SEEN + os.environ["RANK"], "")
            return code
    except RuntimeError:  # rank 0 is gone, and the store with it
        return code or 1


@contextmanager
def _silence() -> Iterator[None]:
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


class NoFolder:
    """In the place of the run folder on ranks that write nothing; state is what to solve from."""

    path = Path(os.devnull)

    def __init__(self, state: dict[str, Any] | None) -> None:
        self.state = state
        self._run: SolverState | None = None

    def attach(self, job: "Job", announce: object = None) -> "Job":
        """Nothing to write what trials choose to."""
        return job

    def checkpoint(self, run: "SolverState") -> None:
        """The observer: it sees that the run has begun."""
        self._run = run

    @property
    def begun(self) -> bool:
        """Whether a step has been taken."""
        return self._run is not None

    @property
    def interrupted(self) -> bool:
        """Whether the run has been asked to stop."""
        return self._run is not None and self._run.interrupted

    def fail(self, message: str) -> None:
        """Nothing to write."""

    def discard(self) -> None:
        """Nothing to undo."""
