"""Shooting: the unknown numbers of an evolution are determined by marches through it, from data."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from kanpinn._support.errors import integer
from kanpinn._support.status import CONVERGED
from kanpinn.evolution.march import March
from kanpinn.evolution.numbers.data_in_time import DataFit, DataInTime
from kanpinn.evolution.numbers.horizon import Horizon
from kanpinn.evolution.numbers.numbered_problem import numbered_problem
from kanpinn.evolution.windows import require_windows
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step


@dataclass(frozen=True)
class Shooting(Optimizer):
    """Find the unknown numbers of an evolution by marches that are fitted to data.

    For given numbers a `March` solves the evolution. The derivatives of its solution by the numbers
    solve the collocation equations of each window, linearised, by the factors of the march. With
    them the Levenberg–Marquardt method minimises the misfit of the data. So the solution satisfies
    the equation, to the tolerance, for all values of the numbers, and the data alone determine
    them. In equations in time alone, the data also determine initial values that no condition
    prescribes.

    Over a long time the misfit may have many minima. The data of a short time are therefore fitted
    first, and the time is lengthened while the fit succeeds.

    Args:
        tolerance: the `tolerance` of the last march; earlier ones have 100 times as much. The
            change of the numbers between both tells the error of the marches, which intervals
            contain.
        steps: the largest number of steps, each of which is one march or two.
        starts: the largest number of other starts, random multiples of the start values, that are
            tried if the data are not fitted.
        scheme, regrade: those of `March`.

    Raises:
        InputError: for values out of range; in a solve, for unknown coefficient fields, for a
            problem without unknown numbers or data, and where a march is not possible.

    Reference: Bard, Nonlinear parameter estimation (1974), chapter 8; Bock, Recent advances in
    parameter identification techniques for O.D.E. (1983).

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> class Decay(kp.Problem):
        ...     domain = kp.Box(t=(0, 1))
        ...     unknowns = {"rate": kp.Unknown(start=1.0)}
        ...     def residual(self, p, u, rate):
        ...         return kp.partial(u, "t") + rate.value * u.value
        ...     def conditions(self):
        ...         times = torch.linspace(0, 1, 5)[:, None]
        ...         data = kp.Observed(self.domain, times, torch.exp(-2 * times))
        ...         return [kp.Initial(self.domain, 1.0), data]
        >>> solution = kp.solve(Decay(), kp.Windows([1, 1]), kp.Shooting())
        >>> f"{solution.estimated['rate'].value:.3f}"
        '2.000'
    """

    tolerance: float = 1e-6
    steps: int = 200
    starts: int = 8
    scheme: str = "radau"
    regrade: bool = True
    needs_fixed_points = True
    lowers_loss = False  # it is that of more and more data
    fits_points = False
    output_layer_only = True

    def __post_init__(self) -> None:
        self.march(1.0)  # refuses what is out of range
        integer("steps", self.steps)
        integer("starts", self.starts, least=0)

    def march(self, factor: float) -> March:
        """The march with a multiple of the tolerance."""
        tolerance = self.tolerance if factor == 1 else min(factor * self.tolerance, 1e-2)
        return March(tolerance, scheme=self.scheme, regrade=self.regrade)

    def check(self, network: Network) -> None:
        require_windows(network)

    def finer(self) -> "Shooting":
        """The same with errors of marches that are some 100 times smaller."""
        return replace(self, tolerance=max(self.tolerance / 100, 1e-14))

    def start(self, residuals: Residuals, seed: int) -> "ShootingStage":
        return ShootingStage(self, residuals, seed)


class ShootingStage(Stage):
    """The search for the numbers: steps of the Levenberg–Marquardt method.

    Attributes:
        numbers: the present ones, see `NumberedProblem`.
        horizon: the time whose data are fitted.
        fitted: the numbers that fit the data up to `horizon.reached`.
        damping: of the next step. refused: the number of steps in a row that were not taken.
        tried: the number of other starts so far.
        best, best_loss: the numbers at the best end of a search with all data, and its loss.
        errors: of the numbers, by the march; None until the last march is made.
        fine: whether the tolerance is that of the last march.
        now: the fit for the present numbers; None where it is to be made.
    """

    kept = tuple("numbers fitted damping refused tried best best_loss fine errors".split())

    def __init__(self, settings: Shooting, residuals: Residuals, seed: int) -> None:
        self.settings, self.residuals, self.seed = settings, residuals, seed
        self.network = require_windows(residuals.surrogate.network)
        self.problem = numbered_problem(residuals)
        self.data = DataInTime.of(self.problem)
        self.numbers = self.fitted = self.best = self.problem.numbers
        self.errors: torch.Tensor | None = None
        self.best_loss, self.tried, self.fine = math.inf, 0, False
        times = self.data.times
        self.last = float(times[-1])
        few = min(2 * len(self.numbers), len(times)) - 1
        self._begin(Horizon.first(self.problem.begin, self.last, float(times[few])))

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"horizon": vars(self.horizon)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({name: state[name] for name in state if name != "horizon"})
        self.horizon = Horizon(**state["horizon"])

    def _begin(self, horizon: Horizon) -> None:
        """Begin a search, with steps that are short at first."""
        self.damping = 0.1
        self._go_on(horizon)

    def _go_on(self, horizon: Horizon) -> None:
        """Fit the data up to another time, from the present numbers."""
        self.horizon, self.fitted, self.refused = horizon, self.numbers, 0
        self.now: DataFit | None = None

    def step(self) -> Step:
        settings = self.settings.march(1.0 if self.fine else 100.0)
        until = self.problem.end if self.fine else self.horizon.until
        if self.now is None:
            self.now = self.data.fit(settings, self.numbers, until, tolerant=self.tried > 0)
        if self.now is None:
            return self._failed()
        if self.fine and self.errors is None:  # the change is by the tolerance alone
            self.errors = self.now.newton.abs()
        if not self._is_done(self.now):
            self._descend(self.now, settings, until)
        self._show(self.now)
        return self._judged(self.now)

    def _is_done(self, now: DataFit) -> bool:
        """Whether the fit is as good as is possible, or as is of use at present."""
        if self.refused >= (3 if self.fine else 6):
            return True
        if self.errors is not None:  # of the march, which may be larger by far than a step
            close = bool((now.newton.abs() <= 1e-2 * self.errors).all())
            small = 0.2 if self.refused else 0.02  # of the standard deviations
            return close or now.possible <= small**2 * now.variance
        if self.horizon.is_whole:
            return now.possible <= max(0.2**2 * now.variance, 1e-2 * now.loss * (self.refused > 0))
        return now.possible <= max(0.05 * now.loss, 1e-6 * self.data.spread(self.horizon.until))

    def _descend(self, now: DataFit, settings: March, until: float) -> None:
        """Take a damped step, if it lowers the loss."""
        change = self.problem.limited(now.numbers, now.model.damped().step(self.damping))
        trial = self.data.fit(settings, now.numbers + change, until, tolerant=True, near=now.path)
        if trial is None or not trial.loss < now.loss:
            self.damping, self.refused = max(10 * self.damping, 1e-4), self.refused + 1
            return
        predicted = now.loss - now.model.loss(change)
        ratio = (now.loss - trial.loss) / predicted if predicted > 0 else 1.0
        if ratio > 0.75:
            self.damping = self.damping / 10 if self.damping > 1e-8 else 0.0
        elif ratio < 0.25:
            self.damping = 4 * max(self.damping, 1e-4)
        self.refused, self.now, self.numbers = 0, trial, trial.numbers

    def _judged(self, now: DataFit) -> Step:
        """The result of a step; what comes next is chosen."""
        fits = now.loss <= self._largest(self.horizon.until)
        finished, words = None, self._words(now)
        if self._is_done(now):
            if self.fine:
                finished = self._verdict(now)
            elif not fits:
                return self._failed(now)
            elif self.horizon.is_whole:
                self._refine()
            else:
                self._go_on(self.horizon.lengthened())
        notes = {"windows": float(len(now.path.pieces)), "damping": self.damping}
        return Step(now.loss, 1, finished, notes, words)

    def _largest(self, until: float) -> float:
        """The largest loss with which the data up to a time count as fitted."""
        return 0.05 * self.data.spread(until)

    def _refine(self) -> None:
        """Make the march to the tolerance."""
        self.fine = True
        self._go_on(self.horizon)
        self.damping = 0.0

    def _failed(self, now: DataFit | None = None) -> Step:
        """Go on with fewer data or, if the search has failed, from another start."""
        loss = self.data.spread(self.horizon.until) if now is None else now.loss
        if self.fine:
            return Step(loss, finished="stopped: no march with the tolerance fits the data")
        if now is not None and self.horizon.is_whole and loss < self.best_loss:
            self.best, self.best_loss = self.numbers, loss
        shorter = self.horizon.shortened()
        if shorter is not None:
            self.numbers = self.fitted
            self._begin(shorter)
            return Step(loss, words=f"fewer data, up to {self._named(shorter.until)}")
        if self.tried < self.settings.starts:
            self.tried += 1
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.tried)
            self.numbers = self.problem.random(generator)
            first = self.horizon
            self._begin(Horizon.first(first.begin, first.end, first.shortest))
            most = self.settings.starts
            return Step(loss, words=f"the data are not fitted: start {self.tried} of {most} others")
        if math.isinf(self.best_loss):
            return Step(loss, finished="stopped: no start leads to a fit of the data")
        self.numbers = self.best
        self._refine()
        return Step(loss, words="no start leads to a fit of the data: the best end is kept")

    @torch.no_grad()
    def _show(self, now: DataFit) -> None:
        """Make the network the present solution."""
        constants = self.network.constants
        assert constants is not None
        constants.coefficients.copy_(now.numbers[len(self.problem.free) :])
        smaller = 0.1  # the error of the last march, relative to the change from those before
        errors = torch.zeros_like(now.numbers) if self.errors is None else smaller * self.errors
        self.problem.forward.given_to(self.network, now.path, errors)

    def _words(self, now: DataFit) -> str:
        whole = self.fine or self.horizon.is_whole
        data = "all data" if whole else f"data up to {self._named(self.horizon.until)}"
        return f"{data}, {len(now.path.pieces)} windows"

    def _named(self, time: float) -> str:
        return f"{self.residuals.surrogate.domain.names[-1]} = {time:.4g}"

    def _verdict(self, now: DataFit) -> str:
        """The status after the last step."""
        if now.loss > self._largest(self.last):
            return "stopped: no start leads to a fit of the data"
        if now.path.limited:
            return (
                "stopped: the functions in space do not resolve the solution to the tolerance "
                f"{self.settings.tolerance:.1e}"
            )
        return CONVERGED
