"""Folders with one owner."""

import contextlib
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kanpinn._support.errors import InputError

LOCK = ".lock"
ATTEMPTS = 20  # to get hold of a lock file that is not removed at that moment


class Locked(InputError):
    """A folder that another process is writing."""


class FolderLock:
    """Keeps a second process from writing to a folder; it is free again when its owner dies.

    Raises:
        Locked: where another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._close: Callable[[], object] | None = None
        for _ in range(ATTEMPTS if sys.platform != "win32" else 0):
            if self._close is not None:
                self._close()
            if self._take(folder / LOCK):
                break

    def _take(self, path: Path) -> bool:
        """Lock the file; False where the one who had it has removed it meanwhile."""
        import fcntl

        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        self._close = weakref.finalize(self, os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            raise Locked(f"{path.parent} is being written by another process") from None
        except OSError:
            return True  # a file system without locks: go on unprotected
        return _is(descriptor, path)

    def release(self, folder: Path) -> None:
        """Free the folder, wherever it has been moved to."""
        if self._close is not None:
            (folder / LOCK).unlink(missing_ok=True)
            self._close()
            self._close = None


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


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
