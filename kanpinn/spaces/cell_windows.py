"""Solutions of evolutions with cells in space, and an evolution's problem in space at one time.

In each window, a span of time that is solved at once, the solution is a polynomial in time whose
coefficients are piecewise polynomials in space, on a tree of cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError
from kanpinn.geometry.domain import Domain, Piece
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.product import PieceOverTime, at_one_time
from kanpinn.jets import Channels, Coordinates, Jet, derivatives_of_parts, jet_of_stacked
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.constraints import periodic_axes, refuse_imposed
from kanpinn.networks.layer import Tape
from kanpinn.networks.network import Imposition, Network
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.spaces.cells.cells import CellLayer, Cells
from kanpinn.spaces.cells.problem import CellProblem, problem_of_terms
from kanpinn.spaces.cells.tree import Tree
from kanpinn.spaces.evolution_terms import EvolutionTerms
from kanpinn.spaces.function_space import space_of
from kanpinn.spaces.jets_in_time import Inputs, in_time
from kanpinn.spaces.windows import NetworkOfWindows, product_in_time


@dataclass(frozen=True, eq=False)
class AtMoment:
    """The residual of a term in space and time at one time, as a function of points in space.

    The function takes the jet in space of the state and rate of m fields, with (p + 1) m
    components: the values of the fields, followed by their derivatives in time up to order p.

    Args:
        term: the equation or condition in space and time.
        time: the time.
        order: p, the order of the evolution in time.
    """

    term: ResidualTerm
    time: float
    order: int

    def __call__(self, points: Points, state_and_rate: Jet) -> Tensor:
        return self.term.equation(*self.at(points, state_and_rate))

    def at(self, points: Points, state_and_rate: Jet) -> tuple[Points, Jet]:
        """Convert points and jets in space to points and jets in space and time at this time.

        Args:
            points: the points in space.
            state_and_rate: the jet in space of the state and rate.

        Returns:
            The points in space and time, and the jet in space and time of the m fields.
        """
        jet, count = in_space_and_time(state_and_rate, self.term.channels), self.order + 1
        highest = max(2, jet.channels.order)
        powers = torch.eye(highest + 1, count).to(jet.value)  # (t - time)^r / r! at the moment
        there = in_time(jet, powers[:, None].unbind(), jet.value.shape[1] // count)
        return Batch.made_of(at_one_time(points, self.time, self.term.points.names[-1])), there


def channels_in_space(channels: Channels) -> Channels:
    """The space derivatives that `in_space_and_time` needs for given derivatives in space and time.

    Args:
        channels: the derivatives in space and time.
    """
    directions = tuple(
        dict.fromkeys(direction[:-1] for direction in channels.directions if any(direction[:-1]))
    )
    order = channels.order if directions else 0
    return Channels(channels.names[:-1], channels.gradient, channels.second, directions, order)


def in_space_and_time(jet: Jet, channels: Channels) -> Jet:
    """Extend a jet in space, of fields that are constant in time, to a jet in space and time.

    Args:
        jet: the jet of the fields in space, with the derivatives `channels_in_space(channels)`.
        channels: the derivatives in space and time that the result carries. Derivatives in time are
            zero.
    """
    parts = {tuple(terms): i for i, terms in enumerate(derivatives_of_parts(jet.channels))}
    rows = jet.stacked()
    index = []
    for terms in derivatives_of_parts(channels):  # derivatives in time vanish
        still = tuple((orders[:-1], factor) for orders, factor in terms if not orders[-1])
        index.append(parts.get(still, rows.shape[1]))
    rows = torch.cat([rows, torch.zeros_like(rows[:, :1])], dim=1)
    return jet_of_stacked(channels, rows[:, index])


def at_moment(term: ResidualTerm, time: float) -> ResidualTerm:
    """Copy a term in space, which `problem_in_space` made for one time, for another time."""
    assert isinstance(term.equation, AtMoment)
    return replace(term, equation=replace(term.equation, time=time))


def problem_in_space(
    terms: EvolutionTerms, domain: Domain, counted: Sequence[int], fields: int, order: int
) -> CellProblem:
    """The problem in space of an evolution at its initial time, for the state and rate.

    The state and rate are the fields and their derivatives in time up to the order p. `at_moment`
    moves the terms of the result to other times.

    Args:
        terms: the terms of the evolution.
        domain: the domain in space and time.
        counted: the indices of the fields that error norms include.
        fields: the number of fields m.
        order: p, the order of the evolution in time.

    Raises:
        InputError: for a domain or conditions that networks in cells do not support.
    """
    space, start = space_of(domain), domain.time_span[0]

    def in_space(piece: Piece) -> Piece | None:
        """The piece of the boundary in space that belongs to a piece of the boundary in space-time.

        The result is None for the pieces at the initial and the final time.
        """
        if isinstance(piece, PieceOverTime):
            return piece.piece
        return next((wall for wall in space.boundary.pieces if wall.side == piece.side), None)

    def moved(term: ResidualTerm) -> ResidualTerm:
        """A term in space and time at the first moment, as a term in space."""
        coords, normals = term.points.coords[:, :-1], term.points.normals
        return replace(
            term,
            points=Points(coords, space.names, None if normals is None else normals[:, :-1]),
            channels=channels_in_space(term.channels),
            equation=AtMoment(term, start, order),
            pieces=tuple(filter(None, map(in_space, term.pieces))),
        )

    spatial = [moved(term) for term in (terms.equation, *terms.boundary)]
    return problem_of_terms(spatial, space, counted, (order + 1) * fields)


class CellsInWindow(Network):
    """Σ_j P_j(τ) φ_j(x) in one window of time: Legendre polynomials P_j, and cell functions φ_j.

    A window is a span of time that is solved at once. The φ_j are polynomials of space in each cell
    of a tree of boxes.

    Args:
        layer: gives the functions φ_j. It has an output for each pair of polynomial P_j and field,
            of which the field varies fastest.
        modes: the number of Legendre polynomials.
    """

    layers: Sequence[CellLayer]

    def __init__(self, layer: CellLayer, modes: int) -> None:
        super().__init__()
        self.layers, self.modes = cast(Sequence[CellLayer], nn.ModuleList([layer])), modes

    @property
    def layer(self) -> CellLayer:
        """The layer of all cells."""
        return self.layers[0]

    @property
    def width(self) -> tuple[int, ...]:
        return self.layer.polynomials.dim, self.layer.coefficients.shape[2]

    @property
    def max_order(self) -> int | None:
        return self.layer.polynomials.degree

    def jet(self, coordinates: Inputs, tape: Tape | None = None) -> Jet:
        assert isinstance(coordinates, Coordinates)  # such networks have no other inputs
        channels = coordinates.channels
        value, scale = coordinates.value[:, :-1], coordinates.scale[:-1]
        jet = super().jet(Coordinates(channels_in_space(channels), value, scale), tape)
        jet = in_space_and_time(jet, channels)
        return product_in_time(jet, coordinates, self.modes)


class CellWindows(NetworkOfWindows[CellsInWindow]):
    """Cells in space for each window of time; the scaled time is the last input. For `March`.

    A window is a span of time that is solved at once. In each window the output is Σ_j P_j(τ)
    φ_j(x): Legendre polynomials of the window's time τ in [-1, 1], and functions φ_j of space that
    are polynomials of total degree k in each cell, like those of `Cells`. The cells are boxes of a
    tree over the domain in space, which is a box or any domain in the plane. `March` adds one
    window after another, each with cells of its own, and halves cells where the error is large.
    After the last window the output is constant in time. A new network has one window.

    Args:
        width: the number of inputs, of which time is the last one, and the number of fields: [3, 1]
            for one field in the plane; by default the numbers of the problem.
        degree: k, from 1 to 30.
        cells: the number of cells along each coordinate in space before any cell is halved, or one
            number for all coordinates.
        dtype: the type of the coefficients.

    Raises:
        InputError: for a width with fewer than two inputs or with hidden layers, or for a degree or
            cells out of range.

    Example:
        >>> import kanpinn as kp
        >>> network = kp.CellWindows([3, 1], degree=8, cells=2)
        >>> len(network.tree)
        4
    """

    unweighted = "March weighs equation and conditions by the sizes of the cells"
    threads = 1  # matrices of single cells are too small for more threads

    def __init__(
        self,
        width: Sequence[int] | None = None,
        degree: int = 8,
        cells: int | Sequence[int] = 4,
        *,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        later: dict[str, Any] = {"degree": degree, "cells": cells, "dtype": dtype}
        if (width := self._width_of(width, **later)) is None:
            return
        inputs, *rest = width
        if inputs < 2:
            raise InputError(
                f"width must begin with at least 2 inputs (space and time), got {list(width)}"
            )
        if len(rest) != 1:
            raise InputError(
                f"width must be the numbers of inputs and of fields, such as [3, 1], got "
                f"{list(width)}: cells have no hidden layers"
            )
        first = Cells([inputs - 1, *rest], degree, cells, dtype=dtype)
        self.start, self.polynomials, self.fields = first.tree, first.polynomials, first.width[-1]
        self.order = 1  # in time
        self._of = nn.ModuleList([CellsInWindow(first.layer, 1)])
        self.register_buffer("ends", torch.tensor([0.0, 2.0], dtype=dtype))

    @property
    def tree(self) -> Tree:
        """The cells of the last window."""
        return self.members[-1].layer.tree

    @property
    def width(self) -> tuple[int, ...]:
        return self.polynomials.dim + 1, self.fields

    @property
    def max_order(self) -> int | None:
        return self.polynomials.degree

    @property
    def pieces(self) -> Tensor:  # type: ignore[override]
        """A box in space and time for each cell of each window, (c, 2, d), scaled to [0, 1].

        A window is a span of time that is solved at once. A box holds its lower and its upper
        corner. If there are more than 2^14 boxes, neighbouring windows are joined, with the cells
        of the first of the joined windows.
        """
        ends, parts = self.ends.cpu() / 2, []
        stride = -(-sum(len(member.layer.tree) for member in self.members) // 2**14)
        chosen = [*range(0, self.count, stride), self.count]
        for first, last in pairwise(chosen):
            boxes = (self.members[first].layer.tree.boxes + 1) / 2
            times = torch.stack([ends[first], ends[last]])[None, :, None]
            parts.append(torch.cat([boxes, times.expand(len(boxes), 2, 1)], dim=2))
        return self._up_to_end(parts)

    def go_around(self, axes: frozenset[int]) -> None:
        """Make the coordinates `axes` of space periodic, and all other coordinates not periodic."""
        layer = self.members[0].layer
        layer.go_around(axes)
        self.start = layer.tree

    def impose(self, problem: BoundaryValueProblem, boundary: str, form: str) -> Imposition:
        """Prepare the cells for a problem; all but periodic conditions are imposed as residuals.

        The cells at the two ends of a periodic coordinate become neighbours, which replaces the
        periodic condition. The arguments are those of `Network.impose`.
        """
        self._take_order(problem, form)
        refuse_imposed(problem, self, boundary)
        if any(condition.kinks for condition in problem.conditions()):
            raise InputError(
                f"{type(problem).__name__} has an Interface: a march with cells expects none"
            )
        around = periodic_axes(problem)
        self.go_around(frozenset(around.values()))
        follows = "a march takes short windows and small cells for it if the equation smooths it"
        return Imposition(None, met=frozenset(around), follows=follows)

    def anew(self) -> "CellWindows":
        """A new network with the settings of this network, with one window and no solution."""
        network = CellWindows(
            self.width, self.polynomials.degree, self.start.roots, dtype=self.ends.dtype
        )
        network.go_around(self.start.around)
        return network.to(self.ends.device)

    def member(self, modes: int) -> CellsInWindow:
        """A new network for one window, on the initial cells, with `modes` polynomials in time."""
        layer = CellLayer(self.start, self.polynomials, modes * self.fields)
        return CellsInWindow(layer.to(self.ends), modes)
