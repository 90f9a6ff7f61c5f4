"""Each network in the variant and way of learning that are best in short trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from common.pieces import Pieces
from images.networks import VARIANTS
from images.pictures import centres, psnr, table
from images.training import Learner, ways
from torch import Tensor

PART = 0.4  # of a network's time is what a trial gets


@dataclass(frozen=True)
class Trial:
    """The median PSNR over the seeds of a network's variant that has learned in one way."""

    image: str
    size: int
    network: str
    variant: str
    way: str
    level: float


@dataclass(frozen=True)
class Result:
    """What a network has learned of an image: PSNR against seconds, and the picture."""

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
    pieces: Pieces,
) -> tuple[list[Result], list[Trial]]:
    """Return the results for all seeds in the best variant and way, and the trials of all.

    costs: for each variant the seconds of an optimizer's step, filled as the steps are timed.
    pieces: finished trials and results, which are read.
    """
    pixels, size = table(image), len(image)
    key = {"image": name, "size": size, "network": network, "budget": budget}
    learners = {
        variant: Learner(make, pixels, budget, costs[variant])
        for variant, make in VARIANTS[size][network].items()
    }
    trials = []
    for variant, learner in learners.items():
        for way in ways(size):
            level = partial(_middle, learner, way, seeds, PART * budget)
            found = pieces.pickled(
                key | {"variant": variant, "way": way, "seeds": list(seeds)}, level
            )
            trials.append(Trial(name, size, network, variant, way, found))
    best = max(trials, key=lambda trial: trial.level)
    chosen = key | {"variant": best.variant, "way": best.way}
    results = [
        pieces.pickled(
            chosen | {"seed": seed}, partial(_result, best, seed, learners[best.variant], budget)
        )
        for seed in seeds
    ]
    return results, trials


def _middle(learner: Learner, way: str, seeds: Sequence[int], seconds: float) -> float:
    return median(learner.fit(way, seed, seconds).level for seed in seeds)


def _result(chosen: Trial, seed: int, learner: Learner, seconds_allowed: float) -> Result:
    learned = learner.fit(chosen.way, seed, seconds_allowed)
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
