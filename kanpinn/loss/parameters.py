"""Unknown parameters and the data that determine them: equations with parameters, what a fit of the
data is, and whether its misfit looks like noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Jet, Linearised, join
from kanpinn.linalg.qr import TriangularFactor
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.network import Constants
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class Parameters:
    """Unknown parameters, K numbers: free ones, then the coefficients of the unknown numbers.

    Args:
        free: initial values, or coefficients of fields, which are changed in place.
        constants: the unknown numbers; None if there are none.
    """

    free: Sequence[Tensor]
    constants: Constants | None

    @property
    def _parts(self) -> list[Tensor]:
        numbers = [] if self.constants is None else [self.constants.coefficients]
        return [*self.free, *numbers]

    @property
    @torch.no_grad()
    def values(self) -> Tensor:
        """The present values, (K,), with 64 bits in the main memory."""
        return torch.cat([part.flatten() for part in self._parts]).double().cpu()

    @torch.no_grad()
    def assign(self, values: Tensor) -> None:
        """Take other values, (K,)."""
        parts = self._parts
        for part, own in zip(parts, values.split([p.numel() for p in parts]), strict=True):
            part.copy_(own.view_as(part))

    def limited(self, old: Tensor, change: Tensor) -> Tensor:
        """A change of the values that is not too large for positive numbers; (K,) each."""
        if self.constants is None:
            return change
        first = len(old) - len(self.constants.unknowns)
        return torch.cat([change[:first], self.constants.limited(old[first:], change[first:])])

    def random(self, seed: int, start: int) -> Tensor:
        """Values (K,) for another start: random multiples of numbers' start values, see `Unknown`.

        Free parameters are zero.

        Args:
            seed: of the solve.
            start: the number of the start, from 1.
        """
        values = torch.zeros_like(self.values)
        if self.constants is not None:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + start)
            numbers = self.constants.random(generator).to(values)
            values[len(values) - len(numbers) :] = numbers
        return values


@dataclass(frozen=True, eq=False)
class WithParameters:
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


@dataclass(frozen=True, eq=False)
class Measurements:
    """The terms of data.

    Args:
        terms: the terms.
        counts: the number of values in each row of each term.
        spreads: the loss of each term if the solution were the mean of its data. Data that are all
            the same, such as a single value, are compared with zero.
    """

    terms: Sequence[ResidualTerm]
    counts: Sequence[int]
    spreads: Sequence[float]

    @classmethod
    @torch.no_grad()
    def of(cls, terms: Sequence[Term], surrogate: Surrogate) -> "Measurements":
        """The terms of data among those of a loss."""
        measured = [one for one in terms if one.measured and isinstance(one, ResidualTerm)]
        counts, spreads = [], []
        for term in measured:
            u = surrogate.jet(term.points, term.channels)
            data = term.equation(term.points, u.map(torch.zeros_like))
            spread = float(data.var(dim=0, correction=0).sum())
            counts.append(data.shape[1])
            spreads.append(term.weight * (spread or float(data.square().mean(dim=0).sum())))
        return cls(measured, counts, spreads)

    @property
    def rows(self) -> int:
        """The number of data."""
        return sum(t.rows * count for t, count in zip(self.terms, self.counts, strict=True))

    @property
    def spread(self) -> float:
        """The loss of the data if the solution were their mean."""
        return sum(self.spreads)

    def fits(self, loss: float) -> bool:
        """Whether data with a loss count as fitted."""
        return not self.terms or loss <= 0.05 * self.spread

    @staticmethod
    def times(term: ResidualTerm) -> Tensor:
        """The time of each row of a term, that of its last point, (rows,)."""
        return term.points.coords[:, -1].view(-1, term.sites).amax(dim=1)

    def until(self, time: float) -> "Measurements":
        """The data up to a time, each term with the weight of its part."""
        terms, counts, spreads = [], [], []
        for term, count, spread in zip(self.terms, self.counts, self.spreads, strict=True):
            rows = (self.times(term) <= time).nonzero()[:, 0]
            if part := len(rows) / term.rows:
                terms.append(replace(term.chosen(rows), factor=part))
                counts.append(count)
                spreads.append(part * spread)
        return Measurements(terms, counts, spreads)

    def model(self, surrogate: Surrogate) -> TriangularFactor:
        """The model of the loss for changes of the parameters that the output layers have."""
        model = Residuals(surrogate, self.terms).model(surrogate.network.output_layers)
        return TriangularFactor(model.factor.double().cpu())

    def misfit_is_smooth(self, surrogate: Surrogate) -> bool:
        """Whether a misfit varies smoothly between single points, unlike noise."""
        return any(_is_smooth(term, surrogate) for term in self.terms)


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
def _is_smooth(term: ResidualTerm, surrogate: Surrogate) -> bool:
    """Whether the misfit of data at single points varies smoothly between them, unlike noise."""
    few, surely = 16, 4.0  # points, and standard deviations
    if term.sites > 1 or term.rows < few:
        return False
    misfit = term.residual(surrogate, term.points).double().cpu()
    low, high = surrogate.low, surrogate.high
    places = ((term.points.coords - low) / (high - low)).double().cpu()
    return likeness_of_neighbours(places, misfit) > surely
