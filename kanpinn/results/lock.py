"""Folders with one owner."""

import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

from kanpinn.errors import InputError

LOCK = ".lock"


class FolderLock:
    """Keeps a second process from writing to a folder; it is free again when its owner dies.

    Raises:
        InputError: where another process holds it.
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
                raise InputError(f"{folder} is being written by another process") from None
            except OSError:
                pass  # a file system without locks: go on unprotected

    def release(self, folder: Path) -> None:
        """Free the folder, wherever it has been moved to."""
        if self._close is not None:
            (folder / LOCK).unlink(missing_ok=True)
            self._close()
            self._close = None
