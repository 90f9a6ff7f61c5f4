"""The figures of a run, as files."""

from pathlib import Path

import numpy
from matplotlib.figure import Figure

from kanpinn.fields import KNOWN, GridFields, on_grid
from kanpinn.plotting.edges import Edge, edges_of, plot_edge
from kanpinn.plotting.history import plot_history
from kanpinn.plotting.panels import (
    limits_of,
    plot_lines,
    plot_magnitude,
    plot_magnitude_line,
    plot_values,
)
from kanpinn.plotting.style import new_figure, save
from kanpinn.solution import Solution

MAX_EDGES = 60  # in all; a larger network shows the first of each layer
EDGES_PER_LAYER = 12
COLUMNS = 6
PANEL = 3.0  # inches, the longer side of a map


def draw_figures(solution: Solution, folder: Path, fields: GridFields | None = None) -> list[Path]:
    """Draw solution.png (solution_u.png, … for systems), history.png and, for KANs, edges.png.

    Args:
        solution: of a problem in any dimension; above two it is cut through the centre.
        folder: where the files go; it is made.
        fields: the solution on a grid where it is known already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = solution.problem.domain.names
    if fields is None or len(fields.axes) != min(2, len(names)):
        fields = on_grid(solution, names[:2])
    paths = []
    for field in fields.fields:
        name = f"solution_{field}" if len(fields.fields) > 1 else "solution"
        paths.append(save(solution_figure(fields, field), folder / f"{name}.png"))
    if len(solution.history):
        paths.append(save(history_figure(solution), folder / "history.png"))
    edges = edges_of(solution)
    if any(edges):
        paths.append(save(edges_figure(edges), folder / "edges.png"))
    return paths


def solution_figure(fields: GridFields, field: str) -> Figure:
    """Solution, exact solution, error and residuals of one field as panels."""
    if len(fields.axes) == 1:
        return _line_figure(fields, field)
    of = fields.of(field)
    shown = [name for name in ("solution", *KNOWN) if name in of]
    shared = limits_of(*(of[name] for name in shown))
    count = len(of) + len(fields.residuals)
    columns = 2 if count in (2, 4) else min(count, 3)
    rows = -(-count // columns)
    width, height = _panel_size(fields)
    figure = new_figure(columns * (width + 1.35), rows * (height + 0.75))
    panels = iter(figure.subplots(rows, columns, squeeze=False).flat)
    for name in shown:
        label = f"${field}$" if name == "solution" else f"{name} ${field}$"
        plot_values(next(panels), fields.axes, of[name], shared, label)
    if "error" in of:
        title = f"|error of ${field}$|"
        plot_magnitude(next(panels), fields.axes, of["error"], title)
    for name, values in fields.residuals.items():
        plot_magnitude(next(panels), fields.axes, values, f"|{_residual_title(name)}|")
    for unused in panels:
        unused.set_axis_off()
    if fields.fixed:
        cut = ", ".join(f"{name} = {value:g}" for name, value in fields.fixed.items())
        figure.suptitle(f"cut at {cut}" if len(cut) < 70 else "cut through the centre", fontsize=10)
    return figure


def _panel_size(fields: GridFields) -> tuple[float, float]:
    """Inches of a map in the domain's own proportions, where they are not extreme."""
    x, y = fields.axes.values()
    ratio = float((y[-1] - y[0]) / (x[-1] - x[0]))
    ratio = ratio if 1 / 3 <= ratio <= 3 else 0.8
    return PANEL / max(ratio, 1), PANEL * min(ratio, 1)


def _line_figure(fields: GridFields, field: str) -> Figure:
    of = fields.of(field)
    ((name, x),) = fields.axes.items()
    count = 1 + ("error" in of) + len(fields.residuals)
    figure = new_figure(3.8 * count, 3.0)
    panels = iter(figure.subplots(1, count, squeeze=False).flat)
    lines: dict[str, numpy.ndarray] = {k: of[k] for k in ("solution", *KNOWN) if k in of}
    plot_lines(next(panels), name, x, lines, f"${field}$")
    if "error" in of:
        plot_magnitude_line(next(panels), name, x, of["error"], f"|error of ${field}$|")
    for key, values in fields.residuals.items():
        plot_magnitude_line(next(panels), name, x, values, f"|{_residual_title(key)}|")
    return figure


def _residual_title(name: str) -> str:
    return name if name == "residual" else f"residual {int(name.removeprefix('residual_')) + 1}"


def history_figure(solution: Solution) -> Figure:
    """Loss and errors against steps and against seconds."""
    titles = tuple(optimizer.title for optimizer in solution.optimizers)
    figure = new_figure(9.0, 3.6)
    left, right = figure.subplots(1, 2, sharey=True)
    plot_history(left, solution.history, titles, "step")
    plot_history(right, solution.history, titles, "seconds")
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="outside upper center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    return figure


def edges_figure(layers: list[list[Edge]]) -> Figure:
    """The edge functions, all of a small network, the first ones of each layer of a larger one."""
    total = sum(len(edges) for edges in layers)
    most = total if total <= MAX_EDGES else EDGES_PER_LAYER
    shown = [edges[:most] for edges in layers]
    columns = min(COLUMNS, max(len(edges) for edges in shown))
    rows = sum(-(-len(edges) // columns) for edges in shown)
    width, height = max(4.5, 1.7 * columns), 1.4 * rows + 0.45
    figure = new_figure(width, height, layout=None)  # the sizes are known: no layout to solve
    grid = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": 0.5 / width,
            "right": 1 - 0.1 / width,
            "bottom": 0.25 / height,
            "top": 1 - 0.55 / height,
            "wspace": 0.36,
            "hspace": 0.42,
        },
    )
    row = 0
    for edges in shown:
        for place in range(-(-len(edges) // columns) * columns):
            ax = grid[row + place // columns, place % columns]
            if place < len(edges):
                plot_edge(ax, edges[place])
            else:
                ax.set_axis_off()
        row += -(-len(edges) // columns)
    figure.text(
        0.5, 1 - 0.12 / height, _edges_title(total, most, layers), ha="center", va="top", fontsize=9
    )
    return figure


def _edges_title(total: int, most: int, layers: list[list[Edge]]) -> str:
    what = "edge functions on their grids, activations shaded"
    if most == total:
        return what
    counts = ", ".join(f"{min(most, len(e))} of {len(e)}" for e in layers if e)
    return f"{what}; of each layer the first: {counts}"
