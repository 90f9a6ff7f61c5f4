"""Equations with unknown numbers, and the fit of such numbers to data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Jet, join, slopes_by_parts
from kanpinn.linalg.triangle import TriangularFactor
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.constants import Constants
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class Numbered:
    """An equation with the present values of unknown numbers.

    Args:
        equation: takes the jets of the fields, followed by those of the numbers.
        constants: the numbers.
    """

    equation: Callable[[Points, Jet], Tensor]
    constants: Constants

    def __call__(self, p: Points, u: Jet) -> Tensor:
        numbers = self.constants(u).map(Tensor.detach)
        return self.equation(p, join([u, numbers]))

    def slopes(self, p: Points, u: Jet) -> tuple[list[Tensor], Tensor]:
        """The derivatives of the residuals at n points, of which each row combines n / r.

        Returns:
            For each equation those by the parts of the jet of the fields, (n, parts, m), and those
            by the coefficients c of the numbers, (r, equations, k).
        """
        values, found = slopes_by_parts(partial(self.equation, p), self.constants.beside(u))
        fields = u.value.shape[-1]
        numbers = torch.stack([one.value[:, fields:] for one in found], dim=1)
        by_row = numbers.unflatten(0, (len(values), -1)).sum(dim=1)
        return [one.stacked()[..., :fields] for one in found], by_row * self.constants.slopes


@dataclass(frozen=True, eq=False)
class MisfitModel:
    """The Gauss–Newton model of the misfit of data, for changes of numbers.

    Args:
        model: ‖R d + z‖² is the loss of the data for a change d of the numbers, to first order.
        rows: the number of data.
    """

    model: TriangularFactor
    rows: int

    @property
    def loss(self) -> float:
        return self.model.loss()

    @cached_property
    def newton(self) -> Tensor:
        """The undamped step of the numbers, (K,)."""
        return self.model.damped().step(0.0)

    @property
    def possible(self) -> float:
        """By how much it would lower the loss, to first order."""
        return self.loss - self.model.loss(self.newton)

    @property
    def variance(self) -> float:
        """The mean square of the data's misfit by degrees of freedom."""
        return self.loss / max(self.rows - len(self.newton), 1)

    @property
    def slight(self) -> float:
        """The decrease of the loss by a step of a fifth of the numbers' standard deviations."""
        return 0.2**2 * self.variance


@torch.no_grad()
def spread_of_data(term: ResidualTerm, surrogate: Surrogate) -> tuple[int, float]:
    """The number of values in each row of a term of data, and the loss of their mean.

    Data that are all the same, such as a single value, are compared with zero.
    """
    u = surrogate.jet(term.points, term.channels)
    data = term.equation(term.points, u.map(torch.zeros_like))
    spread = float(data.var(dim=0, correction=0).sum())
    return data.shape[1], term.weight * (spread or float(data.square().mean(dim=0).sum()))


def largest_misfit(spread: float) -> float:
    """The largest loss with which data count as fitted; spread: the loss of their mean."""
    return 0.05 * spread
