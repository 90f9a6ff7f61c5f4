"""Formulas as text, such as "sin(k*x) + y**2": functions of points in a part of Python's syntax.

The text is parsed into a tree; it is never evaluated as Python.
"""

import ast
import functools
import itertools
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, nearest, show
from kanpinn.geometry.points import Points


@dataclass(frozen=True)
class Function:
    """A function or an operator that may stand in a formula.

    Args:
        compute: a function that computes the values from the values of the arguments. These are
            tensors, or tensors and Python numbers if `mixed` is True.
        least, most: the smallest and largest number of arguments, at most 255.
        mixed: whether constant arguments are passed as Python numbers.
        truth: whether the result is a condition (true or false), not a number.
        of: the arguments that are conditions: "none", "all", or only the "first".
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
ARITHMETIC = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "Pow": operator.pow,  # a Python number as exponent gives all derivatives of x**2 at 0
}
COMPARISONS = {"Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt, "GtE": operator.ge}
OPERATORS = {
    **{name: Function(compute, 2, 2, mixed=True) for name, compute in ARITHMETIC.items()},
    **{name: Function(one, 2, 2, mixed=True, truth=True) for name, one in COMPARISONS.items()},
    "USub": Function(operator.neg, mixed=True),
    "UAdd": Function(operator.pos, mixed=True),
    "And": Function(lambda *v: functools.reduce(torch.logical_and, v), 2, 255, False, True, "all"),
    "Or": Function(lambda *v: functools.reduce(torch.logical_or, v), 2, 255, False, True, "all"),
    "Not": Function(torch.logical_not, truth=True, of="all"),
}
KNOWN = FUNCTIONS | OPERATORS


@dataclass(frozen=True)
class Node:
    """A node of a formula's tree, which represents the formula or a part of the formula.

    Args:
        name: the name of a function, an operator, a coordinate or an unknown parameter of the
            problem; empty for a constant.
        arguments: the arguments of a function or operator; empty for other nodes.
        constant: the value of a constant, a number or a condition that is true or false at all
            points; None for any other node.
    """

    name: str = ""
    arguments: "tuple[Node, ...]" = ()
    constant: float | bool | None = None

    def walk(self) -> "Iterator[Node]":
        """Yield the node and all nodes below it, parents before their arguments."""
        yield self
        for argument in self.arguments:
            yield from argument.walk()

    @property
    def is_truth(self) -> bool:
        """True if the node's values are conditions (true or false), not numbers."""
        return KNOWN[self.name].truth if self.arguments else type(self.constant) is bool

    def at(self, p: Points) -> Tensor:
        """Return the values at n points, (n, 1), or of shape () for a constant."""
        if self.constant is not None:
            dtype = torch.bool if self.is_truth else p.coords.dtype
            return torch.tensor(self.constant, dtype=dtype, device=p.coords.device)
        result: Tensor
        if not self.arguments:
            result = getattr(p, self.name)
            return result
        mixed = KNOWN[self.name].mixed
        values = (
            argument.constant if mixed and argument.constant is not None else argument.at(p)
            for argument in self.arguments
        )
        result = KNOWN[self.name].compute(*values)
        return result


HINTS: dict[type[ast.AST], str] = {
    ast.BitXor: "powers are written x**2",
    ast.FloorDiv: "division is written x / y",
}


class Refused(Exception):
    """The reason why a formula is refused, and the node of Python's syntax tree that causes it."""

    def __init__(self, reason: str, node: ast.AST) -> None:
        super().__init__(reason)
        self.reason, self.node = reason, node


