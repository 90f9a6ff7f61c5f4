"""Newton's method for one value of a parameter: the interface of continuation to networks."""

from abc import ABC, abstractmethod

from kanpinn.loss.residuals import Residuals


class NotSolved(Exception):
    """Newton's method has found no solution for a value of the parameter; the text says why."""


class NewtonAtValue(ABC):
    """Newton's method for one value after the other.

    kept: a number that the next value's solve needs of the last one, which a checkpoint stores.
    """

    kept: float

    @abstractmethod
    def solve(self, residuals: Residuals, steps: int, begun: bool) -> int:
        """Solve for a value, from the present coefficients of the network.

        Args:
            residuals: the loss for this value.
            steps: the largest number of Newton steps.
            begun: whether the network has the solution for an earlier value.

        Returns:
            The number of Newton steps.

        Raises:
            NotSolved: if it finds no solution.
        """
