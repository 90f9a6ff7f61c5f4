"""When the steps of Newton's method on one tree of cells end."""

import math
from dataclasses import dataclass


@dataclass
class NewtonProgress:
    """The changes of the solution by the steps of Newton's method.

    Attributes:
        change: the relative change by the latest step on the present tree; infinite before one.
        rate: that change over the change before it. After the first step on a tree it is what is
            expected of the next step, as changes by Newton's method are multiples of the squares
            of those before.
        curvature: the latest rate over the change before it; infinite before two steps.
        slow: how many steps in a row had a rate above 1/2.
        steps: the number of all steps, on all trees.

    Reference: Deuflhard, Newton Methods for Nonlinear Problems (2011), section 2.1, for the rate.
    """

    change: float = math.inf
    rate: float = 1.0
    curvature: float = math.inf
    slow: int = 0
    steps: int = 0

    def add(self, change: float) -> None:
        """Count a step that has changed the solution."""
        if math.isfinite(self.change):
            self.rate = change / self.change if self.change else 0.0
            self.curvature = self.rate / self.change if self.change else 0.0
            self.slow = self.slow + 1 if self.rate > 0.5 else 0
        else:
            self.rate = min(1.0, self.curvature * change) if change else 0.0
        self.change, self.steps = change, self.steps + 1

    @property
    def left(self) -> float:
        """The sum of all further changes, if each has the present rate."""
        return self.change * self.rate / (1 - self.rate) if self.rate < 1 else math.inf

    @property
    def stagnates(self) -> bool:
        """Whether several steps have not contracted, as on a tree that is far too coarse."""
        patience = 4
        return self.slow >= patience

    def on_new_tree(self) -> "NewtonProgress":
        """The state before the first step on another tree."""
        return NewtonProgress(curvature=self.curvature, steps=self.steps)
