"""Fits of small KANs to data by variable projection, those with the simplest edges first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from kanpinn.data import Table
from kanpinn.interpret.deadline import Deadline
from kanpinn.interpret.graphs.graph import Graph
from kanpinn.interpret.graphs.own import own_graph
from kanpinn.interpret.sparse import Skeleton
from kanpinn.networks import KAN
from kanpinn.optimizers import LeastSquares, Optimizer, VariableProjection
from kanpinn.solvers.fit import fit


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


def fitted(shape: Shape, table: Table, seed: int, kept: Sequence[Tensor] | None = None) -> Graph:
    """Fit a KAN of this shape by variable projection from random starts and return its graph.

    A KAN without hidden units is fitted by linear least squares instead.

    Args:
        shape: the shape of the KAN.
        table: the data.
        seed: the seed for the random starts.
        kept: the edges of the KAN, a mask (n_in, n_out) for each layer; all by default.
    """
    network = KAN(shape.width, degree=shape.degree, grid=shape.grid, seed=seed)
    for layer, mask in zip(network.layers, kept or (), strict=False):
        layer.kept = mask.clone()
        layer.coefficients.detach().masked_fill_(~mask[:, None], 0)
    graph = own_graph(fit(network, table, _optimizer(shape, kept is None), seed=seed).surrogate)
    assert graph is not None
    return graph


def _optimizer(shape: Shape, prune: bool) -> Optimizer:
    starts = 20
    # Share of the zero solution's loss: only a practically exact start ends the search.
    exact = 1e-12
    if len(shape.width) == 2:
        return LeastSquares()
    coarse = max(1, shape.grid[-1] // 2)
    return VariableProjection(
        rounds=shape.rounds, starts=starts, coarse=coarse, tolerance=exact, prune=prune
    )


def fits_of(skeleton: Skeleton, table: Table, seed: int, deadline: Deadline) -> Iterator[Graph]:
    """Yield fitted graphs with a skeleton's edges, at least one, until the deadline.

    The shape with quadratic outer functions has all edges between the skeleton's units, because
    products need them.
    """
    apart = 1000  # distance between the seeds of repeated fits
    shapes = shapes_of(skeleton.width)
    # About one fit in three misses the structure. Cheap fits are therefore repeated with other
    # seeds, before quadratic outer functions are tried, which can express any product.
    cheap = len(skeleton.width) == 3 and skeleton.width[1] <= 2
    again = [(shape, seed + apart * k) for k in (1, 2) for shape in shapes[1:3] if cheap]
    first = [(shape, seed) for shape in shapes]
    chances = [*first[:3], *again, *first[3:]]
    for number, (shape, chance) in enumerate(chances):
        if number and deadline.over:
            return
        kept = None if shape.degree[-1] == 2 else skeleton.kept
        yield fitted(shape, table, chance, kept)
