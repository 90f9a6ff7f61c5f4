"""One field in one pair of axes: maps over two coordinates, lines over one."""

from collections.abc import Mapping

import numpy
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, MaxNLocator

from kanpinn.plotting.style import BLUE, GREY, ROUND, SMALL, VERMILLION, tidy

DIVERGING, SEQUENTIAL, MAGNITUDE = "RdBu_r", "viridis", "magma"
ONE_SIGN = 0.1  # a lesser part of the other sign does not make a field two-signed
DECADES = 6  # below the largest, that a logarithmic map shows


AxisValues = Mapping[str, numpy.ndarray]


def plot_values(
    ax: Axes, axes: AxisValues, values: numpy.ndarray, limits: tuple[float, float], title: str
) -> Axes:
    """A field over two coordinates, with its colour bar.

    axes: two coordinates by name, (n,) and (m,). values: (n, m). limits: lowest and highest colour.
    Fields of both signs get a diverging map that is white at zero.
    """
    low, high = limits
    bound = max(-low, high)
    if low < 0 < high and min(-low, high) > ONE_SIGN * bound:
        return _map(ax, axes, values, Normalize(-bound, bound), DIVERGING, title)
    return _map(ax, axes, values, Normalize(low, high), SEQUENTIAL, title)


def plot_magnitude(ax: Axes, axes: AxisValues, values: numpy.ndarray, title: str) -> Axes:
    """The absolute value of a field over two coordinates on a logarithmic colour scale."""
    size = numpy.abs(values)
    top = _largest(size)
    if top == 0.0:
        return _map(ax, axes, size, Normalize(0, 1), MAGNITUDE, title)
    usual = numpy.nanquantile(size[size > 0], 0.02)
    low = min(max(usual, top * 10.0**-DECADES), top / 10)
    return _map(ax, axes, numpy.maximum(size, low), LogNorm(low, top), MAGNITUDE, title)


def plot_lines(
    ax: Axes, name: str, x: numpy.ndarray, lines: Mapping[str, numpy.ndarray], label: str
) -> Axes:
    """Fields over one coordinate, the first drawn through, the others dashed and dotted."""
    styles = [(BLUE, "-", 1.8), (VERMILLION, "--", 1.4), (GREY, ":", 1.4)]
    for (key, values), (colour, style, width) in zip(lines.items(), styles, strict=False):
        ax.plot(x, values, style, color=colour, linewidth=width, label=key)
    if len(lines) > 1:
        ax.legend(fontsize=SMALL, frameon=False)
    ax.set(ylabel=label, xlim=(x[0], x[-1]))
    ax.set_xlabel(name, style="italic")
    return tidy(ax)


def plot_magnitude_line(
    ax: Axes, name: str, x: numpy.ndarray, values: numpy.ndarray, label: str
) -> Axes:
    """The absolute value of a field over one coordinate on a logarithmic scale."""
    size = numpy.abs(values)
    top = _largest(size)
    plot_lines(ax, name, x, {label: size}, label)
    if top > 0:
        usual = numpy.nanquantile(size[size > 0], 0.02)
        ax.set_yscale("log")
        ax.set_ylim(max(usual, top * 10.0**-DECADES) / 3, top * 3)
    return ax


def limits_of(*fields: numpy.ndarray) -> tuple[float, float]:
    """The lowest and highest of finite values, set apart where they agree."""
    finite = numpy.concatenate([f[numpy.isfinite(f)].ravel() for f in fields])
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return low - 0.5, high + 0.5
    return low, high


def _largest(size: numpy.ndarray) -> float:
    finite = size[numpy.isfinite(size)]
    return float(finite.max()) if len(finite) else 0.0


def _map(
    ax: Axes, axes: AxisValues, values: numpy.ndarray, norm: Normalize, colours: str, title: str
) -> Axes:
    (name_x, x), (name_y, y) = axes.items()
    shape = (y[-1] - y[0]) / (x[-1] - x[0])
    image = ax.imshow(
        values.T,
        norm=norm,
        cmap=colours,
        origin="lower",
        extent=(*_cell_edges(x), *_cell_edges(y)),
        interpolation="nearest" if isinstance(norm, LogNorm) else "bilinear",
        aspect="equal" if 1 / 3 <= shape <= 3 else "auto",
    )
    _colour_bar(ax, image, isinstance(norm, LogNorm))
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set_xlabel(name_x, style="italic")
    ax.set_ylabel(name_y, style="italic")
    ax.set_title(title, fontsize=10)
    ax.xaxis.set_major_locator(MaxNLocator(3 if 1.6 < shape <= 3 else 5, steps=ROUND))
    ax.yaxis.set_major_locator(MaxNLocator(3 if 1 / 3 <= shape < 0.6 else 5, steps=ROUND))
    ax.tick_params(labelsize=SMALL)
    return ax


def _cell_edges(x: numpy.ndarray) -> tuple[float, float]:
    """The points are the centres of the image's pixels."""
    half = (x[1] - x[0]) / 2
    return float(x[0] - half), float(x[-1] + half)


def _colour_bar(ax: Axes, image: AxesImage, logarithmic: bool) -> None:
    # Set into the axes, it is as high as they are whatever their aspect.
    place = ax.inset_axes((1.03, 0.0, 0.04, 1.0))
    bar = ax.figure.colorbar(image, cax=place)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)
    if logarithmic:
        bar.ax.yaxis.set_major_locator(LogLocator(numticks=7))
