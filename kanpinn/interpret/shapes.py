"""A ladder of small shapes of KANs, from the plainest up, and their fits to data."""

from dataclasses import dataclass

from kanpinn.datasets import Table
from kanpinn.fitting import Fitted, fit
from kanpinn.interpret.graph import Graph, graph_of
from kanpinn.networks import KAN
from kanpinn.optimizers import LeastSquares, VariableProjection

# The search ends early only where a start has come as far as splines can.
TOLERANCE = 1e-12
STARTS = 20


@dataclass(frozen=True)
class Shape:
    """Units, degrees and intervals per layer of a KAN, and the rounds of its random starts."""

    width: tuple[int, ...]
    degree: tuple[int, ...]
    grid: tuple[int, ...]
    rounds: int = 4


def ladder(inputs: int, outputs: int) -> list[Shape]:
    """Shapes to be tried in this order: sums, functions of sums, sums of those, one level more.

    Inner functions begin as straight lines and parabolas: of all the ways to spell a function the
    plainest is wanted. Quadratic outer functions make products, as in
    xy = ((x + y)² - (x - y)²) / 4.
    """
    d, m = inputs, outputs
    return [
        Shape((d, m), (7,), (12,), 0),
        Shape((d, 1, m), (1, 7), (1, 16), 3),
        Shape((d, 1, m), (3, 7), (1, 12), 6),
        Shape((d, 1, m), (5, 7), (3, 12), 6),
        Shape((d, 2, m), (1, 7), (1, 16), 4),
        Shape((d, 2, m), (2, 5), (1, 8), 8),
        Shape((d, 2, m), (5, 2), (4, 1), 16),
        Shape((d, 2, m), (3, 7), (2, 16), 6),
        Shape((d, 3, m), (2, 5), (1, 8), 6),
        Shape((d, 2, 1, m), (2, 5, 3), (1, 6, 3), 32),
    ]


def fitted(shape: Shape, table: Table, seed: int) -> Fitted:
    """A KAN of this shape, fitted by variable projection from random starts."""
    network = KAN(shape.width, degree=shape.degree, grid=shape.grid, seed=seed)
    if len(shape.width) == 2:
        return fit(network, table, LeastSquares(), seed=seed)
    coarse = max(1, shape.grid[-1] // 2)
    search = VariableProjection(
        rounds=shape.rounds, starts=STARTS, coarse=coarse, tolerance=TOLERANCE
    )
    return fit(network, table, search, seed=seed)


def graph_of_fit(found: Fitted) -> Graph:
    """The graph of a fitted KAN in the data's coordinates."""
    network, output, surrogate = found.network, found.surrogate.output, found.surrogate
    assert isinstance(network, KAN)
    mean, scale = getattr(output, "mean", None), getattr(output, "deviation", None)
    return graph_of(network, surrogate.low, surrogate.high, mean, scale)
