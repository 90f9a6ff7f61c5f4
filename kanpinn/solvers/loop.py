"""The solve of a discretized problem, and the loop in which optimizers lower its loss in turn."""

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any

import torch

from kanpinn._support.breakdowns import BREAKDOWNS
from kanpinn._support.distributed import extremes, from_first, on_threads, same, together, world
from kanpinn._support.errors import (
    CONVERGED,
    FAILED,
    STOPPED_BY_USER,
    InputError,
    NumericalError,
    expecting,
)
from kanpinn._support.interrupts import entered, handling
from kanpinn._support.memory import check_memory
from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.accuracy.references import Recipe, Reference, reference_of
from kanpinn.geometry.sampling import COPIES
from kanpinn.jets import JetFunction
from kanpinn.networks.layer import get_coefficients
from kanpinn.optimizers import Method, Stage, Step
from kanpinn.optimizers.method import loss_cost
from kanpinn.pde.defects import warn_of_contradictions
from kanpinn.pde.problem import Problem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import UNKNOWN, Least, Losses, Observer, SolverState, as_methods, copied
from kanpinn.solvers.verification import judged, scan_data, warn_of_breaks

LOG = logging.getLogger("kanpinn")
# A function that returns the quantities that the history records, by name. Its first argument is a
# function that returns the jet of the surrogate at points. Its second argument is the time up to
# which a march in time has solved the problem; None if the solution is known everywhere.
Measure = Callable[[JetFunction, float | None], Mapping[str, float]]


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
    """Solve a discretized problem from the present coefficients of its network; return the result.

    With a checkpoint, the solve starts from the coefficients in the checkpoint.

    Args:
        discretization: the discretized problem.
        budget_seconds: the budget of the steps, as `budget` of `solve`.
        started: the reading of `time.perf_counter` when the solve began, by default now.
        optimizers, reference, errors, verified, observers, checkpoint: as for `solve`.
    """
    started = time.perf_counter() if started is None else started
    network, seed = discretization.surrogate.network, discretization.seed
    stages = as_methods(optimizers, network, discretization.collocation.resample)
    _check_memory(discretization, stages)
    if world() > 1:
        _check_ranks(discretization, stages)
    with on_threads(network.threads):
        losses = Losses.of(discretization, stages)
        if checkpoint is None:
            discretization.prepare()
        state = SolverState(losses, stages, budget_seconds, checkpoint=checkpoint)
        known, norm, waited = reference_and_norm(discretization.problem, reference, errors)
        constants = network.constants

        def measure(jet: JetFunction, until: float | None) -> dict[str, float]:
            """Return the errors, and the values of the problem's unknown parameters, by name.

            Args:
                jet: returns the values and derivatives of the solution.
                until: the time up to which errors are measured; None for all times.
            """
            found = None
            if norm is not None:
                found = norm(jet) if until is None else norm.up_to(jet, until)
            names = ("l2_relative", "h1_relative", "l2_squared", "h1_squared")
            values = {} if found is None else {name: getattr(found, name) for name in names}
            numbers = {} if constants is None else constants.values
            return values | {UNKNOWN + name: value for name, value in numbers.items()}

        scan = None
        if verified and discretization.loss.form == "strong":
            with together():
                scan = scan_data(discretization)
            state.remedy = scan.undefined or state.remedy
            if scan.breaks:
                warn_of_breaks(discretization.problem, scan)
        status = run_stages(state, measure, observers, seed, checkpoint)
        facts = state.facts(status, started + waited)
        values, verification = state.residuals.term_values(), None
        # Without any step there is no solution that could be compared or measured.
        if not state.progress.step and status.startswith(FAILED):
            verified, norm = False, None
        if verified and status != STOPPED_BY_USER:
            facts["status"], verification = judged(discretization, state, status, values, scan)
        whole = state.surrogate.evaluate
        return Solution(
            discretization=discretization,
            errors=None if norm is None else norm.converged(whole, network.pieces),
            loss_terms=values,
            verification=verification,
            reference=known,
            reference_seconds=waited if known is not None else 0.0,
            **facts,
        )


def reference_and_norm(
    problem: Problem, given: Recipe | None, errors: bool = True
) -> tuple[Reference | None, ErrorNorm | None, float]:
    """Return the reference solution of a problem, and the norm that measures errors.

    Args:
        problem: the problem.
        given: how to compute the reference, by default `problem.reference()`.
        errors: whether to measure errors.

    Returns:
        The reference solution, or None. The norm of the distance to the exact solution or to the
        reference; None if `errors` is False, or without an exact solution and a reference. The
        seconds that it took to make the reference and the norm; 0 without a norm.
    """
    begun = time.perf_counter()
    with together():
        known = reference_of(problem, given)
    if errors and problem.exact is not None:
        warn_of_contradictions(problem)
    if errors and (known is not None or problem.exact is not None):
        return known, ErrorNorm(problem, known), time.perf_counter() - begun
    return known, None, 0.0


