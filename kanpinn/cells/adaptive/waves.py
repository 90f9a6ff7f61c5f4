"""Waves that are short compared with the cells of the first solve."""

import torch
from torch import Tensor

from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.jets import orders_of_parts


def cells_with_waves(system: CellSystem) -> Tensor:
    """The cells whose polynomials do not resolve the waves of the solution, a mask (N,).

    Where c₂ Δu + c₀ u = f has coefficients of the same sign, solutions are waves with the phase
    √(c₀/c₂) h over a cell of the width h. If the degree does not exceed this phase by 10
    (measured), least-squares solutions are wrong everywhere. For nonlinear equations no cell is
    chosen: their coefficients depend on the solution, which is not known yet.

    Args:
        system: the least-squares problem on the present cells.
    """
    beyond, least, tree = 10, 2.0, system.geometry.tree
    most = max(least, system.polynomials.degree - beyond)
    found = torch.zeros(len(tree), dtype=torch.bool)
    for term in system.equation:
        cells, orders = term.at.cells, orders_of_parts(term.term.channels)
        if int(orders.max()) != 2:
            return found
        values, highest = term.slopes[..., 0, :], term.slopes[..., orders == 2, :].sum(dim=3)
        squares = torch.where(values * highest > 0, values / highest, 0)
        phases = squares.sqrt().mean(dim=1).amax(dim=(1, 2)) * system.geometry.widths.amax(1)[cells]
        found[cells] = phases > most
    size, fields = system.polynomials.size, len(system.coupling.orders)
    if bool(found.any()) and not system.is_linear(torch.ones(len(tree), size, fields).double()):
        return torch.zeros_like(found)
    return found
