"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
