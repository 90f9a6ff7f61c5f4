"""`eigen`: the smallest few eigenvalues of a linear operator and their modes; its checks, its
status, and its solution made again from a stored run.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

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
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Jet, ResidualFunction, random_jets
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.kan import KAN
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Method, load_libraries
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretization import (
    Discretization,
    Loss,
    SolveSettings,
    build_surrogate,
    sized_for,
)
from kanpinn.solvers.eigen.eigensolution import Eigensolution, paired_exact_values, relative_errors
from kanpinn.solvers.eigen.modes import (
    Modes,
    ModeSamples,
    as_modes,
    channels_at,
    density_of,
    each,
    fresh_rule,
    rule,
    samples,
    widened,
)
from kanpinn.solvers.eigen.search import EigenSearch, EigenStage, FoundModes, resolved_modes
from kanpinn.solvers.eigen.spectrum import (
    RESOLVED,
    kato_temple,
    rayleigh_gaps,
    residual_norms,
    rounding,
)
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.losses import FreshLosses
from kanpinn.solvers.solve import default_optimizer
from kanpinn.solvers.state import History, Observer, SolverState
from kanpinn.spaces.cells.cells import Cells
from kanpinn.tasks.adaptive import AdaptiveLeastSquares

ADVICE = "more units, or points, would show more"


def eigen(
    problem: EigenProblem,
    network: Network | None = None,
    count: int = 6,
    points: Collocation | None = None,
    *,
    optimizers: Method | None = None,
    tolerance: float | int | None = None,
    near: float | int | None = None,
    boundary: str = "auto",
    loss: Loss | None = None,
    seed: int = 0,
    budget: float | int | None = None,
    observers: Sequence[Observer] = (),
    checkpoint: Mapping[str, Any] | None = None,
) -> Eigensolution:
    """Compute the smallest few eigenvalues of L u = λ M u and their modes.

    The operator is inverted, in the least-squares sense, on the span of the output layer's
    features. The eigenvalues λ nearest to a shift σ belong to the largest eigenvalues μ of this
    compact inverse: λ = σ + 1/μ. There is no iteration: for each shift that is tried, one singular
    value decomposition and one dense eigenvalue problem, O(P³) in the P coefficients of the output
    layer. A mode is spurious, and left out, if its residual is large at points that the solve has
    not used.

    For a network in cells the same inverse acts on a Krylov space, and the cells are refined until
    the estimated relative errors of the eigenvalues are below the tolerance of `optimizers`.

    Args:
        problem: the operator L, the mass M, the domain and homogeneous conditions.
        network: its output layer's features span the space of trial functions. Its grids are
            placed; the solution holds a copy with one output for each field of each mode. By
            default cells for up to three coordinates, a KAN for more and for enriched problems.
        count: the number of eigenvalues, multiple ones counted as often as they occur.
        points: the collocation points; None for `default_eigen_points` of the network.
        optimizers: for a network in cells, with the tolerance and the largest number of cells; by
            default `AdaptiveLeastSquares(tolerance)`. None for other networks.
        tolerance: the relative error of the eigenvalues at which a search in cells ends; with other
            networks the status says which eigenvalues may have a larger one, by default 1e-3.
        near: compute the eigenvalues nearest to this number; None for the smallest ones.
        boundary: how boundary conditions are met, as for `solve`.
        loss: the weights of the operator, in units of its size, and of the conditions.
        seed: of random points.
        budget: the most seconds that the steps may take, as for `solve`. A step is one
            shift or, for a network in cells, one tree.
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
    load_libraries()
    started = time.perf_counter()
    problem = stated(problem, EigenProblem)
    network = default_eigen_network(problem) if network is None else network
    instance("network", network, Network)
    if tolerance is not None:
        number("tolerance", tolerance, above=True)
    settings = SolveSettings(points=points, boundary=boundary, loss=loss or Loss())
    discretization = discretize_eigen(problem, network, settings, seed, count, near)
    search = EigenSearch(discretization, count, near, 1e-3 if tolerance is None else tolerance)
    if (cells := cell_settings(network, optimizers, tolerance)) is not None:
        search = replace(search, cells=cells, steps=cells.steps)
    own = None if checkpoint is None else _of_first_mode(network, checkpoint)
    with on_threads(network.threads):
        residuals = discretization.residuals()
        losses = FreshLosses(lambda _: residuals)
        state = SolverState(losses, (search,), budget, checkpoint=own)
        status = run_stages(state, None, observers, seed, own)
        if checkpoint is not None and state.stage is None:
            return _restored(discretization, checkpoint)
        found = _solution(search, state, status)
        return replace(found, seconds=state.clock.earlier + time.perf_counter() - started)


