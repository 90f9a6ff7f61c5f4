"""Graphs of splines on finer grids, and with fewer edges, as far as the data allow."""

from collections.abc import Callable
from functools import partial, reduce

import torch
from torch import Tensor

from kanpinn.interpret.deadline import NEVER, Deadline
from kanpinn.interpret.graphs.curves import EdgeCurve, Spline, Symbolic
from kanpinn.interpret.graphs.graph import Graph, Key, split_layer
from kanpinn.interpret.graphs.refit import refit
from kanpinn.interpret.graphs.rows import Rows
from kanpinn.interpret.univariate.library import LIBRARY
from kanpinn.networks.basis.spline_spaces import knots_from_breaks

ROWS = 3  # rows of data required for each parameter
STEPS, TRIM_STEPS = 20, 12
FLOOR = 1e-9  # relative error that is small enough to recognise any function


def grown(graph: Graph, rows: Rows, deadline: Deadline = NEVER) -> Graph:
    """Refit the graph on finer and finer grids as long as the error falls enough.

    The grids of single layers are split first, then those of all layers together.
    """
    gain = 0.3  # a finer grid is kept if its error is below this share of the error before
    graph = min(graph, _refit(graph, rows, deadline), key=rows.error)
    layers = range(graph.depth)
    worthwhile = True
    while worthwhile:
        worthwhile = False
        for chosen in [*([layer] for layer in layers), list(layers)]:
            before = rows.error(graph)
            finer = reduce(split_layer, chosen, graph)
            if before < FLOOR or ROWS * len(finer.parameters) > len(rows.x) or deadline.over:
                continue
            finer = _refit(finer, rows, deadline)
            if rows.error(finer) < gain * before:
                graph, worthwhile = finer, True
    return graph


def _refit(graph: Graph, rows: Rows, deadline: Deadline) -> Graph:
    return refit(graph, rows.x, rows.y, STEPS, deadline=deadline)


def trimmed(graph: Graph, rows: Rows, deadline: Deadline = NEVER) -> Graph:
    """Remove edges one by one, the least important first, as long as a refit keeps the error."""
    cost = 2.0  # factor by which the removal of an edge may raise the error
    while True:
        limit = cost * max(rows.error(graph), FLOOR)
        trials = [_without(graph, key, rows) for key in _removable(graph) if not deadline.over]
        best = min(trials, key=rows.error, default=None)
        if best is None or rows.error(best) > limit:
            return graph
        graph = best


def _removable(graph: Graph) -> list[Key]:
    """Return the spline edges whose unit is a sum of at least two edges."""
    entering = [key[0::2] for key in graph.edges]
    return [
        key
        for key in graph.splines()
        if entering.count(key[0::2]) > 1 and key[0::2] not in graph.products
    ]


def _without(graph: Graph, key: Key, rows: Rows) -> Graph:
    """Remove an edge, add its mean to another edge into the same unit, and refit the graph."""
    mean = float(graph.edges[key](graph.arguments(key, rows.x)).mean())
    graph = connected(graph.without(key))
    other = next(k for k in sorted(graph.edges) if k[0::2] == key[0::2])
    curve = graph.splines()[other]
    shifted = curve.moved(curve.parameters + mean)  # B-splines sum to one
    return refit(graph.with_edge(other, shifted), rows.x, rows.y, TRIM_STEPS)


def connected(graph: Graph) -> Graph:
    """Remove the edges into hidden units that have no edge out of them."""
    for layer in reversed(range(graph.depth - 1)):
        leads = {key[1] for key in graph.edges if key[0] == layer + 1}
        dead = [k for k in graph.edges if k[0] == layer and k[2] not in leads]
        graph = graph.without(*dead)
    return graph


def straightened(graph: Graph, x: Tensor) -> Graph:
    """Replace the edge into each hidden unit that has only one by the identity.

    Each edge out of such a unit becomes the spline closest to the composition of the two curves.
    The same graph object is returned if there is no such unit.
    """
    for layer in range(graph.depth - 1):
        for unit in range(graph.width[layer + 1]):
            into = [k for k in graph.edges if k[0] == layer and k[2] == unit]
            out = [k for k in graph.edges if k[0] == layer + 1 and k[1] == unit]
            if len(into) == 1:
                values = graph.arguments(into[0], x)
                inner = graph.edges[into[0]]
                for key in out:
                    outer = partial(_chain, graph.edges[key], inner)
                    graph = graph.with_edge(key, _interpolated(outer, values))
                graph = graph.with_edge(into[0], Symbolic(LIBRARY["x"], 1.0, 0.0, 1.0, 0.0))
    return graph


def _chain(outer: EdgeCurve, inner: EdgeCurve, x: Tensor) -> Tensor:
    return outer(inner(x))


def _interpolated(function: Callable[[Tensor], Tensor], x: Tensor) -> Spline:
    """Return the least-squares spline of a function on the range of x."""
    degree, pieces = 7, 12  # fine enough for the composition of two splines
    low, high = float(x.min()), float(x.max())
    breaks = torch.linspace(low, high, pieces + 1, dtype=x.dtype)
    knots = knots_from_breaks(breaks[None], degree)[0]
    at = torch.linspace(low, high, 20 * pieces, dtype=x.dtype)
    blank = Spline(knots, degree, x.new_zeros(pieces + degree))
    _, basis = blank.derivatives(at)
    return blank.moved(torch.linalg.lstsq(basis, function(at)[:, None]).solution[:, 0])
