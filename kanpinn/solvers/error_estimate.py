"""Error estimates by comparison with the solution of a finer network, and guaranteed bounds."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from kanpinn._support.distributed import from_first, together, world
from kanpinn._support.errors import (
    CONVERGED,
    FAILED,
    OUT_OF_TIME,
    OVERFITTED,
    STOPPED_BY_USER,
    UNDETERMINED,
    InputError,
    number,
)
from kanpinn.accuracy import Bound, ErrorNorm, Errors, Estimate
from kanpinn.accuracy.bounds import Approximate, Majorant
from kanpinn.accuracy.certificates import MOST, Certificate, Given, Number, certificate
from kanpinn.accuracy.references import FunctionReference
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.quadrature import rule_of_pieces
from kanpinn.geometry.sampling import Collocation, sample, weighted_sample
from kanpinn.jets import Channels, Jet, Linearised
from kanpinn.linalg.qr import beyond_linear
from kanpinn.loss import Residuals, ResidualTerm
from kanpinn.networks import KAN, Network, Surrogate
from kanpinn.networks.kan import random_like
from kanpinn.optimizers import LeastSquares, Method
from kanpinn.optimizers.output_layer import solve_output
from kanpinn.pde.boundary_value_problem import altered
from kanpinn.pde.coefficients import Unsuitable
from kanpinn.solvers.discretization import Discretization, SolveSettings, default_points, discretize
from kanpinn.solvers.loop import solve_discretized
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import perturbed
from kanpinn.solvers.verification import (
    Verification,
    boundary_misfit,
    resonance,
    verification_of,
)

# ρ is the root mean square residual of the finer solution divided by that of the solution.
LARGEST_CONTRACTION = 0.7  # for a larger ρ the distance of the solutions does not measure the error
SMALL, FAST = 0.01, 0.3  # a relative residual and ρ below which a nonlinear equation is resolved
CLEARLY = 2.0  # for a larger ρ the finer network has clearly given the poorer solution
LARGEST_ERROR = 0.3  # the largest relative error of a finer solution that serves as reference
LARGEST_LINEAR = 0.1  # above it, the error of a nonlinear equation is not that of a linear one
FAR = "errors of this size exceed the linearised equation, by which they are estimated"
LATE = "the budget leaves no time for the solve of a finer network"
UNSOLVED = "the steps of the finer solve have not converged: more of them help"
STRONGER = 3.0  # the ratio of the penalties of the finer and of the first solve, for energies
ENDED = (FAILED, STOPPED_BY_USER)  # the statuses of solves whose solutions give no estimate


def estimate_error(
    solution: Solution,
    wider: float = 1.5,
    bound: bool = False,
    budget: float | int | None = None,
) -> Estimate:
    """Estimate a solution's errors by a second solve, with a wider network and other points.

    The second network has the hidden functions of the first network and additional random
    functions, or finer grids, and more of the problem's singular functions (`finer_solves`). The
    second residual is therefore smaller, and the distance of the two solutions approximates the
    error L⁻¹r of the first solution, with the linearised operator L and the first residual r. If
    the root mean square of the second residual is ρ times that of the first residual, the error may
    be larger than the distance by the factor 1 / (1 - ρ), which the estimate includes.

    If the second solution turns out to be poorer, with ρ > 2, most of the distance is the error of
    the second solution. The distance is then the estimate, although the error of the first solution
    may be much smaller.

    There is no estimate (`Estimate.errors` is None) if one of the solutions is overfitted
    (`Verification`), or if ρ is between 0.7 and 2 and the first residual is not mere rounding
    error. There is also no estimate if the relative error of the second solution, taken as ρ times
    the error of the first solution, is above 0.3, or if the second residual is above a tenth of the
    terms of a nonlinear equation, or above a hundredth while ρ > 0.3: both solutions may then be
    near a minimum of the residual that is no solution, such as one with a layer at a wrong place.
    Networks in cells are an exception: if ρ > 0.7, as at corners where residuals grow without
    limit, the estimate is that of the adaptive solve. A solution in cells with coefficient fields
    has no estimate, since the second solve would refine the cells only.

    For an energy there is no ρ, and the estimate may be somewhat low. The second solve then has
    penalties three times as large: since the error by a penalty is proportional to its inverse, the
    distance of the solutions is 2/3 of this error, and the estimate is 3/2 times the distance. If
    the misfit of penalised conditions is above 0.3 of the solution, there is no estimate. The
    second solve determines the output layer only, which takes a fraction of the training time;
    networks in time windows are marched through time again.

    Args:
        solution: the solution whose errors are estimated.
        wider: the ratio of the numbers of hidden units and points in the second and the first
            solve.
        bound: whether guaranteed bounds are computed too, see `error_bound`. If there is no
            estimate of the errors, bounds are computed in any case, in about the seconds of the
            solve, unless there are several cells.
        budget: the most seconds for the steps of the finer solves and for the bounds; None for no
            limit.

    Returns:
        The estimate, or the reason why there is none.

    Reference: Bank and Smith, A posteriori error estimates based on hierarchical bases (1993).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), source="exp(x)", boundary="0")
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5))
        >>> kp.estimate_error(solution).errors.l2_relative < 1e-3
        True
    """
    begun = time.perf_counter()
    best, reference = _best_comparison(solution, wider, budget)
    best = with_undetermined(best, solution)
    limits: Bound | None = None
    # Bounds in cells take a solve.
    if bound or (best.errors is None and not _is_in_cells(solution)):
        is_better = best.contraction is not None and best.contraction < 0.5
        left = math.inf if budget is None else budget - (time.perf_counter() - begun)
        left = max(left if bound else min(left, max(solution.seconds, 1.0)), 0.01)
        rest = None if math.isinf(left) else left
        limits = error_bound(solution, reference if is_better else None, budget=rest)
    return replace(best, seconds=time.perf_counter() - begun, bound=limits)


def _best_comparison(
    solution: Solution, wider: float = 1.5, budget: float | None = None
) -> tuple[Estimate, Solution | None]:
    """Return the most reliable estimate of `estimate_error`, and the finer solution behind it.

    The finer networks are solved in turn until ρ ≤ 0.1, where ρ is the root mean square residual of
    the finer solution divided by that of the solution. The most reliable estimate is the one with
    the smallest ρ among the estimates that have errors; if none has errors, it is the last one.

    Args:
        solution: the solution whose errors are estimated.
        wider: the ratio of the numbers of hidden units and points in the finer and the first solve.
        budget: the most seconds for the steps of the finer solves; None for no limit.

    Returns:
        The estimate without bounds, and the finer solution; None if no finer solve was made.
    """
    enough = 0.1  # for ρ below `enough` no further solve follows
    verification, made = solution.verification, list[tuple[Estimate, Solution | None]]()
    doubt = ""
    own = solution.network.own_fields
    if own is not None and (fixed := ", ".join(solution.fields[own:])):
        doubt = (
            f"an estimate refines the cells, but not the network of the coefficient {fixed}, whose "
            "95% intervals say how well it is known"
        )
    if verification is not None and verification.overfitted:
        doubt = verification.words
    if doubt:
        made.append((Estimate(None, None, 0.0, doubt), None))
    for found in () if doubt else finer_solutions(solution, wider, budget):
        if found.status.startswith(ENDED):
            ended = f"the solve of a finer network has ended: {found.status}"
            if found.status.startswith(f"{FAILED}: the budget"):
                ended = LATE
            made.append((Estimate(None, None, 0.0, ended), found))
            continue
        against = compare(solution, found)
        if against.doubt and found.status.startswith(OUT_OF_TIME):
            against = replace(against, doubt=LATE)
        part = against.contraction or 0.0
        unresolved = part > LARGEST_CONTRACTION and not against.overfitted
        estimate = Estimate(None, against.contraction, 0.0, against.doubt)
        if not against.doubt:
            factor = 1.0 if against.is_rounding else beyond_distance(solution, part)
            estimate = replace(estimate, errors=against.norms.scaled(factor))
        elif against.poorer and not solution.network.estimates_error:
            estimate = replace(estimate, errors=against.norms, reason="")
        elif unresolved and not solution.problem.unknowns and (errors := own_errors(solution)):
            estimate = Estimate(errors, None, 0.0)
        made.append((estimate, found))
        if estimate.errors is not None and (estimate.contraction or 0.0) <= enough:
            break
    known = [one for one in made if one[0].errors is not None]
    return min(known or made[-1:], key=lambda one: one[0].contraction or 0.0)


def with_undetermined(estimate: Estimate, solution: Solution, left: float = math.inf) -> Estimate:
    """Return an estimate that includes the error that a finer solution does not show.

    A finer solution starts from the solution, and does not show the error in nearly singular
    directions of the problem (`kanpinn.linalg.qr.undetermined`). A relative error of 1 means that
    the data do not determine the solution to the accuracy of the residual. Estimated errors of
    nonlinear equations above 0.1 are raised (`kanpinn.linalg.qr.beyond_linear`): both solutions may
    be near a minimum of the residual that is no solution.

    The estimate is returned unchanged without errors, for evolutions, for problems with unknowns
    and for energies. Solves in cells have estimated the error in nearly singular directions
    themselves.

    Args:
        estimate: the estimate from a comparison.
        solution: the solution whose errors are estimated.
        left: the seconds left. A nearly singular direction is compared with that of a finer network
            if four times the seconds of the solve's steps are left.
    """
    errors, found, problem = estimate.errors, own_verification(solution), solution.problem
    steady = problem.domain.time_name is None and not problem.unknowns
    if errors is None or found is None or not steady:
        return estimate
    if errors.l2_relative > LARGEST_LINEAR and not _is_affine(solution):
        raised = beyond_linear(errors.l2_relative, LARGEST_LINEAR)
        estimate = at_least(estimate, raised, FAR)
    if solution.network.estimates_error or not solution.network.output_layers:
        return estimate

    def finer() -> Residuals:
        """The loss of a network that resolves more."""
        network, _, settings = next(finer_solves(solution, 1.5, solution.discretization.seed))
        made = discretize(problem, network, settings, solution.discretization.seed)
        made.prepare()
        return made.residuals()

    in_time = 4.0 * sum(solution.optimizer_seconds) <= left
    nearest = resonance(
        solution.discretization, solution.residuals, found, finer if in_time else None
    )
    return estimate if nearest is None else at_least(estimate, nearest.undetermined)


def at_least(estimate: Estimate, error: float, reason: str = UNDETERMINED) -> Estimate:
    """Return an estimate whose relative L2 error is at least a given number.

    Args:
        estimate: the estimate from a comparison.
        error: the least relative L2 error.
        reason: why the error is larger than the comparison shows.
    """
    errors = estimate.errors
    if errors is None or not 0 < errors.l2_relative < error:
        return estimate
    return replace(estimate, errors=errors.scaled(error / errors.l2_relative), reason=reason)


def better_surrogate(solution: Solution) -> tuple[Surrogate, float] | None:
    """Return a better solution of the same problem, with which numbers are compared.

    A method that estimates errors itself usually has a better solution already; otherwise it gets
    the seconds of the solve, or ten seconds. For other methods a finer network is solved, as for
    `estimate_error`, in at most three times the seconds of the solve, or ten seconds.

    Returns:
        The surrogate of the better solution, and the factor by which errors of numbers may exceed
        the differences between the two solutions; for a finer network see `beyond_distance`. None
        if the solve has failed, or if the finer solve gives no estimate.
    """
    if solution.status.startswith(FAILED) or not solution.optimizers:
        return None
    if solution.network.estimates_error:
        least = 10.0
        seconds = max(least, solution.seconds)
        found = solution.optimizers[-1].better(solution.residuals, seconds)
        if found is None:
            return None
        network, factor = found
        return solution.surrogate.with_network(network), factor
    budget = max(10.0, 3 * solution.seconds)
    estimate, finer = _best_comparison(solution, budget=budget)
    if finer is None or estimate.errors is None:
        return None
    return finer.surrogate, beyond_distance(solution, estimate.contraction or 0.0)


def beyond_distance(solution: Solution, contraction: float) -> float:
    """Return the largest expected ratio of the error to the distance from the finer solution.

    If the error of the finer solution is ρ times the error of `solution`, the ratio is 1 / (1 - ρ).
    The contraction is used as ρ. For an energy ρ is 1/3, since the errors are then due to the
    penalties, and the finer solve has penalties three times as large. For ρ > 0.7 the result is 1.

    Args:
        solution: the solution whose errors are estimated.
        contraction: the root mean square residual of the finer solution divided by that of the
            solution; not used for energies.
    """
    if solution.discretization.loss.form == "energy":
        contraction = 1 / STRONGER
    return 1 / (1 - contraction) if contraction <= LARGEST_CONTRACTION else 1.0


def finer_solutions(
    solution: Solution, wider: float, budget_seconds: float | None = None
) -> Iterator[Solution]:
    """Yield solutions of a problem by finer networks, the cheapest solve first.

    If `solution` took several steps, as for nonlinear equations, the finer solves start from
    `solution`: Newton's method then needs few steps and, if the problem has several solutions,
    finds the one that `solution` approximates.

    Args:
        solution: the solution whose errors are estimated.
        wider: the ratio of the numbers of hidden units and points in the finer and the first solve.
        budget_seconds: the most seconds for the steps of all solves; None for no limit.
    """
    problem = solution.problem
    seed = solution.discretization.seed + 7919  # for other random hidden functions, other points
    if problem.enrichment():  # the error of a truncated series is seen only with more functions
        more = [f.richer(wider) if hasattr(f, "richer") else f for f in problem.enrichment()]
        problem = altered(problem, enrichment=lambda: more)
    begun = time.perf_counter()
    repeats = solution.history.steps > 1 and not problem.unknowns
    for network, methods, settings in finer_solves(solution, wider, seed):
        with together():
            discretization = discretize(problem, network, settings, seed)
        if repeats and isinstance(network, KAN):
            start_from(solution, discretization)
        left = None
        if budget_seconds is not None:
            left = from_first(max(budget_seconds - (time.perf_counter() - begun), 1e-3))
        yield solve_discretized(discretization, methods, errors=False, budget_seconds=left)


def with_estimate(
    solution: Solution,
    tolerance: float | int | None = None,
    bound: bool = False,
    budget: float | int | None = None,
) -> Solution:
    """Return the solution with an error estimate and, with a tolerance, a status based on it.

    The solution is returned unchanged if its solve has failed or was interrupted, or if it was
    solved by several processes whose process group has ended.

    Args:
        solution: a solution.
        tolerance: the largest acceptable relative L2 error; None to keep the status.
        bound: as for `estimate_error`.
        budget: the budget of the solve in seconds; None for no limit. The estimate may take the
            seconds that the solve has not used, or a fifth of the budget if less is left.
    """
    if solution.status.startswith(ENDED) or solution.processes > world():
        return solution
    left = None if budget is None else max(budget - solution.seconds, 0.2 * budget)
    solution = replace(solution, estimate=estimate_error(solution, bound=bound, budget=left))
    return solution if tolerance is None else judged_by_tolerance(solution, tolerance)


def judged_by_tolerance(solution: Solution, tolerance: float) -> Solution:
    """Return the solution with a status that says whether its error is within a tolerance.

    Args:
        solution: a solution; it is returned unchanged if its error was not estimated, or if it is
            overfitted.
        tolerance: the largest acceptable relative L2 error; for a solution that is zero, the
            largest acceptable absolute L2 error.
    """
    if solution.estimate is None or solution.status.startswith(OVERFITTED):
        return solution
    errors = solution.estimate.errors
    ended = solution.status.removeprefix("stopped: ")
    after = "" if ended.startswith(CONVERGED) else f" ({ended})"
    if errors is None:
        # A comparison with a poorer solution says nothing about a solution with a small residual.
        part, own = solution.estimate.contraction or 0.0, solution.verification
        poorer = own is not None and own.small and CLEARLY <= part < math.inf
        late = solution.estimate.reason == LATE or solution.status.startswith(OUT_OF_TIME)
        unknown = late or poorer
        word = "stopped" if unknown else FAILED
        status = f"{word}: the error is not known: {solution.estimate.reason}{after}"
    else:
        kind, error = "relative", errors.l2_relative
        if math.isnan(error):
            kind, error = "absolute", errors.l2
        what = f"the estimated {kind} L2 error {error:.1e} is"
        if error <= tolerance:
            status = f"converged: {what} within the tolerance {tolerance:.1e}"
        else:
            why = solution.estimate.reason and f": {solution.estimate.reason}"
            status = f"stopped: {what} above the tolerance {tolerance:.1e}{why}{after}"
    return replace(solution, status=status)


def finer_solves(
    solution: Solution, factor: float, seed: int
) -> Iterator[tuple[Network, Sequence[Method], SolveSettings]]:
    """Yield finer networks with their methods and settings, from cheap to expensive.

    A KAN with one hidden layer keeps its hidden functions and gets further, random hidden units. If
    the KAN has few units, because it was trained, the first finer network has a few more units and
    a finer grid of the output layer, and the second finer network has 64 units. A KAN without
    hidden units gets finer grids. Deeper KANs and other networks are replaced by KANs with one
    random hidden layer. For networks in time windows the tolerance of the method is smaller, which
    determines grids in space and stages in time. Networks in cells get a higher degree. For KANs
    there are also more collocation points, drawn anew.

    Args:
        solution: the solution whose errors are estimated.
        factor: the ratio of the numbers of hidden units, grid intervals and points of the finer
            network and of the network of `solution`.
        seed: the seed of the random functions.
    """
    network, first = solution.network, solution.discretization
    loss = replace(first.loss, balance=None if first.scales is None else "sizes")
    if loss.form == "energy":
        loss = replace(loss, boundary=STRONGER * loss.boundary)
    settings = SolveSettings(points=first.collocation, loss=loss)
    if (refined := network.refined()) is not None:
        yield refined, [solution.optimizers[-1].finer()], settings
        return
    own, boundary = first.collocation, "penalty" if first.surrogate.output is None else "exact"
    for made in _richer_kans(network, factor, seed):
        interior = max(math.ceil(factor * own.interior), default_points(made).interior)
        points = Collocation(interior, math.ceil(factor * own.boundary), own.sampler)
        yield made, [LeastSquares()], replace(settings, points=points, boundary=boundary)


def _richer_kans(network: Network, factor: float, seed: int) -> list[KAN]:
    """Return the finer KANs of `finer_solves`, for networks that cannot refine themselves.

    Args:
        network: the network of the solution whose errors are estimated.
        factor, seed: as for `finer_solves`.
    """
    inputs, *hidden, outputs = network.width
    least = 64  # hidden units
    if not isinstance(network, KAN):
        like = next(network.parameters())
        return [KAN([inputs, least, outputs], 9, [4, 10], seed=seed).to(like.device, like.dtype)]
    made = partial(random_like, network, seed=seed)
    intervals = network.layers[-1].basis.intervals
    finer = math.ceil(factor * intervals)
    if not hidden:
        return [made([inputs, outputs], intervals=finer)]
    more = math.ceil(factor * hidden[-1])
    most = max(more, least)
    if len(hidden) > 1:
        return [made([inputs, most, outputs])]
    # A trained network has few units: the first finer network also has a finer grid.
    sizes = [(more, finer)] * (more <= least) + [(most, intervals)]
    return [made([inputs, units, outputs], intervals=grid, own=True) for units, grid in sizes]


def start_from(known: Solution, discretization: Discretization) -> None:
    """Fit the output layer of a discretization's network to a known solution, by least squares.

    Newton's method then starts near the known solution and needs few steps.

    Args:
        known: the known solution.
        discretization: the discretized problem, whose network is changed in place.
    """
    discretization.prepare()
    inside, names = discretization.points()[0], discretization.problem.domain.names

    def distance(p: Points, u: Jet) -> Tensor:
        """Return the fields minus the known values."""
        return u.value - known(p)

    term = ResidualTerm("values", inside, 1.0, Channels(names), distance)
    solve_output(Residuals(discretization.surrogate, [term]), linear=True)


def own_error(solution: Solution) -> float | None:
    """Return the relative L2 error that a solve in cells has estimated; None for other networks."""
    known = solution.network.estimates_error
    return solution.history.rows[-1].get("estimated_error") if known else None


def own_errors(solution: Solution) -> Errors | None:
    """Return the error that a solve has estimated itself, see `Solution.own_estimate`.

    The absolute L2 error is the estimated relative error times the root mean square of the solution
    at 1000 Sobol points. The H1 errors are NaN: such solves do not estimate them.
    """
    relative, nan = solution.own_estimate, math.nan
    if relative is None:
        return None
    values = solution(sample(solution.problem.domain, 1000, "sobol"))
    counted = values[:, solution.discretization.counted]
    error = relative * float(counted.square().sum(dim=1).mean().sqrt())
    return Errors(error, relative, error**2, nan, nan, nan)


@dataclass(frozen=True)
class Comparison:
    """The comparison of a solution with the solution of a finer network.

    Args:
        norms: the norms of the distance of the two solutions.
        contraction: ρ, the root mean square residual of the finer solution divided by that of the
            solution, at points on which neither solution was trained; None for energies, which have
            no residual. For two marches in time with error limits, ρ is at least the ratio of the
            limits (`_ratio_of_limits`), and it is this ratio if the residual does not decrease.
        is_rounding: whether the solution's residual is rounding error.
        doubt: the reason why the distance does not measure the error, as text; empty if it does.
        overfitted: whether one of the two solutions is overfitted.
        poorer: whether there is a `doubt` because the residual of the finer solution is clearly
            larger.
        misfit: for energies, the root mean square misfit of penalised conditions relative to the
            root mean square of the finer solution. If both solutions have the same penalties, both
            have this misfit, so that their distance does not show it.
    """

    norms: Errors
    contraction: float | None
    is_rounding: bool = False
    doubt: str = ""
    overfitted: bool = False
    poorer: bool = False
    misfit: float = 0.0

    def with_misfit(self, norms: Errors) -> Errors:
        """Return error norms, increased by the error that the boundary misfit causes inside.

        For elliptic problems the boundary misfit adds to the relative L2 error at most about the
        relative misfit, and to the relative H1 error about twice as much. The absolute norms grow
        by the same factors as the relative norms. Without a misfit, or if the relative L2 error is
        0, the norms are returned unchanged.

        Args:
            norms: the error norms without the misfit.
        """
        if not self.misfit or not norms.l2_relative:
            return norms
        h1 = 1 + 2 * self.misfit / norms.h1_relative
        return replace(
            norms.scaled(1 + self.misfit / norms.l2_relative),
            h1=h1 * norms.h1,
            h1_relative=h1 * norms.h1_relative,
            h1_squared=h1**2 * norms.h1_squared,
        )


def compare(solution: Solution, finer: Solution) -> Comparison:
    """Compare a solution with the solution of a finer network, to estimate its error.

    Args:
        solution: the solution.
        finer: the solution of this problem by the finer network.
    """
    problem, domain, rule = solution.problem, solution.problem.domain, None
    if (pieces := finer.network.pieces) is not None and domain.is_box:
        # A quadrature rule over the whole time interval may have no points in some windows.
        each = math.ceil((20_000 if domain.dim == 1 else 4000) / len(pieces))
        ((points, weights),) = rule_of_pieces(domain, pieces, each, chunk=2**20)
        rule = points, weights / domain.measure
    elif domain.dim == 3:
        # A product of Gauss rules is too expensive; Sobol points are accurate to a few percent.
        generator = torch.Generator().manual_seed(7919)
        points, weights = weighted_sample(problem.cells(), 4000, "sobol", generator)
        rule = points, weights / domain.measure
    source = FunctionReference("a finer solution", finer.surrogate.evaluate, rule)
    # Errors in a layer lie between the points of a coarse rule.
    refinements = 8 if domain.dim == 1 else 4
    norms = ErrorNorm(problem, source).converged(solution.surrogate.evaluate, most=refinements)
    mine, its = own_verification(solution), own_verification(finer)
    if mine is None or its is None:  # energies
        size = norms.l2 / norms.l2_relative if norms.l2_relative else math.inf
        misfit = boundary_misfit(solution.discretization) / size
        doubt = ""
        if not misfit <= LARGEST_ERROR:
            doubt = f"conditions have the relative misfit {misfit:.1e}: a larger weight helps"
        return Comparison(norms, None, doubt=doubt, misfit=misfit)
    before, after = (one.loss(finer.discretization.loss) for one in (mine, its))
    ratio = math.sqrt(after / before) if before > 0 else 0.0
    sampled = mine.error <= mine.fresh / 2
    limits = _ratio_of_limits(solution, finer)
    if limits is not None and not mine.is_rounding:
        reliable = sampled and ratio <= LARGEST_CONTRACTION
        sampled, ratio = True, max(ratio, limits) if reliable else limits
    doubt, overfitted = (
        _doubt(mine, its, ratio, norms, finer, sampled),
        mine.overfitted or its.overfitted,
    )
    poorer = bool(doubt) and not (overfitted or mine.is_rounding) and CLEARLY <= ratio < math.inf
    return Comparison(norms, ratio, mine.is_rounding, doubt, overfitted, poorer)


def _ratio_of_limits(solution: Solution, finer: Solution) -> float | None:
    """Return the error limit of a finer march in time, divided by that of a coarser march.

    A march controls its error. The residual need not decrease in proportion to the error: where
    initial and boundary values disagree, the residual is not square integrable, and in a fast
    transition it decreases much faster or more slowly than the error of the transition's time.

    Args:
        solution, finer: the solutions by the coarser and by the finer march.

    Returns:
        The ratio; None unless both solves are converged marches with error limits, the finer march
        with a clearly smaller limit.
    """
    limits = [one.optimizers[-1].error_limit for one in (solution, finer)]
    kept = all(one.status.startswith(CONVERGED) for one in (solution, finer))
    mine, its = limits
    if not kept or mine is None or its is None or its > LARGEST_CONTRACTION * mine:
        return None
    return its / mine


def own_verification(solution: Solution) -> Verification | None:
    """Return the comparison of a solution's loss at fresh points with that at its own points.

    It is computed if the solution has none; None for an energy.
    """
    return solution.verification or verification_of(
        solution.discretization, solution.residuals, solution.loss_terms
    )


def _doubt(
    mine: Verification,
    its: Verification,
    ratio: float,
    distance: Errors,
    finer: Solution,
    sampled: bool,
) -> str:
    """Return the reason why the distance to a finer solution does not measure the error.

    The reason is a text, which is empty if the distance measures the error.

    Args:
        mine: the verification of the solution, with its residual at fresh points.
        its: the verification of the finer solution.
        ratio: ρ, the root mean square residual of the finer solution divided by that of the
            solution.
        distance: the norms of the difference of the two solutions.
        finer: the finer solution.
        sampled: whether the solution's mean squared residual at fresh points has a standard error
            that is small enough to compute ρ.
    """
    if mine.overfitted:
        return mine.words
    if its.overfitted:
        return f"{_named(finer)} is overfitted, {its.words}"
    newton = all(one.output_layer_only for one in finer.optimizers)
    measured = not finer.network.estimates_error and finer.optimizers[-1].error_limit is None
    forward = not finer.problem.unknowns
    # While a kink at a wrong place has the width h of an interval, its residual is proportional to
    # √h; the residual of a solution that is resolved falls much faster.
    slowly = its.relative > SMALL and ratio > FAST
    if measured and forward and (slowly or not its.small) and not _is_affine(finer):
        return f"{_named(finer)} leaves {its.relative:.0%} of the terms of a nonlinear equation"
    if not mine.is_rounding:
        if not sampled:
            return f"the mean squared residual is known to {mine.error / mine.fresh:.0%} only"
        if not ratio <= LARGEST_CONTRACTION:
            part = f"{ratio:.0%} of" if ratio <= 1 else f"{ratio:.3g} times"
            return f"{_named(finer)} leaves {part} the residual"
        if not ratio / (1 - ratio) * distance.l2_relative <= LARGEST_ERROR:
            part = f"{ratio:.0%} of the residual"
            return f"{_named(finer)}, which leaves {part}, is inaccurate itself"
    if not mine.is_rounding and _is_unsolved(finer):
        return LATE if OUT_OF_TIME in finer.status else UNSOLVED
    if newton and finer.status.startswith("stopped: limit of") and not its.is_rounding:
        return UNSOLVED
    return ""


def _is_unsolved(solution: Solution) -> bool:
    """Return whether a nonlinear solve in cells has ended before Newton's method has converged.

    The error of a solve that has ended too early is not estimated, and the residual does not show
    the distance from the exact solution: a transition at a wrong place has a small residual.
    """
    if not solution.network.estimates_error or own_error(solution) is not None:
        return False
    return not _is_affine(solution)


def _is_affine(solution: Solution) -> bool:
    """Return whether the residual of a problem's equation is affine in the solution."""
    term = solution.residuals.terms[0]
    assert isinstance(term, ResidualTerm)
    points = Batch.made_of(term.points[:: max(1, len(term.points) // 16)])
    jet = solution.surrogate.evaluate(points, term.channels)
    return Linearised.at(term.equation, points, jet).is_affine()


def _named(finer: Solution) -> str:
    """Return a description of the finer network, for messages."""
    network = finer.network
    count = network.parameter_count
    return f"a finer network ({type(network).__name__}, {count} coefficients)"


@torch.no_grad()
def error_bound(
    solution: Solution,
    finer: Solution | None = None,
    density: Callable[..., Tensor] | None = None,
    over: Domain | Boundary | None = None,
    budget: float | int | None = None,
) -> Bound:
    """Bound the errors of a solution by a flux or by its residual.

    There are bounds for elliptic and parabolic linear equations of second order for one field,
    -div(A∇u) + b·∇u + c u = f. The equation must be coercive: c - div(b)/2 must be above -λ, where
    λ is a lower bound of the least eigenvalue of -div(A∇u). The bounds hold for all
    continuous networks, however they were trained; networks in time windows are not continuous.
    `Bound` says which parts of a bound are proved and which parts are computed.

    For two fields there are bounds for plane elasticity with a constant stiffness, if on each side
    displacements, tractions, or one of them along and the other across the side are prescribed.

    For b = 0 and c ≥ 0 in the plane, in domains with straight sides, with values, fluxes or Robin
    conditions on the sides and interfaces where A jumps, a solution is compared with a continuous
    function v on triangles, whose error is bounded by a flux on these triangles
    (`kanpinn.accuracy.certificates`). Solutions in several cells have no other bounds. For other
    problems, and where the error of v is not much smaller than that of the solution, the bounds of
    a single network follow from its residual; the smaller bounds in the energy norm are returned.

    Args:
        solution: the solution whose errors are bounded.
        finer: a more accurate solution of the same problem, which may make the bounds smaller.
        density: a function density(p, u), or density(p, u, v) of two fields, affine in the fields
            and without derivatives, (n, 1). The integral of the exact solution's density is bounded
            from both sides (`Bound.interval`). The problem must be one of those for which solutions
            in several cells have bounds. `finer` is not used with a density.
        over: the part of the domain over which the density is integrated, with straight sides; or
            sides of the domain, such as `domain.boundary["x_max"]`, for the work of tractions; by
            default the whole domain.
        budget: the most seconds, except that the quadrature rule of the solution and the bounds on
            the first triangles are computed in any case. They take a few seconds, up to ten with
            many cells at corners. `Bound.ended` says if more time would make the bounds smaller.
            With a budget, meshes of up to 2400 triangles are refined. With None there is no limit
            of time, and meshes of up to 800 triangles are refined.

    Returns:
        The bounds, or the reason why there are none.

    Reference: Repin, A posteriori error estimation for variational problems with uniformly convex
    functionals (2000).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), source="exp(x)", boundary="0")
        >>> bound = kp.error_bound(kp.solve(problem, kp.KAN([1, 1], degree=7, grid=8)))
        >>> bound.l2_relative < 1e-6
        True
    """
    domain = solution.problem.domain
    part = isinstance(over, Domain) and over.names == domain.names
    if isinstance(over, Boundary):
        part = all(piece in domain.boundary.pieces for piece in over.pieces)
    if over is not None and not part:
        raise InputError(f"over must be a part of the domain, with its coordinates, got {over!r}")
    wanted = None
    if density is not None:
        wanted = Number(density, over, float(solution.integral(over, density).value[0]))
    alone = wanted is not None or solution.network.in_windows or _is_in_cells(solution)
    try:
        found = certified(solution, wanted, budget).bound()
    except Unsuitable as reason:
        found = Bound(reason=str(reason))
    if alone or not (found.reason or found.ended):
        return found
    try:
        known = None if finer is None else _approximate(finer)
        other = Majorant(solution.problem)(_approximate(solution), known)
    except Unsuitable as reason:
        return Bound(reason=str(reason)) if found.reason else found
    return found if found.energy < other.energy else other


def _is_in_cells(solution: Solution) -> bool:
    """Return whether a solution is in several cells, between which it jumps."""
    return solution.network.pieces is not None and len(solution.network.pieces) > 1


def certified(
    solution: Solution, wanted: Number | None = None, budget: float | None = None
) -> Certificate:
    """Return a certificate of a solution's error, which `scripts/check_certificate.py` checks.

    Args:
        solution: the solution.
        wanted: the integral of a density, which is bounded besides; None for no integral.
        budget: as for `error_bound`.

    Raises:
        Unsuitable: if there is no certificate for the problem, or for networks in time windows.
    """
    deadline, most = math.inf, MOST
    if budget is not None:
        number("budget", budget, above=True)
        deadline, most = time.perf_counter() + budget, 3 * MOST
    if solution.network.in_windows:
        raise Unsuitable("the network is not one function but one for each window of time")
    if solution.problem.domain.dim != 2:
        raise Unsuitable("bounds with a flux on triangles are for domains in the plane")
    # The points of a quadrature rule and of a coarser rule; in cells both have points in each cell.
    rules = (solution._rules(None, n, None, finer=n == 48) for n in (48, 32))
    fine, coarse = (Given.of(rule, solution.surrogate.evaluate) for rule in rules)
    return certificate(solution.problem, (fine, coarse), most, wanted, deadline)


def _approximate(solution: Solution) -> Approximate:
    """Return the data of a solution from which a bound of its error is computed.

    They are the solution's values and derivatives, the conditions that it satisfies exactly, its
    mean squared residual at fresh points with the standard error, and the change of its values by
    rounding errors.
    """
    discretization = solution.discretization
    found = own_verification(solution)
    if found is None:  # an energy
        generator = torch.Generator().manual_seed(61)
        points = sample(solution.problem.domain, 4096, "sobol", generator)
        squares = solution.residual(points).double().square().sum(dim=1)
        mean, error = float(squares.mean()), float(squares.std()) / 64
    else:
        mean, error = found.interior, found.error / (discretization.loss.interior or 1.0)
        if discretization.scales is not None:  # the verified residual is scaled by it
            factor = float(discretization.scales.equations[0])
            mean, error = mean / factor**2, error / factor**2
    surrogate = solution.surrogate

    def noise(p: Points, channels: Channels) -> Jet:
        """Return the change of the solution's jet by rounding errors of the coefficients."""
        before = surrogate.evaluate(p, channels)
        with perturbed(surrogate.network, seed=67):
            return surrogate.evaluate(p, channels) + -1 * before

    return Approximate(surrogate.evaluate, discretization.met, mean, error, noise)
