"""Points and quadrature rules in space × time, from those in space."""

import math

import torch
from torch import Tensor

from kanpinn._support.shapes import Weights
from kanpinn.geometry.box import Box
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Region
from kanpinn.geometry.rules import axis_counts, gauss_legendre


def at_one_time(points: Points, time: float, name: str) -> Points:
    """Append one time to all points in space.

    Args:
        points: points (n, d) in space.
        time: the time.
        name: the name of its coordinate.

    Returns:
        Points (n, d + 1); their normals, if any, have the time component 0.
    """
    return _joined(points, points.coords.new_full((len(points), 1), time), (name,))


def at_times(points: Points, time: Box, shares: Tensor) -> Points:
    """Append one time to each point in space.

    Args:
        points: points (n, d) in space.
        time: the time interval.
        shares: the times (n,), scaled so that the interval is [0, 1].

    Returns:
        Points (n, d + 1); their normals, if any, have the time component 0.
    """
    return _joined(points, time.image(shares[:, None]).coords, time.names)


def at_all_times(points: Points, time: Box, shares: Tensor) -> Points:
    """Combine each of the points (n, d) with each of the times (k,) to points (n·k, d + 1).

    The times are scaled so that the interval is [0, 1], and vary fastest.
    """
    rows = torch.arange(len(points)).repeat_interleave(len(shares))
    return at_times(points[rows], time, shares.repeat(len(points)))


def timed_rule(rule: tuple[Points, Tensor], time: Box, nodes: int) -> tuple[Points, Weights]:
    """Return the product of a rule in space and a Gauss rule in time."""
    shares, along = gauss_legendre(nodes)
    points, weights = rule
    products = time.measure * torch.outer(weights, along).reshape(-1)
    return at_all_times(points, time, shares), products


def timed_gauss(space: Region, time: Box, n: int) -> Points:
    """Return Gauss points in space × time, with as many times as a cube's rule has per axis."""
    count = axis_counts(n, space.dim + 1)[-1]
    return at_all_times(space.gauss(math.ceil(n / count)), time, gauss_legendre(count)[0])


def _joined(points: Points, times: Tensor, names: tuple[str, ...]) -> Points:
    """Points in space with one time each, (n, 1), and the name of its coordinate."""
    normals = points.normals
    if normals is not None:
        normals = torch.cat([normals, torch.zeros_like(times)], dim=1)
    return Points(torch.cat([points.coords, times], dim=1), (*points.names, *names), normals)
