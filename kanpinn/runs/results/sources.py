"""The class and data files that the settings of a run name, and their copies in the run folder."""

import copy
import hashlib
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.runs.config import data_files
from kanpinn.runs.library import needed_files

LARGE = 2**20  # bytes; larger data are not copied, since a study would copy them for each run


@dataclass(frozen=True)
class NamedFile:
    """A class file, a data file, or the module of a class, whose name is a value in the settings.

    Args:
        table, key: the table of the settings and the key in it whose value is the name.
        file: the path of the file; empty for a module.
        ending: the part of the value after the file's name, ":Class"; "" for data.
        module: the module of a class "package.module:Class"; "" for files.
        limit: the largest size in bytes up to which the file is copied to the run folder.
    """

    table: dict[str, Any]
    key: str
    file: Path
    ending: str = ""
    module: str = ""
    limit: float = math.inf

    def fingerprint(self) -> dict[str, str]:
        """Return the path and the sha256 of the file; "" as sha256 if the file does not exist."""
        digest = ""
        if self.file.is_file():
            state = self.file.stat()
            digest = _sha256(self.file, state.st_mtime_ns, state.st_size)
        return {"path": str(self.file), "sha256": digest}


def named_files(settings: dict[str, Any], directory: Path) -> Iterator[NamedFile]:
    """Yield the files of classes, of a reference, of a fit's data and of domains.

    All tables of the settings are searched except "parameters", whose values may be anything.

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
    """Return the texts of class files, then the sha256 of data files, that a run depends on.

    For a class "file.py:Class", the result has the texts of the file and of the modules that the
    file imports from its folder. For a class "package.module:Class", it has only the text of the
    class's module. Files that do not exist are left out.

    Args:
        settings: the sections of a configuration.
        directory: the folder that names of files are relative to.
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
            files |= {named.file, *needed_files(named.file)}
        else:
            hashes.append(named.fingerprint()["sha256"])
    texts = [file.read_text("utf-8", "replace") for file in sorted(files) if file.is_file()]
    return texts + sorted(hashes)


@cache
def _sha256(path: Path, *_: int) -> str:
    """Return the sha256 of a file, cached by the file's time and size for the runs of a study."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


OWN = ("run.json", "result.h5", "checkpoint.pt", "fields.vtkhdf")  # names that runs write to


@dataclass(frozen=True)
class Sources:
    """The settings of a run, and the files that they name.

    Args:
        settings: the sections of the configuration, which name the copied files in the run folder.
        files: path and sha256 of each data file, before it was copied.
        code: path and sha256 of each class file in the folder, and of each module that they import.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    files: list[dict[str, str]] = field(default_factory=list)
    code: list[dict[str, str]] = field(default_factory=list)


def copy_sources(settings: dict[str, Any], directory: Path, folder: Path) -> Sources:
    """Copy the files that the settings name into a folder, and return the sources.

    Class files ("file.py:Class"), the modules that class files import from their folders, and data
    files are copied. Data files of a fit above 1 MiB are not copied; the returned settings then
    have their absolute paths.

    Args:
        settings: the sections of a configuration; they are not changed.
        directory: the folder that names of files are relative to.
        folder: the folder for the copies.

    Raises:
        InputError: if a file does not exist, or cannot be copied, with the OSError as the cause.
    """
    settings = copy.deepcopy(settings)
    copied: dict[Path, str] = {}
    files = []
    for named in named_files(settings, directory):
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
                needed = (one for one in needed_files(source) if one.name not in OWN)
                targets |= {one: folder / one.name for one in needed}
            for own, target in targets.items():
                try:
                    if own != target.resolve():
                        shutil.copyfile(own, target)
                except OSError as error:
                    reason = error.strerror or error
                    raise InputError(f"{own} cannot be copied to {target}: {reason}") from error
        named.table[named.key] = copied[source] + named.ending
    return Sources(settings, files, code_of(settings, folder))


def code_of(settings: dict[str, Any], folder: Path) -> list[dict[str, str]]:
    """Return path and sha256 of the Python files that loading or resuming a run would execute.

    These files are the class files and the modules that class files import from their folders.
    Paths are relative to the run folder, and absolute for files outside it. Files that do not exist
    are left out.
    """
    files: dict[Path, None] = {}
    for named in named_files(settings, folder):
        if named.ending and not named.module:
            needed = (one for one in needed_files(named.file) if one.name not in OWN)
            files |= dict.fromkeys((named.file, *needed))
    inside = folder.resolve()
    found = []
    for file in filter(Path.is_file, files):
        path = str(file.relative_to(inside) if file.is_relative_to(inside) else file)
        found.append({"path": path, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()})
    return found


def refuse_foreign_code(folder: Path, settings: dict[str, Any], record: Mapping[str, Any]) -> None:
    """Refuse a run folder whose loading would execute Python files that the run has not used.

    Args:
        folder: the run folder.
        settings: the sections of its configuration.
        record: the contents of its run.json, whose "code" has the hashes that `code_of` returns.

    Raises:
        InputError: for a file outside the folder, for a file whose sha256 is not in `record` or
            differs from the sha256 in `record`, and for a module "package.module" in the folder.
    """
    remedy = "if you trust it, give --trust, or trust=True in Python"
    kept = {one["path"]: one["sha256"] for one in record.get("code", ())}
    for one in code_of(settings, folder):
        path = folder / one["path"]
        if Path(one["path"]).is_absolute():
            raise InputError(f"{folder} would run {path}, which is not in that folder: {remedy}")
        if kept.get(one["path"]) != one["sha256"]:
            raise InputError(f"{path} is not the code that the run has used: {remedy}")
    for module in filter(None, (one.module for one in named_files(settings, folder))):
        spec = PathFinder.find_spec(module.partition(".")[0])  # imports nothing
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
        if any(Path(place).resolve().is_relative_to(folder.resolve()) for place in places if place):
            raise InputError(f"{folder} would run its module {module}: {remedy}")
