"""Streamlines of flows in the plane."""

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path

from kanpinn.plotting.fields import AxisValues, limits_of, map_size, plot_values, shape_of
from kanpinn.plotting.notation import symbol
from kanpinn.plotting.style import new_figure
from kanpinn.solvers.regular_grid import GridFields


def streamlines_figure(
    fields: GridFields, velocity: tuple[str, str], outline: Path | None = None
) -> Figure:
    """Return a figure of the speed of a flow with its streamlines.

    Args:
        fields: the solution on a grid with two axes.
        velocity: the names of the components along these axes.
        outline: the domain's boundary, which clips the map and the lines; None for a box.
    """
    u, v = (fields.values[name] for name in velocity)
    figure = new_figure(*map_size(fields.axes, None, 4.0, 7.0))
    ax = figure.subplots()
    speed, title = numpy.hypot(u, v), ", ".join(symbol(name) for name in velocity)
    limits = 0.0, limits_of(speed)[1]
    plot_values(ax, fields.axes, speed, limits, f"$|({title})|$", outline=outline)
    plot_streamlines(ax, fields.axes, u, v, outline)
    return figure


def plot_streamlines(
    ax: Axes, axes: AxisValues, u: numpy.ndarray, v: numpy.ndarray, outline: Path | None = None
) -> Axes:
    """Plot the streamlines of a flow, with arrows, over its map.

    Args:
        ax: the axes to draw in.
        axes: the evenly spaced grid points of two coordinates by name, (n,) and (m,).
        u, v: the components of the velocity on the grid, (n, m); NaN outside the domain.
        outline: the domain's boundary, which clips the lines; None for a box.

    Returns:
        The axes `ax`.
    """
    x, y = axes.values()
    shape, dense = shape_of(axes, None) or 1.0, 1.4
    drawn = ax.streamplot(
        x,
        y,
        numpy.ma.masked_invalid(u.T),
        numpy.ma.masked_invalid(v.T),
        density=(dense / min(shape, 1.0) ** 0.5, dense * min(shape, 1.0) ** 0.5),
        color="white",
        linewidth=0.7,
        arrowsize=0.6,
    )
    if outline is not None:
        drawn.lines.set_clip_path(outline, ax.transData)
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    return ax
