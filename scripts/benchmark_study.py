"""What a study costs beyond its solves, what a second worker brings, and what a kill loses.

What: (1) a study of quick runs by one worker: the time from one run's end to the next's without the
solve, plus the run's share of planning and of the table; and where that time goes. (2) The same
runs of about a second by one worker and by two, whole calls of kanpinn.sweep, starts and imports
included. (3) A study of 40 runs whose process gets SIGKILL ten times, at random moments: no file of
a finished run is gone or written again, and in the end every run has the errors of a study that was
left alone.

How long: some four minutes on two idle cores; --smoke: well under a minute, its times mean nothing.

Writes to --output: overhead.csv, benchmark_study.md, benchmark_study.json; the studies themselves
are in studies/ and go when they have been measured.
"""

import csv
import shutil
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import script
from study import kills
from study.cases import PROBLEM, breakdown, overhead, steady

import kanpinn as kp

NAME = Path(__file__).stem


@dataclass(frozen=True)
class Size:
    """How much is measured; steps decide how long a run takes.

    here: whether this process does the runs of all studies but the killed one, which saves the
    starts of worker processes in a smoke run.
    """

    quick: int = 30
    rounds: int = 3
    runs: int = 24
    steps: int = 60
    kills: int = 10
    killed_runs: int = 40
    killed_steps: int = 40
    workers: int = 2
    here: bool = False

    def executor(self) -> Executor | None:
        """Return an executor in this process, or None for worker processes."""
        return ThreadPoolExecutor(1) if self.here else None


SMOKE = Size(3, 1, 2, 2, 1, 3, 2, 1, here=True)


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        NAME, __doc__, given, seed=dict(type=int, default=0, help="of the moments of the kills (0)")
    )
    output = chosen.output
    size, studies = (SMOKE if chosen.smoke else Size()), output / "studies"
    figures: dict[str, script.Verdict] = {}
    parts = measure_overhead(size, studies, figures)
    whole = measure_workers(size, studies, figures)
    measure_kills(size, chosen.seed, whole, studies, figures)
    if chosen.smoke:
        figures = {name: {**figure, "met": None} for name, figure in figures.items()}
    shutil.rmtree(studies)
    publish(figures, parts, output)


def measure_overhead(
    size: Size, studies: Path, figures: dict[str, script.Verdict]
) -> dict[str, float]:
    rounds = [overhead(size.quick, studies / "quick", size.executor()) for _ in range(size.rounds)]
    totals = [sum(both) for both in rounds]
    seconds = statistics.median(totals)
    figures["overhead per run, seconds"] = script.verdict(
        seconds, "<= 0.2 beyond the solve and imports", seconds <= 0.2
    )
    figures["overhead per run, smallest and largest of the rounds"] = script.verdict(
        [min(totals), max(totals)], "told"
    )
    parts = breakdown(size.quick, studies / "parts")
    return parts | {"planning and table": 1e3 * statistics.median(share for _, share in rounds)}


def measure_workers(size: Size, studies: Path, figures: dict[str, script.Verdict]) -> kp.Study:
    """Time one worker against two, in turns; return a study of the runs that will be killed."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for number in range(size.rounds):
        for workers, times in seconds.items():
            place = studies / f"workers-{workers}-{number}"
            over = steady(size.runs, size.steps)
            times.append(timed(over, workers, place, size.executor())[0])
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    figures["one worker's time over two workers'"] = script.verdict(
        statistics.median(ratios), ">= 1.7", statistics.median(ratios) >= 1.7
    )
    figures["the same, each round"] = script.verdict(ratios, "told")
    figures["seconds by one worker and by two"] = script.verdict(
        [statistics.median(times) for times in seconds.values()], "told"
    )
    over = steady(size.killed_runs, size.killed_steps)
    return timed(over, size.workers, studies / "left-alone", size.executor())[1]


def timed(
    over: dict[str, Any], workers: int, output: Path, executor: Executor | None
) -> tuple[float, kp.Study]:
    """Return the seconds of a study, and the study."""
    begun = time.perf_counter()
    study = kp.sweep(PROBLEM, over, output=output, workers=workers, executor=executor)
    return time.perf_counter() - begun, study


def measure_kills(
    size: Size, seed: int, whole: kp.Study, studies: Path, figures: dict[str, script.Verdict]
) -> None:
    runs, steps = size.killed_runs, size.killed_steps
    found = kills.survive(size.kills, runs, steps, size.workers, seed, whole, studies / "killed")
    for name, value, wanted in (
        ("kills amid the study", found.kills, size.kills),
        ("files of finished runs lost or written again", found.lost, 0),
        ("runs left partial in the end", found.partial, 0),
        ("runs finished in the end", found.rows, runs),
        ("runs with other errors than without the kills", found.different, 0),
    ):
        figures[name] = script.verdict(value, str(wanted), value == wanted)
    figures["runs finished at each kill"] = script.verdict(found.finished, "told")


def publish(figures: dict[str, script.Verdict], parts: dict[str, float], output: Path) -> None:
    script.write_verdicts(output / "benchmark_study.json", figures)
    with (output / "overhead.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["part", "milliseconds"])
        rows.writerows([name, f"{value:.1f}"] for name, value in parts.items())
    lines = ["| figure | value | target | met |", "|---|---|---|---|"]
    lines += [
        f"| {n} | {said(f['value'])} | {f['target']} | {f['met']} |" for n, f in figures.items()
    ]
    lines += ["", "| part of a run | ms (median) |", "|---|---|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in parts.items()]
    text = "\n".join(lines).replace("| None |", "| - |") + "\n"
    (output / "benchmark_study.md").write_text(text, encoding="utf-8")
    print(text)


def said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(said, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
