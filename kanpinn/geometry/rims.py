"""Where pieces of boundaries end, and so may meet each other."""

import torch

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.box import Face
from kanpinn.geometry.curves.curve import Curve
from kanpinn.geometry.points import Points
from kanpinn.geometry.product import End, Wall
from kanpinn.geometry.rules import gauss_legendre, tensor_grid
from kanpinn.geometry.timed import at_times

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
        edges = at_times(rim(piece.piece), piece.time, _axis())
        inner = piece.piece.quadrature(NODES)[0]
        return Points.cat([edges, at_times(inner, piece.time, _shares(0.0, 1.0))])
    if isinstance(piece, End):
        walls = piece.product.space.boundary.pieces
        parts = [points for p in walls for points in (p.quadrature(NODES)[0], rim(p))]
        when = _shares(float(piece.late))
        ends = Points.cat(at_times(part, piece.product.time, when) for part in parts)
        normals = torch.zeros_like(ends.coords)
        normals[:, -1] = 1 if piece.late else -1
        return Points(ends.coords, ends.names, normals)
    none = torch.zeros(0, len(piece.names), dtype=torch.float64)
    return Points(none, piece.names, none)


def _axis() -> Weights:
    """The ends of [0, 1] and Gauss points between them."""
    return _shares(0.0, *gauss_legendre(NODES)[0].tolist(), 1.0)


def _shares(*values: float) -> Weights:
    return torch.tensor(values, dtype=torch.float64)


def _cube_rim(dim: int) -> Coords:
    """Points of each side of [0, 1]^dim, the same ones, so that faces of a box share them.

    Corners and Gauss points up to three dimensions, Sobol points above.
    """
    if dim == 0:
        return torch.zeros(0, 0, dtype=torch.float64)
    if dim <= 3:
        side = tensor_grid([_axis()] * (dim - 1))
    else:
        side = torch.quasirandom.SobolEngine(dim - 1).draw(SPREAD, dtype=torch.float64)
    ends = (side.new_full((len(side), 1), end) for end in (0.0, 1.0))
    parts = [[side[:, :i], end, side[:, i:]] for end in ends for i in range(dim)]
    return torch.cat([torch.cat(part, dim=1) for part in parts])
