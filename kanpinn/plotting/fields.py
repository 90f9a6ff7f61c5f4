"""Pictures of fields on a grid: lines, maps, streamlines, cells, and outlines of domains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import LogLocator, MaxNLocator
from scipy.ndimage import binary_dilation, distance_transform_edt

from kanpinn.geometry import Curve, Domain, Planar, Product, Segment
from kanpinn.geometry.planar import loops_of
from kanpinn.plotting import style
from kanpinn.plotting.style import STYLE
from kanpinn.solvers.grid_fields import KNOWN, GridFields
from kanpinn.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class Sheet:
    """The one or two coordinates over which a picture shows fields, as lines or as a map.

    Args:
        axes: the grid points of each coordinate, (n,), by name.
        outline: the domain's boundary, which clips maps and is drawn as a line; None for a box.
        time: the name of the time coordinate, if any; a map over time does not have equal scales on
            both axes.
    """

    axes: Mapping[str, numpy.ndarray]
    outline: Path | None = None
    time: str | None = None

    @classmethod
    def of(cls, domain: Domain, fields: GridFields) -> "Sheet":
        """Return the sheet for fields on a grid in a domain."""
        bare = domain.is_box or len(fields.axes) == 1
        return cls(fields.axes, None if bare else outline_of(domain, fields), domain.time_name)

    @property
    def shape(self) -> float | None:
        """The height of a map over its width; None if a map does not keep the domain's proportions.

        A map does not keep the proportions if one axis is the time, or if one axis is more than six
        times as long as the other axis.
        """
        x, y = self.axes.values()
        shape, most = float((y[-1] - y[0]) / (x[-1] - x[0])), 6
        return shape if 1 / most <= shape <= most and self.time not in self.axes else None

    def size(self, long: float = 3.0, flat: float = 4.0) -> tuple[float, float]:
        """Return the width and height of a map in inches, with its colour bar and its labels.

        Args:
            long: the longer side of the map itself, in inches.
            flat: the longer side of a map that is more than three times as wide as high.
        """
        shape = self.shape or 0.8
        long = flat if shape < 1 / 3 else long
        return long / max(shape, 1) + 1.35, long * min(shape, 1) + 0.75


def outline_of(domain: Domain, fields: GridFields) -> Path | None:
    """Return the boundary in the plane of the fields' two axes; None if figures need no clipping.

    No clipping is needed if all grid points are inside the domain, as for a box. The path is exact
    for planar domains, and for planar domains over time. For other domains the plane section is
    traced on the grid: the vertices of the path lie where the boundary crosses grid lines.

    Args:
        domain: the domain of the problem.
        fields: the fields on a grid of two axes; other coordinates are fixed.
    """
    space = domain.space if isinstance(domain, Product) else domain
    if not (isinstance(space, Planar) and space.names == tuple(fields.axes)):
        return _traced(domain, fields)
    loops = []  # holes run clockwise, against outer loops, and are not filled
    for loop in loops_of([c for c in space.boundary.pieces if isinstance(c, Curve)]):
        samples = []
        for curve in loop:
            count = 1 if isinstance(curve, Segment) else 256
            samples.append(curve.at(torch.arange(count, dtype=torch.float64) / count).numpy())
        loops.append(Path(numpy.concatenate([*samples, samples[0][:1]]), closed=True))
    return Path.make_compound_path(*loops)


def _traced(domain: Domain, fields: GridFields) -> Path | None:
    """Return the outline of a plane section of a domain, traced on the grid.

    The result is None if all grid points are inside the domain, or if none is.

    Args:
        domain: the domain.
        fields: the fields on the grid, which has two axes.
    """
    low, high = domain.bounds
    tolerance = 1e-12 * float((high - low).max())
    axes = fields.axes.values()

    def place(indices: numpy.ndarray) -> numpy.ndarray:
        """Return the coordinates, (n, 2), of n places given by fractional indices on the grid."""
        columns = [a[0] + i * (a[1] - a[0]) for a, i in zip(axes, indices.T, strict=True)]
        return numpy.stack(columns, axis=1)

    def contains(indices: numpy.ndarray) -> numpy.ndarray:
        """Return whether points, given as in `place`, lie in the domain, (n,)."""
        places = dict(zip(fields.axes, place(indices).T, strict=True))
        fixed = {name: numpy.full(len(indices), value) for name, value in fields.fixed.items()}
        coords = numpy.stack([(places | fixed)[name] for name in domain.names], axis=1)
        return domain.contains(torch.from_numpy(coords), tolerance=tolerance).numpy()

    shape = [len(axis) for axis in axes]
    inside = contains(numpy.indices(shape).reshape(2, -1).T).reshape(shape)
    if inside.all() or not inside.any():
        return None
    # Matplotlib traces the contour halfway between nodes inside and outside the domain. Bisection
    # finds where the grid edges cross the boundary.
    marked = Figure().subplots().contourf(inside.T.astype(float), levels=[0.5, 1.5])
    (path,) = marked.get_paths()
    halfway = numpy.asarray(path.vertices)
    ends = numpy.floor(halfway), numpy.ceil(halfway)
    first = contains(ends[0])[:, None]
    within, without = numpy.where(first, *ends), numpy.where(first, *ends[::-1])
    for _ in range(30):
        middle = (within + without) / 2
        known = contains(middle)[:, None]
        within, without = numpy.where(known, middle, within), numpy.where(known, without, middle)
    return Path(place(within), path.codes)


def plot_values(
    ax: Axes,
    sheet: Sheet,
    values: numpy.ndarray,
    limits: tuple[float, float],
    title: str,
    *,
    diverging: bool | None = None,
) -> Axes:
    """Plot a field over two coordinates, with a colour bar.

    Args:
        ax: the axes to draw in.
        sheet: the two coordinates.
        values: the field on the grid, (n, m); NaN outside the domain.
        limits: the values of the lowest and of the highest colour.
        title: the title above the axes.
        diverging: whether the colours are white at zero; by default they are if the limits have
            different signs and sizes with a ratio below ten.

    Returns:
        The axes `ax`.
    """
    low, high = limits
    bound = max(-low, high)
    if two_signed(limits) if diverging is None else diverging:
        _map(ax, sheet, values, Normalize(-bound, bound), "RdBu_r", title)
    else:
        _map(ax, sheet, values, Normalize(low, high), "viridis", title)
    return ax


def plot_magnitude(ax: Axes, sheet: Sheet, values: numpy.ndarray, title: str) -> Axes:
    """Plot the absolute value of a field on a logarithmic scale.

    Over one coordinate a line is drawn, over two a map with a colour bar. The scale begins at the
    2% quantile and ends at the largest value, and covers one to six decades. If the largest value
    exceeds ten times the 99.9% quantile, as for a residual at a singular corner, the scale ends at
    this quantile, and the colour bar has an arrow.

    Args:
        ax: the axes to draw in.
        sheet: the one or two coordinates.
        values: the field on the grid, (n,) or (n, m); NaN outside the domain.
        title: the title of a map; for a line the label of the vertical axis.

    Returns:
        The axes `ax`.
    """
    size = numpy.abs(values)
    finite = size[numpy.isfinite(size) & (size > 0)]
    low, high, top = 0.0, 0.0, float(finite.max(initial=0.0))
    if len(finite):
        usual = float(numpy.quantile(finite, 0.999, method="lower"))
        high = top if top <= 10 * usual else usual
        low = min(max(float(numpy.quantile(finite, 0.02)), high * 1e-6), high / 10)
    if len(sheet.axes) == 1:
        ((name, x),) = sheet.axes.items()
        plot_lines(ax, name, x, {title: size}, title)
        if len(finite):
            ax.set(yscale="log", ylim=(low / 3, high * 3))
    elif not len(finite):
        _map(ax, sheet, size, Normalize(0, 1), "magma", title)
    else:
        size = numpy.maximum(size, low)  # a value of 0 would be left blank
        bar = _map(ax, sheet, size, LogNorm(low, high), "magma", title, beyond=high < top)
        bar.ax.yaxis.set_major_locator(LogLocator(numticks=7))
    return ax


def _map(
    ax: Axes,
    sheet: Sheet,
    values: numpy.ndarray,
    norm: Normalize,
    colours: str,
    title: str,
    beyond: bool = False,
) -> Colorbar:
    """Draw a map with its outline, title and axis labels, and return its colour bar.

    Args:
        ax: the axes to draw in.
        sheet: the two coordinates.
        values: the field on the grid, (n, m); NaN outside the domain.
        norm: Matplotlib's scale of values.
        colours: the name of Matplotlib's colour map.
        title: the title above the axes.
        beyond: whether the bar has an arrow for values above the scale.
    """
    (name_x, x), (name_y, y) = sheet.axes.items()
    shape, outline = sheet.shape, sheet.outline
    half_x, half_y = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2  # the points are centres of pixels
    if outline is not None:
        values = continued(values)
    extent = (x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y)
    look: dict[str, Any] = {"norm": norm, "cmap": colours, "origin": "lower", "extent": extent}
    look |= {"interpolation": "bilinear", "aspect": "auto" if shape is None else "equal"}
    image = ax.imshow(numpy.ma.masked_invalid(values.T), **look)
    if outline is not None:
        image.set_clip_path(outline, ax.transData)
        line = {"edgecolor": style.BLACK, "linewidth": 0.7, "clip_on": False, "zorder": 3}
        ax.add_patch(PathPatch(outline, fill=False, **line))
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set(linewidth=0.5, color=style.GREY)
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set(xlabel=f"${style.symbol(name_x)}$", ylabel=f"${style.symbol(name_y)}$")
    ax.xaxis.set_major_locator(MaxNLocator(3 if shape and shape > 1.6 else 5, steps=STYLE.round))
    ax.yaxis.set_major_locator(MaxNLocator(3 if shape and shape < 0.6 else 5, steps=STYLE.round))
    ax.tick_params(labelsize=STYLE.small)
    ax.set_title(title, fontsize=10)
    return _colour_bar(ax, image, extend="max" if beyond else "neither")


def _colour_bar(ax: Axes, drawn: ScalarMappable, **options: Any) -> Colorbar:
    """Return a colour bar beside axes, as high as the axes for any aspect ratio."""
    place = ax.inset_axes((1.03, 0.0, 0.04, 1.0))
    bar = ax.figure.colorbar(drawn, cax=place, **options)
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
        x: the grid points of the coordinate, (n,).
        lines: the values of each field, (n,), by the label in the legend.
        label: the label of the vertical axis.

    Returns:
        The axes `ax`.
    """
    styles = [(style.BLUE, "-", 1.8), (style.VERMILLION, "--", 1.4), (style.GREY, ":", 1.4)]
    for (key, values), (colour, dashes, width) in zip(lines.items(), styles, strict=False):
        ax.plot(x, values, dashes, color=colour, linewidth=width, label=key)
    if len(lines) > 1:
        ax.legend(fontsize=STYLE.small, frameon=False)
    ax.set(xlabel=f"${style.symbol(name)}$", ylabel=label, xlim=(x[0], x[-1]))
    return style.tidy(ax)


