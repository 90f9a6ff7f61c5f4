"""The rows of all cells in their least-squares problem: matrices, equal cells, shared
functions, and right-hand sides.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.geometry.points import Points
from kanpinn.jets import Channels
from kanpinn.linalg.reflections import Reflections
from kanpinn.spaces.cells.geometry.cell_geometry import (
    CellGeometry,
    CellPoints,
    SidePart,
    SideTrace,
)
from kanpinn.spaces.cells.geometry.interfaces import CoupledContacts
from kanpinn.spaces.cells.system.coupling import (
    ContactRows,
    Coupling,
    PlacedContact,
    Traces,
    coarse_traces,
)
from kanpinn.spaces.cells.system.elimination import (
    CellFactors,
    CellGroup,
    CellRows,
    ModelElimination,
    ProjectedReflections,
    SolvedFactors,
    elimination_order,
    work_of_cells,
)
from kanpinn.spaces.cells.system.functions import SharedInCells
from kanpinn.spaces.cells.system.terms import PlacedTerm, SampledTerm

Array = NDArray[Any]
Size = tuple[tuple[int, ...], float]


@dataclass(frozen=True, eq=False)
class SharedRows:
    """The rows of shared functions in the least-squares problem of all cells.

    Args:
        functions: the functions, with a block of unknowns for each kind.
        geometry: the cells.
        traces: the unknowns on faces.
        coupling: the weights of jumps.
    """

    functions: SharedInCells
    geometry: CellGeometry
    traces: Traces
    coupling: Coupling

    @cached_property
    def _of_cells(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.geometry.sides]
        for block, cell in self.functions.members.nonzero().tolist():
            found[cell].append(block)
        return found

    def of(self, cell: int) -> list[int]:
        """The numbers of the blocks that a cell has."""
        return self._of_cells[cell]

    def bounds(self, cell: int) -> Tensor:
        """Rows (r, q) that keep coefficients small, in the first cell of each block.

        Polynomials nearly represent a part of the functions, whose coefficients only these rows
        determine. The rows are the unit matrix times `least` and the weight of a jump of the size
        1 in the largest cells. With smaller values the coefficients grow, and rounding errors with
        them. Larger values change the solution, as do weights that grow while cells are halved: a
        solution that is sensitive to its data had an error of 2e-5 with the weight of the smallest
        cells and 1e-9, which became larger with each halving, and 6e-9 with these.
        """
        least, blocks = 1e-10, self.of(cell)
        sizes = [self.functions.kinds[block].count for block in blocks]
        found = self.geometry.half.new_zeros(0, sum(sizes))
        for place, block in enumerate(blocks):
            cells = self.functions.members[block].nonzero()[:, 0]
            if int(cells[0]) == cell:
                rows = found.new_zeros(sizes[place], sum(sizes))
                start = sum(sizes[:place])
                rows[:, start : start + sizes[place]].fill_diagonal_(least * self._jump(cells))
                found = torch.cat([found, rows])
        return found

    def _jump(self, cells: Tensor) -> float:
        """The norm of the rows of a jump of the size 1 at a side of the largest of some cells."""
        widths, axes = self.geometry.widths[cells], torch.eye(self.geometry.tree.dim).double()
        found = []
        for across, normal in zip(widths.T, axes, strict=True):
            weights = self.coupling.weights(cells, normal.expand(len(cells), -1), across)[:, 0]
            areas = widths.prod(dim=1) / across
            found.append((weights * areas.sqrt()[:, None]).amax(dim=1))
        return float(torch.stack(found).amax(dim=0).min())

    @cached_property
    def _crossing(self) -> Tensor:
        """The traces between cells that have functions and others, a mask (blocks, traces).

        There the trace is that of the whole solution, elsewhere that of the polynomials alone: the
        functions themselves are smooth from cell to cell.
        """
        faces, own = self.geometry.faces, self.geometry.traces
        differ = self.functions.members[:, faces.lower] != self.functions.members[:, faces.upper]
        found = torch.zeros(len(self.functions.kinds), len(own), dtype=torch.bool)
        for block, one in enumerate(differ):
            found[block, own.number[one]] = True
        return found

    def _jets(self, cell: int, points: Points, channels: Channels) -> Tensor:
        """The stacked jets of a cell's functions at points, (n, parts, m, q)."""
        parts = [self.functions.kinds[block].stacked(points, channels) for block in self.of(cell)]
        return torch.cat(parts, dim=3)

    def of_term(self, one: PlacedTerm, cell: int) -> Tensor:
        """The rows of a term in a cell, (rows, q)."""
        at = one.term.at.some(torch.tensor([one.place]))
        jets = self._jets(cell, at.points[one.used], one.term.term.channels)[:, one.term.parts]
        slopes = one.term.slopes[one.place][one.used][:, :, one.term.parts]
        slopes = slopes * one.weights[one.used][..., None, None]
        return torch.einsum("qepm,qpmk->qek", slopes, jets).flatten(0, 1)

    def at_side(self, cell: int, at: SideTrace, weights: Tensor) -> Tensor:
        """The rows at a part of a cell's side, (rows, q).

        weights: of each derivative and field, (j, m).
        """
        side, polynomials, orders = at.side, self.traces.polynomials, self.traces.orders
        size = self.traces.size(shared=at.within is not None)
        blocks = self.of(cell)
        found = [weights.new_zeros(size, self.functions.kinds[block].count) for block in blocks]
        for own, block in zip(found, blocks, strict=True):
            if not bool(self._crossing[block, at.trace]):
                continue
            assert isinstance(side, SidePart)
            nodes, factors = polynomials.on_face.rule()
            onto = polynomials.on_face.values(nodes) * factors[:, None]
            cells = torch.tensor([cell])
            where = CellPoints.on_side(self.geometry, cells, side, nodes, factors)
            names = where.points.names
            direction = tuple(float(i == side.axis) for i in range(len(names)))
            channels = Channels(names, directions=(direction,), order=max(1, max(orders) - 1))
            # The value is the first part, and derivatives along the direction are the last ones.
            jets = self.functions.kinds[block].stacked(where.points, channels)
            start = 0
            for field in range(len(orders)):
                for j, count in enumerate(self.traces.sizes(field, at.within is not None)):
                    rows = slice(start, start := start + count)
                    part = 0 if j == 0 else j - 1 - channels.order
                    own[rows] = weights[j, field] * (onto[:, :count].T @ jets[:, part, field])
        return torch.cat(found, dim=1)


