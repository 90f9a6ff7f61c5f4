"""Unknown parameters of a problem and the data that determine them.

The module has equations with parameters, the quality of a fit, and a test whether the misfit of the
data looks like noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Jet, join
from kanpinn.linalg.qr import TriangularFactor
from kanpinn.loss.residuals import Residuals, frozen
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.layer import Layer, Tape
from kanpinn.networks.network import Constants, Network
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class Parameters:
    """The unknown parameters of a problem as a vector of K numbers.

    The vector consists of the free initial values, the coefficients of the network of coefficient
    fields, and the coefficients c of the unknown scalar parameters (see `Unknown`), in this order.

    Args:
        constants: the unknown scalar parameters; None if there are none.
        coefficient: the network of coefficient fields; None if there are none.
        surrogate: the surrogate that gives the inputs of `coefficient`, and the `Unknown` of each
            coefficient field.
        free: tensors of free initial values, which are changed in place.
    """

    constants: Constants | None
    coefficient: Network | None = None
    surrogate: Surrogate | None = None
    free: Sequence[Tensor] = ()

    @property
    def layers(self) -> list[Layer]:
        """The layers whose coefficients are parameters."""
        layers = [] if self.coefficient is None else list(self.coefficient.output_layers)
        return layers if self.constants is None else [*layers, self.constants]

    @property
    def _parts(self) -> list[Tensor]:
        """The tensors of the parameters, in the order of the vector."""
        return [*self.free, *(layer.coefficients for layer in self.layers)]

    @property
    @torch.no_grad()
    def values(self) -> Tensor:
        """The present values of the parameters, (K,), in float64 on the CPU."""
        return torch.cat([part.flatten() for part in self._parts]).double().cpu()

    @torch.no_grad()
    def assign(self, values: Tensor) -> None:
        """Set the parameters to other values, (K,)."""
        parts = self._parts
        for part, new in zip(parts, values.split([p.numel() for p in parts]), strict=True):
            part.copy_(new.view_as(part))

    def limited(self, old: Tensor, change: Tensor) -> Tensor:
        """Limit a change of the parameters, (K,), for unknown scalars that are positive.

        A single change multiplies a positive scalar by a factor from 1/10 to 10. All changes since
        the start together multiply it by a factor from 1e-12 to 1e12.

        Args:
            old: the values before the change, (K,); the unknown scalars come last.
            change: the wanted change, (K,).
        """
        step, most, limited = math.log(10), math.log(1e12), change.clone()
        unknowns = [] if self.constants is None else [*self.constants.unknowns.values()]
        for i, unknown in enumerate(unknowns, start=len(old) - len(unknowns)):
            if unknown.positive:
                limited[i] = (old[i] + change[i].clamp(-step, step)).clamp(-most, most) - old[i]
        return limited

    def random(self, seed: int, start: int) -> Tensor:
        """Values of the parameters, (K,), for another start of a solve.

        The unknown scalars are random multiples of their start values, see `Unknown.random_start`;
        all other parameters are zero.

        Args:
            seed: the seed of the solve.
            start: the number of the start, from 1.
        """
        values = torch.zeros_like(self.values)
        if self.constants is not None:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + start)
            numbers = [u.random_start(generator) for u in self.constants.unknowns.values()]
            values[len(values) - len(numbers) :] = values.new_tensor(numbers)
        return values

    def jets(self, p: Points, u: Jet, tape: Tape | None = None) -> list[Jet]:
        """The coefficient fields and the unknown scalars with their derivatives, as scalar jets.

        Args:
            p: n points.
            u: the jet of the fields at these points.
            tape: records the layers whose Jacobian is wanted.
        """
        jets, surrogate, channels = list[Jet](), self.surrogate, u.channels
        if self.coefficient is not None and surrogate is not None:
            inputs = p.once((surrogate, channels), lambda: surrogate.coordinates(p, channels))
            c = self.coefficient.jet(inputs, tape)
            kinds = surrogate.coefficients[u.value.shape[1] :]
            jets += [c[i] if kind is None else kind.of(c[i]) for i, kind in enumerate(kinds)]
        if self.constants is not None:
            jets += self.constants(u, tape).components()
        return jets


@dataclass(frozen=True, eq=False)
class WithParameters:
    """An equation as a function of the fields alone, with the present values of its parameters.

    Args:
        equation: a function of points and of one jet, whose components are the fields, the
            coefficient fields and the unknown scalar parameters, in this order.
        parameters: the parameters.
    """

    equation: Callable[[Points, Jet], Tensor]
    parameters: Parameters

    def __call__(self, p: Points, u: Jet) -> Tensor:
        with torch.no_grad():
            others = self.parameters.jets(p, u.map(Tensor.detach))
        return self.equation(p, join([*u.components(), *others]))

    def rates(self, p: Points, u: Jet) -> Tensor:
        """The derivatives of the residuals by the parameters, (rows, equations, k).

        The k parameters are all parameters except free initial values.

        Args:
            p: the points.
            u: the jet of the fields at these points.
        """
        layers = self.parameters.layers
        tape, modules = Tape(layers), (self.parameters.coefficient, self.parameters.constants)
        with torch.enable_grad(), frozen(torch.nn.ModuleList(m for m in modules if m is not None)):
            residual = self.equation(p, join([*u.components(), *self.parameters.jets(p, u, tape)]))
        rows, equations = residual.shape
        if not residual.requires_grad:
            count = sum(layer.coefficients.numel() for layer in layers)
            return residual.new_zeros(rows, equations, count)
        columns = [
            tape.jacobian(residual[:, e], retain=e + 1 < equations, sites=len(p) // rows)
            for e in range(equations)
        ]
        return torch.stack(columns, dim=1)


@dataclass(frozen=True, eq=False)
class Measurements:
    """The loss terms that compare the solution with measured data.

    Args:
        terms: the terms.
        counts: for each term the number of values in one of its rows (residual vectors).
        spreads: the loss of each term if the solution were the mean of its data. Data that are all
            equal, such as a single value, are compared with zero instead of their mean.
    """

    terms: Sequence[ResidualTerm]
    counts: Sequence[int]
    spreads: Sequence[float]

    @classmethod
    @torch.no_grad()
    def of(cls, terms: Sequence[Term], surrogate: Surrogate) -> "Measurements":
        """Select the terms of measured data among the terms of a loss.

        Args:
            terms: the terms of the loss.
            surrogate: the solution, with whose fields the data are compared.
        """
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
        """The number of measured values."""
        return sum(t.rows * count for t, count in zip(self.terms, self.counts, strict=True))

    @property
    def spread(self) -> float:
        """The loss of all data if the solution were the mean of the data."""
        return sum(self.spreads)

    def fits(self, loss: float) -> bool:
        """Return whether the data count as fitted: their loss is at most 5 % of `spread`.

        Args:
            loss: the loss of the data.
        """
        return not self.terms or loss <= 0.05 * self.spread

    @staticmethod
    def times(term: ResidualTerm) -> Tensor:
        """The time of each residual vector of a term: its points' latest time, (rows,)."""
        return term.points.coords[:, -1].view(-1, term.sites).amax(dim=1)

    def until(self, time: float) -> "Measurements":
        """The measurements up to a time; a term's factor is the fraction of its rows that is left.

        Args:
            time: the time.
        """
        terms, counts, spreads = [], [], []
        for term, count, spread in zip(self.terms, self.counts, self.spreads, strict=True):
            rows = (self.times(term) <= time).nonzero()[:, 0]
            if part := len(rows) / term.rows:
                terms.append(replace(term.chosen(rows), factor=part))
                counts.append(count)
                spreads.append(part * spread)
        return Measurements(terms, counts, spreads)

    def model(self, surrogate: Surrogate) -> TriangularFactor:
        """The quadratic model of the loss of the data in the output layers' coefficients."""
        model = Residuals(surrogate, self.terms).model(surrogate.network.output_layers)
        return TriangularFactor(model.factor.double().cpu())

    @torch.no_grad()
    def misfit_is_smooth(self, surrogate: Surrogate) -> bool:
        """Return whether the misfit of a term varies smoothly from point to point, unlike noise.

        Only terms with at least 16 rows of one point each are tested.
        """
        few, surely = 16, 4.0  # points, and standard deviations
        low, high = surrogate.low, surrogate.high
        for term in self.terms:
            if term.sites == 1 and term.rows >= few:
                misfit = term.residual(surrogate, term.points).double().cpu()
                places = ((term.points.coords - low) / (high - low)).double().cpu()
                if likeness_of_neighbours(places, misfit) > surely:
                    return True
        return False


