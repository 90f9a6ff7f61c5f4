"""The number of threads on which torch and the BLAS libraries compute."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


def set_threads(count: int) -> None:
    """Set the number of threads of torch and of the BLAS libraries of NumPy and SciPy.

    Each library has threads of its own, which wait for work in a loop: several threads in both
    torch and BLAS take the cores from each other.
    """
    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")


@contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """Set the number of threads in the block; None leaves it as it is."""
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