@dataclass(frozen=True, eq=False)
class RowsOfCells:
    """The rows of all cells: of the equation, of conditions, of constants, of faces and of arcs.

    Cells whose rows are equal up to a factor are in groups.

    Args:
        geometry: the cells.
        weights: the factor of all rows of each cell, (N,).
        coupling: the weights of jumps.
        traces: the unknowns on faces.
        terms: for each cell its terms, the equation first.
        contacts: for each cell the arcs at which it meets cells of other regions.
        free_fields: the fields that are determined up to a constant.
        shared: the functions that cells share.
    """

    geometry: CellGeometry
    weights: Tensor
    coupling: Coupling
    traces: Traces
    terms: Sequence[Sequence[PlacedTerm]]
    contacts: Sequence[Sequence[PlacedContact]]
    free_fields: Sequence[int]
    shared: SharedRows

    @property
    def columns(self) -> int:
        """The number of coefficients of a cell, L m."""
        return self.traces.polynomials.size * len(self.coupling.orders)

    def size(self, cell: int) -> Size:
        """The levels and the weight of a cell, on which its rows of a term depend."""
        return tuple(self.geometry.tree.level[cell].tolist()), float(self.weights[cell])

    @cached_property
    def _triangles(self) -> dict[tuple[SampledTerm, Size], ProjectedReflections]:
        """The rows of the equation as triangles, for cells of each size that have the same."""
        return {}

    @cached_property
    def _face_weights(self) -> Tensor:
        """The roots of the weights on each face for its lower and upper cell, (2, F, j, m)."""
        faces, geometry = self.geometry.faces, self.geometry
        normals = torch.eye(self.traces.polynomials.dim, dtype=geometry.half.dtype)[faces.axis]
        both = [
            self.coupling.weights(cells, normals, geometry.lengths)
            for cells in (faces.lower, faces.upper)
        ]
        return torch.stack(both)

    def weights_at(self, at: SideTrace) -> Tensor:
        """The factors of the differences of a cell's functions from a trace, (j, m)."""
        return self._face_weights[0 if at.side.upper else 1, at.face] * at.area**0.5

    def rows(self, cell: int) -> CellRows:
        """The rows of a cell."""
        equation, *walls = self.terms[cell]
        conditions = [*(one.rows() for one in walls), self._without_right(cell)]
        first = self._triangle(cell, equation)
        outer, traces = self._at_sides(cell)
        shared = self._shared_rows(cell) if self.shared.of(cell) else None
        return CellRows(first, _joined(conditions), outer, traces, shared)

    def times(self, cell: int, inner: Array, outer: Array) -> Array:
        """The rows of a cell times coefficients (L m, n) and traces (t + q, n), (r + t, n)."""
        coefficients = torch.from_numpy(inner)
        parts = [one.of(coefficients).numpy() for one in self.terms[cell]]
        parts.append(self._without_right(cell).numpy() @ inner)
        on_sides, traces = self._at_sides(cell)
        count = len(traces)
        parts.append(on_sides @ inner - traces @ outer[:count])
        found = np.concatenate(parts)
        return found + self._shared_rows(cell) @ outer[count:] if self.shared.of(cell) else found

    def _without_right(self, cell: int) -> Tensor:
        """The rows of a cell whose right-hand sides are zero, beside those on its faces."""
        equation = self.terms[cell][0]
        count = len(self.free_fields) if cell == 0 else 0
        found = equation.factors.new_zeros(count + len(self.shared.bounds(cell)), self.columns)
        if count:  # a row for each constant that nothing determines
            size = float(np.abs(self._triangle(cell, equation).triangle).max())
            found[range(count), self.free_fields] = size
        return found

    def _at_sides(self, cell: int) -> tuple[Array, Array]:
        """The rows on a cell's faces and arcs: for its coefficients and for the traces there."""
        outer, traces = [np.zeros((0, self.columns))], []
        scales = self.geometry.scale[cell].tolist()
        for at in self.geometry.sides[cell]:
            own, matrix = self.traces.rows(at, scales[at.side.axis], self.weights_at(at))
            outer.append(own)
            traces.append(matrix)
        for contact in self.contacts[cell]:
            own, diagonal = (one.numpy() for one in contact.rows.rows(contact.side, contact.place))
            outer.append(own)
            traces.append(np.diag(diagonal))
        return np.concatenate([one.T for one in outer], axis=1).T, _diagonal(traces)

    def _shared_rows(self, cell: int) -> Array:
        """The rows of the functions that a cell shares with others, (r + t, q)."""
        parts = [self.shared.of_term(one, cell) for one in self.terms[cell]]
        if cell == 0:  # nothing in the rows of constants
            parts.append(parts[0].new_zeros(len(self.free_fields), parts[0].shape[1]))
        parts.append(self.shared.bounds(cell))
        for at in self.geometry.sides[cell]:
            parts.append(self.shared.at_side(cell, at, self.weights_at(at)))
        return _joined(parts)

    def _triangle(self, cell: int, equation: PlacedTerm) -> Reflections | ProjectedReflections:
        """The transformation of the rows of the equation in a cell to a triangle."""
        if not equation.term.is_alike:
            return Reflections.of(_joined([equation.rows()]))
        key = equation.term, self.size(cell)
        if key not in self._triangles:
            self._triangles[key] = ProjectedReflections.of(equation)
        return self._triangles[key]

    @cached_property
    def trace_sizes(self) -> Array:
        """The numbers of unknowns on all faces, on all arcs of interfaces, of shared functions."""
        sizes = self.traces.sizes_on(self.geometry.traces)
        sizes += [one.size for one in self._contact_rows]
        return np.array(sizes + list(self.shared.functions.sizes), dtype=np.int64)

    @cached_property
    def _contact_rows(self) -> list[ContactRows]:
        """The rows at each part of an interface."""
        both = {one.number: one.rows for own in self.contacts for one in own}
        return [both[number] for number in sorted(both)]

    def blocks(self, cell: int) -> Array:
        """The numbers of the unknowns of a cell: on its faces, on its arcs, of shared functions."""
        numbers = [at.trace for at in self.geometry.sides[cell]]
        numbers += [one.number for one in self.contacts[cell]]
        first = len(self.trace_sizes) - len(self.shared.functions.sizes)
        return np.array(numbers + [first + one for one in self.shared.of(cell)], dtype=np.int64)

    def cell_factors(self) -> CellFactors:
        """The factors of the problem; cells that are alike up to a factor are eliminated once.

        They refer to these rows. They are not kept here: objects that refer to each other stay in
        memory until Python searches for such cycles.
        """
        found: dict[Any, list[int]] = {}
        for cell in self._by_terms():
            terms = [one.term for one in self.terms[cell]]
            kinds = tuple(at.kind for at in self.geometry.sides[cell])
            apart = self.contacts[cell] or self.shared.of(cell) or (self.free_fields and cell == 0)
            alike = not apart and all(term.is_alike for term in terms)
            key = (self.size(cell), kinds, tuple(map(id, terms))) if alike else cell
            found.setdefault(key, []).append(cell)
        faces = [self.blocks(cell) for cell in range(len(self.geometry.sides))]
        similar = self._similar(found)
        models = [own[0][0][0] for own in similar]  # one cell of each, whose rows are eliminated
        shapes = [self._shape(model, faces[model]) for model in models]
        together = [[cell for cells, _ in own for cell in cells] for own in similar]
        work = work_of_cells(together, shapes, len(faces))
        tree = elimination_order(self.geometry.tree, faces, self.trace_sizes, work)
        local, groups = set(tree.local), []
        for own, model, shape in zip(similar, models, shapes, strict=True):
            elimination, (_, unit) = ModelElimination(partial(self.rows, model)), own[0]
            for cells, size in own:
                if here := [cell for cell in cells if cell in local]:
                    numbers = np.stack([faces[cell] for cell in here])
                    groups.append(CellGroup(here, numbers, shape, elimination, size / unit))
        return CellFactors(groups, tree, self._coarse, self.columns)

    def _by_terms(self) -> list[int]:
        """The cells in the order of the equation's terms, which make rows of several at once."""
        equations = [own[0] for own in self.terms]
        numbers: dict[int, int] = {}
        places = [(numbers.setdefault(id(e.term), len(numbers)), e.place) for e in equations]
        return sorted(range(len(places)), key=places.__getitem__)

    def _similar(self, equal: Mapping[Any, list[int]]) -> list[list[tuple[list[int], float]]]:
        """Groups of equal cells with their sizes, in lists of those that differ by this factor.

        equal: the numbers of equal cells. The key of a cell whose rows are like those of no other
            one is its number, otherwise what the rows depend on.
        """
        found: dict[Any, list[tuple[list[int], float]]] = {}
        for key, cells in equal.items():
            pattern, size = key, 1.0
            if isinstance(key, tuple):
                _, _, terms = key
                sides = tuple((at.side, at.within) for at in self.geometry.sides[cells[0]])
                ratios, size = self._sizes(cells[0])
                pattern = sides, terms, ratios
            found.setdefault(pattern, []).append((cells, size))
        return list(found.values())

    def _sizes(self, cell: int) -> tuple[tuple[int, ...], float]:
        """The ratios of the sizes of all parts of a cell's rows to the first one, and that one.

        Where all derivatives in the equation of a field are of one order, as in Poisson's equation,
        and weights are powers of a distance, as at corners, the rows of a cell of another size
        differ only by a factor. Then the ratios are the same, and these cells need only one
        elimination. The ratios are given by binary logarithms as rounded multiples of a small unit.
        """
        parts = []
        for one in self.terms[cell]:  # whose slopes are the same everywhere
            term, place = one.term, one.place
            orders = (term.sizes[place] > 0).any(dim=(0, 2)).nonzero()[:, 0]
            powers = term.at.scale[place] ** orders[:, None]  # (orders, d)
            root = term.at.weights[place].sum().sqrt()
            parts.append((root * one.factors[:, None, None] * powers).flatten())
        for at in self.geometry.sides[cell]:
            weights = self.weights_at(at)
            orders = torch.arange(len(weights))[:, None]
            scale = float(self.geometry.scale[cell, at.side.axis])
            parts += [(weights * scale**orders).flatten(), (weights / at.unit**orders).flatten()]
        sizes, unit = torch.cat(parts), 2.0**-20  # far larger than rounding errors
        ratios = (sizes / sizes[0]).clamp_min(1e-300).log2() / unit
        return tuple(ratios.round().long().tolist()), float(sizes[0])

    @cached_property
    def _coarse(self) -> Array:
        """Which traces have low degrees, (unknowns,); the functions that cells share are coarse."""
        traces = coarse_traces(self.geometry, self.coupling, self.traces, self._contact_rows)
        return np.concatenate([traces, np.ones(sum(self.shared.functions.sizes), dtype=bool)])

    def _shape(self, cell: int, faces: Array) -> tuple[int, int]:
        """The numbers of rows and of coefficients of a cell; faces: the numbers of its faces."""
        own = faces[: len(faces) - len(self.shared.of(cell))]
        rows = sum(one.row_count for one in self.terms[cell]) + int(self.trace_sizes[own].sum())
        rows += len(self.free_fields) if cell == 0 else 0
        rows += len(self.shared.bounds(cell))
        return rows, self.columns

    def rights(
        self, groups: Sequence[CellGroup], values: Mapping[SampledTerm | CoupledContacts, Tensor]
    ) -> Iterator[Array]:
        """The right-hand sides of the rows of each group's cells, (c, rows, n), one by one.

        Args:
            groups: those of the factors.
            values: those of terms and of interfaces at their points, (c, q, equations, n); zero for
                those without.
        """
        some = next(iter(values.values()))
        each, dtype = some.shape[-1], some.numpy().dtype
        for group in groups:
            first, start = group.cells[0], 0
            rights = np.zeros((len(group.cells), group.shape[0], each), dtype)
            for number, one in enumerate(self.terms[first]):
                rows = slice(start, start := start + one.row_count)
                if one.term in values:
                    places = [self.terms[cell][number].place for cell in group.cells]
                    rights[:, rows] = one.weighed(values[one.term][places]).numpy()
            start = rights.shape[1] - sum(one.rows.size for one in self.contacts[first])
            for contact in self.contacts[first]:  # a cell with contacts is a group of its own
                rows = slice(start, start := start + contact.rows.size)
                of, place = contact.rows, contact.place
                if of.coupled in values:
                    known = values[of.coupled][place]
                    rights[0, rows] = of.rights(contact.side, place, known).numpy()
            yield rights

    def residuals(
        self, factors: CellFactors, rights: Iterable[Array], found: SolvedFactors
    ) -> Iterator[Array]:
        """The right-hand sides minus the rows times a solution, for each group's cells.

        Args:
            factors: those of the problem.
            rights: see `rights`.
            found: the solution.
        """
        for group, own in zip(factors.groups, rights, strict=True):
            cells, rows, each = own.shape
            known = found.coefficients[group.cells], found.traces[factors.columns_of(group)]
            inner, outer = (np.moveaxis(one, 1, 0).reshape(-1, cells * each) for one in known)
            rows_times = self.times(group.cells[0], inner, outer).reshape(rows, cells, each)
            yield own - np.moveaxis(rows_times, 1, 0)


def _diagonal(blocks: Sequence[Array]) -> Array:
    """Square matrices along the diagonal of one, (t, t)."""
    size, start = sum(map(len, blocks)), 0
    found = np.zeros((size, size), np.result_type(float, *blocks))
    for block in blocks:
        own = slice(start, start := start + len(block))
        found[own, own] = block
    return found


def _joined(rows: Sequence[Tensor]) -> Array:
    """Rows below one another, (r, c), with each column side by side in memory."""
    return torch.cat([one.T for one in rows], dim=1).T.numpy()
