"""95% confidence bounds of unknown parameters and fields, from the Gauss–Newton Hessian at a
solution.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import torch
from scipy.special import chdtri, ndtri, stdtrit
from torch import Tensor

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
    """The estimate of an unknown number with its 95% confidence bounds.

    value: the estimate. low, high: the bounds, infinite if the data do not determine the number.
    exact: the true number, if the problem gives it. step: the change of the value by one more
    Gauss–Newton step. arrived: True if this change is small; otherwise the optimizer ended before
    the minimum of the loss, and the bounds are infinite. resolved: False if the error of the
    network is visible beside the noise, but not known; then the bounds are infinite, too.
    confounded: the names of other numbers that the data do not determine either.

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
        """True if both bounds are finite."""
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
        if width and self.value:  # the bounds differ in two digits
            digits = min(max(2 + math.ceil(math.log10(abs(self.value) / width)), 3), 15)
        low, value, high = (f"{x:.{digits}g}" for x in (self.low, self.value, self.high))
        return f"{value} (95%: {low} … {high})"


@dataclass(frozen=True, eq=False)
class EstimatedField:
    """The estimate of a field at n points with its 95% confidence bounds.

    value: the estimated values, (n,). low, high: the bounds, (n,), valid only if `arrived`. step:
    the changes of the values by one more Gauss–Newton step, (n,). resolved: as for `Estimated`.
    """

    value: Tensor
    low: Tensor
    high: Tensor
    step: Tensor
    resolved: bool = True

    @property
    def half_widths(self) -> Tensor:
        """Half the widths of the bounds, (n,), infinite where the data leave the field open."""
        return (self.high - self.low) / 2

    @property
    def arrived(self) -> bool:
        """True if one more step is small compared with the half-widths, in root mean square."""
        half = self.half_widths
        known = half.isfinite()
        if not bool(known.any()):
            return bool(self.step.isfinite().all())
        sizes = (self.step[known], half[known], self.value[known])
        return is_small(*(float(x.square().mean().sqrt()) for x in sizes))

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The lower and upper bounds (n,), infinite unless the optimizer reached the minimum."""
        if self.arrived:
            return self.low, self.high
        return torch.full_like(self.low, -torch.inf), torch.full_like(self.high, torch.inf)

    @property
    def summary(self) -> "HalfWidths":
        """The least, median and largest half-width over all points."""
        half = self.half_widths if self.arrived else torch.full_like(self.value, torch.inf)
        step = float(self.step.square().mean().sqrt())
        least, largest = float(half.min()), float(half.max())
        return HalfWidths(least, float(half.median()), largest, step, self.arrived, self.resolved)


@dataclass(frozen=True)
class HalfWidths:
    """Half-widths of a field's 95% confidence bounds over its domain.

    least, median, largest: half-widths, infinite unless `arrived`. step: the root mean square of
    the field's change by one more Gauss–Newton step. arrived: True if this change is small, so that
    the optimizer has reached the minimum of the loss. resolved: as for `Estimated`.
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

    deviation: the standard deviation, in the units of the data; if `known`, relative to the given
    one. known: True if the problem gives the noise, False if it is estimated from the residuals of
    the data. freedom: the degrees of freedom of these residuals, 0 without data. scatter: if the
    noise is known, the residuals' standard deviation by degrees of freedom, relative to the noise;
    None if it cannot be estimated. failure: why no covariance could be computed, or "".
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

        It is False if a two-sided χ² test rejects the noise at the level 0.001.
        """
        if self.scatter is None:
            return True
        square, tail = self.freedom * self.scatter**2, 1e-3 / 2
        return bool(chdtri(self.freedom, 1 - tail) <= square <= chdtri(self.freedom, tail))

    @property
    def quantile(self) -> float:
        """The 97.5% quantile: normal for a known noise, Student's t for an estimated one."""
        return float(ndtri(0.975) if self.known else stdtrit(max(self.freedom, 1.0), 0.975))


def is_small(step: float, margin: float, size: float = 1.0) -> bool:
    """Return True if one more step is small compared with the bounds; False if it is NaN.

    Args:
        step: the change of a value by one more Gauss–Newton step.
        margin: the half-width of its bounds; a tenth of it, a fifth of a standard deviation, is
            small.
        size: the size of the value, or coefficient; changes by its rounding are small, too.
    """
    return abs(step) <= max(0.1 * margin, 1e-8 * max(abs(size), 1.0))


def not_arrived(step: float) -> str:
    """Return the message that explains why there are no bounds."""
    words = "no interval: the search has not arrived"
    return f"{words}, one more step would change it by {step:.2g}" if math.isfinite(step) else words


