"""The solve of a PDE: `solve`, the same from a discretized problem, and the defaults by the
kind of network.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kanpinn._support.distributed import from_first, on_threads, same, together, world
from kanpinn._support.errors import STOPPED_BY_USER, InputError, instance, integer
from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.accuracy.references import Recipe, Reference, reference_of
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import Network
from kanpinn.optimizers import Method, Optimizer, as_methods, load_libraries
from kanpinn.optimizers.least_squares import LeastSquares
from kanpinn.pde.problem import Problem
from kanpinn.solvers.data_scan import DataScan, scan_data, warn_of_breaks
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.discretize import SolveSettings, discretize
from kanpinn.solvers.loop import ErrorMeasure, run_stages
from kanpinn.solvers.losses import losses_of
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer, SolverState, begin
from kanpinn.solvers.verification import (
    Verification,
    judged_by_curvature,
    judged_by_resonance,
    judged_status,
    verify,
)
from kanpinn.spaces.cell_windows import CellWindows
from kanpinn.spaces.cells.cells import Cells
from kanpinn.spaces.windows import Windows
from kanpinn.tasks.adaptive import Dissection
from kanpinn.tasks.march import March
from kanpinn.tasks.parameters import Shooting


def default_optimizer(network: Network) -> Optimizer:
    """The default optimizer of a network.

    It is `LeastSquares` of the output layer, `Dissection` for networks in cells, `March` for
    networks in time windows, and `Shooting` for those with unknown numbers.
    """
    if isinstance(network, Cells):
        return Dissection()
    if isinstance(network, CellWindows):
        return March()
    if not isinstance(network, Windows):
        return LeastSquares()
    return March() if network.constants is None else Shooting()


def default_points(network: Network) -> Collocation:
    """The default number of collocation points, and their sampler, for a network.

    There are 1.4 interior points per coefficient of the output layer, and at least 1681. Up to
    three inputs they are Gauss points, with 4 √(interior) points, at least 164, on the boundary.
    Above, where products of Gauss rules are too large, they are Sobol points, with a quarter as
    many on the boundary as in the interior. Networks in time windows with hidden layers take Sobol
    points, too, with twice as many on the boundary as there are coefficients, and at least 400.
    """
    coefficients = sum(part.layers[-1].coefficients.numel() for part in network.parts)
    interior = max(1681, math.ceil(1.4 * coefficients))
    if isinstance(network, Windows) and network.in_space and not network.of_splines:
        # A march takes each place at walls once: points of a product with the time share places.
        return Collocation(interior, max(400, 2 * coefficients), "sobol")
    if network.width[0] > 3:
        return Collocation(interior, math.ceil(interior / 4), "sobol")
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")


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


def solve_discretized(
    discretization: Discretization[Problem],
    optimizers: Method | Sequence[Method],
    *,
    reference: Recipe | None = None,
    errors: bool = True,
    verified: bool = True,
    budget_seconds: float | int | None = None,
    observers: Sequence[Observer] = (),
    checkpoint: Mapping[str, Any] | None = None,
    started: float | None = None,
) -> Solution:
    """Solve a problem that is discretized, from the coefficients that its network has.

    The arguments are those of `solve`; `started` is when the solve began, by default now.
    """
    started = time.perf_counter() if started is None else started
    network, seed = discretization.surrogate.network, discretization.seed
    stages = as_methods(optimizers, network, discretization.collocation.resample)
    if world() > 1:
        _check_ranks(discretization, stages)
    with on_threads(network.threads):
        losses = losses_of(discretization, stages)
        if checkpoint is None:
            discretization.prepare()
        state = begin(losses, stages, budget_seconds, checkpoint=checkpoint)
        begun = time.perf_counter()
        known, norm = _reference_and_norm(discretization.problem, reference, errors)
        waited = 0.0 if norm is None else time.perf_counter() - begun
        constants = network.constants
        measure = None if norm is None and constants is None else ErrorMeasure(norm, constants)
        scan = _scanned(discretization) if verified else None
        status = run_stages(state, measure, observers, seed, checkpoint)
        seconds = state.clock.earlier + time.perf_counter() - started - waited
        values, verification = state.residuals.term_values(), None
        if verified and status != STOPPED_BY_USER:
            status, verification = _judged(discretization, state, status, values, scan)
        evaluate, pieces = state.surrogate.evaluate, network.pieces
        return Solution(
            discretization=discretization,
            residuals=state.residuals,
            errors=None if norm is None else norm.converged(evaluate, pieces),
            status=status,
            history=state.history,
            seconds=seconds,
            optimizer_seconds=state.clock.seconds,
            loss_terms=values,
            optimizers=stages,
            processes=world(),
            verification=verification,
            reference=known,
            reference_seconds=waited if known is not None else 0.0,
        )


def _reference_and_norm(
    problem: Problem, given: Recipe | None, errors: bool
) -> tuple[Reference | None, ErrorNorm | None]:
    """Return the reference of a problem, and the norm of its errors if they can be measured."""
    with together():
        known = reference_of(problem, given)
    if errors and (known is not None or problem.exact is not None):
        return known, ErrorNorm(problem, known)
    return known, None


def _scanned(discretization: Discretization[Problem]) -> DataScan | None:
    """Return what a scan of the data finds, after a warning of breaks; None for an energy."""
    with together():
        scan = scan_data(discretization) if discretization.form == "strong" else None
    if scan is not None and scan.breaks:
        warn_of_breaks(discretization.problem, scan)
    return scan


def _judged(
    discretization: Discretization[Problem],
    state: SolverState,
    status: str,
    values: Mapping[str, float],
    scan: DataScan | None,
) -> tuple[str, Verification | None]:
    """Return the status of a solve after its verification at fresh points, and that verification.

    values: of the loss terms at the solve's own points.
    """
    fitted = any(stage.fits_points for stage in state.optimizers)
    verification = verify(discretization, state.residuals, values, scan, fitted)
    status = judged_status(status, verification, discretization)
    # Cells represent discontinuous functions too, which are no modes of the problem.
    single = fitted and state.history.steps == 1
    if verification is not None and verification.reacts and single:
        status = judged_by_resonance(status, verification, discretization, state.residuals)
    if discretization.form == "strong":
        status = judged_by_curvature(status, discretization.problem, state.surrogate.evaluate)
    return status, verification


def _check_ranks(a: Discretization, optimizers: tuple[Method, ...]) -> None:
    """Check that all ranks have the same settings, else they would deadlock; share the start."""
    network = a.surrogate.network
    stages = [(type(optimizer).__name__, optimizer.steps) for optimizer in optimizers]
    what = type(a.problem).__name__, network.width, network.parameter_count
    if not same((*what, a.collocation, a.weights, a.seed, stages)):
        raise InputError("the processes of the group do not solve the same problem")
    own = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    placed = {part: part.placed for part in network.modules() if hasattr(part, "placed")}
    network.load_state_dict(from_first(own))
    for part, was in placed.items():  # a network that is loaded counts as placed on its grids
        part.placed = was
