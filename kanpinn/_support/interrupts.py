"""Ctrl-C outside of the solve loop, which has its own answer to it."""

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
    """SIGINT goes to the handler inside; threads other than the main one have no say in it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def importing() -> AbstractContextManager[None]:
    """Ctrl-C ends the process inside: raised in an import it would surface as any other error."""
    return handling(leave)
