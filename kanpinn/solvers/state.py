"""The state of a solve, which the loop advances, observers read and checkpoints contain.

The state consists of the history, the step counters, the clock, stored networks, and the loss of
each step. The loss may be at fixed points, at fresh points or at points that adapt to the residual,
and its terms may be balanced.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import Any, Protocol, cast, runtime_checkable

import numpy
import torch
from torch import Tensor

from kanpinn._support.distributed import extremes, together, world
from kanpinn._support.errors import InputError, expecting, number
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import r3, rad
from kanpinn.loss.residuals import Residuals, balance_factors
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.network import Network
from kanpinn.optimizers import Method, Stage, Step
from kanpinn.optimizers.method import StepCost
from kanpinn.solvers.discretization import Discretization

UNKNOWN = "unknown_"  # prefix of a problem's unknown parameters in the history


def as_methods(
    methods: Method | Sequence[Method],
    network: Network,
    resample: int,
    what: str = "resample must be 0",
) -> tuple[Method, ...]:
    """Check one or more methods against a network, and return them as a tuple.

    Args:
        methods: a method, or a sequence of methods.
        network: the network that the methods train.
        resample: a number above 0 if points or weights change during the solve, otherwise 0.
        what: the setting that a method with fixed points requires, for the error message.

    Raises:
        InputError: if `methods` is anything else, if a method cannot solve for the network, or if a
            method needs fixed points while `resample` is not zero.
    """
    chosen = (methods,) if isinstance(methods, Method) else tuple(methods)
    if not chosen or not all(isinstance(method, Method) for method in chosen):
        raise InputError(f"optimizers must be one or more kanpinn optimizers, got {methods!r}")
    for method in chosen:
        method.check(network)
        if resample and method.needs_fixed_points:
            raise InputError(
                f"{what} for {method.title}, which needs the same points and weights throughout"
            )
    return chosen


class Losses:
    """The loss of each step, at fixed points, at fresh points in every epoch, or at adapted points.

    An epoch is a number of steps with the same points. The interior points may adapt to the
    residual in every epoch, and the factors of the loss terms to the present network. A method can
    converge only for the present points: if the points adapt and the method has converged, the next
    epoch begins at once, up to the method's limit of steps. Losses are reported without the
    factors. The points depend on the seed, the epoch and, if they adapt, on the network; every rank
    computes all points.

    Args:
        draw: returns the loss of an epoch, given the number of the epoch and, if points adapt, the
            interior points.
        every: the number of steps of an epoch; 0 for the same loss in every step.
        adapting: the discretization whose points or factors adapt; None if neither points nor
            factors adapt.

    Attributes:
        kept: the names of the attributes that a checkpoint stores, which are tensors and plain
            values. They are restored before `first` is called.

    Raises:
        InputError: for an energy with adapted points or a balance: an energy is an integral by
            quadrature at points of its own.
    """

    kept = ("epoch", "since", "early", "interior", "factors", "balanced")
    rebalance = 100  # steps between two computations of the factors

    def __init__(
        self, draw: Callable[..., Residuals], every: int = 0, adapting: Discretization | None = None
    ) -> None:
        if adapting is not None and adapting.loss.form == "energy":
            raise InputError(
                'the form "energy" is an integral: it takes neither adapted points nor a balance'
            )
        self.draw, self.every, self._discretization = draw, every, adapting
        self.adapt = None if adapting is None else adapting.collocation.adapt
        self.balance = None if adapting is None else adapting.loss.balance
        self.epoch, self.since = 0, 0  # since: the first step of the epoch
        self.early = False  # whether the next epoch begins before `every` steps
        self.interior: Tensor | None = None  # the coordinates of adapted points
        self.factors: dict[str, float] = {}
        self.balanced: int | None = None  # the step at which the factors were computed

    @classmethod
    def of(cls, discretization: Discretization, methods: tuple[Method, ...]) -> "Losses":
        """Return the losses of a solve with fixed, fresh or adapted collocation points.

        Args:
            discretization: the discretization; its `collocation` and `loss` determine when points
                are replaced, and whether points or factors adapt.
            methods: the optimizers of the solve.

        Raises:
            InputError: for a balance with a method that needs the same loss in every step, and for
                an energy with adapted points or a balance.
        """
        balance, points = discretization.loss.balance, discretization.collocation
        if balance is not None:
            as_methods(methods, discretization.surrogate.network, 1, "balance must be None")
        adapts = balance is not None or points.adapt
        return cls(discretization.residuals, points.resample, discretization if adapts else None)

    def first(self) -> Residuals:
        """Return the loss with which a solve begins or continues from a checkpoint.

        It has the points of the present epoch, or the adapted points `interior` if there are any,
        and the factors of a balance if there is one.
        """
        with together():
            if self.interior is None or self._discretization is None:
                residuals = self.draw(self.epoch)
            else:
                surrogate = self._discretization.surrogate
                interior = Points(self.interior, surrogate.domain.names)
                interior = interior.to(surrogate.low.dtype, surrogate.low.device)
                residuals = self.draw(self.epoch, interior)
        return residuals.with_factors(self.factors) if self.factors else residuals

    def following(self, residuals: Residuals, step: int) -> Residuals:
        """Return the loss of the next step; it is the object `residuals` if nothing changes.

        Args:
            residuals: the loss of the last step.
            step: the number of steps that all optimizers have done.
        """
        if self.every and (self.early or step - self.since >= self.every):
            self.epoch, self.since, self.early = self.epoch + 1, step, False
            if self.adapt:
                with together():
                    self.interior = self._adapted(residuals).coords
            residuals = self.first()
        if self.balance and (self.balanced is None or step - self.balanced >= self.rebalance):
            self.factors, self.balanced = balance_factors(residuals, self.balance), step
            residuals = residuals.with_factors(self.factors)
        return residuals

    def _adapted(self, residuals: Residuals) -> Points:
        """Return the interior points of the next epoch, adapted to the present residual.

        They are drawn by `rad` or `r3`, as `Collocation.adapt` says.
        """
        assert self._discretization is not None
        chosen, domain = self._discretization.collocation, self._discretization.problem.domain
        stride = 7_368_787  # a prime, so that all seeds and epochs differ
        generator = torch.Generator().manual_seed(self._discretization.seed + stride * self.epoch)
        term = cast(ResidualTerm, residuals.terms[0])

        @torch.no_grad()
        def sizes(points: Points) -> Tensor:
            """Return the norm of the residual vector at each point, (n,), float64 on the CPU."""
            low = residuals.surrogate.low
            pieces = points.to(low.dtype, low.device)
            parts = [
                term.residual(residuals.surrogate, pieces[i : i + 4096]).norm(dim=1)
                for i in range(0, len(pieces), 4096)  # chunks bound the memory
            ]
            return torch.cat(parts).double().cpu()

        if chosen.adapt == "rad":
            return rad(domain, chosen.interior, sizes, generator)
        current = Points(term.points.coords, domain.names)
        return r3(current, domain, chosen.fresh, sizes, generator)

    def judged(self, residuals: Residuals, done: Step, more: bool) -> Step:
        """Return the result of a step, changed if points or factors adapt.

        With a balance, the loss in the result is computed anew, without factors. If points adapt,
        a result that ends a converged method is changed so that the method goes on with the points
        of the next epoch.

        Args:
            residuals: the loss with which the step was made.
            done: the result of the step that the method returned.
            more: whether the method's limit of steps allows further steps.
        """
        if self.balance is not None:
            done = replace(done, loss=residuals.loss(reported=True), loss_lags=False)
        if done.converged and self.adapt and more:
            self.early = True
            return replace(done, finished=None)
        return done


@dataclass
class History:
    """The recorded quantities of a solve, with one row for each recorded step.

    A row is a dict with the number of the step, the index of the optimizer ("stage"), the loss,
    evaluations, seconds, and errors if known. The value of an unknown parameter of the problem,
    such as "viscosity", has the name "unknown_viscosity".
    """

    rows: list[dict[str, float | int]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of all quantities in any row, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def steps(self) -> int:
        """The number of steps done."""
        return int(self.rows[-1]["step"]) if self.rows else 0

    def column(self, name: str) -> numpy.ndarray:
        """Return a quantity's values in all rows, (rows,); NaN in rows without the quantity."""
        return numpy.array([row.get(name, numpy.nan) for row in self.rows], dtype=float)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass
