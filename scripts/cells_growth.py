"""How time and memory of solves in cells grow with the unknowns, and how fast two ranks are.

What: seconds of the processor and of the clock, and the peak of memory, of one linear least-squares
solve by `kp.AdaptiveLeastSquares` on uniform trees of `kp.Cells`, each in a process of its own: in
the plane and in space, for two degrees each, with constant coefficients, where equal cells share a
matrix, and with varying ones. Exponents are fitted to all sizes. By theory, times of an elimination
grow like N^1.5 in the plane and N^2 in space, memory like N log N and N^(4/3). Many cells are
solved by conjugate gradients, of which this holds for the coarse unknowns alone; so it is an upper
estimate, which is made for 10^7 unknowns from the largest solves. Then one solve is made in turns
by one process, by two ranks, and by two processes side by side that each make the whole solve,
which shows what the machine allows.

How long: ten minutes of one idle core, and the ranks five minutes of two; --smoke: seconds, its
numbers mean nothing.

Writes to --output: cells_growth.md, cells_growth.json, and pieces/, the solves: a run that was
stopped continues from them.
"""

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import script
from common.pieces import Pieces
from growth.solves import Case, Solve, exponent, measured, timed
from scaling.workers import Workers

NAME = Path(__file__).stem
HEAD = ("series", "N", "seconds of the processor", "of the clock", "GiB", "error")


@dataclass(frozen=True)
class Target:
    """What solves in two or in three coordinates should take at most.

    Args:
        unknowns: the number N for which `seconds` and `gib` are the targets.
        time, memory: the largest exponents.
        growth: the theoretical exponents of time and memory.
        seconds: of the processor, for N unknowns.
        gib: the peak of memory in GiB, for N unknowns.
    """

    unknowns: int
    time: float
    memory: float
    growth: tuple[float, float]
    seconds: float = 60.0
    gib: float = 8.0


TARGETS = {2: Target(100_000, 1.6, 1.2, (1.5, 1.0)), 3: Target(50_000, 2.1, 1.5, (2.0, 4 / 3))}
SIDES = {(2, 8): [8, 16, 32, 64], (2, 16): [4, 8, 16, 32], (3, 4): [3, 5, 8, 12, 18]}
SIDES[3, 8] = [2, 3, 4, 5, 7, 9]


@dataclass(frozen=True)
class Turns:
    """Seconds of the slowest process in each round: of the clock, and of the processor.

    Args:
        series: the dimension, degree and coefficients of the solve.
        one: by one process.
        two: by two ranks.
        apart: by two processes side by side that each make the whole solve.
    """

    series: str
    one: list[tuple[float, float]]
    two: list[tuple[float, float]]
    apart: list[tuple[float, float]]

    def over(self, which: int) -> float:
        """The speed-up of two ranks over one process, the median of all rounds.

        which: 0 for seconds of the clock, 1 for those of the processor.
        """
        pairs = zip(self.one, self.two, strict=True)
        return statistics.median(one[which] / two[which] for one, two in pairs)

    def limit(self) -> float:
        """The speed-up by the clock that this machine allows: that of two halves side by side."""
        pairs = zip(self.one, self.apart, strict=True)
        return statistics.median(2 * one[0] / apart[0] for one, apart in pairs)


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        NAME, __doc__, given, rounds=dict(type=int, default=5, help="rounds of solves by ranks (5)")
    )
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    found: dict[str, list[Solve]] = {}
    for case in cases(chosen.smoke):
        (one,) = pieces.records(Solve, vars(case), lambda: [measured(case)])  # noqa: B023
        found.setdefault(case.series, []).append(one)
        sys.stderr.write(f"{', '.join([case.series, *_cells(one)])}\n")
    shared = [Case(2, 16, 32, True), Case(3, 6, 8, True)]  # no cells that are eliminated once
    if chosen.smoke:
        shared = [Case(2, 3, 2, False)]
    turns = [in_turns(case, 1 if chosen.smoke else chosen.rounds) for case in shared]
    script.publish(chosen, page(found, turns), judged(found, turns))


def cases(smoke: bool) -> list[Case]:
    """The solves, those of a series in ascending order."""
    if smoke:
        return [Case(dim, 3, side, dim == 3) for dim in (2, 3) for side in (1, 2)]
    return [
        Case(dim, degree, side, varying)
        for (dim, degree), sides in SIDES.items()
        for varying in (False, True)
        for side in sides
    ]


