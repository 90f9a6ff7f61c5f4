"""Handlers of Ctrl-C (SIGINT) outside the solve loop, which has a handler of its own."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

INTERRUPTED = 130  # the exit code


def leave(*_: object) -> None:
    """Signal handler that ends the process at once, with exit code 130."""
    os._exit(INTERRUPTED)


@contextmanager
def handling(handler: Callable[..., object]) -> Iterator[None]:
    """Set the handler of SIGINT for the block.

    In threads other than the main one, which cannot set signal handlers, it does nothing.
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
    """Return a context manager for imports in which Ctrl-C ends the process at once.

    A KeyboardInterrupt raised during an import could be turned into another exception there.
    """
    return handling(leave)
