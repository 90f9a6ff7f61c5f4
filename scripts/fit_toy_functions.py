"""The KAN paper's toy functions (its Figure 3.1): orders of cubic KANs, MLPs beside.

What: J0(20 x) by [1,1], exp(sin πx + y²) by [2,1,1], xy by [2,2,1], exp(Σ sin²(πx_i/2)/100) by
[100,1,1] and exp((sin π(x1²+x2²) + sin π(x3²+x4²))/2) by [4,2,1,1], k = 3 and 5: test RMSE
(absolute, on 4000 fresh uniform points) on grids from 3 intervals on, the orders in which it falls,
and MLPs of three sizes with three optimizers; the paper's values in the same figure.

How: [1,1] is one least-squares solve on each grid. The deep ones are found by variable projection
from random starts on a coarse grid; then knots are inserted and all layers go on, by variable
projection and Levenberg–Marquardt. [100,1,1] starts from the separable fit Σ φ_i(x_i), which is one
linear solve. 1000 points as in the paper, or three for each parameter of the finest grid where that
is more, with the density of Chebyshev's nodes (no gap along the boundary); for 100 variables they
are uniform, and 1000 beside, which is interpolation. The MLPs are trained by Levenberg–Marquardt,
L-BFGS and Adam, some 4 s each. Three seeds, of points and networks.

How long: some 17 minutes of one core; --smoke: ten seconds, of two functions.

Writes to --output (results/fit_toy_functions): toy.md, toy.png and .pdf, pieces/ (a JSON
file for each run: a study that is stopped goes on where it was), fit_toy_functions.json.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy
import torch
from common import script
from common.pieces import Pieces, Row
from common.script import Verdict
from function_fitting import fitting
from function_fitting.fitting import CHEBYSHEV, UNIFORM, Function, rmse, values
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import j0
from torch import Tensor, pi

import kanpinn as kp
from kanpinn.accuracy.orders import Fit, before_level
from kanpinn.optimizers import Method
from kanpinn.plotting.convergence import error_axis, size_axis
from kanpinn.plotting.style import GREY, STYLE, new_figure, style_of, tidy
from kanpinn.solvers import Fitted


def bessel(x: Tensor) -> Tensor:
    """Return J0(20 x); torch's own J0 is accurate to 1e-9 only."""
    return torch.from_numpy(j0(20 * x[:, 0].numpy()))


def exponential(x: Tensor) -> Tensor:
    """exp(sin πx + y²)."""
    return torch.exp(torch.sin(pi * x[:, 0]) + x[:, 1] ** 2)


def product(x: Tensor) -> Tensor:
    """xy = ((x + y)² - (x - y)²)/4."""
    return x[:, 0] * x[:, 1]


def hundred(x: Tensor) -> Tensor:
    """exp(Σ sin²(πx_i/2) / 100), 100 variables."""
    return torch.exp(torch.sin(pi * x / 2).square().mean(dim=1))


def four(x: Tensor) -> Tensor:
    """exp((sin π(x1² + x2²) + sin π(x3² + x4²))/2)."""
    s = torch.sin(pi * x.square().unflatten(1, (2, 2)).sum(dim=2))
    return torch.exp(s.mean(dim=1))


# By name: the shape of the KAN, the formula, the values.
KINDS: dict[str, tuple[tuple[int, ...], str, Callable[[Tensor], Tensor]]] = {
    "bessel": ((1, 1), "J0(20 x)", bessel),
    "exponential": ((2, 1, 1), "exp(sin πx + y²)", exponential),
    "product": ((2, 2, 1), "xy", product),
    "hundred": ((100, 1, 1), "exp(Σ sin²(πx_i/2)/100)", hundred),
    "four": ((4, 2, 1, 1), "exp((sin π(x1²+x2²) + sin π(x3²+x4²))/2)", four),
}
SHAPES = {name: shape for name, (shape, _, _) in KINDS.items()}
FUNCTIONS = {
    name: Function(name, formula, (-1.0,) * shape[0], (1.0,) * shape[0], made)
    for name, (shape, formula, made) in KINDS.items()
}


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
        for width, optimizer in itertools.product(
            widths, (fitting.LM, fitting.LBFGS, fitting.ADAM)
        ):
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


