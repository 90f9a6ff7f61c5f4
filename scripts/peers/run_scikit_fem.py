"""scikit-fem: P2 and P4 triangles on refined grids of squares, each solve timed from nothing.

A time is that of mesh, assembly and direct solution. Every point of a row is a solve of its own.
"""

import numpy as np
from peers.measuring import Timeline, options, source
from skfem import (
    Basis,
    BilinearForm,
    ElementTriP2,
    ElementTriP4,
    LinearForm,
    MeshTri,
    condense,
    solve,
)
from skfem.helpers import dot, grad

SERIES = {
    "P2": (ElementTriP2, (4, 8, 16, 32, 64, 128, 256)),
    "P4": (ElementTriP4, (4, 8, 16, 32, 64, 128, 160)),
}
"""Elements and grids (squares a side): the finest have some 3e5 unknowns and factorize in 4 GiB."""

GROWTH = 5
"""A halved mesh takes some five times as long (four times the unknowns)."""


@BilinearForm
def stiffness(u, v, _):
    return dot(grad(u), grad(v))


@LinearForm
def load(v, w):
    return -source(*w.x) * v


def solve_poisson(element, squares: int) -> tuple[Basis, np.ndarray]:
    """Return the finite element solution on squares^2 squares, each cut into two triangles."""
    line = np.linspace(-1, 1, squares + 1)
    basis = Basis(MeshTri.init_tensor(line, line), element)
    matrix, right = stiffness.assemble(basis), load.assemble(basis)
    return basis, solve(*condense(matrix, right, D=basis.get_dofs()))


def cells_at(basis: Basis, squares: int, coords: np.ndarray) -> np.ndarray:
    """Return the triangle that contains each point, found by its square.

    The package's own search needs 30 GiB.
    """

    def square_at(points: np.ndarray) -> np.ndarray:
        column, row = np.clip(((points + 1) / 2 * squares).astype(int), 0, squares - 1)
        return column * squares + row

    centres = basis.mesh.p[:, basis.mesh.t].mean(axis=1)
    pairs = np.argsort(square_at(centres), kind="stable").reshape(-1, 2)
    first, second = pairs[square_at(coords.T)].T
    local = basis.mapping.invF(coords.T[:, :, None], tind=first)[..., 0]
    inside = (local.min(axis=0) >= 0) & (local.sum(axis=0) <= 1)
    return np.where(inside, first, second)


def fem_field(basis: Basis, solution: np.ndarray, squares: int):
    """Return the solution and its gradient at any points, by the shape functions of their cells."""

    def field(coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cells = cells_at(basis, squares, coords)
        local = basis.mapping.invF(coords.T[:, :, None], tind=cells)
        values, gradient = np.zeros(len(coords)), np.zeros_like(coords)
        for number, dofs in enumerate(basis.element_dofs[:, cells]):
            shape = basis.elem.gbasis(basis.mapping, local, number, tind=cells)[0]
            values += solution[dofs] * shape.value[..., 0].ravel()
            gradient += (solution[dofs] * shape.grad[..., 0]).T
        return values, gradient

    return field


def run(budget: float, row: str) -> None:
    element, series = SERIES[row]
    solve_poisson(element(), 2)  # loads what scipy imports late
    timeline = Timeline(f"scikit-fem {row}", "scikit-fem", budget)
    for squares in series:
        if not timeline.allows_another(GROWTH):
            return
        timeline.restart()
        basis, solution = solve_poisson(element(), squares)
        timeline.parameters = basis.N
        timeline.record(fem_field(basis, solution, squares))


if __name__ == "__main__":
    given = options()
    run(given.budget, given.row)
