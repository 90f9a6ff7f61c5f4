"""The rows of functions that many cells share, such as the singular functions of a corner."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.cell_sides import SidePart
from kanpinn.cells.geometry.face_traces import SideTrace
from kanpinn.cells.system.coupling import Coupling, Traces
from kanpinn.cells.system.placed_term import PlacedTerm
from kanpinn.cells.system.shared_functions import SharedInCells
from kanpinn.geometry.points import Points
from kanpinn.jets import Channels


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
