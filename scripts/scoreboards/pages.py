"""The scoreboard as tables and a chart."""

from collections.abc import Sequence
from typing import Any

from common import script
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scoreboards import solves
from scoreboards.solves import Row, Runs, Spread, Summary, holds, met_words, seconds_text

from kanpinn.plotting.style import BLUE, GREEN, GREY, ORANGE, STYLE, VERMILLION, new_figure, tidy

HEAD = ["file", "equation", "coefficients", "error", "relative H1", "seconds", "target", "met"]
HEAD += ["best published KAN", "best published neural code"]
HEAD += ["automatic error", "automatic seconds", "error ratio", "seconds ratio"]
HEAD += ["unknowns", "errors against", "estimated / true L2", "estimated / true H1", "seeds"]


def cells(summaries: Sequence[Summary]) -> list[list[str]]:
    """Return the lines of the table, its head first.

    Fields, and the eigenvalues that count, have lines of their own.
    """
    lines = [HEAD]
    for s in summaries:
        lines.append(_line(s))
        for name in s.hand.part_names[: s.target.eigenvalues]:
            spread, bound = s.hand.part(name), s.target.fields.get(name)
            line = [f"{s.problem}: {name}", "", "", _text(spread), "", "", _bounds(bound, None)]
            line.append(met_words([(spread, bound)], s.hand.failed))
            lines.append([*line, *[""] * (len(HEAD) - len(line))])
    return lines


def _line(s: Summary) -> list[str]:
    runs, first = s.hand, s.hand.rows[0]
    seconds, sizes = runs.spread("seconds"), runs.spread("parameters")
    pairs = [(runs.spread("error"), s.bound), (seconds, s.target.seconds)]
    kan, neural = s.published.kan, s.published.neural
    return [
        s.problem,
        solves.equation(s.problem),
        f"{sizes.median:.0f}" if sizes else "",
        _text(runs.spread("error")) or first.status,
        _text(runs.spread("h1")),
        seconds_text(seconds.median) if seconds else "",
        _bounds(s.bound, s.target.seconds),
        met_words(pairs, runs.failed),
        str(kan) if kan else "",
        str(neural) if neural else "",
        *_automatic(s),
        "; ".join(_unknown(runs, name) for name in runs.unknown_names),
        _against(first),
        *(_ratio(runs.effectivity(norm)) for norm in ("l2", "h1")),
        " ".join(str(row.seed) for row in runs.rows),
    ]


def _automatic(s: Summary) -> list[str]:
    if not s.auto.rows:
        return [""] * 4
    error, seconds = s.auto.spread("error"), s.auto.spread("seconds")
    return [
        _text(error) or s.auto.rows[0].status,
        seconds_text(seconds.median) if seconds else "",
        *(f"{ratio:.2g}" if ratio is not None else "" for ratio in (s.auto_error, s.auto_seconds)),
    ]


def _unknown(runs: Runs, name: str) -> str:
    """Return the first seed's value and interval, and how many of all intervals hold the truth."""
    rows = [row for row in runs.rows if name in row.found]
    value, low, high, truth = rows[0].found[name]
    ends = [f"{end:.4g}" if end is not None else "∞" for end in (low, high)]
    text = f"{name} {value:.4g} ({ends[0]} … {ends[1]})"
    if truth is None:
        return text
    count = sum(holds(row, name) is True for row in rows)
    return f"{text}, {count} of {len(rows)} hold {truth:.4g}"


def _text(spread: Spread | None) -> str:
    return str(spread) if spread else ""


def _ratio(spread: Spread | None) -> str:
    return f"{spread.median:.2g} ({spread.low:.2g} … {spread.high:.2g})" if spread else ""


def _bounds(error: float | None, seconds: float | None) -> str:
    parts = [f"≤ {error:.2g}"] if error is not None else []
    parts += [f"{seconds:g} s"] if seconds is not None else []
    return " in ".join(parts)


def _against(row: Row) -> str:
    if row.error is None:
        return ""
    if not row.reference:
        return "exact"
    own = "is not known" if row.reference_error is None else f"{row.reference_error:.1e}"
    return f"{row.reference}; its own error {own}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return script.markdown(escaped[0], escaped[1:])


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
