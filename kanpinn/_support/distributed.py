"""One solve by several processes through torch.distributed, and the number of threads.

If a process group is initialised (by torchrun or by the caller), its processes, called ranks, do
one solve. Each rank evaluates its share of the points; sums, extremes and triangular factors are
combined over the ranks, and each rank computes everything else from the same numbers. The results
of all ranks must be bitwise equal, so all machines must be of one kind. Without a process group the
functions behave as for one rank.

Tensors are sent by the group's backend for their device: gloo for tensors on a CPU. NCCL, which
needs a GPU for each rank, is untested.
"""

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from threadpoolctl import threadpool_limits
from torch import Tensor

from kanpinn._support.breakdowns import LINALG_ERRORS
from kanpinn._support.errors import InputError, NumericalError

T = TypeVar("T")
# The exceptions that callers handle. If one rank raises any other exception, the other ranks raise
# a NumericalError.
KINDS: tuple[type[Exception], ...] = (InputError, NumericalError, *LINALG_ERRORS)


def world() -> int:
    """Return the number of ranks; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process, from 0; 0 without a process group."""
    return dist.get_rank() if world() > 1 else 0


def share(n: int) -> slice:
    """Return the slice of n items that is this rank's share.

    Shares are contiguous, in the order of the ranks, and differ in length by one at most.
    """
    if world() == 1:
        return slice(0, n)
    return slice(n * rank() // world(), n * (rank() + 1) // world())


@contextmanager
def together() -> Iterator[None]:
    """Raise an exception of one rank on all ranks, at the end of a block that every rank enters.

    The failed rank raises its own exception when all ranks have reached the end of the block; the
    other ranks raise an exception of the same kind (see `KINDS`) with its text. Without the block,
    the other ranks would wait for the failed rank in the next reduction. In the block, an operation
    that may fail on one rank must not follow any communication.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:  # of any kind: the other ranks must be told
        if world() == 1:
            raise
        failure = error
    if world() > 1:
        failed = _reduce(torch.tensor([float(failure is not None)]), dist.ReduceOp.SUM)
        if not failed.item():
            return
        described = None
        if failure is not None:
            number = next((i for i, kind in enumerate(KINDS) if isinstance(failure, kind)), None)
            described = number, str(failure)
            if number is None:  # the text has its type, its source line and the rank as well
                frame = traceback.extract_tb(failure.__traceback__)[-1]
                file = os.path.basename(frame.filename)
                where = f"{file}:{frame.lineno} in {frame.name}, rank {rank()}"
                text = f"{type(failure).__name__}: {failure} ({where})"
                described = KINDS.index(NumericalError), text
        found: list[Any] = [None] * world()
        with _answering():
            dist.all_gather_object(found, described)
        if failure is not None:
            raise failure
        number, text = next(one for one in found if one is not None)
        raise KINDS[number](text)


def summed(values: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the sums of tensors over the ranks, bitwise equal on all ranks.

    The tensors should be computed in a block of `together`, so that all ranks learn of a failure.

    Args:
        values: tensors of any shapes; the shapes are the same on all ranks.

    Returns:
        Tensors of the same shapes and types.
    """
    if world() == 1:
        return values
    total = _reduce(torch.cat([value.flatten() for value in values]), dist.ReduceOp.SUM)
    parts = total.split([value.numel() for value in values])
    return [part.to(v.dtype).view_as(v) for part, v in zip(parts, values, strict=True)]


def extremes(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the minimum (m,) and the maximum (m,) of each column over the rows of all ranks.

    Args:
        rows: the rows of this rank, (n, m); n may differ between ranks, and may be 0 on some ranks.
    """
    if world() == 1:
        return rows.amin(dim=0), rows.amax(dim=0)
    bound = rows.new_full((1, rows.shape[1]), -torch.inf)
    both = [torch.cat([bound, values]).amax(dim=0) for values in (-rows, rows)]
    least, greatest = _reduce(torch.stack(both), dist.ReduceOp.MAX)
    return -least, greatest


def from_first(value: T) -> T:
    """Return the value of rank 0 on all ranks; pickle must be able to store it."""
    if world() == 1:
        return value
    box: list[Any] = [value]
    with _answering():
        dist.broadcast_object_list(box)
    return box[0]


def from_rank(source: int, own: Tensor) -> Tensor:
    """Return the tensor of one rank on all ranks.

    Args:
        source: the rank whose tensor is returned.
        own: the tensor of this rank; shape and dtype must be the same on all ranks.
    """
    if world() == 1:
        return own
    found = _travelling(own.clone().contiguous())
    with _answering():
        dist.broadcast(found, source)
    return found.to(own.device)


def passed(value: T, source: int, target: int) -> T:
    """Send a value from rank `source` to rank `target`, and return the value on both ranks.

    Only these two ranks call this function.

    Args:
        value: on rank `source` the value to send, which pickle must be able to store; unused on
            rank `target`.
        source, target: the two ranks.
    """
    box: list[Any] = [value]
    with _answering():
        if rank() == source:
            dist.send_object_list(box, target)
        else:
            dist.recv_object_list(box, source)
    return box[0]


def same(value: Any) -> bool:
    """Return True if the value is equal on all ranks."""
    differs = torch.tensor([float(from_first(value) != value)])
    return not bool(summed([differs])[0])


def tree(own: Tensor, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Combine the ranks' tensors along a binary tree, and return the result on all ranks.

    On P ranks this takes ⌈log₂ P⌉ rounds and a broadcast. Each rank but the first sends its tensor
    once, and the result is bitwise equal on all ranks.

    Args:
        own: the tensor of this rank, of the same shape on all ranks.
        combine: combines the tensors of a lower and of a higher rank into one of the same shape.
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
    """Return the values combined over all processes by an operation, such as their sum."""
    values, here = _travelling(values.contiguous()), values.device
    with _answering():
        dist.all_reduce(values, operation)
    return values.to(here)


def _travelling(values: Tensor) -> Tensor:
    """Return the tensor on a device from which the backend can send it: on the GPU for NCCL."""
    return values.cuda() if dist.get_backend() == "nccl" else values


@contextmanager
def _answering() -> Iterator[None]:
    """Raise a `NumericalError` if another process has ended or does not answer."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise NumericalError(
            f"a process of this solve has ended or does not answer ({reason})"
        ) from error


def set_threads(count: int) -> None:
    """Set the number of threads of torch and of the BLAS libraries of NumPy and SciPy.

    The threads of each library wait for work in a loop: if torch and BLAS both have several
    threads, the threads of one library take the cores from the other library.
    """
    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")


@contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """Set the number of threads of torch and BLAS in the block; None leaves the number as it is."""
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
