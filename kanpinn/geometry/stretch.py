"""Coordinates that stretch towards boundary layers."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.geometry.box import Box
from kanpinn.geometry.curves import Pair, pair
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar import Planar
from kanpinn.geometry.points import Points


@dataclass(frozen=True)
class Stretch:
    """Coordinates s(r) x/r with s = asinh(r/size), scaled, in which r^λ is smooth down to r ~ size.

    x is the position relative to the point and r its length. The coordinates are logarithmic in r
    for r >> size, Cartesian for r << size, and smooth throughout. Called with n points, the object
    returns coordinates (n, 2) in [-1, 1]².

    Args:
        domain: a planar domain.
        at: the point.
        size: the radius, > 0, below which the map is Cartesian and does not resolve more.

    Reference: Boyd, Chebyshev and Fourier spectral methods (2001), chapter 16, for such maps.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> stretch = kp.Stretch(kp.LShape(), at=(0, 0), size=0.01)
        >>> stretch(kp.Points(torch.tensor([[-0.5, 0.5]]), ("x", "y"))).shape
        torch.Size([1, 2])
    """

    domain: Planar
    at: Pair
    size: float | int

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", pair("at", self.at))
        number("size", self.size, above=True)

    def __call__(self, p: Points) -> Tensor:
        x = p.coords - p.coords.new_tensor(self.at)
        # Adding (size / 100)² avoids 0/0 in the derivatives of s(r)/r at the point.
        r = (x.square().sum(dim=1, keepdim=True) + (self.size / 100) ** 2).sqrt()
        return x * (torch.asinh(r / self.size) / r) / math.asinh(self._reach / self.size)

    @property
    def _reach(self) -> float:
        """An upper bound of the distance between the point and the points of the domain."""
        low, high = self.domain.bounds
        far = torch.maximum(high - high.new_tensor(self.at), low.new_tensor(self.at) - low)
        return float(far.norm())


def graded(
    domain: Domain, at: Pair, levels: int = 6, ratio: float | int = 0.5
) -> tuple[Domain, ...]:
    """Cut a planar domain into cells: square rings around a point, and the square in the centre.

    The quadrature rules of the cells together resolve a singularity at the point; see
    `Problem.cells`.

    Args:
        domain: a planar domain or a two-dimensional box.
        at: the point.
        levels: the number of rings.
        ratio: the size of each square relative to the next larger one.

    Returns:
        The levels + 1 cells, from the outermost ring to the central square.

    Raises:
        InputError: unless levels ≥ 1 and 0 < ratio < 1.

    Example:
        >>> import kanpinn as kp
        >>> rings = kp.graded(kp.LShape(), at=(0, 0), levels=3)
        >>> [one.measure for one in rings]
        [2.25, 0.5625, 0.140625, 0.046875]
    """
    levels, at = integer("levels", levels), pair("at", at)
    if not 0 < ratio < 1:
        raise InputError(f"ratio must be between 0 and 1, got {ratio!r}")
    low, high = domain.bounds
    reach = float(torch.maximum(high - high.new_tensor(at), low.new_tensor(at) - low).max())
    cells, rest = [], domain
    for level in range(1, levels + 1):
        ends = {
            name: (c - reach * ratio**level, c + reach * ratio**level)
            for name, c in zip(domain.names, at, strict=True)
        }
        cells.append(rest - Box(**ends))
        rest = rest & Box(**ends)
    return (*cells, rest)
