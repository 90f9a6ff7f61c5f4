"""Files that are there whole or not at all, and folders with one owner."""

import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kanpinn.errors import InputError

LOCK = ".lock"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to, which takes its place when the block succeeds."""
    temporary = path.with_name(f".{path.stem}-{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file at once, in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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
