"""The KAN paper's fifteen special functions, fitted from random points.

What: test RMSE (absolute, on 4000 fresh uniform points) of KANs and MLPs for scipy.special's
ellipj (sn), ellipkinc, ellipeinc, jv, yv, kv, iv, lpmv (m = 0, 1, 2) and the real part of sph_harm
(m, n) = (0,1), (1,1), (0,2), (1,2), (2,2), beside the paper's best KAN and MLP (its Table 1).

The paper does not print its ranges, nor does pykan hold them. Here: elliptic φ in [0, π/2] (u in
[0, 5] for sn), m in [0, 0.9]; J and Y: ν in [0, 2], x in [1, 10]; K and I: ν in [0, 2], x in
[1, 5]; P_ν^m: ν in [0, 4], x in [-0.5, 0.9]; spherical harmonics: the whole sphere. All away from
singularities; so a comparison with the paper's numbers is one of figures, not of equal tasks, and
the MLPs here, on the same points, are the honest yardstick.

How: 1000 uniform points, 3000 of them (the paper does not say how many it has), and 1000 with the
density of Chebyshev's nodes (the cosine of a uniform angle), which leave no gap along the boundary.
Grids cover the function's domain, not the points' range. Wide KANs have random inner functions and
one least-squares solve of the output layer, with tanh features beside them; a small KAN is trained
by variable projection, then Levenberg–Marquardt on nested grids; MLPs by Levenberg–Marquardt,
L-BFGS and Adam, with as many seconds each. Settings are chosen from one short list for all
functions by a fifth of the points, never by the test. Medians of three seeds (of points and
networks).

How long: some 12 minutes of one core; --smoke: some seconds, three functions.

Writes to --output (results/fit_special_functions): special.md, special.png and .pdf,
pieces/ (a JSON file for each fit: a run that is stopped goes on where it was),
fit_special_functions.json.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import pi

import numpy
import torch
from common import script
from common.pieces import Pieces, Row
from common.script import Verdict
from function_fitting import fitting
from function_fitting.fitting import CHEBYSHEV, UNIFORM, Function, rmse, values
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import special
from torch import Tensor

import kanpinn as kp
from kanpinn.optimizers import Method as SolveMethod
from kanpinn.plotting.convergence import error_axis
from kanpinn.plotting.style import GREY, MARKERS, PALETTE, STYLE, new_figure, tidy
from kanpinn.solvers import Fitted

Array = numpy.ndarray
AMPLITUDE, PARAMETER = pi / 2, 0.9  # m = 1 is a singularity of the elliptic functions


def sph_harm(m: int, n: int) -> Callable[[Array, Array], Array]:
    """Return the function Re Y_n^m of azimuth and polar angle.

    SciPy has changed the function's name and the order of its arguments.
    """

    def values(azimuth: Array, polar: Array) -> Array:
        if hasattr(special, "sph_harm_y"):  # SciPy 1.15 and later
            return special.sph_harm_y(n, m, polar, azimuth).real
        return special.sph_harm(m, n, azimuth, polar).real

    return values


def lpmv(m: int) -> Callable[[Array, Array], Array]:
    """Return the function P_ν^m(x), with the phase (-1)^m."""
    return lambda order, x: special.lpmv(m, order, x)


def sn(u: Array, m: Array) -> Array:
    """Return Jacobi's sn(u | m)."""
    return special.ellipj(u, m)[0]


Pair = tuple[float, float]
BESSEL: tuple[Pair, Pair] = (0.0, 1.0), (2.0, 10.0)  # Y and K are infinite at x = 0
MODIFIED: tuple[Pair, Pair] = (0.0, 1.0), (2.0, 5.0)  # exponentials: a shorter range
LEGENDRE: tuple[Pair, Pair] = (0.0, -0.5), (4.0, 0.9)  # x = -1 is a singularity, x = 1 a root
SPHERE: tuple[Pair, Pair] = (0.0, 0.0), (2 * pi, pi)
ELLIPTIC: tuple[Pair, Pair] = (0.0, 0.0), (AMPLITUDE, PARAMETER)
KINDS: list[tuple[str, str, tuple[Pair, Pair], Callable[[Array, Array], Array]]] = [
    ("ellipj", "sn(u, m)", ((0.0, 0.0), (5.0, PARAMETER)), sn),
    ("ellipkinc", "F(φ, m)", ELLIPTIC, special.ellipkinc),
    ("ellipeinc", "E(φ, m)", ELLIPTIC, special.ellipeinc),
    ("jv", "J_ν(x)", BESSEL, special.jv),
    ("yv", "Y_ν(x)", BESSEL, special.yv),
    ("kv", "K_ν(x)", MODIFIED, special.kv),
    ("iv", "I_ν(x)", MODIFIED, special.iv),
    *((f"lpmv {m}", f"P_ν^{m}(x)", LEGENDRE, lpmv(m)) for m in (0, 1, 2)),
    *(
        (f"sph_harm {m},{n}", f"Re Y_{n}^{m}(θ, φ)", SPHERE, sph_harm(m, n))
        for m, n in ((0, 1), (1, 1), (0, 2), (1, 2), (2, 2))
    ),
]


