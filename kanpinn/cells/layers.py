"""Boundary layers that a convection leaves at the walls it flows to: cells for a first solve."""

import torch
from torch import Tensor

from kanpinn.cells.cell_system import CellSystem
from kanpinn.cells.cell_terms import SampledTerm
from kanpinn.jets import Channels


def cells_in_layers(system: CellSystem) -> Tensor:
    """The cells at walls in which a boundary layer is too steep for their polynomials, a mask (N,).

    Where -ε u_nn + b u_n + … = f has b > 0 along the outward normal n of a wall with a condition,
    the solution has a layer like e^(-b d/ε) at the distance d. Least squares on cells that do not
    resolve it have errors everywhere, which do not tell where to halve cells. Polynomials of degree
    k resolve it well in cells of the width k ε / 4 b.

    Args:
        system: the least-squares problem on the present cells.
    """
    found = torch.zeros(len(system.geometry.tree), dtype=torch.bool)
    with_conditions = {cell for term in system.walls for cell in term.places}
    for axis, upper, cells in system.geometry.tree.ends:
        here = torch.tensor([cell in with_conditions for cell in cells.tolist()])
        for cell in cells[here].tolist() if len(cells) else []:
            term = next(one for one in system.equation if cell in one.places)
            rate = _rate(term, cell, axis, upper)
            width = float(system.geometry.widths[cell, axis])
            found[cell] |= rate * width > system.polynomials.degree / 4
    return found


def _rate(term: SampledTerm, cell: int, axis: int, upper: bool) -> float:
    """The largest b/ε of the fields in a cell, towards the end of a coordinate."""
    parts = _parts(term.term.channels, axis)
    if parts is None:
        return 0.0
    first, second = (term.slopes[term.places[cell]][:, :, part] for part in parts)  # (q, e, m)
    tiny = 1e-14 * float(term.slopes[term.places[cell]].abs().max())
    ratio = torch.where(second.abs() > tiny, -first / second, torch.zeros_like(first))
    return float((ratio if upper else -ratio).max())


def _parts(channels: Channels, axis: int) -> tuple[int, int] | None:
    """The numbers of the first and second derivative by a coordinate in a stacked jet."""
    offsets = {"laplacian": 0, "diagonal": axis, "hessian": axis * (channels.dim + 1)}
    if channels.second not in offsets:
        return None
    return 1 + axis, 1 + channels.dim + offsets[channels.second]
