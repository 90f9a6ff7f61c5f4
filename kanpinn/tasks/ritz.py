"""The minimum of a quadratic energy in a box, by products of polynomials on cells that are small at
the sides of the box.
"""

import math
import time
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import CONVERGED, InputError, integer, number
from kanpinn._support.memory import free_memory, written_size
from kanpinn.geometry import Box
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Method, Stage, Step
from kanpinn.pde.problem import Problem
from kanpinn.pde.weak_form import WeakForm
from kanpinn.spaces.cells.cells import require_cells
from kanpinn.spaces.conforming import ConformingSpace, RitzSystem
from kanpinn.tasks.adaptive import AdaptiveLeastSquares


def problem_in_box(residuals: Residuals) -> tuple[Problem, Box]:
    """The problem of a loss in a box, and the box.

    Args:
        residuals: the loss.

    Raises:
        InputError: for another problem.
    """
    problem = None if residuals.family is None else residuals.family.problem
    if not isinstance(problem, Problem):
        raise InputError("Ritz minimises the energy of a problem")
    domain, name = problem.domain, type(problem).__name__
    if not isinstance(domain, Box) or domain.time_name is not None:
        raise InputError(f"Ritz minimises energies in boxes without a time, {name} has {domain!r}")
    if problem.unknowns or problem.enrichment() or problem.inputs() is not None:
        raise InputError(f"Ritz takes no unknowns, enrichment() or inputs(), {name} has some")
    return problem, domain