def limits_of(*fields: numpy.ndarray) -> tuple[float, float]:
    """Return the least and the greatest finite value of fields, for a scale.

    If the two values are equal, 0.5 is subtracted from the first and added to the second. If no
    value is finite, the result is (0, 1).
    """
    finite = numpy.concatenate([f[numpy.isfinite(f)].ravel() for f in fields])
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return low - 0.5, high + 0.5
    return low, high


def two_signed(limits: tuple[float, float]) -> bool:
    """Return True if the limits have different signs, and sizes with a ratio below ten."""
    low, high = limits
    return low < 0 < high and min(-low, high) > 0.1 * max(-low, high)


def continued(values: numpy.ndarray, rings: int = 2) -> numpy.ndarray:
    """Return a field extended by layers of grid nodes outside its domain.

    A new node gets the value of the nearest node in the domain, so that a map that is clipped at
    the boundary has no gaps there.

    Args:
        values: the field, (n, m); NaN outside the domain.
        rings: the number of layers.
    """
    known = ~numpy.isnan(values)
    if not known.any():
        return values
    near = binary_dilation(known, numpy.ones((3, 3)), iterations=rings)
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return numpy.where(near, values[tuple(nearest)], numpy.nan)


def streamlines_figure(fields: GridFields, sheet: Sheet, velocity: tuple[str, str]) -> Figure:
    """Return a figure of the speed of a flow with its streamlines, which have arrows.

    Args:
        fields: the solution on a grid with two axes.
        sheet: the two axes.
        velocity: the names of the velocity components along the two axes.
    """
    u, v = (fields.values[name] for name in velocity)
    figure = style.new_figure(*sheet.size(4.0, 7.0))
    ax = figure.subplots()
    speed, title = numpy.hypot(u, v), ", ".join(style.symbol(name) for name in velocity)
    plot_values(ax, sheet, speed, (0.0, limits_of(speed)[1]), f"$|({title})|$")
    x, y = sheet.axes.values()
    flat, dense = min(sheet.shape or 1.0, 1.0) ** 0.5, 1.4
    across, up = (numpy.ma.masked_invalid(part.T) for part in (u, v))
    look: dict[str, Any] = {"color": "white", "linewidth": 0.7, "arrowsize": 0.6}
    drawn = ax.streamplot(x, y, across, up, density=(dense / flat, dense * flat), **look)
    if sheet.outline is not None:
        drawn.lines.set_clip_path(sheet.outline, ax.transData)
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    return figure


