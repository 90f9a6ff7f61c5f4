"""`solve`: solve a PDE with a given network, or with a network that is chosen by trials."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kanpinn._support.distributed import together
from kanpinn._support.errors import InputError, instance, integer, number
from kanpinn.accuracy.references import Recipe
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import Network
from kanpinn.optimizers import LeastSquares, Method
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.search import TrialSearch
from kanpinn.solvers.discretization import Loss, SolveSettings, discretize
from kanpinn.solvers.error_estimate import with_estimate
from kanpinn.solvers.loop import solve_discretized
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer
from kanpinn.tasks import AdaptiveLeastSquares, March, Shooting


def default_optimizer(network: Network, tolerance: float | int | None = None) -> Method:
    """Return the default optimizer of a network.

    The optimizer is `AdaptiveLeastSquares` for networks in cells, `March` for networks in time
    windows, `Shooting` for networks in time windows with unknown parameters, and for all other
    networks `LeastSquares` of the output layer.

    Args:
        network: the network.
        tolerance: the tolerance of the optimizer; None for the optimizer's default. `LeastSquares`
            has no tolerance and ignores this argument.
    """
    kinds: dict[str, type[AdaptiveLeastSquares | March]] = {
        "AdaptiveLeastSquares": AdaptiveLeastSquares,
        "March": March,
    }
    kind: type[AdaptiveLeastSquares | March | Shooting] | None = kinds.get(network.solved_by)
    if network.in_windows and network.constants is not None:
        kind = Shooting
    if kind is None:
        return LeastSquares()
    return kind() if tolerance is None else kind(tolerance=tolerance)


def solve(
    problem: Problem,
    network: Network | None = None,
    optimizers: Method | Sequence[Method] | None = None,
    points: Collocation | None = None,
    *,
    tolerance: float | int | None = None,
    budget: float | int | None = None,
    boundary: str = "auto",
    loss: Loss | None = None,
    reference: Recipe | None = None,
    errors: bool = True,
    verified: bool = True,
    seed: int = 0,
    observers: Sequence[Observer] = (),
    checkpoint: Mapping[str, Any] | None = None,
) -> Solution:
    """Solve a PDE with a given network, or with a network and optimizers that are chosen by trials.

    The loss Σ weight · mean residual² is minimised over the coefficients of the network. Networks
    in cells and networks in time windows have optimizers of their own.

    Args:
        problem: the equation, its domain and conditions.
        network: the network, trained in place; the solve uses its dtype and device. If its width is
            left out, the problem determines the numbers of inputs and outputs. None to try
            networks, points, optimizers and losses, from small to large, until the tolerance is met
            or the budget is used up, see `kanpinn.solvers.auto.TrialSearch`. Trials compute in
            double precision on the CPU.
        optimizers: run in order; by default one method for the network: a least-squares solve of
            the output layer, `AdaptiveLeastSquares` for cells, `March` for time windows.
        points: the collocation points; by default 1.4 interior points for each coefficient of the
            output layer, at least 1681: Gauss points or, with more than three inputs, Sobol points.
        tolerance: the largest acceptable relative L2 error. Trials, and the default optimizers of
            cells and time windows, end when their estimated error is below the tolerance; for
            trials None means 1e-9. For other networks and optimizers the error is estimated after
            the solve, see `estimate_error`, and the status compares the estimate with the
            tolerance; None for no estimate.
        budget: the most seconds that the steps of all optimizers may take; by default 300 for all
            trials together, otherwise no limit. A step is not begun if its predicted time exceeds
            the seconds that are left. The predicted time is the mean time of earlier steps or, for
            the first step of an optimizer and for steps in cells, a time that is estimated in
            advance. If a solve in cells would take too long, it starts with fewer cells or a lower
            degree, and later steps halve fewer cells or leave out the comparison with a more
            accurate solution. If the very first step is expected to take more than a second and
            more than twice the budget, the solve fails, and the status has the expected time. The
            time of checks and errors after the last step does not count. An error estimate after
            the solve may take the rest of the budget, or a fifth of the budget if less is left.
        boundary: "exact" builds Dirichlet data into the surrogate, "penalty" adds them to the loss,
            "auto" builds them in where that is possible and useful.
        loss: the weights and the form of the loss, and how its terms are balanced; by default both
            weights are 1.
        reference: how to compute the reference solution, against which errors are measured if there
            is no exact solution; by default `problem.reference()`.
        errors: whether to measure the errors.
        verified: whether to compare the residual at fresh points with the residual at the
            collocation points. If the residual is small at the collocation points only, the status
            is "overfitted: ...".
        seed: the seed of points and optimizers, and of networks that trials choose.
        observers: called with the `SolverState` after every step, such as `Progress()`. Observers
            that are context managers are entered before the steps and exited after them.
        checkpoint: a `SolverState.state_dict()` from which the solve continues, or the state of a
            `TrialSearch`.

    Ctrl-C lets the present step finish and returns the solution so far with the status "stopped:
    interrupted"; a second Ctrl-C raises KeyboardInterrupt.

    With a torch.distributed process group, all its processes solve the problem together: each must
    make the same call, and gets the same solution.

    Raises:
        InputError: if the arguments do not fit together.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN(hidden=[32], degree=9), seed=0)
        >>> solution.status, solution.errors.l2_relative < 1e-10
        ('converged', True)
        >>> kp.solve(problem, tolerance=1e-6).errors.l2_relative < 1e-6
        True
    """
    started = time.perf_counter()
    seed = integer("seed", seed, least=0)
    if tolerance is not None:
        number("tolerance", tolerance, above=True)
    if network is None:
        if not verified:
            raise InputError("verified=False needs a network: trials are judged by verification")
        for name, choice in {"optimizers": optimizers, "points": points, "loss": loss}.items():
            if choice is not None:
                raise InputError(f"{name} must be left out without a network: trials choose both")
        limits = {"tolerance": tolerance, "budget": budget}
        given: dict[str, Any] = {name: x for name, x in limits.items() if x is not None}
        given |= {"observers": observers, "checkpoint": checkpoint}
        search = TrialSearch(problem=problem, boundary=boundary, seed=seed, **given)
        return search.solution(reference, errors)
    instance("network", network, Network)
    settings = SolveSettings(points=points, boundary=boundary, loss=loss or Loss())
    with together():
        discretization = discretize(problem, network, settings, seed)
    solution = solve_discretized(
        discretization,
        default_optimizer(network, tolerance) if optimizers is None else optimizers,
        reference=reference,
        errors=errors,
        verified=verified,
        budget_seconds=budget,
        observers=observers,
        checkpoint=checkpoint,
        started=started,
    )
    own = optimizers is None and network.solved_by  # the status is about the tolerance
    if tolerance is None or own:
        return solution
    return with_estimate(solution, tolerance, budget=budget)
