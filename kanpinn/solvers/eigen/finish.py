"""The assembly of an `Eigensolution`: residuals, bounds, errors and status of the modes found."""

import time
from dataclasses import replace

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.pde.evaluate import ResidualFunction
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.eigen.bounds import kato_temple, rayleigh_gaps, residual_norms, rounding
from kanpinn.solvers.eigen.compared import paired_exact_values, relative_errors
from kanpinn.solvers.eigen.eigensolution import Eigensolution
from kanpinn.solvers.eigen.finding import FoundModes
from kanpinn.solvers.eigen.modes import Modes, as_modes, widened
from kanpinn.solvers.eigen.pencil import channels_at, rule
from kanpinn.solvers.eigen.samples import ModeSamples, density_of, each, samples
from kanpinn.solvers.eigen.status import ADVICE, not_self_adjoint, status_of
from kanpinn.solvers.history import History


def finish(
    discretization: Discretization[EigenProblem],
    found: FoundModes,
    count: int,
    near: float | None,
    started: float,
) -> Eigensolution:
    """Return the first `count` modes, normalised, with residuals, bounds, errors and status."""
    first = found.modes[torch.arange(min(count, len(found.modes.values)))]
    if not len(first.values):
        return failed(
            discretization, f"no eigenvalue is resolved: {ADVICE}", started, found.unresolved
        )
    problem, m = discretization.problem, len(discretization.problem.fields)
    values = first.values
    seen = samples(problem, widened(discretization.surrogate, first.columns, m), found.fresh)
    modes = _normalised(first, seen, found.self_adjoint)
    surrogate = widened(discretization.surrogate, modes.columns, m)
    bounds, estimates, unbounded = _bounds(discretization, found, values, seen)
    norms, exact = residual_norms(values, seen), paired_exact_values(problem, values, near)
    residuals = Residuals(surrogate, terms_of(discretization, surrogate, values))
    by_term, history = residuals.term_values(), History()
    loss = sum(term.weight * by_term[term.name] for term in residuals.terms)
    seconds = time.perf_counter() - started
    history.rows.append(
        {
            "step": 1,
            "stage": 0,
            "loss": loss,
            "evaluations": 1,
            "seconds": seconds,
            "modes": len(values),
        }
    )
    return Eigensolution(
        discretization=discretization,
        surrogate=surrogate,
        residuals=residuals,
        values=values,
        residual_norms=norms,
        bounds=bounds,
        unbounded=unbounded,
        estimates=estimates,
        self_adjoint=found.self_adjoint,
        exact=exact,
        errors=None if exact is None else relative_errors(values, exact),
        unresolved=found.unresolved,
        status=found.status
        or status_of(found, values, norms if estimates is None else estimates, count, near),
        history=history,
        seconds=seconds,
        loss_terms=by_term,
        optimizer_seconds=[seconds],
    )


def failed(
    discretization: Discretization[EigenProblem], reason: str, started: float, unresolved: int = 0
) -> Eigensolution:
    """Return an `Eigensolution` without modes whose status says why the solve has failed."""
    none = discretization.surrogate.low.new_zeros(0)
    return Eigensolution(
        discretization=discretization,
        surrogate=discretization.surrogate,
        residuals=Residuals(discretization.surrogate, discretization.terms()),
        values=none,
        residual_norms=none,
        bounds=None,
        unbounded="there are no modes",
        estimates=None,
        self_adjoint=False,
        exact=None,
        errors=None,
        unresolved=unresolved,
        status=f"failed: {reason}",
        history=History(),
        seconds=time.perf_counter() - started,
        loss_terms={},
    )


def _bounds(
    discretization: Discretization[EigenProblem],
    found: FoundModes,
    values: Tensor,
    seen: ModeSamples,
) -> tuple[Tensor | None, Tensor | None, str]:
    """Return error bounds and estimates, (count,) each, or None, and why there are no bounds."""
    if found.estimates is not None:
        return None, found.estimates, "cells meet conditions and continuity in least squares"
    density, unbounded = _density(discretization, found)
    if density is None:
        return None, None, unbounded
    noise, norms = rounding(values, found.spectrum), residual_norms(values, seen, density)
    others = found.modes.values[len(values) :]
    expected = kato_temple(values, norms, others) + rayleigh_gaps(values, seen) + noise
    return norms + noise, torch.minimum(norms + noise, expected), unbounded


def _normalised(modes: Modes, seen: ModeSamples, self_adjoint: bool) -> Modes:
    """Return modes with a positive largest value, and ∫ |u|² = 1 unless they are orthonormal."""
    u = as_modes(seen.fields, modes.values)
    largest = u.gather(0, u.abs().argmax(dim=0, keepdim=True))[0]
    factor = largest.abs() / largest
    if not self_adjoint:
        factor = factor / torch.linalg.vector_norm(u, dim=0)
    return Modes(modes.values, modes.coefficients * factor)


def _density(
    discretization: Discretization[EigenProblem], found: FoundModes
) -> tuple[Tensor | None, str]:
    """Return the density ρ (n, 1) of the bounds' norms; or None, and why there are no bounds."""
    if not found.self_adjoint:
        return None, not_self_adjoint(found.asymmetry)
    if discretization.penalties():
        return None, "conditions are met by the penalty, not exactly"
    density = density_of(discretization.problem, discretization.surrogate, found.fresh)
    if density is None:
        return None, "the mass is no multiplication by a positive function"
    return density, ""


def terms_of(
    discretization: Discretization[EigenProblem], surrogate: Surrogate, values: Tensor
) -> list[Term]:
    """Return the loss terms of all modes: L u - λ M u, and the conditions not met exactly."""
    problem, m = discretization.problem, len(discretization.problem.fields)
    left, right = (each(e, m) for e in (problem.operator_values, problem.mass_values))

    def equation(p: Points, u: Jet) -> Tensor:
        lhs, rhs = as_modes(left(p, u), values), as_modes(right(p, u), values)
        rest = (lhs - values * rhs).flatten(1)
        return torch.cat([rest.real, rest.imag], dim=1) if rest.is_complex() else rest

    points = rule(discretization)
    channels = channels_at(surrogate, [equation], points)
    inside = ResidualTerm(
        "interior", points, discretization.weights["interior"], channels, equation
    )
    outside = [
        replace(term, equation=_flat(each(term.equation, m))) for term in discretization.penalties()
    ]
    return [inside, *outside]


def _flat(equation: ResidualFunction) -> ResidualFunction:
    return lambda p, u: equation(p, u).flatten(1)
