"""Scores that measure how much each edge and unit of a KAN contributes to its outputs."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate

CHUNK = 2048


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """Scores of edges and units: B_e = A_o E_e / √(Σ E²) for an edge e from i to o, A_i = Σ B_e.

    E is the standard deviation of an edge's values on the data. The sum under the root is over all
    edges into the unit o, the sum of B over all edges out of the unit i; A is 1 for an output. The
    scores are computed for each output by itself; `edges` and `units` are the largest of these.

    Args:
        means: the mean values of each layer's edges, (n_in, n_out).
        deviations: the standard deviations E of each layer's edges, (n_in, n_out).
        by_output: the scores B of each layer's edges for each of the m outputs, (m, n_in, n_out).

    Reference: Liu et al., KAN 2.0 (2024), arXiv 2408.10205, section 4.1; there a unit's own
    deviation stands for the root, which is the same where its edges are uncorrelated and vanishes
    where they cancel.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import score_edges
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="x * y")
        >>> solution = kp.solve(problem, kp.KAN([2, 3, 1]))
        >>> scores = score_edges(solution.surrogate, solution.residuals.terms[0].points)
        >>> [tuple(one.shape) for one in scores.edges]
        [(2, 3), (3, 1)]
    """

    means: tuple[Tensor, ...]
    deviations: tuple[Tensor, ...]
    by_output: tuple[Tensor, ...]

    @property
    def edges(self) -> list[Tensor]:
        """The edges' scores, (n_in, n_out) for each layer."""
        return [scores.amax(dim=0) for scores in self.by_output]

    @property
    def units(self) -> list[Tensor]:
        """The scores of the inputs, then those of the hidden units of each layer, (n_in,) each."""
        return [scores.sum(dim=2).amax(dim=0) for scores in self.by_output]

    @property
    def inputs(self) -> Tensor:
        """The share of each input in each output, (m, d); each row sums to one."""
        scores = self.by_output[0].sum(dim=2)
        return scores / scores.sum(dim=1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)


def score_edges(surrogate: Surrogate, points: Points) -> EdgeScores:
    """Return the scores of a KAN's edges on points; the points are evaluated in chunks.

    Raises:
        InputError: if the network is not a KAN, or there are no points.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import score_edges
        >>> x = torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> fitted = kp.fit(kp.KAN([2, 1]), kp.Table(x, x[:, :1] ** 2))
        >>> scores = score_edges(fitted.surrogate, fitted.residuals.terms[0].points)
        >>> float(scores.edges[0][0, 0]) > 0.99
        True
    """
    network = kan_of(surrogate)
    if not len(points):
        raise InputError("scores need points, got none")
    moments = [Moments() for _ in network.layers]
    for values in edge_values(surrogate, points):
        for known, layer_values in zip(moments, values, strict=True):
            known.add(layer_values)
    deviations = tuple(known.deviation for known in moments)
    return EdgeScores(tuple(known.mean for known in moments), deviations, _propagate(deviations))


def kan_of(surrogate: Surrogate) -> KAN:
    """Return the network of a surrogate.

    Raises:
        InputError: if it is not a KAN.
    """
    network = surrogate.network
    if not isinstance(network, KAN):
        raise InputError(
            f"a KAN was expected, got {type(network).__name__}, which has no edge functions"
        )
    return network


def edge_values(surrogate: Surrogate, points: Points) -> Iterator[list[Tensor]]:
    """Yield the values of each layer's edges, (n, n_in, n_out) each, for chunks of the points."""
    for i in range(0, len(points), CHUNK):
        part = points[i : i + CHUNK].to(surrogate.low.dtype, surrogate.low.device)
        network = kan_of(surrogate)
        with torch.no_grad():
            activations = network.activations(surrogate.inputs_at(part))
            both = zip(network.layers, activations, strict=True)
            values = [layer.edges(h)[:, 0] for layer, h in both]
        yield values


class Moments:
    """The mean and standard deviation of rows that are added in chunks.

    Reference: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm (1979).
    """

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, rows: Tensor) -> None:
        """Add a chunk of rows, (n, ...)."""
        mean, n = rows.mean(dim=0), len(rows)
        squares = (rows - mean).square().sum(dim=0)
        if self.count == 0:
            self.count, self.mean, self._squares = n, mean, squares
            return
        gap, total = mean - self.mean, self.count + n
        self._squares = self._squares + squares + gap.square() * (self.count * n / total)
        self.mean = self.mean + gap * (n / total)
        self.count = total

    @property
    def deviation(self) -> Tensor:
        """The standard deviation of each column."""
        return (self._squares / self.count).sqrt()


def _propagate(deviations: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the edges' scores for each output, (m, n_in, n_out) for each layer, first to last."""
    last = deviations[-1]
    units = torch.eye(last.shape[1], dtype=last.dtype, device=last.device)
    found = []
    for e in reversed(deviations):
        share = e / e.norm(dim=0).clamp_min(torch.finfo(e.dtype).tiny)
        found.append(units[:, None] * share)
        units = found[-1].sum(dim=2)
    return tuple(reversed(found))
