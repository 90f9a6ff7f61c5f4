"""A stage between optimizers: hidden grids back to where the activations are."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import kanpinn as kp
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.optimizers.optimizer import CONVERGED, Stage, Step
from kanpinn.residuals import Residuals

MARGIN = 0.02  # of the range of the activations, beyond it


@dataclass(frozen=True)
class FitGrids(kp.Optimizer):
    """Narrows hidden grids to the activations before they are refined.

    Long early steps widen a grid, and it stays wide: half of the intervals of a refinement would
    then lie where no activation is. Exact where only the outermost intervals are too long;
    otherwise an even grid and the L2 projection on it.
    """

    steps: ClassVar[int] = 1  # type: ignore[misc]  # a constant here, a setting elsewhere

    def start(self, residuals: Residuals, seed: int) -> Stage:
        network = residuals.surrogate.network
        if not isinstance(network, kp.KAN):
            raise kp.InputError(f"only KANs have grids: the network is a {type(network).__name__}")
        return FitGridsStage(residuals, network)


class FitGridsStage(Stage):
    """The one step of it."""

    def __init__(self, residuals: Residuals, network: kp.KAN) -> None:
        self.residuals, self.network = residuals, network

    @torch.no_grad()
    def step(self) -> Step:
        surrogate = self.residuals.surrogate
        channels = kp.Channels(surrogate.domain.names)
        first, *others = self.network.layers
        h = first(surrogate.coordinates(self.residuals.points, channels))
        error = 0.0
        for layer in others:
            error = max(error, _fit(layer, h.value))
            h = layer(h)
        return Step(self.residuals.loss(), 1, CONVERGED, {"projection_error": error})


def _fit(layer: KANLayer, activations: Tensor) -> float:
    """Put the layer's grid over its activations; the relative L2 change."""
    low, high = activations.amin(0), activations.amax(0)
    pad = MARGIN * (high - low)
    low, high = low - pad, high + pad
    breaks = layer.breaks.clone()
    if bool((low < breaks[:, 1]).all()) and bool((high > breaks[:, -2]).all()):
        breaks[:, 0], breaks[:, -1] = low, high
    else:
        share = torch.linspace(0, 1, breaks.shape[1]).to(breaks)
        breaks = low[:, None] + (high - low)[:, None] * share
    return layer.set_breaks(breaks)
