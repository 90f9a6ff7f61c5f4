"""The same function in smaller cells."""

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
    corner, width = (low - outer_low) * scale - 1, (high - low) * scale
    return polynomials.restricted(corner, width, coefficients[parents])


def all_prolonged(
    polynomials: LocalPolynomials, coarse: CellGeometry, functions: Tensor, fine: CellGeometry
) -> Tensor:
    """The same functions in smaller cells, (n, N, L, m).

    Args:
        polynomials: the functions of a cell.
        coarse, fine: the cells, and the smaller ones.
        functions: the coefficients of n functions, (n, N, L, m).
    """
    if fine is coarse:
        return functions
    together = functions.movedim(0, 2).flatten(2)
    found = prolonged(polynomials, coarse.tree, coarse.frames, together, fine)
    return found.unflatten(2, (len(functions), -1)).movedim(2, 0)