def _check_memory(a: Discretization, optimizers: tuple[Method, ...]) -> None:
    """Check that points and matrices will fit into the free memory, before they are allocated.

    Args:
        a: the discretized problem.
        optimizers: the optimizers, which may store matrices.

    Raises:
        InputError: if they do not fit; the message has the number of points, or the method and its
            number of coefficients.
    """
    network, points = a.surrogate.network, a.collocation
    count = points.interior + points.boundary
    size = 8 * COPIES * a.problem.domain.dim * count
    check_memory(f"{points.interior} + {points.boundary} points", size, free=True)
    for method in optimizers:
        given = f"{method.title} for {method.unknowns(network)} coefficients"
        check_memory(given, method.factor_bytes(network, count // world()), free=True)


def _check_ranks(a: Discretization, optimizers: tuple[Method, ...]) -> None:
    """Check that all ranks (processes) have equal settings; share the first rank's coefficients.

    With different settings the ranks would wait for each other for ever.

    Args:
        a: the discretized problem of this rank.
        optimizers: the optimizers of this rank.

    Raises:
        InputError: if the ranks have different settings.
    """
    network = a.surrogate.network
    stages = [(type(optimizer).__name__, optimizer.steps) for optimizer in optimizers]
    what = type(a.problem).__name__, network.width, network.parameter_count
    if not same((*what, a.collocation, a.loss, a.seed, stages)):
        raise InputError("the processes of the group do not solve the same problem")
    own = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    placed = {part: part.placed for part in network.modules() if hasattr(part, "placed")}
    network.load_state_dict(from_first(own))
    for part, was in placed.items():  # a network that is loaded counts as placed on its grids
        part.placed = was


def run_stages(
    state: SolverState,
    measure: Measure | None = None,
    observers: Sequence[Observer] = (),
    seed: int = 0,
    checkpoint: Mapping[str, Any] | None = None,
) -> str:
    """Run the optimizers one after another until the solve ends, and return its status.

    Ctrl-C lets the present step finish and then ends the solve.

    Args:
        state: the state before the first step or of the checkpoint; it is advanced in place.
        measure: returns the quantities that the history records besides the loss.
        observers: called with the state after every step. Observers that are context managers are
            entered before the steps and exited after them.
        seed: the seed of the optimizers.
        checkpoint: the checkpoint that the state was made from; None if there was none.

    Returns:
        The status: "converged", "stopped: ..." or "failed: ...", with the reason.
    """
    progress, count = state.progress, len(state.optimizers)
    memory = None if checkpoint is None else copy.deepcopy(checkpoint["stage"])
    with handling(state.interrupt), entered(observers):
        if checkpoint is None:
            _begin(state, measure)
        elif state.best is not None and progress.stage_index < count:
            # A checkpoint is written before its step is judged.
            optimizer = state.optimizers[progress.stage_index]
            state.status = state.best.verdict(progress, optimizer, state.residuals)
        while state.status is None and progress.stage_index < count:
            state.residuals = state.losses.following(state.residuals, progress.step)
            state.optimizer = state.optimizers[progress.stage_index]
            state.stage = stage = state.optimizer.start(state.residuals, seed)
            state.clock.expected = None
            if state.clock.budget_seconds is not None:
                stage.seconds_left = state.clock.left
                # If the forecast breaks down, the step itself may try other starts.
                with suppress(*BREAKDOWNS), state.clock.timed(progress.stage_index):
                    cost = stage.planned() if memory is None else None
                    state.clock.expected = cost or state.optimizer.cost(state.residuals)
            if memory is None:
                state.least = Least(state.history.rows[-1]["loss"], progress.step)
            else:
                with expecting("the checkpoint"):
                    stage.load_state_dict(memory)
            limit, reason, memory = state.optimizer.steps, "", None
            while state.status is None and not reason:
                if progress.finished is not None:
                    reason = progress.finished
                elif progress.stage_step >= limit:
                    reason = state.stopped(f"limit of {limit} steps")
                    reason = f"{reason}; {state.optimizer.advice}"
                elif late := state.clock.spent(progress, stage.expected_seconds):
                    state.status = state.stopped(late) if progress.step else f"{FAILED}: {late}"
                else:
                    stage.seconds_left = state.clock.left
                    _take_step(state, stage, measure, observers)
            incomplete = progress.finished is None and stage.short()
            if state.status is None and (reason.startswith(FAILED) or incomplete):
                state.status = reason  # no later optimizer could go on from here
            if (taken_back := state.end_stage(reason)) is not None:
                LOG.warning("%s: %s", state.optimizer.title, taken_back)
    status = state.status or progress.finished or CONVERGED  # all optimizers had ended
    if state.best is not None and (kept := state.keep(state.best)) is not None:
        status = f"{status}; {kept}"
    state.status = status
    return status


def _begin(state: SolverState, measure: Measure | None) -> None:
    """Record the state before the first step; the solve fails if its budget is far too small.

    With more than 65536 residual vectors the loss itself may take longer than the budget. So the
    expected time of the first step, and of the loss if that is longer, is compared with the budget
    before the loss is evaluated, and the time of the loss counts as a part of the budget. If the
    solve fails, the loss at 256 random residual vectors stands for the loss.

    Args:
        state: the state of the solve.
        measure: returns the quantities that the history records besides the loss; None for none.
    """
    many, few, clock = 2**16, 2**8, state.clock
    if clock.budget_seconds is None or sum(one.rows for one in state.residuals.terms) <= many:
        return _record(state, Step(state.residuals.loss(reported=True), 0), measure)
    costs = [loss_cost(state.residuals)]
    with suppress(*BREAKDOWNS):  # the step itself may try other starts
        costs += filter(None, [state.optimizers[0].cost(state.residuals)])
    clock.expected = max(costs, key=attrgetter("seconds"))
    if late := clock.spent(state.progress):
        state.status, measure = f"{FAILED}: {late}", None
        state.residuals = state.residuals.subset(few, 0)
    with clock.timed(0):
        loss = state.residuals.loss(reported=True)
    _record(state, Step(loss, 0), measure)


def _take_step(
    state: SolverState, stage: Stage, measure: Measure | None, observers: Sequence[Observer]
) -> None:
    """Take a step, record it, call the observers, and set the loss for the next step.

    If the step breaks down, or its loss is not finite, the solve fails, and the network gets the
    coefficients from before the step.

    Raises:
        NumericalError: if the ranks do not have the same coefficients.
    """
    progress, optimizer, network = state.progress, state.optimizer, state.surrogate.network
    where = f"step {progress.step + 1} of {type(stage).__name__.removesuffix('Stage')}"
    before, broken = None if stage.all_or_nothing else copied(network), ""
    with state.clock.timed(progress.stage_index):
        try:
            done = stage.step()
        except BREAKDOWNS as error:
            done = Step(math.nan)
            words = str(error).splitlines()[0]
            if "linalg" in words or "LAPACK" in words:  # the words of PyTorch
                words = "a matrix is singular, or its entries are not finite"
            broken = f"{where} broke down ({words}): {state.remedy}"
        if math.isfinite(done.loss):
            more = progress.stage_step + 1 < optimizer.steps
            done = state.losses.judged(state.residuals, done, more)
    if not math.isfinite(done.loss):
        if before is not None:
            network.load_state_dict(before)
        _fail(state, broken or f"the loss became {done.loss} in {where}")
        return
    progress.step, progress.stage_step = progress.step + 1, progress.stage_step + 1
    progress.finished, state.words = done.finished, done.words
    state.least.see(done, progress.step, before)
    last = done.finished is not None or progress.stage_step == optimizer.steps
    measured = last or optimizer.measures(progress.stage_step)
    _record(state, done, measure if measured else None)
    with together():
        for observer in observers:
            observer(state)
    interrupted = state.interrupted
    if world() > 1:  # any rank may be interrupted
        checksum = float(get_coefficients(network.all_layers).sum())
        low, high = extremes(torch.tensor([[checksum, interrupted]], dtype=torch.float64))
        interrupted = bool(high[1])
        if low[0] < high[0]:
            raise NumericalError(
                "the processes do not compute the same numbers: they must be on machines of one "
                "kind, with as many threads each"
            )
    if interrupted:
        state.status = STOPPED_BY_USER
    elif state.best is not None:
        state.status = state.best.verdict(progress, optimizer, state.residuals)
    if progress.finished is None and state.status is None:
        try:
            with state.clock.timed(progress.stage_index):
                stage.residuals = state.losses.following(state.residuals, progress.step)
                state.residuals = stage.residuals
        except NumericalError as error:
            _fail(state, str(error))


def _fail(state: SolverState, why: str) -> None:
    """End the solve as failed, after `SolverState.go_back` if the loss has risen too much.

    Args:
        state: the state of the solve.
        why: the reason, in words.
    """
    kept = state.go_back() or f"the state after step {state.progress.step} is kept"
    state.status = f"failed: {why}; {kept}"


def _record(state: SolverState, done: Step, measure: Measure | None) -> None:
    """Append a step to the history, and store the network if its validation error is the least.

    Args:
        state: the state of the solve.
        done: the result of the step.
        measure: returns the quantities that the history records besides the loss; None for none.
    """
    row = {
        "step": state.progress.step,
        "stage": state.progress.stage_index,
        "loss": done.loss,
        "evaluations": done.evaluations,
        "seconds": sum(state.clock.seconds),
        **done.notes,
        **({} if measure is None else measure(state.surrogate.evaluate, done.until)),
    }
    state.history.rows.append(row)
    if state.best is not None:
        state.best.see(row, state.progress.step, state.surrogate.network)
