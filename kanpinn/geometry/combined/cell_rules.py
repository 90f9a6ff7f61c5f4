"""Gauss rules on the cells between planes and spheres, and on the spheres that bound them.

The integral over a slice, as a function of the coordinate x across the slices, has square-root
branch points where a sphere, a circle or a slice begins or ends. With x = m + h sin θ, where m ± h
are the branch points next to an interval, it is a smooth function of θ, so that a Gauss rule in θ
converges geometrically.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.combined.cells import Cell, CellSet
from kanpinn.geometry.combined.loci import Locus
from kanpinn.geometry.rules import gauss_legendre

Rule = tuple[np.ndarray, np.ndarray]  # coordinates (n, k) of the first k axes, and weights (n,)


def cells_rule(cells: CellSet, nodes: int, last: int | None = None) -> tuple[Coords, Weights]:
    """Return a Gauss rule on cells; on boxes it is exact for polynomials of degree 2·nodes - 1.

    Args:
        cells: the cells in d dimensions.
        nodes: the number of nodes of each one-dimensional Gauss rule.
        last: the number of nodes along the last axis if it differs; 1 is enough for the measure.

    Returns:
        Points (n, d) inside and positive weights (n,).
    """
    counts = [nodes] * (cells.dim - 1) + [last or nodes]
    parts = [rule for _, rule in _rules(cells, counts)]
    coords = np.concatenate([np.zeros((0, cells.dim)), *(coords for coords, _ in parts)])
    weights = np.concatenate([np.zeros(0), *(weights for _, weights in parts)])
    return torch.from_numpy(coords), torch.from_numpy(weights)


def sphere_part_rule(
    cells: CellSet, sphere: tuple[tuple[float, ...], float], nodes: int
) -> tuple[Coords, Coords, Weights]:
    """Return a Gauss rule on the part of a sphere that bounds cells in three dimensions.

    Args:
        cells: the cells in three dimensions.
        sphere: the centre and the radius of the sphere.
        nodes: the number of nodes of each one-dimensional Gauss rule.

    Returns:
        Points (n, 3), unit normals (n, 3) outward from the cells, and weights (n,) whose sum is the
        area.
    """
    (center, radius), circle = sphere, Locus(1, *sphere)
    parts = [(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))]
    for cell, (before, weights) in _rules(cells, [nodes]):
        for inner in cell.within:
            sides = [(end, way) for last in inner.within for end, way in last.ends]
            sides = [(end, way) for end, way in sides if end.locus == circle.on(2)]
            if not sides:
                continue
            angles, along = _arc(inner, circle, before, nodes)
            middle, square = (x[:, None] for x in circle.span(before))
            half = np.sqrt(np.maximum(square, 0))
            # Archimedes: the area element of a sphere is radius · dx · d(angle about the x axis).
            areas = (radius * weights[:, None] * along).ravel()
            kept = areas > 0
            for end, way in sides:
                y, z = middle + half * np.sin(angles), center[2] + end.sign * half * np.cos(angles)
                coords = np.column_stack([np.repeat(before, nodes), y.ravel(), z.ravel()])
                normals = way * end.sign * (coords - center) / radius
                parts.append((coords[kept], normals[kept], areas[kept]))
    coords, normals, areas = map(np.concatenate, zip(*parts, strict=True))
    return torch.from_numpy(coords), torch.from_numpy(normals), torch.from_numpy(areas)


def _rules(cells: CellSet, counts: Sequence[int]) -> Iterator[tuple[Cell, Rule]]:
    """Yield each cell of axis len(counts) - 1 with a rule over the axes up to and including it.

    Args:
        cells: the cells.
        counts: the number of Gauss nodes along each of these axes.
    """

    def walk(
        some: Sequence[Cell], before: Rule, left: Sequence[int]
    ) -> Iterator[tuple[Cell, Rule]]:
        for cell in some:
            rule = _along(cells, cell, *before, left[0])
            if len(left) == 1:
                yield cell, rule
            else:
                yield from walk(cell.within, rule, left[1:])

    return walk(cells.tree, (np.zeros((1, 0)), np.ones(1)), counts)


def _along(cells: CellSet, cell: Cell, before: np.ndarray, weights: np.ndarray, nodes: int) -> Rule:
    """Extend a rule over the axes before that of a cell by Gauss rules along the cell's axis."""
    low, high = cell.low.at(before), cell.high.at(before)
    share, along = (x.numpy() for x in gauss_legendre(nodes))
    span = _branches(cells, cell, before, low, high)
    if span is None:
        size = (high - low)[:, None]
        x, scale = low[:, None] + size * share, size * along
    else:
        middle, half = (span[0] + span[1]) / 2, (span[1] - span[0]) / 2
        first, last = (_angle(end - middle, half)[:, None] for end in (low, high))
        angles = first + (last - first) * share
        x = middle[:, None] + half[:, None] * np.sin(angles)
        scale = half[:, None] * np.cos(angles) * (last - first) * along
    products = (weights[:, None] * scale).ravel()
    coords = np.column_stack([np.repeat(before, nodes, axis=0), x.ravel()])
    kept = products > 0  # NaN or ≤ 0 if a cell has no width because of rounding errors
    return coords[kept], products[kept]


def _branches(
    cells: CellSet, cell: Cell, before: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the branch points (n,) next to the two ends of a cell; None if there are none."""
    size = high - low
    if cells.dim - cell.axis == 3:
        near = 1e-7 * cells.size  # the accuracy of the cuts
        below = [at for at in cells.cuts if at <= low[0] + near]
        above = [at for at in cells.cuts if at >= high[0] - near]
        firsts = [np.full_like(low, at) for at in below[-1:]]
        lasts = [np.full_like(low, at) for at in above[:1]]
    else:
        firsts, lasts = [], []
        for locus in cell.loci:
            middle, square = locus.on(cell.axis).span(before)
            half = np.sqrt(np.maximum(square, 0))
            firsts.append(middle - half)
            lasts.append(middle + half)
    if not (firsts or lasts):
        return None
    # A side without a branch point gets one far away from the cell, which has little influence.
    first = np.max([low - 1e3 * size, *firsts], axis=0)
    last = np.min([high + 1e3 * size, *lasts], axis=0)
    return np.minimum(first, low), np.maximum(last, high)


def _arc(cell: Cell, circle: Locus, before: np.ndarray, nodes: int) -> Rule:
    """Return Gauss points and weights, (n, nodes) each, in the angle of n circles around a cell.

    The angle is -π/2 where a circle's coordinate on the cell's axis is lowest and π/2 where it is
    highest.
    """
    middle, square = circle.span(before)
    half = np.sqrt(np.maximum(square, 0))
    # At an end of the circle itself arcsin would lose half of the digits, so ±π/2 is set directly.
    first, last = (
        np.full((len(before), 1), end.sign * np.pi / 2)
        if end.locus == circle
        else _angle(end.at(before) - middle, half)[:, None]
        for end, _ in cell.ends
    )
    share, along = (x.numpy() for x in gauss_legendre(nodes))
    return first + (last - first) * share, (last - first) * along


def _angle(offset: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return arcsin(offset / half), accurate also next to ±π/2."""
    return np.arctan2(offset, np.sqrt(np.maximum((half - offset) * (half + offset), 0)))
