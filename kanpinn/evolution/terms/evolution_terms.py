"""The terms of an evolution: the equation, its initial values, and its conditions at walls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.terms.linear_terms import linear_parts
from kanpinn.geometry import Points
from kanpinn.jets import Channels
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class EvolutionTerms:
    """The terms of a loss by their part in an evolution.

    equation: the equation. initial: the conditions at the first moment. walls: those that hold at
    all times, with one point for each place. algebraic: the numbers of the fields of which no
    equation has a derivative in time.
    """

    equation: ResidualTerm
    initial: Sequence[ResidualTerm]
    walls: Sequence[ResidualTerm]
    algebraic: Sequence[int] = ()

    def in_float64(self) -> "EvolutionTerms":
        """The terms at points with 64 bits, in the main memory."""

        def moved(term: ResidualTerm) -> ResidualTerm:
            return replace(term, points=term.points.to(torch.float64, "cpu"))

        initial, walls = ([moved(one) for one in some] for some in (self.initial, self.walls))
        return replace(self, equation=moved(self.equation), initial=initial, walls=walls)


def sorted_terms(terms: Sequence[Term], surrogate: Surrogate) -> EvolutionTerms:
    """Sort the terms of a loss, the equation first.

    Raises:
        InputError: for a term on data, at a moment other than the first one, or that ties different
            times together; the message names it.
    """
    low, high = (float(corner[-1]) for corner in surrogate.domain.bounds)
    equation, *others = [as_residual_term(term, "march") for term in terms]
    rounding = 4 * torch.finfo(equation.points.coords.dtype).eps * max(abs(low), abs(high))
    same = max(1e-9 * (high - low), rounding)
    initial, walls = [], []
    for term in others:
        moments = term.points.coords[:, -1].view(-1, term.sites)
        if term.points.data is not None:
            raise InputError(_refusal(term, "it is about data at given points"))
        if bool(((moments - moments[:, :1]).abs() > same).any()):
            raise InputError(_refusal(term, "it ties different times together"))
        if float((moments - low).abs().max()) <= same:
            initial.append(term)
        elif float(moments.max() - moments.min()) > same or len(moments) == 1:
            if not _holds_at_all_times(term, low, high):
                raise InputError(_refusal(term, "it does not hold at all times"))
            walls.append(_once_for_each_place(term))
        else:
            raise InputError(_refusal(term, "it is about one moment"))
    if not initial:
        raise InputError(
            "march starts from initial values, such as kp.Initial(domain, value): the problem has "
            f"none where {surrogate.domain.names[-1]}, the last coordinate, begins"
        )
    return EvolutionTerms(equation, initial, walls)


def _holds_at_all_times(term: ResidualTerm, low: float, high: float) -> bool:
    """Whether a condition holds from the first moment to the last one.

    Pieces of the boundary at one moment, which belong to a whole boundary, do not matter. Of a
    condition elsewhere than on pieces only its points are known: it is refused where random ones
    hardly leave so much of the time.
    """
    if not term.pieces:
        moments = term.points.coords[:, -1]
        gap = min(0.75, 12 / len(moments))
        return len(moments) < 8 or float(moments.max() - moments.min()) >= (1 - gap) * (high - low)
    nodes, gap = 8, 0.05  # the first node of Gauss is at 2 % of an interval
    each = [piece.quadrature(nodes)[0].coords[:, -1] for piece in term.pieces]
    lengths = [float(own.max() - own.min()) / (high - low) for own in each]
    lasting = [length for length in lengths if length > 1e-9]
    return bool(lasting) and min(lasting) >= 1 - gap


def as_residual_term(term: Term, method: str) -> ResidualTerm:
    """Return the term if it is a sum of squared residuals.

    Args:
        term: a term of the loss.
        method: the name of the method that needs such a term, for the error message.

    Raises:
        InputError: for an energy.
    """
    if not isinstance(term, ResidualTerm):
        raise InputError(f"{method}: the term {term.name} is no mean of squared residuals")
    return term


def _refusal(term: Term, why: str) -> str:
    return f"the term {term.name} cannot be solved in windows of time: {why}"


def _once_for_each_place(term: ResidualTerm) -> ResidualTerm:
    """The term with one of its rows for each place in space."""
    places = term.points.coords[:, :-1].reshape(term.rows, -1)
    if places.shape[1] == 0:
        return term.chosen(torch.zeros(1, dtype=torch.long))
    _, which = torch.unique(places, dim=0, return_inverse=True)
    order = torch.arange(term.rows, device=which.device)
    first = which.new_full((int(which.max()) + 1,), term.rows)
    return term.chosen(first.scatter_reduce(0, which, order, "amin"))


def initial_values(terms: Sequence[ResidualTerm], points: Points, fields: int) -> Tensor:
    """The values of the fields at the first moment, and their rates, that the terms prescribe.

    At each point the result is their least-squares solution of least norm, so that what is not
    prescribed is zero.

    Args:
        terms: the conditions at the first moment.
        points: n points there.
        fields: the number of fields m.

    Returns:
        (2, n, m).
    """
    both = [linear_in_state(term, with_normals(points), fields) for term in terms]
    matrices, rights = zip(*both, strict=True)
    found = torch.linalg.pinv(torch.cat(matrices, dim=1)) @ torch.cat(rights, dim=1)[..., None]
    return -found[..., 0].unflatten(1, (2, fields)).movedim(1, 0)


def with_normals(points: Points) -> Points:
    """Points at the first moment with the outward normals of the domain there."""
    backwards = torch.zeros_like(points.coords)
    backwards[:, -1] = -1
    return Points(points.coords, points.names, backwards)


def linear_in_state(term: ResidualTerm, points: Points, fields: int) -> tuple[Tensor, Tensor]:
    """The residuals of a term that is linear in values and rates, and contains nothing else.

    Args:
        term: the term.
        points: n points.
        fields: the number of fields m.

    Returns:
        The matrix at each point, (n, equations, 2 m), and the residuals of zero, (n, equations).
    """
    channels = term.channels | Channels(points.names, gradient=True)
    linear = linear_parts(term, points, fields, channels)
    rows = [torch.cat([s[:, 0], s[:, channels.dim]], dim=1) for s in linear.slopes]
    return torch.stack(rows, dim=1), linear.rest
