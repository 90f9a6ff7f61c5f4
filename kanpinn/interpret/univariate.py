"""Functions of one variable: the library of candidates, their gauges, and functions with
parameters.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import scipy.special
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, nearest, number


def bessel_j0(u: Tensor) -> Tensor:
    """Return J₀(u) elementwise, differentiable any number of times, also under torch.func."""
    return _J0.apply(u)


class _Elementwise(torch.autograd.Function):
    """The common base of the two functions: values by scipy, and the saved argument."""

    compute: Callable[[Any], Any]

    @classmethod
    def _values(cls, u: Tensor) -> Tensor:
        return torch.as_tensor(numpy.asarray(cls.compute(u.detach().cpu().numpy()))).to(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


class _J0(_Elementwise):
    """J₀ with its derivative J₀' = -J₁."""

    compute = staticmethod(scipy.special.j0)

    @staticmethod
    def forward(u: Tensor) -> Tensor:
        return _J0._values(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient * _J1.apply(*ctx.saved_tensors)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return -tangent * _J1.apply(*ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], u: Tensor) -> tuple[Tensor, int | None]:
        return _J0.apply(u), in_dims[0]


class _J1(_Elementwise):
    """J₁ with its derivative J₁' = J₀ - J₁/u."""

    compute = staticmethod(scipy.special.j1)

    @staticmethod
    def forward(u: Tensor) -> Tensor:
        return _J1._values(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * _slope(*ctx.saved_tensors)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return tangent * _slope(*ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], u: Tensor) -> tuple[Tensor, int | None]:
        return _J1.apply(u), in_dims[0]


def _slope(u: Tensor) -> Tensor:
    # J₁/u = 1/2 - u²/16 + O(u⁴/384) near 0, where the quotient is 0/0.
    near = u.abs() < 1e-3
    quotient = _J1.apply(u) / torch.where(near, torch.ones_like(u), u)
    return _J0.apply(u) - torch.where(near, 0.5 - u * u / 16, quotient)


Parameters = tuple[float, float, float, float]
Gauge = Callable[[float, float, float, float], Parameters]


def linear(a: float, b: float, c: float, d: float) -> Parameters:
    """For f(u) = u: a = 1, b = 0."""
    return 1.0, 0.0, c * a, d + c * b


def exponential(a: float, b: float, c: float, d: float) -> Parameters:
    """For f(u + s) = exp(s) f(u): b = 0, unless exp(b) would overflow or underflow."""
    largest_exponent = 300.0
    return (a, b, c, d) if abs(b) > largest_exponent else (a, 0.0, c * math.exp(b), d)


def logarithmic(a: float, b: float, c: float, d: float) -> Parameters:
    """For f(λu) = f(u) + log λ, λ > 0: a = ±1."""
    return math.copysign(1.0, a), b / abs(a), c, d + c * math.log(abs(a))


def homogeneous(degree: float | int) -> Gauge:
    """For f(λu) = λ^degree f(u), λ > 0: a = ±1."""
    return lambda a, b, c, d: (math.copysign(1.0, a), b / abs(a), c * abs(a) ** degree, d)


def reflected(sign: float, shift: float = 0.0) -> Gauge:
    """For f(-u) = sign f(u) + shift: a > 0."""
    return lambda a, b, c, d: (-a, -b, sign * c, d + shift * c) if a < 0 else (a, b, c, d)


def periodic(period: float, sign: float = 1.0) -> Gauge:
    """For f(u + period) = sign f(u): |b| ≤ period/2."""

    def reduce(a: float, b: float, c: float, d: float) -> Parameters:
        turns = round(b / period)
        return a, b - turns * period, c * sign**turns, d

    return reduce


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


def functions(names: Sequence[str | Univariate] | None = None) -> tuple[Univariate, ...]:
    """Return the functions with these names, by default all of `LIBRARY`.

    Args:
        names: names of the library's functions, or `Univariate` objects, which are returned as
            they are.

    Raises:
        InputError: if a name is unknown or occurs twice, or if `names` is empty or a single string.
    """
    if isinstance(names, str):
        raise InputError(f"functions must be a sequence of names, such as ['sin'], got {names!r}")
    found = tuple(LIBRARY.values() if names is None else (_named(name) for name in names))
    if not found:
        raise InputError("functions must name at least one function of the library, got none")
    for function in found:
        if sum(function.name == other.name for other in found) > 1:
            raise InputError(f"functions must have different names, got {function.name!r} twice")
    return found


def _named(name: str | Univariate) -> Univariate:
    if isinstance(name, Univariate):
        return name
    if name not in LIBRARY:
        raise InputError(
            f"unknown function {name!r}{nearest(name, LIBRARY)} (the library has "
            f"{', '.join(LIBRARY)})"
        )
    return LIBRARY[name]


def _sympy(name: str) -> Callable[[Any], Any]:
    # Imported on first use, since importing sympy takes as long as a small fit.
    return lambda u: getattr(importlib.import_module("sympy"), name)(u)


