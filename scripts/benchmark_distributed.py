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

Writes to --output: benchmark_distributed.md and benchmark_distributed.json.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from common import script
from common.script import solve_job
from machinery import timing
from scaling.workers import Workers
from torch import Tensor

import kanpinn as kp
from kanpinn._support.distributed import world
from kanpinn.linalg import fold
from kanpinn.loss import Residuals
from kanpinn.optimizers.output_layer import solve_output

NETWORK, LATENCY = 1.25e9, 50e-6  # bytes a second (10 Gbit/s), seconds a message: assumed
RANKS, PARAMETERS = (2, 16, 128, 1000), (240, 1000, 2880, 10_000)
POINTS = 100_000  # of each rank


@dataclass(frozen=True)
class Fold:
    """One fold of P columns over R ranks of POINTS rows each; rate: operations a second."""

    parameters: int
    ranks: int
    rate: float

    @property
    def levels(self) -> int:
        return math.ceil(math.log2(self.ranks))

    @property
    def triangle(self) -> int:
        """Bytes of one triangle, which a rank on one level sends and receives."""
        return 8 * (self.parameters + 1) * (self.parameters + 2) // 2

    @property
    def busiest(self) -> int:
        """Bytes through the first rank, both ways."""
        return 2 * self.levels * self.triangle

    @property
    def total(self) -> int:
        """Bytes that cross the network."""
        return 2 * (self.ranks - 1) * self.triangle

    @property
    def gradient(self) -> float:
        """Bytes that a rank sends if gradients are reduced instead: loss, gradient, a flag."""
        return 2 * (self.ranks - 1) / self.ranks * 8 * (self.parameters + 2)

    @property
    def own(self) -> float:
        """Seconds for a rank's own rows."""
        return 2 * POINTS * self.parameters**2 / self.rate

    @property
    def waiting(self) -> float:
        """Seconds for the messages on the longest path."""
        return 2 * self.levels * (LATENCY + self.triangle / NETWORK)

    @property
    def combining(self) -> float:
        """Seconds for the factorizations on the longest path."""
        return self.levels * 10 / 3 * self.parameters**3 / self.rate

    @property
    def efficiency(self) -> float:
        """The time for own rows over the whole time: weak scaling of the fold."""
        return self.own / (self.own + self.waiting + self.combining)


def folds_at(rate: float) -> list[Fold]:
    return [Fold(p, r, rate) for p in PARAMETERS for r in RANKS]


LEAST_SQUARES, MARQUARDT, GRADIENT = "least squares", "Levenberg-Marquardt", "gradient"
PROBES = 3  # losses of a Levenberg-Marquardt step


@cache
def system(task: str, points: int, width: int, ranks: int) -> Residuals:
    """Return residuals of Poisson's equation, cached for each number of ranks."""
    grid = [4, 16] if task == LEAST_SQUARES else [5, 5]
    degree = 7 if task == LEAST_SQUARES else 3
    return timing.residuals(kp.KAN([2, width, 1], degree=degree, grid=grid, seed=0), points)


def parameters(task: str, width: int) -> int:
    """Return the number of columns that are folded, or the length of the gradient."""
    layers = system(task, 100, width, 1).surrogate.network.layers
    return sum(x.coefficients.numel() for x in (layers[-1:] if task == LEAST_SQUARES else layers))


