"""Pictures of fields on a grid: lines, maps, streamlines, cells, and outlines of domains."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import LogLocator, MaxNLocator

from kanpinn.geometry import Curve, Domain, Planar, Product, Segment
from kanpinn.plotting.style import (
    BLACK,
    BLUE,
    GREY,
    STYLE,
    VERMILLION,
    cut_title,
    new_figure,
    symbol,
    tidy,
)
from kanpinn.solvers.grid_fields import KNOWN, GridFields
from kanpinn.solvers.solution import Solution
from kanpinn.spaces.cells.cells import require_cells


def outline_of(domain: Domain, fields: GridFields) -> Path | None:
    """Return the boundary in the plane of the fields' two axes; None if figures need no clipping.

    The result is None if the section's boundary does not cross the grid, as for a box. The path is
    exact for planar domains, and for planar domains over time. Other sections are traced on the
    grid: the vertices of the path lie where the boundary crosses grid lines.

    Args:
        domain: the domain of the problem.
        fields: the fields on a grid of two axes; other coordinates are fixed.
    """
    space = domain.space if isinstance(domain, Product) else domain
    if isinstance(space, Planar) and space.names == tuple(fields.axes):
        return _closed_path([c for c in space.boundary.pieces if isinstance(c, Curve)])
    return _Section(domain, fields).path()


def _closed_path(curves: list[Curve]) -> Path:
    """Join curves to closed loops; holes run clockwise, against outer loops, and are not filled."""
    rest, loops = list(curves), []
    while rest:
        chain = [rest.pop(0)]
        while (number := _next(chain, rest)) is not None:
            chain.append(rest.pop(number))
        vertices = numpy.concatenate([_samples(curve) for curve in chain])
        loops.append(Path(numpy.concatenate([vertices, vertices[:1]]), closed=True))
    return Path.make_compound_path(*loops)


def _next(chain: list[Curve], rest: list[Curve]) -> int | None:
    """Return the index of the curve that starts at the chain's end; None if the chain is closed."""
    end = chain[-1].stop
    gaps = [math.dist(end, curve.start) for curve in rest]
    closing = math.dist(end, chain[0].start)
    return None if closing <= min(gaps, default=math.inf) else gaps.index(min(gaps))


def _samples(curve: Curve) -> numpy.ndarray:
    """Return points (n, 2) of a curve, with its start and without its end."""
    count = 1 if isinstance(curve, Segment) else 256
    return curve.at(torch.arange(count, dtype=torch.float64) / count).numpy()


class _Section:
    """A plane section of a domain, whose points are given by fractional grid indices, (n, 2)."""

    def __init__(self, domain: Domain, fields: GridFields) -> None:
        self.domain, self.fields = domain, fields
        low, high = domain.bounds
        self.tolerance = 1e-12 * float((high - low).max())

    def path(self) -> Path | None:
        shape = [len(axis) for axis in self.fields.axes.values()]
        nodes = numpy.stack(numpy.meshgrid(*map(numpy.arange, shape), indexing="ij"), axis=-1)
        inside = self.contains(nodes.reshape(-1, 2)).reshape(shape)
        if inside.all() or not inside.any():
            return None
        # Matplotlib traces the contour halfway between nodes inside and outside the domain.
        marked = Figure().subplots().contourf(inside.T.astype(float), levels=[0.5, 1.5])
        (path,) = marked.get_paths()
        return Path(self.place(self._crossings(numpy.asarray(path.vertices))), path.codes)

    def contains(self, indices: numpy.ndarray) -> numpy.ndarray:
        places = dict(zip(self.fields.axes, self.place(indices).T, strict=True))
        columns = [
            places[name] if name in places else numpy.full(len(indices), self.fields.fixed[name])
            for name in self.domain.names
        ]
        coords = torch.from_numpy(numpy.stack(columns, axis=1))
        return self.domain.contains(coords, tolerance=self.tolerance).numpy()

    def place(self, indices: numpy.ndarray) -> numpy.ndarray:
        axes = self.fields.axes.values()
        columns = [a[0] + i * (a[1] - a[0]) for a, i in zip(axes, indices.T, strict=True)]
        return numpy.stack(columns, axis=1)

    def _crossings(self, halfway: numpy.ndarray) -> numpy.ndarray:
        """Return where grid edges cross the boundary, found by bisection, (n, 2).

        halfway: the midpoints of the grid edges, (n, 2).
        """
        low, high = numpy.floor(halfway), numpy.ceil(halfway)
        first = self.contains(low)[:, None]
        within, without = numpy.where(first, low, high), numpy.where(first, high, low)
        for _ in range(30):
            middle = (within + without) / 2
            inside = self.contains(middle)[:, None]
            within = numpy.where(inside, middle, within)
            without = numpy.where(inside, without, middle)
        return within


