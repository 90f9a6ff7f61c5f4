"""THE loop: a problem, a network, optimizers and points become a solution."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from kanpinn.assembly import Assembly, assemble
from kanpinn.blocks import Block
from kanpinn.distributed import agreed, extremes, from_first, same, world
from kanpinn.errors import InputError, NumericalError, integer
from kanpinn.interrupts import handling
from kanpinn.networks.network import Network, get_coefficients
from kanpinn.norms import ErrorNorm
from kanpinn.optimizers import LeastSquares, Optimizer, Step
from kanpinn.optimizers.optimizer import CONVERGED
from kanpinn.problem import Problem
from kanpinn.references import Recipe, Reference, reference_of
from kanpinn.residuals import Residuals
from kanpinn.run import Observer, Run
from kanpinn.sampling import Collocation
from kanpinn.solution import Solution


def solve(
    problem: Problem,
    network: Network,
    optimizers: Optimizer | Sequence[Optimizer] | None = None,
    points: Collocation | None = None,
    *,
    boundary: str = "auto",
    weights: Mapping[str, float | int] | None = None,
    form: str = "strong",
    reference: Recipe | None = None,
    errors: bool = True,
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
        boundary: "exact" builds Dirichlet data into the surrogate, "penalty" adds them to the loss,
            "auto" builds them in where that can be had and pays.
        weights: of the loss terms, {"interior": 1, "boundary": 1} by default.
        form: "energy" minimises `problem.energy` in place of the squared residual.
        reference: what stands in for an exact solution, by default `problem.reference()`.
        errors: whether to measure them.
        seed: of points and optimizers; the network has its own.
        observers: called with the `Run` after every step.
        checkpoint: a `Run.state_dict()` to go on from.

    Ctrl-C lets the step under way finish and returns the solution so far, its status "stopped:
    interrupted"; a second one raises KeyboardInterrupt.

    Where a torch.distributed process group is up, all its processes solve the problem together:
    each must make the same call, and gets the same solution.

    Raises:
        InputError: where problem, network, points or weights do not fit together.
    """
    _load()
    started = time.perf_counter()
    seed = integer("seed", seed, least=0)
    assembly = agreed(lambda: assemble(problem, network, points, boundary, weights, seed, form))
    surrogate, collocation = assembly.surrogate, assembly.collocation
    optimizers = _as_tuple(optimizers, collocation)
    if world() > 1:
        _check_ranks(assembly, optimizers)
    run = Run(problem, surrogate, optimizers, Residuals(surrogate, ()))
    if checkpoint is None:
        assembly.prepare()
    else:
        run.load_state_dict(checkpoint)
    known = agreed(lambda: reference_of(problem, reference))
    norm, waited = _norm(problem, known) if errors else (None, 0.0)
    started += waited
    resampling = Resampling(assembly.blocks, collocation.resample)
    with interruptible(run):
        _loop(run, norm, resampling, observers, checkpoint, seed)
    assert run.status is not None
    return Solution(
        assembly,
        run.residuals,
        None if norm is None else norm.converged(surrogate.evaluate),
        run.status,
        run.history,
        run.earlier + time.perf_counter() - started,
        run.seconds,
        run.residuals.terms(),
        optimizers,
        world(),
        known,
        waited,
    )


def _norm(problem: Problem, known: Reference | None) -> tuple[ErrorNorm | None, float]:
    """What measures errors, if anything does, and the seconds that went into a reference."""
    if known is None:
        return (ErrorNorm(problem) if problem.has_exact else None), 0.0
    begun = time.perf_counter()
    norm = ErrorNorm(problem, known)
    return norm, time.perf_counter() - begun


def _load() -> None:
    """Bring what torch and SciPy import at first use, a second: no part of the solve's time."""
    import scipy.linalg  # noqa: F401

    one = torch.ones(1, requires_grad=True)
    torch.autograd.grad(one + 0, one, torch.ones(1))


def _check_ranks(a: Assembly, optimizers: tuple[Optimizer, ...]) -> None:
    """Refuse ranks with different settings, which would wait for each other; the same start."""
    network = a.surrogate.network
    stages = [(type(optimizer).__name__, optimizer.steps) for optimizer in optimizers]
    what = type(a.problem).__name__, network.width, network.parameter_count
    if not same((*what, a.collocation, a.weights, a.seed, stages)):
        raise InputError("the processes of the group do not solve the same problem")
    device = next(network.parameters()).device
    state = from_first({name: tensor.cpu() for name, tensor in network.state_dict().items()})
    network.load_state_dict({name: tensor.to(device) for name, tensor in state.items()})


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
        measured = last or run.stage_step % optimizer.measure_every == 0
        _record(run, step, norm if measured else None)
        if _observed(run, observers):
            run.status = "stopped: interrupted"
        if step.finished is not None or run.status is not None:
            return step.finished or ""
        resampling(run)
    return run.finished or f"stopped: limit of {optimizer.steps} steps"


def _observed(run: Run, observers: Sequence[Observer]) -> bool:
    """Show the run to the observers; returns whether it is interrupted, on any of the ranks."""

    def show() -> None:
        for observer in observers:
            observer(run)

    agreed(show)
    checksum = float(get_coefficients(run.surrogate.network.all_layers).sum())
    low, high = extremes(torch.tensor([[checksum, run.interrupted]], dtype=torch.float64))
    if low[0] < high[0]:
        raise NumericalError(
            "the processes do not compute the same numbers: they must be on machines of one kind, "
            "with as many threads each"
        )
    return bool(high[1])


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
        errors = norm(run.surrogate.evaluate)
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
            run.residuals.blocks = tuple(agreed(lambda: self.draw(epoch)))
            self.epoch = epoch


@contextmanager
def interruptible(run: Run) -> Iterator[None]:
    """Ctrl-C lets the step under way finish, then ends the run; a second one interrupts at once."""

    def interrupt(*_: object) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True

    with handling(interrupt):
        yield


def _as_tuple(
    optimizers: Optimizer | Sequence[Optimizer] | None, points: Collocation
) -> tuple[Optimizer, ...]:
    if optimizers is None:
        return (LeastSquares(),)
    chosen = (optimizers,) if isinstance(optimizers, Optimizer) else tuple(optimizers)
    if not chosen or not all(isinstance(o, Optimizer) for o in chosen):
        raise InputError(f"optimizers must be one or more kanpinn optimizers, got {optimizers!r}")
    for optimizer in chosen:
        if points.resample and optimizer.needs_fixed_points:
            raise InputError(
                f"resample must be 0 for {optimizer.title}, which needs the same points throughout"
            )
    return chosen
