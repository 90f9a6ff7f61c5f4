"""What an expression may use: constants, functions, operators, and how torch computes them."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

MANY = 255  # arguments, as many as Python takes


@dataclass(frozen=True)
class Function:
    """compute: of tensors, or of tensors and numbers where it is `mixed`; least, most: arguments.

    truth: whether it gives a condition; of: whether its arguments are conditions ("first": that
    one alone).
    """

    compute: Callable[..., Any]
    least: int = 1
    most: int = 1
    mixed: bool = False
    truth: bool = False
    of: str = "none"


def _fold(compute: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: functools.reduce(compute, values)


CONSTANTS = {"pi": math.pi, "e": math.e}
FUNCTIONS = {
    name: Function(getattr(torch, name))
    for name in (
        *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
        *("exp", "log", "sqrt", "abs", "sign", "erf"),
    )
} | {
    "atan2": Function(torch.atan2, 2, 2),
    "min": Function(_fold(torch.minimum), 2, MANY),
    "max": Function(_fold(torch.maximum), 2, MANY),
    "where": Function(torch.where, 3, 3, of="first"),
}
JUMPS = ("sign", "where")  # what need not be continuous
OPERATORS = {
    "Add": Function(lambda a, b: a + b, 2, 2, mixed=True),
    "Sub": Function(lambda a, b: a - b, 2, 2, mixed=True),
    "Mult": Function(lambda a, b: a * b, 2, 2, mixed=True),
    "Div": Function(lambda a, b: a / b, 2, 2, mixed=True),
    "Pow": Function(lambda a, b: a**b, 2, 2, mixed=True),  # x**2 has all derivatives at 0
    "USub": Function(lambda a: -a, mixed=True),
    "UAdd": Function(lambda a: a, mixed=True),
    "Lt": Function(lambda a, b: a < b, 2, 2, mixed=True, truth=True),
    "LtE": Function(lambda a, b: a <= b, 2, 2, mixed=True, truth=True),
    "Gt": Function(lambda a, b: a > b, 2, 2, mixed=True, truth=True),
    "GtE": Function(lambda a, b: a >= b, 2, 2, mixed=True, truth=True),
    "And": Function(_fold(torch.logical_and), 2, MANY, truth=True, of="all"),
    "Or": Function(_fold(torch.logical_or), 2, MANY, truth=True, of="all"),
    "Not": Function(torch.logical_not, truth=True, of="all"),
}
