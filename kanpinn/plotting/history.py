"""Loss and errors against steps or seconds."""

import math
from collections.abc import Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kanpinn.plotting.style import BLUE, GREEN, GREY, SMALL, VERMILLION, tidy
from kanpinn.solvers.history import History

Drawn = tuple[str, str, str, str, str]  # a column, its label, colour, line and marker
CURVES: tuple[Drawn, ...] = (
    ("loss", "loss", BLUE, "-", "o"),
    ("l2_relative", "relative $L^2$ error", VERMILLION, "--", "s"),
    ("h1_relative", "relative $H^1$ error", GREEN, "-.", "^"),
)
LABELS = {"step": "steps", "seconds": "seconds in the optimizers"}
FEW = 30  # points: they get markers
APART = 5  # steps; where there are fewer, no line suggests what lies between them
ROOM = 0.035  # of the width of the axes, for a stage's title
LINEAR = 40  # steps are counted on a linear axis up to here


def plot_history(
    ax: Axes,
    history: History,
    titles: tuple[str, ...] = (),
    x: str = "step",
    *,
    curves: Sequence[Drawn] = CURVES,
    even: bool = False,
) -> Axes:
    """Loss and errors, logarithmically, against "step" or "seconds"; lines mark where stages begin.

    Args:
        titles: of the stages; one that is called "" is not marked.
        curves: the columns to draw, as far as the history has them.
        even: steps or seconds are equally long, however many.
    """
    at = history.column(x)
    for name, label, colour, style, marker in curves:
        if name in history.names:
            line = style if len(at) > APART else "none"
            _curve(ax, at, history.column(name), label, colour, line, marker)
    ax.set_yscale("log")
    _scale(ax, at, x, even)
    _mark_stages(ax, at, history.column("stage"), titles)
    ax.set_xlabel(LABELS[x])
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    return tidy(ax)


def _curve(
    ax: Axes,
    at: numpy.ndarray,
    values: numpy.ndarray,
    label: str,
    colour: str,
    style: str,
    marker: str,
) -> None:
    shown = numpy.isfinite(values) & (values > 0)
    if not shown.any():
        return  # H1, say, against a reference without derivatives
    ax.plot(
        at[shown],
        values[shown],
        linestyle=style,
        color=colour,
        label=label,
        linewidth=1.4,
        markersize=4,
        marker=marker if shown.sum() <= FEW else None,
    )


def _scale(ax: Axes, at: numpy.ndarray, x: str, even: bool) -> None:
    """A logarithmic axis, begun linearly at zero, where there is more than a decade to show."""
    positive = at[at > 0]
    top = float(positive.max()) if len(positive) else 1.0
    first = float(positive.min()) if len(positive) else 1.0
    if not even and top > (LINEAR if x == "step" else 20 * first):
        ax.set_xscale("symlog", linthresh=10 ** math.floor(math.log10(first)), linscale=0.3)
        ax.set_xlim(0, top * 1.2)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=x == "step"))
        ax.set_xlim(-0.04 * top, top * 1.06)


def _mark_stages(
    ax: Axes, at: numpy.ndarray, stage: numpy.ndarray, titles: tuple[str, ...]
) -> None:
    """A line where each stage begins, at the end of the one before; titles where they fit."""
    starts = _stage_starts(at, stage)
    if len(starts) < 2:
        return
    for number, start in list(starts.items())[1:]:
        if number < len(titles) and not titles[number]:
            continue
        ax.axvline(start, color=GREY, linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)
    ends = [*list(starts.values())[1:], float(at[-1])]
    place = {number: _fraction(ax, start) for number, start in starts.items()}
    length = {n: _fraction(ax, e) - place[n] for n, e in zip(starts, ends, strict=True)}
    titled: list[float] = []
    for number in sorted(length, key=lambda n: -length[n]):  # long stages have the first choice
        free = all(abs(place[number] - other) > ROOM for other in titled)
        if free and number < len(titles) and titles[number]:
            titled.append(place[number])
            _title(ax, starts[number], titles[number])


def _stage_starts(at: numpy.ndarray, stage: numpy.ndarray) -> dict[int, float]:
    starts: dict[int, float] = {}
    for i in range(1, len(at)):  # the first row is the state before any step
        starts.setdefault(int(stage[i]), float(at[i - 1]))
    return starts


def _fraction(ax: Axes, x: float) -> float:
    """Where x lies on the width of the axes."""
    return float(ax.transAxes.inverted().transform(ax.transData.transform((x, 1.0)))[0])


def _title(ax: Axes, start: float, title: str) -> None:
    ax.annotate(
        title,
        (start, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-2, 2),  # above the axes, where no curve runs
        textcoords="offset points",
        rotation=55,
        rotation_mode="anchor",
        va="bottom",
        ha="left",
        fontsize=SMALL - 1,
        color=GREY,
    )
