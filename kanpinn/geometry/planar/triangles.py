"""Quadrature on planar domains that are filled by triangles, with arcs of circles as some edges."""

from dataclasses import dataclass

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
        """False if an arc leaves its triangle on the other side, as with few edges on a circle."""
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
