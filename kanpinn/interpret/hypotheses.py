"""Graphs of splines that may be a result's formula: its own edges, and fits of smaller KANs."""

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

SIMILAR, NOISY = 1.5, 0.3  # a shape with a like part of the network's error, if that is moderate


def hypotheses(
    surrogate: Surrogate,
    rows: Rows,
    noise: float,
    shapes: Sequence[Shape] | None,
    seed: int,
    deadline: Deadline,
) -> Iterator[tuple[Graph, bool]]:
    """Graphs worth reading, and whether they are of the surrogate's own network, until the end.

    noise: the relative error of the data.
    """
    rough = 1e-3  # and of one that may be, where its inner splines are too stiff
    most_edges = 12  # of a network that is read edge by edge; wider ones only give their values
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
    enough = max(rough, min(SIMILAR * noise, NOISY))
    for graph in _fits(table, rows, seed, deadline):
        if deadline.over:
            return
        if rows.error(graph) <= enough:
            yield graph, False


def _fits(table: Table, rows: Rows, seed: int, deadline: Deadline) -> Iterator[Graph]:
    """Sums of functions of one input each, sums of products of such, then what sparse fits find."""
    d, m = table.inputs.shape[1], table.targets.shape[1]
    additive = Skeleton((d, m), (torch.ones(d, m, dtype=torch.bool),))
    yield _plainest(fits_of(additive, table, seed, deadline), rows, deadline)
    for graph in products(rows.x, rows.y, seed, deadline):
        yield _grown(graph, rows, deadline)
    for skeleton in skeletons(table, seed, deadline):
        yield _plainest(fits_of(skeleton, table, seed, deadline), rows, deadline)


def _plainest(fits: Iterator[Graph], rows: Rows, deadline: Deadline) -> Graph:
    """The first of the fits that is clear, else the best."""
    clear = 1e-5  # relative error of a shape that is the function's own
    found = []
    for fit in fits:
        found.append(_grown(fit, rows, deadline))
        if rows.error(found[-1]) <= clear:
            break
    return min(found, key=rows.error)


def _grown(graph: Graph, rows: Rows, deadline: Deadline) -> Graph:
    graph = grown(graph, rows, deadline)
    straight = straightened(graph, rows.x)
    return graph if straight is graph else grown(straight, rows, deadline)


def _prepared(graph: Graph, rows: Rows, deadline: Deadline) -> Graph | None:
    """Refined, rid of edges that can be missed; None where there is no structure to read."""
    unstructured = 1e-2  # relative error of a shape that is not worth reading
    graph = grown(graph, rows, deadline)
    if rows.error(graph) > unstructured:
        return None
    before = len(graph.edges)
    graph = trimmed(graph, rows, deadline)
    return graph if len(graph.edges) == before else grown(graph, rows, deadline)
