"""95% confidence bounds of unknown parameters and fields, from the Gauss–Newton Hessian."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import torch
from scipy.special import chdtri, ndtri, stdtrit
from torch import Tensor

from kanpinn._support.breakdowns import LINALG_ERRORS
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels
from kanpinn.linalg.qr import TriangularFactor, column_scale, fold, rank_tolerance
from kanpinn.loss.residuals import Residuals, frozen
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.layer import Tape, get_coefficients
from kanpinn.optimizers.output_layer import unknown_columns

UNRESOLVED = "no interval: the network is too small, its own error is visible in the fit"


@dataclass(frozen=True)
class Estimated:
    """The estimate of an unknown scalar parameter with its 95% confidence bounds.

    Args:
        value: the estimate.
        low, high: the bounds; infinite if the data do not determine the parameter.
        exact: the true value; None if the problem does not give it.
        step: the change of the value by one more Gauss–Newton step.
        arrived: True if `step` is small. Otherwise the optimizer ended before the minimum of the
            loss, and the bounds are infinite.
        resolved: False if the error of the network is visible beside the noise, but its size is not
            known; then the bounds are infinite, too.
        confounded: if the data do not determine the parameter, the names of the other parameters
            that are also not determined.

    Example:
        >>> found = Estimated(0.1006, low=0.0968, high=0.1044, exact=0.1)
        >>> found.low <= found.exact <= found.high
        True
    """

    value: float
    low: float
    high: float
    exact: float | None = None
    step: float = 0.0
    arrived: bool = True
    resolved: bool = True
    confounded: tuple[str, ...] = ()

    @property
    def is_identified(self) -> bool:
        """True if the two bounds are finite."""
        return math.isfinite(self.high - self.low)

    def __str__(self) -> str:
        """Return the value and its bounds, such as "0.02502 (95%: 0.02496 … 0.02508)"."""
        if not self.arrived:
            return f"{self.value:.6g} ({not_arrived(self.step)})"
        if not self.resolved:
            return f"{self.value:.6g} ({UNRESOLVED})"
        if self.confounded:
            others = " and ".join(self.confounded)
            return f"{self.value:.6g} (not determined here: the data do not tell it from {others})"
        if not self.is_identified:
            return f"{self.value:.6g} (not determined here: to first order no datum depends on it)"
        width, digits = self.high - self.low, 6
        if width and self.value:  # enough digits to show the bounds
            digits = min(max(2 + math.ceil(math.log10(abs(self.value) / width)), 3), 15)
        low, value, high = (f"{x:.{digits}g}" for x in (self.low, self.value, self.high))
        return f"{value} (95%: {low} … {high})"


@dataclass(frozen=True, eq=False)
class EstimatedField:
    """The estimate of an unknown field at n points with its 95% confidence bounds.

    Args:
        value: the estimated values, (n,).
        low, high: the bounds, (n,) each, which are valid only if `arrived` is True.
        step: the changes of the values by one more Gauss–Newton step, (n,).
        resolved: False if the error of the network is visible beside the noise, but its size is not
            known.
    """

    value: Tensor
    low: Tensor
    high: Tensor
    step: Tensor
    resolved: bool = True

    @property
    def half_widths(self) -> Tensor:
        """The half-widths of the bounds, (n,), infinite where the data do not fix the field."""
        return (self.high - self.low) / 2

    @property
    def arrived(self) -> bool:
        """True if one more step is small compared with the half-widths, in root mean square.

        The means are over the points with finite half-widths. Without such points, the result is
        True if the step is finite.
        """
        half = self.half_widths
        known = half.isfinite()
        if not bool(known.any()):
            return bool(self.step.isfinite().all())
        sizes = (self.step[known], half[known], self.value[known])
        return is_small(*(float(x.square().mean().sqrt()) for x in sizes))

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The lower and upper bounds, (n,) each; infinite unless `arrived` is True."""
        if self.arrived:
            return self.low, self.high
        return torch.full_like(self.low, -torch.inf), torch.full_like(self.high, torch.inf)

    @property
    def summary(self) -> "HalfWidths":
        """The least, the median and the largest half-width over all points."""
        half = self.half_widths if self.arrived else torch.full_like(self.value, torch.inf)
        step = float(self.step.square().mean().sqrt())
        least, largest = float(half.min()), float(half.max())
        return HalfWidths(least, float(half.median()), largest, step, self.arrived, self.resolved)


