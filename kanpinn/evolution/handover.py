"""What windows hand over: the value, and the rate, with which a window begins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn.evolution.timing import Inputs, frozen, in_window, places, time_of
from kanpinn.jets import Coordinates, Jet
from kanpinn.networks.network import Network


@dataclass(frozen=True)
class Handover:
    """M and, with order 2, ∂_ξ M where a window begins, with their derivatives in space.

    None stands for zero, as at the first moment.
    """

    order: int
    value: Jet | None = None
    rate: Jet | None = None

    def after(self, since: Jet, rows: Tensor) -> Jet | None:
        """M as it goes on without the network at some of the places, ξ - ξ_w the time since."""
        if self.value is None:
            return None
        value = self.value.map(lambda t: t[rows])
        if self.rate is None:
            return value
        return value + since * self.rate.map(lambda t: t[rows])

    def next(self, network: Network, inputs: Inputs, length: float) -> "Handover":
        """Where a window of this length ends, in whose network's inputs time is in [-1, 1]."""
        at_end = frozen(inputs, 1.0)
        if self.order == 1:
            return Handover(1, _sum(self.value, network.jet(at_end) * length))
        n, slope = value_and_rate(network, at_end)
        coasted = None if self.rate is None else self.rate * length
        value = _sum(self.value, _sum(coasted, n * length**2))
        return Handover(2, value, _sum(self.rate, (n + slope) * (2 * length)))


def _sum(first: Jet | None, second: Jet) -> Jet:
    return second if first is None else first + second


def value_and_rate(network: Network, inputs: Inputs) -> tuple[Jet, Jet]:
    """N and ∂_τ N, τ the last input, with the derivatives that the inputs carry.

    Each number of the jet depends on its own point's τ: the gradient of Σ_k v_k N_k by τ is linear
    in v, and the derivative of its sum by v_k is the one that is wanted.
    """
    traced = torch.is_grad_enabled() and inputs.value.requires_grad
    with torch.enable_grad():
        tau = inputs.value[:, -1:].detach().clone().requires_grad_()
        value = torch.cat([inputs.value[:, :-1], tau], dim=1)
        jet = network.jet(replace(inputs, value=value))
        parts = jet.parts()
        v = [torch.zeros_like(t, requires_grad=True) for t in parts]
        (slope,) = torch.autograd.grad(parts, tau, v, create_graph=True)
        rates = torch.autograd.grad(slope.sum(), v, create_graph=traced)
    return jet if traced else jet.map(torch.Tensor.detach), jet.with_parts(rates)


@dataclass(frozen=True)
class Group:
    """The points of one window: M = past + factor · N(inputs)."""

    number: int
    rows: Tensor
    inputs: Inputs
    factor: Jet
    past: Jet | None

    def value(self, output: Jet) -> Jet:
        """M from the output of the window's network."""
        return _sum(self.past, self.factor * output)


@dataclass(frozen=True)
class Passed:
    """What some members handed over at some places."""

    spots: Coordinates
    members: Sequence[Network]
    ends: Sequence[float]
    handed: Handover

    def at(self, spots: Inputs) -> bool:
        """Whether these are its places."""
        mine = self.spots
        return (
            isinstance(spots, Coordinates)
            and spots.channels == mine.channels
            and torch.equal(spots.scale, mine.scale)
            and torch.equal(spots.value[:, :-1], mine.value[:, :-1])
        )

    def holds(self, members: Sequence[Network], ends: Sequence[float], order: int) -> bool:
        """Whether the first of these members are its own, as they were."""
        count = len(self.members)
        return (
            self.handed.order == order
            and list(ends[: count + 1]) == self.ends
            and count <= len(members)
            and all(a is b for a, b in zip(self.members, members[:count], strict=True))
        )


class Memory:
    """The latest handovers at places that later windows ask for again, as those of a march do.

    Args:
        most: the number of handovers that are kept; 64 are more than the terms of a loss.
    """

    def __init__(self, most: int = 64) -> None:
        self.most = most
        self._known: list[Passed] = []

    def find(
        self, spots: Inputs, members: Sequence[Network], ends: Sequence[float], order: int
    ) -> tuple[int, Handover]:
        """How many of the members are passed, and what they hand over at these places."""
        for one in self._known:
            if one.at(spots) and one.holds(members, ends, order):
                return len(one.members), one.handed
        return 0, Handover(order)

    def keep(
        self, spots: Inputs, members: Sequence[Network], ends: Sequence[float], handed: Handover
    ) -> None:
        """Remember what these members hand over, in place of what was known at these places."""
        if isinstance(spots, Coordinates):
            new = Passed(spots, list(members), list(ends[: len(members) + 1]), handed)
            self._known = [new, *(one for one in self._known if not one.at(spots))]
            self._known = self._known[: self.most]

    def forget(self, member: Network) -> None:
        """Forget what a member has handed over that is trained from now on."""
        self._known = [one for one in self._known if all(m is not member for m in one.members)]

    def __deepcopy__(self, _: dict[int, Any]) -> "Memory":
        return Memory()  # the members of a copy are others


def group(
    members: Sequence[Network],
    ends: Sequence[float],
    order: int,
    inputs: Inputs,
    memory: Memory | None = None,
) -> list[Group]:
    """The points by windows, each with all that was handed over to it; time after the last window
    stands still at its end. The past is worked out once for each place in space.
    """
    which = torch.bucketize(inputs.value[:, -1].contiguous(), inputs.value.new_tensor(ends[1:]))
    first, place = places(inputs)
    spots = inputs.rows(first)
    numbers = which.clamp_max(len(members) - 1)
    begin, latest = (int(numbers.min()), int(numbers.max())) if len(which) else (0, -1)
    memory = memory or Memory()
    done, handed = memory.find(spots, members[:begin], ends, order)
    groups = []
    for number in range(done, latest + 1):
        if number == begin:
            memory.keep(spots, members[:begin], ends, handed)
        start, end = ends[number], ends[number + 1]
        for late in (False, True):
            rows = ((numbers == number) & ((which == len(members)) == late)).nonzero()[:, 0]
            if len(rows):
                own = inputs.rows(rows)
                own = frozen(own, end) if late else own
                since = time_of(own) - start
                past = handed.after(since, place[rows])
                factor = since if order == 1 else since * since
                groups.append(Group(number, rows, in_window(own, start, end), factor, past))
        if number < latest:
            handed = handed.next(members[number], in_window(spots, start, end), end - start)
    return groups
