"""Least squares in cells, which are halved until the estimated error is small enough."""

import math
from dataclasses import astuple, dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.status import CONVERGED
from kanpinn.cells.by_domain import problem_in_cells
from kanpinn.cells.cell_errors import errors_by_comparison, errors_by_missed_residuals
from kanpinn.cells.cell_geometry import CellGeometry
from kanpinn.cells.cell_system import CellSolution, CellSystem
from kanpinn.cells.cells import require_cells
from kanpinn.cells.constants import mean_terms, set_constants
from kanpinn.cells.halving import bulk, part_to_halve, why_no_smaller
from kanpinn.cells.layers import cells_in_layers
from kanpinn.cells.memory import too_many
from kanpinn.cells.newton import NewtonProgress
from kanpinn.cells.prolongation import prolonged
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step


@dataclass(frozen=True)
class Dissection(Optimizer):
    """Solve for a network in cells by least squares, and halve the cells with the largest errors.

    Each step is one least-squares solve. A tree takes one step for a linear equation, and several,
    those of Newton's method, for a nonlinear one. The coefficients of each cell are eliminated
    first, and then the traces on faces in the order of a nested dissection. After the last step on
    a tree the fewest cells are halved that have the part `bulk` of the sum of squared indicators. A
    cell's indicator is the size of an error whose residual is the root of the cell's share of the
    functional: h² times this root for -Δu. The ratio of errors to indicators follows from the
    change of the solution from one tree to the next. Before the solve ends, the solution is
    compared with one whose degree is higher by 2, with smaller cells at singular corners, and
    residuals are integrated at other points.

    Args:
        tolerance: the relative error, in L2, at which to stop.
        cells: the largest number of cells.
        bulk: the part of the squared error that the cells to be halved have at most, up to 1.
        steps: the largest number of solves.

    Raises:
        InputError: for values out of range; in a solve, for another kind of network, or what cells
            cannot solve.

    Reference: Dörfler, A convergent adaptive algorithm for Poisson's equation (1996), for the bulk.
    """

    tolerance: float = 1e-8
    cells: int = 20_000
    bulk: float = 0.99
    steps: int = 100
    needs_fixed_points = True
    lowers_loss = False
    fits_points = False

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        integer("cells", self.cells)
        integer("steps", self.steps)
        number("bulk", self.bulk, above=True)
        if self.bulk > 1:
            raise InputError(f"bulk must be at most 1, got {self.bulk}")

    def check(self, network: Network) -> None:
        dtype = require_cells(network).layer.coefficients.dtype
        if dtype != torch.float64:
            raise InputError(
                f"dtype must be float64 for a network in cells, got {dtype}: rounded coefficients "
                "would not have the accuracy that is estimated"
            )

    def finer(self) -> "Dissection":
        """A single solve on the cells that a network of a higher degree has from the beginning."""
        return replace(self, steps=1)

    def start(self, residuals: Residuals, seed: int) -> "DissectionStage":
        return DissectionStage(self, residuals)


