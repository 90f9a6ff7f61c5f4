"""Formulas are read off a result: automatically by `interpret`, or step by step by `read`.

`interpret` makes graphs of splines: the graph of the result's own network, and graphs of smaller
KANs and of sums of products that are fitted to the result's values. The grids of these graphs are
refined, and superfluous edges are removed. `interpret` then snaps the edges of a graph, one by one
and with backtracking: a spline is replaced by a function of the library, and the parameters of all
edges are refit.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial, reduce

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.data import Table
from kanpinn.geometry import Points
from kanpinn.interpret.formula import Formula, formula_of
from kanpinn.interpret.graph import (
    NEVER,
    Deadline,
    EdgeCurve,
    Graph,
    Key,
    Rows,
    Spline,
    misfit,
    own_graph,
    refit,
    relative_error,
    split_layer,
)
from kanpinn.interpret.pruning import Pruned, Result, prune, prune_greedily
from kanpinn.interpret.snapping import LEAST, Candidate, Snapping, snap
from kanpinn.interpret.univariate import LIBRARY, Symbolic, Univariate, functions
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import LeastSquares, LevenbergMarquardt, Method, VariableProjection
from kanpinn.pde.defects import defects_of
from kanpinn.pde.problem import Problem
from kanpinn.solvers.fit import Fitted, fit
from kanpinn.solvers.solution import Solution

ROWS = 3  # rows of data required for each parameter
STEPS, TRIM_STEPS = 20, 12
FLOOR = 1e-9  # relative error that is small enough to recognise any function
IDENTITY = Symbolic(LIBRARY["x"], 1.0, 0.0, 1.0, 0.0)


def grown(graph: Graph, rows: Rows, deadline: Deadline = NEVER) -> Graph:
    """Refine the grids of a graph and refit it, as long as this lowers the error enough.

    Each round halves the grid intervals of each layer in turn, then those of all layers together. A
    refinement is kept if it lowers the error to below 30 %. The rounds end when no refinement is
    kept.

    Args:
        graph: the graph.
        rows: the rows for fits and for judging.
        deadline: the time after which no further fit begins.

    Returns:
        The refined graph.
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
    """Remove edges of a graph one by one, as long as the error stays low after refits.

    In each round every spline into a unit that adds several edges is removed on trial, and the
    other edges are refit. The removal that leaves the least error is made. The rounds end when the
    next removal would more than double the error.

    Args:
        graph: the graph.
        rows: the rows for fits and for judging.
        deadline: the time after which no further fit begins.

    Returns:
        The graph with fewer edges.
    """
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
    """Return the graph without the edges into hidden units that have no edge out of them.

    A hidden unit whose last outgoing edge is removed by this loses its incoming edges, too.
    """
    for layer in reversed(range(graph.depth - 1)):
        leads = {key[1] for key in graph.edges if key[0] == layer + 1}
        dead = [k for k in graph.edges if k[0] == layer and k[2] not in leads]
        graph = graph.without(*dead)
    return graph


