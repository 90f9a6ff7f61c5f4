"""Networks of one size that learn an image's pixels, each for the same time on the processor."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from images.networks import NETWORKS
from images.pictures import centres, psnr, table
from torch import Tensor

import kanpinn as kp
from kanpinn.fitting import Fitted
from kanpinn.networks import Network
from kanpinn.optimizers import Optimizer
from kanpinn.run import Run

Stages = Sequence[tuple[float, Callable[[int], Optimizer]]]  # shares of the time, and what fills it

RATES = (1e-3, 3e-3, 1e-2)
FIRST, SLOWER = 0.7, 0.1  # the part of the time at a rate, and the rest's rate against it
START, START_RATE = 0.15, 1e-2  # Adam's part of the time before another method, and its rate
SEARCH = 0.4  # of the budget goes into the trial of each way to learn
STEPS, SECONDS = 3, 0.1  # at least so much is timed


def _adam(rate: float) -> Callable[[int], Optimizer]:
    return lambda steps: kp.Adam(steps, rate)


def _after_adam(optimizer: Callable[[int], Optimizer]) -> Stages:
    return ((START, _adam(START_RATE)), (1 - START, optimizer))


WAYS: dict[str, Stages] = {
    **{
        f"Adam, {rate:g}": ((FIRST, _adam(rate)), (1 - FIRST, _adam(SLOWER * rate)))
        for rate in RATES
    },
    "L-BFGS": _after_adam(lambda steps: kp.LBFGS(steps, iterations=10)),
    "Levenberg–Marquardt": _after_adam(lambda steps: kp.LevenbergMarquardt(steps)),
}


@dataclass(frozen=True)
class Result:
    """What a network made of an image: PSNR against seconds as it went, and the picture."""

    image: str
    network: str
    seed: int
    parameters: int
    way: str
    steps: int
    seconds: tuple[float, ...]
    levels: tuple[float, ...]
    picture: Tensor

    @property
    def size(self) -> int:
        """Pixels along an edge."""
        return len(self.picture)


class Clock:
    """An observer that notes the processor's time, and may end the run when it knows a step's."""

    def __init__(self, timing: bool = False) -> None:
        self.timing, self.times = timing, [time.process_time()]

    def __call__(self, run: Run) -> None:
        self.times.append(time.process_time())
        if self.timing:
            enough = self.times[-1] - self.times[0] > SECONDS
            run.interrupted = enough and len(self.times) > STEPS + 1

    @property
    def cost(self) -> float:
        """Processor seconds of a step; the first one is dearer."""
        return median(b - a for a, b in zip(self.times[1:], self.times[2:], strict=False))


@dataclass(frozen=True)
class Learner:
    """A network before an image, and what the optimizers' steps cost it in seconds."""

    make: Callable[[int], Network]
    pixels: kp.Table
    costs: dict[type, float]

    def fit(self, way: str, seed: int, seconds: float) -> tuple[Fitted, Clock]:
        """All stages of a way, in as many steps as these seconds hold."""
        stages = [
            optimizer(max(1, round(share * seconds / self.cost(optimizer))))
            for share, optimizer in WAYS[way]
        ]
        # On random draws sine networks do better at the highest rate than on all pixels each time;
        # the other methods need the same ones throughout.
        batch = len(self.pixels.inputs) if way.startswith("Adam") else 0
        network, clock = self.make(seed), Clock()
        fitted = kp.fit(network, self.pixels, stages, batch=batch, seed=seed, observers=[clock])
        return fitted, clock

    def cost(self, optimizer: Callable[[int], Optimizer]) -> float:
        """Seconds of a step, timed when they are first asked for."""
        many = optimizer(100_000)  # so many that Adam does not measure errors meanwhile
        if type(many) not in self.costs:
            clock = Clock(timing=True)
            kp.fit(self.make(0), self.pixels, many, observers=[clock])
            self.costs[type(many)] = clock.cost
        return self.costs[type(many)]

    def level(self, way: str, seed: int, seconds: float) -> float:
        """PSNR that this way reaches."""
        fitted, _ = self.fit(way, seed, seconds)
        failed = fitted.status.startswith("failed")
        return -float("inf") if failed else psnr(fitted.scores["train"].rmse)


def learn(
    name: str, image: Tensor, network: str, seeds: Sequence[int], budget: float
) -> list[Result]:
    """The results of a network for all seeds, in the way that is the best for the first one."""
    learner = Learner(NETWORKS[len(image)][network], table(image), {})
    way = max(WAYS, key=lambda way: learner.level(way, seeds[0], SEARCH * budget))
    return [
        _result(name, network, seed, way, *learner.fit(way, seed, budget), len(image))
        for seed in seeds
    ]


def _result(
    name: str, network: str, seed: int, way: str, fitted: Fitted, clock: Clock, size: int
) -> Result:
    spent = [t - clock.times[0] for t in clock.times[1:]]
    rows = zip(spent, fitted.history.rows[1:], strict=True)  # the first is that of the start
    measured = [(seconds, row["train_rmse"]) for seconds, row in rows if "train_rmse" in row]
    seconds, errors = zip(*measured, strict=True)
    return Result(
        name,
        network,
        seed,
        fitted.parameters,
        way,
        len(spent),
        seconds,
        tuple(psnr(error) for error in errors),
        fitted(centres(size)).double().reshape(size, size),
    )
