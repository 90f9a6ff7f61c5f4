"""The curves on the edges of a graph: splines, and formulas c f(a x + b) + d."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from kanpinn.interpret.univariate.univariate import Univariate
from kanpinn.networks.basis import BSplines


@runtime_checkable
class EdgeCurve(Protocol):
    """A function of one variable with parameters."""

    @property
    def parameters(self) -> Tensor:
        """The parameters that a refit may change, (parameters,)."""

    def moved(self, parameters: Tensor) -> "EdgeCurve":
        """Return the same kind of curve with other parameters."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values (n,) at x (n,)."""

    def derivatives(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slope (n,) and the derivatives by the parameters, (n, parameters)."""


@dataclass(frozen=True)
class Spline:
    """The spline Σ_j c_j B_j(x).

    Args:
        knots: the knots, (n_basis + degree + 1,).
        degree: the degree of the B-splines.
        parameters: the coefficients c, (n_basis,).

    Example:
        >>> import torch
        >>> from kanpinn.interpret import Spline
        >>> knots = torch.linspace(-3, 3, 7, dtype=torch.float64)
        >>> Spline(knots, degree=2, parameters=torch.ones(4, dtype=torch.float64)).degree
        2
    """

    knots: Tensor
    degree: int
    parameters: Tensor

    def moved(self, parameters: Tensor) -> "Spline":
        moved = replace(self, parameters=parameters)
        vars(moved)["_splines"] = self._splines  # the same knots: no second table of them
        return moved

    def __call__(self, x: Tensor) -> Tensor:
        return self._basis(x, 0)[:, 0] @ self.parameters

    def derivatives(self, x: Tensor) -> tuple[Tensor, Tensor]:
        basis = self._basis(x, 1)
        return basis[:, 1] @ self.parameters, basis[:, 0]

    def _basis(self, x: Tensor, order: int) -> Tensor:
        return self._splines.values(x[:, None], order)[:, :, 0]

    @cached_property
    def _splines(self) -> BSplines:
        return BSplines(self.knots[None], self.degree)

    @property
    def breaks(self) -> Tensor:
        """The grid points, (intervals + 1,)."""
        return self._splines.breaks[0]

    def on(self, breaks: Tensor) -> "Spline":
        """Return the spline on other grid points.

        It is the same function if they include the inner grid points of this spline.
        """
        moved = self._splines.moved(self.parameters[None, :, None], breaks[None])
        return Spline(*moved.basis.as_spline(moved.coefficients[0, :, 0], 0))

    def split(self) -> "Spline":
        """Return the same function on twice as many grid intervals."""
        breaks = self.breaks
        middles = (breaks[1:] + breaks[:-1]) / 2
        return self.on(torch.cat([breaks, middles]).sort().values)

    def covering(self, x: Tensor) -> "Spline":
        """Return the spline with its first and last interval extended to cover all of x (n,)."""
        low, high, breaks = float(x.min()), float(x.max()), self.breaks.clone()
        if low >= breaks[0] and high <= breaks[-1]:
            return self
        pad = 0.02 * (high - low)
        breaks[0] = min(float(breaks[0]), low - pad)
        breaks[-1] = max(float(breaks[-1]), high + pad)
        return self.on(breaks)


@dataclass(frozen=True)
class Symbolic:
    """The formula c f(a x + b) + d; its parameters are the free ones of a and b, then c and d.

    Example:
        >>> from kanpinn.interpret import LIBRARY, Symbolic
        >>> edge = Symbolic(LIBRARY["sin"], a=3.0, b=0.0, c=2.0, d=1.0)
        >>> edge.function.name, edge.c
        ('sin', 2.0)
    """

    function: Univariate
    a: float
    b: float
    c: float
    d: float

    @property
    def free(self) -> str:
        """The names of the parameters, one letter each, such as "abcd"."""
        return self.function.free + ("cd" if self.function.name != "0" else "d")

    @property
    def parameters(self) -> Tensor:
        return torch.tensor([getattr(self, name) for name in self.free], dtype=torch.float64)

    def moved(self, parameters: Tensor) -> "Symbolic":
        return replace(self, **dict(zip(self.free, parameters.tolist(), strict=True)))

    def __call__(self, x: Tensor) -> Tensor:
        return self.c * self.function(self.a * x + self.b) + self.d

    def derivatives(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            u = (self.a * x + self.b).detach().requires_grad_()
            f = self.function(u)
            # A constant function has no autograd graph; its slope is zero.
            slope = torch.autograd.grad(f.sum(), u)[0] if f.requires_grad else torch.zeros_like(f)
        slope = torch.where(slope.isinf(), 0.0, slope)  # at an end of the domain, as of sqrt
        f = f.detach()
        own = {"a": self.c * slope * x, "b": self.c * slope, "c": f, "d": torch.ones_like(f)}
        return self.a * self.c * slope, torch.stack([own[name] for name in self.free], dim=1)

    def expression(self, x: Any) -> Any:
        """Return c f(a x + b) + d for a sympy expression x."""
        return self.c * self.function.symbol(self.a * x + self.b) + self.d
