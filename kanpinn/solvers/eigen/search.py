"""The search for the first eigenpairs: over shifts for networks, over shifts and adapted cells
for networks in cells, and the choice of the resolved modes.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.eigen.eigensolution import paired
from kanpinn.solvers.eigen.modes import (
    Modes,
    ModeSamples,
    is_bounded_below,
    operator_size,
    pencil,
    rule,
    samples,
    widened,
)
from kanpinn.solvers.eigen.spectrum import (
    RESOLVED,
    SYMMETRIC,
    CellPairs,
    ShiftedProblem,
    Spectrum,
    asymmetry,
    better_shift,
    chosen,
    closer_shift,
    moved_block,
    nearest_pairs,
    order,
    orthonormal_modes,
    real_parts,
    relative_residuals,
    rounding,
    spectrum,
    subspace,
)
from kanpinn.spaces.cells.cells import require_cells
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.cell_system import CellInverse
from kanpinn.spaces.cells.system.memory import no_comparison, too_many
from kanpinn.tasks.adaptive import Dissection
from kanpinn.tasks.cell_errors import status_of_error
from kanpinn.tasks.refinement import bulk, part_to_halve, why_too_many


@dataclass(frozen=True)
class CellSpectrum:
    """The eigenvalues of an operator in cells.

    Args:
        spectrum: the wanted eigenpairs, in order, with the network's coefficients in `basis`.
        estimates: the expected error of each, (k,).
        status: "converged", with or without further words, or why the cells were not halved again.
    """

    spectrum: Spectrum
    estimates: Tensor
    status: str


class CellSearch:
    """The search for the eigenvalues of an operator in cells.

    On each tree the eigenpairs are found in a Krylov space of the operator's inverse. It starts
    with the modes of the tree before and two random functions, so that none is missed. The error
    of an eigenvalue is estimated by its mode's share of the least-squares functional. When all
    estimates are small enough, or the next cells would be too many, it is also estimated by the
    change of the eigenvalue if the degree is raised by 2, and the larger estimate is taken. The
    fewest cells are halved that have the part `bulk` of the sum of all errors.

    Args:
        discretization: of the eigenvalue problem; the network gets the cells.
        count: the number of eigenvalues.
        near: the number that they are nearest to; None for those at the end of the spectrum.
        settings: the tolerance of relative errors, and the numbers of cells and of trees.
        size: the magnitude of the first eigenvalues.
        up: whether the spectrum is bounded from below, not from above.
    """

    spare = 2  # functions with which a Krylov space starts besides the modes

    def __init__(
        self,
        discretization: Discretization[EigenProblem],
        count: int,
        near: float | None,
        settings: Dissection,
        size: float,
        up: bool,
    ) -> None:
        self.discretization, self.count, self.near = discretization, count, near
        self.settings, self.up = settings, up
        self.network = require_cells(discretization.surrogate.network)
        self.network.corners = None  # those of a problem that was solved before
        self.generator = torch.Generator().manual_seed(discretization.seed)
        end = -size / 4 if up else size / 4
        self._shift_to(end if near is None else near + 1e-3 * size)
        self.geometry = self.shifted.problem.start(self.network.tree)
        self.block = self._random(count + self.spare)

    def run(self) -> CellSpectrum:
        """Halve cells until the eigenvalues have the tolerance.

        Raises:
            InputError: if the first cells are too many.
            LinAlgError: if the operator is not finite at some point.
        """
        settings, before = self.settings, torch.inf
        for tree in range(1, settings.steps + 1):
            pairs, shares = self._pairs()
            estimates = shares.sum(dim=0)
            halved = self._halved(shares, estimates)
            stopped = why_too_many(pairs.inverse.system, halved, settings.cells, kept=1)
            if tree == settings.steps:
                stopped = stopped or f"the limit of {tree} steps is reached"
            if stopped or float(estimates.max()) <= settings.tolerance:
                if why := no_comparison(pairs.inverse.system, kept=1):
                    return self._found(pairs, estimates, f"stopped: {why}")
                changes = self._changes(pairs)
                worse = torch.maximum(changes, estimates)
                halved = self._halved(shares, worse)
                worst = float(worse.max())
                status = status_of_error(worst, before, settings.tolerance)
                if status := status or (stopped and f"stopped: {stopped}"):
                    return self._found(pairs, worse, status)
                before = worst
            self._split(pairs, halved)
        raise AssertionError("the last tree has a status")

    def _shift_to(self, shift: float) -> None:
        self.shifted = ShiftedProblem.of(self.discretization, shift, self.up)

    def _random(self, count: int) -> Tensor:
        """Random smooth functions, (N, L m, count)."""
        polynomials, decay = self.network.polynomials, 0.3
        sizes = (len(self.geometry.tree), polynomials.size, self.shifted.fields * count)
        found = torch.randn(sizes, generator=self.generator, dtype=torch.float64)
        found *= (decay ** polynomials.powers.sum(dim=1))[:, None]
        return found.unflatten(2, (self.shifted.fields, count)).flatten(1, 2)

    def _pairs(self) -> tuple[CellPairs, Tensor]:
        """The eigenpairs on the present tree, and the relative errors of λ by cells, (N, count).

        The errors that the Krylov space leaves are smaller than those of the cells.
        """
        tolerance, least = 1e-2, 1e-2 * self.settings.tolerance
        pairs = self._outside(tolerance)
        while True:
            shares = pairs.shares(self.count)
            closer = self._closer(pairs, shares.sum(dim=0))
            if closer is not None:
                self._shift_to(closer)
                pairs = self._nearest(self._inverse(), tolerance)
                shares = pairs.shares(self.count)
            wanted = max(least, 1e-2 * float(shares.sum(dim=0).max()))
            if wanted >= tolerance:
                values = pairs.values[: self.count]
                factors = (values - self.shifted.shift).abs() / self._sizes(values)
                return pairs, shares * factors
            tolerance = wanted
            pairs = self._nearest(pairs.inverse, tolerance)

    def _outside(self, tolerance: float) -> CellPairs:
        """The pairs for a shift beyond which there are no eigenvalues, or close to `near`."""
        pairs, tries = self._nearest(self._inverse(), tolerance), 4
        for _ in range(tries):
            ordered = order(pairs.values[: self.count], self.near, self.up)
            better = better_shift(pairs.spectrum, pairs.nearest[ordered], self.near)
            if better is None:
                break
            self._shift_to(better)
            pairs = self._nearest(self._inverse(), tolerance)
        return pairs

    def _closer(self, pairs: CellPairs, errors: Tensor) -> float | None:
        """A shift closer to the eigenvalues, where Krylov spaces are small; None to keep it.

        errors: the relative errors of μ. The new shift must be outside of the eigenvalues.
        """
        if self.near is not None:
            return None
        values = pairs.values[: self.count + 1]
        values = values[order(values, self.near, self.up)]
        closer = closer_shift(values, self.shifted.shift, self.up)
        if closer is None:
            return None
        unsure = float((errors * (pairs.values[: self.count] - self.shifted.shift).abs()).max())
        return closer if abs(closer - float(values[0].real)) > 5 * unsure else None

    def _inverse(self) -> CellInverse:
        """The inverse on the present cells.

        Raises:
            InputError: if they are more than the optimizer permits or than fit into memory.
        """
        found = self.shifted.inverse(self.geometry, self.network.polynomials)
        count, most = len(self.geometry.tree), self.settings.cells
        if why := too_many(found.system, count, most, kept=1):
            raise InputError(f"{count} cells of degree {self.network.degree} {why}")
        return found

    def _nearest(self, inverse: CellInverse, tolerance: float) -> CellPairs:
        """The nearest eigenpairs, with which the next search begins."""
        pairs = nearest_pairs(self.shifted, inverse, self.block, self.count, tolerance)
        self.block = pairs.block(self.count + self.spare)
        return pairs

    def _sizes(self, values: Tensor) -> Tensor:
        """What errors are relative to, (k,): |λ|, but |λ - σ| for an eigenvalue zero."""
        distances = (values - self.shifted.shift).abs()
        return torch.where(values.abs() > 1e-3 * distances, values.abs(), distances)

    def _changes(self, pairs: CellPairs) -> Tensor:
        """The relative changes of the eigenvalues for a better discretization, (count,).

        Its degree is higher by 2, and its cells are smaller at singular corners.
        """
        own, fields = self.network.polynomials, self.shifted.fields
        richer = LocalPolynomials(own.degree + 2, own.dim)
        fine = self.shifted.problem.deeper(self.geometry)
        block = moved_block(self.block, own, self.geometry, fine)
        block = richer.padded(block.unflatten(1, (own.size, fields)).flatten(2))
        start = block.unflatten(2, (fields, -1)).flatten(1, 2)
        tolerance = 1e-2 * self.settings.tolerance
        inverse = self.shifted.inverse(fine, richer)
        other = nearest_pairs(self.shifted, inverse, start, self.count, tolerance)
        values = pairs.values[: self.count]
        changes = (values - paired(values, other.values[: self.count + self.spare])).abs()
        return (changes + rounding(values, pairs.spectrum)) / self._sizes(values)

    def _halved(self, shares: Tensor, errors: Tensor) -> Tensor:
        """The cells to halve in all coordinates, (N, d), by their shares of errors (count,).

        Modes with the tolerance do not count, unless all have it: then the worst ones count.
        """
        worst = float(errors.max())
        errors = torch.where(errors > min(self.settings.tolerance, worst / 2), errors, 0)
        squares = (shares * (errors / shares.sum(dim=0))).sum(dim=1)
        squares = squares * self.shifted.problem.divisible(self.geometry)
        both = self.settings.tolerance**0.5, worst**0.5
        cells = bulk(squares.sqrt(), part_to_halve(*both, self.settings.bulk))
        return self.geometry.tree.everywhere(cells)

    def _split(self, pairs: CellPairs, halved: Tensor) -> None:
        """Halve cells; the functions with which the next search begins stay the same."""
        old, self.geometry = self.geometry, self.shifted.problem.refined(self.geometry, halved)
        moved = moved_block(pairs.block(self.count), self.network.polynomials, old, self.geometry)
        self.block = torch.cat([moved, self._random(self.spare)], dim=2)

    def _found(self, pairs: CellPairs, errors: Tensor, status: str) -> CellSpectrum:
        """The result; the network gets the cells."""
        values, geometry = pairs.values[: self.count], self.geometry
        estimates = errors * self._sizes(values)
        visible = values.imag.where(values.imag.abs() > estimates, 0)  # others would change places
        ordered = order(torch.complex(values.real, visible), self.near, self.up)
        layer = self.network.layer
        size = (len(geometry.tree), *layer.coefficients.shape[1:])
        layer.reset(geometry.tree, geometry.frames, torch.zeros(size))
        return CellSpectrum(pairs.polished(pairs.nearest[ordered]), estimates[ordered], status)


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
        estimates: the expected errors of the requested values, if the search has estimated them.
        status: the status of the search, in words; empty if it has none of its own.
    """

    modes: Modes
    spectrum: Spectrum
    fresh: Points
    self_adjoint: bool
    unresolved: int
    nearer: int = 0
    asymmetry: float = math.inf
    estimates: Tensor | None = None
    status: str = ""


