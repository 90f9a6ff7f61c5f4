"""Composition of a graph of formulas to sympy expressions, and their evaluation on tensors."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.interpret.formulas.rounding import Rounded
from kanpinn.interpret.univariate.bessel import bessel_j0


def compose(rounded: Rounded, symbols: Sequence[Any]) -> list[Any]:
    """Return the outputs of a graph as sympy expressions in the symbols of its inputs."""
    import sympy

    units = list(symbols)
    for layer, size in enumerate(rounded.graph.width[1:]):
        products = {o for at, o in rounded.graph.products if at == layer}
        joined = [sympy.Integer(int(o in products)) for o in range(size)]
        for key, curve in sorted(rounded.graph.formulas().items()):
            if key[0] == layer:
                a, b, c, d = (_constant(rounded, key, name) for name in "abcd")
                term = c * curve.function.symbol(a * units[key[1]] + b) + d
                o = key[2]
                joined[o] = joined[o] * term if o in products else joined[o] + term
        units = joined
    return units


def _constant(rounded: Rounded, key: Any, name: str) -> Any:
    """Return a constant as a sympy number: the recognised one, 0, 1 or -1, or else a float."""
    import sympy

    if (key, name) in rounded.exact:
        return rounded.exact[key, name]
    value = getattr(rounded.graph.edges[key], name)
    return sympy.Integer(int(value)) if value in (0, 1, -1) else sympy.Float(value, 17)


Function = Callable[..., Tensor]

_FUNCTIONS: Mapping[str, Function] = {
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "cot": lambda t: 1 / torch.tan(t),
    "sec": lambda t: 1 / torch.cos(t),
    "csc": lambda t: 1 / torch.sin(t),
    "exp": torch.exp,
    "log": torch.log,
    "Abs": torch.abs,
    "sign": torch.sign,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "besselj": lambda _, t: bessel_j0(t),
}


def evaluate_expression(expression: Any, symbols: Sequence[Any], x: Tensor) -> Tensor:
    """Return the values (n,) of a sympy expression at x (n, d), differentiable by torch.

    The expression tree is walked; no code is compiled from text.

    Args:
        expression: a sympy expression.
        symbols: its symbols, one for each column of x.
        x: the points, (n, d).

    Raises:
        InputError: if the expression has a function that cannot be evaluated.
    """
    if expression in symbols:
        return x[:, list(symbols).index(expression)]
    if expression.is_number:
        return x.new_full((len(x),), float(expression))
    arguments = [evaluate_expression(part, symbols, x) for part in expression.args]
    if expression.is_Add:
        return reduce(torch.add, arguments)
    if expression.is_Mul:
        return reduce(torch.mul, arguments)
    if expression.is_Pow:
        return _power(arguments[0], expression.args[1], arguments[1])
    name = type(expression).__name__
    if name not in _FUNCTIONS:
        raise InputError(f"the formula has a function that cannot be evaluated, {name}")
    return _FUNCTIONS[name](*arguments)


def _power(base: Tensor, exponent: Any, values: Tensor) -> Tensor:
    """Return base ** exponent; constant exponents are plain numbers, exact at negative bases."""
    if not exponent.is_number:
        return base**values
    if math.isclose(float(exponent), 0.5):
        return base.sqrt()
    return base ** (int(exponent) if exponent.is_Integer else float(exponent))
