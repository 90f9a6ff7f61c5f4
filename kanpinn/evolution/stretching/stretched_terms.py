"""Terms of a loss in stretched coordinates: points moved with the stretch, means over space."""

from dataclasses import replace

import torch
from torch import Tensor

from kanpinn.evolution.stretching.stretches import Stretches, unstretched, widths
from kanpinn.geometry import Points
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate


def stretched_points(points: Points, surrogate: Surrogate, stretches: Stretches) -> Points:
    """Return points whose stretched coordinates s are the given points' scaled coordinates.

    Coordinates on the boundary of the bounding box are not changed.
    """
    low, high = surrogate.low, surrogate.high
    s = 2 * (points.coords - low) / (high - low) - 1
    coords = low + (unstretched(stretches, s) + 1) / 2 * (high - low)
    on_wall = (points.coords == low) | (points.coords == high)
    return replace(points, coords=torch.where(on_wall, points.coords, coords))


def mean_over_space(term: ResidualTerm, surrogate: Surrogate, stretches: Stretches) -> ResidualTerm:
    """Return the term, with points that are even in s, weighted so that it is a mean over space."""
    mean = _widths(term.points, surrogate, stretches).mean().sqrt()

    def root(p: Points) -> Tensor:
        return p.once("widths", lambda: _widths(p, surrogate, stretches).sqrt() / mean)

    equation = term.equation
    return replace(term, equation=lambda p, u: equation(p, u) * root(p))


def _widths(p: Points, surrogate: Surrogate, stretches: Stretches) -> Tensor:
    low, high = surrogate.low, surrogate.high
    return widths(stretches, 2 * (p.coords - low) / (high - low) - 1)
