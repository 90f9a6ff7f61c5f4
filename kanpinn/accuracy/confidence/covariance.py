"""How what is solved for varies with the noise of the data."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.accuracy.confidence.band import Band
from kanpinn.accuracy.confidence.estimated import Estimated, is_small
from kanpinn.accuracy.confidence.noise import Noise
from kanpinn.accuracy.confidence.rows import chosen_layers, columns, settled
from kanpinn.geometry import Points
from kanpinn.jets.jet import Channels
from kanpinn.linalg.triangle import column_scale, fold, rank_tolerance
from kanpinn.loss.residuals import Residuals, frozen
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.constants import Constants
from kanpinn.networks.network import Tape, get_coefficients

BLIND = 1e-6  # a larger part of a quantity's gradient that no row sees leaves the quantity open
CHUNK = 2048


class Covariance:
    """How the coefficients that minimise the loss vary with the noise of the data.

    Of rows B of the data and all rows, the data's among them, with triangle R, the minimiser's
    covariance is H⁺ BᵀΣB H⁺, H = RᵀR and Σ that of the data's rows: right for any weight of the
    equation, and for a large one the inverse of Fisher's information of the data. It is applied by
    an SVD of R with columns of unit length; H itself would have the square of its condition.

    That holds where the loss is least. The step -H⁺ Jᵀr, which the same R gives, tells how far off
    that is.

    Args:
        residuals: at the solution.
        output_only: whether the coefficients of the output layers alone were solved for.
        known: whether the data's residuals are divided by their noise.

    Reference: Seber and Wild, Nonlinear regression (1989), chapters 2 and 5; White (1980) for the
    sandwich.
    """

    def __init__(self, residuals: Residuals, output_only: bool, known: bool) -> None:
        self.residuals, self.known = settled(residuals, output_only), known
        self.layers = chosen_layers(self.residuals.surrogate.network, output_only)
        self.failure = ""
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
        """The data's noise."""
        if self.failure:
            return Noise(math.nan, self.known, 0.0, failure=self.failure)
        values, terms = self.residuals.term_values(), self._measured
        squares = sum(values[term.name] * term.rows for term in terms)
        count = sum(term.rows * columns(self.residuals, term) for term in terms)
        freedom = count - sum(float(part.square().sum()) for _, part in self._data)
        rest = math.sqrt(squares / freedom) if freedom >= 1 else math.inf
        if self.known:
            return Noise(1.0, True, freedom, rest if freedom >= 1 else None)
        return Noise(rest, False, max(freedom, 1.0)) if count else Noise(0.0, False, 0.0)

    def margins(self, gradients: Tensor) -> Tensor:
        """Half-widths (q,) of the 95% intervals of quantities with these gradients, (q, P).

        They are infinite for what the rows leave open.
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
        return torch.where(blind > BLIND * length, torch.inf, margins)

    def steps(self, gradients: Tensor) -> Tensor:
        """Changes (q,) of such quantities by one more Gauss–Newton step; NaN where there is none.

        Where the loss is least they are 0, without noise or with it.
        """
        if self.failure:
            return gradients.new_full((len(gradients),), torch.nan)
        seen = (gradients / self._scale) @ self._directions.T
        return -(seen / self._singular) @ self._projected

    @cached_property
    @torch.enable_grad()
    def _data(self) -> list[tuple[float, Tensor]]:
        """For each term of data its scale in the loss, and a triangle of B R⁺."""
        found = []
        for term in self._measured:
            rows = Residuals(self.residuals.surrogate, [term]).rows(self.layers)
            projected = ((j / self._scale) @ self._directions.T / self._singular for j, _ in rows)
            part = fold((p, p.new_zeros(len(p))) for p in projected).matrix
            found.append((math.sqrt(term.weight / term.rows), part))
        return found

    @property
    def _measured(self) -> list[ResidualTerm]:
        terms: Sequence[Term] = self.residuals.terms
        return [term for term in terms if isinstance(term, ResidualTerm) and term.measured]

    def numbers(self) -> dict[str, Estimated]:
        """The problem's unknown numbers."""
        constants = self.residuals.surrogate.network.constants
        if not isinstance(constants, Constants):
            return {}
        c = constants.coefficients.detach()
        total = get_coefficients(self.layers).numel()
        gradients = torch.eye(total).to(c)[total - len(c) :]  # their layer is the last
        margins, steps = self.margins(gradients), self.steps(gradients)
        found = {}
        for i, (name, unknown) in enumerate(constants.unknowns.items()):
            arrived = is_small(float(steps[i]), float(margins[i]), float(c[i]))
            margin = margins[i] if arrived else torch.full_like(c[i], torch.inf)
            places = (c[i], c[i] - margin, c[i] + margin, c[i] + steps[i])
            value, low, high, later = (float(unknown.value(x)) for x in places)
            found[name] = Estimated(value, low, high, unknown.exact, later - value, arrived)
        return found

    def field(self, points: Points, index: int) -> tuple[Tensor, Tensor]:
        """The lower and upper ends (n,) of a field's pointwise intervals, as if it had arrived."""
        band = self.band(points, index)
        return band.low, band.high

    def band(self, points: Points, index: int) -> Band:
        """A field at points."""
        surrogate = self.residuals.surrogate
        known = dict(enumerate(surrogate.coefficients)).get(index)
        positive = known is not None and known.positive
        parts = []
        for value, gradients in self._gradients(points, index):
            if positive:
                ratio = torch.exp(self.margins(gradients / value[:, None]))
                low, high = value / ratio, value * ratio
            else:
                margins = self.margins(gradients)
                low, high = value - margins, value + margins
            parts.append((value, low, high, self.steps(gradients)))
        return Band(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _gradients(self, points: Points, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Chunks of a field's values (n,), and their gradients (n, P)."""
        surrogate = self.residuals.surrogate
        points = points.to(surrogate.low.dtype, surrogate.low.device)
        for start in range(0, len(points), CHUNK):
            chunk, tape = points[start : start + CHUNK], Tape(self.layers)
            with torch.enable_grad(), frozen(surrogate):
                value = surrogate.jet(chunk, Channels(points.names), tape).value[:, index]
            yield value.detach(), tape.jacobian(value)
