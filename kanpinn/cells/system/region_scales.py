"""Scales of the equation in regions whose coefficients differ by orders of magnitude."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.system.cell_terms import SampledTerm


def region_scales(
    walls: Sequence[SampledTerm], interfaces: Sequence[CoupledContacts], region: Tensor
) -> Tensor:
    """The factors of the equation in each region, (R,).

    Let a be the size of a region's coefficient of ∂u/∂n. A residual r of ∇·(a ∇u) changes u in the
    region by about r/a. Its integral leaves as a flux through regions on the way to walls with
    given values, and changes u by r/b, if b is the smallest coefficient on the best of these ways.
    So the factor is 1 / min(a, b). With it solutions for a coefficient of 1e-3 in a disk took a
    third of the cells that they took without; with 1 / a those for 1e4 took four times as many.

    Args:
        walls: the conditions on walls.
        interfaces: the fluxes between regions.
        region: the region of each cell, (N,).
    """
    count = 1 + int(region.max())
    inner, outer = torch.zeros(2, count, dtype=torch.float64)
    pairs = []
    for one in interfaces:
        sides = [int(region[side.cells[0]]) for side in one.contacts.sides]
        pairs.append(sides)
        for side, number in enumerate(sides):
            inner[number] = max(float(inner[number]), float(one.sizes[side, ..., 1:, :].max()))
    for wall in walls:
        if bool((wall.sizes[..., 0, :] > 0).any()):
            outer[region[wall.at.cells]] = torch.inf
    if not bool((inner > 0).all() and (outer > 0).any()):
        return torch.ones(count, dtype=torch.float64)
    for _ in range(count):  # the longest way passes all regions
        for near, far in (*pairs, *((b, a) for a, b in pairs)):
            reached = min(float(outer[near]), float(inner[near]))
            outer[far] = max(float(outer[far]), reached)
    return inner.max() / torch.minimum(inner, outer)
