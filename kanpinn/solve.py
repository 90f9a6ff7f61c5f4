"""THE loop: a problem, a network, optimizers and points become a solution."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from kanpinn.errors import InputError
from kanpinn.geometry import Box, Face, Points
from kanpinn.networks.dirichlet import ExactDirichlet
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.norms import ErrorNorm
from kanpinn.optimizers import LeastSquares, Optimizer, Step
from kanpinn.optimizers.optimizer import CONVERGED
from kanpinn.problem import Dirichlet, Problem
from kanpinn.residuals import Block, Residuals, build_blocks
from kanpinn.run import Observer, Run
from kanpinn.sampling import Collocation, sample
from kanpinn.solution import Solution

LOSS_TERMS = ("interior", "boundary")


def solve(
    problem: Problem,
    network: Network,
    optimizers: Optimizer | Sequence[Optimizer] | None = None,
    points: Collocation | None = None,
    *,
    boundary: str = "exact",
    weights: Mapping[str, float | int] | None = None,
    seed: int = 0,
    observers: Sequence[Observer] = (),
    checkpoint: Mapping[str, Any] | None = None,
) -> Solution:
    """Solve a PDE: minimise Σ weight · mean residual² over the network's coefficients.

    Args:
        problem: the equation, its domain and conditions.
        network: the surrogate, changed in place; its dtype and device are the run's.
        optimizers: run in order; by default one least-squares solve of the output layer.
        points: collocation points; by default Gauss points, enough for the output layer.
        boundary: "exact" builds Dirichlet data into the surrogate, "penalty" adds them to the loss.
        weights: of the loss terms, {"interior": 1, "boundary": 1} by default.
        seed: of points and optimizers; the network has its own.
        observers: called with the `Run` after every step.
        checkpoint: a `Run.state_dict()` to go on from.

    Raises:
        InputError: where problem, network, points or weights do not fit together.
    """
    started = time.perf_counter()
    problem.check()
    _check_outputs(problem, network)
    surrogate = Surrogate(network, problem.domain, _output_map(problem, boundary))
    optimizers = _as_tuple(optimizers)
    points = default_points(network) if points is None else points
    draw = _block_maker(problem, surrogate, points, boundary, _weights(weights), seed)
    run = Run(problem, surrogate, optimizers, Residuals(surrogate, ()))
    if checkpoint is None:
        surrogate.prepare(_all_points(problem, points, seed, surrogate))
    else:
        run.load_state_dict(checkpoint)
    norm = ErrorNorm(problem) if problem.has_exact else None
    resampling = Resampling(draw, points.resample)
    with interruptible(run):
        _loop(run, norm, resampling, observers, checkpoint, seed)
    assert run.status is not None
    return Solution(
        problem,
        surrogate,
        run.residuals,
        None if norm is None else norm.converged(surrogate.jet),
        run.status,
        run.history,
        run.earlier + time.perf_counter() - started,
        run.seconds,
        run.residuals.terms(),
        optimizers,
    )


def _loop(
    run: Run,
    norm: ErrorNorm | None,
    resampling: "Resampling",
    observers: Sequence[Observer],
    checkpoint: Mapping[str, Any] | None,
    seed: int,
) -> None:
    resampling(run)
    if checkpoint is None:
        _record(run, Step(run.residuals.loss(), 0), norm)
    stage_state = None if checkpoint is None else checkpoint["stage"]
    status = run.finished or CONVERGED
    while run.stage_index < len(run.optimizers) and run.status is None:
        optimizer = run.optimizers[run.stage_index]
        resampling(run)
        run.stage = optimizer.start(run.residuals, seed)
        if stage_state is not None:
            run.stage.load_state_dict(stage_state)
        status = _run_stage(run, optimizer, norm, resampling, observers)
        if run.status is not None or run.stage_index + 1 == len(run.optimizers):
            break  # a checkpoint of the last stage can go on from a raised limit
        run.stage_index, run.stage_step, run.finished = run.stage_index + 1, 0, None
        stage_state = None
    run.status = run.status or status


def _run_stage(
    run: Run,
    optimizer: Optimizer,
    norm: ErrorNorm | None,
    resampling: "Resampling",
    observers: Sequence[Observer],
) -> str:
    """Steps until the stage is finished; returns why it ended, sets `run.status` to end the run."""
    assert run.stage is not None
    if len(run.seconds) == run.stage_index:
        run.seconds.append(0.0)
    every = optimizer.record_every
    while run.finished is None and run.stage_step < optimizer.steps:
        good = {name: t.clone() for name, t in run.surrogate.network.state_dict().items()}
        begun = time.perf_counter()
        step = _safe_step(run)
        run.seconds[run.stage_index] += time.perf_counter() - begun
        if not math.isfinite(step.loss):
            run.surrogate.network.load_state_dict(good)
            run.status = f"failed: {step.finished}; the state after step {run.step} is kept"
            return run.status
        run.stage_step += 1
        run.step += 1
        run.finished = step.finished
        last = step.finished is not None or run.stage_step == optimizer.steps
        if last or run.stage_step % every == 0:
            _record(run, step, norm)
        for observer in observers:
            observer(run)
        if run.interrupted:
            run.status = "stopped: interrupted"
        if step.finished is not None or run.status is not None:
            return step.finished or ""
        resampling(run)
    return run.finished or f"stopped: limit of {optimizer.steps} steps"


def _safe_step(run: Run) -> Step:
    """One step; a breakdown of its linear algebra is a step whose loss is not finite."""
    assert run.stage is not None
    where = f"step {run.step + 1} of {type(run.stage).__name__.removesuffix('Stage')}"
    try:
        step = run.stage.step()
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        return Step(math.nan, finished=f"{where} broke down ({str(error).splitlines()[0]})")
    if math.isfinite(step.loss):
        return step
    return Step(math.nan, finished=f"the loss became {step.loss} in {where}")


def _record(run: Run, step: Step, norm: ErrorNorm | None) -> None:
    values = dict(step.notes)
    if norm is not None:
        errors = norm(run.surrogate.jet)
        for name in ("l2_relative", "h1_relative", "l2_squared", "h1_squared"):
            values[name] = getattr(errors, name)
    run.history.add(
        step=run.step,
        stage=run.stage_index,
        loss=step.loss,
        evaluations=step.evaluations,
        seconds=sum(run.seconds),
        **values,
    )


class Resampling:
    """Fresh points every so many steps, the same ones for the same seed and step."""

    def __init__(self, draw: Callable[[int], list[Block]], every: int) -> None:
        self.draw, self.every, self.epoch = draw, every, -1

    def __call__(self, run: Run) -> None:
        epoch = run.step // self.every if self.every else 0
        if epoch != self.epoch:
            run.residuals.blocks = tuple(self.draw(epoch))
            self.epoch = epoch


@contextmanager
def interruptible(run: Run) -> Iterator[None]:
    """Ctrl-C lets the step under way finish, then ends the run; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        run.interrupted = True
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def default_points(network: Network) -> Collocation:
    """Gauss points: about 1.4 for each coefficient of the output layer, at least 1681 + 164."""
    coefficients = network.layers[-1].coefficients.numel()
    interior = max(1681, math.ceil(1.4 * coefficients))
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")


