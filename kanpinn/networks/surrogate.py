"""The surrogate of a solution: the domain's affine map, a network, and what makes data exact."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from kanpinn.errors import InputError
from kanpinn.geometry import Domain, Points
from kanpinn.jet import Channels, Coordinates, Jet
from kanpinn.networks.network import Network, Tape


@runtime_checkable
class OutputMap(Protocol):
    """What turns the network's jet into the surrogate's, such as exact boundary data."""

    def apply(self, points: Points, jet: Jet) -> Jet:
        """The surrogate's jet at the points."""


class Surrogate(nn.Module):
    """u(x) = output(network(ξ(x))), ξ the affine map of the domain's bounding box to [-1, 1]^d.

    Raises:
        InputError: where the network's inputs do not fit the domain's coordinates.
    """

    low: Tensor
    high: Tensor

    def __init__(self, network: Network, domain: Domain, output: OutputMap | None = None) -> None:
        super().__init__()
        if network.width[0] != domain.dim:
            raise InputError(
                f"network.width must start with {domain.dim} inputs for the coordinates "
                f"{', '.join(domain.names)}, got {list(network.width)}"
            )
        self.network, self.domain, self.output = network, domain, output
        like = next(network.parameters())
        for name, corner in zip(("low", "high"), domain.bounds, strict=True):
            self.register_buffer(name, corner.to(like))

    def coordinates(self, points: Points, channels: Channels) -> Coordinates:
        """The network's input, ξ(x)."""
        half = (self.high - self.low) / 2
        return Coordinates(channels, (points.coords - self.low) / half - 1, 1 / half)

    def jet(self, points: Points, channels: Channels, tape: Tape | None = None) -> Jet:
        """u and its derivatives at n points, those that `channels` names."""
        jet = self.network.jet(self.coordinates(points, channels), tape)
        return jet if self.output is None else self.output.apply(points, jet)

    @torch.no_grad()
    def evaluate(self, points: Points, channels: Channels) -> Jet:
        """`jet` at points of any precision on any device, given back in theirs, for errors."""
        jet = self.jet(points.to(self.low.dtype, self.low.device), channels)
        return jet.map(lambda t: t.to(points.coords))

    @torch.no_grad()
    def forward(self, points: Points) -> Tensor:
        """Values (n, m)."""
        return self.jet(points, Channels(self.domain.names)).value

    @torch.no_grad()
    def prepare(self, points: Points) -> None:
        """Let the network adapt to the points of a solve before it starts."""
        self.network.prepare(self.coordinates(points, Channels(self.domain.names)))

    @torch.no_grad()
    def follow(self, points: Points) -> None:
        """Let the network adapt to where its activations have gone, the function unchanged."""
        self.network.follow(self.coordinates(points, Channels(self.domain.names)))
