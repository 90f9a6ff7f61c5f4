"""Atomic writing of files and its pace, and locks of folders against other processes."""

import errno
import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kanpinn._support.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; if the block succeeds, this file replaces `path`.

    After the block the file is on the disk, even if the machine loses its power.

    Raises:
        OSError: if the file cannot be written; `path` is unchanged then, and the message names it.
    """
    temporary = path.with_name(f".{path.stem}-{os.urandom(6).hex()}.tmp{path.suffix}")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        to_disk(temporary)
        os.replace(temporary, path)
        to_disk(path.parent)
    except OSError as error:
        error.filename = str(path)  # the system's error names no file, or the temporary file
        raise
    finally:
        with suppress(OSError):  # the folder may have been removed
            temporary.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until the contents of a file, or the names in a folder, are on the disk.

    Raises:
        OSError: if the disk fails; the message has the path.
    """
    if os.name != "posix":  # other systems cannot open a folder
        return
    opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(opened)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(opened)


def refuse_irregular(path: Path) -> None:
    """Refuse a path that exists but is no regular file: reading a pipe or device might never end.

    Raises:
        InputError: if the path is refused; the message names the path.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no regular file")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def path_component(name: str) -> str:
    """Return the name with "-" for all characters that the name of a folder should not have."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "run"


def numbered(path: Path) -> Iterator[Path]:
    """Yield a path, then paths with "-2", "-3", … at the end of its name, without end."""
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files of `replacing` that killed processes have left in a folder."""
    for left in folder.glob(".*-*.tmp*"):
        left.unlink(missing_ok=True)


LOCK = ".lock"  # the file in a folder that the writing process locks
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # errors of systems without locks


class Locked(InputError):
    """Raised for a folder that another process is writing."""


class FolderLock:
    """Lock of a folder against writing by other processes, until `release` or the process's end.

    On a file system without locks the folder is not protected.

    Raises:
        Locked: if the folder is locked by another process, or by another lock of this process.
    """

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock, Timeout  # not needed by `kanpinn --help`

        self._lock = FileLock(folder / LOCK, thread_local=False)
        try:
            # A timeout above 0 retries if the owner removes the lock file at this moment.
            self._lock.acquire(timeout=0.1, poll_interval=0.02)
        except Timeout:
            raise Locked(f"{folder} is being written by another process") from None
        except (OSError, NotImplementedError) as error:
            if getattr(error, "errno", errno.ENOSYS) not in WITHOUT_LOCKS:
                raise

    def release(self, folder: Path) -> None:
        """Release the lock and remove its file.

        Args:
            folder: the current path of the locked folder.
        """
        if self._lock.is_locked:
            with suppress(PermissionError):  # Windows does not remove a file that is open
                (folder / LOCK).unlink(missing_ok=True)
            self._lock.release()


@dataclass(eq=False)
class Pace:
    """The pace at which a file is written again and again, so that writing takes little time.

    Args:
        interval: the shortest time between two writes, in seconds.
        share: the largest fraction of the time that is spent on writing.
    """

    interval: float
    share: float
    _written: float = field(default_factory=time.monotonic, init=False)
    _cost: float = field(default=0.0, init=False)  # seconds that the last write took

    @property
    def is_due(self) -> bool:
        """True if the file should be written now.

        The file is first due `interval` seconds after this object was made.
        """
        pause = max(self.interval, self._cost / self.share)
        return time.monotonic() - self._written >= pause

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Measure the time of writing the file, which happens in the block."""
        begun = time.monotonic()
        yield
        self._written = time.monotonic()
        self._cost = self._written - begun
