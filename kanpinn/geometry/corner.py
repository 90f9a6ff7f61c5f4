"""Singular functions at a corner of a planar domain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.polynomial import Chebyshev
from torch import Tensor

from kanpinn._support.errors import InputError, integer
from kanpinn._support.shapes import Coords
from kanpinn.geometry.curves import Pair, pair
from kanpinn.geometry.planar import Planar
from kanpinn.geometry.points import Points


@dataclass(frozen=True)
class Corner:
    """Functions r^(jπ/ω) sin(jπθ/ω), j = 1 … terms: harmonic, and 0 on both sides of a corner.

    r and θ are polar coordinates about the corner, with θ = 0 on one side; ω is the interior angle.
    If jπ/ω is an integer n, the function would be a polynomial; r^n (ln r sin nθ + θ cos nθ)
    replaces it, which is also harmonic but singular, and equals ±ωr^n on the other side. The
    functions are those for Dirichlet conditions on both sides. Called with N points, the object
    returns the values (N, terms).

    Args:
        domain: a planar domain.
        at: one of its corners.
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
        """The direction angle of the side θ = 0, and the interior angle ω."""
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
        """The corner with more terms, for a solve that sees what this one cuts off."""
        return replace(self, terms=math.ceil(factor * self.terms))

    def polar(self, coords: Coords) -> tuple[Tensor, Tensor]:
        """Return r and θ, (n, 1) each, with θ in (ω/2 - π, ω/2 + π], so θ jumps outside only."""
        start, angle = self._angles
        x, y = (coords - coords.new_tensor(self.at)).split(1, dim=1)
        c, s = math.cos(start + angle / 2), math.sin(start + angle / 2)
        # Keep r > 0, because ln 0 is not finite.
        r = (x**2 + y**2).clamp_min(torch.finfo(x.dtype).tiny).sqrt()
        return r, torch.atan2(c * y - s * x, c * x + s * y) + angle / 2

    def __call__(self, p: Points) -> Tensor:
        r, theta = self.polar(p.coords)
        return torch.cat([self._function(j, r, theta) for j in range(1, self.terms + 1)], dim=1)

    def _function(self, j: int, r: Tensor, theta: Tensor) -> Tensor:
        power = j * math.pi / self.angle
        n = round(power)
        if abs(power - n) > 1e-9:
            return r**power * torch.sin(power * theta)
        return r**n * (torch.log(r) * torch.sin(n * theta) + theta * torch.cos(n * theta))


@dataclass(frozen=True)
class CornerFlow:
    """Flows next to a corner with moving sides: functions (u, v, 0) and (0, 0, q) for each term.

    The stream function ψ = Σ_m r^(m+1) f_m(θ) with the velocity (∂ψ/∂y, -∂ψ/∂x) solves
    u·∇u + ∇q = Δu and div u = 0. The first term is Stokes flow: u is bounded but discontinuous at
    the corner, and q grows like 1/r. The other terms are the effects of inertia; q of the second
    one grows like ln r. The velocities along the sides, positive away from the corner, are `first`
    on the side θ = 0 and `last` on the other side. For another viscosity the velocity and the
    pressure of each term change by constant factors only, which become coefficients of the solve.
    At the corner itself q is undefined and set to 0. Called with n points, the object returns the
    values (n, 2 · terms, 3).

    Args:
        domain: a planar domain.
        at: one of its corners, with an interior angle below π.
        first, last: the velocities of the two sides; `first` is that of the side θ = 0.
        terms: the number of terms m.

    Raises:
        InputError: if `at` is not a point where exactly two sides meet, the interior angle is π or
            more, or both velocities are 0.

    Reference: Taylor, On scraping viscous fluid from a plane surface (1962); Hancock, Lewis and
    Moffatt, Effects of inertia in forced corner flows (1981); Botella and Peyret (1998).

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> cavity = kp.Polygon([(0, 0), (1, 0), (1, 1), (0, 1)])
        >>> flow = kp.CornerFlow(cavity, at=(0, 1), first=0.0, last=1.0)
        >>> flow(kp.Points(torch.tensor([[0.1, 0.9]]), ("x", "y"))).shape
        torch.Size([1, 4, 3])
    """

    domain: Planar
    at: Pair
    first: float | int = 0.0
    last: float | int = 0.0
    terms: int = 2

    def __post_init__(self) -> None:
        integer("terms", self.terms)
        if not self._corner.angle < math.pi - 1e-6:
            raise InputError(
                f"at = {self.at} must be a corner of an angle below π, it is {self._corner.angle}"
            )
        if not math.hypot(self.first, self.last) > 0:
            raise InputError("first and last must not both be 0: with sides at rest nothing flows")

    def richer(self, factor: float) -> "CornerFlow":
        """The flow with more terms, for a solve that sees what this one cuts off."""
        return replace(self, terms=math.ceil(factor * self.terms))

    @cached_property
    def _corner(self) -> Corner:
        return Corner(self.domain, self.at, 1)

    @cached_property
    def _profiles(self) -> list[tuple[Chebyshev, Chebyshev]]:
        """For each term m the functions f_m of θ, and R_m with ∂q/∂r = r^(m-2) R_m."""
        found: list[Chebyshev] = []
        pressures = []
        for m in range(self.terms):
            pairs = [(found[i], found[m - 1 - i], i, m - 1 - i) for i in range(m)]
            speeds = (self.first, self.last) if m == 0 else (0.0, 0.0)
            f = _profile(self._corner.angle, m, speeds, [_turning(*pair) for pair in pairs])
            slope = (f.deriv(2) + (m + 1) ** 2 * f).deriv()
            pressures.append(slope - sum((_carrying(*pair) for pair in pairs), 0 * f))
            found.append(f)
        return list(zip(found, pressures, strict=True))

    def __call__(self, p: Points) -> Tensor:
        r, theta = self._corner.polar(p.coords)
        offset = (p.coords - p.coords.new_tensor(self._corner.at)) / r
        cosine, sine = offset.split(1, dim=1)
        beside = r > 1e-12 * self.domain.scale  # closer points count as the corner
        apart, zero = torch.where(beside, r, torch.ones_like(r)), torch.zeros_like(r)
        flat = [g for f, slope in self._profiles for g in (f, f.deriv(), slope)]
        values = _values(flat, theta).split(1, dim=1)
        found = []
        for m in range(self.terms):
            f, turned, slope = values[3 * m : 3 * m + 3]
            along, across = r**m * turned, -(m + 1) * r**m * f
            u, v = along * cosine - across * sine, along * sine + across * cosine
            q = torch.log(apart) if m == 1 else apart ** (m - 1) / (m - 1)
            q = torch.where(beside, q * slope, zero)
            found += [torch.cat([u, v, zero], dim=1), torch.cat([zero, zero, q], dim=1)]
        return torch.stack(found, dim=1)


