"""Sums of products of functions of one input each, fitted to data: KANs whose units multiply."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from kanpinn.interpret.deadline import NEVER, Deadline
from kanpinn.interpret.graphs.curves import Curve, Spline, Symbolic
from kanpinn.interpret.graphs.graph import Graph, Key, relative_error
from kanpinn.interpret.graphs.refit import refit
from kanpinn.interpret.univariate.library import LIBRARY
from kanpinn.networks.basis.spline_spaces import knots_from_breaks

DEGREE, INTERVALS = 5, 6
STARTS, START_ROWS, START_STEPS, STEPS = 6, 500, 8, 30

Groups = tuple[tuple[int, ...], ...]


def products(x: Tensor, y: Tensor, seed: int, deadline: Deadline = NEVER) -> Iterator[Graph]:
    """Fits of sums of products to y (n, m) at x (n, d), such as g(x) h(y) + k(z).

    Each input is in one product; the groupings with the most products come first.
    """
    most_inputs = 4  # with more there are too many ways to group them
    d = x.shape[1]
    if not 2 <= d <= most_inputs:
        return
    generator = torch.Generator().manual_seed(seed)
    groupings = sorted(_groupings(tuple(range(d))), key=len, reverse=True)
    for groups in groupings[1:]:  # the first has no product
        if deadline.over:
            return
        yield _fitted(_sum_of_products(x, y.shape[1], groups), x, y, generator, deadline)


def _groupings(inputs: tuple[int, ...]) -> Iterator[Groups]:
    """All partitions of the inputs."""
    if not inputs:
        yield ()
        return
    first, rest = inputs[0], inputs[1:]
    for groups in _groupings(rest):
        yield ((first,), *groups)
        for k, group in enumerate(groups):
            yield (*groups[:k], (first, *group), *groups[k + 1 :])


def _sum_of_products(x: Tensor, outputs: int, groups: Groups) -> Graph:
    """A unit for each group and output, which multiplies; where there is one group, the outputs."""
    d, count = x.shape[1], len(groups)
    units = outputs * count
    edges: dict[Key, Curve] = {
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
    """The spline on the range of x that is zero."""
    breaks = torch.linspace(float(x.min()), float(x.max()), INTERVALS + 1, dtype=x.dtype)
    knots = knots_from_breaks(breaks[None], DEGREE)[0]
    return Spline(knots, DEGREE, x.new_zeros(INTERVALS + DEGREE))


def _fitted(
    graph: Graph, x: Tensor, y: Tensor, generator: torch.Generator, deadline: Deadline
) -> Graph:
    """The best of some random starts, which see a part of the data."""
    found = 1e-3  # relative error at which no other start is needed
    few = slice(0, START_ROWS)
    starts: list[Graph] = []
    for _ in range(STARTS):
        starts.append(
            refit(_random(graph, y, generator), x[few], y[few], START_STEPS, deadline=deadline)
        )
        if relative_error(starts[-1], x, y) < found or deadline.over:
            break
    return refit(min(starts, key=lambda g: relative_error(g, x, y)), x, y, STEPS, deadline=deadline)


def _random(graph: Graph, y: Tensor, generator: torch.Generator) -> Graph:
    """With about cubic curves of the data's size: wilder ones seldom come down to products."""
    size = float(y.square().mean().sqrt()) ** (1 / graph.width[0])
    edges = dict(graph.edges)
    for key, curve in graph.splines().items():
        t = torch.linspace(-1, 1, len(curve.parameters), dtype=curve.parameters.dtype)
        powers = torch.stack([t**0, t, 0.5 * t**2, 0.3 * t**3], dim=1)
        weights = size * torch.randn(4, generator=generator, dtype=t.dtype)
        edges[key] = curve.moved(powers @ weights)
    return replace(graph, edges=edges)
