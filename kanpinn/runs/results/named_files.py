"""The files that the settings of a run name: classes of the user's own, and data."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kanpinn.runs.config import data_files
from kanpinn.runs.needed_files import namesakes, needed_files

LARGE = 2**20  # bytes; larger data are not copied, since a study would copy them for each run


@dataclass(frozen=True)
class NamedFile:
    """A file that settings name: the table and the key of the name, and the file's path.

    ending: the part after the file's name, ":Class"; "" for data.
    module: the module of a class "package.module:Class", which has no path here; "" for files.
    limit: the largest size in bytes at which the file is copied.
    """

    table: dict[str, Any]
    key: str
    file: Path
    ending: str = ""
    module: str = ""
    limit: float = math.inf

    def fingerprint(self) -> dict[str, str]:
        """Return the path and the sha256 of the file; the hash of no file is ""."""
        found = self.file.is_file()
        return {"path": str(self.file), "sha256": _sha256(self.file) if found else ""}


def named_files(settings: dict[str, Any], directory: Path) -> Iterator[NamedFile]:
    """Yield the files of classes, of a reference, of a fit's data and of domains.

    They are looked for in all tables but the parameters of a class, which may be any values.

    Args:
        settings: the sections of a configuration.
        directory: the folder that names of files are relative to.
    """
    reference, data = settings.get("reference") or {}, settings.get("data") or {}
    found = [(reference, "path", math.inf)] if reference.get("type") == "file" else []
    found += [(data, key, LARGE) for key in (data_files(data) if data else ())]
    waiting: list[Any] = [settings]
    while waiting:
        table = waiting.pop(0)
        if isinstance(table, list):
            waiting += table
        if not isinstance(table, dict):
            continue
        waiting += [inner for key, inner in table.items() if key != "parameters"]
        for key in ("class", "type"):
            where, colon, name = str(table.get(key, "")).rpartition(":")
            if where.endswith(".py"):
                yield NamedFile(table, key, (directory / where).resolve(), colon + name)
            elif where:
                yield NamedFile(table, key, Path(), colon + name, where)
        if table.get("type") in ("surface", "mesh"):
            found.append((table, "file", math.inf))
    for table, key, limit in found:
        if table.get(key):
            yield NamedFile(table, key, (directory / str(table[key])).resolve(), limit=limit)


def source_texts(settings: dict[str, Any], directory: Path) -> list[str]:
    """Return the texts of class files and the sha256 of data files that a run depends on.

    Modules beside a class file that it imports are included; of a class "package.module:Class" only
    the file of its module is.
    """
    files: set[Path] = set()
    hashes = []
    for named in named_files(settings, directory):
        if named.module:
            with suppress(ModuleNotFoundError):
                spec = find_spec(named.module)
                if spec is not None and spec.has_location and spec.origin:
                    files.add(Path(spec.origin))
        elif named.ending:
            files |= {named.file, *needed_files(named.file), *namesakes(named.file)}
        else:
            hashes.append(named.fingerprint()["sha256"])
    texts = [file.read_text("utf-8", "replace") for file in sorted(files) if file.is_file()]
    return texts + sorted(hashes)


def fingerprints(settings: dict[str, Any], directory: Path) -> list[dict[str, str]]:
    """Return path and sha256 of the data files that settings name; the hash of no file is ""."""
    named = named_files(settings, directory)
    return [one.fingerprint() for one in named if not one.ending]


def _sha256(path: Path) -> str:
    state = path.stat()
    return _sha256_of(path, state.st_mtime_ns, state.st_size)


@cache
def _sha256_of(path: Path, *_: int) -> str:
    """Return the sha256 of a file, cached by its time and size for the runs of a study."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
