"""Which loss each step of a solve minimises: the same one, or one of fresh points now and then."""

from collections.abc import Callable, Mapping
from typing import Any

from kanpinn._support.distributed import together
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers import Step


class Losses:
    """The loss of every step: here the same one throughout."""

    def __init__(self, residuals: Residuals) -> None:
        self._residuals = residuals

    def first(self, step: int) -> Residuals:
        """The loss with which a solve begins, or goes on after so many steps."""
        return self._residuals

    def following(self, residuals: Residuals, step: int) -> Residuals:
        """The loss of the next step after so many, where `residuals` was the last one's.

        The same object where nothing changes.
        """
        return residuals

    def judged(self, residuals: Residuals, done: Step, more: bool) -> Step:
        """What a step did, in view of the losses to come; more: whether steps are left to do."""
        return done

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, before `first`."""


class FreshLosses(Losses):
    """A loss of fresh points every so many steps; the same points for the same step.

    Args:
        draw: makes the loss of an epoch, whose number it takes.
        every: steps that an epoch lasts; 0 for one epoch only.
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