@dataclass(frozen=True)
class Dependence:
    """Two unknown numbers whose errors are nearly proportional to each other.

    first, second: the names of the numbers. correlation: of their errors, near -1 or 1.
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
    """Return the pairs of numbers whose errors have a correlation near -1 or 1.

    For two numbers, 1 - |correlation| is the smallest eigenvalue of their information matrix with a
    diagonal that is scaled to 1.

    Args:
        names: the names of the k numbers.
        spread: rows whose products are the covariances of the errors, (k, n).
        least: the least absolute correlation that is reported.
    """
    length = torch.linalg.vector_norm(spread, dim=1)
    unit = spread / length.clamp_min(torch.finfo(spread.dtype).tiny)[:, None]
    correlations = (unit @ unit.T).clamp(-1, 1)
    pairs = combinations(range(len(names)), 2)
    triples = [(names[i], names[j], float(correlations[i, j])) for i, j in pairs]
    return [Dependence(*triple) for triple in triples if abs(triple[2]) >= least]


def sufficient(residuals: Residuals, output_only: bool) -> Residuals:
    """Return the residuals, or a copy in double precision with enough rows.

    In single precision, rounding hides directions on which no row depends. With fewer than about
    two rows per coefficient, the network is undetermined between the collocation points. It could
    then follow the noise of the data, which would not determine the unknowns, even though the
    optimizer did not overfit. In this case the equation gets new collocation points. If the network
    has the sensitivities of its fields to the unknown numbers, only the rows of the data are kept:
    such fields satisfy the equation for all values of the numbers.
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
    """The change of the unknowns by one Gauss–Newton step in a richer network, at other points.

    If the step leaves the part ρ of the equation's residual, the error is about change / (1 - ρ).
    Noise in the data leaves a residual in every network, in the equation, too, since a finite
    weight lets the fields follow the noise. Its expected mean square is left out of ρ. The error of
    the network is visible beside the noise if the richer network lowers the loss by more than its
    additional freedom to follow the noise explains. Then the change is a measure of the error if
    ρ ≤ 0.7.

    Args:
        change: the change of the coefficients of unknown numbers and fields, (p,).
        contraction: ρ, the ratio of the equation's root mean square residuals without the noise's
            part.
        visible: whether the richer network fits better than noise explains.

    Reference: Bank and Smith, A posteriori error estimates based on hierarchical bases (1993).
    """

    change: Tensor
    contraction: float
    visible: bool

    @property
    def factor(self) -> float:
        """The error relative to the change; infinite where the change is no measure of it."""
        largest = 0.7  # with more of the residual left, the change says little of the error
        if self.visible and not self.contraction <= largest:
            return math.inf
        return 1 / (1 - min(self.contraction, largest))


@torch.enable_grad()
def approximation(richer: Residuals, unknown: Tensor, freedom: float) -> Approximation:
    """Return the change of the unknowns by a Gauss–Newton step in a richer network.

    Args:
        richer: the loss of the solution in the richer network, at other points; the output layers
            of the solution's own network are the last ones.
        unknown: a mask (p,) of the coefficients of these output layers that belong to unknowns.
        freedom: the effective number of coefficients that the data determine in the solution's own
            network.

    Raises:
        LinAlgError: if the residual or a derivative is not finite.
    """
    layers = richer.surrogate.network.output_layers
    count = sum(layer.coefficients.numel() for layer in layers)
    last = torch.cat([unknown.new_zeros(count - len(unknown)), unknown])
    # The unknowns are the last columns: then the dependence among the others does not matter.
    order = torch.cat([(~last).nonzero()[:, 0], last.nonzero()[:, 0]])
    terms = [[t for t in richer.terms if t.measured == measured] for measured in (False, True)]
    models = [Residuals(richer.surrogate, group).model(layers).factor for group in terms]
    columns = torch.cat([order, order.new_tensor([-1])])  # the last column is the residual
    equation, data = (TriangularFactor(factor[:, columns]) for factor in models)
    rows = torch.cat([equation.factor, data.factor])
    scale = column_scale(rows[:, :-1])
    # Tiny multiples of the coefficients, as further rows, make the factor regular.
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
    # Noise alone lowers the loss by about `more` variances, and seldom by this many.
    visible = before - after > (more + 3 * math.sqrt(2 * more) + 0.25) * variance
    # With the projection H onto the columns, noise e in the data leaves -H e in the equation.
    noise = (followed - float((seen.T @ seen).square().sum())) * variance
    ratio = contraction(equation.loss(), equation.loss(change), noise)
    return Approximation(change[count - int(unknown.sum()) :], ratio, bool(visible))


def contraction(before: float, after: float, noise: float) -> float:
    """Return the ratio of two root mean square residuals without the part of both due to noise."""
    after, lowered = max(after - noise, 0.0), before - after
    if after + lowered <= 0:
        return math.inf if after else 0.0
    return math.sqrt(after / (after + lowered))


