"""`solve`: a PDE is solved with what is named, and otherwise with what trials choose."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kanpinn._support.distributed import together
from kanpinn._support.errors import InputError, instance, integer, number
from kanpinn.accuracy.references import Recipe
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import Network
from kanpinn.optimizers import LeastSquares, Method, load_libraries
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.search import TrialSearch
from kanpinn.solvers.discretization import Loss, SolveSettings, discretize
from kanpinn.solvers.error_estimate import with_estimate
from kanpinn.solvers.loop import solve_discretized
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer
from kanpinn.tasks import AdaptiveLeastSquares, March, Shooting


def default_optimizer(network: Network, tolerance: float | int | None = None) -> Method:
    """The default optimizer of a network, to a tolerance if it takes one.

    It is `LeastSquares` of the output layer, `AdaptiveLeastSquares` for networks in cells, `March`
    for networks in time windows, and `Shooting` for those with unknown numbers.
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
    """Solve a PDE, with what is named and otherwise with what trials choose.

    A network minimises Σ weight · mean residual² over its coefficients, or as its own method does.

    Args:
        problem: the equation, its domain and conditions.
        network: the network, trained in place; its dtype and device are those of the solve. Where
            its width is left out, inputs and outputs are those of the problem. None to try
            networks, points and optimizers, from small to large, until the tolerance is met or the
            budget is used up, see `kanpinn.solvers.auto.TrialSearch`; then points and loss are
            chosen too. They are in double precision, on the CPU.
        optimizers: run in order; by default those of the network: one least-squares solve of the
            output layer, `AdaptiveLeastSquares` for cells, `March` for time windows.
        points: collocation points; by default enough for the output layer: Gauss points or, with
            more than three inputs, Sobol points.
        tolerance: the relative L2 error at which the solve ends, and with which the estimated error
            is compared: trials end at it (None for 1e-9), and the default optimizers of cells and
            time windows take it as theirs. Otherwise the error is estimated after the solve, see
            `estimate_error`.
        budget: the most seconds that the steps may take: no step is begun that would exceed it, at
            the mean time of earlier steps or, for an optimizer's first one and for those in cells,
            at what it is expected to take. In cells fewer of them are halved where that fits, and a
            comparison with a better solution is left out where it does not. Where the very first
            step would take more than a second and more than twice the budget, the solve fails and
            says what it takes. Checks and errors after the last step are not counted. For all
            trials together it is 300 by default.
        boundary: "exact" builds Dirichlet data into the surrogate, "penalty" adds them to the loss,
            "auto" builds them in where that is possible and useful.
        loss: the weights and the form of the loss, and how its terms are balanced; by default both
            weights are 1.
        reference: used for errors without an exact solution, by default `problem.reference()`.
        errors: whether to measure the errors.
        verified: whether to compare the residual at fresh points with that at the solve's own: a
            solution whose residual is small at these alone has the status "overfitted: ...".
        seed: the seed of points and optimizers, and of networks that are chosen.
        observers: called with the `SolverState` after every step, such as `Progress()`. Those that
            are context managers are entered for the time of the steps.
        checkpoint: a `SolverState.state_dict()` from which the solve continues, or the state of a
            `TrialSearch`.

    Ctrl-C lets the present step finish and returns the solution so far with the status "stopped:
    interrupted"; a second Ctrl-C raises KeyboardInterrupt.

    With a torch.distributed process group, all its processes solve the problem together: each must
    make the same call, and gets the same solution.

    Raises:
        InputError: if problem, network, points or weights do not fit together.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN(hidden=[32], degree=9), seed=0)
        >>> solution.status, solution.errors.l2_relative < 1e-10
        ('converged', True)
        >>> kp.solve(problem, tolerance=1e-6).errors.l2_relative < 1e-6
        True
    """
    load_libraries()
    started = time.perf_counter()
    seed = integer("seed", seed, least=0)
    if tolerance is not None:
        number("tolerance", tolerance, above=True)
    if network is None:
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
    own = optimizers is None and network.solved_by  # whose status compares with the tolerance
    return solution if tolerance is None or own else with_estimate(solution, tolerance)
