"""Figure 3 of the poster: studies of sizes, their curves and orders, plots, page and verdicts."""

import itertools
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy
from common import script
from common.script import PROBLEMS, Verdict, save_figure, verdict
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from poster import paper
from poster.paper import GRIDS, edges

import kanpinn as kp
from kanpinn.accuracy import fit_order
from kanpinn.accuracy.orders import Fit
from kanpinn.plotting.convergence import ErrorRange
from kanpinn.plotting.style import GREY, MARKERS, PALETTE, STYLE, new_figure, tidy
from kanpinn.runs.results.record import PARTIAL, RECORD, read_record

STUDIES = {  # by the names of their folders, the protocol
    **{"kan": "poster", "mlp": "poster", "fair-kan": "fair", "fair-mlp": "fair"},
    **{"fit": "fit", "structure": "structure"},
}
ERRORS = ("l2_squared", "h1_squared")


class Series(NamedTuple):
    """What all runs of one curve have in common; protocol is a value of STUDIES."""

    protocol: str
    network: str  # "KAN" or "MLP"
    boundary: str  # "exact" or "penalty"
    degree: int  # 0: an MLP


@dataclass(frozen=True)
class Point:
    """The state of a run at the end of a grid; grid 0 is the end of an MLP's run.

    loss: the loss that was minimised. edges: their number, which the paper's N counts (times the
    grid). steps and seconds: from the start of the run.
    """

    series: Series
    width: tuple[int, ...]
    seed: int
    grid: int
    edges: int
    parameters: int
    l2_squared: float
    h1_squared: float
    loss: float
    steps: int
    seconds: float

    @property
    def n(self) -> int:
        """The paper's N: edges times grid, an MLP's weights."""
        return self.edges * max(self.grid, 1)


@dataclass(frozen=True)
class History:
    """Squared errors against steps of one run."""

    series: Series
    width: tuple[int, ...]
    seed: int
    step: numpy.ndarray
    l2_squared: numpy.ndarray
    h1_squared: numpy.ndarray


@dataclass(frozen=True)
class Runs:
    """All runs that were found in an output folder."""

    points: list[Point]
    histories: list[History]
    failed: list[str]
    unfinished: int

    def of(self, series: Series, width: Sequence[int] | None = None) -> list[Point]:
        """Return the points of one curve, or of one of its networks."""
        width = None if width is None else tuple(width)
        return [p for p in self.points if p.series == series and width in (None, p.width)]

    def history(self, series: Series, width: Sequence[int]) -> list[History]:
        """Return the histories of a network's seeds."""
        return [h for h in self.histories if h.series == series and h.width == tuple(width)]


def read(output: Path) -> Runs:
    """Read all finished runs of the studies, whichever call of the script made them."""
    points, histories, failed, unfinished = [], [], [], 0
    folders = [
        path for study in STUDIES for path in sorted(output.glob(f"{study}-????????/runs/*"))
    ]
    for folder in folders:
        if not (folder / RECORD).is_file():
            continue
        if folder.name.endswith(PARTIAL):
            unfinished += 1
            continue
        record = read_record(folder)
        if record["status"].startswith("failed"):
            failed.append(f"{folder.name}: {record['status']}")
            continue
        protocol = STUDIES[folder.parents[1].name.rpartition("-")[0]]
        more, history = _read_run(folder, record, protocol)
        points += more
        histories.append(history)
    return Runs(points, histories, failed, unfinished)


def _read_run(folder: Path, record: dict[str, Any], protocol: str) -> tuple[list[Point], History]:
    config, width = record["config"], tuple(record["width"])
    with h5py.File(folder / "result.h5") as file:
        names = ("step", "stage", "loss", "seconds", *ERRORS)
        columns = {name: file["history"][name][()] for name in names}
    network, seed = config["network"], config["run"]["seed"]
    name, degree = ("MLP", 0) if network["type"] == "mlp" else ("KAN", _last(network["degree"]))
    series = Series(protocol, name, network["boundary"], degree)
    points = [
        Point(
            series,
            width,
            seed,
            grid,
            edges(width),
            _parameters(network, width, grid, record["parameters"]),
            *(columns[name][row].item() for name in (*ERRORS, "loss", "step", "seconds")),
        )
        for grid, row in _ends(config, columns["stage"], columns["l2_squared"]).items()
    ]
    # The rows with errors; refinements do not count as steps, as in the paper.
    refines = numpy.array([o["type"] == "refine" for o in config["optimizer"]])
    stage = columns["stage"]
    kept = numpy.isfinite(columns["l2_squared"]) & ~refines[stage]
    step = (columns["step"] - numpy.cumsum(refines)[stage])[kept]
    return points, History(series, width, seed, step, *(columns[key][kept] for key in ERRORS))


def _parameters(network: dict[str, Any], width: tuple[int, ...], grid: int, final: int) -> int:
    """Return the number of parameters trained on a grid.

    A network with several degrees keeps its grids, and its number does not change.
    """
    if network["type"] == "mlp" or isinstance(network["degree"], list):
        return final
    return edges(width) * (grid + network["degree"] + ("base" in network))