def _row(fitted: Fitted, function: Function, grid: int, begun: float) -> Row:
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
    search: dict[str, Any] = dict(
        rounds=40, follow=2, coarse=coarse, tolerance=ARRIVED[degree], prune=False
    )
    stages: list[Method] = [kp.VariableProjection(steps=size.search, **search)]
    projected = kp.VariableProjection(steps=size.steps, rounds=0, prune=False)
    ends = {}
    for grid in grids:
        stages += [kp.Refine(grid), *([projected] if grid <= FINE else [])]
        stages.append(kp.LevenbergMarquardt(steps=size.steps))
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
    stages = fitting.optimizers(width, share)[optimizer]
    fitted = kp.fit(network, table, stages, seed=seed)
    return [_row(fitted, function, 0, begun)]


RANGE = 4  # from the finest grid of an order down: on coarser ones it is not reached yet
HELD = ("product",)  # sums and squares are splines: every grid holds the function itself


@dataclass(frozen=True)
class Series:
    """The test errors of one function's KANs of one degree, for all seeds."""

    name: str
    degree: int
    rows: tuple[Row, ...]

    @property
    def grids(self) -> list[int]:
        """The grids that at least half of the seeds have reached, ascending."""
        counts = [row["grid"] for row in self.rows]
        return [g for g in sorted(set(counts)) if 2 * counts.count(g) >= len(self.seeds)]

    @property
    def seeds(self) -> set[int]:
        """The seeds of points and networks."""
        return {row["seed"] for row in self.rows}

    def at(self, grid: int, quantity: str = "test_rmse") -> list[float]:
        """Return a quantity on one grid, one number for each seed."""
        return values(self.rows, quantity, grid=grid)

    def middle(self, grid: int, quantity: str = "test_rmse") -> float:
        """Return the median of a quantity over the seeds."""
        return float(numpy.median(self.at(grid, quantity)))

    @property
    def best(self) -> float:
        """The least median over the grids."""
        return min(self.middle(grid) for grid in self.grids)

    @property
    def is_exact(self) -> bool:
        """Whether the function lies in the KAN's space, so that its error has no order."""
        return self.name in HELD

    @property
    def order(self) -> Fit | None:
        """The order fitted to all seeds' errors, None if there is none."""
        if self.is_exact or len(self.grids) < 2:
            return None
        before = before_level(self.grids, [self.middle(g) for g in self.grids])
        fine = [int(g) for g in before if RANGE * g >= before[-1]]
        sizes = [g for g in fine for _ in self.at(g)]
        return kp.fit_order(sizes, [e for g in fine for e in self.at(g)]) if fine[1:] else None


def series_of(rows: Sequence[Row]) -> list[Series]:
    """Return the series by function and degree, without those of the paper's number of points."""
    kans = [r for r in rows if r["network"] == "KAN" and not is_short(r)]
    keys = dict.fromkeys((r["function"], r["degree"]) for r in kans)
    return [
        Series(
            name, degree, tuple(r for r in kans if (r["function"], r["degree"]) == (name, degree))
        )
        for name, degree in keys
    ]


def is_short(row: Row) -> bool:
    """Return whether the row is of the 100-D function with 1000 points."""
    return row["function"] == "hundred" and row["network"] == "KAN" and row["rows"] == ROWS


MINUTE, SLOPE, PAPER_DEGREE = 60.0, 3.7, 3
ROUNDING = 1e-10  # what a function that a KAN holds must come to


