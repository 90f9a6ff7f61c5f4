"""Points and rules in space, taken over an interval of time."""

import math

import torch
from torch import Tensor

from kanpinn._support.shapes import Weights
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.box import Box
from kanpinn.geometry.clipped import Clipped, longer
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Draw, Mapped, Region
from kanpinn.geometry.rules import axis_counts, gauss_legendre


def with_times(points: Points, time: Box, share: Tensor) -> Points:
    """The points at the times (n, 1) given as shares of the interval; normals stay in space."""
    coords = torch.cat([points.coords, time.from_unit(share).coords], dim=1)
    normals = points.normals
    if normals is not None:
        normals = torch.cat([normals, torch.zeros_like(share)], dim=1)
    return Points(coords, points.names + time.names, normals)


def spread(piece: Piece, n: int, draw: Draw) -> tuple[Points, Tensor]:
    """n points or a few more of a piece and a share of time (n, 1) for each, from ONE draw.

    A product of two draws would cluster: their projections are even, their pairs are not.
    """
    if isinstance(piece, Mapped):
        unit = draw(n, piece.dim + 1)
        return piece.from_unit(unit[:, :-1]), unit[:, -1:]
    if isinstance(piece, Clipped):
        count = piece.count(n)
        while True:
            points, times = spread(piece.piece, count, draw)
            kept, points = piece.keep(points)
            if int(kept.sum()) >= n:
                return points[kept], times[kept]
            count = longer(count)
    points = piece.place(n, draw)
    return points, draw(len(points), 1)


def timed_rule(rule: tuple[Points, Tensor], time: Box, nodes: int) -> tuple[Points, Weights]:
    """The product of a rule in space and a Gauss rule in time, the latter running fastest."""
    share, along = gauss_legendre(nodes)
    points, weights = rule
    return at_times(points, time, share), time.measure * torch.outer(weights, along).reshape(-1)


def timed_gauss(space: Region, time: Box, n: int) -> Points:
    """Gauss points in space times Gauss points in time, as many of these as on a cube's axis."""
    count = axis_counts(n, space.dim + 1)[-1]
    return at_times(space.gauss(math.ceil(n / count)), time, gauss_legendre(count)[0])


def at_times(points: Points, time: Box, share: Tensor) -> Points:
    """Every point at every one of the times."""
    rows = torch.arange(len(points)).repeat_interleave(len(share))
    return with_times(points[rows], time, share.repeat(len(points))[:, None])