def _last(value: int | list[int]) -> int:
    return value[-1] if isinstance(value, list) else value


def _ends(config: dict[str, Any], stage: numpy.ndarray, errors: numpy.ndarray) -> dict[int, int]:
    """Return the history's last row on each grid of a run; an MLP has grid 0."""
    grid = _last(config["network"].get("grid", 0))
    ends: dict[int, int] = {}
    for number, optimizer in enumerate(config["optimizer"]):
        grid = optimizer.get("grid", grid)
        rows = numpy.flatnonzero((stage == number) & numpy.isfinite(errors))
        if len(rows):
            ends[grid] = int(rows[-1])
    return ends


@dataclass(frozen=True)
class Summary:
    """Median and range over seeds at one network and grid."""

    width: tuple[int, ...]
    grid: int
    n: int
    parameters: int
    l2_squared: ErrorRange
    h1_squared: ErrorRange
    loss: ErrorRange


def summarise(points: Iterable[Point]) -> list[Summary]:
    """Return one summary for each network and grid, small ones first."""

    def key(p: Point) -> tuple:
        return len(p.width), p.width, p.grid

    summaries = []
    for _, group in itertools.groupby(sorted(points, key=key), key):
        first, *_ = same = list(group)
        ranges = [ErrorRange.of([getattr(p, name) for p in same]) for name in (*ERRORS, "loss")]
        summaries.append(Summary(first.width, first.grid, first.n, first.parameters, *ranges))
    return summaries


def slope(points: Sequence[Point], error: str) -> Fit | None:
    """Return the order of an error in the grid over all seeds, None for fewer than three grids."""
    if len({p.grid for p in points}) < 3:
        return None
    return fit_order([p.grid for p in points], [getattr(p, error) for p in points])


LONG = 32  # letters of an entry of which four do not stand side by side


def hollow(
    ax: Axes,
    x: Sequence[float],
    y: Sequence[float],
    color: str,
    marker: str,
    label: str | None = None,
) -> None:
    """Draw the paper's values as hollow marks on a dotted line, behind ours."""
    face: dict[str, Any] = {"mfc": "white", "ms": 5, "mew": 0.9, "lw": 0.8}
    ax.plot(x, y, color=color, marker=marker, label=label, linestyle=":", zorder=1.9, **face)


def guides(ax: Axes, error: str, orders: Sequence[int]) -> None:
    """Draw lines of these orders from one point: the best splines', and the paper's guide."""
    start = 2e-6 if error == "l2_squared" else 2e-3
    n = numpy.array([32.0, 64.0])
    for order in orders:
        y = start * (n / n[0]) ** -order
        ax.plot(n, y, color=GREY, lw=0.9)
        ax.annotate(
            f"$N^{{-{order}}}$",
            (n[-1], y[-1]),
            xytext=(3, -3),
            textcoords="offset points",
            fontsize=STYLE.small,
            color=GREY,
        )


def finish(ax: Axes) -> None:
    """Set plain numbers on a logarithmic axis of sizes, a faint grid of errors, small letters."""
    low, high = ax.get_xlim()
    if ax.get_xscale() == "log":
        near = high < 30 * low
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5) if near else (1,)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    ax.xaxis.label.set_fontsize(STYLE.small + 1)
    ax.yaxis.label.set_fontsize(STYLE.small + 1)
    tidy(ax)


def grid_ticks(ax: Axes, grids: Sequence[int]) -> None:
    """Set ticks at the grids, without those that would overlap the tick before."""
    shown: list[int] = []
    for grid in sorted(set(grids)):
        if not shown or grid > 1.15 * shown[-1]:
            shown.append(grid)
    ax.set_xticks(shown, [str(grid) for grid in shown])
    ax.minorticks_off()


def paper_entry(name: str = "the paper's") -> tuple[Any, str]:
    """Return a legend's entry for the hollow marks."""
    look: dict[str, Any] = {"color": GREY, "marker": "o", "mfc": "white", "ls": ":", "lw": 0.8}
    return Line2D([], [], markersize=5, **look), f"hollow: {name}"


def entries(ax: Axes) -> list[tuple[Any, str]]:
    """Return the entries of a legend of these axes."""
    return list(zip(*ax.get_legend_handles_labels(), strict=True))


def legend_below(figure: Figure, shown: Sequence[tuple[Any, str]]) -> None:
    """Draw one legend for all axes, in which equal entries occur once."""
    marks = {label: mark for mark, label in reversed(shown)}
    labels = list(dict.fromkeys(label for _, label in shown))
    columns = 4 if max(map(len, labels)) < LONG else 2
    script.legend(figure, columns, entries=([marks[label] for label in labels], labels))


POSTER_KAN = Series("poster", "KAN", "penalty", 3)
POSTER_MLP = Series("poster", "MLP", "penalty", 0)
WIDTHS = {width: number for number, width in enumerate(paper.WIDTHS)}  # their colours
DEPTHS = {depth: number + 3 for number, depth in enumerate((2, 3, 4, 5))}


