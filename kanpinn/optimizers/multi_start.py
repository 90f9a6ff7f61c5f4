"""A multi-start search: random starts are screened in rounds, and the best few are followed."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from kanpinn.optimizers.projection import Descent, Projection


@dataclass
class MultiStart:
    """The state of a search among random smooth inner functions.

    Each round draws random starts, computes their projected losses, and follows the best few by
    Gauss–Newton steps, one start after the other.

    Args:
        rounds: the largest number of rounds.
        starts: the number of random starts in each round.
        follow: the number of starts that are followed in each round.
        tolerance: a start has arrived if its loss is at most this fraction of `zero`.
        seed: for the random starts.
        zero: the loss of the zero network; that of the first start if the former is not finite.
        round: the number of rounds so far.
        drawn: the number of random starts so far.
        waiting: the inner coefficients of starts that are still to be followed, (p,) each.
        descent: the steps from the present start.
        best: the inner coefficients with the lowest loss at the end of a descent so far, (p,).
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
        """Whether the loss of the present start is low enough to end the search."""
        return self.descent.loss <= self.tolerance * self.zero

    @property
    def exhausted(self) -> bool:
        """Whether no start is waiting and no further round is allowed."""
        return self.round >= self.rounds and not self.waiting

    def screen(self, projection: Projection) -> None:
        """Draw rounds until one has starts of finite loss; put its best ones into `waiting`."""
        tried: list[tuple[float, Tensor]] = []
        while not tried and self.round < self.rounds:
            drawn = [self.random_start(projection) for _ in range(self.starts)]
            tried = [start for start in drawn if math.isfinite(start[0])]
            self.round += 1
        if tried and not math.isfinite(self.zero):
            self.zero = tried[0][0]  # the loss at u = 0 is not finite, for example log u
        tried.sort(key=lambda start: start[0])
        self.waiting = [inner for _, inner in tried[: self.follow]]

    def random_start(self, projection: Projection) -> tuple[float, Tensor]:
        """Draw random smooth inner functions; return their projected loss and coefficients (p,)."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.drawn)
        self.drawn += 1
        for layer in projection.network.layers[:-1]:
            # Quadratics: measured, starts of higher degree arrive half as often.
            layer.randomise(generator, degree=2, decay=0.5)
        return projection(projection.inner), projection.inner

    def next_start(self, projection: Projection) -> None:
        """Set the network to the next waiting start and begin a descent from it."""
        inner, *self.waiting = self.waiting
        self.descent = Descent(projection(inner))

    def step(self, projection: Projection) -> int:
        """Take one step of the present descent; return the number of evaluations."""
        # Measured: starts that arrive lose more than 3 % of the loss a step, and need under 40.
        return self.descent.step(projection, least_fall=3e-2, most=40)

    def end_descent(self, projection: Projection) -> None:
        """Store the end of the descent as `best` if its loss is the lowest so far."""
        if self.descent.loss < self.best_loss:
            self.best_loss, self.best = self.descent.loss, projection.inner

    def go_to_best(self, projection: Projection) -> float:
        """Set the network to the end of the best descent; return the loss.

        Raises:
            LinAlgError: if no start had a finite loss.
        """
        if self.best is None:
            raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
                f"the residual has no finite number from any of {self.drawn} random starts"
            )
        return projection(self.best)

    def state_dict(self) -> dict[str, Any]:
        """Return the state without the settings, which a resumed run may change."""
        settings = ("rounds", "starts", "follow", "tolerance", "seed")
        return {name: value for name, value in asdict(self).items() if name not in settings}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        vars(self).update(state | {"descent": Descent(**state["descent"])})
