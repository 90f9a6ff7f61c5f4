"""Each network in the variant and way of learning that are its best in short trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from images.networks import VARIANTS
from images.pictures import centres, psnr, table
from images.training import Learned, Learner, ways
from torch import Tensor

PART = 0.4  # of a network's time is what a trial gets


@dataclass(frozen=True)
class Trial:
    """The median PSNR over the seeds of a variant of a network that learned in one way."""

    image: str
    size: int
    network: str
    variant: str
    way: str
    level: float


@dataclass(frozen=True)
class Result:
    """What a network made of an image: PSNR against seconds as it went, and the picture."""

    image: str
    network: str
    variant: str
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


def learn(
    name: str,
    image: Tensor,
    network: str,
    seeds: Sequence[int],
    budget: float,
    costs: Mapping[str, dict[type, float]],
) -> tuple[list[Result], list[Trial]]:
    """The results for all seeds in the best variant and way, and the trials that found them.

    costs: for each variant what an optimizer's step takes, filled as the steps are timed.
    """
    pixels, size = table(image), len(image)
    learners = {
        variant: Learner(make, pixels, costs[variant])
        for variant, make in VARIANTS[size][network].items()
    }
    trials = [
        Trial(name, size, network, variant, way, _middle(learner, way, seeds, PART * budget))
        for variant, learner in learners.items()
        for way in ways(size)
    ]
    best = max(trials, key=lambda trial: trial.level)
    learner = learners[best.variant]
    return [_result(best, s, learner.fit(best.way, s, budget)) for s in seeds], trials


def _middle(learner: Learner, way: str, seeds: Sequence[int], seconds: float) -> float:
    return median(learner.fit(way, seed, seconds).level for seed in seeds)


def _result(chosen: Trial, seed: int, learned: Learned) -> Result:
    rows = zip(learned.seconds, learned.errors, strict=True)
    measured = [(seconds, psnr(error)) for seconds, error in rows if error is not None]
    seconds, levels = zip(*measured, strict=True)
    size, fitted = chosen.size, learned.fitted
    return Result(
        chosen.image,
        chosen.network,
        chosen.variant,
        seed,
        fitted.parameters,
        chosen.way,
        len(learned.seconds),
        seconds,
        levels,
        fitted(centres(size)).double().reshape(size, size),
    )
