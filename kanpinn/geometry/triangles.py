"""Triangles and tetrahedra: quadrature rules, areas, volumes, and neighbouring triangles."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.rules import check_size, simplex_rule

EDGES = ((0, 1), (1, 2), (2, 0))


@dataclass(frozen=True, eq=False)
class Triangles:
    """t triangles in the plane that fill a domain; their edges are segments or arcs of circles.

    A triangle consists of the points Σ λ_i v_i + Σ λ_i λ_j B(s) for barycentric coordinates λ. The
    first sum is over the corners v_i, the second sum over the bent edges from v_i to v_j. On an
    edge s = (1 + λ_j - λ_i) / 2 increases from 0 to 1, and B(s) = d(s) / (s (1 - s)), where d(s) is
    the vector from the chord to the arc.

    Args:
        corners: the corners v_i, counter-clockwise, (t, 3, 2).
        centers: the centre of the circle of each edge from v_i to v_(i + 1), NaN where the edge is
            straight, (t, 3, 2). An arc spans less than half a circle.

    Reference: Gordon and Hall, Transfinite element methods (1973).
    """

    corners: Tensor
    centers: Tensor

    def __len__(self) -> int:
        return len(self.corners)

    @property
    def proper(self) -> bool:
        """True if all weights of a quadrature rule on the triangles are above 0.

        They are not if an arc bends inwards across its triangle.
        """
        return bool((self.rule(8)[1] > 0).all())

    def rule(self, each: int) -> tuple[Coords, Weights]:
        """Return points (t·each², 2), in the order of the triangles, and weights (t·each²,).

        On triangles with straight edges the rule is exact for polynomials up to degree
        2·each - 1.

        Args:
            each: the number of nodes of each one-dimensional rule in the rule on a triangle.
        """
        check_size(each, len(self) * each**2)
        shares, weights = simplex_rule(each, 2)
        points = shares @ self.corners
        slopes = self.corners[:, None].repeat(1, len(shares), 1, 1)  # by λ, (t, q, 3, 2)
        for i, j in EDGES:
            bent = self.centers[:, i, 0].isfinite().nonzero()[:, 0]
            of_i, of_j = shares[:, i, None], shares[:, j, None]
            bump, steep = self._bump(bent, i, j, (1 + of_j - of_i) / 2)
            product = of_i * of_j
            points[bent] += product * bump
            slopes[bent, :, i] += of_j * bump - product * steep / 2
            slopes[bent, :, j] += of_i * bump + product * steep / 2
        (a, b), (c, d) = (slopes[:, :, 1:] - slopes[:, :, :1]).permute(2, 3, 0, 1)
        return points.flatten(0, 1), ((a * d - b * c) / 2 * weights).flatten()

    def _bump(self, bent: Tensor, i: int, j: int, s: Tensor) -> tuple[Tensor, Tensor]:
        """Return the term B(s) by which a bent edge displaces points, and B'(s), (r, q, 2) each.

        Args:
            bent: the numbers of the r triangles with bent edges, (r,).
            i, j: the indices of the corners between which the edge runs.
            s: values between 0 and 1, (q, 1).
        """
        start, stop, center = self.corners[bent, i], self.corners[bent, j], self.centers[bent, i]
        from_center, chord = (start - center)[:, None], (stop - start)[:, None]
        (x, y), (u, v) = (start - center).T, (stop - center).T
        sweep = torch.atan2(x * v - y * u, x * u + y * v)[:, None, None]
        cos, sin = (s * sweep).cos(), (s * sweep).sin()
        across = torch.stack([-from_center[..., 1], from_center[..., 0]], dim=-1)
        d = (cos - 1) * from_center + sin * across - s * chord
        slope = sweep * (cos * across - sin * from_center) - chord
        width = 1 / (s * (1 - s))
        return d * width, slope * width - d * (1 - 2 * s) * width**2


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