def in_turns(case: Case, rounds: int) -> Turns:
    """Solve by one process, by two ranks, and by two processes side by side, in turns."""
    workers, found = Workers(2), Turns(case.series, [], [], [])
    try:
        for _ in range(rounds):
            for kept, answers in (
                (found.one, workers.together(1, timed, case)),
                (found.two, workers.together(2, timed, case)),
                (found.apart, workers.apart(2, timed, case)),
            ):
                kept.append(tuple(max(column) for column in zip(*answers, strict=True)))
    finally:
        workers.end()
    return found


def at(solves: Sequence[Solve], unknowns: int, what: str) -> float:
    """What a solve for a number of unknowns takes, interpolated between two measured ones."""
    larger = next((i for i, one in enumerate(solves) if one.unknowns >= unknowns), len(solves) - 1)
    pair = solves[max(larger - 1, 0)], solves[larger]
    power = exponent([one.unknowns for one in pair], [getattr(one, what) for one in pair])
    return getattr(pair[1], what) * (unknowns / pair[1].unknowns) ** power


def on_paper(dim: int, last: Solve, unknowns: int = 10**7) -> tuple[float, float]:
    """Seconds and GiB of a solve larger than the last one, by the theoretical exponents."""
    ratio, (time, memory) = unknowns / last.unknowns, TARGETS[dim].growth
    logs = math.log2(unknowns) / math.log2(last.unknowns) if dim == 2 else 1.0
    return last.cpu * ratio**time, last.gib * ratio**memory * logs


def powers(solves: Sequence[Solve]) -> tuple[float, float]:
    """The exponents of time and memory."""
    sizes = [one.unknowns for one in solves]
    return exponent(sizes, [s.cpu for s in solves]), exponent(sizes, [s.gib for s in solves])


def _cells(one: Solve) -> list[str]:
    times = [f"{one.cpu:.2f}", f"{one.wall:.2f}", f"{one.gib:.3f}"]
    return [str(one.unknowns), *times, f"{one.error:.1e}"]


def page(found: dict[str, list[Solve]], turns: Sequence[Turns]) -> str:
    """The tables of solves, of exponents and of ranks."""
    solves = [[series, *_cells(one)] for series, all_ in found.items() for one in all_]
    powers_head = ["series", "exponent of time", "of memory", "hours for 10⁷ unknowns", "TiB"]
    exponents = []
    for series, own in found.items():
        seconds, gib = on_paper(int(series[0]), own[-1])
        numbers = [*(f"{power:.2f}" for power in powers(own)), f"{seconds / 3600:.2g}"]
        exponents.append([series, *numbers, f"{gib / 1024:.2g}"])
    ranks_head = ["series", "two ranks over one process, clock", "processor", "limit, clock"]
    ranks = [
        [one.series, *(f"{ratio:.2f}" for ratio in (one.over(0), one.over(1), one.limit()))]
        for one in turns
    ]
    tables = ((HEAD, solves), (powers_head, exponents), (ranks_head, ranks))
    return "\n".join(script.markdown(head, rows) for head, rows in tables)


def judged(found: dict[str, list[Solve]], turns: Sequence[Turns]) -> dict[str, script.Verdict]:
    """Exponents, seconds and memory beside their targets."""
    figures: dict[str, script.Verdict] = {}

    def judge(name: str, value: float, most: float, unit: str = "") -> None:
        figures[name] = script.verdict(value, f"at most {most:g}{unit}", value <= most)

    for series, solves in found.items():
        target, (time, memory) = TARGETS[int(series[0])], powers(solves)
        judge(f"{series}: exponent of time", time, target.time)
        judge(f"{series}: exponent of memory", memory, target.memory)
        name = f"{series}: {target.unknowns} unknowns"
        judge(f"{name}, seconds", at(solves, target.unknowns, "cpu"), target.seconds, " s")
        judge(f"{name}, memory", at(solves, target.unknowns, "gib"), target.gib, " GiB")
    for one in turns:
        least, value = 1.6, one.over(0)
        figures[f"{one.series}: two ranks over one process"] = script.verdict(
            value,
            f"at least {least:g}; this machine allows {one.limit():.2f}",
            value >= least,
        )
    return figures


if __name__ == "__main__":
    main()
