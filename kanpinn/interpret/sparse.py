"""Shapes of KANs that data ask for: of wide ones, fitted under a penalty on edges and pruned."""

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

DEGREE, GRID = 3, 5


@dataclass(frozen=True, eq=False)
class Skeleton:
    """The units of a KAN per layer and its edges, a mask (n_in, n_out) for each layer."""

    width: tuple[int, ...]
    kept: tuple[Tensor, ...]

    @property
    def name(self) -> str:
        """The same for the same edges."""
        return str([mask.int().tolist() for mask in self.kept])

    @property
    def edges(self) -> int:
        """How many there are."""
        return sum(int(mask.sum()) for mask in self.kept)


def sparse_skeleton(
    table: Table, hidden: tuple[int, ...], strength: float, seed: int
) -> Skeleton | None:
    """What is left of a KAN with these hidden units; None where that does not fit the data.

    The penalty finds the structure: L1 and entropy of the edges (`Sparsity`), strength its weight.
    Without it the loss settles, then edges and units go one by one as long as that does not matter.
    """
    structureless = 0.1  # of the targets' variance: with such a loss the wrong edges were cut
    factor, enough = 4.0, 1e-6  # by how much removals may raise the loss, and one that may stand
    threshold = 1e-2  # of the scores of edges that are worth keeping
    sparse_steps, polish_steps, cut_steps = 50, 20, 10
    width = (table.inputs.shape[1], *hidden, table.targets.shape[1])
    network = KAN(width, degree=DEGREE, grid=GRID, seed=seed)
    optimizer = LevenbergMarquardt(steps=sparse_steps)
    found = fit(network, table, optimizer, sparsity=Sparsity(strength), seed=seed)
    try:
        pruned = prune(found, threshold)
    except InputError:  # a constant
        return None
    pruned = pruned.trained(LevenbergMarquardt(steps=polish_steps))
    pruned = prune_greedily(pruned, factor, steps=cut_steps, enough=enough)
    if pruned.losses[1] > structureless:
        return None
    layers = pruned.network.layers
    return Skeleton(tuple(pruned.network.width), tuple(layer.kept.clone() for layer in layers))


def skeletons(table: Table, seed: int, deadline: Deadline) -> Iterator[Skeleton]:
    """Different skeletons, from one hidden layer and from two, from several starts.

    None is begun when the time is over.
    """
    shallow, deep = (5,), (4, 2)  # hidden units to begin with
    starts = [(shallow, 1e-2), (shallow, 1e-2), (shallow, 3e-3), (deep, 3e-3), (deep, 1e-2)]
    known = set()
    for number, (hidden, strength) in enumerate([*starts, *starts]):
        if deadline.over:
            return
        found = sparse_skeleton(table, hidden, strength, 100 * seed + number)
        if found is not None and found.name not in known:
            known.add(found.name)
            yield found
