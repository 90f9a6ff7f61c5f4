"""The sum of a network and an additional one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn.jets import Coordinates, Jet
from kanpinn.networks.kan import KAN
from kanpinn.networks.layer import Layer, Tape
from kanpinn.networks.network import Network
from kanpinn.networks.similar import random_like


class Sum(Network):
    """A network plus another one in some of its outputs; the enrichment and numbers are its own.

    Args:
        first: the network.
        added: a network with the same inputs and an output for each of `outputs`.
        outputs: the indices of the outputs to which `added` is added.
    """

    def __init__(self, first: Network, added: Network, outputs: Sequence[int]) -> None:
        super().__init__()
        self.first, self.added = first, added
        self.enrichment, self.constants = first.enrichment, first.constants
        like = next(first.parameters())
        places = torch.zeros(len(outputs), first.width[-1]).to(like)
        places[torch.arange(len(outputs)), list(outputs)] = 1
        self.register_buffer("places", places)

    places: Tensor

    @property
    def layers(self) -> list[Layer]:  # type: ignore[override]
        """The layers of both networks; they are not a chain."""
        return [*self.first.layers, *self.added.layers]

    @property
    def width(self) -> tuple[int, ...]:
        return self.first.width

    @property
    def parts(self) -> list[Network]:
        return self.first.parts

    @property
    def max_order(self) -> int | None:
        return self.first.max_order

    @property
    def output_layers(self) -> list[Layer]:
        """The output layer of the added network, then those of the first one."""
        return [self.added.layers[-1], *self.first.output_layers]

    def jet(self, coordinates: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        extra = self.added.jet(coordinates, tape).map(lambda part: part @ self.places)
        return self.first.jet(coordinates, tape) + extra

    def prepare(self, x: Tensor) -> None:
        self.added.prepare(x)


@torch.no_grad()
def with_more_functions(network: Network, outputs: Sequence[int], seed: int) -> Sum:
    """Return a network plus a KAN of about its size, whose output is zero.

    In one dimension the KAN has no hidden layer, and twice as many intervals as the output layer of
    the network has coefficients for each output or, without a hidden layer, intervals. Otherwise it
    has random hidden functions.

    Args:
        network: its layers become those of the sum.
        outputs: the indices of the outputs to which functions are added.
        seed: of the hidden functions.
    """
    part = network.parts[0]
    inputs, *hidden, _ = part.width
    kan = part if isinstance(part, KAN) else KAN([inputs, 1, 1], 9, 4)
    width, intervals = (
        [inputs, max([*hidden[-1:], 16]), len(outputs)],
        kan.layers[-1].basis.intervals,
    )
    if inputs == 1:
        # Without a hidden layer, the network's own functions are among those on the halved grid.
        own = part.layers[-1].coefficients.numel() // part.width[-1] if hidden else intervals
        width, intervals = [inputs, len(outputs)], 2 * own
    first = int(kan.stretched)
    added = random_like(kan, width, seed, intervals=intervals, basis="spline", first=first)
    added.layers[-1].coefficients.zero_()
    like = next(network.parameters())
    return Sum(network, added.to(like.device, like.dtype), outputs)
