"""Corners in the plane: singular functions, stretched coordinates, and cells near a point."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.shapes import Coords
from kanpinn.geometry.box import Box
from kanpinn.geometry.curves import Pair, pair
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar import Planar
from kanpinn.geometry.points import Points


@dataclass(frozen=True)
class Corner:
    """Functions r^(jπ/ω) sin(jπθ/ω), j = 1 … terms: harmonic, and 0 on both sides of a corner.

    r and θ are polar coordinates about the corner, with θ = 0 on the first side and θ = ω, the
    interior angle, on the second side. If jπ/ω is an integer n, this function would be a
    polynomial. It is replaced by r^n (ln r sin nθ + θ cos nθ), which is harmonic and singular, 0 on
    the first side and ±ωr^n on the second side. The functions suit Dirichlet conditions on both
    sides. Called with N points, the object returns the values (N, terms).

    Args:
        domain: a planar domain.
        at: a corner of the domain.
        terms: the number of functions.

    Raises:
        InputError: if `at` is not a point where exactly two sides of the domain meet.

    Reference: Grisvard, Elliptic problems in nonsmooth domains (1985), section 2.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> corner = kp.Corner(kp.LShape(), at=(0, 0), terms=3)
        >>> corner(kp.Points(torch.tensor([[-1.0, -1.0]]), ("x", "y"))).shape
        torch.Size([1, 3])
    """

    domain: Planar
    at: Pair
    terms: int = 6

    def __post_init__(self) -> None:
        integer("terms", self.terms)
        object.__setattr__(self, "at", pair("at", self.at))
        _ = self._angles

    @property
    def angle(self) -> float:
        """The interior angle ω in radians."""
        return self._angles[1]

    @cached_property
    def _angles(self) -> tuple[float, float]:
        """The polar angle of the direction of the side θ = 0, and the interior angle ω, radians."""
        curves, reach = self.domain.curves, 1e-9 * self.domain.scale
        after = [c for c in curves if math.dist(c.start, self.at) <= reach]
        before = [c for c in curves if math.dist(c.stop, self.at) <= reach]
        if len(after) != 1 or len(before) != 1:
            ends = sorted({c.start for c in curves})
            raise InputError(f"at = {self.at} is no corner of {self.domain!r}; its ends are {ends}")
        ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
        first, last = after[0].velocity(ts)[0], -before[0].velocity(ts)[1]
        start, stop = (math.atan2(float(v[1]), float(v[0])) for v in (first, last))
        return start, (stop - start) % (2 * math.pi)

    def richer(self, factor: float) -> "Corner":
        """Return the corner with `factor` times as many terms, for an estimate of their error."""
        return replace(self, terms=math.ceil(factor * self.terms))

    def polar(self, coords: Coords) -> tuple[Tensor, Tensor]:
        """Return r and θ, (n, 1) each, of points (n, 2).

        θ is in (ω/2 - π, ω/2 + π], so that its jump by 2π is outside the domain near the corner.
        """
        start, angle = self._angles
        x, y = (coords - coords.new_tensor(self.at)).split(1, dim=1)
        c, s = math.cos(start + angle / 2), math.sin(start + angle / 2)
        # Keep r > 0, because ln 0 is not finite.
        r = (x**2 + y**2).clamp_min(torch.finfo(x.dtype).tiny).sqrt()
        return r, torch.atan2(c * y - s * x, c * x + s * y) + angle / 2

    def __call__(self, p: Points) -> Tensor:
        (r, theta), columns = self.polar(p.coords), []
        for j in range(1, self.terms + 1):
            power = j * math.pi / self.angle
            n = round(power)
            if abs(power - n) > 1e-9:
                columns.append(r**power * torch.sin(power * theta))
            else:
                ln = torch.log(r)
                columns.append(r**n * (ln * torch.sin(n * theta) + theta * torch.cos(n * theta)))
        return torch.cat(columns, dim=1)


@dataclass(frozen=True)
class Stretch:
    """Coordinates s(r) x/r with s = asinh(r/size), divided by the largest s of the domain.

    x is the position relative to a point, and r is the length of x. The coordinates are logarithmic
    in r for r >> size, Cartesian for r << size, and smooth everywhere. Singular functions r^λ are
    smooth in these coordinates down to r ~ size. Called with n points, the object returns
    coordinates (n, 2) in [-1, 1]².

    Args:
        domain: a planar domain.
        at: the point about which the domain is stretched.
        size: the radius, > 0, below which the coordinates are Cartesian.

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
        # The reach is an upper bound of the distance between `at` and points of the domain.
        low, high = self.domain.bounds
        reach = torch.maximum(high - high.new_tensor(self.at), low.new_tensor(self.at) - low).norm()
        return x * (torch.asinh(r / self.size) / r) / math.asinh(float(reach) / self.size)


def graded(
    domain: Domain, at: Pair, levels: int = 6, ratio: float | int = 0.5
) -> tuple[Domain, ...]:
    """Cut a planar domain into cells: square rings around a point, and the square in the centre.

    The quadrature rules of all cells together resolve a singularity at the point; see
    `Problem.cells`.

    Args:
        domain: a planar domain or a two-dimensional box.
        at: the point, the centre of all squares.
        levels: the number of rings.
        ratio: the side of each square divided by the side of the next larger square.

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
        size, middles = reach * ratio**level, zip(domain.names, at, strict=True)
        square = Box(**{name: (middle - size, middle + size) for name, middle in middles})
        cells.append(rest - square)
        rest = rest & square
    return (*cells, rest)
