"""From a result to a formula."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch

from kanpinn.datasets import Table
from kanpinn.errors import InputError, integer
from kanpinn.exactness import defects_of
from kanpinn.fitting import Fitted
from kanpinn.interpret.formulas.formula import Formula, Rows, formula_of
from kanpinn.interpret.graphs.graph import Graph, Key, check_edges, graph_of
from kanpinn.interpret.graphs.growth import grown, straightened, trimmed
from kanpinn.interpret.search import EXACT, Found, Search
from kanpinn.interpret.shapes import Shape, fits_of, fitted, graph_of_fit
from kanpinn.interpret.sparse import Skeleton, skeletons
from kanpinn.interpret.univariate.library import Univariate, functions
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.problem import Problem
from kanpinn.solution import Solution

MOST_ROWS, JUDGES = 2000, 0.25  # rows that are used, and the share of them to judge by
MOST_EDGES = 12  # of a network that is read edge by edge; wider ones only give their values
SHARE = 0.15  # of the time for one graph
CLEAR = 1e-5  # relative error of a shape that is the function's own
ROUGH = 1e-3  # and of one that may be, where its inner splines are too stiff
UNSTRUCTURED = 1e-2  # relative error of a shape that is not worth reading


def interpret(
    result: Solution | Fitted,
    library: Sequence[str | Univariate] | None = None,
    *,
    edges: Mapping[Key, Sequence[str | Univariate]] | None = None,
    shapes: Sequence[Shape] | None = None,
    seconds: float | int = 180.0,
    seed: int = 0,
) -> Formula:
    """Read a formula off a result: snap its edges to functions, or those of a smaller KAN.

    A small KAN's own edges are read first. If that gives no exact formula, wide KANs are fitted to
    the data (of a PDE: to the solution's values) under a penalty on edges and pruned, until one
    gives one; the best is returned, with the error it has. A solution's formula is checked in its
    equation.

    Args:
        result: of a solve or a fit of numbers; nothing in it is changed.
        library: the functions that edges may be; all by default.
        edges: the functions for single edges, {(layer, input, output): names}, counted from 0.
        shapes: that are fitted when the network's own edges do not do, in place of those that
            sparse fits find; none if empty.
        seconds: the limit on processor time.
        seed: of the choice of rows and of the fits.

    Raises:
        InputError: for classes, a surrogate that gives no finite values, or where no formula at
            all was found.
    """
    rows = rows_of(result, integer("seed", seed, least=0))
    known = functions(library)
    accuracy = _accuracy(result)
    problem = result.problem if isinstance(result, Solution) else None
    end = time.process_time() + seconds
    best: Formula | None = None
    if edges:
        own_edges = own_graph(result.surrogate)
        if own_edges is None:
            raise InputError("edges are for a KAN of splines alone, whose own edges are read")
        check_edges(own_edges, edges)
    for graph, own in _graphs(result, rows, shapes, seed, end):
        left = end - time.process_time()
        if left <= 0:
            break
        search = Search(
            *(rows.x, rows.y, rows.xv, rows.yv, known),
            accuracy=accuracy if own else EXACT,
            allowed=dict(edges or {}) if own else {},
            seconds=max(1.0, min(left, SHARE * seconds)),
            done=partial(_is_exact, rows=rows, problem=problem, origin=graph),
        )
        for found in search(graph)[:1]:
            formula = formula_of(found.graph, rows, problem, graph)
            if best is None or _rank(formula) < _rank(best):
                best = formula
        if best is not None and (best.is_identity or best.error <= EXACT):
            return best
    if best is None:
        raise InputError(
            "no formula was found: no function of the library fits the edges; a longer library, "
            "more accurate values or other shapes may do"
        )
    return best


def _accuracy(result: Solution | Fitted) -> float:
    """The relative error of the values, of a solution by what it leaves of its equation."""
    if isinstance(result, Fitted):
        return EXACT
    defects = defects_of(result.problem, result.surrogate.jet)
    return min(max([EXACT, *(d.relative for d in defects)]), UNSTRUCTURED)


def _is_exact(found: Found, rows: Rows, problem: Problem | None, origin: Graph) -> bool:
    if found.error <= EXACT or problem is None:
        return found.error <= EXACT
    return formula_of(found.graph, rows, problem, origin).is_identity


def _rank(formula: Formula) -> tuple[bool, float, int]:
    return not formula.is_identity, max(formula.error, EXACT), formula.complexity


def rows_of(result: Solution | Fitted, seed: int) -> Rows:
    """What formulas are fitted to: the data of a fit, the values of a solution at its points."""
    if isinstance(result, Solution):
        points = result.residuals.points
        x, names = points.coords, points.names
        y = result.surrogate(points)
    else:
        table = result.data.train
        if table.classes:
            raise InputError("formulas are for targets that are numbers, these are classes")
        x, y, names = table.inputs, table.targets, table.names
    x, y = x.detach().cpu().double(), y.detach().cpu().double()
    if not bool(y.isfinite().all()):
        raise InputError("the result has values that are not finite")
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:MOST_ROWS]
    x, y = x[chosen], y[chosen]
    count = max(1, int(JUDGES * len(x)))
    return Rows(x[count:], y[count:], x[:count], y[:count], tuple(names))


def _graphs(
    result: Solution | Fitted, rows: Rows, shapes: Sequence[Shape] | None, seed: int, end: float
) -> Iterator[tuple[Graph, bool]]:
    """Graphs worth reading, and whether they are of the result's own network, until the end."""
    own = own_graph(result.surrogate)
    if own is not None and len(own.edges) <= MOST_EDGES:
        own = _prepared(own, rows)
        if own is not None:
            yield own, True
    table = Table(rows.x, rows.y, rows.names)
    if shapes is not None:
        fits = (graph_of_fit(fitted(shape, table, seed)) for shape in shapes)
        yield from ((g, False) for g in (_prepared(fit, rows) for fit in fits) if g is not None)
        return
    for skeleton in _skeletons(table, seed):
        if time.process_time() > end:
            return
        graph = _plainest(fits_of(skeleton, table, seed), rows)
        if rows.error(graph) <= ROUGH:
            yield graph, False


def _plainest(fits: Iterator[Graph], rows: Rows) -> Graph:
    """The first of the fits that is clear, else the best."""
    found = []
    for fit in fits:
        found.append(_grown(fit, rows))
        if rows.error(found[-1]) <= CLEAR:
            break
    return min(found, key=rows.error)


def _skeletons(table: Table, seed: int) -> Iterator[Skeleton]:
    """A sum of functions of one input each, then what sparse fits find."""
    d, m = table.inputs.shape[1], table.targets.shape[1]
    yield Skeleton((d, m), (torch.ones(d, m, dtype=torch.bool),))
    yield from skeletons(table, seed)


def _grown(graph: Graph, rows: Rows) -> Graph:
    data = rows.x, rows.y, rows.xv, rows.yv
    graph = grown(graph, *data)
    straight = straightened(graph, rows.x)
    return graph if straight is graph else grown(straight, *data)


def own_graph(surrogate: Surrogate) -> Graph | None:
    """The graph of a surrogate that is a KAN of splines and affine maps alone, else None."""
    network = surrogate.network
    affine = surrogate.output is None or hasattr(surrogate.output, "deviation")
    plain = surrogate.inputs is None and network.enrichment is None and affine
    if not (isinstance(network, KAN) and plain and all(not la.base for la in network.layers)):
        return None
    mean, scale = (getattr(surrogate.output, n, None) for n in ("mean", "deviation"))
    return graph_of(network, surrogate.low, surrogate.high, mean, scale)


def _prepared(graph: Graph, rows: Rows) -> Graph | None:
    """Refined, rid of edges that can be missed; None where there is no structure to read."""
    data = rows.x, rows.y, rows.xv, rows.yv
    graph = grown(graph, *data)
    if rows.error(graph) > UNSTRUCTURED:
        return None
    before = len(graph.edges)
    graph = trimmed(graph, *data)
    return graph if len(graph.edges) == before else grown(graph, *data)
