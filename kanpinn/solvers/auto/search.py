"""The search for a solution by trials, family after family."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.status import STOPPED_BY_USER
from kanpinn.networks import KAN, Network
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.candidates import Family, families
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.climb import Climb
from kanpinn.solvers.auto.forecast import affordable, unaffordable
from kanpinn.solvers.auto.judging import Trial, Verdict, checked, judge, noise_of
from kanpinn.solvers.auto.traits import Traits
from kanpinn.solvers.auto.warm_start import start_from
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.discretize import discretize
from kanpinn.solvers.error_estimate import judged_by_tolerance
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.solve import solve
from kanpinn.solvers.state import Observer

Announce = Callable[[Choice, str], None]  # of a choice of trials, and the reason for it


@dataclass(kw_only=True)
class TrialSearch:
    """The trials so far: the best of them, and the time that is left.

    Args:
        problem: the problem to solve.
        boundary, seed: as for `solve`.
        dtype, device: of the networks.
        tolerance: the estimated relative L2 error at which the search ends.
        budget_seconds: for all trials.
        observers: called with the state of a solve after every step.
        announce: called before each trial with the choice and the name of its family, and at the
            end with the choice that is kept.

    Attributes:
        begun: when the search began, by `time.perf_counter`.
        best: the trial with the least estimated error.
        minimum: the last trial of an energy.
        log: the trials and the reasons why families ended.
        interrupted: whether the user has interrupted a trial.
        exhausted: whether time ended a family that still lowered the residual.
    """

    problem: Problem
    boundary: str = "auto"
    seed: int = 0
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"
    tolerance: float | int = 1e-9
    budget_seconds: float | int = 300.0
    observers: Sequence[Observer] = ()
    announce: Announce
    begun: float = field(default_factory=time.perf_counter, init=False)
    best: Trial | None = field(default=None, init=False)
    minimum: Trial | None = field(default=None, init=False)
    log: list[str] = field(default_factory=list, init=False)
    interrupted: bool = field(default=False, init=False)
    exhausted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        number("budget_seconds", self.budget_seconds, above=True)
        integer("seed", self.seed, least=0)

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
            trial = self._with_enough_points(trial, climb.family.name, known)
        except InputError as error:
            if self.best is None:
                raise
            return f"not for this problem ({error})"  # windows, if conditions couple times
        if trial.failed and self.best is not None:
            return trial.solution.status
        if self.interrupted and self.best is not None:
            return "interrupted"
        verdict = self._judge(known, trial)
        if self._is_over():
            return "the search ends here"
        climb.see(verdict)
        return climb.saturated(verdict) or late or climb.stagnant(verdict)

    def _try(self, choice: Choice, why: str, known: Trial | None) -> Trial:
        begun = time.perf_counter()
        network = choice.network(self.seed, self.dtype, self.device)
        choice = self._prepared(choice, network, known)
        self.announce(choice, why)
        solution = solve(
            self.problem,
            network,
            choice.optimizers,
            **vars(choice.settings(self.boundary)),
            errors=False,
            seed=self.seed,
            budget_seconds=max(self._left, 1e-3),
            observers=self.observers,
        )
        self.interrupted = solution.status == STOPPED_BY_USER
        trial = Trial(choice, solution, time.perf_counter() - begun)
        return replace(trial, noise=noise_of(solution)) if trial.observed else trial

    def _with_enough_points(self, trial: Trial, why: str, known: Trial | None) -> Trial:
        """Return a trial, solved again with more points while it is overfitted and time allows."""
        factor = 2.0
        for _ in range(2):
            found = trial.solution.verification
            if found is None or not found.overfitted or trial.failed:
                break
            choice = trial.choice.with_more_points(factor)
            if unaffordable(choice, trial, self._left):
                break
            denser = self._try(choice, why, known)
            if denser.failed or self.interrupted:
                break
            self.log.append(f"{trial.choice}: {trial.seconds:.2g} s, overfitted")
            trial = denser
        return trial

    def _prepared(self, choice: Choice, network: Network, known: Trial | None) -> Choice:
        """Return the choice; start the network from a known solution."""
        warm = isinstance(network, KAN) and not self.problem.unknowns
        if warm and known is not None and known.repeats and known.choice.form == "strong":
            start_from(known.solution, self._discretized(choice, network))
        return choice

    def _discretized(self, choice: Choice, network: Network) -> Discretization:
        return discretize(self.problem, network, choice.settings(self.boundary), self.seed)

    def _judge(self, known: Trial | None, trial: Trial) -> Verdict:
        """Estimate the error of a trial by comparison with another one, and keep the best.

        The seconds of a trial include those of the comparison, so that forecasts do too.
        """
        verdict, begun = Verdict(None, trial), time.perf_counter()
        if known is not None and known.choice.form == trial.choice.form:
            verdict = judge(known, trial)
            self._consider(verdict.first or known)
        seconds = trial.seconds + time.perf_counter() - begun
        trial = replace(verdict.second, seconds=seconds)
        if trial.choice.form == "energy":
            self.minimum = trial
        elif self.minimum is not None:
            trial = checked(trial, self.minimum)
        if not verdict.settled:
            self._consider(trial)
        estimate = trial.solution.estimate
        error = "" if estimate is None else f", {str(estimate).splitlines()[0]}"
        self.log.append(f"{trial.choice}: {trial.seconds:.2g} s{error}")
        return replace(verdict, second=trial)

    def _consider(self, trial: Trial) -> None:
        if self.best is None or self.best.choice is trial.choice or trial.better_than(self.best):
            self.best = trial  # the same trial may have another estimate now

    @property
    def _left(self) -> float:
        return self.budget_seconds - (time.perf_counter() - self.begun)

    def _is_over(self) -> bool:
        met = self.best is not None and self.best.error <= self.tolerance
        return met or self._left <= 0 or self.interrupted

    def _finished(self, best: Trial) -> Solution:
        """Return the solution of the best trial, with status and log."""
        self.announce(best.choice, "kept")
        seconds = time.perf_counter() - self.begun
        solution = replace(best.solution, seconds=seconds, log=tuple(self.log))
        if self.interrupted:
            solution = replace(solution, status=STOPPED_BY_USER)
        elif best.solution.estimate is None and not best.failed:
            why = "its error is not known, since no other trial followed"
            solution = replace(solution, status=f"stopped: {why} ({solution.status})")
        elif not best.failed:
            solution = judged_by_tolerance(solution, self.tolerance)
        return solution
