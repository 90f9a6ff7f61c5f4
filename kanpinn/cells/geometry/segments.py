"""Segments in space, and boxes: their distances, and which of them meet."""

import torch
from torch import Tensor


def corners_of(boxes: Tensor) -> Tensor:
    """All corners of boxes, (N, 8, 3), from their lower and upper ones, (N, 2, 3)."""
    picked = torch.cartesian_prod(*[torch.arange(2)] * 3)
    return torch.stack([boxes[:, picked[:, axis], axis] for axis in range(3)], dim=2)


def farthest(corners: Tensor, segments: Tensor, size: float) -> Tensor:
    """The distance of each cell's farthest corner from the nearest of some segments, (N,).

    Args:
        corners: of the cells, (N, 8, 3).
        segments: the two ends of each, (s, 2, 3), which are equal for a point.
        size: the unit of the returned distances, which are at most 1.
    """
    found = torch.full((len(corners),), size, dtype=torch.float64)
    for segment in segments:
        found = found.minimum(_distances(corners, segment).amax(dim=1))
    return found / size


def _distances(points: Tensor, segment: Tensor) -> Tensor:
    """The distances of points from a segment, (N, q); points: (N, q, 3); segment: (2, 3)."""
    start, along = segment[0], segment[1] - segment[0]
    share = ((points - start) @ along / along.square().sum().clamp_min(1e-300)).clamp(0, 1)
    return (points - start - share[..., None] * along).norm(dim=2)


def meets(boxes: Tensor, segment: Tensor) -> Tensor:
    """Which boxes a segment goes through or touches, a mask (N,); boxes: (N, 2, 3)."""
    start, along = segment[0], segment[1] - segment[0]
    room = 1e-6 * (boxes[:, 1] - boxes[:, 0])
    low, high = boxes[:, 0] - room - start, boxes[:, 1] + room - start
    flat = along.abs() < 1e-12 * along.norm()
    steps = torch.where(flat, 1.0, along)
    one, other = low / steps, high / steps
    first = torch.where(flat, -torch.inf, one.minimum(other)).amax(dim=1).clamp_min(0)
    last = torch.where(flat, torch.inf, one.maximum(other)).amin(dim=1).clamp_max(1)
    return (first <= last) & (~flat | ((low <= 0) & (high >= 0))).all(dim=1)