def default_eigen_network(problem: EigenProblem) -> Network:
    """Return cells for up to three coordinates, a KAN for more and for enriched problems."""
    dim = problem.domain.dim
    if dim > 3 or problem.enrichment():
        return KAN(hidden=[64], degree=9, grid=[4, 8])
    return Cells(degree=10 if dim < 3 else 6, cells=2)


def cell_settings(
    network: Network, given: Method | None, tolerance: float | int | None = None
) -> AdaptiveLeastSquares | None:
    """Return the settings of a search in cells; None for other networks.

    Raises:
        InputError: for settings that are not for the network.
    """
    own = default_optimizer(network, tolerance)
    if not isinstance(own, AdaptiveLeastSquares):
        if given is None:
            return None
        raise InputError(
            f"optimizers must be None for a {type(network).__name__}, whose eigenvalues are found "
            f"by linear algebra without settings, got {given!r}"
        )
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
    near: float | int | None,
) -> Discretization[EigenProblem]:
    """Check the arguments of `eigen`, build the discretization, and place the network's grids.

    Raises:
        InputError: as for `eigen`.
    """
    problem = stated(problem, EigenProblem)
    integer("seed", seed, least=0)
    integer("count", count)
    if near is not None:
        number("near", near, -math.inf)
    if world() > 1:
        raise InputError("an eigenvalue problem is solved by one process, not by a group")
    if len(network.parts) > 1:
        raise InputError("network must be a single one for an eigenvalue problem, not side by side")
    network.constants = None
    if settings.loss.form != "strong" or settings.loss.balance is not None:
        raise InputError("loss has weights only for an eigenvalue problem: no form, no balance")
    sized_for(problem, network)
    points = default_eigen_points(network) if settings.points is None else settings.points
    instance("points", points, Collocation)
    surrogate, met = build_surrogate(problem, network, settings.boundary)
    settings.loss.check_unweighted(network)
    check_linear(problem)
    columns = sum(layer.coefficients.numel() for layer in network.output_layers)
    if count > columns:
        raise InputError(
            f"count must be at most {columns}, the coefficients of the output layer, got {count}"
        )
    found = Discretization(problem, surrogate, points, settings.loss, seed, met)
    surrogate.prepare(rule(found))
    return found


def default_eigen_points(network: Network) -> Collocation:
    """Return collocation points for a network: inputs · coefficients of the output layer.

    There are at least 1681 in the interior; they are Gauss points for up to three inputs, Sobol
    points for more.
    """
    inputs = network.width[0]
    interior = max(1681, inputs * network.layers[-1].coefficients.numel())
    if inputs > 3:
        return Collocation(interior, math.ceil(interior / 4), "sobol")
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")


