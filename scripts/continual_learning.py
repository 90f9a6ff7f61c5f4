"""Continual learning: five Gaussian peaks, one after the other (pykan's example 8).

What: networks of some 200 coefficients see the points of one peak at a time. A KAN [1,1], one
spline on 200 intervals, keeps what it has learned, for splines are local, unless least squares
takes the smallest coefficients; an MLP forgets, and so does a KAN with a hidden layer. With Adam,
L-BFGS, Levenberg–Marquardt and least squares, each started anew for each peak, three seeds.

How long: three minutes on one core; --smoke: some seconds, fewer points and steps, one seed.

Writes to --output (results/continual_learning): continual_learning.md; phases and errors as .png
and .pdf (the functions after each phase; the errors over the peaks seen); continual_learning.json;
and pieces/, the result of each network, optimizer and seed: a run that was stopped continues from
them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from common import script
from common.pieces import Pieces
from common.script import Verdict
from matplotlib.figure import Figure
from torch import Tensor

import kanpinn as kp
from kanpinn.jets import Channels
from kanpinn.loss import Residuals, ResidualTerm
from kanpinn.networks import Network, Surrogate
from kanpinn.optimizers import Method
from kanpinn.plotting.style import BLUE, GREY, STYLE, new_figure, style_of, tidy
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.state import Losses, SolverState

PEAKS = 5
HALF = 1 / PEAKS  # of a phase's interval
CENTRES = tuple(2 / PEAKS * (i - PEAKS / 2 + 0.5) for i in range(PEAKS))
SHARPNESS = 300.0


def target(x: Tensor) -> Tensor:
    """Return Σ exp(-300 (x - c)²) over the peaks."""
    return sum((torch.exp(-SHARPNESS * (x - c) ** 2) for c in CENTRES), torch.zeros_like(x))


def points(phase: int, count: int) -> Tensor:
    """Return evenly spaced points (count, 1) on the interval of one peak, with both ends.

    phase: the number of the peak, from 0.
    """
    middle, share = CENTRES[phase], torch.linspace(-1, 1, count, dtype=torch.float64)
    return (middle + HALF * share)[:, None]


def seen(phases: int | Sequence[int], count: int) -> Tensor:
    """Return the points of the first so many phases, or of the given phases."""
    chosen = range(phases) if isinstance(phases, int) else phases
    return torch.cat([points(phase, count) for phase in chosen])


NAMES = ("x",)
TESTED = 1001  # points of a phase where errors are measured
BORDER = 0.03  # three intervals of 0.01: as far as a later phase's cubic splines reach

NETWORKS: dict[str, Callable[[int], Network]] = {
    "KAN [1,1]": lambda seed: kp.KAN([1, 1], degree=3, grid=200, seed=seed),
    "KAN [1,5,1]": lambda seed: kp.KAN([1, 5, 1], degree=3, grid=17, seed=seed),
    "MLP [1,12,12,1]": lambda seed: kp.MLP([1, 12, 12, 1], seed=seed),
}
OPTIMIZERS: dict[str, Callable[[int], Method]] = {
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


def teach(surrogate: Surrogate, x: Tensor, optimizer: Method, seed: int) -> None:
    """Minimise the mean squared error at these points, and at no others."""
    term = ResidualTerm(
        "data",
        kp.Points(x, NAMES),
        1.0,
        Channels(NAMES),
        lambda p, u: u.value - target(p.coords),
    )
    losses = Losses(lambda _: Residuals(surrogate, [term]))
    run_stages(SolverState(losses, (optimizer,)), seed=seed)


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


REACH = (-0.4, 1.4)  # of the functions that are shown; an MLP's leave it


def draw_phases(results: Sequence[Result], optimizer: str, count: int) -> Figure:
    """Draw a row for the data and one for each network's function; columns are phases."""
    chosen = [r for r in results if r.optimizer == optimizer]
    shown = [next(r for r in chosen if r.network == network) for network in NETWORKS]
    figure = new_figure(9.0, 1.35 * (1 + len(shown)))
    grid = figure.subplots(1 + len(shown), PEAKS, sharex=True, sharey=True)
    for phase, ax in enumerate(grid[0]):
        ax.set_title(f"phase {phase + 1}", fontsize=9)
        ax.plot(points(phase, count), target(points(phase, count)), ".", color=BLUE, markersize=2)
    for result, row in zip(shown, grid[1:], strict=True):
        for ax, curve in zip(row, result.curves, strict=True):
            ax.plot(seen(PEAKS, TESTED), curve, color=BLUE, linewidth=1)
    for row, name in zip(grid, ["data", *NETWORKS], strict=True):
        row[0].set_ylabel(name, fontsize=STYLE.small)
        for ax in row:
            ax.plot(seen(PEAKS, TESTED), target(seen(PEAKS, TESTED)), color=GREY, lw=0.5, zorder=0)
            tidy(ax).set(ylim=REACH, xlim=(-1, 1))
    figure.suptitle(f"{optimizer}, seed {shown[0].seed}; grey: all five peaks", fontsize=9)
    return figure


