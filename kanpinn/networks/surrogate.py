"""The surrogate of a solution: an affine map of the coordinates, a network and an output map."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from kanpinn.geometry import Points
from kanpinn.jets import Channels, Coordinates, Jet, join, stack
from kanpinn.networks.layer import Function, Known, Tape
from kanpinn.networks.network import Network, OutputMap
from kanpinn.pde.problem import Unknown


@runtime_checkable
class InputBox(Protocol):
    """The names and the bounding box of coordinates: a domain, or the coordinates of a table."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the coordinates."""

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The lower and the upper corner of the bounding box, (d,) each."""

    @property
    def dim(self) -> int:
        """The number of coordinates d."""


class Surrogate(nn.Module):
    """A function u(x) = output(network(ξ(x))) that approximates the solution of a problem.

    ξ is the affine map of the domain's bounding box to [-1, 1]^d. If the network `starts_at_zero`,
    ξ maps the last coordinate to [0, 2].

    The network's enrichment, a sum of known functions of x with coefficients, is added before
    `output` is applied. In jets (values and derivatives) the fields are followed by the problem's
    unknown parameters (scalar parameters that the solve determines), as constant fields.

    Args:
        network: the network.
        domain: the domain of the problem, or another object with names and bounds.
        output: the output map; None for the identity.
        inputs: a function of n points that returns network inputs (n, q) in [-1, 1], in place of ξ.
        coefficients: for each field its `Unknown`, or None if the field is not an unknown.
    """

    domain: Any  # an `InputBox`; in the surrogate of a problem's solution a `Domain`
    low: Tensor
    high: Tensor
    first: Tensor  # ξ at the lower corner of the bounding box

    def __init__(
        self,
        network: Network,
        domain: InputBox,
        output: OutputMap | None = None,
        inputs: Function | None = None,
        coefficients: Sequence[Unknown | None] = (),
    ) -> None:
        super().__init__()
        self.coefficients = tuple(coefficients)
        self.network, self.domain, self.output = network, domain, output
        self.inputs = None if inputs is None else Known((inputs,), "inputs(p)")
        low, high = domain.bounds
        like = next(network.parameters())
        self.register_buffer("low", low.to(like))
        self.register_buffer("high", high.to(like))
        first = torch.full_like(self.low, -1.0)
        if network.starts_at_zero:
            first[-1] = 0
        self.register_buffer("first", first, persistent=False)

    def with_network(self, network: Network) -> "Surrogate":
        """Return a surrogate with another network; everything else is shared."""
        made = copy.copy(self)
        made._modules = dict(self._modules)
        made.network = network
        return made

    @property
    def has_unknowns(self) -> bool:
        """True if the problem has unknown scalar parameters or coefficient fields."""
        return self.network.constants is not None or any(self.coefficients)

    def coordinates(self, points: Points, channels: Channels) -> Jet | Coordinates:
        """Return the network's inputs at points, with their derivatives, as a jet.

        Args:
            points: the points.
            channels: the derivatives that the jet contains.
        """
        if self.inputs is not None:
            if channels.derivative_order:
                return self.inputs.jet(points, channels)
            values = self.inputs.values(points)
            return Coordinates(channels, values, torch.ones_like(values[0]))
        half = (self.high - self.low) / 2
        return Coordinates(channels, (points.coords - self.low) / half + self.first, 1 / half)

    def inputs_at(self, points: Points) -> Tensor:
        """Return the values of the network's inputs at points, (n, q); q = d without `inputs`."""
        return self.coordinates(points, Channels(self.domain.names)).value

    @torch.no_grad()
    def activations(self, points: Points, part: Network | None = None) -> Iterator[list[Tensor]]:
        """Yield for each block of points the inputs of all layers of a network.

        Args:
            points: the points.
            part: the network, a part of the surrogate's network; None for the whole network.

        Yields:
            For k points of a block, a list with the inputs (k, n_in) of each layer.
        """
        for start in range(0, len(points), 8192):  # blocks bound the memory
            inputs = self.inputs_at(points[start : start + 8192])
            yield list((self.network if part is None else part).activations(inputs))

    def jet(
        self, points: Points, channels: Channels, tape: Tape | None = None, numbers: bool = True
    ) -> Jet:
        """Return the fields at n points with their derivatives, followed by the unknown parameters.

        Unknown parameters are scalar parameters of the equation that the solve determines. Without
        gradients and without a tape, the points are evaluated in blocks, which bounds the memory.

        Args:
            points: n points with the dtype and device of the surrogate.
            channels: the derivatives that the jet contains.
            tape: the tape that records the evaluation of layers for a Jacobian, or None.
            numbers: whether the unknown parameters follow the fields.
        """
        if tape is None and not torch.is_grad_enabled():
            # At each point, an edge of a KAN or a unit of an MLP needs up to 100 bytes, for the
            # value, the derivatives and copies.
            most = 2**22
            size = max(256, most // max(layer.numbers_at_point for layer in self.network.layers))
            if len(points) > size:
                starts = range(0, len(points), size)
                return stack(
                    [self.jet(points[i : i + size], channels, None, numbers) for i in starts]
                )
        enrichment, constants = self.network.enrichment, self.network.constants
        # A batch keeps the jet of the inputs, which depends on the points alone.
        inputs = points.once((self, channels), lambda: self.coordinates(points, channels))
        jet = self.network.jet(inputs, tape)
        if enrichment is not None:
            jet = jet + enrichment(enrichment.known.jet(points, channels), tape)
        if self.output is not None:
            jet = self.output.apply(points, jet)
        if any(self.coefficients):
            found = enumerate(self.coefficients)
            jet = join([jet[i] if layer is None else layer.of(jet[i]) for i, layer in found])
        return join([jet, constants(jet, tape)]) if numbers and constants is not None else jet

    @torch.no_grad()
    def evaluate(self, points: Points, channels: Channels) -> Jet:
        """Return fields and their derivatives, in the precision and on the device of the points.

        Args:
            points: the points.
            channels: the derivatives that the jet contains.
        """
        converted = points.to(self.low.dtype, self.low.device)
        return self.jet(converted, channels, numbers=False).map(lambda t: t.to(points.coords))

    @torch.no_grad()
    def forward(self, points: Points) -> Tensor:
        """Return the values of the m fields at n points, (n, m)."""
        return self.jet(points, Channels(self.domain.names), numbers=False).value

    @torch.no_grad()
    def prepare(self, points: Points) -> None:
        """Let the network adapt to the points of a solve before the solve starts."""
        self.network.prepare(self.inputs_at(points))

    @torch.no_grad()
    def follow(self, points: Points) -> None:
        """Let the network adapt to its activations at points; its function does not change."""
        self.network.follow(self.inputs_at(points))
