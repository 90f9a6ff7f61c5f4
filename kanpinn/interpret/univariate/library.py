"""The library of univariate functions f for edges c f(a x + b) + d."""

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest
from kanpinn.interpret.univariate import gauges
from kanpinn.interpret.univariate.bessel import bessel_j0
from kanpinn.interpret.univariate.gauges import Gauge
from kanpinn.interpret.univariate.univariate import Twin, Univariate


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


_EVEN, _ODD = gauges.reflected(1.0), gauges.reflected(-1.0)
_POSITIVE = (0.0, math.inf)


def _power(name: str, degree: int, complexity: int) -> Univariate:
    pole, even = (0.0 if degree < 0 else None), degree % 2 == 0
    gauge = (gauges.homogeneous(degree), _EVEN if even else _ODD)
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
    gauges=(_ODD, gauges.periodic(math.pi, -1.0)),
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
        gauges=(gauges.linear,),
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
        gauges=(gauges.homogeneous(0.5),),
    ),
    Univariate(
        *("1/sqrt", torch.rsqrt, lambda u: 1 / _sympy("sqrt")(u), 3),
        domain=_POSITIVE,
        free="b",
        gauges=(gauges.homogeneous(-0.5),),
    ),
    Univariate(
        *("abs", torch.abs, _sympy("Abs"), 3),
        free="b",
        even_or_odd=True,
        gauges=(gauges.homogeneous(1.0), _EVEN),
    ),
    Univariate("exp", torch.exp, _sympy("exp"), 2, free="a", gauges=(gauges.exponential,)),
    Univariate(
        *("log", torch.log, _sympy("log"), 2),
        domain=_POSITIVE,
        free="b",
        gauges=(gauges.logarithmic,),
    ),
    _SIN,
    Univariate(
        *("cos", torch.cos, _sympy("cos"), 2),
        period=2 * math.pi,
        even_or_odd=True,
        gauges=(_EVEN, gauges.periodic(math.pi, -1.0)),
        twin=Twin(_SIN, 1.0, math.pi / 2, 1.0, 0.0),
    ),
    Univariate(
        *("tan", torch.tan, _sympy("tan"), 3),
        pole=math.pi / 2,
        period=math.pi,
        even_or_odd=True,
        gauges=(_ODD, gauges.periodic(math.pi)),
    ),
    _TANH,
    _entire("sinh", torch.sinh, _sympy("sinh"), 3, _ODD),
    _entire("cosh", torch.cosh, _sympy("cosh"), 3, _EVEN),
    _ARCSIN,
    Univariate(
        *("arccos", torch.acos, _sympy("acos"), 4),
        domain=(-1.0, 1.0),
        gauges=(gauges.reflected(-1.0, math.pi),),
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
        gauges=(gauges.reflected(-1.0, 1.0),),
        twin=Twin(_TANH, 0.5, 0.0, 0.5, 0.5),
    ),
    Univariate(
        *("sgn", torch.sign, _sympy("sign"), 3),
        free="b",
        even_or_odd=True,
        jumps=True,
        gauges=(gauges.homogeneous(0.0), _ODD),
    ),
    _entire("j0", bessel_j0, lambda u: importlib.import_module("sympy").besselj(0, u), 4, _EVEN),
)

LIBRARY: dict[str, Univariate] = {function.name: function for function in _ALL}
