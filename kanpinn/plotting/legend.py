"""The legend of curves: their styles, and their orders beside those of theory."""

import re
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy

from kanpinn.plotting.curves import Curve
from kanpinn.plotting.style import DASHES, GREY, LETTER, MARKERS, PALETTE

MARKER = 4.5  # points
ORDER, THEORY = "order ± 95%", "best splines; guaranteed"  # what the numbers in a legend are
BELOW = -32  # points from the axes to the legend: ticks and label are between
LONG = 40  # letters of a line, which is as wide as a panel
HARD = "\N{NO-BREAK SPACE}"
TIED = re.compile(r"(?<![,:]) (?!\+)")  # spaces at which no line ends


def style_of(number: int) -> dict[str, Any]:
    """Colour, marker and dashes of a series: no two of the first hundred share all three."""
    return {
        "color": PALETTE[number % len(PALETTE)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
    }


def orders_legend(ax: Axes, curves: Sequence[Curve], theory: str = THEORY) -> None:
    """A line for each curve below the axes; theory: what the numbers in brackets are."""
    guided = any(curve.theory for curve in curves)
    handles = [_handle(curve, number) for number, curve in enumerate(curves)]
    if guided:
        handles.append(Line2D([], [], linestyle=":", color=GREY, label="order of the best splines"))
    title = f"{ORDER} ({theory})" if guided else ORDER
    if any(handle.get_label() for handle in handles):
        ax.legend(
            handles=handles,
            title=title if any(curve.fit for curve in curves) else None,
            loc="upper left",
            bbox_to_anchor=(-0.02, 0.0),
            bbox_transform=offset_copy(
                ax.transAxes, ax.get_figure(root=True), y=BELOW, units="points"
            ),
            borderaxespad=0,
            frameon=False,
            fontsize=LETTER,
            title_fontsize=LETTER,
            alignment="left",
            handlelength=3.2,
        )


def _handle(curve: Curve, number: int) -> Line2D:
    style = style_of(number) | ({"linestyle": "none"} if len(curve.points) < 2 else {})
    return Line2D([], [], markersize=MARKER, linewidth=1.2, label=wrapped(entry(curve)), **style)


def height(curves: Sequence[Curve]) -> int:
    """Lines of the legend, title and guide included."""
    return 2 + sum(wrapped(entry(curve)).count("\n") + 1 for curve in curves)


def entry(curve: Curve) -> str:
    """A curve's line in the legend: "degree 3: 4.1 ± 0.3 (4; 2), up to 16"."""
    label = plain_text(curve.label)
    if curve.fit is None:
        return label
    text = str(curve.fit)
    if curve.theory is not None:
        text += f" ({curve.theory})"
    if curve.levelled:
        text += f", up to {curve.points[curve.fitted - 1].x.median:g}"
    text = text.replace(" ", HARD)
    return f"{label}: {text}" if label else text


def wrapped(text: str) -> str:
    """A text in lines that are not too long and end after a comma or before a plus."""
    return textwrap.fill(TIED.sub(HARD, text), LONG, break_on_hyphens=False)


def plain_text(label: str) -> str:
    """A label in which no dollars make mathematics."""
    return label.replace("$", r"\$")