def check_linear(problem: EigenProblem) -> None:
    """Raise if the operator, the mass or a condition is not linear and homogeneous.

    Raises:
        InputError: if one of them is not, with its name and the deviation; if the mass has another
            number of equations than the operator, or derivatives of the same or a higher order.
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
    for index, condition in enumerate(problem.conditions()):
        places = condition.few_points()
        what = f"{name}.conditions()[{index}], {of_class(condition)},"
        equation = partial(condition.stacked_residual, problem.fields, what)
        _check(equation, places, len(problem.fields), what)


def _check(
    equation: ResidualFunction, points: Points, m: int, what: str, rounding: float = 1e-8
) -> Jet:
    """Raise if an equation is not linear and homogeneous in the jet, up to `rounding` · its size.

    Returns:
        A random jet with the derivatives that the equation uses.
    """
    jets = random_jets(equation, points, m)
    first, second = (equation(points, jet) for jet in jets)
    size = float(torch.maximum(first.abs().max(), second.abs().max()))
    if not math.isfinite(size):
        raise InputError(f"{what} must be finite: at some point of the domain it gives {size:g}")
    rest = float(equation(points, jets[0] * 0.0).abs().max())
    if not rest <= rounding * size:
        raise InputError(f"{what} must be homogeneous: for u = 0 it gives {rest:.3g}, expected 0")
    mixed = equation(points, jets[0] * 2.0 - jets[1] * 3.0)
    gap = float((mixed - (2 * first - 3 * second)).abs().max())
    if not gap <= rounding * size:
        raise InputError(
            f"{what} must be linear in the fields: it gives something else for 2u - 3v than "
            f"2 times that for u less 3 times that for v (by {gap:.1e} of {size:.1e})"
        )
    return jets[0]


def _solution(search: EigenSearch, state: SolverState, status: str) -> Eigensolution:
    """Return the first modes of a search, normalised, with residuals, bounds, errors and status.

    status: that of the loop.
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
    if estimates is None:
        limit = RESOLVED
    else:
        discretization, limit = _with_points_for_cells(discretization, search.count), math.inf
    found = resolved_modes(discretization, pairs, which, search.count, search.near, limit)
    first = found.modes[torch.arange(min(search.count, len(found.modes.values)))]
    values, problem = first.values, discretization.problem
    if not len(values):
        status = f"failed: no eigenvalue is resolved: {ADVICE}"
        return replace(none, status=status, unresolved=found.unresolved)
    seen = samples(problem, widened(none.surrogate, first.columns), found.fresh).of(values)
    modes = _normalised(first, seen, found.self_adjoint)
    surrogate = widened(none.surrogate, modes.columns)
    norms, exact = residual_norms(values, seen), paired_exact_values(problem, values, search.near)
    bounds, unbounded = None, "cells meet conditions and continuity in least squares"
    if estimates is None:
        bounds, estimates, unbounded = _bounds(discretization, found, values, seen)
        if status == CONVERGED:
            status = _status(found, values, norms if estimates is None else estimates, search)
    residuals = Residuals(surrogate, terms_of(discretization, surrogate, values))
    by_term = residuals.term_values()
    loss = sum(term.weight * by_term[term.name] for term in residuals.terms)
    state.history.rows[-1] |= {"loss": loss, "modes": len(values)}
    state.last = state.state_dict() | {"network": surrogate.network.state_dict()}
    return replace(
        none,
        discretization=discretization,
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
        status=status,
        loss_terms=by_term,
    )


def _with_points_for_cells(
    discretization: Discretization[EigenProblem], cells: int, each: int = 30
) -> Discretization[EigenProblem]:
    """Return the discretization with at least `each` points for each cell, for inner products."""
    chosen = discretization.collocation
    interior = max(chosen.interior, each * cells)
    return replace(discretization, collocation=replace(chosen, interior=interior))


def _status(found: FoundModes, values: Tensor, errors: Tensor, search: EigenSearch) -> str:
    """Return the status of a search on an output layer, in words.

    Args:
        found: the resolved modes.
        values: their first eigenvalues, at most `search.count`.
        errors: the expected error of each value, (len(values),).
        search: the request.
    """
    named_at_most, near = 6, search.near
    if near is not None and found.nearer:
        return (
            f"stopped: eigenvalues nearer to {near:g} are not resolved ({found.nearer}): {ADVICE}"
        )
    if len(values) < search.count:
        return f"stopped: only {len(values)} of {search.count} eigenvalues are resolved: {ADVICE}"
    distances = (values - found.spectrum.shift).abs()
    part = errors / torch.maximum(values.abs(), 1e-3 * distances)  # an eigenvalue may be zero
    poor = [
        str(index + 1) for index, share in enumerate(part.tolist()) if not share <= search.tolerance
    ]
    if not poor:
        return CONVERGED
    named = f"{', '.join(poor[:named_at_most])}{', …' if len(poor) > named_at_most else ''}"
    which = f"eigenvalues {named} are" if len(poor) > 1 else f"eigenvalue {named} is"
    return f"stopped: {which} known to {100 * float(part.max()):.2g}% only: {ADVICE}"


