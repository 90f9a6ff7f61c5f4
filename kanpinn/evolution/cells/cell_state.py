"""The state of an evolution in cells at a moment, and its cells."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.adaptive.halving import bulk, part_to_halve
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.prolongation import all_prolonged
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.system.cell_fields import CellField
from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.evolution.cells.in_space import points_at_time
from kanpinn.evolution.terms.evolution_terms import initial_values
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class CellState:
    """Functions on cells: the solution at a moment and others that move to new cells with it.

    Args:
        problem: the evolution in space.
        geometry: the cells.
        polynomials: the functions of each.
        functions: the coefficients of the solution and then of the others, (n, N, L, p m).
        order: p, that of the evolution in time.
    """

    problem: CellProblem
    geometry: CellGeometry
    polynomials: LocalPolynomials
    functions: Tensor
    order: int

    @property
    def value(self) -> Tensor:
        """The solution, (N, L, p m)."""
        return self.functions[0]

    @property
    def fields(self) -> int:
        """The number of fields m."""
        return self.functions.shape[-1] // self.order

    @property
    def motion(self) -> Tensor:
        """The solution with a derivative of order p that is zero, (N, L, (p + 1) m)."""
        return torch.nn.functional.pad(self.value, (0, self.fields))

    @cached_property
    def places(self) -> CellSystem:
        """The evolution in the cells at its first moment, about `motion`."""
        return self.problem.on(self.geometry, self.polynomials, self.motion, integrated=False)

    def norm(self, function: Tensor) -> float:
        """The L2 norm of the counted fields of a function over the domain; (N, L, p m)."""
        return self.places.norms.total(CellField(function))

    def too_large(self, errors: Tensor, allowed: float) -> Tensor:
        """The cells with the largest errors of all that can be halved, in all coordinates, (N, d).

        Args:
            errors: of each cell, (N,).
            allowed: the error of all cells together that is permitted.
        """
        most = 0.99  # of the squared error
        part = part_to_halve(allowed, float(errors.norm()), most)
        cells = bulk(errors * self.problem.divisible(self.geometry), part)
        return self.geometry.tree.everywhere(cells)

    def refined(self, chosen: Tensor) -> "CellState":
        """The same functions after some cells are halved; chosen: a mask (N, d)."""
        return self.moved(self.problem.refined(self.geometry, chosen))

    def moved(self, geometry: CellGeometry) -> "CellState":
        """The same functions in smaller cells."""
        functions = all_prolonged(self.polynomials, self.geometry, self.functions, geometry)
        return replace(self, geometry=geometry, functions=functions)


def initial_state(
    state: CellState, terms: Sequence[ResidualTerm], time: float, names: Sequence[str]
) -> tuple[CellState, Tensor]:
    """The initial values in the cells of a state, and the L2 norms of their errors, (N,).

    Args:
        state: gives the cells. All of its functions except the solution become zero.
        terms: the conditions at the first moment.
        time: the first moment.
        names: of all coordinates.
    """
    polynomials, like, counted = state.polynomials, state.value, list(state.problem.counted)
    fields, order = state.fields, state.order
    richer = LocalPolynomials(polynomials.degree + 2, polynomials.dim)
    found, squares = torch.zeros_like(like), like.new_zeros(len(like))
    for at in state.problem.inside(state.geometry, richer):  # points that do not fit by chance
        points = points_at_time(at.points, time, names)
        wanted = torch.cat([*initial_values(terms, points, fields)[:order]], dim=1)
        wanted = wanted.unflatten(0, at.weights.shape)
        for place, cell in enumerate(at.cells.tolist()):
            roots = at.weights[place].sqrt()[:, None]
            matrix = polynomials.values(at.at(place)) * roots
            right = wanted[place] * roots
            found[cell] = torch.linalg.lstsq(matrix, right, driver="gelsd").solution
            squares[cell] = (matrix @ found[cell] - right)[:, counted].square().sum()
    functions = torch.zeros_like(state.functions)
    functions[0] = found
    return replace(state, functions=functions), squares.sqrt()
