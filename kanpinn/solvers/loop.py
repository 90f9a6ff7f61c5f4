"""THE loop: optimizers, one after another, work on the terms of a loss."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from kanpinn._support.distributed import extremes, together
from kanpinn._support.errors import NumericalError
from kanpinn._support.interrupts import handling
from kanpinn.geometry import Points
from kanpinn.jets.jet import Channels, Jet
from kanpinn.loss.terms import Term
from kanpinn.networks.network import get_coefficients
from kanpinn.optimizers import CONVERGED, Method, Step
from kanpinn.solvers.state import Least, Observer, SolverState

LOG = logging.getLogger("kanpinn")

Evaluate = Callable[[Points, Channels], Jet]
Measure = Callable[[Evaluate], Mapping[str, float]]  # errors by name, for the history


def run_stages(
    run: SolverState,
    measure: Measure | None,
    resampling: "Resampling",
    observers: Sequence[Observer],
    checkpoint: Mapping[str, Any] | None,
    seed: int,
) -> None:
    """Put the optimizers to work one after another, until `run.status` says how it ended.

    Args:
        run: advanced in place.
        measure: what the history records of the surrogate besides the loss.
        resampling: gives the terms of the loss.
        observers: called with the run after every step.
        checkpoint: where it goes on from.
        seed: of the optimizers.
    """
    with interruptible(run):
        _loop(run, measure, resampling, observers, checkpoint, seed)
    run.keep_best()


def _loop(
    run: SolverState,
    measure: Measure | None,
    resampling: "Resampling",
    observers: Sequence[Observer],
    checkpoint: Mapping[str, Any] | None,
    seed: int,
) -> None:
    resampling(run)
    if checkpoint is None:
        _record(run, Step(run.residuals.plain_loss(), 0), measure)
    stage_state = None if checkpoint is None else copy.deepcopy(checkpoint["stage"])
    status = run.finished or CONVERGED
    if checkpoint is not None:
        _judge_again(run)
    while run.stage_index < len(run.optimizers) and run.status is None:
        optimizer = run.optimizers[run.stage_index]
        resampling(run)
        run.stage = optimizer.start(run.residuals, seed)
        if stage_state is not None:
            run.stage.load_state_dict(stage_state)
        else:
            run.least = Least(run.history.rows[-1]["loss"], run.step)
        status = _run_stage(run, optimizer, measure, resampling, observers)
        back = run.go_back()
        if run.status is not None or run.stage_index + 1 == len(run.optimizers):
            status = "; ".join(filter(None, (run.status or status, back)))
            run.status = status
            break  # a checkpoint of the last stage can go on from a raised limit
        if back is not None:
            LOG.warning("%s: %s", optimizer.title, back)
        run.stage_index, run.stage_step, run.finished = run.stage_index + 1, 0, None
        if run.best is not None:
            run.best.waited = 0
        stage_state = None
    run.status = run.status or status


def _judge_again(run: SolverState) -> None:
    """Checkpoints are written before a step is judged by the validation error."""
    if run.best is not None and run.stage_index < len(run.optimizers):
        run.status = run.best.verdict(run, run.optimizers[run.stage_index])


def _run_stage(
    run: SolverState,
    optimizer: Method,
    measure: Measure | None,
    resampling: "Resampling",
    observers: Sequence[Observer],
) -> str:
    """Steps until the stage has ended; returns why. `run.status` is set if the run ends too."""
    if len(run.seconds) == run.stage_index:
        run.seconds.append(0.0)
    while run.finished is None and run.stage_step < optimizer.steps:
        if (spent := run.spent()) is not None:
            run.status = spent
        else:
            _take_step(run, optimizer, measure, resampling, observers)
        if run.status is not None:
            return run.status
    return _ended(run, optimizer)


def _ended(run: SolverState, optimizer: Method) -> str:
    """Why the stage has ended; the run ends too where it has failed or not got where it should."""
    assert run.stage is not None
    reason = run.finished or run.stopped(f"limit of {optimizer.steps} steps")
    if reason.startswith("failed") or (run.finished is None and run.stage.short()):
        run.status = reason
    return reason


def _take_step(
    run: SolverState,
    optimizer: Method,
    measure: Measure | None,
    resampling: "Resampling",
    observers: Sequence[Observer],
) -> None:
    """A step, all that belongs to it, and the points of the next one."""
    before = run.copied()
    with _timed(run):
        step = _safe_step(run, optimizer, resampling)
    if not math.isfinite(step.loss):
        run.surrogate.network.load_state_dict(before)
        _fail(run, step.finished)
        return
    run.stage_step += 1
    run.step += 1
    run.finished, run.words = step.finished, step.words
    run.weigh(step, before)
    last = step.finished is not None or run.stage_step == optimizer.steps
    measured = last or run.stage_step % optimizer.measure_every == 0
    _record(run, step, measure if measured else None)
    if _observed(run, observers):
        run.status = "stopped: interrupted"
    elif run.best is not None:
        run.status = run.best.verdict(run, optimizer)
    if run.finished is None and run.status is None:
        try:
            with _timed(run):
                resampling(run)
        except NumericalError as error:
            _fail(run, str(error))


def _fail(run: SolverState, why: str | None) -> None:
    kept = run.go_back() or f"the state after step {run.step} is kept"
    run.status = f"failed: {why}; {kept}"


@contextmanager
def _timed(run: SolverState) -> Iterator[None]:
    """The seconds of what is done inside belong to the optimizer at work."""
    begun = time.perf_counter()
    yield
    run.seconds[run.stage_index] += time.perf_counter() - begun


def _observed(run: SolverState, observers: Sequence[Observer]) -> bool:
    """Show the run to the observers; returns whether it is interrupted, on any of the ranks."""

    with together():
        for observer in observers:
            observer(run)
    checksum = float(get_coefficients(run.surrogate.network.all_layers).sum())
    low, high = extremes(torch.tensor([[checksum, run.interrupted]], dtype=torch.float64))
    if low[0] < high[0]:
        raise NumericalError(
            "the processes do not compute the same numbers: they must be on machines of one kind, "
            "with as many threads each"
        )
    return bool(high[1])


def _safe_step(run: SolverState, optimizer: Method, resampling: "Resampling") -> Step:
    """One step; a breakdown of its linear algebra is a step whose loss is not finite."""
    assert run.stage is not None
    where = f"step {run.step + 1} of {type(run.stage).__name__.removesuffix('Stage')}"
    try:
        step = run.stage.step()
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        return Step(math.nan, finished=f"{where} broke down ({str(error).splitlines()[0]})")
    if math.isfinite(step.loss):
        step = resampling.judged(run, optimizer, step)
    if math.isfinite(step.loss):
        return step
    return Step(math.nan, finished=f"the loss became {step.loss} in {where}")


def _record(run: SolverState, step: Step, measure: Measure | None) -> None:
    errors = {} if measure is None else measure(run.surrogate.evaluate)
    run.history.add(
        step=run.step,
        stage=run.stage_index,
        loss=step.loss,
        evaluations=step.evaluations,
        seconds=sum(run.seconds),
        **step.notes,
        **errors,
    )
    if run.best is not None:
        run.best.see(run)


class Resampling:
    """Fresh points every so many steps, the same ones for the same seed and step."""

    def __init__(self, draw: Callable[[int], list[Term]], every: int) -> None:
        self.draw, self.every, self.epoch = draw, every, -1

    def __call__(self, run: SolverState) -> None:
        epoch = run.step // self.every if self.every else 0
        if epoch != self.epoch:
            with together():
                run.residuals.terms = tuple(self.draw(epoch))
            self.epoch = epoch

    def judged(self, run: SolverState, optimizer: Method, step: Step) -> Step:
        """What a step did, in view of the points that are still to come."""
        return step


@contextmanager
def interruptible(run: SolverState) -> Iterator[None]:
    """Ctrl-C lets the step under way finish, then ends the run; a second one interrupts at once."""

    def interrupt(*_: object) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True

    with handling(interrupt):
        yield
