"""The loss of a problem for one surrogate: its value, its gradient and its Jacobian.

A penalty for boundary data competes with the residual of the equation. The residual contains
derivatives of the network, and so is far more sensitive to the network's coefficients.
`balance_factors` gives a factor for each term of the loss, which brings all terms to one scale.

Reference: Wang, Teng and Perdikaris, Understanding and mitigating gradient flow pathologies in
physics-informed neural networks (2021), for gradients; Wang, Yu and Perdikaris, When and why PINNs
fail to train: a neural tangent kernel perspective (2022), for the kernel.
"""

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
from kanpinn.linalg.qr import Fold, TriangularFactor
from kanpinn.loss.terms import Term
from kanpinn.networks.layer import Layer, Tape, get_coefficients
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem


@runtime_checkable
class ProblemFamily(Protocol):
    """A problem with parameters, which gives loss terms also for other values of the parameters."""

    @property
    def problem(self) -> BoundaryValueProblem:
        """The problem."""

    @property
    def counted(self) -> Sequence[int]:
        """The indices of the fields that error norms include."""

    def parameter(self, name: str) -> float:
        """The value that a parameter has in the problem."""

    def varied(self, name: str, value: float) -> Sequence[Term]:
        """The loss terms for another value of the parameter, at the same collocation points.

        Args:
            name: the name of the parameter.
            value: the other value.
        """


