"""`eigen`: the smallest eigenvalues of a linear operator, and their modes.

The search for eigenvalues is an optimizer of the solve loop. A step computes the eigenvalues
nearest to a shift. For a network in cells, there is one step on each tree of cells, and the cells
are refined between the steps.
"""

import math
import time
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Number
from typing import Any

import numpy
import torch
from torch import Tensor

from kanpinn._support.distributed import on_threads, world
from kanpinn._support.errors import (
    CONVERGED,
    FAILED,
    InputError,
    expecting,
    instance,
    integer,
    number,
    of_class,
)
from kanpinn.accuracy.eigenvalue_bounds import (
    MOST,
    EigenvalueBounds,
    EigenvalueCertificate,
    eigenvalue_certificate,
)
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Channels, Jet, ResidualFunction, random_jets
from kanpinn.loss import Residuals, ResidualTerm, Term
from kanpinn.networks import KAN, Network, Surrogate
from kanpinn.optimizers import Method, Stage, Step
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.coefficients import Unsuitable
from kanpinn.pde.problem import EigenProblem
from kanpinn.solvers.discretization import (
    Discretization,
    Loss,
    SolveSettings,
    build_surrogate,
    default_points,
    sized_for,
)
from kanpinn.solvers.eigen import spectrum
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.solution import Solved
from kanpinn.solvers.solve import default_optimizer
from kanpinn.solvers.state import History, Losses, Observer, SolverState
from kanpinn.spaces.cells.cells import Cells, require_cells
from kanpinn.spaces.cells.system.cell_system import ShiftedCells
from kanpinn.spaces.cells.system.functions import CellFunctions
from kanpinn.tasks.adapt import (
    ROUNDED,
    cells_in_layers,
    dorfler_marking,
    part_to_refine,
    why_too_many,
)
from kanpinn.tasks.adaptive import AdaptiveLeastSquares, AdaptiveStage

ADVICE = "more units, or points, would show more"


@dataclass(frozen=True)
class EigenSearch(Method):
    """The search for the first eigenvalues of an operator.

    Args:
        discretization: the discretization of the eigenvalue problem.
        count: the number of eigenvalues.
        near: the number around which eigenvalues are computed; None for the eigenvalues at the
            bounded end of the spectrum, which are the smallest eigenvalues if the spectrum is
            bounded from below.
        tolerance: the largest acceptable relative error of an eigenvalue, for the status.
        cells: for a network in cells, the tolerance and the largest numbers of cells and of trees;
            None for other networks.
        steps: the largest number of steps: of shifts or, for a network in cells, of trees.
    """

    discretization: Discretization[EigenProblem]
    count: int
    near: complex | None
    tolerance: float = 1e-3
    cells: AdaptiveLeastSquares | None = None
    steps: int = 4
    lowers_loss = False
    title = "Eigenvalues"

    def start(self, residuals: Residuals, seed: int) -> "EigenStage":
        return (ShiftStage if self.cells is None else CellStage)(self, residuals)


class EigenStage(Stage):
    """The state of a search for the eigenpairs nearest to a number, the shift; a base class.

    An eigenpair is an eigenvalue with its mode.

    Attributes:
        shift: the present shift σ, a real number. With `EigenSearch.near` the shift is close to the
            real part of `near`. Without it the first shift is `end`, and later shifts follow from
            the eigenvalues that were found.
        up: True if the spectrum is bounded from below, False if it is bounded from above.
        end: a number beyond the bounded end of the spectrum, so that no eigenvalue is expected
            beyond it; 0 if `near` is given.
        size: the order of magnitude of the first eigenvalues.
        inside: the quadrature points in the domain.
        doubt: the reason, as text, why modes may be missing; empty if there is no such reason.
    """

    all_or_nothing = True
    doubt = ""

    def __init__(self, search: EigenSearch, residuals: Residuals) -> None:
        self.search, self.residuals = search, residuals
        problem, surrogate = search.discretization.problem, residuals.surrogate
        self.inside = spectrum.rule(search.discretization)
        # The order of magnitude of the first eigenvalues.
        self.size = spectrum.magnitude_of_waves(problem, surrogate, self.inside, 1.5)
        self.up, self.end = True, 0.0
        if search.near is None:
            self.up, end = spectrum.end_of_spectrum(problem, surrogate, self.inside)
            self.end = end - (self.size if self.up else -self.size) / 4
        centre = None if search.near is None else complex(search.near).real
        self.shift = self.end if centre is None else centre + 1e-3 * self.size

    @abstractmethod
    def eigenpairs(self) -> tuple[spectrum.Spectrum, Tensor, Tensor | None]:
        """Return the eigenpairs after the last step.

        Returns:
            A spectrum; the indices in this spectrum of the first `count` eigenvalues, in order,
            which may be followed by some further eigenvalues; the expected errors of the first
            eigenvalues, (count,), or None if they are not known.
        """


class ShiftStage(EigenStage):
    """The search for eigenvalues on the output layer of a network.

    A step computes all eigenpairs for one shift σ: those of the inverse of L - σM.

    Attributes:
        pencil: the matrices L and M of the discretised eigenvalue problem L u = λ M u.
        tried: the number of shifts so far.
        last: the spectrum for the last shift; None before the first step.
    """

    kept = ("shift", "tried")
    spare = 8  # further modes, as some may be spurious, and estimates need the next eigenvalue

    def __init__(self, search: EigenSearch, residuals: Residuals) -> None:
        super().__init__(search, residuals)
        self.pencil = spectrum.pencil(search.discretization, self.inside, self.size)
        self.tried = 0
        self.last: spectrum.Spectrum | None = None

    def step(self) -> Step:
        self.tried += 1
        self.last = self._spectrum()
        first = self._first(self.last)
        better = spectrum.better_shift(self.last, self.search.near)
        done = better is None or self.tried == self.search.steps
        words = f"{len(first)} eigenvalues are resolved for the shift {self.shift:.4g}"
        if better is not None and not done:
            self.shift = better
        loss = float(self.last.residuals[first[: self.search.count]].square().sum())
        return Step(loss, finished=CONVERGED if done else None, words=words)

    def _spectrum(self) -> spectrum.Spectrum:
        """All eigenpairs of the discretised problem, computed with the present shift."""
        return spectrum.pencil_spectrum(*self.pencil, self.shift, self.search.near, self.up)

    def _first(self, found: spectrum.Spectrum) -> Tensor:
        """Return the indices of the first eigenvalues with a small residual, (k,), in order.

        Only the 3 · count + 8 eigenvalues with a small residual that are nearest to
        `EigenSearch.near`, or without it to the shift, are considered. Their order is that of
        `spectrum.order`: by the distance from `near`, or without it from the bounded end.

        Args:
            found: all eigenpairs for the present shift.
        """
        resolved = (found.residuals < spectrum.RESOLVED).nonzero()[:, 0]
        nearest = resolved[: 3 * self.search.count + self.spare]
        return nearest[spectrum.order(found.values[nearest], self.search.near, found.up)]

    def eigenpairs(self) -> tuple[spectrum.Spectrum, Tensor, None]:
        found = self.last or self._spectrum()
        return found, self._first(found)[: self.search.count + self.spare], None


