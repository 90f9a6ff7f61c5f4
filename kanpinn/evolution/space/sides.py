"""Conditions on the sides of a box, as conditions on the functions of one coordinate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.space.axes import Axis
from kanpinn.evolution.space.multi_indices import multi_indices, unit_parts
from kanpinn.evolution.terms.linear_terms import linear_parts
from kanpinn.geometry import Points
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class SideCondition:
    """A condition Σ_r γ_r ∂^r u_f / ∂x^r = g on a side of a box.

    Args:
        axis: the number of the coordinate x.
        end: its value on the side.
        field: the number f.
        factors: the γ_r.
        data: a function of times (k,) that gives g at the products of the other coordinates'
            places, (k, places).
    """

    axis: int
    end: float
    field: int
    factors: tuple[float, ...]
    data: Callable[[Tensor], Tensor]

    def functional(self, axis: Axis) -> Tensor:
        """What the functions of the coordinate have in the condition, (n,)."""
        order = len(self.factors) - 1
        values = axis.at(torch.tensor([self.end]).double(), order)[:, 0]
        return torch.tensor(self.factors).double() @ values


def side_conditions(
    term: ResidualTerm, line: Sequence[Axis], fields: int, duration: float
) -> list[SideCondition]:
    """Take a condition on sides of a box apart.

    Args:
        term: the condition.
        line: the axes, without conditions.
        fields: the number of fields m.
        duration: of the evolution.

    Raises:
        InputError: for a condition that is not linear, ties fields together, varies along a side or
            in time, contains derivatives along it, or holds on a part of it.
    """
    normals = term.points.normals
    if term.sites > 1 or normals is None:
        raise InputError(_refusal(term, "it does not hold at single points of walls"))
    found, left = [], torch.ones(len(normals), dtype=torch.bool)
    for d, axis in enumerate(line):
        for sign, end in ((-1.0, axis.low), (1.0, axis.high)):
            here = (normals[:, d] - sign).abs() < 1e-12
            if bool(here.any()):
                left &= ~here
                _check_whole(term, term.points.coords[here], line, d)
                found += _Face(term, line, d, end, sign, fields).sides(duration)
    if bool(left.any()):
        raise InputError(_refusal(term, "it does not hold on sides of the box"))
    return found


@dataclass(frozen=True, eq=False)
class _Face:
    """A term on one side of a box."""

    term: ResidualTerm
    line: Sequence[Axis]
    axis: int
    end: float
    sign: float
    fields: int

    def points(self, times: Tensor) -> Points:
        """The products of the other coordinates' places at each of k times, times first."""
        ends = torch.tensor([self.end]).double()
        places = [ends if d == self.axis else one.places for d, one in enumerate(self.line)]
        grid = torch.stack(torch.meshgrid(*places, indexing="ij"), dim=-1).flatten(0, -2)
        moments = times.repeat_interleave(len(grid))[:, None]
        coords = torch.cat([grid.repeat(len(times), 1), moments], dim=1)
        normals = torch.zeros_like(coords)
        normals[:, self.axis] = self.sign
        return Points(coords, self.term.points.names, normals)

    def sides(self, duration: float) -> list[SideCondition]:
        """One condition for each equation of the term."""
        first = float(self.term.points.coords[:, -1].min())
        times = torch.tensor([first, first + 0.37 * duration]).double()
        points = self.points(times)
        linear = linear_parts(self.term, points, self.fields)
        if not linear.holds():
            raise InputError(_refusal(self.term, "it is not linear"))
        return [self._side(slopes, e) for e, slopes in enumerate(linear.slopes)]

    def _side(self, slopes: Tensor, equation: int) -> SideCondition:
        """The condition of one equation; slopes: by the parts of the jets, (n, parts, m)."""
        channels = self.term.channels
        own: dict[tuple[int, ...], Tensor] = {}
        for order in range(channels.derivative_order + 1):
            for index in multi_indices(channels.dim, order):
                parts = unit_parts(channels, index)
                own[index] = torch.einsum("npf,p->nf", slopes, parts)
        small = 1e-10 * max(float(one.abs().max()) for one in own.values())
        present = {index: one for index, one in own.items() if float(one.abs().max()) > small}
        if any(sum(index) > index[self.axis] for index in present):
            raise InputError(_refusal(self.term, "it has derivatives along the wall or in time"))
        if any(float((one - one[:1]).abs().max()) > small for one in present.values()):
            raise InputError(_refusal(self.term, "its factors vary along the wall or in time"))
        about = {int(f) for one in present.values() for f in (one[0].abs() > small).nonzero()}
        if len(about) != 1:
            raise InputError(_refusal(self.term, "it is not about one field"))
        (field,) = about
        factors = [0.0] * (channels.derivative_order + 1)
        for index, one in present.items():
            factors[index[self.axis]] = float(one[0, field])

        def data(times: Tensor) -> Tensor:
            found = linear_parts(self.term, self.points(times), self.fields).rest[:, equation]
            return -found.unflatten(0, (len(times), -1))

        return SideCondition(self.axis, self.end, field, tuple(factors), data)


def _check_whole(term: ResidualTerm, coords: Tensor, line: Sequence[Axis], side: int) -> None:
    """Refuse a condition whose points leave much of a side free."""
    for d, axis in enumerate(line):
        if d != side and len(coords) >= 8:
            ends = coords.new_tensor([axis.low, axis.high])
            seen = torch.cat([coords[:, d], ends]).sort().values.diff().max()
            if float(seen) > min(0.75, 24 / len(coords) ** 0.5) * (axis.high - axis.low):
                raise InputError(_refusal(term, "it holds on a part of a side of the box"))


def _refusal(term: ResidualTerm, why: str) -> str:
    return (
        f"march cannot impose the term {term.name} with products of splines: {why}; a network with "
        "a hidden layer may take it"
    )
