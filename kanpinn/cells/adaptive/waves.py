"""Waves that are short compared with the cells of the first solve."""

import torch
from torch import Tensor

from kanpinn.cells.system.cell_fields import CellField
from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.jets import Channels, coefficients_along


def waves_along(slopes: Tensor, channels: Channels, axis: int) -> Tensor:
    """The wave numbers √(c₀/c₂) of the solutions along one coordinate, (...).

    c₂ is the coefficient of the second derivative by the coordinate. The result is the largest of
    all equations and fields, and zero where the signs of both coefficients differ.

    Args:
        slopes: the coefficients of the parts of a stacked jet, (..., equations, parts, m).
        channels: the derivatives that the jet carries.
        axis: the coordinate.
    """
    second = coefficients_along(slopes, channels, axis, 2)
    ratios = torch.where(slopes[..., 0, :] * second > 0, slopes[..., 0, :] / second, 0)
    return ratios.sqrt().amax(dim=(-2, -1))


def cells_with_waves(system: CellSystem) -> Tensor:
    """The coordinates along which a cell's polynomials do not resolve waves, a mask (N, d).

    Where c₂ and c₀ in c₂ Δu + c₀ u = f have the same sign, solutions are waves with the phase
    √(c₀/c₂) h over a cell of the width h. If the degree does not exceed this phase by 10
    (measured), least-squares solutions are wrong everywhere. For nonlinear equations no cell is
    chosen: their coefficients depend on the solution, which is not known yet.

    Args:
        system: the least-squares problem on the present cells.
    """
    beyond, least, tree = 10, 2.0, system.geometry.tree
    most = max(least, system.polynomials.degree - beyond)
    found = torch.zeros(system.geometry.widths.shape, dtype=torch.bool)
    for term in system.equation:
        if term.term.channels.derivative_order != 2:
            return found
        for axis, widths in enumerate(system.geometry.widths[term.at.cells].T):
            phases = waves_along(term.slopes, term.term.channels, axis).mean(dim=1) * widths
            found[term.at.cells, axis] |= phases > most
    size, fields = system.polynomials.size, len(system.coupling.orders)
    if bool(found.any()) and not system.is_linear(
        CellField(torch.ones(len(tree), size, fields).double())
    ):
        return torch.zeros_like(found)
    return found