def _check_outputs(problem: Problem, network: Network) -> None:
    fields = problem.fields
    if network.width[-1] != len(fields):
        raise InputError(
            f"network.width must end with {len(fields)} outputs for the fields {', '.join(fields)} "
            f"of {type(problem).__name__}, got {list(network.width)}"
        )


def _as_tuple(optimizers: Optimizer | Sequence[Optimizer] | None) -> tuple[Optimizer, ...]:
    if optimizers is None:
        return (LeastSquares(),)
    chosen = (optimizers,) if isinstance(optimizers, Optimizer) else tuple(optimizers)
    if not chosen or not all(isinstance(o, Optimizer) for o in chosen):
        raise InputError(f"optimizers must be one or more kanpinn optimizers, got {optimizers!r}")
    return chosen


def _weights(weights: Mapping[str, float | int] | None) -> dict[str, float]:
    chosen = dict.fromkeys(LOSS_TERMS, 1.0) | dict(weights or {})
    for name, value in chosen.items():
        if name not in LOSS_TERMS:
            raise InputError(f"weights has no term {name!r}: the terms are {', '.join(LOSS_TERMS)}")
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"the weight of {name} must be a number >= 0, got {value!r}")
    return {name: float(value) for name, value in chosen.items()}


def _output_map(problem: Problem, boundary: str) -> ExactDirichlet | None:
    if boundary not in ("exact", "penalty"):
        raise InputError(f'boundary must be "exact" or "penalty", got {boundary!r}')
    if boundary == "penalty":
        return None
    if not isinstance(problem.domain, Box):
        raise InputError('boundary = "exact" is for boxes: use boundary = "penalty"')
    data: dict[Face, Callable | None] = {}
    for condition in problem.conditions():
        if isinstance(condition, Dirichlet):
            values = None if condition.value == 0 else condition.target
            data.update({face: values for face in condition.boundary.pieces})  # type: ignore[misc]
    return ExactDirichlet(problem.domain, data) if data else None


def _draw(problem: Problem, points: Collocation, seed: int, like: torch.Tensor) -> list[Points]:
    """Interior points, then those of each condition, its share of the boundary by measure."""
    generator = torch.Generator().manual_seed(seed)
    conditions = problem.conditions()
    total = sum(c.boundary.measure for c in conditions)
    parts = [sample(problem.domain, points.interior, points.sampler, generator)]
    for c in conditions:
        count = max(1, round(points.boundary * c.boundary.measure / total))
        parts.append(sample(c.boundary, count, points.sampler, generator))
    return [p.to(like.dtype, like.device) for p in parts]


def _all_points(problem: Problem, points: Collocation, seed: int, surrogate: Surrogate) -> Points:
    drawn = _draw(problem, points, seed, surrogate.low)
    return Points(torch.cat([p.coords for p in drawn]), problem.domain.names)


def _block_maker(
    problem: Problem,
    surrogate: Surrogate,
    points: Collocation,
    boundary: str,
    weights: Mapping[str, float],
    seed: int,
) -> Callable[[int], list[Block]]:
    def draw(epoch: int) -> list[Block]:
        interior, *pieces = _draw(problem, points, seed + 1_000_003 * epoch, surrogate.low)
        if boundary == "exact":
            pieces = [
                p[:0] if isinstance(c, Dirichlet) else p
                for c, p in zip(problem.conditions(), pieces, strict=True)
            ]
        return build_blocks(problem, surrogate, interior, pieces, weights)

    return draw
