"""Functions of one variable for edges c f(a x + b) + d, with what fits need to know of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn.interpret.univariate.gauges import Gauge, Parameters


@dataclass(frozen=True)
class Twin:
    """The relation f(u) = outer · of(inner · u + shift) + offset of a function f to another, `of`.

    Every fit of `of` is also one of f, so that only `of` has to be fitted.
    """

    of: "Univariate"
    inner: float
    shift: float
    outer: float
    offset: float

    def parameters(self, a: float, b: float, c: float, d: float) -> Parameters:
        """Convert the parameters (a, b, c, d) of a fit of `of` to those of f."""
        c = c / self.outer
        return a / self.inner, (b - self.shift) / self.inner, c, d - c * self.offset


@dataclass(frozen=True)
class Univariate:
    """A function f of one variable, for torch and for sympy, with the properties that a fit needs.

    A user-defined function needs a name, `compute`, `symbol` and a `complexity`. Fits start from
    arguments near 0, so the characteristic features of f should lie there.

    Args:
        name: the name by which the function is requested.
        compute: f on float64 tensors, elementwise and differentiable.
        symbol: f as a sympy expression of a sympy argument.
        complexity: the cost of the function in scores and rankings.
        domain: the interval in which f is smooth, its ends possibly excepted.
        pole: a point where f is not defined, repeated with `period`; None if there is none.
        period: the period of f; None if it is not periodic.
        free: those of a and b that are not redundant given free c and d ("", "a", "b" or "ab").
        even_or_odd: whether f(-u) = f(u) or f(-u) = -f(u).
        jumps: whether f is piecewise constant with one jump, at 0.
        gauges: the rules that fix redundant parameters, applied in this order.
        twin: the relation to another function whose fits give those of f.

    Raises:
        InputError: if the name is empty, the complexity negative or the domain empty.

    Example:
        >>> from kanpinn.interpret import LIBRARY
        >>> sine = LIBRARY["sin"]
        >>> sine.name, type(sine).__name__
        ('sin', 'Univariate')
    """

    name: str
    compute: Callable[[Tensor], Tensor]
    symbol: Callable[[Any], Any]
    complexity: float | int
    domain: tuple[float, float] = (-math.inf, math.inf)
    pole: float | None = None
    period: float | None = None
    free: str = "ab"
    even_or_odd: bool = False
    jumps: bool = False
    gauges: tuple[Gauge, ...] = ()
    twin: Twin | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("name must not be empty: it is how a function is asked for")
        number(f"complexity of {self.name}", self.complexity)
        if not self.domain[0] < self.domain[1]:
            raise InputError(f"domain of {self.name} must be (low, high), got {self.domain!r}")

    def __call__(self, u: Tensor) -> Tensor:
        """Return f(u), elementwise.

        Arguments outside the domain by no more than rounding are moved to its end. The slope at an
        end of the domain may be infinite (sqrt at 0).
        """
        reach = 1e-12  # distance from the domain that counts as rounding
        low, high = self.domain
        if math.isinf(low) and math.isinf(high):
            return self.compute(u)
        excess = (u - u.clamp(low, high)).detach()
        return self.compute(u - torch.where(excess.abs() <= reach, excess, 0.0))

    def regular(self, low: numpy.ndarray, high: numpy.ndarray) -> numpy.ndarray:
        """Return, elementwise, whether [low, high] lies in the domain and contains no pole."""
        inside = (low >= self.domain[0]) & (high <= self.domain[1])
        if self.pole is None:
            return inside
        if self.period is None:
            return inside & ((high < self.pole) | (low > self.pole))
        first, last = (numpy.floor((end - self.pole) / self.period) for end in (low, high))
        return inside & (first == last) & ((low - self.pole) % self.period > 0)

    def canonical(self, a: float, b: float, c: float, d: float) -> Parameters:
        """Return equivalent (a, b, c, d) with redundant parameters fixed (a = 1 for x², …)."""
        if self.free and a == 0:
            return a, b, c, d
        for gauge in self.gauges:
            a, b, c, d = gauge(a, b, c, d)
        return a, b, c, d
