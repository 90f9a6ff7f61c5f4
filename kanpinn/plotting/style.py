"""The style of all figures: colours, sizes, files, and the notation of numbers and names."""

import html
import io
import math
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kanpinn._support.errors import InputError
from kanpinn._support.files import replacing

# The colours of Okabe and Ito (2008) are distinguishable with any colour vision, and in grey.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
ORANGE, PURPLE, SKY, BLACK = "#E69F00", "#CC79A7", "#56B4E9", "#000000"
# Consecutive series also differ in brightness, marker and dashes.
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, BLACK, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
# PDF files embed their fonts. SVG files draw text as paths, and have reproducible ids.
VECTOR: dict[Any, Any] = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "kanpinn"}
UNDATED = {  # without a date the same figure gives the same file
    "pdf": {"CreationDate": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}


@dataclass(frozen=True)
class Style:
    """Sizes and line styles that all figures use.

    Args:
        dpi: the resolution of raster files, in pixels per inch.
        small: the font size of ticks and labels, in points.
        letter: the font size of legends and notes, in points, the smallest size that is legible in
            a paper.
        marker: the marker size of series, in points.
        dashes: the line styles of series, in Matplotlib's form.
        round: the allowed tick intervals, times a power of ten.
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
    """Return an empty figure, width × height in inches, independent of pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=STYLE.dpi, layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


Given = Axes | Iterable[Any] | None


def panels(
    ax: Given | Figure, count: int, columns: int, size: tuple[float, float]
) -> numpy.ndarray:
    """Return an array with the axes of each panel, (count,).

    Args:
        ax: the axes of a single panel, or a sequence of axes; by default the axes of a new figure
            of pyplot, which notebooks show. If `ax` is an empty figure, axes are made in it, and
            the figure gets the size that the panels need.
        count: the number of panels.
        columns: the largest number of panels in a row of a figure.
        size: the width and height of a panel of a figure, in inches.

    Raises:
        InputError: if `ax` has not the axes of exactly `count` panels.
    """
    if ax is None:
        from matplotlib import pyplot  # chooses a backend, which files of figures do not need

        ax = pyplot.figure(layout="constrained")
    if isinstance(ax, Figure):
        (width, height), columns = size, min(columns, count)
        rows = -(-count // columns)
        places: list[Axes] = []
        ax.set_size_inches(columns * width, rows * height)
        grid = ax.add_gridspec(rows, 2 * columns)  # a panel takes two columns of the grid
        for place in range(count):  # row by row, the last row in the middle
            row, column = divmod(place, columns)
            start = 2 * column + columns - min(columns, count - row * columns)
            places.append(ax.add_subplot(grid[row, start : start + 2]))
        return numpy.array(places)
    given = numpy.ravel(numpy.asarray(ax, dtype=object))
    if len(given) != count or not all(isinstance(panel, Axes) for panel in given):
        expected = "axes of Matplotlib"
        if count > 1:
            expected = f"{count} {expected}, one for each panel"
        raise InputError(f"ax must be {expected}, got {ax!r}")
    return given


def returned(drawn: numpy.ndarray) -> Any:
    """Return the axes of a single panel, or the array of axes without dimensions of length one."""
    return drawn.item() if drawn.size == 1 else drawn.squeeze()


def tidy(ax: Axes, grid: Literal["x", "y"] | None = None) -> Axes:
    """Make the tick labels small, hide the upper and the right spine, and return the axes.

    Args:
        grid: the axis, "x" or "y", whose ticks continue as pale lines.
    """
    ax.tick_params(labelsize=STYLE.small)
    if grid is not None:
        ax.grid(axis=grid, linewidth=0.4, color="#dddddd")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def style_of(number: int) -> dict[str, Any]:
    """Return the colour, marker and dashes of a series; the first hundred are all different.

    Args:
        number: the number of the series in its figure, from 0.
    """
    return {
        "color": PALETTE[number % len(PALETTE)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": STYLE.dashes[number % len(STYLE.dashes)],
    }


def legend_beside(figure: Figure, ax: Axes, place: str = "right center", columns: int = 1) -> None:
    """Draw one legend outside the panels of a figure, with the labels of the lines in `ax`.

    Args:
        figure: the figure.
        ax: one of its panels, whose lines have labels.
        place: the place of the legend, such as "right center".
        columns: the number of columns of the legend.
    """
    handles, names = ax.get_legend_handles_labels()
    lines = dict(zip(names, handles, strict=True))
    look: dict[str, Any] = {"loc": f"outside {place}", "ncols": columns}
    look |= {"fontsize": STYLE.small, "frameon": False}
    figure.legend(lines.values(), lines.keys(), **look)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure to a PNG, PDF or SVG file, by the suffix, and return the path.

    The file is written under a temporary name first, so it is never incomplete.
    """
    _lay_out(figure)
    with matplotlib.rc_context(VECTOR), replacing(path) as temporary:
        kind = path.suffix.removeprefix(".")
        figure.savefig(temporary, format=kind, metadata=UNDATED.get(kind))
    return path


def _lay_out(figure: Figure) -> None:
    """Compute the final places of the axes, once for all files of the figure.

    Otherwise each call of `Figure.savefig` would draw the whole figure twice.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def inline_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """Return a figure as an <svg> element of an HTML page; text is drawn as paths.

    Args:
        figure: the figure.
        name: the prefix of all ids, so that a page can have several figures.
        title: a short title, for screen readers.
        description: a description in whole sentences, for screen readers.
    """
    _lay_out(figure)
    stream = io.BytesIO()
    with matplotlib.rc_context(VECTOR):
        figure.savefig(stream, format="svg", metadata=UNDATED["svg"])
    text = stream.getvalue().decode()
    text = text[text.index("<svg") :]
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", head)  # implied in HTML
    rest = re.sub(r'\bid="', f'id="{name}-', rest)
    rest = re.sub(r'href="#', f'href="#{name}-', rest).replace("xlink:href", "href")
    rest = rest.replace("url(#", f"url(#{name}-").replace("*{", f"#{name} *{{")
    said = f'<title id="{name}-title">{html.escape(title)}</title>'
    said += f'<desc id="{name}-text">{html.escape(description)}</desc>'
    role = f'id="{name}" role="img" aria-labelledby="{name}-title {name}-text"'
    return f"{head} {role}>{said}{rest}"


GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()
)
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
NAME = re.compile(r"([^\W\d_]+)_?(\w*)")
# Characters that mathtext would interpret, with their escaped forms.
SPECIAL = {letter: f"\\{letter}" for letter in "_ $%#{}"}
SPECIAL |= {"\\": r"{\backslash}", "^": r"{\wedge}", "~": r"{\sim}"}


def symbol(name: str) -> str:
    """Return a name in mathtext without dollars: x1 is "x_{1}", sigma_xx is "\\sigma_{xx}"."""
    match = NAME.fullmatch(name)
    if match is None:
        return rf"\mathit{{{_escaped(name)}}}"
    letters, index = match.groups()
    if letters in GREEK:
        letters = f"\\{letters}"
    elif len(letters) > 1:
        letters = rf"\mathit{{{letters}}}"
    return f"{letters}_{{{_escaped(index)}}}" if index else letters


def cut_title(fixed: Mapping[str, float]) -> str:
    """Return the title of a cut, such as "cut at x_3 = x_4 = 0.5, x_5 = 1".

    Args:
        fixed: the values of the coordinates that do not vary, by name.
    """
    groups: dict[float, list[str]] = {}
    for name, value in fixed.items():
        groups.setdefault(value, []).append(symbol(name))
    if len(groups) > 4:
        return "cut through the centre of the other coordinates"
    parts = []
    for value, names in groups.items():
        shown = names if len(names) <= 3 else [names[0], r"\ldots", names[-1]]
        parts.append(f"${' = '.join(shown)} = {value:.4g}$")
    return "cut at " + ", ".join(parts)


def _escaped(name: str) -> str:
    """Return a name in which characters are escaped that Matplotlib reads as mathematics."""
    return "".join(SPECIAL.get(letter, letter) for letter in name)


def number_text(value: float | int) -> str:
    """Return a number with three digits, with a power of ten if it is very large or small."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return power_text(value)


def power_text(value: float | int) -> str:
    """Return a number with its power of ten, in mathtext."""
    exponent = math.floor(math.log10(abs(value)) + 1e-9)
    factor = f"{value / 10.0**exponent:.2g}"
    return f"$10^{{{exponent}}}$" if factor == "1" else f"${factor}·10^{{{exponent}}}$"


def wrapped(text: str) -> str:
    """Wrap a text to lines of at most 40 characters, broken after commas, colons or before plus."""
    tied = re.sub(r"(?<![,:]) (?!\+)", NO_BREAK_SPACE, text)
    return textwrap.fill(tied, 40, break_on_hyphens=False)


def plain_text(label: str) -> str:
    """Return a label with escaped dollar signs, which would otherwise start mathtext."""
    return label.replace("$", r"\$")
