"""The tree of an expression, and its values at points."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Union

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry.points import Points
from kanpinn.pde.expressions.functions import FUNCTIONS, OPERATORS, Function


@dataclass(frozen=True)
class Coordinate:
    """A coordinate, by its name."""

    name: str


@dataclass(frozen=True)
class Apply:
    """A function of FUNCTIONS or OPERATORS applied to one or more trees."""

    name: str
    arguments: tuple["Node", ...]

    @property
    def function(self) -> Function:
        return FUNCTIONS[self.name] if self.name in FUNCTIONS else OPERATORS[self.name]


Node = Union[float, bool, Coordinate, Apply]  # noqa: UP007 (the name in quotes)


def is_truth(node: Node) -> bool:
    """Whether it is a condition, not a number."""
    return node.function.truth if isinstance(node, Apply) else isinstance(node, bool)


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    if isinstance(node, Apply):
        for argument in node.arguments:
            yield from walk(argument)


def folded(node: Apply) -> Node:
    """The node, or its value where all its arguments are constants.

    Raises:
        InputError: where that is no finite number.
    """
    if not all(isinstance(argument, float | bool) for argument in node.arguments):
        return node
    constants = [
        torch.tensor(a, dtype=torch.bool if isinstance(a, bool) else torch.float64)
        for a in node.arguments
    ]
    value = node.function.compute(*constants).item()
    if not math.isfinite(value):
        raise InputError(f"a constant is {value}, which is no finite number")
    return value


def evaluate(node: Node, p: Points) -> Tensor | float | bool:
    """The values at points, (n, 1); those of a constant are itself."""
    if isinstance(node, Coordinate):
        axis = p.names.index(node.name)
        return p.coords[:, axis : axis + 1]
    if not isinstance(node, Apply):
        return node
    values = [evaluate(argument, p) for argument in node.arguments]
    if not node.function.mixed:
        values = [v if isinstance(v, Tensor) else _tensor(v, p) for v in values]
    return node.function.compute(*values)


def _tensor(value: float | bool, p: Points) -> Tensor:
    dtype = torch.bool if isinstance(value, bool) else p.coords.dtype
    return torch.tensor(value, dtype=dtype, device=p.coords.device)
