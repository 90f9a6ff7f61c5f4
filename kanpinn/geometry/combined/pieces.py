"""The boundary of a combination of boxes and balls, from the pieces of its operands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kanpinn._support.shapes import Mask, Weights
from kanpinn.geometry.boundary import Piece, Turned, Walls
from kanpinn.geometry.box import Box, Face
from kanpinn.geometry.combined.cell_rules import cells_rule, sphere_part_rule
from kanpinn.geometry.combined.cells import CellSet
from kanpinn.geometry.combined.clipped import Rule, clip
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points


def pieces_of(domain: Domain, cells: CellSet) -> Iterator[Piece]:
    """Yield the parts of the operands' pieces that bound a combination.

    If pieces of several operands lie on the same plane or sphere, their common points belong to the
    piece of the first operand.

    Args:
        domain: the combination.
        cells: the cells of the combination between planes and spheres.
    """
    seen: list[tuple[Walls, Domain]] = []
    for operand in domain.operands:
        for piece in operand.boundary.pieces:
            walls = piece.walls or Walls()
            first = tuple(other for same, other in seen if same == walls)
            if walls.planes:
                yield from _face_parts(domain, cells, operand, piece, first)
            elif not first:
                exact = partial(_sheets, cells, piece.names, walls.spheres[0])
                yield from _clipped(piece, domain, cells, (), exact)
            seen.append((walls, operand))


def _face_parts(
    domain: Domain, cells: CellSet, operand: Domain, piece: Piece, first: tuple[Domain, ...]
) -> Iterator[Piece]:
    """Yield the bounding parts of a box's face: faces if all are boxes, else one clipped piece."""
    assert piece.walls is not None
    ((axis, value),) = piece.walls.planes
    flat, step = cells.walls.within(axis, value), _step(cells)
    tests = [FaceTest(domain, operand, first, axis, value, way * step) for way in (1, -1)]
    sides = [CellSet(cells.dim - 1, flat, test, cells.size) for test in tests]
    boxes = [side.boxes for side in sides]
    if None in boxes:
        exact = partial(_flat, sides, piece.names, axis, value)
        yield from _clipped(piece, domain, cells, first, exact)
        return
    low, high = (corner[axis].item() for corner in operand.bounds)
    for up, found in zip((True, False), boxes, strict=True):
        for ranges in found or []:
            around = [*ranges[:axis], (low, high), *ranges[axis:]]
            box = Box(**dict(zip(piece.names, around, strict=True)))
            face = Face(box, axis, value == high)
            yield face if up == face.upper else Turned(face)


def _clipped(
    piece: Piece, domain: Domain, cells: CellSet, first: tuple[Domain, ...], exact: Rule
) -> Iterator[Piece]:
    clipped = clip(piece, domain, _step(cells), first, exact)
    if clipped is not None:
        yield clipped


def _step(cells: CellSet) -> float:
    """Return the distance from a piece at which both sides are tested, well above rounding."""
    return 1e-9 * cells.size


@dataclass(frozen=True)
class FaceTest:
    """A test which points of a plane lie on an operand's face and bound a combination on one side.

    Called with points (n, d - 1) of the plane, it returns a mask (n,).

    Args:
        domain: the combination.
        leaf: the operand.
        first: earlier operands; their points on the plane belong to their own pieces.
        axis: the axis orthogonal to the plane.
        value: the value of that coordinate on the plane.
        step: the signed step along the axis from the plane to the outer side of the combination.
    """

    domain: Domain
    leaf: Domain
    first: tuple[Domain, ...]
    axis: int
    value: float
    step: float

    def __call__(self, flat: Tensor) -> Mask:
        here, before, after = (
            _lifted(flat, self.axis, self.value + step) for step in (0.0, -self.step, self.step)
        )
        kept = self.domain.contains(before) & ~self.domain.contains(after)
        kept &= self.leaf.contains(here, abs(self.step))
        for other in self.first:
            kept &= ~other.contains(here, abs(self.step))
        return kept


def _lifted(flat: Tensor, axis: int, value: float) -> Tensor:
    """Insert the coordinate `value` of an axis into points (n, d - 1) of a plane, as (n, d)."""
    return torch.cat([flat[:, :axis], flat.new_full((len(flat), 1), value), flat[:, axis:]], dim=1)


def _flat(
    sides: Sequence[CellSet], names: tuple[str, ...], axis: int, value: float, nodes: int
) -> tuple[Points, Weights]:
    """Return a rule on cells in a plane: those with the normal along the axis, then against it."""
    points, weights = [], []
    for normal, cells in zip((1.0, -1.0), sides, strict=True):
        flat, areas = cells_rule(cells, nodes)
        normals = torch.zeros(len(flat), len(names), dtype=torch.float64)
        normals[:, axis] = normal
        points.append(Points(_lifted(flat, axis, value), names, normals))
        weights.append(areas)
    return Points.cat(points), torch.cat(weights)


def _sheets(
    cells: CellSet, names: tuple[str, ...], sphere: tuple[tuple[float, ...], float], nodes: int
) -> tuple[Points, Weights]:
    coords, normals, weights = sphere_part_rule(cells, sphere, nodes)
    return Points(coords, names, normals), weights
