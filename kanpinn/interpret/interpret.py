"""The function `interpret`, which reads a formula off a result."""

import math
from collections.abc import Sequence
from functools import cache

from kanpinn._support.errors import InputError, integer, number
from kanpinn.interpret.formula import Formula, formula_of
from kanpinn.interpret.graph import NEVER
from kanpinn.interpret.hypotheses import hypotheses
from kanpinn.interpret.search import EXACT, Search
from kanpinn.interpret.sources import Result, accuracy_of, origin_of, rows_of
from kanpinn.interpret.univariate import Univariate, functions


def interpret(
    result: Result,
    library: Sequence[str | Univariate] | None = None,
    *,
    seconds: float | int = 180.0,
    seed: int = 0,
) -> Formula:
    """Return the best formula found for a result.

    The edges of the result's own network are read first if it is a small KAN of splines. If they
    give no exact formula, smaller KANs are fitted to the data (for a PDE: to the solution's
    values) and read, one after another, until one gives an exact formula: sums of functions of one
    input each, sums of products of such functions, and wide KANs that are fitted with a penalty on
    their edges and then pruned. A solution's formula is also inserted into its equation and its
    conditions (`Formula.defects`).

    Args:
        result: a `Solution`, a `Fitted` with numeric targets, or a `Pruned` of either; it is not
            changed.
        library: the functions that edges may be; all of `LIBRARY` by default.
        seconds: the limit on processor time; a fit that has begun is finished.
        seed: the seed for the choice of rows and for the random starts of the fits.

    Returns:
        The formula with the smallest error, where one that solves the problem to rounding comes
        first and equal errors are decided by the number of operations.

    Raises:
        InputError: if the targets are classes, the surrogate has values that are not finite, or no
            formula was found.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import interpret
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, torch.sin(3 * x)))
        >>> interpret(fitted, ["sin", "x^2"]).expressions
        (sin(3*x0),)
    """
    integer("seed", seed, least=0)
    number("seconds", seconds, above=True)
    source = origin_of(result)
    rows, problem = rows_of(source, seed), getattr(source, "problem", None)
    share = 0.15  # share of the remaining time that the search on one graph may take
    (accuracy, noise), chosen = accuracy_of(source, rows), functions(library)
    hopeful = math.inf if problem is not None else max(noise, EXACT)
    best: Formula | None = None
    deadline = NEVER.within(seconds)
    for graph, is_own in hypotheses(result.surrogate, rows, noise, seed, deadline):
        # Cached because it takes seconds and is needed twice: by `done` and for the result.
        formula = cache(lambda f: formula_of(f.graph, rows, problem, graph, is_own))  # noqa: B023
        search = Search(
            *(rows, chosen, accuracy if is_own else EXACT),
            deadline=deadline.within(share * deadline.left),
            done=lambda f: f.error <= hopeful and _is_it(formula(f), noise),  # noqa: B023
        )
        for found in search(graph)[:1]:
            best = formula(found) if best is None else min(best, formula(found), key=_rank)
        if best is not None and _is_it(best, noise):
            return best
    if best is None and deadline.over:
        raise InputError(
            f"no formula was found in {seconds:g} s of processor time: more time may help"
        )
    if best is None:
        raise InputError(
            "no formula was found: no function of the library fits the edges; a longer library, "
            "more rows, more accurate values or other shapes may help"
        )
    return best


def _is_it(formula: Formula, noise: float) -> bool:
    """True if a formula cannot be improved: it is exact, or its error is that of the noise."""
    if formula.is_identity or formula.error <= EXACT:
        return True
    noisy = 0.05  # the largest relative error at which a formula of noisy data ends the search
    return formula.exact_constants and formula.error <= min(noise, noisy)


def _rank(formula: Formula) -> tuple[bool, float, int]:
    return not formula.is_identity, max(formula.error, EXACT), formula.complexity
