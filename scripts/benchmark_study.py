"""What a study costs beyond its solves, and what a second worker brings.

What: (1) a study of quick runs by one worker: the time from one run's end to the next's without the
solve, plus the run's share of planning and of the table. (2) The same runs of about a second by one
worker and by two, whole calls of kanpinn.sweep, starts and imports included. What a killed study
loses is measured by trust_files.py.

How long: some three minutes on two idle cores; --smoke: some seconds, its times mean nothing.

Writes to --output: benchmark_study.md, benchmark_study.json; the studies themselves are in studies/
and go when they have been measured.
"""

import shutil
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import script

import kanpinn as kp
from kanpinn.runs.study.sweep import plan

PROBLEM = script.PROBLEMS / "poisson2d.toml"
SMALL = {"network.hidden": [[4]], "network.grid": [4], "network.degree": [3]}
FEW = {"points.interior": [256], "points.boundary": [32]}


def quick(runs: int) -> dict[str, Any]:
    """Return runs of some hundredths of a second, so that the study's own time dominates."""
    return SMALL | FEW | {"run.seed": list(range(runs))}


def steady(runs: int, steps: int) -> dict[str, Any]:
    """Return runs of so many steps of Levenberg-Marquardt, some 10 ms each."""
    stage = {"type": "levenberg_marquardt", "steps": steps}
    return quick(runs) | {"optimizer": [[stage]]}


def overhead(runs: int, output: Path, executor: Executor | None) -> float:
    """Return the seconds for each run beyond the solve: between runs, for planning and the table.

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
    return between + (time.perf_counter() - begun) / runs


NAME = Path(__file__).stem


@dataclass(frozen=True)
class Size:
    """How much is measured; steps decide how long a run takes.

    here: whether this process does all runs, which saves the starts of worker processes in a
    smoke run.
    """

    quick: int = 30
    rounds: int = 3
    runs: int = 24
    steps: int = 60
    here: bool = False

    def executor(self) -> Executor | None:
        """Return an executor in this process, or None for worker processes."""
        return ThreadPoolExecutor(1) if self.here else None


SMOKE = Size(2, 1, 1, 1, here=True)


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(NAME, __doc__, given)
    size, studies = (SMOKE if chosen.smoke else Size()), chosen.output / "studies"
    figures: dict[str, script.Verdict] = {}
    measure_overhead(size, studies, figures)
    measure_workers(size, studies, figures)
    shutil.rmtree(studies)
    script.publish(chosen, page(figures, chosen.smoke), figures)


def measure_overhead(size: Size, studies: Path, figures: dict[str, script.Verdict]) -> None:
    totals = [overhead(size.quick, studies / "quick", size.executor()) for _ in range(size.rounds)]
    seconds = statistics.median(totals)
    figures["overhead per run, seconds"] = script.verdict(
        seconds, "<= 0.2 beyond the solve and imports", seconds <= 0.2
    )
    figures["overhead per run, smallest and largest of the rounds"] = script.verdict(
        [min(totals), max(totals)], "told"
    )


def measure_workers(size: Size, studies: Path, figures: dict[str, script.Verdict]) -> None:
    """Time one worker against two, in turns."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    over, executor = steady(size.runs, size.steps), size.executor()
    for number in range(size.rounds):
        for workers, times in seconds.items():
            place = studies / f"workers-{workers}-{number}"
            begun = time.perf_counter()
            kp.sweep(PROBLEM, over, output=place, workers=workers, executor=executor)
            times.append(time.perf_counter() - begun)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    middle = statistics.median(ratios)
    figures["one worker's time over two workers'"] = script.verdict(middle, ">= 1.7", middle >= 1.7)
    figures["the same, each round"] = script.verdict(ratios, "told")
    medians = [statistics.median(times) for times in seconds.values()]
    figures["seconds by one worker and by two"] = script.verdict(medians, "told")


def page(figures: dict[str, script.Verdict], smoke: bool) -> str:
    lines = [
        [name, said(f["value"]), f["target"], "-" if smoke or f["met"] is None else str(f["met"])]
        for name, f in figures.items()
    ]
    return script.markdown(["figure", "value", "target", "met"], lines)


def said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(said, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
