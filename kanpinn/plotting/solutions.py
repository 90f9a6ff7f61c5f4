"""Figures with several panels: the fields of a solution, and its residuals."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path

from kanpinn.plotting.fields import (
    limits_of,
    map_size,
    plot_lines,
    plot_magnitude,
    plot_values,
    two_signed,
)
from kanpinn.plotting.notation import cut_title, symbol
from kanpinn.plotting.style import new_figure
from kanpinn.solvers.regular_grid import KNOWN, GridFields


def solution_figure(
    fields: GridFields, field: str, outline: Path | None = None, time: str | None = None
) -> Figure:
    """Return a figure with a field, the exact field or its reference, the error, and the residual.

    With several fields or equations, the residuals are left to `residual_figure`.

    Args:
        fields: the solution on a grid with one or two axes.
        field: the name of the field to draw.
        outline: the domain's boundary in the plane of the axes, at which maps are clipped.
        time: the name of the time coordinate, if there is one; maps over space and time do not
            have equal scales on both axes.
    """
    of, name = fields.of(field), f"${symbol(field)}$"
    sizes = {f"|error of {name}|": of["error"]} if "error" in of else {}
    if len(fields.fields) == len(fields.residuals) == 1:
        (sizes["|residual|"],) = fields.residuals.values()
    shown = {key: of[key] for key in ("solution", *KNOWN) if key in of}
    lines = len(fields.axes) == 1
    figure, panels = _panels(fields, time, (1 if lines else len(shown)) + len(sizes))
    if lines:
        ((coordinate, x),) = fields.axes.items()
        plot_lines(panels[0], coordinate, x, shown, name)
    else:
        # Maps are white at zero if any field of the system has both signs. The exception is a
        # field far from zero (its range is less than half its size): it would have one colour.
        every = [limits_of(fields.values[one]) for one in fields.fields]
        near = all(high - low >= 0.5 * max(-low, high) for low, high in every)
        diverging = any(map(two_signed, every)) and near
        limits = limits_of(*shown.values())
        for ax, (key, values) in zip(panels, shown.items(), strict=False):
            title = name if key == "solution" else f"{key} {name}"
            plot_values(
                ax,
                fields.axes,
                values,
                limits,
                title,
                diverging=diverging,
                outline=outline,
                time=time,
            )
    for ax, (title, values) in zip(panels[len(panels) - len(sizes) :], sizes.items(), strict=True):
        plot_magnitude(ax, fields.axes, values, title, outline=outline, time=time)
    return figure


def residual_figure(
    fields: GridFields, outline: Path | None = None, time: str | None = None
) -> Figure:
    """Return a figure of all equations' residuals; the arguments are as in `solution_figure`."""
    residuals = fields.residuals.values()
    figure, panels = _panels(fields, time, len(residuals))
    for number, (ax, values) in enumerate(zip(panels, residuals, strict=True), 1):
        title = f"|residual of equation {number}|" if len(panels) > 1 else "|residual|"
        plot_magnitude(ax, fields.axes, values, title, outline=outline, time=time)
    return figure


def _panels(fields: GridFields, time: str | None, count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure and its `count` panels of equal size, row by row, the last row centred.

    Maps have the proportions of the domain, unless these are extreme or one axis is time.
    """
    lines = len(fields.axes) == 1
    columns = 2 if count == 4 and not lines else min(count, 3)
    rows = -(-count // columns)
    if lines:
        width, height = 3.8, 3.0  # inches of a panel
    else:
        width, height = map_size(fields.axes, time)
    heading = 0.3 if fields.fixed else 0.0
    figure = new_figure(columns * width, rows * height + heading)
    if fields.fixed:
        figure.suptitle(cut_title(fields.fixed), fontsize=10)
    grid = figure.add_gridspec(rows, 2 * columns)  # a panel takes two
    panels = []
    for place in range(count):
        row, column = divmod(place, columns)
        start = 2 * column + columns - min(columns, count - row * columns)
        panels.append(figure.add_subplot(grid[row, start : start + 2]))
    return figure, panels
