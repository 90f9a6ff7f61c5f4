"""The covariance of the coefficients, and the confidence bounds computed from it."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.accuracy.confidence.estimates import Estimated, EstimatedField, Noise, is_small
from kanpinn.geometry import Domain, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels
from kanpinn.linalg.triangle import column_scale, rank_tolerance
from kanpinn.linalg.tsqr import fold
from kanpinn.loss.residuals import Residuals, frozen
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.layer import Layer, Tape, get_coefficients
from kanpinn.networks.network import Network


class Covariance:
    """The covariance of the coefficients that minimise the loss, due to the noise of the data.

    Let B be the rows of the Jacobian that belong to the data, Σ the covariance of their noise, and
    R the triangular factor of all rows. Then the minimiser's covariance is H⁺ BᵀΣB H⁺ with H = RᵀR.
    It is valid for any weight of the equation; for a large weight it is the inverse of the data's
    Fisher information. It is applied by an SVD of R with columns scaled to unit length, as H would
    have the square of R's condition number.

    The covariance is valid at the minimum of the loss. The Gauss–Newton step -H⁺ Jᵀr, computed from
    the same R, estimates the distance of the solution from the minimum.

    Args:
        residuals: the residuals at the solution.
        output_only: True if only the coefficients of the output layers were solved for.
        known: True if the data's residuals are divided by a given standard deviation of the noise.

    Reference: Seber and Wild, Nonlinear regression (1989), chapters 2 and 5; White (1980) for the
    sandwich.
    """

    def __init__(self, residuals: Residuals, output_only: bool, known: bool) -> None:
        self.residuals, self.known = _sufficient(residuals, output_only), known
        self.layers = _chosen_layers(self.residuals.surrogate.network, output_only)
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

        They are 0 at the minimum of the loss, with noise or without, and NaN if the factorisation
        failed.

        Args:
            gradients: derivatives of the quantities by the P coefficients, (q, P).
        """
        if self.failure:
            return gradients.new_full((len(gradients),), torch.nan)
        seen = (gradients / self._scale) @ self._directions.T
        return -(seen / self._singular) @ self._projected

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

    def numbers(self) -> dict[str, Estimated]:
        """Return the problem's unknown numbers with their confidence bounds, by name."""
        constants = self.residuals.surrogate.network.constants
        if constants is None:
            return {}
        c = constants.coefficients.detach()
        total = get_coefficients(self.layers).numel()
        gradients = torch.eye(total).to(c)[total - len(c) :]  # the constants are the last layer
        margins, steps = self.margins(gradients), self.steps(gradients)
        found = {}
        for i, (name, unknown) in enumerate(constants.unknowns.items()):
            arrived = is_small(float(steps[i]), float(margins[i]), float(c[i]))
            margin = margins[i] if arrived else torch.full_like(c[i], torch.inf)
            places = (c[i], c[i] - margin, c[i] + margin, c[i] + steps[i])
            value, low, high, later = (float(unknown.value(x)) for x in places)
            found[name] = Estimated(value, low, high, unknown.exact, later - value, arrived)
        return found

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
                ratio = torch.exp(self.margins(gradients / value[:, None]))
                low, high = value / ratio, value * ratio
            else:
                margins = self.margins(gradients)
                low, high = value - margins, value + margins
            parts.append((value, low, high, self.steps(gradients)))
        return EstimatedField(*(torch.cat(column) for column in zip(*parts, strict=True)))

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


def _chosen_layers(network: Network, output_only: bool) -> list[Layer]:
    """Return the layers whose coefficients are solved for."""
    return network.output_layers if output_only else network.all_layers


def _sufficient(residuals: Residuals, output_only: bool) -> Residuals:
    """Return the residuals, or a copy in double precision with enough rows.

    In single precision, rounding hides directions on which no row depends. With fewer than about
    two rows per coefficient, the network is undetermined between the collocation points. It could
    then follow the noise of the data, which would not determine the unknowns, even though the
    optimizer did not overfit. In this case the equation gets new collocation points.
    """
    surrogate, terms = residuals.surrogate, list(residuals.terms)
    if (like := surrogate.low).dtype != torch.float64:
        surrogate = copy.deepcopy(surrogate).to(torch.float64)
        terms = [replace(b, points=b.points.to(torch.float64, like.device)) for b in terms]
    few = _few(residuals, _chosen_layers(surrogate.network, output_only))
    first, domain = terms[0], surrogate.domain
    if few and type(first) is ResidualTerm and not first.measured and isinstance(domain, Domain):
        terms[0] = replace(first, points=_fresh(domain, few).to(torch.float64, like.device))
    return residuals if terms == list(residuals.terms) else Residuals(surrogate, terms)


def _few(residuals: Residuals, layers: Sequence[Layer]) -> int:
    """Return the number of points that the equation needs if there are too few rows; else 0."""
    enough = 2 * sum(layer.coefficients.numel() for layer in layers)
    rows = sum(term.rows * term.equations(residuals.surrogate) for term in residuals.terms)
    return 0 if rows >= enough else enough


def _fresh(domain: Domain, count: int) -> Points:
    return sample(domain, count, "gauss" if domain.dim <= 3 else "sobol")
