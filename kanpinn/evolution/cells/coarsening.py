"""Larger cells where a solution has become smooth: families of cells give way to their parents."""

from dataclasses import replace

import torch
from torch import Tensor

from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.tree import Tree
from kanpinn.evolution.cells.cell_state import CellState


def coarsened(state: CellState, allowed: float, least: int) -> CellState:
    """Nearly the same functions in fewer cells; the same state if too few can be saved.

    A family is the 2^d cells that a box has been halved into. It gives way to the box if a
    polynomial there, of a degree lower by 2, is the solution up to a small error. So the solution
    may still move or steepen a little before the box has to be halved again, and the error is much
    smaller than `allowed`. Cells that a boundary cuts stay.

    Args:
        state: the functions and their cells.
        allowed: the L2 norm of the error that such a lower degree may cause.
        least: the fewest cells that are worth a change.

    Reference: Berger and Colella, Local adaptive mesh refinement for shock hydrodynamics (1989).
    """
    polynomials, tree, fewer = state.polynomials, state.geometry.tree, 2
    family = leaves_of_boxes(tree, state.geometry.whole_cells)
    parts = on_parts(polynomials)
    own = state.functions[:, family]  # (n, f, 2^d, L, p m)
    larger = torch.einsum("plk,nfplm->nfkm", parts, own) / len(parts)
    simple = larger[0].clone()
    simple[:, polynomials.count(polynomials.degree - fewer) :] = 0
    missed = own[0] - torch.einsum("plk,fkm->fplm", parts, simple)
    volumes = (state.geometry.extents[family] / 2).prod(dim=2)
    counted = missed[..., list(state.problem.counted)].square().sum(dim=(2, 3))
    squares, order = (counted * volumes).sum(dim=1).sort()
    chosen = order[squares.cumsum(0) <= allowed**2]
    if len(chosen) * (len(parts) - 1) < max(1, least):
        return state
    larger_tree, kept = with_boxes(tree, family[chosen])
    functions = torch.cat([state.functions[:, kept], larger[:, chosen]], dim=1)
    return replace(state, geometry=state.problem.cells(larger_tree), functions=functions)


def leaves_of_boxes(tree: Tree, whole: Tensor) -> Tensor:
    """The leaves that together fill a box which was halved in all coordinates, (f, 2^d).

    whole: the leaves that may be in a family, a mask (N,).
    """
    many = 2**tree.dim
    own = (whole & (tree.level > 0).all(dim=1)).nonzero()[:, 0]
    corner = (tree.place[own] % 2) @ 2 ** torch.arange(tree.dim - 1, -1, -1)
    names = torch.cat([tree.level[own], tree.place[own] >> 1, tree.region[own, None]], dim=1)
    boxes, box = names.unique(dim=0, return_inverse=True)
    found = torch.full((len(boxes), many), -1)
    found[box, corner] = own
    return found[(found >= 0).all(dim=1)]


def on_parts(polynomials: LocalPolynomials) -> Tensor:
    """The coefficients of the polynomials of a box in each of its 2^d parts, (2^d, L, L)."""
    dim = polynomials.dim
    low = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0]).double()] * dim).view(-1, dim)
    unit = torch.eye(polynomials.size, dtype=torch.float64).expand(len(low), -1, -1)
    return polynomials.restricted(low, torch.ones_like(low), unit)


def with_boxes(tree: Tree, family: Tensor) -> tuple[Tree, Tensor]:
    """The tree in which families give way to their boxes, and the leaves that are kept.

    The leaves that are kept come first, then the boxes in the order of the families.

    family: the leaves of each, (f, 2^d).
    """
    gone = torch.zeros(len(tree), dtype=torch.bool)
    gone[family.flatten()] = True
    kept, first = (~gone).nonzero()[:, 0], family[:, 0]
    boxes = Tree(
        tree.roots, tree.level[first] - 1, tree.place[first] >> 1, tree.region[first], tree.around
    )
    return Tree.joined([tree.only(~gone), boxes]), kept