class Covariance:
    """The covariance of the coefficients that minimise the loss, due to the noise of the data.

    Let B be the rows of the Jacobian that belong to the data, Σ the covariance of their noise, and
    R the triangular factor of all rows. Then the minimiser's covariance is H⁺ BᵀΣB H⁺ with H = RᵀR.
    It is valid for any weight of the equation; for a large weight it is the inverse of the data's
    Fisher information. It is applied by an SVD of R with columns scaled to unit length, as H would
    have the square of R's condition number.

    It is valid at the minimum of the loss; the Gauss–Newton step -H⁺ Jᵀr estimates the distance.

    Args:
        residuals: the residuals at the solution.
        output_only: True if only the coefficients of the output layers were solved for.
        known: True if the data's residuals are divided by a given standard deviation of the noise.
        richer: returns the loss of the same solution in a richer network, with more output layers
            before its own; None to leave the error of the network out of the bounds.

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
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            self.failure = str(error)

    @cached_property
    def noise(self) -> Noise:
        """The noise of the data, given or estimated from their residuals."""
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
        """Return the half-widths (q,) of the 95% bounds of q quantities.

        A half-width is infinite if more than a millionth of the gradient's norm is orthogonal to
        all rows: then the residuals do not determine the quantity.

        Args:
            gradients: derivatives of the quantities by the P coefficients, (q, P).
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

        They are 0 at the minimum of the loss, and NaN if the factorisation failed.

        Args:
            gradients: derivatives of the quantities by the P coefficients, (q, P).
        """
        if self.failure:
            return gradients.new_full((len(gradients),), torch.nan)
        seen = (gradients / self._scale) @ self._directions.T
        return -(seen / self._singular) @ self._projected

    @cached_property
    def _approximation(self) -> Approximation | None:
        """The change of the unknowns in a richer network, or a finer march; None if not known."""
        if (known := self.residuals.surrogate.network.sensitivities) is not None:
            return Approximation(known.errors, 0.0, False)
        if self._richer is None or self.failure:
            return None
        freedom = sum(float(part.square().sum()) for _, part in self._data)
        try:
            unknown = unknown_columns(self.residuals.surrogate)
            return approximation(self._richer(), unknown, freedom)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            return None

    @property
    def _resolved(self) -> bool:
        """Whether the error of the network is known, or not visible beside the noise."""
        return self._approximation is None or math.isfinite(self._approximation.factor)

    def approximation_errors(self, gradients: Tensor) -> Tensor:
        """Return the errors (q,) of q quantities that are due to the network.

        They are infinite where a richer network does not measure them, and 0 if there is none.

        Args:
            gradients: derivatives of the quantities by the P coefficients, (q, P).
        """
        richer = self._approximation
        if richer is None:
            return torch.zeros_like(gradients[:, 0])
        unknown = unknown_columns(self.residuals.surrogate)
        by_unknowns = gradients[:, -len(unknown) :][:, unknown]  # output layers are the last ones
        change = (by_unknowns @ richer.change.to(by_unknowns)).abs()
        return torch.where(by_unknowns.any(dim=1), change * richer.factor, 0.0)

    @cached_property
    @torch.enable_grad()
    def _data(self) -> list[tuple[float, Tensor]]:
        """The scale in the loss and the triangular factor of B R⁺, for each term of data."""
        parts = []
        for term in self._measured:
            rows = Residuals(self.residuals.surrogate, [term]).rows(self.layers)
            projected = ((j / self._scale) @ self._directions.T / self._singular for j, _ in rows)
            part = fold((p, p.new_zeros(len(p))) for p in projected).matrix
            parts.append((math.sqrt(term.weight / term.rows), part))
        return parts

    @property
    def _measured(self) -> list[Term]:
        return [term for term in self.residuals.terms if term.measured]

    def _half_widths(self, gradients: Tensor) -> Tensor:
        return self.margins(gradients) + self.approximation_errors(gradients)

    def numbers(self) -> dict[str, Estimated]:
        """Return the problem's unknown numbers with their confidence bounds, by name."""
        constants = self.residuals.surrogate.network.constants
        if constants is None:
            return {}
        c, gradients = constants.coefficients.detach(), self._number_gradients
        margins, steps = self.margins(gradients), self.steps(gradients)
        marched = self.residuals.surrogate.network.sensitivities is not None  # its errors are known
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
        """The derivatives of the unknown numbers' coefficients by all coefficients, (k, P)."""
        constants = self.residuals.surrogate.network.constants
        assert constants is not None
        total, c = get_coefficients(self.layers).numel(), constants.coefficients.detach()
        return torch.eye(total).to(c)[total - len(c) :]  # their columns are the last

    def dependences(self) -> list[Dependence]:
        """Return the pairs of unknown numbers that the data hardly tell apart."""
        constants = self.residuals.surrogate.network.constants
        if constants is None or self.failure:
            return []
        inner = (self._number_gradients / self._scale) @ self._directions.T / self._singular
        spread = torch.cat([scale * (inner @ part.T) for scale, part in self._data], dim=1)
        return dependences(list(constants.unknowns), spread)

    def field(self, points: Points, index: int) -> EstimatedField:
        """Return a field of the problem with its confidence bounds at n points.

        The bounds of a positive coefficient are those of its logarithm.

        Args:
            points: where the field is evaluated.
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
