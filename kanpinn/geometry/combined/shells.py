"""Rules between a ball and a box around it or in it: cones from a point, cut by the sphere.

A convex body is the union of the cones from a point c of it to its boundary: with a boundary
point q, the outward normal n and x = c + s (q - c), dx = s^(d-1) ds · (q - c)·n dS(q).
"""

import itertools

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.box import Box
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_legendre, tensor_grid
from kanpinn.geometry.solid.ball import Ball
from kanpinn.geometry.solid.spherical import check_size


def shell_rule(outer: Domain, inner: Domain, nodes: int) -> tuple[Points, Weights]:
    """A rule with 2d·nodes^d points on a box without a ball inside it, or the other way round."""
    if isinstance(outer, Box) and isinstance(inner, Ball):
        return _box_around_ball(outer, inner, nodes)
    assert isinstance(outer, Ball) and isinstance(inner, Box)
    return _ball_around_box(outer, inner, nodes)


def _box_around_ball(box: Box, ball: Ball, nodes: int) -> tuple[Points, Weights]:
    center = torch.tensor(ball.center, dtype=torch.float64)
    rays, weights = _cone_rule(box, center, nodes)
    first = ball.radius / rays.norm(dim=1)
    return along_rays(center, rays, weights, (first, torch.ones_like(first)), box.names, nodes)


def _ball_around_box(ball: Ball, box: Box, nodes: int) -> tuple[Points, Weights]:
    low, high = box.bounds
    center = (low + high) / 2
    rays, weights = _cone_rule(box, center, nodes)
    # The root s > 0 of |c + s·ray - centre| = radius.
    offset = center - torch.tensor(ball.center, dtype=torch.float64)
    square, half = (rays**2).sum(dim=1), rays @ offset
    last = ((half**2 + square * (ball.radius**2 - offset @ offset)).sqrt() - half) / square
    return along_rays(center, rays, weights, (torch.ones_like(last), last), box.names, nodes)


def _cone_rule(box: Box, center: Tensor, nodes: int) -> tuple[Coords, Weights]:
    """Rays (n, d) from a point inside a box to its boundary and weights (n,) of the cones.

    On a face at the distance h the coordinates are h·sinh v with v the Gauss variable: what
    depends on a ray's length is as smooth in v near a face as far from it.
    """
    check_size(nodes, 2 * box.dim * nodes**box.dim)
    share, along = gauss_legendre(nodes)
    ends = [(corner - center).tolist() for corner in box.bounds]
    rays, weights = [], []
    for axis, (upper, corner) in itertools.product(range(box.dim), enumerate(ends)):
        height = abs(corner[axis])
        spans, factors = [], []
        for low, high in itertools.compress(
            zip(*ends, strict=True), [i != axis for i in range(box.dim)]
        ):
            v_low, v_high = torch.asinh(torch.tensor([low, high], dtype=torch.float64) / height)
            v = v_low + (v_high - v_low) * share
            spans.append(height * v.sinh())
            factors.append((v_high - v_low) * along * height * v.cosh())
        grid = tensor_grid(spans)
        column = grid.new_full((len(grid), 1), height if upper else -height)
        rays.append(torch.cat([grid[:, :axis], column, grid[:, axis:]], dim=1))
        weights.append(height * tensor_grid(factors).prod(dim=1))
    return torch.cat(rays), torch.cat(weights)


def along_rays(
    center: Tensor,
    rays: Tensor,
    weights: Tensor,
    ends: tuple[Tensor, Tensor],
    names: tuple[str, ...],
    nodes: int,
) -> tuple[Points, Weights]:
    """Gauss points between two shares, (m,) each, of the rays (m, d) with weights (m,)."""
    share, along = gauss_legendre(nodes)
    first, last = (end[:, None] for end in ends)
    s = first + (last - first) * share
    coords = center + s[:, :, None] * rays[:, None, :]
    volumes = (weights[:, None] * s ** (len(center) - 1) * (last - first) * along).reshape(-1)
    # By rounding a ray that just touches a sphere may end before it starts.
    kept = volumes > 0
    return Points(coords.reshape(-1, len(center))[kept], names), volumes[kept]
