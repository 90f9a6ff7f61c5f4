"""The boundary of a mesh in the plane as segments and arcs of circles."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from kanpinn.geometry.gmsh.filling import SAME, Filling
from kanpinn.geometry.gmsh.runs import Run, circle_center, on_circle


def boundary_runs(domain: Filling, arcs: bool) -> Iterator[list[Run]]:
    """Yield the parts of the boundary, closed or up to a node that several parts share.

    The edges of a curve of the drawing become one arc if all their nodes, five or more, lie on a
    circle; so do those of several curves of one name that follow each other, such as four quarters,
    if none of them is straight. Otherwise, an edge of second order becomes the arc through its
    three nodes, and another one a segment. Neighbours of one name on one circle or line are joined.

    Args:
        domain: the mesh.
        arcs: False for segments only.
    """
    near = SAME * float(np.ptp(domain.coords[domain.cells.ravel()], axis=0).max())
    for path in _paths(domain):
        groups = groupby(path, key=lambda i: (domain.names[i], domain.entities[i]))
        curves = _round_together(domain, [list(edges) for _, edges in groups], near)
        runs = [run for edges in curves for run in _runs(domain, edges, arcs, near)]
        yield _joined(runs, near)


def _paths(domain: Filling) -> Iterator[list[int]]:
    """Yield the indices of edges that follow each other, so that no curve is divided in its middle.

    Where several edges start at a node, paths end.
    """
    starts, stops = domain.faces.T.tolist()
    starting = Counter(starts)
    first_at = {start: edge for edge, start in enumerate(starts)}
    followers = [first_at[stop] if starting[stop] == 1 else None for stop in stops]
    before = {after: edge for edge, after in enumerate(followers) if after is not None}
    marks = list(zip(domain.names, domain.entities.tolist(), strict=True))
    edges = range(len(starts))
    begins = [i for i in edges if i not in before or marks[before[i]] != marks[i]]
    used: set[int] = set()
    for begin in [*begins, *edges]:
        path: list[int] = []
        edge: int | None = begin
        while edge is not None and edge not in used:
            used.add(edge)
            path.append(edge)
            edge = followers[edge]
        if path:
            yield path


def _round_together(
    domain: Filling, curves: Sequence[list[int]], near: float
) -> Sequence[list[int]]:
    """Return the edges of each curve of a path, those of neighbours on one circle together."""

    def on_one_circle(one: list[int], other: list[int]) -> bool:
        i, j = one[-1], other[0]
        drawn = domain.entities[i] > 0 and domain.entities[j] > 0
        if not drawn or domain.names[i] != domain.names[j]:
            return False
        bent = all(circle_center(domain.nodes(edges)) is not None for edges in (one, other))
        both = domain.nodes([*one, *other])
        center = circle_center(both) if bent else None
        return center is not None and on_circle(both, center, near)

    left = list(curves)
    if domain.faces[left[-1][-1], 1] == domain.faces[left[0][0], 0]:
        # A closed path begins where a circle does, not in its middle.
        for _ in curves[1:]:
            if not on_one_circle(left[-1], left[0]):
                break
            left = [left[-1], *left[:-1]]
    joined = left[:1]
    for edges in left[1:]:
        if on_one_circle(joined[-1], edges):
            joined[-1] = [*joined[-1], *edges]
        else:
            joined.append(edges)
    return joined


def _runs(domain: Filling, edges: Sequence[int], arcs: bool, near: float) -> list[Run]:
    """Return the runs of edges with one name on one curve of the drawing."""
    name, ends = domain.names[edges[0]], domain.coords[domain.faces[edges]]
    middles = domain.middles[edges]
    points = np.concatenate([ends[:, 0], ends[-1:, 1]])
    if not arcs:
        return [Run(pair, (i,), name) for i, pair in zip(edges, ends, strict=True)]
    known = domain.nodes(edges)
    many = 5  # four nodes at equal distances lie on a circle for any symmetric curve
    if domain.entities[edges[0]] and len(known) >= many:
        center = circle_center(known)
        if center is not None and on_circle(known, center, near):
            return [Run(points, tuple(edges), name, center)]
    centers = [
        _center(pair, domain.coords[middle]) if middle >= 0 else None
        for pair, middle in zip(ends, middles, strict=True)
    ]
    rows = zip(ends, edges, centers, strict=True)
    return [Run(pair, (edge,), name, center) for pair, edge, center in rows]


def _center(ends: np.ndarray, middle: np.ndarray) -> np.ndarray | None:
    """Return the centre of the circle through both ends of an edge and its middle node.

    None if the node lies on the line between the ends.
    """
    along, across = ends[1] - ends[0], middle - ends[0]
    bent = 1e-7  # of the length; the centre of a flatter arc is far away and inaccurate
    if abs(along[0] * across[1] - along[1] * across[0]) <= bent * (along @ along):
        return None
    return circle_center(np.array([ends[0], middle, ends[1]]))


def _joined(runs: list[Run], near: float) -> list[Run]:
    """Join neighbours on one line or circle, the last one and the first one of a loop included."""
    found = runs[:1]
    for run in runs[1:]:
        whole = found[-1].joined(run, near)
        found[-1:] = [found[-1], run] if whole is None else [whole]
    if len(found) > 1 and (found[-1].points[-1] == found[0].points[0]).all():
        whole = found[-1].joined(found[0], near)
        if whole is not None:
            found = [*found[1:-1], whole]
    return found
