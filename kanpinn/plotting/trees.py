"""Figures of the cells of a solution by a network in cells."""

import numpy
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from kanpinn.cells.cells import require_cells
from kanpinn.plotting.fields import limits_of, plot_values, shape_of
from kanpinn.plotting.notation import symbol
from kanpinn.plotting.style import GREY, STYLE, new_figure
from kanpinn.solvers.regular_grid import GridFields
from kanpinn.solvers.solution import Solution


def cells_figure(
    solution: Solution, fields: GridFields, outline: Path | None = None, time: str | None = None
) -> Figure:
    """Return a figure of the first field with the cells, and of the levels of the cells.

    Args:
        solution: a solution by a network in cells of the plane.
        fields: the solution on a grid.
        outline: the domain's boundary, which clips the cells.
        time: the name of the time coordinate, if there is one.
    """
    network = require_cells(solution.network)
    shape = shape_of(fields.axes, time) or 0.8
    figure = new_figure(9.0, min(3.9, 3.6 * shape + 0.75))
    left, right = figure.subplots(1, 2)
    name, values = fields.fields[0], fields.values[fields.fields[0]]
    title = f"${symbol(name)}$ in {network.count} cells of degree {network.degree}"
    plot_values(left, fields.axes, values, limits_of(values), title, outline=outline, time=time)
    low, high = (corner.cpu().numpy() for corner in solution.problem.domain.bounds)
    boxes = low + network.pieces.cpu().numpy() * (high - low)
    _drawn(left, boxes, outline, "none", "white")
    level = network.tree.undivided.level.amax(dim=1).numpy()
    _plot_levels(right, boxes, level, outline)
    right.set(xlim=left.get_xlim(), ylim=left.get_ylim(), aspect=left.get_aspect())
    right.xaxis.set_major_locator(MaxNLocator(5, steps=STYLE.round))
    right.yaxis.set_major_locator(MaxNLocator(5, steps=STYLE.round))
    right.set(xlabel=left.get_xlabel(), ylabel=left.get_ylabel())
    return figure


def _plot_levels(
    ax: Axes, boxes: numpy.ndarray, level: numpy.ndarray, outline: Path | None
) -> None:
    """Plot boxes in the colours of their levels, with a colour bar if there are several.

    Args:
        ax: the axes to draw in.
        boxes: the lower and upper corners of the boxes, (N, 2, 2).
        level: how often a box of the first tree was halved to get each of them, in the coordinate
            in which it was halved most, (N,).
        outline: clips the boxes.
    """
    least, top = int(level.min()), int(level.max())
    drawn = _drawn(ax, boxes, outline, "white", GREY)
    colours = ListedColormap(colormaps["Blues"](numpy.linspace(0.05, 0.8, top - least + 1)))
    bounds = numpy.arange(least - 0.5, top + 1.5)
    drawn.set(array=level, cmap=colours, norm=BoundaryNorm(bounds, colours.N))
    ax.tick_params(labelsize=STYLE.small)
    if top == least:
        ax.set_title(f"all cells have level {top}", fontsize=10)
        return
    ax.set_title("levels of the cells", fontsize=10)
    place = ax.inset_axes((1.03, 0.0, 0.04, 1.0))
    ticks = range(least, top + 1, 1 + (top - least) // 12)
    bar = ax.figure.colorbar(drawn, cax=place, ticks=ticks)
    bar.ax.tick_params(labelsize=STYLE.small, length=0)
    bar.minorticks_off()
    bar.outline.set_visible(False)


def _drawn(
    ax: Axes, boxes: numpy.ndarray, outline: Path | None, faces: str, edges: str
) -> PolyCollection:
    """Draw boxes with faces and edges in two colours; the edges of many small ones are thin."""
    (x0, y0), (x1, y1) = boxes[:, 0].T, boxes[:, 1].T
    corners = numpy.stack([x0, y0, x1, y0, x1, y1, x0, y1], axis=1).reshape(-1, 4, 2)
    width = float(numpy.clip(6 / len(boxes) ** 0.5, 0.12, 0.5))
    found = PolyCollection(list(corners), facecolor=faces, edgecolor=edges, linewidth=width)
    ax.add_collection(found)
    if outline is not None:
        found.set_clip_path(outline, ax.transData)
    return found
