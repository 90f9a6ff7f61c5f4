"""The search for the first eigenpairs as a method of the solve loop: one step for each shift of a
network's output layer, one for each tree of cells; and the choice of the resolved modes.
"""

import math
from abc import abstractmethod
from dataclasses import astuple, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import CONVERGED, InputError
from kanpinn.geometry import Points
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.method import Optimizer, Stage, Step
from kanpinn.pde.problem import EigenProblem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.eigen import spectrum
from kanpinn.solvers.eigen.spectrum import CellPairs, Modes, ShiftedProblem, Spectrum
from kanpinn.spaces.cells.cells import require_cells
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.cell_system import CellInverse
from kanpinn.spaces.cells.system.memory import no_comparison, too_many
from kanpinn.tasks.adaptive import AdaptiveLeastSquares, SolvePace
from kanpinn.tasks.cell_errors import ErrorProgress, status_of_error
from kanpinn.tasks.refinement import dorfler_marking, part_to_refine, why_too_many


@dataclass(frozen=True)
class EigenSearch(Optimizer):
    """The search for the first eigenvalues of an operator.

    Args:
        discretization: of the eigenvalue problem.
        count: the number of eigenvalues.
        near: the number that they are nearest to; None for those at the end of the spectrum.
        tolerance: the relative error with which an eigenvalue counts as known.
        cells: for a network in cells, the tolerance and the numbers of cells and of trees; None for
            other networks.
        steps: the largest number of shifts, or of trees.
    """

    discretization: Discretization[EigenProblem]
    count: int
    near: float | None
    tolerance: float = 1e-3
    cells: AdaptiveLeastSquares | None = None
    steps: int = 4
    lowers_loss = False
    title = "Eigenvalues"

    def start(self, residuals: Residuals, seed: int) -> "EigenStage":
        return (ShiftStage if self.cells is None else CellStage)(self, residuals)


class EigenStage(Stage):
    """The state of a search, whose eigenpairs are those nearest to a shift.

    Attributes:
        shift: the present shift σ, beyond which there are no eigenvalues, or which is close to the
            number that they are nearest to.
        up: whether the spectrum is bounded from below, not from above.
    """

    all_or_nothing = True

    def __init__(self, search: EigenSearch, residuals: Residuals) -> None:
        self.search, self.residuals = search, residuals
        problem, surrogate = search.discretization.problem, residuals.surrogate
        self.inside = spectrum.rule(search.discretization)
        # ‖L φ‖ / ‖M φ‖ of a smooth function φ has the magnitude of the first eigenvalues; for one
        # that varies on a small scale, ∫ L φ · M φ is positive for -Δ and negative for Δ.
        smooth = spectrum.of_wave(problem, surrogate, self.inside, 1.5)
        sizes = [float(part.square().mean().sqrt()) for part in smooth]
        self.size = sizes[0] / sizes[1] if min(sizes) > 0 else 1.0
        left, right = spectrum.of_wave(problem, surrogate, self.inside, 100.0)
        self.up = float((left * right).sum()) >= 0
        end = -self.size / 4 if self.up else self.size / 4
        self.shift = end if search.near is None else search.near + 1e-3 * self.size

    @abstractmethod
    def eigenpairs(self) -> tuple[Spectrum, Tensor, Tensor | None]:
        """The eigenpairs after the last step.

        Returns:
            A spectrum, the indices of the first eigenvalues in it, in order, and the expected
            errors of these, (count,), if the search estimates them.
        """


class ShiftStage(EigenStage):
    """The search on the output layer of a network: all eigenpairs of a pencil for each shift.

    tried: the number of shifts so far. last: the spectrum for the last one; None before any.
    """

    kept = ("shift", "tried")
    spare = 8  # further modes, as some may be spurious and estimates need the gap to the next one

    def __init__(self, search: EigenSearch, residuals: Residuals) -> None:
        super().__init__(search, residuals)
        self.pencil = spectrum.pencil(search.discretization, self.inside, self.size)
        self.tried = 0
        self.last: Spectrum | None = None

    def step(self) -> Step:
        self.tried += 1
        self.last = spectrum.pencil_spectrum(*self.pencil, self.shift, self.up)
        first = self._first(self.last)
        better = spectrum.better_shift(self.last, first, self.search.near)
        done = better is None or self.tried == self.search.steps
        words = f"{len(first)} eigenvalues are resolved for the shift {self.shift:.4g}"
        if better is not None and not done:
            self.shift = better
        loss = float(self.last.residuals[first[: self.search.count]].square().sum())
        return Step(loss, finished=CONVERGED if done else None, words=words)

    def _first(self, found: Spectrum) -> Tensor:
        return spectrum.chosen(found, 3 * self.search.count + self.spare, self.search.near)

    def eigenpairs(self) -> tuple[Spectrum, Tensor, None]:
        found = self.last or spectrum.pencil_spectrum(*self.pencil, self.shift, self.up)
        return found, self._first(found)[: self.search.count + self.spare], None


