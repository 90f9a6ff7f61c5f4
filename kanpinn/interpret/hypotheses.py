"""Graphs of splines that may be read as formulas: own edges, and fits of smaller ones.

Graphs get finer grids, lose edges, and are fitted as KANs or as sums of products.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.data import Table
from kanpinn.interpret.graph import (
    NEVER,
    Deadline,
    EdgeCurve,
    Graph,
    Key,
    Rows,
    Spline,
    own_graph,
    refit,
    relative_error,
    split_layer,
)
from kanpinn.interpret.pruning import prune, prune_greedily
from kanpinn.interpret.univariate import LIBRARY, Symbolic
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import LeastSquares, LevenbergMarquardt, Method, VariableProjection
from kanpinn.solvers.fit import fit

ROWS = 3  # rows of data required for each parameter
STEPS, TRIM_STEPS = 20, 12
FLOOR = 1e-9  # relative error that is small enough to recognise any function
IDENTITY = Symbolic(LIBRARY["x"], 1.0, 0.0, 1.0, 0.0)


def grown(graph: Graph, rows: Rows, deadline: Deadline = NEVER) -> Graph:
    """Refit the graph on finer and finer grids as long as the error falls enough.

    The grids of single layers are split first, then those of all layers together.
    """
    gain = 0.3  # a finer grid is kept if its error is below this share of the error before
    fit_to_rows = partial(refit, x=rows.x, y=rows.y, steps=STEPS, deadline=deadline)
    graph = min(graph, fit_to_rows(graph), key=rows.error)
    layers = range(graph.depth)
    worthwhile = True
    while worthwhile:
        worthwhile = False
        for chosen in [*([layer] for layer in layers), list(layers)]:
            before = rows.error(graph)
            finer = reduce(split_layer, chosen, graph)
            if before < FLOOR or ROWS * len(finer.parameters) > len(rows.x) or deadline.over:
                continue
            finer = fit_to_rows(finer)
            if rows.error(finer) < gain * before:
                graph, worthwhile = finer, True
    return graph


def trimmed(graph: Graph, rows: Rows, deadline: Deadline = NEVER) -> Graph:
    """Remove edges one by one, the least important first, as long as a refit keeps the error."""
    cost = 2.0  # factor by which the removal of an edge may raise the error
    while True:
        limit = cost * max(rows.error(graph), FLOOR)
        # A spline is removable if its unit is a sum of at least two edges.
        entering = [key[0::2] for key in graph.edges if key[0::2] not in graph.products]
        removable = [key for key in graph.splines() if entering.count(key[0::2]) > 1]
        trials = []
        for key in removable:
            if deadline.over:
                break
            # The mean of the removed edge is added to another edge into the same unit.
            mean = float(graph.edges[key](graph.arguments(key, rows.x)).mean())
            fewer = connected(graph.without(key))
            other = next(k for k in sorted(fewer.edges) if k[0::2] == key[0::2])
            curve = fewer.splines()[other]
            shifted = curve.moved(curve.parameters + mean)  # B-splines sum to one
            fewer = fewer.with_edge(other, shifted)
            trials.append(refit(fewer, rows.x, rows.y, TRIM_STEPS))
        best = min(trials, key=rows.error, default=None)
        if best is None or rows.error(best) > limit:
            return graph
        graph = best


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
    from sympy.utilities.iterables import multiset_partitions

    most_inputs = 4  # the number of groupings grows too fast beyond
    d = x.shape[1]
    if not 2 <= d <= most_inputs:
        return
    enough = 1e-3  # relative error below which no further start is tried
    few = slice(0, 500)  # the rows of the first steps, to save time
    size, generator = float(y.square().mean().sqrt()) ** (1 / d), torch.Generator()
    generator.manual_seed(seed)
    groupings = sorted(multiset_partitions(list(range(d))), key=len, reverse=True)
    for groups in groupings[1:]:  # in the first, each input is alone
        if deadline.over:
            return
        # Zero splines, and one multiplying unit for each group and output. With one group the
        # multiplying units are the outputs; with more, a second layer adds them.
        count, outputs = len(groups), y.shape[1]
        units = outputs * count
        edges: dict[Key, EdgeCurve] = {
            (0, i, o * count + k): Spline.zero(x[:, i], degree=5, intervals=6)
            for o in range(outputs)
            for k, group in enumerate(groups)
            for i in group
        }
        if count > 1:
            edges |= {(1, unit, unit // count): IDENTITY for unit in range(units)}
        width = (d, units, outputs) if count > 1 else (d, units)
        graph = Graph(width, edges, frozenset((0, unit) for unit in range(units)))
        starts: list[Graph] = []
        for _ in range(6):  # the best of several random starts is refit
            # Splines start as random cubics whose product has about the size of the data: rougher
            # starts seldom converge to a sum of products.
            start = graph
            for key, curve in graph.splines().items():
                t = torch.linspace(-1, 1, len(curve.parameters), dtype=curve.parameters.dtype)
                powers = torch.stack([t**0, t, 0.5 * t**2, 0.3 * t**3], dim=1)
                weights = size * torch.randn(4, generator=generator, dtype=t.dtype)
                start = start.with_edge(key, curve.moved(powers @ weights))
            starts.append(refit(start, x[few], y[few], 8, deadline=deadline))
            if relative_error(starts[-1], x, y) < enough or deadline.over:
                break
        best = min(starts, key=lambda g: relative_error(g, x, y))
        yield refit(best, x, y, 30, deadline=deadline)


Skeleton = tuple[Tensor, ...]  # the edges of a KAN: a mask (n_in, n_out) for each layer


def sparse_skeleton(
    table: Table, hidden: tuple[int, ...], strength: float, seed: int
) -> Skeleton | None:
    """Return the edges that remain of a KAN after a sparse fit and pruning.

    The KAN is first fitted with a penalty on the L1 norm and the entropy of its edges (`Sparsity`),
    and edges with low scores are removed. It is then trained without the penalty, and edges and
    units are removed one by one as long as the loss hardly grows.

    Args:
        table: the data.
        hidden: the number of units of each hidden layer at the start.
        strength: the weight of the penalty.
        seed: the seed for the network and the fit.

    Returns:
        The skeleton, or None if the network became constant or no longer fits the data.
    """
    degree, grid = 3, 5
    structureless = 0.1  # share of the targets' variance: a larger loss means wrong edges were cut
    factor, enough = 4.0, 1e-6  # removals may raise the loss by this factor, or to this value
    threshold = 1e-2  # edges with lower scores are removed
    sparse_steps, polish_steps, cut_steps = 50, 20, 10
    width = (table.inputs.shape[1], *hidden, table.targets.shape[1])
    network = KAN(width, degree=degree, grid=grid, seed=seed)
    optimizer = LevenbergMarquardt(steps=sparse_steps)
    sparse = fit(network, table, optimizer, sparsity=Sparsity(strength), seed=seed)
    try:
        pruned = prune(sparse, threshold)
    except InputError:  # the network is constant, or no edge reaches the threshold
        return None
    pruned = pruned.trained(LevenbergMarquardt(steps=polish_steps))
    pruned = prune_greedily(pruned, factor, steps=cut_steps, enough=enough)
    if pruned.losses[1] > structureless:
        return None
    return tuple(layer.kept.clone() for layer in pruned.network.layers)


def skeletons(table: Table, seed: int, deadline: Deadline) -> Iterator[Skeleton]:
    """Yield different skeletons, found from several starts with one and with two hidden layers.

    No fit begins after the deadline.
    """
    shallow, deep = (5,), (4, 2)  # hidden units at the start
    starts = [(shallow, 1e-2), (shallow, 1e-2), (shallow, 3e-3), (deep, 3e-3), (deep, 1e-2)]
    known = set()
    for number, (hidden, strength) in enumerate([*starts, *starts]):
        if deadline.over:
            return
        skeleton = sparse_skeleton(table, hidden, strength, 100 * seed + number)
        name = str([mask.int().tolist() for mask in skeleton or ()])
        if skeleton is not None and name not in known:
            known.add(name)
            yield skeleton


@dataclass(frozen=True)
class Shape:
    """The shape of a KAN that is fitted to data.

    Args:
        width: the number of units of each layer, inputs and outputs included.
        degree: the spline degree of each layer of edges.
        grid: the number of grid intervals of each layer of edges.
        rounds: the rounds of random starts of the variable projection.
    """

    width: tuple[int, ...]
    degree: tuple[int, ...]
    grid: tuple[int, ...]
    rounds: int = 4


def shapes_of(width: tuple[int, ...]) -> list[Shape]:
    """Return the shapes to try for these numbers of units, in this order.

    The first shapes have simple inner functions, since a function can be written as a KAN in many
    ways and the simplest is wanted. Quadratic outer functions make products, as in
    xy = ((x + y)² - (x - y)²) / 4.
    """
    if len(width) == 2:
        return [Shape(width, (7,), (12,), 0)]
    if len(width) > 3:
        deep = len(width) - 3
        return [
            Shape(width, (2, *[5] * deep, 3), (1, *[6] * deep, 3), 6),
            Shape(width, (3, *[5] * deep, 5), (1, *[4] * deep, 4), 6),
        ]
    plain = [
        Shape(width, (1, 7), (1, 16), 2),
        Shape(width, (3, 7), (1, 12), 4),
        Shape(width, (5, 7), (3, 12), 4),
    ]
    return plain if width[1] == 1 else [*plain, Shape(width, (5, 2), (4, 1), 12)]


def fitted(shape: Shape, table: Table, seed: int, kept: Skeleton | None) -> Graph:
    """Fit a KAN of this shape by variable projection from random starts and return its graph.

    A KAN without hidden units is fitted by linear least squares instead.

    Args:
        shape: the shape of the KAN.
        table: the data.
        seed: the seed for the random starts.
        kept: the edges of the KAN; None for all.
    """
    network = KAN(shape.width, degree=shape.degree, grid=shape.grid, seed=seed)
    for layer, mask in zip(network.layers, kept or (), strict=False):
        layer.kept = mask.clone()
        layer.coefficients.detach().masked_fill_(~mask[:, None], 0)
    method: Method = LeastSquares()
    if len(shape.width) > 2:
        starts, exact = 20, 1e-12  # only a practically exact start ends the search
        coarse, prunes = max(1, shape.grid[-1] // 2), kept is None
        method = VariableProjection(
            rounds=shape.rounds, starts=starts, coarse=coarse, tolerance=exact, prune=prunes
        )
    graph = own_graph(fit(network, table, method, seed=seed).surrogate)
    assert graph is not None
    return graph


def fits_of(skeleton: Skeleton, table: Table, seed: int, deadline: Deadline) -> Iterator[Graph]:
    """Yield fitted graphs with a skeleton's edges, at least one, until the deadline.

    The shape with quadratic outer functions has all edges between the skeleton's units, because
    products need them.
    """
    apart = 1000  # distance between the seeds of repeated fits
    width = (*(len(mask) for mask in skeleton), skeleton[-1].shape[1])
    shapes = shapes_of(width)
    # About one fit in three misses the structure. Cheap fits are therefore repeated with other
    # seeds, before quadratic outer functions are tried, which can express any product.
    cheap = len(width) == 3 and width[1] <= 2
    again = [(shape, seed + apart * k) for k in (1, 2) for shape in shapes[1:3] if cheap]
    first = [(shape, seed) for shape in shapes]
    chances = [*first[:3], *again, *first[3:]]
    for number, (shape, chance) in enumerate(chances):
        if number and deadline.over:
            return
        kept = None if shape.degree[-1] == 2 else skeleton
        yield fitted(shape, table, chance, kept)


def hypotheses(
    surrogate: Surrogate, rows: Rows, noise: float, seed: int, deadline: Deadline
) -> Iterator[tuple[Graph, bool]]:
    """Yield graphs of splines that fit the data well enough to be read, until the deadline.

    Args:
        surrogate: the trained network; it is read itself if it is a KAN of few edges.
        rows: the data that the graphs are fitted to and judged by.
        noise: the relative error of the data.
        seed: the seed for the random starts of the fits.
        deadline: the time after which no further fit is read.

    Yields:
        Pairs of a graph and whether its edges are those of the surrogate's own network.
    """
    rough = 1e-3  # relative error that is accepted in any case: inner splines may be too stiff
    most_edges = 12  # of a network that is read edge by edge; of larger ones only values are used
    unstructured = 1e-2  # relative error above which a network's own edges are not worth reading
    own = own_graph(surrogate)
    if own is not None and len(own.edges) <= most_edges:
        own = grown(own, rows, deadline)
        if rows.error(own) <= unstructured:
            fewer = trimmed(own, rows, deadline)
            trims = len(fewer.edges) < len(own.edges)
            yield (grown(fewer, rows, deadline) if trims else fewer), True
    table = Table(rows.x, rows.y, rows.names)
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
    additive = (torch.ones(d, m, dtype=torch.bool),)
    yield _plainest(fits_of(additive, table, seed, deadline), rows, deadline)
    for graph in products(rows.x, rows.y, seed, deadline):
        yield _grown(graph, rows, deadline)
    for skeleton in skeletons(table, seed, deadline):
        yield _plainest(fits_of(skeleton, table, seed, deadline), rows, deadline)


def _plainest(fits: Iterator[Graph], rows: Rows, deadline: Deadline) -> Graph:
    """Return the first fit whose error is small enough; if there is none, the best fit."""
    clear = 1e-5  # relative error below which the shape is taken for that of the function
    refined = []
    for sparse in fits:
        refined.append(_grown(sparse, rows, deadline))
        if rows.error(refined[-1]) <= clear:
            break
    return min(refined, key=rows.error)


def _grown(graph: Graph, rows: Rows, deadline: Deadline) -> Graph:
    """Refine the grids, make superfluous inner edges the identity, and refine again."""
    graph = grown(graph, rows, deadline)
    straight = straightened(graph, rows.x)
    return graph if straight is graph else grown(straight, rows, deadline)
