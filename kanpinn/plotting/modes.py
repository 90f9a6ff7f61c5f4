"""The figure of eigenmodes, their card, and `Eigensolution.plot`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import maximum_filter, uniform_filter

from kanpinn._support.errors import InputError, one_of
from kanpinn.plotting import style
from kanpinn.plotting.card import SMALL, Card, Drawing, Place, card_of, small_axes
from kanpinn.plotting.fields import Sheet, plot_lines, plot_values
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.grid_fields import GridFields, modes_on_grid, plane_of


def figures(
    solution: Eigensolution, fields: GridFields | None = None
) -> Iterator[tuple[str, Figure]]:
    """Yield the name "modes" and a figure: the first field of up to twelve modes, with nodal lines.

    The title of a panel is the eigenvalue. Above two dimensions, modes are drawn on the same cut as
    solutions, see `plane_of`. Of complex modes, the real parts are drawn. Without modes there is no
    figure.
    """
    if not solution.count:
        return
    names, figure = plane_of(solution.problem.domain), style.new_figure(1, 1)
    figure.set_layout_engine("constrained", w_pad=0.2, h_pad=0.06)
    if fields is None or tuple(fields.axes) != names:
        fields = modes_on_grid(solution, names)
    numbers = _numbers(solution, None)
    head = [f"{len(numbers)} of {solution.count} modes"] if len(numbers) < solution.count else []
    if solution.values.is_complex():
        head.append("real parts")
    if head:
        figure.suptitle(", ".join(head), fontsize=10)
    _draw(style.panels(figure, len(numbers), 4, (3.3, 2.9)), solution, fields, numbers)
    yield "modes", figure


def _draw(
    axes: numpy.ndarray,
    solution: Eigensolution,
    fields: GridFields,
    numbers: Sequence[int],
    field: str = "",
    imaginary: bool = False,
) -> None:
    """Draw one mode in each panel.

    Args:
        axes: the panels, (k,).
        solution: the modes.
        fields: the modes on a grid.
        numbers: the numbers of the k modes, from 1.
        field: the field to draw; "" for the first field.
        imaginary: whether the imaginary part of complex modes is drawn, not the real part.
    """
    field = field or solution.fields[0]
    part = ("_imaginary" if imaginary else "_real") if solution.values.is_complex() else ""
    for ax, number in zip(axes, numbers, strict=True):
        value = complex(solution.values[number - 1])
        text = f"{value.real:.10g}" if abs(value) > 1e-10 else "0"
        if value.imag:
            text = f"{value.real:.5g} {'+-'[value.imag < 0]} {abs(value.imag):.5g}i"
        title = rf"$\lambda_{{{number}}}$ = {text}"
        if len(solution.fields) > 1:
            title = f"${style.symbol(field)}$, {title}"
        if fields.fixed:
            title += f"\n{style.cut_title(fields.fixed)}"
        plot_mode(ax, solution, fields, f"{field}_{number}{part}", title)
        if len(fields.axes) == 1:
            ax.set_ylabel(f"${style.symbol(field)}$")


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
        ax.axhline(0, color=style.GREY, linewidth=0.6)
        ax.set_title(title, fontsize=10)
        return ax
    bound = float(numpy.nanmax(numpy.abs(values))) or 1.0
    sheet = Sheet.of(solution.problem.domain, fields)
    plot_values(ax, sheet, values, (-bound, bound), title, diverging=True)
    x, y = fields.axes.values()
    inside, tiny = values[numpy.isfinite(values)], 1e-6 * bound
    if inside.min() < -tiny and inside.max() > tiny:
        # Where a mode has decayed, its values are errors, whose zeros are no nodal lines.
        known = numpy.nan_to_num(values)
        nearby = maximum_filter(numpy.abs(known), size=3)
        # So are values on walls where the mode vanishes: there the sign is that of the neighbours.
        signed = numpy.where(numpy.abs(values) < 0.01 * nearby, uniform_filter(known, 3), values)
        seen = numpy.where(nearby > tiny, signed, numpy.nan)
        ax.contour(x, y, seen.T, levels=[0.0], colors=style.BLACK, linewidths=0.8)
    return ax


def plot(
    solution: Eigensolution,
    mode: int | Sequence[int] | None = None,
    field: str | None = None,
    *,
    imaginary: bool = False,
    along: str | Sequence[str] | None = None,
    at: Mapping[str, float | int] | None = None,
    nodes: int | None = None,
    ax: style.Given = None,
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
    axes = style.panels(ax, len(numbers), 4, size)
    _draw(axes, solution, fields, numbers, field, imaginary)
    return style.returned(axes)


def _numbers(solution: Eigensolution, mode: int | Sequence[int] | None) -> list[int]:
    """Return the numbers of the modes to draw, from 1.

    Args:
        solution: the modes.
        mode: the number or the numbers of modes; None for the first twelve modes.

    Raises:
        InputError: if there is no mode, or a number is not from 1 to the number of modes.
    """
    if not solution.count:
        raise InputError(f"there is no mode to draw: {solution.status}")
    if mode is None:
        return list(range(1, min(solution.count, 12) + 1))
    numbers = [mode] if isinstance(mode, int) else list(mode)
    valid = [type(number) is int and 1 <= number <= solution.count for number in numbers]
    if not numbers or not all(valid):
        expected = f"an integer from 1 to {solution.count}, or several of them"
        raise InputError(f"mode must be {expected}, got {mode!r}")
    return numbers


def card(solution: Eigensolution) -> Card:
    """Return the card that notebooks show for the solution of an eigenvalue problem."""
    draw = partial(_picture, solution) if solution.count else None
    return card_of(solution, f"Eigenvalues of {type(solution.problem).__name__}", draw)


def _picture(solution: Eigensolution) -> Drawing:
    """Draw the first field of the first mode."""
    place = Place.of(solution.problem.domain)
    fields = modes_on_grid(solution, place.along, SMALL[place.dim], at=place.at)
    ax = small_axes(Sheet(fields.axes))
    _draw(numpy.array([ax]), solution, fields, [1])
    over = f"{solution.fields[0]} over {' and '.join(fields.axes)}"
    return Drawing(ax, f"The first mode, {over}, with its nodal lines.")