def _values(polynomials: Sequence[Chebyshev], theta: Tensor) -> Tensor:
    """Evaluate k polynomials at angles (n, 1) by Taylor series about the angles; returns (n, k).

    Derivatives up to the order 4, the highest that is needed, are exact and as cheap as values.
    Differentiating a Chebyshev recurrence repeatedly would dominate the time of a solve.
    """
    low, high = polynomials[0].domain
    about = theta.detach().clamp(low, high)
    s = (2 * about - (low + high)) / (high - low)
    order = 4  # the order of the highest derivative that is needed
    terms = [[f.deriv(k) / math.factorial(k) for f in polynomials] for k in range(order + 1)]
    count = max(len(f.coef) for f in polynomials)
    basis = torch.cos(torch.acos(s.clamp(-1, 1)) * torch.arange(count).to(s))
    found = torch.zeros_like(theta)
    for same in reversed(terms):
        columns = [np.pad(f.coef, (0, count - len(f.coef))) for f in same]
        found = found * (theta - about) + basis @ s.new_tensor(np.stack(columns, axis=1))
    return found


def _profile(
    angle: float, m: int, speeds: tuple[float, float], turning: list[Chebyshev]
) -> Chebyshev:
    """Solve (∂² + (m - 1)²)(∂² + (m + 1)²) f = Σ turning with f = 0, f' = speeds at the ends."""
    degree = 24  # polynomials of this degree in θ represent sines and cosines to rounding
    nodes = angle * (1 - np.cos(np.pi * np.arange(degree + 1) / degree)) / 2
    basis = [Chebyshev.basis(j, domain=[0, angle]) for j in range(degree + 1)]
    values = {k: np.stack([b.deriv(k)(nodes) for b in basis], axis=1) for k in (0, 1, 2, 4)}
    low, high = (m - 1) ** 2, (m + 1) ** 2
    operator = values[4] + (low + high) * values[2] + low * high * values[0]
    right = sum((t(nodes) for t in turning), np.zeros(degree + 1))
    ends = np.concatenate([values[0][[0, -1]], values[1][[0, -1]]])
    rows = np.concatenate([operator[2:-2], ends])
    given = np.concatenate([right[2:-2], [0.0, 0.0, *speeds]])
    return Chebyshev(np.linalg.solve(rows, given), domain=[0, angle])


def _turning(f: Chebyshev, g: Chebyshev, i: int, j: int) -> Chebyshev:
    """Return -r^(2 - i - j) u_f·∇w_g, where w_g is the vorticity of the flow g."""
    vorticity = -(g.deriv(2) + (j + 1) ** 2 * g)
    return (i + 1) * f * vorticity.deriv() - (j - 1) * f.deriv() * vorticity


def _carrying(f: Chebyshev, g: Chebyshev, i: int, j: int) -> Chebyshev:
    """Return r^(1 - i - j) times the radial component of u_f·∇u_g."""
    carried = j * f.deriv() * g.deriv() - (i + 1) * f * g.deriv(2)
    return carried - (i + 1) * (j + 1) * f * g
