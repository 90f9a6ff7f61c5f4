"""Interleaved timings: each contender once a round, so that other work slows all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one case; `ratio` is its time over the reference's, round by round."""

    group: str
    case: str
    points: int
    parameters: int
    threads: int
    seconds: list[float]
    ratios: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Case:
    """One contender: a call, its sizes, and how many threads it may use."""

    run: Callable[[], object]
    points: int
    parameters: int
    threads: int = 1


def interleaved(
    group: str, cases: Mapping[str, Case], rounds: int, reference: str | None = None
) -> list[Timing]:
    """Time all cases round by round; ratios are to `reference` (default: the first case)."""
    reference = reference or next(iter(cases))
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            spent = _seconds(case)
            if number:  # the first round warms up
                seconds[name].append(spent)
    base = seconds[reference]
    return [
        Timing(
            group,
            name,
            c.points,
            c.parameters,
            c.threads,
            seconds[name],
            _over(seconds[name], base),
        )
        for name, c in cases.items()
    ]


def _seconds(case: Case) -> float:
    if torch.get_num_threads() != case.threads:
        torch.set_num_threads(case.threads)
    start = time.perf_counter()
    case.run()
    return time.perf_counter() - start


def _over(seconds: list[float], base: list[float]) -> list[float]:
    return [a / b for a, b in zip(seconds, base, strict=True)]
