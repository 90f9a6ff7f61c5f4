"""Parses the text of a formula into its tree.

Formulas have Python's syntax, restricted to a whitelist. The text is never evaluated as Python.
"""

import ast
import itertools
import warnings
from collections.abc import Mapping

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.pde.expressions.tree import (
    CONSTANTS,
    FUNCTIONS,
    OPERATORS,
    Apply,
    Constant,
    Coordinate,
    Node,
)

HINTS: dict[type[ast.AST], str] = {
    ast.BitXor: "powers are written x**2",
    ast.FloorDiv: "division is written x / y",
}


class Fault(Exception):
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
        InputError: in one line, mostly with the column, where the text is empty, too long or no
            formula, or contains something that is not on the whitelist.
    """
    if not text:
        raise InputError("a formula is empty: expected one such as sin(pi*x)")
    if len(text) > (most := 10_000):  # longer texts take long to parse
        raise InputError(f"{show(text)}: has {len(text)} characters, at most {most} are taken")
    try:
        tree = _read(text)
        _check_depth(tree)
        node = Parser(parameters).number(tree)
    except Fault as fault:
        column = len(text.encode()[: getattr(fault.node, "col_offset", 0)].decode()) + 1
        raise InputError(f"{show(text)}: {fault.reason} (column {column})") from None
    return node


def _read(text: str) -> ast.expr:
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


def _check_depth(tree: ast.AST, most: int = 60) -> None:
    """Refuse formulas that are nested too deeply for the recursive functions on their tree."""
    level = [tree]
    for _ in range(most):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise Fault(f"is nested more than {most} deep", level[0])


class Parser:
    """Translates Python's syntax tree into a formula's tree, and refuses all but the whitelist.

    Args:
        parameters: the values of names that are no coordinates.
    """

    def __init__(self, parameters: Mapping[str, float]) -> None:
        self.values = CONSTANTS | dict(parameters)

    def number(self, tree: ast.expr) -> Node:
        """Return the node of a tree whose values are numbers; refuse conditions."""
        node = self.node(tree)
        if node.is_truth:
            raise Fault(
                "a condition stands where a number should: use where(condition, a, b)", tree
            )
        return node

    def condition(self, tree: ast.expr) -> Node:
        """Return the node of a tree whose values are true or false; refuse numbers."""
        node = self.node(tree)
        if not node.is_truth:
            raise Fault("expected a condition such as x < 0", tree)
        return node

    def node(self, tree: ast.expr) -> Node:
        """Return the node of a tree whose values are numbers or conditions."""
        match tree:
            case ast.Constant() if type(tree.value) in (int, float):
                return self._constant(tree)
            case ast.Name():
                return self._name(tree)
            case ast.BinOp() | ast.UnaryOp() | ast.BoolOp():
                return self._operation(tree)
            case ast.Compare():
                return self._comparison(tree)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, tree)
            case ast.Call():
                raise Fault("only functions by name can be called", tree)
            case ast.Attribute():
                raise Fault(f"attributes are not allowed, here .{tree.attr}", tree)
        raise Fault(f"{type(tree).__name__} is not allowed, only numbers and formulas are", tree)

    def _constant(self, tree: ast.Constant) -> Node:
        try:
            value = float(tree.value)  # type: ignore[arg-type]
        except OverflowError:
            value = float("inf")
        if value == float("inf"):
            raise Fault("a number is too large", tree)
        return Constant(value)

    def _name(self, tree: ast.Name) -> Node:
        if tree.id in FUNCTIONS:
            raise Fault(f"{tree.id} is a function: {tree.id}(…)", tree)
        if tree.id in self.values:
            return Constant(self.values[tree.id])
        return Coordinate(tree.id)

    def _operation(self, tree: ast.BinOp | ast.UnaryOp | ast.BoolOp) -> Node:
        name = type(tree.op).__name__
        if name not in OPERATORS:
            hint = HINTS.get(type(tree.op), "only + - * / ** are allowed")
            raise Fault(f"the operator {name} is not allowed: {hint}", tree)
        match tree:
            case ast.BinOp():
                operands = [tree.left, tree.right]
            case ast.UnaryOp():
                operands = [tree.operand]
            case ast.BoolOp():
                operands = tree.values
        return self._apply(name, operands, tree)

    def _comparison(self, tree: ast.Compare) -> Node:
        pairs = itertools.pairwise([tree.left, *tree.comparators])
        parts = []
        for operator, pair in zip(tree.ops, pairs, strict=True):
            name = type(operator).__name__
            if name not in OPERATORS:
                raise Fault(f"the comparison {name} is not allowed: only < <= > >= are", tree)
            parts.append(self._apply(name, list(pair), tree))
        return parts[0] if len(parts) == 1 else self._folded("And", parts, tree)

    def _call(self, name: str, tree: ast.Call) -> Node:
        given = len(tree.args)
        if name not in FUNCTIONS:
            known = f" (the functions are {', '.join(FUNCTIONS)})"
            raise Fault(f"unknown function {name}{nearest(name, FUNCTIONS) or known}", tree)
        if tree.keywords or ast.Starred in map(type, tree.args):
            raise Fault(f"{name} takes plain arguments only", tree)
        least, most = FUNCTIONS[name].least, FUNCTIONS[name].most
        if not least <= given <= most:
            count = str(least) if least == most else f"{least} or more"
            raise Fault(f"{name} takes {count} argument{'s' * (most > 1)}, got {given}", tree)
        return self._apply(name, tree.args, tree)

    def _apply(self, name: str, operands: list[ast.expr], tree: ast.expr) -> Node:
        of = (FUNCTIONS.get(name) or OPERATORS[name]).of
        arguments = [
            (self.condition if of == "all" or (of == "first" and i == 0) else self.number)(operand)
            for i, operand in enumerate(operands)
        ]
        power, most = (arguments[1].constant or 0) if name == "Pow" else 0, 64
        if abs(power) > most:  # such powers amplify rounding, or are typing errors
            raise Fault(f"an exponent of {power:g} is too large: at most {most}", tree)
        return self._folded(name, arguments, tree)

    def _folded(self, name: str, arguments: list[Node], tree: ast.expr) -> Node:
        try:
            return Apply(name, tuple(arguments)).folded()
        except InputError as error:
            raise Fault(str(error), tree) from None
