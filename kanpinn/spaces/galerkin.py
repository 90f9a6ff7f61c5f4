"""Galerkin's method for an evolution in a trial space: places, terms, and the linear systems of
the stages.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Jet, Linearised
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.jets_in_time import in_time
from kanpinn.spaces.time_schemes import at_moments, stages


@dataclass(frozen=True, eq=False)
class TrialSpace(ABC):
    """n functions of space ψ_i for each of m fields: u_f = g_f + Σ_i y_if ψ_if.

    Integrals over space are sums over quadrature places.

    Args:
        places: the places, as points in space and time with some time.
        weights: of the quadrature rule in space, (E, q) for E elements with q places each.
        like: a jet at the places, for its channels.
        size: the number of functions n.
    """

    places: Points
    weights: Tensor
    like: Jet
    size: int

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of elements and of places in each of them."""
        elements, q = self.weights.shape
        return elements, q

    @abstractmethod
    def jet(self, y: Tensor) -> Jet:
        """The jets of Σ_i y_i ψ_i at the places.

        Args:
            y: the coefficients of b combinations, (b, n, m).

        Returns:
            A jet with b·m components: all fields of one combination after the other.
        """

    @abstractmethod
    def values(self, y: Tensor) -> Tensor:
        """The values alone of `jet`, (places, b·m)."""

    @abstractmethod
    def coefficients(self, y: Tensor) -> Tensor:
        """The coefficients of the output layer, (…, coefficients, m), from the y, (…, n, m)."""


MultiIndex = tuple[int, ...]  # the order of the derivative in each coordinate


def multi_indices(dim: int, order: int) -> Iterator[MultiIndex]:
    """Yield the multi-indices of all partial derivatives of a total order."""
    for one in itertools.product(range(order + 1), repeat=dim):
        if sum(one) == order:
            yield one


def parts_from(channels: Channels, derivative: Callable[[MultiIndex], Tensor]) -> list[Tensor]:
    """The parts of the jet of a function with given partial derivatives.

    Args:
        channels: those of the jet.
        derivative: gives the partial derivatives, (n, m) each.
    """
    dim = channels.dim

    def at(*axes: int) -> Tensor:
        return derivative(tuple(axes.count(axis) for axis in range(dim)))

    found = [at()]
    if channels.gradient:
        found.append(torch.stack([at(i) for i in range(dim)], dim=1))
    if channels.second in ("laplacian", "diagonal"):
        second = torch.stack([at(i, i) for i in range(dim)], dim=1)
        whole = channels.second == "laplacian"
        found.append(second.sum(dim=1, keepdim=True) if whole else second)
    elif channels.second == "hessian":
        found.append(torch.stack([at(i, j) for i in range(dim) for j in range(dim)], dim=1))
    if channels.directions:
        lines = [
            torch.stack(
                [_along(direction, order, derivative) for order in range(1, channels.order + 1)],
                dim=1,
            )
            for direction in channels.directions
        ]
        found.append(torch.stack(lines, dim=1))
    return found


def unit_parts(channels: Channels, index: MultiIndex) -> Tensor:
    """The parts of the jet of a function of which one partial derivative is 1 and all others 0.

    Returns:
        All parts, one after the other.
    """
    parts = parts_from(channels, lambda one: torch.full((1, 1), float(one == index)).double())
    return torch.cat([part.flatten() for part in parts])


def _along(
    direction: tuple[float, ...], order: int, derivative: Callable[[MultiIndex], Tensor]
) -> Tensor:
    """The derivative of an order along a direction."""
    terms = []
    for index in multi_indices(len(direction), order):
        factor = math.prod(v**r for v, r in zip(direction, index, strict=True))
        if factor:
            count = math.factorial(order) / math.prod(math.factorial(r) for r in index)
            terms.append(count * factor * derivative(index))
    return torch.stack(terms).sum(dim=0)


def errors_of_waves(
    channels: Channels, linearised: Tensor, axis: int, wave: Tensor, rate: float, sizes: Tensor
) -> Tensor:
    """The sizes of waves e^(ω x) e^(rate t) along one coordinate with given residuals.

    Args:
        channels: of the jets, with time as the last coordinate.
        linearised: the derivatives of the residuals by the parts of the fields' jets, in the mean
            over each of G intervals, (equations, G, parts, m).
        axis: the number of the coordinate.
        wave: ω in each interval, imaginary, (G,).
        rate: of the change in time.
        sizes: the root mean square residuals, (k, G, equations).

    Returns:
        The root mean squares of the waves, of all fields together, (k, G).
    """
    symbols = _symbols(channels, linearised, axis, wave, rate)
    if not bool(symbols.isfinite().all()):
        return torch.full_like(sizes[..., 0], math.inf)
    inverse = torch.linalg.pinv(symbols).abs()
    return torch.einsum("emg,keg->kem", inverse, sizes).norm(dim=2)


def lifetimes_of_waves(channels: Channels, linearised: Tensor, axis: int, wave: Tensor) -> Tensor:
    """The times after which waves e^(ω x) have lost most of their square, (G,).

    The equation is of first order in time. The wave that is damped least counts; the time is
    infinite if it is not damped. The arguments are those of `errors_of_waves`.
    """
    small = 1e-12  # of a rate, which rounding makes
    still, moving = (_symbols(channels, linearised, axis, wave, rate) for rate in (0.0, 1.0))
    if not bool(still.isfinite().all() & moving.isfinite().all()):
        return torch.full_like(wave.real, math.inf)
    rates = torch.linalg.eigvals(torch.linalg.pinv(moving - still) @ still)
    damping = rates.real.amin(dim=1)
    damped = damping > small * rates.abs().amax(dim=1)
    return torch.where(damped, 1 / (2 * damping), math.inf)


