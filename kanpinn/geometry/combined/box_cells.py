"""Combinations of boxes as unions of boxes: exact measures, rules and faces."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from kanpinn._support.shapes import Coords, Mask, Weights
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.box import Box, Face
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.turned import Turned

MOST = 2**16  # cells of the common grid
Cell = tuple[tuple[float, float], ...]  # an interval on each axis
Inside = Callable[[Coords], Mask]


def grid_cells(boxes: Sequence[Box]) -> list[Cell] | None:
    """The cells of the grid of all the boxes' ends, or None where they are too many.

    Each box, and so each combination of boxes, is a union of some of them.
    """
    axes, count = [], 1
    for axis in range(boxes[0].dim):
        ends = sorted({end for box in boxes for end in box.ranges[axis][1:]})
        axes.append(list(itertools.pairwise(ends)))
        count *= len(axes[-1])
    return list(itertools.product(*axes)) if count <= MOST else None


def chosen(cells: Sequence[Cell], inside: Inside) -> list[Cell]:
    """Those whose centres lie inside."""
    centers = torch.tensor(cells, dtype=torch.float64).mean(dim=2)
    return [cell for cell, kept in zip(cells, inside(centers).tolist(), strict=True) if kept]


def merged(cells: Iterable[Cell]) -> list[Cell]:
    """The same union of fewer cells: neighbours with a whole side in common become one."""
    cells = sorted(cells)
    for axis in range(len(cells[0]) if cells else 0):
        rows: dict[Cell, list[tuple[float, float]]] = {}
        for cell in cells:
            runs = rows.setdefault((*cell[:axis], *cell[axis + 1 :]), [])
            low, high = cell[axis]
            if runs and runs[-1][1] == low:
                runs[-1] = (runs[-1][0], high)
            else:
                runs.append((low, high))
        cells = sorted(
            (*others[:axis], run, *others[axis:]) for others, runs in rows.items() for run in runs
        )
    return cells


def as_box(cell: Sequence[tuple[float, float]], names: Sequence[str]) -> Box:
    """The cell as a box with these coordinates."""
    return Box(**dict(zip(names, cell, strict=True)))


def joined_rule(parts: Iterable[Domain], nodes: int) -> tuple[Points, Weights]:
    """The rules of all parts, one after the other."""
    rules = [part.quadrature(nodes) for part in parts]
    return Points.cat(points for points, _ in rules), torch.cat([w for _, w in rules])


def faces(boxes: Sequence[Box], cells: Sequence[Cell], inside: Inside, step: float) -> list[Piece]:
    """The boundary of a combination of boxes: parts of their faces, under the faces' names.

    Args:
        boxes: that are combined.
        cells: all the cells of their grid.
        inside: which points the combination contains.
        step: to either side of a face, where `inside` is asked. A part with just one side inside
            counts, and counts once where faces coincide.
    """
    seen: set[tuple[int, float, Cell]] = set()
    pieces: list[Piece] = []
    for box, axis, upper in itertools.product(boxes, range(boxes[0].dim), (False, True)):
        _, *ends = box.ranges[axis]
        end = float(ends[upper])
        sections = [
            section
            for section in sorted({_drop(cell, axis) for cell in cells})
            if _within(section, _drop(box.ranges, axis)) and (axis, end, section) not in seen
        ]
        seen |= {(axis, end, section) for section in sections}
        before, after = (_inside_at(sections, axis, end + shift, inside) for shift in (-step, step))
        # The outward normal of a part points to the side where the domain is not.
        for up, here, there in ((True, before, after), (False, after, before)):
            parts = itertools.compress(sections, (here & ~there).tolist())
            pieces += [_face(box, axis, upper, up, section) for section in merged(parts)]
    return pieces


def _drop(cell: Sequence[Any], axis: int) -> tuple[Any, ...]:
    return (*cell[:axis], *cell[axis + 1 :])


def _within(section: Cell, ranges: Iterable[tuple[str, float, float]]) -> bool:
    pairs = zip(section, ranges, strict=True)
    return all(low <= part[0] and part[1] <= high for part, (_, low, high) in pairs)


def _inside_at(sections: Sequence[Cell], axis: int, value: float, inside: Inside) -> Mask:
    """Whether the points over the centres of the sections are inside, the axis at a value."""
    rows = [[(low + high) / 2 for low, high in section] for section in sections]
    coords = [[*row[:axis], value, *row[axis:]] for row in rows]
    if not coords:
        return torch.zeros(0, dtype=torch.bool)
    return inside(torch.tensor(coords, dtype=torch.float64))


def _face(box: Box, axis: int, upper: bool, up: bool, section: Cell) -> Piece:
    _, low, high = box.ranges[axis]
    cell = (*section[:axis], (low, high), *section[axis:])
    face = Face(as_box(cell, box.names), axis, upper)
    return face if up == upper else Turned(face)
