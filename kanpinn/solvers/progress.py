"""How far a solve has come: its counters, and the time that its steps take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from kanpinn._support.distributed import extremes
from kanpinn._support.errors import number


@dataclass
class Progress:
    """The counters of a solve, which its checkpoints keep.

    Args:
        stage_index: the number of the optimizer at work, from 0.
        stage_step: steps that it has done.
        step: steps done by all optimizers.
        finished: why the optimizer needs no further step, None where it does.
    """

    stage_index: int = 0
    stage_step: int = 0
    step: int = 0
    finished: str | None = None

    def next_stage(self) -> None:
        """The next optimizer goes to work."""
        self.stage_index, self.stage_step, self.finished = self.stage_index + 1, 0, None


@dataclass
class Clock:
    """The seconds that the steps of each optimizer take, and how many they may take in all.

    Args:
        budget_seconds: that all steps may take, those of earlier processes included; None for no
            limit.
        seconds: of each optimizer so far.
        earlier: seconds spent before this process took over.

    Raises:
        InputError: for a budget that is no positive number.
    """

    budget_seconds: float | int | None = None
    seconds: list[float] = field(default_factory=list)
    earlier: float = 0.0

    def __post_init__(self) -> None:
        if self.budget_seconds is not None:
            number("budget_seconds", self.budget_seconds, above=True)

    @contextmanager
    def timed(self, stage_index: int) -> Iterator[None]:
        """The seconds of what is done inside belong to an optimizer."""
        self.seconds += [0.0] * (stage_index + 1 - len(self.seconds))
        begun = time.perf_counter()
        yield
        self.seconds[stage_index] += time.perf_counter() - begun

    def spent(self, progress: Progress) -> str | None:
        """Why the budget leaves no time for another step; None where there is time.

        The step is taken to last as long as those of its optimizer so far, an optimizer's first
        one as long as all others. A solve takes its first step whatever the budget is.
        """
        if self.budget_seconds is None or not progress.step:
            return None
        mean = sum(self.seconds) / progress.step
        if progress.stage_step:
            mean = self.seconds[progress.stage_index] / progress.stage_step
        used = torch.tensor([[sum(self.seconds), mean]], dtype=torch.float64)
        seconds, step = extremes(used)[1].tolist()  # of several ranks the slowest counts
        if seconds + step <= self.budget_seconds:
            return None
        return (
            f"the budget of {self.budget_seconds:g} s leaves no time for another step "
            f"({seconds:.3g} s are used, a step takes {step:.2g} s)"
        )
