"""The errors of all problems beside published ones, on one axis."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scoreboards.summaries import Spread, Summary, seconds_text

from kanpinn.plotting.style import BLUE, GREEN, GREY, ORANGE, STYLE, VERMILLION, new_figure, tidy

FLOOR = 1e-17  # where an error of zero is drawn
BELOW = 0.25  # of a row: automatic errors, so that ranges do not hide each other


def draw(summaries: Sequence[Summary]) -> Figure:
    """Draw a row for each problem: median and range, targets, published errors, and seconds."""
    figure = new_figure(7.5, 1.2 + 0.21 * len(summaries))
    ax = tidy(figure.subplots())
    for row, s in enumerate(summaries):
        _row(ax, row, s)
    for label, style in STYLES.items():
        ax.plot([], [], linestyle="", label=label, **style)
    ax.set_yticks(range(len(summaries)), [s.problem for s in summaries])
    ax.set_ylim(len(summaries) - 0.5, -0.5)
    ax.set_xscale("log")
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_xlabel(
        "relative L2 error (drum: of eigenvalues); on the right seconds (automatic ones)",
        fontsize=STYLE.small,
    )
    figure.legend(loc="outside upper center", ncols=3, fontsize=STYLE.letter, frameon=False)
    return figure


STYLES: dict[str, dict[str, Any]] = {
    "kanpinn: median, range over seeds": {"marker": "o", "color": BLUE, "ms": 5},
    "kanpinn, automatic": {"marker": "o", "color": ORANGE, "ms": 5, "mfc": "none"},
    "target": {"marker": "|", "color": GREY, "ms": 9},
    "best published KAN": {"marker": "D", "color": VERMILLION, "ms": 4},
    "best published neural code": {"marker": "^", "color": GREEN, "ms": 5},
    "the same, of a problem close to it": {"marker": "^", "color": GREEN, "ms": 5, "mfc": "none"},
}


def _row(ax: Axes, row: int, s: Summary) -> None:
    ours, target, auto = s.hand.spread("error"), s.bound, s.auto.spread("error")
    kan, neural = s.published.kan, s.published.neural
    alike = neural if neural is None or neural.same else None
    near = neural if alike is None else None
    values = (ours, auto, target, kan, alike, near)
    for style, value in zip(STYLES.values(), values, strict=True):
        at = row + (BELOW if value is auto else 0.0)
        middle = _middle(value)
        if isinstance(value, Spread):
            ends = [max(value.low, FLOOR), max(value.high, FLOOR)]
            ax.plot(ends, [at, at], color=style["color"], linewidth=1.2)
        if middle is not None:
            ax.plot([middle], [at], linestyle="", **style)
    ax.annotate(
        _seconds(s),
        (1.01, row),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=STYLE.letter,
        annotation_clip=False,
    )


def _middle(value: Any) -> float | None:
    if value is None:
        return None
    number = getattr(value, "median", getattr(value, "error", value))
    return max(float(number), FLOOR)


def _seconds(s: Summary) -> str:
    """Return the hand-set seconds, and in brackets the automatic ones."""
    own, auto = s.hand.spread("seconds"), s.auto.spread("seconds")
    text = seconds_text(own.median) if own else "failed"
    return f"{text} ({seconds_text(auto.median)})" if auto else text
