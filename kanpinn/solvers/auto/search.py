"""The search for a solution by trials, family after family."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from kanpinn._support.errors import InputError, integer, number
from kanpinn.accuracy.references import Recipe
from kanpinn.networks import KAN, Network
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.balance import balanced
from kanpinn.solvers.auto.candidates import Family, families
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.final_errors import measured
from kanpinn.solvers.auto.forecast import affordable, unaffordable
from kanpinn.solvers.auto.judging import Trial, checked, judge, noise_of
from kanpinn.solvers.auto.traits import Traits
from kanpinn.solvers.auto.warm_start import start_from
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.discretize import discretize
from kanpinn.solvers.error_estimate import judged_by_tolerance
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.solve import solve
from kanpinn.solvers.state import Observer

INTERRUPTED = "stopped: interrupted"

Announce = Callable[[Choice, str], None]


@dataclass(frozen=True)
class Settings:
    """The settings that hold for every trial; see `auto`."""

    tolerance: float | int = 1e-9
    budget_seconds: float | int = 300.0
    boundary: str = "auto"
    reference: Recipe | None = None
    errors: bool = True
    seed: int = 0
    dtype: torch.dtype = torch.float64
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        number("budget_seconds", self.budget_seconds, above=True)
        integer("seed", self.seed, least=0)


@dataclass(frozen=True)
class Judged:
    """A trial after it was compared with the one before.

    Args:
        trial: with its estimated error.
        part: ρ, its residual over that of the trial before; 0 if it is not known.
        settled: whether it fits the data no better than the trial before.
    """

    trial: Trial
    part: float = 0.0
    settled: bool = False


@dataclass
class Climb:
    """The trials of one family, from small networks to larger ones.

    Args:
        family: whose choices are tried.
        last: the last trial; None before the first one.
        idle: the number of idle trials in a row, those that lowered the residual little.
        patience: the number of idle trials that end the climb.
        stalled: a trial is idle if its residual is more than this part of the one before.
        grown: an idle trial counts half if its residual at fresh points is more than this times
            the one before: the solution is not resolved yet, but a larger network may resolve it.
        energy_rounding: the least error that an energy can resolve, about the root of its rounding
            error.
    """

    family: Family
    last: Trial | None = None
    idle: float = 0.0
    patience: float = 2.0
    stalled: float = 0.5
    grown: float = 2.0
    energy_rounding: float = 1e-6

    def see(self, judged: Judged) -> None:
        """Update the climb with a trial."""
        idle = self.last is not None and judged.part > self.stalled
        step = 0.5 if judged.part > self.grown else 1.0
        self.idle = self.idle + step if idle else 0.0
        self.last = judged.trial

    def saturated(self, judged: Judged) -> str | None:
        """Return why a comparison could not show a larger network to be better, else None."""
        energy = judged.trial.choice.form == "energy"
        if energy and judged.trial.error <= self.energy_rounding:
            return "an energy tells no more"
        return "the last one fits the data no better" if judged.settled else None

    def stagnant(self, judged: Judged) -> str | None:
        """Return why larger networks are unlikely to lower the residual, else None."""
        patience = 1 if self.family.brief and judged.trial.repeats else self.patience
        if self.idle < patience:
            return None
        return f"the last one leaves {min(judged.part, 99):.2g} of the residual"


class Search:
    """The trials so far: the best of them, and the time that is left."""

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        observers: Sequence[Observer],
        announce: Announce,
    ) -> None:
        self.problem, self.settings = problem, settings
        self.observers, self.announce = observers, announce
        self.begun = time.perf_counter()
        self.best: Trial | None = None
        self.minimum: Trial | None = None  # the last trial of an energy
        self.log: list[str] = []
        self.interrupted = False
        self.exhausted = False  # whether time ended a family that still lowered the residual

    def run(self) -> Solution:
        """Try family after family until the tolerance is met or the time is used up."""
        for family in families(Traits.of(self.problem)):
            self.log.append(f"{family.name}: {self._climb(family)}")
            if self._is_over() or self.exhausted:
                break
        assert self.best is not None
        return self._finished(self.best)

    def _climb(self, family: Family) -> str:
        """Try larger and larger networks of a family; return why no larger one is tried."""
        climb = Climb(family)
        for choice in family.choices:
            if (reason := self._step(climb, choice)) is not None:
                return reason
        return "there is no larger one"

    def _step(self, climb: Climb, choice: Choice) -> str | None:
        """Make one trial of a family; return why it is the last one, None if it is not."""
        known = climb.last or self.best
        late = None if known is None else unaffordable(choice, known, self._left)
        if known is not None and late is not None:
            self.exhausted = climb.last is not None and not climb.idle
            if climb.last is None:
                return late
            smaller = affordable(choice, known, self._left)
            if smaller is None:
                return late
            choice = smaller
        try:
            trial = self._try(choice, climb.family.name, known)
        except InputError as error:
            if self.best is None:
                raise
            return f"not for this problem ({error})"  # windows, if conditions couple times
        if trial.failed and self.best is not None:
            return trial.solution.status
        judged = self._judge(known, trial)
        if self._is_over():
            return "the search ends here"
        climb.see(judged)
        return climb.saturated(judged) or late or climb.stagnant(judged)

    def _try(self, choice: Choice, why: str, known: Trial | None) -> Trial:
        begun, chosen = time.perf_counter(), self.settings
        network = choice.network(chosen.seed, chosen.dtype, chosen.device)
        choice = self._prepared(choice, network, known)
        self.announce(choice, why)
        solution = solve(
            self.problem,
            network,
            choice.optimizers,
            choice.points,
            boundary=chosen.boundary,
            weights=choice.weights,
            form=choice.form,
            errors=False,
            seed=chosen.seed,
            budget_seconds=max(self._left, 1e-3),
            observers=self.observers,
        )
        self.interrupted = solution.status == INTERRUPTED
        trial = Trial(choice, solution, time.perf_counter() - begun)
        return replace(trial, noise=noise_of(solution)) if trial.observed else trial

    def _prepared(self, choice: Choice, network: Network, known: Trial | None) -> Choice:
        """Return the choice with balanced weights; start the network from a known solution."""
        surrogate = None if known is None else known.solution.surrogate
        if choice.balanced:
            weights = balanced(self._discretized(choice, network), surrogate)
            choice = replace(choice, weights=weights)
        warm = known is not None and known.repeats and known.choice.form == "strong"
        warm = warm and not self.problem.unknowns
        if warm and isinstance(network, KAN):
            assert known is not None
            start_from(known.solution, self._discretized(choice, network))
        return choice

    def _discretized(self, choice: Choice, network: Network) -> Discretization:
        points, weights, chosen = choice.points, choice.weights, self.settings
        form, seed = chosen.boundary, chosen.seed
        return discretize(self.problem, network, points, form, weights, seed, choice.form)

    def _judge(self, known: Trial | None, trial: Trial) -> Judged:
        """Estimate the error of a trial by comparison with another one, and keep the best.

        The seconds of a trial include those of the comparison, so that forecasts do too.
        """
        judged, begun = Judged(trial), time.perf_counter()
        if known is not None and known.choice.form == trial.choice.form:
            verdict = judge(known, trial)
            judged = Judged(verdict.second, verdict.part, verdict.settled)
            self._consider(verdict.first)
        seconds = trial.seconds + time.perf_counter() - begun
        trial = replace(judged.trial, seconds=seconds)
        if trial.choice.form == "energy":
            self.minimum = trial
        elif self.minimum is not None:
            trial = checked(trial, self.minimum)
        if not judged.settled:
            self._consider(trial)
        error = "" if trial.solution.estimate is None else f", estimated error {trial.error:.1e}"
        self.log.append(f"{trial.choice}: {trial.seconds:.2g} s{error}")
        return replace(judged, trial=trial)

    def _consider(self, trial: Trial) -> None:
        if self.best is None or self.best.error >= trial.error:
            self.best = trial
        elif self.best.choice is trial.choice:  # the same trial with a larger estimate
            self.best = trial

    @property
    def _left(self) -> float:
        return self.settings.budget_seconds - (time.perf_counter() - self.begun)

    def _is_over(self) -> bool:
        assert self.best is not None
        met = self.best.error <= self.settings.tolerance
        return met or self._left <= 0 or self.interrupted

    def _finished(self, best: Trial) -> Solution:
        """Return the solution of the best trial, with status, log and errors."""
        self.announce(best.choice, "kept")
        seconds = time.perf_counter() - self.begun
        solution = replace(best.solution, seconds=seconds, log=tuple(self.log))
        if self.interrupted:
            solution = replace(solution, status=INTERRUPTED)
        elif not best.failed:
            solution = judged_by_tolerance(solution, self.settings.tolerance)
        return measured(solution, self.settings.reference) if self.settings.errors else solution
