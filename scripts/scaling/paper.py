"""Communication by calculation: bytes and seconds of one fold over any number of ranks.

A triangle of P columns and the residual has (P + 1)(P + 2)/2 numbers. Going up the tree each rank
but the first sends one triangle, going down each receives one. The first rank is on every level and
receives and sends ⌈log₂ R⌉ of them. So the longest path has 2⌈log₂ R⌉ messages and ⌈log₂ R⌉ QR
factorizations of two stacked triangles, of 10/3 P³ operations each as they are done now (2/3 P³ if
the zeros were used). A gradient of P numbers is sent round a ring: 2 (R - 1)/R of it by each rank.
"""

import math
from dataclasses import dataclass

NETWORK, LATENCY = 1.25e9, 50e-6  # bytes a second (10 Gbit/s), seconds a message: assumed
RANKS, PARAMETERS = (2, 16, 128, 1000), (240, 1000, 2880, 10_000)
POINTS = 100_000  # of each rank


@dataclass(frozen=True)
class Fold:
    """One fold of P columns over R ranks of POINTS rows each; rate: operations a second."""

    parameters: int
    ranks: int
    rate: float

    @property
    def levels(self) -> int:
        return math.ceil(math.log2(self.ranks))

    @property
    def triangle(self) -> int:
        """Bytes of one triangle, which a rank on one level sends and receives."""
        return 8 * (self.parameters + 1) * (self.parameters + 2) // 2

    @property
    def busiest(self) -> int:
        """Bytes through the first rank, both ways."""
        return 2 * self.levels * self.triangle

    @property
    def total(self) -> int:
        """Bytes that cross the network."""
        return 2 * (self.ranks - 1) * self.triangle

    @property
    def gradient(self) -> float:
        """Bytes that a rank sends if gradients are reduced instead: loss, gradient, a flag."""
        return 2 * (self.ranks - 1) / self.ranks * 8 * (self.parameters + 2)

    @property
    def own(self) -> float:
        """Seconds for a rank's own rows."""
        return 2 * POINTS * self.parameters**2 / self.rate

    @property
    def waiting(self) -> float:
        """Seconds for the messages on the longest path."""
        return 2 * self.levels * (LATENCY + self.triangle / NETWORK)

    @property
    def combining(self) -> float:
        """Seconds for the factorizations on the longest path."""
        return self.levels * 10 / 3 * self.parameters**3 / self.rate

    @property
    def efficiency(self) -> float:
        """The time for own rows over the whole time: weak scaling of the fold."""
        return self.own / (self.own + self.waiting + self.combining)


def folds(rate: float) -> list[Fold]:
    return [Fold(p, r, rate) for p in PARAMETERS for r in RANKS]