def _of_tensors(function: Callable[[Array, Array], Array]) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.from_numpy(numpy.asarray(function(*x.numpy().T), dtype=numpy.float64))


FUNCTIONS = {
    name: Function(name, formula, *bounds, _of_tensors(made))
    for name, formula, bounds, made in KINDS
}


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
    optimizers: tuple[SolveMethod, ...]
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


def _refined(share: float) -> tuple[SolveMethod, ...]:
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
    settings = tuple(Setting((w, w), fitting.optimizers(w, share)[name]) for w in (10, 20))
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
        *(_trained(name, share) for name in (fitting.LM, fitting.LBFGS, fitting.ADAM)),
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
    functions: Sequence[Function], methods: Sequence[Method], seeds: Sequence[int], pieces: Pieces
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


def _fitted(function: Function, setting: Setting, data: kp.Data | kp.Table, seed: int) -> Fitted:
    network = setting.network(seed)
    bounds = function.bounds if isinstance(network, kp.KAN) else None
    return kp.fit(network, data, setting.optimizers, bounds=bounds, seed=seed)


MINUTE = 60.0


def page(rows: Sequence[Row]) -> str:
    """Return the page in Markdown."""
    tables = [f"## Points: {sample}\n\n{_table(rows, sample)}" for sample in samples_in(rows)]
    parts = {"tables": "\n".join(tables), "settings": _settings(rows), "ranges": _ranges(rows)}
    return script.page("special", validation=VALIDATION, **parts)


def _table(rows: Sequence[Row], sample: str) -> str:
    methods = methods_in([row for row in rows if row["points"] == sample])
    seconds = [numpy.median(values(rows, "seconds", method=m, points=sample)) for m in methods]
    head = [f"{m} ({s:.1f} s)" for m, s in zip(methods, seconds, strict=True)]
    lines = []
    for name in functions_in(rows):
        best = fitting.SPECIAL[name]
        cells = [
            script.spread(values(rows, "test_rmse", function=name, method=m, points=sample))
            for m in methods
        ]
        lines.append([name, f"{best.kan:.1e}", f"{best.mlp:.1e}", *cells])
    return script.markdown(["function", "paper KAN", "paper MLP", *head], lines)


def _settings(rows: Sequence[Row]) -> str:
    """Return how often validation has chosen each setting, and its number of parameters."""
    lines = []
    for method in METHODS:
        own = [row for row in rows if row["method"] == method.name]
        for setting in map(str, method.settings if own else ()):
            sizes = values(own, "parameters", setting=setting)
            count = str(sizes[0]) if sizes else ""
            lines.append([method.name, setting, count, f"{len(sizes)} of {len(own)}"])
    return script.markdown(["method", "setting", "parameters", "chosen"], lines)


def _ranges(rows: Sequence[Row]) -> str:
    lines = []
    for name in functions_in(rows):
        f = FUNCTIONS[name]
        box = [f"[{low:.4g}, {high:.4g}]" for low, high in zip(f.low, f.high, strict=True)]
        lines.append([name, f.formula, *box])
    return script.markdown(["function", "formula", "first variable", "second"], lines)