def straightened(graph: Graph, x: Tensor) -> Graph:
    """Replace the edge into a hidden unit by the identity if it is the only edge into this unit.

    Each edge out of the unit becomes the spline closest to the composition of the two curves. The
    same graph object is returned if no hidden unit has a single edge into it.

    Args:
        graph: the graph.
        x: the inputs, (n, d), over whose range the splines are fitted to the compositions.
    """
    for layer in range(graph.depth - 1):
        for unit in range(graph.width[layer + 1]):
            into = [k for k in graph.edges if k[0] == layer and k[2] == unit]
            out = [k for k in graph.edges if k[0] == layer + 1 and k[1] == unit]
            if len(into) == 1:
                # Each outer curve becomes the least-squares spline of the composition, on a grid
                # that is fine enough for a composition of two splines.
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

    Each input is in exactly one product. There is one fit for each partition of the inputs into
    groups in which some group has at least two inputs; partitions with more groups come first.
    There is no fit for one input or for more than four.

    Args:
        x: the inputs, (n, d).
        y: the targets, (n, m).
        seed: the seed for the random starts.
        deadline: the time after which no further fit begins.
    """
    from sympy.utilities.iterables import multiset_partitions

    most_inputs = 4  # for more inputs there are too many groupings
    d = x.shape[1]
    if not 2 <= d <= most_inputs:
        return
    enough = 1e-3  # relative error below which no further start is tried
    few = slice(0, 500)  # the rows of the first steps, to save time
    size, generator = float(y.square().mean().sqrt()) ** (1 / d), torch.Generator()
    generator.manual_seed(seed)
    groupings = sorted(multiset_partitions(list(range(d))), key=len, reverse=True)
    for groups in groupings[1:]:  # without the first grouping, in which each input is alone
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
            # Splines start as random cubics whose product has about the size of the data, since
            # fits from rougher starts seldom converge.
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


Skeleton = tuple[Tensor, ...]  # which edges a KAN has: a mask (n_in, n_out) for each layer


def sparse_skeleton(
    table: Table, hidden: tuple[int, ...], strength: float, seed: int
) -> Skeleton | None:
    """Return the edges of a KAN that remain after a sparse fit and pruning.

    The KAN is first fitted with a penalty on the L1 norm and the entropy of its edges (`Sparsity`),
    and edges with low scores are removed. It is then trained without the penalty, and edges and
    units are removed one by one as long as the loss stays below four times its value before the
    removals, or below 1e-6.

    Args:
        table: the data.
        hidden: the number of units of each hidden layer at the start.
        strength: the weight of the penalty.
        seed: the seed for the network and the fit.

    Returns:
        The skeleton, a mask (n_in, n_out) for each layer; None if the network became constant or
        its loss is more than a tenth of the targets' variance.
    """
    degree, grid = 3, 5
    structureless = 0.1  # share of the targets' variance; with a larger loss, edges are missing
    factor, enough = 4.0, 1e-6  # removals may raise the loss by this factor, or up to this loss
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
    """Yield different skeletons, from sparse fits of KANs with one and with two hidden layers.

    A skeleton has a mask (n_in, n_out) of the edges of each layer. No fit begins after the
    deadline.
    """
    shallow, deep = (5,), (4, 2)  # hidden units at the start
    starts = [(shallow, 1e-2), (shallow, 1e-2), (shallow, 3e-3), (deep, 3e-3), (deep, 1e-2)]
    known = set()
    for attempt, (hidden, strength) in enumerate([*starts, *starts]):
        if deadline.over:
            return
        skeleton = sparse_skeleton(table, hidden, strength, 100 * seed + attempt)
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
        rounds: the number of rounds of random starts for `VariableProjection`.
    """

    width: tuple[int, ...]
    degree: tuple[int, ...]
    grid: tuple[int, ...]
    rounds: int = 4


def shapes_of(width: tuple[int, ...]) -> list[Shape]:
    """Return the shapes to try for KANs of a width, the first shape to try first.

    Many KANs can give one function, and the simplest one is wanted: shapes with simple inner
    functions are first. Quadratic outer functions make products, as in xy =
    ((x + y)² - (x - y)²) / 4.
    """
    if len(width) == 2:
        return [Shape(width, (7,), (12,), 0)]
    kinds: list[tuple[tuple[int, ...], tuple[int, ...], int]]
    if (deep := len(width) - 3) > 0:
        kinds = [((2, *[5] * deep, 3), (1, *[6] * deep, 3), 6)]
        kinds += [((3, *[5] * deep, 5), (1, *[4] * deep, 4), 6)]
    else:
        kinds = [((1, 7), (1, 16), 2), ((3, 7), (1, 12), 4), ((5, 7), (3, 12), 4)]
        kinds += [((5, 2), (4, 1), 12)] if width[1] > 1 else []
    return [Shape(width, *kind) for kind in kinds]


