"""The linearisation that windows share while Newton's method converges fast with it."""

from dataclasses import dataclass

from torch import Tensor

from kanpinn.evolution.cells.linearised_cells import LinearisedCells


@dataclass
class KeptLinearisation:
    """An evolution in cells, linearised for windows of one length, with the factors for them.

    Windows of another length have other factors. So they are linearised anew, which costs little
    beside the factors, and lets Newton's method converge fast. Windows of the same length share
    factors, as long as the steps that they take more cost less than new factors.

    Args:
        cells: the linearised equation, which keeps the factors.
        about: the motion and the moment about which it is linearised.
        window: the number of stages and the length of the windows.
        served: the number of windows that have been solved with it.
        rate: that of Newton's steps in the first of them.
        slow: whether Newton's method is expected to be too slow in the next one.
    """

    cells: LinearisedCells
    about: tuple[Tensor, float]
    window: tuple[int, float]
    served: int = 0
    rate: float = 0.0
    slow: bool = False

    def serve(self, rate: float) -> None:
        """Note the rate of Newton's steps in a window that has been solved with it."""
        slow, growth = 0.3, 3.0 if self.served else 8.0  # from one window to the next
        if not self.served:
            self.rate = rate
        self.served, self.slow = self.served + 1, rate * growth > slow
