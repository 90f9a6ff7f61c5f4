"""Sparse KAN structures found from data: wide KANs fitted with a penalty on edges, then pruned."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.data import Table
from kanpinn.interpret.deadline import Deadline
from kanpinn.interpret.pruning.strategies import prune, prune_greedily
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks import KAN
from kanpinn.optimizers import LevenbergMarquardt
from kanpinn.solvers.fit import fit


@dataclass(frozen=True, eq=False)
class Skeleton:
    """The units of a KAN per layer and its edges, a mask (n_in, n_out) for each layer."""

    width: tuple[int, ...]
    kept: tuple[Tensor, ...]

    @property
    def name(self) -> str:
        """The masks as text, equal for equal skeletons."""
        return str([mask.int().tolist() for mask in self.kept])

    @property
    def edges(self) -> int:
        """The number of edges."""
        return sum(int(mask.sum()) for mask in self.kept)


def sparse_skeleton(
    table: Table, hidden: tuple[int, ...], strength: float, seed: int
) -> Skeleton | None:
    """Return the edges that remain of a KAN after a sparse fit and pruning.

    The KAN is first fitted with a penalty on the L1 norm and the entropy of its edges (`Sparsity`),
    and edges with low scores are removed. It is then trained without the penalty, and edges and
    units are removed one by one as long as the loss hardly grows.

    Args:
        table: the data.
        hidden: the number of units of each hidden layer at the start.
        strength: the weight of the penalty.
        seed: the seed for the network and the fit.

    Returns:
        The skeleton, or None if the network became constant or no longer fits the data.
    """
    degree, grid = 3, 5
    structureless = 0.1  # share of the targets' variance: a larger loss means wrong edges were cut
    factor, enough = 4.0, 1e-6  # removals may raise the loss by this factor, or to this value
    threshold = 1e-2  # edges with lower scores are removed
    sparse_steps, polish_steps, cut_steps = 50, 20, 10
    width = (table.inputs.shape[1], *hidden, table.targets.shape[1])
    network = KAN(width, degree=degree, grid=grid, seed=seed)
    optimizer = LevenbergMarquardt(steps=sparse_steps)
    found = fit(network, table, optimizer, sparsity=Sparsity(strength), seed=seed)
    try:
        pruned = prune(found, threshold)
    except InputError:  # the network is constant, or no edge reaches the threshold
        return None
    pruned = pruned.trained(LevenbergMarquardt(steps=polish_steps))
    pruned = prune_greedily(pruned, factor, steps=cut_steps, enough=enough)
    if pruned.losses[1] > structureless:
        return None
    layers = pruned.network.layers
    return Skeleton(tuple(pruned.network.width), tuple(layer.kept.clone() for layer in layers))


def skeletons(table: Table, seed: int, deadline: Deadline) -> Iterator[Skeleton]:
    """Yield different skeletons, found from several starts with one and with two hidden layers.

    No fit begins after the deadline.
    """
    shallow, deep = (5,), (4, 2)  # hidden units at the start
    starts = [(shallow, 1e-2), (shallow, 1e-2), (shallow, 3e-3), (deep, 3e-3), (deep, 1e-2)]
    known = set()
    for number, (hidden, strength) in enumerate([*starts, *starts]):
        if deadline.over:
            return
        found = sparse_skeleton(table, hidden, strength, 100 * seed + number)
        if found is not None and found.name not in known:
            known.add(found.name)
            yield found
