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
from kanpinn.plotting.fields import map_size, outline_of, plot_lines, plot_values
from kanpinn.plotting.style import BLACK, GREY, cut_title, new_figure, save, symbol
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
    folder.mkdir(parents=True, exist_ok=True)
    if not solution.count:
        return []
    return [save(modes_figure(solution, fields), folder / "modes.png")]


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
    if head := _head(solution, fields, len(shown)):
        figure.suptitle(head, fontsize=10)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for index, (ax, name) in enumerate(zip(axes, shown, strict=False)):
        plot_mode(ax, solution, fields, name, mode_title(solution, index))
        _share_labels(ax, index % columns == 0, index + columns >= len(shown))
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    return figure


def _head(solution: Eigensolution, fields: GridFields, shown: int) -> str:
    """Return the figure's title: the modes, field and parts shown, and the fixed coordinates."""
    parts = [f"{shown} of {solution.count} modes"] if shown < solution.count else []
    if len(solution.fields) > 1:
        parts.append(f"field ${symbol(solution.fields[0])}$ of {len(solution.fields)}")
    if solution.values.is_complex():
        parts.append("real parts")
    if fields.fixed:
        parts.append(cut_title(fields.fixed))
    return ", ".join(parts)


def _share_labels(ax: Axes, first: bool, last: bool) -> None:
    """Keep the axis labels only at the first panel of a row and at the last of a column."""
    if not first:
        ax.set_ylabel("")
    if not last:
        ax.set_xlabel("")


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
    domain = solution.problem.domain
    outline = None if domain.is_box else outline_of(domain, fields)
    plot_values(ax, fields.axes, values, (-bound, bound), title, diverging=True, outline=outline)
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
    numbers, field = _numbers(solution, mode), _field(solution, field)
    if imaginary and not solution.values.is_complex():
        raise InputError("imaginary is for complex modes: all modes of this problem are real")
    place = Place.of(solution.problem.domain, along, None, at)
    fields = modes_on_grid(solution, place.along, nodes, at=place.at)
    size = map_size(fields.axes, None, 2.4, 3.2) if place.dim == 2 else (4.0, 2.7)
    axes = panels(ax, len(numbers), 4, size)
    part = ("_imaginary" if imaginary else "_real") if solution.values.is_complex() else ""
    for one, number in zip(axes, numbers, strict=True):
        title = _title(solution, fields, number, field)
        plot_mode(one, solution, fields, f"{field}_{number}{part}", title)
        if place.dim == 1:
            one.set_ylabel(f"${symbol(field)}$")
    return returned(axes)


def _numbers(solution: Eigensolution, mode: int | Sequence[int] | None) -> list[int]:
    """Return the numbers of the modes to draw, from 1."""
    if not solution.count:
        raise InputError(f"there is no mode to draw: {solution.status}")
    if mode is None:
        return list(range(1, min(solution.count, 12) + 1))
    numbers = [mode] if isinstance(mode, int) else list(mode)
    known = [type(one) is int and 1 <= one <= solution.count for one in numbers]
    if not numbers or not all(known):
        raise InputError(f"mode must be an integer from 1 to {solution.count}, or several of them, "
                         f"got {mode!r}")  # fmt: skip
    return numbers


def _field(solution: Eigensolution, field: str | None) -> str:
    if field is None:
        return solution.fields[0]
    one_of("field", field, solution.fields)
    return field


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
    ax, field = small_axes(fields.axes), solution.fields[0]
    plot_mode(ax, solution, fields, fields.fields[0], _title(solution, fields, 1, field))
    over = " and ".join(fields.axes)
    return Drawing(ax, f"The first mode, {field} over {over}, with its nodal lines.")