def fitted(shape: Shape, table: Table, seed: int, kept: Skeleton | None) -> Graph:
    """Fit a KAN of a shape by variable projection from random starts, and return its graph.

    A KAN without hidden units is fitted by linear least squares instead.

    Args:
        shape: the shape of the KAN.
        table: the data.
        seed: the seed for the random starts.
        kept: the edges of the KAN; None for all edges.
    """
    network = KAN(shape.width, degree=shape.degree, grid=shape.grid, seed=seed)
    for layer, mask in zip(network.layers, kept or (), strict=False):
        layer.kept = mask.clone()
        layer.coefficients.detach().masked_fill_(~mask[:, None], 0)
    method: Method = LeastSquares()
    if len(shape.width) > 2:
        coarse, prunes = max(1, shape.grid[-1] // 2), kept is None
        method = VariableProjection(  # ends at the first start with an error of rounding size
            rounds=shape.rounds, starts=20, coarse=coarse, prune=prunes, tolerance=1e-12
        )
    graph = own_graph(fit(network, table, method, seed=seed).surrogate)
    assert graph is not None
    return graph


def fits_of(skeleton: Skeleton, table: Table, seed: int, deadline: Deadline) -> Iterator[Graph]:
    """Yield fits of KANs with a skeleton's edges, at least one fit, until the deadline.

    KANs with quadratic outer functions have all edges between the skeleton's units, because
    products need these edges.

    Args:
        skeleton: the edges of the KANs.
        table: the data.
        seed: the seed for the random starts.
        deadline: the time after which no further fit begins.
    """
    apart = 1000  # distance between the seeds of repeated fits
    width = (*(len(mask) for mask in skeleton), skeleton[-1].shape[1])
    shapes = shapes_of(width)
    # About one fit in three misses the structure. Cheap fits are therefore repeated with other
    # seeds, before quadratic outer functions, which can express any product, are tried.
    cheap = len(width) == 3 and width[1] <= 2
    again = [(shape, seed + apart * k) for k in (1, 2) for shape in shapes[1:3] if cheap]
    first = [(shape, seed) for shape in shapes]
    chances = [*first[:3], *again, *first[3:]]
    for attempt, (shape, chance) in enumerate(chances):
        if attempt and deadline.over:
            return
        kept = None if shape.degree[-1] == 2 else skeleton
        yield fitted(shape, table, chance, kept)


def hypotheses(
    surrogate: Surrogate, rows: Rows, noise: float, seed: int, deadline: Deadline
) -> Iterator[tuple[Graph, bool]]:
    """Yield graphs of splines that fit the data well enough to be read, until the deadline.

    Args:
        surrogate: the trained network; if it is a KAN of few edges, its own graph comes first.
        rows: the data to which the graphs are fitted, and on which they are judged.
        noise: the relative error of the data.
        seed: the seed for the random starts of the fits.
        deadline: the time after which no further fit is read.

    Yields:
        Pairs (graph, is_own); is_own is True if the edges of the graph are edges of the surrogate's
        own network, False if the graph is a fit to the data.
    """
    rough = 1e-3  # relative error that is always accepted, since inner splines may be too stiff
    most_edges = 12  # the own edges of a network with more edges are not read, only its values
    unstructured = 1e-2  # a relative error above which a network's own edges are not read
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
    """Yield graphs with refined grids that are fitted to a table.

    The first graph is a sum of functions of one input each. Sums of products follow, then sparse
    KANs.

    Args:
        table: the data to which KANs are fitted.
        rows: the rows for fits and for judging; the table has the rows for fits.
        seed: the seed of the fits.
        deadline: the time after which no further fit begins.
    """
    d, m = table.inputs.shape[1], table.targets.shape[1]
    additive = (torch.ones(d, m, dtype=torch.bool),)
    yield _plainest(fits_of(additive, table, seed, deadline), rows, deadline)
    for graph in products(rows.x, rows.y, seed, deadline):
        yield _grown(graph, rows, deadline)
    for skeleton in skeletons(table, seed, deadline):
        yield _plainest(fits_of(skeleton, table, seed, deadline), rows, deadline)


def _plainest(fits: Iterator[Graph], rows: Rows, deadline: Deadline) -> Graph:
    """Refine graphs one after another; return the first with a small error, else the best one.

    A relative error up to 1e-5 is small.

    Args:
        fits: the graphs.
        rows: the rows for fits and for judging.
        deadline: the time after which no further fit begins.
    """
    clear = 1e-5  # relative error below which a fit is taken to have the function's structure
    refined = []
    for sparse in fits:
        refined.append(_grown(sparse, rows, deadline))
        if rows.error(refined[-1]) <= clear:
            break
    return min(refined, key=rows.error)


def _grown(graph: Graph, rows: Rows, deadline: Deadline) -> Graph:
    """Refine the grids of a graph, simplify it by `straightened`, and refine the result again."""
    graph = grown(graph, rows, deadline)
    straight = straightened(graph, rows.x)
    return graph if straight is graph else grown(straight, rows, deadline)


EXACT = 1e-10  # relative error below which a formula is taken for the function itself
PERFECT = 10.0  # a function fits perfectly if its error is at most this multiple of the graph's
SAMPLES = 400  # samples of an edge for the fits of the library
BEAM = 4  # the largest number of functions that are tried on an edge
LIKELY = 8  # later fits of an edge try only this many functions, the best of the edge's first fit


def rows_of(result: Solution | Fitted, seed: int) -> Rows:
    """Return at most 2000 random rows: three quarters for fits, a quarter for judging formulas.

    A row is a collocation point with the solution's values there, or a row of the fitted data.

    Args:
        result: the solution or the fit.
        seed: the seed of the random choice.

    Raises:
        InputError: if a value is not finite, or the targets of a fit are classes.
    """
    most_rows, judges = 2000, 0.25  # the number of rows, and the share of rows for judging
    if isinstance(result, Solution):
        points = result.residuals.points
        x, y, names = points.coords, result.surrogate(points), points.names
    else:
        table = result.data.train
        if table.classes:
            raise InputError("formulas are for targets that are numbers, these are classes")
        x, y, names = table.inputs, table.targets, tuple(table.names)
    x, y = x.detach().cpu().double(), y.detach().cpu().double()
    if not bool(y.isfinite().all()):
        raise InputError("the result has values that are not finite")
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:most_rows]
    x, y = x[chosen], y[chosen]
    count = max(1, int(judges * len(x)))
    return Rows(x[count:], y[count:], x[:count], y[:count], names)


