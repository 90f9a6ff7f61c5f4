"""Functions f of one variable for edge functions c f(a x + b) + d, and the library of functions f.

If f has a symmetry, several parameters (a, b, c, d) give one function c f(a x + b) + d. A gauge is
a rule that replaces parameters by parameters in a normal form, such as a = 1, that give the same
function.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy
import scipy.special
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, nearest, number

Parameters = tuple[float, float, float, float]
Gauge = Callable[[float, float, float, float], Parameters]


def linear(a: float, b: float, c: float, d: float) -> Parameters:
    """Rescale c (a x + b) + d so that a = 1 and b = 0; the function does not change.

    Returns:
        The new parameters (a, b, c, d).
    """
    return 1.0, 0.0, c * a, d + c * b


def exponential(a: float, b: float, c: float, d: float) -> Parameters:
    """Rescale the parameters of c exp(a x + b) + d so that b = 0; the function does not change.

    Since exp(u + b) = exp(b) exp(u), the addend b of the argument becomes the factor exp(b) of c.
    If |b| is above 300, where exp(b) might overflow or underflow, the parameters are not changed.

    Returns:
        The new parameters (a, b, c, d).
    """
    largest_exponent = 300.0
    return (a, b, c, d) if abs(b) > largest_exponent else (a, 0.0, c * math.exp(b), d)


def logarithmic(a: float, b: float, c: float, d: float) -> Parameters:
    """Rescale the parameters of c log(a x + b) + d so that a = ±1; the function does not change.

    Since log(λu) = log(u) + log(λ) for λ > 0, the factor |a| of the argument becomes the addend
    c log|a| of d.

    Returns:
        The new parameters (a, b, c, d).
    """
    return math.copysign(1.0, a), b / abs(a), c, d + c * math.log(abs(a))


def homogeneous(degree: float | int) -> Gauge:
    """Return a gauge that makes a = ±1 in c f(a x + b) + d.

    It is for functions with f(λu) = λ^degree f(u) for λ > 0: the factor |a| of the argument becomes
    the factor |a|^degree of c.
    """
    return lambda a, b, c, d: (math.copysign(1.0, a), b / abs(a), c * abs(a) ** degree, d)


def reflected(sign: float, shift: float = 0.0) -> Gauge:
    """Return a gauge that makes a ≥ 0 in c f(a x + b) + d, for f(-u) = sign f(u) + shift."""
    return lambda a, b, c, d: (-a, -b, sign * c, d + shift * c) if a < 0 else (a, b, c, d)


def periodic(period: float, sign: float = 1.0) -> Gauge:
    """Return a gauge that makes |b| ≤ period/2 in c f(a x + b) + d.

    It is for functions with f(u + period) = sign f(u).
    """

    def reduce(a: float, b: float, c: float, d: float) -> Parameters:
        """Reduce b by whole periods of f; the function c f(a x + b) + d does not change."""
        turns = round(b / period)
        return a, b - turns * period, c * sign**turns, d

    return reduce


@dataclass(frozen=True)
class Twin:
    """The relation f(u) = outer · g(inner · u + shift) + offset of a function f to its twin g.

    Args:
        of: the function g.
        inner, shift, outer, offset: the numbers in the relation.

    Every fit of g is also a fit of f, so that only g has to be fitted.
    """

    of: "Univariate"
    inner: float
    shift: float
    outer: float
    offset: float

    def parameters(self, a: float, b: float, c: float, d: float) -> Parameters:
        """Convert the parameters (a, b, c, d) of a fit of the twin g to parameters of f."""
        c = c / self.outer
        return a / self.inner, (b - self.shift) / self.inner, c, d - c * self.offset


@dataclass(frozen=True)
class Univariate:
    """A function f of one variable, for torch and for sympy, with the properties that a fit needs.

    An edge function is c f(a x + b) + d with parameters a, b, c and d. A user-defined function
    needs a name, `compute`, `symbol` and a `complexity`. Fits start from arguments near 0, so the
    characteristic features of f should lie there.

    Args:
        name: the name of the function, such as "sin".
        compute: f on float64 tensors, elementwise and differentiable.
        symbol: f as a sympy expression of a sympy argument.
        complexity: the cost of the function in scores and rankings.
        domain: the interval in which f is smooth, except possibly at its ends.
        pole: a point where f is not defined, repeated with `period`; None without a pole.
        period: the period of f; None if f is not periodic.
        free: the names of those of a and b that changes of c and d cannot replace: "", "a", "b" or
            "ab".
        even_or_odd: whether f(-u) = f(u) or f(-u) = -f(u).
        jumps: whether f is piecewise constant with one jump, at 0.
        gauges: the rules that bring a, b, c and d into a normal form, applied in this order.
        twin: the relation to a function whose fits are also fits of f; None if there is none.

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

        Arguments that are outside the domain by rounding errors only are moved to the end of the
        domain. The slope at an end of the domain may be infinite, as for sqrt at 0.
        """
        reach = 1e-12  # distance from the domain that counts as rounding
        low, high = self.domain
        if math.isinf(low) and math.isinf(high):
            return self.compute(u)
        excess = (u - u.clamp(low, high)).detach()
        return self.compute(u - torch.where(excess.abs() <= reach, excess, 0.0))

    def regular(self, low: numpy.ndarray, high: numpy.ndarray) -> numpy.ndarray:
        """Return, elementwise, whether [low, high] is in the domain and contains no pole."""
        inside = (low >= self.domain[0]) & (high <= self.domain[1])
        if self.pole is None:
            return inside
        if self.period is None:
            return inside & ((high < self.pole) | (low > self.pole))
        first, last = (numpy.floor((end - self.pole) / self.period) for end in (low, high))
        return inside & (first == last) & ((low - self.pole) % self.period > 0)

    def canonical(self, a: float, b: float, c: float, d: float) -> Parameters:
        """Return parameters in normal form of the function c f(a x + b) + d.

        The function does not change, but, for example, a is 1 for f(u) = u². If a is 0, and a or b
        is a free parameter of f, the parameters are not changed.

        Args:
            a, b, c, d: the parameters.

        Returns:
            The new parameters (a, b, c, d).
        """
        if self.free and a == 0:
            return a, b, c, d
        for gauge in self.gauges:
            a, b, c, d = gauge(a, b, c, d)
        return a, b, c, d


@dataclass(frozen=True)
class Symbolic:
    """The formula c f(a x + b) + d on an edge.

    Its `parameters` are a and b, if they are free (`Univariate.free`), then c and d.

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
    def constants(self) -> Parameters:
        """The four constants (a, b, c, d), free or not."""
        return self.a, self.b, self.c, self.d

    @property
    def free(self) -> str:
        """The names of the free parameters, one letter each, such as "abcd"."""
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
        slope = torch.where(slope.isinf(), 0.0, slope)  # as for sqrt at 0, the end of its domain
        f = f.detach()
        by = {"a": self.c * slope * x, "b": self.c * slope, "c": f, "d": torch.ones_like(f)}
        return self.a * self.c * slope, torch.stack([by[name] for name in self.free], dim=1)


