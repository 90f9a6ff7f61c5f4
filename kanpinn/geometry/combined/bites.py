"""A box and a ball that is centred in it but sticks out: what they share, and what is left.

Only the box B' around the ball counts, cut to the box; the rest of the box consists of boxes. Rays
from the ball's centre leave B' through its faces, inside the ball or out of it: on each face that
is a disk and the rest of a rectangle, for both of which there are planar Gauss rules. Where a ray
leaves at q, the sphere is at R / |q| of the way (lengths from the centre).
"""

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.box import Box
from kanpinn.geometry.combined.box_cells import as_box, chosen, grid_cells, joined_rule, merged
from kanpinn.geometry.combined.overlaps import common_bounds
from kanpinn.geometry.combined.shells import along_rays
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.combine2d import combine2d
from kanpinn.geometry.planar.ovals import Disk
from kanpinn.geometry.points import Points
from kanpinn.geometry.solid.ball import Ball

ENOUGH = 32  # nodes by which the rules have converged
FLAT = 1e-12  # of the radius: a disk that is smaller is none


def bitten(a: Domain, b: Domain) -> tuple[Box, Ball] | None:
    """The two in order where they are a box in space and a ball centred in it."""
    box, ball = (a, b) if isinstance(a, Box) else (b, a)
    if not isinstance(box, Box) or not isinstance(ball, Ball) or ball.dim != 3:
        return None
    center, (low, high) = torch.tensor(ball.center, dtype=torch.float64), box.bounds
    return (box, ball) if ((low <= center) & (center <= high)).all() else None


def common_rule(box: Box, ball: Ball, nodes: int) -> tuple[Points, Weights]:
    """A rule on the intersection."""
    parts = []
    for disk, rays, weights in _cones(box, ball, nodes):
        last = torch.ones_like(weights) if disk else ball.radius / rays.norm(dim=1)
        parts.append((rays, weights, torch.zeros_like(last), last))
    return _between(ball, parts, nodes)


def rest_rule(box: Box, ball: Ball, nodes: int) -> tuple[Points, Weights]:
    """A rule on the box without the ball."""
    parts = []
    for disk, rays, weights in _cones(box, ball, nodes):
        if not disk:
            parts.append((rays, weights, ball.radius / rays.norm(dim=1), torch.ones_like(weights)))
    points, weights = _between(ball, parts, nodes)
    if not (others := _far_boxes(box, ball)):
        return points, weights
    more, volumes = joined_rule(others, nodes)
    return Points.cat([points, more]), torch.cat([weights, volumes])


def common_volume(box: Box, ball: Ball) -> float:
    """The measure of the intersection, to rounding."""
    return common_rule(box, ball, ENOUGH)[1].sum().item()


def sphere_part(box: Box, ball: Ball, nodes: int) -> tuple[Points, Weights]:
    """A rule on the part of the sphere in the box, with the ball's normals."""
    directions, areas = [], []
    for disk, rays, weights in _cones(box, ball, nodes):
        if not disk:
            length = rays.norm(dim=1, keepdim=True)
            directions.append(rays / length)
            # An area seen from the centre under the solid angle weight / length³.
            areas.append(ball.radius**2 * weights / length[:, 0] ** 3)
    normals = torch.cat(directions)
    coords = torch.tensor(ball.center, dtype=torch.float64) + ball.radius * normals
    return Points(coords, ball.names, normals), torch.cat(areas)


def face_part(
    box: Box, ball: Ball, axis: int, upper: bool, inside: bool, nodes: int
) -> tuple[Points, Weights]:
    """A rule on the part of a box's face inside the ball, or outside; of no points if none is."""
    end = box.bounds[int(upper)][axis].item() - ball.center[axis]
    region = dict(_regions(box, ball, axis, abs(end))).get(inside)
    flat, weights = torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    if region is not None:
        points, weights = region.quadrature(nodes)
        flat = points.coords
    rays = _lift(flat, axis, end)
    normals = torch.zeros_like(rays)
    normals[:, axis] = 1 if upper else -1
    center = torch.tensor(ball.center, dtype=torch.float64)
    return Points(center + rays, box.names, normals), weights


def _near_box(box: Box, ball: Ball) -> Box:
    low, high = common_bounds(box, ball)
    return as_box(list(zip(low.tolist(), high.tolist(), strict=True)), box.names)


def _far_boxes(box: Box, ball: Ball) -> list[Box]:
    """Boxes that make up what is left without the box around the ball; none where nothing is."""
    near = _near_box(box, ball)
    cells = grid_cells([box, near]) or []
    outer = chosen(cells, lambda coords: ~near.contains(coords))
    return [as_box(cell, box.names) for cell in merged(outer)]


def _between(
    ball: Ball, parts: list[tuple[Tensor, Tensor, Tensor, Tensor]], nodes: int
) -> tuple[Points, Weights]:
    """A rule between the first and the last share of the rays of each part."""
    center = torch.tensor(ball.center, dtype=torch.float64)
    rays, weights, first, last = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return along_rays(center, rays, weights, (first, last), ball.names, nodes)


def _lift(flat: Coords, axis: int, end: float) -> Tensor:
    """Points (n, 2) of a face in space, (n, 3)."""
    column = flat.new_full((len(flat), 1), end)
    return torch.cat([flat[:, :axis], column, flat[:, axis:]], dim=1)


def _cones(box: Box, ball: Ball, nodes: int) -> Iterator[tuple[bool, Tensor, Tensor]]:
    """Whether in the ball, rays (n, 3) to a part of a face of B' and weights (n,) of the cones."""
    near = _near_box(box, ball)
    for axis in range(3):
        for corner in near.bounds:
            end = corner[axis].item() - ball.center[axis]
            if end == 0:
                continue  # seen from the side
            for disk, region in _regions(near, ball, axis, abs(end)):
                points, areas = region.quadrature(nodes)
                yield disk, _lift(points.coords, axis, end), abs(end) * areas


@lru_cache(maxsize=128)
def _regions(box: Box, ball: Ball, axis: int, height: float) -> tuple[tuple[bool, Domain], ...]:
    """The parts (True, disk) in the ball and (False, rest) of a face, seen from the centre."""
    sides = [i for i in range(3) if i != axis]
    (low, high), center = box.bounds, ball.center
    u, v = ((low[i].item() - center[i], high[i].item() - center[i]) for i in sides)
    face = Box(u=u, v=v)
    square = ball.radius**2 - height**2
    if square <= (FLAT * ball.radius) ** 2:
        return ((False, face),)
    disk = Disk((0, 0), square**0.5, names=face.names)
    inside = combine2d("intersection", face, disk)
    try:
        return (True, inside), (False, combine2d("difference", face, disk))
    except InputError:
        return ((True, inside),)  # the disk covers the face
