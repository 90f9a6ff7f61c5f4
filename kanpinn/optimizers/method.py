"""The interface between the solve loop and the methods (optimizers), and the costs of their steps.

A `Method` has the settings of an optimizer. A `Stage` has the state of a method during the solve.
"""

import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

import torch

from kanpinn._support.distributed import share
from kanpinn._support.errors import CONVERGED, InputError, integer
from kanpinn.linalg.qr import minimum_norm
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.kan import KAN
from kanpinn.networks.layer import Layer
from kanpinn.networks.network import Network


@dataclass(frozen=True)
class StepCost:
    """The expected cost of a step.

    Args:
        seconds: the expected time.
        bytes: the expected memory in bytes; 0 if it is not known.
    """

    seconds: float
    bytes: int

    def __str__(self) -> str:
        memory = f" and {max(self.bytes / 1e9, 0.01):.2g} GB" if self.bytes else ""
        return f"some {self.seconds:.2g} s{memory}"


@dataclass(frozen=True)
class Balance:
    """The integrals of a solution's residual over small parts of the domain, with signs.

    Least squares may converge to a function that is no solution, for example at a corner at which
    the weights do not fit the singularity. Its residual has the same sign over large parts of the
    domain, and the integrals do not cancel. Weights of least squares have no effect on `value`.

    Args:
        value: the sum of the absolute integrals over all parts, for the equation with the largest
            sum, divided by the integral of the absolute value of the equations' largest term. An
            integral next to a corner is multiplied by the effect that a source there has elsewhere.
        limit: the value above which the equation is said not to balance, found by experiments with
            solutions within the tolerance; infinite before the solution has been compared with a
            better one.
        where: the coordinates, by name, of the middle of the part with the largest mean residual.
    """

    value: float = 0.0
    limit: float = math.inf
    where: dict[str, float] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """True if `value` has been computed."""
        return self.limit < math.inf

    @property
    def is_small(self) -> bool:
        """True if `value` is at most `limit`."""
        return self.value <= self.limit

    @property
    def words(self) -> str:
        """A text that compares `value` with `limit`."""
        found = f"the integrals of the residual over the cells are {self.value:.1e} of its terms"
        most = f"solutions within the tolerance usually have at most {self.limit:.1e}"
        if self.is_small:
            return f"the equation balances: {found}, and {most}"
        place = ", ".join(f"{name} = {value:.4g}" for name, value in self.where.items())
        return f"the equation does not balance: {found}, most of all near {place}, and {most}"


def loss_cost(residuals: Residuals) -> StepCost:
    """Return the cost of evaluating the loss once.

    The time is measured with at most 1024 residual vectors of each loss term, and extrapolated to
    all of them.
    """
    return StepCost(_seconds(residuals, Residuals.loss, 1024), 0)


def gradient_cost(residuals: Residuals) -> StepCost:
    """Return the cost of evaluating the loss and its gradient once.

    The time is measured with at most 256 residual vectors of each loss term, and extrapolated to
    all of them. The memory is taken to be 64 bytes for each parameter of the network.
    """
    memory = 64 * residuals.surrogate.network.parameter_count
    return StepCost(_seconds(residuals, Residuals.backward, 256), memory)


def dense_cost(residuals: Residuals, layers: Sequence[Layer], *, damped: bool) -> StepCost | None:
    """Return the cost of a least-squares step with a dense Jacobian J of N rows and p columns.

    A step evaluates J, computes the triangular factor R of its QR decomposition with about 3 N p²
    operations, and a singular value decomposition of R with O(p³) operations. The time for J is
    extrapolated from a few points, the times of the decompositions are extrapolated from matrices
    with at most 256 columns.

    Args:
        residuals: the loss.
        layers: the layers whose p coefficients are the columns.
        damped: True for damped steps, which need all singular vectors and several losses.

    Returns:
        The cost; None if most entries of J are zero, when the estimate would be far too large.
    """
    few, part = _few(residuals, 8)
    rows = [j for j, _ in few.rows(layers)]
    width = rows[0].shape[1]
    entries = sum(int(torch.count_nonzero(j)) for j in rows)
    if entries < 0.25 * sum(j.numel() for j in rows):
        return None
    seconds = _seconds(residuals, lambda few: [*few.rows(layers)], 256)
    size = min(width, 256)
    generator, larger = torch.Generator().manual_seed(0), (width / size) ** 3
    block = torch.randn(3 * size, size, generator=generator, dtype=torch.float64).to(rows[0])
    # A fold updates R by 2 p new rows.
    folds = max(1.0, part * sum(len(j) for j in rows) / (2 * width))
    seconds += folds * larger * _timed(lambda: torch.linalg.qr(block, mode="r"))
    square, right, held = block[:size], block[:size, 0], 6 * width**2  # memory of six matrices
    if damped:
        seconds *= 1.5  # for the losses at trial steps
        seconds += svd_seconds(width, block)
        held = 8 * width**2
    else:
        seconds += larger * _timed(lambda: minimum_norm(square, right, 0.0))
    return StepCost(seconds, held * block.element_size())


