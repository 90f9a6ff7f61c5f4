"""Grid extension as a step between optimizers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kanpinn._support.errors import InputError, integer
from kanpinn.jets.jet import Channels, Coordinates
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.kan import KAN
from kanpinn.optimizers.optimizer import CONVERGED, Optimizer, Stage, Step


@dataclass(frozen=True)
class Refine(Optimizer):
    """Puts a KAN on finer grids; the function stays what it was.

    Knots are inserted, which is exact: each interval is split into as many parts, the widest into
    one more where that does not come out even (8 → 10). Hidden grids that are wider than their
    activations are cut down to these; points of theirs next to the ends, and all of them on fewer
    intervals than before, are given up for an L2 projection (`projection_error`).

    Args:
        grid: intervals per layer, or one number for all.

    Reference: Liu et al., KAN (2024), section 2.4; Cohen, Lyche and Riesenfeld (1980) for the exact
    case.
    """

    grid: int | Sequence[int]
    steps: ClassVar[int] = 1  # type: ignore[misc]  # a constant here, a setting elsewhere

    def __post_init__(self) -> None:
        for g in self.grid if isinstance(self.grid, (list, tuple)) else [self.grid]:
            integer("grid", g)

    @property
    def lowers(self) -> bool:
        return False  # the function stays what it was

    def start(self, residuals: Residuals, seed: int) -> "RefineStage":
        return RefineStage(self, residuals)


class RefineStage(Stage):
    """The one step of a refinement."""

    def __init__(self, settings: Refine, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals

    def step(self) -> Step:
        surrogate = self.residuals.surrogate
        network = surrogate.network
        if not isinstance(network, KAN):
            raise InputError(f"refine is for KANs: a {type(network).__name__} has no grid")
        seen = surrogate.coordinates(self.residuals.points, Channels(surrogate.domain.names))
        assert isinstance(seen, Coordinates)
        error = network.refine(self.settings.grid, seen)
        return Step(self.residuals.loss(), 1, CONVERGED, {"projection_error": error})
