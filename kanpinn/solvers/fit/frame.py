"""The frame of a fit: the maps from the data's units to the network's inputs and back."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, one_of
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
    """The input names of a table and the box that is mapped to [-1, 1]^d.

    Args:
        names: of the inputs.
        bounds: the lowest and the highest corner of the box, (d,) each.
    """

    names: tuple[str, ...]
    bounds: tuple[Tensor, Tensor]

    @property
    def dim(self) -> int:
        """The number of inputs d."""
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Affine:
    """The output map u = mean + deviation · N, so that the network N fits standardised targets.

    Args:
        mean: of the targets, (m,).
        deviation: the standard deviation of the targets, (m,).
    """

    mean: Tensor
    deviation: Tensor

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the surrogate's jet from the network's jet."""
        scaled = jet.map(lambda t: t * self.deviation)
        return scaled.with_parts([scaled.value + self.mean, *scaled.parts()[1:]])


def frame(
    network: Network, table: Table, scaling: str | None, bounds: Bounds | None = None
) -> Surrogate:
    """Return the surrogate that maps the training rows to the network's inputs and outputs.

    It also places the first grid of a KAN that has not been trained, except for "standard".

    Args:
        network: to be fitted.
        table: the training rows.
        scaling: "range", "standard" or "quantile", as for `fit`; None for the network's default.
        bounds: of inputs by name, as for `fit`.

    Raises:
        InputError: if the scaling is unknown or does not fit the network, or if bounds do not fit
            the scaling, name no input or are not low < high.
    """
    kan = network if isinstance(network, KAN) else None
    if scaling is None:
        scaling = "range" if kan is not None else "standard"
    one_of("scaling", scaling, SCALINGS)
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
    # Another first grid would change the function of a network that has been trained.
    if kan is not None and not kan.placed and scaling != "standard":
        ends, seen = (
            surrogate.inputs_at(Points(rows.to(surrogate.low), table.names))
            for rows in (torch.stack(corners), x)
        )
        _place_first_grid(kan, ends, seen if scaling == "quantile" else None)
    return surrogate


def _box(table: Table, bounds: Bounds | None) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest corner, (d,) each, from bounds or else the rows' range."""
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
    """Place the first layer's grid, uniform or by quantiles of the rows.

    Args:
        network: whose first layer is changed.
        ends: the lowest and the highest input, (2, d).
        rows: the inputs whose quantiles are the knots, (n, d); None for a uniform grid.
    """
    layer = network.layers[0]
    low, high = ends
    basis = layer.basis.uniform(low, high, layer.basis.intervals, layer.basis.degree)
    if rows is not None:
        share = torch.linspace(0, 1, layer.basis.intervals + 1).to(rows)
        breaks = torch.quantile(rows, share, dim=0).clamp(low, high).T.clone()
        breaks[:, [0, -1]] = ends.T
        # A part of the uniform grid keeps the intervals from zero length where rows are equal.
        basis = basis.on(0.9 * breaks + 0.1 * basis.breaks)
    layer.basis = basis
