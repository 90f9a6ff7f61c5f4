"""A march in time with cells in space, which follow the solution.

A window is a span of time that is solved at once. The module has the linearised equations of a
window, its errors in space and time, and the state of the march.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.distributed import from_first
from kanpinn._support.errors import InputError
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.product import at_one_time
from kanpinn.jets import Jet, jet_of_stacked
from kanpinn.linalg.reflections import operations_per_second
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.method import Kept
from kanpinn.spaces import cell_windows
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry
from kanpinn.spaces.cells.problem import CellProblem, counted_fields
from kanpinn.spaces.cells.system.cell_system import CellSystem, ShiftedCells
from kanpinn.spaces.cells.system.functions import CellFunctions, CellNorms
from kanpinn.spaces.cells.system.memory import no_comparison, too_many
from kanpinn.spaces.cells.system.terms import SampledTerm
from kanpinn.spaces.cells.tree import Tree
from kanpinn.spaces.evolution_terms import EvolutionTerms, initial_values
from kanpinn.spaces.time_schemes import Stages, at_moments, error_form_of_ratio
from kanpinn.tasks.adapt import dorfler_marking, part_to_refine, why_too_many
from kanpinn.tasks.cell_errors import distributed
from kanpinn.tasks.time_state import Attempt, MarchSettings, TimeState, state_of, window_of
from kanpinn.tasks.window import Control, Newton, StageChoice, Window, solve_window, together


def right_hand_side(term: SampledTerm, state_and_rate: Tensor, time: float) -> Tensor:
    """The right-hand side b of a linearised term (equation or condition), (c, q, equations).

    For the residual r with the derivative r' and the jet u of the state and rate, b is r' u - r(u),
    at q points in each of c cells. The derivative r' is taken from `term`, which may be linearised
    at another state.

    Args:
        term: the linearised term.
        state_and_rate: the coefficients of the state and rate, (N, L, (p + 1) m), see
            `LinearisedCells`.
        time: the time at which the residuals are evaluated.
    """
    jets, moved = term.jets(state_and_rate), cell_windows.at_moment(term.term, time)
    jet = jet_of_stacked(term.term.channels, jets.flatten(0, 1))
    residuals = moved.equation(term.at.points, jet).unflatten(0, jets.shape[:2])
    return torch.einsum("cqepf,cqpf->cqe", term.slopes, jets) - residuals


@dataclass(eq=False)
class LinearisedCells(Kept):
    """An evolution in cells, linearised at one time, with the convergence of Newton's method.

    The order p of the evolution in time is 1 or 2. The state is u for p = 1, and (u, u') for p = 2.
    "State and rate" means the state followed by the derivative of order p. The coefficients of the
    state have the shape (N, L, p m) for N cells with L polynomials each and m fields.

    The factors of the least-squares problems depend on the linearisation, and on the length and the
    number of stages of a window (a span of time that is solved at once). Windows of equal length
    and number of stages share the factors as long as additional Newton steps cost less than new
    factors. A window of another length needs new factors. The equations are then linearised anew,
    which costs little in comparison and makes Newton's method converge fast.

    Args:
        cells: the linearised equation and conditions for the state and rate of m fields.
        about: the state and rate (N, L, (p + 1) m), and the time, at which they are linearised.
        window: the number of stages and the length of the windows.
        served: the number of windows that have been solved with this linearisation.
        rate: the rate of Newton's method in the first window with this linearisation.
        slow: whether Newton's method is expected to be too slow in the next window.
    """

    kept = ("about", "window", "served", "rate", "slow")
    cells: ShiftedCells
    about: tuple[Tensor, float]
    window: tuple[int, float]
    served: int = 0
    rate: float = 0.0
    slow: bool = False

    def serve(self, rate: float) -> None:
        """Record the convergence rate of Newton's method in a window with this linearisation.

        `slow` becomes true if the rate would exceed 0.3 in the next window. The rate is expected to
        grow by the factor 8 after the first window with a linearisation, and by 3 after later ones.

        Args:
            rate: the ratio of one change by Newton's method to the change before it.
        """
        slow, growth = 0.3, 3.0 if self.served else 8.0  # growth: of the rate from window to window
        if not self.served:
            self.rate = rate
        self.served, self.slow = self.served + 1, rate * growth > slow


def linearised_at(places: CellSystem, about: tuple[Tensor, float], order: int) -> ShiftedCells:
    """Linearise an evolution in cells at a state and rate and a time.

    Args:
        places: the equation and conditions at points of the cells; their time and linearisation
            are not used.
        about: the state and rate, (N, L, (p + 1) m), and the time.
        order: the order p of the evolution in time.
    """
    function, time = places.about.of(about[0]), about[1]
    equation, boundary = (
        [SampledTerm(cell_windows.at_moment(one.term, time), one.at, function) for one in terms]
        for terms in (places.equation, places.boundary)
    )
    return ShiftedCells(replace(places, equation=equation, boundary=boundary), order)


@dataclass(eq=False)
class CellNewton(Newton):
    """Newton's method for the collocation equations of a window of time, with cells in space.

    In a window, a span of time of the length h, the solution is a polynomial in time (see
    `Stages`). The equation is u' = F(u). The unknown states X_i at the s stages satisfy Σ_j D_ij
    (X_j - x) / h = F(X_i), where x is the state at the start and D the inverse Butcher matrix. The
    eigenvalues λ of D = V Λ V⁻¹ decouple the stages: each λ leaves one least-squares problem in
    space for the variable W_λ = (V⁻¹ X)_λ, in which the time derivative is λ/h W_λ - λ/h (V⁻¹ 1)_λ
    x (see `ShiftedCells.solve`).

    Args:
        cells: the linearised equation.
        stages: the collocation method with s stages; s is odd, so that one eigenvalue is real.
        start, length: the start of the window and its length h.
        first: the state x at the start, (N, L, p m), with N, L, p and m as in `LinearisedCells`.
    """

    choice = StageChoice(9)  # more stages mean too many least-squares problems

    cells: ShiftedCells
    stages: Stages
    start: float
    length: float
    first: Tensor
    _right: list[Tensor] | None = field(default=None, repr=False)

    @property
    def initial(self) -> Tensor:  # type: ignore[override]
        """The state at the start, with the coefficients of all cells in one axis, (1, N·L, p m)."""
        return self.first.flatten(0, 1)[None]

    def at_stages(self, unknowns: Tensor) -> Tensor:
        """The states at the stages, (s, N, L, p m).

        Args:
            unknowns: the unknowns, which are the states at the stages minus the state at the start,
                (s, N·L, p m).
        """
        return self.first + unknowns.view(-1, *self.first.shape)

    def correction(self, unknowns: Tensor) -> Tensor | None:
        if self._right is None:
            self._right = self.right(self.at_stages(unknowns))
        right = [one[..., None] for one in self._right]
        states = self.solved(self.first[..., None], right)[..., 0]
        found = (self.centred(states) - self.first).flatten(1, 2)
        return unknowns - found if bool(found.isfinite().all()) else None

    def is_settled(self, unknowns: Tensor) -> bool:
        """True if only rounding has changed the right-hand sides b since the last Newton step."""
        before, states = self._right, self.at_stages(unknowns)
        assert before is not None
        self._right, rounding = self.right(states), 1e-11
        for term, one, two in zip(self.cells.terms, before, self._right, strict=True):
            jets = torch.stack([term.jets(own) for own in self.states_and_rates(states)])
            sizes = torch.einsum("cqepf,scqpf->scqe", term.slopes.abs(), jets.abs())
            if not bool(((one - two).abs() <= rounding * (sizes + two.abs())).all()):
                return False
        return True

    def restarted(
        self, window: Window, size: float, precision: float
    ) -> tuple["CellNewton", Window]:
        return replace(self, first=window.states[0].view_as(self.first)), window

    def norms(self, values: Tensor) -> Tensor:
        return torch.tensor(
            [self.cells.base.norm(one.view_as(self.first)) for one in values]
        ).double()

    def error(self, unknowns: Tensor) -> tuple[float, Tensor]:
        """The error in time of a solved window, from the problem of the real eigenvalue.

        Arguments and result are those of `Newton.error`. As described there, the error e at one
        time follows from a linear problem with the time derivative ω'/ω e. Here the time is the
        one at which ω'/ω is λ/h for the real eigenvalue λ. Then the linear problem is the
        least-squares problem of λ, whose factors are known.
        """
        form, states = error_form_of_ratio(self.stages, self.real), self.at_stages(unknowns)
        gap = self.corrected(states, form.moment)[0] - self.at(states, form.moment)[0]
        return self.cells.base.norm(form.mean * gap), form.mean * gap.flatten(0, 1)[None]

    @property
    def real(self) -> float:
        """The real eigenvalue of the matrix D."""
        return float(self.stages.eigenvalues[self.stages.real[0]].real)

    @property
    def of_real(self) -> CellSystem:
        """The least-squares problem of the real eigenvalue, which is part of a Newton step."""
        return self.cells.system(self.real / self.length)

    def states_and_rates(self, states: Tensor) -> Tensor:
        """The states and rates at the stages, (s, N, L, (p + 1) m).

        Args:
            states: the states at the stages, (s, N, L, p m).
        """
        slopes = torch.from_numpy(self.stages.slopes / self.length)
        rates = torch.tensordot(slopes, states - self.first, dims=1)
        return with_rates(states, rates, self.cells.fields)

    def at(self, states: Tensor, moment: float) -> tuple[Tensor, Tensor]:
        """The value and the derivative of the polynomial in time at one time, (N, L, p m) each.

        Args:
            states: the states at the stages, (s, N, L, p m).
            moment: the time in the window, from 0 to 1.
        """
        return state_at(self.stages, self.length, self.first, states, moment)

    def right(self, states: Tensor) -> list[Tensor]:
        """The right-hand sides of the linearised equations, for given states at the stages.

        Args:
            states: the states at the stages, (s, N, L, p m).

        Returns:
            The right-hand sides b (see `right_hand_side`), for each term (s, c, q, equations).
        """
        times = self.start + self.length * self.stages.nodes
        states_and_rates = self.states_and_rates(states)
        return [
            torch.stack(
                [
                    right_hand_side(term, own, time)
                    for own, time in zip(states_and_rates, times.tolist(), strict=True)
                ]
            )
            for term in self.cells.terms
        ]

    def solved(self, starts: Tensor, right: Sequence[Tensor] = ()) -> Tensor:
        """Solve the linear collocation equations for n right-hand sides.

        Args:
            starts: n states at the start of the window, (N, L, p m, n).
            right: the right-hand sides for each term, (s, c, q, equations, n); empty for zero.
        """
        start = starts.expand(self.stages.count, *starts.shape)
        systems = self.stages.decoupled([start, *right], self.length)
        found = [self.cells.solve(a, a * first, rest or None)[0] for a, (first, *rest) in systems]
        return self.stages.coupled(found)

    def centred(self, states: Tensor) -> Tensor:
        """Shift states to mean zero in fields that are determined up to a constant.

        Args:
            states: the states, (…, N, L, p m).
        """
        system, order = self.of_real, self.cells.order
        free = [one + r * self.cells.fields for one in system.free_fields for r in range(order)]
        if free:
            flat = states.flatten(0, -4) if states.ndim > 3 else states[None]
            each = [system.norms.without_means(system.about.of(one), free) for one in flat]
            states = torch.stack([one.coefficients for one in each]).view_as(states)
        return states

    def propagated(self, starts: Tensor) -> Tensor:
        """Propagate n small changes of the state from the start to the end of the window.

        Args:
            starts: the changes at the start, (n, N, L, p m).

        Returns:
            The changes at the end, (n, N, L, p m).
        """
        ends = self.solved(starts.movedim(0, -1))[-1]  # the last stage is at the end
        return self.centred(ends.movedim(-1, 0))

    def damped(self, state: Tensor) -> Tensor:
        """Propagate a change of the state by one implicit time step with the real eigenvalue λ.

        A mode of the change that decays like e^-zt, in a window of length 1, is multiplied by
        λ / (λ + z).

        Args:
            state: the change, (N, L, p m).

        Returns:
            The propagated change, (N, L, p m).
        """
        rate = self.real / self.length
        return self.cells.solve(rate, rate * state[..., None])[0][..., 0]

    def corrected(self, states: Tensor, moment: float) -> tuple[Tensor, Tensor]:
        """The state at one time, corrected by one solve of the problem of the real eigenvalue λ.

        The time derivative in this problem is that of the polynomials through the states, plus λ/h
        times the correction.

        Args:
            states: the solution at the stages, (s, N, L, p m).
            moment: the time in the window, from 0 to 1.

        Returns:
            The corrected state, (N, L, p m), and the contribution of each cell to the least-squares
            functional of the problem, (N,).
        """
        rate, (state, slope) = self.real / self.length, self.at(states, moment)
        state_and_rate = with_rates(state, slope, self.cells.fields)
        time = self.start + moment * self.length
        right_hand_sides = [
            right_hand_side(term, state_and_rate, time)[..., None] for term in self.cells.terms
        ]
        found, shares = self.cells.solve(rate, (rate * state - slope)[..., None], right_hand_sides)
        return self.centred(found[..., 0]), shares[:, 0]  # the right-hand side of jumps is 0


def state_at(
    stages: Stages, length: float, initial: Tensor, states: Tensor, moment: float
) -> tuple[Tensor, Tensor]:
    """The value and the derivative of a window's polynomial in time at one time, (N, L, p m) each.

    Args:
        stages, length: the stages and the length of the window.
        initial: the state at the start, (N, L, p m).
        states: the states at the stages, (s, N, L, p m).
        moment: the time in the window, from 0 to 1.
    """
    changes = torch.cat([initial[None], states - initial])
    rates = at_moments(stages, np.array([moment]), length, 1, 1)
    state, slope = (torch.tensordot(torch.from_numpy(one[0]), changes, dims=1) for one in rates)
    return state, slope


def with_rates(states: Tensor, rates: Tensor, fields: int) -> Tensor:
    """Append the derivative of order p to the states, (…, (p + 1) m).

    Args:
        states: the states, (…, p m).
        rates: the derivatives in time of the states, (…, p m).
        fields: the number of fields m.
    """
    return torch.cat([states, rates[..., -fields:]], dim=-1)


def leaves_of_boxes(tree: Tree, whole: Tensor) -> Tensor:
    """The boxes of a tree whose 2^d halves are all leaves, as indices of these leaves, (f, 2^d).

    The 2^d leaves of a box, which was halved in all coordinates, are called a family.

    Args:
        tree: the tree.
        whole: a mask of the leaves that may be in a family, (N,).
    """
    own = (whole & (tree.level > 0).all(dim=1)).nonzero()[:, 0]
    corner = (tree.place[own] % 2) @ 2 ** torch.arange(tree.dim - 1, -1, -1)
    names = torch.cat([tree.level[own], tree.place[own] >> 1, tree.region[own, None]], dim=1)
    boxes, box = names.unique(dim=0, return_inverse=True)
    found = torch.full((len(boxes), 2**tree.dim), -1)
    found[box, corner] = own
    return found[(found >= 0).all(dim=1)]


def with_boxes(tree: Tree, family: Tensor) -> tuple[Tree, Tensor]:
    """Coarsen a tree: replace families of leaves by the boxes that were halved into them.

    A family is the 2^d leaves into which a box was halved.

    Args:
        tree: the tree.
        family: the indices of the leaves of each family, (f, 2^d).

    Returns:
        The new tree, in which the other leaves come first, then the boxes in the order of the
        families; and the indices of the other leaves in the old tree.
    """
    gone = torch.zeros(len(tree), dtype=torch.bool)
    gone[family.flatten()] = True
    kept, first = (~gone).nonzero()[:, 0], family[:, 0]
    boxes = Tree(
        tree.roots, tree.level[first] - 1, tree.place[first] >> 1, tree.region[first], tree.around
    )
    return Tree.joined([tree.only(~gone), boxes]), kept


@dataclass(frozen=True, eq=False)
class SpaceError:
    """The error due to the cells in space, of a window of time or of one implicit step in it.

    Args:
        shape: the part of the error that the cells can represent, as coefficients, (N, L, p m).
        cells: the L2 norm of the whole error that each cell causes, (N,).
        beyond: the L2 norm of the part of the error that the cells cannot represent.
        indicated: the norm of the cells' indicators (see `CellSystem.indicators`). The errors of
            similar windows are assumed to be proportional to this norm.
        length: the length of the window.
    """

    shape: Tensor
    cells: Tensor
    beyond: float
    indicated: float
    length: float

    @property
    def total(self) -> float:
        """The L2 norm of the whole error."""
        return float(self.cells.norm())

    def added(self, equations: CellNewton, indicated: float) -> "SpaceError":
        """The error in space that a window of time adds at its end, from this error of one step.

        Consider a mode that decays like e^-zt in a window of length 1, and the real eigenvalue λ.
        The error in this mode at the end of the window is (λ + z) (1 - e^-z) / z times the error of
        one step, since residuals add up over the window. This factor is between 1 and λ. It is
        approximated by 1 + (λ - 1) D², where one step multiplies the mode by D = λ / (λ + z). The
        approximation is exact for modes that do not decay and for modes that vanish at once. For
        other modes the approximation is 0.85 to 1.9 times the factor, for 3 to 9 stages.

        Args:
            equations: the equations of the window.
            indicated: the norm of the cells' indicators in this window.
        """
        factor = indicated / (self.indicated or 1.0)
        left = equations.damped(equations.damped(self.shape))
        shape, beyond = factor * (self.shape + (equations.real - 1) * left), factor * self.beyond
        total = math.hypot(equations.cells.base.norm(shape), beyond)
        cells = total / (self.total or 1.0) * self.cells
        return SpaceError(shape, cells, beyond, indicated, equations.length)


def early_step(equations: CellNewton, states: Tensor) -> tuple[Tensor, Tensor]:
    """The result of one implicit step in a window of time, before the window is solved.

    It is a weighted mean of the states at the stages, whose error in space can be estimated. The
    step solves the least-squares problem of the real eigenvalue, and divides the solution by the
    sum of the eigenvalue's row of V⁻¹ (see `Stages`). So the result is the mean of the states with
    the weights of this row, which are largest at early stages. If the equation is linear, the
    result does not depend on `states`.

    Args:
        equations: the equations of the window.
        states: states at the stages near the solution, (s, N, L, p m).

    Returns:
        The mean, (N, L, p m), and for each cell an indicator of the error of the mean (see
        `CellSystem.indicators`), (N,).
    """
    stages, rate, first = equations.stages, equations.real / equations.length, equations.first
    number = stages.real[0]
    total = float(stages.rows[number].real.sum())
    right = [one[..., None] for one in stages.component(number, equations.right(states))]
    found, shares = equations.cells.solve(rate, rate * total * first[..., None], right)
    indicators = equations.of_real.indicators(shares[:, 0]) / abs(total)
    return equations.centred(found[..., 0] / total), indicators


def last_step(equations: CellNewton, states: Tensor) -> tuple[Tensor, Tensor]:
    """The solution at the end of a solved window of time, corrected by one implicit step.

    Args:
        equations: the equations of the window.
        states: the solution at the stages, (s, N, L, p m).

    Returns:
        The solution, (N, L, p m), and for each cell an indicator of its error (see
        `CellSystem.indicators`), (N,).
    """
    found, shares = equations.corrected(states, 1.0)
    return found, equations.of_real.indicators(shares)


Probe = Callable[[CellNewton, Tensor], tuple[Tensor, Tensor]]


def compared_in_space(
    problem: CellProblem,
    equations: CellNewton,
    states: Tensor,
    probe: Probe,
    probed: tuple[Tensor, Tensor],
) -> SpaceError:
    """The error in space of one implicit step in a window of time, from better solutions.

    The least-squares problem of the step is solved again in smaller cells at singular corners, and
    then also with a degree higher by 2. The first solution shows the error that the cells at
    corners cause anywhere. The second solution shows the error in each cell.

    Args:
        problem: the evolution in space.
        equations: the equations of the window.
        states: states at the stages near the solution, (s, N, L, p m).
        probe: the step whose result is compared, `early_step` or `last_step`.
        probed: the result of this step in the present cells, the state (N, L, p m) and the cells'
            indicators (N,).
    """
    (before, indicators), cells = probed, equations.cells
    present = cells.base.about
    coarse, fine = present.geometry, problem.deeper(present.geometry)
    scheme, length, moment = equations.stages, equations.length, equations.start

    def solved(functions: CellFunctions) -> tuple[CellFunctions, CellNorms]:
        """The result of the step in the fine cells, and norms of functions in these cells.

        Args:
            functions: the states at the start and at the stages, (N, L, p m, 1 + s).
        """
        initial, *others = (one.contiguous() for one in functions.coefficients.unbind(-1))
        states = torch.stack(others)
        state_and_rate = with_rates(*state_at(scheme, length, initial, states, 0.5), cells.fields)
        places = problem.linearised(functions.of(state_and_rate), integrated=False)
        there = linearised_at(places, (state_and_rate, moment + length / 2), cells.order)
        window_there = CellNewton(there, scheme, moment, length, initial)
        after = window_there.centred(probe(window_there, states)[0])
        return functions.of(after), there.base.norms

    parents = coarse.tree.locate(fine.frames.mean(dim=1), fine.tree.region)
    kept = parents.bincount(minlength=len(coarse.tree)) == 1
    functions = present.of(torch.stack([equations.first, *states], dim=-1)).on(fine)
    known = present.of(before).on(fine)
    squares, shape = torch.zeros(len(coarse.tree)).double(), torch.zeros_like(states[0])
    alike = kept[parents].nonzero()[:, 0]
    if fine is not coarse:
        after, norms = solved(functions)
        change = after.minus(known)
        parts = torch.where(kept, 0, indicators.square())
        squares += distributed(norms.of_cells(change).square().sum(), parts)
        shape[parents[alike]] += change.coefficients[alike]
        known = after
    after, norms = solved(functions.richer)
    change = after.minus(known.richer)
    squares.index_add_(0, parents, norms.of_cells(change).square())
    shape[parents[alike]] += norms.nearest(change, present.polynomials)[alike]
    total, part = float(squares.sum()), cells.base.norm(shape)
    beyond = max(0.0, total - part**2) ** 0.5
    return SpaceError(shape, squares.sqrt(), beyond, float(indicators.norm()), length)


@dataclass(frozen=True, eq=False)
class CellAttempt(Attempt):
    """An attempt to solve a window (span of time) with cells in space.

    Args:
        equations: the equations of the window.
        added: the error in space that the window adds; None if the window cannot be accepted.
    """

    equations: CellNewton
    added: SpaceError | None = None


class CellMarch(TimeState[CellAttempt]):
    """The state of a march with cells in space, which are refined and coarsened on the way.

    Each window (span of time that is solved at once) may add an error in time of half the
    tolerance; the errors in space of all windows together may be the other half. Errors in space
    are found by comparisons with smaller cells and a higher degree: of `early_step` before a window
    is solved, and of `last_step` afterwards. Cells are refined until the errors are small enough.
    The arguments are those of `TimeState`.

    Attributes:
        size: the size of the solution over space so far, see `TimeState`.
        expected: the larger of `size` and the L2 norm of the solution in the next window.
        geometry: the present cells.
        functions: the coefficients of the solution, of its estimated error in time and of its
            estimated error in space, (3, N, L, p m).
        beyond: the L2 norm of the part of the error in space that the cells cannot represent.
        linearised: the equation, linearised, with its factors; None if it must be linearised anew.
        compared: the last errors in space from comparisons on the present cells, at most two.
        first_errors: the L2 norm of the error of the initial values in each cell, (N,).
    """

    kept = (*TimeState.kept, "time", "size", "expected", "beyond")
    choice = CellNewton.choice
    keeps_factors = True
    watches_growth = False  # to examine places in all cells would cost too much

    @classmethod
    def check(cls, settings: MarchSettings) -> None:
        # The errors in time and space are those of the problem of a real eigenvalue.
        scheme = settings.collocation
        if not (scheme.damps and scheme.real):
            raise InputError(
                'a march with cells in space has scheme = "radau" and an odd number of stages, got '
                f'scheme = "{settings.scheme}" and stages = {settings.stages}'
            )

    def __init__(
        self, settings: MarchSettings, residuals: Residuals, terms: EvolutionTerms
    ) -> None:
        super().__init__(settings, residuals, terms)
        network, domain = self.surrogate.network, self.surrogate.domain
        self.network = cast(cell_windows.CellWindows, network)
        self.fields, self.order = self.network.fields, self.network.order
        counted = counted_fields(residuals, self.fields)
        self.problem = cell_windows.problem_in_space(
            terms, domain, counted, self.fields, self.order
        )
        self.size, self.expected, self.beyond = 0.0, 0.0, 0.0
        self.linearised: LinearisedCells | None = None
        self.compared: list[SpaceError] = []
        self.polynomials = self.network.polynomials
        geometry = self.problem.start(self.network.start)
        shape = 3, len(geometry.tree), self.polynomials.size, self.order * self.fields
        self.geometry, self.functions = geometry, torch.zeros(*shape, dtype=torch.float64)

    @property
    def count(self) -> int:
        """The number of cells."""
        return len(self.geometry.tree)

    @property
    def work(self) -> float:
        return self._work(self.count)

    @staticmethod
    def _work(count: int) -> float:
        """The operations for a window with a number of cells, up to a factor."""
        return count**1.25

    @property
    def state_and_rate(self) -> Tensor:
        """The solution followed by zero for the derivative of order p, (N, L, (p + 1) m)."""
        return torch.nn.functional.pad(self.functions[0], (0, self.fields))

    @cached_property
    def places(self) -> CellSystem:
        """The equation and conditions at points of the cells, linearised at `state_and_rate`."""
        about = CellFunctions(self.geometry, self.polynomials, self.state_and_rate)
        return self.problem.linearised(about, integrated=False)

    def _take(self, geometry: CellGeometry, functions: Tensor) -> None:
        """Replace the cells, and the functions by their coefficients on the new cells.

        Args:
            geometry: the new cells.
            functions: the solution and its errors in time and in space, (3, N, L, p m).
        """
        if geometry is not self.geometry:
            vars(self).pop("places", None)
        self.geometry, self.functions = geometry, functions

    def _take_initial(self) -> None:
        """Project the initial values onto the present cells; store the errors in `first_errors`."""
        polynomials, counted = self.polynomials, self.problem.counted
        functions, squares = torch.zeros_like(self.functions), torch.zeros(self.count).double()
        for at in self.problem.inside(
            self.geometry, polynomials.richer
        ):  # more points than for the degree k, so that a coarse fit does not look exact
            there = at_one_time(at.points, self.begin, self.surrogate.domain.names[-1])
            values = initial_values(self.terms.initial, Batch.made_of(there), self.fields)
            values = torch.cat([*values[: self.order]], dim=1).unflatten(0, at.weights.shape)
            for place, cell in enumerate(at.cells.tolist()):
                roots = at.weights[place].sqrt()[:, None]
                matrix, right = polynomials.values(at.at(place)) * roots, values[place] * roots
                nearest = torch.linalg.lstsq(matrix, right, driver="gelsd").solution
                functions[0, cell] = nearest
                squares[cell] = (matrix @ nearest - right)[:, list(counted)].square().sum()
        self._take(self.geometry, functions)
        self.first_errors = squares.sqrt()
        self.size = self.expected = self.places.norm(functions[0])

    def _lower_degree(self, scheme: Stages) -> None:
        """Lower the degree of the polynomials until some windows fit into the time left.

        Args:
            scheme: the stages of the windows.
        """
        some = 5.0  # times the first window: about 8 windows of equal length, with a reserve
        least = 1 + max(2, self.terms.equation.channels.derivative_order)
        # Fitted to first windows in 64 to 1261 cells of degrees 3 to 16, with 3 stages.
        each, speed = 2e7 * self.order * self.fields * (scheme.count + 2) / 5, math.inf
        if math.isfinite(self.seconds_left):
            speed = from_first(operations_per_second())
        for degree in range(self.polynomials.degree, min(least, self.polynomials.degree) - 1, -1):
            self.first = each * (1 + 0.1 * degree + 0.006 * degree**2) / speed
            if some * self.first * self.work <= self.seconds_left:
                break
        self.polynomials = replace(self.polynomials, degree=degree)
        self.functions = torch.zeros(
            3, self.count, self.polynomials.size, *self.functions.shape[3:]
        )
        self.functions = self.functions.double()

    def start(self, scheme: Stages, length: float) -> None:
        self._lower_degree(scheme)
        self._take_initial()
        tries, part = 30, 0.25  # part: of the tolerance
        allowed = part * self.settings.tolerance * self.size
        while tries and float(self.first_errors.norm()) > allowed and not self.is_late:
            if not self._refine(self.first_errors, allowed, self.equations(scheme, length)):
                break
            tries -= 1
        first = float(self.first_errors.norm())
        self.limited = self.settings.windows is None and first > 2 * allowed

    def jet(self) -> tuple[Points, Jet]:
        term = self.places.equation[0]
        moment = term.term.equation
        assert isinstance(moment, cell_windows.AtMoment)
        return moment.at(term.at.points, term.jet(self.places.about.of(self.state_and_rate)))

    def attempt(self, scheme: Stages, length: float, allowed: float) -> CellAttempt | None:
        """Try to solve a window of time; refine cells and try again while they are too coarse.

        Args:
            scheme: the collocation stages of the window.
            length: the length of the window.
            allowed: the largest relative error in time. If it is infinite, for lack of time, cells
                are refined before the first window only.

        Returns:
            The attempt. It has no error in space if Newton's method has failed or the error in time
            exceeds `allowed`, since the window cannot be accepted then. None if the march must stop
            because of the number of cells or of memory, with the reason in `stopped`, or if
            `deadline` has passed.
        """
        tries = 20
        while True:
            if math.isfinite(allowed) or self.latest is None:
                self._resolve_early(scheme, length)
                self.since = time.perf_counter()
            late = self.seconds_left < self._least(scheme, length)
            if self.stopped or late or self._is_too_large(self.equations(scheme, length)):
                return None
            window, equations = self._tried(scheme, length)
            window = window.doubted(self.doubt)
            named, notes = f"{self.count} cells", {"cells": float(self.count)}
            if not (window.converged and window.error <= allowed):
                return CellAttempt(window, named, notes, equations)
            states = equations.at_stages(window.states[1:])
            added, most = self.added(equations, states, last_step), self._allowed(length)
            refined = added.total > most and tries and self._refine(added.cells, most, equations)
            if self.stopped:
                return None
            if not refined:
                notes["space_error"] = added.total / (max(self.size, window.size) or 1.0)
                return CellAttempt(window, named, notes, equations, added)
            tries -= 1

    def _least(self, scheme: Stages, length: float) -> float:
        """The least seconds that a window is expected to take.

        They are half of the expected seconds of a whole attempt, since forecasts may be too high,
        and a part of the attempt may have been made.

        Args:
            scheme: the stages of the window.
            length: the length of the window.
        """
        kept, window = self.linearised, (scheme.count, length)
        return self.costs[kept is not None and kept.served > 0 and kept.window == window] / 2

    def _allowed(self, length: float) -> float:
        """The largest error in space that a window of some length may add, as an L2 norm.

        It is half the tolerance times the norm `expected`, times the window's fraction of the
        duration, which counts as at least 0.02.
        """
        least = 0.02  # the least share of the tolerance
        share = max(length / (self.end - self.begin), least)
        return self.settings.tolerance / 2 * share * self.expected

    def _resolve_early(self, scheme: Stages, length: float) -> None:
        """Refine cells until they resolve `early_step` of a window, before the window is solved.

        It ends at `deadline`. If there are too many cells, or too little memory, the reason is
        stored in `stopped`.

        Args:
            scheme: the stages of the window.
            length: the length of the window.
        """
        tries, good = 20, not self.settings.follows
        while tries and not good and not self.is_late:
            equations = self.equations(scheme, length)
            if self._is_too_large(equations):
                return
            states = equations.at_stages(self.guess(scheme, length))
            added, allowed = self.added(equations, states, early_step), self._allowed(length)
            good = added.total <= allowed or not self._refine(added.cells, allowed, equations)
            tries -= 1

    def _refine(self, errors: Tensor, allowed: float, equations: CellNewton) -> bool:
        """Refine the cells with the largest errors in space, and write the state on the new cells.

        Args:
            errors: the error in space that each cell causes, (N,).
            allowed: the largest error of all cells together.
            equations: the equations of the next window, whose factors need memory.

        Returns:
            Whether cells are refined. They are not if the settings keep the cells, if no cell can
            become smaller, or if there would be too many cells, with the reason in `stopped`.
        """
        if not self.settings.follows:
            return False
        part, kept = part_to_refine(allowed, float(errors.norm()), 0.99), equations.stages.count
        divisible = self.problem.singularities.divisible(self.geometry)
        marked = self.geometry.tree.everywhere(dorfler_marking(errors * divisible, part))
        self.stopped = why_too_many(equations.of_real, marked, self.settings.cells, kept=kept)
        if self.stopped:
            return False
        if not self._fits(self.count + int(marked.sum()) * (2**self.geometry.tree.dim - 1)):
            self.hurried = True
            return False
        geometry = self.problem.refined(self.geometry, marked)
        functions = self.places.about.of(self._with_stages().movedim(0, -1)).on(geometry)
        if not self._moved(geometry, functions.coefficients.movedim(-1, 0).contiguous()):
            return False
        if self.time == self.begin:
            self._take_initial()
        self.since = time.perf_counter()
        return True

    def _fits(self, count: int) -> bool:
        """Return whether the budget leaves time for about 8 windows with a number of cells.

        Args:
            count: the number of cells.
        """
        some = 3.5  # times the first window
        spent = from_first(time.perf_counter() - self.since) / self.work
        return some * max(spent, self.first) * self._work(count) <= self.seconds_left

    def _is_too_large(self, equations: CellNewton) -> bool:
        """Return whether a window has too many cells or needs too much memory.

        The reason is stored in `stopped`, which is "" if there is none.

        Args:
            equations: the equations of the window.
        """
        system, kept, count = equations.of_real, equations.stages.count, self.count
        self.stopped = no_comparison(system, kept=kept)
        if why := too_many(system, count, self.settings.cells, kept=kept):
            self.stopped = f"{count} cells {why}"
        return bool(self.stopped)

    def lighten(self, done: CellAttempt, length: float) -> None:
        """Replace cells by larger cells where the solution has become smooth, if this saves many.

        A family is the 2^d cells that a box has been halved into. The box replaces its family if a
        polynomial on the box, of a degree lower by 2, represents the solution up to a small error.
        Owing to the lower degree the solution may still move or steepen a little before the box has
        to be halved again, and the error is much smaller than the allowed error. The errors of all
        replaced families together are at most 0.1 of the allowed error, and nothing is replaced
        unless it saves 0.2 of the cells. Cells that a boundary cuts are not merged.

        Args:
            done: the last attempt, which is not used.
            length: the length of the next window, which determines the allowed error.

        Reference: Berger and Colella, Local adaptive mesh refinement for shock hydrodynamics
        (1989).
        """
        if not self.settings.follows:
            return
        # part: a fraction of the allowed error. worth: the least fraction of cells that must be
        # saved. fewer: the reduction of the degree.
        part, worth, fewer = 0.1, 0.2, 2
        polynomials, geometry, functions = self.polynomials, self.geometry, self._with_stages()
        family = leaves_of_boxes(geometry.tree, ~geometry.is_cut)
        parts = polynomials.on_parts
        own = functions[:, family]  # (n, f, 2^d, L, p m)
        larger = torch.einsum("plk,nfplm->nfkm", parts, own) / len(parts)
        simple = larger[0].clone()
        simple[:, polynomials.count(polynomials.degree - fewer) :] = 0
        missed = own[0] - torch.einsum("plk,fkm->fplm", parts, simple)
        volumes = (geometry.extents[family] / 2).prod(dim=2)
        counted = missed[..., list(self.problem.counted)].square().sum(dim=(2, 3))
        squares, order = (counted * volumes).sum(dim=1).sort()
        chosen = order[squares.cumsum(0) <= (part * self._allowed(length)) ** 2]
        if len(chosen) * (len(parts) - 1) >= max(1, int(worth * self.count)):
            larger_tree, kept = with_boxes(geometry.tree, family[chosen])
            functions = torch.cat([functions[:, kept], larger[:, chosen]], dim=1)
            self._moved(self.problem.cells(larger_tree), functions)

    def _with_stages(self) -> Tensor:
        """The coefficients of `functions` and of all states of the last window, (k, N, L, p m).

        The first three are `functions`. Before the first window there are no further ones.
        """
        if self.latest is None:
            return self.functions
        states = self.latest.states.unflatten(1, self.functions.shape[1:3])
        return torch.cat([self.functions, states])

    def _moved(self, geometry: CellGeometry, functions: Tensor) -> bool:
        """Replace the cells and the functions, and forget results that hold for the old cells only.

        Forgotten are the linearisation and the errors in space of earlier windows. If the number of
        cells stays the same, nothing changes.

        Args:
            geometry: the new cells.
            functions: the functions of `_with_stages` on the new cells, (k, N, L, p m).

        Returns:
            Whether the cells have changed.
        """
        if len(geometry.tree) == self.count:
            return False
        self._take(geometry, functions[:3])
        if self.latest is not None:
            self.latest = replace(self.latest, states=functions[3:].flatten(1, 2))
        self.linearised, self.compared = None, []
        return True

    def guess(self, scheme: Stages, length: float) -> Tensor:
        """A guess of the changes from the start to the stages of the next window, (s, N·L, p m).

        The polynomial in time of the last window is extrapolated; for the first window the guess is
        zero.

        Args:
            scheme: the s stages of the next window.
            length: the length of the next window.
        """
        if self.latest is None:
            return torch.zeros(scheme.count, *self.functions[0].flatten(0, 1).shape).double()
        return self.latest.guess(scheme, self.time, length)

    def equations(self, scheme: Stages, length: float) -> CellNewton:
        """The collocation equations of the next window of time, linearised.

        The kept linearisation is used if it is for this length and number of stages, and if
        Newton's method is not expected to be slow with it. Otherwise the equations are linearised
        anew, at the guess in the middle of the window.

        Args:
            scheme: the stages of the window.
            length: the length of the window.
        """
        window, value = (scheme.count, length), self.functions[0]
        if self.linearised is None or self.linearised.slow or self.linearised.window != window:
            states = value + self.guess(scheme, length).view(-1, *value.shape)
            state, middle = state_at(scheme, length, value, states, 0.5), self.time + length / 2
            about = with_rates(*state, self.fields), middle
            cells = linearised_at(self.places, about, self.order)
            self.linearised = LinearisedCells(cells, about, window)
        return CellNewton(self.linearised.cells, scheme, self.time, length, value)

    def _tried(self, scheme: Stages, length: float) -> tuple[Window, CellNewton]:
        """Solve a window; if this fails with an old linearisation, linearise anew and solve again.

        Args:
            scheme: the stages of the window.
            length: the length of the window.

        Returns:
            The window, and the equations with which it was solved.
        """
        guess, precision = self.guess(scheme, length), self.settings.precision(CellNewton)
        while True:
            equations, kept = self.equations(scheme, length), self.linearised
            assert kept is not None
            done = solve_window(equations, guess, self.size, precision, self.terms.algebraic)
            if done[0].converged or not kept.served:
                kept.serve(done[0].rate)
                return done
            self.linearised = None

    def added(self, equations: CellNewton, states: Tensor, probe: Probe) -> SpaceError:
        """The error in space that a window of time adds, estimated from a single step in it.

        The error of an earlier window on the same cells is scaled to this window if the lengths and
        the indicators of the two windows differ by factors of at most 3. Otherwise the step is
        compared with better solutions, see `compared_in_space`.

        Args:
            equations: the equations of the window.
            states: states at the stages near the solution, (s, N, L, p m).
            probe: the implicit step from which the error is estimated, `early_step` or `last_step`.
        """
        found, indicators = probe(equations, states)
        self.expected, indicated = max(self.size, self.places.norm(found)), float(indicators.norm())
        most = 3.0
        for known in reversed(self.compared):
            ratios = indicated / (known.indicated or 1e-300), equations.length / known.length
            if all(1 / most <= ratio <= most for ratio in ratios):
                return known.added(equations, indicated)
        known = compared_in_space(self.problem, equations, states, probe, (found, indicators))
        self.compared = [*self.compared[-1:], known]  # the last two
        return known.added(equations, indicated)

    @torch.no_grad()
    def member(self, done: CellAttempt) -> cell_windows.CellsInWindow:
        geometry, shape = self.geometry, self.functions.shape[1:3]
        series = done.window.series()[..., : self.fields].unflatten(1, shape)
        made = self.network.member(len(series))
        made.layer.reset(geometry.tree, geometry.frames, series.movedim(0, 2).flatten(2))
        return made

    def accept(self, done: CellAttempt, time: float) -> None:
        window, added, before, value = done.window, done.added, self.error, self.functions[0]
        assert added is not None
        in_time, in_space = done.equations.propagated(self.functions[1:])
        errors = (together(in_time, window.in_time.view_as(value)), together(in_space, added.shape))
        self._take(self.geometry, torch.stack([window.end().view_as(value), *errors]))
        self.beyond, self.time, self.latest = added.beyond, time, window
        own = window.error * max(self.size, window.size)
        self.size = self._add(window, window.length * max(before, self.error, own) ** 2)
        if self.settings.windows is None:
            self.limited |= self._error_in_space > self.settings.tolerance * self.size

    @property
    def error(self) -> float:
        """The L2 norm of the estimated error at the present time, in time plus in space."""
        return self.places.norm(self.functions[1]) + self._error_in_space

    @property
    def _error_in_space(self) -> float:
        """The part of `error` that the cells have caused in all windows so far.

        It is the norm of the error that the cells can represent, together with `beyond`.
        """
        return math.hypot(self.places.norm(self.functions[2]), self.beyond)

    def follow(self, control: Control, window: Window) -> None:
        """Choose the length and the number of stages of the next window; store them in `control`.

        Both stay as in the last window if the length that `control` finds best is 0.92 to 1.6 times
        the present length, and if Newton's method is not slow with the kept linearisation.

        Args:
            control: the control of the march.
            window: the window that has been accepted.
        """
        least, most = 0.92, 1.6  # the ratio of the best length to the present length
        length, count, kept = window.length, window.stages.count, self.linearised
        assert kept is not None  # the window has been solved with this linearisation
        control.follow(replace(window, rate=kept.rate))
        if not kept.slow and least * length <= control.length <= most * length:
            control.length, control.stages = length, count

    def state_dict(self) -> dict[str, Any]:
        tree = self.geometry.tree
        return super().state_dict() | {
            "tree": (tree.level, tree.place, tree.region),
            "functions": self.functions,
            "linearised": self.linearised and self.linearised.state_dict(),
            "compared": [vars(one).copy() for one in self.compared],
            "latest": self.latest and state_of(self.latest),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict({name: state[name] for name in self.kept})
        start, (level, place, region) = self.network.start, state["tree"]
        tree = Tree(start.roots, level, place, region, start.around)
        functions = state["functions"]
        self.polynomials = self.polynomials.of_size(functions.shape[2])
        self._take(self.problem.cells(tree), functions)
        self.compared = [SpaceError(**one) for one in state["compared"]]
        self.latest, self.linearised = state["latest"] and window_of(state["latest"]), None
        if (known := state["linearised"]) is not None:
            cells = linearised_at(self.places, known["about"], self.order)
            self.linearised = LinearisedCells(cells, **known)
