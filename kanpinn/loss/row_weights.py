"""Weights of the residual's rows at work: attention, balance, causality."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.distributed import share, summed, together
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.loss.weighting import WeightedTerm, Weighting, weighted
from kanpinn.networks.surrogate import Surrogate

REBALANCE = 100  # steps after which terms are balanced anew
SLICES = 32  # of time, for causal weights
REACHED = 0.99  # the least causal weight from which they become stricter, tenfold
BOUND = 1e6  # of a term's factor, or of its inverse
STRICTEST = 1e4  # times as strict as at first
SETTLED = 0.01  # weights that change by less than this part have settled


class RowWeights:
    """The weights at work: the loop updates them between steps, checkpoints keep their memory.

    time: the column of the coordinates that is time, for causal weights. Of several ranks each
    brings the residuals of its share of the rows.
    """

    def __init__(self, settings: Weighting, time: int | None) -> None:
        self.settings, self.time = settings, time
        self.attention: dict[str, Tensor] = {}
        self.factors: dict[str, float] = {}
        self.strictness = 1.0  # times ε
        self.scale: float | None = None  # the interior's mean squared residual at the start
        self.balanced: int | None = None  # the step at which the terms were
        self.settled = True
        self.latest = 1.0  # the least causal weight, by ε itself
        self.rows: dict[str, Tensor] = {}  # each term's weights, changed in place

    @property
    def following(self) -> bool:
        """Whether weights follow each row's residual, step by step."""
        return self.settings.attention is not None or self.settings.causal is not None

    def verdict(self) -> str | None:
        """Why what has converged for these weights has not converged; None where it has."""
        if self.latest > REACHED:
            return None
        return f"stopped: causal weights of late times are down to {self.latest:.2g}"

    def wrap(self, terms: Sequence[Term]) -> list[Term]:
        """The terms with even weights; attention to other points than these is forgotten."""
        self.attention.clear()
        self.rows = {b.name: b.points.coords.new_ones(b.rows) for b in terms}
        return [weighted(b, self.rows[b.name]) if isinstance(b, ResidualTerm) else b for b in terms]

    def update(
        self, residuals: Residuals, step: int, squares: Sequence[Tensor] | None = None
    ) -> None:
        """Follow the residuals of the present network; `squares`: `row_squares` of each term."""
        terms = [b for b in residuals.terms if isinstance(b, WeightedTerm)]
        if self.settings.balance and (self.balanced is None or step - self.balanced >= REBALANCE):
            self.factors, self.balanced = self._balance(residuals.surrogate, terms), step
        changes = [0.0]
        for index, term in enumerate(terms):
            weights = torch.ones_like(term.row_weights)
            if self.following:
                known = row_squares(residuals, term) if squares is None else squares[index]
                weights = self._attend(term, known) * self._in_order(term, known)
            weights = weights * self.factors.get(term.name, 1.0)
            if self.following:
                change = (weights - term.row_weights).abs().max() / weights.abs().max()
                changes.append(float(change))
            term.row_weights.copy_(weights)
        self.settled = max(changes) <= SETTLED

    def _attend(self, term: WeightedTerm, squares: Tensor) -> Tensor:
        memory = self.settings.attention
        if memory is None:
            return torch.ones_like(squares)
        size = squares.sqrt()
        part = size / size.max().clamp_min(torch.finfo(size.dtype).tiny)
        known = self.attention.get(term.name, torch.ones_like(part))
        found = memory * known + (1 - memory) * part
        self.attention[term.name] = found
        return found.square() / found.square().mean()

    def _in_order(self, term: WeightedTerm, squares: Tensor) -> Tensor:
        """Causal weights of the interior's rows, ones elsewhere."""
        if self.settings.causal is None or term.name != "interior":
            return torch.ones_like(squares)
        if self.scale is None:
            self.scale = float(squares.mean())
        assert self.time is not None
        times = term.points.coords[:, self.time]
        edges = torch.quantile(times, torch.arange(1, SLICES).to(times) / SLICES)
        slices = torch.searchsorted(edges, times.contiguous(), right=True)
        counts = torch.bincount(slices, minlength=SLICES).clamp_min(1)
        means = torch.bincount(slices, squares, SLICES) / counts / (self.scale or 1.0)
        earlier = (means.cumsum(0) - means) / SLICES
        weights = torch.exp(-float(self.settings.causal) * self.strictness * earlier)
        self.latest = float(weights.min()) ** (1 / self.strictness)
        if float(weights.min()) > REACHED:
            self.strictness = min(10 * self.strictness, STRICTEST)
        return weights[slices].to(squares)

    def _balance(self, surrogate: Surrogate, terms: Sequence[WeightedTerm]) -> dict[str, float]:
        measure = _trace if self.settings.balance == "ntk" else _slope
        found = {b.name: measure(_alone(surrogate, b)) for b in terms}
        first = found.get("interior", max(found.values(), default=1.0))
        if not first > 0:  # no equation to be brought to scale with
            return dict.fromkeys(found, 1.0)
        return {
            name: min(max(first / size, 1 / BOUND), BOUND) if size > 0 else 1.0
            for name, size in found.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        names = ("factors", "strictness", "scale", "balanced", "settled", "latest")
        kept = {name: getattr(self, name) for name in names}
        return kept | {"attention": dict(self.attention), "rows": dict(self.rows)}

    def load_state_dict(self, state: dict[str, Any], terms: Sequence[Term]) -> None:
        """Take up a state that belongs to these terms, whose weights come with it."""
        for name in state.keys() - {"attention", "rows"}:
            setattr(self, name, state[name])
        like = {b.name: b.points.coords for b in terms}
        self.attention = {name: t.to(like[name]) for name, t in state["attention"].items()}
        for name, weights in state["rows"].items():
            self.rows[name].copy_(weights)


def _alone(surrogate: Surrogate, term: WeightedTerm) -> Residuals:
    """The term by itself, without weights."""
    even = torch.ones_like(term.row_weights)
    return Residuals(surrogate, [weighted(replace(term, weight=1.0), even)])


def _trace(residuals: Residuals) -> float:
    """The mean over the rows of ‖∂r/∂coefficients‖²."""
    layers = residuals.surrogate.network.all_layers
    zero = torch.zeros((), dtype=torch.float64)
    with together():
        squares = (jacobian.double().square().sum() for jacobian, _ in residuals.rows(layers))
        total = sum(squares, zero)
    return float(summed([total])[0])


def _slope(residuals: Residuals) -> float:
    """The length of the mean squared residual's gradient."""
    residuals.backward()
    parameters = [p for p in residuals.surrogate.parameters() if p.grad is not None]
    total = sum(float(p.grad.square().sum()) for p in parameters if p.grad is not None)
    for p in parameters:
        p.grad = None
    return total**0.5


@torch.no_grad()
def row_squares(residuals: Residuals, term: ResidualTerm) -> Tensor:
    """Each row's squared residual, summed over the equations, (rows,); those of all ranks."""
    full = term.points.coords.new_zeros(term.rows)
    with together():
        chunks = residuals.chunks(term)
        parts = [term.residual(residuals.surrogate, p).square().sum(dim=1) for p in chunks]
        full[share(term.rows)] = torch.cat(parts) if parts else full[:0]
    return summed([full])[0]
