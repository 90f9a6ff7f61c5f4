"""The shortest of the forms that an expression can be brought into."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any


def simplest(expression: Any) -> Any:
    """The form with the fewest operations that sympy's transformations lead to.

    Sums of cosines become products, logarithms and exponentials powers, differences of squares
    products: what the edges of a network have to spell out.
    """
    found = {expression}
    for steps in _sequences():
        form = expression
        for step in steps:
            form = _tried(step, form)
            found.add(form)
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
    """2 artanh(1 - 2/(x + 1)) is log x."""
    import sympy

    if not expression.has(sympy.atanh):
        return expression
    return sympy.simplify(sympy.together(expression.rewrite(sympy.log)))


def _tried(step: Callable[[Any], Any], expression: Any) -> Any:
    try:
        return step(expression)
    except (NotImplementedError, ValueError, TypeError, AttributeError, RecursionError):
        return expression  # sympy gives up on some forms in many ways


def _length(expression: Any) -> tuple[int, int]:
    """Operations, then characters; a float or a large fraction costs more than a small number."""
    return int(expression.count_ops()), len(str(expression))
