"""The result of pruning: a smaller copy of a KAN, and how it differs from the original."""

from collections.abc import Sequence
from dataclasses import dataclass

from kanpinn.interpret.pruning.removal import Cutter, copy_of
from kanpinn.interpret.pruning.scores import CHUNK, kan_of
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.sparsity import SparsityTerm
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import LevenbergMarquardt, Method, as_methods
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.losses import FixedLoss
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import begin


@dataclass(frozen=True, eq=False)
class Pruned:
    """A smaller copy of a KAN; the original is not changed.

    Args:
        original: the result that was pruned.
        surrogate: the surrogate with the smaller network.
        residuals: the loss of the copy, without a sparsity term.
        edges: the removed edges, (layer, input, output), layers counted from 0 and units numbered
            as in the original.
        units: the removed hidden units, (level, unit), the first hidden level being 1.
        change: ‖copy - original‖ / ‖original‖ over the points of the loss.
        parameters: the numbers of parameters before and after pruning.
        losses: the losses before and after pruning.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import prune
        >>> x = torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> pruned = prune(kp.fit(kp.KAN([2, 1]), kp.Table(x, x[:, :1] ** 2)))
        >>> pruned.edges, pruned.parameters[1] < pruned.parameters[0]
        (((0, 1, 0),), True)
    """

    original: "Solution | Fitted | Pruned"
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
        """Return a copy that is trained further, by default with Levenberg–Marquardt.

        The grids are not moved before training, so that it starts from the pruned function.

        Args:
            optimizers: the method, or the methods to run one after another.
            seed: the seed of the training.
        """
        surrogate = copy_of(self.surrogate)
        residuals = Residuals(surrogate, self.residuals.terms)
        chosen = LevenbergMarquardt() if optimizers is None else optimizers
        stages = as_methods(chosen, surrogate.network, 0)
        run_stages(begin(FixedLoss(residuals), stages), seed=seed)
        known = self.original, self.edges, self.units, self.parameters[0], self.losses[0]
        return described(*known, residuals)

    @property
    def words(self) -> str:
        """One line of text on what was removed and how loss and function changed."""
        what = f"{_count(len(self.edges), 'edge')} and {_count(len(self.units), 'unit')} removed"
        (many, few), (before, after) = self.parameters, self.losses
        return (
            f"{what}, {list(self.network.width)} is left; parameters {many} → {few}, loss "
            f"{before:.2e} → {after:.2e}, relative change of the function {self.change:.1e}"
        )


def report(result: Solution | Fitted | Pruned, cutter: Cutter) -> Pruned:
    """Return the `Pruned` of a result and a cutter, the grids adapted to the activations."""
    before = loss_of(result.residuals)
    cutter.surrogate.follow(before.points)
    after = Residuals(cutter.surrogate, before.terms)
    many = result.surrogate.network.parameter_count
    edges, units = tuple(cutter.edges), tuple(cutter.units)
    return described(result, edges, units, many, before.loss(), after)


def described(
    original: Solution | Fitted | Pruned,
    edges: tuple[tuple[int, int, int], ...],
    units: tuple[tuple[int, int], ...],
    parameters: int,
    loss: float,
    residuals: Residuals,
) -> Pruned:
    """Return the `Pruned` whose copy is the surrogate of the residuals.

    Args:
        original: the result that was pruned.
        edges, units: what was removed, as in `Pruned`.
        parameters: the number of parameters before pruning.
        loss: the loss before pruning.
        residuals: the loss of the copy.
    """
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
    """Return the residuals without sparsity terms."""
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
