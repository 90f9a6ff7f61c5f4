"""Functions in cells, their values, norms and means.

They are sums of a polynomial in each cell, and of shared functions: known functions, such as
singular functions of a corner, with one coefficient for many cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.geometry.points import Points
from kanpinn.jets import Channels
from kanpinn.networks.layer import Enrichment
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, CellPoints
from kanpinn.spaces.cells.geometry.corner_functions import CornerFunctions
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.tree import Tree


@dataclass(frozen=True, eq=False)
class CornerPatch:
    """The singular functions of a corner or an edge, with the cells around it that have them.

    Args:
        at: the coordinates of the corner, or of a point of the edge, (d,).
        functions: the singular functions, which take points minus `at`.
        boxes: the boxes that contain these cells: their lower and upper corners in tree
            coordinates, in which the domain's bounding box is [-1, 1]^d, (b, 2, d).
        fields: the number of fields m. Each field has its own coefficients.
    """

    at: Tensor
    functions: CornerFunctions
    boxes: Tensor
    fields: int

    @property
    def count(self) -> int:
        """The number of functions, each with one coefficient for all cells."""
        return self.functions.count * self.fields

    def members(self, geometry: CellGeometry) -> Tensor:
        """A mask (N,) of the cells that have the functions; elsewhere they are zero."""
        return geometry.tree.inside(self.boxes)

    def stacked(self, points: Points, channels: Channels) -> Tensor:
        """The values and derivatives (parts) of the scalar functions at n points, (n, parts, k).

        Each of the k scalar functions has m copies: a copy equals the function in one of the m
        fields, and is zero in the others. Coefficients and their columns begin with the m copies of
        the first function, so that count is k m.

        Args:
            points: the points, in cells that have the functions.
            channels: the derivatives that are computed.
        """
        return self.functions.stacked(points.coords - self.at, channels)

    def cut(self, tree: Tree) -> Tensor:
        """A mask (N, d) of the coordinates in which cells are wider than a box in `boxes`.

        Only cells that overlap this box are marked: they have to be halved before they can have the
        functions.
        """
        rounding = 1e-9
        (low, high), (below, above) = tree.boxes[:, None].unbind(2), self.boxes.unbind(1)
        least = rounding * (above - below)
        meets = ((low < above - least) & (high > below + least)).all(dim=2, keepdim=True)
        larger = high - low > above - below + least
        return (meets & larger).any(dim=1)


@dataclass(frozen=True, eq=False)
class EnrichmentInCells:
    """The functions of a problem's `enrichment()`, which all cells share.

    Args:
        layer: the functions and their coefficients.
        fields: the number of fields m.
    """

    layer: Enrichment
    fields: int

    @property
    def count(self) -> int:
        """The number of coefficients, each for one function in one field."""
        return self.layer.coefficients.numel()

    def members(self, geometry: CellGeometry) -> Tensor:
        """A mask (N,) of the cells that have the functions: all cells."""
        return torch.ones(len(geometry.tree), dtype=torch.bool)

    def stacked(self, points: Points, channels: Channels) -> Tensor:
        """As `CornerPatch.stacked`, (n, parts, count / m)."""
        return self.layer.known.jet(points, channels).stacked()


SharedFunctions = CornerPatch | EnrichmentInCells


@dataclass(frozen=True, eq=False)
class CellFunctions:
    """Functions in cells: polynomials in each cell, plus shared functions times coefficients.

    Shared functions are known functions, such as singular functions of a corner, with one
    coefficient for many cells.

    Args:
        geometry: the cells.
        polynomials: the basis in each cell.
        coefficients: the coefficients of the polynomials for one function of m fields, (N, L, m),
            or for n functions, (N, L, m, n).
        numbers: for each kind of shared functions their coefficients, (count,) each. The sequence
            is empty if all these coefficients are zero, and for n functions.
        shared: the kinds of shared functions: the singular functions of each corner are a kind, and
            the functions of `enrichment()` are a kind.
    """

    geometry: CellGeometry
    polynomials: LocalPolynomials
    coefficients: Tensor
    numbers: Sequence[Tensor] = ()
    shared: Sequence[SharedFunctions] = ()

    @cached_property
    def members(self) -> Tensor:
        """A mask (kinds, N), true where a cell has the functions of a kind in `shared`."""
        none = torch.zeros(0, len(self.geometry.tree), dtype=torch.bool)
        return torch.cat([none, *(one.members(self.geometry)[None] for one in self.shared)])

    def of(self, coefficients: Tensor) -> "CellFunctions":
        """Functions in the present cells with given coefficients, without shared functions."""
        return CellFunctions(self.geometry, self.polynomials, coefficients)

    def on(self, geometry: CellGeometry) -> "CellFunctions":
        """These functions, written on smaller cells, each of which is a part of one of the cells.

        Args:
            geometry: the smaller cells.
        """
        if geometry is self.geometry:
            return self
        (low, high), coarse = geometry.frames.unbind(1), self.geometry
        parents = coarse.tree.locate((low + high) / 2, geometry.tree.region)
        outer_low, outer_high = coarse.frames[parents].unbind(1)
        scale, own = 2 / (outer_high - outer_low), self.coefficients
        corner, width = (low - outer_low) * scale - 1, (high - low) * scale
        moved = self.polynomials.restricted(corner, width, own[parents].flatten(2))
        return replace(self, geometry=geometry, coefficients=moved.unflatten(2, own.shape[2:]))

    def nearest_to(self, function: Callable[[Tensor], Tensor]) -> "CellFunctions":
        """The polynomials in these cells that are nearest to a given function in the L2 norm.

        In each cell the norm is an integral over the bounding box of the cell's part in the domain.
        The coefficients of shared functions are zero.

        Args:
            function: maps coordinates (n, d), in which the domain's bounding box is [-1, 1]^d, to
                the values of m fields, (n, m).
        """
        local, weights = self.polynomials.rule()
        low, high = self.geometry.frames[:, None].unbind(2)
        x = low + (local + 1) / 2 * (high - low)  # (N, q, d)
        values = function(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        moments = self.polynomials.values(local) * weights[:, None]
        found = torch.einsum("ql,cqm->clm", moments, values)
        return replace(
            self, coefficients=found, numbers=[torch.zeros_like(n) for n in self.numbers]
        )

    def towards(self, other: "CellFunctions", share: float) -> "CellFunctions":
        """The convex combination (1 - share) · this function + share · other.

        Args:
            other: the other function, on the same cells.
            share: the weight of the other function, from 0 to 1.
        """
        pairs = zip(self.numbers, other.numbers, strict=True)
        return replace(
            self,
            coefficients=torch.lerp(self.coefficients, other.coefficients, share),
            numbers=[torch.lerp(a, b, share) for a, b in pairs],
        )

    @property
    def richer(self) -> "CellFunctions":
        """These functions, written with polynomials of a degree higher by 2."""
        richer, own = self.polynomials.richer, self.coefficients
        padded = richer.padded(own.flatten(2)).unflatten(2, own.shape[2:])
        return replace(self, polynomials=richer, coefficients=padded)

    def minus(self, other: "CellFunctions") -> "CellFunctions":
        """This function minus another function on the same cells."""
        pairs = zip(self.numbers, other.numbers, strict=True)
        return replace(
            self,
            coefficients=self.coefficients - other.coefficients,
            numbers=[a - b for a, b in pairs],
        )

    def jets(
        self,
        at: CellPoints,
        channels: Channels,
        kept: dict[tuple[float, ...], Tensor] | None = None,
    ) -> Tensor:
        """The values and derivatives (parts) at q points of each of c cells, (c, q, parts, m).

        For n functions the shape is (c, q, parts, m, n).

        Args:
            at: the points.
            channels: the derivatives that are computed.
            kept: a cache of the values and derivatives of the polynomials, by the scale of cells,
                for further functions at the same points; None for no cache. The cache is used only
                if the points have the same own coordinates in each cell.
        """
        own, polynomials = self.coefficients[at.cells].flatten(2), self.polynomials
        most = 2**20  # the largest number of entries of a temporary tensor
        if at.alike:
            kept = {} if kept is None else kept
            scales, kind = at.scale.unique(dim=0, return_inverse=True)
            cells = [(kind == number).nonzero()[:, 0] for number in range(len(scales))]
            parts = []
            for some, scale in zip(cells, scales, strict=True):
                size = tuple(scale.tolist())
                if size not in kept:
                    kept[size] = polynomials.stacked(channels, at.local, scale)
                parts.append(torch.einsum("qpl,clm->cqpm", kept[size], own[some]))
            found = torch.cat(parts)[torch.cat(cells).argsort()]
        else:
            each = max(1, most // (at.weights.shape[1] * (polynomials.degree + 1)))
            groups = zip(at.local.split(each), at.scale.split(each), own.split(each), strict=True)
            found = torch.cat([polynomials.evaluated(channels, *one) for one in groups])
        found = found.unflatten(3, self.coefficients.shape[2:])
        if not self.numbers:
            return found
        kinds = zip(self.shared, self.members, self.numbers, strict=True)
        for functions, members, numbers in kinds:
            here = members[at.cells].nonzero()[:, 0]
            if len(here) and bool(numbers.any()):
                coefficients = numbers.view(-1, functions.fields)
                together = max(1, most // (found[0, ..., 0].numel() * len(coefficients)))
                for some in here.split(together):
                    jets = functions.stacked(at.some(some).points, channels) @ coefficients
                    found[some] += jets.unflatten(0, (len(some), -1))
        return found


@dataclass(frozen=True, eq=False)
class CellNorms:
    """Norms and means over the domain of functions in cells.

    Args:
        places: the points of quadrature rules in groups of cells; each cell is in exactly one
            group.
        counted: the indices of the fields that norms include.
        polynomials: the polynomials of each cell.
    """

    places: Sequence[CellPoints]
    counted: Sequence[int]
    polynomials: LocalPolynomials

    @cached_property
    def _roots(self) -> list[Tensor]:
        """For each cell a matrix R such that ‖R a‖ is the L2 norm of a polynomial in the cell.

        Here a are the coefficients of the polynomial. Each group of c cells has a tensor (c, L, L),
        or (c, 1, 1) for whole cells, where polynomials are orthonormal. A small multiple of the
        unit matrix makes R regular if functions vanish at the quadrature points.
        """
        found, tiny = [], 1e-6
        for at in self.places:
            if at.alike:
                found.append((1 / at.scale).prod(dim=1).sqrt()[:, None, None])
                continue
            values = self.polynomials.values(at.local.flatten(0, 1)).unflatten(0, at.weights.shape)
            values = at.weights.sqrt()[..., None] * values
            size = tiny * torch.linalg.matrix_norm(values, 2)[:, None, None]
            least = size * torch.eye(values.shape[2], dtype=values.dtype)
            found.append(torch.linalg.qr(torch.cat([values, least], dim=1), mode="r").R)
        return found

    def coordinates(self, coefficients: Tensor) -> Tensor:
        """Map coefficients (N, L, m, n) to coordinates (N·L·m, n) in an L2-orthonormal basis."""
        found = torch.empty_like(coefficients)
        for at, root in zip(self.places, self._roots, strict=True):
            own = coefficients[at.cells].flatten(2)
            own = root * own if at.alike else root @ own
            found[at.cells] = own.unflatten(2, coefficients.shape[2:])
        return found.flatten(0, 2)

    def coefficients(self, coordinates: Tensor, fields: int) -> Tensor:
        """The inverse of `coordinates`: the coefficients, (N, L, m, n).

        Args:
            coordinates: the coordinates in the orthonormal basis, (N·L·m, n).
            fields: the number of fields m.
        """
        parts = coordinates.unflatten(0, (-1, self.polynomials.size, fields))
        found = torch.empty_like(parts)
        for at, root in zip(self.places, self._roots, strict=True):
            own = parts[at.cells].flatten(2)
            if at.alike:
                own = own / root
            else:
                own = torch.linalg.solve_triangular(root, own, upper=True)
            found[at.cells] = own.unflatten(2, parts.shape[2:])
        return found

    def of_cells(self, one: CellFunctions) -> Tensor:
        """The L2 norm of all counted fields over each cell's part of the domain, (N,).

        Args:
            one: the function whose norm is returned.
        """
        squares = torch.empty(len(one.coefficients), dtype=one.coefficients.dtype)
        counted = list(self.counted)
        for at in self.places:
            smooth = self._smooth(at, one) & at.alike
            # These are whole cells, where polynomials are orthonormal.
            volumes = (1 / at.scale[smooth]).prod(dim=1)
            own = one.coefficients[at.cells[smooth]][..., counted].square().sum(dim=(1, 2))
            squares[at.cells[smooth]] = volumes * own
            if not bool(smooth.all()):
                others = at.some((~smooth).nonzero()[:, 0])
                values = one.jets(others, Channels(at.points.names))[:, :, 0, counted].square()
                squares[others.cells] = torch.einsum("cq,cqm->c", others.weights, values)
        return squares.sqrt()

    def _smooth(self, at: CellPoints, one: CellFunctions) -> Tensor:
        """A mask (c,) of the cells in which a function is a polynomial, with no shared function."""
        if not one.numbers:
            return torch.ones(len(at.cells), dtype=torch.bool)
        return ~one.members[:, at.cells].any(dim=0)

    def total(self, one: CellFunctions) -> float:
        """The L2 norm of all counted fields over the domain."""
        return float(self.of_cells(one).square().sum().sqrt())

    def nearest(self, one: CellFunctions, lower: LocalPolynomials) -> Tensor:
        """The coefficients of the polynomials of a lower degree that are nearest in L2, (N, L, m).

        Args:
            one: the function, without shared functions.
            lower: the polynomials of the lower degree, L in each cell.
        """
        found = one.coefficients[:, : lower.size].clone()  # in whole cells this is the result
        for at in self.places:
            for place, cell in enumerate([] if at.alike else at.cells.tolist()):
                roots, local = at.weights[place].sqrt()[:, None], at.local[place]
                right = roots * (one.polynomials.values(local) @ one.coefficients[cell])
                matrix = roots * lower.values(local)
                found[cell] = torch.linalg.lstsq(matrix, right, driver="gelsd").solution
        return found

    def means(self, one: CellFunctions) -> Tensor:
        """The means of a function's m fields over the domain, (m,)."""
        integrals, volume = torch.zeros(one.coefficients.shape[2], dtype=torch.float64), 0.0
        for at in self.places:
            volume += float(at.weights.sum())
            if at.alike and bool(self._smooth(at, one).all()):
                # Only the first polynomial has a nonzero integral.
                own = one.coefficients[at.cells, 0] * 2 ** (-one.polynomials.dim / 2)
                integrals += (at.weights.sum(dim=1)[:, None] * own).sum(dim=0)
            else:
                values = one.jets(at, Channels(at.points.names))[:, :, 0]
                integrals += torch.einsum("cq,cqm->m", at.weights, values)
        return integrals / volume

    def without_means(self, one: CellFunctions, fields: Sequence[int]) -> CellFunctions:
        """A function minus the means of some fields over the domain.

        Args:
            one: the function.
            fields: the indices of the fields from which means are subtracted. If there are none,
                the function itself is returned.
        """
        if not fields:
            return one
        found, chosen = one.coefficients.clone(), list(fields)
        found[:, 0, chosen] -= self.means(one)[chosen] * 2 ** (one.polynomials.dim / 2)
        return replace(one, coefficients=found)