class CellStage(EigenStage, AdaptiveStage[tuple[spectrum.CellPairs, Tensor]]):
    """The search for eigenvalues in cells, which are refined until errors are below the tolerance.

    On each tree of cells the eigenpairs are found in a Krylov space of the operator's inverse. The
    Krylov space starts with the modes of the tree before and two random functions, so that no mode
    is missed. The error of an eigenvalue is estimated from the least-squares functional of its
    mode. When all estimates are small enough, or after the last tree, the error is also estimated
    from the change of the eigenvalue if the degree is raised by 2; the larger estimate counts. Then
    the smallest set of cells is refined whose errors sum up to the part `marking` of the sum of all
    errors.

    Attributes:
        trees: the number of trees so far.
        block: the coefficients of the functions with which the next Krylov space starts,
            (N, L, m, n), for N cells, L polynomials per cell, m fields and n functions. The first
            `leading` functions span the modes.
        found: the eigenpairs on the present tree, and the relative errors of the first `count`
            eigenvalues, (count,); None before they are computed.
        count: the number of eigenvalues that are computed, at least the number asked for.
        begun: `shift`, `block`, `leading` and `count` before the search on the present tree, from
            which the eigenpairs are computed again when a run is resumed.
        errors: the relative errors of the first `count` eigenvalues on the last tree, (count,), if
            they come from a comparison; otherwise None.

    Raises:
        InputError: if there are too many cells at the start, or cells cannot solve the problem.
    """

    kept = tuple("shift trees block leading marked error pace count begun errors".split())
    spare = 2  # functions with which a Krylov space starts besides the modes
    beside = 1

    def __init__(self, search: EigenSearch, residuals: Residuals) -> None:
        EigenStage.__init__(self, search, residuals)
        assert search.cells is not None
        self.settings, self.count, self.near = search.cells, search.count, search.near
        network = require_cells(residuals.surrogate.network)
        AdaptiveStage.__init__(self, network, search.cells.tolerance, search.cells.cells, 1)
        network.corners = None  # removes the corners of a problem that was solved before
        self.problem = spectrum.problem_in_time(search.discretization)
        # The cells at a corner that the tolerance needs follow from the exponents there, while the
        # functional of a mode shows less than the error that they cause.
        self.geometry = self.problem.start(network.tree)
        self.geometry = self.problem.graded(self.geometry, min(1e-3, self.tolerance))
        for (x, y), exponent in self.problem.undecided_corners:
            self.doubt = (
                f"modes may be missing: at the corner ({x:g}, {y:g}) there are functions like "
                f"r^{exponent:.3g} that satisfy a boundary condition throughout, and the operator "
                "does not say whether modes contain them; if they do, add that condition, such as "
                "div E = 0, to the operator as a further equation with the mass 0"
            )
        self.trees, self.leading = 0, self.count
        while True:
            self.block = self._random(self.count + self.spare)
            steep = cells_in_layers(self._about_zero(self._block()).base)
            if not bool(steep.any()) or 4 * len(steep) > self.most:
                break
            self.geometry = self.problem.refined(self.geometry, steep)
        self.found: tuple[spectrum.CellPairs, Tensor] | None = None
        self.errors: Tensor | None = None
        self.begun = self.shift, self.block, self.leading, self.count
        self._show()

    def step(self) -> Step:
        self._begin_step()
        self.trees, self.errors = self.trees + 1, None
        self.begun = self.shift, self.block, self.leading, self.count
        if self.error.compared:
            self.error.before, self.error.compared = self.error.estimate, False
        pairs, shares = self._pairs()
        self.pace.see(len(self.geometry.tree), self.pace.spent)
        errors, last = self._errors(pairs, shares), self.trees == self.settings.steps
        self.found, self.error.estimate = (pairs, errors), float(errors.max())
        step = Step(float(shares.sum()), words=f"{self.network.count} cells")
        return self._assessed(
            pairs.cells.system(self.shift), (pairs, shares), errors, step, last=last
        )

    def eigenpairs(self) -> tuple[spectrum.Spectrum, Tensor, Tensor | None]:
        if self.found is None:
            self.pace.begin()
            after = self.shift
            self.shift, self.block, self.leading, self.count = self.begun
            pairs, shares = self._pairs()
            self.found, self.shift = (pairs, self._errors(pairs, shares)), after
        pairs, errors = self.found
        errors = errors if self.errors is None else self.errors
        values = pairs.spectrum.values[: self.count]
        estimates = errors * self._sizes(values)
        ordered = spectrum.order(self._visible(values, errors), self.near, self.up)
        ordered = ordered[: self.search.count]
        known = None if self.errors is None else estimates[ordered]
        return pairs.polished(ordered), torch.arange(len(ordered)), known

    def _random(self, count: int) -> Tensor:
        """Return random smooth functions in the present cells, as coefficients (N, L, m, count)."""
        polynomials, decay, fields = self.network.polynomials, 0.3, self.network.own_fields
        seed = 1_000_003 * self.trees + self.search.discretization.seed
        generator = torch.Generator().manual_seed(seed)
        sizes = (len(self.geometry.tree), polynomials.size, fields * count)
        functions = torch.randn(sizes, generator=generator, dtype=torch.float64)
        functions *= (decay ** polynomials.powers.sum(dim=1))[:, None]
        return functions.unflatten(2, (fields, count))

    def _pairs(self) -> tuple[spectrum.CellPairs, Tensor]:
        """Compute the eigenpairs on the present tree.

        The Krylov space is enlarged until its errors are a hundredth of the errors by the cells, or
        of the tolerance, or until the budget is used up.

        Returns:
            The eigenpairs, and the contributions of the N cells to the relative errors of the
            eigenvalues, (N, count).
        """
        tolerance, least = 1e-2, 1e-2 * self.tolerance
        pairs = self._outside(tolerance)
        while True:
            shares, found = pairs.shares(self.count), pairs.spectrum
            if self.near is None:
                # Krylov spaces are small for a shift that is close to the first eigenvalues, but
                # outside of the spectrum. Modes whose residual in the cells exceeds their distance
                # from the shift have hardly a part in the least-squares inverse.
                values = found.values[: self.count + 1]
                values = values[spectrum.order(values, None, self.up)]
                closer = spectrum.closer_shift(values, self.shift, self.up)
                sums, far = shares.sum(dim=0), found.distances[: self.count]
                unsure = max(5 * float((sums * far).max()), 2 * float((sums.sqrt() * far).max()))
                moves = closer is not None and abs(closer - float(values[0].real)) > unsure
                if closer is not None and moves and not self._is_late():
                    self.shift = closer
                    pairs = self._nearest(replace(pairs.cells), tolerance)
                    shares = pairs.shares(self.count)
            enough = max(least, 1e-2 * float(shares.sum(dim=0).max()))
            done = enough >= 0.5 * tolerance or self._is_late()
            shares = shares * self._factors(pairs)
            if done and not (self.near is None and self._needs_more(pairs, shares)):
                return pairs, shares
            tolerance = min(tolerance, enough)
            pairs = self._nearest(pairs.cells, tolerance)

    def _needs_more(self, pairs: spectrum.CellPairs, shares: Tensor) -> bool:
        """Raise `count` if complex eigenvalues need it; return whether they do and there is time.

        The first eigenvalues are those with the least real parts, while the search finds the
        eigenvalues that are nearest to the shift. An eigenvalue whose real part is small may be far
        from the shift if its imaginary part is large. Let x be the largest real part of the first
        eigenvalues, and y their largest imaginary part. Then all eigenvalues are computed that are
        not farther from the shift than x + 2 y i.

        Args:
            pairs: the eigenpairs for the present shift.
            shares: the contributions of the cells to the relative errors, (N, count).
        """
        found, asked, most = pairs.spectrum, self.search.count, 6 * self.search.count + 24
        values = self._visible(found.values[: self.count], self._errors(pairs, shares))
        values = values[found.residuals[: self.count] < spectrum.RESOLVED]
        first = values[spectrum.order(values, None, self.up)[:asked]]
        height = 2 * float(first.imag.abs().max()) if len(first) == asked else 0.0
        if height == 0 or self._is_late():
            return False
        depth = abs(float(first[-1].real) - self.shift)
        count = int((found.distances <= math.hypot(depth, height)).sum())
        if count > most:
            self.doubt = (
                f"modes may be missing: eigenvalues have imaginary parts up to {height / 2:.3g}, "
                "and others with larger ones may have smaller real parts; near finds them"
            )
        before, self.count = self.count, max(self.count, min(count, most))
        return self.count > before

    def _visible(self, values: Tensor, errors: Tensor) -> Tensor:
        """Return eigenvalues, (count,), without imaginary parts that may be errors.

        Args:
            values: the eigenvalues, (count,).
            errors: their relative errors, (count,).
        """
        imaginary = values.imag.where(values.imag.abs() > errors * self._sizes(values), 0)
        return torch.complex(values.real, imaginary)

    def _without_others(self, errors: Tensor, values: Tensor) -> Tensor:
        """Return the errors of eigenvalues, (count,), with 0 for those that are not asked for."""
        others = spectrum.order(values, self.near, self.up)[self.search.count :]
        return errors.index_fill(0, others, 0.0)

    def _factors(self, pairs: spectrum.CellPairs) -> Tensor:
        """Return the ratios of relative errors of λ to relative errors of μ, (count,).

        The search finds eigenvalues μ of the inverse operator, with λ = σ + 1/μ for the shift σ.

        Args:
            pairs: the eigenpairs.
        """
        found = pairs.spectrum
        return found.distances[: self.count] / self._sizes(found.values[: self.count])

    def _errors(self, pairs: spectrum.CellPairs, shares: Tensor) -> Tensor:
        """Return the relative errors of the eigenvalues due to cells and Krylov space, (count,).

        The error due to the cells is the sum of `shares` over the cells, to the power of the rate
        that holds at the problem's singular corners. The error due to the Krylov space is added.

        Args:
            pairs: the eigenpairs.
            shares: the contributions of the cells to the relative errors, (N, count).
        """
        by_cells = shares.sum(dim=0) ** self.problem.singularities.rate
        errors = by_cells + pairs.errors * self._factors(pairs)
        return self._without_others(errors, pairs.spectrum.values[: self.count])

    def _missed(self, pairs: spectrum.CellPairs, errors: Tensor) -> float | None:
        """Return a shift beyond eigenvalues that the search has missed; None if it missed none.

        Missed eigenvalues are searched from a shift beyond all expected eigenvalues, with random
        functions. For a shift close to other eigenvalues a Krylov space would contain a mode in a
        deep and narrow well only after many steps.

        Args:
            pairs: the eigenpairs on the present cells.
            errors: the relative errors of the first `count` eigenvalues, (count,).
        """
        side, values = 1 if self.up else -1, pairs.spectrum.values[: self.count]
        known, order = (side * values.real).sort()
        distance = float(known[-1]) - side * self.end
        span = max(float(known[-1] - known[0]), abs(float(known[0]) - side * self.shift))
        shift, cells = self.end, replace(pairs.cells)  # without the factors for the present shift
        if distance < 3 * span:
            shift, cells = self.shift, pairs.cells
        block = self._random(self.count + self.spare)  # known modes would hide missed modes
        tolerance = min(1e-2, max(1e-6, (0.1 * span / distance) ** 2))
        found = spectrum.nearest_pairs(
            cells, shift, None, self.up, block, self.count, tolerance, least=6 * block.shape[-1]
        ).spectrum
        resolved = found.residuals < spectrum.RESOLVED
        others, which = (side * found.values.real[resolved]).sort()
        residuals = found.residuals[resolved][which]
        compared = min(len(others), self.search.count)
        # On the same cells an eigenvalue depends on the shift by about its error.
        slack = (3 * errors * self._sizes(values))[order]
        limits = known[:compared] - slack[:compared]
        unsure = residuals * (others - side * shift).abs()
        missed = (others + unsure)[:compared] < limits
        if not bool(missed.any()):
            return None
        # If the inverse operator is not normal, its small eigenvalues μ may be noise.
        best = int(torch.where(missed, residuals[:compared], math.inf).argmin())
        gap = float(limits[best] - others[best])
        beside = side * (float(others[best]) - 0.01 * gap)
        closest = spectrum.nearest_pairs(
            replace(pairs.cells), beside, None, self.up, block, 1, 1e-2
        ).spectrum.values[0]
        if abs(complex(closest) - side * float(others[best])) > 0.1 * gap:
            return None
        return side * (float(others[best]) - span / 2)

    def _outside(self, tolerance: float) -> spectrum.CellPairs:
        """Return the eigenpairs for a shift beyond the end of the spectrum, or close to `near`.

        Args:
            tolerance: the relative error of the Krylov space.
        """
        cells, tries, unresolved = self._about_zero(self._block()), 4, 0.5
        self._check_size(cells.system(self.shift))
        pairs = self._nearest(cells, tolerance)
        for _ in range(tries):
            better = spectrum.better_shift(pairs.spectrum, self.near)
            if better is None or self._is_late():
                break
            before, moved = (self.shift, self.block, self.leading, pairs), abs(better - self.shift)
            far = moved > float(pairs.spectrum.distances[: self.count].max())
            self.shift = better
            pairs = self._nearest(replace(cells), tolerance)  # a copy without cached factors
            absent = float(pairs.spectrum.distances.min()) > moved
            if far and (absent or float(pairs.shares(1).sum()) > unresolved):
                # The eigenvalue beyond the earlier shift was noise.
                self.shift, self.block, self.leading, pairs = before
                break
        return pairs

    def _block(self) -> CellFunctions:
        """Return `block` as functions in the present cells."""
        return CellFunctions(self.geometry, self.network.polynomials, self.block)

    def _about_zero(self, functions: CellFunctions, *, witness: bool = False) -> ShiftedCells:
        """Return the operators L and M in cells, as a system that is solved for any shift.

        Args:
            functions: functions in cells; the system has the same cells and polynomials.
            witness: whether the weights of cells at singular corners are the weights for an error
                estimate, see `SingularCorners.weights`.
        """
        zeros = torch.zeros_like(functions.coefficients[..., 0])
        about = functions.of(torch.cat([zeros, zeros], dim=2))
        system = self.problem.linearised(about, limit=witness, integrated=False)
        return ShiftedCells(system, order=1)

    def _nearest(self, cells: ShiftedCells, tolerance: float) -> spectrum.CellPairs:
        """Return the eigenpairs nearest to the shift, and store their modes in `block`.

        The next Krylov space starts with them.

        Args:
            cells: the system in the present cells.
            tolerance: the relative error of the Krylov space.
        """
        pairs = self._search(cells, self.block, tolerance)
        self.block, self.leading = pairs.block(self.count + self.spare), pairs.columns(self.count)
        return pairs

    def _search(self, cells: ShiftedCells, block: Tensor, tolerance: float) -> spectrum.CellPairs:
        """Return the eigenpairs nearest to the shift.

        Args:
            cells: the system in cells.
            block: the functions with which the Krylov space starts, (N, L, m, p).
            tolerance: the relative error of the Krylov space.
        """
        return spectrum.nearest_pairs(
            cells, self.shift, self.near, self.up, block, self.count, tolerance, late=self._is_late
        )

    def _is_late(self) -> bool:
        """Return whether the present step has used up the budget."""
        return self.pace.spent > self.seconds_left

    def _sizes(self, values: Tensor) -> Tensor:
        """Return the sizes of eigenvalues λ by which their errors are divided, (k,).

        The size is |λ|; for eigenvalues close to zero it is the distance to the shift.

        Args:
            values: the eigenvalues, (k,).
        """
        distances = (values - self.shift).abs()
        return torch.where(values.abs() > 1e-3 * distances, values.abs(), distances)

    def _compared(self, solved: tuple[spectrum.CellPairs, Tensor], errors: Tensor) -> Tensor:
        """Return the errors of the eigenvalues by comparison with a finer space, (count,).

        The error of an eigenvalue is its relative change in the finer space, or the error in
        `errors` if that is larger, plus the error by quadrature at the collocation points. It is
        infinite if the search has missed eigenvalues. The degree of the finer space is higher by 2.
        Cells at singular corners are smaller, and their weights are the weights for an error
        estimate, see `SingularCorners.weights`.

        Args:
            solved: the eigenpairs, and the contributions of the cells to their errors, (N, count).
            errors: the relative errors estimated from the functional, (count,).
        """
        start, tolerance = self._block().on(self.problem.deeper(self.geometry)).richer, 1e-2
        finer = self._about_zero(start, witness=True)
        other = self._search(finer, start.coefficients, tolerance * self.tolerance)
        found = solved[0].spectrum
        values = found.values[: self.count]
        others = spectrum.paired(values, other.spectrum.values[: self.count + self.spare])
        changes = (values - others).abs() + spectrum.rounding(values, found)
        self.unseen = solved[0].quadrature_errors(self.count) * self._factors(solved[0])
        errors = torch.maximum(changes / self._sizes(values), errors) + self.unseen.sum(dim=0)
        errors = self._without_others(errors, values)
        if self.near is None and (beyond := self._missed(solved[0], errors)) is not None:
            self.shift, errors = beyond, torch.full_like(errors, math.inf)
        self.errors = errors
        self.error.compare(float(errors.max()))
        return errors

    def _mark(self, solved: tuple[spectrum.CellPairs, Tensor], errors: Tensor) -> str:
        """Mark cells for refinement by their contributions to the errors of the eigenvalues.

        An eigenvalue counts if its error is above the tolerance or, if all errors are below twice
        the tolerance, above half the largest error.

        Args:
            solved: the eigenpairs, and the contributions of the cells to their errors, (N, count).
            errors: the relative errors of the eigenvalues, (count,).

        Returns:
            The reason, as text, why there would be too many cells; empty if there would not.
        """
        shares, worst = solved[1] + self.unseen, float(errors.max())
        errors = torch.where(errors > min(self.tolerance, worst / 2), errors, 0)
        sums, krylov = shares.sum(dim=0), solved[0].errors * self._factors(solved[0])
        squares = shares * (errors / sums)
        # Where the Krylov space is too small for the modes, a cell's share does not matter.
        divisible = solved[0].above_rounding(self.count) | (krylov > sums)
        divisible |= self.unseen > solved[1]
        divisible &= self.problem.singularities.divisible(self.geometry)[:, None]
        left, squares = (squares * ~divisible).sum(), (squares * divisible).sum(dim=1)
        part = part_to_refine(self.tolerance**0.5, worst**0.5, self.settings.marking)
        self.marked = self.geometry.tree.everywhere(dorfler_marking(squares.sqrt(), part))
        if float(left) > float(squares.sum()):
            if self.errors is not None:  # what cells leave out at a jump changes all eigenvalues
                self.errors = torch.full_like(self.errors, worst)
            return ROUNDED
        system, kept = solved[0].cells.system(self.shift), self.kept_systems
        return why_too_many(system, self.marked, self.most, kept=kept)

    def _refine(self, marked: Tensor) -> None:
        modes = self._block().of(self.block[..., : self.leading])
        self.geometry = self.problem.refined(self.geometry, marked)
        moved = modes.on(self.geometry).coefficients
        self.block = torch.cat([moved, self._random(self.spare)], dim=3)
        self.found = self.marked = None
        self._show()

    def _show(self) -> None:
        """Store the present cells in the network, with the zero function, for the observers."""
        layer, geometry = self.network.layer, self.geometry
        size = (len(geometry.tree), *layer.coefficients.shape[1:])
        layer.reset(geometry.tree, geometry.frames, torch.zeros(size))


