"""A search from many random starts: rounds of them are screened, the best few are followed."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from kanpinn.optimizers.projection import Descent, Projection


@dataclass
class MultiStart:
    """Random smooth inner functions, their projected losses, and the descents from the best ones.

    Args:
        rounds: the largest number of rounds.
        starts: the number of random starts in each round.
        follow: how many of them are followed.
        tolerance: a start with less than this part of the loss of the zero network has arrived.
        seed: of the random starts.
        zero: the loss of the zero network.
        round: the number of rounds so far.
        drawn: the number of random starts so far.
        waiting: the inner coefficients of starts that are still to be followed, (p,) each.
        descent: the steps from the present start.
        best: the inner coefficients of the start with the lowest loss so far, (p,).
        best_loss: that loss.
    """

    rounds: int
    starts: int
    follow: int
    tolerance: float
    seed: int
    zero: float = math.nan
    round: int = 0
    drawn: int = 0
    waiting: list[Tensor] = field(default_factory=list)
    descent: Descent = field(default_factory=Descent)
    best: Tensor | None = None
    best_loss: float = math.inf

    @property
    def arrived(self) -> bool:
        """Whether the present start has a loss that ends the search."""
        return self.descent.loss <= self.tolerance * self.zero

    @property
    def exhausted(self) -> bool:
        """Whether there is no start left."""
        return self.round >= self.rounds and not self.waiting

    def screen(self, projection: Projection) -> None:
        """Draw rounds until some starts have a finite loss; the best few are then waiting."""
        tried: list[tuple[float, Tensor]] = []
        while not tried and self.round < self.rounds:
            drawn = [self.random_start(projection) for _ in range(self.starts)]
            tried = [start for start in drawn if math.isfinite(start[0])]
            self.round += 1
        if tried and not math.isfinite(self.zero):
            self.zero = tried[0][0]  # the zero network has no loss where a residual has log u
        tried.sort(key=lambda start: start[0])
        self.waiting = [inner for _, inner in tried[: self.follow]]

    def random_start(self, projection: Projection) -> tuple[float, Tensor]:
        """Return the projected loss of random smooth inner functions, and their coefficients."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.drawn)
        self.drawn += 1
        for layer in projection.network.layers[:-1]:
            # Quadratics: rougher starts arrive half as often.
            layer.randomise(generator, degree=2, decay=0.5)
        return projection(projection.inner), projection.inner

    def next_start(self, projection: Projection) -> None:
        """Put the network where the next start is, and begin a descent."""
        inner, *self.waiting = self.waiting
        self.descent = Descent(projection(inner))

    def step(self, projection: Projection) -> int:
        """Take one step from the present start; return the evaluations that it took."""
        # Starts that arrive fall by more than 3 % a step, and in fewer than 40 steps.
        return self.descent.step(projection, least_fall=3e-2, most=40)

    def end_descent(self, projection: Projection) -> None:
        """Keep where the descent has ended if no other has got so low."""
        if self.descent.loss < self.best_loss:
            self.best_loss, self.best = self.descent.loss, projection.inner

    def go_to_best(self, projection: Projection) -> float:
        """Put the network where the best start has got; return the loss.

        Raises:
            LinAlgError: if no start had a finite loss.
        """
        if self.best is None:
            raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
                f"the residual has no finite number from any of {self.drawn} random starts"
            )
        return projection(self.best)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values: all but the settings, which a resumed run may change."""
        settings = ("rounds", "starts", "follow", "tolerance", "seed")
        return {name: value for name, value in asdict(self).items() if name not in settings}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state that `state_dict` returned."""
        vars(self).update(state | {"descent": Descent(**state["descent"])})
