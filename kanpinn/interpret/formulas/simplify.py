"""Simplification of expressions: the shortest of several equivalent forms."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any


def simplest(expression: Any) -> Any:
    """Return the equivalent form with the fewest operations that sympy's transformations give.

    They undo the detours that products take through the edges of a network: sums of cosines and
    differences of squares become products, exponentials of logarithms become powers. A sequence of
    transformations ends at a form of more than 200 operations: it would not become the shortest,
    and sympy may take hours to factor it.
    """
    longest = 200
    found = {expression}
    for steps in _sequences():
        form = expression
        for step in steps:
            form = _tried(step, form)
            found.add(form)
            if form.count_ops() > longest:
                break
    return min(found, key=_length)


def _sequences() -> Sequence[Sequence[Callable[[Any], Any]]]:
    import sympy

    expand, factor, together = sympy.expand, sympy.factor, sympy.together
    angles, joined = lambda e: sympy.expand_trig(e), sympy.trigsimp
    logs = lambda e: sympy.expand_log(e)  # noqa: E731
    powers = lambda e: sympy.powsimp(sympy.expand_power_exp(e))  # noqa: E731
    basic = [
        [expand, factor],
        [angles, expand, factor],
        [angles, expand, joined, factor],
        [logs, expand, powers, factor],
        [powers, factor],
        [together, factor],
        [sympy.logcombine, expand],
        [_without_atanh],
    ]
    return [*basic, *([*steps, sympy.simplify] for steps in itertools.islice(basic, 2))]


def _without_atanh(expression: Any) -> Any:
    """Rewrite artanh by logarithms, as in 2 artanh(1 - 2/(x + 1)) = log x."""
    import sympy

    if not expression.has(sympy.atanh):
        return expression
    return sympy.simplify(sympy.together(expression.rewrite(sympy.log)))


def _tried(step: Callable[[Any], Any], expression: Any) -> Any:
    try:
        return step(expression)
    except (NotImplementedError, ValueError, TypeError, AttributeError, RecursionError):
        return expression  # sympy raises errors of several kinds where it fails


def _length(expression: Any) -> tuple[int, int]:
    """Return the numbers of operations and of characters; the latter prefers short constants."""
    return int(expression.count_ops()), len(str(expression))