class DissectionStage(Stage):
    """The state of a solve in cells: the network has the tree and the solution.

    Attributes:
        ratio: the error over the indicator on the last tree that was solved on; 0 if not known.
        indicated: the indicator of the relative error on that tree; infinite before the first one.
        estimate: the estimated relative error on that tree; infinite if not known.
        origin: the solution on that tree, given on the present tree, (N, L, m).
        compared: whether a solution has been compared with one of a higher degree, as all later
            ones are.
        chosen: the cells to halve before the next solve, a mask (N,); None on a tree that is new.
        newton: the changes by the steps of Newton's method.
    """

    kept = ("ratio", "indicated", "estimate", "compared", "origin", "chosen", "changes")
    geometry: CellGeometry

    def __init__(self, settings: Dissection, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        self.network = require_cells(residuals.surrogate.network)
        self.problem, self.means = problem_in_cells(residuals), mean_terms(residuals)
        self.ratio, self.indicated, self.estimate = 0.0, math.inf, math.inf
        self.newton, self.compared = NewtonProgress(), False
        self.chosen: Tensor | None = None
        self.origin = self._moved(self.problem.start(self.network.tree))

    @property
    def part(self) -> float:  # type: ignore[override]
        """How far the solve is, for its progress: the cube of found over wanted digits.

        The cube is taken as the last digits take most of the time. It is zero without an estimate.
        """
        wanted = math.log10(min(self.settings.tolerance, 0.1))
        return min(1.0, max(0.0, math.log10(min(self.estimate, 1.0) or 1e-300) / wanted)) ** 3

    @property
    def changes(self) -> tuple[float | int, ...]:
        """The numbers of `newton`, for a checkpoint."""
        return astuple(self.newton)

    @changes.setter
    def changes(self, numbers: tuple[float | int, ...]) -> None:
        self.newton = NewtonProgress(*numbers)  # type: ignore[arg-type]

    def _present(self) -> Tensor:
        return self.network.layer.coefficients.detach().double().cpu()

    def _geometry(self) -> CellGeometry:
        """The present cells."""
        if self.geometry.tree is not self.network.tree:  # it was read from a checkpoint
            self.geometry = self.problem.cells(self.network.tree)
        return self.geometry

    def _moved(self, geometry: CellGeometry) -> Tensor:
        """Take other cells for the same function, and return its coefficients there, (N, L, m)."""
        layer, self.geometry = self.network.layer, geometry
        if geometry.tree is not layer.tree:
            frames = layer.frames.double().cpu()
            present = prolonged(layer.polynomials, layer.tree, frames, self._present(), geometry)
            layer.reset(geometry.tree, geometry.frames, present)
        return self._present()

    def step(self) -> Step:
        if self.chosen is not None:
            self._split(self.chosen)
        network, system, before = self.network, *self._system()
        most = self.settings.cells
        if math.isinf(self.indicated) and (why := too_many(system, network.count, most)):
            raise InputError(f"{network.count} cells of degree {network.degree} {why}")
        geometry, found = system.geometry, system.solve()
        network.layer.reset(geometry.tree, geometry.frames, found.coefficients)
        if system.free_fields or self.means:
            set_constants(system, self.residuals.surrogate, self.means)
            found = replace(found, coefficients=self._present())
        size = system.norm(found.coefficients) or 1.0
        indicators = system.indicators(found) / size
        words = f"{network.count} cells, {found.coefficients.numel()} unknowns"
        newton = self.newton
        newton.add(system.norm(found.coefficients - before) / size)
        part, usual = 0.1, 0.1  # of the error that is left to Newton's method; error / indicator
        enough = max(1e-13, part * (self.ratio or usual) * float(indicators.norm()))
        if min(newton.change, newton.left) > enough and not system.is_linear(found.coefficients):
            words += f", change by Newton's method {newton.change:.1e}"
            if newton.stagnates:
                return self._refined(found, system, indicators, words)
            return Step(float(found.shares.sum()), words=words)
        return self._assessed(found, system, indicators, words)

    def _system(self) -> tuple[CellSystem, Tensor]:
        """The least-squares problem and the present solution, (N, L, m).

        Before the first solve cells in boundary layers are halved.
        """
        while True:
            before = self._present()
            system = self.problem.on(self._geometry(), self.network.polynomials, before)
            begun = math.isfinite(min(self.indicated, self.newton.change))
            layers = None if begun else cells_in_layers(system)
            if layers is None or not bool(layers.any()):
                return system, before
            part, more = 4, 2**self.network.tree.dim - 1  # the rest is left to the indicator
            if part * (len(layers) + more * int(layers.sum())) > self.settings.cells:
                return system, before
            self._split(layers)

    def _assessed(
        self, found: CellSolution, system: CellSystem, indicators: Tensor, words: str
    ) -> Step:
        """Estimate the error of the solution on a tree, and halve cells if it is too large."""
        settings, before, errors = self.settings, self.estimate, indicators
        self._extrapolate(found, system, float(indicators.norm()))
        chosen = bulk(errors * self.problem.divisible(system.geometry), settings.bulk)
        last = self.compared or why_no_smaller(self.problem, system, errors, chosen, settings.cells)
        if self.estimate <= settings.tolerance or last:
            size = system.norm(found.coefficients) or 1.0
            errors = errors_by_comparison(self.problem, system, found) / size
            self.estimate, self.compared = float(errors.norm()), True
            self.ratio = max(self.ratio, self.estimate / (self.indicated or 1.0))
            unseen = errors_by_missed_residuals(system, found) / size
            if float(unseen.norm()) > settings.tolerance:
                errors = errors + unseen
                self.estimate = float(errors.norm())
        finished = None
        if self.estimate <= settings.tolerance:
            finished = CONVERGED
        elif self.estimate > 0.5 * before and before < 1e-10:
            finished = f"{CONVERGED}: rounding leaves a relative error of {self.estimate:.1e}"
        return self._refined(found, system, errors, words, finished)

    def _refined(
        self,
        found: CellSolution,
        system: CellSystem,
        errors: Tensor,
        words: str,
        finished: str | None = None,
    ) -> Step:
        """Choose the cells to halve before the next step, unless the solve has finished."""
        settings = self.settings
        part = part_to_halve(settings.tolerance, self.estimate, settings.bulk)
        self.chosen = bulk(errors * self.problem.divisible(system.geometry), part)
        reached, notes = "Newton's method does not converge on these", {"cells": float(len(errors))}
        if math.isfinite(self.estimate):
            reached = f"the estimated relative error is {self.estimate:.1e}"
            notes["estimated_error"] = self.estimate
            words += f", estimated error {self.estimate:.1e}"
        why = why_no_smaller(self.problem, system, errors, self.chosen, settings.cells)
        if finished is None and why:
            finished = f"stopped: {why}; {reached}"
        return Step(float(found.shares.sum()), finished=finished, notes=notes, words=words)

    def _extrapolate(self, found: CellSolution, system: CellSystem, indicated: float) -> None:
        """Estimate the error by its ratio to the indicator on the trees before."""
        if self.ratio:
            self.estimate = self.ratio * indicated
        if math.isfinite(self.indicated):
            size = system.norm(found.coefficients) or 1.0
            error = system.norm(found.coefficients - self.origin) / size
            latest = error / self.indicated if self.indicated else 0.0
            self.estimate, self.ratio = max(self.ratio, latest) * indicated, latest
        self.indicated = indicated

    def _split(self, chosen: Tensor) -> None:
        """Halve cells; the solution stays the same function."""
        self.origin = self._moved(self.problem.refined(self._geometry(), chosen))
        self.newton, self.chosen = self.newton.on_new_tree(), None