def _symbols(
    channels: Channels, linearised: Tensor, axis: int, wave: Tensor, rate: float
) -> Tensor:
    """The linearised residuals of the waves, (G, equations, m)."""

    def derivative(index: MultiIndex) -> Tensor:
        *space, time = index
        mixed = sum(space) > space[axis]
        return (0 * wave if mixed else wave ** space[axis] * rate**time)[:, None]

    parts = [part.flatten(1) for part in parts_from(channels, derivative)]
    return torch.einsum("gepf,ep->egf", linearised.to(wave), torch.cat(parts, dim=1))


Array = NDArray[Any]


Solve = Callable[[Array], Array]  # right-hand side (unknowns,) → solution
# From c_r, the powers of μ for a wave e^(μt), to the factored system Σ_r c_r K_r, with K_r for the
# derivatives of order r in time; raises LinAlgError if it is singular.
LinearSystem = Callable[[Sequence[complex]], Solve]


class MatrixLayout(ABC):
    """Where the entries of the matrices of one trial space are stored.

    unknowns: the number of rows and of columns.
    """

    unknowns: int

    @abstractmethod
    def assembled(self, entries: Array) -> Array:
        """The stored matrix from the entries of all elements, which are added up."""

    @abstractmethod
    def rows(self, matrix: Array, numbers: Array) -> Array:
        """Some rows of a stored matrix, (rows, unknowns)."""

    @abstractmethod
    def replace(self, matrix: Array, numbers: Array, rows: Array) -> None:
        """Replace some rows of a stored matrix."""

    @abstractmethod
    def factored(self, matrix: Array) -> Solve:
        """The factored system of a stored matrix, real or complex.

        Raises:
            LinAlgError: if it is singular.
        """


def layout_of(index: Tensor, fields: int, unknowns: int, reach: int = 0) -> MatrixLayout:
    """The layout for the coupling of all functions of each element.

    Args:
        index: the numbers of the functions of each element, (E, local).
        fields: the number of fields m; unknown number i·m + f is that of function i and field f.
        unknowns: the number of all.
        reach: how far rows are combined with each other.
    """
    numbers = (index[:, :, None] * fields + torch.arange(fields)).flatten(1).numpy()
    width = int(np.ptp(numbers, axis=1).max()) + reach
    rows = np.repeat(numbers, numbers.shape[1], axis=1)
    columns = np.tile(numbers, numbers.shape[1])
    if 3 * width < unknowns:
        return Bands(unknowns, width, ((2 * width + rows - columns) * unknowns + columns).ravel())
    return Dense(unknowns, (rows * unknowns + columns).ravel())


@dataclass(frozen=True)
class Bands(MatrixLayout):
    """Band matrices in LAPACK's layout, with `width` diagonals on either side of the main one."""

    unknowns: int
    width: int
    slots: Array

    def assembled(self, entries: Array) -> Array:
        shape = 3 * self.width + 1, self.unknowns
        found = np.bincount(self.slots, entries, shape[0] * shape[1])
        return found.reshape(shape)

    def rows(self, matrix: Array, numbers: Array) -> Array:
        found = np.zeros((len(numbers), self.unknowns), matrix.dtype)
        row, column, slot = self._near(numbers)
        found[row, column] = matrix[slot, column]
        return found

    def replace(self, matrix: Array, numbers: Array, rows: Array) -> None:
        row, column, slot = self._near(numbers)
        matrix[slot, column] = rows[row, column]

    def _near(self, numbers: Array) -> tuple[Array, Array, Array]:
        """The positions in the band: those of the row among `numbers`, column and diagonal."""
        column = numbers[:, None] + np.arange(-self.width, self.width + 1)
        row = np.broadcast_to(np.arange(len(numbers))[:, None], column.shape)
        inside = (column >= 0) & (column < self.unknowns)
        slot = 2 * self.width + numbers[:, None] - column
        return row[inside], column[inside], slot[inside]

    def factored(self, matrix: Array) -> Solve:
        width, complex_valued = self.width, np.iscomplexobj(matrix)
        factor = lapack.zgbtrf if complex_valued else lapack.dgbtrf
        solve = lapack.zgbtrs if complex_valued else lapack.dgbtrs
        lu, pivots, info = factor(matrix, width, width)
        if info:
            raise np.linalg.LinAlgError("a stage's matrix is singular")
        return lambda right: solve(lu, width, width, right, pivots)[0]


@dataclass(frozen=True)
class Dense(MatrixLayout):
    """Dense matrices."""

    unknowns: int
    slots: Array

    def assembled(self, entries: Array) -> Array:
        found = np.bincount(self.slots, entries, self.unknowns**2)
        return found.reshape(self.unknowns, self.unknowns)

    def rows(self, matrix: Array, numbers: Array) -> Array:
        return matrix[numbers]

    def replace(self, matrix: Array, numbers: Array, rows: Array) -> None:
        matrix[numbers] = rows

    def factored(self, matrix: Array) -> Solve:
        complex_valued = np.iscomplexobj(matrix)
        factor = lapack.zgetrf if complex_valued else lapack.dgetrf
        solve = lapack.zgetrs if complex_valued else lapack.dgetrs
        lu, pivots, info = factor(matrix)
        if info:
            raise np.linalg.LinAlgError("a stage's matrix is singular")
        return lambda right: solve(lu, pivots, right)[0]


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
        slopes = Linearised.at(self.term.equation, points, jet).slopes
        return torch.stack([one.unflatten(0, self.space.shape) for one in slopes.unbind(1)])


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