def _curve(
    ax: Axes, points: Iterable[Point], error: str, size: str, name: str, **style: Any
) -> None:
    """Draw medians and ranges over seeds; size: "n" (the paper's N), "parameters" or "grid"."""
    if rows := summarise(points):
        each = [getattr(row, error) for row in rows]
        x, values = [getattr(row, size) for row in rows], [(r.low, r.median, r.high) for r in each]
        count = each[0].count
        label = f"{name}, {count} seeds" if count > 1 and size != "grid" else name
        script.draw_ranges(ax, x, values, label, **{"markersize": 4.5} | style)


def kans(ax: Axes, runs: Runs, series: Series, error: str, size: str) -> None:
    """Draw a curve for each width."""
    for width, number in WIDTHS.items():
        points, name = runs.of(series, (2, width, 1)), f"KAN [2,{width},1]"
        _curve(ax, points, error, size, name, linestyle="-", **_style(number))


def smooth_kans(ax: Axes, runs: Runs, boundary: str, error: str) -> None:
    """Draw the KANs of degree 7: [2,10,1] with exact boundary values, else the found ones."""
    look = {"linestyle": STYLE.dashes[2], "color": GREY, "marker": "*"}
    for protocol, width, how in (
        ("fair", (2, 10, 1), ""),
        ("structure", (2, 2, 1), ", variable projection"),
    ):
        points, name = runs.of(Series(protocol, "KAN", boundary, 7), width), _name(width)
        _curve(ax, points, error, "parameters", f"KAN {name}, degree 7{how}", **look)


def mlps(ax: Axes, runs: Runs, series: Series, error: str, size: str) -> None:
    """Draw a curve for each depth."""
    for depth, number in DEPTHS.items():
        points = [p for p in runs.of(series) if len(p.width) == depth + 1]
        dashes = STYLE.dashes[1]
        _curve(ax, points, error, size, f"MLP, depth {depth}", linestyle=dashes, **_style(number))


def paper_kans(ax: Axes, error: str, size: str) -> None:
    """Draw the paper's KANs, whose edges have G + 4 coefficients.

    They consist of a spline of degree 3 and a silu term.
    """
    more = 4 if size == "parameters" else 0
    for width, values in paper.KANS.items():
        x = [paper.edges([2, width, 1]) * (grid + more) for grid in paper.GRIDS]
        hollow(ax, x, getattr(values, error), **_style(WIDTHS[width]))


def paper_mlps(ax: Axes, error: str) -> None:
    """Draw the paper's MLPs against N.

    Of H1 only the least error over the widths is known, without the width.
    """
    if error == "l2_squared":
        for depth, values in paper.MLP_L2.items():
            n = [paper.edges([2, *[w] * (depth - 1), 1]) for w in paper.MLP_WIDTHS]
            hollow(ax, n, values, **_style(DEPTHS[depth]))
        return
    for depth, value in paper.MLP_BEST_H1.items():
        ax.axhline(value, color=PALETTE[DEPTHS[depth]], lw=0.8, ls=":")
        ax.annotate(
            f"paper's best, depth {depth}",
            (0.995, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 1.5),
            textcoords="offset points",
            ha="right",
            fontsize=STYLE.small - 1.5,
            color=GREY,
        )


def _style(number: int) -> dict[str, Any]:
    return {"color": PALETTE[number], "marker": MARKERS[number]}


LABELS = {"l2_squared": "$L^2$ error, squared", "h1_squared": "$H^1$ error, squared"}
DYNAMICS = (  # ours, and the paper's name where it is the same network
    (POSTER_KAN, (2, 10, 1), "KAN [2,10,1]"),
    (POSTER_MLP, (2, 10, 1), "MLP [2,10,1]"),
    (POSTER_MLP, (2, 50, 50, 50, 1), None),
)
PAPER_DEEP = "MLP [2,100,100,100,1]"
ORDERS = (  # of what, found how
    (Series("fair", "KAN", "exact", 3), (2, 10, 1), "KAN [2,10,1], Levenberg–Marquardt"),
    (Series("structure", "KAN", "penalty", 3), (2, 2, 1), "KAN [2,2,1], variable projection"),
)


def draw(runs: Runs, output: Path, smoke: bool) -> None:
    """Draw and write every figure that there are runs for."""
    for make in (dynamics, scaling, fair, orders):
        if (figure := make(runs)) is not None:
            save_figure(figure, output / f"poster_figure3_{make.__name__}", smoke)


def dynamics(runs: Runs) -> Figure | None:
    """Draw errors against steps: medians and ranges over seeds, the paper's with hollow marks."""
    if not any(runs.history(series, width) for series, width, _ in DYNAMICS):
        return None
    figure = new_figure(9.0, 3.9)
    for ax, error in zip(figure.subplots(1, 2), ERRORS, strict=True):
        for number, (series, width, name) in enumerate(DYNAMICS):
            _plot_history(ax, runs, series, width, error, number)
            if name is not None:
                _paper_dynamics(ax, name, error, number)
        _paper_dynamics(ax, PAPER_DEEP, error, 3)
        ax.set(yscale="log", xlabel="steps of L-BFGS", ylabel=LABELS[error])
        finish(ax)
    legend_below(figure, [paper_entry(), *entries(figure.axes[0])])
    return figure