def search_in_cells(
    discretization: Discretization[EigenProblem],
    count: int,
    near: float | None,
    settings: Dissection,
) -> CellSpectrum:
    """Find the first eigenvalues for a network in cells, which gets the cells that resolve them.

    Args:
        discretization: of the eigenvalue problem.
        count, near: which modes, see `find_modes`.
        settings: how accurate, and in how many cells.

    Raises:
        InputError: for what cells cannot solve.
        LinAlgError: if the operator is not finite at some point.
    """
    inside = rule(discretization)
    problem, surrogate = discretization.problem, discretization.surrogate
    size = operator_size(problem, surrogate, inside)
    up = is_bounded_below(problem, surrogate, inside)
    return CellSearch(discretization, count, near, settings, size, up).run()


def modes_in_cells(
    discretization: Discretization[EigenProblem],
    found: CellSpectrum,
    count: int,
    near: float | None,
) -> FoundModes:
    """Return the modes of a search in cells; its points should resolve the cells."""
    which = torch.arange(len(found.estimates))
    inside = rule(discretization)
    modes = _resolved(discretization, found.spectrum, which, inside, count, near, math.inf)
    return replace(modes, estimates=found.estimates, status=found.status)


def find_modes(
    discretization: Discretization[EigenProblem], count: int, near: float | None, spare: int = 8
) -> FoundModes:
    """Find the first modes of a discretized eigenvalue problem.

    Args:
        discretization: of the eigenvalue problem.
        count: the number of requested modes.
        near: the requested modes are the nearest to this number; None for those at the end of the
            spectrum.
        spare: the number of further modes that are computed, since some may be spurious and an
            error estimate needs the gap to the next eigenvalue.

    Raises:
        LinAlgError: if the operator is not finite at some point, or the decomposition fails.
    """
    inside = rule(discretization)
    found, which = _spectrum(discretization, inside, 3 * count + spare, near)
    return _resolved(discretization, found, which[: count + spare], inside, count, near)