def solution_figure(fields: GridFields, sheet: Sheet, field: str) -> Figure:
    """Return a figure with a field, the exact field or its reference, the error, and the residual.

    With several fields or equations, the residuals are left to `residual_figure`.

    Args:
        fields: the solution on a grid with one or two axes.
        sheet: the one or two axes.
        field: the name of the field to draw.
    """
    of, name = fields.of(field), f"${style.symbol(field)}$"
    sizes = {f"|error of {name}|": of["error"]} if "error" in of else {}
    if len(fields.fields) == len(fields.residuals) == 1:
        (sizes["|residual|"],) = fields.residuals.values()
    shown = {key: of[key] for key in ("solution", *KNOWN) if key in of}
    lines = len(fields.axes) == 1
    figure, axes = _panels(fields, sheet, (1 if lines else len(shown)) + len(sizes))
    if lines:
        ((coordinate, x),) = fields.axes.items()
        plot_lines(axes[0], coordinate, x, shown, name)
    else:
        # Maps are white at zero if any field of the system has both signs, except if a field is far
        # from zero (its range is less than half its size): its map would have one colour.
        every = [limits_of(fields.values[other]) for other in fields.fields]
        near = all(high - low >= 0.5 * max(-low, high) for low, high in every)
        diverging = any(map(two_signed, every)) and near
        limits = limits_of(*shown.values())
        for ax, (key, values) in zip(axes, shown.items(), strict=False):
            title = name if key == "solution" else f"{key} {name}"
            plot_values(ax, sheet, values, limits, title, diverging=diverging)
    for ax, (title, values) in zip(axes[len(axes) - len(sizes) :], sizes.items(), strict=True):
        plot_magnitude(ax, sheet, values, title)
    return figure