def _plot_history(
    ax: Axes, runs: Runs, series: Series, width: Sequence[int], error: str, number: int
) -> None:
    found = runs.history(series, width)
    if not found:
        return
    # A run that converged early stays where it is.
    step = numpy.arange(max(int(h.step[-1]) for h in found) + 1)
    lines = numpy.array([numpy.interp(step, h.step, getattr(h, error)) for h in found])
    label = f"{series.network} {_name(width)}"
    label += f", {len(found)} seeds" if len(found) > 1 else ""
    median = numpy.median(lines, axis=0)
    ax.plot(
        step, median, color=PALETTE[number], linestyle=STYLE.dashes[number], lw=1.3, label=label
    )
    ax.fill_between(step, lines.min(0), lines.max(0), color=PALETTE[number], alpha=0.18, lw=0)


def _paper_dynamics(ax: Axes, name: str, error: str, number: int) -> None:
    style = _style(number) | {"label": f"the paper's {name}" if name == PAPER_DEEP else None}
    if error == "l2_squared":
        hollow(ax, paper.STEPS, paper.DYNAMICS[name], **style)
    else:
        hollow(ax, paper.STEPS[-1:], [paper.FINAL_H1[name]], **style)


def scaling(runs: Runs) -> Figure | None:
    """Draw the poster's protocol: errors against the paper's N, KANs above and MLPs below."""
    if not runs.of(POSTER_KAN) and not runs.of(POSTER_MLP):
        return None
    figure = new_figure(9.0, 7.4)
    axes = figure.subplots(2, 2, sharex="row", sharey="col")
    for (above, below), error in zip(axes.T, ERRORS, strict=True):
        kans(above, runs, POSTER_KAN, error, "n")
        paper_kans(above, error, "n")
        mlps(below, runs, POSTER_MLP, error, "n")
        paper_mlps(below, error)
        guides(above, error, (8 if error == "l2_squared" else 6, 4))
        above.set_title("KANs, degree 3", fontsize=9)
        below.set_title("MLPs", fontsize=9)
        above.set_xlabel("$N$ = edges × grid intervals $G$ = 2, 4, 6, 8, 10")
        below.set_xlabel("$N$ = weights, widths 5, 10, 20, 50, …")
        for ax in (above, below):
            ax.set(xscale="log", yscale="log", ylabel=LABELS[error])
            finish(ax)
    legend_below(figure, [paper_entry(), *entries(axes[0, 0]), *entries(axes[1, 0])])
    return figure


def fair(runs: Runs) -> Figure | None:
    """Draw errors by the same optimizer for KANs and MLPs, against the trained coefficients."""
    if not any(p.series.protocol == "fair" for p in runs.points):
        return None
    figure = new_figure(9.0, 7.4)
    axes = figure.subplots(2, 2, sharey="col", sharex=True)
    titles = {"penalty": "the poster's loss", "exact": "boundary values met exactly"}
    for row, (boundary, title) in zip(axes, titles.items(), strict=True):
        for ax, error in zip(row, ERRORS, strict=True):
            kans(ax, runs, Series("fair", "KAN", boundary, 3), error, "parameters")
            mlps(ax, runs, Series("fair", "MLP", boundary, 0), error, "parameters")
            smooth_kans(ax, runs, boundary, error)
            paper_kans(ax, error, "parameters")
            ax.set(xscale="log", yscale="log", ylabel=LABELS[error])
            ax.set_title(title, fontsize=9)
            ax.set_xlabel("trained coefficients" if boundary == "exact" else "")
            finish(ax)
    shown = [entry for ax in axes.flat for entry in entries(ax)]
    legend_below(figure, [paper_entry("the paper's KANs"), *shown])
    return figure


def orders(runs: Runs) -> Figure | None:
    """Draw errors against G for degrees 3, 5 and 7 with fitted orders.

    Dotted lines have the best splines' order.
    """
    rows = [
        (found, *row)
        for row in ORDERS
        if (found := {k: p for k in (3, 5, 7) if (p := runs.of(row[0]._replace(degree=k), row[1]))})
    ]
    if not rows:
        return None
    figure = new_figure(9.0, 0.4 + 3.3 * len(rows))
    panels = figure.subplots(len(rows), 2, squeeze=False)
    for axes, (found, _, _, title) in zip(panels, rows, strict=True):
        for ax, error in zip(axes, ERRORS, strict=True):
            ax.set(xscale="log", yscale="log", ylabel=LABELS[error], xlabel="grid intervals $G$")
            ax.set_title(title, fontsize=9)
            for number, (degree, points) in enumerate(found.items()):
                _order(ax, points, degree, error, number)
            every = [p for points in found.values() for p in points]
            errors = [getattr(p, error) for p in every]
            low, high = min(errors) / 3, max(errors) * 3
            ax.set_ylim(low, high * (high / low) ** 0.3)  # room for the legend
            finish(ax)
            grid_ticks(ax, [p.grid for p in every])
            ax.legend(fontsize=STYLE.small - 0.5, frameon=False, loc="upper right")
    return figure


