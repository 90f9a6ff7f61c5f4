"""Triangles in the plane and in space, and tetrahedra: rules, areas, and neighbours."""

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
    """Triangles that fill a domain.

    A triangle is the image of the barycentric coordinates λ, Σ λ_i v_i + Σ λ_i λ_j B(s), with a
    second sum over its bent edges. There s = (1 + λ_j - λ_i) / 2 goes along the edge, and
    B(s) = d(s) / (s (1 - s)), where d is the arc minus its chord.

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
        """Whether all weights are > 0, which an arc that bends across its triangle violates."""
        return bool((self.rule(8)[1] > 0).all())

    def rule(self, each: int) -> tuple[Coords, Weights]:
        """Return points (t·each², 2), in the order of the triangles, and weights (t·each²,).

        On straight triangles the rule is exact for polynomials up to degree 2·each - 1.
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
        """Return B(s) and B'(s), (r, q, 2) each, on the edges from i to j of r triangles.

        s: (q, 1), between 0 and 1.
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
    """The three edges of each triangle (F, 3).

    Returns:
        The ends of each edge along its triangle, (3F, 2), the different edges with ascending ends,
        (e, 2), and the number of each edge among these, (3F,).
    """
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    return edges, *edges.sort(dim=1).values.unique(dim=0, return_inverse=True)


def edge_defects(faces: Tensor) -> tuple[int, int]:
    """Count the open and the inconsistently oriented edges of a surface with faces (F, 3).

    An edge is open if an odd number of triangles meet there. It is inconsistently oriented if an
    even number meet but they do not run along it equally often in both directions.

    Returns:
        The numbers of open and of inconsistently oriented edges; (0, 0) for a closed surface.
    """
    edges, _, number = _edges(faces)
    uses = torch.bincount(number)
    turns = torch.bincount(number, torch.where(edges[:, 0] < edges[:, 1], 1.0, -1.0))
    odd = uses % 2 == 1
    return int(odd.sum()), int(((turns != 0) & ~odd).sum())


def edge_turns(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """The edges at which two triangles of a closed surface meet, and the angles between the two.

    Args:
        vertices: the vertices (v, 3).
        faces: the vertex indices (F, 3), counter-clockwise seen from outside.

    Returns:
        The indices of the two vertices of each edge, (e, 2), and the angles between the normals of
        the triangles in radians, (e,), positive where the surface turns inwards. Edges of more than
        two triangles are left out.
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
    """Divide a surface at edges with an angle above `sharp` degrees between the normals.

    Args:
        faces: the vertex indices (F, 3).
        normals: the unit normals (F, 3).
        sharp: the angle in degrees.

    Returns:
        The indices of the triangles of each part.
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
    """Return the signed volume inside a closed surface with corners (F, 3, 3).

    It is the flux of the vector field x / 3 through the surface (divergence theorem).
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
    """Return points in triangles (k, 3, 3) or tetrahedra (k, 4, 3), in their order, and weights.

    On each triangle the rule has nodes^2 points, on each tetrahedron nodes^3. It is exact for
    polynomials up to degree 2·nodes - 1.
    """
    dim = corners.shape[1] - 1
    check_size(nodes, len(corners) * nodes**dim)
    measures = area_vectors(corners).norm(dim=1) if dim == 2 else volumes(corners)
    shares, weights = simplex_rule(nodes, dim)
    return (shares @ corners).flatten(0, 1), torch.outer(measures, weights).flatten()
