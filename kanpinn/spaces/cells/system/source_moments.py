"""Integrals of an equation's source times polynomials (moments) in cells, by adaptive rules.

They replace the quadrature of a cell where it is not accurate.
"""

import itertools
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn._support.distributed import share, summed, together
from kanpinn.jets import zero_jet
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, CellPoints
from kanpinn.spaces.cells.system.terms import SampledTerm
from kanpinn.spaces.cells.tree import TensorTable


@dataclass(frozen=True, eq=False)
class Boxes(TensorTable):
    """A table of boxes, which are parts of cells, with the moments of a source in them.

    A moment is the integral of the source times one of L orthonormal polynomials. All boxes have
    been halved equally often.

    Args:
        root: the index of the cell of each box, (b,).
        corner: the lower corners of the boxes in the cells' own coordinates, (b, d).
        moments: the moments in the boxes' own coordinates, (b, L, e), for e equations.
    """

    root: Tensor
    corner: Tensor
    moments: Tensor


class MomentsInBoxes:
    """The moments of a source in cells, and in the boxes into which cells are halved.

    The moments are integrals of the source times orthonormal polynomials, see `SourceMoments`.

    Args:
        geometry: the cells.
        term: the equation at points of cells.
        places: the indices of the cells that are integrated, among the cells of `term`, (c,).

    Attributes:
        at: the quadrature points of the cells that are integrated.
        tested: the polynomials at the points, times the weights, (L, q).
        onto_halves: for each of the 2^d halves of a box the matrix from the half's moments to its
            contribution to the box's moments, (2^d, L, L).
        boxes: the whole cells as boxes.
        areas: the areas of the cells, (c,).
        square: the sum over the cells of squared moments times area.
    """

    def __init__(self, geometry: CellGeometry, term: SampledTerm, places: Tensor) -> None:
        self.geometry, self.term, self.at = geometry, term, term.at.some(places)
        polynomials = term.polynomials
        weights = term.at.weights[0] * term.at.scale[0].prod()
        self.tested = (polynomials.values(self.at.local) * weights[:, None]).T
        self.onto_halves = 2.0**-polynomials.dim * polynomials.on_parts
        root, corner = torch.arange(len(self.at.cells)), -torch.ones_like(self.at.scale)
        self.boxes = Boxes(root, corner, self._in_boxes(root, corner, 2.0))
        self.areas = (2 / self.at.scale).prod(dim=1)
        sizes = self.boxes.moments.flatten(1).norm(dim=1)
        self.square = (sizes.square() * self.areas).sum()

    def missing(self, total: Tensor, halvings: int) -> list[Tensor | None]:
        """The corrections of the moments of each cell, from rules on smaller and smaller boxes.

        Args:
            total: the sum of `square` over all ranks (processes).
            halvings: the largest number of halvings.

        Returns:
            For each cell two corrections, (2, L, e): the correction extrapolated to infinitely many
            halvings, and this correction plus its change by the last halving. None if the cell
            needs no correction.
        """
        (count, dim), boxes = self.at.scale.shape, self.boxes
        if not count or not float(total):
            return [None] * count
        part, rounding = 0.1, 1e-12
        orders, polynomials = self.term.term.channels.derivative_order, self.term.polynomials
        images = polynomials.count(polynomials.degree - orders)
        left = boxes.moments[:, images:].flatten(1).norm(dim=1)
        widths = (1 / self.at.scale / self.geometry.half).amax(dim=1)
        # An error of the moments acts everywhere; the part of the source that the images of
        # polynomials cannot represent acts in its cell only.
        permitted = part * left * widths ** (1 + (dim - 1) / 2)
        enough = torch.maximum(permitted, rounding * (total / self.areas).sqrt())
        changes, sizes = [], torch.full((count,), torch.inf)
        for level in range(halvings):
            boxes, change, after = self._halved(boxes, level, enough)
            changes.append(change)
            everywhere = boxes.root.bincount(minlength=count) > 0.9 * 2.0 ** (dim * (level + 1))
            noisy = everywhere & (after > 0.5 * sizes)
            boxes, sizes = boxes.some(~noisy[boxes.root]), after
            if not len(boxes.root):
                break
        change, rest = torch.stack(changes).sum(dim=0), _rest(changes)
        latest = changes[-1] + rest - _rest(changes[:-1])
        both = torch.stack([change + rest, change + rest + latest], dim=1)
        needed = change.flatten(1).norm(dim=1) > enough
        return [one if use else None for one, use in zip(both, needed.tolist(), strict=True)]

    def _halved(self, boxes: Boxes, level: int, enough: Tensor) -> tuple[Boxes, Tensor, Tensor]:
        """Halve boxes, and compute how the moments of their cells change.

        Args:
            boxes: the boxes, all halved `level` times.
            level: the number of halvings.
            enough: the error that the moments of each cell may have, (c,).

        Returns:
            The halves that have to be halved further. The changes of the moments of all cells,
            (c, L, e). The sum of the norms of the changes in each cell, (c,).
        """
        dim, width = boxes.corner.shape[1], 2.0**-level
        steps = torch.tensor(list(itertools.product((0.0, width), repeat=dim)))
        corner = (boxes.corner[:, None] + steps.to(boxes.corner)).flatten(0, 1)
        root = boxes.root.repeat_interleave(len(steps))
        moments = self._in_boxes(root, corner, width)
        halves = moments.unflatten(0, (-1, len(steps)))
        change = torch.einsum("skl,bske->ble", self.onto_halves, halves) - boxes.moments
        sizes = change.flatten(1).norm(dim=1) * width**dim
        count = boxes.root.bincount(minlength=len(enough))
        coarse = sizes * count[boxes.root] > enough[boxes.root]
        left = Boxes(root, corner, moments).some(coarse.repeat_interleave(len(steps)))
        total = torch.zeros_like(enough).index_add(0, boxes.root, sizes)
        return left, self._of_cells(boxes, change, level), total

    @torch.no_grad()
    def _in_boxes(self, root: Tensor, corner: Tensor, width: float) -> Tensor:
        """The moments in boxes, (b, L, e); a source that is not finite counts as zero.

        Args:
            root: the index of the cell of each box, (b,).
            corner: the lower corners of the boxes in the cells' own coordinates, (b, d).
            width: the width of the boxes in the cells' own coordinates.
        """
        nodes, term = self.at.local, self.term.term
        found = [torch.zeros(0, len(self.tested), self.term.right.shape[2]).double()]
        if not len(root):  # a rank may have no cell
            return found[0]
        for some in torch.arange(len(root)).split(max(1, 2**17 // len(nodes))):
            local = corner[some, None] + (nodes + 1) / 2 * width
            ones = torch.ones(local.shape[:2], dtype=local.dtype)
            at = CellPoints.inside(self.geometry, self.at.cells[root[some]], local, ones)
            jet = zero_jet(term.channels, at.points.coords, self.term.slopes.shape[-1])
            values = -term.equation(at.points, jet)
            values = torch.where(values.isfinite(), values, 0).unflatten(0, ones.shape)
            found.append(torch.einsum("lq,bqe->ble", self.tested, values))
        return torch.cat(found)

    def _of_cells(self, boxes: Boxes, parts: Tensor, level: int) -> Tensor:
        """Sum contributions of boxes to moments of cells, (c, L, e).

        Args:
            boxes: the boxes, all halved `level` times.
            parts: the contributions in the boxes' own coordinates, (b, L, e).
            level: the number of halvings.
        """
        places = ((boxes.corner + 1) / 2 * 2.0**level).round().long()
        root, dim = boxes.root, places.shape[1]
        powers = 2 ** torch.arange(dim - 1, -1, -1)
        for _ in range(level):
            half, moved = (places % 2 * powers).sum(dim=1), torch.zeros_like(parts)
            for kind, matrix in enumerate(self.onto_halves):
                own = half == kind
                moved[own] = torch.einsum("kl,bke->ble", matrix, parts[own])
            outer, index = torch.cat([root[:, None], places // 2], dim=1).unique(
                dim=0, return_inverse=True
            )
            parts = parts.new_zeros(len(outer), *parts.shape[1:]).index_add(0, index, moved)
            root, places = outer[:, 0], outer[:, 1:]
        return parts.new_zeros(len(self.at.cells), *parts.shape[1:]).index_add(0, root, parts)


def _rest(changes: list[Tensor]) -> Tensor:
    """Extrapolate the sum of all changes by further halvings from the changes so far, (c, L, e).

    In cells where the last two changes are nearly parallel, further changes are taken to decrease
    by the ratio of these two changes. In other cells the sum is zero.

    Args:
        changes: for each halving so far the change of the moments of cells, (c, L, e).
    """
    most, alike = 0.95, 0.9
    if len(changes) < 2:
        return torch.zeros_like(changes[-1]) if changes else torch.zeros(())
    last, before = (changes[place].flatten(1) for place in (-1, -2))
    product, square = (last * before).sum(dim=1), before.square().sum(dim=1)
    ratio = product / square.clamp_min(1e-300)
    alike = product > alike * (last.norm(dim=1) * square.sqrt())
    ratio = torch.where(alike, ratio.clamp_max(most), 0)
    return changes[-1] * (ratio / (1 - ratio))[:, None, None]


@dataclass(frozen=True)
class SourceMoments:
    """Accurate integrals of a source times the polynomials of cells, where the source is singular.

    These integrals are called moments. A least-squares solution depends on the source through
    integrals of the source times the images of polynomials under the operator. The Gauss rule of a
    cell is inaccurate where the source is singular, for example at a line where the solution has
    the exponent 3/2. Then the solution has errors everywhere, which a comparison with a higher
    degree does not show. In a cell with an inaccurate Gauss rule, a polynomial is added to the
    source at the Gauss points, so that the rule gives accurate integrals. The accurate integrals
    come from rules on the halves of the cell, the halves of the halves, and so on. Boxes are halved
    as long as a halving changes the solution by more than a tenth of the error that the cell has
    anyway. Changes that are spread evenly over a cell and hardly decrease are rounding errors; they
    do not lead to further halvings.

    Args:
        halvings: the largest number of halvings in the plane, where a line crosses 2^n boxes after
            n halvings. In space half as many halvings are allowed, since a surface crosses 4^n
            boxes.

    Attributes:
        known: for each cell that has been integrated, by degree, number of boxes of level 0 along
            each coordinate, region, level and place, two corrections of its moments, (2, L, e);
            None if the cell needs no correction. The first correction is extrapolated to infinitely
            many halvings. The second correction serves to estimate the error: it is the first
            correction plus the change of the correction by the last halving.
    """

    halvings: int = 6
    known: dict[tuple[int, ...], Tensor | None] = field(default_factory=dict)

    def corrections(self, geometry: CellGeometry, term: SampledTerm, limit: bool) -> Tensor | None:
        """What has to be added to the source at quadrature points, (c, q, e); None for zero.

        Args:
            geometry: the cells.
            term: the equation at the points of a rule in c cells, which have equal own coordinates
                in all cells. The source is the negative residual of zero fields.
            limit: whether to use the second correction in `known`, for an estimate of the error.
        """
        missing = enumerate(self._in_cells(geometry, term))
        own = [(place, one[int(limit)]) for place, one in missing if one is not None]
        if not own:
            return None
        functions = term.polynomials.values(term.at.local)
        result = torch.zeros_like(term.right)
        for place, moments in own:
            result[place] = functions @ moments
        return result

    def apart(self, geometry: CellGeometry, term: SampledTerm) -> Tensor:
        """The squared L2 norm in each cell of the difference of its two corrections, (c,).

        The two corrections of a cell are those in `known`; the arguments are those of
        `corrections`.
        """
        found = torch.zeros(len(term.at.cells), dtype=torch.float64)
        for place, one in enumerate(self._in_cells(geometry, term)):
            if one is not None:
                found[place] = (one[1] - one[0]).square().sum() / term.at.scale[place].prod()
        return found

    def _in_cells(self, geometry: CellGeometry, term: SampledTerm) -> list[Tensor | None]:
        """The corrections in `known` for each cell of a term; new cells are integrated first.

        Args:
            geometry: the cells.
            term: the equation at the points of c cells.

        Returns:
            For each of the c cells two corrections, (2, L, e); None if the cell needs none.
        """
        tree, cells = geometry.tree, term.at.cells
        names = torch.cat([tree.region[:, None], tree.level, tree.place], dim=1)[cells]
        keys = [(term.polynomials.degree, *tree.roots, *name) for name in names.tolist()]
        new = [place for place, key in enumerate(keys) if key not in self.known]
        if new:  # each rank integrates its share
            size, equations = term.polynomials.size, term.right.shape[2]
            both = torch.zeros(len(new), 2, size, equations, dtype=torch.float64)
            own = share(len(new))
            with together():
                boxed = MomentsInBoxes(geometry, term, torch.tensor(new)[own])
            (total,) = summed([boxed.square])
            with together():
                missing = boxed.missing(total, self.halvings // max(1, term.polynomials.dim - 1))
                for place, one in zip(range(len(new))[own], missing, strict=True):
                    if one is not None:
                        both[place] = one
            (both,) = summed([both])
            for place, one in zip(new, both, strict=True):
                self.known[keys[place]] = one if bool(one.any()) else None
        return [self.known[key] for key in keys]
