"""The resolved modes of a discretization, those asked for first."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretize import Discretization
from kanpinn.solvers.eigen.adjoint import SYMMETRIC, asymmetry, orthonormal_modes, subspace
from kanpinn.solvers.eigen.bounds import relative_residuals
from kanpinn.solvers.eigen.modes import Modes, widened
from kanpinn.solvers.eigen.pencil import pencil, rule
from kanpinn.solvers.eigen.samples import Samples, operator_size, samples
from kanpinn.solvers.eigen.spectrum import (
    RESOLVED,
    Spectrum,
    better_shift,
    chosen,
    order,
    real_parts,
    spectrum,
)

SPARE = 8  # eigenvalues beyond those asked for: some are spurious, and the gap to the next counts
NEXT = 3  # times as many next to the shift are looked at
TRIES = 4  # shifts that are tried
FRESH = 1.3  # times the points, for a rule with other nodes


@dataclass(frozen=True)
class Found:
    """The resolved modes, those asked for first, and where they come from.

    asymmetry: what was measured of it, where the problem does not say whether it is self-adjoint.
    unresolved: eigenvalues of the spectrum no further from the shift than those asked for, that are
    left out; nearer: those of them that are nearer than all of the modes.
    """

    modes: Modes
    spectrum: Spectrum
    self_adjoint: bool
    unresolved: int
    nearer: int = 0
    asymmetry: float = math.inf


def find_modes(discretization: Discretization, count: int, near: float | None) -> Found:
    """The first `count` and some to spare.

    Raises:
        LinAlgError: where the operator is not finite somewhere.
    """
    assert isinstance(discretization.problem, EigenProblem)
    inside = rule(discretization)
    found, which = _spectrum(discretization, inside, count, near)
    which = which[: count + SPARE]
    pairs = Modes(found.values[which], found.basis.to(found.vectors) @ found.vectors[:, which])
    modes = real_parts(pairs, found.shift)
    if not len(which):
        return Found(modes, found, False, len(found.values))
    seen = _samples(discretization, modes.columns, fresh_points(discretization))
    good = relative_residuals(modes.values, seen, found.shift) < RESOLVED
    left, modes, which = which[~good], modes[good], which[good]
    unresolved, nearer = (_unresolved(found, which[:first], left) for first in (count, 1))
    plain = Found(modes, found, False, unresolved, nearer)
    if discretization.problem.self_adjoint is False or not len(which):
        return plain
    return _orthonormal(discretization, plain, which, inside, count, near)


def _orthonormal(
    discretization: Discretization,
    plain: Found,
    which: Tensor,
    inside: Points,
    count: int,
    near: float | None,
) -> Found:
    """The modes as those of a self-adjoint problem, where it is one."""
    problem, found = discretization.problem, plain.spectrum
    assert isinstance(problem, EigenProblem)
    space = subspace(found, which)
    own = _samples(discretization, found.basis @ space.columns, inside)
    # Told by the modes that are wanted: others are less well resolved.
    size = own.fields.shape[1]
    wanted = torch.eye(size, min(count, size)).to(own.fields)
    measured = asymmetry(own @ wanted)
    if not problem.self_adjoint and measured > SYMMETRIC:
        return replace(plain, asymmetry=measured)
    modes = orthonormal_modes(found, space, own)
    return replace(plain, modes=modes[order(modes.values, near)], self_adjoint=True)


def fresh_points(discretization: Discretization) -> Points:
    """Points that the solve has not seen."""
    return rule(discretization, FRESH, fresh=True)


def _spectrum(
    discretization: Discretization, inside: Points, count: int, near: float | None
) -> tuple[Spectrum, Tensor]:
    """By a shift below the smallest eigenvalues, or close to `near`; which ones are wanted."""
    assert isinstance(discretization.problem, EigenProblem)
    size = operator_size(discretization.problem, discretization.surrogate, inside)
    shift = -size / 4 if near is None else near + 1e-3 * size
    rows = pencil(discretization, inside, size)
    for _ in range(TRIES):
        found = spectrum(rows, shift)
        which = chosen(found, NEXT * count + SPARE, near)
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


def _samples(discretization: Discretization, columns: Tensor, points: Points) -> Samples:
    problem = discretization.problem
    assert isinstance(problem, EigenProblem)
    return samples(problem, widened(discretization.surrogate, columns, len(problem.fields)), points)
