"""What pruning gives: a smaller copy, and how it differs from the original."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kanpinn.interpret.pruning.removal import Cutter, copy_of
from kanpinn.interpret.pruning.scores import CHUNK, kan_of
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.sparsity import SparsityTerm
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import LevenbergMarquardt, Method, as_methods
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.losses import Losses
from kanpinn.solvers.state import begin


@runtime_checkable
class Trained(Protocol):
    """A `Solution` or a `Fitted`: a surrogate and the residuals that it was found with."""

    @property
    def surrogate(self) -> Surrogate:
        """The network in its frame."""

    @property
    def residuals(self) -> Residuals:
        """The loss."""


@dataclass(frozen=True, eq=False)
class Pruned:
    """A smaller copy of a KAN; the one it was made of is as it was.

    Args:
        original: the result that it was made of.
        surrogate: the copy.
        residuals: the loss of the copy, without a term for sparsity.
        edges: that were removed, (layer, input, output), layers from 0, units numbered as they
            were.
        units: hidden units that were removed, (level, unit), the first hidden level being 1.
        change: ‖copy - original‖ / ‖original‖ over the points of the loss.
        parameters: before and after.
        losses: before and after.
    """

    original: Trained
    surrogate: Surrogate
    residuals: Residuals
    edges: tuple[tuple[int, int, int], ...]
    units: tuple[tuple[int, int], ...]
    change: float
    parameters: tuple[int, int]
    losses: tuple[float, float]

    @property
    def network(self) -> KAN:
        """The network inside the surrogate."""
        return kan_of(self.surrogate)

    def trained(
        self, optimizers: Method | Sequence[Method] | None = None, *, seed: int = 0
    ) -> "Pruned":
        """A copy that optimizers have worked on further, by default Levenberg–Marquardt.

        Its grids stay where they are, so that it starts from the function that is left.
        """
        surrogate = copy_of(self.surrogate)
        residuals = Residuals(surrogate, self.residuals.terms)
        stages = as_methods(LevenbergMarquardt() if optimizers is None else optimizers, 0)
        run_stages(begin(Losses(residuals), stages), seed=seed)
        known = self.original, self.edges, self.units, self.parameters[0], self.losses[0]
        return described(*known, residuals)

    @property
    def words(self) -> str:
        """What was done, in a sentence."""
        what = f"{_count(len(self.edges), 'edge')} and {_count(len(self.units), 'unit')} removed"
        (many, few), (before, after) = self.parameters, self.losses
        return (
            f"{what}, {list(self.network.width)} is left; parameters {many} → {few}, loss "
            f"{before:.2e} → {after:.2e}, relative change of the function {self.change:.1e}"
        )


def report(result: Trained, cutter: Cutter) -> Pruned:
    """What a cutter has made of a result; the grids follow the activations."""
    before = loss_of(result.residuals)
    cutter.surrogate.follow(before.points)
    after = Residuals(cutter.surrogate, before.terms)
    many = result.surrogate.network.parameter_count
    edges, units = tuple(cutter.edges), tuple(cutter.units)
    return described(result, edges, units, many, before.loss(), after)


def described(
    original: Trained,
    edges: tuple[tuple[int, int, int], ...],
    units: tuple[tuple[int, int], ...],
    parameters: int,
    loss: float,
    residuals: Residuals,
) -> Pruned:
    """The copy that residuals belong to, with what was removed and what there was before."""
    surrogate = residuals.surrogate
    return Pruned(
        original,
        surrogate,
        residuals,
        edges,
        units,
        _change(original.surrogate, surrogate, residuals),
        (parameters, surrogate.network.parameter_count),
        (loss, residuals.loss()),
    )


def loss_of(residuals: Residuals) -> Residuals:
    """The loss without a term for sparsity."""
    terms = [term for term in residuals.terms if not isinstance(term, SparsityTerm)]
    return Residuals(residuals.surrogate, terms)


def _change(old: Surrogate, new: Surrogate, residuals: Residuals) -> float:
    points, size, gap = residuals.points, 0.0, 0.0
    for i in range(0, len(points), CHUNK):
        values = old(points[i : i + CHUNK])
        size += float(values.square().sum())
        gap += float((new(points[i : i + CHUNK]) - values).square().sum())
    return (gap / size) ** 0.5


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
