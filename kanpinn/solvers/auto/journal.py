"""The record of a search's trials, from which another process goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kanpinn._support.errors import expecting
from kanpinn.solvers.auto.trial_clock import TrialClock
from kanpinn.solvers.state import SolverState


def trials_of(checkpoint: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the trials of a search's state; none without a state.

    Raises:
        InputError: if it is not the state of a search.
    """
    if checkpoint is None:
        return []
    with expecting("the checkpoint of the trials"):
        found = [dict(trial) for trial in checkpoint["trials"]]
        for trial in found:
            trial["choice"], trial["run"], float(trial["budget"]), float(trial["elapsed"])
    return found


@dataclass
class Journal:
    """The trials that a search has made, and those that an earlier process made before it.

    A trial that has been made before is not made again: its solve continues from its last state,
    which leaves no step to take. So the search decides as it did before, and then goes on.

    Args:
        clock: of the search; it shows the time of the earlier process after each of its trials.
        earlier: the trials of the earlier process, by the states that it announced.
        made: the trials so far.
    """

    clock: TrialClock
    earlier: Sequence[Mapping[str, Any]] = ()
    made: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state(self) -> dict[str, Any]:
        """The state from which a search continues: tensors and plain values."""
        return {"trials": list(self.made)}

    def found(self, choice: object) -> Mapping[str, Any] | None:
        """Return the next earlier trial if it has this choice; if not, forget all that follow."""
        number = len(self.made)
        if number < len(self.earlier) and self.earlier[number]["choice"] == str(choice):
            return self.earlier[number]
        self.earlier = self.earlier[:number]
        return None

    def add(self, choice: object, run: SolverState | None, budget: float) -> None:
        """Add a trial.

        Args:
            choice: its settings.
            run: its last state; None if it has taken no step.
            budget: the seconds that its steps were allowed.
        """
        known = self.found(choice)
        if known is not None:
            self.clock.set(float(known["elapsed"]))
            self.made.append(dict(known))
            return
        state = None if run is None else run.state_dict()
        one = {"choice": str(choice), "run": state, "budget": budget}
        self.made.append({**one, "elapsed": self.clock.seconds})


@dataclass
class LastState:
    """Observer of a solve that keeps its last state; None before the first step."""

    state: SolverState | None = None

    def __call__(self, state: SolverState) -> None:
        """Keep the state."""
        self.state = state
