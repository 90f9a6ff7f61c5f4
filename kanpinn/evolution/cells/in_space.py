"""The terms of an evolution at one moment: terms in space of the fields' values and rates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn.cells.problems.by_domain import problem_of_terms
from kanpinn.cells.problems.cell_problem import CellProblem, terms_for_cells
from kanpinn.evolution.function_space import space_of
from kanpinn.evolution.terms.evolution_terms import EvolutionTerms
from kanpinn.evolution.time.in_time import in_time
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.product import Wall
from kanpinn.geometry.times import at_one_time
from kanpinn.jets import Channels, Jet
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class AtMoment:
    """The residual of a term in space and time at one moment, a function of points in space.

    Its fields are the motion of the m fields: their values, followed by their derivatives in time
    up to the order p of the evolution.

    Args:
        term: the term in space and time.
        time: the moment.
        order: p.
    """

    term: ResidualTerm
    time: float
    order: int

    def __call__(self, points: Points, motion: Jet) -> Tensor:
        return self.term.equation(*self.at(points, motion))

    def at(self, points: Points, motion: Jet) -> tuple[Points, Jet]:
        """The points in space and time, and the jets of the m fields there."""
        jet, count = in_space_and_time(motion, self.term.channels), self.order + 1
        highest = max(2, jet.channels.order)
        powers = torch.eye(highest + 1, count).to(jet.value)  # (t - time)^r / r! at the moment
        there = in_time(jet, powers[:, None].unbind(), jet.value.shape[1] // count)
        return points_at_time(points, self.time, self.term.points.names), there


def points_at_time(points: Points, time: float, names: Sequence[str]) -> Points:
    """Points in space at a moment; names: of all coordinates."""
    return Batch.made_of(at_one_time(points, time, names[-1]))


def channels_in_space(channels: Channels) -> Channels:
    """The derivatives in space that are needed for some derivatives in space and time."""
    directions = tuple(dict.fromkeys(one[:-1] for one in channels.directions if any(one[:-1])))
    order = channels.order if directions else 0
    return Channels(channels.names[:-1], channels.gradient, channels.second, directions, order)


def in_space_and_time(jet: Jet, channels: Channels) -> Jet:
    """The jet of fields that are constant in time, with derivatives in space and time.

    Args:
        jet: with derivatives in space, see `channels_in_space`.
        channels: those in space and time.
    """
    gradient, second, lines = jet.gradient, jet.second, None
    if gradient is not None:
        gradient = torch.nn.functional.pad(gradient, (0, 0, 0, 1))
    if second is not None and channels.second == "diagonal":
        second = torch.nn.functional.pad(second, (0, 0, 0, 1))
    elif second is not None and channels.second == "hessian":
        dim = channels.dim - 1
        second = second.unflatten(1, (dim, dim))
        second = torch.nn.functional.pad(second, (0, 0, 0, 1, 0, 1)).flatten(1, 2)
    if channels.directions:
        own, (count, fields) = jet.channels.directions, jet.value.shape
        still = jet.value.new_zeros(count, channels.order, fields)  # along the time alone
        along = {} if jet.lines is None else dict(zip(own, jet.lines.unbind(1), strict=True))
        lines = torch.stack([along.get(one[:-1], still) for one in channels.directions], dim=1)
    return Jet(channels, jet.value, gradient, second, lines)


def at_moment(term: ResidualTerm, time: float) -> ResidualTerm:
    """A term in space at another moment."""
    assert isinstance(term.equation, AtMoment)
    return replace(term, equation=replace(term.equation, time=time))


def problem_in_space(
    terms: EvolutionTerms, domain: Domain, counted: Sequence[int], fields: int, order: int
) -> CellProblem:
    """The problem in space of an evolution at its first moment, for the motion of all fields.

    Args:
        terms: the terms of the evolution.
        domain: in space and time.
        counted: the numbers of the fields whose errors count.
        fields: the number of fields m.
        order: p, that of the evolution in time.

    Raises:
        InputError: for a domain or conditions that networks in cells do not support.
    """
    space, start = space_of(domain), float(domain.bounds[0][-1])

    def moved(term: ResidualTerm) -> ResidualTerm:
        coords, normals = term.points.coords[:, :-1], term.points.normals
        return replace(
            term,
            points=Points(coords, space.names, None if normals is None else normals[:, :-1]),
            channels=channels_in_space(term.channels),
            equation=AtMoment(term, start, order),
            pieces=tuple(filter(None, (_piece_in_space(piece, space) for piece in term.pieces))),
        )

    found = [moved(term) for term in (terms.equation, *terms.walls)]
    return problem_of_terms(terms_for_cells(found, space), space, counted, (order + 1) * fields)


def _piece_in_space(piece: Piece, space: Domain) -> Piece | None:
    """The piece of the boundary in space that belongs to a piece in space and time.

    None for the first or last moment, of which a condition on the whole boundary has the values.
    """
    if isinstance(piece, Wall):
        return piece.piece
    return next((one for one in space.boundary.pieces if one.side == piece.side), None)
