"""Networks of earlier stages, frozen: what a network is added to."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from kanpinn.jets.jet import Coordinates, Jet
from kanpinn.networks.kan_layer import KANLayer

PREFIX = "earlier."


class Chain(nn.Module):
    """The layers of one stage. kinds: (layers, 2), the degree and whether there is a base term."""

    kinds: Tensor

    def __init__(self, layers: Sequence[KANLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        kinds = [[layer.degree, int(layer.base is not None)] for layer in layers]
        self.register_buffer("kinds", torch.tensor(kinds))


class Earlier(nn.Module):
    """The sum of frozen networks, in double precision whatever that of the present one is.

    So the residual that a later stage sees is not the rounding of an earlier one's.
    """

    def __init__(self, chains: Sequence[Chain]) -> None:
        super().__init__()
        self.chains = nn.ModuleList(chains)
        self.double().requires_grad_(False)

    @staticmethod
    def of(layers: Sequence[KANLayer], before: "Earlier | None") -> "Earlier":
        """What there was before and, on top, the layers as they are now."""
        chains = [] if before is None else list(before.chains)
        return Earlier([*chains, Chain([copy.deepcopy(layer) for layer in layers])])  # type: ignore[list-item]

    def jet(self, coordinates: Jet | Coordinates) -> Jet:
        """The sum's jet, in double precision."""
        if isinstance(coordinates, Coordinates):
            value, scale = coordinates.value.double(), coordinates.scale.double()
            start: Jet | Coordinates = Coordinates(coordinates.channels, value, scale)
        else:
            start = coordinates.map(lambda t: t.double())
        total: Jet | None = None
        for chain in self.chains:
            h = start
            for layer in cast(Chain, chain).layers:
                h = layer(h)
            assert isinstance(h, Jet)
            total = h if total is None else total + h
        assert total is not None
        return total


def saved(state: Mapping[str, Any], prefix: str) -> "Earlier | None":
    """Chains of the shapes that a state dict has under the prefix, not yet with its numbers."""
    chains: list[Chain] = []
    while (kinds := state.get(f"{prefix}{PREFIX}chains.{len(chains)}.kinds")) is not None:
        own = f"{prefix}{PREFIX}chains.{len(chains)}.layers"
        layers = []
        for i, (degree, base) in enumerate(kinds.tolist()):
            knots, c = state[f"{own}.{i}.knots"], state[f"{own}.{i}.coefficients"]
            layers.append(
                KANLayer(torch.empty_like(knots), degree, c.shape[2], "silu" if base else None)
            )
        chains.append(Chain(layers))
    return Earlier(chains) if chains else None