def _order(ax: Axes, points: list[Point], degree: int, error: str, number: int) -> None:
    """Draw one degree's errors, the fitted line, and dotted a line of the best splines' order."""
    rows, fit = summarise(points), slope(points, error)
    best = 2 * (degree + 1) if error == "l2_squared" else 2 * degree
    text = f"degree {degree}" + (f": order {fit} (splines {best})" if fit else "")
    _curve(ax, points, error, "grid", text, linestyle="none", **_style(number))
    grids = numpy.array([row.grid for row in rows], dtype=float)
    if fit:
        ax.plot(grids, [fit(g) for g in grids.tolist()], color=PALETTE[number], lw=1.2)
    start = getattr(rows[0], error).median
    ax.plot(grids, start * (grids / grids[0]) ** -best, ":", color=PALETTE[number], lw=0.9)


COLUMNS = ("seed", "grid", "edges", "n", "parameters", *ERRORS, "loss", "steps", "seconds")


def write(runs: Runs, path: Path) -> None:
    """Write a row for each run and grid; grid 0 is an MLP."""
    head = [*Series._fields, "width", *COLUMNS]
    rows = [
        [*p.series, list(p.width), *(getattr(p, name) for name in COLUMNS)] for p in runs.points
    ]
    script.write_csv(path, head, rows)


BELOW = """
- With this optimizer KANs are below the paper's {where}: with {what}
  by factors of {least} to {most}.
"""

VERDICT = """
- For as many coefficients a tanh MLP (one seed) is as good as a KAN of degree 3, or better: the
  hundredfold advantage that the paper reports for KANs is not there once both are trained by this
  optimizer.
- Degree decides: [2,10,1] of degree 7 ends far below both, and so are KANs [2,2,1] whose structure
  variable projection has found (grey stars in the figure: there with the poster's loss).
"""


NAMES = {"penalty": "the poster's loss", "exact": "boundary values met exactly"}
Rows = Iterable[Sequence[str]]


def page(runs: Runs) -> str:
    """Return the page as Markdown; it names what was not run."""
    fair = [
        f"### KANs, {name}\n\n{_kan_table(runs, series)}"
        for boundary, name in NAMES.items()
        if runs.of(series := Series("fair", "KAN", boundary, 3))
    ]
    return script.page(
        "poster_figure3",
        missing=_missing(runs),
        kans=_kan_table(runs, POSTER_KAN),
        mlps=_mlp(runs),
        fair="\n".join(fair),
        fair_mlps=_fair_mlp(runs),
        verdict=_verdict(runs),
        slopes=script.markdown(SLOPE_COLUMNS, _slope_rows(runs)),
    )


def _missing(runs: Runs) -> str:
    """Return the networks that were not run, runs that failed, and unfinished ones."""
    kans = [w for w in paper.WIDTHS if not runs.of(POSTER_KAN, (2, w, 1))]
    lines = [f"Not run: KAN [2,{w},1] with the poster's protocol." for w in kans]
    for depth in DEPTHS:
        widths = {p.width[1] for p in runs.of(POSTER_MLP) if len(p.width) == depth + 1}
        left = [str(w) for w in paper.MLP_WIDTHS if w not in widths]
        if left:
            lines.append(f"Not run: MLPs of depth {depth} with widths {', '.join(left)}.")
    lines += [f"Failed: {text}" for text in runs.failed]
    if runs.unfinished:
        lines.append(f"Unfinished: {runs.unfinished} runs.")
    return "\n".join(f"- {line}" for line in lines)


def _kan_table(runs: Runs, series: Series) -> str:
    rows = []
    for width, theirs in paper.KANS.items():
        for row in summarise(runs.of(series, (2, width, 1))):
            i = paper.GRIDS.index(row.grid)
            numbers = map(str, (row.grid, row.n, row.parameters, row.l2_squared.count))
            l2 = _beside(row.l2_squared, theirs.l2_squared[i])
            h1 = _beside(row.h1_squared, theirs.h1_squared[i])
            rows.append([f"[2,{width},1]", *numbers, *l2, *h1])
    ours = ["L2²", "paper's", "ratio", "H1²", "paper's", "ratio"]
    return script.markdown(["network", "G", "N", "coefficients", "seeds", *ours], rows)


def _beside(ours: ErrorRange, theirs: float) -> list[str]:
    return [_range(ours), f"{theirs:.2e}", f"{ours.median / theirs:.2g}"]


def _mlp(runs: Runs) -> str:
    rows = summarise(runs.of(POSTER_MLP))
    if not rows:
        return ""
    head = ["MLP", "N", "coefficients", "seeds", "L2²", "paper's", "H1²"]
    best = ", ".join(f"{v:.2e} at depth {d}" for d, v in paper.MLP_BEST_H1.items())
    text = f"The paper's least H1² over the widths: {best}."
    cells = []
    for row in rows:
        width, theirs = row.width[1], paper.MLP_L2.get(len(row.width) - 1)
        known = theirs and width in paper.MLP_WIDTHS
        value = f"{theirs[paper.MLP_WIDTHS.index(width)]:.2e}" if theirs and known else "–"
        cells.append([*_size(row), _range(row.l2_squared), value, _range(row.h1_squared)])
    return script.markdown(head, cells) + "\n" + text


