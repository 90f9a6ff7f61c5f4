"""Networks in time windows: what they have in common, whatever the functions of space are."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, Self, TypeVar, cast

import torch
from torch import Tensor, nn

from kanpinn.evolution.time.timing import Inputs, by_windows
from kanpinn.jets import Jet
from kanpinn.networks.layer import Layer, Tape
from kanpinn.networks.network import Network

Member = TypeVar("Member", bound=Network)


class NetworkOfWindows(Network, Generic[Member]):
    """A network for each time window; the scaled time is the last input.

    After the last window the output is constant in time. Its `layers` are those of the last window.

    ends: of the windows in scaled time, (windows + 1,), 0 the first, up to 2.
    """

    ends: Tensor
    _of: nn.ModuleList
    starts_at_zero = True
    solved_by = "March"

    @property
    def members(self) -> list[Member]:
        """The networks of the windows, in the order of time."""
        return list(cast(Sequence[Member], self._of))

    @property
    def parts(self) -> list[Network]:
        return list(self.members)

    @property
    def layers(self) -> Sequence[Layer]:  # type: ignore[override]
        """The layers of the last window's network."""
        return self.members[-1].layers

    @property
    def count(self) -> int:
        """The number of windows."""
        return len(self._of)

    @abstractmethod
    def anew(self) -> Self:
        """A new network with the same settings."""

    def jet(self, coordinates: Inputs, tape: Tape | None = None) -> Jet:
        members, last = self.members, self.count - 1
        return by_windows(
            coordinates,
            self.ends.tolist(),
            lambda i, own: members[i].jet(own, tape if i == last else None),
        )

    def _up_to_end(self, pieces: list[Tensor]) -> Tensor:
        """The pieces of all windows, and those after the last one, (c, 2, d) as `pieces`.

        pieces: those of each window, the last one at the end.
        """
        end = self.ends[-1].cpu() / 2
        if end < 1:  # there the output is constant in time
            rest = pieces[-1].clone()
            rest[..., -1] = torch.stack([end, end.new_ones(())])
            pieces = [*pieces, rest]
        return torch.cat(pieces)