def functions(names: Sequence[str | Univariate] | None = None) -> tuple[Univariate, ...]:
    """Return the functions with the given names, by default all functions of `LIBRARY`.

    Args:
        names: names of the library's functions, or `Univariate` objects, which are returned as
            they are.

    Raises:
        InputError: if a name is unknown or occurs twice, or if `names` is empty or a single string.
    """
    if isinstance(names, str):
        raise InputError(f"functions must be a sequence of names, such as ['sin'], got {names!r}")
    chosen: dict[str, Univariate] = {}
    for name in LIBRARY if names is None else names:
        if isinstance(name, str) and name not in LIBRARY:
            hint = f"{nearest(name, LIBRARY)} (the library has {', '.join(LIBRARY)})"
            raise InputError(f"unknown function {name!r}{hint}")
        function = LIBRARY[name] if isinstance(name, str) else name
        if function.name in chosen:
            raise InputError(f"functions must have different names, got {function.name!r} twice")
        chosen[function.name] = function
    if not chosen:
        raise InputError("functions must name at least one function of the library, got none")
    return tuple(chosen.values())


def _bessel(order: int) -> Callable[[Tensor], Tensor]:
    """Return the Bessel function J_n of the order n, elementwise and with all derivatives.

    The values are those of scipy, accurate to rounding: torch.special.bessel_j0 and bessel_j1 have
    errors of up to 5e-7 and no derivatives.
    """
    return lambda u: _Bessel.apply(u, order)


class _Bessel(torch.autograd.Function):
    """The Bessel function J_n(u), with J_n' = (J_{n-1} - J_{n+1}) / 2 and J_0' = -J_1."""

    @staticmethod
    def forward(u: Tensor, order: int) -> Tensor:
        return torch.as_tensor(scipy.special.jv(order, u.detach().cpu().numpy())).to(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        u, ctx.order = inputs
        ctx.save_for_backward(u)
        ctx.save_for_forward(u)

    @staticmethod
    def _slope(ctx: Any) -> Tensor:
        """Return the derivative of the Bessel function at the saved arguments."""
        (u,), n = ctx.saved_tensors, ctx.order
        return (_bessel(n - 1)(u) - _bessel(n + 1)(u)) / 2 if n else -_bessel(1)(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * _Bessel._slope(ctx), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return tangent * _Bessel._slope(ctx)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, None], u: Tensor, order: int
    ) -> tuple[Tensor, int | None]:
        return _Bessel.apply(u, order), in_dims[0]


