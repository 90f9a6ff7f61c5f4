"""The panels of a solution's fields and of its residuals on one sheet each."""

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path

from kanpinn.plotting.lines import plot_lines, plot_magnitude_line
from kanpinn.plotting.panels import plot_magnitude, plot_values
from kanpinn.plotting.ranges import limits_of, two_signed
from kanpinn.plotting.style import new_figure
from kanpinn.plotting.symbols import cut_title, symbol
from kanpinn.solvers.grid_fields import KNOWN, GridFields

PANEL = 3.0  # inches, the longer side of a map
BAR = 1.35  # inches beside a map: its colour bar and the labels
HEAD = 0.75  # inches above and below one
LINES = (3.8, 3.0)  # inches of a panel of lines
FLAT = 0.8  # height over width of maps that have no proportions of their own
COLUMNS = 3
SPREAD = 0.5  # of its bound: a field that varies less is not shown about zero


def solution_figure(
    fields: GridFields, field: str, outline: Path | None = None, time: str | None = None
) -> Figure:
    """A field, what it is compared with, the error, and the residual where there is one in all.

    Args:
        fields: on a grid of one or two axes.
        field: its name.
        outline: the domain's boundary in the plane of the axes, at which maps end.
        time: the name of the time coordinate: space and time have no common scale.
    """
    of, name = fields.of(field), f"${symbol(field)}$"
    sizes = {f"|error of {name}|": of["error"]} if "error" in of else {}
    if not has_residual_figure(fields):
        sizes |= _residuals(fields)
    shown = {key: of[key] for key in ("solution", *KNOWN) if key in of}
    count = (1 if len(fields.axes) == 1 else len(shown)) + len(sizes)
    sheet = _Sheet(fields, outline, time, count)
    panels = iter(sheet.panels)
    if len(fields.axes) == 1:
        ((coordinate, x),) = fields.axes.items()
        plot_lines(next(panels), coordinate, x, shown, name)
    else:
        shared, diverging = limits_of(*shown.values()), _diverging(fields)
        for key, values in shown.items():
            title = name if key == "solution" else f"{key} {name}"
            sheet.values(next(panels), values, shared, title, diverging)
    for title, values in sizes.items():
        sheet.magnitude(next(panels), values, title)
    return sheet.figure


def residual_figure(
    fields: GridFields, outline: Path | None = None, time: str | None = None
) -> Figure:
    """The residuals of all equations; the arguments are those of `solution_figure`."""
    residuals = _residuals(fields)
    sheet = _Sheet(fields, outline, time, len(residuals))
    for ax, (title, values) in zip(sheet.panels, residuals.items(), strict=True):
        sheet.magnitude(ax, values, title)
    return sheet.figure


def has_residual_figure(fields: GridFields) -> bool:
    """Whether the residuals are no single field's: they have a figure of their own."""
    return len(fields.fields) > 1 or len(fields.residuals) > 1


class _Sheet:
    """A figure of equal panels, row by row, the last row in the middle: none stays empty."""

    def __init__(
        self, fields: GridFields, outline: Path | None, time: str | None, count: int
    ) -> None:
        self.axes, self.outline = fields.axes, outline
        self.timed = time in fields.axes
        columns = 2 if count == 4 and len(self.axes) == 2 else min(count, COLUMNS)
        rows = -(-count // columns)
        width, height = self._size()
        self.figure = new_figure(columns * width, rows * height)
        if fields.fixed:
            self.figure.suptitle(cut_title(fields.fixed), fontsize=10)
        grid = self.figure.add_gridspec(rows, 2 * columns)  # a panel takes two
        self.panels = []
        for place in range(count):
            row, column = divmod(place, columns)
            start = 2 * column + columns - min(columns, count - row * columns)
            self.panels.append(self.figure.add_subplot(grid[row, start : start + 2]))

    def values(
        self,
        ax: Axes,
        values: numpy.ndarray,
        limits: tuple[float, float],
        title: str,
        diverging: bool | None,
    ) -> None:
        plot_values(ax, self.axes, values, limits, title, diverging=diverging, outline=self.outline)
        self._proportion(ax)

    def magnitude(self, ax: Axes, values: numpy.ndarray, title: str) -> None:
        if len(self.axes) == 1:
            ((name, x),) = self.axes.items()
            plot_magnitude_line(ax, name, x, values, title)
        else:
            plot_magnitude(ax, self.axes, values, title, outline=self.outline)
            self._proportion(ax)

    def _proportion(self, ax: Axes) -> None:
        if self.timed:
            ax.set_aspect("auto")

    def _size(self) -> tuple[float, float]:
        """Inches of a panel; a map has the domain's proportions, where they are not extreme."""
        if len(self.axes) == 1:
            return LINES
        x, y = self.axes.values()
        ratio = float((y[-1] - y[0]) / (x[-1] - x[0]))
        ratio = ratio if 1 / 3 <= ratio <= 3 and not self.timed else FLAT
        return PANEL / max(ratio, 1) + BAR, PANEL * min(ratio, 1) + HEAD


def _residuals(fields: GridFields) -> dict[str, numpy.ndarray]:
    """By title."""
    values = list(fields.residuals.values())
    if len(values) == 1:
        return {"|residual|": values[0]}
    return {f"|residual of equation {i + 1}|": size for i, size in enumerate(values)}


def _diverging(fields: GridFields) -> bool:
    """Whether maps are white at zero: for all fields of a system, if one of them has both signs.

    But not where that would take the colours from a field that is far from zero.
    """
    limits = [limits_of(fields.values[name]) for name in fields.fields]
    near = all(high - low >= SPREAD * max(-low, high) for low, high in limits)
    return any(map(two_signed, limits)) and near
