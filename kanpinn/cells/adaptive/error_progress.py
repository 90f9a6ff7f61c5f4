"""The estimated error of a solution in cells, from one tree to the next."""

import math
from dataclasses import dataclass
from typing import ClassVar

from kanpinn._support.status import CONVERGED


@dataclass
class ErrorProgress:
    """The estimated relative error, in L2, on one tree after the other.

    Attributes:
        estimate: on the last tree that was solved on; infinite if not known.
        indicated: the indicator of the error there; infinite if there is none.
        ratio: the latest known ratio of an error to its indicator; 0 if none is known.
        compared: whether a solution has been compared with a better one, as all later ones are.
        supposed: the error that is supposed on the first tree.
        usual: the largest ratio that is assumed where none is known.
    """

    estimate: float = math.inf
    indicated: float = math.inf
    ratio: float = 0.0
    compared: bool = False
    supposed: float = math.inf
    usual: ClassVar[float] = 0.1

    @property
    def expected(self) -> float:
        """The estimated error or, where there is none, the one that is supposed."""
        return self.estimate if math.isfinite(self.estimate) else self.supposed

    def left(self, tolerance: float) -> float:
        """The part of the expected error that may be left; 1 if none is known."""
        known = self.expected > 0 and math.isfinite(self.expected)
        return tolerance / self.expected if known else 1.0

    def part(self, tolerance: float) -> float:
        """How far the way to a tolerance is done: the cube of found over wanted digits.

        The cube is taken as the last digits take most of the time. It is zero without an estimate.
        """
        wanted, found = math.log10(min(tolerance, 0.1)), min(self.estimate, 1.0) or 1e-300
        return min(1.0, max(0.0, math.log10(found) / wanted)) ** 3

    def extrapolate(self, indicated: float, change: float, rest: float = 0.0) -> None:
        """Estimate the error on a tree by the ratio of errors to indicators on those before.

        On the first tree there is no estimate. An error is supposed there: the geometric mean of
        `rest` and of the indicator times the largest usual ratio. In 30 problems in the plane the
        error was from 0.08 times this to twice as large.

        Args:
            indicated: the indicator on the tree.
            change: the relative change from the solution on the tree before, which is taken for the
                error of that one; of no meaning on the first tree.
            rest: the relative error by what polynomials leave out, see `left_out`.
        """
        if math.isfinite(self.indicated):
            latest = change / self.indicated if self.indicated else 0.0
            self.estimate, self.ratio = max(self.ratio, latest) * indicated, latest
        elif self.ratio:
            self.estimate = self.ratio * indicated
        self.indicated, most = indicated, (self.ratio or self.usual) * indicated
        self.supposed = (min(rest, most) * most) ** 0.5

    def forget(self) -> None:
        """Take nothing as known of the solution on the last tree, as Newton's method has failed."""
        self.estimate = self.indicated = self.supposed = math.inf

    def compare(self, error: float) -> None:
        """Take the error that a comparison with a better solution on the same tree has shown."""
        self.estimate, self.compared = error, True
        self.ratio = max(self.ratio, error / (self.indicated or 1.0))


def status_of_error(error: float, before: float, tolerance: float) -> str:
    """The status where an error is small enough, or where rounding keeps it; otherwise empty.

    Args:
        error: the relative error on a tree.
        before: that on the tree before.
        tolerance: the wanted one.
    """
    if error <= tolerance:
        return CONVERGED
    if error > 0.5 * before and before < 1e-10:
        return f"{CONVERGED}: rounding leaves a relative error of {error:.1e}"
    return ""