def likeness_of_neighbours(places: Tensor, misfit: Tensor) -> float:
    """Return how alike the misfits at nearest neighbours are, in standard deviations for noise.

    The sum of the products of the misfits of each point and of its nearest neighbour is zero on
    average for independent errors, and positive for a misfit that varies smoothly. If each of two
    points is the nearest neighbour of the other, the product of their misfits counts twice; 62 % of
    random points in the plane are in such pairs.

    Args:
        places: the points, (n, d), n ≥ 2.
        misfit: the misfits of m data at each point, (n, m).

    Returns:
        The sum divided by its standard deviation for independent errors; 0 for a misfit of zero.

    Reference: Moran, Notes on continuous stochastic phenomena (1950).
    """
    _, nearest = cKDTree(places.numpy()).query(places.numpy(), k=2)
    others = torch.as_tensor(nearest)
    point = torch.arange(len(places))
    # With several points at one place, the first point found may differ from the point itself.
    neighbour = torch.where(others[:, 0] == point, others[:, 1], others[:, 0])
    mutual = float((neighbour[neighbour] == point).double().mean())
    squares = misfit.square().sum(dim=0)
    alike = (misfit * misfit[neighbour]).sum(dim=0) / squares.clamp(min=torch.finfo().tiny)
    count = len(places) * misfit.shape[1]
    return float(alike.mean()) * math.sqrt(count / (1 + mutual))
