"""Dirichlet data on boxes: u = g + D·N with a product of distances and a transfinite lifting."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Box, Domain, Face, Piece, Points, Product
from kanpinn.geometry.product import End, Wall
from kanpinn.jets import Coordinates, Jet, join
from kanpinn.networks.constraints.lifting import NotExact, check_smooth
from kanpinn.networks.known_function import Known
from kanpinn.networks.surrogate import OutputMap
from kanpinn.pde.conditions.condition import Prescribed

MAX_DIM = 4  # dimensions above which products of distances all but vanish


@dataclass(frozen=True, eq=False)
class ExactDirichlet:
    """u = g + D·N takes the data on the given faces of a box whatever the network N is.

    D is the product of the (scaled) distances to these faces. g extends the boundary values, and
    only them, into the box by transfinite interpolation: the Boolean sum of the linear
    interpolations between opposite faces.

    Args:
        box: the domain.
        data: for each face a function of points on that face, (n, d) → (n, m), or None for zero.

    Raises:
        InputError: above four dimensions, where the product of distances all but vanishes.

    Reference: Gordon and Hall, Transfinite element methods (1973); Lagaris et al. (1998) for
    u = g + D·N.
    """

    box: Box
    data: Mapping[Face, Callable[[Points], Tensor] | None]

    def __post_init__(self) -> None:
        if self.box.dim > MAX_DIM:
            raise InputError(
                f'boundary = "exact" is for up to {MAX_DIM} dimensions, the domain has '
                f'{self.box.dim}: use boundary = "penalty"'
            )

    def apply(self, points: Points, jet: Jet) -> Jet:
        """The jet of g + D·N from that of N."""
        inner = self._distance(points, jet) * jet
        if all(values is None for values in self.data.values()):
            return inner
        return self._extension.jet(points, jet.channels) + inner

    def _distance(self, points: Points, jet: Jet) -> Jet:
        """Π_faces of 1 ± ξ, ξ in [-1, 1] the scaled coordinate of the face's axis."""
        low, high = (corner.to(points.coords) for corner in self.box.bounds)
        half = (high - low) / 2
        xi = Coordinates(jet.channels, (points.coords - low) / half - 1, 1 / half).dense()
        factors = [1 - xi[f.axis] if f.upper else 1 + xi[f.axis] for f in self.data]
        return math.prod(factors[1:], start=factors[0])

    @cached_property
    def _extension(self) -> Known:
        return Known((lambda p: self.extension(p.coords),), "g")

    def extension(self, coords: Tensor) -> Tensor:
        """g, I - Π_axes (I - P_axis) on boundary values: a signed sum over faces, edges, …"""
        by_axis: dict[int, list[Face]] = {}
        for face in self.data:
            by_axis.setdefault(face.axis, []).append(face)
        total = torch.zeros_like(coords[:, :1])
        for size in range(1, len(by_axis) + 1):
            for axes in itertools.combinations(by_axis, size):
                for corner in itertools.product(*(by_axis[axis] for axis in axes)):
                    total = total - (-1) ** size * self._blend(coords, corner, by_axis)
        return total

    def _blend(
        self, coords: Tensor, corner: tuple[Face, ...], by_axis: dict[int, list[Face]]
    ) -> Tensor:
        """The data where these faces meet, times the linear weight of each with an opposite."""
        low, high = (c.to(coords) for c in self.box.bounds)
        weight, columns = torch.ones_like(coords[:, :1]), list(coords.split(1, dim=1))
        for face in corner:
            a, b = low[face.axis], high[face.axis]
            share = (columns[face.axis] - a) / (b - a)
            if len(by_axis[face.axis]) == 2:
                weight = weight * (share if face.upper else 1 - share)
            columns[face.axis] = torch.full_like(share, float(b if face.upper else a))
        values = self.data[corner[0]]
        if values is None:
            return torch.zeros_like(weight)
        on_face = Points(torch.cat(columns, dim=1), self.box.names)
        return weight * values(on_face)


@dataclass(frozen=True, eq=False)
class Fieldwise:
    """An output map for each field of a system, None where a field has none."""

    maps: tuple[OutputMap | None, ...]

    def apply(self, points: Points, jet: Jet) -> Jet:
        """The jet of all fields from that of the network."""
        fields = [jet[i] if m is None else m.apply(points, jet[i]) for i, m in enumerate(self.maps)]
        return join(fields)


def on_box(box: Box, data: Sequence[Prescribed], rough: bool) -> ExactDirichlet:
    """What takes the data of one field on sides of a box.

    Raises:
        NotExact: where a piece is no side, or data are not smooth and may not be `rough`.
    """
    check_smooth(data, rough)
    values = {_as_face(box, one.piece): None if one.is_zero else one.values for one in data}
    return ExactDirichlet(box, values)


def as_box(domain: Domain) -> Box | None:
    """A box, or one over an interval of time, as one box; None for any other domain."""
    match domain:
        case Box():
            return domain
        case Product():
            space = as_box(domain.space)
            ranges = () if space is None else (*space.ranges, *domain.time.ranges)
            return Box(**{name: ends for name, *ends in ranges}) if ranges else None
    return None


def _as_face(box: Box, piece: Piece) -> Face:
    """The side of a box that a piece of a box, or of one over an interval of time, is."""
    match piece:
        case Wall():
            return _as_face(box, piece.piece)
        case End():
            return Face(box, piece.product.dim - 1, piece.late)
        case Face() if piece.box.dim <= box.dim:
            return Face(box, piece.axis, piece.upper)
    raise NotExact(f"the piece {piece.name} is no side of {box!r}")
