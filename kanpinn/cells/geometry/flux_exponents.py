"""Exponents of solutions where parts with different coefficients of the flux meet."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.points import Points
from kanpinn.jets import orders_of_parts, slopes_by_parts, zero_jet
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True)
class FluxSizes:
    """The sizes of the coefficients in conditions on fluxes.

    Args:
        interfaces: the conditions.
        bounds: the lowest and the highest corner of the domain, (d,) each.
        fields: the number of fields.
    """

    interfaces: Sequence[ResidualTerm]
    bounds: tuple[Tensor, Tensor]
    fields: int

    def on_both_sides(self, piece: Piece, at: Points) -> tuple[float, float]:
        """The coefficients inside and outside of a piece of an interface, at one of its points."""
        p, found = at.on_both_sides(self.bounds), (0.0, 0.0)
        for term in self.interfaces:
            if piece in term.kinks:
                zero = zero_jet(term.channels, p.coords, self.fields)
                _, slopes = slopes_by_parts(partial(term.equation, p), zero)
                first = orders_of_parts(term.channels) > 0
                for one in slopes:
                    inside, outside = one.stacked()[:2, first].abs().flatten(1).amax(dim=1).tolist()
                    found = max(found[0], inside), max(found[1], outside)
        return found


def least_exponent(
    sectors: Sequence[tuple[float, float]], fluxes: Sequence[bool] = ()
) -> float | None:
    """The least λ below 2 of a solution r^λ φ(θ) in sectors; None if there is none.

    In polar coordinates its flux is continuous if (a φ')' + λ² a φ = 0.

    Args:
        sectors: the angle and the coefficient a of each, from wall to wall, or all around.
        fluxes: whether the flux is given on both walls, otherwise the value; empty without walls.
    """
    exponents = np.linspace(0.02, 1.9, 400)
    values = [_mismatch(sectors, fluxes, exponent) for exponent in exponents]
    for (low, high), (one, other) in zip(
        itertools.pairwise(exponents), itertools.pairwise(values), strict=True
    ):
        if one * other < 0:
            return float(low + (high - low) * one / (one - other))
    return None


def _mismatch(
    sectors: Sequence[tuple[float, float]], fluxes: Sequence[bool], exponent: float
) -> float:
    """What vanishes if r^λ φ(θ) meets the conditions on walls, or goes on around the point.

    Args:
        sectors, fluxes: see `least_exponent`.
        exponent: λ.
    """
    total = np.eye(2)  # of φ and a φ', from the first edge to the last one
    for angle, coefficient in sectors:
        c, s = math.cos(exponent * angle), math.sin(exponent * angle)
        size = coefficient * exponent
        total = np.array([[c, s / size], [-size * s, c]]) @ total
    if not fluxes:
        return float(2 - np.trace(total))
    return float(total[int(fluxes[1]), int(not fluxes[0])])