@dataclass(frozen=True)
class HalfWidths:
    """Half-widths of a field's 95% confidence bounds over its domain.

    Args:
        least, median, largest: statistics of the half-widths; infinite unless `arrived` is True.
        step: the root mean square of the field's change by one more Gauss–Newton step.
        arrived: True if `step` is small: the optimizer has reached the minimum of the loss.
        resolved: False if the error of the network is visible beside the noise, but its size is not
            known.
    """

    least: float
    median: float
    largest: float
    step: float
    arrived: bool
    resolved: bool = True

    def __str__(self) -> str:
        """Return a summary such as "95% half-width 0.02 … 0.15, median 0.04"."""
        if not self.arrived:
            return not_arrived(self.step)
        if not self.resolved:
            return UNRESOLVED
        if math.isinf(self.least):
            return "not determined here: to first order no datum depends on it"
        sizes = (self.least, self.median, self.largest)
        least, median, largest = ("∞" if math.isinf(x) else f"{x:.2g}" for x in sizes)
        return f"95% half-width {least} … {largest}, median {median}"


@dataclass(frozen=True)
class Noise:
    """The noise of the data, which determines the confidence bounds.

    Args:
        deviation: the standard deviation of the noise: 1 if the problem gives the noise, otherwise
            an estimate in the units of the data.
        known: True if the problem gives the standard deviation of the noise, False if it is
            estimated from the residuals of the data.
        freedom: the degrees of freedom of the residuals of the data; 0 without data.
        scatter: if the noise is known, the standard deviation of the residuals (with `freedom`
            degrees of freedom), relative to the noise; otherwise, or if it cannot be estimated,
            None.
        failure: the reason why no covariance could be computed, as text; empty if it was computed.
    """

    deviation: float
    known: bool
    freedom: float
    scatter: float | None = None
    failure: str = ""

    def __str__(self) -> str:
        """Return a sentence such as "intervals are based on a noise of 0.0101, estimated …"."""
        if self.failure:
            return f"no intervals: {self.failure}"
        if self.known:
            words = "intervals are based on the given noise of the data"
            if self.fits:
                return words
            much = f"{self.scatter:.3g} times as much about the solution"
            return f"{words}, but the data scatter {much}"
        if not self.freedom:
            return "there are no data, and so no noise on which intervals could be based"
        if not math.isfinite(self.deviation):
            return "there are too few data to estimate their noise: intervals are infinite"
        how = f"estimated with {self.freedom:.0f} degrees of freedom"
        return f"intervals are based on a noise of {self.deviation:.3g}, {how} (Student's t)"

    @property
    def fits(self) -> bool:
        """True if the residuals of the data are compatible with the known noise.

        It is False if a two-sided χ² test rejects the noise at the level 0.001. It is True if the
        noise is not known, or if `scatter` cannot be estimated.
        """
        if self.scatter is None:
            return True
        square, tail = self.freedom * self.scatter**2, 1e-3 / 2
        return bool(chdtri(self.freedom, 1 - tail) <= square <= chdtri(self.freedom, tail))

    @property
    def quantile(self) -> float:
        """The 97.5% quantile, of the normal distribution or, for estimated noise, Student's t."""
        return float(ndtri(0.975) if self.known else stdtrit(max(self.freedom, 1.0), 0.975))


def is_small(step: float, margin: float, size: float = 1.0) -> bool:
    """Return whether one more step is small compared with the confidence bounds.

    Args:
        step: the change of a value by one more Gauss–Newton step; NaN counts as large.
        margin: the half-width of the value's bounds. A tenth of the half-width, which is a fifth of
            a standard deviation, counts as small.
        size: the value. Changes up to 1e-8 of the value, or up to 1e-8, count as small, too.
    """
    return abs(step) <= max(0.1 * margin, 1e-8 * max(abs(size), 1.0))