def _resolved(
    discretization: Discretization[EigenProblem],
    found: Spectrum,
    which: Tensor,
    inside: Points,
    count: int,
    near: float | None,
    resolved: float = RESOLVED,
) -> FoundModes:
    """The modes of some eigenpairs whose relative residuals at fresh points are small enough.

    resolved: the limit; the other arguments are those of `find_modes`.
    """
    pairs = Modes(found.values[which], found.basis.to(found.vectors) @ found.vectors[:, which])
    modes, fresh = real_parts(pairs, found.shift), fresh_points(discretization)
    if not len(which):
        return FoundModes(modes, found, fresh, False, len(found.values))
    seen = _samples(discretization, modes.columns, fresh)
    good = relative_residuals(modes.values, seen, found.shift) < resolved
    left, modes, which = which[~good], modes[good], which[good]
    unresolved, nearer = (_unresolved(found, which[:first], left) for first in (count, 1))
    plain = FoundModes(modes, found, fresh, False, unresolved, nearer)
    if discretization.problem.self_adjoint is False or not len(which):
        return plain
    return _orthonormal(discretization, plain, which, inside, count, near)


def _orthonormal(
    discretization: Discretization[EigenProblem],
    plain: FoundModes,
    which: Tensor,
    inside: Points,
    count: int,
    near: float | None,
) -> FoundModes:
    """Return the modes orthonormalised if the problem is self-adjoint, `plain` if it is not."""
    problem, found = discretization.problem, plain.spectrum
    space = subspace(found, which)
    own = _samples(discretization, found.basis @ space.columns, inside)
    # Only the requested modes decide on symmetry, since the others are less well resolved.
    size = own.fields.shape[1]
    wanted = torch.eye(size, min(count, size)).to(own.fields)
    measured = asymmetry(own @ wanted)
    if not problem.self_adjoint and measured > SYMMETRIC:
        return replace(plain, asymmetry=measured)
    modes = orthonormal_modes(found, space, own)
    return replace(plain, modes=modes[order(modes.values, near, found.up)], self_adjoint=True)


