"""The search for the resolved modes of a discretized eigenvalue problem."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn.cells.adaptive.dissection import Dissection
from kanpinn.geometry import Points
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.eigen.adjoint import SYMMETRIC, asymmetry, orthonormal_modes, subspace
from kanpinn.solvers.eigen.bounds import relative_residuals
from kanpinn.solvers.eigen.cell_search import CellSearch, CellSpectrum
from kanpinn.solvers.eigen.modes import Modes, widened
from kanpinn.solvers.eigen.pencil import pencil, rule
from kanpinn.solvers.eigen.samples import ModeSamples, is_bounded_below, operator_size, samples
from kanpinn.solvers.eigen.spectrum import (
    RESOLVED,
    Spectrum,
    better_shift,
    chosen,
    order,
    real_parts,
    spectrum,
)


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
