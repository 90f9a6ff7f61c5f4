"""Least squares on the output layer, from the present coefficients and from other starts."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.breakdowns import LINALG_ERRORS
from kanpinn._support.distributed import from_first
from kanpinn._support.errors import CONVERGED, InputError, integer, number
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.loss.parameters import Measurements, Parameters
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Method, Stage, Step, StepCost, dense_cost
from kanpinn.optimizers.output_layer import OutputStep, solve_output, solve_reduced
from kanpinn.optimizers.starts import Start, other_starts


@dataclass
class SeveralStarts(Stage):
    """A fit of problems with unknowns, by descents from several starts if the first one fails.

    Unknowns are scalar parameters and coefficient fields that are identified from data. A descent
    is a sequence of Gauss–Newton steps. The first descent starts from the network's present
    coefficients. If it does not fit the data, other starts follow, and each whole descent from
    another start is one step of this stage. The first other start raises the weight of the equation
    in steps. With a small weight the fields interpolate the data. The unknowns then follow from the
    equation's residual, which is mostly linear in the unknowns, so that their initial values hardly
    matter. Further starts have random multiples of the initial values of the unknown scalar
    parameters. At the end, the descent with the lowest loss goes on until it has converged.

    Args:
        descent: takes the steps of the first descent, and the steps that follow the best descent.
        rcond: singular values below rcond times the largest singular value are cut off; None for 50
            times the machine epsilon.
        starts: the largest number of other starts.
        seed: the seed of the random starts.
        tried: the number of other starts so far; -1 during the first descent.
        patience: the first descent ends after this many successive slow steps if the data are not
            fitted then. A slow step lowers the loss by less than 10%.
        slow: the number of successive slow steps.
        last_loss: the loss after the last step of the first descent.
        best_loss: the lowest loss at the end of a descent so far.
        best: the output layers' coefficients at the end of the descent with the lowest loss, (p,);
            None before the first descent has ended.
        last: whether the best descent goes on now.

    Reference: Ramsay et al., Parameter estimation for differential equations: a generalized
    smoothing approach (2007), for the weight of the equation that is raised in steps.
    """

    descent: Stage
    rcond: float | None
    starts: int
    seed: int
    patience: int = 5
    tried: int = -1
    slow: int = 0
    last_loss: float = math.inf
    best_loss: float = math.inf
    best: Tensor | None = None
    last: bool = False
    kept = ("tried", "slow", "last_loss", "best_loss", "best", "last", "descent")

    @property
    def residuals(self) -> Residuals:
        """The terms of the loss, which are those of the descent."""
        return self.descent.residuals

    @residuals.setter
    def residuals(self, changed: Residuals) -> None:
        self.descent.residuals = changed

    def step(self) -> Step:
        if self.tried < 0 or self.last:
            return self._descend()
        network = self.residuals.surrogate.network
        layers = network.output_layers
        set_coefficients(layers, torch.zeros_like(get_coefficients(layers)))
        if self.tried == 0:
            evaluations = self._from_data()
        else:
            if network.constants is not None:
                numbers = Parameters(network.constants)
                numbers.assign(numbers.random(self.seed, self.tried))
            evaluations = self._followed(self.residuals, most=20)
        loss = self.residuals.loss()
        if loss < self.best_loss:
            self.best_loss, self.best = loss, get_coefficients(layers)
        assert self.best is not None
        set_coefficients(layers, self.best)
        self.tried += 1
        self.last = self.tried >= self.starts or self._is_fitted(self.best_loss)
        words = f"start {self.tried} of at most {self.starts} has led to the loss {loss:.3g}"
        return Step(self.best_loss, evaluations, words=words)

    def _descend(self) -> Step:
        """Take a step of the first descent, or a step that continues the best descent.

        If the first descent ends, or has been slow in several steps, without fitting the data, the
        next step of the stage tries another start. The next step also tries another start if the
        present step breaks down. The coefficients then stay as they were.

        Raises:
            LinAlgError: if the step breaks down, and no other start is to be tried.
        """
        layers = self.residuals.surrogate.network.output_layers
        before = get_coefficients(layers)
        try:
            self.descent.seconds_left = self.seconds_left
            done = self.descent.step()
        except LINALG_ERRORS:
            if self.last or not self.starts:
                raise
            set_coefficients(layers, before)
            done = Step(self.residuals.loss(), finished="failed")
        self.slow = self.slow + 1 if done.loss > 0.9 * self.last_loss else 0
        self.last_loss = done.loss
        goes_on = done.finished is None and self.slow < self.patience
        if goes_on or self.last or not self.starts or self._is_fitted(done.loss):
            return done
        self.tried, self.best = 0, get_coefficients(layers)
        self.best_loss = done.loss if math.isfinite(done.loss) else math.inf
        words = "the data are not fitted: other starts follow"
        return Step(done.loss, done.evaluations, notes=done.notes, words=words)

    def _is_fitted(self, loss: float) -> bool:
        """Return whether a loss is small compared with the variance of the data."""
        residuals = self.residuals
        return Measurements.of(residuals.terms, residuals.surrogate).fits(loss)

    def _from_data(self) -> int:
        """Descend with a weight of the equation that grows from a small value to its full value.

        The first weight gives the data and the equation Jacobians of equal norm, unless this weight
        would be above the full one. No step is taken if there are only data or no data, or if the
        Jacobian of the equation is zero.

        Returns:
            The number of evaluations of the loss and of its Jacobian.
        """
        residuals, layers = self.residuals, self.residuals.surrogate.network.output_layers
        model = [term for term in residuals.terms if not term.measured]
        data = [term for term in residuals.terms if term.measured]
        sizes = [
            float(Residuals(residuals.surrogate, part).model(layers).matrix.square().sum())
            for part in (data, model)
            if part
        ]
        if len(sizes) < 2 or not sizes[1]:
            return 1
        # With the first weight the Jacobian's norm is the same for the data and the equation.
        factor, evaluations = min(sizes[0] / sizes[1], 1.0), 2
        while True:
            weighed = residuals.with_factors({term.name: factor for term in model})
            evaluations += self._followed(weighed, most=6)
            if factor == 1.0:
                return evaluations
            factor = min(10 * factor, 1.0)

    def _followed(self, residuals: Residuals, most: int) -> int:
        """Take Gauss–Newton steps until two successive steps each lower the loss by less than 1%.

        Args:
            residuals: the terms of the loss, with the weight of the equation.
            most: the largest number of steps.

        Returns:
            The number of evaluations.
        """
        evaluations, idle = 0, 0
        for _ in range(most):
            try:
                done = solve_reduced(residuals, self.rcond)
            except LINALG_ERRORS:
                break
            evaluations += done.evaluations
            idle = idle + 1 if done.loss > 0.99 * done.before else 0
            if idle == 2:
                break
        return evaluations


def _rank_of_start(step: OutputStep) -> tuple[bool, bool, float]:
    """Return a key that sorts starts by the results of their first steps, the best start first.

    Starts with a finite loss come first, then starts with a Jacobian that is not zero, then starts
    with a lower loss.
    """
    return not math.isfinite(step.loss), not step.rank, step.loss


INDEPENDENT = "stopped: to first order the residual does not depend on the output layer here"


@dataclass(frozen=True)
class LeastSquares(Method):
    """Solve for the output layer's coefficients by rank-revealing least squares.

    The inner layers are not changed. A linear problem takes one step, with an error of about
    eps·max|c| for the machine epsilon eps and coefficients c. A nonlinear problem takes damped
    Gauss–Newton steps, which converge quadratically if the residual vanishes at the solution. The
    first step is tried from the present output layer and from zero, and the result with the lower
    loss is used: the output layer of a new network is random, but the output layer of an earlier
    solve is a good start. If both starts have a residual that is not finite, or that to first order
    does not depend on the output layer, smooth random functions are tried as starts. With random
    inner functions this method is the random feature method, or an extreme learning machine.

    Args:
        steps: the largest number of Gauss–Newton steps.
        rcond: singular values below rcond times the largest singular value are cut off; None for 50
            times the machine epsilon.
        starts: the largest number of other starts for a problem whose unknown parameters or
            coefficient fields are identified from data. They are tried if the network's present
            coefficients do not lead to a fit of the data. The first other start follows from the
            data, with a weight of the equation that is raised in steps. Further starts are random
            multiples of the initial values of the unknown scalar parameters. Each start counts as
            one step.

    Raises:
        InputError: for values out of range.

    Reference: Dwivedi and Srinivasan, PIELM (2020); Chen et al., random feature method (2022).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN([1, 32, 1], degree=9), kp.LeastSquares())
        >>> solution.history.steps, solution.errors.l2_relative < 1e-10
        (1, True)
    """

    steps: int = 20
    rcond: float | None = None
    starts: int = 8
    title = "Least Squares"
    output_layer_only = True
    advice = "more steps may help, or Continuation from an easier value of a parameter"

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        integer("starts", self.starts, least=0)
        if self.rcond is not None:
            number("rcond", self.rcond)
            if self.rcond >= 1:
                raise InputError(f"rcond must be below 1, got {self.rcond!r}")

    def unknowns(self, network: Network) -> int:
        return sum(part.layers[-1].coefficients.numel() for part in network.parts)

    def cost(self, residuals: Residuals) -> StepCost | None:
        return dense_cost(residuals, residuals.surrogate.network.output_layers, damped=False)

    def start(self, residuals: Residuals, seed: int) -> Stage:
        known = not residuals.surrogate.has_unknowns
        descent = LeastSquaresStage(residuals, solve_output if known else solve_reduced, self.rcond)
        return descent if known else SeveralStarts(descent, self.rcond, self.starts, seed)


@dataclass
class LeastSquaresStage(Stage):
    """The state of Gauss–Newton on the output layer between its steps.

    Args:
        residuals: the terms of the loss.
        solve: a function that takes one step for given residuals, rcond and seconds left.
        rcond: singular values below rcond times the largest one are cut off; None for 50 times the
            machine epsilon.
        begun: whether the first step was taken; only the first step is tried from several starts.
    """

    residuals: Residuals
    solve: Callable[[Residuals, float | None, float], OutputStep]
    rcond: float | None
    begun: bool = False
    kept = ("begun",)

    def step(self) -> Step:
        """Take a step; the first step is tried from several starts, as far as there is time.

        Raises:
            LinAlgError: if the residual is not finite at any start.
        """
        layers = self.residuals.surrogate.network.output_layers
        present, began = get_coefficients(layers), time.perf_counter()
        tried: list[tuple[OutputStep, Tensor]] = []
        for place, start in enumerate([present] if self.begun else self._starts(present)):
            set_coefficients(layers, start)
            left = self.seconds_left - (time.perf_counter() - began)
            try:
                step = self.solve(self.residuals, self.rcond, left)
                tried.append((step, get_coefficients(layers)))
            except LINALG_ERRORS as error:
                broken = error  # for example log u at u = 0
            regular = [step for step, _ in tried if step.rank and math.isfinite(step.loss)]
            if regular and (place > 0 or regular[0].linear or not bool(present.any())):
                break
            spent = from_first(time.perf_counter() - began)
            if tried and spent * (1 + 1 / (place + 1)) > self.seconds_left:
                break
        if not tried:
            raise broken
        done, best = min(tried, key=lambda each: _rank_of_start(each[0]))
        set_coefficients(layers, best)
        self.begun = True
        words = [f"rank {done.rank} of {done.columns}"]
        finished = CONVERGED if done.linear or done.stationary else None
        if not done.rank:
            finished = INDEPENDENT
        elif not done.share:
            words.append("no step taken")
            finished = finished or self._verdict(done)
        elif done.share < 1:
            words.append(f"step shortened to {done.share:.2g}")
        if done.damping:
            words.append(f"damping {done.damping:.0e}")
        return Step(
            done.loss,
            sum(each.evaluations for each, _ in tried),
            finished,
            notes={"rank": float(done.rank), "share": done.share, "damping": done.damping},
            words=", ".join(words),
        )

    def _starts(self, present: Tensor) -> Iterator[Tensor]:
        """Yield starts for the first step, as coefficients of the output layers, (p,).

        The starts are the present coefficients, zeros and, without unknowns, the coefficients of
        smooth random functions.
        """
        yield present
        yield torch.zeros_like(present)
        surrogate, points = self.residuals.surrogate, self.residuals.terms[0].points
        low, high = (bound.to(points.coords) for bound in surrogate.domain.bounds)
        fields = surrogate.network.width[-1]
        if surrogate.has_unknowns:
            return
        for start in other_starts(len(points.names), fields):

            def distance(p: Points, u: Jet, start: Start = start) -> Tensor:
                """Return the fields minus the initial function's values at the points, (n, m)."""
                return u.value - start((2 * p.coords - low - high) / (high - low))

            values = ResidualTerm("values", points, 1.0, Channels(points.names), distance)
            solve_output(Residuals(surrogate, [values]), linear=True)
            yield get_coefficients(surrogate.network.output_layers)

    def _verdict(self, done: OutputStep) -> str:
        """Return the status of a descent in which no step lowers the loss any more.

        The status is "converged: ..." if the loss is rounding error, otherwise "stopped: ...". The
        loss is rounding error if it is at most (100 eps)² times the increase of the loss by a
        change of all coefficients of the output layer by 1. This increase is extrapolated from a
        change by 1e-3, because nonlinear residuals such as exp u can grow without limit.

        Args:
            done: the result of the step.
        """
        layers = self.residuals.surrogate.network.output_layers
        present, change = get_coefficients(layers), 1e-3
        set_coefficients(layers, present + change)
        scale = (self.residuals.loss() - done.before) / change**2
        set_coefficients(layers, present)
        rounding = (100 * torch.finfo(present.dtype).eps) ** 2 * scale
        if self.residuals.are_squares and done.before <= rounding < math.inf:
            return (
                f"{CONVERGED}: no step lowers the loss {done.before:.3g}, which is rounding error"
            )
        part = 1 - done.predicted / done.before if done.before else 0.0
        return (
            f"stopped: no step lowers the loss {done.before:.3g}, though the linearised residual "
            f"would lose {part:.2g} of it"
        )
