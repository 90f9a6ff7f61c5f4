"""The autograd residual module: problem + surrogate + points → weighted residual terms → loss."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from kanpinn._support.distributed import share, summed, together
from kanpinn.geometry import Points
from kanpinn.linalg.triangle import Fold, Triangle
from kanpinn.loss.terms import Term
from kanpinn.networks.network import Layer, Tape, get_coefficients
from kanpinn.networks.surrogate import Surrogate

MIN_ROWS, MAX_ROWS = 256, 4096
MAX_ENTRIES = 2**23  # of one chunk's Jacobian
FAST_ROWS, FAST_ENTRIES = 1024, 2**20  # small chunks use memory again that is still mapped


@runtime_checkable
class Family(Protocol):
    """A problem with its parameters, of which residuals are those for one value."""

    def parameter(self, name: str) -> float:
        """The problem's own value of one."""

    def varied(self, name: str, value: float) -> Sequence[Term]:
        """The terms with another value of it, at the same points."""


class Residuals:
    """The weighted residual terms of a problem for one surrogate.

    The loss is Σ_terms weight · mean_p ‖r_p‖², the poster's α·loss_i + loss_b, or has an energy's
    mean for the first of them (`EnergyTerm`). Everything runs over chunks of points, so memory is
    bounded by the chunk. Of several ranks each goes over its share of every term's points
    (`term.points` are all of them); loss and gradient are of all. `family`: what makes terms for
    other values of the problem's parameters, where there is a problem.
    """

    def __init__(
        self, surrogate: Surrogate, terms: Sequence[Term], family: Family | None = None
    ) -> None:
        self.surrogate, self.terms, self.family = surrogate, tuple(terms), family
        self._chunks: WeakKeyDictionary[Term, tuple[slice, int, list[Points]]] = WeakKeyDictionary()

    def chunks(self, term: Term) -> list[Points]:
        """This rank's points in pieces, always the same objects: values can be kept for them."""
        own = share(term.rows)
        rows = _chunk_size(
            own.stop - own.start, self.surrogate.network.parameter_count * term.sites
        )
        # By size too: after a refinement sums must not depend on what the network was before.
        if (known := self._chunks.get(term)) is None or known[:2] != (own, rows):
            starts = range(own.start, own.stop, rows)
            known = own, rows, [term.at(slice(i, min(i + rows, own.stop))) for i in starts]
            self._chunks[term] = known
        return known[2]

    @property
    def points(self) -> Points:
        """This rank's points of all terms together."""
        coords = torch.cat([b.at(share(b.rows)).coords for b in self.terms])
        return Points(coords, self.surrogate.domain.names)

    def subset(self, count: int, seed: int) -> "Residuals":
        """The same loss estimated on about `count` points, a random choice from each term."""
        generator = torch.Generator().manual_seed(seed)
        part = min(1.0, count / sum(term.rows for term in self.terms))
        terms = []
        for term in self.terms:
            rows = torch.randperm(term.rows, generator=generator)
            rows = rows[: math.ceil(part * len(rows))].to(term.points.coords.device)
            terms.append(term.chosen(rows))
        return Residuals(self.surrogate, terms)

    def term_values(self) -> dict[str, float]:
        """Each term's mean squared residual, without its weight and those of its rows."""
        return self._means(lambda term, p: term.plain(self.surrogate, p))

    @torch.no_grad()
    def _means(self, total: Callable[[Term, Points], Tensor]) -> dict[str, float]:
        with together():
            squares = [sum(float(total(b, p)) for p in self.chunks(b)) for b in self.terms]
        (sums,) = summed([torch.tensor(squares, dtype=torch.float64)])
        return {b.name: s / b.rows for b, s in zip(self.terms, sums.tolist(), strict=True)}

    def loss(self) -> float:
        """Σ weight · mean squared residual, at the present coefficients, its rows weighed."""
        return self._weighed(self._means(lambda term, p: term.total(self.surrogate, p)))

    def plain_loss(self) -> float:
        """The loss without weights of the rows."""
        return self._weighed(self.term_values())

    def _weighed(self, values: Mapping[str, float]) -> float:
        return sum(term.weight * values[term.name] for term in self.terms)

    def backward(self) -> float:
        """The loss; its gradient becomes the parameters' `grad`."""
        parameters = [p for p in self.surrogate.parameters() if p.requires_grad]
        for p in parameters:
            p.grad = None
        with together():
            own = parameters[0].new_tensor(self._backward(), dtype=torch.float64)
        partial = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        loss, *gradients = summed([own, *partial])
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        return float(loss)

    def _backward(self) -> float:
        total = 0.0
        for term in self.terms:
            for points in self.chunks(term):
                loss = term.weight / term.rows * term.total(self.surrogate, points)
                loss.backward()
                total += float(loss.detach())
        return total

    @property
    def are_squares(self) -> bool:
        """Whether the loss is a sum of squares, without an energy."""
        return all(term.squares for term in self.terms)

    def model(self, layers: Sequence[Layer]) -> Triangle:
        """‖R d + z‖² + constant, the loss for a change d of the coefficients to second order."""
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
        """Chunks (J, r) of weighted rows with Σ r² = loss, J = ∂r/∂coefficients of the layers.

        Of an energy J is a root of half its Hessian, and r is of no use.

        Of several ranks each gets its own rows; a rank without points gets a chunk of none.
        """
        if not any(self.chunks(term) for term in self.terms):
            coefficients = get_coefficients(layers)
            yield coefficients.new_zeros(0, len(coefficients)), coefficients.new_zeros(0)
        for term in self.terms:
            scale = math.sqrt(term.weight / term.rows)
            for points in self.chunks(term):
                tape = Tape(layers)
                with torch.enable_grad(), frozen(self.surrogate):
                    residual = term.linearised(self.surrogate, points, tape)
                for e in range(residual.shape[1]):
                    retain = e + 1 < residual.shape[1]
                    jacobian = tape.jacobian(residual[:, e], scale, retain, term.sites)
                    yield jacobian, scale * residual[:, e].detach().to(jacobian)


def _chunk_size(points: int, parameters: int) -> int:
    most = min(MAX_ROWS, max(FAST_ROWS, FAST_ENTRIES // parameters), MAX_ENTRIES // parameters)
    chunks = math.ceil(points / max(MIN_ROWS, most))
    return max(1, math.ceil(points / max(1, chunks)))


class frozen:
    """Parameters take no gradient inside: the tape needs ∂r/∂(products) only."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._parameters = [p for p in module.parameters() if p.requires_grad]

    def __enter__(self) -> None:
        for p in self._parameters:
            p.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for p in self._parameters:
            p.requires_grad_(True)
