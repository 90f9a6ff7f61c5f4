"""One solve by several processes, through torch.distributed.

Where a process group is up (torchrun's or the caller's own) its processes, the ranks, solve
together. Each takes its share of the points; sums, extremes and triangular factors are combined,
and everything else is computed by all of them from the same numbers. That must give the same bits
everywhere, so the machines are of one kind. Without a group each function here is that of one rank.

Tensors travel by the group's backend for their device: gloo for those on CPUs. Nothing here knows
more of a device, but NCCL, which needs a GPU for each rank, has not been run.
"""

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from kanpinn._support.errors import InputError, NumericalError

T = TypeVar("T")
# The kinds of failure that somebody handles; any other is a NumericalError to the ranks spared.
KINDS = (InputError, NumericalError, torch.linalg.LinAlgError)  # type: ignore[attr-defined]


def world() -> int:
    """The number of ranks; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if world() > 1 else 0


def share(n: int) -> slice:
    """This rank's part of n items: ranks follow each other, their parts differ by one at most."""
    if world() == 1:
        return slice(0, n)
    return slice(n * rank() // world(), n * (rank() + 1) // world())


@contextmanager
def together() -> Iterator[None]:
    """A block that every rank enters: an exception of one rank is raised on all of them.

    The rank that failed raises its own exception when all have come to the end of the block; the
    others raise one of the same kind that says the same. So no rank waits, in the next sum, for
    one that has given up. The block itself must not communicate before what may fail in it.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:  # whatever it is: the other ranks must hear of it
        if world() == 1:
            raise
        failure = error
    if world() > 1:
        failed = _reduce(torch.tensor([float(failure is not None)]), dist.ReduceOp.SUM)
        if failed.item():
            raise _failure_of_all(failure)


def summed(values: Sequence[Tensor]) -> Sequence[Tensor]:
    """The sums over the ranks of tensors that have the same shapes on all; the same bits for all.

    What computes the tensors belongs into a block of `together`.
    """
    if world() == 1:
        return values
    total = _reduce(torch.cat([value.flatten() for value in values]), dist.ReduceOp.SUM)
    parts = total.split([value.numel() for value in values])
    return [part.to(v.dtype).view_as(v) for part, v in zip(parts, values, strict=True)]


def extremes(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest of each column, over the rows (n, m) of all ranks.

    A rank may have no row.
    """
    if world() == 1:
        return rows.amin(dim=0), rows.amax(dim=0)
    bound = rows.new_full((1, rows.shape[1]), -torch.inf)
    both = [torch.cat([bound, values]).amax(dim=0) for values in (-rows, rows)]
    least, greatest = _reduce(torch.stack(both), dist.ReduceOp.MAX)
    return -least, greatest


def from_first(value: T) -> T:
    """Rank 0's value, anything that can be pickled, on all ranks."""
    if world() == 1:
        return value
    box: list[Any] = [value]
    with _answering():
        dist.broadcast_object_list(box)
    return box[0]


def same(value: Any) -> bool:
    """True if the value is equal on all ranks."""
    differs = torch.tensor([float(from_first(value) != value)])
    return not bool(summed([differs])[0])


def tree(own: Tensor, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The ranks' tensors, of one shape, combined in pairs, pairs of pairs, …; for all ranks.

    log₂ P rounds and a broadcast: each of the P ranks but the first sends its tensor once, and the
    result has the same bits everywhere.
    """
    there = 1
    with _answering():
        while there < world():
            if rank() % (2 * there):
                dist.send(own, rank() - there)
                break
            if rank() + there < world():
                other = torch.empty_like(own)
                dist.recv(other, rank() + there)
                own = combine(own, other)
            there *= 2
        if world() > 1:
            dist.broadcast(own, 0)
    return own


def _reduce(values: Tensor, operation: Any) -> Tensor:
    values, here = _travelling(values.contiguous()), values.device
    with _answering():
        dist.all_reduce(values, operation)
    return values.to(here)


def _travelling(values: Tensor) -> Tensor:
    """The tensor on a device that the group can send from: NCCL cannot send from a CPU."""
    return values.cuda() if dist.get_backend() == "nccl" else values


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise NumericalError(
            f"a process of this solve has ended or is silent ({reason})"
        ) from error


def _failure_of_all(own: Exception | None) -> Exception:
    """The exception to raise: this rank's own, else one of the kind of the first rank's."""
    found: list[Any] = [None] * world()
    with _answering():
        dist.all_gather_object(found, None if own is None else _described(own))
    if own is not None:
        return own
    number, text = next(failure for failure in found if failure is not None)
    return KINDS[number](text)


def _described(error: Exception) -> tuple[int, str]:
    """The number of its kind and its text, with the line it came from if it is of no kind."""
    for number, kind in enumerate(KINDS):
        if isinstance(error, kind):
            return number, str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(frame.filename)}:{frame.lineno} in {frame.name}, rank {rank()}"
    return KINDS.index(NumericalError), f"{type(error).__name__}: {error} ({where})"
