"""Measurements of the peers as timelines, tables and figures."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, groupby
from pathlib import Path
from statistics import median

import matplotlib
from common.script import Verdict, verdict
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TARGETS = tuple(10.0**-power for power in range(1, 11))
"""Relative L2 errors whose times are told."""
CLASSICAL = ("splines", "scikit-fem")
"""The peers that train no network."""


@dataclass(frozen=True)
class Measurement:
    """The errors of a row at one time; None: not finite (L2), or not measured (H1)."""

    peer: str
    row: str
    seed: int
    seconds: float
    l2_relative: float | None
    h1_relative: float | None
    parameters: int | None
    version: str


@dataclass(frozen=True)
class Summary:
    """A row of the table: medians over the seeds."""

    row: str
    version: str
    parameters: int | None
    seeds: int
    l2_relative: float
    h1_relative: float
    seconds: tuple[float, ...]
    """To each of the targets; infinite where it was not reached."""


def seconds_to(target: float, run: Iterable[Measurement]) -> float:
    """Return the least time at which a run's L2 error was at most the target, or infinity."""
    times = (m.seconds for m in run if m.l2_relative is not None and m.l2_relative <= target)
    return min(times, default=math.inf)


def best(run: Iterable[Measurement]) -> Measurement:
    """Return the measurement with the least L2 error."""
    return min(run, key=lambda m: math.inf if m.l2_relative is None else m.l2_relative)


def summarize(measurements: Sequence[Measurement]) -> list[Summary]:
    """Return one summary for each row, in the order of first appearance."""
    rows = dict.fromkeys(m.row for m in measurements)
    return [_summary([m for m in measurements if m.row == row]) for row in rows]


def _summary(measurements: list[Measurement]) -> Summary:
    ordered = sorted(measurements, key=lambda m: m.seed)
    runs = [list(run) for _, run in groupby(ordered, key=lambda m: m.seed)]
    ends = [best(run) for run in runs]
    return Summary(
        row=ends[0].row,
        version=ends[0].version,
        parameters=ends[0].parameters,
        seeds=len(runs),
        l2_relative=median(_or_infinite(end.l2_relative) for end in ends),
        h1_relative=median(_or_infinite(end.h1_relative) for end in ends),
        seconds=tuple(median(seconds_to(target, run) for run in runs) for target in TARGETS),
    )


def _or_infinite(error: float | None) -> float:
    return math.inf if error is None else error


def table(summaries: Sequence[Summary]) -> list[list[str]]:
    """Return the cells of the table, the head first; targets that were not reached are empty."""
    head = ["row", "version", "seeds", "parameters", "L2", "H1"]
    head += [f"s to 1e{round(math.log10(target))}" for target in TARGETS]
    return [head] + [_cells(summary) for summary in summaries]


def _cells(summary: Summary) -> list[str]:
    cells = [summary.row, summary.version, str(summary.seeds), str(summary.parameters or "")]
    errors = (summary.l2_relative, summary.h1_relative)
    cells += [f"{error:.1e}" if math.isfinite(error) else "" for error in errors]
    return cells + [f"{s:.2g}" if s < 9.95 else _whole(s) for s in summary.seconds]


def _whole(seconds: float) -> str:
    return f"{seconds:.0f}" if math.isfinite(seconds) else ""


def figures(measurements: Sequence[Measurement]) -> dict[str, Verdict]:
    """Return the least L2 error of each row, and kanpinn's best beside the other networks' best."""
    found: dict[str, Verdict] = {}
    errors: dict[str, float] = {}
    for summary in summarize(measurements):
        found[summary.row] = verdict(summary.l2_relative, "told")
    for m in measurements:
        if m.peer not in CLASSICAL:
            kind = "kanpinn" if m.peer == "kanpinn" else "others"
            errors[kind] = min(errors.get(kind, math.inf), _or_infinite(m.l2_relative))
    if len(errors) == 2:
        ratio = errors["others"] / errors["kanpinn"]
        name = "least error of the other networks over kanpinn's"
        found[name] = verdict(ratio, "> 1", ratio > 1)
    return found


matplotlib.use("Agg")


COLOURS = {
    "kanpinn": "#b2182b",
    "splines": "#808080",
    "scikit-fem": "#404040",
    "jinns": "#2166ac",
    "jaxkan": "#1b9e77",
    "pykan": "#e6550d",
    "deepxde": "#756bb1",
    "pina": "#c994c7",
}
"""One colour per peer; its rows differ in their markers."""


def draw(measurements: Sequence[Measurement], path: Path) -> None:
    """Draw all timelines and write them as a PNG."""
    figure = Figure(figsize=(9.5, 5.5), layout="constrained")
    axes = figure.add_subplot()
    rows = dict.fromkeys((m.peer, m.row) for m in measurements)
    markers = {peer: cycle("osD^v") for peer, _ in rows}
    for peer, row in rows:
        points = [m for m in measurements if m.row == row and m.l2_relative]
        _draw_row(axes, points, COLOURS.get(peer, "black"), next(markers[peer]))
    axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel="relative $L_2$ error")
    axes.set_title("Poisson, $u = \\sin\\pi x\\,\\sin\\pi y^2$ on $[-1, 1]^2$")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    figure.savefig(path, dpi=160)


def _draw_row(axes: Axes, points: list[Measurement], colour: str, marker: str) -> None:
    """Draw a line for each seed; only the first is in the legend."""
    for number, seed in enumerate(sorted({m.seed for m in points})):
        run = [m for m in points if m.seed == seed]
        axes.plot(
            [m.seconds for m in run],
            [math.nan if m.l2_relative is None else m.l2_relative for m in run],
            color=colour,
            marker=marker,
            markersize=3.5,
            linewidth=1.8 if run[0].peer == "kanpinn" else 1.0,
            label=None if number else run[0].row,
        )
