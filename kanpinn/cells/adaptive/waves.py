"""Waves that are short beside the cells that a solve begins with."""

import torch
from torch import Tensor

from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.jets import orders_of_parts


def cells_with_waves(system: CellSystem) -> Tensor:
    """The cells whose polynomials do not resolve the waves in them, a mask (N,).

    Where c₂ Δu + c₀ u = f has coefficients of the same sign, solutions are waves with the phase
    √(c₀/c₂) h over a cell of the width h. Least squares do not resolve them, and have errors
    everywhere, unless the degree is above this phase by 10 (measured). Nonlinear equations are left
    out: whether their solutions are waves depends on these.

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
