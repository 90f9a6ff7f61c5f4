"""The rows of all cells in their least-squares problem: matrices and right-hand sides."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.system.cell_factors import CellFactors, SolvedFactors
from kanpinn.cells.system.cell_group import CellGroup, ModelElimination
from kanpinn.cells.system.cell_matrices import CellMatrices
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.cells.system.coarse_traces import coarse_traces
from kanpinn.cells.system.contact_rows import ContactRows
from kanpinn.cells.system.elimination_order import elimination_order, work_of_cells
from kanpinn.cells.system.similar_cells import EqualCells, RowSizes

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class RowsOfCells(CellMatrices):
    """The rows of all cells in groups of equal ones, see `CellMatrices`, and right-hand sides."""

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
            sides = self.geometry.sides[cell]
            terms = [one.term for one in self.terms[cell]]
            alike = all(term.is_alike for term in terms)
            names = tuple(id(term) for term in terms)
            alike = alike and not (self.contacts[cell] or (self.free_fields and cell == 0))
            alike = alike and not self.shared.of(cell)
            key = (self.size(cell), tuple(at.kind for at in sides), names) if alike else cell
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

    def _similar(self, equal: Mapping[Any, list[int]]) -> list[list[EqualCells]]:
        """Groups of equal cells, in lists of those whose matrices differ by a factor.

        equal: the numbers of equal cells. The key of a cell whose rows are like those of no other
            one is its number, otherwise what the rows depend on.
        """
        found: dict[Any, list[EqualCells]] = {}
        for key, cells in equal.items():
            pattern, size = key, 1.0
            if isinstance(key, tuple):
                _, _, terms = key
                sides = tuple((at.side, at.within) for at in self.geometry.sides[cells[0]])
                sizes = self._row_sizes(cells[0])
                pattern, size = (sides, terms, sizes.ratios), sizes.first
            found.setdefault(pattern, []).append(EqualCells(cells, size))
        return list(found.values())

    def _row_sizes(self, cell: int) -> RowSizes:
        """The sizes of the parts of a cell's rows, whose terms have the same slopes everywhere."""
        factors = []
        for at in self.geometry.sides[cell]:
            weights = self.weights_at(at)
            orders = torch.arange(len(weights))[:, None]
            scale = float(self.geometry.scale[cell, at.side.axis])
            factors.append(torch.stack([weights * scale**orders, weights / at.unit**orders]))
        return RowSizes.of(self.terms[cell], factors)

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
                if contact.rows.coupled in values:
                    known = values[contact.rows.coupled][contact.place]
                    rights[0, rows] = contact.weighed(known).numpy()
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
