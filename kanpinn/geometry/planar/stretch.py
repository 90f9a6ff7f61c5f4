"""Coordinates and cells that are fine near one point, for solutions that are rough there."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.geometry.box import Box
from kanpinn.geometry.curves.curve import Pair, pair
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.planar import Planar
from kanpinn.geometry.points import Points


@dataclass(frozen=True)
class Stretch:
    """Coordinates in which r^λ is smooth down to r ~ size: s(r) x/r, s = asinh(r/size) scaled.

    Away from the point they are logarithmic in its distance r, next to it Cartesian, and smooth
    throughout. Called with points it gives (n, 2) in [-1, 1]².

    Args:
        domain: a planar domain.
        at: the point.
        size: of the region around it that is not resolved any further, > 0.

    Reference: Boyd, Chebyshev and Fourier spectral methods (2001), chapter 16, for such maps.
    """

    domain: Planar
    at: Pair
    size: float | int

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", pair("at", self.at))
        number("size", self.size, above=True)

    def __call__(self, p: Points) -> Tensor:
        x = p.coords - p.coords.new_tensor(self.at)
        # A hundredth of the size keeps the derivatives of s(r)/r free of 0/0 at the point.
        r = (x.square().sum(dim=1, keepdim=True) + (self.size / 100) ** 2).sqrt()
        return x * (torch.asinh(r / self.size) / r) / math.asinh(self._reach / self.size)

    @property
    def _reach(self) -> float:
        """An upper bound of the distance of the domain's points from the point."""
        low, high = self.domain.bounds
        far = torch.maximum(high - high.new_tensor(self.at), low.new_tensor(self.at) - low)
        return float(far.norm())


def graded(
    domain: Domain, at: Pair, levels: int = 6, ratio: float | int = 0.5
) -> tuple[Domain, ...]:
    """A planar domain cut into square rings around a point, each `ratio` times the last one.

    Their rules together resolve what is rough there; see `Problem.cells`.

    Raises:
        InputError: unless levels ≥ 1 and 0 < ratio < 1.
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
