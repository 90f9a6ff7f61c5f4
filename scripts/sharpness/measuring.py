"""The problems for each feature: the solve without it and those with it."""

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from common.pieces import Pieces, Row
from sharpness.problems import Peak, Penalised

import kanpinn as kp

LS = kp.LeastSquares


@dataclass(frozen=True)
class Way:
    """One way to solve: a network [*width] with degree and grids, optimizers, points, a balance."""

    name: str
    network: tuple[list[int], int, int | list[int]]
    optimizers: Sequence[kp.Method]
    points: kp.Collocation
    balance: str | None = None
    boundary: str = "auto"


@dataclass(frozen=True)
class Case:
    """A feature's problem, the ways to solve it, the plain one first, and the gain to reach.

    gain: of the second way over the first in the median error; None: it is only reported.
    """

    feature: str
    problem: type[kp.Problem]
    ways: tuple[Way, ...]
    gain: float | None


@dataclass(frozen=True)
class Measured:
    """Relative L2 errors, one for each seed, and the median of the seconds."""

    case: Case
    way: Way
    errors: tuple[float, ...]
    seconds: float

    @property
    def median(self) -> float:
        """Of the errors."""
        return statistics.median(self.errors)


class Wide(Peak):
    """A peak that random functions resolve."""

    steepness = 20.0


def cases() -> list[Case]:
    """Return all cases; each takes seconds."""
    return [_points(), _balance()]


def _points() -> Case:
    network = ([2, 24, 1], 7, [2, 8])
    even, rad, r3 = (
        kp.Collocation(1500, 100, "sobol", int(adapt is not None), adapt)
        for adapt in (None, "rad", "r3")
    )
    return Case(
        "points, peak",
        Wide,
        (
            Way("Sobol", network, [LS()], even),
            Way("RAD", network, [LS(steps=4)], rad),
            Way("R3", network, [LS(steps=4)], r3),
        ),
        None,
    )


def _balance() -> Case:
    network, points = ([2, 8, 1], 5, [4, 8]), kp.Collocation(600, 100)
    ways = [
        Way(f"L-BFGS, {name}", network, [kp.LBFGS(steps=15)], points, balance, "penalty")
        for name, balance in (("even", None), ("ntk", "ntk"), ("gradients", "gradients"))
    ]
    return Case("balance, penalised data", Penalised, tuple(ways), 2.0)


def measure(case: Case, way: Way, seeds: Sequence[int]) -> Row:
    """Return the errors of a solve from every seed, and the median of the processor seconds."""
    errors, seconds = [], []
    for seed in seeds:
        width, degree, grid = way.network
        begun = time.process_time()
        solution = kp.solve(
            case.problem(),
            kp.KAN(width, degree, grid, seed=seed),
            way.optimizers,
            way.points,
            boundary=way.boundary,
            balance=way.balance,
            seed=seed,
        )
        seconds.append(time.process_time() - begun)
        assert solution.errors is not None
        errors.append(solution.errors.l2_relative)
    return {"errors": errors, "seconds": statistics.median(seconds)}


def all_ways(chosen: Sequence[Case], seeds: Sequence[int], pieces: Pieces) -> list[Measured]:
    """Measure every way of every case; progress is written to standard error."""
    found = []
    for case in chosen:
        for way in case.ways:
            key = {"feature": case.feature, "seeds": list(seeds), "way": repr(way)}
            (row,) = pieces.rows(key, lambda: [measure(case, way, seeds)])  # noqa: B023
            one = Measured(case, way, tuple(row["errors"]), row["seconds"])
            sys.stderr.write(f"{case.feature}: {way.name}: {one.median:.1e}, {one.seconds:.1f} s\n")
            found.append(one)
    return found
