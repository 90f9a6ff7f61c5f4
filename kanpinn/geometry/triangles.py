"""Triangles and tetrahedra: quadrature rules, areas, volumes, and neighbouring triangles."""

import math

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.rules import check_size, simplex_rule


def _edges(faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the edges of a surface with faces (F, 3), which are vertex indices of triangles.

    Returns:
        The vertex indices of the two ends of the three edges of each triangle, in the triangle's
        direction, (3F, 2); the e distinct edges with ascending ends, (e, 2); and the number of each
        of the 3F edges among the distinct edges, (3F,).
    """
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    return edges, *edges.sort(dim=1).values.unique(dim=0, return_inverse=True)


def edge_defects(faces: Tensor) -> tuple[int, int]:
    """Count the edges at which a surface of triangles is open or inconsistently oriented.

    An edge is open if an odd number of triangles meet at the edge. It is inconsistently oriented if
    an even number of triangles meet, but not half of them run along the edge in each direction.

    Args:
        faces: the vertex indices of the triangles, (F, 3).

    Returns:
        The numbers of open and of inconsistently oriented edges; (0, 0) for a closed surface.
    """
    edges, _, number = _edges(faces)
    uses = torch.bincount(number)
    turns = torch.bincount(number, torch.where(edges[:, 0] < edges[:, 1], 1.0, -1.0))
    odd = uses % 2 == 1
    return int(odd.sum()), int(((turns != 0) & ~odd).sum())


def edge_turns(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Return the edges of a closed surface and the angles between triangles at these edges.

    Args:
        vertices: the vertices (v, 3).
        faces: the vertex indices (F, 3), counter-clockwise seen from outside.

    Returns:
        The indices of the two vertices of each edge at which exactly two triangles meet, (e, 2).
        The angles between the normals of the two triangles in radians, (e,); they are positive
        where the interior angle of the solid is above 180°.
    """
    normals = area_vectors(vertices[faces])
    normals = normals / normals.norm(dim=1, keepdim=True)
    edges, distinct, number = _edges(faces)
    order = number.argsort(stable=True)
    order = order[torch.bincount(number)[number[order]] == 2].view(-1, 2)
    one, other = normals[order // 3].unbind(1)
    cosine = (one * other).sum(dim=1).clamp(-1, 1)
    beyond = vertices[faces[:, [2, 0, 1]].reshape(-1)[order[:, 1]]]  # the third corner
    rise = ((beyond - vertices[edges[order[:, 0], 0]]) * one).sum(dim=1)
    return distinct[number[order[:, 0]]], torch.where(rise > 0, 1.0, -1.0) * cosine.acos()


def smooth_parts(faces: Tensor, normals: Coords, sharp: float | int) -> list[Tensor]:
    """Divide a surface into parts at its sharp edges.

    Args:
        faces: the vertex indices (F, 3).
        normals: the unit normals (F, 3).
        sharp: an angle in degrees; an edge is sharp if the angle between the normals of its two
            triangles is larger.

    Returns:
        The indices of the triangles of each part, (f,).
    """
    from scipy.sparse import coo_array  # both imports take a tenth of a second
    from scipy.sparse.csgraph import connected_components

    number = _edges(faces)[2]
    order = number.argsort(stable=True)
    same = number[order][1:] == number[order][:-1]
    one, two = order[:-1][same] // 3, order[1:][same] // 3
    flat = (normals[one] * normals[two]).sum(dim=1) >= math.cos(math.radians(sharp))
    graph = coo_array((np.ones(int(flat.sum())), (one[flat], two[flat])), shape=(len(faces),) * 2)
    count, labels = connected_components(graph, directed=False)
    return [torch.from_numpy(np.flatnonzero(labels == label)) for label in range(count)]


def enclosed_volume(corners: Tensor) -> float:
    """Return the signed volume inside a closed surface of triangles with corners (F, 3, 3).

    The volume is the flux of the vector field x / 3 through the surface (divergence theorem); it is
    > 0 if the triangles are counter-clockwise seen from outside.
    """
    local = corners - corners.mean(dim=(0, 1))
    return torch.linalg.det(local).sum().item() / 6


def area_vectors(corners: Tensor) -> Coords:
    """Return the normals (F, 3) of triangles (F, 3, 3); their lengths are the areas."""
    a, b, c = corners.unbind(dim=1)
    return torch.linalg.cross(b - a, c - a) / 2


def volumes(corners: Tensor) -> Weights:
    """Return the signed volumes (k,) of tetrahedra (k, 4, 3)."""
    return torch.linalg.det(corners[:, 1:] - corners[:, :1]) / 6


def simplices_rule(corners: Tensor, nodes: int) -> tuple[Coords, Weights]:
    """Return a quadrature rule on triangles in space or on tetrahedra.

    The rule is exact for polynomials up to degree 2·nodes - 1.

    Args:
        corners: the corners of k triangles, (k, 3, 3), or k tetrahedra, (k, 4, 3).
        nodes: the number of nodes of each one-dimensional rule.

    Returns:
        Points (n, 3), in the order of the simplices, and weights (n,), where n = k·nodes² for
        triangles and n = k·nodes³ for tetrahedra.
    """
    dim = corners.shape[1] - 1
    check_size(nodes, len(corners) * nodes**dim)
    measures = area_vectors(corners).norm(dim=1) if dim == 2 else volumes(corners)
    shares, weights = simplex_rule(nodes, dim)
    return (shares @ corners).flatten(0, 1), torch.outer(measures, weights).flatten()
