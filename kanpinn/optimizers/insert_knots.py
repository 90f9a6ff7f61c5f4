"""Knots where the residual is large, as a step between optimizers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn.blocks import ResidualBlock
from kanpinn.distributed import summed
from kanpinn.errors import InputError, integer
from kanpinn.geometry import Points
from kanpinn.jet import Channels, Coordinates, Jet
from kanpinn.networks.kan import KAN
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.optimizers.optimizer import CONVERGED, Optimizer, Stage, Step
from kanpinn.residuals import Residuals

SMOOTHING = 0.1  # of an input's mean, added to each interval: empty ones are the last to be split


@dataclass(frozen=True)
class InsertKnots(Optimizer):
    """Halves the intervals that carry most of the squared residual; the function stays what it was.

    In each of the layers, for each input by itself, a new knot goes into the middle of each of the
    `count` intervals with the largest Σ r² of the equation over the points whose activations lie in
    it. An optimizer after it makes use of them.

    Args:
        count: new knots for each input of a layer; no more than it has intervals.
        layers: their numbers, from 0 or, negative, from the last; None for all of them.

    Reference: de Boor, A Practical Guide to Splines (1978), chapter XII, on where knots should be;
    Boehm (1980) for inserting them.
    """

    count: int = 4
    layers: Sequence[int] | None = None
    steps: ClassVar[int] = 1  # type: ignore[misc]  # a constant here, a setting elsewhere

    def __post_init__(self) -> None:
        integer("count", self.count)
        for layer in self.layers or ():
            integer("layers", layer, least=-1000)

    @property
    def lowers(self) -> bool:
        return False  # the function stays what it was

    def start(self, residuals: Residuals, seed: int) -> "InsertKnotsStage":
        return InsertKnotsStage(self, residuals)


class InsertKnotsStage(Stage):
    """The one step of an insertion."""

    def __init__(self, settings: InsertKnots, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        network = residuals.surrogate.network
        if not isinstance(network, KAN):
            raise InputError(f"insert_knots is for KANs: a {type(network).__name__} has no grid")
        self.network = network

    @torch.no_grad()
    def step(self) -> Step:
        shares = self._shares(self._chosen())
        error = 0.0
        for layer, share in shares.items():
            breaks = inserted(layer.breaks, share, self.settings.count)
            error = max(error, layer.set_breaks(breaks))
        return Step(self.residuals.loss(), 1, CONVERGED, {"projection_error": error})

    def _chosen(self) -> list[KANLayer]:
        layers = list(self.network.layers)
        first = int(self.network.stretched)  # a stretch of the coordinates is no edge
        every = range(first, len(layers))
        wanted = every if self.settings.layers is None else self.settings.layers
        for number in wanted:
            if not -len(layers) <= number < len(layers):
                raise InputError(
                    f"layers must be numbers of layers from 0 to {len(layers) - 1}, got {number}"
                )
        return [layers[number] for number in wanted]

    def _shares(self, chosen: Sequence[KANLayer]) -> dict[KANLayer, Tensor]:
        """Σ r² in each interval of each input, (n_in, G), of every layer; over all ranks."""
        like = [layer.breaks.new_zeros(layer.breaks[:, 1:].shape) for layer in chosen]

        def local() -> list[Tensor]:
            totals = [t.clone() for t in like]
            for block in self.residuals.blocks:
                if isinstance(block, ResidualBlock) and block.sites == 1:
                    for points in self.residuals.chunks(block):
                        self._add(block, points, chosen, totals)
            return totals

        return dict(zip(chosen, summed(local, like), strict=True))

    def _add(
        self,
        block: ResidualBlock,
        points: Points,
        chosen: Sequence[KANLayer],
        totals: Sequence[Tensor],
    ) -> None:
        surrogate = self.residuals.surrogate
        squares = block.residual(surrogate, points).square().sum(dim=1)
        squares = squares * (block.weight / block.rows)
        h: Jet | Coordinates = surrogate.coordinates(points, Channels(points.names))
        for layer in self.network.layers:
            for own, total in zip(chosen, totals, strict=True):
                if own is layer:
                    inner = layer.breaks[:, 1:-1].contiguous()
                    piece = torch.searchsorted(inner, h.value.T.contiguous())
                    total.scatter_add_(1, piece, squares.to(total).expand(len(piece), -1))
            h = layer(h)


def inserted(breaks: Tensor, share: Tensor, count: int) -> Tensor:
    """Grid points (n_in, G + 1) with the middles of the `count` intervals of the largest share.

    share: (n_in, G); of equal ones the widest interval comes first.
    """
    widths = breaks.diff(dim=1)
    even = widths / widths.sum(dim=1, keepdim=True)
    score = share + SMOOTHING * share.mean(dim=1, keepdim=True) * even
    score = torch.where(score > 0, score, even * torch.finfo(score.dtype).tiny)
    first = score.topk(min(count, share.shape[1]), dim=1).indices
    middles = ((breaks[:, 1:] + breaks[:, :-1]) / 2).gather(1, first)
    return torch.cat([breaks, middles], dim=1).sort(dim=1).values