def parse(text: str, parameters: Mapping[str, float]) -> Node:
    """Return the tree of a formula, with parameters inserted and constant parts evaluated.

    Args:
        text: the formula.
        parameters: the values of names that are no coordinates.

    Raises:
        InputError: if the text is empty, too long or no formula, or contains an element that is not
            permitted. The message has one line, mostly with the column in the text.
    """
    if not text:
        raise InputError("a formula is empty: expected one such as sin(pi*x)")
    if len(text) > (most := 10_000):  # longer texts take long to parse
        raise InputError(f"{show(text)}: has {len(text)} characters, at most {most} are taken")
    try:
        tree = _read(text)
        level: list[ast.AST] = [tree]
        for _ in range(deepest := 60):  # bounds the depth of recursions on the tree
            level = [child for node in level for child in ast.iter_child_nodes(node)]
        if level:
            raise Refused(f"is nested more than {deepest} deep", level[0])
        return _node(tree, CONSTANTS | dict(parameters), truth=False)
    except Refused as fault:
        column = len(text.encode()[: getattr(fault.node, "col_offset", 0)].decode()) + 1
        raise InputError(f"{show(text)}: {fault.reason} (column {column})") from None


def _read(text: str) -> ast.expr:
    """Parse a text as a Python expression.

    Raises:
        Refused: if the text is no expression of Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python only warns of some faults, such as 2if
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        reason = (error.msg or "invalid syntax").partition(". Perhaps")[0]
        place = f" (column {error.offset})" if error.offset else ""
        raise InputError(f"{show(text)}: {reason}{place}") from None
    except (MemoryError, RecursionError):
        raise InputError(f"{show(text)}: is nested too deeply") from None
    except ValueError as error:  # a null character, an integer of thousands of digits
        raise InputError(f"{show(text)}: {str(error).partition(':')[0]}") from None


def _node(tree: ast.expr, values: Mapping[str, float], truth: bool) -> Node:
    """Translate Python's syntax tree into a formula's tree.

    Args:
        tree: Python's tree.
        values: the values of names that are no coordinates.
        truth: whether the formula has to be a condition; otherwise it has to be a number.

    Raises:
        Refused: for elements of Python's syntax that formulas cannot contain.
    """
    node = _any_node(tree, values)
    if truth and not node.is_truth:
        raise Refused("expected a condition such as x < 0", tree)
    if node.is_truth and not truth:
        raise Refused("a condition stands where a number should: use where(condition, a, b)", tree)
    return node


def _any_node(tree: ast.expr, values: Mapping[str, float]) -> Node:
    """Translate Python's syntax tree into a formula's tree, whether a number or a condition.

    Args:
        tree: Python's tree.
        values: the values of names that are no coordinates.
    """
    match tree:
        case ast.Constant() if type(tree.value) in (int, float):
            try:
                value = float(tree.value)  # type: ignore[arg-type]
            except OverflowError:
                value = math.inf
            if value == math.inf:
                raise Refused("a number is too large", tree)
            return Node(constant=value)
        case ast.Name(id=name):
            if name in FUNCTIONS:
                raise Refused(f"{name} is a function: {name}(…)", tree)
            return Node(constant=values[name]) if name in values else Node(name)
        case ast.BinOp() | ast.UnaryOp() | ast.BoolOp():
            name = type(tree.op).__name__
            if name not in OPERATORS:
                hint = HINTS.get(type(tree.op), "only + - * / ** are allowed")
                raise Refused(f"the operator {name} is not allowed: {hint}", tree)
            operands = [
                child for child in ast.iter_child_nodes(tree) if isinstance(child, ast.expr)
            ]
            return _applied(name, operands, tree, values)
        case ast.Compare():
            pairs = itertools.pairwise([tree.left, *tree.comparators])
            parts = []
            for kind, pair in zip(tree.ops, pairs, strict=True):
                name = type(kind).__name__
                if name not in OPERATORS:
                    raise Refused(f"the comparison {name} is not allowed: only < <= > >= are", tree)
                parts.append(_applied(name, list(pair), tree, values))
            return parts[0] if len(parts) == 1 else _folded("And", parts, tree)
        case ast.Call(func=ast.Name(id=name)):
            if name not in FUNCTIONS:
                known = f" (the functions are {', '.join(FUNCTIONS)})"
                raise Refused(f"unknown function {name}{nearest(name, FUNCTIONS) or known}", tree)
            if tree.keywords or ast.Starred in map(type, tree.args):
                raise Refused(f"{name} takes plain arguments only", tree)
            given, (least, most) = len(tree.args), (FUNCTIONS[name].least, FUNCTIONS[name].most)
            if not least <= given <= most:
                count = str(least) if least == most else f"{least} or more"
                raise Refused(f"{name} takes {count} argument{'s' * (most > 1)}, got {given}", tree)
            return _applied(name, tree.args, tree, values)
        case ast.Call():
            raise Refused("only functions by name can be called", tree)
        case ast.Attribute():
            raise Refused(f"attributes are not allowed, here .{tree.attr}", tree)
    raise Refused(f"{type(tree).__name__} is not allowed, only numbers and formulas are", tree)


def _applied(
    name: str, operands: Sequence[ast.expr], tree: ast.expr, values: Mapping[str, float]
) -> Node:
    """Return the node of a function or operator applied to its operands.

    Args:
        name: the name of the function or operator.
        operands: Python's trees of the operands.
        tree: Python's tree of the whole, for messages.
        values: the values of names that are no coordinates.
    """
    of = KNOWN[name].of
    arguments = [
        _node(operand, values, truth=of == "all" or (of == "first" and i == 0))
        for i, operand in enumerate(operands)
    ]
    power, most = (arguments[1].constant or 0) if name == "Pow" else 0, 64
    if abs(power) > most:  # larger powers amplify rounding, or are typing errors
        raise Refused(f"an exponent of {power:g} is too large: at most {most}", tree)
    return _folded(name, arguments, tree)


def _folded(name: str, arguments: Sequence[Node], tree: ast.expr) -> Node:
    """Return the node of a function or operator; a constant if all arguments are constants.

    Args:
        name: the name of the function or operator.
        arguments: the nodes of the arguments.
        tree: Python's tree of the whole, for messages.

    Raises:
        Refused: if the constant is not finite.
    """
    if any(argument.constant is None for argument in arguments):
        return Node(name, tuple(arguments))
    tensors = [
        torch.tensor(argument.constant, dtype=torch.bool if argument.is_truth else torch.float64)
        for argument in arguments
    ]
    value = KNOWN[name].compute(*tensors).item()
    if not math.isfinite(value):
        raise Refused(f"a constant is {value}, which is no finite number", tree)
    return Node(constant=value)


@dataclass(frozen=True, init=False, repr=False)
class Expression:
    """A formula in the coordinates, such as `Expression("sin(k*x) + y**2", k=3)`.

    An expression is a function of points, which returns (n, 1). The text may contain numbers,
    coordinates, parameters, pi, e, the operators + - * / **, the functions sin, cos, tan, asin,
    acos, atan, atan2, sinh, cosh, tanh, exp, log, sqrt, abs, sign, erf, min, max, and
    where(condition, a, b) with conditions made of < <= > >=, `and`, `or` and `not`. The text is
    parsed; it is never evaluated as Python.

    Args:
        text: the formula.
        parameters: the values of further names in the formula.

    Raises:
        InputError: if the text is no formula, or contains an element that is not listed above. The
            message has one line, mostly with the column in the text.

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
        vars(self).update(text=text, parameters=tuple(values.items()), tree=parse(text, values))

    def __repr__(self) -> str:
        given = "".join(f", {name}={value}" for name, value in self.parameters)
        return f"Expression({show(self.text)}{given})"

    @property
    def constant(self) -> float | None:
        """The value of a constant formula; None for other formulas."""
        return self.tree.constant

    @property
    def names(self) -> tuple[str, ...]:
        """The names of coordinates and unknown parameters in the formula, by first appearance."""
        leaves = (n for n in self.tree.walk() if n.constant is None and not n.arguments)
        return tuple(dict.fromkeys(leaf.name for leaf in leaves))

    @property
    def functions(self) -> frozenset[str]:
        """The names of the functions in the formula."""
        return frozenset(node.name for node in self.tree.walk() if node.arguments) & {*FUNCTIONS}

    def check(self, coordinates: Sequence[str]) -> None:
        """Refuse a formula that cannot be evaluated at points with the given coordinates.

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
            InputError: for a name in the formula that is neither a coordinate nor an unknown
                parameter of the points, or a coordinate with the name of a constant, function or
                parameter.
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