def not_arrived(step: float) -> str:
    """Return the message that there are no confidence bounds, since the optimizer ended too early.

    Args:
        step: the change of the value by one more Gauss–Newton step; NaN if it is not known.
    """
    words = "no interval: the search has not arrived"
    return f"{words}, one more step would change it by {step:.2g}" if math.isfinite(step) else words


@dataclass(frozen=True)
class Dependence:
    """Two unknown parameters whose errors are nearly proportional to each other.

    Args:
        first, second: the names of the parameters.
        correlation: the correlation of their errors, near -1 or 1.
    """

    first: str
    second: str
    correlation: float

    def __str__(self) -> str:
        """Return a sentence such as "the data hardly tell a and b apart: ..."."""
        narrower = 1 / math.sqrt(max(1 - self.correlation**2, 1e-16))
        known = f"with one known, the interval of the other is {narrower:.2g} times as narrow"
        both = f"{self.first} and {self.second} apart (correlation {self.correlation:.6g})"
        return f"the data hardly tell {both}: {known}"


def dependences(names: list[str], spread: Tensor, least: float = 0.99) -> list[Dependence]:
    """Return the pairs of unknown parameters whose errors have a correlation near -1 or 1.

    If the information matrix of two parameters is scaled to a diagonal of 1, its smallest
    eigenvalue is 1 - |correlation|.

    Args:
        names: the names of the k parameters.
        spread: a matrix S, (k, n), so that S Sᵀ is the covariance matrix of the errors.
        least: the least absolute correlation of a pair in the result.
    """
    length = torch.linalg.vector_norm(spread, dim=1)
    unit = spread / length.clamp_min(torch.finfo(spread.dtype).tiny)[:, None]
    correlations = (unit @ unit.T).clamp(-1, 1)
    pairs = combinations(range(len(names)), 2)
    triples = [(names[i], names[j], float(correlations[i, j])) for i, j in pairs]
    return [Dependence(*triple) for triple in triples if abs(triple[2]) >= least]


def sufficient(residuals: Residuals, output_only: bool) -> Residuals:
    """Return the residuals of a solution in double precision, enough of them for confidence bounds.

    In single precision, rounding would hide changes of the coefficients that change no residual.
    With fewer than about two residuals per coefficient, the network is undetermined between the
    collocation points. The network could then follow the noise of the data, and the unknowns would
    seem undetermined, even if the optimizer did not overfit. In this case the equation gets new
    collocation points. If the network has the sensitivities of its fields to the unknown
    parameters, only the residuals of the data are kept, since these fields satisfy the equation for
    all values of the parameters.

    Args:
        residuals: the residuals at the solution; they are returned if they are enough.
        output_only: whether only the coefficients of the output layers were solved for.
    """
    surrogate, terms = residuals.surrogate, list(residuals.terms)
    if surrogate.network.sensitivities is not None:
        terms = [term for term in terms if term.measured]
    if (like := surrogate.low).dtype != torch.float64:
        surrogate = copy.deepcopy(surrogate).to(torch.float64)
        terms = [replace(b, points=b.points.to(torch.float64, like.device)) for b in terms]
    network = surrogate.network
    layers = network.output_layers if output_only else network.all_layers
    enough = 2 * sum(layer.coefficients.numel() for layer in layers)
    few = sum(term.rows * term.equations(surrogate) for term in terms) < enough
    first, domain = terms[0], surrogate.domain
    if few and isinstance(first, ResidualTerm) and first.name == "interior":
        fresh = sample(domain, enough, "gauss" if domain.dim <= 3 else "sobol")
        terms[0] = replace(first, points=fresh.to(torch.float64, like.device))
    return residuals if terms == list(residuals.terms) else Residuals(surrogate, terms)


