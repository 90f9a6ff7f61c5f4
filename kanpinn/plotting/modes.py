"""The figure of eigenmodes, their card, and `Eigensolution.plot`."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import maximum_filter

from kanpinn._support.errors import InputError, one_of
from kanpinn.plotting.card import (
    SMALL,
    Card,
    Drawing,
    Given,
    Place,
    card_of,
    panels,
    returned,
    small_axes,
)
from kanpinn.plotting.fields import Sheet, plot_lines, plot_values
from kanpinn.plotting.style import BLACK, GREY, cut_title, new_figure, save_all, symbol
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.grid_fields import GridFields, modes_on_grid, plane_of


def draw_modes(
    solution: Eigensolution, folder: Path, fields: GridFields | None = None
) -> list[Path]:
    """Draw modes.png: the first field of the first twelve modes, with nodal lines.

    Above two dimensions, modes are drawn on the same cut as solutions. Of complex modes, the real
    parts are drawn.

    Args:
        solution: the modes of an eigenvalue problem.
        folder: the folder of the file; it is created if needed.
        fields: the modes on a grid, if they have been evaluated already.

    Returns:
        The path of the file, in a list; the list is empty if there are no modes.
    """
    figures = [("modes", modes_figure(solution, fields))] if solution.count else []
    return save_all(figures, folder)


def modes_figure(solution: Eigensolution, fields: GridFields | None = None) -> Figure:
    """Return a figure with one panel for each of the first twelve modes, titled by eigenvalue.

    The arguments are as in `draw_modes`.
    """
    names = plane_of(solution.problem.domain)
    if fields is None or tuple(fields.axes) != names:
        fields = modes_on_grid(solution, names)
    shown = fields.fields[:: len(fields.fields) // solution.count][:12]
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    figure = new_figure(columns * 3.3, rows * 2.9)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.06)
    head = [f"{len(shown)} of {solution.count} modes"] if len(shown) < solution.count else []
    if len(solution.fields) > 1:
        head.append(f"field ${symbol(solution.fields[0])}$ of {len(solution.fields)}")
    if solution.values.is_complex():
        head.append("real parts")
    if fields.fixed:
        head.append(cut_title(fields.fixed))
    if head:
        figure.suptitle(", ".join(head), fontsize=10)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for index, (ax, name) in enumerate(zip(axes, shown, strict=False)):
        plot_mode(ax, solution, fields, name, mode_title(solution, index))
        if index % columns:  # labels only at the first panel of a row and the last of a column
            ax.set_ylabel("")
        if index + columns < len(shown):
            ax.set_xlabel("")
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    return figure


def plot_mode(ax: Axes, solution: Eigensolution, fields: GridFields, name: str, title: str) -> Axes:
    """Plot a mode over one coordinate, or over two with its nodal lines.

    Args:
        ax: the axes to draw in.
        solution: the modes of an eigenvalue problem.
        fields: the modes on a grid.
        name: the name of the mode in `fields`.
        title: the title above the axes.

    Returns:
        The axes `ax`.
    """
    values = fields.values[name]
    if len(fields.axes) == 1:
        ((coordinate, x),) = fields.axes.items()
        plot_lines(ax, coordinate, x, {name: values}, "")
        ax.axhline(0, color=GREY, linewidth=0.6)
        ax.set_title(title, fontsize=10)
        return ax
    bound = float(numpy.nanmax(numpy.abs(values))) or 1.0
    sheet = Sheet.of(solution.problem.domain, fields)
    plot_values(ax, sheet, values, (-bound, bound), title, diverging=True)
    x, y = fields.axes.values()
    inside, tiny = values[numpy.isfinite(values)], 1e-6 * bound
    if inside.min() < -tiny and inside.max() > tiny:
        # Far from a mode that decays only errors are left, whose zeros are no nodal lines.
        nearby = maximum_filter(numpy.nan_to_num(numpy.abs(values)), size=3)
        seen = numpy.where(nearby > tiny, values, numpy.nan)
        ax.contour(x, y, seen.T, levels=[0.0], colors=BLACK, linewidths=0.8)
    return ax


def mode_title(solution: Eigensolution, index: int) -> str:
    """Return the eigenvalue as a title such as "λ_1 = 5.783185963"; complex ones in five digits."""
    value = complex(solution.values[index])
    text = f"{value.real:.10g}" if abs(value) > 1e-10 else "0"
    if value.imag:
        text = f"{value.real:.5g} {'+-'[value.imag < 0]} {abs(value.imag):.5g}i"
    return rf"$\lambda_{{{index + 1}}}$ = {text}"


def plot(
    solution: Eigensolution,
    mode: int | Sequence[int] | None = None,
    field: str | None = None,
    *,
    imaginary: bool = False,
    along: str | Sequence[str] | None = None,
    at: Mapping[str, float | int] | None = None,
    nodes: int | None = None,
    ax: Given = None,
) -> Any:
    """Draw modes; the arguments are those of `Eigensolution.plot`."""
    numbers = _numbers(solution, mode)
    if field is None:
        field = solution.fields[0]
    one_of("field", field, solution.fields)
    if imaginary and not solution.values.is_complex():
        raise InputError("imaginary is for complex modes: all modes of this problem are real")
    place = Place.of(solution.problem.domain, along, None, at)
    fields = modes_on_grid(solution, place.along, nodes, at=place.at)
    size = Sheet(fields.axes).size(2.4, 3.2) if place.dim == 2 else (4.0, 2.7)
    axes = panels(ax, len(numbers), 4, size)
    part = ("_imaginary" if imaginary else "_real") if solution.values.is_complex() else ""
    for panel, number in zip(axes, numbers, strict=True):
        title = _title(solution, fields, number, field)
        plot_mode(panel, solution, fields, f"{field}_{number}{part}", title)
        if place.dim == 1:
            panel.set_ylabel(f"${symbol(field)}$")
    return returned(axes)


def _numbers(solution: Eigensolution, mode: int | Sequence[int] | None) -> list[int]:
    """Return the numbers of the modes to draw, from 1."""
    if not solution.count:
        raise InputError(f"there is no mode to draw: {solution.status}")
    if mode is None:
        return list(range(1, min(solution.count, 12) + 1))
    numbers = [mode] if isinstance(mode, int) else list(mode)
    valid = [type(number) is int and 1 <= number <= solution.count for number in numbers]
    if not numbers or not all(valid):
        raise InputError(f"mode must be an integer from 1 to {solution.count}, or several of them, "
                         f"got {mode!r}")  # fmt: skip
    return numbers


def _title(solution: Eigensolution, fields: GridFields, number: int, field: str) -> str:
    """Return the eigenvalue, with the field of several and the values of fixed coordinates."""
    title = mode_title(solution, number - 1)
    if len(solution.fields) > 1:
        title = f"${symbol(field)}$, {title}"
    return f"{title}\n{cut_title(fields.fixed)}" if fields.fixed else title


def card(solution: Eigensolution) -> Card:
    """Return the card of an eigenvalue problem's solution."""
    draw = partial(_picture, solution) if solution.count else None
    return card_of(solution, f"Eigenvalues of {type(solution.problem).__name__}", draw)


def _picture(solution: Eigensolution) -> Drawing:
    """Draw the first field of the first mode."""
    place = Place.of(solution.problem.domain)
    fields = modes_on_grid(solution, place.along, SMALL[place.dim], at=place.at)
    ax, field = small_axes(Sheet(fields.axes)), solution.fields[0]
    plot_mode(ax, solution, fields, fields.fields[0], _title(solution, fields, 1, field))
    over = " and ".join(fields.axes)
    return Drawing(ax, f"The first mode, {field} over {over}, with its nodal lines.")
