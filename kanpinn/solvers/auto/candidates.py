"""The families of choices that are tried, in order, each from small to large networks."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kanpinn.cells import Cells, Dissection
from kanpinn.evolution import CellWindows, March, Shooting, Windows
from kanpinn.geometry.sampling import Collocation
from kanpinn.optimizers import Optimizer
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto import high_dim
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.low_dim import LowDim
from kanpinn.solvers.auto.traits import Traits


@dataclass(frozen=True)
class Family:
    """Choices of one kind, from small to large, such as networks with random inner functions.

    Args:
        name: of the family, for the log.
        choices: from small to large.
        patience: the number of trials in a row that lower the residual little, after which another
            family is tried.
        part: of the time left that a trial may take while networks of another class are to come.
    """

    name: str
    choices: tuple[Choice, ...]
    patience: float = 2.0
    part: float = 0.25


def first_choice(problem: Problem) -> Choice:
    """Return the choice of the first trial for a problem."""
    return next(families(Traits.of(problem))).choices[0]


def families(traits: Traits, tolerance: float = 1e-9) -> Iterator[Family]:
    """Yield the families that suit a problem, the cheapest first; tolerance: the wanted one.

    A problem with an energy defines its solution as the minimum, which may be too rough for the
    strong form; then the residual is no measure of the error. So the energy is minimised first, and
    solutions of the strong form, which is far more accurate where it converges, are compared with
    its minimum.
    """
    low_dim = LowDim(traits)
    if traits.observed:
        if traits.marches and traits.numbers:
            yield Family("marches fitted to data", tuple(_windows(traits, Shooting)))
        yield Family("random inner functions, by equation and data", tuple(low_dim.informed()))
        return
    if traits.dim > 3:
        yield Family("sums of functions of one coordinate", tuple(high_dim.additive(traits)))
        yield Family("random directions", tuple(high_dim.directions(traits)))
        yield Family("inner functions by variable projection", tuple(high_dim.projected(traits)))
        return
    if traits.energetic:
        yield Family("random inner functions, by the energy", tuple(low_dim.energies()))
    if traits.marches:
        yield Family("windows in time", tuple(_windows(traits, March)))
    if traits.marches_in_cells:
        marches = tuple(_cell_windows(traits, tolerance))
        # On three such evolutions no other network was as accurate in four minutes.
        yield Family("windows in time, cells in space", marches, part=0.6)
    if traits.dim == 1 and traits.boxed:
        yield Family("splines", tuple(low_dim.splines()))
        yield Family("splines in stretched coordinates", tuple(low_dim.stretched()))
    steep = traits.steepness.is_steep and not traits.marches
    cells = [Family("cells", tuple(_cells(traits, tolerance)))] if traits.takes_cells else []
    early = steep or traits.kinked or traits.notched or traits.pierced
    yield from cells if early else []
    patience, smooth = 1.0 if cells else 2.0, tuple(low_dim.smooth())
    # In space the next network would take longer than the first solve in cells does.
    few = 3 if cells and traits.dim == 3 and not early else len(smooth)
    yield Family("random inner functions", smooth[:few], patience)
    yield from [] if early else cells
    if few < len(smooth):
        yield Family("random inner functions, more units", smooth[few:])
    yield Family("random inner functions, finer grids", tuple(low_dim.fine()))
    if traits.dim > 1 and traits.boxed:
        yield Family("sums of functions of one coordinate", tuple(low_dim.splines()))


def _cells(traits: Traits, wanted: float) -> Iterator[Choice]:
    """Yield networks in cells with smaller and smaller tolerances, each from the cells before.

    The last one is half of the wanted tolerance, as errors were up to 1.1 times their estimates.
    Before a very small one none is tried that is nearly as small: its solve would not be corrected
    for rounding, which an estimate does not see.
    """
    least = 0.5 * wanted
    degree, count, waves = 12 if traits.dim == 2 else 7, 4, traits.steepness.mean_waves
    if traits.dim == 2 and waves > degree:
        # Measured: waves are resolved where the degree is above their phase over a cell by 10.
        most = 14
        largest = 64  # cells along each coordinate, above which a first solve takes too long
        count = min(largest, max(count, 2 ** math.ceil(math.log2(waves / most))))
        degree = min(Cells.highest, max(degree, math.ceil(waves / count) + 10))
    for tolerance in (*(one for one in (1e-4, 1e-7) if one > wanted), least):
        yield Choice(
            Cells,
            {"width": [traits.dim, traits.fields], "degree": degree, "cells": count},
            Collocation(1681, 164, "gauss"),
            (Dissection(tolerance),),
            work=tolerance ** (-1.5 * traits.dim / (degree + 1)),
            balanced=False,  # cells weigh the equation against their jumps themselves
        )


def _cell_windows(traits: Traits, wanted: float) -> Iterator[Choice]:
    """Yield marches with cells in space, at the last to half of the wanted tolerance."""
    degree, cells, rough, least = 8, 2, 1e-4, 1e-14  # the least that a march takes
    for tolerance in [rough] * (rough > wanted) + [max(least, 0.5 * wanted)]:
        yield Choice(
            CellWindows,
            {"width": [traits.dim, traits.fields], "degree": degree, "cells": cells},
            Collocation(1681, 164, "gauss"),
            (March(tolerance),),
            work=tolerance ** (-3 / (degree + 1)),
            balanced=False,  # cells weigh the equation against their jumps themselves
        )


def _windows(traits: Traits, kind: Callable[[float], Optimizer]) -> Iterator[Choice]:
    """Yield marches with smaller and smaller tolerances."""
    degree, plane = (9, False) if traits.dim < 3 else (7, True)
    for tolerance in (1e-4, 1e-6, 1e-8, 1e-10, 1e-12):
        yield Choice(
            Windows,
            {"width": [traits.dim, traits.fields], "degree": degree, "grid": 10},
            Collocation(1681, 164, "gauss"),
            (kind(tolerance),),
            work=tolerance ** (-(1 + plane) / (degree + 1)),
            balanced=False,  # a march has no weights
        )
