"""The search for a solution by trials, family after family."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from kanpinn._support.distributed import from_first, together
from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.status import OUT_OF_TIME, STOPPED_BY_USER
from kanpinn.optimizers import load_libraries
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.candidates import families
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.climb import Climb
from kanpinn.solvers.auto.confirming import finer_solution
from kanpinn.solvers.auto.final_errors import judged
from kanpinn.solvers.auto.forecast import affordable, beside_steps, forecast, unaffordable
from kanpinn.solvers.auto.journal import Journal, LastState
from kanpinn.solvers.auto.judging import Verdict, checked, judge, judged_alone
from kanpinn.solvers.auto.starting import start
from kanpinn.solvers.auto.traits import Traits
from kanpinn.solvers.auto.trial import Trial, noise_of
from kanpinn.solvers.auto.trial_clock import TrialClock
from kanpinn.solvers.auto.turns import turns
from kanpinn.solvers.discretize import discretize
from kanpinn.solvers.error_estimate import ENDED
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.solve import solve_discretized
from kanpinn.solvers.state import Observer

# Of a choice of trials, the reason for it, and the state of the search.
Announce = Callable[[Choice, str, Mapping[str, Any]], None]


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
        announce: called before each trial with the choice, the name of its family and the state of
            the search, and at the end with the choice that is kept.
        earlier: the trials of an earlier process, see `Journal`.

    Attributes:
        clock: the seconds that the search has taken.
        journal: what is needed to go on with the search in another process.
        best: the trial with the least estimated error.
        minimum: the last trial of an energy.
        log: the trials and why families ended. interrupted: whether the user interrupted a trial.
        late: the first choice that did not fit into the time left, in words; empty before.
        refusal: the first error by which a family was refused.
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
    earlier: Sequence[Mapping[str, Any]] = ()
    clock: TrialClock = field(default_factory=TrialClock, init=False)
    journal: Journal = field(init=False)
    best: Trial | None = field(default=None, init=False)
    minimum: Trial | None = field(default=None, init=False)
    log: list[str] = field(default_factory=list, init=False)
    interrupted: bool = field(default=False, init=False)
    late: str = field(default="", init=False)
    refusal: InputError | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        number("budget_seconds", self.budget_seconds, above=True)
        integer("seed", self.seed, least=0)
        self.journal = Journal(self.clock, self.earlier)

    def run(self) -> Solution:
        """Try family after family until the tolerance is met or the time is used up."""
        load_libraries()
        climbs = [Climb(family) for family in families(Traits.of(self.problem), self.tolerance)]
        for climb, part in turns(climbs, self._is_over):
            self._step(climb, part)
            if self._is_over():
                climb.ended = climb.ended or "the search ends here"
            if climb.ended:
                self.log.append(f"{climb.family.name}: {climb.ended}")
        if self.late:
            self.log.append(f"with more time: {self.late}")
        if self.best is None and self.refusal is not None:
            raise self.refusal
        assert self.best is not None
        return self._finished(self.best if self.interrupted else self._confirmed(self.best))

    def _step(self, climb: Climb, part: float) -> None:
        """Make one trial of a family, or note why there is none; part: of the time left for it."""
        planned = climb.following()
        if planned is None:
            climb.ended = "there is no larger one"
            return
        if self.problem.unknowns:  # intervals are right for weights of one only
            planned = replace(planned, balanced=False)
        known = climb.last or self.best
        choice, late = self._fitting(planned, known, climb, part)
        if choice is None:
            return
        try:
            trial = self._try(choice, climb.family.name, known)
            trial = self._with_enough_points(trial, climb.family.name, known)
        except InputError as error:
            # Windows are refused if conditions couple times, for example.
            self.refusal = self.refusal or error
            climb.ended = f"not for this problem ({error})"
            return
        if trial.failed and self.best is not None:
            climb.ended = trial.solution.status
        elif not self.interrupted or self.best is None:
            climb.see(self._judge(climb, known, trial), planned)
        climb.ended = climb.ended or late

    def _fitting(
        self, choice: Choice, known: Trial | None, climb: Climb, part: float
    ) -> tuple[Choice | None, str]:
        """Return a choice that fits into the time left, if any, and why it is not the given one."""
        late = None if known is None else unaffordable(choice, known, self._left)
        if known is None or late is None:
            most = part * self._left
            climb.postponed = part < 1 and known is not None and forecast(choice, known) > most
            return (None if climb.postponed else choice), ""
        if choice.kind is known.choice.kind:
            self.late = self.late or f"{choice}, {late}"
        smaller = None if climb.last is None else affordable(choice, known, self._left)
        if smaller is None:
            climb.ended = late
        return smaller, late

    def _try(self, choice: Choice, why: str, known: Trial | None) -> Trial:
        begun, journal, last = self.clock.seconds, self.journal, LastState()
        network = choice.network(self.seed, self.dtype, self.device)
        with together():
            settings = choice.settings(self.boundary)
            discretization = discretize(self.problem, network, settings, self.seed)
        start(discretization, known)
        if (done := journal.found(choice)) is None:
            self.announce(choice, why, journal.state)
        left = self._left - (0.0 if known is None else beside_steps(choice, known))
        budget = max(left, 1e-3) if done is None else done["budget"]
        solution = solve_discretized(
            discretization,
            choice.optimizers,
            errors=False,
            budget_seconds=budget,
            observers=(last, *self.observers),
            checkpoint=None if done is None else done["run"],
        )
        self.interrupted = solution.status == STOPPED_BY_USER
        if not self.interrupted:
            journal.add(choice, last.state, budget)
        seconds = from_first(solution.optimizer_seconds)  # all ranks make the same forecasts
        solution = replace(solution, optimizer_seconds=seconds)
        trial = Trial(choice, solution, self.clock.seconds - begun)
        return replace(trial, noise=noise_of(solution)) if trial.observed else trial

    def _with_enough_points(self, trial: Trial, why: str, known: Trial | None) -> Trial:
        """Return a trial, solved again with more points while it is overfitted and time allows."""
        factor, most = 2.0, 4
        for _ in range(most):
            found = trial.solution.verification
            if found is None or not found.overfitted or trial.failed:
                break
            choice = trial.choice.with_more_points(factor, only_boundary=found.on_boundary)
            if unaffordable(choice, trial, self._left / 2):
                break
            denser = self._try(choice, why, known)
            if denser.failed or self.interrupted:
                break
            self.log.append(f"{trial.choice}: {trial.seconds:.2g} s, overfitted")
            trial = denser
        return trial

    def _judge(self, climb: Climb, known: Trial | None, trial: Trial) -> Verdict:
        """Estimate the error of a trial by comparison with others, and keep the best.

        Where the trial before leaves the error unknown, it is compared with an earlier one whose
        residual is large enough beside its own. The seconds of a trial include those of the
        comparisons, so that forecasts do too.
        """
        verdict, begun = Verdict(None, judged_alone(trial)), self.clock.seconds
        if known is not None and known.choice.form == trial.choice.form:
            verdict = judge(known, trial)
            self._consider(verdict.first or known)
            if verdict.doubtful and (earlier := climb.far_behind(trial)) is not None:
                again = judge(earlier, trial)
                self._consider(again.first or earlier)
                verdict = replace(verdict, second=again.second)
        seconds = trial.seconds + self.clock.seconds - begun
        trial = replace(verdict.second, seconds=seconds)
        if trial.error <= self.tolerance:
            trial = self._confirmed(trial, known)
        if trial.choice.form == "energy":
            self.minimum = trial
        elif self.minimum is not None:
            trial = checked(trial, self.minimum)
        if not verdict.settled:
            self._consider(trial)
        said = str(trial.solution.estimate or "").splitlines()
        error = f", {said[0]}" if said else ""
        self.log.append(f"{trial.choice}: {trial.seconds:.2g} s{error}")
        return replace(verdict, second=trial)

    def _confirmed(self, trial: Trial, before: Trial | None = None) -> Trial:
        """Return a trial with an error by a finer solution, which may refute `before` too."""
        finer = finer_solution(trial, self._left)
        if finer is None or finer.status.startswith(ENDED):
            self.interrupted |= finer is not None and finer.status == STOPPED_BY_USER
            return trial
        found = judge(trial, last := Trial(trial.choice, finer, 0.0)).first or trial
        if before is not None and math.isinf(found.error):
            self._consider(judge(before, last).first or before)
        return replace(found, confirmed=True)

    def _consider(self, trial: Trial) -> None:
        best = self.best  # the same trial may have another estimate now
        if best is None or best.choice is trial.choice or trial.better_than(best):
            self.best = trial

    @property
    def _left(self) -> float:
        return self.budget_seconds - self.clock.seconds

    def _is_over(self) -> bool:
        if self.best is None:
            return False  # the first trial is made with any budget
        return self.best.error <= self.tolerance or self._left <= 0 or self.interrupted

    def _finished(self, best: Trial) -> Solution:
        """Return the solution of the best trial, with status and log."""
        self.announce(best.choice, "kept", self.journal.state)
        solution = replace(best.solution, seconds=self.clock.seconds, log=tuple(self.log))
        if self.interrupted:
            return replace(solution, status=STOPPED_BY_USER)
        is_late = self._left <= 0 or self.late or solution.status.startswith(OUT_OF_TIME)
        why = f"the budget of {self.budget_seconds:g} s ended the search" if is_late else ""
        return judged(solution, self.tolerance, why)