def _bounds(
    discretization: Discretization[EigenProblem],
    found: FoundModes,
    values: Tensor,
    seen: ModeSamples,
) -> tuple[Tensor | None, Tensor | None, str]:
    """Return error bounds and estimates, (count,) each, or None, and why there are no bounds."""
    if not found.self_adjoint:
        if math.isinf(found.asymmetry):  # as the problem says, or as it has no forms
            return None, None, "the problem is not self-adjoint"
        return (
            None,
            None,
            "the problem was not found to be self-adjoint (asymmetry "
            f"{found.asymmetry:.0e}); where it is, more points show it, or self_adjoint = True "
            "says so",
        )
    if discretization.penalties():
        return None, None, "conditions are met by the penalty, not exactly"
    density = density_of(discretization.problem, discretization.surrogate, found.fresh)
    if density is None:
        return None, None, "the mass is no multiplication by a positive function"
    noise, norms = rounding(values, found.spectrum), residual_norms(values, seen, density)
    others = found.modes.values[len(values) :]
    expected = kato_temple(values, norms, others) + rayleigh_gaps(values, seen) + noise
    return norms + noise, torch.minimum(norms + noise, expected), ""


def _normalised(modes: Modes, seen: ModeSamples, self_adjoint: bool) -> Modes:
    """Return modes with a positive largest value, and ∫ |u|² = 1 unless they are orthonormal."""
    u = seen.fields
    largest = u.gather(0, u.abs().argmax(dim=0, keepdim=True))[0]
    factor = largest.abs() / largest
    if not self_adjoint:
        factor = factor / torch.linalg.vector_norm(u, dim=0)
    return Modes(modes.values, modes.coefficients * factor)


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

    def flat(equation: ResidualFunction) -> ResidualFunction:
        return lambda p, u: each(equation, m)(p, u).flatten(1)

    points = rule(discretization)
    channels = channels_at(surrogate, [equation], points)
    inside = ResidualTerm(
        "interior", points, float(discretization.loss.interior), channels, equation
    )
    penalties = [replace(term, equation=flat(term.equation)) for term in discretization.penalties()]
    return [inside, *penalties]


def _of_first_mode(network: Network, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checkpoint with the network of its first mode, if it has that of all modes."""
    layers = network.output_layers
    parts = {id(t) for x in layers for t in (x.coefficients, getattr(x, "kept", None))}
    with expecting("the checkpoint"):
        state = dict(checkpoint["network"])
        for name, tensor in network.state_dict(keep_vars=True).items():
            if id(tensor) in parts:
                state[name] = state[name][..., : tensor.shape[-1]]
        return {**checkpoint, "network": state}


def _restored(
    discretization: Discretization[EigenProblem], state: Mapping[str, Any]
) -> Eigensolution:
    """Return the modes of a checkpoint; each eigenvalue minimises ‖L u - λ M u‖ of its mode.

    There are no bounds and no errors, and the status is a failure for an unknown reason.

    Args:
        discretization: of the eigenvalue problem, with the network before the solve.
        state: a `SolverState.state_dict()`.
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
    surrogate = widened(surrogate, surrogate.low.new_zeros(size, last.shape[-1] // m))
    surrogate.network.load_state_dict(state["network"])
    seen = samples(problem, surrogate, fresh_rule(discretization))
    values = _quotients(seen, count)
    residuals = Residuals(surrogate, terms_of(discretization, surrogate, values))
    return replace(
        none,
        residuals=residuals,
        values=values,
        residual_norms=residual_norms(values, seen.of(values)),
        loss_terms=residuals.term_values(),
    )


def _quotients(seen: ModeSamples, count: int) -> Tensor:
    """Return ∫ Mu*·Lu / ∫ |Mu|² of each mode, (count,); complex if there are 2 count columns."""
    like = seen.mass.new_zeros(count)
    if seen.mass.shape[1] > count:
        like = like.to(like.dtype.to_complex())
    modes = seen.of(like)
    product = (modes.mass.conj() * modes.operator).sum(dim=0)
    return product / modes.mass.abs().square().sum(dim=0)
