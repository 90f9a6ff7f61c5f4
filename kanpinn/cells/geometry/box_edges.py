"""Edges of interfaces in space: where two faces of a box meet, with the exponents there."""

import itertools
import math

import torch
from torch import Tensor

from kanpinn.cells.geometry.flux_exponents import FluxSizes, least_exponent
from kanpinn.geometry.box import Face
from kanpinn.geometry.points import Points
from kanpinn.geometry.solid.divide3d import SolidDivision


def edges_of_boxes(division: SolidDivision, fluxes: FluxSizes) -> tuple[Tensor, Tensor, Tensor]:
    """The edges of boxes inside a solid at which solutions are like r^λ with λ < 1.

    An edge counts where both of its faces belong to the interface. The coefficients are those at
    its middle.

    Args:
        division: the regions of the solid.
        fluxes: the coefficients on both sides of interfaces.

    Returns:
        The ends of the edges, (s, 2, 3), λ of each, (s,), and the vertices of boxes at which three
        of them meet, (v, 3).

    Reference: Kellogg, On the Poisson equation with intersecting interfaces (1975).
    """
    segments, exponents = [], []
    for number in range(1, len(division.parts)):
        pieces = [one.piece for one in division.seams if one.inside == number]
        faces = [piece for piece in pieces if isinstance(piece, Face)]
        for one, other in itertools.combinations(faces, 2):
            if one.axis != other.axis:
                segment = _edge(one, other)
                inside, outside = fluxes.on_both_sides(one, _beside(one, segment))
                around = [(math.pi / 2, inside), (3 * math.pi / 2, outside)]
                found = least_exponent(around) if min(inside, outside) > 0 else None
                if found is not None and found < 1 - 1e-3:
                    segments.append(segment)
                    exponents.append(found)
    if not segments:
        none = torch.zeros(0, 2, 3, dtype=torch.float64)
        return none, none[:, 0, 0], none[:, 0]
    ends = torch.stack(segments)
    points, counts = ends.flatten(0, 1).unique(dim=0, return_counts=True)
    return ends, ends.new_tensor(exponents), points[counts > 2]


def _edge(one: Face, other: Face) -> Tensor:
    """The ends of the edge at which two faces of a box meet, (2, 3)."""
    ends = torch.stack(one.box.bounds)
    for face in (one, other):
        ends[:, face.axis] = ends[int(face.upper), face.axis]
    return ends


def _beside(face: Face, edge: Tensor) -> Points:
    """A point of a face close to the middle of one of its edges."""
    near, middle = 1e-3, face.quadrature(1)[0]
    at = torch.lerp(edge.mean(dim=0), middle.coords, near)
    return Points(at, middle.names, middle.normals)
