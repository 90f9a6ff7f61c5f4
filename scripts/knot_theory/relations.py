"""Relations among the invariants without a target, from real and shuffled rows.

A network Σ φ_i(x_i) followed by a fixed Gaussian is trained to give 1 for real rows and 0 for rows
whose columns were shuffled independently: then Σ φ_i(x_i) ≈ 0 is a relation. Penalties on L1 and
entropy of the edges' sizes leave few inputs, and greedy removal takes out those that the loss does
not need.

Reference: Liu et al., KAN (2024), section 4.3, unsupervised learning.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from knot_theory.knots import TARGET, Knots
from knot_theory.signature import Size
from torch import Tensor

from kanpinn.networks.basis import BSplines

INTERVALS, DEGREE = 5, 3
SPARSITY = (1e-2, 1e-3)
PRUNED = 40  # iterations of L-BFGS after an input has been removed, at most
NEEDED = 0.10  # of the gap to knowing nothing: what an input's removal must cost to be kept
CHANCE = 0.25  # the loss of the constant 1/2
CLEAR = 0.15  # a loss above it is no relation
SMALL = 1e-8


@dataclass(frozen=True)
class Relation:
    """The inputs of a relation found from one start, and its loss (0.25: none)."""

    round: int
    seed: int
    strength: float
    members: frozenset[str]
    loss: float


@dataclass(frozen=True, eq=False)
class Contrast:
    """Spline values of real and shuffled rows, (inputs, rows, splines), means subtracted."""

    names: Sequence[str]
    real: Tensor
    shuffled: Tensor

    def loss(self, coefficients: Tensor) -> Tensor:
        """Return the mean square of 1 - p on real rows and p on shuffled ones, p = exp(-h²/2)."""
        one, other = (self._gaussian(part, coefficients) for part in (self.real, self.shuffled))
        return ((1 - one).square().mean() + other.square().mean()) / 2

    def _gaussian(self, basis: Tensor, coefficients: Tensor) -> Tensor:
        h = torch.einsum("inb,ib->n", basis, coefficients[:, :-1]) + coefficients[0, -1]
        return torch.exp(-h.square() / 2)

    def sizes(self, coefficients: Tensor) -> Tensor:
        """Return the edges' standard deviations on real rows."""
        edges = torch.einsum("inb,ib->in", self.real, coefficients[:, :-1])
        return (edges.square().mean(dim=1) + SMALL).sqrt()

    def without(self, names: Sequence[str]) -> "Contrast":
        """Return the same without some inputs."""
        kept = [i for i, name in enumerate(self.names) if name not in names]
        left = [self.names[i] for i in kept]
        return replace(self, names=left, real=self.real[kept], shuffled=self.shuffled[kept])


def find_relations(knots: Knots, size: Size, rounds: int = 3) -> list[Relation]:
    """Find relations from many starts, in several rounds.

    Each round lacks one member of the commonest group of the round before, so that other relations
    are found.
    """
    names, rows = _columns(knots)
    found: list[Relation] = []
    absent: list[str] = []
    for number in range(rounds):
        own = []
        for seed in range(size.starts):
            contrast = contrast_of(names, rows, size.rows, seed).without(absent)
            strength = SPARSITY[seed % len(SPARSITY)]
            own.append(find(contrast, number, seed, strength, size.iterations))
        found += own
        clear = count_groups(own)
        if not clear:
            break
        # The input that the fewest other groups have: the others may be parts of more relations.
        group = clear.most_common(1)[0][0]
        uses = Counter(name for r in own if r.loss < CLEAR for name in r.members)
        absent.append(min(sorted(group), key=lambda name: uses[name]))
    return found


def count_groups(relations: Sequence[Relation]) -> Counter[frozenset[str]]:
    """Return how many starts found each group."""
    return Counter(r.members for r in relations if r.loss < CLEAR and len(r.members) > 1)


def _columns(knots: Knots) -> tuple[list[str], Tensor]:
    """Return all inputs with more than two values, and the signature."""
    table = knots.table
    taken = [n for n in table.names if len(table.column(n).unique()) > 2]
    columns = [table.column(name) for name in taken] + [knots.signatures]
    return [*taken, TARGET], torch.stack(columns, dim=1).to(torch.float64)


def contrast_of(names: Sequence[str], rows: Tensor, count: int, seed: int) -> Contrast:
    """Return some of the rows, and as many with shuffled columns."""
    generator = torch.Generator().manual_seed(seed)
    real = rows[torch.randperm(len(rows), generator=generator)[:count]]
    mixed = [c[torch.randperm(len(c), generator=generator)] for c in real.T]
    basis = _central(real)
    bases = [_values(basis, x) for x in (real, torch.stack(mixed, dim=1))]
    mean = bases[0].mean(dim=1, keepdim=True)
    return Contrast(list(names), bases[0] - mean, bases[1] - mean)


def _central(x: Tensor) -> BSplines:
    """Return splines on even grids over the mean ± two standard deviations of each column."""
    mean, deviation = x.mean(dim=0), x.std(dim=0)
    return BSplines.uniform(mean - 2 * deviation, mean + 2 * deviation, INTERVALS, DEGREE)


def _values(basis: BSplines, x: Tensor) -> Tensor:
    """Return the values of all splines of each column, (columns, n, splines)."""
    return basis.values(x)[:, 0].transpose(0, 1).contiguous()


def find(contrast: Contrast, number: int, seed: int, strength: float, iterations: int) -> Relation:
    """Return the relation that one random start finds by so many iterations of L-BFGS."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(contrast.names), contrast.real.shape[2] + 1)
    start = torch.randn(shape, generator=generator, dtype=torch.float64)
    coefficients = _train(contrast, start, strength, iterations)
    contrast, coefficients, loss = _prune(contrast, coefficients, min(PRUNED, iterations))
    return Relation(number + 1, seed, strength, frozenset(contrast.names), loss)


def _train(contrast: Contrast, start: Tensor, strength: float, iterations: int) -> Tensor:
    """Return coefficients that minimise the loss and the sparsity penalty, by L-BFGS."""
    c = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [c], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        sizes = contrast.sizes(c)
        p = sizes / sizes.sum()
        loss = contrast.loss(c) + strength * (sizes.sum() - (p * p.log()).sum())
        loss.backward()
        return loss

    optimizer.step(closure)
    return c.detach()


def _prune(
    contrast: Contrast, coefficients: Tensor, iterations: int
) -> tuple[Contrast, Tensor, float]:
    """Remove inputs, that of the smallest edge first, as long as the loss hardly rises."""
    loss = float(contrast.loss(coefficients))
    while len(contrast.names) > 2:
        order = contrast.sizes(coefficients).argsort()
        gone = int(order[0])
        kept = [i for i in range(len(order)) if i != gone]
        smaller = contrast.without([contrast.names[gone]])
        offset = coefficients[0, -1]
        start = coefficients[kept]
        start[0, -1] = offset
        again = _train(smaller, start, min(SPARSITY) / 10, iterations)
        new = float(smaller.loss(again))
        if new - loss > NEEDED * max(CHANCE - loss, 0):
            break
        contrast, coefficients, loss = smaller, again, new
    return contrast, coefficients, loss
