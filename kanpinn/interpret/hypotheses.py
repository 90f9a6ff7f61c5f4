"""Graphs of splines to be read as formulas: a result's own edges, and fits of smaller KANs."""

from collections.abc import Iterator, Sequence

import torch

from kanpinn.data import Table
from kanpinn.interpret.deadline import Deadline
from kanpinn.interpret.graphs.graph import Graph
from kanpinn.interpret.graphs.growth import grown, straightened, trimmed
from kanpinn.interpret.graphs.own import own_graph
from kanpinn.interpret.graphs.rows import Rows
from kanpinn.interpret.products import products
from kanpinn.interpret.shapes import Shape, fits_of, fitted
from kanpinn.interpret.sparse import Skeleton, skeletons
from kanpinn.networks.surrogate import Surrogate


def hypotheses(
    surrogate: Surrogate,
    rows: Rows,
    noise: float,
    shapes: Sequence[Shape] | None,
    seed: int,
    deadline: Deadline,
) -> Iterator[tuple[Graph, bool]]:
    """Yield graphs of splines that fit the data well enough to be read, until the deadline.

    Args:
        surrogate: the trained network; it is read itself if it is a KAN of few edges.
        rows: the data that the graphs are fitted to and judged by.
        noise: the relative error of the data.
        shapes: the shapes of the KANs to fit; a built-in sequence by default.
        seed: the seed for the random starts of the fits.
        deadline: the time after which no further fit of the built-in sequence is read.

    Yields:
        Pairs of a graph and whether its edges are those of the surrogate's own network.
    """
    rough = 1e-3  # relative error that is accepted in any case: inner splines may be too stiff
    most_edges = 12  # of a network that is read edge by edge; of larger ones only values are used
    own = own_graph(surrogate)
    if own is not None and len(own.edges) <= most_edges:
        own = _prepared(own, rows, deadline)
        if own is not None:
            yield own, True
    table = Table(rows.x, rows.y, rows.names)
    if shapes is not None:
        fits = (fitted(shape, table, seed) for shape in shapes)
        yield from (
            (g, False) for g in (_prepared(fit, rows, deadline) for fit in fits) if g is not None
        )
        return
    # A fit to noisy data is read if its error is at most 1.5 times the noise, and at most 0.3.
    enough = max(rough, min(1.5 * noise, 0.3))
    for graph in _fits(table, rows, seed, deadline):
        if deadline.over:
            return
        if rows.error(graph) <= enough:
            yield graph, False


def _fits(table: Table, rows: Rows, seed: int, deadline: Deadline) -> Iterator[Graph]:
    """Yield fits: sums of functions of one input, sums of products of these, then sparse KANs."""
    d, m = table.inputs.shape[1], table.targets.shape[1]
    additive = Skeleton((d, m), (torch.ones(d, m, dtype=torch.bool),))
    yield _plainest(fits_of(additive, table, seed, deadline), rows, deadline)
    for graph in products(rows.x, rows.y, seed, deadline):
        yield _grown(graph, rows, deadline)
    for skeleton in skeletons(table, seed, deadline):
        yield _plainest(fits_of(skeleton, table, seed, deadline), rows, deadline)


def _plainest(fits: Iterator[Graph], rows: Rows, deadline: Deadline) -> Graph:
    """Return the first fit whose error is small enough; if there is none, the best fit."""
    clear = 1e-5  # relative error below which the shape is taken for that of the function
    found = []
    for fit in fits:
        found.append(_grown(fit, rows, deadline))
        if rows.error(found[-1]) <= clear:
            break
    return min(found, key=rows.error)


def _grown(graph: Graph, rows: Rows, deadline: Deadline) -> Graph:
    """Refine the grids, make superfluous inner edges the identity, and refine again."""
    graph = grown(graph, rows, deadline)
    straight = straightened(graph, rows.x)
    return graph if straight is graph else grown(straight, rows, deadline)


def _prepared(graph: Graph, rows: Rows, deadline: Deadline) -> Graph | None:
    """Refine a graph and remove its dispensable edges; None if its error is too large to read."""
    unstructured = 1e-2  # relative error above which a graph is not worth reading
    graph = grown(graph, rows, deadline)
    if rows.error(graph) > unstructured:
        return None
    before = len(graph.edges)
    graph = trimmed(graph, rows, deadline)
    return graph if len(graph.edges) == before else grown(graph, rows, deadline)
