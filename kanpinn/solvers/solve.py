"""The solve of a PDE: `solve`, the same from a discretized problem, and the defaults by the
kind of network.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kanpinn._support.distributed import together
from kanpinn._support.errors import instance, integer
from kanpinn.accuracy.references import Recipe
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import Network
from kanpinn.optimizers import Method, Optimizer, load_libraries
from kanpinn.optimizers.least_squares import LeastSquares
from kanpinn.pde.problem import Problem
from kanpinn.solvers.discretize import SolveSettings, default_points, discretize
from kanpinn.solvers.loop import solve_discretized
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer
from kanpinn.tasks.adaptive import Dissection
from kanpinn.tasks.march import March
from kanpinn.tasks.parameters import Shooting


def default_optimizer(network: Network) -> Optimizer:
    """The default optimizer of a network.

    It is `LeastSquares` of the output layer, `Dissection` for networks in cells, `March` for
    networks in time windows, and `Shooting` for those with unknown numbers.
    """
    if network.in_windows and network.constants is not None:
        return Shooting()
    known: dict[str, type[Optimizer]] = {"Dissection": Dissection, "March": March}
    return known.get(network.solved_by, LeastSquares)()


def solve(
    problem: Problem,
    network: Network,
    optimizers: Method | Sequence[Method] | None = None,
    points: Collocation | None = None,
    *,
    boundary: str = "auto",
    weights: Mapping[str, float | int] | None = None,
    balance: str | None = None,
    form: str = "strong",
    reference: Recipe | None = None,
    errors: bool = True,
    verified: bool = True,
    seed: int = 0,
    budget_seconds: float | int | None = None,
    observers: Sequence[Observer] = (),
    checkpoint: Mapping[str, Any] | None = None,
) -> Solution:
    """Solve a PDE: minimise Σ weight · mean residual² over the network's coefficients.

    Args:
        problem: the equation, its domain and conditions.
        network: the network, trained in place; its dtype and device are those of the solve.
        optimizers: run in order; by default one least-squares solve of the output layer, or a march
            for a network in time windows.
        points: collocation points; by default enough for the output layer: Gauss points or, with
            more than three inputs, Sobol points.
        boundary: "exact" builds Dirichlet data into the surrogate, "penalty" adds them to the loss,
            "auto" builds them in where that is possible and useful.
        weights: the weights of the loss terms, {"interior": 1, "boundary": 1} by default.
        balance: brings the loss to one scale. "sizes" divides the residual of every equation and
            condition by the size of its terms, so that the result does not depend on the units of
            coordinates, fields and equations (`kanpinn.loss.scales`). The others do it for the loss
            terms at the start and every 100 steps, by factors that optimizers use and reported
            losses omit: "ntk" makes the mean squared row of the Jacobian equal for all terms,
            "gradients" the norm of the gradient. They are useful with first-order methods and
            penalised data (scripts/sharp_features.py measures it).
        form: "energy" minimises `problem.energy` in place of the squared residual; a network in
            cells then solves the equation that is derived from it, see `Problem.energy`.
        reference: used for errors without an exact solution, by default `problem.reference()`.
        errors: whether to measure the errors.
        verified: whether to compare the residual at fresh points with that at the solve's own: a
            solution whose residual is small at these alone has the status "overfitted: ...".
        seed: the seed of points and optimizers; the network has its own.
        budget_seconds: the most seconds that the steps may take: no step is begun that would
            exceed it, at the mean time of earlier steps or, for an optimizer's first one and for
            those in cells, at what it is expected to take. In cells fewer of them are halved where
            that fits, and a comparison with a better solution is left out where it does not. Where
            the very first step would take more than a second and more than twice the budget, the
            solve fails and says what it takes.
        observers: called with the `SolverState` after every step, such as `Progress()`. Those that
            are context managers are entered for the time of the steps.
        checkpoint: a `SolverState.state_dict()` from which the solve continues.

    Ctrl-C lets the present step finish and returns the solution so far with the status "stopped:
    interrupted"; a second Ctrl-C raises KeyboardInterrupt.

    With a torch.distributed process group, all its processes solve the problem together: each must
    make the same call, and gets the same solution.

    Raises:
        InputError: if problem, network, points or weights do not fit together.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN([1, 32, 1], degree=9), kp.LeastSquares(), seed=0)
        >>> solution.status, solution.errors.l2_relative < 1e-10
        ('converged', True)
    """
    load_libraries()
    started = time.perf_counter()
    seed = integer("seed", seed, least=0)
    instance("network", network, Network)
    points = default_points(network) if points is None else points
    instance("points", points, Collocation)
    settings = SolveSettings(
        points=points, boundary=boundary, weights=weights, balance=balance, form=form
    )
    with together():
        discretization = discretize(problem, network, settings, seed)
    return solve_discretized(
        discretization,
        default_optimizer(network) if optimizers is None else optimizers,
        reference=reference,
        errors=errors,
        verified=verified,
        budget_seconds=budget_seconds,
        observers=observers,
        checkpoint=checkpoint,
        started=started,
    )
