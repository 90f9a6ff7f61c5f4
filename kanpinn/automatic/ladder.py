"""What is tried, in this order: families of choices, each from small to large."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from kanpinn.automatic.choice import Choice
from kanpinn.automatic.traits import Traits
from kanpinn.networks import KAN, Windows
from kanpinn.optimizers import LeastSquares, March, VariableProjection
from kanpinn.problem import Problem
from kanpinn.sampling import Collocation

# At equal numbers of coefficients degree 11 on few intervals and more units is ten times more
# accurate than degree 9 on ten intervals, on four smooth problems in two dimensions.
DEGREE, INNER, OUTER = 11, 4, 4
FIRST, LAST = 24, 480  # random hidden units
ROWS = 1.5  # collocation points per coefficient of a field
LEAST_POINTS = 1024
PENALTY = {"interior": 0.01, "boundary": 1.0}
WINDOW_DEGREE = 7
EVEN = {"interior": 1.0, "boundary": 1.0}  # a march weighs conditions itself


@dataclass(frozen=True)
class Family:
    """Choices of one kind, from small to large: a network with random inner functions, say.

    patience: so many steps up that lower the residual little are the last; 1 where the next family
    is there for what is sharp.
    """

    name: str
    choices: tuple[Choice, ...]
    patience: int = 2


def first_choice(problem: Problem) -> Choice:
    """What is tried first."""
    return next(families(Traits.of(problem))).choices[0]


def families(traits: Traits) -> Iterator[Family]:
    """All that may suit a problem, the cheapest first."""
    if traits.dim > 3:
        yield Family("sums of functions of one coordinate", tuple(_additive(traits)))
        yield Family("random directions", tuple(_directions(traits)))
        yield Family("inner functions by variable projection", tuple(_projected(traits)))
        return
    yield Family("random inner functions", tuple(_random(traits)), 1 if traits.marches else 2)
    if traits.marches:
        yield Family("windows in time", tuple(_windows(traits)))
    else:
        yield Family("random inner functions, finer grids", tuple(_fine(traits)))


def _least_squares(
    traits: Traits, width: list[int], degree: int | list[int], grid: int | list[int], splines: int
) -> Choice:
    """One solve of the output layer, `splines` per field; points to match."""
    count = max(LEAST_POINTS, math.ceil(ROWS * splines))
    if traits.dim > 3:
        points = Collocation(count, math.ceil(count / 2), "sobol")
    else:
        points = Collocation(count, math.ceil(4 * count**0.5), "gauss")
    unknowns = splines * traits.fields
    return Choice(
        KAN,
        {"width": width, "degree": degree, "grid": grid},
        points,
        (LeastSquares(),),
        PENALTY,
        work=float(traits.fields * count * unknowns**2),
    )


def _random(traits: Traits) -> Iterator[Choice]:
    units = math.ceil(FIRST / traits.fields**0.5)
    while units <= LAST:
        width = [traits.inputs, units, traits.fields]
        splines = units * (DEGREE + OUTER)
        yield _least_squares(traits, width, DEGREE, [INNER, OUTER], splines)
        units = math.ceil(1.6 * units)


def _fine(traits: Traits) -> Iterator[Choice]:
    for units, grid in ((32, 16), (48, 24), (64, 32), (96, 40)):
        width = [traits.inputs, units, traits.fields]
        yield _least_squares(traits, width, [9, 7], [INNER, grid], units * (7 + grid))


def _windows(traits: Traits) -> Iterator[Choice]:
    """Finer grids in space, and twice as many windows, each time."""
    times = 12
    for grid, modes, windows in ((40, 6, 5), (60, 8, 10), (90, 8, 20), (130, 8, 40)):
        places = math.ceil(2.5 * grid)
        unknowns = modes * (WINDOW_DEGREE + grid) * traits.fields
        yield Choice(
            Windows,
            {
                "width": [traits.dim, traits.fields],
                "degree": WINDOW_DEGREE,
                "grid": grid,
                "modes": modes,
                "stretch": traits.boxed,
            },
            Collocation(times * places, 4 * places, "gauss"),
            (March(windows=windows, times=times, restretch=int(traits.boxed)),),
            EVEN,
            work=float(windows * traits.fields * times * places * unknowns**2),
        )


def _additive(traits: Traits) -> Iterator[Choice]:
    for degree, grid in ((4, 1), (9, 2), (11, 8)):
        splines = traits.inputs * (degree + grid)
        yield _least_squares(traits, [traits.inputs, traits.fields], degree, grid, splines)


def _directions(traits: Traits) -> Iterator[Choice]:
    """Linear inner functions: products of coordinates are sums of powers of such."""
    pairs = traits.inputs * (traits.inputs + 1) // 2
    for factor, degree in ((1.2, 3), (1.2, 5), (2.4, 7)):
        units = math.ceil(factor * pairs)
        splines = units * (degree + 1)
        if splines > 4000:
            return
        width = [traits.inputs, units, traits.fields]
        yield _least_squares(traits, width, [1, degree], 1, splines)


def _projected(traits: Traits) -> Iterator[Choice]:
    """Few units whose inner functions are searched for."""
    for units, degree, grid, rounds in (
        (2, [9, 2], [1, 1], 10),
        (3, [5, 7], [1, 2], 6),
        (12, [2, 9], [1, 4], 3),
    ):
        network = KAN([traits.inputs, units, traits.fields], degree, grid)
        unknowns = network.parameter_count
        count = max(1000, 8 * unknowns)
        yield Choice(
            KAN,
            {"width": [traits.inputs, units, traits.fields], "degree": degree, "grid": grid},
            Collocation(count, math.ceil(count / 2), "sobol"),
            (VariableProjection(rounds=rounds, starts=10, coarse=grid[1]),),
            PENALTY,
            work=100.0 * traits.fields * count * unknowns**2,
        )