def svd_seconds(width: int, like: torch.Tensor) -> float:
    """Return the expected seconds of a singular value decomposition of a matrix (p, p).

    They are extrapolated from a matrix with at most 256 columns.

    Args:
        width: the number p of columns.
        like: a tensor of the matrix's type, on its device.
    """
    size, generator = min(width, 256), torch.Generator().manual_seed(0)
    square = torch.randn(size, size, generator=generator, dtype=torch.float64).to(like)
    return (width / size) ** 3 * _timed(lambda: torch.linalg.svd(square))


def _few(residuals: Residuals, most: int) -> tuple[Residuals, float]:
    """Return the loss with at most `most` residual vectors of each term, to measure its cost.

    Returns:
        The loss, and the ratio of the number of all residual vectors to those that are left.
    """
    chosen = []
    for term in residuals.terms:
        count = min(most, term.rows)
        rows = torch.linspace(0, term.rows - 1, count, device=term.points.coords.device)
        chosen.append(term.chosen(rows.long()))
    whole = sum(len(range(term.rows)[share(term.rows)]) for term in residuals.terms)
    part = whole / max(1, sum(len(range(term.rows)[share(term.rows)]) for term in chosen))
    return Residuals(residuals.surrogate, chosen), part


def _seconds(residuals: Residuals, work: Callable[[Residuals], object], most: int) -> float:
    """Return the seconds that a function of a loss takes, extrapolated from few residual vectors.

    They are measured with 8 residual vectors of each term, and with four times as many again and
    again, as long as that takes less than a quarter of a second.

    Args:
        residuals: the loss.
        work: the function.
        most: the largest number of residual vectors of each term.
    """
    count, enough = 8, 0.25
    while True:
        few, part = _few(residuals, count)
        seconds = _timed(partial(work, few))
        if count >= most or seconds > enough:
            return part * seconds
        count = min(4 * count, most)


def _timed(work: Callable[[], object]) -> float:
    """Return the seconds of the faster of two calls, after a first call that fills caches."""
    work()
    seconds = math.inf
    for _ in range(2):
        begun = time.perf_counter()
        work()
        seconds = min(seconds, time.perf_counter() - begun)
    return seconds


INDEPENDENT = "stopped: to first order the residual does not depend on the network here"


@dataclass(frozen=True)
class Step:
    """The result of one step of a stage.

    Args:
        loss: the loss after the step, or before the step if `loss_lags` is True.
        evaluations: the number of evaluations of the loss or its Jacobian in the step.
        finished: None to continue; otherwise the status that ends the stage: "converged", or the
            reason why the stage cannot continue. A status that begins with "failed" also ends the
            run.
        notes: numbers for the history, by the names of their columns.
        words: a text for the progress line, such as "rank 1000 of 1216"; may be empty.
        loss_lags: True if `loss` belongs to the coefficients before the step, as for Adam.
        until: the time up to which the solution is known; None if it is known everywhere.
    """

    loss: float
    evaluations: int = 1
    finished: str | None = None
    notes: dict[str, float] = field(default_factory=dict)
    words: str = ""
    loss_lags: bool = False
    until: float | None = None

    @property
    def converged(self) -> bool:
        """True if the stage ends because it has converged."""
        return self.finished is not None and self.finished.startswith(CONVERGED)