@dataclass(frozen=True)
class Approximation:
    """How much unknowns change in a richer network, from which the network's error is estimated.

    The change is by one Gauss–Newton step in the richer network, at other points. If the equation's
    residual after the step is ρ times the residual before, the error is about change / (1 - ρ).
    Noise in the data also leaves a residual in the equation, since a finite weight of the equation
    lets the fields follow the noise. The expected mean square of this part is subtracted before ρ
    is computed. The error of the network is visible beside the noise if the richer network lowers
    the loss by more than its additional freedom to follow the noise explains. In this case the
    change measures the error only if ρ ≤ 0.7.

    Args:
        change: the change of the coefficients of unknown parameters and fields, (p,).
        contraction: ρ, the ratio of the equation's root mean square residuals after and before the
            step, without the part of the noise.
        visible: whether the richer network lowers the loss by more than noise explains.

    Reference: Bank and Smith, A posteriori error estimates based on hierarchical bases (1993).
    """

    change: Tensor
    contraction: float
    visible: bool

    @property
    def factor(self) -> float:
        """The ratio of error and change, 1 / (1 - min(ρ, 0.7)) with ρ = `contraction`.

        It is infinite if `visible` is True and ρ > 0.7: then the change does not measure the error.
        """
        largest = 0.7  # for a larger ρ the change says little about the error
        if self.visible and not self.contraction <= largest:
            return math.inf
        return 1 / (1 - min(self.contraction, largest))


@torch.enable_grad()
def approximation(richer: Residuals, unknown: Tensor, freedom: float) -> Approximation:
    """Return the change of the unknowns by a Gauss–Newton step in a richer network.

    Args:
        richer: the loss of the solution in the richer network, at other points. The last output
            layers of this network are those of the solution's own network.
        unknown: a mask of the coefficients of these last output layers, (p,), which is True for the
            coefficients of unknowns.
        freedom: the effective number of coefficients that the data determine in the solution's own
            network.

    Raises:
        LinAlgError: if the residual or a derivative is not finite.
    """
    layers = richer.surrogate.network.output_layers
    count = sum(layer.coefficients.numel() for layer in layers)
    last = torch.cat([unknown.new_zeros(count - len(unknown)), unknown])
    # The unknowns are the last columns: then the other columns may be linearly dependent.
    order = torch.cat([(~last).nonzero()[:, 0], last.nonzero()[:, 0]])
    terms = [[t for t in richer.terms if t.measured == measured] for measured in (False, True)]
    models = [Residuals(richer.surrogate, group).model(layers).factor for group in terms]
    columns = torch.cat([order, order.new_tensor([-1])])  # the last column is the residual
    equation, data = (TriangularFactor(factor[:, columns]) for factor in models)
    rows = torch.cat([equation.factor, data.factor])
    scale = column_scale(rows[:, :-1])
    # Additional rows with tiny multiples of the coefficients make the factor regular.
    held = 1e-12 * torch.eye(count + 1).to(rows)[:-1]
    scaled = rows / torch.cat([scale, scale.new_ones(1)])
    factor = torch.linalg.qr(torch.cat([scaled, held]), mode="r").R
    matrix, target = factor[:count, :count], factor[:count, count:]
    change = -torch.linalg.solve_triangular(matrix, target, upper=True)[:, 0] / scale
    seen = torch.linalg.solve_triangular(matrix, data.matrix / scale, upper=True, left=False)
    followed = float(seen.square().sum())
    more = max(followed - freedom, 1e-6)
    rest = sum(t.rows * t.equations(richer.surrogate) for t in terms[1]) - freedom - more
    before, after = equation.loss() + data.loss(), equation.loss(change) + data.loss(change)
    variance = after / rest if rest >= 1 else 0.0
    # By fitting noise alone, the richer network lowers the loss by about `more` variances, and
    # seldom by as many as here.
    visible = before - after > (more + 3 * math.sqrt(2 * more) + 0.25) * variance
    # With the projection H onto the columns, noise e in the data leaves -H e in the equation.
    noise = (followed - float((seen.T @ seen).square().sum())) * variance
    ratio = contraction(equation.loss(), equation.loss(change), noise)
    return Approximation(change[count - int(unknown.sum()) :], ratio, bool(visible))


