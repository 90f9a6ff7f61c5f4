"""Residuals of data as functions of unknown parameters, and the misfit with correlated errors."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Jet, Linearised, join
from kanpinn.linalg.qr import TriangularFactor
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.network import Constants
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

    def slopes(self, p: Points, u: Jet) -> tuple[Tensor, Tensor]:
        """The derivatives of the residuals at n points, of which each row combines n / r.

        Returns:
            Those by the parts of the jet of the fields, (n, equations, parts, m), and those by the
            coefficients c of the numbers, (r, equations, k).
        """
        found = Linearised.at(self.equation, p, self.constants.beside(u))
        by_fields, by_numbers = found.slopes.tensor_split([u.value.shape[-1]], dim=-1)
        by_row = by_numbers[:, :, 0].unflatten(0, (len(found.values), -1)).sum(dim=1)
        return by_fields, by_row * self.constants.slopes


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


def likeness_of_neighbours(places: Tensor, misfit: Tensor) -> float:
    """Return by how many standard deviations the misfits at nearest neighbours are too alike.

    The sum of the products of the misfits of each point and of its nearest neighbour is zero on
    average for independent errors, and positive for a misfit that varies smoothly. If each of two
    points is the nearest neighbour of the other, their product counts twice; 62 % of random points
    in the plane are in such pairs.

    Args:
        places: the points, (n, d), n ≥ 2.
        misfit: of the data, (n, m).

    Returns:
        The sum divided by its standard deviation for independent errors; 0 for a misfit of zero.

    Reference: Moran, Notes on continuous stochastic phenomena (1950).
    """
    _, found = cKDTree(places.numpy()).query(places.numpy(), k=2)
    others = torch.as_tensor(found)
    own = torch.arange(len(places))
    # With several points at one place the first found may be another one than the point itself.
    neighbour = torch.where(others[:, 0] == own, others[:, 1], others[:, 0])
    mutual = float((neighbour[neighbour] == own).double().mean())
    squares = misfit.square().sum(dim=0)
    alike = (misfit * misfit[neighbour]).sum(dim=0) / squares.clamp(min=torch.finfo().tiny)
    count = len(places) * misfit.shape[1]
    return float(alike.mean()) * math.sqrt(count / (1 + mutual))


@torch.no_grad()
def misfit_is_smooth(term: ResidualTerm, surrogate: Surrogate) -> bool:
    """Whether the misfit of data at single points varies smoothly between them, unlike noise."""
    few, surely = 16, 4.0  # points, and standard deviations
    if term.sites > 1 or term.rows < few:
        return False
    misfit = term.residual(surrogate, term.points).double().cpu()
    low, high = surrogate.low, surrogate.high
    places = ((term.points.coords - low) / (high - low)).double().cpu()
    return likeness_of_neighbours(places, misfit) > surely
