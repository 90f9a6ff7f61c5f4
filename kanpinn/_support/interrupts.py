"""Handlers of Ctrl-C (SIGINT) outside the solve loop (the loop has its own handler), and a context
manager that enters observers.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130  # the exit code


def leave(*_: object) -> None:
    """Signal handler that ends the process at once, with exit code 130."""
    os._exit(INTERRUPTED)


def interrupt(_: int, frame: FrameType | None) -> None:
    """Signal handler that raises KeyboardInterrupt; during an import it ends the process at once.

    During an import, the imported code could turn a KeyboardInterrupt into another exception.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            leave()
        frame = frame.f_back
    raise KeyboardInterrupt


@contextmanager
def handling(handler: Callable[..., object]) -> Iterator[None]:
    """Set the handler of SIGINT for the block.

    Only the main thread can set signal handlers; in other threads the context does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def entered(observers: Sequence[Any]) -> Iterator[None]:
    """Enter the observers that are context managers, and exit them at the end of the block.

    The observers are exited whether or not the block raises. An observer that the user has entered
    already, around several solves, is entered a second time.
    """
    with ExitStack() as stack:
        for one in observers:
            if isinstance(one, AbstractContextManager):
                stack.enter_context(one)
        yield
