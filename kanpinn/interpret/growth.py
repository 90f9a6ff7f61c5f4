"""Graphs of splines fitted to data: finer grids, fewer edges, and sums of products."""

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from kanpinn.interpret.graph import (
    NEVER,
    Deadline,
    EdgeCurve,
    Graph,
    Key,
    Rows,
    Spline,
    refit,
    relative_error,
    split_layer,
)
from kanpinn.interpret.univariate import LIBRARY, Symbolic

ROWS = 3  # rows of data required for each parameter
STEPS, TRIM_STEPS = 20, 12
FLOOR = 1e-9  # relative error that is small enough to recognise any function
IDENTITY = Symbolic(LIBRARY["x"], 1.0, 0.0, 1.0, 0.0)


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
        # A spline is removable if its unit is a sum of at least two edges.
        entering = [key[0::2] for key in graph.edges if key[0::2] not in graph.products]
        removable = [key for key in graph.splines() if entering.count(key[0::2]) > 1]
        trials = [_without(graph, key, rows) for key in removable if not deadline.over]
        best = min(trials, key=rows.error, default=None)
        if best is None or rows.error(best) > limit:
            return graph
        graph = best


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
                # Each outer curve becomes the least-squares spline of the composition, fine enough
                # for that of two splines.
                degree, pieces, values = 7, 12, graph.arguments(into[0], x)
                low, high, inner = float(values.min()), float(values.max()), graph.edges[into[0]]
                at = torch.linspace(low, high, 20 * pieces, dtype=x.dtype)
                blank = Spline.zero(at, degree, pieces)
                _, basis = blank.derivatives(at)
                for key in out:
                    composed = graph.edges[key](inner(at))[:, None]
                    best = torch.linalg.lstsq(basis, composed).solution[:, 0]
                    graph = graph.with_edge(key, blank.moved(best))
                graph = graph.with_edge(into[0], IDENTITY)
    return graph


Groups = tuple[tuple[int, ...], ...]


def products(x: Tensor, y: Tensor, seed: int, deadline: Deadline = NEVER) -> Iterator[Graph]:
    """Yield sums of products of functions of one input, such as g(x) h(y) + k(z), fitted to data.

    Each input is a factor of exactly one product. There is one fit for each grouping of the inputs
    with at least two inputs in some group, those with the most groups first; there is none for one
    input or for more than four.

    Args:
        x: the inputs, (n, d).
        y: the targets, (n, m).
        seed: the seed for the random starts.
        deadline: the time after which no further fit begins.
    """
    most_inputs = 4  # the number of groupings grows too fast beyond
    d = x.shape[1]
    if not 2 <= d <= most_inputs:
        return
    generator = torch.Generator().manual_seed(seed)
    groupings = sorted(_groupings(tuple(range(d))), key=len, reverse=True)
    for groups in groupings[1:]:  # in the first, each input is alone
        if deadline.over:
            return
        yield _fitted(_sum_of_products(x, y.shape[1], groups), x, y, generator, deadline)


def _groupings(inputs: tuple[int, ...]) -> Iterator[Groups]:
    """Yield all partitions of the inputs into groups."""
    if not inputs:
        yield ()
        return
    first, rest = inputs[0], inputs[1:]
    for groups in _groupings(rest):
        yield ((first,), *groups)
        for k, group in enumerate(groups):
            yield (*groups[:k], (first, *group), *groups[k + 1 :])


def _sum_of_products(x: Tensor, outputs: int, groups: Groups) -> Graph:
    """Return a graph of zero splines with one multiplying unit for each group and output.

    With one group the multiplying units are the outputs; with more, a second layer adds them.
    """
    d, count = x.shape[1], len(groups)
    units = outputs * count
    edges: dict[Key, EdgeCurve] = {
        (0, i, o * count + k): Spline.zero(x[:, i], degree=5, intervals=6)
        for o in range(outputs)
        for k, group in enumerate(groups)
        for i in group
    }
    multiplying = frozenset((0, unit) for unit in range(units))
    if count == 1:
        return Graph((d, units), edges, multiplying)
    sums = {(1, unit, unit // count): IDENTITY for unit in range(units)}
    return Graph((d, units, outputs), edges | sums, multiplying)


def _fitted(
    graph: Graph, x: Tensor, y: Tensor, generator: torch.Generator, deadline: Deadline
) -> Graph:
    """Refit the best of several random starts; the starts use the first rows only, to save time."""
    found = 1e-3  # relative error below which no further start is tried
    few = slice(0, 500)
    starts: list[Graph] = []
    for _ in range(6):
        starts.append(refit(_random(graph, y, generator), x[few], y[few], 8, deadline=deadline))
        if relative_error(starts[-1], x, y) < found or deadline.over:
            break
    return refit(min(starts, key=lambda g: relative_error(g, x, y)), x, y, 30, deadline=deadline)


def _random(graph: Graph, y: Tensor, generator: torch.Generator) -> Graph:
    """Set the splines to random cubics whose product has about the size of the data.

    Rougher starts seldom converge to a sum of products.
    """
    size = float(y.square().mean().sqrt()) ** (1 / graph.width[0])
    edges = dict(graph.edges)
    for key, curve in graph.splines().items():
        t = torch.linspace(-1, 1, len(curve.parameters), dtype=curve.parameters.dtype)
        powers = torch.stack([t**0, t, 0.5 * t**2, 0.3 * t**3], dim=1)
        weights = size * torch.randn(4, generator=generator, dtype=t.dtype)
        edges[key] = curve.moved(powers @ weights)
    return replace(graph, edges=edges)
