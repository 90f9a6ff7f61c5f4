"""Functions in cells: sums of polynomials in each cell and of functions shared by many cells;
their values, norms and means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kanpinn.geometry.points import Points
from kanpinn.jets import Channels, derivatives_of_parts
from kanpinn.networks.enrichment import Enrichment
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, CellPoints
from kanpinn.spaces.cells.geometry.corner_functions import CornerFunctions
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.tree import Tree


class SharedFunctions(Protocol):
    """Known functions in some cells, each with one coefficient for all of them."""

    @property
    def count(self) -> int:
        """The number of functions."""

    def members(self, geometry: CellGeometry) -> Tensor:
        """The cells that have the functions, a mask (N,); elsewhere they are zero."""

    def stacked(self, points: Points, channels: Channels) -> Tensor:
        """The stacked jets of all functions at points of these cells, (n, parts, m, count)."""


@dataclass(frozen=True, eq=False)
class SharedInCells:
    """The functions of several kinds that the cells of a tree share.

    Args:
        kinds: those of each kind.
        members: the cells that have them, (kinds, N).
        fields: the number m of fields.
    """

    kinds: Sequence[SharedFunctions]
    members: Tensor
    fields: int

    @classmethod
    def of(
        cls, functions: Sequence[SharedFunctions], geometry: CellGeometry, fields: int
    ) -> "SharedInCells":
        """Some functions in some cells."""
        none = torch.zeros(0, len(geometry.tree), dtype=torch.bool)
        members = torch.cat([none, *(one.members(geometry)[None] for one in functions)])
        return cls(functions, members, fields)

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def sizes(self) -> list[int]:
        """The number of functions of each kind."""
        return [one.count for one in self.kinds]

    def sum(self, numbers: Sequence[Tensor]) -> "SharedSum | None":
        """The sums of the functions; None without any.

        numbers: the coefficients of those of each kind, (count,) each; none where they are zero.
        """
        return SharedSum(self, numbers) if numbers else None


@dataclass(frozen=True, eq=False)
class SharedSum:
    """The sums of shared functions in all cells.

    Args:
        functions: the functions.
        numbers: the coefficients of those of each kind, (count,) each.
    """

    functions: SharedInCells
    numbers: Sequence[Tensor]

    def stacked(self, at: CellPoints, channels: Channels) -> Tensor:
        """The stacked jets of the sums at points of cells, (c, q, parts, m)."""
        (cells, each), most = at.weights.shape, 2**20  # numbers of functions at once
        fields, kinds = self.functions.fields, (self.functions.kinds, self.functions.members)
        parts = len(derivatives_of_parts(channels))
        found = at.weights.new_zeros(cells, each, parts, fields)
        for functions, members, numbers in zip(*kinds, self.numbers, strict=True):
            own = members[at.cells].nonzero()[:, 0]
            if not len(own) or not bool(numbers.any()):
                continue
            together = max(1, most // (each * parts * fields * functions.count))
            for some in own.split(together):
                jets = functions.stacked(at.some(some).points, channels) @ numbers
                found[some] += jets.unflatten(0, (len(some), each))
        return found


def for_each_field(jets: Tensor, fields: int) -> Tensor:
    """The jets of scalar functions in each of m fields, (n, parts, m, count m).

    jets: of the functions, (n, parts, count). The fields of each function stand side by side.
    """
    unit = torch.eye(fields, dtype=jets.dtype)
    return torch.einsum("npk,mf->npmkf", jets, unit).flatten(3)


@dataclass(frozen=True, eq=False)
class CornerPatch(SharedFunctions):
    """The singular functions of a corner in all cells of a patch around it.

    Args:
        at: the corner, (2,).
        functions: of the points minus the corner.
        boxes: the patch: the lower and upper corners of boxes in the tree's coordinates, (b, 2, 2).
        fields: the number of fields m, each of which has coefficients of its own.
    """

    at: Tensor
    functions: CornerFunctions
    boxes: Tensor
    fields: int

    @property
    def count(self) -> int:
        return self.functions.count * self.fields

    def members(self, geometry: CellGeometry) -> Tensor:
        return geometry.tree.inside(self.boxes)

    def stacked(self, points: Points, channels: Channels) -> Tensor:
        jets = self.functions.stacked(points.coords - self.at, channels)
        return for_each_field(jets, self.fields)

    def cut(self, tree: Tree) -> Tensor:
        """The cells of which only a part is in the patch, a mask (N,)."""
        rounding = 1e-9
        (low, high), (below, above) = tree.boxes[:, None].unbind(2), self.boxes.unbind(1)
        least = rounding * (above - below)
        meets = ((low < above - least) & (high > below + least)).all(dim=2)
        larger = (high - low > above - below + least).any(dim=2)
        return (meets & larger).any(dim=1)


@dataclass(frozen=True, eq=False)
class EnrichmentInCells(SharedFunctions):
    """The known functions of a problem, in all cells.

    Args:
        layer: the functions.
        fields: the number of fields.
    """

    layer: Enrichment
    fields: int

    @property
    def count(self) -> int:
        return self.layer.coefficients.numel()

    def members(self, geometry: CellGeometry) -> Tensor:
        return torch.ones(len(geometry.tree), dtype=torch.bool)

    def stacked(self, points: Points, channels: Channels) -> Tensor:
        found = self.layer.known.jet(points, channels).stacked()  # (n, parts, count)
        if self.layer.joint:
            return found.unflatten(2, (-1, self.fields)).transpose(2, 3)
        return for_each_field(found, self.fields)


def jets_at(
    at: CellPoints,
    polynomials: LocalPolynomials,
    channels: Channels,
    coefficients: Tensor,
    kept: dict[tuple[float, ...], Tensor] | None = None,
) -> Tensor:
    """The stacked jets of a function at points of cells, (c, q, parts, m).

    Args:
        at: the points.
        polynomials: the functions of a cell.
        channels: the derivatives.
        coefficients: in all cells, (N, L, m).
        kept: gets the jets of the polynomials in cells of each size, for further functions at the
            same points; None to forget them. They are for points in the same places of each cell.
    """
    own, kept = coefficients[at.cells], {} if kept is None else kept
    if not at.alike:
        most = 2**20  # numbers of one kind at once
        each = max(1, most // (at.weights.shape[1] * (polynomials.degree + 1)))
        parts = zip(at.local.split(each), at.scale.split(each), own.split(each), strict=True)
        return torch.cat([polynomials.evaluated(channels, *part) for part in parts])
    scales, kind = at.scale.unique(dim=0, return_inverse=True)
    cells = [(kind == number).nonzero()[:, 0] for number in range(len(scales))]
    found = []
    for some, scale in zip(cells, scales, strict=True):
        size = tuple(scale.tolist())
        if size not in kept:
            kept[size] = polynomials.stacked(channels, at.local, scale)
        found.append(torch.einsum("qpl,clm->cqpm", kept[size], own[some]))
    return torch.cat(found)[torch.cat(cells).argsort()]


def sums_at(
    at: CellPoints,
    polynomials: LocalPolynomials,
    channels: Channels,
    coefficients: Tensor,
    shared: SharedSum | None,
) -> Tensor:
    """The stacked jets of polynomials and shared functions together, (c, q, parts, m).

    The arguments are those of `jets_at`, and the sums of shared functions; None without any.
    """
    found = jets_at(at, polynomials, channels, coefficients)
    return found if shared is None else found + shared.stacked(at, channels)


@dataclass(frozen=True, eq=False)
class CellField:
    """A function: polynomials in all cells, and functions that cells share.

    coefficients: (N, L, m). numbers: the coefficients of the shared functions, (count,) of each
    kind; none where they are zero.
    """

    coefficients: Tensor
    numbers: Sequence[Tensor] = ()

    def minus(self, other: "CellField") -> "CellField":
        """The difference from another function on the same cells."""
        pairs = zip(self.numbers, other.numbers, strict=True)
        return CellField(self.coefficients - other.coefficients, [a - b for a, b in pairs])


@dataclass(frozen=True, eq=False)
class CellNorms:
    """Norms and means of functions in cells.

    Args:
        places: points of a quadrature rule in groups of cells; each cell is in one group, once.
        polynomials: the functions of each cell.
        counted: the numbers of the fields that count in norms.
        shared: functions that cells share.
    """

    places: Sequence[CellPoints]
    polynomials: LocalPolynomials
    counted: Sequence[int]
    shared: SharedInCells

    def of_cells(self, one: CellField) -> Tensor:
        """The L2 norms of the counted fields together over each cell's part of the domain, (N,)."""
        squares = torch.empty(len(one.coefficients), dtype=one.coefficients.dtype)
        counted = list(self.counted)
        for at in self.places:
            smooth = self._smooth(at, one) & at.alike
            # The rule is that of a whole cell, where polynomials are orthonormal.
            volumes = (1 / at.scale[smooth]).prod(dim=1)
            own = one.coefficients[at.cells[smooth]][..., counted].square().sum(dim=(1, 2))
            squares[at.cells[smooth]] = volumes * own
            if not bool(smooth.all()):
                others = at.some((~smooth).nonzero()[:, 0])
                values = self._values(others, one)[..., counted].square()
                squares[others.cells] = torch.einsum("cq,cqm->c", others.weights, values)
        return squares.sqrt()

    def _smooth(self, at: CellPoints, one: CellField) -> Tensor:
        """The cells in which a function has no shared functions, a mask (c,)."""
        return ~(self.shared.members[:, at.cells] & bool(one.numbers)).any(dim=0)

    def _values(self, at: CellPoints, one: CellField) -> Tensor:
        """The values of the fields at points of cells, (c, q, m)."""
        channels, shared = Channels(at.points.names), self.shared.sum(one.numbers)
        return sums_at(at, self.polynomials, channels, one.coefficients, shared)[:, :, 0]

    def total(self, one: CellField) -> float:
        """The L2 norm of the counted fields over the domain."""
        return float(self.of_cells(one).square().sum().sqrt())

    def nearest(self, one: CellField, lower: LocalPolynomials) -> Tensor:
        """The polynomials of a lower degree that are nearest in L2 in each cell, (N, L, m)."""
        found = one.coefficients[:, : lower.size].clone()  # in whole cells they are orthonormal
        for at in self.places:
            for place, cell in enumerate([] if at.alike else at.cells.tolist()):
                roots, local = at.weights[place].sqrt()[:, None], at.local[place]
                right = roots * (self.polynomials.values(local) @ one.coefficients[cell])
                matrix = roots * lower.values(local)
                found[cell] = torch.linalg.lstsq(matrix, right, driver="gelsd").solution
        return found

    def means(self, one: CellField) -> Tensor:
        """The means of the fields over the domain, (m,)."""
        parts = [self._integrals(at, one) for at in self.places]
        return torch.cat(parts).sum(dim=0) / sum(float(at.weights.sum()) for at in self.places)

    def _integrals(self, at: CellPoints, one: CellField) -> Tensor:
        """The integrals of each field over cells, (c, m)."""
        if at.alike and bool(self._smooth(at, one).all()):
            # Only the first polynomial has an integral.
            own = one.coefficients[at.cells]
            return at.weights.sum(dim=1)[:, None] * own[:, 0] * 2 ** (-self.polynomials.dim / 2)
        return torch.einsum("cq,cqm->cm", at.weights, self._values(at, one))

    def without_means(self, one: CellField, fields: Sequence[int]) -> CellField:
        """The function minus the means of some fields; fields: their numbers."""
        found, unit = one.coefficients.clone(), 2 ** (self.polynomials.dim / 2)
        for field in fields:
            found[:, 0, field] -= self.means(one)[field] * unit
        return CellField(found, one.numbers)
