"""Boundary layers that a convection leaves at the walls it flows to: cells for a first solve."""

import torch
from torch import Tensor

from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.jets import coefficients_along


def cells_in_layers(system: CellSystem) -> Tensor:
    """The coordinates along which a boundary layer is too steep for a cell, a mask (N, d).

    Where -ε u_nn + b u_n + … = f has b > 0 along the outward normal n of a wall with a condition,
    the solution has a layer like e^(-b d/ε) at the distance d. Least squares on cells that do not
    resolve it have errors everywhere, which do not tell where to halve cells. Polynomials of degree
    k resolve it well in cells of the width k ε / (4 b). Only walls on the sides of the domain's
    bounding box that have conditions on values are examined: those on fluxes leave weak layers.

    Args:
        system: the least-squares problem on the present cells.
    """
    geometry, steepest = system.geometry, system.polynomials.degree / 4
    found = torch.zeros(geometry.widths.shape, dtype=torch.bool)
    for axis, upper, cells in geometry.tree.ends:
        rates = torch.zeros(len(geometry.tree), dtype=torch.float64)
        for term in system.equation:
            places = torch.isin(term.at.cells, cells).nonzero()[:, 0]
            rates[term.at.cells[places]] = _rates(term, places, axis, upper)
        steep = rates * geometry.widths[:, axis] > steepest
        found[cells, axis] |= (steep & _with_values(system, axis, upper))[cells]
    return found


def _with_values(system: CellSystem, axis: int, upper: bool) -> Tensor:
    """The cells that have a condition on values at a wall across an axis, a mask (N,)."""
    found = torch.zeros(len(system.geometry.tree), dtype=torch.bool)
    for wall in system.walls:
        normals = wall.at.points.normals
        assert normals is not None
        along = normals[:, axis].view(wall.at.weights.shape).mean(dim=1)
        across = (along if upper else -along) > 0.5
        if not bool(wall.sizes[..., 1:, :].any()):
            found[wall.at.cells[across]] = True
    return found


def _rates(term: SampledTerm, places: Tensor, axis: int, upper: bool) -> Tensor:
    """The largest b/ε of all fields in some cells of a term, towards an end of an axis, (c,).

    places: the numbers of the cells in the term, (c,).
    """
    slopes = term.slopes[places]
    tiny = 1e-14 * slopes.abs().amax(dim=(1, 2, 3, 4))[:, None, None, None]
    first, second = (
        coefficients_along(slopes, term.term.channels, axis, order) for order in (1, 2)
    )
    ratios = torch.where(second.abs() > tiny, -first / second, 0.0)
    return (ratios if upper else -ratios).amax(dim=(1, 2, 3))
