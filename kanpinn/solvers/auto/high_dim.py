"""Choices for more than three coordinates, where tensor-product grids are too large."""

import math
from collections.abc import Iterator

from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN
from kanpinn.optimizers import LeastSquares, VariableProjection
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.traits import Traits


def additive(traits: Traits) -> Iterator[Choice]:
    """Yield networks without a hidden layer: sums of functions of one coordinate."""
    for degree, grid in ((4, 1), (9, 2), (11, 8)):
        splines = traits.inputs * (degree + grid)
        yield _solved(traits, [traits.inputs, traits.fields], degree, grid, splines)


def directions(traits: Traits, most_splines: int = 4000) -> Iterator[Choice]:
    """Yield networks with linear inner functions.

    They suit products of coordinates, which are sums of powers of linear functions. There are at
    most `most_splines` output coefficients, since the time of a solve grows with their cube.
    """
    pairs = traits.inputs * (traits.inputs + 1) // 2
    for factor, degree in ((1.2, 3), (1.2, 5), (2.4, 7)):
        units = math.ceil(factor * pairs)
        splines = units * (degree + 1)
        if splines > most_splines:
            return
        yield _solved(traits, [traits.inputs, units, traits.fields], [1, degree], 1, splines)


def projected(traits: Traits) -> Iterator[Choice]:
    """Yield networks with few hidden units whose inner functions are optimised too."""
    for units, degree, grid, rounds, starts in (
        (2, [9, 2], [1, 1], 10, 20),
        (3, [5, 7], [1, 2], 6, 20),
        (12, [2, 9], [1, 4], 3, 10),
    ):
        width = [traits.inputs, units, traits.fields]
        unknowns = KAN(width, degree, grid).parameter_count
        count = max(1000, 8 * unknowns)
        yield Choice(
            KAN,
            {"width": width, "degree": degree, "grid": grid},
            _scattered(count),
            (VariableProjection(rounds=rounds, starts=starts, coarse=grid[1]),),
            work=100.0 * traits.fields * count * unknowns**2,
        )


def _solved(
    traits: Traits, width: list[int], degree: int | list[int], grid: int, splines: int
) -> Choice:
    count = max(1024, math.ceil(1.5 * splines))
    return Choice(
        KAN,
        {"width": width, "degree": degree, "grid": grid},
        _scattered(count),
        (LeastSquares(),),
        work=float(traits.fields * count * (splines * traits.fields) ** 2),
    )


def _scattered(count: int) -> Collocation:
    return Collocation(count, math.ceil(count / 2), "sobol")
