"""Figures of evolutions: fields over space at some times, components over the time, and phases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection  # type: ignore[import-untyped]
from torch import Tensor

from kanpinn.evolution.function_space import space_of
from kanpinn.geometry import Points
from kanpinn.geometry.times import at_one_time
from kanpinn.pde.evaluate import stack_equations
from kanpinn.plotting.fields import AxisValues, limits_of, map_size, plot_values
from kanpinn.plotting.notation import number_text, symbol
from kanpinn.plotting.outlines import outline_of
from kanpinn.plotting.style import BLACK, BLUE, PALETTE, STYLE, new_figure, tidy
from kanpinn.solvers.regular_grid import GridFields, sampled
from kanpinn.solvers.solution import Solution


def snapshots_figure(solution: Solution) -> Figure:
    """Return a figure of all fields at equidistant times, from the first to the last one.

    Args:
        solution: of a problem with a time and one or two coordinates in space. Over one coordinate
            there are six lines for each field, and dashed ones for the exact solution; over two
            coordinates four maps.
    """
    domain = solution.problem.domain
    count, nodes = (6, 1001) if domain.dim == 2 else (4, 97)
    low, high = (float(corner[-1]) for corner in domain.bounds)
    moments = numpy.linspace(low, high, count)
    grids = [fields_at(solution, moment, nodes) for moment in moments]
    labels = [f"${symbol(domain.names[-1])} = $ {number_text(moment)}" for moment in moments]
    return _lines(grids, labels) if domain.dim == 2 else _maps(solution, grids, labels)


def fields_at(solution: Solution, moment: float, nodes: int) -> GridFields:
    """Return the fields and, if known, the exact ones at one time on a grid in space.

    nodes: of the grid, along each axis.
    """
    problem = solution.problem

    def evaluate(places: Points) -> Mapping[str, Tensor]:
        points = at_one_time(places, moment, problem.domain.names[-1])
        found = dict(zip(problem.fields, solution(points).double().cpu().unbind(1), strict=True))
        if problem.exact is not None:
            exact = stack_equations(problem.exact(points), len(points), "exact")
            both = zip(problem.fields, exact.unbind(1), strict=True)
            found |= {f"exact {name}": column for name, column in both}
        return found

    return sampled(space_of(problem.domain), evaluate, tuple(problem.fields), nodes=nodes)


def _lines(grids: list[GridFields], labels: list[str]) -> Figure:
    fields = grids[0].fields
    columns = min(len(fields), 3)
    rows = -(-len(fields) // columns)
    figure = new_figure(3.8 * columns + 1.2, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for ax, field in zip(panels, fields, strict=False):
        exact = f"exact {field}"
        drawn = [(label, grid.values[field]) for label, grid in zip(labels, grids, strict=True)]
        known = [grid.values[exact] for grid in grids if exact in grid.values]
        plot_moments(ax, grids[0].axes, drawn, {"exact": known})
        ax.set_ylabel(f"${symbol(field)}$")
    for ax in list(panels):
        ax.set_axis_off()
    _legend(figure, figure.axes[0])
    return figure


def plot_moments(
    ax: Axes,
    axes: AxisValues,
    drawn: Sequence[tuple[str, numpy.ndarray]],
    known: Mapping[str, Sequence[numpy.ndarray]],
) -> Axes:
    """Plot a function of one coordinate at several times, from dark to light.

    Args:
        ax: the axes to draw in.
        axes: the values (n,) of the coordinate, by its name.
        drawn: the text for the legend and the values (n,) of each time.
        known: values (n,) to compare with, drawn dashed, by their text.

    Returns:
        The axes `ax`.
    """
    ((name, x),) = axes.items()
    colours = colormaps["viridis"](numpy.linspace(0, 0.9, len(drawn)))
    for colour, (label, values) in zip(colours, drawn, strict=True):
        ax.plot(x, values, color=colour, linewidth=1.6, label=label)
    dashed: dict[str, Any] = {"color": BLACK, "linewidth": 0.7, "linestyle": (0, (4, 3))}
    for label, several in known.items():
        for values in several:
            ax.plot(x, values, **dashed, label=label if values is several[0] else "_")
    ax.set(xlabel=f"${symbol(name)}$", xlim=(x[0], x[-1]))
    tidy(ax)
    return ax


def _legend(figure: Figure, ax: Axes) -> None:
    """Name each kind of line once, beside the panels."""
    handles, names = ax.get_legend_handles_labels()
    once = dict(zip(names, handles, strict=True))
    figure.legend(
        once.values(), once.keys(), loc="outside right center", fontsize=STYLE.small, frameon=False
    )


def _maps(solution: Solution, grids: list[GridFields], labels: list[str]) -> Figure:
    """A row of maps for each field, or a column if they are flat, with one colour scale each."""
    space, fields = space_of(solution.problem.domain), grids[0].fields
    outline = None if space.is_box else outline_of(space, grids[0])
    shape = len(fields), len(grids)
    width, height = map_size(grids[0].axes, None)
    flat = width > 3 * height
    rows, columns = shape[::-1] if flat else shape
    figure = new_figure(columns * width, rows * height)
    panels = figure.subplots(rows, columns, squeeze=False)
    for row, field in zip(panels.T if flat else panels, fields, strict=True):
        limits = limits_of(*(grid.values[field] for grid in grids))
        for ax, grid, label in zip(row, grids, labels, strict=True):
            title = f"${symbol(field)}$ at {label}"
            plot_values(ax, grid.axes, grid.values[field], limits, title, outline=outline)
    return figure


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a solution that depends on the time alone.

    Args:
        name: the name of the time.
        times: ascending, (n,).
        values: of each component, (n,), by its name.
        exact: the exact ones; empty if they are not known.
        logarithmic: whether the time covers many orders of magnitude.
    """

    name: str
    times: numpy.ndarray
    values: Mapping[str, numpy.ndarray]
    exact: Mapping[str, numpy.ndarray]
    logarithmic: bool

    @classmethod
    def of(cls, solution: Solution) -> "Components":
        """Evaluate a solution of time alone, at some moments of each window if it has windows."""
        problem, pieces = solution.problem, solution.network.pieces
        low, high = (float(corner[0]) for corner in problem.domain.bounds)
        shares = torch.linspace(0, 1, 401, dtype=torch.float64)
        if pieces is not None:
            ends = pieces[:, :, 0].double()
            inside = torch.linspace(0, 1, max(5, 2000 // len(ends)), dtype=torch.float64)
            shares = (ends[:, :1] + inside * (ends[:, 1:] - ends[:, :1])).flatten().unique()
        early = 1e-4  # a first part of this size of the whole would not be seen
        logarithmic = low == 0 and bool(shares[shares > 0].min() < early / 20)
        points = Points(low + shares[:, None] * (high - low), problem.domain.names)
        values = dict(zip(problem.fields, solution(points).double().cpu().T.numpy(), strict=True))
        exact = {}
        if problem.exact is not None:
            columns = stack_equations(problem.exact(points), len(points), "exact").T.numpy()
            exact = dict(zip(problem.fields, columns, strict=True))
        times = points.coords[:, 0].numpy()
        return cls(problem.domain.names[0], times, values, exact, logarithmic)

    @property
    def norm(self) -> Normalize:
        """The scale of colours for the time."""
        if self.logarithmic:
            return LogNorm(self.times[1], self.times[-1])
        return Normalize(self.times[0], self.times[-1])


def components_figure(found: Components) -> Figure:
    """Return a figure of all components over the time.

    Those that differ much in size have a panel each.
    """
    sizes = [numpy.abs(one).max() for one in found.values.values()]
    together = max(sizes) <= 20 * min(sizes)
    rows = 1 if together else len(sizes)
    figure = new_figure(6.4, 3.0 if together else 0.6 + 1.6 * rows)
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for number, (name, values) in enumerate(found.values.items()):
        ax, colour = panels[number % rows], PALETTE[number % len(PALETTE)]
        ax.plot(found.times, values, color=colour, linewidth=1.5, label=f"${symbol(name)}$")
        if name in found.exact:
            thin = {"color": BLACK, "linewidth": 0.7, "linestyle": (0, (4, 3))}
            ax.plot(found.times, found.exact[name], **thin, label="exact")
        ax.set_ylabel("" if together else f"${symbol(name)}$")
        ax.yaxis.get_offset_text().set_fontsize(STYLE.small)
        tidy(ax)
    if together:
        _legend(figure, panels[0])
    if found.logarithmic:
        panels[-1].set_xscale("log")
    start = found.times[1] if found.logarithmic else found.times[0]
    panels[-1].set(xlabel=f"${symbol(found.name)}$", xlim=(start, found.times[-1]))
    return figure


def phase_figure(found: Components) -> Figure:
    """Return a figure of the path of two or three components, coloured by the time."""
    names, values = list(found.values), list(found.values.values())
    deep = len(names) == 3
    figure = new_figure(5.2, 4.2)
    ax = figure.add_subplot(projection="3d" if deep else None)
    path = numpy.stack(values, axis=1)
    pairs = numpy.stack([path[:-1], path[1:]], axis=1)
    kind = Line3DCollection if deep else LineCollection
    lines = kind(list(pairs), cmap="viridis", norm=found.norm, linewidth=1.2)
    lines.set_array((found.times[:-1] + found.times[1:]) / 2)
    ax.add_collection(lines)
    limits: dict[str, Any] = {}
    for axis, name, one in zip("xyz", names, values, strict=False):
        low, high = limits_of(one)
        margin = 0.04 * (high - low)
        limits |= {f"{axis}lim": (low - margin, high + margin), f"{axis}label": f"${symbol(name)}$"}
    ax.set(**limits)
    ax.plot(*path[:1].T, "o", color=BLUE, markersize=5, label="start")
    ax.legend(fontsize=STYLE.small, frameon=False)
    bar = figure.colorbar(lines, ax=ax, pad=0.12 if deep else 0.02)
    bar.set_label(f"${symbol(found.name)}$", rotation=0)
    bar.ax.tick_params(labelsize=STYLE.small)
    ax.tick_params(labelsize=STYLE.small)
    return figure
