"""Observers of solves and studies that are context managers, such as a line of progress."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any


@contextmanager
def entered(observers: Sequence[Any]) -> Iterator[None]:
    """Enter those observers that are context managers for the time of the block.

    They leave it however the block ends. One that is entered already, for several solves, is
    entered a second time.
    """
    with ExitStack() as stack:
        for one in observers:
            if isinstance(one, AbstractContextManager):
                stack.enter_context(one)
        yield
