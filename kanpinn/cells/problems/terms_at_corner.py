"""What equations and conditions are like at a corner."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from kanpinn.cells.geometry.plane_corners import PlaneCorner
from kanpinn.geometry.curves.curve import Curve
from kanpinn.geometry.points import Points
from kanpinn.jets import (
    Jet,
    derivatives_of_parts,
    largest_of_orders,
    slopes_by_parts,
    zero_jet,
)
from kanpinn.loss.terms import ResidualTerm


def is_laplacian(equation: ResidualTerm, corner: PlaneCorner, fields: int) -> bool:
    """Whether the derivatives of the highest order are A Δu near a corner, A a regular matrix.

    Linearisations about zero and about another function are tried, as a coefficient may depend on
    the solution.
    """
    channels, rounding = equation.channels, 1e-9
    if channels.derivative_order < 2:
        return False
    near = 1e-3 * min(1.0, corner.reach)
    x, y = corner.at
    at = torch.tensor(
        [[x + near * math.cos(corner.direction), y + near * math.sin(corner.direction)]],
        dtype=torch.float64,
    )
    points = Points(at, channels.names)
    zero = zero_jet(channels, at, fields)
    for jet in (zero, _some(zero)):
        _, slopes = slopes_by_parts(partial(equation.equation, points), jet)
        found = torch.stack([one.stacked()[0] for one in slopes])  # (e, parts, m)
        if len(found) != fields or not bool(found.isfinite().all()):
            return False
        orders: dict[tuple[int, ...], Tensor] = {}
        for part, terms in enumerate(derivatives_of_parts(channels)):
            for order, factor in terms:
                if sum(order) > 1:
                    own = orders.get(order, torch.zeros_like(found[:, 0]))
                    orders[order] = own + factor * found[:, part]
        main = orders.pop((2, 0))
        others = [main - orders.pop((0, 2)), *orders.values()]
        size = float(main.abs().max())
        if not float(torch.linalg.svdvals(main).min()) > rounding * size:
            return False
        if any(float(one.abs().max()) > rounding * size for one in others):
            return False
    return True


def orders_by_field(
    terms: Sequence[ResidualTerm], curve: Curve, fields: int
) -> list[frozenset[int]]:
    """The orders of the derivatives of each field in the equations of conditions on a curve.

    An equation counts with its derivatives of the highest order of a field.
    """
    found: list[set[int]] = [set() for _ in range(fields)]
    points = curve.points_at(torch.full((1,), 0.4, dtype=torch.float64))
    for term in terms:
        jet = _some(zero_jet(term.channels, points.coords, fields))
        _, slopes = slopes_by_parts(partial(term.equation, points), jet)
        sizes = torch.cat([one.stacked() for one in slopes]).abs()  # (e, parts, m)
        for equation in largest_of_orders(sizes, term.channels):
            for own, orders in zip(found, equation.T, strict=True):
                if bool(orders.any()):
                    own.add(int(orders.nonzero().max()))
    return [frozenset(one) for one in found]


def _some(jet: Jet) -> Jet:
    """A jet with random parts."""
    generator = torch.Generator().manual_seed(0)
    return jet.map(lambda part: torch.rand(part.shape, generator=generator, dtype=part.dtype))
