"""The search for a solution by trials: families of choices that climb from small to large networks.

A `Climb` makes the trials of one family, forecasts tell which of them fit into the time left, and a
`Journal` has what another process needs to go on with the search.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from kanpinn._support.distributed import from_first, together
from kanpinn._support.errors import (
    CONVERGED,
    FAILED,
    OUT_OF_TIME,
    OVERFITTED,
    STOPPED_BY_USER,
    UNCOMPARED,
    InputError,
    expecting,
    integer,
    number,
)
from kanpinn._support.interrupts import entered
from kanpinn.accuracy.references import Recipe
from kanpinn.optimizers import load_libraries
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.choices import Choice, Family, families
from kanpinn.solvers.auto.traits import Traits
from kanpinn.solvers.auto.trials import (
    Trial,
    Verdict,
    checked,
    judge,
    judged_alone,
    noise_of,
    start,
)
from kanpinn.solvers.discretization import discretize
from kanpinn.solvers.error_estimate import (
    ENDED,
    LARGEST_CONTRACTION,
    finer_solutions,
    judged_by_tolerance,
)
from kanpinn.solvers.loop import reference_and_norm, solve_discretized
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer, SolverState
from kanpinn.spaces.cells.cells import Cells

# Of a choice of trials, the reason for it, and the state of the search.
Announce = Callable[[Choice, str, Mapping[str, Any]], None]


@dataclass(kw_only=True)
class TrialSearch:
    """The search for a network, points and optimizers by trials, and the trials so far.

    Trials run in families, each from small to large networks. Up to three dimensions: the minimum
    of an energy if the problem's class gives one, for evolutions in time alone, in one space
    dimension or in a rectangle windows in time, for those in the plane also with cells in space, in
    one dimension splines, cells, random inner functions, finer grids, and sums of functions of one
    coordinate. In boxes of two and three dimensions, domains in the plane and solids, networks in
    cells come before random inner functions for many waves, outflow layers, corners and edges that
    point inwards and small holes in the plane, and otherwise after them; in space after the three
    smallest of them, since larger ones take longer than cells.
    Above three dimensions: such sums, linear inner functions, and inner functions found by variable
    projection. A family is left after trials that lower the residual little. When all have been
    tried, that with the least residual goes on, at first with other points, until the time is used
    up. While networks of another kind have not been tried, a trial that would take more than a
    quarter of the time left is postponed, or more than 0.6 of it for a march with cells in space.

    Two successive solutions give the errors of both: if the second one's residual at fresh points
    is ρ times the first one's, the first error is their distance / (1 - ρ), and the second error is
    ρ^0.8 times that, as errors decrease more slowly than residuals. Where ρ > 0.7 or a solution is
    overfitted, their distance is no measure of the errors, which are then not known. A second error
    is a guess that may be 100 times too high: within the tolerance, or at the end, a solution with
    1.25 times the hidden units replaces it, as in `estimate_error`, if time is left. Networks in
    cells estimate their own errors; if no time is left to compare one with a better solution, the
    status is "stopped". An overfitted trial is made again with more points. For energies, ρ is the
    ratio of successive distances, and the second error is ρ times the first. With noisy data, the
    smallest network that fits them as well as the next larger one is kept, and its error estimate
    includes the noise. Except for energies, time windows, cells, data and unknowns, residuals are
    divided by their sizes (`balance="sizes"` of `solve`), so that the units of coordinates, fields
    and equations do not matter. Neither the problem's name nor its exact solution influences a
    choice. `Solution.log` lists the trials, the reasons, and what would be tried with more time.

    Args:
        problem: the problem to solve.
        boundary, seed: as for `solve`.
        dtype, device: of the networks.
        tolerance: the estimated relative L2 error at which the search ends.
        budget: for all trials. Except for the first one, no trial starts that is forecast
            to take longer than the time left, and within a trial no step.
        observers: called with the state of a solve after every step.
        announce: called before each trial with the choice, the name of its family and the state of
            the search, and at the end with the choice that is kept; None to announce nothing.
        checkpoint: a state of a search, as `announce` got it, which goes on with what is left of
            the budget.

    Attributes:
        journal: the seconds of the search, and what is needed to go on with it.
        best: the trial with the least estimated error.
        minimum: the last trial of an energy.
        log: the trials and why families ended. interrupted: whether the user interrupted a trial.
        late: the first choice that did not fit into the time left, in words; empty before.
        refusal: the first error by which a family was refused.

    Raises:
        InputError: for impossible settings, or a checkpoint that is not the state of a search.
    """

    problem: Problem
    boundary: str = "auto"
    seed: int = 0
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"
    tolerance: float | int = 1e-9
    budget: float | int = 300.0
    observers: Sequence[Observer] = ()
    announce: Announce | None = None
    checkpoint: Mapping[str, Any] | None = None
    journal: "Journal" = field(init=False)
    best: Trial | None = field(default=None, init=False)
    minimum: Trial | None = field(default=None, init=False)
    log: list[str] = field(default_factory=list, init=False)
    interrupted: bool = field(default=False, init=False)
    late: str = field(default="", init=False)
    refusal: InputError | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.problem = stated(self.problem, Problem)
        number("tolerance", self.tolerance, above=True)
        number("budget", self.budget, above=True)
        integer("seed", self.seed, least=0)
        self.journal = Journal.after(self.checkpoint)

    def run(self) -> Solution:
        """Try family after family until the tolerance is met or the time is used up.

        Returns:
            The solution with the least estimated error or, where no error is known, with the least
            residual at fresh points; then the status is "failed: ...".
        """
        load_libraries()
        with entered(self.observers):  # around all trials: one line shows the progress of all
            climbs = [Climb(one) for one in families(Traits.of(self.problem), self.tolerance)]
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

    def solution(self, reference: Recipe | None = None, errors: bool = True) -> Solution:
        """The solution of `run` with its errors, if there is an exact solution or a reference.

        Errors are measured once, at the end, since no choice depends on them. The solution's
        seconds do not include the time to compute a reference.

        Args:
            reference: as for `solve`.
            errors: whether to measure the errors.
        """
        solution = self.run()
        begun = time.perf_counter()
        known, norm, waited = reference_and_norm(solution.problem, reference, errors)
        if norm is None:
            return solution
        waited = 0.0 if known is None else waited
        found = norm.converged(solution.surrogate.evaluate, solution.network.pieces)
        seconds = solution.seconds + time.perf_counter() - begun - waited
        return replace(
            solution, errors=found, reference=known, reference_seconds=waited, seconds=seconds
        )

    def _step(self, climb: "Climb", part: float) -> None:
        """Make one trial of a family, or note why there is none; part: of the time left for it."""
        planned, known = climb.following(), climb.last or self.best
        if planned is None:
            climb.ended = "there is no larger one"
            return
        if self.problem.unknowns:  # intervals are right for weights of one only
            planned = replace(planned, loss=replace(planned.loss, balance=None))
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
        self, choice: Choice, known: Trial | None, climb: "Climb", part: float
    ) -> tuple[Choice | None, str]:
        """The choice that fits into the time left, if any, and why it is not the given one."""
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
        begun, journal, last = self.journal.seconds, self.journal, list[SolverState]()
        network = choice.network(self.seed, self.dtype, self.device)
        with together():
            settings = choice.settings(self.boundary)
            discretization = discretize(self.problem, network, settings, self.seed)
        start(discretization, known)
        done = journal.found(choice)
        if done is None and self.announce is not None:
            self.announce(choice, why, journal.state)
        left = self._left - (0.0 if known is None else beside_steps(choice, known))
        budget = max(left, 1e-3) if done is None else done["budget"]
        solution = solve_discretized(
            discretization,
            choice.optimizers,
            errors=False,
            budget_seconds=budget,
            observers=(last.append, *self.observers),
            checkpoint=None if done is None else done["run"],
        )
        self.interrupted = solution.status == STOPPED_BY_USER
        if not self.interrupted:
            journal.add(choice, last[-1] if last else None, budget)
        seconds = from_first(solution.optimizer_seconds)  # all ranks make the same forecasts
        solution = replace(solution, optimizer_seconds=seconds)
        trial = Trial(choice, solution, journal.seconds - begun)
        return replace(trial, noise=noise_of(solution)) if trial.observed else trial

    def _with_enough_points(self, trial: Trial, why: str, known: Trial | None) -> Trial:
        """A trial, solved again with more points while it is overfitted and time allows."""
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

    def _judge(self, climb: "Climb", known: Trial | None, trial: Trial) -> Verdict:
        """Estimate the error of a trial by comparison with others, and keep the best.

        Where the trial before leaves the error unknown, it is compared with an earlier one whose
        residual is large enough beside its own. The seconds of a trial include those of the
        comparisons, so that forecasts do too.
        """
        verdict, begun = Verdict(None, judged_alone(trial)), self.journal.seconds
        if known is not None and known.choice.loss.form == trial.choice.loss.form:
            verdict = judge(known, trial)
            self._consider(verdict.first or known)
            if verdict.doubtful and (earlier := climb.far_behind(trial)) is not None:
                again = judge(earlier, trial)
                self._consider(again.first or earlier)
                verdict = replace(verdict, second=again.second)
        seconds = trial.seconds + self.journal.seconds - begun
        trial = replace(verdict.second, seconds=seconds)
        if trial.error <= self.tolerance:
            trial = self._confirmed(trial, known)
        if trial.choice.loss.form == "energy":
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
        """A trial with an error by a finer solution, which may refute `before` too."""
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
        return self.budget - self.journal.seconds

    def _is_over(self) -> bool:
        if self.best is None:
            return False  # the first trial is made with any budget
        return self.best.error <= self.tolerance or self._left <= 0 or self.interrupted

    def _finished(self, best: Trial) -> Solution:
        """The solution of the best trial, with the log and a status by its estimated error.

        One in cells that has not been compared with a better one does not converge, as its estimate
        is extrapolated.
        """
        if self.announce is not None:
            self.announce(best.choice, "kept", self.journal.state)
        solution = replace(best.solution, seconds=self.journal.seconds, log=tuple(self.log))
        status = solution.status
        if self.interrupted:
            return replace(solution, status=STOPPED_BY_USER)
        if status.startswith(FAILED):
            return solution
        ended, uncompared = "", UNCOMPARED in status
        if self._left <= 0 or self.late or status.startswith(OUT_OF_TIME):
            ended = f"the budget of {self.budget:g} s ended the search"
            if not status.startswith(OVERFITTED):
                solution = replace(solution, status=f"stopped: {ended}")
        if solution.estimate is None:
            why = "its error is not known, since no other trial followed"
            return replace(solution, status=f"stopped: {why} ({ended or solution.status})")
        found = judged_by_tolerance(solution, self.tolerance)
        if uncompared and found.status.startswith(CONVERGED):
            _, estimated = found.status.split(": ")
            why = "no comparison with a better solution has confirmed it"
            found = replace(found, status=f"stopped: {estimated}, but {why}")
        return found


@dataclass(eq=False)
class Climb:
    """The trials of one family, from small networks to larger ones.

    A climb is idle after trials that lowered the residual little. Others are tried then; if time is
    left, an idle climb goes on: once with other points, then with larger networks.

    Args:
        family: whose choices are tried.
        ended: why no further choice is tried; empty while some may be.
        postponed: whether other families are tried first, since the next trial would take much of
            the time left.
        trials: all trials so far.
        idle: the number of idle trials in a row.
        taken: the number of the family's choices that have been tried.
        other_points: whether other points have been tried with the same network.
        sampler: of the points; None for that of the family's choices.
    """

    family: Family
    ended: str = ""
    postponed: bool = False
    trials: list[Trial] = field(default_factory=list)
    idle: float = 0.0
    taken: int = 0
    other_points: bool = False
    sampler: str | None = None

    @property
    def last(self) -> Trial | None:
        """The last trial; None before the first one."""
        return self.trials[-1] if self.trials else None

    @property
    def loss(self) -> float:
        """The least loss at fresh points of all trials; infinite where it is not known."""
        return min((trial.loss for trial in self.trials), default=math.inf)

    @property
    def is_idle(self) -> bool:
        """Whether the last trials lowered the residual little."""
        return self.idle >= self.family.patience

    def far_behind(self, trial: Trial) -> Trial | None:
        """The latest trial but the last whose residual is large beside that of another trial."""
        most = LARGEST_CONTRACTION**2
        far = [one for one in self.trials[:-1] if trial.loss <= most * one.loss]
        return far[-1] if far else None

    def following(self) -> Choice | None:
        """The next choice to try; None if there is no larger one."""
        if (other := self._with_other_points()) is not None:
            return other
        if self.taken == len(self.family.choices):
            return None
        choice = self.family.choices[self.taken]
        if self.sampler is None:
            return choice
        return replace(choice, points=replace(choice.points, sampler=self.sampler))

    def see(self, verdict: Verdict, tried: Choice) -> None:
        """Update the climb with a trial.

        A trial is idle if its residual is more than half of that before. It counts half if its
        residual at fresh points is more than twice that before: the solution is not resolved yet,
        but a larger network may resolve it.

        Args:
            verdict: on the trial.
            tried: the choice of the trial as `following` returned it.
        """
        trial, before, stalled = verdict.second, self.loss, 0.5
        idle = self.last is not None and verdict.part > stalled
        if self._with_other_points() is not None:
            self.other_points = True
            if trial.loss < stalled**2 * before:
                self.sampler = tried.points.sampler
        else:
            self.taken += 1
        self.idle = self.idle + (0.5 if verdict.part > 2.0 else 1.0) if idle else 0.0
        self.trials.append(trial)
        self.ended = self._saturated(verdict)

    def _with_other_points(self) -> Choice | None:
        """The last choice with other points, if that is what an idle climb tries next."""
        if self.last is None or self.other_points or not self.is_idle:
            return None
        return self.last.choice.with_other_points()

    def _saturated(self, verdict: Verdict) -> str:
        """Why a comparison could not show a larger network to be better, else ""."""
        rounding = 1e-6  # the least error that an energy resolves, about the root of its rounding
        if verdict.second.choice.loss.form == "energy" and verdict.second.error <= rounding:
            return "rounding of the energy limits the accuracy"
        if verdict.settled:
            return "the last one fits the data no better"
        found = verdict.second.solution.verification
        if self.idle and found is not None and found.is_rounding:
            return "the residual is rounding error"
        return ""


def turns(climbs: Sequence[Climb], is_over: Callable[[], bool]) -> Iterator[tuple[Climb, float]]:
    """Yield the climb that makes the next step, and the part of the time left that it may take.

    Each climbs until it is idle; then that with the least residual goes on. While networks of a
    kind that has not been tried are to come, a trial may take a part of the time left, see
    `Family`. A climb whose next trial would take more is postponed.

    Args:
        climbs: those of all families, in order.
        is_over: whether the search ends before the next step.
    """
    kinds = [climb.family.choices[0].kind for climb in climbs]
    for place, climb in enumerate(climbs, 1):
        part = climb.family.part if set(kinds[place:]) - set(kinds[:place]) else 1.0
        while not (is_over() or climb.ended or climb.is_idle or climb.postponed):
            yield climb, part
    while not is_over() and (left := [one for one in climbs if not one.ended]):
        yield min(left, key=lambda one: one.loss), 1.0


def finer_solution(trial: Trial, left: float) -> Solution | None:
    """A solution with 1.25 times the hidden units, if it is of use and there is time for it.

    What an earlier trial says of a later one's error is a guess from their residuals: it was up to
    100 times too high for smooth solutions, whose errors decrease faster. A finer solution is for
    the later trial what that one is for the earlier one. It may take four times as long as the
    trial. Networks in cells have already been compared with a better solution.

    Args:
        trial: the later one of two trials, or the only one.
        left: the seconds left.
    """
    found = trial.solution.verification
    known = found is not None and not (found.overfitted or trial.failed or trial.observed)
    if trial.own_error is not None or trial.confirmed or not known or 4.0 * trial.seconds > left:
        return None
    return next(finer_solutions(trial.solution, 1.25, left))


def forecast(choice: Choice, known: Trial) -> float:
    """The seconds that a choice would take, extrapolated from another trial.

    The optimizers' time is proportional to the work, the rest to the number of interior points.
    Nothing is known, and no time forecast, from networks of another class, whose work has another
    unit; families begin with small networks. After a solution in cells the time of other networks
    is infinite: on an L-shape they took minutes and were less accurate.
    A network in cells goes on from the cells of the other trial, and its solve may end after any
    step. Its first step takes about as long as the last step of the other trial, and is of use only
    if there is some time left for one on smaller cells.
    """
    if choice.kind is not known.choice.kind:
        return math.inf if known.choice.kind is Cells else 0.0
    rows, beside = known.solution.history.rows, beside_steps(choice, known)
    if choice.kind is Cells and len(rows) > 1:
        last = from_first(float(rows[-1]["seconds"] - rows[-2]["seconds"]))  # the same on all ranks
        return 1.5 * last + beside
    return sum(known.solution.optimizer_seconds) * choice.work / known.choice.work + beside


def beside_steps(choice: Choice, known: Trial) -> float:
    """The seconds that a choice would take beside its steps, from those of another trial."""
    beside = known.seconds - sum(known.solution.optimizer_seconds)
    return beside * choice.points.interior / known.choice.points.interior


def unaffordable(choice: Choice, known: Trial, left: float) -> str | None:
    """Why a choice does not fit into the time left, in words; None if it does."""
    seconds = forecast(choice, known)
    if seconds <= left:
        return None
    if math.isinf(seconds):
        return "networks in cells have been more accurate"
    return f"the next one would take {seconds:.2g} s, {max(left, 0):.2g} s are left"


def affordable(choice: Choice, known: Trial, left: float) -> Choice | None:
    """A smaller version of a choice that fits into 0.9 of the time left, or None.

    It has at least 1.1 times the hidden units of the trial before, `known`. Forecasts may be too
    low.
    """
    if not known.choice.units or known.choice.kind is not choice.kind:
        return None
    part = (0.9 * max(left, 0.0) / forecast(choice, known)) ** (1 / 3)
    return choice.smaller(part) if part * choice.units >= 1.1 * known.choice.units else None


@dataclass
class Journal:
    """The trials and the seconds of a search, and the trials that an earlier process made before.

    A trial that has been made before is not made again: its solve continues from its last state,
    which leaves no step to take. So the search decides as it did before, and then goes on. The
    seconds are by rank 0's clock, so that all ranks decide the same.

    Args:
        earlier: the trials of the earlier process, by the states that it announced.
        made: the trials so far.
        before: the seconds before this process continued the search.
        begun: when this process began, by `time.perf_counter`.
    """

    earlier: Sequence[Mapping[str, Any]] = ()
    made: list[dict[str, Any]] = field(default_factory=list)
    before: float = 0.0
    begun: float = field(default_factory=lambda: time.perf_counter())

    @classmethod
    def after(cls, checkpoint: Mapping[str, Any] | None) -> "Journal":
        """The journal of a search that continues from a state, or begins.

        Raises:
            InputError: if it is not the state of a search.
        """
        if checkpoint is None:
            return cls()
        with expecting("the checkpoint of the trials"):
            found = [dict(trial) for trial in checkpoint["trials"]]
            for trial in found:
                trial["choice"], trial["run"], float(trial["budget"]), float(trial["elapsed"])
        return cls(found)

    @property
    def seconds(self) -> float:
        """The seconds so far; every rank must ask at the same moments."""
        return from_first(self.before + time.perf_counter() - self.begun)

    @property
    def state(self) -> dict[str, Any]:
        """The state from which a search continues: tensors and plain values."""
        return {"trials": list(self.made)}

    def found(self, choice: object) -> Mapping[str, Any] | None:
        """The next earlier trial if it has this choice; if not, all that follow are forgotten."""
        index = len(self.made)
        if index < len(self.earlier) and self.earlier[index]["choice"] == str(choice):
            return self.earlier[index]
        self.earlier = self.earlier[:index]
        return None

    def add(self, choice: object, run: SolverState | None, budget: float) -> None:
        """Add a trial.

        Args:
            choice: its settings.
            run: its last state; None if it has taken no step.
            budget: the seconds that its steps were allowed.
        """
        if (known := self.found(choice)) is not None:
            self.before, self.begun = float(known["elapsed"]), time.perf_counter()
            self.made.append(dict(known))
            return
        state = None if run is None else run.state_dict()
        one = {"choice": str(choice), "run": state, "budget": budget}
        self.made.append({**one, "elapsed": self.seconds})