def draw_errors(results: Sequence[Result]) -> Figure:
    """Draw the RMSE over all peaks seen so far after each phase: medians and ranges over seeds."""
    figure = new_figure(9.0, 3.0)
    panels = figure.subplots(1, len(NETWORKS), sharey=True)
    for ax, network in zip(panels, NETWORKS, strict=True):
        for number, optimizer in enumerate(OPTIMIZERS):
            own = [r.rmse for r in results if (r.network, r.optimizer) == (network, optimizer)]
            phases, each = range(1, PEAKS + 1), list(zip(*own, strict=True))
            script.draw_ranges(ax, phases, each, optimizer, **style_of(number))
        ax.set(yscale="log", xlabel="phase", xticks=range(1, PEAKS + 1))
        ax.set_title(network, fontsize=9)
        tidy(ax)
    panels[0].set_ylabel("RMSE over the peaks seen so far", fontsize=STYLE.small)
    script.legend(figure, axes=panels[0])
    return figure


SPLINES, LOCAL = "KAN [1,1]", ("Adam", "L-BFGS", "Levenberg–Marquardt")
PERCEPTRON = "MLP [1,12,12,1]"
ROUNDING, KEPT, FORGOTTEN = 1e-12, 1e-3, 0.1


def page(results: Sequence[Result], border: float) -> str:
    """Return the page in Markdown."""
    seeds = len({r.seed for r in results})
    head = ["network", "parameters", "optimizer", *(f"phase {i + 1}" for i in range(PEAKS))]
    head += ["largest change", "away from borders"]
    lines = []
    for network in NETWORKS:
        for optimizer in OPTIMIZERS:
            own = of(results, network, optimizer)
            cells = [f"{median(r.rmse[i] for r in own):.1e}" for i in range(PEAKS)]
            cells += [f"{median(r.change for r in own):.1e}", f"{median(r.inner for r in own):.1e}"]
            lines.append([network, str(own[0].parameters), optimizer, *cells])
    table = script.markdown(head, lines)
    return script.page("continual_learning", border=border, seeds=seeds, table=table)


def of(results: Sequence[Result], network: str, optimizer: str) -> list[Result]:
    """Return the results of all seeds."""
    return [r for r in results if (r.network, r.optimizer) == (network, optimizer)]


def judge(results: Sequence[Result]) -> dict[str, Verdict]:
    """Return the measured values beside their targets; the worst seed decides."""
    figures: dict[str, Verdict] = {}
    for network, optimizer in ((n, o) for n in NETWORKS for o in OPTIMIZERS):
        own = of(results, network, optimizer)
        ends, name = [r.rmse[-1] for r in own], f"{network}, {optimizer}"
        value: Any = [median(ends), min(ends), max(ends)]
        target, met = "told: median, least, greatest", None
        if network == SPLINES and optimizer in LOCAL:
            worst, value = max(r.inner for r in own), max(ends)
            figures[f"{name}: largest change of what was learned"] = script.verdict(
                worst, f"<= {ROUNDING} away from borders: rounding", worst <= ROUNDING
            )
            target, met = f"<= {KEPT}: it keeps all peaks", value <= KEPT
        elif network == PERCEPTRON:
            value = min(ends)
            target, met = f">= {FORGOTTEN}: it forgets", value >= FORGOTTEN
        figures[f"{name}: RMSE over all peaks at the end"] = script.verdict(value, target, met)
    return figures


POINTS, STEPS = 100, 100
SHOWN = "L-BFGS"  # pykan's


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        "continual_learning",
        __doc__,
        given,
        seeds=dict(nargs="+", type=int, default=[0, 1, 2], help="0 1 2"),
    )
    seeds, points, steps = chosen.seeds, POINTS, STEPS
    if chosen.smoke:
        seeds, points, steps = seeds[:1], 20, 1
    results = study(seeds, points, steps, Pieces.under(chosen.output, again=chosen.smoke))
    drawn = {"phases": draw_phases(results, SHOWN, points), "errors": draw_errors(results)}
    script.publish(chosen, page(results, BORDER), judge(results), drawn)


if __name__ == "__main__":
    main()
