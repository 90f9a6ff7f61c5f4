"""The class and data files of a run, copied so that its folder stands on its own."""

import ast
import copy
import hashlib
import math
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.runs.config import data_files

LARGE = 2**20  # bytes; larger data are not copied, since a study would copy them for each run
OWN = ("run.json", "result.h5", "checkpoint.pt", "fields.vtkhdf")  # names that runs write to


@dataclass(frozen=True)
class Sources:
    """The sources of a run: settings that name the copied files, and the data files themselves.

    files: path and sha256 of each data file.
    """

    settings: dict[str, Any]
    files: list[dict[str, str]]


@dataclass(frozen=True)
class _Named:
    """A file that settings name: the table and the key of the name, and the file's path.

    ending: the part after the file's name, ":Class"; "" for data.
    module: True for the module of a class "package.module:Class", which is not copied.
    limit: the largest size in bytes at which the file is copied.
    """

    table: dict[str, Any]
    key: str
    file: Path
    ending: str = ""
    module: bool = False
    limit: float = math.inf

    def fingerprint(self) -> dict[str, str]:
        """Return the path and the sha256 of the file; the hash of no file is ""."""
        found = self.file.is_file()
        return {"path": str(self.file), "sha256": _sha256(self.file) if found else ""}


def copy_sources(settings: dict[str, Any], directory: Path, folder: Path) -> Sources:
    """Copy the files that the settings name into a folder, and return settings with the copies.

    They are class files ("file.py:Class") with the modules beside them that they import, and data
    files. Data of a fit above 1 MiB are not copied; the settings then have their absolute path.

    Args:
        settings: the sections of a configuration; they are not changed.
        directory: the folder that names of files are relative to.
        folder: where the copies go.

    Raises:
        InputError: if there is no such file, or it cannot be copied.
    """
    settings = copy.deepcopy(settings)
    copied: dict[Path, str] = {}
    files = []
    for named in _named_files(settings, directory):
        source = named.file
        if named.module:
            continue
        if not source.is_file():
            given = f'{named.key} = "{named.table[named.key]}"'
            raise InputError(f"{given}: there is no file {source}")
        if not named.ending:
            files.append(named.fingerprint())
        if source.stat().st_size > named.limit:
            named.table[named.key] = str(source)
            continue
        if source not in copied:
            name, number = source.name, 1
            while name in copied.values() or name in OWN:
                number += 1
                name = f"{source.stem}_{number}{source.suffix}"
            copied[source] = name
            targets = {source: folder / name}
            if named.ending:
                targets |= {module: folder / module.name for module in _neighbours(source)}
            for own, target in targets.items():
                if own != target.resolve():
                    _copy(own, target)
        named.table[named.key] = copied[source] + named.ending
    return Sources(settings, files)


def _copy(source: Path, target: Path) -> None:
    """Copy a file.

    Raises:
        InputError: if that fails; it has the OSError as its cause.
    """
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{source} cannot be copied to {target}: {reason}") from error


def source_texts(settings: dict[str, Any], directory: Path) -> list[str]:
    """Return the texts of class files and the sha256 of data files that a run depends on.

    Modules beside a class file that it imports are included; of a class "package.module:Class" only
    the file of its module is.
    """
    files: set[Path] = set()
    hashes = []
    for named in _named_files(settings, directory):
        if named.ending:
            files |= {named.file, *([] if named.module else _neighbours(named.file))}
        else:
            hashes.append(named.fingerprint()["sha256"])
    texts = [file.read_text("utf-8", "replace") for file in sorted(files) if file.is_file()]
    return texts + sorted(hashes)


def fingerprints(settings: dict[str, Any], directory: Path) -> list[dict[str, str]]:
    """Return path and sha256 of the data files that settings name; the hash of no file is ""."""
    named = _named_files(settings, directory)
    return [one.fingerprint() for one in named if not one.ending]


def _sha256(path: Path) -> str:
    state = path.stat()
    return _sha256_of(path, state.st_mtime_ns, state.st_size)


@cache
def _sha256_of(path: Path, *_: int) -> str:
    """Return the sha256 of a file, cached by its time and size for the runs of a study."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named_files(settings: dict[str, Any], directory: Path) -> Iterator[_Named]:
    """Yield the files of classes, of a reference, of a fit's data and of surfaces in settings."""
    classes = [(settings.get("problem") or {}, "class")]
    classes += [(settings.get(section) or {}, "type") for section in ("network", "reference")]
    classes += [(table, "type") for table in settings.get("optimizer") or ()]
    for table, key in classes:
        where, colon, name = str(table.get(key, "")).rpartition(":")
        if where.endswith(".py"):
            yield _Named(table, key, (directory / where).resolve(), colon + name)
        elif where:
            with suppress(ModuleNotFoundError):
                spec = find_spec(where)
                if spec is not None and spec.has_location and spec.origin:
                    yield _Named(table, key, Path(spec.origin), colon + name, module=True)
    reference, data = settings.get("reference") or {}, settings.get("data") or {}
    found = [(reference, "path", math.inf)] if reference.get("type") == "file" else []
    found += [(data, key, LARGE) for key in (data_files(data) if data else ())]
    waiting = [settings.get("problem", {}).get("domain"), data.get("domain")]
    while waiting:
        domain = waiting.pop()
        if isinstance(domain, dict):  # a domain can also be given by its name alone
            found += [(domain, "file", math.inf)] if domain.get("type") == "surface" else []
            waiting += domain.get("of") or []
    for table, key, limit in found:
        if table.get(key):
            yield _Named(table, key, (directory / str(table[key])).resolve(), limit=limit)


def _neighbours(source: Path) -> list[Path]:
    """Return the modules in a file's folder that it imports, directly or indirectly."""
    found: list[Path] = []
    waiting = [source]
    while waiting:
        try:
            tree = ast.parse(waiting.pop().read_bytes())
        except (OSError, SyntaxError, ValueError):  # the file is missing or not Python
            continue
        names: list[str] = []
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=modules):
                    names += [module.name for module in modules]
                case ast.ImportFrom(module=str(name), level=0):
                    names.append(name)
        for name in names:
            module = source.parent / f"{name.partition('.')[0]}.py"
            if module.is_file() and module != source and module not in found:
                found.append(module)
                waiting.append(module)
    return found