def timed(task: str, points: int, width: int, threads: int) -> float:
    """Return the seconds of one step, which all ranks start together."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    residuals = system(task, points, width, world())
    if world() > 1:
        dist.barrier()
    begun = time.perf_counter()
    STEPS[task](residuals)
    return time.perf_counter() - begun


def _marquardt(residuals: Residuals) -> None:
    fold(residuals.rows(residuals.surrogate.network.layers)).damped().step(1e-6)
    for _ in range(PROBES):
        residuals.surrogate.follow(residuals.points)
        residuals.loss()


STEPS: dict[str, Callable[[Residuals], object]] = {
    LEAST_SQUARES: lambda residuals: solve_output(residuals, linear=True),
    MARQUARDT: _marquardt,
    GRADIENT: lambda residuals: residuals.backward(),
}

LBFGS = '{type = "lbfgs", steps = 3, iterations = 5}'
SOLVES = {
    "least squares": ["network.hidden=[64]"],
    "Levenberg-Marquardt, 4 steps": [
        *("network.hidden=[8]", "network.degree=5", "network.boundary=penalty"),
        'optimizer=[{type = "levenberg_marquardt", steps = 4}]',
    ],
    "variable projection, 10 steps": [
        *("network.hidden=[2]", "network.degree=[3,7]", "network.grid=[1,12]"),
        "network.boundary=penalty",
        'optimizer=[{type = "variable_projection", steps = 10, rounds = 2, starts = 4}]',
    ],
    "L-BFGS, 15 iterations": [
        *("network.hidden=[8]", "network.degree=5", "network.boundary=penalty"),
        f"optimizer=[{LBFGS}]",
    ],
}


def solved(name: str, small: bool) -> Tensor:
    """Return values of the solution of problems/poisson2d.toml at 1000 points."""
    torch.set_num_threads(1)
    reduced = ["points.interior=100", "points.boundary=40"] if small else []
    if small and name == "least squares":  # more points than coefficients: then it is one step
        reduced += ["network.hidden=[8]", "points.interior=400"]
    solution = solve_job("poisson2d", [*SOLVES[name], *reduced]).run()
    x = torch.rand(1000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return solution(2 * x - 1).detach()


def bytes_counted(columns: int) -> tuple[int, int]:
    """Return the bytes of triangles that this rank sends and receives in one fold."""
    given = taken = 0

    def watch(name: str, giving: Callable[[], bool]) -> Any:
        call = getattr(dist, name)

        def counting(tensor: Tensor, peer: int) -> Any:
            nonlocal given, taken
            size = tensor.numel() * tensor.element_size()
            given, taken = (given + size, taken) if giving() else (given, taken + size)
            return call(tensor, peer)

        return patch.object(dist, name, counting)

    generator = torch.Generator().manual_seed(dist.get_rank())
    rows = torch.randn(2 * columns, columns + 1, dtype=torch.float64, generator=generator)
    send, receive = watch("send", lambda: True), watch("recv", lambda: False)
    with send, receive, watch("broadcast", lambda: dist.get_rank() == 0):
        fold([(rows[:, :-1], rows[:, -1])])
    return given, taken


ONE, TWO, TWICE = "1 process", "2 processes", "2 processes, twice the points"
THREADS, HALVES, WHOLES = "1 process of 2 threads", "side by side, half each", "side by side"


@dataclass(frozen=True)
class Scaling:
    """Seconds of each contender, round by round."""

    task: str
    points: int
    parameters: int
    seconds: dict[str, list[float]]

    def over(self, contender: str) -> float:
        """Return how many times as fast as one process on all points, the median of the rounds."""
        pairs = zip(self.seconds[ONE], self.seconds[contender], strict=True)
        return statistics.median(one / other for one, other in pairs)

    @property
    def rate(self) -> float:
        """Operations a second of one process, 2NP² being counted."""
        work = 2 * self.points * self.parameters**2
        return work / statistics.median(self.seconds[ONE])


def measure(workers: Workers, task: str, points: int, width: int, rounds: int) -> Scaling:
    def run(contender: str) -> float:
        half = points // 2
        seconds = {
            ONE: lambda: workers.together(1, timed, task, points, width, 1),
            TWO: lambda: workers.together(2, timed, task, points, width, 1),
            TWICE: lambda: workers.together(2, timed, task, 2 * points, width, 1),
            THREADS: lambda: workers.together(1, timed, task, points, width, 2),
            HALVES: lambda: workers.apart(2, timed, task, half, width, 1),
            WHOLES: lambda: workers.apart(2, timed, task, points, width, 1),
        }[contender]()
        return max(seconds)

    contenders = (ONE, TWO, TWICE, THREADS, HALVES, WHOLES)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name in contenders:
            spent = run(name)
            if number:  # the first round warms up
                found[name].append(spent)
    return Scaling(task, points, parameters(task, width), found)


# Two processes together, and what two that do not wait for each other reach: speed-ups on the same
# points, efficiencies on twice the points.
KINDS = {"strong": (TWO, HALVES), "weak": (TWICE, WHOLES)}
SCALES = {"bytes": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def _page(agree: dict[str, float], scales: list[Scaling], folds: list[Fold]) -> str:
    differences = [[name, f"{value:.1e}"] for name, value in agree.items()]
    columns = ["task", "contender", "seconds", "speed-up"]
    return script.page(
        "benchmark_distributed",
        agreement=script.markdown(["optimizer", "difference"], differences),
        rounds=len(next(iter(scales[0].seconds.values()))),
        scaling=script.markdown(columns, _scaling_rows(scales)),
        **{"points": POINTS, "network": NETWORK / 1e9, "latency": LATENCY * 1e6},
        rate=scales[0].rate / 1e9,
        folds=script.markdown(PAPER, _paper_rows(folds)),
    )


PAPER = [
    *("P", "ranks", "one triangle", "first rank", "network", "own rows", "messages", "combining"),
    *("efficiency", "gradient"),
]


def _scaling_rows(scales: list[Scaling]) -> list[list[str]]:
    rows = []
    for s in scales:
        for name, seconds in s.seconds.items():
            times = script.spread(seconds, ".3f", ".3f")
            what = f"{s.task}, N = {s.points:,}, P = {s.parameters}"
            rows.append([what, name, times, f"{s.over(name):.2f}"])
    return rows


def _paper_rows(folds: list[Fold]) -> list[list[str]]:
    return [
        [f"{f.parameters:,}", f"{f.ranks:,}"]
        + [_bytes(n) for n in (f.triangle, f.busiest, f.total)]
        + [f"{t:.3g} s" for t in (f.own, f.waiting, f.combining)]
        + [f"{f.efficiency:.0%}", _bytes(f.gradient)]
        for f in folds
    ]


def _bytes(n: float) -> str:
    unit = max((u for u, scale in SCALES.items() if n >= scale), key=SCALES.__getitem__)
    return f"{n / SCALES[unit]:.3g} {unit}"


NAME = Path(__file__).stem
AGREE, FEW_STEPS = 1e-10, 1e-8


def agreement(workers: Workers, small: bool) -> dict[str, float]:
    """Return the relative L2 distance between the solutions of one and of two processes."""
    found = {}
    for name in SOLVES:
        (one,) = workers.together(1, solved, name, small)
        two, also = workers.together(2, solved, name, small)
        assert two.equal(also), f"{name}: the two ranks have different solutions"
        found[name] = float((two - one).norm() / one.norm())
    return found


def scaling(workers: Workers, rounds: int, tiny: bool) -> list[Scaling]:
    sizes = {
        LEAST_SQUARES: (500, 4) if tiny else (20_000, 24),
        MARQUARDT: (500, 4) if tiny else (20_000, 10),
        GRADIENT: (500, 4) if tiny else (40_000, 10),
    }
    return [measure(workers, task, *size, rounds) for task, size in sizes.items()]


def figures(
    agree: dict[str, float], scales: list[Scaling], counted: float
) -> dict[str, script.Verdict]:
    found: dict[str, script.Verdict] = {}
    for name, difference in agree.items():
        limit = AGREE if name == "least squares" else FEW_STEPS
        found[f"2 processes and 1, {name}: difference"] = script.verdict(
            difference, f"<= {limit:g} relative in the solution", difference <= limit
        )
    for s in scales:
        for kind, what in (("strong", "speed-up"), ("weak", "efficiency")):
            speed, limit = (s.over(contender) for contender in KINDS[kind])
            found[f"{s.task}, {kind} scaling: {what} at 2 processes"] = script.verdict(
                speed, f"what two independent processes reach here, {limit:.2f}"
            )
    found["bytes of a fold, counted over computed"] = script.verdict(counted, "1", counted == 1)
    return found


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        NAME, __doc__, given, rounds=dict(type=int, default=9, help="repetitions (9)")
    )
    workers = Workers(2)
    try:
        agree = agreement(workers, chosen.smoke)
        sent = workers.together(2, bytes_counted, 100)
        scales = scaling(workers, 1 if chosen.smoke else chosen.rounds, chosen.smoke)
    finally:
        workers.end()
    triangle = Fold(100, 2, 1).triangle
    counted = max(max(given, taken) / triangle for given, taken in sent)
    text = _page(agree, scales, folds_at(scales[0].rate))
    script.publish(chosen, text, figures(agree, scales, counted))


if __name__ == "__main__":
    main()
