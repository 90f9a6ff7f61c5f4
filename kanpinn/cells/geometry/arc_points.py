"""Gauss points of arcs of curves."""

from torch import Tensor

from kanpinn.geometry.curves.curve import Curve
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_legendre


def gauss_on_arcs(curve: Curve, first: Tensor, last: Tensor, count: int) -> tuple[Points, Tensor]:
    """The Gauss points of arcs of a curve, those of the first arc first, and weights (a, count).

    Args:
        curve: the curve.
        first, last: the parameters at the ends of the arcs, (a,) each.
        count: the number of points on each arc.
    """
    unit, weights = gauss_legendre(count)
    size = (last - first)[:, None]
    t = (first[:, None] + size * unit).flatten()
    speed = curve.velocity(t).norm(dim=1).view(-1, count)
    return curve.points_at(t), speed * size * weights
