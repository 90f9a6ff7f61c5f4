"""Grid extension: the grids of a KAN are refined."""

from collections.abc import Sequence
from dataclasses import dataclass

from kanpinn._support.errors import CONVERGED, InputError, integer
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Step, Transform, require_kan


@dataclass(frozen=True)
class Refine(Transform):
    """Refine the grids of a KAN; the function does not change, except by the projection below.

    Knot insertion is exact: each interval is split into the same number of parts, and the widest
    ones into one part more if the new number is not a multiple of the old one (8 → 10). Hidden
    grids that are wider than the range of their activations are cut down to it. Where this moves
    grid points (those next to the ends, or all of them if there are fewer intervals than before),
    the function is projected in L2; the history has its largest relative change as
    `projection_error`.

    Args:
        grid: the number of grid intervals per layer, or one number for all layers.

    Raises:
        InputError: for a grid that is not a positive integer; during the solve, for a network that
            is not a KAN.

    Reference: Liu et al., KAN (2024), section 2.4; Cohen, Lyche and Riesenfeld (1980) for the exact
    case.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> methods = [kp.LeastSquares(), kp.Refine(8), kp.LeastSquares()]
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5, grid=4), methods)
        >>> [one.numel() for one in solution.network.parameters()]
        [13]
    """

    grid: int | Sequence[int]
    output_layer_only = True

    def __post_init__(self) -> None:
        for g in self.grid if isinstance(self.grid, (list, tuple)) else [self.grid]:
            integer("grid", g)

    def check(self, network: Network) -> None:
        layers = len(require_kan(network, "refine").layers)
        if isinstance(self.grid, (list, tuple)) and len(self.grid) != layers:
            raise InputError(
                f"grid must be one number or {layers}, one per layer, got {list(self.grid)}"
            )

    def apply(self, residuals: Residuals) -> Step:
        surrogate = residuals.surrogate
        network = require_kan(surrogate.network, "refine")
        error = network.refine(self.grid, surrogate.inputs_at(residuals.points))
        words = f"the function has changed by {error:.1e} of its norm" if error else ""
        notes = {"projection_error": error}
        return Step(residuals.loss(), finished=CONVERGED, notes=notes, words=words)