@dataclass(frozen=True, eq=False)
class Snapped:
    """A graph whose edges are all formulas, and its relative error on the rows for judging."""

    graph: Graph
    error: float


@dataclass
class Search:
    """A depth-first search for formulas on all edges of a graph.

    The edge that a function fits best is snapped first: its spline is replaced by the function.

    Args:
        rows: the rows for fits and for judging.
        names: the functions that edges may be; None for the whole library.
        accuracy: the relative error of the values in `rows`.
        deadline: the time at which the search ends.
        done: returns True for a graph that ends the search.
        snapped: the graphs found so far.
    """

    rows: Rows
    names: Sequence[str | Univariate] | None = None
    accuracy: float = EXACT
    deadline: Deadline = NEVER
    done: Callable[[Snapped], bool] = lambda snapped: snapped.error <= EXACT
    snapped: list[Snapped] = field(default_factory=list)
    _likely: dict[Key, list[Univariate]] = field(default_factory=dict)

    def __call__(self, graph: Graph) -> Snapped | None:
        """Search for formulas of a graph of splines; return the best graph, None if none is found.

        The best graph has the least error and, of equal errors, the least complexity; errors up to
        1.5 times the least error count as equal.
        """
        self.floor = max(self.rows.error(graph), self.accuracy)
        self._likely.clear()
        self._extend(graph)
        near = 1.5 * max([EXACT, *sorted(s.error for s in self.snapped)[:1]])

        def rank(snapped: Snapped) -> tuple[float, float, float]:
            """Return the key by which the graphs are sorted: error, complexity, error again.

            In the first place, errors up to `near` count as equal.
            """
            curves = snapped.graph.formulas().values()
            complexity = sum(float(curve.function.complexity) for curve in curves)
            return max(snapped.error, near), complexity, snapped.error

        return min(self.snapped, key=rank, default=None)

    def _extend(self, graph: Graph) -> bool:
        """Snap the remaining splines of a graph, one edge per recursion.

        Returns:
            Whether the search has ended, because a graph is good enough or the time is over.
        """
        snap_steps, final_steps = 10, 100
        allowed = 10.0  # factor by which a snapped edge may raise the error
        hopeless = 0.3  # candidates with a larger 1 - R² are never tried
        if self.deadline.over:
            return True
        if not graph.splines():
            graph = self._refit(graph, final_steps)
            self.snapped.append(Snapped(graph, self.rows.error(graph)))
            return self.done(self.snapped[-1])
        before = max(self.rows.error(graph), self.floor)
        keys = (key for key in graph.splines() if not self.deadline.over)
        ranked = {key: self._candidates(graph, key, before) for key in keys}
        if not ranked:
            return False
        key = min(ranked, key=lambda k: ranked[k][0].score if ranked[k] else math.inf)
        candidates = ranked[key]
        perfect = [c for c in candidates if c.unexplained <= (PERFECT * before) ** 2]
        others = [c for c in candidates if c.unexplained <= hopeless]
        for candidate in (perfect or others)[:BEAM]:
            trial = self._refit(graph.with_edge(key, candidate.curve), snap_steps)
            if self.rows.error(trial) <= allowed * before and self._extend(trial):
                return True
        return False

    def _refit(self, graph: Graph, steps: int) -> Graph:
        """Return the graph with its parameters fitted to the rows, in at most `steps` steps."""
        return refit(graph, self.rows.x, self.rows.y, steps, deadline=self.deadline)

    def _candidates(self, graph: Graph, key: Key, error: float) -> tuple[Candidate, ...]:
        """Return the fits of functions to an edge, the best fit first.

        The first call for an edge fits all functions, later calls only the eight best functions of
        the first call. The result is empty if the unit at the start of the edge has become
        constant, since the edge's function is then unknown.

        Args:
            graph: the graph.
            key: the edge, (layer, input, output).
            error: the relative error of the graph.
        """
        if len(self._arguments(graph, key).unique()) < LEAST:
            return ()
        candidates = self.snapping(graph, key, error).candidates
        self._likely.setdefault(key, [candidate.function for candidate in candidates[:LIKELY]])
        return candidates

    def snapping(self, graph: Graph, key: Key, error: float) -> Snapping:
        """Fit each candidate function to the spline on one edge of a graph, and rank the fits.

        A fit compares the two functions at the arguments that the edge gets for the rows of data.
        The candidates are the functions that fitted this edge best in the first call of
        `_candidates`, if there was one, otherwise all functions that the search allows.

        Args:
            graph: the graph.
            key: the edge, (layer, input, output).
            error: the relative error of the graph, which is taken as the accuracy of the edge.

        Returns:
            The fits, best first, and the functions that could not be fitted.
        """
        price = 0.7  # powers of ten that one unit of complexity must take off 1 - R²
        u, names = self._arguments(graph, key), self._likely.get(key) or self.names
        accuracy = min(max(error, 1e-12), 0.1)
        return snap(u, graph.edges[key](u), names, accuracy=accuracy, price=price)

    def _arguments(self, graph: Graph, key: Key) -> Tensor:
        """Return arguments that an edge gets for the rows for fits: at most `SAMPLES`, sorted."""
        u = graph.arguments(key, self.rows.x)
        at = torch.linspace(0, len(u) - 1, min(SAMPLES, len(u))).round().long()
        return u.sort().values[at]


