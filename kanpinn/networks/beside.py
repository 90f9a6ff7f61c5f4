"""Networks evaluated in parallel, each for its own fields."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from kanpinn._support.errors import InputError
from kanpinn.jets import Coordinates, Jet, join
from kanpinn.networks.layer import Layer, Tape
from kanpinn.networks.network import Network

SEEDS = 104_729  # offset of the seeds of parallel networks that have no seeds of their own


class Beside(Network):
    """Several networks whose outputs, one after another, are a problem's fields in their order.

    They share only the coordinates, so that the network of an unknown coefficient can be coarser
    than that of the solution.

    Args:
        of: two or more networks with the same inputs.

    Raises:
        InputError: for fewer, or other inputs.

    Example:
        >>> import kanpinn as kp
        >>> network = kp.Beside([kp.KAN([2, 32, 1], degree=7), kp.KAN([2, 1], grid=3)])
        >>> network.width
        (2, 2)
    """

    def __init__(self, of: Sequence[Network]) -> None:
        super().__init__()
        if len(of) < 2 or not all(isinstance(one, Network) for one in of):
            raise InputError(f"of must be two or more networks, got {list(of)!r}")
        inputs = [one.width[0] for one in of]
        if len(set(inputs)) > 1:
            raise InputError(f"of must be networks with the same inputs, got {inputs}")
        self._of = nn.ModuleList(of)

    @property
    def parts(self) -> list[Network]:
        return list(cast(Sequence[Network], self._of))

    @property
    def layers(self) -> list[Layer]:  # type: ignore[override]
        """The layers of all networks, one network after another; they are not a chain."""
        return [layer for part in self.parts for layer in part.layers]

    @property
    def width(self) -> tuple[int, ...]:
        """The number of inputs, and the number of outputs of all networks together."""
        return (self.parts[0].width[0], sum(part.width[-1] for part in self.parts))

    @property
    def max_order(self) -> int | None:
        orders = [order for part in self.parts if (order := part.max_order) is not None]
        return min(orders, default=None)

    @property
    def output_layers(self) -> list[Layer]:
        own = [layer for part in self.parts for layer in part.output_layers]
        return own + [layer for layer in (self.enrichment, self.constants) if layer is not None]

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