def judge(rows: Sequence[Row]) -> dict[str, Verdict]:
    """Return the wide KAN's median beside the paper's KAN, and the seconds, with their targets.

    There is one value for each sample of points.
    """
    figures: dict[str, Verdict] = {}
    names, samples = functions_in(rows), samples_in(rows)
    for name in names:
        value, target = _median(rows, name, WIDE, samples[0]), fitting.SPECIAL[name].kan
        text = f"<= {target:.3g}, the paper's KAN; {samples[0]} points"
        figures[name] = script.verdict(value, text, value <= target)
    for sample in samples:
        won = sum(_median(rows, n, WIDE, sample) <= fitting.SPECIAL[n].kan for n in names)
        figures[f"below the paper's KAN, {sample} points"] = _count(won, len(names))
        here = methods_in([row for row in rows if row["points"] == sample])
        mlps = [m for m in here if "MLP" in m and m != FEATURES]
        if mlps:
            best = {n: min(_median(rows, n, m, sample) for m in mlps) for n in names}
            won = sum(_median(rows, n, WIDE, sample) < best[n] for n in names)
            figures[f"below the best trained MLP, {sample} points"] = _count(won, len(names))
    longest = max(values(rows, "seconds"))
    figures["longest fit, seconds"] = script.verdict(
        longest, f"<= {MINUTE:g} of one processor", longest <= MINUTE
    )
    return figures


def _count(won: int, count: int) -> Verdict:
    return script.verdict(won, f"all {count}", won == count)


def _median(rows: Sequence[Row], name: str, method: str, sample: str) -> float:
    errors = values(rows, "test_rmse", function=name, method=method, points=sample)
    return float(numpy.median(errors))


def functions_in(rows: Sequence[Row]) -> list[str]:
    """Return the names of the functions, in order."""
    return list(dict.fromkeys(row["function"] for row in rows))


def methods_in(rows: Sequence[Row]) -> list[str]:
    """Return the names of the methods, in order."""
    return list(dict.fromkeys(row["method"] for row in rows))


def samples_in(rows: Sequence[Row]) -> list[str]:
    """Return the names of the samples of points, in order."""
    return list(dict.fromkeys(row["points"] for row in rows))


APART = 0.11  # of a column, between methods
PAPER = {"kan": ("paper, KAN", "_", 12), "mlp": ("paper, MLP", "x", 5)}  # label, marker, size


def draw(rows: Sequence[Row]) -> Figure:
    """Draw medians and ranges over the seeds, a panel for each sample of points."""
    samples = samples_in(rows)
    figure = new_figure(11, 0.4 + 2.8 * len(samples))
    panels = figure.subplots(len(samples), 1, squeeze=False, sharex=True)[:, 0]
    for ax, sample in zip(panels, samples, strict=True):
        _panel(ax, [row for row in rows if row["points"] == sample], methods_in(rows))
        ax.set_title(f"points: {sample}", fontsize=STYLE.small, loc="left")
        ax.set_ylabel("test RMSE", fontsize=STYLE.small)
    first = panels[0]  # has all methods
    first.legend(fontsize=STYLE.letter, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _panel(ax: Axes, rows: Sequence[Row], methods: Sequence[str]) -> None:
    names, own = functions_in(rows), methods_in(rows)
    places, shown = numpy.arange(len(names)), values(rows, "test_rmse")
    for number, method in enumerate(methods):
        if method not in own:
            continue
        each = [values(rows, "test_rmse", function=name, method=method) for name in names]
        x = places + APART * (number - (len(methods) - 1) / 2)
        colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        script.draw_ranges(ax, x, each, method, color=colour, marker=marker, linestyle="none")
    for kind, (label, marker, size) in PAPER.items():
        theirs = [getattr(fitting.SPECIAL[name], kind) for name in names]
        ax.plot(
            places, theirs, marker, color=GREY, markersize=size, markeredgewidth=1.6, label=label
        )
        shown += theirs
    error_axis(ax, shown)
    ax.set_xticks(places, names, rotation=20, ha="right")
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    tidy(ax)


SHOWN = ("ellipj", "lpmv 1", "sph_harm 1,2")  # by a smoke run: one of each way to define them


def main() -> None:
    chosen = script.options("fit_special_functions", __doc__)
    functions, methods = list(FUNCTIONS.values()), METHODS
    seeds: tuple[int, ...] = (0, 1, 2)
    if chosen.smoke:
        functions, methods, seeds = [FUNCTIONS[name] for name in SHOWN], SMOKE, (0,)
    rows = []
    for row in measure(functions, methods, seeds, Pieces.under(chosen.output, again=chosen.smoke)):
        rows.append(row)
        sys.stderr.write("{function} {method} {points}: {test_rmse:.1e}\n".format(**row))
    script.publish(chosen, page(rows), judge(rows), {"special": draw(rows)}, page="special")


if __name__ == "__main__":
    main()
