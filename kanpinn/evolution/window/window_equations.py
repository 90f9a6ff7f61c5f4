"""The equations of one window: the residual at the stages, as a function of their unknowns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.evolution.space.system import System
from kanpinn.evolution.space.term_in_space import MomentsInTime
from kanpinn.evolution.time.polynomials import ErrorForm, at_moments, at_stages, error_form
from kanpinn.evolution.time.stages import Stages
from kanpinn.geometry.points import Batch

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class WindowEquations:
    """The equations at the stages of one window.

    Args:
        system: the equation in a trial space.
        stages: the stages.
        start, length: the window.
        initial: the coefficients of the value, and for second order the rate, (order, n, m).
    """

    system: System
    stages: Stages
    start: float
    length: float
    initial: Tensor

    @cached_property
    def rates(self) -> list[Array]:
        """The polynomials at the stages, and their derivatives in time, (s, order + s) each."""
        system = self.system
        return at_stages(self.stages, self.length, system.order, system.highest).rates

    @cached_property
    def moments(self) -> MomentsInTime:
        """The stages."""
        return self._at(self.stages.nodes, self.rates)

    @cached_property
    def points(self) -> list[Batch]:
        """The places of the equation, and of each condition at walls, at all stages."""
        return self.system.points(self.moments)

    @cached_property
    def form(self) -> ErrorForm:
        """The form of the error in time."""
        return error_form(self.stages, self.system.order)

    def moment(self, moment: float) -> MomentsInTime:
        """A moment of the window, from 0 to 1."""
        at, order, highest = np.array([moment]), self.system.order, self.system.highest
        return self._at(at, at_moments(self.stages, at, self.length, order, highest).rates)

    def _at(self, moments: Array, rates: Sequence[Array]) -> MomentsInTime:
        times = torch.from_numpy(self.start + self.length * moments)
        return MomentsInTime(times, [torch.from_numpy(t) for t in rates])

    def states(self, unknowns: Tensor) -> Tensor:
        """The coefficients of the polynomials, (order + s, n, m), for unknowns (s, n, m)."""
        return torch.cat([self.initial, unknowns])

    def last_data(self) -> Tensor:
        """The data that are built in at the last stage, (places, m), or 0."""
        if self.system.interior.surrogate.output is None:
            return self.initial.new_zeros(())
        (inside, *_), interior = self.points, self.system.interior
        known = inside.once("data", lambda: interior.data(inside))
        return known.value.unflatten(0, (self.stages.count, -1))[-1]
