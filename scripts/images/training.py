"""Networks of one size that learn an image's pixels, each in the same processor time."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from images.networks import Make
from images.pictures import psnr

import kanpinn as kp
from kanpinn.networks import Network
from kanpinn.solvers.state import SolverState

Stages = Sequence[
    tuple[float, Callable[[int], kp.Optimizer]]
]  # shares of the time, and what fills it

RATES = (3e-3, 1e-2)
FIRST, SLOWER = 0.7, 0.1  # the part of the time at a rate, and the rest's rate against it
START, START_RATE = 0.15, 1e-2  # Adam's part of the time before another method, and its rate
STEPS, TIMED = 2, 1 / 30  # steps that are timed at least, for this part of a network's time
MARGIN = 3  # steps may turn out that much cheaper than those that were timed


def _adam(rate: float) -> Callable[[int], kp.Optimizer]:
    return lambda steps: kp.Adam(steps, rate)


def _after_adam(optimizer: Callable[[int], kp.Optimizer]) -> Stages:
    return ((START, _adam(START_RATE)), (1 - START, optimizer))


MARQUARDT = "Levenberg–Marquardt"
WAYS: dict[str, Stages] = {
    **{
        f"Adam, {rate:g}": ((FIRST, _adam(rate)), (1 - FIRST, _adam(SLOWER * rate)))
        for rate in RATES
    },
    "L-BFGS": _after_adam(lambda steps: kp.LBFGS(steps, iterations=10)),
    MARQUARDT: _after_adam(lambda steps: kp.LevenbergMarquardt(steps)),
}


def ways(size: int) -> list[str]:
    """Return the ways for images with so many pixels along an edge, the same for all networks."""
    # With 1290 parameters and 4096 pixels a step of Levenberg–Marquardt takes a second.
    return [way for way in WAYS if size < 64 or way != MARQUARDT]


class Clock:
    """An observer that records the processor time, and ends a run at a limit of it."""

    def __init__(self, limit: float = 0.0, least: int = 1) -> None:
        self.limit, self.least, self.times = limit, least, [time.process_time()]

    def __call__(self, run: SolverState) -> None:
        self.times.append(time.process_time())
        enough = self.times[-1] - self.times[0] > self.limit
        run.interrupted = enough and len(self.times) > self.least

    @property
    def spent(self) -> list[float]:
        """The processor seconds after each step."""
        return [t - self.times[0] for t in self.times[1:]]

    @property
    def cost(self) -> float:
        """Mean processor seconds of a step, without the first one, which is slower.

        The processor's clock can advance in ticks longer than some steps. Where it did not advance
        after the first step, the mean over all steps is returned.
        """
        first, *later = self.times[1:]
        after_first = (later[-1] - first) / len(later) if later else 0.0
        return after_first or (self.times[-1] - self.times[0]) / (len(self.times) - 1)


@dataclass(frozen=True)
class Learned:
    """A trained network, its errors after each step where they were measured, and the seconds."""

    fitted: kp.Fitted
    errors: list[float | None]
    seconds: list[float]

    @property
    def level(self) -> float:
        """The PSNR, minus infinity for a failed run."""
        rmse = self.fitted.scores["train"].rmse
        if rmse is None or self.fitted.status.startswith("failed"):
            return -math.inf
        return psnr(rmse)


@dataclass(frozen=True)
class Learner:
    """A network that is to learn an image in `budget` seconds.

    costs: the seconds of a step of each optimizer, filled as they are timed.
    """

    make: Make
    pixels: kp.Table
    budget: float
    costs: dict[type, float]

    def fit(self, way: str, seed: int, seconds: float) -> Learned:
        """Train a network in all stages of a way, each for its share of these seconds."""
        # On random draws sine networks do better at the highest rate than on all pixels each time;
        # the other methods need the same ones throughout.
        batch = len(self.pixels.inputs) if way.startswith("Adam") else 0
        costs = [self.cost(optimizer) for _, optimizer in WAYS[way]]
        network, clock, errors = self.make(seed), Clock(), []
        for (share, optimizer), cost in zip(WAYS[way], costs, strict=True):
            clock.limit += share * seconds
            # The clock ends a stage; the number of steps says how often errors are measured.
            steps = max(1, round(MARGIN * share * seconds / cost))
            fitted = self._fit(network, optimizer(steps), batch, seed, clock)
            errors += [row.get("train_rmse") for row in fitted.history.rows[1:]]  # first: the start
        return Learned(fitted, errors, clock.spent)

    def cost(self, optimizer: Callable[[int], kp.Optimizer]) -> float:
        """Return the seconds of a step, which are timed at the first call."""
        many = optimizer(100_000)  # so many that Adam does not measure errors meanwhile
        if type(many) not in self.costs:
            clock = Clock(TIMED * self.budget, STEPS + 1)
            self._fit(self.make(0), many, 0, 0, clock)
            self.costs[type(many)] = clock.cost
        return self.costs[type(many)]

    def _fit(
        self, network: Network, optimizer: kp.Optimizer, batch: int, seed: int, clock: Clock
    ) -> kp.Fitted:
        # All networks on [-1, 1]²: a sine network's frequency is meant for that.
        return kp.fit(
            network,
            self.pixels,
            optimizer,
            scaling="range",
            batch=batch,
            seed=seed,
            observers=[clock],
        )
