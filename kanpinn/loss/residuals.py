"""The loss of a problem for one surrogate: its value, its gradient and its Jacobian, row by row."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from kanpinn._support.distributed import share, summed, together
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.linalg.triangle import Fold, Triangle
from kanpinn.loss.terms import Term
from kanpinn.networks.network import Layer, Tape, get_coefficients
from kanpinn.networks.surrogate import Surrogate


@runtime_checkable
class Family(Protocol):
    """A problem that depends on parameters: its loss can be had for other values of them."""

    def parameter(self, name: str) -> float:
        """The problem's own value of a parameter."""

    def varied(self, name: str, value: float) -> Sequence[Term]:
        """The loss's terms with another value of the parameter, at the same points."""


class Residuals:
    """The loss: Σ over its terms of weight · factor · mean ‖r‖², for one surrogate.

    A term may be an energy's mean in place of a mean square (`EnergyTerm`). Everything runs over
    batches of points, so that memory is bounded by the batch. Of several ranks each goes over its
    share of every term's points (`term.points` are all of them); loss and gradient are of all.

    Args:
        surrogate: whose coefficients the loss is a function of.
        terms: with names that differ.
        family: gives the terms for other values of the problem's parameters; None where the loss
            does not come from a problem.

    most_entries: of one batch's Jacobian, which bounds the memory (2²³ numbers are 64 MiB).
    """

    most_entries: ClassVar[int] = 2**23

    def __init__(
        self, surrogate: Surrogate, terms: Sequence[Term], family: Family | None = None
    ) -> None:
        self.surrogate, self.terms, self.family = surrogate, tuple(terms), family
        self._batches: dict[str, tuple[slice, int, list[Batch]]] = {}

    def batches(self, term: Term) -> list[Batch]:
        """This rank's points of a term in pieces: the same objects in every evaluation.

        A piece's Jacobian stays below 2²⁰ entries where that leaves 1024 rows or more: memory that
        is still mapped is used again, which is faster. Pieces of less than 256 rows do not pay.
        """
        own = share(term.rows)
        count = own.stop - own.start
        entries = self.surrogate.network.parameter_count * term.sites  # of one row
        most = max(256, min(4096, max(1024, 2**20 // entries), self.most_entries // entries))
        size = max(1, math.ceil(count / max(1, math.ceil(count / most))))
        known = self._batches.get(term.name)
        # By the size as well: after a refinement sums must not depend on what the network was.
        if known is None or known[:2] != (own, size):
            starts = range(own.start, own.stop, size)
            made = [Batch.made_of(term.at(slice(i, min(i + size, own.stop)))) for i in starts]
            known = self._batches[term.name] = own, size, made
        return known[2]

    @property
    def points(self) -> Points:
        """This rank's points of all terms together."""
        coords = torch.cat([term.at(share(term.rows)).coords for term in self.terms])
        return Points(coords, self.surrogate.domain.names)

    def subset(self, count: int, seed: int) -> "Residuals":
        """The same loss estimated on about `count` rows, a random choice of each term's."""
        generator = torch.Generator().manual_seed(seed)
        part = min(1.0, count / sum(term.rows for term in self.terms))
        terms = []
        for term in self.terms:
            rows = torch.randperm(term.rows, generator=generator)
            rows = rows[: math.ceil(part * len(rows))].to(term.points.coords.device)
            terms.append(term.chosen(rows))
        return Residuals(self.surrogate, terms)

    def with_factors(self, factors: Mapping[str, float]) -> "Residuals":
        """The same loss with other factors of its terms, by their names."""
        terms = [replace(term, factor=factors.get(term.name, 1.0)) for term in self.terms]
        return Residuals(self.surrogate, terms, self.family)

    @torch.no_grad()
    def term_values(self) -> dict[str, float]:
        """Each term's mean squared residual, or mean energy, by name: without weight and factor."""
        surrogate = self.surrogate
        with together():
            sums = [
                sum(float(term.total(surrogate, batch)) for batch in self.batches(term))
                for term in self.terms
            ]
        (totals,) = summed([torch.tensor(sums, dtype=torch.float64)])
        both = zip(self.terms, totals.tolist(), strict=True)
        return {term.name: total / term.rows for term, total in both}

    def loss(self) -> float:
        """What optimizers minimise: Σ weight · factor · mean, at the present coefficients."""
        values = self.term_values()
        return sum(term.weight * term.factor * values[term.name] for term in self.terms)

    def plain_loss(self) -> float:
        """What is reported: the loss without the factors of a balance."""
        values = self.term_values()
        return sum(term.weight * values[term.name] for term in self.terms)

    def backward(self) -> float:
        """The loss; its gradient becomes the parameters' `grad`."""
        parameters = [p for p in self.surrogate.parameters() if p.requires_grad]
        value = parameters[0].new_zeros((), dtype=torch.float64)
        with together():
            for p in parameters:
                p.grad = None
            for term in self.terms:
                scale = term.weight * term.factor / term.rows
                for batch in self.batches(term):
                    part = scale * term.total(self.surrogate, batch)
                    part.backward()
                    value += part.detach()
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        value, *gradients = summed([value, *own])
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        return float(value)

    @property
    def are_squares(self) -> bool:
        """Whether the loss is a sum of squares, without an energy."""
        return all(term.squares for term in self.terms)

    def model(self, layers: Sequence[Layer]) -> Triangle:
        """The loss for a change d of the layers' coefficients to second order: a quadratic in d.

        Returns:
            ‖R d + z‖² + constant as a `Triangle`; for squared residuals that is Gauss and Newton's.
        """
        fold = Fold()
        with together():
            for jacobian, residual in self.rows(layers):
                fold.add(jacobian, residual)
        triangle = fold.total()
        if self.are_squares:
            return triangle
        if all(term.has_slope for term in self.terms):
            return replace(triangle, constant=self.loss() - triangle.loss())
        loss = self.backward()
        gradients = [layer.coefficients.grad for layer in layers]
        assert all(gradient is not None for gradient in gradients)
        return triangle.towards(torch.cat([g.flatten() for g in gradients if g is not None]), loss)

    def rows(self, layers: Sequence[Layer]) -> Iterator[tuple[Tensor, Tensor]]:
        """The weighted rows of the loss, batch by batch: Σ r² is the loss, J = ∂r/∂coefficients.

        Of an energy J is a root of half its Hessian, and r is of no use. Of several ranks each gets
        its own rows; a rank without points gets one batch without rows.

        Yields:
            J (n, coefficients of the layers) and r (n,).
        """
        if not any(self.batches(term) for term in self.terms):
            coefficients = get_coefficients(layers)
            yield coefficients.new_zeros(0, len(coefficients)), coefficients.new_zeros(0)
        for term in self.terms:
            scale = math.sqrt(term.weight * term.factor / term.rows)
            for batch in self.batches(term):
                tape = Tape(layers)
                with torch.enable_grad(), frozen(self.surrogate):
                    residual = term.linearised(self.surrogate, batch, tape)
                for e in range(residual.shape[1]):
                    retain = e + 1 < residual.shape[1]
                    jacobian = tape.jacobian(residual[:, e], scale, retain, term.sites)
                    yield jacobian, scale * residual[:, e].detach().to(jacobian)


@contextmanager
def frozen(module: torch.nn.Module) -> Iterator[None]:
    """Parameters take no gradient inside: the tape needs ∂r/∂(products) only."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)
