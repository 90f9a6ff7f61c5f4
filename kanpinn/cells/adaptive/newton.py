"""When the steps of Newton's method on one tree of cells end."""

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass
class NewtonProgress:
    """The changes of the solution by the steps of Newton's method.

    Attributes:
        change: the relative change by the latest step on the present tree; infinite before one.
        rate: the latest change over the one before it, neither of them relative. Where Newton's
            method halves a solution that is far too large, relative changes stay the same, though
            it converges. After the first step on a tree it is what is expected of the next step,
            as changes by Newton's method are multiples of the squares of those before.
        curvature: the latest rate over the change before it; infinite before two steps.
        steps: the number of all steps, on all trees.
        recent: the norms of the latest changes on the present tree, `patience` + 1 of them at most.

    Reference: Deuflhard, Newton Methods for Nonlinear Problems (2011), section 2.1, for the rate.
    """

    change: float = math.inf
    rate: float = 1.0
    curvature: float = math.inf
    steps: int = 0
    recent: tuple[float, ...] = ()
    patience: ClassVar[int] = 4

    def add(self, change: float, size: float = 1.0) -> None:
        """Count a step that has changed the solution by a part `change` of its norm `size`."""
        if self.recent:
            self.rate = change * size / self.recent[-1] if self.recent[-1] else 0.0
            self.curvature = self.rate / self.change if self.change else 0.0
        else:
            self.rate = min(1.0, self.curvature * change) if change else 0.0
        self.change, self.steps = change, self.steps + 1
        self.recent = (*self.recent[-self.patience :], change * size)

    @property
    def left(self) -> float:
        """The sum of all further changes, if each has the present rate."""
        return self.change * self.rate / (1 - self.rate) if self.rate < 1 else math.inf

    @property
    def stagnates(self) -> bool:
        """Whether several steps have contracted little, as on a tree that is far too coarse.

        Far from the solution of u³ = f the rate is 2/3, which is fast enough.
        """
        slow = 0.75
        enough = slow**self.patience * self.recent[0] if self.recent else math.inf
        return len(self.recent) > self.patience and self.recent[-1] > enough

    def on_new_tree(self) -> "NewtonProgress":
        """The state before the first step on another tree."""
        return NewtonProgress(curvature=self.curvature, steps=self.steps)