def _size(row: Summary) -> list[str]:
    return [_name(row.width), str(row.n), str(row.parameters), str(row.l2_squared.count)]


def _fair_mlp(runs: Runs) -> str:
    parts = []
    for boundary, name in NAMES.items():
        rows = summarise(runs.of(Series("fair", "MLP", boundary, 0)))
        if rows:
            head = ["MLP", "N", "coefficients", "seeds", "L2²", "H1²"]
            cells = [[*_size(r), _range(r.l2_squared), _range(r.h1_squared)] for r in rows]
            parts += [f"### MLPs, {name}\n", script.markdown(head, cells)]
    return "\n".join(parts)


def _verdict(runs: Runs) -> str:
    """Return the conclusions of the fair comparison, as far as it has been run."""
    parts = ["### What it says\n"]
    for boundary, name in NAMES.items():
        factors = _factors(runs, Series("fair", "KAN", boundary, 3))
        if factors:
            where = "at every G, width and norm" if min(factors) > 1 else "not everywhere"
            least, most = (f"{float(f'{f(factors):.2g}'):g}" for f in (min, max))
            text = BELOW.format(where=where, what=name, least=least, most=most)
            parts.append(text.strip("\n"))
    if all(runs.of(Series("fair", "MLP", boundary, 0)) for boundary in NAMES):
        parts.append(VERDICT.strip("\n"))
    return "\n".join(parts) if len(parts) > 1 else ""


def _factors(runs: Runs, series: Series) -> list[float]:
    """Return the factors by which the paper's values exceed our medians."""
    return [
        theirs / getattr(row, error).median
        for width, values in paper.KANS.items()
        for row in summarise(runs.of(series, (2, width, 1)))
        for error in ERRORS
        for theirs in [getattr(values, error)[paper.GRIDS.index(row.grid)]]
    ]


SLOPE_COLUMNS = [
    *("runs", "network", "k", "L2²", "best", "H1²", "best", "guaranteed", "loss", "paper's")
]


def _slope_rows(runs: Runs) -> Rows:
    titles = {
        "poster": "poster's protocol",
        "fair": "Levenberg–Marquardt",
        "fit": "fit in L2",
        "structure": "variable projection",
    }
    for series in sorted({p.series for p in runs.points if p.grid}, key=_order_text):
        for width in sorted({p.width for p in runs.of(series)}):
            points = runs.of(series, width)
            l2, h1, loss = (slope(points, e) for e in ("l2_squared", "h1_squared", "loss"))
            k, title = series.degree, titles[series.protocol]
            if series.protocol == "fair":
                title += f", {NAMES[series.boundary]}"
            theirs = paper.SLOPES.get(width[1]) if k == 3 else None
            yield [
                *(title, _name(width), str(k)),
                *(str(l2 or "–"), str(2 * (k + 1)), str(h1 or "–"), str(2 * k), str(2 * (k - 1))),
                *(str(loss or "–"), f"{theirs[0]}, {theirs[1]}" if theirs else "–"),
            ]


def _order_text(series: Series) -> tuple:
    return (
        ("poster", "fair", "structure", "fit").index(series.protocol),
        series.boundary,
        series.degree,
    )


def _name(width: Sequence[int]) -> str:
    return f"[{','.join(map(str, width))}]"


def _range(r: ErrorRange) -> str:
    spread = f" ({r.low:.1e} … {r.high:.1e})" if r.count > 1 else ""
    return f"{r.median:.2e}{spread}"


VERDICT_NAMES = {"l2_squared": "L2²", "h1_squared": "H1²"}
FACTOR = 3.0
REPRODUCED = 10  # the width whose values are to be those of the paper
FAIR_NAMES = {
    Series("fair", "KAN", "exact", 3): "Levenberg–Marquardt, exact boundary",
    Series("fair", "KAN", "penalty", 3): "Levenberg–Marquardt, the poster's loss",
}


def verdicts(runs: Runs) -> dict[str, Verdict]:
    """Return the measured values by name; what was not run is None and not judged."""
    return _reproduced(runs) | _below(runs) | _slope_verdicts(runs)


def _reproduced(runs: Runs) -> dict[str, Verdict]:
    return _beside_paper(
        *(runs, POSTER_KAN, REPRODUCED, "l2_squared", "the poster's protocol"),
        f"within a factor {FACTOR:g} of the paper's {{:.2e}}",
        lambda ours, theirs: 1 / FACTOR <= ours / theirs <= FACTOR,
    )


def _below(runs: Runs) -> dict[str, Verdict]:
    figures: dict[str, Verdict] = {}
    for (series, title), width, error in itertools.product(FAIR_NAMES.items(), paper.KANS, ERRORS):
        below = "below the paper's {:.2e}"
        figures |= _beside_paper(runs, series, width, error, title, below, float.__lt__)
    return figures


