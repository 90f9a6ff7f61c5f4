"""Weights of the residual's rows that follow the residual: attention, balance, causality."""

from dataclasses import dataclass, field
from typing import cast
from weakref import WeakKeyDictionary

from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn.geometry import Points
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.network import Tape
from kanpinn.networks.surrogate import Surrogate

BALANCES = ("ntk", "gradients")


@dataclass(frozen=True)
class Weighting:
    """Weights of the residual's rows, beside those of the loss terms; None: none of that kind.

    They are part of what optimizers minimise; the losses that are reported are without them.

    Measured by scripts/sharp_features.py, relative L2 errors, medians of three seeds: balance pays
    with L-BFGS and penalised data (0.68 without, 0.13 with "ntk", 0.14 with "gradients"). Attention
    does not with Levenberg–Marquardt for a peak (4e-3 without, 7e-3 with γ = 0.99, 8e-3 with 0.9),
    and causal weights change nothing with Newton's steps for a front (4e-3 with ε = 1 or 10 and
    without).

    Args:
        attention: the memory γ in (0, 1) of residual-based attention, λ ← γ λ + (1 - γ) |r|/max |r|
            in each term after every step, squares weighed by λ² / mean λ². It starts from even
            weights, and anew for other points: γ = 0.999 suits thousands of small steps, 0.9 a
            dozen of Gauss–Newton's.
        balance: how terms are brought to one scale, at the start and every 100 steps, with the
            interior's weight as it is: "ntk" gives each the same mean square of its Jacobian's
            rows, the trace of its neural tangent kernel, which is how a least-squares problem is
            equilibrated; "gradients" the same length of its gradient. Factors stay within 10⁻⁶
            and 10⁶.
        causal: ε of exp(-ε Σ L), the sum over the earlier of 32 slices of time, L their mean
            squared residuals relative to that of all at the start, over the number of slices. Where
            the least weight exceeds 0.99, ε grows tenfold, 10⁴ times at most; before it does no
            optimizer has converged. Unlike the paper's, L has no part of the initial data: where
            these are penalised they count like other conditions.

    Raises:
        InputError: for a value that is none of these.

    Reference: Anagnostopoulos et al., Residual-based attention in physics-informed neural networks
    (2024); Wang, Teng and Perdikaris (2021) for gradients, Wang, Yu and Perdikaris (2022) for the
    kernel; Wang, Sankaran and Perdikaris, Respecting causality for training physics-informed neural
    networks (2024).
    """

    attention: float | int | None = None
    balance: str | None = None
    causal: float | int | None = None

    def __post_init__(self) -> None:
        if self.attention is not None:
            number("attention", self.attention, above=True)
        if self.attention is not None and self.attention >= 1:
            raise InputError(f"attention must be between 0 and 1, got {self.attention!r}")
        if self.balance is not None and self.balance not in BALANCES:
            raise InputError(f"balance must be one of {', '.join(BALANCES)}, got {self.balance!r}")
        if self.causal is not None:
            number("causal", self.causal, above=True)

    @property
    def any(self) -> bool:
        """Whether there is anything to weigh by."""
        return (self.attention, self.balance, self.causal) != (None, None, None)


@dataclass(frozen=True, eq=False)
class WeightedTerm(ResidualTerm):
    """A term whose rows have weights: weight · mean over its rows of w · squared residual.

    row_weights: (rows,), changed in place.
    """

    row_weights: Tensor = field(kw_only=True)
    _of: WeakKeyDictionary[Points, Tensor] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )

    def at(self, rows: slice) -> Points:
        points = super().at(rows)
        self._of[points] = self.row_weights[rows]
        return points

    def chosen(self, rows: Tensor) -> Term:
        plain = super().chosen(rows)
        return weighted(cast(ResidualTerm, plain), self.row_weights[rows])

    def plain(self, surrogate: Surrogate, points: Points) -> Tensor:
        return super().total(surrogate, points)

    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        squares = self.residual(surrogate, points).square().sum(dim=1)
        return (self._of[points] * squares).sum()

    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        root = self._of[points].sqrt()[:, None]
        return root * self.residual(surrogate, points, tape)


def weighted(term: ResidualTerm, row_weights: Tensor) -> WeightedTerm:
    """The term with weights of its rows."""
    names = ("name", "points", "weight", "channels", "equation", "sites")
    return WeightedTerm(**{name: getattr(term, name) for name in names}, row_weights=row_weights)
