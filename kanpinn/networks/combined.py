"""Networks side by side, each for some of the fields, and sums of networks."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError
from kanpinn.jets import Coordinates, Jet, join
from kanpinn.networks.kan import KAN, random_like
from kanpinn.networks.layer import Layer, Tape
from kanpinn.networks.network import Network

SEEDS = 104_729  # difference of the seeds of parallel networks for which no seeds are given


class Beside(Network):
    """Several networks side by side; their outputs, one network after another, are the fields.

    The networks share only the inputs. For example, the network of an unknown coefficient can be
    coarser than the network of the solution.

    Args:
        of: two or more networks with the same inputs, in the order of the problem's fields.

    Raises:
        InputError: for fewer than two networks, or different numbers of inputs.

    Example:
        >>> import kanpinn as kp
        >>> network = kp.Beside([kp.KAN([2, 32, 1], degree=7), kp.KAN([2, 1], grid=3)])
        >>> network.width
        (2, 2)
    """

    def __init__(self, of: Sequence[Network]) -> None:
        super().__init__()
        if len(of) < 2 or not all(isinstance(network, Network) for network in of):
            raise InputError(f"of must be two or more networks, got {list(of)!r}")
        inputs = [network.width[0] for network in of]
        if len(set(inputs)) > 1:
            raise InputError(f"of must be networks with the same inputs, got {inputs}")
        self._of = nn.ModuleList(of)

    @property
    def parts(self) -> list[Network]:
        return list(cast(Sequence[Network], self._of))

    @property
    def layers(self) -> list[Layer]:  # type: ignore[override]
        """The layers of all networks, one network after another."""
        return [layer for part in self.parts for layer in part.layers]

    @property
    def width(self) -> tuple[int, ...]:
        """The number of inputs, and the sum of the numbers of outputs."""
        return (self.parts[0].width[0], sum(part.width[-1] for part in self.parts))

    @property
    def max_order(self) -> int | None:
        orders = [order for part in self.parts if (order := part.max_order) is not None]
        return min(orders, default=None)

    @property
    def output_layers(self) -> list[Layer]:
        outputs = [layer for part in self.parts for layer in part.output_layers]
        return outputs + [layer for layer in (self.enrichment, self.constants) if layer is not None]

    @property
    def all_layers(self) -> list[Layer]:
        inner = [layer for part in self.parts for layer in part.layers[:-1]]
        return [*inner, *self.output_layers]

    def jet(self, coordinates: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        return join([part.jet(coordinates, tape) for part in self.parts])

    def prepare(self, x: Tensor) -> None:
        for part in self.parts:
            part.prepare(x)

    def follow(self, x: Tensor) -> None:
        for part in self.parts:
            part.follow(x)


class Sum(Network):
    """A network with a second network that is added to some outputs of the first network.

    The enrichment (known functions with coefficients) and the unknown scalar parameters are those
    of the first network.

    Args:
        first: the first network.
        added: a network with the inputs of `first` and an output for each of `outputs`.
        outputs: the indices of the outputs of `first` to which `added` is added.
    """

    def __init__(self, first: Network, added: Network, outputs: Sequence[int]) -> None:
        super().__init__()
        self.first, self.added = first, added
        self.enrichment, self.constants = first.enrichment, first.constants
        places = torch.zeros(len(outputs), first.width[-1]).to(next(first.parameters()))
        places[torch.arange(len(outputs)), list(outputs)] = 1
        self.register_buffer("places", places)

    places: Tensor

    @property
    def layers(self) -> list[Layer]:  # type: ignore[override]
        """The layers of the first network, then the layers of the added network."""
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
        """The output layer of the added network, then the output layers of the first network."""
        return [self.added.layers[-1], *self.first.output_layers]

    def jet(self, coordinates: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        extra = self.added.jet(coordinates, tape).map(lambda part: part @ self.places)
        return self.first.jet(coordinates, tape) + extra

    def prepare(self, x: Tensor) -> None:
        self.added.prepare(x)


@torch.no_grad()
def with_more_functions(network: Network, outputs: Sequence[int], seed: int) -> Sum:
    """Return the sum of a network and a new KAN of about the same size that is zero at first.

    In one dimension the KAN has no hidden layer. If the network has no hidden layer either, the KAN
    has twice as many grid intervals as the network; otherwise it has twice as many intervals as the
    output layer of the network has coefficients for each output. In more dimensions the KAN has one
    hidden layer with random edge functions.

    Args:
        network: the network; the sum contains the network itself, not a copy.
        outputs: the indices of the outputs to which the KAN is added.
        seed: the seed of the random edge functions.
    """
    part = network.parts[0]
    inputs, *hidden, _ = part.width
    kan = part if isinstance(part, KAN) else KAN([inputs, 1, 1], 9, 4)
    width, intervals = (
        [inputs, max([*hidden[-1:], 16]), len(outputs)],
        kan.layers[-1].basis.intervals,
    )
    if inputs == 1:
        # A KAN without a hidden layer can also represent the network's functions on halved
        # intervals.
        present = part.layers[-1].coefficients.numel() // part.width[-1] if hidden else intervals
        width, intervals = [inputs, len(outputs)], 2 * present
    added = random_like(kan, width, seed, intervals=intervals, basis="spline")
    added.layers[-1].coefficients.zero_()
    like = next(network.parameters())
    return Sum(network, added.to(like.device, like.dtype), outputs)
