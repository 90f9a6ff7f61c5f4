"""The frame of a fit: which numbers the network sees in place of the data's own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest
from kanpinn.data import Table
from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.networks import KAN, Network
from kanpinn.networks.surrogate import Surrogate

SCALINGS = ("range", "standard", "quantile")

Bounds = Mapping[str, Sequence[float | int]]


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


def frame(
    network: Network, table: Table, scaling: str | None, bounds: Bounds | None = None
) -> Surrogate:
    """The network in the frame of the rows to train with.

    Raises:
        InputError: where scaling is unknown or does not fit the network, or bounds are no box.
    """
    kan = network if isinstance(network, KAN) else None
    if scaling is None:
        scaling = "range" if kan is not None else "standard"
    if scaling not in SCALINGS:
        raise InputError(f"scaling must be one of {', '.join(SCALINGS)}, got {scaling!r}")
    if scaling == "quantile" and kan is None:
        raise InputError(f'scaling "quantile" is for KANs: a {type(network).__name__} has no grid')
    if bounds and scaling == "standard":
        raise InputError(
            'bounds are for scaling "range" and "quantile", it is "standard", an MLP\'s default'
        )
    x = table.inputs
    if scaling == "standard":
        mean, deviation = x.mean(dim=0), x.std(dim=0, correction=0)
        corners = mean - deviation, mean + deviation
    else:
        corners = _box(table, bounds)
    surrogate = Surrogate(network, Range(table.names, corners), _output(network, table))
    # A network that has been trained keeps its function.
    if kan is not None and not kan.placed and scaling != "standard":
        ends, seen = (
            surrogate.inputs_at(Points(rows.to(surrogate.low), table.names))
            for rows in (torch.stack(corners), x)
        )
        _place_first_grid(kan, ends, seen if scaling == "quantile" else None)
    return surrogate


def _box(table: Table, bounds: Bounds | None) -> tuple[Tensor, Tensor]:
    """The lowest and highest corner, (d,) each: the rows' range where no bounds are given."""
    low, high = table.inputs.amin(dim=0), table.inputs.amax(dim=0)
    for name, pair in (bounds or {}).items():
        if name not in table.names:
            there = f"the inputs are {', '.join(table.names)}{nearest(name, table.names)}"
            raise InputError(f"bounds name {name!r}, {there}")
        real = len(pair) == 2 and all(isinstance(v, (float, int)) for v in pair)
        if not (real and -math.inf < pair[0] < pair[1] < math.inf):
            raise InputError(f"bounds of {name} must be low < high, got {tuple(pair)}")
        column = table.names.index(name)
        low[column], high[column] = pair
    return low, high


def _output(network: Network, table: Table) -> Affine | None:
    if table.classes:
        return None
    like = next(network.parameters())
    mean, deviation = table.targets.mean(dim=0), table.targets.std(dim=0, correction=0)
    return Affine(mean.to(like), deviation.to(like))


@torch.no_grad()
def _place_first_grid(network: KAN, ends: Tensor, rows: Tensor | None) -> None:
    """The first layer's grid from end to end (2, d), even or with as many rows in all intervals."""
    layer = network.layers[0]
    low, high = ends
    basis = layer.basis.uniform(low, high, layer.intervals, layer.degree)
    if rows is not None:
        share = torch.linspace(0, 1, layer.intervals + 1).to(rows)
        breaks = torch.quantile(rows, share, dim=0).clamp(low, high).T.clone()
        breaks[:, [0, -1]] = ends.T
        # Where many rows are equal: intervals of no length are none.
        basis = basis.on(0.9 * breaks + 0.1 * basis.breaks)
    layer.basis = basis
