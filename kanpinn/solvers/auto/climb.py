"""The climb from small networks to larger ones in one family of choices, and why it ends."""

import math
from dataclasses import dataclass, field, replace

from kanpinn.networks import Network
from kanpinn.solvers.auto.candidates import Family
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.judging import Verdict
from kanpinn.solvers.auto.trial import Trial
from kanpinn.solvers.comparison import LARGEST_CONTRACTION


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
        stalled: a trial is idle if its residual is more than this part of the one before.
        grown: an idle trial counts half if its residual at fresh points is more than this times
            the one before: the solution is not resolved yet, but a larger network may resolve it.
        energy_rounding: the least error that an energy can resolve, about the root of its rounding
            error.
    """

    family: Family
    ended: str = ""
    postponed: bool = False
    trials: list[Trial] = field(default_factory=list)
    idle: float = 0.0
    taken: int = 0
    other_points: bool = False
    sampler: str | None = None
    stalled: float = 0.5
    grown: float = 2.0
    energy_rounding: float = 1e-6

    @property
    def kind(self) -> type[Network]:
        """The class of the family's networks."""
        return self.family.choices[0].kind

    @property
    def last(self) -> Trial | None:
        """The last trial; None before the first one."""
        return self.trials[-1] if self.trials else None

    @property
    def loss(self) -> float:
        """The least loss at fresh points of all trials; infinite where it is not known."""
        return min((trial.loss for trial in self.trials), default=math.inf)

    def far_behind(self, trial: Trial) -> Trial | None:
        """The latest trial but the last whose residual is large beside that of another trial."""
        most = LARGEST_CONTRACTION**2
        far = [one for one in self.trials[:-1] if trial.loss <= most * one.loss]
        return far[-1] if far else None

    @property
    def is_idle(self) -> bool:
        """Whether the last trials lowered the residual little."""
        return self.idle >= self.family.patience

    def following(self) -> Choice | None:
        """Return the next choice to try; None if there is no larger one."""
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

        Args:
            verdict: on the trial.
            tried: the choice of the trial as `following` returned it.
        """
        trial, before = verdict.second, self.loss
        idle = self.last is not None and verdict.part > self.stalled
        step = 0.5 if verdict.part > self.grown else 1.0
        if self._with_other_points() is not None:
            self.other_points = True
            if trial.loss < self.stalled**2 * before:
                self.sampler = tried.points.sampler
        else:
            self.taken += 1
        self.idle = self.idle + step if idle else 0.0
        self.trials.append(trial)
        self.ended = self._saturated(verdict)

    def _with_other_points(self) -> Choice | None:
        """Return the last choice with other points, if that is what an idle climb tries next."""
        if self.last is None or self.other_points or not self.is_idle:
            return None
        return self.last.choice.with_other_points()

    def _saturated(self, verdict: Verdict) -> str:
        """Return why a comparison could not show a larger network to be better, else ""."""
        energy = verdict.second.choice.form == "energy"
        if energy and verdict.second.error <= self.energy_rounding:
            return "rounding of the energy limits the accuracy"
        if verdict.settled:
            return "the last one fits the data no better"
        found = verdict.second.solution.verification
        if self.idle and found is not None and found.is_rounding:
            return "the residual is rounding error"
        return ""