def _beside_paper(
    runs: Runs,
    series: Series,
    width: int,
    error: str,
    title: str,
    target: str,
    meets: Callable[[float, float], bool],
) -> dict[str, Verdict]:
    """Compare the medians of a KAN [2, width, 1] with the paper's, grid by grid."""
    rows = {row.grid: getattr(row, error) for row in summarise(runs.of(series, (2, width, 1)))}
    figures: dict[str, Verdict] = {}
    for grid, theirs in zip(paper.GRIDS, getattr(paper.KANS[width], error), strict=True):
        ours = rows[grid].median if grid in rows else None
        figures[f"{title}, KAN [2,{width},1], G = {grid}: {VERDICT_NAMES[error]}"] = verdict(
            ours, target.format(theirs), None if ours is None else meets(ours, theirs)
        )
    return figures


def _slope_verdicts(runs: Runs) -> dict[str, Verdict]:
    """Judge Levenberg–Marquardt by the paper's slopes, structured KANs by the best splines'."""
    figures: dict[str, Verdict] = {}
    for k in (3, 5, 7):
        for error, theirs in zip(ERRORS, paper.SLOPES[10], strict=True):
            best = 2 * (k + 1) if error == "l2_squared" else 2 * k
            known = f"best splines {best}, an L2 residual guarantees {2 * (k - 1)}"
            fit = slope(runs.of(Series("fair", "KAN", "exact", k), (2, 10, 1)), error)
            figures[f"slope against G, KAN [2,10,1], degree {k}: {VERDICT_NAMES[error]}"] = verdict(
                _fitted(fit),
                f"above the paper's {theirs} ({known})" if k == 3 else known,
                fit.order > theirs if fit and k == 3 else None,
            )
            fit = slope(runs.of(Series("structure", "KAN", "penalty", k), (2, 2, 1)), error)
            figures[f"slope against G, KAN [2,2,1] found, degree {k}: {VERDICT_NAMES[error]}"] = (
                verdict(
                    _fitted(fit),
                    f"the best splines' {best} or more, within the margin",
                    fit.order + (fit.margin or 0.0) >= best if fit else None,
                )
            )
    return figures


def _fitted(fit: Fit | None) -> dict[str, float | None] | None:
    return None if fit is None else {"slope": fit.order, "margin of 95%": fit.margin}


POSTER = PROBLEMS / "poisson2d_poster.toml"
FIT = "figure3_fit.py:Fit"
Lists = dict[str, Sequence[Any]]
VARIANTS = ("exact", "penalty")  # how the boundary data are met


@dataclass(frozen=True)
class Size:
    """How much is done: the paper's own sizes, or those of a smoke run."""

    interior: int = 10000
    boundary: int = 800
    steps: int = 50  # of L-BFGS on each grid
    stages: int = 5  # grids, of the paper's
    gauss: tuple[int, int] = (3721, 480)  # interior and boundary points of the fair comparison
    # Residuals of cubics have kinks, which a Gauss rule of fewer points does not see.
    lattice: tuple[int, int] = (22500, 1200)
    first: int = 200  # steps of Levenberg–Marquardt on the first grid
    later: int = 120  # and on each finer one
    rounds: int = 20  # of the search for structure, at most


SMOKE = Size(200, 40, 2, 2, (144, 24), (144, 24), 3, 2, 1)


def poster_kan(widths: Sequence[int], seeds: Sequence[int], size: Size, **options: Any) -> kp.Study:
    """Run the poster's protocol as in problems/poisson2d_poster.toml for KANs [2, width, 1].

    One run gives the errors of all grids, at the end of each stage of L-BFGS.
    """
    over: Lists = {"network.hidden": [[width] for width in widths], "run.seed": list(seeds)}
    return kp.sweep(_poster(size), over, name="kan", directory=PROBLEMS, **options)


def poster_mlp(
    shapes: Sequence[tuple[int, int]], seeds: Sequence[int], size: Size, **options: Any
) -> kp.Study:
    """Run the same for MLPs of (depth, width) in as many steps; depth counts layers of weights."""
    sections = _poster(size)
    sections["network"] = {"type": "mlp", "width": [2, 5, 1], "boundary": "penalty"}
    steps = size.steps * size.stages
    sections["optimizer"] = [{"type": "lbfgs", "history": 300, "steps": steps}]
    over: Lists = {"network.width": [mlp_width(*s) for s in shapes], "run.seed": list(seeds)}
    return kp.sweep(sections, over, name="mlp", directory=PROBLEMS, **options)


def mlp_width(depth: int, width: int) -> list[int]:
    """Return [2, width, …, 1] with so many layers of weights."""
    return [2, *[width] * (depth - 1), 1]


def _poster(size: Size) -> dict[str, Any]:
    """Return the poster's problem file, for a smoke run with fewer points, stages and steps."""
    sections = tomllib.loads(POSTER.read_text(encoding="utf-8"))
    sections["points"] |= {"interior": size.interior, "boundary": size.boundary}
    stages = sections["optimizer"][: 2 * size.stages - 1]
    sections["optimizer"] = [s | {"steps": size.steps} if "steps" in s else s for s in stages]
    return sections