def page(rows: Sequence[Row]) -> str:
    """Return the page in Markdown."""
    series, parts = series_of(rows), []
    for name in dict.fromkeys(s.name for s in series):
        head = f"## {FUNCTIONS[name].formula}, {list(SHAPES[name])}"
        parts += [head, "", _table(name, series, rows), *_orders(name, series), ""]
        if name == "hundred":
            parts.append(script.page("toy_hundred"))
    tables = "\n".join(parts)
    return script.page("toy", rows=ROWS, each=PER_PARAMETER, factor=RANGE, tables=tables)


def _table(name: str, series: Sequence[Series], rows: Sequence[Row]) -> str:
    curve = fitting.TOY[name]
    lines = [
        [
            *(
                f"KAN k = {s.degree}, G = {g}",
                f"{s.middle(g, 'parameters'):.0f}",
                script.spread(s.at(g)),
            ),
            *(f"{s.middle(g, 'train_rmse'):.1e}", f"{s.middle(g, 'seconds'):.1f}"),
        ]
        for s in series
        if s.name == name
        for g in s.grids
    ]
    lines += _mlps([r for r in rows if r["function"] == name and r["network"] == "MLP"])
    for r in (r for r in rows if r["function"] == name and is_short(r)):
        network = f"KAN k = {r['degree']}, G = {r['grid']}, {ROWS} points"
        errors = [f"{r[key]:.1e}" for key in ("test_rmse", "train_rmse")]
        lines.append([network, str(r["parameters"]), *errors, f"{r['seconds']:.1f}"])
    for grid, error in zip(curve.grids, curve.rmse, strict=True):
        lines.append([f"paper's KAN k = 3, G = {grid}", "", f"{error:.1e}", "", ""])
    lines.append(["paper's best MLP", "", f"{curve.mlp:.1e}", "", ""])
    return script.markdown(["network", "parameters", "test RMSE", "train RMSE", "seconds"], lines)


def _mlps(rows: Sequence[Row]) -> list[list[str]]:
    """Return a line for each width and optimizer."""
    lines = []
    for width, optimizer in dict.fromkeys((r["width"], r["optimizer"]) for r in rows):
        own = [r for r in rows if (r["width"], r["optimizer"]) == (width, optimizer)]
        size, train, seconds = (
            numpy.median(values(own, q)) for q in ("parameters", "train_rmse", "seconds")
        )
        network = f"MLP, two layers of {width}, {optimizer}"
        errors = script.spread(values(own, "test_rmse"))
        lines.append([network, f"{size:.0f}", errors, f"{train:.1e}", f"{seconds:.1f}"])
    return lines


def _orders(name: str, series: Sequence[Series]) -> list[str]:
    lines = []
    for s in (s for s in series if s.name == name):
        if s.is_exact:
            text = "none: the KAN holds the function itself, on every grid"
        else:
            text = "too few grids" if s.order is None else f"{s.order} (theory {s.degree + 1})"
        lines.append(f"- k = {s.degree}: order {text}")
    return lines


def judge(rows: Sequence[Row]) -> dict[str, Verdict]:
    """Return errors beside the paper's, orders beside the theory's, and seconds."""
    series = series_of(rows)
    figures: dict[str, Verdict] = {}
    for name in dict.fromkeys(s.name for s in series):
        own = [s for s in series if s.name == name]
        target, best = fitting.TOY[name].best, min(own, key=lambda s: s.best)
        figures[f"{name}: test RMSE"] = script.verdict(
            best.best,
            f"<= {target:.2g}, the paper's best (here k = {best.degree})",
            best.best <= target,
        )
        for s in (s for s in own if s.degree == PAPER_DEGREE):
            figures[f"{name}: order, k = 3"] = _order_verdict(s)
        if mlps := [r for r in rows if r["function"] == name and r["network"] == "MLP"]:
            # the width and optimizer with the least median error
            ways = dict.fromkeys((r["width"], r["optimizer"]) for r in mlps)
            each = [values(mlps, "test_rmse", width=w, optimizer=o) for w, o in ways]
            least = min(float(numpy.median(errors)) for errors in each)
            text = f"< {least:.2g}, the best MLP here"
            figures[f"{name}: below the MLPs"] = script.verdict(best.best, text, best.best < least)
    longest = max(float(numpy.median(s.at(g, "seconds"))) for s in series for g in s.grids)
    met = longest <= MINUTE
    text = f"<= {MINUTE:g}, processor seconds, medians"
    figures["longest fit"] = script.verdict(longest, text, met)
    return figures


