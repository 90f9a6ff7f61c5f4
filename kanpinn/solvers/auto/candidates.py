"""What is tried, in this order: families of choices, each from small to large."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from kanpinn.evolution import March, Windows
from kanpinn.geometry.sampling import Collocation
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto import high_dim
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.low_dim import LowDim
from kanpinn.solvers.auto.traits import Traits


@dataclass(frozen=True)
class Family:
    """Choices of one kind, from small to large: a network with random inner functions, say.

    Args:
        name: of the family, for the log.
        choices: from small to large.
        brief: whether one step that lowers the residual little is the last where each takes many
            Newton steps, because the next family is there for what is sharp.
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
    low_dim = LowDim(traits)
    if traits.observed:
        yield Family("random inner functions, by equation and data", tuple(low_dim.informed()))
        return
    if traits.dim > 3:
        yield Family("sums of functions of one coordinate", tuple(high_dim.additive(traits)))
        yield Family("random directions", tuple(high_dim.directions(traits)))
        yield Family("inner functions by variable projection", tuple(high_dim.projected(traits)))
        return
    if traits.energetic and traits.dim <= 3:
        yield Family("random inner functions, by the energy", tuple(low_dim.energies()))
    yield Family("random inner functions", tuple(low_dim.smooth()), brief=traits.marches)
    if traits.marches:
        yield Family("windows in time", tuple(_windows(traits)))
    else:
        yield Family("random inner functions, finer grids", tuple(low_dim.fine()))


def _windows(traits: Traits) -> Iterator[Choice]:
    """Finer grids in space and more windows, in coordinates as they are and stretched by turns.

    What is steep somewhere needs the latter, which take twice the time. Few entries of a row are
    not zero, so many as there are modes for a spline's degree + 1: the work grows as the points.
    """
    # Degree, grid and modes of a window's network, windows, whether coordinates are stretched.
    marches = (
        (9, 80, 8, 10, False),
        (9, 110, 8, 16, False),
        (7, 100, 8, 10, True),
        (9, 150, 6, 60, False),
        (7, 130, 8, 40, True),
    )
    times = 12
    for degree, grid, modes, windows, stretch in marches:
        stretched = stretch and traits.boxed
        places = math.ceil(2.5 * grid)
        yield Choice(
            Windows,
            {
                "width": [traits.dim, traits.fields],
                "degree": degree,
                "grid": grid,
                "modes": modes,
                "stretch": stretched,
            },
            Collocation(times * places, 4 * places, "gauss"),
            (March(windows=windows, times=times, restretch=int(stretched)),),
            work=float((1 + stretched) * windows * times * places * modes**2),
            balanced=False,  # a march weighs conditions itself
        )
