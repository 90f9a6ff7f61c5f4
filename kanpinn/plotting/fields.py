"""Plots of a field: a map over two coordinates, or a line over one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import LogLocator, MaxNLocator

from kanpinn.plotting.notation import symbol
from kanpinn.plotting.style import BLACK, BLUE, GREY, STYLE, VERMILLION, tidy

AxisValues = Mapping[str, numpy.ndarray]


@dataclass(frozen=True)
class Magnitudes:
    """The ends of a logarithmic scale; `beyond` is True if values lie above its upper end."""

    low: float
    high: float
    beyond: bool


def plot_values(
    ax: Axes,
    axes: AxisValues,
    values: numpy.ndarray,
    limits: tuple[float, float],
    title: str,
    *,
    diverging: bool | None = None,
    outline: Path | None = None,
    time: str | None = None,
) -> Axes:
    """Plot a field over two coordinates, with a colour bar.

    Args:
        ax: the axes to draw in.
        axes: the grid points of two coordinates by name, (n,) and (m,).
        values: the field on the grid, (n, m); NaN outside the domain.
        limits: the values of the lowest and of the highest colour.
        title: the title above the axes.
        diverging: whether the colours are white at zero; by default if the limits have both signs.
        outline: the domain's boundary, which clips the map and is drawn as a line.
        time: the name of the time coordinate; a map over it does not have equal scales on both
            axes.

    Returns:
        The axes `ax`.
    """
    low, high = limits
    bound = max(-low, high)
    if two_signed(limits) if diverging is None else diverging:
        norm, colours = Normalize(-bound, bound), "RdBu_r"
    else:
        norm, colours = Normalize(low, high), "viridis"
    _map(ax, axes, values, norm, colours, title, outline, time)
    return ax


def plot_magnitude(
    ax: Axes,
    axes: AxisValues,
    values: numpy.ndarray,
    title: str,
    *,
    outline: Path | None = None,
    time: str | None = None,
) -> Axes:
    """Plot the absolute value of a field on a logarithmic scale.

    Over one coordinate it is a line. Over two it is a map with a colour bar; an arrow on the bar
    means that a few values lie above the scale. The arguments are as in `plot_values`; the title of
    a line is the label of the vertical axis.
    """
    size = numpy.abs(values)
    shown = magnitudes_of(size)
    if len(axes) == 1:
        ((name, x),) = axes.items()
        plot_lines(ax, name, x, {title: size}, title)
        if shown is not None:
            ax.set_yscale("log")
            ax.set_ylim(shown.low / 3, shown.high * 3)
    elif shown is None:
        _map(ax, axes, size, Normalize(0, 1), "magma", title, outline, time)
    else:
        size = numpy.maximum(size, shown.low)  # a value of 0 would be left blank
        norm = LogNorm(shown.low, shown.high)
        bar = _map(ax, axes, size, norm, "magma", title, outline, time, beyond=shown.beyond)
        bar.ax.yaxis.set_major_locator(LogLocator(numticks=7))
    return ax


def _map(
    ax: Axes,
    axes: AxisValues,
    values: numpy.ndarray,
    norm: Normalize,
    colours: str,
    title: str,
    outline: Path | None,
    time: str | None,
    beyond: bool = False,
) -> Colorbar:
    """Draw the image, its outline, title and axis labels, and return its colour bar.

    beyond: whether the bar has an arrow for values above the scale.
    """
    (name_x, x), (name_y, y) = axes.items()
    shape = shape_of(axes, time)
    half_x, half_y = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2  # the points are centres of pixels
    if outline is not None:
        values = continued(values)
    image = ax.imshow(
        numpy.ma.masked_invalid(values.T),
        norm=norm,
        cmap=colours,
        origin="lower",
        extent=(x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y),
        interpolation="bilinear",
        aspect="auto" if shape is None else "equal",
    )
    if outline is not None:
        image.set_clip_path(outline, ax.transData)
        line = {"edgecolor": BLACK, "linewidth": 0.7, "clip_on": False, "zorder": 3}
        ax.add_patch(PathPatch(outline, fill=False, **line))
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set(linewidth=0.5, color=GREY)
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set(xlabel=f"${symbol(name_x)}$", ylabel=f"${symbol(name_y)}$")
    ax.xaxis.set_major_locator(MaxNLocator(3 if shape and shape > 1.6 else 5, steps=STYLE.round))
    ax.yaxis.set_major_locator(MaxNLocator(3 if shape and shape < 0.6 else 5, steps=STYLE.round))
    ax.tick_params(labelsize=STYLE.small)
    ax.set_title(title, fontsize=10)
    # As an inset of the axes, the colour bar has their height for any aspect ratio.
    place = ax.inset_axes((1.03, 0.0, 0.04, 1.0))
    bar = ax.figure.colorbar(image, cax=place, extend="max" if beyond else "neither")
    bar.ax.tick_params(labelsize=STYLE.small)
    bar.outline.set_visible(False)
    return bar


def plot_lines(
    ax: Axes, name: str, x: numpy.ndarray, lines: Mapping[str, numpy.ndarray], label: str
) -> Axes:
    """Plot up to three fields over one coordinate: the first solid, the others dashed and dotted.

    Args:
        ax: the axes to draw in.
        name: the name of the coordinate.
        x: its grid points, (n,).
        lines: the values of each field, (n,), by the label in the legend.
        label: the label of the vertical axis.

    Returns:
        The axes `ax`.
    """
    styles = [(BLUE, "-", 1.8), (VERMILLION, "--", 1.4), (GREY, ":", 1.4)]
    for (key, values), (colour, style, width) in zip(lines.items(), styles, strict=False):
        ax.plot(x, values, style, color=colour, linewidth=width, label=key)
    if len(lines) > 1:
        ax.legend(fontsize=STYLE.small, frameon=False)
    ax.set(xlabel=f"${symbol(name)}$", ylabel=label, xlim=(x[0], x[-1]))
    return tidy(ax)


def magnitudes_of(size: numpy.ndarray) -> Magnitudes | None:
    """Return a logarithmic scale for absolute values; None if none is finite and positive.

    The scale ends at the largest value, or at the 99.9% quantile if the largest value exceeds ten
    times this quantile, as a residual may at a singular corner. It begins at the 2% quantile, and
    covers one to six decades.
    """
    finite = size[numpy.isfinite(size) & (size > 0)]
    if len(finite) == 0:
        return None
    top, usual = float(finite.max()), float(numpy.quantile(finite, 0.999, method="lower"))
    high = top if top <= 10 * usual else usual
    low = max(float(numpy.quantile(finite, 0.02)), high * 1e-6)
    return Magnitudes(min(low, high / 10), high, high < top)


def shape_of(axes: AxisValues, time: str | None) -> float | None:
    """The height of a map over its width where it has the proportions of the domain, else None.

    It has not if one axis is time, or if one is more than six times as long as the other.
    """
    x, y = axes.values()
    shape, most = float((y[-1] - y[0]) / (x[-1] - x[0])), 6
    return shape if 1 / most <= shape <= most and time not in axes else None


def map_size(
    axes: AxisValues, time: str | None, long: float = 3.0, flat: float = 4.0
) -> tuple[float, float]:
    """The width and height of a map in inches, with room for its colour bar and its labels.

    The longer side of the map itself is `long`, or `flat` if it is more than three times as long as
    the other.
    """
    shape = shape_of(axes, time) or 0.8
    long = flat if shape < 1 / 3 else long
    return long / max(shape, 1) + 1.35, long * min(shape, 1) + 0.75


def limits_of(*fields: numpy.ndarray) -> tuple[float, float]:
    """Return the least and the largest finite value; 0.5 below and above if they are equal.

    The result is (0, 1) if no value is finite.
    """
    finite = numpy.concatenate([f[numpy.isfinite(f)].ravel() for f in fields])
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return low - 0.5, high + 0.5
    return low, high


def two_signed(limits: tuple[float, float]) -> bool:
    """Return True if the limits have both signs and their absolute values a ratio below ten."""
    low, high = limits
    return low < 0 < high and min(-low, high) > 0.1 * max(-low, high)


def continued(values: numpy.ndarray, rings: int = 2) -> numpy.ndarray:
    """Return a field (n, m), NaN outside its domain, extended by `rings` layers of grid nodes.

    A new node gets the mean of its known neighbours, so that a map that is clipped at the boundary
    has no gaps there.
    """
    for _ in range(rings):
        windows = numpy.lib.stride_tricks.sliding_window_view(
            numpy.pad(values, 1, constant_values=numpy.nan), (3, 3)
        )
        known = ~numpy.isnan(windows)
        count = known.sum(axis=(2, 3))
        mean = numpy.where(known, windows, 0.0).sum(axis=(2, 3)) / numpy.maximum(count, 1)
        values = numpy.where(numpy.isnan(values) & (count > 0), mean, values)
    return values
