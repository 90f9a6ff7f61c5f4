"""One command in several processes of torchrun: rank 0 prints, and all end with its exit code."""

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
    from kanpinn.solvers.state import SolverState

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
