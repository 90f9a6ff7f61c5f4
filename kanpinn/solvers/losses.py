"""The loss that each step of a solve minimises, with fixed points or fresh ones in each epoch."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from kanpinn._support.distributed import together
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers import Step


class Losses(ABC):
    """The sequence of losses of a solve.

    kept: the names of the attributes that a checkpoint stores, tensors and plain values. They are
    restored before `first` is called.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def first(self, step: int) -> Residuals:
        """The loss with which a solve begins (step 0) or continues after `step` steps."""

    @abstractmethod
    def following(self, residuals: Residuals, step: int) -> Residuals:
        """The loss of the next step.

        Args:
            residuals: the loss of the last step.
            step: the number of steps done.

        Returns:
            The loss: the same object if nothing changes.
        """

    def judged(self, residuals: Residuals, done: Step, more: bool) -> Step:
        """The result of a step, adjusted if later steps minimise another loss.

        Args:
            residuals: the loss of the step.
            done: the result as the optimizer gives it.
            more: whether the optimizer's limit leaves further steps.
        """
        return done


@dataclass(frozen=True)
class FixedLoss(Losses):
    """The same loss in every step."""

    residuals: Residuals

    def first(self, step: int) -> Residuals:
        return self.residuals

    def following(self, residuals: Residuals, step: int) -> Residuals:
        return residuals


@dataclass
class FreshLosses(Losses):
    """A loss with fresh points in every epoch; the points depend on the number of the epoch alone.

    Args:
        draw: returns the loss of an epoch, given its number.
        every: the steps of an epoch; 0 for one epoch only.
    """

    draw: Callable[[int], Residuals]
    every: int = 0
    _epoch: int = field(default=0, init=False)

    def first(self, step: int) -> Residuals:
        self._epoch = step // self.every if self.every else 0
        with together():
            return self.draw(self._epoch)

    def following(self, residuals: Residuals, step: int) -> Residuals:
        if not self.every or step // self.every == self._epoch:
            return residuals
        return self.first(step)
