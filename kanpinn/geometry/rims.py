"""Where pieces of boundaries end, and so may meet each other."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn._typing import Coords
from kanpinn.geometry.box import Box, Face
from kanpinn.geometry.curves import Curve
from kanpinn.geometry.domain import Piece
from kanpinn.geometry.points import Points
from kanpinn.geometry.product import End, Wall
from kanpinn.geometry.rules import gauss_legendre, tensor_grid

NODES = 5  # per axis, on the rim of a piece of two or three dimensions
SPREAD = 64  # on each side of the rim of a piece of more


def rim(piece: Piece) -> Points:
    """Points where a piece ends, with its normals; none where it is closed or that is not known.

    Two pieces that meet have the same points there: the ends of curves, corners and Gauss points
    of edges, and walls have them at the first and the last time.
    """
    if isinstance(piece, Face):
        return piece.from_unit(_cube_rim(piece.dim))
    if isinstance(piece, Curve) and piece.start != piece.stop:
        return piece.from_unit(_cube_rim(1))
    if isinstance(piece, Wall):
        edges = _at(rim(piece.piece), piece.time, [0.0, *_nodes(), 1.0])
        return Points.cat([edges, _at(piece.piece.quadrature(NODES)[0], piece.time, [0.0, 1.0])])
    if isinstance(piece, End):
        walls = piece.product.space.boundary.pieces
        parts = [points for p in walls for points in (p.quadrature(NODES)[0], rim(p))]
        ends = Points.cat(_at(part, piece.product.time, [float(piece.late)]) for part in parts)
        normals = torch.zeros_like(ends.coords)
        normals[:, -1] = 1 if piece.late else -1
        return Points(ends.coords, ends.names, normals)
    none = torch.zeros(0, len(piece.names), dtype=torch.float64)
    return Points(none, piece.names, none)


def _nodes() -> list[float]:
    return gauss_legendre(NODES)[0].flatten().tolist()


def _cube_rim(dim: int) -> Coords:
    """Points of each side of [0, 1]^dim, the same ones, so that faces of a box share them.

    Corners and Gauss points up to three dimensions, Sobol points above.
    """
    if dim == 0:
        return torch.zeros(0, 0, dtype=torch.float64)
    if dim <= 3:
        axis = torch.tensor([0.0, *_nodes(), 1.0], dtype=torch.float64)
        side = tensor_grid([axis] * (dim - 1))
    else:
        side = torch.quasirandom.SobolEngine(dim - 1).draw(SPREAD, dtype=torch.float64)
    ends = (side.new_full((len(side), 1), end) for end in (0.0, 1.0))
    parts = [[side[:, :i], end, side[:, i:]] for end in ends for i in range(dim)]
    return torch.cat([torch.cat(part, dim=1) for part in parts])


def _at(points: Points, time: Box, shares: Sequence[float]) -> Points:
    """Every point at all of the times."""
    times = time.from_unit(torch.tensor(shares, dtype=torch.float64)[:, None]).coords
    coords = torch.cat([_each(points.coords, len(times)), times.repeat(len(points), 1)], dim=1)
    normals = points.normals
    if normals is not None:
        normals = torch.cat([_each(normals, len(times)), torch.zeros_like(coords[:, :1])], dim=1)
    return Points(coords, points.names + time.names, normals)


def _each(rows: Tensor, times: int) -> Tensor:
    return rows.repeat_interleave(times, dim=0)
