"""The climb from small networks to larger ones in one family of choices, and why it ends."""

from dataclasses import dataclass

from kanpinn.solvers.auto.candidates import Family
from kanpinn.solvers.auto.judging import Trial, Verdict


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

    def see(self, verdict: Verdict) -> None:
        """Update the climb with a trial."""
        idle = self.last is not None and verdict.part > self.stalled
        step = 0.5 if verdict.part > self.grown else 1.0
        self.idle = self.idle + step if idle else 0.0
        self.last = verdict.second

    def saturated(self, verdict: Verdict) -> str | None:
        """Return why a comparison could not show a larger network to be better, else None."""
        energy = verdict.second.choice.form == "energy"
        if energy and verdict.second.error <= self.energy_rounding:
            return "rounding of the energy limits the accuracy"
        return "the last one fits the data no better" if verdict.settled else None

    def stagnant(self, verdict: Verdict) -> str | None:
        """Return why larger networks are unlikely to lower the residual, else None."""
        patience = 1 if self.family.brief and verdict.second.repeats else self.patience
        if self.idle < patience:
            return None
        return f"the last one leaves {min(verdict.part, 99):.2g} of the residual"
