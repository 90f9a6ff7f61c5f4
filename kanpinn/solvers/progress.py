"""The progress of a solve: its step counters, and the time that its steps take."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from kanpinn._support.distributed import extremes
from kanpinn.optimizers.step_cost import StepCost


@dataclass
class StepCounts:
    """The step counters of a solve, which checkpoints contain.

    Args:
        stage_index: the index of the present optimizer, from 0.
        stage_step: the steps that it has done.
        step: the steps done by all optimizers.
        finished: why the optimizer takes no further step; None while it does.
    """

    stage_index: int = 0
    stage_step: int = 0
    step: int = 0
    finished: str | None = None

    def next_stage(self) -> None:
        """Advance the counters to the next optimizer."""
        self.stage_index, self.stage_step, self.finished = self.stage_index + 1, 0, None


@dataclass
class Clock:
    """The time that the steps of each optimizer take, and the budget for all of them.

    Args:
        budget_seconds: the most seconds that all steps may take, including steps before a
            checkpoint; None for no limit.
        seconds: the seconds of each optimizer so far.
        earlier: the seconds spent before this process continued the solve.
        expected: what the first step of the present optimizer is expected to take; None where there
            is no budget, or it is not known.
    """

    budget_seconds: float | int | None = None
    seconds: list[float] = field(default_factory=list)
    earlier: float = 0.0
    expected: StepCost | None = None

    @contextmanager
    def timed(self, stage_index: int) -> Iterator[None]:
        """Add the time spent inside the context to the seconds of an optimizer."""
        self.seconds += [0.0] * (stage_index + 1 - len(self.seconds))
        begun = time.perf_counter()
        yield
        self.seconds[stage_index] += time.perf_counter() - begun

    def spent(self, progress: StepCounts, own: float | None = None) -> str | None:
        """The reason why the budget leaves no time for another step; None if there is time.

        The step is predicted to take the mean time of this optimizer's steps, unless this tells
        another one. If it is the first one, that is what it is expected to take or, where this is
        not known, the mean time of all steps. The first step of a solve is taken unless it is
        expected to take more than a second and more than twice the budget: what is expected may be
        up to twice what it takes.

        Args:
            progress: the step counters.
            own: what the optimizer expects of its next step, see `Stage.expected_seconds`.
        """
        if self.budget_seconds is None:
            return None
        mean = sum(self.seconds) / max(1, progress.step)
        if progress.stage_step:
            mean = own or self.seconds[progress.stage_index] / progress.stage_step
        elif self.expected is not None:
            mean = self.expected.seconds
        if not progress.step:
            mean = mean / 2 if mean > 1 else 0.0
        used = torch.tensor([[sum(self.seconds), mean]], dtype=torch.float64)
        seconds, step = extremes(used)[1].tolist()  # the slowest rank decides
        if seconds + step <= self.budget_seconds:
            return None
        if not progress.step:
            given = f"the budget of {self.budget_seconds:g} s"
            return f"{given} is too small: a step takes {self.expected}"
        return (
            f"the budget of {self.budget_seconds:g} s leaves no time for another step "
            f"({seconds:.3g} s are used, a step takes {step:.2g} s)"
        )

    @property
    def left(self) -> float:
        """The seconds that are left of the budget, on the slowest rank; infinite without one."""
        if self.budget_seconds is None:
            return math.inf
        used = torch.tensor([[sum(self.seconds)]], dtype=torch.float64)
        return self.budget_seconds - float(extremes(used)[1])