_EVEN, _ODD = reflected(1.0), reflected(-1.0)
_POSITIVE = (0.0, math.inf)


def _power(name: str, degree: int, complexity: int) -> Univariate:
    pole, even = (0.0 if degree < 0 else None), degree % 2 == 0
    gauge = (homogeneous(degree), _EVEN if even else _ODD)
    power = lambda u: u**degree  # noqa: E731
    return Univariate(
        name, power, power, complexity, pole=pole, free="b", even_or_odd=True, gauges=gauge
    )


def _entire(name: str, compute: Any, symbol: Any, complexity: int, gauge: Gauge) -> Univariate:
    return Univariate(name, compute, symbol, complexity, even_or_odd=True, gauges=(gauge,))


_SIN = Univariate(
    *("sin", torch.sin, _sympy("sin"), 2),
    period=2 * math.pi,
    even_or_odd=True,
    gauges=(_ODD, periodic(math.pi, -1.0)),
)
_TANH = _entire("tanh", torch.tanh, _sympy("tanh"), 3, _ODD)
_ARCSIN = Univariate(
    *("arcsin", torch.asin, _sympy("asin"), 4),
    domain=(-1.0, 1.0),
    even_or_odd=True,
    gauges=(_ODD,),
)

_ALL = (
    Univariate("0", torch.zeros_like, lambda u: 0 * u, 0, free="", even_or_odd=True),
    Univariate(
        *("x", lambda u: u, lambda u: u, 1),
        free="",
        even_or_odd=True,
        gauges=(linear,),
    ),
    _power("x^2", 2, 2),
    _power("x^3", 3, 3),
    _power("x^4", 4, 3),
    _power("1/x", -1, 2),
    _power("1/x^2", -2, 3),
    _power("1/x^3", -3, 4),
    Univariate(
        *("sqrt", torch.sqrt, _sympy("sqrt"), 2),
        domain=_POSITIVE,
        free="b",
        gauges=(homogeneous(0.5),),
    ),
    Univariate(
        *("1/sqrt", torch.rsqrt, lambda u: 1 / _sympy("sqrt")(u), 3),
        domain=_POSITIVE,
        free="b",
        gauges=(homogeneous(-0.5),),
    ),
    Univariate(
        *("abs", torch.abs, _sympy("Abs"), 3),
        free="b",
        even_or_odd=True,
        gauges=(homogeneous(1.0), _EVEN),
    ),
    Univariate("exp", torch.exp, _sympy("exp"), 2, free="a", gauges=(exponential,)),
    Univariate(
        *("log", torch.log, _sympy("log"), 2),
        domain=_POSITIVE,
        free="b",
        gauges=(logarithmic,),
    ),
    _SIN,
    Univariate(
        *("cos", torch.cos, _sympy("cos"), 2),
        period=2 * math.pi,
        even_or_odd=True,
        gauges=(_EVEN, periodic(math.pi, -1.0)),
        twin=Twin(_SIN, 1.0, math.pi / 2, 1.0, 0.0),
    ),
    Univariate(
        *("tan", torch.tan, _sympy("tan"), 3),
        pole=math.pi / 2,
        period=math.pi,
        even_or_odd=True,
        gauges=(_ODD, periodic(math.pi)),
    ),
    _TANH,
    _entire("sinh", torch.sinh, _sympy("sinh"), 3, _ODD),
    _entire("cosh", torch.cosh, _sympy("cosh"), 3, _EVEN),
    _ARCSIN,
    Univariate(
        *("arccos", torch.acos, _sympy("acos"), 4),
        domain=(-1.0, 1.0),
        gauges=(reflected(-1.0, math.pi),),
        twin=Twin(_ARCSIN, 1.0, 0.0, -1.0, math.pi / 2),
    ),
    _entire("arctan", torch.atan, _sympy("atan"), 4, _ODD),
    Univariate(
        *("arctanh", torch.atanh, _sympy("atanh"), 4),
        domain=(-1.0, 1.0),
        even_or_odd=True,
        gauges=(_ODD,),
    ),
    _entire("gaussian", lambda u: torch.exp(-u * u), lambda u: _sympy("exp")(-(u**2)), 3, _EVEN),
    Univariate(
        *("sigmoid", torch.sigmoid, lambda u: 1 / (1 + _sympy("exp")(-u)), 3),
        gauges=(reflected(-1.0, 1.0),),
        twin=Twin(_TANH, 0.5, 0.0, 0.5, 0.5),
    ),
    Univariate(
        *("sgn", torch.sign, _sympy("sign"), 3),
        free="b",
        even_or_odd=True,
        jumps=True,
        gauges=(homogeneous(0.0), _ODD),
    ),
    _entire("j0", bessel_j0, lambda u: importlib.import_module("sympy").besselj(0, u), 4, _EVEN),
)

LIBRARY: dict[str, Univariate] = {function.name: function for function in _ALL}
