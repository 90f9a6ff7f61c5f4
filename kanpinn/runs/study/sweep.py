"""The call that makes a study and does its runs, and the file that describes one."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from kanpinn._support.errors import InputError, integer
from kanpinn._support.files import FolderLock, remove_temporaries
from kanpinn._support.processes import Processes
from kanpinn.runs.config import load_toml
from kanpinn.runs.config.models import Table
from kanpinn.runs.config.reading import read
from kanpinn.runs.results.folder import path_component
from kanpinn.runs.study.plan import Base, Values, plan
from kanpinn.runs.study.sweeping import StudyObserver, Sweep
from kanpinn.runs.study.table import RECORD, RUNS, Study


class StudyTable(Table):
    """The section [study] of a study's file.

    Args:
        base: a problem file, relative to the study's file.
        name: what the study's folder is called after; by default the file.
        over: keys with lists of values; the runs are their product.
        zipped: keys with lists of one length, which run in step and are one factor of the product.
    """

    base: str
    name: str | None = None
    over: dict[str, Any] = Field(default_factory=dict)
    zipped: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class StudyFile:
    """What a study's file describes: a problem file, and the keys to vary in it with their values.

    The fields are those of [study]; `base` is a path from the working directory.
    """

    base: Path
    name: str
    over: dict[str, Any] = field(default_factory=dict)
    zipped: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> "StudyFile":
        """Read a TOML file with one section, [study].

        Raises:
            InputError: naming the key, the value and what was expected.
        """
        path = Path(path)
        data = load_toml(path)
        if list(data) != ["study"]:
            wrong = ", ".join(key for key in data if key != "study") or "none"
            raise InputError(f"{path}: expected one section [study], got {wrong}")
        table = read(StudyTable, data["study"], "study")
        return StudyFile(
            path.parent / table.base,
            table.name or path.stem,
            _flat(table.over, "study.over."),
            _flat(table.zipped, "study.zipped."),
        )


def _flat(table: dict[str, Any], at: str, above: str = "") -> dict[str, Any]:
    """The lists by their whole keys: network.grid = [4, 8] is a key with and without quotes."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        path = above + key
        inner = _flat(value, at, f"{path}.") if isinstance(value, dict) else {path: value}
        if twice := found.keys() & inner.keys():
            raise InputError(f"{at}{min(twice)} is there twice, in quotes and without")
        found |= inner
    return found


def sweep(
    base: Base,
    over: Mapping[str, Values],
    *,
    zipped: Mapping[str, Values] | None = None,
    name: str | None = None,
    output: str | os.PathLike[str] = "results",
    directory: str | os.PathLike[str] = ".",
    executor: Executor | None = None,
    workers: int | None = None,
    observers: Sequence[StudyObserver] = (),
) -> Study:
    """Solve a problem for every combination of values, each run in a folder of its own.

    Finished runs are known by their settings, their class files' text and kanpinn's version and
    are not done again; runs that were killed go on where they were. A run that fails is a row. The
    table is that of the last call: with other values for the same keys the folder stays the same.

    Args:
        base: a problem file, its sections as a dict, or a function of the varied values that
            returns such a dict.
        over: keys with the values to vary them over, {"network.grid": [4, 8], "run.seed":
            [0, 1, 2]}; the runs are their product. For a function its arguments.
        zipped: keys whose lists of values run in step, one factor more of the product.
        name: of the study; by default that of the base.
        output: the study's folder is output/name-hash.
        directory: where class files are looked for, when the base is not a file.
        executor: where the runs go, any concurrent.futures.Executor whose workers see the
            study's folder; by default processes of one thread each on this machine.
        workers: how many of these, one for each core by default.
        observers: called with a `Tally`.

    Raises:
        InputError: where nothing can be run, two runs have the same settings, another process
            works at the study, or the disk is full; finished runs are kept.
    """
    entries, digest = plan(base, over, zipped or {}, Path(directory))
    name = name or _name_of(base)
    folder = Path(output).absolute() / f"{path_component(name)}-{digest[:8]}"
    count = integer("workers", _cores() if workers is None else workers)
    with _opened(folder):
        sweeping = Sweep(folder, name, entries, observers)
        if executor is not None or not sweeping.tasks:
            sweeping.run(executor)
        else:
            with _processes(min(count, len(sweeping.tasks))) as processes:
                sweeping.run(processes)
        return sweeping.write()


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[None]:
    """The study's folder, made and held for this process alone."""
    if (folder / RECORD).exists():
        Study.read(folder)  # refuses another format, before anything is touched
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder)
    except OSError as error:
        raise InputError(f"no study can be written to {folder}: {error.strerror}") from error
    try:
        remove_temporaries(folder)
        yield
    finally:
        lock.release(folder)


@contextlib.contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """Processes that end with the block: at once where the block did not run through."""
    executor = Processes(count)
    try:
        yield executor
    except BaseException:  # Ctrl-C as well: no process is left behind
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _name_of(base: Base) -> str:
    match base:
        case str() | Path():
            return Path(base).stem
        case _:
            return getattr(base, "__name__", "study")
