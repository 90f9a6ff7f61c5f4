"""Formulas as functions of points."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.geometry.points import Points
from kanpinn.pde.expressions.parsing import parse
from kanpinn.pde.expressions.tree import CONSTANTS, FUNCTIONS, Node


@dataclass(frozen=True, init=False, repr=False)
class Expression:
    """A formula in the coordinates, `Expression("sin(k*x) + y**2", k=3)`, as a function of points.

    It has numbers, coordinates, parameters, pi, e, + - * / **, the functions sin, cos, tan, asin,
    acos, atan, atan2, sinh, cosh, tanh, exp, log, sqrt, abs, sign, erf, min, max, and
    where(condition, a, b) with < <= > >= and, or, not. The text is parsed, never evaluated.

    Args:
        text: the formula.
        parameters: numbers for further names in it.

    Raises:
        InputError: in one line, with the column, for what is no formula or not of this list.
    """

    text: str
    parameters: tuple[tuple[str, float], ...]
    tree: Node = field(compare=False)

    def __init__(self, text: str, /, **parameters: float | int) -> None:
        check_parameters(parameters)
        values = {name: float(value) for name, value in parameters.items()}
        text = " ".join(text.split())  # a formula may take several lines
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "parameters", tuple(values.items()))
        object.__setattr__(self, "tree", parse(text, values))

    def __repr__(self) -> str:
        given = "".join(f", {name}={value}" for name, value in self.parameters)
        return f"Expression({show(self.text)}{given})"

    @property
    def constant(self) -> float | None:
        """Its value where it is the same everywhere, otherwise None."""
        return self.tree.constant

    @property
    def names(self) -> tuple[str, ...]:
        """The coordinates in it, in the order of their first appearance."""
        return self.tree.names

    @property
    def functions(self) -> frozenset[str]:
        """The functions in it."""
        return self.tree.functions & {*FUNCTIONS}

    def check(self, coordinates: Sequence[str]) -> None:
        """Refuse what has no meaning at points with these coordinates.

        Raises:
            InputError: for a name in it that is unknown, or a coordinate that means something else.
        """
        given = {name for name, _ in self.parameters}
        if doubly := {*coordinates} & {*CONSTANTS, *FUNCTIONS, *given}:
            raise InputError(
                f"{show(self.text)}: {min(doubly)} is a coordinate, and a constant, a function or "
                "a parameter as well"
            )
        known = [*coordinates, *given]
        for name in self.names:
            if name not in known:
                hint = nearest(name, [*known, *CONSTANTS, *FUNCTIONS])
                there = f" (the names are {', '.join([*known, *CONSTANTS])})"
                raise InputError(f"{show(self.text)}: unknown name {name}{hint}{there}")

    def __call__(self, p: Points) -> Tensor:
        """The values (n, 1), differentiable in the coordinates.

        Raises:
            InputError: for a name in it that is none of the points' coordinates.
        """
        self.check(p.names)
        constant = self.tree.constant
        return self.tree.at(p) if constant is None else torch.full_like(p.coords[:, :1], constant)


def check_parameters(parameters: Mapping[str, float | int]) -> None:
    """Refuse parameters of formulas that are no finite numbers, or called like what is known.

    Raises:
        InputError: naming the parameter.
    """
    for name, value in parameters.items():
        if name in CONSTANTS or name in FUNCTIONS:
            raise InputError(f"parameters cannot have {name}, which has a meaning already")
        real = isinstance(value, Real) and type(value) is not bool
        if not real or not math.isfinite(value):
            raise InputError(f"parameters.{name} must be a finite number, got {value!r}")
