"""Unknown parameters and initial values of evolutions: `Shooting`, a Gauss-Newton search for
the parameters with which a march fits the data, over horizons of growing length.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.errors import CONVERGED, InputError, NumericalError, integer
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.loss.parameters import MisfitModel, Numbered, spread_of_data
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.network import Constants, Network
from kanpinn.optimizers.method import Optimizer, Stage, Step
from kanpinn.spaces.evolution_terms import (
    as_residual_term,
    initial_values,
    linear_in_state,
    with_normals,
)
from kanpinn.spaces.windows import require_windows
from kanpinn.tasks.march import March
from kanpinn.tasks.sensitivities import Forward, Path


@dataclass(frozen=True)
class Horizon:
    """The end of the data that are fitted now.

    Over a long time the misfit of data may have many minima; with the numbers of a shorter time
    the search starts near the right one.

    Args:
        begin, end: the first moment, and the last one of all data.
        shortest: the end of the shortest time with enough data.
        reached: the end of the data that have been fitted; `begin` before there are any.
        until: that of the data that are fitted now.
        growth: by which the time is multiplied.

    Reference: Gábor and Banga, Robust and efficient parameter estimation in dynamic models of
    biological systems (2015), for the many minima.
    """

    begin: float
    end: float
    shortest: float
    reached: float
    until: float
    growth: float = 2.0

    @staticmethod
    def first(begin: float, end: float, shortest: float) -> "Horizon":
        """An eighth of the whole time, or more if there are few data."""
        until = max(shortest, begin + (end - begin) / 8)
        return Horizon(begin, end, shortest, begin, until)

    @property
    def is_whole(self) -> bool:
        """Whether all data are fitted."""
        return self.until >= self.end

    def lengthened(self) -> "Horizon":
        """The next horizon after the data up to `until` have been fitted."""
        return replace(self, reached=self.until, growth=min(2.0, self.growth**2))._longer()

    def shortened(self) -> "Horizon | None":
        """A shorter one after the data up to `until` could not be fitted; None if none is left."""
        least = 1.1  # of the growth
        if self.reached > self.begin:
            growth = math.sqrt(self.growth)
            return replace(self, growth=growth)._longer() if growth > least else None
        if self.until <= self.shortest:
            return None
        return replace(self, until=max(self.shortest, (self.begin + self.until) / 2))

    def _longer(self) -> "Horizon":
        until = self.begin + self.growth * (self.reached - self.begin)
        near = self.begin + 0.8 * (self.end - self.begin)  # no tiny last part
        last = until >= self.end or (self.growth >= 2 and until > near)
        return replace(self, until=self.end if last else until)


@dataclass(frozen=True, eq=False)
class FreeStart:
    """Values, and rates for second order, at the first moment: base + Σ_k y_k directions_k.

    It is for equations in time alone, whose state there is one vector.

    Args:
        base: (order, m).
        directions: orthonormal, (order, m, K).
        shift: the y, (K,), which are changed in place.
    """

    base: Tensor
    directions: Tensor
    shift: Tensor

    @staticmethod
    def of(
        terms: Sequence[ResidualTerm],
        data: Sequence[ResidualTerm],
        first: Points,
        fields: int,
        order: int,
    ) -> "FreeStart":
        """The start for conditions at the first moment; data there, or soon after, give the base.

        Args:
            terms: the conditions.
            data: the terms of the data.
            first: the first moment, one point.
            fields: the number of fields m.
            order: the order of the equation in time.
        """
        size = order * fields
        base, null = first.coords.new_zeros(size), torch.eye(size).to(first.coords)
        if terms:
            base = initial_values(terms, first, fields)[:order].flatten()
            rows = torch.cat(
                [linear_in_state(one, with_normals(first), fields)[0][0] for one in terms]
            )
            _, s, vh = torch.linalg.svd(rows[:, :size])
            null = vh[int((s > 1e-10 * s[0]).sum()) :].T
        if null.shape[1] and (early := [_earliest(one) for one in data if one.sites == 1]):
            both = [linear_in_state(one, one.points, fields) for one in early]
            matrix = torch.cat([a[0, :, :size] for a, _ in both])
            right = torch.cat([b[0] for _, b in both]) + matrix @ base
            base = base - null @ (torch.linalg.pinv(matrix @ null) @ right)
        shape = order, fields
        shift = base.new_zeros(null.shape[1])
        return FreeStart(base.view(shape), null.unflatten(0, shape), shift)

    def term(self, first: Points) -> ResidualTerm:
        """The condition that the state at the first moment, one point, is this one."""

        def equation(p: Points, u: Jet) -> Tensor:
            state = self.base + self.directions @ self.shift
            fields = state.shape[1]  # unknown numbers may follow them
            found = [u.value[:, :fields] - state[0]]
            if len(state) == 2:
                assert u.gradient is not None
                found.append(u.gradient[:, -1, :fields] - state[1])
            return torch.cat(found, dim=1)

        channels = Channels(first.names, gradient=len(self.base) == 2)
        return ResidualTerm("initial", first, 1.0, channels, equation)


def _earliest(term: ResidualTerm) -> ResidualTerm:
    """The term with the first of its rows in time."""
    return term.chosen(term.points.coords[:, -1].argmin()[None])


@dataclass(frozen=True, eq=False)
class NumberedProblem:
    """An evolution as a function of numbers: free initial values, then the unknown numbers.

    Args:
        forward: solves it.
        data: the terms of the data.
        constants: the unknown numbers, as the equations have them.
        free: the free initial values, (f,), as the conditions have them.
        begin, end: the first and the last moment.
    """

    forward: Forward
    data: Sequence[ResidualTerm]
    constants: Constants
    free: Tensor
    begin: float
    end: float

    @property
    @torch.no_grad()
    def numbers(self) -> Tensor:
        """The present numbers, (K,): the coefficients c of the unknown numbers are the last."""
        return torch.cat([self.free, self.constants.coefficients])

    @torch.no_grad()
    def assign(self, numbers: Tensor) -> None:
        """Give numbers to equations and conditions."""
        self.free.copy_(numbers[: len(self.free)])
        self.constants.coefficients.copy_(numbers[len(self.free) :])

    def limited(self, old: Tensor, change: Tensor) -> Tensor:
        """A change of the numbers, with that of the unknown ones limited."""
        free = len(self.free)
        return torch.cat([change[:free], self.constants.limited(old[free:], change[free:])])

    def random(self, generator: torch.Generator) -> Tensor:
        """Numbers for another start: random multiples of the start values, see `Unknown`."""
        return torch.cat([torch.zeros_like(self.free), self.constants.random(generator)])


def numbered_problem(residuals: Residuals) -> NumberedProblem:
    """Return an evolution with unknown numbers, with 64 bits in the main memory.

    Args:
        residuals: the terms of the loss.

    Raises:
        InputError: for a problem without unknown numbers or data, or with coefficient fields.
    """
    surrogate = copy.deepcopy(residuals.surrogate).to("cpu", torch.float64)
    network = require_windows(surrogate.network)
    constants = network.constants
    if any(surrogate.coefficients):
        raise InputError(
            "shooting determines unknown numbers: an unknown coefficient field takes a network of "
            "its own, kp.Beside, and LeastSquares"
        )
    if constants is None:
        raise InputError("shooting is for problems with unknown numbers: use kp.March")
    network.constants = network.sensitivities = None
    terms = [as_residual_term(one, "shooting") for one in residuals.terms]
    terms = [replace(one, points=one.points.to(torch.float64, "cpu")) for one in terms]
    data = [one for one in terms if one.measured]
    if not data:
        raise InputError("shooting needs measurements, such as kp.Observed: there are none")
    equation, *others = [one for one in terms if not one.measured]
    low, high = (corner.double().cpu() for corner in surrogate.domain.bounds)
    begin, end = float(low[-1]), float(high[-1])
    free, order, fields = low.new_zeros(0), network.order, network.width[-1]
    start = low.new_zeros(order, fields, len(constants.unknowns))
    if not network.in_space:
        first, near = Points(low[None], surrogate.domain.names), 1e-9 * (end - begin)
        initial = [one for one in others if float(one.points.coords[:, -1].max()) <= begin + near]
        found = FreeStart.of(initial, data, first, fields, order)
        free, start = found.shift, torch.cat([found.directions, start], dim=2)
        if len(free):
            others = [*(one for one in others if one not in initial), found.term(first)]
    numbered = {one.name: Numbered(one.equation, constants) for one in (equation, *others)}
    bound = [replace(one, equation=numbered[one.name]) for one in (equation, *others)]
    forward = Forward(Residuals(surrogate, bound), numbered, start)
    return NumberedProblem(forward, data, constants, free, begin, end)


@dataclass(frozen=True, eq=False)
class DataFit(MisfitModel):
    """The misfit of the data in the windows of a path.

    path: the solution.
    """

    path: Path

    @property
    def numbers(self) -> Tensor:
        return self.path.numbers


@dataclass(frozen=True, eq=False)
class DataInTime:
    """The data of an evolution, and the solution that is compared with them.

    Args:
        problem: the evolution.
        equations: the number of values in each row of a term.
        variance: the weighted variance of each term's data, over all times.
    """

    problem: NumberedProblem
    equations: Sequence[int]
    variance: Sequence[float]

    @staticmethod
    def of(problem: NumberedProblem) -> "DataInTime":
        """The data of an evolution."""
        surrogate = problem.forward.residuals.surrogate
        equations, variances = zip(
            *(spread_of_data(term, surrogate) for term in problem.data), strict=True
        )
        return DataInTime(problem, equations, variances)

    @property
    def times(self) -> Tensor:
        """The times of all rows, in order; that of a row is its last one."""
        return torch.cat([_times(one) for one in self.problem.data]).sort().values

    def _until(self, time: float) -> list[tuple[float, ResidualTerm]]:
        """The terms with their rows up to a time, each with the part of these rows."""
        found = []
        for term in self.problem.data:
            rows = (_times(term) <= time).nonzero()[:, 0]
            part = len(rows) / term.rows
            found.append((part, replace(term.chosen(rows), factor=part)))
        return found

    def spread(self, time: float) -> float:
        """The loss of the data up to a time if the solution were their mean."""
        both = zip(self._until(time), self.variance, strict=True)
        return sum(part * variance for (part, _), variance in both)

    def fit(
        self,
        settings: March,
        numbers: Tensor,
        until: float,
        tolerant: bool,
        near: Path | None = None,
    ) -> DataFit | None:
        """Solve for numbers, and compare the data; None where that is not possible.

        Args:
            settings: of the march.
            numbers: the numbers.
            until: the last moment of the data, and of the march.
            tolerant: whether the result is None if the march refuses the equation, which may be
                ill-posed for numbers that the user has not chosen.
            near: a path for other numbers up to the same time, whose windows are used again.

        Raises:
            InputError: if the march refuses the equation and `tolerant` is False.
        """
        self.problem.assign(numbers)
        forward, path = self.problem.forward, None
        most = 1000.0 if near is None else 20.0 * len(near.pieces) + 100
        try:
            if near is not None:
                path = forward.followed(near, settings, numbers)
            if path is None:
                path = forward.marched(settings, numbers, until, most)
        except InputError:
            if tolerant:
                return None
            raise
        except (
            NumericalError,
            np.linalg.LinAlgError,
            torch.linalg.LinAlgError,  # type: ignore[attr-defined]
        ):
            return None
        surrogate = forward.residuals.surrogate
        network = require_windows(surrogate.network)
        forward.given_to(network, path, torch.zeros_like(numbers))
        chosen = [term for _, term in self._until(until)]
        model = Residuals(surrogate, [one for one in chosen if one.rows]).model(
            network.output_layers
        )
        if not bool(model.factor.isfinite().all()):
            return None
        rows = sum(one.rows * e for one, e in zip(chosen, self.equations, strict=True))
        return DataFit(model, rows, path)


def _times(term: ResidualTerm) -> Tensor:
    """The time of each row, that of its last point."""
    return term.points.coords[:, -1].view(-1, term.sites).amax(dim=1)


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
