"""What all figures share: colours, sizes, and how a figure is made and saved."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kanpinn.files import replacing

# Okabe and Ito (2008): told apart with any colour vision, and in grey.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
ORANGE = "#E69F00"
DPI = 150
SMALL = 8
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
    """Write a PNG at once."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