def _order_verdict(s: Series) -> Verdict:
    if s.is_exact:
        text = f"none, the KAN holds the function itself: an error <= {ROUNDING:g}"
        return script.verdict(s.best, text, s.best <= ROUNDING)
    value = None if s.order is None else s.order.order
    met = None if value is None else value >= SLOPE
    return script.verdict(value, f">= {SLOPE:g}", met)


def draw(rows: Sequence[Row]) -> Figure:
    """Draw a panel for each function: errors against parameters, with the paper's."""
    series = series_of(rows)
    names = list(dict.fromkeys(s.name for s in series))
    figure = new_figure(3.0 * len(names), 4.2)
    for ax, name in zip(numpy.ravel(figure.subplots(1, len(names))), names, strict=True):
        _panel(ax, name, [s for s in series if s.name == name], rows)
    return figure


def _panel(ax: Axes, name: str, series: Sequence[Series], rows: Sequence[Row]) -> None:
    shown = []
    for number, s in enumerate(series):
        sizes = [s.middle(g, "parameters") for g in s.grids]
        label = f"KAN k = {s.degree}" + ("" if s.order is None else f": order {s.order}")
        shown += _line(ax, sizes, [s.at(g) for g in s.grids], number, label)
    mlps = [r for r in rows if r["function"] == name and r["network"] == "MLP"]
    for number, optimizer in enumerate(dict.fromkeys(r["optimizer"] for r in mlps), len(series)):
        own = [r for r in mlps if r["optimizer"] == optimizer]
        sizes = sorted({r["parameters"] for r in own})
        each = [values(own, "test_rmse", parameters=p) for p in sizes]
        shown += _line(ax, sizes, each, number, f"MLP, {optimizer}")
    curve = fitting.TOY[name]
    edges = sum(a * b for a, b in itertools.pairwise(SHAPES[name]))
    theirs = [edges * (g + PAPER_DEGREE) for g in curve.grids]
    ax.plot(theirs, curve.rmse, "*:", color=GREY, linewidth=0.8, label="paper, KAN k = 3")
    ax.axhline(curve.mlp, color=GREY, linestyle="--", linewidth=0.8, label="paper, best MLP")
    known = [row["parameters"] for row in rows if row["function"] == name]
    size_axis(ax, [*known, *theirs])
    error_axis(ax, [*shown, *curve.rmse, curve.mlp])
    ax.set_title(FUNCTIONS[name].formula, fontsize=STYLE.letter)
    ax.set_xlabel("parameters", fontsize=STYLE.small)
    ax.set_ylabel("test RMSE", fontsize=STYLE.small)
    ax.legend(fontsize=STYLE.letter - 1, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.16))
    tidy(ax)


def _line(
    ax: Axes, sizes: Sequence[float], each: Sequence[list[float]], number: int, label: str
) -> list[float]:
    """Draw medians and ranges; return all errors."""
    look = style_of(number) | {"linestyle": "-"}
    script.draw_ranges(ax, sizes, each, label, **look)
    return [error for errors in each for error in errors]


DEGREES = (3, 5)


def main() -> None:
    chosen = script.options("fit_toy_functions", __doc__)
    size, degrees = (SMOKE, (3,)) if chosen.smoke else (Size(), DEGREES)
    rows = []
    for row in measure(size, degrees, Pieces.under(chosen.output, again=chosen.smoke)):
        rows.append(row)
        sys.stderr.write("{function} {network} seed {seed}: {test_rmse:.1e}\n".format(**row))
    script.publish(chosen, page(rows), judge(rows), {"toy": draw(rows)}, page="toy")


if __name__ == "__main__":
    main()
