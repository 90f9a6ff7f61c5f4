"""Handlers of Ctrl-C for all code but the solve loop, which has its own."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

INTERRUPTED = 130  # the exit code


def leave(*_: object) -> None:
    """A handler that ends the process at once."""
    os._exit(INTERRUPTED)


@contextmanager
def handling(handler: Callable[..., object]) -> Iterator[None]:
    """A block in which SIGINT goes to the handler.

    In threads other than the main one, which cannot set handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def importing() -> AbstractContextManager[None]:
    """A block of imports in which Ctrl-C ends the process at once.

    As an exception it could surface from an import as an error of any other kind.
    """
    return handling(leave)
