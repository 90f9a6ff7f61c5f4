"""Files that are there whole or not at all, and folders that one process at a time writes to."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kanpinn._support.errors import InputError


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


def remove_temporaries(folder: Path) -> None:
    """Remove what a process that was killed amid `replacing` has left in a folder."""
    for left in folder.glob(".*-*.tmp*"):
        left.unlink(missing_ok=True)


LOCK = ".lock"  # the file in a folder that its owner has locked
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # what such file systems answer


class Locked(InputError):
    """A folder that another process is writing."""


class FolderLock:
    """Keeps a second process from writing to a folder; the lock ends with its owner.

    On a file system without locks the folder is not protected.

    Raises:
        Locked: where another process, or another lock of this one, holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock, Timeout  # not needed by `kanpinn --help`

        self._lock = FileLock(folder / LOCK, thread_local=False)
        try:
            # Not at once: a lock file that its owner removes at that moment is tried again.
            self._lock.acquire(timeout=0.1, poll_interval=0.02)
        except Timeout:
            raise Locked(f"{folder} is being written by another process") from None
        except (OSError, NotImplementedError) as error:
            if getattr(error, "errno", errno.ENOSYS) not in WITHOUT_LOCKS:
                raise

    def release(self, folder: Path) -> None:
        """Free the folder, wherever it has been moved to."""
        if self._lock.is_locked:
            with suppress(PermissionError):  # Windows does not remove a file that is open
                (folder / LOCK).unlink(missing_ok=True)
            self._lock.release()


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """A block that one process at a time enters for this lock file; the others wait for it.

    The file stays: whoever removed it would let in a second process beside one that waits.
    """
    from filelock import FileLock

    with FileLock(path):
        yield