class StepCounts:
    """The step counters of a solve, which checkpoints contain.

    Args:
        stage_index: the index of the present optimizer, from 0.
        stage_step: the number of steps that the present optimizer has done.
        step: the number of steps that all optimizers have done.
        finished: the reason why the present optimizer takes no further step; None while it goes on.
    """

    stage_index: int = 0
    stage_step: int = 0
    step: int = 0
    finished: str | None = None


@dataclass
class Clock:
    """The time that the steps of each optimizer take, and the budget for all of them.

    Args:
        budget_seconds: the most seconds that all steps may take, including the steps before the
            checkpoint from which a solve continues; None for no limit.
        seconds: the seconds of each optimizer so far.
        earlier: the seconds of the steps before the checkpoint; 0 without a checkpoint.
        expected: the expected cost of the present optimizer's first step; None if there is no
            budget or the cost is not known.
    """

    budget_seconds: float | int | None = None
    seconds: list[float] = field(default_factory=list)
    earlier: float = 0.0
    expected: StepCost | None = None

    @contextmanager
    def timed(self, stage_index: int) -> Iterator[None]:
        """Add the time spent inside the context to the seconds of an optimizer, by its index."""
        self.seconds += [0.0] * (stage_index + 1 - len(self.seconds))
        begun = time.perf_counter()
        yield
        self.seconds[stage_index] += time.perf_counter() - begun

    def spent(self, progress: StepCounts, own: float | None = None) -> str | None:
        """Return the reason why the budget leaves no time for another step; None if there is time.

        The predicted time of the step is `own` or, if `own` is None, the mean time of the present
        optimizer's steps. For the first step of an optimizer, the predicted time is the time in
        `expected` or, if `expected` is None, the mean time of all steps. The first step of a solve
        is taken unless its expected time is more than a second and more than twice the budget,
        since expected times may be up to twice the real times.

        Args:
            progress: the step counters.
            own: the seconds that the optimizer predicts for its next step, see
                `Stage.expected_seconds`; None without a prediction.
        """
        if self.budget_seconds is None:
            return None
        mean = sum(self.seconds) / max(1, progress.step)
        if progress.stage_step:
            mean = own or self.seconds[progress.stage_index] / progress.stage_step
        elif self.expected is not None:
            mean = self.expected.seconds
        seconds, step = self._used(mean)
        first = not progress.step
        if seconds + (step / 2 if first else step) <= self.budget_seconds or (first and step <= 1):
            return None
        given = f"the budget of {self.budget_seconds:g} s"
        if first:
            return f"{given} is too small: a step takes {self.expected}"
        times = f"{seconds:.3g} s are used, a step takes {step:.2g} s"
        return f"{given} leaves no time for another step ({times})"

    @property
    def left(self) -> float:
        """The seconds left of the budget, on the slowest rank; infinite without a budget."""
        return math.inf if self.budget_seconds is None else self.budget_seconds - self._used()[0]

    def _used(self, step: float = 0.0) -> tuple[float, float]:
        """Return the seconds of all steps so far, and `step`, each as the maximum over the ranks.

        Args:
            step: the predicted seconds of the next step on this rank.
        """
        used = torch.tensor([[sum(self.seconds), step]], dtype=torch.float64)
        seconds, step = extremes(used)[1].tolist()
        return seconds, step


