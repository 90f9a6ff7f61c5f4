"""The fits of the toy functions: KANs on finer and finer grids, MLPs of several sizes."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from common.pieces import Pieces, Row
from function_fitting import mlps
from function_fitting.functions import CHEBYSHEV, UNIFORM, Function, rmse
from function_fitting.toy import FUNCTIONS, SHAPES

import kanpinn as kp

ROWS = 1000  # to train with, as in the paper, or
PER_PARAMETER = 3  # rows for each parameter, where that is more
FINE = 24  # on more intervals some splines see hardly a row: damping on all layers is robust
# Of variable projection's search, by the degree: what the coarse grids can come to.
ARRIVED = {3: 1e-3, 5: 1e-5}
FLIGHTS = ((6, 12, 24, 48, 96), (8, 16, 32, 64))  # knots are inserted: nothing is lost


@dataclass(frozen=True)
class Size:
    """How much is done: the full study, or a smoke run.

    names, mlps: the functions that KANs and that MLPs fit. bessel, hundred: grids of the KANs for
    these two. flights: grids of the other KANs, which have at most `most` parameters. widths: of
    the MLPs' two hidden layers. share: of the MLPs' steps. steps: of each optimizer on each grid.
    search: steps of variable projection from random starts.
    """

    seeds: Sequence[int] = (0, 1, 2)
    names: Sequence[str] = tuple(SHAPES)
    mlps: Sequence[str] = tuple(SHAPES)
    bessel: Sequence[int] = (3, 6, 12, 24, 32, 48, 64, 96, 128, 192)
    flights: Sequence[Sequence[int]] = FLIGHTS
    most: int = 600  # parameters of their KANs
    hundred: Sequence[int] = (3, 4, 5, 6, 7, 8, 10)  # for k = 5 the first two
    widths: Sequence[int] = (5, 10, 20)  # of the MLPs, two hidden layers
    share: float = 3.0  # of the MLPs' steps: some 4 s, as a KAN's way to a fine grid takes
    steps: int = 40  # on each grid
    search: int = 900  # steps of variable projection from random starts


SMOKE = Size(
    seeds=(0,),
    mlps=("product", "hundred"),
    bessel=(3, 6),
    flights=((4, 8),),
    hundred=(3,),
    widths=(5,),
    share=0.01,
    steps=1,
    search=2,
)


def measure(size: Size, degrees: Sequence[int], pieces: Pieces) -> Iterator[Row]:
    """Yield the rows of every function: KANs of each degree, then MLPs."""
    for name, seed, degree in itertools.product(size.names, size.seeds, degrees):
        key = {"function": name, "network": "KAN", "degree": degree, "seed": seed}
        for number, made in enumerate(_kans(name, degree, seed, size)):
            yield from pieces.rows(key | {"flight": number}, made)
    if "hundred" in size.names:
        key = {"function": "hundred", "network": "KAN", "degree": 3, "rows": ROWS, "seed": 0}
        yield from pieces.rows(key, partial(_hundred, 3, 0, size.hundred, size, ROWS))
    for name, seed in itertools.product(size.mlps, size.seeds):
        widths = size.widths if name != "hundred" else size.widths[:2]
        for width, optimizer in itertools.product(widths, (mlps.LM, mlps.LBFGS, mlps.ADAM)):
            key = {"function": name, "network": "MLP", "width": width}
            key |= {"optimizer": optimizer, "seed": seed}
            yield from pieces.rows(key, partial(_mlp, name, width, optimizer, seed, size))


def _kans(name: str, degree: int, seed: int, size: Size) -> list[Callable[[], list[Row]]]:
    """Return the calls that make the rows of each flight of grids."""
    if name == "bessel":
        return [partial(_bessel, degree, seed, size.bessel)]
    if name == "hundred":
        grids = size.hundred if degree == 3 else size.hundred[:2]
        return [partial(_hundred, degree, seed, grids, size)]
    return [partial(_staircase, name, degree, seed, grids, size) for grids in size.flights]


def _bessel(degree: int, seed: int, grids: Sequence[int]) -> list[Row]:
    """Solve least squares on each grid."""
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


def _staircase(name: str, degree: int, seed: int, flight: Sequence[int], size: Size) -> list[Row]:
    """Fit by variable projection from random starts on a coarse grid, then on finer grids."""
    function, shape = FUNCTIONS[name], SHAPES[name]
    edges = sum(a * b for a, b in itertools.pairwise(shape))
    grids = [g for g in flight if edges * (g + degree) <= size.most]
    parameters = {g: edges * (g + degree) for g in grids}
    count = max(ROWS, PER_PARAMETER * max(parameters.values()))
    data = kp.Data(function.sample(count, seed, CHEBYSHEV), None, function.test())
    coarse = flight[0] // 2
    middle = [2 * coarse] * (len(shape) - 3)
    network = kp.KAN(shape, degree=degree, grid=[coarse, *middle, coarse], seed=seed)
    stages: list[kp.Method] = [_search(size.search, coarse, ARRIVED[degree])]
    ends = {}
    for grid in grids:
        stages += [kp.Refine(grid), *_polish(grid, size.steps)]
        ends[grid] = len(stages) - 1
    begun = time.process_time()
    fitted = kp.fit(network, data, stages, seed=seed)
    spent = (time.process_time() - begun) / float(fitted.history.rows[-1]["seconds"])
    last = {row["stage"]: row for row in fitted.history.rows}
    return [
        {
            "grid": grid,
            "parameters": parameters[grid],
            "rows": count,
            "train_rmse": last[end]["train_rmse"],
            "test_rmse": last[end]["test_rmse"],
            "seconds": last[end]["seconds"] * spent,  # of the processor
        }
        for grid, end in ends.items()
        if end in last
    ]


def _search(steps: int, coarse: int, arrived: float) -> kp.Method:
    return kp.VariableProjection(
        steps=steps, rounds=40, follow=2, coarse=coarse, tolerance=arrived, prune=False
    )


def _polish(grid: int, steps: int) -> list[kp.Method]:
    damped = kp.LevenbergMarquardt(steps=steps)
    if grid > FINE:
        return [damped]
    return [kp.VariableProjection(steps=steps, rounds=0, prune=False), damped]


def _hundred(
    degree: int, seed: int, grids: Sequence[int], size: Size, rows: int | None = None
) -> list[Row]:
    """Start from the separable fit Σ φ_i(x_i), which is linear; then train all of [100, 1, 1]."""
    function, measured = FUNCTIONS["hundred"], []
    for grid in grids:
        parameters = 101 * (grid + degree)
        table = function.sample(rows or max(ROWS, PER_PARAMETER * parameters), seed, UNIFORM)
        begun = time.process_time()
        sums = kp.fit(kp.KAN([100, 1], degree=degree, grid=grid), table, kp.LeastSquares())
        network = kp.KAN([100, 1, 1], degree=degree, grid=grid, seed=seed)
        with torch.no_grad():
            network.layers[0].coefficients.copy_(sums.network.layers[0].coefficients)
        stages = [kp.LeastSquares(), kp.LevenbergMarquardt(steps=min(4, size.steps), damping=1e-8)]
        fitted = kp.fit(network, table, stages, seed=seed)
        measured.append(_row(fitted, function, grid, begun))
    return measured


def _mlp(name: str, width: int, optimizer: str, seed: int, size: Size) -> list[Row]:
    """Train an MLP with two hidden layers; the number of points follows the KANs' rule."""
    function, shape = FUNCTIONS[name], SHAPES[name]
    many = name == "hundred"
    network = kp.MLP([shape[0], width, width, 1], seed=seed)
    rows = max(ROWS, PER_PARAMETER * network.parameter_count)
    table = function.sample(rows, seed, UNIFORM if many else CHEBYSHEV)
    begun = time.process_time()
    share = size.share / (15 if many else 1)  # a step takes as many times as long
    stages = mlps.optimizers(width, share)[optimizer]
    fitted = kp.fit(network, table, stages, seed=seed)
    return [_row(fitted, function, 0, begun)]
