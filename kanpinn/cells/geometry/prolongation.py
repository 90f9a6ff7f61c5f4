"""The same function in smaller cells."""

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.tree import Tree


def prolonged(
    polynomials: LocalPolynomials,
    tree: Tree,
    frames: Tensor,
    coefficients: Tensor,
    geometry: CellGeometry,
) -> Tensor:
    """The coefficients in smaller cells, (N, L, m), of the same function.

    Args:
        polynomials: the functions of a cell.
        tree, frames: the larger cells, and the corners of their frames, (n, 2, d).
        coefficients: of the function in the larger cells, (n, L, m).
        geometry: the smaller cells.
    """
    low, high = geometry.frames.unbind(1)
    parents = tree.locate((low + high) / 2, geometry.tree.region)
    outer_low, outer_high = frames[parents].unbind(1)
    scale = 2 / (outer_high - outer_low)
    parts = torch.stack([(low - outer_low) * scale - 1, (high - low) * scale], dim=1)
    digits = 12
    kinds, kind = parts.round(decimals=digits).unique(dim=0, return_inverse=True)
    found = coefficients[parents]
    for place, (corner, width) in enumerate(kinds):
        own = (kind == place).nonzero()[:, 0]
        matrix = polynomials.restricted(corner, width)
        found[own] = torch.einsum("kl,nlm->nkm", matrix, found[own])
    return found