bessel_j0 = _bessel(0)


def _sympy(name: str) -> Callable[[Any], Any]:
    """Return the function of SymPy with this name."""
    # Imported on first use, since importing sympy takes as long as a small fit.
    return lambda u: getattr(importlib.import_module("sympy"), name)(u)


EVEN, ODD = reflected(1.0), reflected(-1.0)
POSITIVE, UNIT = (0.0, math.inf), (-1.0, 1.0)


def _known(
    name: str, compute: Any, symbol: Any, complexity: int, *gauges: Gauge, **more: Any
) -> Univariate:
    """Return a function of the library, with `even_or_odd` set by its gauges.

    The arguments are those of `Univariate`, except that `symbol` may be the name of a function of
    sympy.
    """
    symbol = _sympy(symbol) if isinstance(symbol, str) else symbol
    more["even_or_odd"] = EVEN in gauges or ODD in gauges
    return Univariate(name, compute, symbol, complexity, gauges=gauges, **more)


def _power(name: str, degree: int, complexity: int) -> Univariate:
    """Return the function u ↦ u^degree for the library."""
    gauges, power = (homogeneous(degree), ODD if degree % 2 else EVEN), lambda u: u**degree
    pole = 0.0 if degree < 0 else None
    return _known(name, power, power, complexity, *gauges, pole=pole, free="b")


_exp = _sympy("exp")
_SIN = _known("sin", torch.sin, "sin", 2, ODD, periodic(math.pi, -1.0), period=2 * math.pi)
_TANH = _known("tanh", torch.tanh, "tanh", 3, ODD)
_ARCSIN = _known("arcsin", torch.asin, "asin", 4, ODD, domain=UNIT)
_ALL = (
    _known("0", torch.zeros_like, lambda u: 0 * u, 0, free=""),
    _known("x", lambda u: u, lambda u: u, 1, linear, free=""),
    _power("x^2", 2, 2),
    _power("x^3", 3, 3),
    _power("x^4", 4, 3),
    _power("1/x", -1, 2),
    _power("1/x^2", -2, 3),
    _power("1/x^3", -3, 4),
    _known("sqrt", torch.sqrt, "sqrt", 2, homogeneous(0.5), domain=POSITIVE, free="b"),
    _known(
        *("1/sqrt", torch.rsqrt, lambda u: 1 / _sympy("sqrt")(u), 3, homogeneous(-0.5)),
        domain=POSITIVE,
        free="b",
    ),
    _known("abs", torch.abs, "Abs", 3, homogeneous(1.0), EVEN, free="b"),
    _known("exp", torch.exp, "exp", 2, exponential, free="a"),
    _known("log", torch.log, "log", 2, logarithmic, domain=POSITIVE, free="b"),
    _SIN,
    _known(
        *("cos", torch.cos, "cos", 2, EVEN, periodic(math.pi, -1.0)),
        period=2 * math.pi,
        twin=Twin(_SIN, 1.0, math.pi / 2, 1.0, 0.0),
    ),
    _known("tan", torch.tan, "tan", 3, ODD, periodic(math.pi), pole=math.pi / 2, period=math.pi),
    _TANH,
    _known("sinh", torch.sinh, "sinh", 3, ODD),
    _known("cosh", torch.cosh, "cosh", 3, EVEN),
    _ARCSIN,
    _known(
        *("arccos", torch.acos, "acos", 4, reflected(-1.0, math.pi)),
        domain=UNIT,
        twin=Twin(_ARCSIN, 1.0, 0.0, -1.0, math.pi / 2),
    ),
    _known("arctan", torch.atan, "atan", 4, ODD),
    _known("arctanh", torch.atanh, "atanh", 4, ODD, domain=UNIT),
    _known("gaussian", lambda u: torch.exp(-u * u), lambda u: _exp(-(u**2)), 3, EVEN),
    _known(
        *("sigmoid", torch.sigmoid, lambda u: 1 / (1 + _exp(-u)), 3, reflected(-1.0, 1.0)),
        twin=Twin(_TANH, 0.5, 0.0, 0.5, 0.5),
    ),
    _known("sgn", torch.sign, "sign", 3, homogeneous(0.0), ODD, free="b", jumps=True),
    _known("j0", bessel_j0, lambda u: importlib.import_module("sympy").besselj(0, u), 4, EVEN),
)
LIBRARY: dict[str, Univariate] = {function.name: function for function in _ALL}
