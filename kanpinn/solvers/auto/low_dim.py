"""Choices for up to three coordinates: random inner functions, and one solve."""

import math
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, Beside
from kanpinn.optimizers import LeastSquares
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.traits import Traits

# At equal numbers of coefficients degree 11 on few intervals and more units is ten times more
# accurate than degree 9 on ten intervals, on four smooth problems in two dimensions.
DEGREE, INNER, OUTER = 11, 4, 4
FIRST, LAST, LARGER = 24, 480, 1.6  # random hidden units
BRIEF = 16  # the first ones where windows in time come next, should these not do
STEPS = 8  # of Newton's method, which takes more where a solution is not resolved
ROWS = 1.5  # collocation points per coefficient of a field
LEAST_POINTS = 1024
AROUND = 1.5  # times as dense on the boundary: there every wave must be seen, or it grows unseen
ENERGY_FIRST = 16
# Nodes of an energy for each coefficient: where its rule misses what a network can do, it falls
# without end. In one dimension far fewer are enough.
LINE_ROWS, ENERGY_ROWS = 7, 50
MOST_DIMENSIONS = 3  # in which there are Gauss rules
DATA_SIZES, DATA_FIRST, DATA_POINTS = 6, 10, 400


def smooth(traits: Traits) -> Iterator[Choice]:
    """More and more units."""
    for units in _units(traits, BRIEF if traits.marches else FIRST):
        splines = units * (DEGREE + OUTER)
        yield _solved(traits, units, DEGREE, [INNER, OUTER], splines)


def fine(traits: Traits) -> Iterator[Choice]:
    """Finer grids of the outer functions."""
    for units, grid in ((32, 16), (48, 24), (64, 32), (96, 40)):
        yield _solved(traits, units, [9, 7], [INNER, grid], units * (7 + grid))


def _units(traits: Traits, first: int) -> Iterator[int]:
    units = math.ceil(first / traits.fields**0.5)
    while units <= LAST:
        yield units
        units = math.ceil(LARGER * units)


def _solved(
    traits: Traits, units: int, degree: int | list[int], grid: list[int], splines: int
) -> Choice:
    """One solve of the output layer, `splines` per field; points to match."""
    count = max(LEAST_POINTS, math.ceil(ROWS * splines))
    return Choice(
        KAN,
        {"width": [traits.inputs, units, traits.fields], "degree": degree, "grid": grid},
        Collocation(count, _around(traits, count), "gauss"),
        (LeastSquares(steps=STEPS),),
        work=float(traits.fields * count * (splines * traits.fields) ** 2),
    )


def _around(traits: Traits, count: int) -> int:
    """Points on a boundary, denser than `count` points are inside."""
    d = traits.dim
    return math.ceil(AROUND * 2 * d * count ** ((d - 1) / d))


def energies(traits: Traits) -> Iterator[Choice]:
    """More and more units, whose energy many points tell."""
    degree, grid = 7, 8
    for units in _units(traits, ENERGY_FIRST):
        splines = units * (degree + grid)
        count = (LINE_ROWS if traits.dim == 1 else ENERGY_ROWS) * splines
        width = [traits.inputs, units, traits.fields]
        yield Choice(
            KAN,
            {"width": width, "degree": degree, "grid": [INNER, grid]},
            Collocation(count, _around(traits, splines), "gauss"),
            (LeastSquares(),),
            work=float(traits.fields * count * (splines * traits.fields) ** 2),
            form="energy",
            balanced=False,
        )


def informed(traits: Traits) -> Iterator[Choice]:
    """Small networks for equation and data, with the weights that intervals are right for.

    Coefficient fields have others beside, coarser ones: sums of functions of one coordinate first.
    """
    degree, grid = 7, 3
    units = DATA_FIRST
    for size in range(DATA_SIZES):
        splines = units * (degree + grid)
        count = max(DATA_POINTS, math.ceil(ROWS * splines))
        like = {"width": [traits.inputs, units, 1], "degree": degree, "grid": [grid, grid]}
        kind, arguments = _beside(traits, like, size)
        yield Choice(
            kind,
            arguments,
            Collocation(count, _around(traits, count), "gauss" if traits.dim < 4 else "sobol"),
            (LeastSquares(steps=30),),
            work=float(traits.fields * count * (splines * traits.fields) ** 2),
            balanced=False,
        )
        units = math.ceil(LARGER * units)


def _beside(
    traits: Traits, like: dict[str, Any], size: int
) -> tuple[type[KAN] | type[Beside], dict[str, Any]]:
    """A network like this for the solution's fields, others for coefficients, in their order."""
    tables = []
    for unknown, group in groupby(traits.unknown):
        fields = len(list(group))
        table = _coefficient(traits, size) if unknown else like
        tables.append({"type": "kan", **table, "width": [*table["width"][:-1], fields]})
    if len(tables) > 1:
        return Beside, {"of": tables}
    return KAN, {name: value for name, value in tables[0].items() if name != "type"}


def _coefficient(traits: Traits, size: int) -> dict[str, Any]:
    if size < 2:
        return {"width": [traits.inputs, 1], "degree": 5, "grid": 2 + 2 * size}
    return {"width": [traits.inputs, 2 + size, 1], "degree": 5, "grid": [2, 2]}
