"""Whether an equation is like Laplace's at a corner."""

import math
from functools import partial

import torch
from torch import Tensor

from kanpinn.cells.geometry.plane_corners import PlaneCorner
from kanpinn.geometry.points import Points
from kanpinn.jets import derivatives_of_parts, slopes_by_parts, zero_jet
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
    generator = torch.Generator().manual_seed(0)
    some = zero.map(lambda t: torch.rand(t.shape, generator=generator, dtype=t.dtype))
    for jet in (zero, some):
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
