"""Grid extension: a KAN is put on finer grids."""

from collections.abc import Sequence
from dataclasses import dataclass

from kanpinn._support.errors import InputError, integer
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Change, Transform, require_kan


@dataclass(frozen=True)
class Refine(Transform):
    """Put a KAN on finer grids; the function stays what it was.

    Knots are inserted, which is exact: each interval is split into as many parts, the widest into
    one more where that does not come out even (8 → 10). Hidden grids that are wider than their
    activations are cut down to these. Their grid points next to the ends, and all of them on fewer
    intervals than before, are replaced by an L2 projection; the history has its largest relative
    change as `projection_error`.

    Args:
        grid: intervals per layer, or one number for all.

    Raises:
        InputError: for a grid that is no positive integer; during the solve, for a network that is
            no KAN.

    Reference: Liu et al., KAN (2024), section 2.4; Cohen, Lyche and Riesenfeld (1980) for the exact
    case.
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

    def apply(self, residuals: Residuals) -> Change:
        surrogate = residuals.surrogate
        network = require_kan(surrogate.network, "refine")
        error = network.refine(self.grid, surrogate.network_inputs(residuals.points))
        words = f"the function has changed by {error:.1e} of its norm" if error else ""
        return Change({"projection_error": error}, words)
