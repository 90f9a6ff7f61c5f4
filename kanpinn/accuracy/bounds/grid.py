"""A grid of equal cells over the bounding box of a domain, with bounds of A in each."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kanpinn.accuracy.bounds.operator import Operator, diagonal_bounds
from kanpinn.geometry import Points
from kanpinn.geometry.rules import gauss_product

CHUNK = 4096  # points in one evaluation, which bounds the memory


@dataclass(frozen=True, eq=False)
class Grid:
    """Equal cells over the bounding box of a domain of d ≤ 3 dimensions, n on each axis.

    Args:
        low: the lower corner of the box, (d,).
        h: the sides of a cell, (d,).
        shape: (n, …).
        points: the points of a Gauss rule in every cell that lie in the domain, (k, d).
        within: which points of the rule do, (cells, rule).
        weights: those of the rule, (rule,), with the sum 1.
        touched: the cells that may meet the domain, of `shape`.
        least, most: for each axis numbers a_i with diag(least) ≤ A ≤ diag(most) in the cell, of
            `shape`; infinite and 0 in cells that are not touched.
    """

    low: Tensor
    h: Tensor
    shape: tuple[int, ...]
    points: Points
    within: Tensor
    weights: Tensor
    touched: Tensor
    least: tuple[Tensor, ...]
    most: tuple[Tensor, ...]

    @property
    def volume(self) -> float:
        """The measure of a cell."""
        return float(self.h.prod())

    def integral(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the integrals of k functions, (points, k), and their estimated errors, (k,) each.

        The error is the difference from the integral by the white cells of a chequerboard, twice.
        """
        parts = torch.stack([self.table(one) @ self.weights for one in values.unbind(dim=1)])
        colours = torch.stack(torch.meshgrid(*map(torch.arange, self.shape), indexing="ij"))
        colours = colours.sum(dim=0).flatten() % 2
        whole, white = parts.sum(dim=1), 2 * parts[:, colours == 0].sum(dim=1)
        return self.volume * whole, self.volume * (white - whole).abs()

    def at_points(self, cells: tuple[Tensor, ...]) -> Tensor:
        """Return d values of the cells, each of `shape`, at the points in them, (k, d)."""
        each = torch.stack([one.flatten() for one in cells], dim=1)
        return each[:, None].expand(-1, len(self.weights), -1)[self.within]

    def table(self, values: Tensor) -> Tensor:
        """Enter values (k,) at the points, and 0 outside the domain: (cells, rule)."""
        found = torch.zeros(self.within.shape, dtype=torch.float64)
        found[self.within] = values
        return found


def grid_over(operator: Operator) -> Grid | None:
    """Return the grid over a problem's domain; None above three dimensions."""
    domain = operator.problem.domain
    d, (low, high) = domain.dim, domain.bounds
    if d > 3:
        return None
    count, nodes = {1: (512, 8), 2: (64, 2), 3: (16, 2)}[d]
    shape, h = (count,) * d, (high - low) / count
    unit, weights = gauss_product(nodes, d)
    index = torch.cartesian_prod(*[torch.arange(count)] * d).reshape(-1, d)
    coords = low + (index[:, None] + unit) * h
    within = domain.contains(coords.flatten(0, 1)).view(coords.shape[:2])
    touched = _most_nearby(within.any(dim=1).double().view(shape)) > 0
    low_a, high_a = _diffusion(operator, coords, within)
    least = [-_most_nearby(-a.view(shape)) for a in low_a.unbind(dim=1)]
    most = [_most_nearby(a.view(shape)) for a in high_a.unbind(dim=1)]
    return Grid(
        low,
        h,
        shape,
        Points(coords[within], domain.names),
        within,
        weights,
        touched,
        tuple(torch.where(touched, a, math.inf) for a in least),
        tuple(torch.where(touched, a, 0.0) for a in most),
    )


def _diffusion(operator: Operator, coords: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
    """Return a and b with diag(a) ≤ A ≤ diag(b) at one point in each cell, (cells, d) each."""
    cells, _, d = coords.shape
    names, seen = operator.problem.domain.names, within.any(dim=1)
    chosen = coords[seen, within[seen].double().argmax(dim=1)]
    if operator.constant is not None:
        chosen = chosen[:1]
    starts = range(0, len(chosen), CHUNK)
    found = [-operator.at(Points(chosen[i : i + CHUNK], names)).second for i in starts]
    low, high = diagonal_bounds(torch.cat(found))
    if operator.constant is not None:
        return low.expand(cells, -1), high.expand(cells, -1)
    least = torch.full((cells, d), math.inf, dtype=torch.float64)
    most = torch.zeros((cells, d), dtype=torch.float64)
    least[seen], most[seen] = low, high
    return least, most


def _most_nearby(values: Tensor) -> Tensor:
    """Return the largest value among each cell and its neighbours."""
    pools = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
    return pools[values.ndim](values[None, None], 3, stride=1, padding=1)[0, 0]