AxisValues = Mapping[str, numpy.ndarray]


@dataclass(frozen=True)
class Magnitudes:
    """The ends of a logarithmic scale; `beyond` is True if values lie above its upper end."""

    low: float
    high: float
    beyond: bool


def plot_values(
    ax: Axes,
    axes: AxisValues,
    values: numpy.ndarray,
    limits: tuple[float, float],
    title: str,
    *,
    diverging: bool | None = None,
    outline: Path | None = None,
    time: str | None = None,
) -> Axes:
    """Plot a field over two coordinates, with a colour bar.

    Args:
        ax: the axes to draw in.
        axes: the grid points of two coordinates by name, (n,) and (m,).
        values: the field on the grid, (n, m); NaN outside the domain.
        limits: the values of the lowest and of the highest colour.
        title: the title above the axes.
        diverging: whether the colours are white at zero; by default if the limits have both signs.
        outline: the domain's boundary, which clips the map and is drawn as a line.
        time: the name of the time coordinate; a map over it does not have equal scales on both
            axes.

    Returns:
        The axes `ax`.
    """
    low, high = limits
    bound = max(-low, high)
    if two_signed(limits) if diverging is None else diverging:
        norm, colours = Normalize(-bound, bound), "RdBu_r"
    else:
        norm, colours = Normalize(low, high), "viridis"
    _map(ax, axes, values, norm, colours, title, outline, time)
    return ax


def plot_magnitude(
    ax: Axes,
    axes: AxisValues,
    values: numpy.ndarray,
    title: str,
    *,
    outline: Path | None = None,
    time: str | None = None,
) -> Axes:
    """Plot the absolute value of a field on a logarithmic scale.

    Over one coordinate it is a line. Over two it is a map with a colour bar; an arrow on the bar
    means that a few values lie above the scale. The arguments are as in `plot_values`; the title of
    a line is the label of the vertical axis.
    """
    size = numpy.abs(values)
    shown = magnitudes_of(size)
    if len(axes) == 1:
        ((name, x),) = axes.items()
        plot_lines(ax, name, x, {title: size}, title)
        if shown is not None:
            ax.set_yscale("log")
            ax.set_ylim(shown.low / 3, shown.high * 3)
    elif shown is None:
        _map(ax, axes, size, Normalize(0, 1), "magma", title, outline, time)
    else:
        size = numpy.maximum(size, shown.low)  # a value of 0 would be left blank
        norm = LogNorm(shown.low, shown.high)
        bar = _map(ax, axes, size, norm, "magma", title, outline, time, beyond=shown.beyond)
        bar.ax.yaxis.set_major_locator(LogLocator(numticks=7))
    return ax


def _map(
    ax: Axes,
    axes: AxisValues,
    values: numpy.ndarray,
    norm: Normalize,
    colours: str,
    title: str,
    outline: Path | None,
    time: str | None,
    beyond: bool = False,
) -> Colorbar:
    """Draw the image, its outline, title and axis labels, and return its colour bar.

    beyond: whether the bar has an arrow for values above the scale.
    """
    (name_x, x), (name_y, y) = axes.items()
    shape = shape_of(axes, time)
    half_x, half_y = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2  # the points are centres of pixels
    if outline is not None:
        values = continued(values)
    image = ax.imshow(
        numpy.ma.masked_invalid(values.T),
        norm=norm,
        cmap=colours,
        origin="lower",
        extent=(x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y),
        interpolation="bilinear",
        aspect="auto" if shape is None else "equal",
    )
    if outline is not None:
        image.set_clip_path(outline, ax.transData)
        line = {"edgecolor": BLACK, "linewidth": 0.7, "clip_on": False, "zorder": 3}
        ax.add_patch(PathPatch(outline, fill=False, **line))
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set(linewidth=0.5, color=GREY)
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set(xlabel=f"${symbol(name_x)}$", ylabel=f"${symbol(name_y)}$")
    ax.xaxis.set_major_locator(MaxNLocator(3 if shape and shape > 1.6 else 5, steps=STYLE.round))
    ax.yaxis.set_major_locator(MaxNLocator(3 if shape and shape < 0.6 else 5, steps=STYLE.round))
    ax.tick_params(labelsize=STYLE.small)
    ax.set_title(title, fontsize=10)
    # As an inset of the axes, the colour bar has their height for any aspect ratio.
    place = ax.inset_axes((1.03, 0.0, 0.04, 1.0))
    bar = ax.figure.colorbar(image, cax=place, extend="max" if beyond else "neither")
    bar.ax.tick_params(labelsize=STYLE.small)
    bar.outline.set_visible(False)
    return bar


