"""The frame of a fit: which numbers the network sees in place of the data's own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.datasets import Table
from kanpinn.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jet import Jet
from kanpinn.networks import KAN, Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.splines import breaks_of, knots_from_breaks, uniform_knots

SCALINGS = ("range", "standard", "quantile")


@dataclass(frozen=True, eq=False)
class Range:
    """The named inputs of a table and the box that is mapped to [-1, 1]^d, (d,) for each corner."""

    names: tuple[str, ...]
    bounds: tuple[Tensor, Tensor]

    @property
    def dim(self) -> int:
        """The number of inputs d."""
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Affine:
    """u = mean + deviation · N: the network N learns standardised targets; (m,) each."""

    mean: Tensor
    deviation: Tensor

    def apply(self, points: Points, jet: Jet) -> Jet:
        """The surrogate's jet from the network's."""
        scaled = jet.map(lambda t: t * self.deviation)
        return scaled.with_parts([scaled.value + self.mean, *scaled.parts()[1:]])


def frame(network: Network, table: Table, scaling: str | None) -> Surrogate:
    """The network in the frame of the rows to train with.

    Raises:
        InputError: where scaling is unknown or does not fit the network.
    """
    if scaling is None:
        scaling = "range" if isinstance(network, KAN) else "standard"
    if scaling not in SCALINGS:
        raise InputError(f"scaling must be one of {', '.join(SCALINGS)}, got {scaling!r}")
    if scaling == "quantile" and not isinstance(network, KAN):
        raise InputError(f'scaling "quantile" is for KANs: a {type(network).__name__} has no grid')
    x = table.inputs
    if scaling == "standard":
        mean, deviation = x.mean(dim=0), x.std(dim=0, correction=0)
        bounds = mean - deviation, mean + deviation
    else:
        bounds = x.amin(dim=0), x.amax(dim=0)
    surrogate = Surrogate(network, Range(table.names, bounds), _output(network, table))
    if isinstance(network, KAN) and scaling != "standard":
        seen = surrogate.inputs_at(Points(table.inputs.to(surrogate.low), table.names))
        _place_first_grid(network, seen, scaling == "quantile")
    return surrogate


def _output(network: Network, table: Table) -> Affine | None:
    if table.classes:
        return None
    like = next(network.parameters())
    mean, deviation = table.targets.mean(dim=0), table.targets.std(dim=0, correction=0)
    return Affine(mean.to(like), deviation.to(like))


@torch.no_grad()
def _place_first_grid(network: KAN, x: Tensor, quantile: bool) -> None:
    """The first layer's grid over the rows' range, even or with as many rows in every interval."""
    layer = network.layers[0]
    low, high = x.amin(dim=0), x.amax(dim=0)
    knots = uniform_knots(low, high, layer.intervals, layer.degree)
    if quantile:
        share = torch.linspace(0, 1, layer.intervals + 1).to(x)
        breaks = torch.quantile(x, share, dim=0).T
        # Where many rows are equal: intervals of no length are none.
        even = breaks_of(knots, layer.degree)
        knots = knots_from_breaks(0.9 * breaks + 0.1 * even, layer.degree)
    layer.knots = knots
