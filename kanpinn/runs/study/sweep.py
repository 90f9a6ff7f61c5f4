"""`sweep`, which runs a study, and `StudyFile`, the file that describes one."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from kanpinn._support.errors import InputError, integer
from kanpinn._support.files import FolderLock, path_component, remove_temporaries
from kanpinn._support.observers import entered
from kanpinn._support.processes import Processes
from kanpinn.runs.config import load_toml
from kanpinn.runs.config.models import TomlTable
from kanpinn.runs.config.reading import read_table
from kanpinn.runs.study.plan import Base, Values, plan
from kanpinn.runs.study.sweeping import StudyObserver, Sweep
from kanpinn.runs.study.table import RECORD, RUNS, Study


class StudyTable(TomlTable):
    """The section [study] of a study file.

    Args:
        base: the path of a problem file, relative to the study file.
        name: the name of the study, by which its folder is named; by default that of the file.
        over: lists of values by key; the runs are the product of these lists.
        zipped: lists of values by key, all of one length; together they are one factor of the
            product, which takes their i-th values at the same time.
    """

    base: Annotated[str, Field(title="the path of a problem file")]
    name: str | None = None
    over: dict[str, Any] = Field(default_factory=dict)
    zipped: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class StudyFile:
    """The contents of a study file: a problem file, and the keys to vary with their values.

    The fields are those of [study], but `base` is relative to the working directory.
    """

    base: Path
    name: str
    over: dict[str, Any] = field(default_factory=dict)
    zipped: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> "StudyFile":
        """Read a study file: TOML with the one section [study].

        Raises:
            InputError: if the file is not of this form; the message names the key, its value and
                what was expected.
        """
        path = Path(path)
        data = load_toml(path)
        if list(data) != ["study"]:
            wrong = ", ".join(key for key in data if key != "study") or "none"
            raise InputError(f"{path}: expected one section [study], got {wrong}")
        table = read_table(StudyTable, data["study"], "study")
        return StudyFile(
            path.parent / table.base,
            table.name or path.stem,
            _flat(table.over, "study.over."),
            _flat(table.zipped, "study.zipped."),
        )


def _flat(table: dict[str, Any], at: str, above: str = "") -> dict[str, Any]:
    """Return the lists by dotted key, from keys with quotes ("network.grid") and without."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        path = above + key
        inner = _flat(value, at, f"{path}.") if isinstance(value, dict) else {path: value}
        if twice := found.keys() & inner.keys():
            raise InputError(f"{at}{min(twice)} is given twice, with quotes and without")
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

    A finished run is recognised by its settings, the text of its class files, the hashes of its
    data files and kanpinn's version, and is not repeated; a run that was killed continues from its
    last checkpoint. A run that fails is a row of the table. Calls with other values for the same
    keys share one folder, whose table is that of the last call.

    Args:
        base: a problem file, its sections as a dict, or a function of the varied values that
            returns such a dict.
        over: lists of values by key, {"network.grid": [4, 8], "run.seed": [0, 1, 2]}; the runs are
            the product of these lists. If the base is a function, the keys are its arguments.
        zipped: lists of values by key, all of one length; together they are one more factor of the
            product, which takes their i-th values at the same time.
        name: the name of the study; by default that of the base.
        output: the study's folder is output/name-hash.
        directory: where class files are looked for, if the base is not a file.
        executor: does the runs; any concurrent.futures.Executor whose workers have access to the
            study's folder. By default single-threaded processes on this machine.
        workers: the number of these processes, by default one for each core.
        observers: called with a `Tally` about twice a second and when runs have finished, such as
            `StudyProgress()`. Those that are context managers are entered for this time.

    Returns:
        The study, with one row for each run in the order of the product.

    Raises:
        InputError: if no run can be built, two runs have the same settings, another process is
            writing the study, or the disk is full; finished runs are kept.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import kanpinn as kp
        >>> interval = {"type": "box", "x": [0, 1]}
        >>> base = {
        ...     "problem": {"equation": "poisson", "domain": interval, "exact": "sin(x)"},
        ...     "network": {"type": "kan", "width": [1, 1], "degree": 5},
        ... }
        >>> with TemporaryDirectory() as folder:
        ...     study = kp.sweep(base, {"network.grid": [4, 8]}, output=folder, workers=1)
        >>> study.rows[0]["l2_relative"] > study.rows[1]["l2_relative"]
        True
    """
    entries, digest = plan(base, over, zipped or {}, Path(directory))
    name = name or _name_of(base)
    folder = Path(output).absolute() / f"{path_component(name)}-{digest[:8]}"
    count = integer("workers", _cores() if workers is None else workers)
    with _opened(folder), entered(observers):
        sweeping = Sweep(folder, name, entries, observers)
        if executor is not None or not sweeping.tasks:
            sweeping.run(executor)
        else:
            with _processes(min(count, len(sweeping.tasks))) as processes:
                sweeping.run(processes)
        return sweeping.write()


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[None]:
    """Create the study's folder, and lock it for this process until the block ends."""
    if (folder / RECORD).exists():
        Study.read(folder)  # refuses another format before anything is written
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
    """Yield worker processes that end with the block, without waiting if the block raised."""
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
