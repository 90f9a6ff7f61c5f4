"""The class and data files of a run, copied so that its folder stands on its own."""

import copy
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.runs.needed_files import namesakes, needed_files
from kanpinn.runs.results.named_files import named_files

OWN = ("run.json", "result.h5", "checkpoint.pt", "fields.vtkhdf")  # names that runs write to


@dataclass(frozen=True)
class Sources:
    """The sources of a run: settings that name the copied files, and the files themselves.

    settings: the sections of the configuration, naming the copies of class files in the folder.
    files: path and sha256 of the data files.
    code: path and sha256 of the class files in the folder, and of the modules that they import.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    files: list[dict[str, str]] = field(default_factory=list)
    code: list[dict[str, str]] = field(default_factory=list)


def copy_sources(settings: dict[str, Any], directory: Path, folder: Path) -> Sources:
    """Copy the files that the settings name into a folder, and return the sources.

    They are class files ("file.py:Class") with the modules beside them that they import, and data
    files. Data of a fit above 1 MiB are not copied; the returned settings have their absolute path.

    Args:
        settings: the sections of a configuration; they are not changed.
        directory: the folder that names of files are relative to.
        folder: where the copies go.

    Raises:
        InputError: if there is no such file, or it cannot be copied; that has the OSError as its
            cause.
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
                targets |= {one: folder / one.name for one in _beside(source)}
            for own, target in targets.items():
                try:
                    if own != target.resolve():
                        shutil.copyfile(own, target)
                except OSError as error:
                    reason = error.strerror or error
                    raise InputError(f"{own} cannot be copied to {target}: {reason}") from error
        named.table[named.key] = copied[source] + named.ending
    return Sources(settings, files, code_of(settings, folder))


def _beside(source: Path) -> list[Path]:
    """Return the files that a class file needs, without those that a run would overwrite."""
    found = dict.fromkeys((*needed_files(source), *namesakes(source)))
    return [one for one in found if one.name not in OWN]


def code_of(settings: dict[str, Any], folder: Path) -> list[dict[str, str]]:
    """Return path and sha256 of the Python files that are run with a run folder.

    They are class files and the modules beside them that they import. Paths are relative to the
    folder, and absolute for files outside it. A file that does not exist is left out.
    """
    named = (one for one in named_files(settings, folder) if one.ending and not one.module)
    files = dict.fromkeys(file for one in named for file in (one.file, *_beside(one.file)))
    inside = folder.resolve()
    return [
        {
            "path": str(file.relative_to(inside) if file.is_relative_to(inside) else file),
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in files
        if file.is_file()
    ]


def refuse_foreign_code(folder: Path, settings: dict[str, Any], record: Mapping[str, Any]) -> None:
    """Refuse a run folder that would run other Python files than those that the run has used.

    Args:
        folder: the run folder.
        settings: the sections of its configuration.
        record: the contents of its run.json, whose "code" has the hashes that `code_of` returns.

    Raises:
        InputError: for a file outside the folder, and for one that has another hash or none.
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