class CellStage(EigenStage):
    """The search in cells, which are refined until the eigenvalues have the tolerance.

    On each tree the eigenpairs are found in a Krylov space of the operator's inverse. It starts
    with the modes of the tree before and two random functions, so that none is missed. The error
    of an eigenvalue is estimated by its mode's share of the least-squares functional. When all
    estimates are small enough, or no further tree follows, it is also estimated by the change of
    the eigenvalue if the degree is raised by 2, and the larger estimate is taken. The fewest cells
    are refined that have the part `marking` of the sum of all errors.

    Attributes:
        trees: the number of trees so far.
        block: the functions with which the next Krylov space starts, (N, L m, n); the `leading`
            ones span the modes.
        marked: the coordinates in which cells are refined before the next step, a mask (N, d);
            None on a tree without eigenpairs.
        error: the largest relative error of an eigenvalue on the last tree.
        compared: that by the last comparison with a higher degree.
        found: the eigenpairs on the present tree with the relative errors of the first ones,
            (count,); None before they are computed.

    Raises:
        InputError: if the first cells are too many, or for what cells cannot solve.
    """

    kept = tuple("shift trees block leading marked error compared timing".split())
    steady = False
    spare = 2  # functions with which a Krylov space starts besides the modes

    def __init__(self, search: EigenSearch, residuals: Residuals) -> None:
        super().__init__(search, residuals)
        assert search.cells is not None
        self.settings, self.count, self.near = search.cells, search.count, search.near
        self.network = require_cells(residuals.surrogate.network)
        self.network.corners = None  # those of a problem that was solved before
        self.geometry = self.shifted.problem.start(self.network.tree)
        self.trees, self.pace = 0, SolvePace()
        self.error = self.compared = math.inf
        self.block, self.leading = self._random(self.count + self.spare), self.count
        self.marked: Tensor | None = None
        self.found: tuple[CellPairs, Tensor] | None = None
        self._show()

    @property
    def shift(self) -> float:
        """The present shift σ."""
        return self.shifted.shift

    @shift.setter
    def shift(self, shift: float) -> None:
        self.shifted = ShiftedProblem.of(self.search.discretization, shift, self.up)

    @property
    def timing(self) -> tuple[Any, ...]:
        """The state of `pace`, for a checkpoint."""
        return astuple(self.pace)

    @timing.setter
    def timing(self, state: tuple[Any, ...]) -> None:
        self.pace = SolvePace(*state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.geometry = self.shifted.problem.cells(self.network.tree)

    @property
    def part(self) -> float:  # type: ignore[override]
        """How far the search is, from 0 to 1."""
        return ErrorProgress(self.error).part(self.settings.tolerance)

    @property
    def expected_seconds(self) -> float | None:  # type: ignore[override]
        """The expected seconds of the next step; None before the first step."""
        tree, marked = self.geometry.tree, self.marked
        return self.pace.on(len(tree) if marked is None else tree.count_when_split(marked))

    def step(self) -> Step:
        self.pace.begin()
        if self.marked is not None:
            self._split(self.marked)
        self.trees += 1
        pairs, shares = self._pairs()
        system, settings, errors = pairs.inverse.system, self.settings, shares.sum(dim=0)
        self.pace.see(len(self.geometry.tree), self.pace.spent)
        self.marked, finished = self._mark(shares, errors), ""
        stopped = why_too_many(system, self.marked, settings.cells, kept=1)
        last = stopped or self.trees == settings.steps
        if last or float(errors.max()) <= settings.tolerance:
            uncompared = no_comparison(system, kept=1)
            uncompared = uncompared or self.pace.too_late(system, self.seconds_left)
            if uncompared:
                finished = f"stopped: {uncompared}"
            else:
                with self.pace.comparing():
                    errors = torch.maximum(self._changes(pairs), errors)
                self.marked, worst = self._mark(shares, errors), float(errors.max())
                finished = status_of_error(worst, self.compared, settings.tolerance)
                finished = finished or (stopped and f"stopped: {stopped}")
                self.compared = worst
        self.found, self.error = (pairs, errors), float(errors.max())
        return Step(
            float(shares.sum()),
            finished=finished or None,
            notes={"cells": float(self.network.count), "estimated_error": self.error},
            words=f"{self.network.count} cells, estimated error {self.error:.1e}",
        )

    def eigenpairs(self) -> tuple[Spectrum, Tensor, Tensor]:
        if self.found is None:
            pairs, shares = self._pairs()
            self.found = pairs, shares.sum(dim=0)
        pairs, errors = self.found
        values = pairs.spectrum.values[: self.count]
        estimates = errors * self._sizes(values)
        visible = values.imag.where(values.imag.abs() > estimates, 0)  # others would change places
        ordered = spectrum.order(torch.complex(values.real, visible), self.near, self.up)
        return pairs.polished(ordered), torch.arange(self.count), estimates[ordered]

    def _random(self, count: int) -> Tensor:
        """Random smooth functions, (N, L m, count)."""
        polynomials, decay = self.network.polynomials, 0.3
        seed = 1_000_003 * self.trees + self.search.discretization.seed
        generator = torch.Generator().manual_seed(seed)
        sizes = (len(self.geometry.tree), polynomials.size, self.shifted.fields * count)
        functions = torch.randn(sizes, generator=generator, dtype=torch.float64)
        functions *= (decay ** polynomials.powers.sum(dim=1))[:, None]
        return functions.unflatten(2, (self.shifted.fields, count)).flatten(1, 2)

    def _pairs(self) -> tuple[CellPairs, Tensor]:
        """The eigenpairs on the present tree, and the relative errors of λ by cells, (N, count).

        The errors that the Krylov space leaves are smaller than those of the cells.
        """
        tolerance, least = 1e-2, 1e-2 * self.settings.tolerance
        pairs = self._outside(tolerance)
        while True:
            shares, found = pairs.shares(self.count), pairs.spectrum
            if self.near is None:
                # Krylov spaces are small for a shift that is close to the first eigenvalues, but
                # outside of them.
                values = found.values[: self.count + 1]
                values = values[spectrum.order(values, None, self.up)]
                closer = spectrum.closer_shift(values, self.shift, self.up)
                unsure = float((shares.sum(dim=0) * found.distances[: self.count]).max())
                if closer is not None and abs(closer - float(values[0].real)) > 5 * unsure:
                    self.shift = closer
                    pairs = self._nearest(self._inverse(), tolerance)
                    shares = pairs.shares(self.count)
            enough = max(least, 1e-2 * float(shares.sum(dim=0).max()))
            if enough >= tolerance:
                found = pairs.spectrum
                factors = found.distances[: self.count] / self._sizes(found.values[: self.count])
                return pairs, shares * factors
            tolerance = enough
            pairs = self._nearest(pairs.inverse, tolerance)

    def _outside(self, tolerance: float) -> CellPairs:
        """The pairs for a shift beyond which there are no eigenvalues, or close to `near`."""
        pairs, tries = self._nearest(self._inverse(), tolerance), 4
        for _ in range(tries):
            first = spectrum.order(pairs.spectrum.values[: self.count], self.near, self.up)
            better = spectrum.better_shift(pairs.spectrum, first, self.near)
            if better is None:
                break
            self.shift = better
            pairs = self._nearest(self._inverse(), tolerance)
        return pairs

    def _inverse(self) -> CellInverse:
        """The inverse on the present cells.

        Raises:
            InputError: if they are more than the optimizer permits or than fit into memory.
        """
        inverse = self.shifted.inverse(self.geometry, self.network.polynomials)
        count, most = len(self.geometry.tree), self.settings.cells
        if why := too_many(inverse.system, count, most, kept=1):
            raise InputError(f"{count} cells of degree {self.network.degree} {why}")
        return inverse

    def _nearest(self, inverse: CellInverse, tolerance: float) -> CellPairs:
        """The nearest eigenpairs, with which the next search begins."""
        pairs = spectrum.nearest_pairs(self.shifted, inverse, self.block, self.count, tolerance)
        self.block, self.leading = pairs.block(self.count + self.spare), pairs.columns(self.count)
        return pairs

    def _sizes(self, values: Tensor) -> Tensor:
        """The scales of relative errors, (k,): |λ|, but |λ - σ| for an eigenvalue zero."""
        distances = (values - self.shift).abs()
        return torch.where(values.abs() > 1e-3 * distances, values.abs(), distances)

    def _changes(self, pairs: CellPairs) -> Tensor:
        """The relative changes of the eigenvalues for a better discretization, (count,).

        Its degree is higher by 2, and its cells are smaller at singular corners.
        """
        own, fields = self.network.polynomials, self.shifted.fields
        richer = LocalPolynomials(own.degree + 2, own.dim)
        fine = self.shifted.problem.deeper(self.geometry)
        block = spectrum.moved_block(self.block, own, self.geometry, fine)
        block = richer.padded(block.unflatten(1, (own.size, fields)).flatten(2))
        start = block.unflatten(2, (fields, -1)).flatten(1, 2)
        tolerance = 1e-2 * self.settings.tolerance
        inverse = self.shifted.inverse(fine, richer)
        other = spectrum.nearest_pairs(self.shifted, inverse, start, self.count, tolerance)
        values = pairs.spectrum.values[: self.count]
        others = spectrum.paired(values, other.spectrum.values[: self.count + self.spare])
        changes = (values - others).abs() + spectrum.rounding(values, pairs.spectrum)
        return changes / self._sizes(values)

    def _mark(self, shares: Tensor, errors: Tensor) -> Tensor:
        """The cells to refine in all coordinates, (N, d), by their shares of errors (count,).

        Modes with the tolerance do not count, unless all have it: then the worst ones count.
        """
        worst, tolerance = float(errors.max()), self.settings.tolerance
        errors = torch.where(errors > min(tolerance, worst / 2), errors, 0)
        squares = (shares * (errors / shares.sum(dim=0))).sum(dim=1)
        squares = squares * self.shifted.problem.singularities.divisible(self.geometry)
        part = part_to_refine(tolerance**0.5, worst**0.5, self.settings.marking)
        return self.geometry.tree.everywhere(dorfler_marking(squares.sqrt(), part))

    def _split(self, marked: Tensor) -> None:
        """Refine cells; the functions with which the next search begins stay the same."""
        old, self.geometry = self.geometry, self.shifted.problem.refined(self.geometry, marked)
        first = self.block[:, :, : self.leading]
        moved = spectrum.moved_block(first, self.network.polynomials, old, self.geometry)
        self.block = torch.cat([moved, self._random(self.spare)], dim=2)
        self.found = self.marked = None
        self._show()

    def _show(self) -> None:
        """Give the network the present cells, with the zero function."""
        layer, geometry = self.network.layer, self.geometry
        size = (len(geometry.tree), *layer.coefficients.shape[1:])
        layer.reset(geometry.tree, geometry.frames, torch.zeros(size))


@dataclass(frozen=True)
class FoundModes:
    """The resolved modes, the requested ones first, and the spectrum that they come from.

    Args:
        modes: the resolved modes, in order.
        spectrum: all eigenpairs of the discretisation.
        fresh: a quadrature rule at points that the spectrum does not depend on.
        self_adjoint: whether the modes are real and orthonormal for ∫ u·Mv.
        unresolved: the number of eigenvalues of the spectrum that are left out although they are
            no further from the shift than the requested ones.
        nearer: the number of those that are no further from the shift than the first mode.
        asymmetry: the measured asymmetry of the problem's forms if it was too large for a
            self-adjoint problem; infinite if it was not measured.
    """

    modes: Modes
    spectrum: Spectrum
    fresh: Points
    self_adjoint: bool
    unresolved: int
    nearer: int = 0
    asymmetry: float = math.inf


def resolved_modes(
    discretization: Discretization[EigenProblem],
    found: Spectrum,
    which: Tensor,
    count: int,
    near: float | None,
    limit: float = spectrum.RESOLVED,
) -> FoundModes:
    """The modes of some eigenpairs whose relative residuals at fresh points are small enough.

    Args:
        discretization: of the eigenvalue problem.
        found, which: the eigenpairs, and the indices of the first ones, in order.
        count, near: see `EigenSearch`.
        limit: of the relative residuals.
    """
    modes = spectrum.real_parts(found.modes(which), found.shift)
    fresh = spectrum.fresh_rule(discretization)
    if not len(which):
        return FoundModes(modes, found, fresh, False, len(found.values))
    problem, surrogate = discretization.problem, discretization.surrogate
    wide = spectrum.widened(surrogate, modes.columns)
    seen = spectrum.samples(problem, wide, fresh).of(modes.values)
    good = spectrum.relative_residuals(modes.values, seen, found.shift) < limit
    bad, modes, which = which[~good], modes[good], which[good]
    left = found.residuals >= spectrum.RESOLVED
    left[bad] = True  # spurious eigenvalues that are no further off than those that are kept
    unresolved, nearer = (
        int((left & (found.distances <= found.distances[kept if len(kept) else bad].max())).sum())
        for kept in (which[:count], which[:1])
    )
    plain = FoundModes(modes, found, fresh, False, unresolved, nearer)
    if problem.self_adjoint is False or not len(which):
        return plain
    columns, values = found.span(which)
    own = spectrum.widened(surrogate, found.basis @ columns)
    inside = spectrum.samples(problem, own, spectrum.rule(discretization))
    # Only the requested modes decide on symmetry, since the others are less well resolved.
    measured = spectrum.asymmetry(inside.map(lambda matrix: matrix[:, :count]))
    if not problem.self_adjoint and measured > spectrum.SYMMETRIC:
        return replace(plain, asymmetry=measured)
    modes = spectrum.orthonormal_modes(found, columns, values, inside)
    modes = modes[spectrum.order(modes.values, near, found.up)]
    return replace(plain, modes=modes, self_adjoint=True)