class Kept:
    """Base class of objects whose state is stored in checkpoints of a run.

    The class attribute `kept` has the names of the stored attributes. Their values are tensors,
    plain values, dataclasses with such values, and objects with a `state_dict` of their own.
    """

    kept: tuple[str, ...] = ()

    def state_dict(self) -> dict[str, Any]:
        """Return the attributes for a checkpoint, as tensors and plain values, by name."""
        state = {name: getattr(self, name) for name in self.kept}
        for name, value in state.items():
            if hasattr(value, "state_dict"):
                state[name] = value.state_dict()
            elif is_dataclass(value) and not isinstance(value, type):
                state[name] = asdict(value)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned.

        Raises:
            InputError: if the state has other names than `kept`, or the state of a dataclass has
                other names than its fields.
        """
        _require_names(type(self), self.kept, state)
        for name, value in state.items():
            present: Any = getattr(self, name, None)
            kind: Any = type(present)
            if hasattr(present, "load_state_dict"):
                present.load_state_dict(value)
            elif is_dataclass(present):
                _require_names(kind, [one.name for one in fields(present)], value)
                setattr(self, name, kind(**value))
            else:
                setattr(self, name, value)


def _require_names(kind: type, expected: Sequence[str], state: object) -> None:
    """Refuse the state of an object unless it has a value for each expected name and no other."""
    names = sorted(state) if isinstance(state, Mapping) else type(state).__name__
    if names != sorted(expected):
        raise InputError(
            f"{kind.__name__} keeps {sorted(expected)}, the state has {names}: it is of another "
            "version of kanpinn; solve anew"
        )


class Stage(Kept, ABC):
    """The state of a method during the solve; the solve loop calls `step` again and again.

    Attributes:
        residuals: the terms of the loss; the loop replaces them when the points change.
        part: the fraction of the work that is done, from 0 to 1; None if it is not known.
        expected_seconds: the expected time of the next step in seconds; None for the mean time of
            the steps before.
        seconds_left: the seconds that the next step may take; the loop sets it before each step.
        steady: whether equal increases of `part` take about equal times, so that the time left can
            be forecast.
        all_or_nothing: whether a step that breaks down leaves the network unchanged.
        balance: whether the solution balances the terms of the equation in small parts of the
            domain; not known for methods whose residual is small at all points.
    """

    residuals: Residuals
    part: float | None = None
    expected_seconds: float | None = None
    seconds_left: float = math.inf
    steady: bool = True
    all_or_nothing: bool = False
    balance: Balance = Balance()

    @abstractmethod
    def step(self) -> Step:
        """Change the surrogate's coefficients once, and return the result."""

    def planned(self) -> StepCost | None:
        """Plan the first step, so that it fits into `seconds_left`, and return its expected cost.

        By default nothing is planned, and None is returned: `Method.cost` tells the cost.
        """
        return None

    def short(self) -> str:
        """Return a text on what is incomplete if the run ends now; empty if nothing is."""
        return ""


class Method(ABC):
    """The settings of an optimizer, called a method; subclasses are frozen dataclasses.

    Attributes:
        steps: the largest number of steps.
        lowers_loss: whether every step is meant to lower the loss; only then does the loop restore
            an earlier state if the loss rises.
        needs_fixed_points: whether the points must stay the same between the method's steps.
        output_layer_only: whether the method fits the output layer alone.
        fits_points: whether the method lowers the residual at the collocation points of the solve.
        cheap_steps: whether the error is measured after some steps only, about 250 in all.
        error_limit: the largest relative error that a step adds, if the method chooses its steps
            and its space by this limit, like a march in time; otherwise None.
        advice: a remedy, which is part of the status if the limit of steps ends the method.

    Example:
        >>> import kanpinn as kp
        >>> methods = [kp.LeastSquares(), kp.Refine(8), kp.LevenbergMarquardt(steps=20)]
        >>> [isinstance(method, Method) for method in methods], methods[2].steps
        ([True, True, True], 20)
    """

    steps: int
    lowers_loss = True
    needs_fixed_points = False
    output_layer_only = False
    fits_points = True
    cheap_steps = False
    error_limit: float | None = None
    advice = "more steps may help"

    @property
    def title(self) -> str:
        """The name of the method in words, such as "Least Squares"."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(self).__name__)

    def measures(self, step: int) -> bool:
        """Return whether the error is measured after a step.

        Methods with cheap steps measure the error only after every k-th step, where k is the limit
        of steps divided by 250, rounded down, but at least 1. Other methods measure it after every
        step.

        Args:
            step: the number of the step of this method, from 1.
        """
        return not self.cheap_steps or step % max(1, self.steps // 250) == 0

    def check(self, network: Network) -> None:
        """Check that the method can solve for a network.

        By default a method can solve for all networks that are not bound to a method of their own.

        Raises:
            InputError: if the method cannot solve for the network.
        """
        if network.solved_by:
            refusal = f"{self.title} does not solve for a {type(network).__name__}"
            raise InputError(f"{refusal}: use {network.solved_by}")

    def finer(self) -> "Method":
        """Return the method for a second solve, with a finer network, to estimate errors.

        By default this is the method itself. A march in time returns a copy with a tolerance that
        is 100 times smaller, and a method for cells returns a copy for a single solve.
        """
        return self

    def better(
        self, residuals: Residuals, seconds: float = math.inf
    ) -> tuple[Network, float] | None:
        """Return a network with a better solution, for methods that estimate errors themselves.

        Args:
            residuals: the loss, with the solution of this method.
            seconds: the most seconds that a further solve may take.

        Returns:
            The network, and the factor by which errors may exceed the difference between the two
            solutions. None if no better solution is known.
        """
        return None

    def unknowns(self, network: Network) -> int:
        """Return the number of columns of a step's dense least-squares problem, or 0."""
        return 0

    def factor_bytes(self, network: Network, rows: int) -> int:
        """Return the least memory, in bytes, of a dense least-squares step.

        The memory holds the triangular factor and the rows that are appended to it. For P unknowns
        it is 2 · 8 P · min(rows, P); 0 for methods without a dense problem.

        Args:
            network: the network.
            rows: the number of rows of the least-squares problem, or a lower bound of it.
        """
        columns = self.unknowns(network)
        return 8 * 2 * columns * min(rows, columns)

    def cost(self, residuals: Residuals) -> StepCost | None:
        """Return the expected cost of a step; None if it is not known."""
        return None

    @abstractmethod
    def start(self, residuals: Residuals, seed: int) -> Stage:
        """Return a new stage, which trains the surrogate of the residuals.

        Args:
            residuals: the terms of the loss.
            seed: the seed of all random numbers that the stage draws.
        """


