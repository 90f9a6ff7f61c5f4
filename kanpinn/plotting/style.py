"""What all figures share: colours, sizes, and how a figure is made and saved."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kanpinn._support.files import replacing

# Okabe and Ito (2008): told apart with any colour vision, and in grey.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
ORANGE, PURPLE, SKY, BLACK = "#E69F00", "#CC79A7", "#56B4E9", "#000000"
# Of series: neighbours differ in brightness too, and colour is never the only difference.
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, BLACK, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
DASHES = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1.2, 1.2)), (0, (7, 1, 1, 1, 1, 1)))
DPI = 150
# Fonts are embedded, letters of an SVG drawn; its ids are the same each time.
VECTOR: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "kanpinn",
}
UNDATED = {  # the same figure is the same file
    "pdf": {"CreationDate": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}
SMALL = 8
LETTER = 7  # points of legends and notes; nothing in a paper is smaller
ROUND = [1, 2, 2.5, 5, 10]  # steps between ticks


def new_figure(width: float, height: float, layout: str | None = "constrained") -> Figure:
    """A figure of so many inches, drawn by Agg, apart from pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


def tidy(ax: Axes) -> Axes:
    """Small ticks, no box: the frame on the left and below."""
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG, or a PDF or SVG by the suffix, at once; letters of a PDF are text."""
    with matplotlib.rc_context(VECTOR), replacing(path) as temporary:
        kind = path.suffix.removeprefix(".")
        figure.savefig(temporary, format=kind, metadata=UNDATED.get(kind))
    return path
