"""Ten kinds of domains in the plane, drawn at random."""

import math

import numpy as np

import kanpinn as kp
from kanpinn.geometry import Domain

Draw = np.random.Generator


def holes(draw: Draw) -> Domain:
    """A square with one to six small round holes."""
    domain: Domain = kp.Box(x=(0, 1), y=(0, 1))
    found: list[tuple[float, float, float]] = []
    while len(found) < 1 + int(draw.integers(6)):
        radius = float(draw.uniform(0.01, 0.06))
        x, y = (float(c) for c in draw.uniform(0.05 + radius, 0.95 - radius, 2))
        if all(math.hypot(x - a, y - b) > 1.2 * (radius + r) for a, b, r in found):
            found.append((x, y, radius))
            domain = domain - kp.Disk((x, y), radius)
    return domain


def ring(draw: Draw) -> Domain:
    """A disk with an eccentric round hole."""
    radius, angle = draw.uniform(0.2, 0.5), draw.uniform(0, 2 * math.pi)
    off = draw.uniform(0.1, 0.8 - radius)
    middle = float(off * math.cos(angle)), float(off * math.sin(angle))
    return kp.Disk((0, 0), 1) - kp.Disk(middle, float(radius))


def ellipse(draw: Draw) -> Domain:
    """An ellipse of any direction."""
    return kp.Ellipse((0, 0), (1, float(draw.uniform(0.3, 0.9))), float(draw.uniform(0, math.pi)))


def polygon(draw: Draw) -> Domain:
    """A convex polygon of three to eight corners."""
    count = int(draw.integers(3, 9))
    angles = (np.arange(count) + draw.uniform(-0.3, 0.3, count)) * 2 * math.pi / count
    return kp.Polygon([(math.cos(angle), math.sin(angle)) for angle in angles])


def star(draw: Draw) -> Domain:
    """A polygon whose corners alternately point outwards and inwards."""
    count = 2 * int(draw.integers(3, 6))
    angles = np.arange(count) * 2 * math.pi / count + draw.uniform(0, 2 * math.pi)
    radii = np.where(np.arange(count) % 2, draw.uniform(0.4, 0.7, count), 1.0)
    corners = zip(angles, radii, strict=True)
    return kp.Polygon([(r * math.cos(angle), r * math.sin(angle)) for angle, r in corners])


def notched(draw: Draw) -> Domain:
    """A rectangle with an oblique rectangular notch in one side."""
    width, angle = float(draw.uniform(0.1, 0.4)), float(draw.uniform(-0.5, 0.5))
    x, depth = float(draw.uniform(0.6, 1.4)), float(draw.uniform(0.3, 0.7))
    along, across = (
        np.array([math.cos(angle), math.sin(angle)]),
        [-math.sin(angle), math.cos(angle)],
    )
    base, half, up = np.array([x, -0.5]), along * width / 2, np.array(across) * (0.5 + depth)
    notch = kp.Polygon([base - half, base + half, base + half + up, base - half + up])
    return kp.Box(x=(0, 2), y=(0, 1)) - notch


def pair(draw: Draw) -> Domain:
    """The union of two disks, which meet in two corners that point inwards."""
    radius = float(draw.uniform(0.5, 1))
    return kp.Disk((0, 0), 1) | kp.Disk((float(draw.uniform(0.7, 1.3)), 0), radius)


def stadium(draw: Draw) -> Domain:
    """A rectangle with a half disk at its end."""
    length = float(draw.uniform(0.5, 2))
    return kp.Box(x=(0, length), y=(-0.5, 0.5)) | kp.Disk((length, 0), 0.5)


def bite(draw: Draw) -> Domain:
    """A disk without the part in another disk, which leaves two sharp corners."""
    return kp.Disk((0, 0), 1) - kp.Disk((float(draw.uniform(0.8, 1.3)), 0.1), 0.6)


def frame(draw: Draw) -> Domain:
    """A rectangle with a rectangular hole."""
    (x, y), (a, b) = draw.uniform(0.1, 0.5, 2), draw.uniform(0.2, 0.4, 2)
    hole = kp.Box(x=(float(2 * x), float(2 * x + a)), y=(float(y), float(y + b)))
    return kp.Box(x=(0, 2), y=(0, 1)) - hole


KINDS = (holes, ring, ellipse, polygon, star, notched, pair, stadium, bite, frame)