def require_kan(network: Network, name: str) -> KAN:
    """Return the network if it is a KAN.

    Args:
        network: any network.
        name: the name of the method that needs a KAN, for the error message.

    Raises:
        InputError: for another kind of network.
    """
    if not isinstance(network, KAN):
        raise InputError(f"{name} is for KANs: a {type(network).__name__} has no grid")
    return network


@dataclass(frozen=True)
class Refine(Method):
    """Refine the grids of a KAN; the function does not change, except by the projection below.

    Knot insertion is exact: each interval is split into the same number of parts. If the new number
    of intervals is not a multiple of the old number (8 → 10), the widest intervals are split into
    one part more. Hidden grids that are wider than the range of their activations are cut down to
    this range. If this moves grid points (the points next to the ends, or all points if there are
    fewer intervals than before), the function is projected in L2. The largest relative change of an
    edge function by the projection is `projection_error` in the history.

    Args:
        grid: the number of grid intervals per layer, or one number for all layers.

    Raises:
        InputError: for a grid that is not a positive integer; during the solve, for a network that
            is not a KAN.

    Reference: Liu et al., KAN (2024), section 2.4; Cohen, Lyche and Riesenfeld (1980) for knot
    insertion.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> methods = [kp.LeastSquares(), kp.Refine(8), kp.LeastSquares()]
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5, grid=4), methods)
        >>> [tensor.numel() for tensor in solution.network.parameters()]
        [13]
    """

    grid: int | Sequence[int]
    steps = 1
    lowers_loss = False
    output_layer_only = True

    def __post_init__(self) -> None:
        for g in self.grid if isinstance(self.grid, (list, tuple)) else [self.grid]:
            integer("grid", g)

    def check(self, network: Network) -> None:
        layers = len(require_kan(network, "refine").layers)
        if isinstance(self.grid, (list, tuple)) and len(self.grid) != layers:
            raise InputError(
                f"grid must be one number or {layers}, one per layer, got {list(self.grid)}"
            )

    def start(self, residuals: Residuals, seed: int) -> Stage:
        return _RefineStage(self, residuals)


@dataclass
class _RefineStage(Stage):
    """The stage of `Refine`, which refines a KAN's grids in its only step."""

    settings: Refine
    residuals: Residuals

    def step(self) -> Step:
        surrogate = self.residuals.surrogate
        network = require_kan(surrogate.network, "refine")
        error = network.refine(self.settings.grid, surrogate.inputs_at(self.residuals.points))
        words = f"the function has changed by {error:.1e} of its norm" if error else ""
        notes = {"projection_error": error}
        return Step(self.residuals.loss(), finished=CONVERGED, notes=notes, words=words)
