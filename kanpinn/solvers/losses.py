"""The loss that each step of a solve minimises, with fixed points or fresh ones in each epoch."""

from collections.abc import Callable, Mapping
from typing import Any

from kanpinn._support.distributed import together
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers import Step


class Losses:
    """The sequence of losses of a solve; in this class every step has the same loss."""

    def __init__(self, residuals: Residuals) -> None:
        self._residuals = residuals

    def first(self, step: int) -> Residuals:
        """The loss with which a solve begins (step 0) or continues after `step` steps."""
        return self._residuals

    def following(self, residuals: Residuals, step: int) -> Residuals:
        """The loss of the next step.

        Args:
            residuals: the loss of the last step.
            step: the number of steps done.

        Returns:
            The loss: the same object if nothing changes.
        """
        return residuals

    def judged(self, residuals: Residuals, done: Step, more: bool) -> Step:
        """The result of a step, corrected for the losses of later steps.

        Args:
            residuals: the loss of the step.
            done: the result as the optimizer gives it.
            more: whether the optimizer's limit leaves further steps.
        """
        return done

    def state_dict(self) -> dict[str, Any]:
        """The state as tensors and plain values, for a checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`; called before `first`."""


class FreshLosses(Losses):
    """A loss with fresh points in every epoch; the points depend on the number of the epoch alone.

    Args:
        draw: returns the loss of an epoch, given its number.
        every: the steps of an epoch; 0 for one epoch only.
    """

    def __init__(self, draw: Callable[[int], Residuals], every: int) -> None:
        self._draw, self._every, self._epoch = draw, every, 0

    def first(self, step: int) -> Residuals:
        self._epoch = step // self._every if self._every else 0
        with together():
            return self._draw(self._epoch)

    def following(self, residuals: Residuals, step: int) -> Residuals:
        if not self._every or step // self._every == self._epoch:
            return residuals
        return self.first(step)