# The fields of `Best` and `Least` that must be numbers in a checkpoint.
NUMBERS = frozenset({"value", "loss", "step", "waited"})


def copied(network: Network) -> dict[str, Tensor]:
    """Return a copy of the network's `state_dict`."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@contextmanager
def perturbed(network: Network, seed: int) -> Iterator[None]:
    """Multiply each coefficient by 1 ± the machine epsilon, at random, inside the context.

    On leaving the context the coefficients get their former values.

    Args:
        network: the network, which is changed in place.
        seed: the seed of the random signs.
    """
    kept = [one.clone() for one in network.parameters()]
    generator = torch.Generator().manual_seed(seed)
    try:
        for one in network.parameters():
            signs = 2 * torch.randint(2, one.shape, generator=generator) - 1
            one.mul_(1 + torch.finfo(one.dtype).eps * signs.to(one))
        yield
    finally:
        for one, before in zip(network.parameters(), kept, strict=True):
            one.copy_(before)


@dataclass
class Best:
    """The network with the least value of one quantity of the history, such as a validation error.

    Args:
        quantity: the name of the quantity in the history.
        patience: the solve ends after this many measured steps of one optimizer without a lower
            value; None for no such limit. With or without a limit, the solve ends if an optimizer
            after the first lowers the loss, but not the value: on finer grids the value would only
            grow.
        value: the least value.
        step: the number of the step after which the least value was measured.
        waited: the number of measured steps of the present optimizer since the least value.
        network: the network's `state_dict` with the least value; None before the first value.
    """

    quantity: str
    patience: int | None = None
    value: float = math.inf
    step: int = 0
    waited: int = 0
    network: dict[str, Tensor] | None = None

    def see(self, row: Mapping[str, float], step: int, network: Network) -> None:
        """Store a copy of the network's state if a new row of the history has the least value.

        A row with a value that is not lower increases `waited` by 1; a row with a lower value sets
        `waited` to 0; a row without the quantity changes nothing.

        Args:
            row: the row, which may lack the quantity.
            step: the number of the step.
            network: the network after the step.
        """
        value = row.get(self.quantity, math.nan)
        self.waited += value >= self.value
        if value < self.value:
            self.value, self.step, self.waited = value, step, 0
            self.network = copied(network)

    def verdict(self, progress: StepCounts, optimizer: Method, residuals: Residuals) -> str | None:
        """Return the status with which the solve should end after this step; None to go on.

        Args:
            progress: the step counters after the step.
            optimizer: the present optimizer.
            residuals: the loss, for the number of rows in the status.
        """
        ended = progress.finished is not None or progress.stage_step >= optimizer.steps
        since = progress.step - progress.stage_step  # steps of earlier optimizers
        if self.patience is not None and self.waited >= self.patience:
            return f"stopped: the validation error has not fallen since step {self.step}"
        if ended and optimizer.lowers_loss and self.step <= since and progress.stage_index:
            rows = sum(term.rows for term in residuals.terms)
            sizes = f"{residuals.surrogate.network.parameter_count} parameters for {rows} rows"
            return f"stopped: the validation error no longer falls ({sizes})"
        return None


@dataclass
class Least:
    """The network with the least loss since an optimizer began, for solves that diverge later.

    Args:
        loss: the least loss.
        step: the number of the step after which the network had that loss.
        network: the network's state after that step; None while it is the present state.
    """

    loss: float = math.inf
    step: int = 0
    network: dict[str, Tensor] | None = None

    def see(self, done: Step, number: int, before: dict[str, Tensor] | None) -> None:
        """Update the least loss after a step, and store the network of the least loss.

        The loss of a step may be the loss after the step or, with `done.loss_lags`, the loss before
        the step. The network is stored only when a step has changed it: before that, the present
        network is the one with the least loss.

        Args:
            done: the result of the step.
            number: the number of the step.
            before: the network's state before the step; None if the step leaves the network
                unchanged when it fails.
        """
        if self.step == number - 1:
            self.network = before
        if done.loss <= self.loss:
            self.loss, self.step = done.loss, number - done.loss_lags
            self.network = before if done.loss_lags else None


LOG = logging.getLogger("kanpinn")


@runtime_checkable
class Observer(Protocol):
    """A callable that is called after every step: to show progress, write checkpoints or draw.

    It may change nothing in the state but `state.interrupted`: True ends the solve after the
    present step.
    """

    def __call__(self, state: "SolverState", /) -> None:
        """Read the state of the solve after a step."""


class SolverState:
    """The state of a solve, which starts before the first step or at a checkpoint.

    Args:
        losses: gives the loss of each step.
        optimizers: the optimizers, run one after another.
        budget_seconds: the most seconds that all steps may take; None for no limit.
        best: stores the network with the least validation error; None for solves without
            validation data.
        checkpoint: a `state_dict` from which the solve continues.

    Attributes:
        residuals: the present loss.
        surrogate: the surrogate that is solved for.
        clock: the seconds of each optimizer, and the budget.
        history: the recorded quantities, step by step.
        progress: the step counters.
        least: the network with the least loss since the present optimizer began.
        optimizer: the present optimizer; unset before the first optimizer begins.
        stage: the `Stage` of the present optimizer, which takes its steps; None before the first.
        words: a description of the last step, for the progress line.
        status: how the solve ended; None while it goes on.
        interrupted: whether the solve ends after this step.
        remedy: what may help after a numerical breakdown, in words.
        last: the `state_dict` after the last step, if the solve has ended with the network of an
            earlier step; the solve can continue from `last`. Otherwise None.

    Raises:
        InputError: if the budget is not a positive number, or the checkpoint is damaged or belongs
            to a solve with another network.
    """

    remedy = (
        "regularise the equation, as by ε + |∇u|² in place of |∇u|², or approach the problem by "
        "Continuation from an easier value of a parameter"
    )

    def __init__(
        self,
        losses: Losses,
        optimizers: tuple[Method, ...],
        budget_seconds: float | int | None = None,
        best: Best | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> None:
        if budget_seconds is not None:
            number("budget", budget_seconds, above=True)
        self.losses, self.optimizers, self.best = losses, optimizers, best
        self.clock, self.history = Clock(budget_seconds), History()
        self.progress, self.least = StepCounts(), Least()
        self.optimizer: Method
        self.stage: Stage | None = None
        self.words, self.interrupted = "", False
        self.status: str | None = None
        self.last: dict[str, Any] | None = None
        if checkpoint is not None:
            with expecting("the checkpoint"):
                # A state from result.h5 has no losses: the step determines the epoch of the points.
                epoch = int(checkpoint["step"]) // losses.every if losses.every else 0
                for name, value in (checkpoint.get("losses") or {"epoch": epoch}).items():
                    setattr(losses, name, value)
        self.residuals = losses.first()  # not inside `expecting`: it calls the user's functions
        self.surrogate = self.residuals.surrogate
        if checkpoint is not None:
            with expecting("the checkpoint"):
                self._load_state_dict(checkpoint)

    def end_stage(self, reason: str) -> str | None:
        """End the present optimizer: advance to the next one, or set the status of the solve.

        Args:
            reason: why the optimizer has ended.

        Returns:
            The text of `go_back`; None if it has loaded no network, or if the status contains the
            text.
        """
        back = self.go_back()
        if self.status is not None or self.progress.stage_index + 1 == len(self.optimizers):
            self.status = "; ".join(filter(None, (self.status or reason, back)))
            return None  # the counters stay, so that a checkpoint can continue with a raised limit
        counts = self.progress
        counts.stage_index, counts.stage_step, counts.finished = counts.stage_index + 1, 0, None
        if self.best is not None:
            self.best.waited = 0
        return back

    def stopped(self, why: str) -> str:
        """Return the status of a solve that stops before its optimizer has converged.

        Args:
            why: the reason, which becomes part of the status.
        """
        short = "" if self.stage is None else self.stage.short()
        return f"stopped: {why}, {short}" if short else f"stopped: {why}"

    def go_back(self) -> str | None:
        """Load the network with the least loss if the present loss is more than ten times as large.

        Returns:
            A text that tells the step whose network is loaded, and how much the loss has risen
            since; None if the network is unchanged.
        """
        least, network = self.least, self.surrogate.network
        lowered = self.optimizer.lowers_loss and least.step < self.progress.step
        if least.network is None or not lowered:
            return None
        present, own = self.residuals.loss(reported=True), copied(network)
        network.load_state_dict(least.network)
        loss = self.residuals.loss(reported=True)
        if not math.isfinite(loss) or present <= loss + 9 * abs(loss):
            network.load_state_dict(own)
            return None
        if self.status is not None or self.progress.stage_index + 1 == len(self.optimizers):
            self._keep_last(own)
        self.least = Least(loss, self.progress.step)
        return (
            f"the state after step {least.step} is kept: the loss has risen from {loss:.3g} to "
            f"{present:.3g} since"
        )

    def _keep_last(self, own: dict[str, Tensor]) -> None:
        """Store the state after the last step in `last`.

        Args:
            own: the network's `state_dict` after the last step.
        """
        if self.last is None:
            self.last = self.state_dict() | {"network": own}
        self.stage = None  # the optimizer's memory belongs to that state

    def keep(self, best: Best) -> str | None:
        """Load the network with the least validation error into the solve's network.

        Args:
            best: the stored network.

        Returns:
            A note for the status; None if the network of the last step is the best.
        """
        step = self.progress.step
        if best.network is None or best.step == step:
            return None
        self._keep_last(copied(self.surrogate.network))
        self.surrogate.network.load_state_dict(best.network)
        return f"step {best.step} of {step} is kept, where the validation error was least"

    def facts(self, status: str, started: float) -> dict[str, Any]:
        """Return the attributes that the results of solves and of fits share, by name.

        Args:
            status: how the solve ended.
            started: the reading of `time.perf_counter` when the solve began.
        """
        return {
            "residuals": self.residuals,
            "status": status,
            "history": self.history,
            "seconds": self.clock.earlier + time.perf_counter() - started,
            "optimizer_seconds": self.clock.seconds,
            "optimizers": self.optimizers,
            "processes": world(),
        }

    def interrupt(self, *_: object) -> None:
        """End the solve after the present step; if called a second time, interrupt the step itself.

        This method is the handler of Ctrl-C during a solve.
        """
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        message = "interrupted: the present step ends first"
        message += "; Ctrl-C again interrupts the step itself"
        # Another thread writes the message: the signal may arrive while this thread writes, and a
        # stream refuses a second write from within the first.
        Thread(target=LOG.info, args=(message,)).start()

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values, for a checkpoint.

        This is `last`, if the solve has ended with the network of an earlier step.
        """
        if self.last is not None:
            return self.last
        return {
            "network": self.surrogate.network.state_dict(),
            "stage": None if self.stage is None else self.stage.state_dict(),
            "history": self.history.rows,
            "seconds": self.clock.seconds,
            "best": None if self.best is None else vars(self.best),
            "least": vars(self.least) if self.least.step < self.progress.step else None,
            "losses": {name: getattr(self.losses, name) for name in self.losses.kept},
            **vars(self.progress),
        }

    def _load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a checkpoint, and check its values.

        Raises:
            ValueError: if a value of the checkpoint has a wrong type.
        """
        counts = [state[name] for name in ("stage_index", "stage_step", "step")]
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError(f"the numbers of stages and steps are {counts}")
        if any(type(one) not in (int, float) for row in state["history"] for one in row.values()):
            raise ValueError("the history has other values than numbers")
        for kept in filter(None, (state.get("best"), state.get("least"))):
            wrong = [n for n in NUMBERS & set(kept) if type(kept[n]) not in (int, float)]
            if wrong:
                raise ValueError(f"{wrong[0]} of a kept state is {kept[wrong[0]]!r}")
        device = self.surrogate.low.device  # a checkpoint is loaded to the CPU
        states = [state["network"]]
        if self.best is not None and state.get("best"):
            self.best = Best(**state["best"])
            # The best network is loaded first, to find out now, not at the end, whether it fits.
            states = [*filter(None, [self.best.network]), *states]
        for one in states:
            network = {name: tensor.to(device) for name, tensor in one.items()}
            self.surrogate.network.load_state_dict(network)
        self.surrogate(self.residuals.terms[0].points[:1])  # raises if layers do not fit
        self.history = History(list(state["history"]))
        self.clock.seconds = list(state["seconds"])
        self.clock.earlier = sum(self.clock.seconds)
        self.progress = StepCounts(**{name: state[name] for name in vars(self.progress)})
        present = {"loss": self.history.rows[-1]["loss"], "step": self.progress.step}
        self.least = Least(**(state.get("least") or present))
