"""Folders with one owner."""

import contextlib
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kanpinn.errors import InputError

LOCK = ".lock"


class Locked(InputError):
    """A folder that another process is writing."""


class FolderLock:
    """Keeps a second process from writing to a folder; it is free again when its owner dies.

    Raises:
        Locked: where another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._close: Callable[[], object] | None = None
        if sys.platform != "win32":
            import fcntl

            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
            self._close = weakref.finalize(self, os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._close()
                raise Locked(f"{folder} is being written by another process") from None
            except OSError:
                pass  # a file system without locks: go on unprotected

    def release(self, folder: Path) -> None:
        """Free the folder, wherever it has been moved to."""
        if self._close is not None:
            (folder / LOCK).unlink(missing_ok=True)
            self._close()
            self._close = None


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """A block that one process at a time enters for this lock file; the others wait for it.

    The file stays: whoever removed it would let in a second process beside one that waits.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: go on unprotected
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