def fresh_points(discretization: Discretization[EigenProblem]) -> Points:
    """Return a quadrature rule at points that the solve has not used, 1.3 times as many."""
    return rule(discretization, 1.3, fresh=True)


def _spectrum(
    discretization: Discretization[EigenProblem],
    inside: Points,
    looked_at: int,
    near: float | None,
    tries: int = 4,
) -> tuple[Spectrum, Tensor]:
    """Compute the spectrum with a shift below the smallest eigenvalues, or close to `near`.

    At most `tries` shifts are tried.

    Returns:
        The spectrum, and the ordered indices of the `looked_at` resolved eigenvalues nearest to
        the shift.
    """
    size = operator_size(discretization.problem, discretization.surrogate, inside)
    shift = -size / 4 if near is None else near + 1e-3 * size
    rows = pencil(discretization, inside, size)
    for _ in range(tries):
        found = spectrum(rows, shift)
        which = chosen(found, looked_at, near)
        better = better_shift(found, which, near)
        if better is None:
            break
        shift = better
    return found, which


def _unresolved(found: Spectrum, kept: Tensor, left: Tensor) -> int:
    distances = (found.values - found.shift).abs()
    reach = distances[kept].max() if len(kept) else distances[left].max() if len(left) else 0.0
    bad = found.residuals >= RESOLVED
    bad[left] = True
    return int((bad & (distances <= reach)).sum())


def _samples(
    discretization: Discretization[EigenProblem], columns: Tensor, points: Points
) -> ModeSamples:
    problem = discretization.problem
    return samples(problem, widened(discretization.surrogate, columns, len(problem.fields)), points)