@dataclass(frozen=True)
class FoundModes:
    """The resolved modes of an eigenvalue problem, with the spectrum from which they come.

    A mode is resolved if its residual is small.

    Args:
        modes: the resolved modes, in order, the requested modes first.
        spectrum: all eigenpairs of the discretisation.
        fresh: quadrature points that were not used for the spectrum.
        self_adjoint: whether the modes are real and orthonormal for ∫ u·Mv.
        unresolved: the number of eigenvalues that are no further from `near`, or without it from
            the shift, than the requested modes but are left out for their large residual.
        nearer: the number of eigenvalues that are no further from `near`, or without it from the
            shift, than the first mode but are left out for their large residual.
        asymmetry: the measured asymmetry of the forms ∫ v·Lu and ∫ v·Mu, if it was too large for a
            self-adjoint problem; infinite if it was not measured.
    """

    modes: spectrum.Modes
    spectrum: spectrum.Spectrum
    fresh: Points
    self_adjoint: bool
    unresolved: int
    nearer: int = 0
    asymmetry: float = math.inf


def resolved_modes(
    search: EigenSearch, found: spectrum.Spectrum, which: Tensor, limit: float
) -> FoundModes:
    """Return the modes of given eigenpairs whose residual is small at fresh points.

    Modes of a self-adjoint problem are real and orthonormal for ∫ u·Mv. A problem is self-adjoint
    if its attribute says so, or if ∫ u·Lv and ∫ u·Mv are symmetric on the modes. Otherwise the
    modes are eigenvectors, real where the eigenvalues are real.

    Args:
        search: the search, with the number of modes that are requested.
        found: the eigenpairs of the discretisation.
        which: the indices of the given eigenpairs, in order.
        limit: the largest relative residual of a mode.
    """
    discretization, count = search.discretization, search.count
    modes = spectrum.real_parts(found.modes(which), found.shift)
    fresh = spectrum.fresh_rule(discretization)
    if not len(which):
        return FoundModes(modes, found, fresh, False, len(found.values))
    problem, surrogate = discretization.problem, discretization.surrogate
    wide = spectrum.widened(surrogate, modes.columns)
    seen = spectrum.samples(problem, wide, fresh).of(modes.values)
    # ‖L u - λ M u‖ / ‖L u - σ M u‖ is near 1 for spurious modes.
    rest, shifted = (
        torch.linalg.vector_norm(seen.operator - x * seen.mass, dim=0)
        for x in (modes.values, found.shift)
    )
    good = rest < limit * shifted.clamp_min(torch.finfo(shifted.dtype).tiny)
    bad, modes, which = which[~good], modes[good], which[good]
    left = found.residuals >= spectrum.RESOLVED
    left[bad] = True  # spurious eigenvalues
    distances = (found.values - (found.shift if search.near is None else search.near)).abs()
    unresolved, nearer = (
        int((left & (distances <= distances[kept if len(kept) else bad].max())).sum())
        for kept in (which[:count], which[:1])
    )
    plain = FoundModes(modes, found, fresh, False, unresolved, nearer)
    if problem.self_adjoint is False or not len(which):
        return plain
    columns, values = found.span(which)
    own = spectrum.widened(surrogate, found.basis @ columns)
    inside = spectrum.samples(problem, own, spectrum.rule(discretization))
    # Only the requested modes decide on symmetry, since further modes are less well resolved.
    measured = spectrum.asymmetry(inside.map(lambda matrix: matrix[:, :count]))
    first = found.values[which[:count]]
    if bool((first.imag.abs() > spectrum.SYMMETRIC * (first - found.shift).abs()).any()):
        measured = math.inf  # the form of a single complex mode has one entry, and is symmetric
    if not problem.self_adjoint and measured > spectrum.SYMMETRIC:
        return replace(plain, asymmetry=measured)
    modes = spectrum.orthonormal_modes(found, columns, values, inside)
    modes = modes[spectrum.order(modes.values, search.near, found.up)]
    return replace(plain, modes=modes, self_adjoint=True)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Eigensolution(Solved):
    """Eigenvalues and their modes; calling it returns the values of the modes at points.

    Notebooks show an eigensolution as tables with a picture.

    If the problem is self-adjoint, the modes are normalised to ∫ u·Mu = 1 and orthogonal to each
    other for ∫ u·Mv; otherwise they are normalised to ∫ |u|² = 1.

    Args:
        discretization: the problem, the network, the points and the weights of the solve.
        surrogate: the network, with one output for each field of each mode.
        residuals: the loss: L u - λ M u of all modes, and the conditions that do not hold exactly.
        status: "converged", "stopped: ..." or "failed: ...", with the reason.
        history: one row for each step, see `eigen`.
        values: the eigenvalues λ, (count,); a complex tensor only if some are complex.
        residual_norms: ‖L u - λ M u‖ / ‖u‖ of each mode, (count,), at points that the solve has
            not used.
        bounds: for each λ a distance within which there is an exact eigenvalue, (count,); None if
            the distances are not known.
        unbounded: the reason why `bounds` is None, as text; otherwise empty.
        estimates: the expected errors of the eigenvalues, (count,). An estimate is the squared
            residual norm divided by the distance to the other eigenvalues, which is valid if no
            eigenvalue is missing; None if there are no bounds. For cells there are no bounds, but
            estimates from the least-squares functional of each mode and from a higher degree; None
            if the search has ended before it compared its last eigenvalues with a higher degree.
        self_adjoint: whether the problem was solved as a self-adjoint problem.
        exact: the exact eigenvalues, (count,), paired with `values`; None if the problem has no
            `exact_eigenvalues`.
        errors: the relative errors |λ - exact| / |exact|, (count,), or the absolute error if the
            exact eigenvalue is zero; None if `exact` is None.
        unresolved: the number of eigenvalues of the discretisation that are no further from the
            shift than `values` but were left out for their large residual. They are spurious, or
            need more units.
        seconds: the wall time of the solve, in seconds.
        loss_terms: the value of each loss term, by name.
        optimizer_seconds: the time of the steps, in seconds.
        optimizers: empty, since no optimizer is used.
        processes: the number of processes, always 1.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> class String(kp.EigenProblem):
        ...     domain = kp.Box(x=(0, 1))
        ...     def operator(self, p, u):
        ...         return -kp.laplacian(u)
        ...     def conditions(self):
        ...         return [kp.Dirichlet(self.domain.boundary)]
        >>> modes = kp.eigen(String(), kp.KAN([1, 1], degree=9, grid=8), count=2)
        >>> modes(torch.tensor([[0.5]])).shape, modes.multiplicities
        (torch.Size([1, 2]), [1, 1])
    """

    shown_by = "kanpinn.plotting.modes"

    discretization: Discretization[EigenProblem]
    values: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    residual_norms: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    bounds: Tensor | None = None
    unbounded: str = "there are no modes"
    estimates: Tensor | None = None
    self_adjoint: bool = False
    exact: Tensor | None = None
    errors: Tensor | None = None
    unresolved: int = 0

    def __repr__(self) -> str:
        what = type(self.problem).__name__
        return f"<Eigensolution of {what}: {self.status}; values: {self.values.tolist()}>"

    @property
    def problem(self) -> EigenProblem:
        """The eigenvalue problem that was solved."""
        return self.discretization.problem

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of a mode's fields."""
        return tuple(self.problem.fields)

    @property
    def count(self) -> int:
        """The number of modes."""
        return len(self.values)

    @property
    def multiplicities(self) -> list[int]:
        """The multiplicity of each eigenvalue: how many of `values` equal it up to their errors."""
        slack = spectrum.SAME * self.values.abs()
        if self.estimates is not None:
            slack = torch.maximum(slack, 2 * self.estimates)
        gaps = (self.values[:, None] - self.values[None]).abs()
        return (gaps <= torch.maximum(slack[:, None], slack[None])).sum(dim=1).tolist()

    def __call__(self, points: Points | Tensor) -> Tensor:
        """Return the modes at points (n, d): (n, count), or (n, m, count) for m > 1 fields."""
        return self._complex(self._values(points))

    @torch.no_grad()
    def gradient(self, points: Points | Tensor) -> Tensor:
        """Return the first derivatives of the modes at points (n, d).

        Returns:
            The derivatives, (n, d, count), or (n, d, m, count) for m > 1 fields.
        """
        channels = Channels(self.problem.domain.names, gradient=True)
        gradient = self.surrogate.jet(self._points(points), channels).gradient
        assert gradient is not None
        return self._complex(gradient)

    @torch.no_grad()
    def residual(self, points: Points | Tensor) -> Tensor:
        """Return L u - λ M u of each mode at points (n, d): (n, equations, count)."""
        p, m, problem = self._points(points), len(self.fields), self.problem
        both = [spectrum.each(e, m) for e in (problem.operator_values, problem.mass_values)]
        jet = self.surrogate.jet(p, spectrum.channels_at(self.surrogate, both, p))
        left, right = (spectrum.as_modes(equation(p, jet), self.values) for equation in both)
        return left - self.values * right

    def intervals(
        self, tolerance: float | None = None, budget: float | int | None = None
    ) -> EigenvalueBounds:
        """Return guaranteed lower and upper bounds of exact eigenvalues next to `values`.

        There are bounds for -div(A∇u) + c u = λ r u in the plane, in domains with straight sides,
        with u = 0, ∂u/∂n = 0 or A∂u/∂n + α u = 0 on sides, and interfaces where A, c or r jumps.
        r must be positive and α ≥ 0. The bounds hold for exact eigenvalues that are counted from
        the bounded end of the spectrum on, so that they also show missed ones. Functions and fluxes
        on triangles are computed for them (`kanpinn.accuracy.eigenvalue_bounds`); the modes are
        not used.

        Args:
            tolerance: the width of an interval, relative to its eigenvalue, at which triangles are
                no longer refined; by default twice the estimated errors, or 1e-8 without them.
            budget: the most seconds for narrower intervals, after the first intervals are found.
                With a budget, meshes of up to 4500 triangles are refined. With None there is no
                limit of time, and meshes of up to 1500 triangles are refined.

        Returns:
            The bounds, or the reason why there are none.

        Reference: Goerisch and He, The determination of guaranteed bounds to eigenvalues with the
        use of variational methods (1990); Liu, A framework of verified eigenvalue bounds for
        self-adjoint differential operators (2015).

        Example:
            >>> import math
            >>> import kanpinn as kp
            >>> class Membrane(kp.EigenProblem):
            ...     domain = kp.Box(x=(0, 1), y=(0, 1))
            ...     def operator(self, p, u):
            ...         return -kp.laplacian(u)
            ...     def conditions(self):
            ...         return [kp.Dirichlet(self.domain.boundary)]
            >>> modes = kp.eigen(Membrane(), kp.KAN(hidden=[16], degree=7), count=1)
            >>> found = modes.intervals(tolerance=1e-4)
            >>> found.lower[0] <= 2 * math.pi**2 <= found.upper[0] < found.lower[0] + 1e-8
            True
        """
        try:
            return self.certificate(tolerance, budget).bound()
        except Unsuitable as reason:
            return EigenvalueBounds(reason=str(reason))

    def certificate(
        self, tolerance: float | None = None, budget: float | int | None = None
    ) -> EigenvalueCertificate:
        """Return the bounds of `intervals` with all data that are needed to check them.

        Args:
            tolerance, budget: as for `intervals`.

        Raises:
            Unsuitable: if there are no bounds for the problem.
        """
        deadline, most = math.inf, MOST
        if tolerance is not None:
            number("tolerance", tolerance, above=True)
        if budget is not None:
            number("budget", budget, above=True)
            deadline, most = time.perf_counter() + budget, 3 * MOST
        if not self.count:
            raise Unsuitable("there are no eigenvalues")
        if self.values.is_complex():
            raise Unsuitable("there are complex eigenvalues")
        if self.problem.domain.dim != 2:
            raise Unsuitable("bounds with fluxes on triangles are for domains in the plane")
        values = self.values.double().cpu()
        sizes = values.abs().clamp(min=1e-3 * float(values.abs().max()))
        widths = sizes * (1e-8 if tolerance is None else tolerance)
        if tolerance is None and self.estimates is not None:
            widths = 2 * self.estimates.double().cpu()
        return eigenvalue_certificate(self.problem, values.numpy(), widths.numpy(), most, deadline)

    def plot(
        self,
        mode: int | Sequence[int] | None = None,
        field: str | None = None,
        *,
        imaginary: bool = False,
        along: str | Sequence[str] | None = None,
        at: Mapping[str, float | int] | None = None,
        nodes: int | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw modes as lines over one coordinate, or as maps with nodal lines over two.

        Args:
            mode: the number of a mode, or the numbers of several modes; the first mode has the
                number 1, as in titles, tables and files. By default the first twelve modes.
            field: the name of a field of the modes; by default the first field.
            imaginary: whether to draw the imaginary part of complex modes, not the real part.
            along: the name of the coordinate that varies, or the names of two coordinates; by
                default at most two coordinates, see `plane_of` in `kanpinn.solvers.grid_fields`.
            at: the values of fixed coordinates, by name; by default the centre of the domain.
            nodes: the number of points along each axis; by default 401 for a line, 129 for a map.
            ax: axes of Matplotlib to draw in, one for each mode; by default the axes of a new
                figure of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several modes an array of axes, (modes,).

        Raises:
            InputError: for a mode, field or coordinate that does not exist, the imaginary part of
                real modes, or if the number of axes is not the number of modes.

        Example:
            >>> import kanpinn as kp
            >>> from matplotlib.figure import Figure
            >>> class String(kp.EigenProblem):
            ...     domain = kp.Box(x=(0, 1))
            ...     def operator(self, p, u):
            ...         return -kp.laplacian(u)
            ...     def conditions(self):
            ...         return [kp.Dirichlet(self.domain.boundary)]
            >>> modes = kp.eigen(String(), kp.KAN([1, 1], degree=6, grid=8), count=2)
            >>> modes.plot(2, ax=Figure().subplots()).get_xlabel()
            '$x$'
        """
        options = {"along": along, "at": at, "nodes": nodes}
        return self._view().plot(self, mode, field, imaginary=imaginary, **options, ax=ax)

    def _complex(self, outputs: Tensor) -> Tensor:
        """Return the surrogate's outputs as modes, complex if the eigenvalues are complex.

        Args:
            outputs: the real outputs, (…, outputs), see `spectrum.widened`.

        Returns:
            The modes, (…, count), or (…, m, count) for m > 1 fields.
        """
        m = len(self.fields)
        modes = spectrum.as_modes(outputs.unflatten(-1, (-1, m)).transpose(-1, -2), self.values)
        return modes[..., 0, :] if m == 1 else modes


def eigen(
    problem: EigenProblem,
    network: Network | None = None,
    count: int = 6,
    points: Collocation | None = None,
    *,
    optimizers: Method | None = None,
    tolerance: float | int | None = None,
    near: complex | None = None,
    boundary: str = "auto",
    loss: Loss | None = None,
    seed: int = 0,
    budget: float | int | None = None,
    observers: Sequence[Observer] = (),
    checkpoint: Mapping[str, Any] | None = None,
) -> Eigensolution:
    """Compute the smallest eigenvalues of L u = λ M u, and their modes.

    The operator L - σM, with a shift σ, is inverted in the least-squares sense on the span of the
    output layer's basis functions. The eigenvalues λ = σ + 1/μ nearest to the shift belong to the
    largest eigenvalues μ of this compact inverse. There is no iteration: each shift takes one
    singular value decomposition and one dense eigenvalue problem, O(P³) in the number P of
    coefficients of the output layer. A mode counts as spurious and is left out if its residual is
    large at points that the solve has not used.

    For a network in cells the same inverse is applied in a Krylov space, and the cells are refined
    until the estimated relative errors of the eigenvalues are below the tolerance of `optimizers`.

    Args:
        problem: the operator L, the mass M, the domain and homogeneous conditions.
        network: the network; the basis functions of its output layer span the space of trial
            functions. The solve places the grids of this network. The solution has a copy of the
            network with one output for each field of each mode. By default cells for up to three
            coordinates, and a KAN for more coordinates, for periodic problems and for problems with
            known singular functions.
        count: the number of eigenvalues, counted with multiplicity.
        points: the collocation points; None for k interior points for each coefficient of the
            output layer of a network with k inputs, see `default_points`.
        optimizers: for a network in cells the method with the tolerance and the largest number of
            cells, by default `AdaptiveLeastSquares(tolerance)`; None for other networks.
        tolerance: the relative error of the eigenvalues at which a search in cells ends; None for
            the default of `AdaptiveLeastSquares`. For other networks the status names the
            eigenvalues whose error may be above the tolerance; None for 1e-3.
        near: the real or complex number around which eigenvalues are computed; None for the
            smallest eigenvalues or, if the spectrum is bounded only from above, the largest ones.
            Complex eigenvalues are then ordered by their real parts.
            The shift is real also for a complex number: the search computes all eigenvalues that
            are about as close to the real part of the number.
        boundary: how boundary conditions are imposed, as for `solve`.
        loss: the weight of the operator, relative to the operator's size, and the weight of the
            conditions.
        seed: the seed of random points.
        budget: the most seconds that the steps may take, as for `solve`. There is a step for each
            shift or, for a network in cells, for each tree of cells.
        observers: called with the `SolverState` after every step, as for `solve`.
        checkpoint: a `SolverState.state_dict()` from which the search continues.

    Returns:
        The modes with residuals, bounds and a status; without modes if the solve has failed.

    Raises:
        InputError: if problem, network, points or weights do not fit together, if operator, mass
            or conditions are not linear and homogeneous, or if the output layer has fewer than
            `count` coefficients.

    Example:
        >>> import kanpinn as kp
        >>> class String(kp.EigenProblem):
        ...     domain = kp.Box(x=(0, 1))
        ...     def operator(self, p, u):
        ...         return -kp.laplacian(u)
        ...     def conditions(self):
        ...         return [kp.Dirichlet(self.domain.boundary)]
        >>> modes = kp.eigen(String(), kp.KAN([1, 1], degree=9, grid=8), count=3)
        >>> f"{float(modes.values[0]):.6f}"
        '9.869604'
        >>> f"{float(kp.eigen(String(), count=3, tolerance=1e-8).values[0]):.6f}"
        '9.869604'
    """
    started = time.perf_counter()
    problem = stated(problem, EigenProblem)
    network = default_eigen_network(problem) if network is None else network
    instance("network", network, Network)
    if tolerance is not None:
        number("tolerance", tolerance, above=True)
    settings = SolveSettings(points=points, boundary=boundary, loss=loss or Loss())
    discretization = discretize_eigen(problem, network, settings, seed, count, near)
    cells, steps = cell_settings(network, optimizers, tolerance), 4
    steps = steps if cells is None else cells.steps
    known = 1e-3 if tolerance is None else tolerance
    search = EigenSearch(discretization, count, near, known, cells, steps)
    own = None
    if checkpoint is not None:  # a network of all modes is reduced to the network of one mode
        layers = network.output_layers
        parts = {id(t) for x in layers for t in (x.coefficients, getattr(x, "kept", None))}
        with expecting("the checkpoint"):
            own = {**checkpoint, "network": dict(checkpoint["network"])}
            for name, tensor in network.state_dict(keep_vars=True).items():
                if id(tensor) in parts:
                    own["network"][name] = own["network"][name][..., : tensor.shape[-1]]
    with on_threads(network.threads):
        residuals = discretization.residuals()
        losses = Losses(lambda _: residuals)
        state = SolverState(losses, (search,), budget, checkpoint=own)
        status = run_stages(state, None, observers, seed, own)
        if checkpoint is not None and state.stage is None:
            return _restored(discretization, checkpoint)
        found = _solution(search, state, status)
        return replace(found, seconds=state.clock.earlier + time.perf_counter() - started)


def default_eigen_network(problem: EigenProblem) -> Network:
    """Return the default network of `eigen`: cells for up to three coordinates, else a KAN.

    The network is a KAN as well for problems that cells cannot solve: with known singular functions
    (`enrichment`), periodic ones, and those with `inputs`, as on a line with interfaces. In the
    plane and in space cells ignore inputs that have kinks at interfaces.
    """
    dim, conditions = problem.domain.dim, problem.conditions()
    periodic, kinks = (any(getattr(one, key) for one in conditions) for key in ("tied", "kinks"))
    chosen = problem.inputs() is not None and (dim == 1 or not kinks)
    if dim > 3 or periodic or chosen or problem.enrichment():
        return KAN(hidden=[64], degree=9, grid=[4, 8])
    return Cells(degree=10 if dim < 3 else 6, cells=2)


def cell_settings(
    network: Network, given: Method | None, tolerance: float | int | None = None
) -> AdaptiveLeastSquares | None:
    """Return the settings of a search in cells; None for other networks.

    Args:
        network: the network.
        given: the `optimizers` of the user; None for the default settings.
        tolerance: the tolerance of the default settings; None for the default tolerance.

    Raises:
        InputError: for settings that do not suit the network.
    """
    own = default_optimizer(network, tolerance)
    if not isinstance(own, AdaptiveLeastSquares):
        if given is not None:
            raise InputError(
                f"optimizers must be None for a {type(network).__name__}, whose eigenvalues are "
                f"found by linear algebra without settings, got {given!r}"
            )
        return None
    chosen = own if given is None else given
    if not isinstance(chosen, AdaptiveLeastSquares):
        raise InputError(
            f"optimizers must be AdaptiveLeastSquares for a network in cells, got {chosen!r}"
        )
    chosen.check(network)
    return chosen


def discretize_eigen(
    problem: EigenProblem,
    network: Network,
    settings: SolveSettings,
    seed: int,
    count: int,
    near: complex | None,
) -> Discretization[EigenProblem]:
    """Check the arguments of `eigen`, build the discretization, and place the network's grids.

    Args:
        problem, network, seed, count, near: as for `eigen`.
        settings: the collocation points, the way in which boundary data are imposed, and the loss.

    Raises:
        InputError: as for `eigen`.
    """
    problem = stated(problem, EigenProblem)
    integer("seed", seed, least=0)
    integer("count", count)
    if near is not None:
        for part in (near.real, near.imag) if isinstance(near, Number) else (near,):
            number("near", part, -math.inf)
    if world() > 1:
        raise InputError("an eigenvalue problem is solved by one process, not by a group")
    if network.in_windows:
        raise InputError(
            "network must be one function of all coordinates for an eigenvalue problem, such as "
            f"kp.Cells(), got {type(network).__name__}"
        )
    if len(network.parts) > 1:
        raise InputError("network must be a single one for an eigenvalue problem, not side by side")
    network.constants = None
    if settings.loss.form != "strong" or settings.loss.balance is not None:
        raise InputError("loss has weights only for an eigenvalue problem: no form, no balance")
    sized_for(problem, network)
    points = settings.points or default_points(network, network.width[0])
    instance("points", points, Collocation)
    if not network.solved_by and any(c.mass is not None for c in problem.conditions()):
        raise InputError(
            "network must be cells, such as kp.Cells(), for an eigenvalue in a condition, got "
            f"{type(network).__name__}"
        )
    surrogate, met = build_surrogate(problem, network, settings.boundary)
    settings.loss.check_unweighted(network)
    check_linear(problem)
    columns = sum(layer.coefficients.numel() for layer in network.output_layers)
    if count > columns:
        raise InputError(
            f"count must be at most {columns}, the coefficients of the output layer, got {count}"
        )
    found = Discretization(problem, surrogate, points, settings.loss, seed, met)
    surrogate.prepare(spectrum.rule(found))
    return found


def check_linear(problem: EigenProblem) -> None:
    """Check that the operator, the mass and the conditions are linear and homogeneous.

    Raises:
        InputError: if the operator, the mass or a condition is not linear and homogeneous; the
            message has its name and the deviation. Also if a mass has not as many equations as the
            operator or the condition to which it belongs, or if the highest derivative in the mass
            is not of lower order than that in the operator.
    """
    name = type(problem).__name__
    points = sample(problem.domain, 5, "uniform")
    columns, orders = [], []
    for what, equation in (("operator", problem.operator_values), ("mass", problem.mass_values)):
        jet = _check(equation, points, len(problem.fields), f"{name}.{what}")
        orders.append(jet.channels.derivative_order)
        columns.append(equation(points, jet).shape[1])
    if columns[0] != columns[1]:
        raise InputError(
            f"{name}.mass must have as many equations as the operator: expected {columns[0]}, got "
            f"{columns[1]}"
        )
    if orders[0] <= orders[1]:
        raise InputError(
            f"{name}.operator has derivatives up to order {orders[0]}, its mass up to {orders[1]}: "
            "the eigenvalues are isolated only if the operator has the higher order"
        )
    for condition in problem.conditions():
        places = condition.few_points()
        what, fields = f"{name}.{condition.title}, {of_class(condition)},", len(problem.fields)
        jet = _check(condition.stacked_residual, places, fields, what)
        if condition.mass is not None:
            other = _check(condition.stacked_mass, places, fields, f"the mass of {what}")
            got = condition.stacked_mass(places, other).shape[1]
            expected = condition.stacked_residual(places, jet).shape[1]
            if got != expected:
                raise InputError(
                    f"the mass of {what} must have as many equations as the condition: expected "
                    f"{expected}, got {got}"
                )


def _check(equation: ResidualFunction, points: Points, m: int, what: str) -> Jet:
    """Check that an equation is linear and homogeneous in the fields, up to 1e-8 of its size.

    Args:
        equation: the equation.
        points: the points at which it is evaluated.
        m: the number of fields.
        what: the name of the equation, for messages.

    Returns:
        A random jet (values and derivatives of the fields) with the derivatives that the equation
        uses.

    Raises:
        InputError: if the equation is not linear or not homogeneous.
    """
    jets = random_jets(equation, points, m)
    first, second = (equation(points, jet) for jet in jets)
    size = float(torch.maximum(first.abs().max(), second.abs().max()))
    if not math.isfinite(size):
        raise InputError(f"{what} must be finite: at some point of the domain it gives {size:g}")
    rest = float(equation(points, jets[0] * 0.0).abs().max())
    if not rest <= 1e-8 * size:
        raise InputError(f"{what} must be homogeneous: for u = 0 it gives {rest:.3g}, expected 0")
    mixed = equation(points, jets[0] * 2.0 - jets[1] * 3.0)
    gap = float((mixed - (2 * first - 3 * second)).abs().max())
    if not gap <= 1e-8 * size:
        raise InputError(
            f"{what} must be linear in the fields: it gives something else for 2u - 3v than "
            f"2 times that for u less 3 times that for v (by {gap:.1e} of {size:.1e})"
        )
    return jets[0]


def _solution(search: EigenSearch, state: SolverState, status: str) -> Eigensolution:
    """Return the result of an eigenvalue search: modes with residuals, bounds, errors and a status.

    Args:
        search: the search.
        state: the state at the end of the search.
        status: the status with which the solve loop ended.
    """
    discretization, stage = search.discretization, state.stage
    none = Eigensolution(
        discretization=discretization,
        residuals=state.residuals,
        status=status,
        history=state.history,
        optimizer_seconds=state.clock.seconds,
    )
    if status.startswith(FAILED):
        return none
    assert isinstance(stage, EigenStage)
    pairs, which, estimates = stage.eigenpairs()
    if search.cells is None:
        limit = spectrum.RESOLVED
    else:  # cells need many points for inner products
        points, limit = discretization.collocation, math.inf
        points = replace(points, interior=max(points.interior, 30 * search.count))
        discretization = replace(discretization, collocation=points)
        search = replace(search, discretization=discretization)
    found = resolved_modes(search, pairs, which, limit)
    first = found.modes[torch.arange(min(search.count, len(found.modes.values)))]
    values, problem = first.values, discretization.problem
    if not len(values):
        status = f"failed: no eigenvalue is resolved: {ADVICE}"
        return replace(none, status=status, unresolved=found.unresolved)
    surrogate = spectrum.widened(none.surrogate, first.columns)
    seen = spectrum.samples(problem, surrogate, found.fresh).of(values)
    # The value of largest modulus becomes positive, and ∫ |u|² = 1 unless modes are orthonormal.
    largest = seen.fields.gather(0, seen.fields.abs().argmax(dim=0, keepdim=True))[0]
    factor = largest.abs() / largest
    if not found.self_adjoint:
        factor = factor / torch.linalg.vector_norm(seen.fields, dim=0)
    modes = spectrum.Modes(values, first.coefficients * factor)
    none = replace(none, discretization=discretization)
    made = _with_modes(none, spectrum.widened(none.surrogate, modes.columns), values, seen)
    if status == CONVERGED and stage.doubt:
        status = f"stopped: {stage.doubt}"
    bounds, unbounded = None, "cells meet conditions and continuity in least squares"
    if search.cells is None:
        bounds, estimates, unbounded = _bounds(search, found, values, seen)
        if status == CONVERGED:
            errors = made.residual_norms if estimates is None else estimates
            status = _status(found, values, errors, search)
    loss = sum(term.weight * made.loss_terms[term.name] for term in made.residuals.terms)
    state.history.rows[-1] |= {"loss": loss, "modes": len(values)}
    state.last = state.state_dict() | {"network": made.network.state_dict()}
    made = replace(made, bounds=bounds, unbounded=unbounded, estimates=estimates, status=status)
    made = replace(made, self_adjoint=found.self_adjoint, unresolved=found.unresolved)
    if (exact := paired_exact_values(problem, values, search.near)) is None:
        return made
    errors = (values.cpu() - exact).abs() / torch.where(exact.abs() > 0, exact.abs(), 1.0)
    made = replace(made, exact=exact, errors=errors)
    _warn_of_contradiction(made)
    return made


def _warn_of_contradiction(made: Eigensolution) -> None:
    """Warn if an exact eigenvalue of the problem is not where a search has found an eigenvalue.

    Searches that have not converged are not judged. A difference passes if it is at most 30
    estimated errors, or at most 1e-6 of the eigenvalue, since `exact_eigenvalues` may give rounded
    numbers.
    """
    if made.status != CONVERGED or made.estimates is None:
        return
    if made.exact is None or made.errors is None:
        return
    gaps = (made.values.cpu() - made.exact).abs()
    wrong = (gaps > 30 * made.estimates.cpu()) & (made.errors > 1e-6)
    if bool(wrong.any()):
        first = int(wrong.to(torch.uint8).argmax())
        exact, found = made.exact[first].item(), made.values[first].item()
        warnings.warn(
            f"{type(made.problem).__name__}.exact_eigenvalues gives {exact:.8g} for an eigenvalue "
            f"that was found to be {found:.8g}, with an estimated error of "
            f"{float(made.estimates[first]):.1e}: it is wrong, or an eigenvalue was missed",
            stacklevel=4,
        )


def _with_modes(
    none: Eigensolution, surrogate: Surrogate, values: Tensor, seen: spectrum.ModeSamples
) -> Eigensolution:
    """Complete an eigensolution that has no modes by modes, and return it.

    Args:
        none: the solution without modes.
        surrogate: the surrogate with an output for each field of each mode.
        values: the eigenvalues, (count,).
        seen: the samples of the modes at fresh points.
    """
    terms = terms_of(none.discretization, surrogate, values)
    residuals, norms = Residuals(surrogate, terms), spectrum.residual_norms(values, seen)
    by_term = residuals.term_values()
    return replace(
        none, residuals=residuals, values=values, residual_norms=norms, loss_terms=by_term
    )


def _status(found: FoundModes, values: Tensor, errors: Tensor, search: EigenSearch) -> str:
    """Return the status of a search on an output layer.

    Args:
        found: the resolved modes.
        values: the eigenvalues of the solution, (k,), with k at most `search.count`.
        errors: the expected absolute errors of the eigenvalues, (k,).
        search: the search, with the number of eigenvalues and the tolerance.
    """
    named_at_most, near = 6, search.near
    if near is not None and found.nearer:
        return (
            f"stopped: eigenvalues nearer to {near:g} are not resolved ({found.nearer}): {ADVICE}"
        )
    if len(values) < search.count:
        return f"stopped: only {len(values)} of {search.count} eigenvalues are resolved: {ADVICE}"
    distances = (values - found.spectrum.shift).abs()
    part = errors / torch.maximum(values.abs(), 1e-3 * distances)  # some eigenvalue may be 0
    poor = [
        str(index + 1) for index, share in enumerate(part.tolist()) if not share <= search.tolerance
    ]
    if not poor:
        return CONVERGED
    named = f"{', '.join(poor[:named_at_most])}{', …' if len(poor) > named_at_most else ''}"
    which = f"eigenvalues {named} are" if len(poor) > 1 else f"eigenvalue {named} is"
    return f"stopped: {which} known to {100 * float(part.max()):.2g}% only: {ADVICE}"


def _bounds(
    search: EigenSearch, found: FoundModes, values: Tensor, seen: spectrum.ModeSamples
) -> tuple[Tensor | None, Tensor | None, str]:
    """Return error bounds and error estimates for the eigenvalues of a search on an output layer.

    Args:
        search: the search.
        found: the resolved modes.
        values: the eigenvalues, (count,).
        seen: the samples of the modes at fresh points.

    Returns:
        The bounds, (count,), and the estimates, (count,), or None and None; and the reason, as
        text, why they are None, which is empty otherwise.
    """
    if not found.self_adjoint:
        if math.isinf(found.asymmetry):  # it was not measured, or is not defined
            return None, None, "the problem is not self-adjoint"
        found_not = (
            f"the problem was not found to be self-adjoint (asymmetry {found.asymmetry:.0e})"
        )
        more = "where it is, more points show it, or self_adjoint = True says so"
        return None, None, f"{found_not}; {more}"
    discretization = search.discretization
    if discretization.penalties():
        return None, None, "conditions are met by the penalty, not exactly"
    density = spectrum.density_of(discretization.problem, discretization.surrogate, found.fresh)
    if density is None:
        return None, None, "the mass is no multiplication by a positive function"
    noise = spectrum.rounding(values, found.spectrum)
    norms = spectrum.residual_norms(values, seen, density)
    # The gaps are |λ - ∫ u·Lu / ∫ u·Mu|, by another quadrature rule than in the solve.
    u, rest = seen.fields, seen.operator - values * seen.mass
    gaps = ((u * rest).sum(dim=0) / (u * seen.mass).sum(dim=0)).abs()
    expected = spectrum.kato_temple(values, norms, found.modes.values[len(values) :]) + gaps
    return norms + noise, torch.minimum(norms, expected) + noise, ""


def terms_of(
    discretization: Discretization[EigenProblem], surrogate: Surrogate, values: Tensor
) -> list[Term]:
    """Return the loss terms of all modes: L u - λ M u, and the conditions that do not hold exactly.

    Args:
        discretization: the discretization of the eigenvalue problem.
        surrogate: the surrogate with an output for each field of each mode.
        values: the eigenvalues, (count,).
    """
    problem, m = discretization.problem, len(discretization.problem.fields)
    sides = problem.operator_values, problem.mass_values

    def residual(operator: ResidualFunction, mass: ResidualFunction) -> ResidualFunction:
        """Return the function that evaluates L u - λ M u of all modes, as real columns.

        Args:
            operator, mass: L and M, for one mode.
        """
        left, right = (spectrum.each(one, m) for one in (operator, mass))

        def equation(p: Points, u: Jet) -> Tensor:
            """Return the residuals of all modes, (n, columns), real parts first."""
            lhs, rhs = (spectrum.as_modes(one(p, u), values) for one in (left, right))
            rest = (lhs - values * rhs).flatten(1)
            return torch.cat([rest.real, rest.imag], dim=1) if rest.is_complex() else rest

        return equation

    def of_modes(term: ResidualTerm) -> ResidualTerm:
        """Return the term of a condition for all modes."""
        if term.mass is None:
            flat = spectrum.each(term.equation, m)
            return replace(term, equation=lambda p, u: flat(p, u).flatten(1))
        rest = residual(term.equation, term.mass)
        channels = term.channels | spectrum.channels_at(surrogate, [rest], term.points)
        return replace(term, channels=channels, equation=rest, mass=None)

    points, equation = spectrum.rule(discretization), residual(*sides)
    channels = spectrum.channels_at(surrogate, [equation], points)
    inside = ResidualTerm(
        "interior", points, float(discretization.loss.interior), channels, equation
    )
    return [inside, *map(of_modes, discretization.penalties())]


def _restored(
    discretization: Discretization[EigenProblem], state: Mapping[str, Any]
) -> Eigensolution:
    """Return the eigensolution of a finished search from its checkpoint.

    The eigenvalue λ of a mode u is the number that minimises ‖L u - λ M u‖. The solution has no
    bounds and no errors, and the status "failed: not known". It has no modes if the search has
    found none.

    Args:
        discretization: the discretization of the eigenvalue problem, with the network before the
            solve.
        state: the checkpoint, a `SolverState.state_dict()`.
    """
    problem, surrogate = discretization.problem, discretization.surrogate
    m, rows = len(problem.fields), list(state["history"])
    count = int(rows[-1].get("modes", 0)) if rows else 0
    none = Eigensolution(
        discretization=discretization,
        residuals=discretization.residuals(),
        status="failed: not known",
        history=History(rows),
        seconds=sum(state["seconds"]),
        optimizer_seconds=list(state["seconds"]),
    )
    if not count:
        return none
    network = surrogate.network
    last = state["network"][f"layers.{len(network.layers) - 1}.coefficients"]
    size = sum(layer.coefficients.numel() for layer in network.output_layers)
    surrogate = spectrum.widened(surrogate, surrogate.low.new_zeros(size, last.shape[-1] // m))
    surrogate.network.load_state_dict(state["network"])
    seen = spectrum.samples(problem, surrogate, spectrum.fresh_rule(discretization))
    like = seen.mass.new_zeros(count)
    if seen.mass.shape[1] > count:  # complex modes have two columns each
        like = like.to(like.dtype.to_complex())
    modes = seen.of(like)
    product = (modes.mass.conj() * modes.operator).sum(dim=0)
    values = product / modes.mass.abs().square().sum(dim=0)
    return _with_modes(none, surrogate, values, seen.of(values))


def paired_exact_values(
    problem: EigenProblem, values: Tensor, near: complex | None
) -> Tensor | None:
    """Return the exact eigenvalue that is paired with each computed eigenvalue, (count,).

    The pairing is one to one and minimises the sum of the distances, so that a missing mode shows
    as an error of another mode.

    Args:
        problem: the problem, which may have `exact_eigenvalues`.
        values: the computed eigenvalues, (count,).
        near: the number around which eigenvalues were computed; None for the first eigenvalues. For
            a number, 4 · count exact eigenvalues are requested. This number is doubled, at most
            seven times, until the exact eigenvalues reach as far from `near` as the values.

    Returns:
        The exact eigenvalues; None if the problem has none, or too few of them around `near`.

    Raises:
        InputError: if `exact_eigenvalues` of the problem returns fewer than `count` numbers, or
            anything but finite numbers.
    """
    count = len(values)
    if not problem.has_exact_eigenvalues or count == 0:
        return None
    if near is None:
        return spectrum.paired(values, _exact(problem, count)[:count])
    reach = float((values - near).abs().max())
    for asked in (4 * count * 2**power for power in range(8)):
        exact = _exact(problem, asked, least=count)
        if float((exact - near).abs()[-1]) > reach and float(exact[-1].abs()) > abs(near):
            return spectrum.paired(values, exact[(exact - near).abs().argsort()[:count]])
        if len(exact) < asked:
            return None
    return None


def _exact(problem: EigenProblem, count: int, least: int | None = None) -> Tensor:
    """Return the exact eigenvalues that a problem gives, float64 or complex128.

    These are all numbers that `exact_eigenvalues` returns; their number may differ from `count`.

    Args:
        problem: the problem.
        count: the number of eigenvalues for which the problem is asked.
        least: the least number of eigenvalues; None for `count`.

    Raises:
        InputError: if there are fewer eigenvalues, or if they are not finite numbers.
    """
    given = problem.exact_eigenvalues(count)
    what = f"{type(problem).__name__}.exact_eigenvalues({count})"
    least = count if least is None else least
    listed = isinstance(given, Sequence | numpy.ndarray | Tensor) and len(given) >= least
    if not listed or not all(isinstance(v, Number) or getattr(v, "ndim", 1) == 0 for v in given):
        raise InputError(f"{what} must give {least} numbers, got {given!r}")
    exact = torch.tensor([complex(v) for v in given], dtype=torch.complex128)
    if not bool(torch.isfinite(exact).all()):
        raise InputError(f"{what} must give finite numbers, got {given!r}")
    return exact if bool(exact.imag.any()) else exact.real
