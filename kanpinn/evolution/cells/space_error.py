"""The error in space of a window, by comparisons with smaller cells and a higher degree."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from kanpinn.cells.adaptive.cell_errors import distributed
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.prolongation import all_prolonged
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.system.cell_fields import CellField, CellNorms
from kanpinn.cells.system.cell_system import CellSolution
from kanpinn.evolution.cells.cell_stages import CellStages, motion_of, state_at
from kanpinn.evolution.cells.linearised_cells import LinearisedCells


@dataclass(frozen=True, eq=False)
class SpaceError:
    """The error in space of one step in a window, with the real eigenvalue.

    Args:
        shape: the part of the error that the cells can represent, (N, L, p m).
        cells: the L2 norm of the whole error that each cell causes, (N,).
        beyond: the L2 norm of the part that the cells cannot represent.
        indicated: the indicator of the error, see `CellSystem.indicators`; the error of a similar
            window is taken to be proportional to it.
        length: the length of the window.
    """

    shape: Tensor
    cells: Tensor
    beyond: float
    indicated: float
    length: float

    def holds_for(self, indicated: float, equations: CellStages) -> bool:
        """Whether the error of another window can be taken for a multiple of this one.

        That is the case if their indicators and their lengths differ by factors of at most 3.

        Args:
            indicated: the indicator of the other window.
            equations: those of the other window.
        """
        most = 3.0
        ratios = indicated / (self.indicated or 1e-300), equations.length / self.length
        return all(1 / most <= ratio <= most for ratio in ratios)


@dataclass(frozen=True, eq=False)
class AddedError:
    """The error in space that a window adds at its end.

    Args:
        shape: the part of the error that the cells can represent, (N, L, p m).
        cells: the L2 norm of the error that each cell causes, (N,).
        beyond: the L2 norm of the part that the cells cannot represent.
        total: the L2 norm of the whole error.
    """

    shape: Tensor
    cells: Tensor
    beyond: float
    total: float

    @classmethod
    def of(cls, equations: CellStages, known: SpaceError, indicated: float) -> Self:
        """The error in space that a window adds.

        Consider a mode that decays like e^-zt in a window of length 1, and the real eigenvalue λ.
        The error in this mode at the end of the window is (λ + z) (1 - e^-z) / z times the known
        error of one step, as residuals add up over the window. This factor is between 1 and λ. It
        is taken as 1 + (λ - 1) D², where D = λ / (λ + z) is what one step leaves of the mode. That
        is right for modes that stay or die away. Between them it is 0.85 to 1.9 times the factor,
        for 3 to 9 stages.

        Args:
            equations: those of the window.
            known: the error of one step of this or a similar window.
            indicated: the indicator of the error in this window.
        """
        norm, factor = equations.cells.norm, indicated / (known.indicated or 1.0)
        real = float(equations.stages.eigenvalues[equations.real].real)
        left = equations.damped(equations.damped(known.shape))
        shape, beyond = factor * (known.shape + (real - 1) * left), factor * known.beyond
        total = math.hypot(norm(shape), beyond)
        cells = total / (float(known.cells.norm()) or 1.0) * known.cells
        return cls(shape, cells, beyond, total)


def early_step(equations: CellStages, states: Tensor) -> tuple[Tensor, Tensor]:
    """A mean of the stages, mostly the early ones, from the real eigenvalue's problem.

    It needs no other solution if the equation is linear.

    Args:
        equations: those of a window.
        states: at the stages, near the solution, (s, N, L, p m).

    Returns:
        The mean, (N, L, p m), and for each cell `CellSystem.indicators` of its error, (N,).
    """
    real = equations.real
    found, shares = equations.component(real, equations.wanted(states))
    total = float(equations.stages.rows[real].real.sum())
    return equations.centred(found / total), _indicators(equations, shares) / abs(total)


def last_step(equations: CellStages, states: Tensor) -> tuple[Tensor, Tensor]:
    """The solution at the end of a window, from a step with the real eigenvalue.

    Args:
        equations: those of a window.
        states: the solution at the stages, (s, N, L, p m).

    Returns:
        The solution, (N, L, p m), and for each cell `CellSystem.indicators` of its error, (N,).
    """
    found, shares = equations.corrected(states, 1.0)
    return found, _indicators(equations, shares)


Probe = Callable[[CellStages, Tensor], tuple[Tensor, Tensor]]


def _indicators(equations: CellStages, shares: Tensor) -> Tensor:
    system = equations.of_real
    return system.indicators(CellSolution(shares, shares=shares / system.weights**2))


def compared_in_space(
    problem: CellProblem, equations: CellStages, states: Tensor, probe: Probe
) -> SpaceError:
    """The error in space of a window.

    The least-squares problem of the real eigenvalue is solved in smaller cells at singular corners,
    and with a degree that is higher by 2. The first solution shows the error that the cells at
    corners cause anywhere, the second one the error in each cell.

    Args:
        problem: the evolution in space.
        equations: those of the window.
        states: at the stages, near the solution, (s, N, L, p m).
        probe: the step that is compared, `early_step` or `last_step`.
    """
    more, base = 2, equations.cells.base
    before, indicators = probe(equations, states)
    own, coarse = base.polynomials, base.geometry
    richer = LocalPolynomials(own.degree + more, own.dim)
    fine = problem.deeper(coarse)
    parents = coarse.tree.locate(fine.frames.mean(dim=1), fine.tree.region)
    kept = parents.bincount(minlength=len(coarse.tree)) == 1
    together = torch.cat([equations.initial[None], states, before[None]])
    *start_and_states, before = all_prolonged(own, coarse, together, fine)
    squares, shape = torch.zeros(len(coarse.tree)).double(), torch.zeros_like(states[0])
    alike = kept[parents].nonzero()[:, 0]
    if fine is not coarse:
        after, norms = _solved(problem, fine, own, equations, start_and_states, probe)
        change = CellField(after - before)
        parts = torch.where(kept, 0, indicators.square())
        squares += distributed(norms.of_cells(change).square().sum(), parts)
        shape[parents[alike]] += change.coefficients[alike]
        before = after
    padded = [richer.padded(one) for one in start_and_states]
    after, norms = _solved(problem, fine, richer, equations, padded, probe)
    change = CellField(after - richer.padded(before))
    squares.index_add_(0, parents, norms.of_cells(change).square())
    shape[parents[alike]] += norms.nearest(change, own)[alike]
    total, part = float(squares.sum()), equations.cells.norm(shape)
    beyond = max(0.0, total - part**2) ** 0.5
    return SpaceError(shape, squares.sqrt(), beyond, float(indicators.norm()), equations.length)


def _solved(
    problem: CellProblem,
    geometry: CellGeometry,
    polynomials: LocalPolynomials,
    equations: CellStages,
    start_and_states: Sequence[Tensor],
    probe: Probe,
) -> tuple[Tensor, CellNorms]:
    """The result of a step in other cells, (N, L, p m), and the norms of functions there.

    Args:
        problem: the evolution in space.
        geometry, polynomials: the other cells.
        equations: those of the window.
        start_and_states: those of the window in the other cells, (N, L, p m) each.
        probe: the step.
    """
    scheme, length, own = equations.stages, equations.length, equations.cells
    initial, *others = start_and_states
    states = torch.stack(others)
    motion = motion_of(*state_at(scheme, length, initial, states, 0.5), own.fields)
    places = problem.on(geometry, polynomials, motion, integrated=False)
    cells = LinearisedCells.of(places, motion, equations.start + length / 2, own.order)
    there = CellStages(cells, scheme, equations.start, length, initial)
    return there.centred(probe(there, states)[0]), cells.base.norms
