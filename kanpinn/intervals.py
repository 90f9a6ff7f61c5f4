"""What data tell of unknowns: 95% intervals from the Gauss–Newton Hessian at a solution."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.special import ndtri, stdtrit
from torch import Tensor

from kanpinn.blocks import Block, ResidualBlock
from kanpinn.geometry import Points
from kanpinn.jet import Channels
from kanpinn.linalg import column_scale, fold, rank_tolerance
from kanpinn.networks.constants import Constants
from kanpinn.networks.network import Layer, Tape, get_coefficients
from kanpinn.residuals import Residuals, frozen

CONFIDENCE = 0.95
BLIND = 1e-6  # a larger part of a quantity's gradient that no row sees leaves the quantity open
CHUNK = 2048


@dataclass(frozen=True)
class Estimated:
    """An unknown number with its 95% interval, infinite where the data do not determine it."""

    value: float
    low: float
    high: float
    exact: float | None = None  # where the problem knows it

    @property
    def is_identified(self) -> bool:
        """Whether the interval is finite."""
        return math.isfinite(self.high - self.low)

    def __str__(self) -> str:
        """ "0.02502 (95%: 0.02496 … 0.02508)"."""
        if not self.is_identified:
            return f"{self.value:.6g} (not determined by the data: any value may be right)"
        digits = _digits(self.value, self.high - self.low)
        low, value, high = (f"{x:.{digits}g}" for x in (self.low, self.value, self.high))
        return f"{value} (95%: {low} … {high})"


def _digits(value: float, width: float) -> int:
    """Significant digits that show an interval of this width with two of its own."""
    if not width or not value:
        return 6
    return min(max(2 + math.ceil(math.log10(abs(value) / width)), 3), 15)


@dataclass(frozen=True)
class Noise:
    """The standard deviation of the data, in their units or as a part of the given one.

    known: whether the problem gave it; else it is estimated from what the fit leaves of the data,
    with so many degrees of freedom (`freedom`).
    """

    deviation: float
    known: bool
    freedom: float

    def __str__(self) -> str:
        """ "intervals go by a noise of 0.0101, estimated with 198 degrees of freedom"."""
        if self.known:
            return "intervals go by the noise that the data are given with"
        if not math.isfinite(self.deviation):
            return "there are too few data to tell their noise: intervals are infinite"
        how = f"estimated with {self.freedom:.0f} degrees of freedom"
        return f"intervals go by a noise of {self.deviation:.3g}, {how} (Student's t)"

    @property
    def quantile(self) -> float:
        """Of the normal distribution, or of Student's t where the noise is estimated."""
        level = (1 + CONFIDENCE) / 2
        return float(ndtri(level) if self.known else stdtrit(self.freedom, level))


class Covariance:
    """How the coefficients that minimise the loss vary with the noise of the data.

    Of rows B of the data and all rows, the data's among them, with triangle R, the minimiser's
    covariance is H⁺ BᵀΣB H⁺, H = RᵀR and Σ that of the data's rows: right for any weight of the
    equation, and for a large one the inverse of Fisher's information of the data. It is applied by
    an SVD of R with columns of unit length; H itself would have the square of its condition.

    Args:
        residuals: at the solution.
        layers: whose coefficients were solved for.
        known: whether the data's residuals are divided by their noise.

    Reference: Seber and Wild, Nonlinear regression (1989), chapters 2 and 5; White (1980) for the
    sandwich.
    """

    def __init__(self, residuals: Residuals, layers: Sequence[Layer], known: bool) -> None:
        self.residuals, self.layers, self.known = residuals, list(layers), known
        matrix = residuals.model(self.layers).matrix
        self._scale = column_scale(matrix)
        _, s, vh = torch.linalg.svd(matrix / self._scale, full_matrices=False)
        kept = s > rank_tolerance(s.dtype) * s[0]
        self._singular, self._directions = s[kept], vh[kept]

    @cached_property
    def noise(self) -> Noise:
        """The data's noise."""
        if self.known:
            return Noise(1.0, True, math.inf)
        terms, blocks = self.residuals.terms(), self._measured
        squares = sum(terms[block.name] * block.rows for block in blocks)
        count = sum(block.rows * self._columns(block) for block in blocks)
        used = sum(float(part.square().sum()) for _, part in self._data)
        freedom = count - used
        deviation = math.sqrt(squares / freedom) if freedom >= 1 else math.inf if count else 0.0
        return Noise(deviation, False, max(freedom, 1.0))

    def margins(self, gradients: Tensor) -> Tensor:
        """Half-widths (q,) of the 95% intervals of quantities with these gradients, (q, P).

        They are infinite for what the rows leave open.
        """
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

    @cached_property
    def _data(self) -> list[tuple[float, Tensor]]:
        """For each block of data its scale in the loss, and a triangle of B R⁺."""
        found = []
        for block in self._measured:
            rows = Residuals(self.residuals.surrogate, [block]).rows(self.layers)
            projected = ((j / self._scale) @ self._directions.T / self._singular for j, _ in rows)
            part = fold((p, p.new_zeros(len(p))) for p in projected).matrix
            found.append((math.sqrt(block.weight / block.rows), part))
        return found

    @property
    def _measured(self) -> list[ResidualBlock]:
        blocks: Sequence[Block] = self.residuals.blocks
        return [block for block in blocks if isinstance(block, ResidualBlock) and block.measured]

    @torch.no_grad()
    def _columns(self, block: ResidualBlock) -> int:
        points = block.at(slice(0, 1))
        return block.residual(self.residuals.surrogate, points).shape[1]

    def numbers(self) -> dict[str, Estimated]:
        """The problem's unknown numbers."""
        constants = self.residuals.surrogate.network.constants
        if not isinstance(constants, Constants):
            return {}
        total, count = get_coefficients(self.layers).numel(), constants.coefficients.numel()
        gradients = torch.eye(total).to(self._scale)[total - count :]  # their layer is the last
        margins = self.margins(gradients)
        c = constants.coefficients.detach()
        found = {}
        for i, (name, unknown) in enumerate(constants.unknowns.items()):
            low, value, high = (
                float(unknown.value(x)) for x in (c[i] - margins[i], c[i], c[i] + margins[i])
            )
            found[name] = Estimated(value, low, high, unknown.exact)
        return found

    def field(self, points: Points, index: int) -> tuple[Tensor, Tensor]:
        """The lower and upper ends (n,) of a field's pointwise intervals."""
        surrogate = self.residuals.surrogate
        known = dict(enumerate(surrogate.coefficients)).get(index)
        ends = []
        for value, gradients in self._gradients(points, index):
            if known is not None and known.positive:
                ratio = torch.exp(self.margins(gradients / value[:, None]))
                ends.append((value / ratio, value * ratio))
            else:
                margins = self.margins(gradients)
                ends.append((value - margins, value + margins))
        lows, highs = zip(*ends, strict=True)
        return torch.cat(lows), torch.cat(highs)

    def _gradients(self, points: Points, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Chunks of a field's values (n,), and their gradients (n, P)."""
        surrogate = self.residuals.surrogate
        for start in range(0, len(points), CHUNK):
            chunk, tape = points[start : start + CHUNK], Tape(self.layers)
            with torch.enable_grad(), frozen(surrogate):
                value = surrogate.jet(chunk, Channels(points.names), tape).value[:, index]
            yield value.detach(), tape.jacobian(value)
