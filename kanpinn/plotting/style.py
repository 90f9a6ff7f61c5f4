"""What all figures share: colours and sizes, and how a figure is made and written."""

import html
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kanpinn._support.files import replacing

# The colours of Okabe and Ito (2008), which can be told apart with any colour vision, and in grey.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
ORANGE, PURPLE, SKY, BLACK = "#E69F00", "#CC79A7", "#56B4E9", "#000000"
# The colours of series: neighbours differ in brightness, too, and in markers and dashes.
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, BLACK, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
# Fonts are embedded in a PDF, letters of an SVG are drawn; its ids are the same each time.
VECTOR: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "kanpinn",
}
UNDATED = {  # without a date the same figure gives the same file
    "pdf": {"CreationDate": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}


@dataclass(frozen=True)
class Style:
    """What figures have in common.

    dpi: of files in pixels. small: the size in points of ticks and labels; letter: that of legends
    and notes, the smallest one, which can still be read in a paper. marker: the size of a series'
    points. dashes: the line styles of series, in Matplotlib's terms. round: the steps between
    ticks, times a power of ten.
    """

    dpi: int = 150
    small: float = 8
    letter: float = 7
    marker: float = 4.5
    dashes: tuple[Any, ...] = (
        "-",
        (0, (5, 1.5)),
        (0, (5, 1.5, 1, 1.5)),
        (0, (1.2, 1.2)),
        (0, (7, 1, 1, 1, 1, 1)),
    )
    round: tuple[float, ...] = (1, 2, 2.5, 5, 10)


STYLE = Style()


def new_figure(width: float, height: float, layout: str | None = "constrained") -> Figure:
    """A figure of this size in inches, drawn by Agg, apart from pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=STYLE.dpi, layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


def tidy(ax: Axes) -> Axes:
    """Make the ticks small and leave out the frame above and on the right."""
    ax.tick_params(labelsize=STYLE.small)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, PDF or SVG, by the suffix; the file is complete or not there."""
    with matplotlib.rc_context(VECTOR), replacing(path) as temporary:
        kind = path.suffix.removeprefix(".")
        figure.savefig(temporary, format=kind, metadata=UNDATED.get(kind))
    return path


def inline_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """A figure as an <svg> element of an HTML page.

    Letters are drawn, so no font is needed.

    Args:
        figure: the figure.
        name: what every id begins with, so that a page can have several figures.
        title: in a few words, for those who do not see the figure.
        description: likewise, in sentences.
    """
    stream = io.BytesIO()
    with matplotlib.rc_context(VECTOR):
        figure.savefig(stream, format="svg", metadata=UNDATED["svg"])
    text = stream.getvalue().decode()
    text = text[text.index("<svg") :]
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", head)  # what HTML knows itself
    rest = re.sub(r'\bid="', f'id="{name}-', rest)
    rest = re.sub(r'href="#', f'href="#{name}-', rest).replace("xlink:href", "href")
    rest = rest.replace("url(#", f"url(#{name}-").replace("*{", f"#{name} *{{")
    said = (
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-text">{html.escape(description)}</desc>'
    )
    role = f'id="{name}" role="img" aria-labelledby="{name}-title {name}-text"'
    return f"{head} {role}>{said}{rest}"
