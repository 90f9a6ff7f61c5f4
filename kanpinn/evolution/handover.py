"""Handover: the value and the rate in time at which a window ends and the next one begins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn.evolution.timing import Inputs, at_time, in_window, places, time_of
from kanpinn.jets import Coordinates, Jet
from kanpinn.networks.network import Network


@dataclass(frozen=True)
class Handover:
    """The output M and its rate ∂_ξ M at the beginning of a window, at k places, as jets in space.

    Args:
        order: the order of the equation in time, 1 or 2.
        value: M; None if it is zero, as in the first window.
        rate: ∂_ξ M; None if it is zero or the order is 1.
    """

    order: int
    value: Jet | None = None
    rate: Jet | None = None

    def after(self, since: Jet, rows: Tensor) -> Jet | None:
        """Return the extrapolation of M into the window, value + (ξ - ξ_w) · rate.

        Args:
            since: ξ - ξ_w at n points.
            rows: the index of the place of each point, (n,).

        Returns:
            The extrapolation at the points; None if it is zero.
        """
        if self.value is None:
            return None
        value = self.value.map(lambda t: t[rows])
        if self.rate is None:
            return value
        return value + since * self.rate.map(lambda t: t[rows])

    def next(self, network: Network, inputs: Inputs, length: float) -> "Handover":
        """Return the handover at the end of a window that begins with this one.

        Args:
            network: the network of the window.
            inputs: its inputs at the places, with any time.
            length: the length of the window in ξ.
        """
        at_end = at_time(inputs, 1.0)
        if self.order == 1:
            return Handover(1, _sum(self.value, network.jet(at_end) * length))
        n, slope = value_and_rate(network, at_end)
        coasted = None if self.rate is None else self.rate * length
        value = _sum(self.value, _sum(coasted, n * length**2))
        return Handover(2, value, _sum(self.rate, (n + slope) * (2 * length)))


def _sum(first: Jet | None, second: Jet) -> Jet:
    return second if first is None else first + second


def value_and_rate(network: Network, inputs: Inputs) -> tuple[Jet, Jet]:
    """Return the jets of N and ∂_τ N, τ the last input, with the derivatives that the inputs carry.

    Forward differentiation by τ is done in two reverse passes: each number N_k of the jet depends
    on the τ of its own point only, so that the gradient of Σ_k v_k N_k by τ is linear in v, and its
    derivative by v_k is ∂_τ N_k.
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
    """The points in one window, at which M = past + factor · N(inputs).

    Args:
        number: the index of the window.
        rows: the indices of the n points among all points, (n,).
        inputs: the inputs of the window's network at the points.
        factor: ξ - ξ_w, or its square for an equation of second order in time.
        past: the extrapolation of the windows before, see `Handover.after`; None if it is zero.
    """

    number: int
    rows: Tensor
    inputs: Inputs
    factor: Jet
    past: Jet | None

    def value(self, output: Jet) -> Jet:
        """Return M at the points from the output N of the window's network."""
        return _sum(self.past, self.factor * output)


@dataclass(frozen=True)
class Passed:
    """A stored handover, with the places and windows that it belongs to.

    Args:
        spots: the places.
        members: the networks of the windows before the handover.
        ends: the ends of these windows in scaled time, the beginning of the first one included.
        handed: the handover at the end of the last of them.
    """

    spots: Coordinates
    members: Sequence[Network]
    ends: Sequence[float]
    handed: Handover

    def at(self, spots: Inputs) -> bool:
        """Return whether the handover was computed at these places."""
        mine = self.spots
        return (
            isinstance(spots, Coordinates)
            and spots.channels == mine.channels
            and torch.equal(spots.scale, mine.scale)
            and torch.equal(spots.value[:, :-1], mine.value[:, :-1])
        )

    def holds(self, members: Sequence[Network], ends: Sequence[float], order: int) -> bool:
        """Return whether it is a handover between the given windows, or after the last of them."""
        count = len(self.members)
        return (
            self.handed.order == order
            and list(ends[: count + 1]) == self.ends
            and count <= len(members)
            and all(a is b for a, b in zip(self.members, members[:count], strict=True))
        )


class Memory:
    """A cache of the latest handover at each set of places, which the windows of a march reuse.

    Args:
        most: the largest number of stored handovers; a loss has fewer than 64 terms.
    """

    def __init__(self, most: int = 64) -> None:
        self.most = most
        self._known: list[Passed] = []

    def find(
        self, spots: Inputs, members: Sequence[Network], ends: Sequence[float], order: int
    ) -> tuple[int, Handover]:
        """Return the number of windows before a stored handover at these places, and the handover.

        If none is stored, these are 0 and the zero handover.
        """
        for one in self._known:
            if one.at(spots) and one.holds(members, ends, order):
                return len(one.members), one.handed
        return 0, Handover(order)

    def keep(
        self, spots: Inputs, members: Sequence[Network], ends: Sequence[float], handed: Handover
    ) -> None:
        """Store the handover after these members; it replaces one stored at the same places."""
        if isinstance(spots, Coordinates):
            new = Passed(spots, list(members), list(ends[: len(members) + 1]), handed)
            self._known = [new, *(one for one in self._known if not one.at(spots))]
            self._known = self._known[: self.most]

    def forget(self, member: Network) -> None:
        """Remove the handovers that depend on a member, whose coefficients will change."""
        self._known = [one for one in self._known if all(m is not member for m in one.members)]

    def __deepcopy__(self, _: dict[int, Any]) -> "Memory":
        return Memory()  # a copy has other members


def group(
    members: Sequence[Network],
    ends: Sequence[float],
    order: int,
    inputs: Inputs,
    memory: Memory | None = None,
) -> list[Group]:
    """Sort points by windows, and compute the handover to each window that has points.

    The time of points after the last window is set to its end. Handovers are computed once for each
    place in space.

    Args:
        members: the networks of the windows.
        ends: the beginning of the first window and the ends of all, in scaled time.
        order: the order of the equation in time, 1 or 2.
        inputs: the scaled coordinates, time last, at n points.
        memory: a cache of handovers.

    Returns:
        The groups of points in the order of their windows. The last window may have a second group,
        of the points after its end.
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
                own = at_time(own, end) if late else own
                since = time_of(own) - start
                past = handed.after(since, place[rows])
                factor = since if order == 1 else since * since
                groups.append(Group(number, rows, in_window(own, start, end), factor, past))
        if number < latest:
            handed = handed.next(members[number], in_window(spots, start, end), end - start)
    return groups