def contraction(before: float, after: float, noise: float) -> float:
    """Return the ratio of two root mean square residuals after the part of noise is subtracted.

    It is √((after - noise) / (before - noise)). If `noise` exceeds `after`, `after` - `noise` is
    replaced by 0 and `before` - `noise` by `before` - `after`. If the denominator is not positive
    then, the ratio is 0, or infinite if the numerator is positive.

    Args:
        before, after: the mean square residuals, with `after` in the numerator.
        noise: the part of each mean square that is due to noise.
    """
    after, lowered = max(after - noise, 0.0), before - after
    if after + lowered <= 0:
        return math.inf if after else 0.0
    return math.sqrt(after / (after + lowered))


class Covariance:
    """The covariance of the coefficients that minimise the loss, due to the noise of the data.

    Let B be the rows of the Jacobian J that belong to the data, Σ the covariance of their noise,
    and R the triangular factor of all rows. Then the covariance of the minimiser is H⁺ BᵀΣB H⁺ with
    H = RᵀR. This holds for any weight of the equation; for a large weight the covariance is the
    inverse of the data's Fisher information. The covariance is computed from an SVD of R with
    columns scaled to unit length, since H would have the square of R's condition number.

    The covariance is valid at the minimum of the loss. The distance from the minimum is estimated
    by the Gauss–Newton step -H⁺ Jᵀr for the residual r.

    Args:
        residuals: the residuals at the solution.
        output_only: True if only the coefficients of the output layers were solved for.
        known: True if the data's residuals are divided by a given standard deviation of the noise.
        richer: returns the loss of the solution in a richer network, which has further output
            layers before those of the solution's network; None to leave the error of the network
            out of the bounds.

    Reference: Seber and Wild, Nonlinear regression (1989), chapters 2 and 5; White (1980) for the
    sandwich.
    """

    def __init__(
        self,
        residuals: Residuals,
        output_only: bool,
        known: bool,
        richer: Callable[[], Residuals] | None = None,
    ) -> None:
        self.residuals, self.known = sufficient(residuals, output_only), known
        self.failure, self._richer = "", richer
        network = self.residuals.surrogate.network
        self.layers = network.output_layers if output_only else network.all_layers
        try:
            with torch.enable_grad():
                model = self.residuals.model(self.layers)
                self._scale = column_scale(model.matrix)
                u, s, vh = torch.linalg.svd(model.matrix / self._scale, full_matrices=False)
            kept = s > rank_tolerance(s.dtype) * s[0]
            self._singular, self._directions = s[kept], vh[kept]
            self._projected = u.T[kept] @ model.target
        except LINALG_ERRORS as error:
            self.failure = str(error)

    @cached_property
    def noise(self) -> Noise:
        """The noise of the data, given by the problem or estimated from the residuals.

        The deviation is NaN if no covariance could be computed. An estimated deviation is infinite
        if the data leave less than one degree of freedom, and 0 without data.
        """
        if self.failure:
            return Noise(math.nan, self.known, 0.0, failure=self.failure)
        values, terms = self.residuals.term_values(), self._measured
        squares = sum(values[term.name] * term.rows for term in terms)
        count = sum(term.rows * term.equations(self.residuals.surrogate) for term in terms)
        freedom = count - sum(float(part.square().sum()) for _, part in self._data)
        rest = math.sqrt(squares / freedom) if freedom >= 1 else math.inf
        if self.known:
            return Noise(1.0, True, freedom, rest if freedom >= 1 else None)
        return Noise(rest, False, max(freedom, 1.0)) if count else Noise(0.0, False, 0.0)

    def margins(self, gradients: Tensor) -> Tensor:
        """Return the half-widths (q,) of the 95% bounds of q numbers, due to the noise of the data.

        A half-width is infinite if the residuals do not determine the number: if the component of
        its gradient orthogonal to all rows of the Jacobian is more than a millionth of the
        gradient's norm.

        Args:
            gradients: derivatives of the numbers by the P coefficients, (q, P).
        """
        if self.failure:
            return gradients.new_full((len(gradients),), torch.inf)
        scaled = gradients / self._scale
        seen = scaled @ self._directions.T
        length = torch.linalg.vector_norm(scaled, dim=1)
        blind = torch.linalg.vector_norm(scaled - seen @ self._directions, dim=1)
        inner = seen / self._singular
        spread = [scale * (inner @ part.T) for scale, part in self._data]
        margins = torch.zeros_like(length)
        if spread:
            margins = torch.linalg.vector_norm(torch.cat(spread, dim=1), dim=1)
            margins = margins * (self.noise.deviation * self.noise.quantile)
        return torch.where(blind > 1e-6 * length, torch.inf, margins)

    def steps(self, gradients: Tensor) -> Tensor:
        """Return the changes (q,) of q quantities by one more Gauss–Newton step.

        The changes are 0 at the minimum of the loss, and NaN if the factorisation failed.

        Args:
            gradients: derivatives of the quantities by the P coefficients, (q, P).
        """
        if self.failure:
            return gradients.new_full((len(gradients),), torch.nan)
        seen = (gradients / self._scale) @ self._directions.T
        return -(seen / self._singular) @ self._projected

    @cached_property
    def _approximation(self) -> Approximation | None:
        """The change of the unknowns in a richer network, or by a march with a smaller tolerance.

        None if there is no richer network, if no covariance could be computed, or if the step in
        the richer network breaks down.
        """
        if (known := self.residuals.surrogate.network.sensitivities) is not None:
            return Approximation(known.errors, 0.0, False)
        if self._richer is None or self.failure:
            return None
        freedom = sum(float(part.square().sum()) for _, part in self._data)
        try:
            unknown = unknown_columns(self.residuals.surrogate)
            return approximation(self._richer(), unknown, freedom)
        except LINALG_ERRORS:
            return None

    @property
    def _resolved(self) -> bool:
        """True if the error of the network is known, or too small to be seen beside the noise."""
        return self._approximation is None or math.isfinite(self._approximation.factor)

    def approximation_errors(self, gradients: Tensor) -> Tensor:
        """Return the errors (q,) of q quantities that are due to the network.

        An error is infinite if a richer network cannot measure it, and 0 if the quantity does not
        depend on unknowns. All errors are 0 if there is no richer network.

        Args:
            gradients: derivatives of the quantities by the P coefficients, (q, P).
        """
        richer = self._approximation
        if richer is None:
            return torch.zeros_like(gradients[:, 0])
        unknown = unknown_columns(self.residuals.surrogate)
        by_unknowns = gradients[:, -len(unknown) :][:, unknown]  # output layers come last
        change = (by_unknowns @ richer.change.to(by_unknowns)).abs()
        return torch.where(by_unknowns.any(dim=1), change * richer.factor, 0.0)

    @cached_property
    @torch.enable_grad()
    def _data(self) -> list[tuple[float, Tensor]]:
        """For each loss term of data, √(weight / rows) and the triangular factor of B R⁺.

        B are the term's rows of the Jacobian, and R is the triangular factor of all rows.
        """
        parts = []
        for term in self._measured:
            rows = Residuals(self.residuals.surrogate, [term]).rows(self.layers)
            projected = ((j / self._scale) @ self._directions.T / self._singular for j, _ in rows)
            part = fold((p, p.new_zeros(len(p))) for p in projected).matrix
            parts.append((math.sqrt(term.weight / term.rows), part))
        return parts

    @property
    def _measured(self) -> list[Term]:
        """Return the terms of the loss that belong to data."""
        return [term for term in self.residuals.terms if term.measured]

    def _half_widths(self, gradients: Tensor) -> Tensor:
        """Return the half-widths (q,) of the 95% bounds, with the error of the network added.

        Args:
            gradients: derivatives of the quantities by the P coefficients, (q, P).
        """
        return self.margins(gradients) + self.approximation_errors(gradients)

    def numbers(self) -> dict[str, Estimated]:
        """Return the problem's unknown scalar parameters with confidence bounds, by name.

        If one more step would change one of them much, the bounds of all are infinite. The result
        is empty if the problem has no unknown scalar parameters.
        """
        constants = self.residuals.surrogate.network.constants
        if constants is None:
            return {}
        c, gradients = constants.coefficients.detach(), self._number_gradients
        margins, steps = self.margins(gradients), self.steps(gradients)
        marched = self.residuals.surrogate.network.sensitivities is not None  # it has `errors`
        half = self._half_widths(gradients) if marched else margins
        # The bounds of one number hold at the minimum of the loss with respect to all numbers.
        arrived = all(is_small(*map(float, each)) for each in zip(steps, half, c, strict=True))
        if arrived and not marched:
            half = self._half_widths(gradients)
        open_names: list[str] = []
        if math.isfinite(self.noise.deviation):
            open_names = [n for n, x in zip(constants.unknowns, margins, strict=True) if x.isinf()]
        numbers = {}
        for i, (name, unknown) in enumerate(constants.unknowns.items()):
            margin = half[i] if arrived else torch.full_like(c[i], torch.inf)
            places = (c[i], c[i] - margin, c[i] + margin, c[i] + steps[i])
            value, low, high, later = (float(unknown.value(x)) for x in places)
            others = (
                tuple(other for other in open_names if other != name) if name in open_names else ()
            )
            ends = value, low, high, unknown.exact, later - value
            numbers[name] = Estimated(*ends, arrived, not arrived or self._resolved, others)
        return numbers

    @property
    def _number_gradients(self) -> Tensor:
        """The rows of the P x P identity that belong to the k unknown parameters, (k, P)."""
        constants = self.residuals.surrogate.network.constants
        assert constants is not None
        total, c = get_coefficients(self.layers).numel(), constants.coefficients.detach()
        return torch.eye(total).to(c)[total - len(c) :]  # the numbers' columns are the last

    def dependences(self) -> list[Dependence]:
        """Return the pairs of unknown parameters that the data hardly distinguish.

        The errors of the two parameters of a pair have a correlation of at least 0.99 in absolute
        value. The result is empty if the problem has no unknown scalar parameters, or if the
        covariance could not be computed.
        """
        constants = self.residuals.surrogate.network.constants
        if constants is None or self.failure:
            return []
        inner = (self._number_gradients / self._scale) @ self._directions.T / self._singular
        spread = torch.cat([scale * (inner @ part.T) for scale, part in self._data], dim=1)
        return dependences(list(constants.unknowns), spread)

    def field(self, points: Points, index: int) -> EstimatedField:
        """Return a field of the problem with its confidence bounds at n points.

        For a coefficient field that must be positive, the logarithm has symmetric bounds.

        Args:
            points: the n points.
            index: the index of the field.
        """
        surrogate = self.residuals.surrogate
        known = dict(enumerate(surrogate.coefficients)).get(index)
        positive = known is not None and known.positive
        parts = []
        points = points.to(surrogate.low.dtype, surrogate.low.device)
        channels, chunk = Channels(points.names), 2048  # points whose gradients are kept at once
        for start in range(0, len(points), chunk):
            tape = Tape(self.layers)
            with torch.enable_grad(), frozen(surrogate):
                some = points[start : start + chunk]
                value = surrogate.jet(some, channels, tape).value[:, index]
            gradients, value = tape.jacobian(value), value.detach()
            if positive:
                ratio = torch.exp(self._half_widths(gradients / value[:, None]))
                low, high = value / ratio, value * ratio
            else:
                margins = self._half_widths(gradients)
                low, high = value - margins, value + margins
            parts.append((value, low, high, self.steps(gradients)))
        value, low, high, step = (torch.cat(column) for column in zip(*parts, strict=True))
        return EstimatedField(value, low, high, step, known is None or self._resolved)
