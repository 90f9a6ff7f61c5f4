"""Initial conditions, and measurements at given points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.jets import Jet, normal_derivative
from kanpinn.pde.conditions.condition import Condition, Data, Prescribed, column_of, values_of


@dataclass(frozen=True)
class Initial(Condition):
    """Initial condition: u = value and, where a rate is given, ∂u/∂t = rate at the initial time.

    Args:
        domain: a space-time domain, whose boundary has a piece "initial", or a box with the piece
            "t_min".
        value, rate: numbers, formulas, or functions of points → (n, m) for m fields, or (n, 1).

    Raises:
        InputError: where the domain has no time, or for data of another kind.

    Example:
        >>> import kanpinn as kp
        >>> string = kp.Box(x=(0, 1), t=(0, 1))
        >>> start = kp.Initial(string, "sin(pi*x)", rate=0.0)
        >>> start.value is not None, start.rate is not None
        (True, True)
    """

    domain: Domain
    value: Data = 0.0
    rate: Data | None = None

    data: ClassVar = ("value", "rate")
    is_at_boundary: ClassVar[bool] = True
    is_initial: ClassVar[bool] = True
    fixes_constant: ClassVar[bool] = True

    @property
    def boundary(self) -> Boundary:
        """The part of the boundary at the initial time."""
        whole = self.domain.boundary
        for name in ("initial", "t_min"):
            if name in whole.names:
                return whole[name]
        raise InputError(
            "Initial takes a domain with a time, such as Box(x=(0, 1), t=(0, 1)) or "
            f"domain.over(t=(0, 1)), got one with the pieces {', '.join(whole.names)}"
        )

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return self.boundary.pieces

    def prescribed(self, fields: Sequence[str]) -> list[Prescribed]:
        names, found = self.about or fields, []
        for i, name in enumerate(names):
            value, rate = (partial(column_of, f, len(names), i) for f in (self.target, self.rates))
            given = rate if self.rate is not None else None
            for piece in self.pieces:
                found.append(Prescribed(self, name, piece, value, given, self.value == 0))
        return found

    def target(self, p: Points, m: int = 1) -> Tensor:
        """Return the prescribed values at n points, (n, 1) or, for m fields, (n, m)."""
        return values_of(self.value, p, m, "an initial value")

    def rates(self, p: Points, m: int = 1) -> Tensor:
        """Return the prescribed rates at n points, (n, 1) or, for m fields, (n, m); default 0."""
        return values_of(self.rate or 0.0, p, m, "an initial rate")

    def residual(self, p: Points, *fields: Jet) -> tuple[Tensor, ...]:
        """Return u - value and, where a rate is given, ∂u/∂t - rate, (n, m) each."""
        u = torch.cat([f.value for f in fields], dim=1)
        m = u.shape[1]
        found = [u - self.target(p, m)]
        if self.rate is not None:
            rates = torch.cat([-normal_derivative(f, p) for f in fields], dim=1)
            found.append(rates - self.rates(p, m))
        return tuple(found)


@dataclass(frozen=True)
class Observed(Condition):
    """Measurements: u = values at given points.

    Args:
        domain: the domain in which the points lie.
        at: the points, (n, d), with columns in the order of the domain's coordinates.
        values: the measured values, (n,) or, for m fields, (n, m).
        noise: the standard deviation of the values, by which the residual is divided; None where
            it is not known and is to be estimated from the misfit of the data.

    Raises:
        InputError: for points or values that are not finite, points outside the domain, shapes
            that do not fit, or a noise that is not positive and finite.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), t=(0, 1))
        >>> data = kp.Observed(box, at=[[0.5, 0.1], [0.5, 0.2]], values=[0.90, 0.82], noise=0.01)
        >>> data.measurements
        2
    """

    domain: Domain
    at: Tensor | Sequence
    values: Tensor | Sequence
    noise: float | int | None = None

    _points: Points = field(init=False, repr=False, compare=False)

    fixes_constant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            at = torch.as_tensor(self.at, dtype=torch.float64)
            values = torch.as_tensor(self.values, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            raise InputError(
                "Observed takes arrays of numbers as points and values, got "
                f"{type(self.at).__name__} and {type(self.values).__name__}"
            ) from None
        values = values[:, None] if values.ndim == 1 else values
        d = self.domain.dim
        if at.ndim != 2 or at.shape[1] != d or values.ndim != 2 or len(at) != len(values):
            raise InputError(
                f"Observed takes points (n, {d}) and values (n,) or (n, m), got "
                f"{tuple(at.shape)} and {tuple(values.shape)}"
            )
        if self.noise is not None and not 0 < self.noise < math.inf:
            raise InputError(f"Observed takes a noise > 0, got {self.noise!r}")
        low, high = self.domain.bounds
        # The tolerance is relative to the domain's size: points may be given with few digits.
        inside = self.domain.contains(at, tolerance=1e-9 * float((high - low).max()))
        for rows, what in (
            (~at.isfinite().all(dim=1), "points that are not finite"),
            (~values.isfinite().all(dim=1), "values that are not finite"),
            (~inside, "points outside the domain"),
        ):
            if rows.any():
                first = at[rows][0].tolist()
                raise InputError(f"Observed has {int(rows.sum())} {what}, the first is {first}")
        points = Points(at, self.domain.names, data=values)
        vars(self).update(at=at, values=values, measurements=len(values), _points=points)

    @property
    def fixed(self) -> Points:
        return self._points

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return (u - values) / noise, (n, m), or u - values where the noise is not known."""
        assert p.data is not None
        u = torch.cat([f.value for f in fields], dim=1)
        if p.data.shape[1] not in (1, u.shape[1]):
            raise InputError(
                f"Observed has {p.data.shape[1]} columns of values for {u.shape[1]} fields"
            )
        return (u - p.data) / (self.noise or 1.0)
