"""Flows next to a corner with a tangentially moving side, where the velocity is discontinuous."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.polynomial import Chebyshev
from torch import Tensor

from kanpinn._support.errors import InputError, integer
from kanpinn.geometry.curves.curve import Pair
from kanpinn.geometry.planar.corner import Corner
from kanpinn.geometry.planar.planar import Planar
from kanpinn.geometry.points import Points


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
