"""The fits of the special functions: small and wide KANs, MLPs, three samples of points."""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from common.pieces import Pieces, Row
from function_fitting import mlps
from function_fitting.functions import CHEBYSHEV, UNIFORM, Function, rmse

import kanpinn as kp

VALIDATION = 0.2  # of the points, to choose a setting by
SAMPLES = {  # density and number of points
    "uniform, 1000": (UNIFORM, 1000),
    "uniform, 3000": (UNIFORM, 3000),
    "Chebyshev, 1000": (CHEBYSHEV, 1000),
}
FIRST = next(iter(SAMPLES))


@dataclass(frozen=True)
class Setting:
    """A network of two inputs and its training; KANs have a degree and a grid for each layer."""

    hidden: tuple[int, ...]
    optimizers: tuple[kp.Method, ...]
    degree: tuple[int, ...] = ()
    grid: tuple[int, ...] = ()

    def network(self, seed: int) -> kp.KAN | kp.MLP:
        """Return the network before training."""
        width = [2, *self.hidden, 1]
        if self.degree:
            return kp.KAN(width, degree=self.degree, grid=self.grid, seed=seed)
        return kp.MLP(width, seed=seed)

    def __str__(self) -> str:
        grids = f" k={self.degree[-1]} G={self.grid[-1]}" if self.degree else ""
        first = self.optimizers[0]
        cut = (
            f" rcond={first.rcond:g}" if isinstance(first, kp.LeastSquares) and first.rcond else ""
        )
        return "[" + ",".join(str(n) for n in (2, *self.hidden, 1)) + "]" + grids + cut


@dataclass(frozen=True)
class Method:
    """A kind of network with its settings, which are the same for all functions.

    again: whether the setting chosen by validation is fitted once more, to all points. This is done
    for least-squares solves; a trained network stays as it was at its least validation error.
    """

    name: str
    settings: tuple[Setting, ...]
    again: bool
    samples: tuple[str, ...]


def _solved(hidden: int, rcond: float | None, degree: int = 0, grid: Sequence[int] = ()) -> Setting:
    """Return a setting with random inner functions and one least-squares solve."""
    degrees = (degree, degree) if degree else ()
    return Setting((hidden,), (kp.LeastSquares(rcond=rcond),), degrees, tuple(grid))


def _refined(share: float) -> tuple[kp.Method, ...]:
    """Return variable projection on the coarsest grid, and Levenberg–Marquardt on finer ones."""
    search = kp.VariableProjection(
        steps=max(1, int(20 * share)),
        rounds=1,
        starts=max(2, int(10 * share)),  # the two best are followed
        coarse=3,
        prune=False,
    )
    polish = kp.LevenbergMarquardt(steps=max(1, int(8 * share)))
    return (search, kp.Refine(6), polish, kp.Refine(12), polish)


def _trained(name: str, share: float) -> Method:
    """Return MLPs of two hidden layers that one optimizer trains."""
    settings = tuple(Setting((w, w), mlps.optimizers(w, share)[name]) for w in (10, 20))
    return Method(f"MLP, {name}", settings, False, (FIRST,))


WIDE, SMALL, FEATURES = "wide KAN", "KAN [2,5,1]", "wide MLP"
SOLVED = (  # the settings of the wide KANs
    _solved(64, None, 9, (2, 4)),
    _solved(80, 1e-10, 9, (2, 2)),
    _solved(80, 1e-8, 7, (2, 2)),
    _solved(40, 1e-8, 7, (2, 4)),
    _solved(40, 1e-10, 5, (2, 2)),
)


def methods(share: float = 1.0) -> tuple[Method, ...]:
    """Return all methods; share: how many steps are made, relative to those of a full run."""
    features = tuple(_solved(w, rcond) for w in (280, 560) for rcond in (None, 1e-10))
    return (
        Method(WIDE, SOLVED, True, tuple(SAMPLES)),
        Method(SMALL, (Setting((5,), _refined(share), (3, 3), (3, 3)),), False, (FIRST,)),
        Method(FEATURES, features, True, tuple(SAMPLES)),
        *(_trained(name, share) for name in (mlps.LM, mlps.LBFGS, mlps.ADAM)),
    )


METHODS = methods()
# For a smoke run: the smallest setting of each, few steps, one sample of points.
SMOKE = tuple(
    replace(
        one,
        settings=(min(one.settings, key=lambda setting: setting.hidden),),
        samples=one.samples[:1],
    )
    for one in methods(0.01)
)


def measure(
    functions: Sequence[Function],
    methods: Sequence[Method],
    seeds: Sequence[int],
    pieces: Pieces,
) -> Iterator[Row]:
    """Yield a row for each function, method, sample of points and seed."""
    for method, function, seed in itertools.product(methods, functions, seeds):
        for sample in method.samples:
            key: Row = {"function": function.name, "method": method.name}
            key |= {"points": sample, "seed": seed}
            yield from pieces.rows(key, partial(fit, function, method, sample, seed))


def fit(function: Function, method: Method, sample: str, seed: int) -> list[Row]:
    """Return the row of the fit that validation chooses.

    Its seconds are the processor time of all settings that were tried.
    """
    density, count = SAMPLES[sample]
    table = function.sample(count, seed, density)
    begun = time.process_time()
    split = kp.Data.split(table, validation=VALIDATION, test=0.0, seed=seed)
    trials = [(_fitted(function, s, split, seed), s) for s in method.settings]
    chosen, setting = min(trials, key=lambda trial: trial[0].scores["validation"].rmse or 0.0)
    validated = chosen.scores["validation"].rmse
    if method.again:
        chosen = _fitted(function, setting, table, seed)
    row = {
        "setting": str(setting),
        "parameters": chosen.parameters,
        "train_rmse": chosen.scores["train"].rmse,
        "validation_rmse": validated,
        "test_rmse": rmse(chosen, function.test()),
        "seconds": time.process_time() - begun,
    }
    return [row]


def _fitted(function: Function, setting: Setting, data: kp.Data | kp.Table, seed: int) -> kp.Fitted:
    network = setting.network(seed)
    bounds = function.bounds if isinstance(network, kp.KAN) else None
    return kp.fit(network, data, setting.optimizers, bounds=bounds, seed=seed)
