"""One solve by several processes: do they agree, how do they scale, and what would 1000 exchange?

What: problems/poisson2d.toml solved by one process and by two, by each optimizer: the relative
difference of the solutions. Then one step of least squares, of Levenberg-Marquardt and of a
gradient on Poisson's equation, at 1 and 2 processes of one thread: with the same points (strong
scaling) and with the same points a process (weak scaling). Beside them what this machine allows:
two processes side by side that know nothing of each other, with as many points each; and one
process with two threads. The bytes of a fold are counted at 2 processes and computed for up to
1000, with the seconds that they would take on an assumed network of 10 Gbit/s.

How: the contenders take turns, round by round, so that other work on the machine slows all alike.
Times are medians (smallest - largest) over the rounds of the slowest rank; speed-ups are medians of
the ratios round by round.

How long: three minutes on two idle cores; --smoke: half a minute, its times mean nothing.

Writes to --output: benchmark_distributed.md, timings.csv, communication.csv, figure.png and .pdf,
benchmark_distributed.json.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common import options, verdicts
from scaling import paper, report, tasks
from scaling.timing import Scaling, measure
from scaling.workers import Workers

NAME = Path(__file__).stem
AGREE, FEW_STEPS = 1e-10, 1e-8


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = options.parser(NAME, __doc__)
    parser.add_argument("--rounds", type=int, default=9, help="repetitions (9)")
    chosen = options.finish(NAME, parser.parse_args(given))
    if chosen.rounds < 1:
        parser.error(f"--rounds {chosen.rounds}: expected 1 or more")
    return chosen


def agreement(workers: Workers, small: bool) -> dict[str, float]:
    """Return the relative L2 distance between the solutions of one and of two processes."""
    found = {}
    for name in tasks.SOLVES:
        (one,) = workers.together(1, tasks.solved, name, small)
        two, also = workers.together(2, tasks.solved, name, small)
        assert two.equal(also), f"{name}: the two ranks have different solutions"
        found[name] = float((two - one).norm() / one.norm())
    return found


def scaling(workers: Workers, rounds: int, tiny: bool) -> list[Scaling]:
    sizes = {
        tasks.LEAST_SQUARES: (500, 4) if tiny else (20_000, 24),
        tasks.MARQUARDT: (500, 4) if tiny else (20_000, 10),
        tasks.GRADIENT: (500, 4) if tiny else (40_000, 10),
    }
    return [measure(workers, task, *size, rounds) for task, size in sizes.items()]


def figures(
    agree: dict[str, float], scales: list[Scaling], counted: float
) -> dict[str, verdicts.Figure]:
    found: dict[str, verdicts.Figure] = {}
    for name, difference in agree.items():
        limit = AGREE if name == "least squares" else FEW_STEPS
        found[f"2 processes and 1, {name}: difference"] = {
            "value": difference,
            "target": f"<= {limit:g} relative in the solution",
            "met": difference <= limit,
        }
    for s in scales:
        for kind, speed, limit in (
            ("strong scaling: speed-up", s.strong, s.strong_limit),
            ("weak scaling: efficiency", s.weak, s.weak_limit),
        ):
            found[f"{s.task}, {kind} at 2 processes"] = {
                "value": speed,
                "target": f"what two independent processes reach here, {limit:.2f}",
                "met": None,
            }
    found["bytes of a fold, counted over computed"] = {
        "value": counted,
        "target": "1",
        "met": counted == 1,
    }
    return found


def main(given: Sequence[str] | None = None) -> None:
    chosen = arguments(given)
    workers = Workers(2)
    try:
        agree = agreement(workers, chosen.smoke)
        bytes_counted = workers.together(2, tasks.counted, 100)
        scales = scaling(workers, 1 if chosen.smoke else chosen.rounds, chosen.smoke)
    finally:
        workers.end()
    triangle = paper.Fold(100, 2, 1).triangle
    counted = max(max(given, taken) / triangle for given, taken in bytes_counted)
    folds = paper.folds(scales[0].rate)
    chosen.output.mkdir(parents=True, exist_ok=True)
    report.write(chosen.output, agree, scales, folds, chosen.smoke)
    found = figures(agree, scales, counted)
    verdicts.write(chosen.output / "benchmark_distributed.json", found)


if __name__ == "__main__":
    main()
