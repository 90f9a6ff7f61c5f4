"""The class of formulas, which are functions of points, and the check of their parameters."""

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
    """A formula in the coordinates, such as `Expression("sin(k*x) + y**2", k=3)`.

    An expression is a function of points, which returns (n, 1). The text may contain numbers,
    coordinates, parameters, pi, e, the operators + - * / **, the functions sin, cos, tan, asin,
    acos, atan, atan2, sinh, cosh, tanh, exp, log, sqrt, abs, sign, erf, min, max, and
    where(condition, a, b) with < <= > >= and, or, not. It is parsed, and never evaluated as Python.

    Args:
        text: the formula.
        parameters: the values of further names in the formula.

    Raises:
        InputError: in one line, mostly with the column, for text that is no formula or contains
            anything else.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> wave = kp.Expression("sin(k*x) + y**2", k=3)
        >>> wave(kp.Points(torch.tensor([[0.0, 2.0]]), ("x", "y")))
        tensor([[4.]])
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
        """The value of a constant formula, or None for any other."""
        return self.tree.constant

    @property
    def names(self) -> tuple[str, ...]:
        """The names of coordinates in the formula, in the order of their first appearance."""
        return self.tree.names

    @property
    def functions(self) -> frozenset[str]:
        """The names of the functions in the formula."""
        return self.tree.functions & {*FUNCTIONS}

    def check(self, coordinates: Sequence[str]) -> None:
        """Refuse a formula that cannot be evaluated at points with these coordinates.

        Args:
            coordinates: the names of the coordinates.

        Raises:
            InputError: for an unknown name in the formula, or a coordinate with the name of a
                constant, function or parameter.
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
        """Return the values (n, 1) at n points, differentiable with respect to the coordinates.

        Raises:
            InputError: for a name in the formula that is none of the points' coordinates, or a
                coordinate with the name of a constant, function or parameter.
        """
        self.check([*p.names, *p.numbers])
        constant = self.tree.constant
        return self.tree.at(p) if constant is None else torch.full_like(p.coords[:, :1], constant)


def check_parameters(parameters: Mapping[str, float | int]) -> None:
    """Refuse parameters that are not finite numbers or have the name of a constant or function.

    Raises:
        InputError: naming the parameter.
    """
    for name, value in parameters.items():
        if name in CONSTANTS or name in FUNCTIONS:
            raise InputError(f"parameters cannot have {name}, which has a meaning already")
        real = isinstance(value, Real) and type(value) is not bool
        if not real or not math.isfinite(value):
            raise InputError(f"parameters.{name} must be a finite number, got {value!r}")
