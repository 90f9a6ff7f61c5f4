"""The equations of an evolution, tested with the functions of a trial space."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.evolution.space.stage_matrices import LinearSystem
from kanpinn.evolution.space.term_in_space import MomentsInTime, TermInSpace
from kanpinn.evolution.space.trial_space import TrialSpace
from kanpinn.geometry.points import Batch

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class System(ABC):
    """The equation of an evolution, tested with the functions of a trial space, and its conditions.

    The unknowns of each moment are the coefficients of the n functions and m fields.

    Args:
        interior: the equation in the trial space.
        walls: the conditions at walls that are not built in, at single places there.
        order: the order of the equation in time, 1 or 2.
    """

    interior: TermInSpace
    walls: Sequence[TermInSpace]
    order: int

    @property
    def space(self) -> TrialSpace:
        return self.interior.space

    @property
    def fields(self) -> int:
        """The number of fields m."""
        return self.interior.fields

    @property
    def unknowns(self) -> int:
        """The number of unknowns of each stage, n·m."""
        return self.space.size * self.fields

    @property
    def highest(self) -> int:
        """The highest derivative in time that the jets need."""
        terms = (self.interior, *self.walls)
        return max(self.order, *(one.term.channels.derivative_order for one in terms))

    def points(self, moments: MomentsInTime) -> list[Batch]:
        """The places of the equation and of each condition at some moments."""
        return [one.points(moments.times) for one in (self.interior, *self.walls)]

    @abstractmethod
    def residual(self, points: Sequence[Batch], moments: MomentsInTime, states: Tensor) -> Array:
        """The rows of the linear systems' right-hand sides at k moments, (k, n·m).

        Args:
            points: those of the moments, see `points`.
            moments: the moments.
            states: the coefficients of the polynomials, (b, n, m).
        """

    @abstractmethod
    def imposed(self, residual: Tensor, conditions: Sequence[Tensor], values: Tensor) -> Array:
        """The rows from a residual, of which conditions replace what they tie, (k, n·m).

        Args:
            residual: that of the equation, (k, places, m).
            conditions: that of each condition, (k, rows, equations).
            values: what vanishes where conditions prescribe the unknowns themselves, (k, n, m).
        """

    @abstractmethod
    def linear(self, linearised: Tensor, moments: MomentsInTime, states: Tensor) -> LinearSystem:
        """The linearised rows.

        Args:
            linearised: the equation, see `TermInSpace.linearised`.
            moments: the moment at which it is linearised.
            states: the coefficients of the polynomials, (b, n, m).
        """

    @abstractmethod
    def projection(self, values: Tensor) -> Tensor:
        """The coefficients (n, m) of the L2 projection of functions, (places, m) at the places."""

    def consistent(self, states: Tensor, time: float) -> Tensor:
        """States, the first one changed as little as possible so that conditions at walls hold.

        Initial values that contradict the conditions would make the first window as wrong as they
        are, however short it is.

        Args:
            states: the coefficients of the value and, for second order, the rate, (order, n, m).
            time: the first moment.
        """
        return states

    @abstractmethod
    def element_errors(self, linearised: Tensor, residual: Tensor, rate: float) -> Tensor:
        """The root mean square errors in space in each interval, from the residual there.

        The error of splines is a wave with a period of one interval, so the residual, which is that
        of the linearised equation for the error, tells its size. Other functions are taken to
        leave waves as short as the mean distance of as many points as there are functions.

        Args:
            linearised: the equation, see `TermInSpace.linearised`.
            residual: that of the equation at the places, (k, places, equations).
            rate: of the change of the error in time.

        Returns:
            (k, intervals), over all fields together; one interval for other functions.
        """

    def lifetimes(self, linearised: Tensor) -> Tensor:
        """The times for which errors of splines in each interval last, (intervals,).

        They are infinite where nothing is known of them.

        linearised: see `TermInSpace.linearised`.
        """
        return torch.full_like(self.shares, math.inf)

    @abstractmethod
    def by_elements(self, values: Tensor) -> Tensor:
        """The root mean squares of an error, (places, m), in each element or interval."""

    def raised(self, values: Tensor, missing: Tensor) -> Tensor:
        """Values whose root mean squares in the elements are larger by about given amounts.

        Here the same number is added everywhere, the root mean square of the amounts.

        Args:
            values: of all fields at the places, (places, m).
            missing: the amounts, (E,).
        """
        amount = (self.shares * missing.square()).sum().sqrt()
        return values + (-amount if values.mean() < 0 else amount) / math.sqrt(self.fields)

    @property
    @abstractmethod
    def shares(self) -> Tensor:
        """The part of each element or interval in the whole, by which squares are summed."""

    def norms(self, values: Tensor) -> Tensor:
        """The root mean squares (k,) over space of Σ_i y_i ψ_i, over all fields; y: (k, n, m)."""
        at_places = self.space.values(values).unflatten(1, (len(values), -1))
        return self.root_mean_square(at_places.transpose(0, 1))

    def norm(self, values: Tensor) -> float:
        """The root mean square over space of values (places, m), over all fields."""
        return float(self.root_mean_square(values))

    def root_mean_square(self, values: Tensor) -> Tensor:
        """The root mean squares over space of values (…, places, m), over all fields."""
        weights = self.space.weights.flatten()[:, None]
        return ((weights * values.square()).sum(dim=(-2, -1)) / weights.sum()).sqrt()
