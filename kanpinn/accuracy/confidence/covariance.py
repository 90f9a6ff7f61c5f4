"""The covariance of the coefficients, and the confidence bounds computed from it."""

import math
from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.accuracy.confidence.approximation import Approximation, approximation
from kanpinn.accuracy.confidence.dependence import Dependence, dependences
from kanpinn.accuracy.confidence.estimates import Estimated, EstimatedField, Noise, is_small
from kanpinn.accuracy.confidence.rows import chosen_layers, sufficient
from kanpinn.geometry import Points
from kanpinn.jets import Channels
from kanpinn.linalg.triangle import column_scale, rank_tolerance
from kanpinn.linalg.tsqr import fold
from kanpinn.loss.residuals import Residuals, frozen
from kanpinn.loss.terms import Term
from kanpinn.networks.layer import Tape, get_coefficients
from kanpinn.optimizers.reduced import unknown_columns


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
        self.layers = chosen_layers(self.residuals.surrogate.network, output_only)
        try:
            self._factorise()
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            self.failure = str(error)

    @torch.enable_grad()
    def _factorise(self) -> None:
        model = self.residuals.model(self.layers)
        self._scale = column_scale(model.matrix)
        u, s, vh = torch.linalg.svd(model.matrix / self._scale, full_matrices=False)
        kept = s > rank_tolerance(s.dtype) * s[0]
        self._singular, self._directions = s[kept], vh[kept]
        self._projected = u.T[kept] @ model.target

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

        They are infinite where a richer network does not measure them, and 0 without one.

        Args:
            gradients: derivatives of the quantities by the P coefficients, (q, P).
        """
        found = self._approximation
        if found is None:
            return torch.zeros_like(gradients[:, 0])
        unknown = unknown_columns(self.residuals.surrogate)
        own = gradients[:, -len(unknown) :][:, unknown]  # output layers are the last ones
        change = (own @ found.change.to(own)).abs()
        return torch.where(own.any(dim=1), change * found.factor, 0.0)

    @cached_property
    @torch.enable_grad()
    def _data(self) -> list[tuple[float, Tensor]]:
        """The scale in the loss and the triangular factor of B R⁺, for each term of data."""
        found = []
        for term in self._measured:
            rows = Residuals(self.residuals.surrogate, [term]).rows(self.layers)
            projected = ((j / self._scale) @ self._directions.T / self._singular for j, _ in rows)
            part = fold((p, p.new_zeros(len(p))) for p in projected).matrix
            found.append((math.sqrt(term.weight / term.rows), part))
        return found

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
        open_ones: list[str] = []
        if math.isfinite(self.noise.deviation):
            open_ones = [n for n, x in zip(constants.unknowns, margins, strict=True) if x.isinf()]
        found = {}
        for i, (name, unknown) in enumerate(constants.unknowns.items()):
            margin = half[i] if arrived else torch.full_like(c[i], torch.inf)
            places = (c[i], c[i] - margin, c[i] + margin, c[i] + steps[i])
            value, low, high, later = (float(unknown.value(x)) for x in places)
            others = tuple(one for one in open_ones if one != name) if name in open_ones else ()
            ends = value, low, high, unknown.exact, later - value
            found[name] = Estimated(*ends, arrived, not arrived or self._resolved, others)
        return found

    @property
    def _number_gradients(self) -> Tensor:
        """The derivatives of the unknown numbers' coefficients by all coefficients, (k, P)."""
        constants = self.residuals.surrogate.network.constants
        assert constants is not None
        total, c = get_coefficients(self.layers).numel(), constants.coefficients.detach()
        return torch.eye(total).to(c)[total - len(c) :]  # theirs are the last ones

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
        for value, gradients in self._gradients(points, index):
            if positive:
                ratio = torch.exp(self._half_widths(gradients / value[:, None]))
                low, high = value / ratio, value * ratio
            else:
                margins = self._half_widths(gradients)
                low, high = value - margins, value + margins
            parts.append((value, low, high, self.steps(gradients)))
        value, low, high, step = (torch.cat(column) for column in zip(*parts, strict=True))
        return EstimatedField(value, low, high, step, known is None or self._resolved)

    def _gradients(self, points: Points, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield chunks of a field's values (n,) and of their derivatives by coefficients (n, P)."""
        surrogate = self.residuals.surrogate
        points = points.to(surrogate.low.dtype, surrogate.low.device)
        chunk_size = 2048  # points whose gradients are in memory at the same time
        for start in range(0, len(points), chunk_size):
            chunk, tape = points[start : start + chunk_size], Tape(self.layers)
            with torch.enable_grad(), frozen(surrogate):
                value = surrogate.jet(chunk, Channels(points.names), tape).value[:, index]
            yield value.detach(), tape.jacobian(value)
