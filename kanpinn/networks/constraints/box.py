"""Dirichlet data on boxes: u = g + D·N with a product of distances and a transfinite lifting."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Domain, Points
from kanpinn.jets import Coordinates, Jet, join
from kanpinn.networks.constraints.lifting import NotExact, check_smooth
from kanpinn.networks.known_function import Known
from kanpinn.networks.surrogate import OutputMap
from kanpinn.pde.conditions.condition import Prescribed

MAX_DIM = 4  # in more dimensions products of distances nearly vanish

Side = tuple[int, bool]  # of a box, see `Piece.side`


@dataclass(frozen=True, eq=False)
class ExactDirichlet:
    """Output map u = g + D·N, which equals the data on given faces of a box for every network N.

    D is the product of the scaled distances to these faces. The lifting g extends the boundary
    values into the box by transfinite interpolation: the Boolean sum of the linear interpolations
    between opposite faces. It uses nothing but the boundary values.

    Args:
        box: the domain, a box or a box over a time interval.
        data: for each face, by its `side`, a function of n points on that face, which returns
            (n, m), or None for zero.

    Reference: Gordon and Hall, Transfinite element methods (1973); Lagaris et al. (1998) for
    u = g + D·N.
    """

    box: Domain
    data: Mapping[Side, Callable[[Points], Tensor] | None]

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the jet of g + D·N from the jet of N."""
        low, high = (corner.to(points.coords) for corner in self.box.bounds)
        half = (high - low) / 2
        xi = Coordinates(jet.channels, (points.coords - low) / half - 1, 1 / half).dense()
        # D = Π_faces (1 ± ξ), with ξ in [-1, 1] the scaled coordinate that is constant on the face.
        factors = [(-1 * xi[axis] if upper else xi[axis]) + 1 for axis, upper in self.data]
        inner = math.prod(factors[1:], start=factors[0]) * jet
        if all(values is None for values in self.data.values()):
            return inner
        return self._extension.jet(points, jet.channels) + inner

    @cached_property
    def _extension(self) -> Known:
        return Known((lambda p: self.extension(p.coords),), "g")

    def extension(self, coords: Tensor) -> Tensor:
        """Return g at n points, (n, m) or (n, 1).

        It is I - Π_axes (I - P_axis) applied to the boundary values, where P_axis interpolates
        between the faces of an axis: a signed sum over faces, edges, …
        """
        by_axis: dict[int, list[Side]] = {}
        for side in self.data:
            by_axis.setdefault(side[0], []).append(side)
        total = torch.zeros_like(coords[:, :1])
        for size in range(1, len(by_axis) + 1):
            for axes in itertools.combinations(by_axis, size):
                for corner in itertools.product(*(by_axis[axis] for axis in axes)):
                    total = total - (-1) ** size * self._blend(coords, corner, by_axis)
        return total

    def _blend(
        self, coords: Tensor, corner: tuple[Side, ...], by_axis: dict[int, list[Side]]
    ) -> Tensor:
        """Return the data where these faces meet, times their linear interpolation weights.

        A face whose opposite face has no data has the weight one.
        """
        low, high = (c.to(coords) for c in self.box.bounds)
        weight, columns = torch.ones_like(coords[:, :1]), list(coords.split(1, dim=1))
        for axis, upper in corner:
            a, b = low[axis], high[axis]
            share = (columns[axis] - a) / (b - a)
            if len(by_axis[axis]) == 2:
                weight = weight * (share if upper else 1 - share)
            columns[axis] = torch.full_like(share, float(b if upper else a))
        values = self.data[corner[0]]
        if values is None:
            return torch.zeros_like(weight)
        on_face = Points(torch.cat(columns, dim=1), self.box.names)
        return weight * values(on_face)


@dataclass(frozen=True, eq=False)
class Fieldwise:
    """Output map of a system: one map for each field, or None for a field without data."""

    maps: tuple[OutputMap | None, ...]

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the jet of all fields from the jet of the network's outputs."""
        fields = [jet[i] if m is None else m.apply(points, jet[i]) for i, m in enumerate(self.maps)]
        return join(fields)


def on_box(box: Domain, data: Sequence[Prescribed], rough: bool) -> ExactDirichlet:
    """Return the output map that builds in the data of one field on faces of a box.

    Args:
        box: the domain, a box or a box over a time interval.
        data: the values prescribed on the faces.
        rough: whether the data need not be smooth, as in the energy form.

    Raises:
        NotExact: where a piece is no face of the box, or data are not smooth and not `rough`.
        InputError: above four dimensions, where the product of distances nearly vanishes.
    """
    if box.dim > MAX_DIM:
        raise InputError(
            f'boundary = "exact" is for up to {MAX_DIM} dimensions, the domain has {box.dim}: '
            'use boundary = "penalty"'
        )
    check_smooth(data, rough)
    values: dict[Side, Callable[[Points], Tensor] | None] = {}
    for one in data:
        side = one.piece.side
        if side is None or one.piece.names != box.names:
            raise NotExact(f"the piece {one.piece.name} is no side of {box!r}")
        values[side] = None if one.is_zero else one.values
    return ExactDirichlet(box, values)
