"""Networks side by side, each for fields of its own."""

from collections.abc import Sequence

from torch import nn

from kanpinn._support.errors import InputError
from kanpinn.jets import Coordinates, Jet, join
from kanpinn.networks.network import Layer, Network, Tape

SEEDS = 104_729  # between those of networks side by side, where they have none of their own


class Beside(Network):
    """Several networks whose outputs, one after another, are a problem's fields in their order.

    They share nothing but the coordinates: a coefficient that is looked for can be coarser than the
    solution that it belongs to.

    Args:
        of: two or more networks with the same inputs.

    Raises:
        InputError: for fewer, or other inputs.
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
        return [one for one in self._of if isinstance(one, Network)]

    @property
    def layers(self) -> list[Layer]:  # type: ignore[override]
        """Those of all of them: no chain."""
        return [layer for part in self.parts for layer in part.layers]

    @property
    def width(self) -> tuple[int, ...]:
        """Inputs, and the outputs of all together."""
        return (self.parts[0].width[0], sum(part.width[-1] for part in self.parts))

    @property
    def max_order(self) -> int | None:
        orders = [order for part in self.parts if (order := part.max_order) is not None]
        return min(orders, default=None)

    @property
    def output_layers(self) -> list[Layer]:
        own = [layer for part in self.parts for layer in part.output_layers]
        return [*own, *self._extra]

    @property
    def all_layers(self) -> list[Layer]:
        inner = [layer for part in self.parts for layer in part.layers[:-1]]
        return [*inner, *self.output_layers]

    def jet(self, coordinates: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        return join([part.jet(coordinates, tape) for part in self.parts])

    def prepare(self, coordinates: Coordinates) -> None:
        for part in self.parts:
            part.prepare(coordinates)

    def follow(self, coordinates: Coordinates) -> None:
        for part in self.parts:
            part.follow(coordinates)
