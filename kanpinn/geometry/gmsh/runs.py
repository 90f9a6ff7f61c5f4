"""Edges of a mesh's boundary that follow each other on one line or one circle."""

import math
from dataclasses import dataclass

import numpy as np

from kanpinn.geometry.curves.arcs import Arc
from kanpinn.geometry.curves.curve import Curve
from kanpinn.geometry.curves.segments import Segment


@dataclass(frozen=True, eq=False)
class Run:
    """Consecutive nodes of a boundary on one line or one circle.

    Args:
        points: the nodes in their order, (n, 2), n ≥ 2; the last one is the first one of a circle.
        edges: the indices of the boundary's edges between them, n - 1.
        name: the name of the piece.
        center: the circle's centre, (2,); None for a line.
    """

    points: np.ndarray
    edges: tuple[int, ...]
    name: str
    center: np.ndarray | None = None

    @property
    def angles(self) -> np.ndarray:
        """The angles of the nodes about the centre, without jumps, (n,)."""
        assert self.center is not None
        x, y = (self.points - self.center).T
        return np.unwrap(np.arctan2(y, x))

    def joined(self, other: "Run", near: float) -> "Run | None":
        """Return both runs as one if the other one continues this one, otherwise None.

        near: the distance within which nodes are on a line or circle.
        """
        if self.name != other.name or (self.center is None) != (other.center is None):
            return None
        points = np.concatenate([self.points, other.points[1:]])
        whole = Run(points, self.edges + other.edges, self.name, self.center)
        if self.center is None:
            return whole if straight(points, near) else None
        turns = np.diff(whole.angles)
        same = on_circle(points, self.center, near) and (turns.min() > 0 or turns.max() < 0)
        return whole if same else None

    def curve(self, names: tuple[str, ...]) -> Curve:
        """Return the segment or arc in these coordinates."""
        first, last = self.points[0].tolist(), self.points[-1].tolist()
        if self.center is None:
            return Segment((first[0], first[1]), (last[0], last[1]), self.name, names)
        radius = float(np.hypot(*(self.points - self.center).T).mean())
        start, stop = self.angles[[0, -1]].tolist()
        if first == last:
            stop = start + math.copysign(2 * math.pi, stop - start)
        (x, y), axes = self.center.tolist(), (radius, radius)
        return Arc((x, y), axes, 0.0, start, stop, self.name, names)


def straight(points: np.ndarray, near: float) -> bool:
    """Return True if points (n, 2) go on along one line."""
    along = points[-1] - points[0]
    length = np.hypot(*along)
    if length <= near:
        return False
    (u, v), (x, y) = along / length, (points - points[0]).T
    return bool(np.abs(u * y - v * x).max() <= near and np.diff(u * x + v * y).min() > 0)


def on_circle(points: np.ndarray, center: np.ndarray, near: float) -> bool:
    """Return True if all points (n, 2) have the same distance from a centre."""
    return bool(np.ptp(np.hypot(*(points - center).T)) <= near)


def circle_center(points: np.ndarray) -> np.ndarray | None:
    """Return the centre of the circle nearest to points (n, 2), n ≥ 3; None for those on a line.

    It minimises Σ (|x - c|² - r²)².

    Reference: Kåsa, A circle fitting procedure and its error analysis (1976).
    """
    middle = points.mean(axis=0)
    local = points - middle
    size = np.abs(local).max()
    rows = np.concatenate([local / size, np.ones((len(local), 1))], axis=1)
    found, _, rank, _ = np.linalg.lstsq(rows, np.square(local / size).sum(axis=1), rcond=1e-9)
    return middle + size * found[:2] / 2 if rank == 3 else None