class Residuals:
    """The loss of one surrogate: Σ over its terms of weight · factor · mean ‖r‖².

    A term may be the mean of an energy density in place of a mean square (`EnergyTerm`). All sums
    run over batches of points, so that the size of a batch bounds the memory. With several ranks
    (processes), each rank evaluates its share of the points of every term (`term.points` holds the
    points of all ranks); loss and gradient are summed over all ranks.

    Args:
        surrogate: the network whose coefficients are the arguments of the loss.
        terms: the terms of the loss; their names must differ.
        family: gives the terms for other values of the problem's parameters; None for a loss
            without a problem.

    Attributes:
        are_squares: whether every term of the loss is a mean of squares, which an energy is not.
        most_entries: the largest number of entries in the Jacobian of one batch, which bounds the
            memory (2²³ float64 entries are 64 MiB).
    """

    most_entries: ClassVar[int] = 2**23

    def __init__(
        self, surrogate: Surrogate, terms: Sequence[Term], family: ProblemFamily | None = None
    ) -> None:
        self.surrogate, self.terms, self.family = surrogate, tuple(terms), family
        self.are_squares = all(term.squares for term in self.terms)
        self._batches: dict[str, tuple[slice, int, list[Batch]]] = {}

    def batches(self, term: Term) -> list[Batch]:
        """This rank's points of a term, in batches that every evaluation uses again.

        A batch has at most 1024 rows, or up to 4096 if its Jacobian has at most 2²⁰ entries then:
        a larger Jacobian would need newly mapped memory, which is slower. If 1024 rows have more
        than `most_entries` entries, a batch has fewer rows, but at least 256, since smaller batches
        are slow.
        """
        part = share(term.rows)
        count = part.stop - part.start
        entries = self.surrogate.network.parameter_count * term.sites  # entries of one row
        most = max(256, min(4096, max(1024, 2**20 // entries), self.most_entries // entries))
        size = max(1, math.ceil(count / max(1, math.ceil(count / most))))
        known = self._batches.get(term.name)
        # Known batches of another size are not used, so that after a refinement the order of
        # summation does not depend on the number of parameters that the network had before.
        if known is None or known[:2] != (part, size):
            starts = range(part.start, part.stop, size)
            made = [Batch.made_of(term.at(slice(i, min(i + size, part.stop)))) for i in starts]
            known = self._batches[term.name] = part, size, made
        return known[2]

    @property
    def points(self) -> Points:
        """This rank's points of all terms, in the order of the terms."""
        coords = torch.cat([term.at(share(term.rows)).coords for term in self.terms])
        return Points(coords, self.surrogate.domain.names)

    def subset(self, count: int, seed: int) -> "Residuals":
        """The loss at a random subset of the rows of every term, as an estimate of the loss.

        Args:
            count: the approximate number of rows in all.
            seed: the seed of the choice.
        """
        generator = torch.Generator().manual_seed(seed)
        part = min(1.0, count / sum(term.rows for term in self.terms))
        terms = []
        for term in self.terms:
            rows = torch.randperm(term.rows, generator=generator)
            rows = rows[: math.ceil(part * len(rows))].to(term.points.coords.device)
            terms.append(term.chosen(rows))
        return Residuals(self.surrogate, terms)

    def with_factors(self, factors: Mapping[str, float]) -> "Residuals":
        """A copy of the loss with other factors of its terms.

        Args:
            factors: the factors by term name; the factor of other terms is 1.
        """
        terms = [replace(term, factor=factors.get(term.name, 1.0)) for term in self.terms]
        return Residuals(self.surrogate, terms, self.family)

    @torch.no_grad()
    def term_values(self) -> dict[str, float]:
        """The mean squared residual, or mean energy, of each term by name, without weights."""
        surrogate = self.surrogate
        with together():
            sums = [
                sum(float(term.total(surrogate, batch)) for batch in self.batches(term))
                for term in self.terms
            ]
        (totals,) = summed([torch.tensor(sums, dtype=torch.float64)])
        both = zip(self.terms, totals.tolist(), strict=True)
        return {term.name: total / term.rows for term, total in both}

    def loss(self, *, reported: bool = False) -> float:
        """The loss at the present coefficients.

        Args:
            reported: False for the loss that optimizers minimise, Σ weight · factor · mean; True
                for the loss in reports, Σ weight · mean, without the factors of a balance.
        """
        values = self.term_values()
        return sum(
            term.weight * (1.0 if reported else term.factor) * values[term.name]
            for term in self.terms
        )

    def backward(self) -> float:
        """Return the loss, and store its gradient in the `grad` of the surrogate's parameters."""
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
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        value, *gradients = summed([value, *parts])
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        return float(value)

    def model(self, layers: Sequence[Layer]) -> TriangularFactor:
        """A quadratic model of the loss in a change d of the layers' coefficients.

        Args:
            layers: the layers whose coefficients change.

        Returns:
            The model ‖R d + z‖² + constant, with R (k, p) and z (k,) for p coefficients. For
            squared residuals it is the Gauss–Newton model.
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
        """Yield weighted residuals r of the loss and their Jacobian, by batches: Σ r² is the loss.

        For an energy term, JᵀJ is half the energy's Hessian, and r must not be used. With several
        ranks (processes), each rank gets the residuals of its points. If there are none, for
        example without points or for an energy without curvature, one empty batch is yielded.

        Args:
            layers: the layers whose coefficients are the columns of J.

        Yields:
            J (n, coefficients of the layers) and r (n,).
        """
        empty = True
        for term in self.terms:
            scale = math.sqrt(term.weight * term.factor / term.rows)
            for batch in self.batches(term):
                tape = Tape(layers)
                with torch.enable_grad(), frozen(self.surrogate):
                    residual = term.linearised(self.surrogate, batch, tape)
                for e in range(residual.shape[1]):
                    retain = e + 1 < residual.shape[1]
                    jacobian = tape.jacobian(residual[:, e], scale, retain, term.sites)
                    empty = False
                    yield jacobian, scale * residual[:, e].detach().to(jacobian)
        if empty:
            coefficients = get_coefficients(layers)
            yield coefficients.new_zeros(0, len(coefficients)), coefficients.new_zeros(0)


@contextmanager
def frozen(module: torch.nn.Module) -> Iterator[None]:
    """Switch off the gradients of a module's parameters in the context.

    A `Tape` does not need them: it differentiates by the outputs of the layers.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


BALANCES = ("ntk", "gradients")


def balance_factors(residuals: Residuals, by: str, bound: float = 1e6) -> dict[str, float]:
    """The balancing factor of each term by its name, at the network's present coefficients.

    The factor of a term is the size of the term "interior" divided by the size of the term, where
    `by` says how sizes are measured. Without a term "interior" the largest size takes its place.

    Args:
        residuals: the loss; all its terms are means of squared residuals.
        by: "ntk" makes the mean squared row of the Jacobian equal for all terms (it is the trace
            of the term's neural tangent kernel divided by its number of rows); "gradients" makes
            the norm of the gradient of the mean square equal for all terms.
        bound: factors are clipped to [1 / bound, bound].

    Returns:
        The factors; 1 for the interior, and for a term whose Jacobian or gradient is zero. All
        factors are 1 if the size of the interior is zero.
    """
    sizes = {}
    for term in residuals.terms:
        alone = Residuals(residuals.surrogate, [replace(term, weight=1.0, factor=1.0)])
        if by == "ntk":  # the mean of ‖∂r/∂coefficients‖² over the rows
            total = torch.zeros((), dtype=torch.float64)
            with together():
                for jacobian, _ in alone.rows(alone.surrogate.network.all_layers):
                    total = total + jacobian.double().square().sum().cpu()
            sizes[term.name] = float(summed([total])[0])
        else:  # the norm of the gradient of mean ‖r‖² by all trainable coefficients
            alone.backward()
            gradients = [p.grad for p in alone.surrogate.parameters() if p.grad is not None]
            for p in alone.surrogate.parameters():
                p.grad = None
            sizes[term.name] = sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5
    first = sizes.get("interior", max(sizes.values(), default=1.0))
    if not first > 0:  # a constant residual of the equation gives no scale for other terms
        return dict.fromkeys(sizes, 1.0)
    return {
        name: min(max(first / size, 1 / bound), bound) if size > 0 else 1.0
        for name, size in sizes.items()
    }
