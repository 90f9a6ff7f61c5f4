"""What is tried, in this order: families of choices, each from small to large."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from kanpinn.automatic import few, many
from kanpinn.automatic.choice import Choice
from kanpinn.automatic.traits import Traits
from kanpinn.networks import Windows
from kanpinn.optimizers import March
from kanpinn.problem import Problem
from kanpinn.sampling import Collocation

WINDOW_DEGREE = 7


@dataclass(frozen=True)
class Family:
    """Choices of one kind, from small to large: a network with random inner functions, say.

    PATIENCE steps up that lower the residual little are the last; brief: one is where each takes
    many Newton steps, the next family being there for what is sharp.
    """

    name: str
    choices: tuple[Choice, ...]
    brief: bool = False


def first_choice(problem: Problem) -> Choice:
    """What is tried first."""
    return next(families(Traits.of(problem))).choices[0]


def families(traits: Traits) -> Iterator[Family]:
    """All that may suit a problem, the cheapest first.

    Who gives an energy says that its minimum is the solution, and that the equation may ask too
    much of it; where it does, residuals say little of errors. So the energy comes first, and the
    strong form, which is far more accurate where it converges, is held against its minimum.
    """
    if traits.observed:
        yield Family("random inner functions, by equation and data", tuple(few.informed(traits)))
        return
    if traits.dim > 3:
        yield Family("sums of functions of one coordinate", tuple(many.additive(traits)))
        yield Family("random directions", tuple(many.directions(traits)))
        yield Family("inner functions by variable projection", tuple(many.projected(traits)))
        return
    if traits.energetic and traits.dim <= few.MOST_DIMENSIONS:
        yield Family("random inner functions, by the energy", tuple(few.energies(traits)))
    yield Family("random inner functions", tuple(few.smooth(traits)), brief=traits.marches)
    if traits.marches:
        yield Family("windows in time", tuple(_windows(traits)))
    else:
        yield Family("random inner functions, finer grids", tuple(few.fine(traits)))


def _windows(traits: Traits) -> Iterator[Choice]:
    """Finer grids in space and more windows each time.

    Few entries of a row are not zero, so many as there are modes for a spline's degree + 1: the
    work grows as the points.
    """
    times = 12
    for grid, modes, windows in ((40, 6, 5), (80, 8, 10), (120, 8, 20), (150, 8, 60)):
        places = math.ceil(2.5 * grid)
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
            work=float(windows * times * places * modes**2),
            balanced=False,  # a march weighs conditions itself
        )
