"""Search for the columns, among many, that explain two classes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from anderson_localization.logistic import regress
from torch import Tensor

BEAM, IDLE = 4, 2  # sets of one size that are followed; sizes without gain before the search ends
STRONG = 6.0  # difference in BIC that is called strong evidence

Set = tuple[int, ...]


@dataclass
class _Search:
    """Sets of columns of (n, p) that have been tried, with coefficients and cross entropies."""

    columns: Tensor
    y: Tensor
    tried: dict[Set, tuple[Tensor, float]] = field(default_factory=dict)

    def best(self, sets: Iterable[Set]) -> list[Set]:
        """Return a few of the sets, those with the least cross entropy, the best first."""
        sets = sorted(set(sets))
        for chosen in sets:
            if chosen not in self.tried:
                self.tried[chosen] = regress(self.columns[:, list(chosen)], self.y)
        return sorted(sets, key=lambda chosen: self.tried[chosen][1])[:BEAM]

    def cost(self, chosen: Set) -> float:
        """Return the extended BIC with γ = 1.

        Sizes of which there are many sets must explain more.
        """
        (n, p), k = self.columns.shape, len(chosen)
        return 2 * n * self.tried[chosen][1] + k * math.log(n) + 2 * math.log(math.comb(p, k))


def search(columns: Tensor, y: Tensor) -> tuple[Set, Tensor]:
    """Return the fewest columns against which no other set has strong evidence, and coefficients.

    A floating search: the best sets of one size, each extended by one column, and from the larger
    sets back with one column fewer. The columns may be far from orthogonal, and a search in one
    direction would go astray.

    Reference: Pudil, Novovičová and Kittler, Pattern Recognition Letters 15, 1119 (1994); Chen and
    Chen, Biometrika 95, 759 (2008); Kass and Raftery, JASA 90, 773 (1995) for what is strong.
    """
    found, count = _Search(columns, y), columns.shape[1]
    level: list[Set] = [()]
    records: list[Set] = []
    least, idle = math.inf, 0
    while len(records) < count and idle < IDLE:
        level = found.best(
            tuple(sorted({*s, i})) for s in level for i in range(count) if i not in s
        )
        records.append(level[0])
        smaller = level
        for size in range(len(records) - 1, 0, -1):
            smaller = found.best(s[:i] + s[i + 1 :] for s in smaller for i in range(len(s)))
            if found.cost(smaller[0]) >= found.cost(records[size - 1]):
                break
            records[size - 1] = smaller[0]
        cost = min(map(found.cost, records))
        least, idle = (cost, 0) if cost < least else (least, idle + 1)
    chosen = next(s for s in records if found.cost(s) <= least + STRONG)
    return chosen, found.tried[chosen][0]
