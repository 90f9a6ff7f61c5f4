"""Removal of edges and units from a copy of a KAN, recorded with the original's numbers."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn.interpret.pruning.scores import EdgeScores, kan_of
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate


def copy_of(surrogate: Surrogate) -> Surrogate:
    """Return a surrogate with a copy of the network; domain, maps and known terms are shared."""
    shared: list[object] = [surrogate.domain, surrogate.output, surrogate.inputs]
    if surrogate.network.enrichment is not None:
        shared.append(surrogate.network.enrichment.known)
    return copy.deepcopy(surrogate, {id(part): part for part in shared})


def kept_edges(network: KAN, scores: EdgeScores, wanted: Sequence[Tensor]) -> list[Tensor]:
    """Return masks of the edges to keep, (n_in, n_out) for each layer, given the wanted ones.

    A unit without a kept edge out of it is idle, and no edge into it is kept. The strongest edge
    into every other unit is kept even if it is not wanted.
    """
    found: list[Tensor] = []
    busy = torch.ones_like(wanted[-1][0])
    for layer, e, want in zip(
        reversed(network.layers), reversed(scores.deviations), reversed(wanted), strict=True
    ):
        strongest = torch.zeros_like(want)
        strongest[_strongest(layer.kept, e), torch.arange(e.shape[1], device=e.device)] = True
        keep = layer.kept & (want | strongest) & busy
        found.insert(0, keep)
        busy = keep.any(dim=1)
    return found


def _strongest(kept: Tensor, deviations: Tensor) -> Tensor:
    """Return the input unit of the strongest edge into each unit, (n_out,)."""
    return deviations.masked_fill(~kept, -1).argmax(dim=0)


class Cutter:
    """A copy of a surrogate from which edges are removed.

    It records the removed `edges` and `units` with their numbers in the original network.
    """

    def __init__(self, surrogate: Surrogate) -> None:
        self.surrogate = copy_of(surrogate)
        self.levels = [list(range(n)) for n in self.network.width]  # the units' original numbers
        self.edges: list[tuple[int, int, int]] = []
        self.units: list[tuple[int, int]] = []

    @property
    def network(self) -> KAN:
        """The copy's network."""
        return kan_of(self.surrogate)

    @torch.no_grad()
    def cut(self, scores: EdgeScores, keep: Sequence[Tensor]) -> None:
        """Remove all edges but those of the masks of `kept_edges`, and units that become idle.

        The means of the removed edges are added to the strongest edge into the same unit.
        """
        for number, (layer, stay) in enumerate(zip(self.network.layers, keep, strict=True)):
            gone = layer.kept & ~stay
            constants = (scores.means[number] * gone).sum(dim=0)
            carriers = _strongest(stay, scores.deviations[number])
            outputs = torch.arange(len(carriers), device=carriers.device)
            added = torch.zeros_like(scores.means[number])
            added[carriers, outputs] = constants
            layer.add_constants(added)
            layer.kept = stay
            layer.coefficients.masked_fill_(~stay[:, None], 0)
            sources, targets = self.levels[number : number + 2]
            self.edges += [(number, sources[i], targets[o]) for i, o in gone.nonzero().tolist()]
        self._remove_idle()

    def _remove_idle(self) -> None:
        for level in range(len(self.network.layers) - 1, 0, -1):
            idle = (~self.network.layers[level].kept.any(dim=1)).nonzero().flatten().tolist()
            for unit in reversed(idle):
                self.network.remove_unit(level - 1, unit)
                self.units.append((level, self.levels[level].pop(unit)))

    def copy(self) -> "Cutter":
        """Return an independent copy of this cutter in its present state."""
        other = Cutter(self.surrogate)
        other.levels = [list(level) for level in self.levels]
        other.edges, other.units = list(self.edges), list(self.units)
        return other
