"""Continuous functions that are multilinear in the cells of a grid."""

import itertools
import math
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from kanpinn.accuracy.bounds.grid import Grid


@dataclass(frozen=True, eq=False)
class Multilinear:
    """A continuous function that is multilinear in each cell.

    Args:
        grid: the cells.
        nodes: the values at their corners, (n + 1, …).
    """

    grid: Grid
    nodes: Tensor

    def at(self, coords: Tensor) -> Tensor:
        """The values at points (n, d)."""
        rows, columns, weights = _interpolation(self.grid, coords)
        found = torch.zeros(len(coords), dtype=torch.float64)
        return found.index_add(0, rows, weights * self.nodes.flatten()[columns])

    def norms(self) -> tuple[float, float, float]:
        """‖∇ψ‖, ‖A^½ ∇ψ‖ and ‖ψ‖ over all cells that may meet the domain."""
        grid = self.grid
        corners = torch.stack([self.nodes[place] for place in _corners(grid.shape)], dim=-1)
        slopes = [_energies(corners, m)[grid.touched] for m in _stiffness(grid)]
        weighed = [a[grid.touched] * s for a, s in zip(grid.most, slopes, strict=True)]
        squares = _energies(corners, _mass(grid))[grid.touched]
        sums = (sum(slopes), sum(weighed), squares)
        gradient, flux, value = (math.sqrt(float(torch.as_tensor(one).sum())) for one in sums)
        return gradient, flux, value


def _energies(corners: Tensor, matrix: Tensor) -> Tensor:
    return ((corners @ matrix) * corners).sum(dim=-1)


def _corners(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Return, for each corner of a cell, the slices of the nodes that are this corner of a cell."""
    ends = (slice(None, -1), slice(1, None))
    return [
        tuple(ends[i] for i in corner) for corner in itertools.product((0, 1), repeat=len(shape))
    ]


def _stiffness(grid: Grid) -> list[Tensor]:
    """Return the element matrices of ∫ (∂_i ψ)² for each axis, (2^d, 2^d)."""
    found = []
    for axis in range(len(grid.shape)):
        sides = [_side_matrices(float(h)) for h in grid.h]
        found.append(_product([s if i == axis else m for i, (s, m) in enumerate(sides)]))
    return found


def _mass(grid: Grid) -> Tensor:
    return _product([_side_matrices(float(h))[1] for h in grid.h])


def _side_matrices(h: float) -> tuple[Tensor, Tensor]:
    """Return the element matrices of ∫ ψ'² and ∫ ψ² on an interval, (2, 2)."""
    stiffness = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64) / h
    mass = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64) * h / 6
    return stiffness, mass


def _product(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = torch.kron(total, part)
    return total


def _interpolation(grid: Grid, coords: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows, columns and values of the matrix from nodes to the values at points."""
    d, counts = len(grid.shape), torch.tensor(grid.shape)
    scaled = (coords - grid.low) / grid.h
    cells = scaled.floor().long().clamp_min(0).minimum(counts - 1)
    part = scaled - cells
    strides = torch.tensor([math.prod(n + 1 for n in grid.shape[i + 1 :]) for i in range(d)])
    rows, columns, weights = [], [], []
    for corner in itertools.product((0, 1), repeat=d):
        upper = torch.tensor(corner)
        rows.append(torch.arange(len(coords)))
        columns.append((cells + upper) @ strides)
        weights.append(torch.where(upper.bool(), part, 1 - part).prod(dim=1))
    return torch.cat(rows), torch.cat(columns), torch.cat(weights)


def harmonic(grid: Grid, coords: Tensor, values: Tensor) -> Multilinear:
    """Return a multilinear function of little energy with nearly given values on the boundary.

    It minimises ∫ A∇ψ·∇ψ over the cells that may meet the domain plus large multiples of the
    squared misfits at the points.

    Args:
        grid: the cells.
        coords: n points of the boundary, (n, d).
        values: the values there, (n,).
    """
    from scipy.sparse import coo_array  # the imports take a tenth of a second
    from scipy.sparse.linalg import spsolve

    nodes = tuple(n + 1 for n in grid.shape)
    index = torch.arange(math.prod(nodes)).view(nodes)
    corners = torch.stack([index[place] for place in _corners(grid.shape)], dim=-1).flatten(0, -2)
    outside = 1e-6 * float(torch.stack(grid.most).max())  # the weight of cells outside the domain
    weighed = [
        a.clamp_min(outside).flatten()[:, None, None] * matrix
        for a, matrix in zip(grid.most, _stiffness(grid), strict=True)
    ]
    entries, count = torch.stack(weighed).sum(dim=0), corners.shape[1]
    rows = corners[:, :, None].expand(-1, -1, count).flatten().numpy()
    columns = corners[:, None, :].expand(-1, count, -1).flatten().numpy()
    size = index.numel()
    energy = coo_array((entries.flatten().numpy(), (rows, columns)), (size, size)).tocsr()
    at, where, shares = (part.numpy() for part in _interpolation(grid, coords))
    sampling = coo_array((shares, (at, where)), (len(coords), size)).tocsr()
    stiff = 1e3 * float(entries.max())  # the misfits that this leaves are far below the others
    scale = float(values.abs().max())
    right = stiff * (sampling.T @ (values / scale).numpy())
    found = spsolve((energy + stiff * (sampling.T @ sampling)).tocsc(), right)
    return Multilinear(grid, scale * torch.from_numpy(numpy.asarray(found)).view(nodes))
