"""Coefficients that were looked for, with the bands in which they lie."""

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn.plotting.panels import plot_values
from kanpinn.plotting.style import BLUE, VERMILLION, new_figure, tidy
from kanpinn.plotting.symbols import symbol
from kanpinn.solvers.grid_fields import GridFields

MOST = 3.0  # half-widths: errors above that have one colour


def band_figure(fields: GridFields, name: str) -> Figure | None:
    """The intervals of an unknown field over one coordinate, their half-widths over two.

    Over two coordinates a second panel has the error in half-widths, where the true field is known;
    there is no figure where no interval is finite.
    """
    if len(fields.axes) == 1:
        figure = new_figure(4.6, 3.2)
        plot_band(figure.subplots(), fields, name)
        return figure
    half = _half_widths(fields, name)
    if not numpy.isfinite(half).any():
        return None
    error = fields.of(name).get("error")
    figure = new_figure(4.4 if error is None else 8.8, 3.6)
    first, *more = figure.subplots(1, 1 if error is None else 2, squeeze=False)[0]
    title = f"half-width of the 95% interval of ${symbol(name)}$"
    top = float(numpy.nanmax(half)) or 1.0
    plot_values(first, fields.axes, half, (0.0, top), title, diverging=False)
    for ax in more:
        assert error is not None
        plot_held(ax, fields, numpy.abs(error) / half)
    return figure


def _half_widths(fields: GridFields, name: str) -> numpy.ndarray:
    """NaN outside the domain, and where there is no end."""
    low, high = fields.ends(name)
    half = numpy.full_like(low, numpy.nan)
    known = numpy.isfinite(low) & numpy.isfinite(high)
    half[known] = (high[known] - low[known]) / 2
    return half


def plot_held(ax: Axes, fields: GridFields, sizes: numpy.ndarray) -> Axes:
    """Errors in half-widths: where they are above 1, the interval does not hold the truth."""
    known = sizes[numpy.isfinite(sizes)]
    share = float((known <= 1).mean()) if len(known) else 1.0
    top = min(MOST, max(1.0, float(known.max(initial=0.0))))
    title = f"|error| in half-widths: at most 1 on {share:.0%}"
    return plot_values(ax, fields.axes, sizes, (0.0, top), title, diverging=False)


def plot_band(ax: Axes, fields: GridFields, name: str) -> Axes:
    """A field over one coordinate, its intervals shaded, the true one dashed."""
    ((coordinate, x),) = fields.axes.items()
    (low, high), values = fields.ends(name), fields.of(name)
    if (known := numpy.isfinite(low) & numpy.isfinite(high)).any():
        band = ax.fill_between(x, low, high, where=known.tolist(), color=BLUE, alpha=0.2)
        band.set(linewidth=0, label="95% interval")
    ax.plot(x, values["solution"], color=BLUE, linewidth=1.4, label="estimate")
    if "exact" in values:
        ax.plot(x, values["exact"], "--", color=VERMILLION, linewidth=1.0, label="exact")
    ax.set_xlabel(f"${symbol(coordinate)}$")
    ax.set_ylabel(f"${symbol(name)}$")
    ax.legend(frameon=False, fontsize=8)
    return tidy(ax)
