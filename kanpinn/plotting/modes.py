"""The modes of an eigenvalue problem, a panel for each, as a file."""

from pathlib import Path

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn.plotting.lines import plot_lines
from kanpinn.plotting.outlines import outline_of
from kanpinn.plotting.panels import plot_values
from kanpinn.plotting.style import BLACK, GREY, new_figure, save
from kanpinn.plotting.symbols import cut_title, symbol
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.grid_fields import GridFields, modes_on_grid, plane_of

COLUMNS, MOST = 4, 12  # panels in a row, and in all
WIDE, HIGH = 3.3, 2.9  # inches of a panel
PAD = 0.12  # inches around one, beside what its colour bar and labels take
DIGITS = 10  # of an eigenvalue


def draw_modes(
    solution: Eigensolution, folder: Path, fields: GridFields | None = None
) -> list[Path]:
    """Draw modes.png: the first field of the first dozen modes, with nodal lines.

    Above two dimensions they are cut as solutions are. Of complex modes it is the real part.

    Args:
        folder: where the file goes; it is made.
        fields: the modes on a grid where they are known already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not solution.count:
        return []
    return [save(modes_figure(solution, fields), folder / "modes.png")]


def modes_figure(solution: Eigensolution, fields: GridFields | None = None) -> Figure:
    """A panel for each mode, its eigenvalue above."""
    names = plane_of(solution.problem.domain)
    if fields is None or tuple(fields.axes) != names:
        fields = modes_on_grid(solution, names)
    shown = fields.fields[:: len(fields.fields) // solution.count][:MOST]
    columns = min(len(shown), COLUMNS)
    rows = -(-len(shown) // columns)
    figure = new_figure(columns * WIDE, rows * HIGH)
    figure.set_layout_engine("constrained", w_pad=PAD, h_pad=PAD / 2)
    if head := _head(solution, fields, len(shown)):
        figure.suptitle(head, fontsize=10)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for index, (ax, name) in enumerate(zip(axes, shown, strict=False)):
        _panel(ax, solution, fields, name, _title(solution, index))
        _share_labels(ax, index % columns == 0, index + columns >= len(shown))
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    return figure


def _head(solution: Eigensolution, fields: GridFields, shown: int) -> str:
    """What is left out: other modes, other fields, imaginary parts, other coordinates."""
    parts = [f"{shown} of {solution.count} modes"] if shown < solution.count else []
    if len(solution.fields) > 1:
        parts.append(f"field ${symbol(solution.fields[0])}$ of {len(solution.fields)}")
    if solution.values.is_complex():
        parts.append("real parts")
    if fields.fixed:
        parts.append(cut_title(fields.fixed))
    return ", ".join(parts)


def _share_labels(ax: Axes, first: bool, last: bool) -> None:
    """Names of coordinates stand at the first of a row and the last of a column alone."""
    if not first:
        ax.set_ylabel("")
    if not last:
        ax.set_xlabel("")


def _panel(ax: Axes, solution: Eigensolution, fields: GridFields, name: str, title: str) -> None:
    values = fields.values[name]
    if len(fields.axes) == 1:
        ((coordinate, x),) = fields.axes.items()
        plot_lines(ax, coordinate, x, {name: values}, "")
        ax.axhline(0, color=GREY, linewidth=0.6)
        ax.set_title(title, fontsize=10)
        return
    bound = float(numpy.nanmax(numpy.abs(values))) or 1.0
    outline = outline_of(solution.problem.domain, fields)
    plot_values(ax, fields.axes, values, (-bound, bound), title, diverging=True, outline=outline)
    x, y = fields.axes.values()
    inside = values[numpy.isfinite(values)]
    if inside.min() < -1e-6 * bound and inside.max() > 1e-6 * bound:
        ax.contour(x, y, values.T, levels=[0.0], colors=BLACK, linewidths=0.8)


def _title(solution: Eigensolution, index: int) -> str:
    """λ_1 = 5.783185963, digits that are rounding left out."""
    value = complex(solution.values[index])
    text = f"{value.real:.{DIGITS}g}" if abs(value) > 1e-10 else "0"
    if value.imag:
        text = f"{value.real:.5g} {'+-'[value.imag < 0]} {abs(value.imag):.5g}i"
    return rf"$\lambda_{{{index + 1}}}$ = {text}"
