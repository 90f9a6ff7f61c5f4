"""A term of the loss at the places of a trial space and any times: residuals and their slopes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor

from kanpinn.evolution.space.trial_space import TrialSpace
from kanpinn.evolution.time.in_time import in_time
from kanpinn.evolution.time.polynomials import at_moments
from kanpinn.evolution.time.stages import stages
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import Jet, slopes_by_parts
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class MomentsInTime:
    """Some times, and the polynomials in time there.

    Args:
        times: the k times, (k,).
        rates: the polynomials of `Polynomials.rates` as tensors, (k, b) for each derivative.
    """

    times: Tensor
    rates: Sequence[Tensor]

    @classmethod
    def first(cls, time: float, order: int, highest: int) -> Self:
        """A moment at which the polynomials have the given starts, and no unknowns count.

        Args:
            time: the moment.
            order: of the equation in time; there are as many starts, and one unknown.
            highest: the highest derivative.
        """
        rates = at_moments(stages(1), np.zeros(1), 1.0, order, highest).rates
        return cls(torch.tensor([time]).double(), [torch.from_numpy(t) for t in rates])


@dataclass(frozen=True, eq=False)
class TermInSpace:
    """A term, the equation or a condition at walls, at the places of a trial space.

    Args:
        surrogate: gives the data that are built in.
        term: the term; each of its rows takes `term.sites` consecutive places.
        space: the functions at the places.
    """

    surrogate: Surrogate
    term: ResidualTerm
    space: TrialSpace

    @property
    def fields(self) -> int:
        """The number of fields m."""
        return self.surrogate.network.width[-1]

    def points(self, times: Tensor) -> Batch:
        """The places at each of k times, (k·places), times first."""
        places, k = self.space.places, len(times)
        coords = places.coords.repeat(k, 1)
        coords[:, -1] = times.repeat_interleave(len(places))
        normals = None if places.normals is None else places.normals.repeat(k, 1)
        return Batch(coords, places.names, normals)

    @torch.no_grad()
    def data(self, points: Points) -> Jet:
        """The jets of the data g that are built in, (points, m)."""
        like = self.space.like.map(
            lambda t: t.new_zeros(()).expand(len(points), *t.shape[1:-1], self.fields)
        )
        output = self.surrogate.output
        return like if output is None else output.apply(points, like)

    def jet(self, points: Batch, moments: MomentsInTime, states: Tensor) -> Jet:
        """The jets of the fields at points that `points` has given for these moments.

        states: the coefficients of the polynomials, (b, n, m).
        """
        known = points.once("data", lambda: self.data(points))
        return in_time(self.space.jet(states), moments.rates, self.fields) + known

    def residual(self, points: Batch, moments: MomentsInTime, states: Tensor) -> Tensor:
        """The residuals at k times, (k, rows, equations)."""
        found = self.term.equation(points, self.jet(points, moments, states))
        return found.view(len(moments.times), -1, found.shape[1])

    def linearised(self, moments: MomentsInTime, states: Tensor) -> Tensor:
        """The derivatives of the residuals at one time by the parts of the fields' jets.

        Returns:
            (equations, E, q, parts, m).
        """
        points = self.points(moments.times)
        jet = self.jet(points, moments, states)
        _, slopes = slopes_by_parts(partial(self.term.equation, points), jet)
        return torch.stack([one.stacked().unflatten(0, self.space.shape) for one in slopes])
