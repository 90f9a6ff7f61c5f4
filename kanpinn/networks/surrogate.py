"""The surrogate of a solution: the domain's affine map, a network, and what makes data exact."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from kanpinn.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jet import Channels, Coordinates, Jet
from kanpinn.networks.enrichment import Enrichment
from kanpinn.networks.known import Function, Known
from kanpinn.networks.network import Network, Tape


@runtime_checkable
class OutputMap(Protocol):
    """What turns the network's jet into the surrogate's, such as exact boundary data."""

    def apply(self, points: Points, jet: Jet) -> Jet:
        """The surrogate's jet at the points."""


@runtime_checkable
class Space(Protocol):
    """What a surrogate has to know of a domain: its coordinates and the box around it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The coordinates' names."""

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The box's lowest and highest corner, (d,) each."""

    @property
    def dim(self) -> int:
        """The number of coordinates d."""


class Surrogate(nn.Module):
    """u(x) = output(network(ξ(x))), ξ the affine map of the domain's bounding box to [-1, 1]^d.

    Where `inputs` are given, a function of points that gives (n, q), these q numbers in [-1, 1]
    take the place of ξ. A network's enrichment is added before `output`, at the points themselves.

    Raises:
        InputError: where the network's inputs do not fit the domain's coordinates.
    """

    low: Tensor
    high: Tensor

    def __init__(
        self,
        network: Network,
        domain: Space,
        output: OutputMap | None = None,
        inputs: Function | None = None,
    ) -> None:
        super().__init__()
        self.network, self.domain, self.output = network, domain, output
        self.inputs = None if inputs is None else Known((inputs,), "inputs(p)")
        if network.width[0] != (count := self._count_inputs()):
            raise InputError(
                f"network.width must start with {count} inputs for the coordinates "
                f"{', '.join(domain.names)}, got {list(network.width)}"
            )
        like = next(network.parameters())
        for name, corner in zip(("low", "high"), domain.bounds, strict=True):
            self.register_buffer(name, corner.to(like))

    def _count_inputs(self) -> int:
        if self.inputs is None:
            return self.domain.dim
        middle = (self.domain.bounds[0] + self.domain.bounds[1]) / 2
        return self.inputs.values(Points(middle[None], self.domain.names)).shape[1]

    def coordinates(self, points: Points, channels: Channels) -> Jet | Coordinates:
        """The network's input, ξ(x)."""
        if self.inputs is not None:
            if channels.derivative_order:
                return self.inputs.jet(points, channels)
            values = self.inputs.values(points)
            return Coordinates(channels, values, torch.ones_like(values[0]))
        half = (self.high - self.low) / 2
        return Coordinates(channels, (points.coords - self.low) / half - 1, 1 / half)

    def inputs_at(self, points: Points) -> Tensor:
        """The network's inputs, (n, d)."""
        return self._inputs(points).value

    def _inputs(self, points: Points) -> Coordinates:
        """The network's input without derivatives."""
        found = self.coordinates(points, Channels(self.domain.names))
        assert isinstance(found, Coordinates)
        return found

    def jet(self, points: Points, channels: Channels, tape: Tape | None = None) -> Jet:
        """u and its derivatives at n points, those that `channels` names."""
        jet = self.network.jet(self.coordinates(points, channels), tape)
        if isinstance(self.network.enrichment, Enrichment):
            jet = jet + self.network.enrichment.at(points, channels, tape)
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
        self.network.prepare(self._inputs(points))

    @torch.no_grad()
    def follow(self, points: Points) -> None:
        """Let the network adapt to where its activations have gone, the function unchanged."""
        self.network.follow(self._inputs(points))