def interpret(
    result: Result,
    library: Sequence[str | Univariate] | None = None,
    *,
    seconds: float | int = 180.0,
    seed: int = 0,
) -> Formula:
    """Return the best formula found for a result.

    If the result's network is a small KAN of splines, its own edges are read first. If these edges
    give no exact formula, other graphs are fitted to the data (for a PDE: to the solution's values)
    and read until a graph gives an exact formula. The other graphs are sums of functions of one
    input each, sums of products of functions of one input, and wide KANs that are fitted with a
    penalty on their edges and then pruned. The formula of a solution is also inserted into the
    equation and the conditions (`Formula.defects`).

    Args:
        result: a `Solution`, a `Fitted` with numeric targets, or a `Pruned` of either; it is not
            changed.
        library: the functions that edges may be; all of `LIBRARY` by default.
        seconds: the limit on processor time; a fit that has begun is finished.
        seed: the seed for the choice of rows and for the random starts of the fits.

    Returns:
        A formula that solves the problem up to rounding, if such a formula was found, otherwise the
        formula with the smallest error. Of equally good formulas, the formula with the fewest
        operations is returned.

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
    number("seconds", seconds, above=True)
    source, rows, problem = _origin(result, seed)
    share = 0.15  # share of the remaining time that the search on one graph may take
    # The estimated relative error of the values, and the estimated noise in them: a solution has no
    # noise, and its error is taken as its largest relative defect, at most 1e-2.
    accuracy, noise, chosen = EXACT, 0.0, functions(library)
    if isinstance(source, Solution):
        defects = defects_of(source.problem, source.surrogate.jet)
        accuracy = min(max([EXACT, *(defect.relative for defect in defects)]), 1e-2)
    else:
        low = source.surrogate.low
        points = Points(rows.xv, rows.names).to(low.dtype, low.device)
        noise = misfit(source.surrogate(points), rows.yv)
    hopeful = math.inf if problem is not None else max(noise, EXACT)
    formulas: list[Formula] = []
    deadline = NEVER.within(seconds)
    for graph, is_own in hypotheses(result.surrogate, rows, noise, seed, deadline):
        # Cached, since `formula_of` takes seconds and is called by `done` and for the result.
        formula = cache(lambda f: formula_of(f.graph, rows, problem, graph, is_own))  # noqa: B023
        search = Search(
            *(rows, chosen, accuracy if is_own else EXACT),
            deadline=deadline.within(share * deadline.left),
            done=lambda f: f.error <= hopeful and _is_it(formula(f), noise),  # noqa: B023
        )
        if (snapped := search(graph)) is not None:
            formulas.append(formula(snapped))
            formulas.sort(key=_rank)
        if formulas and _is_it(formulas[0], noise):
            break
    if formulas:
        return formulas[0]
    why = f"in {seconds:g} s of processor time: more time may help"
    if not deadline.over:
        why = "for the edges: a longer library, more rows or more accurate values may help"
    raise InputError(f"no formula was found {why}")


def _origin(result: Result, seed: int) -> tuple[Solution | Fitted, Rows, Problem | None]:
    """Return the solution or fit of a result before pruning, its rows, and the problem or None.

    The problem is None for a fit.
    """
    integer("seed", seed, least=0)
    while isinstance(result, Pruned):
        result = result.original
    return result, rows_of(result, seed), getattr(result, "problem", None)


def _is_it(formula: Formula, noise: float) -> bool:
    """Return whether a formula is so good that the search can end.

    It is so if it solves the problem or fits the data up to rounding, or if all its constants are
    exact and its error is not above the noise in the data.

    Args:
        formula: the formula.
        noise: the relative error of the data.
    """
    if formula.is_identity or formula.error <= EXACT:
        return True
    noisy = 0.05  # the largest relative error at which a formula of noisy data ends the search
    return formula.exact_constants and formula.error <= min(noise, noisy)


def _rank(formula: Formula) -> tuple[bool, float, int]:
    """Return the key by which formulas are sorted: exact solutions first, then the error.

    Formulas with equal errors are sorted by complexity.
    """
    return not formula.is_identity, max(formula.error, EXACT), formula.complexity


@dataclass(frozen=True, eq=False)
class Reading:
    """A KAN that is turned into a formula step by step; each step returns a new reading.

    Args:
        graph: the graph, whose edges are splines or formulas.
        rows: the data of a fit, or the values of a solution.
        library: the functions that are suggested for edges.
        problem: the problem of a solution, None for a fit.
        origin: the graph before the first step.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import read
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> reading = read(kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, x**2)))
        >>> list(reading.graph.edges)
        [(0, 0, 0)]
    """

    graph: Graph
    rows: Rows
    library: tuple[Univariate, ...]
    problem: Problem | None
    origin: Graph

    @property
    def error(self) -> float:
        """The relative error ‖graph - data‖ / ‖data - mean‖ on the rows for judging."""
        return self.rows.error(self.graph)

    def suggest(self, layer: int, i: int, o: int) -> Snapping:
        """Return the fits of all functions to an edge, the best fit first.

        Args:
            layer, i, o: the edge: its layer, from 0, its input unit, and its output unit.

        Raises:
            InputError: if the graph has no such edge.
        """
        self._check(layer, i, o)
        search = Search(self.rows, self.library)
        return search.snapping(self.graph, (layer, i, o), self.error)

    def fix(self, layer: int, i: int, o: int, name: str | Univariate) -> "Reading":
        """Return a reading with a function on an edge and all parameters refit.

        Args:
            layer, i, o: the edge: its layer, from 0, its input unit, and its output unit.
            name: the name of the function in `LIBRARY`, or the function.

        Raises:
            InputError: if the edge or the function does not exist, or the function does not fit.
        """
        best = replace(self, library=functions([name])).suggest(layer, i, o).best
        return self._with(self.graph.with_edge((layer, i, o), best.curve))

    def remove(self, layer: int, i: int, o: int) -> "Reading":
        """Return a reading without an edge and with all parameters refit.

        Args:
            layer, i, o: the edge: its layer, from 0, its input unit, and its output unit.

        Raises:
            InputError: if the edge does not exist, or is the last edge into a unit.
        """
        self._check(layer, i, o)
        if sum(key[0::2] == (layer, o) for key in self.graph.edges) == 1:
            what = "output" if layer == self.graph.depth - 1 else "hidden unit"
            remedy = "remove the edges out of that unit, or fix this one to the function 0"
            raise InputError(f"{(layer, i, o)} is the last edge into {what} {o}: {remedy}")
        return self._with(connected(self.graph.without((layer, i, o))))

    def formula(self, seconds: float | int = 60.0) -> Formula:
        """Return the formula; edges that are still splines are snapped automatically.

        Args:
            seconds: the limit on processor time, in seconds.

        Raises:
            InputError: if no function fits an edge, or the time was too short.
        """
        number("seconds", seconds, above=True)
        search = Search(self.rows, self.library, deadline=NEVER.within(seconds))
        snapped = search(self.graph)
        if snapped is None:
            what = "the time was too short" if search.deadline.over else "no function fits"
            raise InputError(f"no formula was found for the edges left: {what}")
        return formula_of(snapped.graph, self.rows, self.problem, self.origin, own_edges=True)

    def _check(self, *key: int) -> None:
        """Refuse a key (layer, input, output) of an edge that the graph does not have."""
        if key not in self.graph.edges:
            known = ", ".join(map(str, sorted(self.graph.edges)))
            raise InputError(f"there is no edge {key}: (layer, input, output) is of {known}")

    def _with(self, graph: Graph) -> "Reading":
        """Return a reading with another graph, whose parameters are fitted to the data first."""
        return replace(self, graph=refit(graph, self.rows.x, self.rows.y, steps=40))


def read(
    result: Result, library: Sequence[str | Univariate] | None = None, *, seed: int = 0
) -> Reading:
    """Return a `Reading` of a result, whose methods turn edges into formulas one by one.

    Args:
        result: a `Solution`, a `Fitted` with numeric targets, or a `Pruned` of either.
        library: the functions that are suggested for edges; all of `LIBRARY` by default.
        seed: the seed for the choice of rows.

    Raises:
        InputError: if the surrogate is not a KAN of splines with affine scalings only, if the
            targets are classes, or if the surrogate has values that are not finite.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import read
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, x**2))
        >>> reading = read(fitted, ["x^2", "sin"])
        >>> len(reading.library)
        2
    """
    graph = own_graph(result.surrogate)
    if graph is None:
        kind = type(result.surrogate.network).__name__
        what = "a KAN of splines alone, without exact boundary data or a base term"
        raise InputError(f"edges are read off {what}, and this is a {kind}: try `interpret`")
    _, rows, problem = _origin(result, seed)
    return Reading(graph, rows, functions(library), problem, graph)
