"""The loop of every solve: optimizers, one after another, take steps that lower the loss."""

import copy
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from kanpinn._support.distributed import extremes, together, world
from kanpinn._support.errors import NumericalError
from kanpinn._support.interrupts import handling
from kanpinn.networks.layer import get_coefficients
from kanpinn.optimizers import CONVERGED, Step
from kanpinn.solvers.kept_states import copied
from kanpinn.solvers.measure import Measure
from kanpinn.solvers.state import Observer, SolverState

LOG = logging.getLogger("kanpinn")


def run_stages(
    state: SolverState,
    measure: Measure | None = None,
    observers: Sequence[Observer] = (),
    seed: int = 0,
    checkpoint: Mapping[str, Any] | None = None,
) -> None:
    """Run the optimizers one after another until the solve ends, and set `state.status`.

    Ctrl-C lets the present step finish and then ends the solve.

    Args:
        state: the result of `begin`, advanced in place.
        measure: gives the quantities that the history records besides the loss.
        observers: called with the state after every step.
        seed: the seed of the optimizers.
        checkpoint: the checkpoint that `begin` was given; None if there was none.
    """
    with _interruptible(state):
        state.take_loss()
        if checkpoint is None:
            _record(state, Step(state.residuals.plain_loss(), 0), measure)
        else:
            _judge(state)  # a checkpoint is written before its step is judged
        memory = None if checkpoint is None else copy.deepcopy(checkpoint["stage"])
        while state.status is None and state.progress.stage_index < len(state.optimizers):
            optimizer = state.optimizer
            state.begin_stage(seed, memory)
            reason, memory = _run_stage(state, measure, observers), None
            if (taken_back := state.end_stage(reason)) is not None:
                LOG.warning("%s: %s", optimizer.title, taken_back)
        state.status = state.status or state.progress.finished or CONVERGED  # no optimizer was left
    state.keep_best()


def _run_stage(state: SolverState, measure: Measure | None, observers: Sequence[Observer]) -> str:
    """Take steps of one optimizer until it ends, and return the reason.

    `state.status` is set if the solve ends too.
    """
    progress, limit = state.progress, state.optimizer.steps
    while state.status is None and progress.finished is None and progress.stage_step < limit:
        if (spent := state.clock.spent(progress)) is not None:
            state.status = state.stopped(spent)
        else:
            _take_step(state, measure, observers)
    if state.status is not None:
        return state.status
    assert state.stage is not None
    reason = progress.finished or state.stopped(f"limit of {limit} steps")
    if reason.startswith("failed") or (progress.finished is None and state.stage.short()):
        state.status = reason  # failed, or short of where the next one should begin
    return reason


def _take_step(state: SolverState, measure: Measure | None, observers: Sequence[Observer]) -> None:
    """Take a step, record and observe it, and take the loss of the next step."""
    progress, optimizer, network = state.progress, state.optimizer, state.surrogate.network
    before = copied(network)
    with state.clock.timed(progress.stage_index):
        done = _attempt(state)
    if not math.isfinite(done.loss):
        network.load_state_dict(before)
        _fail(state, str(done.finished))
        return
    state.count(done, before)
    last = done.finished is not None or progress.stage_step == optimizer.steps
    measured = last or progress.stage_step % optimizer.measure_every == 0
    _record(state, done, measure if measured else None)
    if _observed(state, observers):
        state.status = "stopped: interrupted"
    else:
        _judge(state)
    if progress.finished is None and state.status is None:
        try:
            with state.clock.timed(progress.stage_index):
                state.take_loss()
        except NumericalError as error:
            _fail(state, str(error))


def _attempt(state: SolverState) -> Step:
    """The result of one step; if it breaks down, the loss is NaN and `finished` is the reason."""
    assert state.stage is not None
    progress = state.progress
    where = f"step {progress.step + 1} of {type(state.stage).__name__.removesuffix('Stage')}"
    try:
        done = state.stage.step()
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        return Step(math.nan, finished=f"{where} broke down ({str(error).splitlines()[0]})")
    if math.isfinite(done.loss):
        more = progress.stage_step + 1 < state.optimizer.steps
        done = state.losses.judged(state.residuals, done, more)
    if math.isfinite(done.loss):
        return done
    return Step(math.nan, finished=f"the loss became {done.loss} in {where}")


def _fail(state: SolverState, why: str) -> None:
    kept = state.go_back() or f"the state after step {state.progress.step} is kept"
    state.status = f"failed: {why}; {kept}"


def _record(state: SolverState, done: Step, measure: Measure | None) -> None:
    """Write a step into the history."""
    errors = {} if measure is None else measure(state.surrogate.evaluate)
    state.history.add(
        step=state.progress.step,
        stage=state.progress.stage_index,
        loss=done.loss,
        evaluations=done.evaluations,
        seconds=sum(state.clock.seconds),
        **done.notes,
        **errors,
    )
    if state.best is not None:
        state.best.see(state.history.rows[-1], state.progress.step, state.surrogate.network)


def _judge(state: SolverState) -> None:
    """End the solve if the best state's verdict is that it should end."""
    left = state.progress.stage_index < len(state.optimizers)
    if state.best is not None and left:
        state.status = state.best.verdict(state.progress, state.optimizer, state.residuals)


def _observed(state: SolverState, observers: Sequence[Observer]) -> bool:
    """Call the observers, and return whether any rank is interrupted."""
    with together():
        for observer in observers:
            observer(state)
    if world() == 1:
        return state.interrupted
    checksum = float(get_coefficients(state.surrogate.network.all_layers).sum())
    low, high = extremes(torch.tensor([[checksum, state.interrupted]], dtype=torch.float64))
    if low[0] < high[0]:
        raise NumericalError(
            "the processes do not compute the same numbers: they must be on machines of one kind, "
            "with as many threads each"
        )
    return bool(high[1])


@contextmanager
def _interruptible(state: SolverState) -> Iterator[None]:
    """Make Ctrl-C end the solve after the present step, and a second Ctrl-C interrupt the step."""

    def interrupt(*_: object) -> None:
        if state.interrupted:
            raise KeyboardInterrupt
        state.interrupted = True

    with handling(interrupt):
        yield