class RitzStage(Stage):
    """The state of the minimisation: the network has the minimum in the last space.

    Args:
        settings: the settings of the method.
        residuals: the loss, whose problem has the energy.

    Attributes:
        level: the number of spaces so far, see `ConformingSpace.graded`.
        values: the nodal values of the minimum in the last space, (m, n_1, …).
        change: the relative L2 norm of the change from the last space but one to the last space;
            infinite before two spaces.
        error: the estimated relative L2 error; infinite before two spaces.
        seconds: the seconds of the last step.
    """

    steady = False
    kept = ("level", "values", "change", "error", "seconds")

    def __init__(self, settings: "Ritz", residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        self.network = require_cells(residuals.surrogate.network)
        self.network.corners = None
        self.problem, self.domain = problem_in_box(residuals)
        self.form = WeakForm.of(self.problem)
        self.level, self.seconds = 0, 0.0
        self.values: Tensor | None = None
        self.change = self.error = math.inf
        self.constant = True

    def _space(self, level: int) -> ConformingSpace:
        """The space of a level."""
        return ConformingSpace.graded(self.domain, self.network.tree.roots, level)

    @property
    def part(self) -> float:  # type: ignore[override]
        """The share of the wanted digits that are correct, from 0 to 1."""
        digits = math.log(min(self.error, 1.0)) / math.log(min(self.settings.tolerance, 0.1))
        return min(1.0, digits)

    @property
    def expected_seconds(self) -> float | None:  # type: ignore[override]
        """The expected seconds in the next space; None before the first step."""
        power = 1.2  # iterations take a time like the places, times few more iterations
        if not self.level:
            return None
        places, last = (self._space(self.level + more).places for more in (1, 0))
        return self.seconds * (places / last) ** power

    def short(self) -> str:
        return "" if math.isfinite(self.error) else "before the error was estimated"

    def step(self) -> Step:
        begun, network, fields = time.perf_counter(), self.network, len(self.problem.fields)
        space, before = self._space(self.level + 1), self.values
        system = RitzSystem.of(self.problem, self.form, space)
        self.constant = system.is_constant
        start, coarse = torch.zeros_like(system.given), None
        if before is not None:
            coarse = self._space(self.level)
            start = space.prolonged(before, coarse)
        accuracy = self.settings.accuracy
        if math.isfinite(self.error):  # before, spaces are small and solves to `accuracy` are fast
            accuracy = max(accuracy, min(1e-5, 1e-3 * self.error))
        values = system.solve(start, accuracy)
        function, left_out = space.in_cells(values, network.polynomials)
        network.assign(function)
        counted = list(self.residuals.family.counted) if self.residuals.family else [*range(fields)]
        size = space.norm(values[counted]) or 1.0
        notes = {"cells": float(network.count)}
        if coarse is not None and before is not None:
            change = space.norm((values - start)[counted]) / size
            least, most, first = 0.2, 0.8, 0.5  # bounds of the ratio of two errors
            ratio = change / self.change if math.isfinite(self.change) else first
            ratio = min(max(ratio, least), most) if self.change else least
            factor = ratio / (1 - ratio)
            self.change, self.error = change, factor * change + left_out / size + accuracy
            network.compare_with(coarse.in_cells(before, network.polynomials)[0], factor)
            notes["estimated_error"] = self.error
        self.level, self.values = self.level + 1, values
        self.seconds = time.perf_counter() - begun
        degree = space.axes[0].degree
        words = f"degree {degree}, {values.numel()} unknowns"
        if math.isfinite(self.error):
            words = f"{words}, estimated error {self.error:.1e}"
        return Step(
            self.residuals.loss(), finished=self._finished(degree), notes=notes, words=words
        )

    def _finished(self, degree: int) -> str | None:
        """The status if no further space follows, otherwise None.

        Args:
            degree: the degree of the polynomials in each coordinate.
        """
        reached = f"the estimated relative error is {self.error:.1e}"
        if self.error <= self.settings.tolerance:
            return CONVERGED
        if degree >= self.network.degree:
            return f"stopped: the network has degree {degree}; {reached}"
        fields, following = len(self.problem.fields), self._space(self.level + 1)
        size = following.bytes(fields, self.network.polynomials, self.constant)
        if size > (free := free_memory()):
            needed = f"{written_size(size)} of memory, and {written_size(int(free))} are free"
            return f"stopped: the next space would need {needed}; {reached}"
        return None


@dataclass(frozen=True)
class Ritz(Method):
    """Minimise a quadratic energy in a box, among continuous functions in cells.

    The functions are products of piecewise polynomials of single coordinates. Their intervals are
    those of the cells of the network at first, and become small at both ends: at edges and vertices
    of boxes solutions may be singular, above all where conditions on values and on fluxes meet.
    Each step has polynomials of a degree higher by 1, and divides the intervals at the ends once
    more. Conjugate gradients find the minimum. Their preconditioner solves for each field alone, by
    the eigenvectors of the second derivative in each coordinate.

    A problem may be stated by its energy, or by a linear equation with constant coefficients and
    conditions on its fluxes, from which the energy follows.

    Minima in larger and larger spaces converge to the solution, whatever its singularities are. The
    changes from one space to the next estimate the error. The cells of the network hold the result
    as polynomials of a total degree. The terms that they leave out, and the error that conjugate
    gradients may leave, are parts of the estimated error.

    Args:
        tolerance: the relative error, in L2, at which to stop.
        steps: the largest number of spaces.

    Raises:
        InputError: for values out of range; in a solve, for a problem without a convex quadratic
            energy in a box, conditions other than values on whole sides, or another kind of
            network.

    Reference: Babuška and Guo, The h-p version of the finite element method (1986).

    Example:
        >>> import kanpinn as kp
        >>> class Membrane(kp.Problem):
        ...     domain = kp.Box(x=(0, 1), y=(0, 1))
        ...     def energy(self, p, u):
        ...         return (kp.grad(u) ** 2).sum(dim=1, keepdim=True) / 2 - u.value
        ...     def conditions(self):
        ...         return [kp.Dirichlet(self.domain.boundary["x_min"])]
        >>> network = kp.Cells(degree=6, cells=1)
        >>> solution = kp.solve(Membrane(), network, kp.tasks.Ritz(tolerance=1e-6))
        >>> solution.status, round(float(solution(torch.tensor([[1.0, 0.5]]))), 6)
        ('converged', 0.5)
    """

    tolerance: float = 1e-6
    steps: int = 20
    needs_fixed_points = True
    lowers_loss = False
    fits_points = False

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        integer("steps", self.steps)

    @property
    def accuracy(self) -> float:
        """The relative error, in the norm of the energy, that conjugate gradients may leave.

        Once the error of a space has been estimated, they may leave a thousandth of this error in
        the next space if that is more, but at most 1e-5.
        """
        return max(1e-12, min(1e-5, 1e-2 * self.tolerance))

    def check(self, network: Network) -> None:
        AdaptiveLeastSquares().check(network)

    def better(
        self, residuals: Residuals, seconds: float = math.inf
    ) -> tuple[Network, float] | None:
        network, begun = require_cells(residuals.surrogate.network), time.perf_counter()
        if network.better is None:  # after a run is loaded
            surrogate = residuals.surrogate.with_network(deepcopy(network))
            stage = self.start(Residuals(surrogate, residuals.terms, residuals.family), 0)
            while not stage.level or stage.network.count < network.count:
                if time.perf_counter() - begun + (stage.expected_seconds or 0.0) > seconds:
                    return None
                stage.step()
            network.better = stage.network.better
        return network.better

    def start(self, residuals: Residuals, seed: int) -> RitzStage:
        return RitzStage(self, residuals)
