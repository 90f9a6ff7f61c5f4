"""The results of benchmark_distributed: a page, two tables, a figure."""

import csv
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.figures import save_figure
from matplotlib.axes import Axes
from scaling import paper
from scaling.paper import Fold
from scaling.timing import Scaling

from kanpinn.plotting.style import BLUE, GREY, MARKERS, PALETTE, STYLE, VERMILLION, new_figure, tidy

SCALES = {"bytes": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def write(
    folder: Path, agree: dict[str, float], scales: list[Scaling], folds: list[Fold], smoke: bool
) -> None:
    """Write the page, both tables and the figure."""
    _csv(folder / "timings.csv", TIMINGS, _timings(scales))
    _csv(folder / "communication.csv", COMMUNICATION, _communication(folds))
    figure = new_figure(7.2, 3.0)
    left, middle, right = figure.subplots(1, 3)
    _draw_scaling(left, scales, "strong")
    _draw_scaling(middle, scales, "weak")
    _draw_paper(right, folds)
    save_figure(figure, folder / "figure", smoke)
    (folder / "benchmark_distributed.md").write_text(_page(agree, scales, folds), encoding="utf-8")


TIMINGS = "task contender points parameters rounds median_s smallest_s largest_s speed_up".split()
COMMUNICATION = (
    "parameters ranks triangle_bytes busiest_bytes total_bytes gradient_bytes own_s messages_s "
    "combining_s efficiency"
).split()


def _timings(scales: Iterable[Scaling]) -> list[list[object]]:
    return [
        [s.task, name, s.points, s.parameters, len(seconds)]
        + [f"{v:.6g}" for v in (*_spread(seconds), s.over(name))]
        for s in scales
        for name, seconds in s.seconds.items()
    ]


def _communication(folds: Iterable[Fold]) -> list[list[object]]:
    return [
        [f.parameters, f.ranks, f.triangle, f.busiest, f.total]
        + [f"{v:.6g}" for v in (f.gradient, f.own, f.waiting, f.combining, f.efficiency)]
        for f in folds
    ]


def _csv(path: Path, names: Sequence[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def _spread(seconds: list[float]) -> tuple[float, float, float]:
    return statistics.median(seconds), min(seconds), max(seconds)


def _page(agree: dict[str, float], scales: list[Scaling], folds: list[Fold]) -> str:
    rate = scales[0].rate
    return f"""# One solve by several processes

## Agreement

Relative L2 difference between the solutions of one process and of two, at 1000 points.

{_table(["optimizer", "difference"], [[n, f"{d:.1e}"] for n, d in agree.items()])}

## Scaling at 2 processes

One step; one thread a process. Seconds: median (smallest - largest); rounds: {_rounds(scales)}.
Speed-up: over one process on the same points; with twice the points it is the efficiency of weak
scaling. "Side by side" are processes that know nothing of each other: what the machine allows.

{_table(["task", "contender", "seconds", "speed-up"], _scaling_rows(scales))}

## Communication of one fold, on paper

{paper.POINTS:,} points a rank. Assumed: {paper.NETWORK / 1e9:g} GB/s, {paper.LATENCY * 1e6:g} µs
a message; measured here: {rate / 1e9:.2g} · 10⁹ operations a second of one core. Going up the tree
each rank but the first sends one triangle of (P + 1)(P + 2)/2 numbers, going down each receives
one; the first, which is on every level, takes and gives ⌈log₂ R⌉ of them. Where gradients are
reduced (Adam, L-BFGS) a rank sends what the last column says instead.

{_table(PAPER, _paper_rows(folds))}

Points and memory: each rank draws all the points, so that they are those of one process, and keeps
them (16 bytes each in two dimensions); it evaluates its own share only.
"""


PAPER = [
    *("P", "ranks", "one triangle", "first rank", "network", "own rows", "messages", "combining"),
    *("efficiency", "gradient"),
]


def _scaling_rows(scales: list[Scaling]) -> list[list[str]]:
    rows = []
    for s in scales:
        for name, seconds in s.seconds.items():
            median, least, most = _spread(seconds)
            times = f"{median:.3f} ({least:.3f} - {most:.3f})"
            what = f"{s.task}, N = {s.points:,}, P = {s.parameters}"
            rows.append([what, name, times, f"{s.over(name):.2f}"])
    return rows


def _paper_rows(folds: list[Fold]) -> list[list[str]]:
    return [
        [f"{f.parameters:,}", f"{f.ranks:,}"]
        + [_bytes(n) for n in (f.triangle, f.busiest, f.total)]
        + [f"{t:.3g} s" for t in (f.own, f.waiting, f.combining)]
        + [f"{f.efficiency:.0%}", _bytes(f.gradient)]
        for f in folds
    ]


def _bytes(n: float) -> str:
    unit = max((u for u, scale in SCALES.items() if n >= scale), key=SCALES.__getitem__)
    return f"{n / SCALES[unit]:.3g} {unit}"


def _table(names: Sequence[str], rows: list[list[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rounds(scales: list[Scaling]) -> int:
    return len(next(iter(scales[0].seconds.values())))


def _draw_scaling(ax: Axes, scales: list[Scaling], kind: str) -> None:
    places = range(len(scales))
    reached = [getattr(s, kind) for s in scales]
    allowed = [getattr(s, f"{kind}_limit") for s in scales]
    ax.plot(places, reached, "o", color=BLUE, label="2 processes together")
    ax.plot(places, allowed, "_", color=VERMILLION, markersize=14, label="2 side by side")
    ideal = 2 if kind == "strong" else 1
    ax.axhline(ideal, color=GREY, linestyle=":", label="ideal")
    ax.set_xticks(places, [s.task.replace(" ", "\n").replace("-", "-\n") for s in scales])
    ax.set(ylim=(0, 1.15 * max(ideal, *reached, *allowed)), xlim=(-0.5, len(scales) - 0.5))
    what = {"strong": "speed-up, the same points", "weak": "efficiency, the same points each"}
    ax.set_title(what[kind], fontsize=STYLE.small)
    tidy(ax).legend(fontsize=STYLE.letter, frameon=False)


def _draw_paper(ax: Axes, folds: list[Fold]) -> None:
    for number, parameters in enumerate(paper.PARAMETERS):
        own = [f for f in folds if f.parameters == parameters]
        ax.plot(
            [f.ranks for f in own],
            [f.efficiency for f in own],
            color=PALETTE[number],
            marker=MARKERS[number],
            linestyle=STYLE.dashes[number],
            label=f"P = {parameters:,}",
        )
    ax.set_xscale("log")
    ax.set(ylim=(0, 1.05), xlabel="ranks")
    ax.xaxis.label.set_fontsize(STYLE.small)
    ax.set_title("efficiency on paper", fontsize=STYLE.small)
    tidy(ax).legend(fontsize=STYLE.letter, frameon=False)