def fair_kan(
    widths: Sequence[int],
    degrees: Sequence[int],
    variants: Sequence[str],
    seeds: Sequence[int],
    size: Size,
    **options: Any,
) -> kp.Study:
    """Run Levenberg–Marquardt on all layers of KANs [2, width, 1], from coarse to fine grids."""

    def fair_kan(variant: str, degree: int, seed: int, width: int) -> dict[str, Any]:
        return _staircase(width, degree, variant, seed, size)

    over: Lists = {"variant": variants, "degree": degrees, "seed": seeds, "width": widths}
    return kp.sweep(fair_kan, over, name="fair-kan", directory=PROBLEMS, **options)


def fit(
    widths: Sequence[int], degrees: Sequence[int], seeds: Sequence[int], size: Size, **options: Any
) -> kp.Study:
    """Fit the same KANs, with the same grids and steps, to the solution in L2."""

    def fit(degree: int, seed: int, width: int) -> dict[str, Any]:
        return _staircase(width, degree, "exact", seed, size) | {"problem": {"class": FIT}}

    over: Lists = {"degree": degrees, "seed": seeds, "width": widths}
    return kp.sweep(fit, over, name="fit", directory=Path(__file__).parent, **options)


def fair_mlp(
    shapes: Sequence[tuple[int, int]],
    variants: Sequence[str],
    seeds: Sequence[int],
    size: Size,
    **options: Any,
) -> kp.Study:
    """Run the same for MLPs of (depth, width), with as many steps in all."""

    def fair_mlp(depth: int, width: int, variant: str, seed: int) -> dict[str, Any]:
        network = {"type": "mlp", "width": mlp_width(depth, width)}
        steps = size.first + (size.stages - 1) * size.later
        return _fair(network, variant, seed, size) | {"optimizer": [_marquardt(steps)]}

    over: Lists = {"variant": list(variants), "seed": list(seeds)}
    zipped = {"depth": [d for d, _ in shapes], "width": [w for _, w in shapes]}
    return kp.sweep(fair_mlp, over, zipped=zipped, name="fair-mlp", directory=PROBLEMS, **options)


STRUCTURE = {  # by degree: output grids, and the search's coarse grid and tolerance
    3: ((10, 14, 20, 28, 40), 10, 5e-3),
    5: ((6, 8, 11, 16, 22), 6, 2e-3),
    7: ((6, 8, 11, 16), 6, 1e-3),
}


def structure(seeds: Sequence[int], size: Size, **options: Any) -> kp.Study:
    """Run variable projection from random starts; inner functions are cubics on one interval.

    It finds x and ±y², which the cubics hold exactly: the error is that of two output splines.
    """

    def structure(degree: int, grid: int, seed: int) -> dict[str, Any]:
        _, coarse, tolerance = STRUCTURE[degree]
        network = {"type": "kan", "width": [2, 3, 1], "degree": [3, degree], "grid": [1, grid]}
        search = {"type": "variable_projection", "coarse": coarse, "tolerance": tolerance}
        search |= {"rounds": size.rounds}
        interior, boundary = size.lattice
        points = {"sampler": "grid", "interior": interior, "boundary": boundary}
        sections = _fair(network, "penalty", seed, size) | {"points": points}
        return sections | {"optimizer": [search]}

    pairs = [(k, grid) for k, (grids, _, _) in STRUCTURE.items() for grid in grids]
    pairs = pairs[:: 1 if size.stages == 5 else len(pairs)]
    zipped = {"degree": [k for k, _ in pairs], "grid": [grid for _, grid in pairs]}
    over: Lists = {"seed": seeds}
    return kp.sweep(structure, over, zipped=zipped, name="structure", directory=PROBLEMS, **options)


def _staircase(width: int, degree: int, variant: str, seed: int, size: Size) -> dict[str, Any]:
    network = {"type": "kan", "width": [2, width, 1], "degree": degree, "grid": GRIDS[0]}
    if variant == "penalty":
        network["base"] = "silu"  # as the paper's edges have it
    sections = _fair(network, variant, seed, size)
    sections["optimizer"] = [_marquardt(size.first)]
    for grid in GRIDS[1 : size.stages]:
        refine = {"type": "refine", "grid": grid}
        # The new splines are put to use at once.
        sections["optimizer"] += [refine, {"type": "least_squares"}, _marquardt(size.later)]
    return sections


def _marquardt(steps: int) -> dict[str, Any]:
    return {"type": "levenberg_marquardt", "steps": steps, "tolerance": 1e-4}


def _fair(network: dict[str, Any], variant: str, seed: int, size: Size) -> dict[str, Any]:
    """Return the problem on Gauss points, with the poster's loss or exact boundary values."""
    weights = {"interior": 0.01 if variant == "penalty" else 1.0, "boundary": 1.0}
    return {
        "problem": {"class": "poisson2d.py:Poisson2D"},
        "network": network | {"boundary": variant},
        "points": {"sampler": "gauss", "interior": size.gauss[0], "boundary": size.gauss[1]},
        "loss": weights,
        "run": {"seed": seed, "dtype": "float64", "device": "cpu"},
    }
