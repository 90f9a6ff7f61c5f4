"""The fits of the toy functions: KANs on finer and finer grids, MLPs of several sizes."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from function_fitting.functions import CHEBYSHEV, UNIFORM, Function, rmse
from function_fitting.rows import Row, kept
from function_fitting.toy import FUNCTIONS, SHAPES

import kanpinn as kp

ROWS = 1000  # to train with, as in the paper
PER_PARAMETER = 3  # rows for each parameter of the 100-D function, at least
FINE = 24  # on more intervals some splines see hardly a row: damping on all layers is robust
COARSE = 3  # intervals of the search


@dataclass(frozen=True)
class Size:
    """How much is done: everything, or a glance at whether it works."""

    seeds: Sequence[int] = (0, 1, 2)
    names: Sequence[str] = tuple(SHAPES)
    bessel: Sequence[int] = (3, 6, 12, 24, 48, 96, 192)
    nested: Sequence[int] = (6, 12, 24, 48, 96)  # knots are inserted: nothing is lost
    hundred: Sequence[int] = (3, 4, 6, 8, 10)  # for k = 5 the first two
    mlps: Sequence[int] = (5, 10, 20)  # their width, two hidden layers
    steps: int = 40  # on each grid
    descent: int = 200  # steps of the MLPs: as many seconds as the KANs take, or more
    search: int = 900  # steps of variable projection from random starts


SMOKE = Size((0,), ("bessel", "exponential"), (3, 6, 12), (6, 12), (3,), (5,), 5, 5, 60)


def measure(size: Size, degrees: Sequence[int], folder: Path) -> Iterator[Row]:
    """The rows of every function, KANs of each degree and MLPs."""
    for name in size.names:
        for seed in size.seeds:
            for degree in degrees:
                key = {"function": name, "network": "KAN", "degree": degree, "seed": seed}
                yield from kept(folder, key, _kan(name, degree, seed, size))
            for width in size.mlps if name != "hundred" else size.mlps[:2]:
                key = {"function": name, "network": "MLP", "width": width, "seed": seed}
                yield from kept(folder, key, _mlp(name, width, seed, size))
        if name == "hundred":
            key = {"function": name, "network": "KAN", "degree": 3, "rows": ROWS, "seed": 0}
            yield from kept(folder, key, lambda: _hundred(3, 0, size.hundred, ROWS))


def _kan(name: str, degree: int, seed: int, size: Size) -> Callable[[], list[Row]]:
    if name == "bessel":
        return lambda: _bessel(degree, seed, size.bessel)
    if name == "hundred":
        return lambda: _hundred(degree, seed, size.hundred if degree == 3 else size.hundred[:2])
    return lambda: _staircase(name, degree, seed, size)


def _bessel(degree: int, seed: int, grids: Sequence[int]) -> list[Row]:
    """One least-squares solve on each grid."""
    function, rows = FUNCTIONS["bessel"], []
    table = function.sample(ROWS, seed, CHEBYSHEV)
    for grid in grids:
        begun = time.process_time()
        network = kp.KAN(SHAPES["bessel"], degree=degree, grid=grid, seed=seed)
        fitted = kp.fit(network, table, kp.LeastSquares())
        rows.append(_row(fitted, function, grid, begun))
    return rows


def _row(fitted: kp.Fitted, function: Function, grid: int, begun: float) -> Row:
    return {
        "grid": grid,
        "parameters": fitted.parameters,
        "rows": len(fitted.data.train),
        "train_rmse": fitted.scores["train"].rmse,
        "test_rmse": rmse(fitted, function.test()),
        "seconds": time.process_time() - begun,
    }


def _staircase(name: str, degree: int, seed: int, size: Size) -> list[Row]:
    """Variable projection from random starts on the coarsest grid, then finer ones in one fit.

    The fit ends where the network has as many parameters as there are rows.
    """
    function, shape = FUNCTIONS[name], SHAPES[name]
    data = kp.Data(function.sample(ROWS, seed, CHEBYSHEV), None, function.test())
    edges = sum(a * b for a, b in itertools.pairwise(shape))
    grids = [g for g in size.nested if edges * (g + degree) < ROWS]
    middle = [2 * COARSE] * (len(shape) - 3)
    stages: list[kp.Optimizer] = [_search(size.search)]
    for grid in grids:
        stages += [kp.Refine(grid), _polish(grid, size.steps)]
    network = kp.KAN(shape, degree=degree, grid=[COARSE, *middle, COARSE], seed=seed)
    begun = time.process_time()
    fitted = kp.fit(network, data, stages, seed=seed)
    spent = (time.process_time() - begun) / float(fitted.history.rows[-1]["seconds"])
    ends = {row["stage"]: row for row in fitted.history.rows}
    return [
        {
            "grid": grid,
            "parameters": edges * (grid + degree),
            "rows": ROWS,
            "train_rmse": ends[stage]["train_rmse"],
            "test_rmse": ends[stage]["test_rmse"],
            "seconds": ends[stage]["seconds"] * spent,  # of the processor
        }
        for grid, stage in zip(grids, range(2, len(stages), 2), strict=True)
        if stage in ends
    ]


def _search(steps: int) -> kp.Optimizer:
    return kp.VariableProjection(
        steps=steps, rounds=40, follow=2, coarse=COARSE, tolerance=1e-5, prune=False
    )


def _polish(grid: int, steps: int) -> kp.Optimizer:
    if grid > FINE:
        return kp.LevenbergMarquardt(steps=steps)
    return kp.VariableProjection(steps=steps, rounds=0, prune=False)


def _hundred(degree: int, seed: int, grids: Sequence[int], rows: int | None = None) -> list[Row]:
    """The separable fit Σ φ_i(x_i) as a start, which is linear; then all of [100, 1, 1]."""
    function, measured = FUNCTIONS["hundred"], []
    for grid in grids:
        parameters = 101 * (grid + degree)
        table = function.sample(rows or max(ROWS, PER_PARAMETER * parameters), seed, UNIFORM)
        begun = time.process_time()
        sums = kp.fit(kp.KAN([100, 1], degree=degree, grid=grid), table, kp.LeastSquares())
        network = kp.KAN([100, 1, 1], degree=degree, grid=grid, seed=seed)
        with torch.no_grad():
            network.layers[0].coefficients.copy_(sums.network.layers[0].coefficients)
        stages = [kp.LeastSquares(), kp.LevenbergMarquardt(steps=4, damping=1e-8)]
        fitted = kp.fit(network, table, stages, seed=seed)
        measured.append(_row(fitted, function, grid, begun))
    return measured


def _mlp(name: str, width: int, seed: int, size: Size) -> Callable[[], list[Row]]:
    """Two hidden layers by Levenberg–Marquardt, on the same points."""

    def fit() -> list[Row]:
        function, shape = FUNCTIONS[name], SHAPES[name]
        many = name == "hundred"
        rows = max(ROWS, PER_PARAMETER * 101 * width) if many else ROWS
        table = function.sample(rows, seed, UNIFORM if many else CHEBYSHEV)
        begun = time.process_time()
        network = kp.MLP([shape[0], width, width, 1], seed=seed)
        stages = [
            kp.LeastSquares(),
            kp.LevenbergMarquardt(steps=size.descent // (20 if many else 1)),
        ]
        fitted = kp.fit(network, table, stages, seed=seed)
        return [_row(fitted, function, 0, begun)]

    return fit
