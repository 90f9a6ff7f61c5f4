"""The class and data files of a run, copied so that its folder stands on its own."""

import ast
import copy
import hashlib
import math
import re
import shutil
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kanpinn.runs.config.tables import data_files

LARGE = 2**20  # bytes: a study of a thousand runs copies no more than that a thousand times
OWN = ("run.json", "result.h5", "checkpoint.pt", "fields.vtkhdf")  # names that runs write to
CLASS_FILE = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)")


def copy_sources(settings: dict[str, Any], directory: Path, folder: Path) -> dict[str, Any]:
    """Copy the files that the settings name as "file.py:Class", the files beside them that they
    import, and files of data, large data of a fit apart; returns the settings that name the copies.
    """
    settings = copy.deepcopy(settings)
    copied: dict[Path, str] = {}
    for table, key in _class_keys(settings):
        match = CLASS_FILE.fullmatch(str(table.get(key, "")))
        if match is None:
            continue
        source = (directory / match["file"]).resolve()
        if source not in copied:
            copied[source] = _free_name(source.name, {*copied.values(), *OWN})
            _copy(source, folder / copied[source])
            for neighbour in _neighbours(source):
                _copy(neighbour, folder / neighbour.name)
        table[key] = f"{copied[source]}:{match['name']}"
    for table, key, limit in _file_keys(settings):
        source = (directory / table[key]).resolve()
        if source.stat().st_size > limit:
            table[key] = str(source)
            continue
        if source not in copied:
            copied[source] = _free_name(source.name, {*copied.values(), *OWN})
            _copy(source, folder / copied[source])
        table[key] = copied[source]
    return settings


def source_texts(settings: dict[str, Any], directory: Path) -> list[str]:
    """The texts of the files that hold the classes the settings name and of the files beside them
    that they import, and the sha256 of files of data.

    A class "package.module:Class" counts by its module's file alone.
    """
    files: set[Path] = set()
    for table, key in _class_keys(settings):
        named = str(table.get(key, ""))
        if match := CLASS_FILE.fullmatch(named):
            source = (directory / match["file"]).resolve()
            files |= {source, *_neighbours(source)}
        elif module := named.rpartition(":")[0]:
            files |= _module_file(module)
    texts = [file.read_text("utf-8", "replace") for file in sorted(files) if file.is_file()]
    return texts + sorted(file["sha256"] for file in fingerprints(settings, directory))


def fingerprints(settings: dict[str, Any], directory: Path) -> list[dict[str, str]]:
    """Path and sha256 of the files of data that the settings name, "" where there is none."""
    found = []
    for table, key, _ in _file_keys(settings):
        path = (directory / table[key]).resolve()
        found.append({"path": str(path), "sha256": _sha256(path) if path.is_file() else ""})
    return found


def _sha256(path: Path) -> str:
    state = path.stat()
    return _sha256_of(path, state.st_mtime_ns, state.st_size)


@cache
def _sha256_of(path: Path, *_: int) -> str:
    """Of a file in one state: the runs of a study share it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _module_file(module: str) -> set[Path]:
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return set()
    return {Path(spec.origin)} if spec is not None and spec.has_location and spec.origin else set()


def _class_keys(settings: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where settings may name a class."""
    if "problem" in settings:
        yield settings["problem"], "class"
    if "network" in settings:
        yield settings["network"], "type"
    for table in settings.get("optimizer") or ():
        yield table, "type"
    if settings.get("reference"):
        yield settings["reference"], "type"


def _file_keys(settings: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, float]]:
    """Where settings name a file of data, and how large one may be to be copied: that of a
    reference, of a domain's surface, of a fit.
    """
    reference = settings.get("reference") or {}
    if reference.get("type") == "file" and isinstance(reference.get("path"), str):
        yield reference, "path", math.inf
    data = settings.get("data") or {}
    for key in data_files(data):
        yield data, key, LARGE
    waiting = [settings.get("problem", {}).get("domain"), data.get("domain")]
    while waiting:
        domain = waiting.pop()
        if not isinstance(domain, dict):
            continue
        if domain.get("type") == "surface" and isinstance(domain.get("file"), str):
            yield domain, "file", math.inf
        waiting += domain.get("of") or []


def _neighbours(source: Path) -> list[Path]:
    """The modules beside a file that it imports, directly or by way of each other."""
    found: list[Path] = []
    waiting = [source]
    while waiting:
        for name in _imports(waiting.pop()):
            module = source.parent / f"{name}.py"
            if module.is_file() and module != source and module not in found:
                found.append(module)
                waiting.append(module)
    return found


def _imports(source: Path) -> Iterator[str]:
    """What a file imports; nothing where it is not there, or no Python."""
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def _copy(source: Path, target: Path) -> None:
    if source != target.resolve():
        shutil.copyfile(source, target)


def _free_name(name: str, taken: set[str]) -> str:
    stem, number, free = Path(name).stem, 1, name
    while free in taken:
        number += 1
        free = f"{stem}_{number}{Path(name).suffix}"
    return free
