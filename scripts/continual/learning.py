"""Networks that learn phase after phase, each time from the points of that phase alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from common.pieces import Pieces
from continual.peaks import PEAKS, points, seen, target
from torch import Tensor

import kanpinn as kp
from kanpinn.loss import Residuals, ResidualTerm
from kanpinn.networks import Network, Surrogate
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.losses import FixedLoss
from kanpinn.solvers.state import begin

NAMES = ("x",)
TESTED = 1001  # points of a phase where errors are measured
BORDER = 0.03  # three intervals of 0.01: as far as a later phase's cubic splines reach

NETWORKS: dict[str, Callable[[int], Network]] = {
    "KAN [1,1]": lambda seed: kp.KAN([1, 1], degree=3, grid=200, seed=seed),
    "KAN [1,5,1]": lambda seed: kp.KAN([1, 5, 1], degree=3, grid=17, seed=seed),
    "MLP [1,12,12,1]": lambda seed: kp.MLP([1, 12, 12, 1], seed=seed),
}
OPTIMIZERS: dict[str, Callable[[int], kp.Optimizer]] = {
    "Adam": lambda steps: kp.Adam(steps=10 * steps, lr=1e-2),
    "L-BFGS": lambda steps: kp.LBFGS(steps=max(1, steps // 5)),
    "Levenberg–Marquardt": lambda steps: kp.LevenbergMarquardt(steps=steps),
    "least squares": lambda steps: kp.LeastSquares(),
}


@dataclass(frozen=True)
class Result:
    """The result of one network.

    rmse: over the points of all peaks seen so far, after each phase. change: the largest |change|
    of the function on an earlier peak between the end of that peak's phase and the end of all.
    inner: the same away from the borders to later phases. curves: the function on all of [-1, 1]
    after each phase.
    """

    network: str
    optimizer: str
    seed: int
    parameters: int
    rmse: tuple[float, ...]
    change: float
    inner: float
    curves: tuple[Tensor, ...]


def learn(network: str, optimizer: str, seed: int, count: int, steps: int) -> Result:
    """Train a network in all phases, with `count` points each and a new optimizer in each."""
    made = NETWORKS[network](seed)
    surrogate = Surrogate(made, kp.Box(x=(-1, 1)))
    surrogate.prepare(kp.Points(seen(PEAKS, TESTED), NAMES))
    rmse, learned, curves = [], [], []
    for phase in range(PEAKS):
        teach(surrogate, points(phase, count), OPTIMIZERS[optimizer](steps), seed)
        x = seen(phase + 1, TESTED)
        rmse.append(float((values(surrogate, x) - target(x)).square().mean().sqrt()))
        learned.append(values(surrogate, points(phase, TESTED)))
        curves.append(values(surrogate, seen(PEAKS, TESTED)))
    drift = torch.cat(
        [abs(values(surrogate, points(i, TESTED)) - learned[i]) for i in range(PEAKS - 1)]
    )
    right = torch.cat([points(i, TESTED)[-1] - points(i, TESTED) for i in range(PEAKS - 1)])
    inner = float(drift[right > BORDER + 1e-9].max())
    change, size = float(drift.max()), made.parameter_count
    return Result(network, optimizer, seed, size, tuple(rmse), change, inner, tuple(curves))


def teach(surrogate: Surrogate, x: Tensor, optimizer: kp.Optimizer, seed: int) -> None:
    """Minimise the mean squared error at these points, and at no others."""
    term = ResidualTerm(
        "data",
        kp.Points(x, NAMES),
        1.0,
        kp.Channels(NAMES),
        lambda p, u: u.value - target(p.coords),
    )
    run_stages(begin(FixedLoss(Residuals(surrogate, [term])), (optimizer,)), seed=seed)


def values(surrogate: Surrogate, x: Tensor) -> Tensor:
    """Return the function at x (n, 1)."""
    return surrogate(kp.Points(x, NAMES))


def study(seeds: Sequence[int], count: int, steps: int, pieces: Pieces) -> list[Result]:
    """Return the result of every network, optimizer and seed; those in `pieces` are read."""
    return [
        pieces.pickled(
            {"network": network, "optimizer": optimizer, "seed": seed}
            | {"points": count, "steps": steps},
            partial(learn, network, optimizer, seed, count, steps),
        )
        for network in NETWORKS
        for optimizer in OPTIMIZERS
        for seed in seeds
    ]