def residual_figure(fields: GridFields, sheet: Sheet) -> Figure:
    """Return a figure with the residual of each equation; see `solution_figure` for arguments."""
    residuals = fields.residuals.values()
    figure, axes = _panels(fields, sheet, len(residuals))
    for number, (ax, values) in enumerate(zip(axes, residuals, strict=True), 1):
        title = f"|residual of equation {number}|" if len(axes) > 1 else "|residual|"
        plot_magnitude(ax, sheet, values, title)
    return figure


def _panels(fields: GridFields, sheet: Sheet, count: int) -> tuple[Figure, numpy.ndarray]:
    """Return a new figure with a title for fixed coordinates, and its `count` panels, (count,)."""
    lines, figure = len(sheet.axes) == 1, style.new_figure(1, 1)
    columns, size = 2 if count == 4 and not lines else 3, (3.8, 3.0) if lines else sheet.size()
    if fields.fixed:
        figure.suptitle(style.cut_title(fields.fixed), fontsize=10)
    return figure, style.panels(figure, count, columns, size)


def cells_figure(solution: Solution, fields: GridFields, sheet: Sheet) -> Figure:
    """Return a figure with two panels: the first field with the cells, and the level of each cell.

    The level of a cell says how often the cell was halved in its most refined coordinate.

    Args:
        solution: a solution by a network in cells, over two coordinates.
        fields: the solution on a grid.
        sheet: the axes of the grid.
    """
    network, levels = solution.network, solution.network.levels
    assert network.pieces is not None and levels is not None
    figure = style.new_figure(9.0, min(3.9, 3.6 * (sheet.shape or 0.8) + 0.75))
    left, right = figure.subplots(1, 2)
    name, values = fields.fields[0], fields.values[fields.fields[0]]
    title = f"${style.symbol(name)}$ in {len(levels)} cells of degree {network.max_order}"
    plot_values(left, sheet, values, limits_of(values), title)
    low, high = (corner.cpu().numpy() for corner in solution.problem.domain.bounds)
    boxes = low + network.pieces.cpu().numpy() * (high - low)
    corners = [[(x, y), (z, y), (z, w), (x, w)] for (x, y), (z, w) in boxes]
    width = float(numpy.clip(6 / len(boxes) ** 0.5, 0.12, 0.5))  # thin lines for many cells
    for ax, faces, edges in ((left, "none", "white"), (right, "white", style.GREY)):
        cells = PolyCollection(corners, facecolor=faces, edgecolor=edges, linewidth=width)
        ax.add_collection(cells)
        if sheet.outline is not None:
            cells.set_clip_path(sheet.outline, ax.transData)
    level = levels.cpu().numpy()
    least, top = int(level.min()), int(level.max())
    colours = ListedColormap(colormaps["Blues"](numpy.linspace(0.05, 0.8, top - least + 1)))
    bounds = numpy.arange(least - 0.5, top + 1.5)
    cells.set(array=level, cmap=colours, norm=BoundaryNorm(bounds, colours.N))
    title = "levels of the cells" if top > least else f"all cells have level {top}"
    right.set_title(title, fontsize=10)
    if top > least:
        bar = _colour_bar(right, cells, ticks=range(least, top + 1, 1 + (top - least) // 12))
        bar.ax.tick_params(length=0)
        bar.minorticks_off()
    right.tick_params(labelsize=STYLE.small)
    right.set(xlim=left.get_xlim(), ylim=left.get_ylim(), aspect=left.get_aspect())
    right.set(xlabel=left.get_xlabel(), ylabel=left.get_ylabel())
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=STYLE.round))
    return figure
