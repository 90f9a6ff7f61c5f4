"""A function that vanishes on given curves only, joined from one for each of them."""

import torch

from kanpinn._support.shapes import Column, Coords
from kanpinn.geometry.curves.arcs import Arc
from kanpinn.geometry.curves.curve import Curve
from kanpinn.geometry.curves.segments import Segment
from kanpinn.geometry.planar.forms import HalfPlane, Within


def joined(curves: tuple[Curve, ...], coords: Coords) -> Column:
    """1 / Σ 1/φ_i, ≥ 0, with a gradient of 1 next to the curves.

    φ_i is the distance from curve i to first order near it, and > 0 elsewhere.

    Reference: Biswas and Shapiro, Approximate distance fields with non-vanishing gradients (2004).
    """
    inverse = torch.stack([1 / _trimmed(curve, coords) for curve in curves])
    return 1 / inverse.sum(dim=0)


def _trimmed(curve: Curve, coords: Coords) -> Column:
    """sqrt(f² + ((sqrt(t² + f⁴) - t) / 2)²) for the part t ≥ 0 of the curve f = 0."""
    # Keeps φ off 0: second derivatives on the curve have 1/φ⁴ in them and must stay finite.
    least = torch.finfo(coords.dtype).tiny ** 0.4
    if isinstance(curve, Arc):
        f = Within(curve.conic).value(coords)
        if curve.closed:
            return (f.square() + least).sqrt()
        # The chord has a counter-clockwise arc on its right.
        t = HalfPlane(*(curve.start, curve.stop)[:: -1 if curve.sweep > 0 else 1]).value(coords)
    else:
        assert isinstance(curve, Segment)
        f = HalfPlane(curve.a, curve.b).value(coords)
        middle = (coords.new_tensor(curve.a) + coords.new_tensor(curve.b)) / 2
        from_middle = (coords - middle).square().sum(dim=1, keepdim=True)
        t = ((curve.measure / 2) ** 2 - from_middle) / curve.measure
    beyond = ((t.square() + f.pow(4) + least).sqrt() - t) / 2
    return (f.square() + beyond.square() + least).sqrt()
