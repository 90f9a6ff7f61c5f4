"""Networks in time windows: a KAN for each window, which starts from the end of the one before."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError, integer
from kanpinn.evolution.handover import Group, Memory, group
from kanpinn.evolution.separable import Separable
from kanpinn.evolution.timing import Inputs
from kanpinn.jets import Jet
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.networks.layer import Tape
from kanpinn.networks.network import Network, check_width


class Windows(Network):
    """A network for each time window; the scaled time ξ is the last input. `March` adds windows.

    In a window [ξ_w, ξ_{w+1}] the output is M(x, ξ) = M(x, ξ_w) + (ξ - ξ_w) N_w(x, ξ), with M = 0
    at the initial time. For an equation of second order in time it is M(x, ξ_w)
    + (ξ - ξ_w) ∂_ξ M(x, ξ_w) + (ξ - ξ_w)² N_w(x, ξ). Here N_w(x, ξ) = Σ_j P_j(τ) φ_wj(x), with a
    KAN φ_w in space and the time τ of the window scaled to [-1, 1] (see `Separable`). So the value,
    and for second order the rate, is continuous to rounding for all coefficients. The solution is
    u = g + D·M, where g has the initial value (and rate) and D = 0 on boundaries with exact values.
    After the last window M is constant in time.

    A new network has one window for the whole time. Its `layers` are those of the last window, and
    only these are trained. Its order in time is the problem's: 2 if it prescribes an initial rate.

    Args:
        width: units per layer, the inputs first, with time as the last input: [2, 1] in one space
            dimension, [3, 48, 1] in two.
        degree: spline degree per layer, or one for all layers.
        grid: grid intervals per layer, or one number for all layers.
        modes: the number of polynomials in time of each window.
        stretch: whether `March` may stretch the coordinates, by a layer before the first one.
        seed: for the random coefficients.

    Raises:
        InputError: for settings that a `KAN` refuses, or fewer than two inputs.

    Reference: Krishnapriyan et al., Characterizing possible failure modes in physics-informed
    neural networks (2021), and Penwarden et al., A unified scalable framework for causal sweeping
    strategies (2023), for windows; Lagaris et al. (1998) for the form.
    """

    ends: Tensor

    def __init__(
        self,
        width: Sequence[int],
        degree: int | Sequence[int] = 7,
        grid: int | Sequence[int] = 40,
        *,
        modes: int = 8,
        stretch: bool = True,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        inputs, *rest = check_width(width)
        if inputs < 2:
            raise InputError(f"width of windows must start with 2 inputs or more, got {width!r}")
        self.stretch, self.seed = stretch, integer("seed", seed, least=0)
        self.modes, self.order = integer("modes", modes), 1
        self._settings: dict[str, Any] = {
            "width": [inputs - 1, *rest[:-1], rest[-1] * self.modes],
            "degree": degree,
            "grid": grid,
            "dtype": dtype,
        }
        self._of = nn.ModuleList([self._member(0)])
        self.register_buffer("ends", torch.tensor([-1.0, 1.0], dtype=dtype))
        self._memory, self._edition = Memory(), 0

    def _member(self, index: int) -> Separable:
        """Return a new network for window number `index`."""
        return Separable(
            modes=self.modes,
            stretch=self.stretch,
            seed=self.seed + index,
            **self._settings,
        )

    @property
    def members(self) -> list[Separable]:
        """The networks of the windows, in the order of time."""
        return list(cast(Sequence[Separable], self._of))

    @property
    def parts(self) -> list[Network]:
        return list(self.members)

    @property
    def layers(self) -> Sequence[KANLayer]:  # type: ignore[override]
        """The layers of the last window's network."""
        return self.members[-1].layers

    @property
    def width(self) -> tuple[int, ...]:
        inputs, *hidden, outputs = self.members[-1].width[int(self.stretch) :]
        return (inputs + 1, *hidden, outputs // self.modes)

    @property
    def max_order(self) -> int:
        return self.members[-1].max_order

    @property
    def count(self) -> int:
        """The number of windows."""
        return len(self.members)

    @property
    def parameter_count(self) -> int:
        """The number of coefficients of all windows, of an enrichment and of constants."""
        beside = [
            c.coefficients.numel() for c in (self.enrichment, self.constants) if c is not None
        ]
        return sum(beside) + sum(_count(layer) for m in self.members for layer in m.layers)

    def finer(self, factor: float, seed: int) -> "Windows":
        """Return a new network with by a factor more intervals in the output and more modes."""
        grid, last = self._settings["grid"], self.layers[-1].coefficients
        *grids, intervals = grid if isinstance(grid, Sequence) else [grid] * (len(self.width) - 1)
        grids.append(math.ceil(factor * intervals))
        modes, degree = math.ceil(factor * self.modes), self._settings["degree"]
        made = Windows(self.width, degree, grids, modes=modes, stretch=self.stretch, seed=seed)
        return made.to(last.device, last.dtype)

    @torch.no_grad()
    def open(self, end: float, first: bool = False) -> Separable:
        """Add a window that begins at the end of the last one; its output layer is zero.

        Args:
            end: the end of the new window, in scaled time up to 1.
            first: True if the new window replaces all windows so far.

        Returns:
            The network of the new window.
        """
        member = self._member(0 if first else self.count)
        member.layers[-1].coefficients.zero_()
        if first:
            self._set([-1.0, end], [member])
        else:
            self._set([*self.ends.tolist(), end], [*self.members, member])
        return self.members[-1]

    @torch.no_grad()
    def close(self) -> None:
        """Remove the last window; if it is the only one, its output layer becomes zero instead."""
        if self.count == 1:
            self.layers[-1].coefficients.zero_()
        else:
            self._set(self.ends.tolist()[:-1], self.members[:-1])

    def _set(self, ends: list[float], members: list[Separable]) -> None:
        """Replace all windows by the given ones, of which the last one is trained."""
        for index, member in enumerate(members):
            member.to(device=self.ends.device, dtype=self.ends.dtype)
            member.requires_grad_(index + 1 == len(members))
        self._of = nn.ModuleList(members)
        self.ends = self.ends.new_tensor(ends)
        self._edition += 1
        self._memory.forget(members[-1])

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # A saved network may have another number of windows, and layers of other shapes, which the
        # layers take over by themselves.
        ends = state[prefix + "ends"].tolist()
        members = self.members[: len(ends) - 1]
        members += [self._member(index) for index in range(len(members), len(ends) - 1)]
        self._set(ends, members)
        self._memory = Memory()
        super()._load_from_state_dict(state, prefix, *args)

    @torch.no_grad()
    def reset(self) -> None:
        """Set the last window's output layer to zero; its grids will be placed again."""
        self.layers[-1].coefficients.zero_()
        self.members[-1].placed = False

    def prepare(self, x: Tensor) -> None:
        self.members[-1].prepare(self._in_last(x))

    def follow(self, x: Tensor) -> None:
        self.members[-1].follow(self._in_last(x))

    def _in_last(self, x: Tensor) -> Tensor:
        """Return the inputs of the last window's network at the points in that window only."""
        start, end = self.ends[-2:].tolist()
        inside = x[(x[:, -1] >= start) & (x[:, -1] <= end)].clone()
        stretch = 2 / (end - start)
        inside[:, -1] = inside[:, -1] * stretch + (-stretch * start - 1)
        return inside

    def jet(self, coordinates: Inputs, tape: Tape | None = None) -> Jet:
        groups = self._groups(coordinates)
        last = self.count - 1
        if tape is None or len(groups) == 1:
            found = [g.value(self.members[g.number].jet(g.inputs, tape)) for g in groups]
        else:
            present = self.members[last].jet(_whole(groups, last, len(coordinates.value)), tape)
            found = [
                g.value(
                    present.map(lambda t, rows=g.rows: t[rows])  # type: ignore[misc]
                    if g.number == last
                    else self.members[g.number].jet(g.inputs)
                )
                for g in groups
            ]
        if len(found) == 1:
            return found[0]
        back = torch.cat([g.rows for g in groups]).argsort()
        parts = zip(*(jet.parts() for jet in found), strict=True)
        return found[0].with_parts([torch.cat(same)[back] for same in parts])

    def _groups(self, inputs: Inputs) -> list[Group]:
        """Return the points grouped by windows, from the cache unless earlier windows changed."""
        ends = self.ends.tolist()
        if torch.is_grad_enabled() and inputs.value.requires_grad:
            return group(self.members, ends, self.order, inputs)
        stamp = (self._edition, self.order)
        known = inputs.known.get(self)
        if known is None or known[0] != stamp:
            with torch.no_grad():
                known = stamp, group(self.members, ends, self.order, inputs, self._memory)
            inputs.known[self] = known
        return known[1]


def _count(layer: KANLayer) -> int:
    c = layer.coefficients
    return c.numel() - int((~layer.kept).sum()) * c.shape[1]


def _whole(groups: Sequence[Group], last: int, count: int) -> Jet:
    """Return the inputs of the last window's network at all points, zero for other windows'."""
    own = [g for g in groups if g.number == last]
    jets = [g.inputs.dense() for g in own]
    rows = torch.cat([g.rows for g in own])
    parts = zip(*(jet.parts() for jet in jets), strict=True)
    joined = [torch.cat(same) for same in parts]
    return jets[0].with_parts(
        [t.new_zeros(count, *t.shape[1:]).index_copy(0, rows, t) for t in joined]
    )
