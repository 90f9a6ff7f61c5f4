"""The nodes of a formula's tree, which give values at points, and the permitted functions."""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry.points import Points


@dataclass(frozen=True)
class Function:
    """A function or an operator of formulas.

    Args:
        compute: computes the values from those of the arguments, which are tensors, or tensors and
            Python numbers where `mixed` is True.
        least, most: the smallest and largest number of arguments, at most 255.
        mixed: whether constant arguments are passed as Python numbers.
        truth: whether the result is a condition (true or false), not a number.
        of: which arguments are conditions: "none", "all", or only the "first".
    """

    compute: Callable[..., Any]
    least: int = 1
    most: int = 1
    mixed: bool = False
    truth: bool = False
    of: str = "none"


CONSTANTS = {"pi": math.pi, "e": math.e}
FUNCTIONS = {
    name: Function(getattr(torch, name))
    for name in (
        *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
        *("exp", "log", "sqrt", "abs", "sign", "erf"),
    )
} | {
    "atan2": Function(torch.atan2, 2, 2),
    "min": Function(lambda *v: functools.reduce(torch.minimum, v), 2, 255),
    "max": Function(lambda *v: functools.reduce(torch.maximum, v), 2, 255),
    "where": Function(torch.where, 3, 3, of="first"),
}
JUMPS = ("sign", "where")  # functions that can be discontinuous
OPERATORS = {
    "Add": Function(lambda a, b: a + b, 2, 2, mixed=True),
    "Sub": Function(lambda a, b: a - b, 2, 2, mixed=True),
    "Mult": Function(lambda a, b: a * b, 2, 2, mixed=True),
    "Div": Function(lambda a, b: a / b, 2, 2, mixed=True),
    # With a Python number as exponent, autograd gives all derivatives of x**2 at 0.
    "Pow": Function(lambda a, b: a**b, 2, 2, mixed=True),
    "USub": Function(lambda a: -a, mixed=True),
    "UAdd": Function(lambda a: a, mixed=True),
    "Lt": Function(lambda a, b: a < b, 2, 2, mixed=True, truth=True),
    "LtE": Function(lambda a, b: a <= b, 2, 2, mixed=True, truth=True),
    "Gt": Function(lambda a, b: a > b, 2, 2, mixed=True, truth=True),
    "GtE": Function(lambda a, b: a >= b, 2, 2, mixed=True, truth=True),
    "And": Function(
        lambda *v: functools.reduce(torch.logical_and, v), 2, 255, truth=True, of="all"
    ),
    "Or": Function(lambda *v: functools.reduce(torch.logical_or, v), 2, 255, truth=True, of="all"),
    "Not": Function(torch.logical_not, truth=True, of="all"),
}


class Node(ABC):
    """A node of a formula's tree: the root of a formula or of a part of it."""

    @property
    def constant(self) -> float | bool | None:
        """The value of a constant node, or None for any other."""
        return None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of coordinates below the node, in the order of their first appearance."""
        return ()

    @property
    def functions(self) -> frozenset[str]:
        """The names of the functions and operators at and below the node."""
        return frozenset()

    @property
    def is_truth(self) -> bool:
        """Whether the values are conditions (true or false), not numbers."""
        return False

    @abstractmethod
    def at(self, p: Points) -> Tensor:
        """Return the values at n points, (n, 1), or of shape () for a constant."""


@dataclass(frozen=True)
class Constant(Node):
    """A constant: a number, or a condition that is true or false at all points."""

    value: float | bool

    @property
    def constant(self) -> float | bool:
        return self.value

    @property
    def is_truth(self) -> bool:
        return type(self.value) is bool

    def at(self, p: Points) -> Tensor:
        dtype = torch.bool if self.is_truth else p.coords.dtype
        return torch.tensor(self.value, dtype=dtype, device=p.coords.device)


@dataclass(frozen=True)
class Coordinate(Node):
    """A coordinate of the points, or an unknown number, given by its name."""

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def at(self, p: Points) -> Tensor:
        found: Tensor = getattr(p, self.name)
        return found


@dataclass(frozen=True)
class Apply(Node):
    """A function from FUNCTIONS or OPERATORS, applied to one or more argument nodes."""

    name: str
    arguments: tuple[Node, ...]

    @property
    def function(self) -> Function:
        """The function or operator that is applied."""
        return FUNCTIONS[self.name] if self.name in FUNCTIONS else OPERATORS[self.name]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for one in self.arguments for name in one.names))

    @property
    def functions(self) -> frozenset[str]:
        return frozenset({self.name}).union(*(one.functions for one in self.arguments))

    @property
    def is_truth(self) -> bool:
        return self.function.truth

    def at(self, p: Points) -> Tensor:
        found: Tensor
        if self.function.mixed:
            values = [one.at(p) if one.constant is None else one.constant for one in self.arguments]
            found = self.function.compute(*values)
        else:
            found = self.function.compute(*(one.at(p) for one in self.arguments))
        return found

    def folded(self) -> Node:
        """Return the node itself, or its value as a constant if all arguments are constants.

        Raises:
            InputError: where the value is not finite.
        """
        constants = [one.constant for one in self.arguments]
        if None in constants:
            return self
        tensors = [
            torch.tensor(value, dtype=torch.bool if one.is_truth else torch.float64)
            for value, one in zip(constants, self.arguments, strict=True)
        ]
        value = self.function.compute(*tensors).item()
        if not math.isfinite(value):
            raise InputError(f"a constant is {value}, which is no finite number")
        return Constant(value)
