"""From a result to a formula."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial

from kanpinn._support.errors import InputError, integer, number
from kanpinn.interpret.deadline import NEVER, Deadline
from kanpinn.interpret.formulas.formula import Formula, formula_of
from kanpinn.interpret.graphs.graph import Graph, Key, check_edges
from kanpinn.interpret.graphs.own import own_graph
from kanpinn.interpret.graphs.rows import Rows
from kanpinn.interpret.hypotheses import hypotheses
from kanpinn.interpret.search import EXACT, Found, Search
from kanpinn.interpret.shapes import Shape
from kanpinn.interpret.sources import (
    Result,
    accuracy_of,
    misfit_of,
    rows_of,
    source_of,
)
from kanpinn.interpret.univariate.library import Univariate, functions
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.problem import Problem
from kanpinn.solvers.solution import Solution

SHARE = 0.15  # of the time for one graph
NOISY = 0.05  # a fit that leaves more of its data is a bad one


def interpret(
    result: Result,
    library: Sequence[str | Univariate] | None = None,
    *,
    edges: Mapping[Key, Sequence[str | Univariate]] | None = None,
    shapes: Sequence[Shape] | None = None,
    seconds: float | int = 180.0,
    seed: int = 0,
) -> Formula:
    """Read a formula off a result: snap its edges to functions, or those of a smaller KAN.

    A small KAN's own edges are read first. If that gives no exact formula, others are fitted to
    the data (of a PDE: to the solution's values), until one gives one: sums of functions of one
    input each, sums of products of such, and what is left of wide KANs that are fitted under a
    penalty on edges and pruned. The best formula is returned, with the error it has. A solution's
    formula is checked in its equation.

    Args:
        result: of a solve or a fit of numbers, or what pruning left of one; nothing in it is
            changed.
        library: the functions that edges may be; all by default.
        edges: the functions for single edges, {(layer, input, output): names}, counted from 0.
        shapes: that are fitted when the network's own edges do not do, in place of those above;
            none if empty.
        seconds: the limit on processor time; a fit that has begun is finished.
        seed: of the choice of rows and of the fits.

    Raises:
        InputError: for classes, a surrogate that gives no finite values, or where no formula at
            all was found.
    """
    source = source_of(result)
    rows = rows_of(source, integer("seed", seed, least=0))
    number("seconds", seconds, above=True)
    if edges:
        check_edges(_readable(result.surrogate), edges)
    noise = misfit_of(source, rows)
    best: Formula | None = None
    deadline = NEVER.within(seconds)
    read = functions(library), edges or {}, shapes, deadline, seed
    for formula in _formulas(result, rows, noise, *read):
        if best is None or _rank(formula) < _rank(best):
            best = formula
        if _is_it(best, noise):
            break
    if best is None:
        raise InputError(_no_formula(deadline, seconds))
    return best


def _no_formula(deadline: Deadline, seconds: float | int) -> str:
    if deadline.over:
        return f"no formula was found in {seconds:g} s of processor time: more may do"
    return (
        "no formula was found: no function of the library fits the edges; a longer library, more "
        "rows, more accurate values or other shapes may do"
    )


def _readable(surrogate: Surrogate) -> Graph:
    graph = own_graph(surrogate)
    if graph is None:
        raise InputError("edges are for a KAN of splines alone, whose own edges are read")
    return graph


def _formulas(
    result: Result,
    rows: Rows,
    noise: float,
    library: Sequence[Univariate],
    edges: Mapping[Key, Sequence[str | Univariate]],
    shapes: Sequence[Shape] | None,
    deadline: Deadline,
    seed: int,
) -> Iterator[Formula]:
    """The best formula of each graph that may be one, until the time is over."""
    source = source_of(result)
    problem = source.problem if isinstance(source, Solution) else None
    accuracy = accuracy_of(source)
    hopeful = math.inf if problem is not None else max(noise, EXACT)
    for graph, own in hypotheses(result.surrogate, rows, noise, shapes, seed, deadline):
        # Rounding and simplifying take seconds, and the search's end asks for them, too.
        formula = cache(partial(_formula, rows=rows, problem=problem, origin=graph, own=own))
        search = Search(
            *(rows, library),
            accuracy=accuracy if own else EXACT,
            allowed=dict(edges) if own else {},
            deadline=deadline.within(SHARE * deadline.left),
            done=lambda f: f.error <= hopeful and _is_it(formula(f), noise),  # noqa: B023
        )
        yield from map(formula, search(graph)[:1])


def _formula(
    found: Found, rows: Rows, problem: Problem | None, origin: Graph, own: bool
) -> Formula:
    return formula_of(found.graph, rows, problem, origin, own)


def _is_it(formula: Formula, noise: float) -> bool:
    """Whether a formula is the function itself, as far as data with noise can tell."""
    if formula.is_identity or formula.error <= EXACT:
        return True
    return formula.exact_constants and formula.error <= min(noise, NOISY)


def _rank(formula: Formula) -> tuple[bool, float, int]:
    return not formula.is_identity, max(formula.error, EXACT), formula.complexity
