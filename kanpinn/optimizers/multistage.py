"""A further network on what a trained one leaves, as a step between optimizers."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch

from kanpinn._support.distributed import from_first
from kanpinn._support.errors import InputError, integer
from kanpinn.geometry import Points
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import Block, ResidualBlock
from kanpinn.networks.earlier import Earlier
from kanpinn.networks.kan import KAN
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.networks.network import Layers
from kanpinn.optimizers.optimizer import CONVERGED, Optimizer, Stage, Step

STEP = 1e-3  # of the way to another point, over which the residual's slope is taken
SAMPLES = 1024
MOST_GRID = 2  # times as fine as the grid before
ROWS = 1.4  # of the residual for each coefficient of the output layer, at least
STRIDE = 7919  # between the seeds of stages


@dataclass(frozen=True)
class Multistage(Optimizer):
    """Freezes the network so far, u₁, and puts another one beside: u = u₁ + u₂ from then on.

    The new network is one of random inner functions like the first, of the same degrees; its output
    layer is zero, so that u stays what it was. What comes after it in the list of optimizers trains
    it alone: a linear equation's residual is then its right-hand side, a nonlinear equation is
    linearised about u₁. Its output grid has an interval for each half wave of the residual r, whose
    wave number is (mean |∂r|² / mean r²)^½ along random directions in the coordinates scaled to
    [-1, 1]; at least as many as before, at most twice. Its scale needs no factor, as that of
    Wang and Lai's networks does: coefficients enter linearly and columns are scaled. Of the output
    layer there are no more units than rows of the residual can determine.

    What it gains (scripts/sharp_features.py, medians of three seeds): 8 units that
    Levenberg–Marquardt has trained for a smooth solution are 2e-4 off, with 48 more beside 4e-7,
    for one least-squares solve. But these 48 alone reach 8e-11: what training leaves is no smoother
    than its splines.

    Args:
        width: hidden units per layer, one number or one for each; None for those of the first.
        grid: intervals of the output layer; None to follow the residual.

    Reference: Wang and Lai, Multi-stage neural networks: function approximator of machine precision
    (2024).
    """

    width: int | Sequence[int] | None = None
    grid: int | None = None
    steps: ClassVar[int] = 1  # type: ignore[misc]  # a constant here, a setting elsewhere

    def __post_init__(self) -> None:
        if self.width is not None:
            for units in self.width if isinstance(self.width, (list, tuple)) else [self.width]:
                integer("width", units)
        if self.grid is not None:
            integer("grid", self.grid)

    @property
    def lowers(self) -> bool:
        return False  # the function stays what it was

    def start(self, residuals: Residuals, seed: int) -> "MultistageStage":
        return MultistageStage(self, residuals, seed)


class MultistageStage(Stage):
    """The one step that adds a network."""

    def __init__(self, settings: Multistage, residuals: Residuals, seed: int) -> None:
        self.settings, self.residuals, self.seed = settings, residuals, seed
        network = residuals.surrogate.network
        if not isinstance(network, KAN):
            raise InputError(f"multistage is for KANs, got a {type(network).__name__}")
        self.network = network

    def step(self) -> Step:
        network = self.network
        waves = wave_number(self.residuals, self.seed) if self.settings.grid is None else 0.0
        made = self._made(waves)
        like = network.layers[-1].coefficients
        network.earlier = Earlier.of(network.layers, network.earlier)
        stretch = copy.deepcopy(list(network.layers[: int(network.stretched)]))
        layers = [*stretch, *made.to(device=like.device, dtype=like.dtype).layers]
        network.layers = cast(Sequence[KANLayer], Layers(layers))
        network.placed = False
        self.residuals.surrogate.prepare(self.residuals.points)
        notes = {"waves": waves, "grid": float(network.layers[-1].intervals)}
        return Step(self.residuals.loss(), 1, CONVERGED, notes)

    def _made(self, waves: float) -> KAN:
        """The new network, its output layer zero."""
        old = self.network
        first, *_, last = layers = old.layers[int(old.stretched) :]
        wanted = min(math.ceil(2 * waves / math.pi), MOST_GRID * last.intervals)
        grid = self.settings.grid or max(last.intervals, wanted)
        hidden = self._hidden(grid)
        stages = 1 + (0 if old.earlier is None else len(old.earlier.chains))
        made = KAN(
            [first.coefficients.shape[0], *hidden, old.width[-1]],
            [layer.degree for layer in layers],
            [*(layer.intervals for layer in layers[:-1]), grid],
            base=last.base,
            seed=self.seed + STRIDE * stages,
        )
        with torch.no_grad():
            made.layers[-1].coefficients.zero_()
        return made

    def _hidden(self, grid: int) -> list[int]:
        """Units per hidden layer; of the last one no more than the rows can determine."""
        old, wanted = self.network, self.settings.width
        hidden = list(old.width[1 + int(old.stretched) : -1])
        if isinstance(wanted, int):
            hidden = [wanted] * len(hidden)
        elif wanted is not None:
            if len(wanted) != len(hidden):
                raise InputError(
                    f"width must be one number or {len(hidden)}, one per hidden layer, "
                    f"got {list(wanted)}"
                )
            hidden = list(wanted)
        if hidden:
            rows = sum(block.rows * self._equations(block) for block in self.residuals.blocks)
            each = (grid + old.layers[-1].degree) * old.width[-1] * ROWS
            hidden[-1] = max(1, min(hidden[-1], int(rows / each)))
        return hidden

    @torch.no_grad()
    def _equations(self, block: Block) -> int:
        """How many numbers a row of the block has."""
        if not isinstance(block, ResidualBlock):
            return 1
        return block.residual(self.residuals.surrogate, block.at(slice(0, 1))).shape[1]


@torch.no_grad()
def wave_number(residuals: Residuals, seed: int) -> float:
    """k of a residual like sin(k ξ) in each coordinate ξ, scaled to [-1, 1].

    From differences over a thousandth of the way between random points of the first block. Zero
    where it has more than a half wave from one of the n^(1/d) points on an axis to the next: that
    is rounding, or nothing that these points could resolve.
    """
    block, surrogate = residuals.blocks[0], residuals.surrogate
    if not isinstance(block, ResidualBlock) or block.points.data is not None:
        raise InputError("multistage needs its grid where there is no equation's residual")
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(block.points), (2, SAMPLES), generator=generator)
    rows = rows[:, rows[0] != rows[1]].to(block.points.coords.device)
    here, there = (block.points.coords[row] for row in rows)
    half = (surrogate.high - surrogate.low) / 2
    apart = STEP * torch.linalg.vector_norm((there - here) / half, dim=1)

    names = block.points.names
    at = block.residual(surrogate, Points(here, names))
    moved = block.residual(surrogate, Points(here + STEP * (there - here), names))
    slopes = (moved - at) / apart[:, None]
    size = float(at.square().mean())
    waves = math.sqrt(float(slopes.square().mean()) / size) if size > 0 else 0.0
    most = math.pi / 2 * len(block.points) ** (1 / block.points.coords.shape[1])
    return from_first(waves if waves <= most else 0.0)
