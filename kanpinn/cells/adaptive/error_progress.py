"""The estimated error of a solution in cells, from one tree to the next."""

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass
class ErrorProgress:
    """The estimated relative error, in L2, on one tree after the other.

    Attributes:
        estimate: on the last tree that was solved on; infinite if not known.
        indicated: the indicator of the error there; infinite if there is none.
        ratio: the latest known ratio of an error to its indicator; 0 if none is known.
        compared: whether a solution has been compared with a better one, as all later ones are.
        usual: the ratio that is assumed where none is known. Most measured ratios are smaller.
    """

    estimate: float = math.inf
    indicated: float = math.inf
    ratio: float = 0.0
    compared: bool = False
    usual: ClassVar[float] = 0.1

    @property
    def expected(self) -> float:
        """The estimated error or, where there is none, the one expected from the indicator."""
        known = math.isfinite(self.estimate)
        return self.estimate if known else (self.ratio or self.usual) * self.indicated

    def extrapolate(self, indicated: float, change: float) -> None:
        """Estimate the error on a tree by the ratio of errors to indicators on those before.

        Args:
            indicated: the indicator on the tree.
            change: the relative change from the solution on the tree before, which is taken for the
                error of that one; of no meaning on the first tree.
        """
        if math.isfinite(self.indicated):
            latest = change / self.indicated if self.indicated else 0.0
            self.estimate, self.ratio = max(self.ratio, latest) * indicated, latest
        elif self.ratio:
            self.estimate = self.ratio * indicated
        self.indicated = indicated

    def forget(self) -> None:
        """Take nothing as known of the solution on the last tree, as Newton's method has failed."""
        self.estimate = self.indicated = math.inf

    def compare(self, error: float) -> None:
        """Take the error that a comparison with a better solution on the same tree has shown."""
        self.estimate, self.compared = error, True
        self.ratio = max(self.ratio, error / (self.indicated or 1.0))
