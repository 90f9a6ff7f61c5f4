"""A KAN's fit from several starts, the best kept by rows that it is not judged by."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import kanpinn as kp
from kanpinn.solvers.fit.scores import criterion

# How far the first grid reaches, in standard deviations about the mean, with tangents beyond: three
# intervals over the whole range cannot tell signs of the meridional translation near zero.
REACHES = (0.4, 0.7, 1.0)
BATCH = 256
# Steps of Adam for one of L-BFGS, which from a random start often ends in a poor minimum.
WARM, RATE = 40, 2e-2


@dataclass(frozen=True)
class SparselyJudged(kp.Adam):
    """Adam, judged every 25 steps: a look at all rows costs more than the steps between."""

    @property
    def measure_every(self) -> int:
        return 25


def fit_starts(
    data: kp.Data, width: Sequence[int], seed: int, steps: int, intervals: int = 3
) -> tuple[float, kp.Fitted]:
    """The fit that does best on the rows for validation, and the reach of its first grid."""
    began = time.perf_counter()
    fits = {}
    for reach in REACHES:
        network = warm_start(data, width, reach, seed, steps, intervals)
        fits[reach] = kp.fit(network, data, kp.LBFGS(steps), scaling="standard", seed=seed)
    reach = min(fits, key=lambda one: _error(fits[one]))
    return reach, replace(fits[reach], seconds=time.perf_counter() - began)


def warm_start(
    data: kp.Data,
    width: Sequence[int],
    reach: float,
    seed: int,
    steps: int,
    intervals: int = 3,
    sparsity: kp.Sparsity | None = None,
) -> kp.KAN:
    """A KAN of degree 3 after some Adam on few rows at a time; L-BFGS needs its float64."""
    network = kp.KAN(width, degree=3, grid=intervals, seed=seed)
    first = network.layers[0]
    first.basis = first.basis.on(reach * first.breaks)
    adam = SparselyJudged(WARM * steps, RATE)
    train = kp.Data(data.train)
    kp.fit(network, train, adam, scaling="standard", batch=BATCH, sparsity=sparsity, seed=seed)
    return network


def _error(fitted: kp.Fitted) -> float:
    return getattr(fitted.scores["validation"], criterion(fitted.data.train))
