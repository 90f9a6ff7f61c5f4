"""The solve of a PDE: problem, network, optimizers and points become a solution."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kanpinn._support.distributed import from_first, same, together, world
from kanpinn._support.errors import InputError, integer
from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.accuracy.references import Recipe, Reference, reference_of
from kanpinn.geometry.sampling import Collocation
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.weighting import Weighting
from kanpinn.networks.constants import Constants
from kanpinn.networks.network import Network
from kanpinn.optimizers import Method, as_methods, load_libraries
from kanpinn.pde.problem import Problem
from kanpinn.solvers.adaptation import Adaptation
from kanpinn.solvers.default_optimizer import default_optimizer
from kanpinn.solvers.discretize import Discretization, discretize
from kanpinn.solvers.history import UNKNOWN
from kanpinn.solvers.loop import Evaluate, Measure, Resampling, run_stages
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer, SolverState

RECORDED = ("l2_relative", "h1_relative", "l2_squared", "h1_squared")  # of the errors, each step


def solve(
    problem: Problem,
    network: Network,
    optimizers: Method | Sequence[Method] | None = None,
    points: Collocation | None = None,
    *,
    boundary: str = "auto",
    weights: Mapping[str, float | int] | None = None,
    weighting: Weighting | None = None,
    form: str = "strong",
    reference: Recipe | None = None,
    errors: bool = True,
    seed: int = 0,
    budget_seconds: float | int | None = None,
    observers: Sequence[Observer] = (),
    checkpoint: Mapping[str, Any] | None = None,
) -> Solution:
    """Solve a PDE: minimise Σ weight · mean residual² over the network's coefficients.

    Args:
        problem: the equation, its domain and conditions.
        network: the surrogate, changed in place; its dtype and device are the run's.
        optimizers: run in order; by default one least-squares solve of the output layer, or a march
            where the network is in windows of time.
        points: collocation points; by default Gauss points, enough for the output layer.
        boundary: "exact" builds Dirichlet data into the surrogate, "penalty" adds them to the loss,
            "auto" builds them in where that can be had and pays.
        weights: of the loss terms, {"interior": 1, "boundary": 1} by default.
        weighting: of the residual's rows, by the residual itself.
        form: "energy" minimises `problem.energy` in place of the squared residual.
        reference: what stands in for an exact solution, by default `problem.reference()`.
        errors: whether to measure them.
        seed: of points and optimizers; the network has its own.
        budget_seconds: that the steps may take: none is begun for which, going by those
            before, there is no time; the first is always taken.
        observers: called with the `SolverState` after every step.
        checkpoint: a `SolverState.state_dict()` to go on from.

    Ctrl-C lets the step under way finish and returns the solution so far, its status "stopped:
    interrupted"; a second one raises KeyboardInterrupt.

    Where a torch.distributed process group is up, all its processes solve the problem together:
    each must make the same call, and gets the same solution.

    Raises:
        InputError: where problem, network, points or weights do not fit together.
    """
    load_libraries()
    started = time.perf_counter()
    seed = integer("seed", seed, least=0)
    _check_kind(problem)
    with together():
        discretization = discretize(problem, network, points, boundary, weights, seed, form)
    problem, surrogate = discretization.problem, discretization.surrogate
    collocation = discretization.collocation
    chosen = default_optimizer(network) if optimizers is None else optimizers
    optimizers = as_methods(chosen, collocation.resample)
    if world() > 1:
        _check_ranks(discretization, optimizers)
    resampling = _resampling(discretization, weighting, optimizers)
    residuals = Residuals(surrogate, (), discretization)
    run = SolverState(surrogate, optimizers, residuals, budget_seconds=budget_seconds)
    if isinstance(resampling, Adaptation):
        run.adaptation = resampling
    if checkpoint is None:
        discretization.prepare()
    else:
        run.load_state_dict(checkpoint)
    with together():
        known = reference_of(problem, reference)
    norm, waited = _norm(problem, known) if errors else (None, 0.0)
    started += waited
    run_stages(run, _measure(norm, discretization), resampling, observers, checkpoint, seed)
    assert run.status is not None
    return Solution(
        discretization,
        run.residuals,
        None if norm is None else norm.converged(surrogate.evaluate),
        run.status,
        run.history,
        run.earlier + time.perf_counter() - started,
        run.seconds,
        run.residuals.term_values(),
        optimizers,
        world(),
        known,
        waited,
    )


def _check_kind(problem: Problem) -> None:
    if isinstance(problem, Problem) and problem.solved_by != "solve":
        raise InputError(
            f"{type(problem).__name__} is no problem for kanpinn.solve: expected "
            f"kanpinn.{problem.solved_by}(problem, network)"
        )


def _resampling(
    discretization: Discretization, weighting: Weighting | None, optimizers: tuple[Method, ...]
) -> Resampling:
    """What brings points between steps, and weights of their residuals."""
    weighting = weighting or Weighting()
    if weighting.any:
        as_methods(optimizers, 1, "weighting must be None")
    if weighting.any or discretization.collocation.adapt:
        return Adaptation(discretization, weighting)
    return Resampling(discretization.terms, discretization.collocation.resample)


def _norm(problem: Problem, known: Reference | None) -> tuple[ErrorNorm | None, float]:
    """What measures errors, if anything does, and the seconds that went into a reference."""
    if known is None:
        return (ErrorNorm(problem) if problem.has_exact else None), 0.0
    begun = time.perf_counter()
    norm = ErrorNorm(problem, known)
    return norm, time.perf_counter() - begun


def _measure(norm: ErrorNorm | None, discretization: Discretization) -> Measure | None:
    """What the history records of the errors, and of unknown numbers."""
    constants = discretization.surrogate.network.constants
    if norm is None and constants is None:
        return None

    def measure(evaluate: Evaluate) -> dict[str, float]:
        errors = None if norm is None else norm(evaluate)
        found = {} if errors is None else {name: getattr(errors, name) for name in RECORDED}
        numbers = constants.values if isinstance(constants, Constants) else {}
        return found | {UNKNOWN + name: value for name, value in numbers.items()}

    return measure


def _check_ranks(a: Discretization, optimizers: tuple[Method, ...]) -> None:
    """Refuse ranks with different settings, which would wait for each other; the same start."""
    network = a.surrogate.network
    stages = [(type(optimizer).__name__, optimizer.steps) for optimizer in optimizers]
    what = type(a.problem).__name__, network.width, network.parameter_count
    if not same((*what, a.collocation, a.weights, a.seed, stages)):
        raise InputError("the processes of the group do not solve the same problem")
    own = network.state_dict()
    state = from_first({name: tensor.cpu() for name, tensor in own.items()})
    for name, tensor in own.items():  # in place: a network that is loaded counts as placed
        tensor.copy_(state[name])