def plot_lines(
    ax: Axes, name: str, x: numpy.ndarray, lines: Mapping[str, numpy.ndarray], label: str
) -> Axes:
    """Plot up to three fields over one coordinate: the first solid, the others dashed and dotted.

    Args:
        ax: the axes to draw in.
        name: the name of the coordinate.
        x: its grid points, (n,).
        lines: the values of each field, (n,), by the label in the legend.
        label: the label of the vertical axis.

    Returns:
        The axes `ax`.
    """
    styles = [(BLUE, "-", 1.8), (VERMILLION, "--", 1.4), (GREY, ":", 1.4)]
    for (key, values), (colour, style, width) in zip(lines.items(), styles, strict=False):
        ax.plot(x, values, style, color=colour, linewidth=width, label=key)
    if len(lines) > 1:
        ax.legend(fontsize=STYLE.small, frameon=False)
    ax.set(xlabel=f"${symbol(name)}$", ylabel=label, xlim=(x[0], x[-1]))
    return tidy(ax)


def magnitudes_of(size: numpy.ndarray) -> Magnitudes | None:
    """Return a logarithmic scale for absolute values; None if none is finite and positive.

    The scale ends at the largest value, or at the 99.9% quantile if the largest value exceeds ten
    times this quantile, as a residual may at a singular corner. It begins at the 2% quantile, and
    covers one to six decades.
    """
    finite = size[numpy.isfinite(size) & (size > 0)]
    if len(finite) == 0:
        return None
    top, usual = float(finite.max()), float(numpy.quantile(finite, 0.999, method="lower"))
    high = top if top <= 10 * usual else usual
    low = max(float(numpy.quantile(finite, 0.02)), high * 1e-6)
    return Magnitudes(min(low, high / 10), high, high < top)


def shape_of(axes: AxisValues, time: str | None) -> float | None:
    """The height of a map over its width where it has the proportions of the domain, else None.

    It has not if one axis is time, or if one is more than six times as long as the other.
    """
    x, y = axes.values()
    shape, most = float((y[-1] - y[0]) / (x[-1] - x[0])), 6
    return shape if 1 / most <= shape <= most and time not in axes else None


def map_size(
    axes: AxisValues, time: str | None, long: float = 3.0, flat: float = 4.0
) -> tuple[float, float]:
    """The width and height of a map in inches, with room for its colour bar and its labels.

    The longer side of the map itself is `long`, or `flat` if it is more than three times as long as
    the other.
    """
    shape = shape_of(axes, time) or 0.8
    long = flat if shape < 1 / 3 else long
    return long / max(shape, 1) + 1.35, long * min(shape, 1) + 0.75


def limits_of(*fields: numpy.ndarray) -> tuple[float, float]:
    """Return the least and the largest finite value; 0.5 below and above if they are equal.

    The result is (0, 1) if no value is finite.
    """
    finite = numpy.concatenate([f[numpy.isfinite(f)].ravel() for f in fields])
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return low - 0.5, high + 0.5
    return low, high


def two_signed(limits: tuple[float, float]) -> bool:
    """Return True if the limits have both signs and their absolute values a ratio below ten."""
    low, high = limits
    return low < 0 < high and min(-low, high) > 0.1 * max(-low, high)


def continued(values: numpy.ndarray, rings: int = 2) -> numpy.ndarray:
    """Return a field (n, m), NaN outside its domain, extended by `rings` layers of grid nodes.

    A new node gets the mean of its known neighbours, so that a map that is clipped at the boundary
    has no gaps there.
    """
    for _ in range(rings):
        windows = numpy.lib.stride_tricks.sliding_window_view(
            numpy.pad(values, 1, constant_values=numpy.nan), (3, 3)
        )
        known = ~numpy.isnan(windows)
        count = known.sum(axis=(2, 3))
        mean = numpy.where(known, windows, 0.0).sum(axis=(2, 3)) / numpy.maximum(count, 1)
        values = numpy.where(numpy.isnan(values) & (count > 0), mean, values)
    return values


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
