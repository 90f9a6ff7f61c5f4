"""The fits of the special functions: small and wide KANs, MLPs, two densities of points."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from function_fitting.functions import CHEBYSHEV, DENSITIES, Function, rmse
from function_fitting.rows import Row, kept

import kanpinn as kp

ROWS = 1000  # to train with, as in the paper
SEARCH = kp.VariableProjection(steps=40, rounds=1, starts=20, coarse=3, prune=False)


@dataclass(frozen=True)
class Method:
    """A network, by the seed, and how it is trained; `densities` of the points it is tried on."""

    name: str
    network: Callable[[int], kp.KAN | kp.MLP]
    optimizers: tuple[kp.Optimizer, ...]
    densities: tuple[str, ...] = (CHEBYSHEV,)

    @property
    def is_kan(self) -> bool:
        """Whether the network is a KAN."""
        return self.name.startswith("KAN")


def _kan(
    width: Sequence[int], degree: Sequence[int], grid: Sequence[int]
) -> Callable[[int], kp.KAN]:
    return lambda seed: kp.KAN(width, degree=degree, grid=grid, seed=seed)


def _mlp(width: Sequence[int]) -> Callable[[int], kp.MLP]:
    return lambda seed: kp.MLP(width, seed=seed)


def _refined(*grids: int) -> tuple[kp.Optimizer, ...]:
    """Variable projection on the coarsest grid, then Levenberg–Marquardt on nested finer ones."""
    stages: list[kp.Optimizer] = [SEARCH]
    for grid in grids:
        stages += [kp.Refine(grid), kp.LevenbergMarquardt(steps=12)]
    return tuple(stages)


LEAST_SQUARES = (kp.LeastSquares(),)
DESCENT = (kp.LeastSquares(), kp.LevenbergMarquardt(steps=40))
WIDE, ROBUST = "KAN [2,64,1] k=9", "KAN [2,30,1] k=3,9"
METHODS = (
    Method(WIDE, _kan([2, 64, 1], [9, 9], [2, 4]), LEAST_SQUARES, DENSITIES),
    Method(ROBUST, _kan([2, 30, 1], [3, 9], [1, 2]), LEAST_SQUARES, DENSITIES),
    Method("KAN [2,5,1] k=3", _kan([2, 5, 1], [3, 3], [3, 3]), _refined(6, 12)),
    Method("KAN [2,5,1] k=7", _kan([2, 5, 1], [5, 7], [1, 3]), _refined(6)),
    Method("MLP [2,560,1]", _mlp([2, 560, 1]), LEAST_SQUARES, DENSITIES),
    Method("MLP [2,15,15,1]", _mlp([2, 15, 15, 1]), DESCENT),
)
# Whose solves take a second or less, for a glance.
FAST = tuple(method for method in METHODS if method.optimizers == LEAST_SQUARES)


def measure(
    functions: Sequence[Function],
    methods: Sequence[Method],
    seeds: Sequence[int],
    folder: Path,
) -> Iterator[Row]:
    """A row for each function, method, density and seed."""
    for function, method, seed in itertools.product(functions, methods, seeds):
        for density in method.densities:
            key = {"function": function.name, "method": method.name}
            key |= {"density": density, "seed": seed}
            measured = partial(fit, function, method, density, seed)
            yield from kept(folder, key, measured)


def fit(function: Function, method: Method, density: str, seed: int) -> list[Row]:
    """One fit: its errors, size and processor seconds."""
    table = function.sample(ROWS, seed, density)
    begun = time.process_time()
    fitted = kp.fit(method.network(seed), table, method.optimizers, seed=seed)
    row = {
        "parameters": fitted.parameters,
        "train_rmse": fitted.scores["train"].rmse,
        "test_rmse": rmse(fitted, function.test()),
        "seconds": time.process_time() - begun,
    }
    return [row]
