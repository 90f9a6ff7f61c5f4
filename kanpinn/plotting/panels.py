"""One field over two coordinates, in one pair of axes."""

from collections.abc import Mapping

import numpy
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import LogLocator, MaxNLocator

from kanpinn.plotting.ranges import Magnitudes, continued, magnitudes_of, two_signed
from kanpinn.plotting.style import BLACK, GREY, ROUND, SMALL
from kanpinn.plotting.symbols import symbol

DIVERGING, SEQUENTIAL, MAGNITUDE = "RdBu_r", "viridis", "magma"

AxisValues = Mapping[str, numpy.ndarray]


def plot_values(
    ax: Axes,
    axes: AxisValues,
    values: numpy.ndarray,
    limits: tuple[float, float],
    title: str,
    *,
    diverging: bool | None = None,
    outline: Path | None = None,
) -> Axes:
    """A field over two coordinates, with its colour bar.

    Args:
        axes: two coordinates by name, (n,) and (m,).
        values: (n, m).
        limits: lowest and highest colour.
        diverging: a map that is white at zero; by default where the limits have both signs.
        outline: the domain's boundary, at which the map ends; it is drawn as a line.
    """
    low, high = limits
    bound = max(-low, high)
    if two_signed(limits) if diverging is None else diverging:
        image = _map(ax, axes, values, Normalize(-bound, bound), DIVERGING, outline)
    else:
        image = _map(ax, axes, values, Normalize(low, high), SEQUENTIAL, outline)
    _colour_bar(ax, image)
    return _labelled(ax, axes, title)


def plot_magnitude(
    ax: Axes, axes: AxisValues, values: numpy.ndarray, title: str, *, outline: Path | None = None
) -> Axes:
    """The absolute value of a field over two coordinates on a logarithmic colour scale.

    An arrow on the colour bar says that a few values lie above it. outline: as in `plot_values`.
    """
    size = numpy.abs(values)
    shown = magnitudes_of(size)
    if shown is None:
        _colour_bar(ax, _map(ax, axes, size, Normalize(0, 1), MAGNITUDE, outline))
    else:
        norm = LogNorm(shown.low, shown.high)
        drawn = numpy.maximum(size, shown.low)  # a logarithm of 0 would be a hole
        _colour_bar(ax, _map(ax, axes, drawn, norm, MAGNITUDE, outline), shown)
    return _labelled(ax, axes, title)


def _map(
    ax: Axes,
    axes: AxisValues,
    values: numpy.ndarray,
    norm: Normalize,
    colours: str,
    outline: Path | None,
) -> AxesImage:
    x, y = axes.values()
    if outline is not None:
        values = continued(values)
    image = ax.imshow(
        numpy.ma.masked_invalid(values.T),
        norm=norm,
        cmap=colours,
        origin="lower",
        extent=(*_cell_edges(x), *_cell_edges(y)),
        interpolation="bilinear",
        aspect="equal" if 1 / 3 <= _shape(axes) <= 3 else "auto",
    )
    if outline is not None:
        image.set_clip_path(outline, ax.transData)
        line = {"edgecolor": BLACK, "linewidth": 0.7, "clip_on": False, "zorder": 3}
        ax.add_patch(PathPatch(outline, fill=False, **line))
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set(linewidth=0.5, color=GREY)
    return image


def _labelled(ax: Axes, axes: AxisValues, title: str) -> Axes:
    (name_x, x), (name_y, y) = axes.items()
    shape = _shape(axes)
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set_xlabel(f"${symbol(name_x)}$")
    ax.set_ylabel(f"${symbol(name_y)}$")
    ax.set_title(title, fontsize=10)
    ax.xaxis.set_major_locator(MaxNLocator(3 if 1.6 < shape <= 3 else 5, steps=ROUND))
    ax.yaxis.set_major_locator(MaxNLocator(3 if 1 / 3 <= shape < 0.6 else 5, steps=ROUND))
    ax.tick_params(labelsize=SMALL)
    return ax


def _shape(axes: AxisValues) -> float:
    """The height over the width, in the coordinates."""
    x, y = axes.values()
    return float((y[-1] - y[0]) / (x[-1] - x[0]))


def _cell_edges(x: numpy.ndarray) -> tuple[float, float]:
    """The points are the centres of the image's pixels."""
    half = (x[1] - x[0]) / 2
    return float(x[0] - half), float(x[-1] + half)


def _colour_bar(ax: Axes, image: AxesImage, shown: Magnitudes | None = None) -> None:
    # Set into the axes, it is as high as they are whatever their aspect.
    place = ax.inset_axes((1.03, 0.0, 0.04, 1.0))
    extend = "max" if shown is not None and shown.beyond else "neither"
    bar = ax.figure.colorbar(image, cax=place, extend=extend)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)
    if shown is not None:
        bar.ax.yaxis.set_major_locator(LogLocator(numticks=7))
