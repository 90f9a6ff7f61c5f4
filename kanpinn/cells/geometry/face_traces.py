"""The traces on faces between cells: which faces share one, and the parts of sides at each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.faces import Faces
from kanpinn.cells.geometry.cell_sides import CellSide
from kanpinn.cells.tree import Tree

Ends = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class FaceTraces:
    """The traces on faces: polynomials with which the functions of cells are compared there.

    The faces that are whole sides of several whole cells at one side of a larger whole cell share a
    trace on all of this side. There the larger cell's functions are such polynomials, so that one
    trace is as accurate as one on each face, and has about a quarter of their unknowns in space.

    Args:
        number: the number of the trace of each face, (F,). Traces of single faces come first.
        larger_cell: the cell whose side has the trace if it is shared, otherwise -1, (F,).
        shared: for each shared trace the larger cell, the coordinate that is constant, whether it
            is at the upper end of the cell, and the face at the narrowest of the other cells.
    """

    number: Tensor
    larger_cell: Tensor
    shared: Sequence[tuple[int, int, bool, int]]

    @cached_property
    def single(self) -> int:
        """The number of traces of single faces."""
        return int((self.larger_cell < 0).sum())

    def __len__(self) -> int:
        return self.single + len(self.shared)

    @classmethod
    def of(cls, tree: Tree, faces: Faces, whole: Tensor) -> "FaceTraces":
        """The traces on faces; whole: the cells that no boundary cuts, a mask (N,)."""
        axis = faces.axis[:, None]
        depth = (tree.level[faces.upper] - tree.level[faces.lower]).scatter(1, axis, 0)
        at_lower = (depth >= 0).all(dim=1)  # the side of the lower cell contains the other side
        larger = torch.where(at_lower, faces.lower, faces.upper)
        keys = (larger * tree.dim + faces.axis) * 2 + at_lower
        nested = (at_lower | (depth <= 0).all(dim=1)) & depth.any(dim=1)
        some = nested & whole[faces.lower] & whole[faces.upper]
        few = keys[some].unique(return_counts=True)
        several = few[0][few[1] > 1]
        is_shared = some & torch.isin(keys, several)
        single = int((~is_shared).sum())
        number = torch.empty_like(keys)
        number[~is_shared] = torch.arange(single)
        number[is_shared] = single + torch.searchsorted(several, keys[is_shared])
        chosen = is_shared.nonzero()[:, 0]
        finest = torch.maximum(tree.level[faces.lower], tree.level[faces.upper]).gather(1, axis)
        chosen = chosen[finest[chosen, 0].argsort(stable=True)]  # the narrowest cells last
        least = {int(number[face]): face for face in chosen.tolist()}
        shared = [
            (int(larger[face]), int(faces.axis[face]), bool(at_lower[face]), face)
            for _, face in sorted(least.items())
        ]
        return cls(number, torch.where(is_shared, larger, -1), shared)


@dataclass(frozen=True)
class SideTrace:
    """A part of a cell's side, and the trace there.

    Args:
        side: the part.
        trace: the number of the trace.
        face: the number of a face, by whose smaller cell differences from the trace are weighted.
        area: of the part, over that of [-1, 1]^(d-1).
        within: the corners of the part in the own coordinates of a shared trace; None for the trace
            of a single face.
        width: the width of the smaller cell across the face.
        unit: the width by which derivatives across the face are multiplied in the trace: that of
            the larger cell if the trace is shared, otherwise that of the smaller one.
    """

    side: CellSide
    trace: int
    face: int
    area: float
    within: Ends | None
    width: float
    unit: float

    @property
    def kind(self) -> tuple[CellSide, Ends | None, float, float]:
        """What the rows of a cell of given size and weight depend on."""
        return self.side, self.within, self.width, self.unit
