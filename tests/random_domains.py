"""Random domains of every kind, for tests that draw them: sizes, places and proportions vary."""

from collections.abc import Callable

import numpy as np

import kanpinn as kp
from kanpinn.geometry import Domain

Draw = np.random.Generator
WHOLE = 2 * np.pi


def _place(draw: Draw) -> tuple[np.ndarray, float]:
    """Where a domain is, and about how large its radius is."""
    return draw.uniform(-2, 2, 2), float(draw.uniform(0.5, 2))


def _ranges(draw: Draw, names: str) -> dict[str, tuple[float, float]]:
    low, length = draw.uniform(-2, 2, len(names)), draw.uniform(0.7, 2, len(names))
    return {n: (float(a), float(a + w)) for n, a, w in zip(names, low, length, strict=True)}


def _corners(draw: Draw, count: int, rough: float, center: np.ndarray, size: float) -> np.ndarray:
    """Corners around a centre, at distances between (1 - rough) · size and size."""
    angles = (np.arange(count) + draw.uniform(-0.2, 0.2, count)) * WHOLE / count
    radii = size * (1 - draw.uniform(0, rough, count))
    ray = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return center + radii[:, None] * ray


def _polygon(draw: Draw, count: int, rough: float = 0.1) -> kp.Planar:
    return kp.Polygon(_corners(draw, count, rough, *_place(draw)))


def _star(draw: Draw) -> kp.Planar:
    """A polygon with a corner that points inward."""
    center, size = _place(draw)
    corners = _corners(draw, 7, 0.1, center, size)
    corners[3] = center + 0.4 * (corners[3] - center)
    return kp.Polygon(corners)


def _holed(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    hole = _corners(draw, 3, 0.3, center + 0.1 * size, 0.4 * size)
    return kp.Polygon(_corners(draw, 6, 0.1, center, size), [hole])


def _shape(draw: Draw, center: np.ndarray, size: float, name: str) -> kp.Planar | kp.Box:
    """A disk, an ellipse, a box or a polygon."""
    x, y = (float(c) for c in center)
    kind = draw.integers(4)
    if kind == 0:
        return kp.Disk((x, y), size, name=name)
    if kind == 1:
        return kp.Ellipse((x, y), (size, 0.7 * size), float(draw.uniform(0, np.pi)), name=name)
    if kind == 2:
        return kp.Box(x=(x - size, x + 0.8 * size), y=(y - 0.7 * size, y + 0.9 * size))
    return kp.Polygon(_corners(draw, 5, 0.1, center, size), pieces=[name] * 5)


def _two(draw: Draw) -> tuple[Domain, Domain]:
    """Two shapes, either of which is outside of the other with a part."""
    center, size = _place(draw)
    angle = draw.uniform(0, WHOLE)
    other = center + 0.9 * size * np.array([np.cos(angle), np.sin(angle)])
    return _shape(draw, center, size, "first"), _shape(draw, other, 0.8 * size, "second")


def _lshape(draw: Draw) -> Domain:
    """A box without a box in one of its corners."""
    (x, y), size = _place(draw)
    right, top = (float(v) for v in size * draw.uniform(0.3, 0.7, 2))
    whole = kp.Box(x=(x, x + size), y=(y, y + size))
    return whole - kp.Box(x=(x + right, x + 2 * size), y=(y + top, y + 2 * size))


def _disk(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    return kp.Disk(center, size)


def _ellipse(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    axes = size, size * float(draw.uniform(0.4, 0.9))
    return kp.Ellipse(center, axes, float(draw.uniform(0, np.pi)))


def _annulus(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    return kp.Annulus(center, size * float(draw.uniform(0.2, 0.6)), size)


def _sector(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    start = float(draw.uniform(0, WHOLE))
    return kp.Sector(center, size, start, start + float(draw.uniform(0.8, 5)))


def _ball(draw: Draw) -> Domain:
    return kp.Ball(draw.uniform(-2, 2, 3).tolist(), float(draw.uniform(0.5, 2)))


def _union(draw: Draw) -> Domain:
    a, b = _two(draw)
    return a | b


def _difference(draw: Draw) -> Domain:
    a, b = _two(draw)
    return a - b


def _intersection(draw: Draw) -> Domain:
    a, b = _two(draw)
    return a & b


def _over(space: Callable[[Draw], Domain]) -> Callable[[Draw], Domain]:
    return lambda draw: space(draw).over(**_ranges(draw, "t"))


DOMAINS: dict[str, Callable[[Draw], Domain]] = {
    "interval": lambda draw: kp.Box(**_ranges(draw, "x")),
    "rectangle": lambda draw: kp.Box(**_ranges(draw, "xy")),
    "box": lambda draw: kp.Box(**_ranges(draw, "xyz")),
    "disk": _disk,
    "ellipse": _ellipse,
    "annulus": _annulus,
    "sector": _sector,
    "triangle": lambda draw: kp.Triangle(*_corners(draw, 3, 0.3, *_place(draw))),
    "convex polygon": lambda draw: _polygon(draw, 6),
    "star": _star,
    "polygon with hole": _holed,
    "L-shape": _lshape,
    "union": _union,
    "difference": _difference,
    "intersection": _intersection,
    "ball": _ball,
    "interval over time": lambda draw: kp.Box(**_ranges(draw, "xt")),
    "box over time": _over(lambda draw: kp.Box(**_ranges(draw, "xy"))),
    "disk over time": _over(_disk),
    "L-shape over time": _over(_lshape),
}
