"""Studies that are timed: cases, and what a study costs beside its solves."""

import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kanpinn as kp
from kanpinn.runs.config import Config, SolveJob
from kanpinn.runs.results import folder as folders
from kanpinn.runs.results.checkpoint import write_checkpoint
from kanpinn.runs.results.contents import Contents, SolveContents
from kanpinn.runs.results.folder import run_record
from kanpinn.runs.study.plan import Task, execute, plan, version
from kanpinn.runs.study.table import RUNS

PROBLEM = Path(__file__).parents[2] / "problems" / "poisson2d.toml"
SMALL = {"network.width": [[2, 4, 1]], "network.grid": [4], "network.degree": [3]}
FEW = {"points.interior": [256], "points.boundary": [32]}


def quick(runs: int) -> dict[str, Any]:
    """Return runs of some hundredths of a second, so that the study's own time dominates."""
    return SMALL | FEW | {"run.seed": list(range(runs))}


def steady(runs: int, steps: int) -> dict[str, Any]:
    """Return runs of so many steps of Levenberg-Marquardt, some 10 ms each."""
    stage = {"type": "levenberg_marquardt", "steps": steps}
    return quick(runs) | {"optimizer": [[stage]]}


PARTS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "problem, network, points built": (Config, Config.build),
    "folder made": (folders.RunFolder, folders.RunFolder.at),
    "solve": (SolveJob, SolveJob.run),
    "fields on a grid": (SolveContents, SolveContents.grid),
    "result.h5 and fields.vtkhdf": (Contents, Contents.write),
    "checkpoint.pt": (folders, write_checkpoint),
    "run.json": (folders, run_record),
}
"""Calls that are timed, by what they do: where each is looked up, and the call."""


def overhead(runs: int, output: Path, executor: Executor | None) -> tuple[float, float]:
    """Return the seconds for each run beyond the solve: between runs, and for planning and table.

    There is one worker. The first run, which waits for the worker's imports, does not count.
    """
    shutil.rmtree(output, ignore_errors=True)
    ends: dict[int, float] = {}

    def observe(tally: Any) -> None:
        ends.setdefault(tally.done, time.perf_counter())

    study = kp.sweep(
        PROBLEM, quick(runs), output=output, workers=1, executor=executor, observers=[observe]
    )
    solves = study.column("seconds")[1:]
    between = (ends[runs] - ends[1] - sum(solves)) / (runs - 1)
    begun = time.perf_counter()
    plan(PROBLEM, quick(runs), {}, Path())
    study.write()
    return between, (time.perf_counter() - begun) / runs


def breakdown(runs: int, output: Path) -> dict[str, float]:
    """Return the milliseconds of each part of a run, medians over runs in this process."""
    shutil.rmtree(output, ignore_errors=True)
    (output / RUNS).mkdir(parents=True)
    entries, _ = plan(PROBLEM, quick(runs + 1), {}, Path())
    seconds: dict[str, list[float]] = defaultdict(list)
    with _timed(seconds):
        for entry in entries:
            settings, where = entry.config.to_dict(), str(entry.config.directory)
            task = Task(settings, where, "poisson2d", str(output), entry.name, version())
            begun = time.perf_counter()
            execute(task)
            seconds["the whole run"].append(time.perf_counter() - begun)
    return {name: 1e3 * statistics.median(times[1:]) for name, times in seconds.items()}


@contextmanager
def _timed(seconds: Mapping[str, list[float]]) -> Iterator[None]:
    kept = {name: vars(owner)[call.__name__] for name, (owner, call) in PARTS.items()}
    try:
        for name, (owner, call) in PARTS.items():
            timed = _timer(call, seconds[name])
            is_bound = isinstance(kept[name], classmethod)
            setattr(owner, call.__name__, staticmethod(timed) if is_bound else timed)
        yield
    finally:
        for name, (owner, call) in PARTS.items():
            setattr(owner, call.__name__, kept[name])


def _timer(call: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            times.append(time.perf_counter() - begun)

    return timed
