"""Sums of products of functions of one input each, fitted to data: KANs whose units multiply."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from kanpinn.interpret.deadline import NEVER, Deadline
from kanpinn.interpret.graphs.curves import EdgeCurve, Spline, Symbolic
from kanpinn.interpret.graphs.graph import Graph, Key, relative_error
from kanpinn.interpret.graphs.refit import refit
from kanpinn.interpret.univariate.library import LIBRARY
from kanpinn.networks.basis.spline_spaces import knots_from_breaks

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
        (0, i, o * count + k): _zero(x[:, i])
        for o in range(outputs)
        for k, group in enumerate(groups)
        for i in group
    }
    multiplying = frozenset((0, unit) for unit in range(units))
    if count == 1:
        return Graph((d, units), edges, multiplying)
    straight = Symbolic(LIBRARY["x"], 1.0, 0.0, 1.0, 0.0)
    sums = {(1, unit, unit // count): straight for unit in range(units)}
    return Graph((d, units, outputs), edges | sums, multiplying)


def _zero(x: Tensor) -> Spline:
    """Return the zero spline on the range of x."""
    degree, intervals = 5, 6
    breaks = torch.linspace(float(x.min()), float(x.max()), intervals + 1, dtype=x.dtype)
    knots = knots_from_breaks(breaks[None], degree)[0]
    return Spline(knots, degree, x.new_zeros(intervals + degree))


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
