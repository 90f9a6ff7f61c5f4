"""Networks of one size that learn an image's pixels, each for the same time on the processor."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from images.pictures import centres, psnr, table
from torch import Tensor

import kanpinn as kp
from kanpinn.fitting import Fitted
from kanpinn.networks import Network
from kanpinn.run import Run

BATCH = 4096
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
FIRST, SLOWER = 0.7, 0.1  # the part of the steps at the rate found, and the rest's rate against it
TRIAL = 20  # steps that are timed
SEARCH = 0.25  # of the budget goes into each learning rate's trial

KANS = ("KAN [2,16,16,1]", "KAN [2,40,1]")
SINE = "sine network"


def _mlp(activation: str, frequency: float | None = None) -> Callable[[int], Network]:
    width, dtype = [2, 48, 48, 48, 1], torch.float32
    return lambda seed: kp.MLP(width, activation, frequency=frequency, seed=seed, dtype=dtype)


def _kan(width: Sequence[int], grid: Sequence[int]) -> Callable[[int], Network]:
    return lambda seed: kp.KAN(width, degree=3, grid=grid, seed=seed, dtype=torch.float32)


# Some 4900 parameters each.
NETWORKS: dict[str, Callable[[int], Network]] = {
    SINE: _mlp("sine", 30.0),
    KANS[0]: _kan([2, 16, 16, 1], [54, 8, 8]),
    KANS[1]: _kan([2, 40, 1], [16, 80]),
    "MLP tanh": _mlp("tanh"),
    "MLP silu": _mlp("silu"),
}


@dataclass(frozen=True)
class Result:
    """What a network made of an image: seconds, steps and PSNR as they went, and the picture."""

    image: str
    network: str
    seed: int
    parameters: int
    rate: float
    cost: float  # processor seconds of a step
    steps: tuple[int, ...]
    levels: tuple[float, ...]
    picture: Tensor


class Clock:
    """An observer that times steps, and ends the run after some."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, run: Run) -> None:
        self.times.append(time.process_time())
        run.interrupted = run.step > TRIAL

    @property
    def cost(self) -> float:
        """Processor seconds of a step."""
        return median(b - a for a, b in zip(self.times, self.times[1:], strict=False))


def learn(name: str, image: Tensor, network: str, seeds: Sequence[int], budget: float) -> list:
    """The results of a network for all seeds; its learning rate is the best for the first one."""
    clock = Clock()
    pixels = table(image)
    # So many steps that none of those timed measures errors.
    kp.fit(NETWORKS[network](0), pixels, kp.Adam(10_000), batch=BATCH, observers=[clock])
    count = max(10, int(budget / clock.cost))

    def fit(seed: int, rate: float, steps: int) -> Fitted:
        first = max(1, int(FIRST * steps))
        stages = [kp.Adam(first, rate), kp.Adam(max(1, steps - first), SLOWER * rate)]
        return kp.fit(NETWORKS[network](seed), pixels, stages, batch=BATCH, seed=seed)

    def level(rate: float) -> float:
        fitted = fit(seeds[0], rate, int(SEARCH * count))
        return fitted.scores["train"].rmse if fitted.status.startswith("stopped") else float("inf")

    rate = min(RATES, key=level)
    return [
        _result(name, network, seed, rate, clock.cost, fit(seed, rate, count), len(image))
        for seed in seeds
    ]


def _result(
    name: str, network: str, seed: int, rate: float, cost: float, fitted: Fitted, size: int
) -> Result:
    rows = [row for row in fitted.history.rows if "train_rmse" in row]
    return Result(
        name,
        network,
        seed,
        fitted.parameters,
        rate,
        cost,
        tuple(int(row["step"]) for row in rows),
        tuple(psnr(row["train_rmse"]) for row in rows),
        fitted(centres(size)).double().reshape(size, size),
    )
