"""A diagram of a network with its edge functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from kanpinn._support.errors import InputError
from kanpinn.plotting.style import BLACK, BLUE, STYLE, VERMILLION, new_figure, symbol

Ends = tuple[tuple[int, int], ...]  # (source, target) of each edge of a layer


@dataclass(frozen=True)
class EdgeBox:
    """The box of an edge, in which its curve is drawn: the centre (x, y) and the side length."""

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Layout:
    """Levels of units, one above the other, with one or more rows of boxes between them.

    width: the number of units of each level. ends: the (source, target) pairs of each layer's
    edges. All other values are in inches.

    widest, narrowest: the limits of the diagram's width. roomy: the largest side of a box with its
    share of the gaps. tight: the least one, below which a further row of boxes is added. apart: the
    distance between units and the boxes above or below them, to which 0.05 per inch of the
    diagram's width is added. radius: the radius of a unit that adds edges. per_letter: the width of
    a letter of a name.
    """

    width: tuple[int, ...]
    ends: tuple[Ends, ...]
    widest: float = 10.0
    narrowest: float = 2.4
    roomy: float = 0.75
    tight: float = 0.28
    apart: float = 0.4
    radius: float = 0.075
    per_letter: float = 0.07

    @property
    def across(self) -> float:
        """The width of the diagram."""
        most = max(1, *self.width, *map(len, self.ends))
        return min(self.widest, max(self.narrowest, self.roomy * most))

    @property
    def height(self) -> float:
        """The distance from the inputs to the outputs."""
        return self._level(len(self.width) - 1)

    def unit(self, level: int, number: int) -> tuple[float, float]:
        """Return the centre (x, y) of a unit."""
        return self.across * (number + 0.5) / self.width[level], self._level(level)

    def boxes(self, layer: int) -> list[EdgeBox]:
        """Return the boxes of a layer's edges, in the order of the edges.

        Boxes are placed from left to right by the midpoints of their edges, so that few lines
        cross. If there are several rows, neighbouring boxes are in different rows.
        """
        ends, rows, slot = self.ends[layer], self._rows(layer), self._slot(layer)
        order = sorted(range(len(ends)), key=lambda k: self._middle(layer, ends[k]))
        base = self._level(layer) + self._gap
        margin = max(slot, self.across / max(1, len(ends))) / 2
        step = (self.across - 2 * margin) / max(1, len(ends) - 1)
        found: list[EdgeBox] = [EdgeBox(0.0, 0.0, 0.0)] * len(ends)
        for place, k in enumerate(order):
            y = base + slot * (place % rows + 0.5)
            found[k] = EdgeBox(margin + step * place, y, 0.78 * slot)
        return found

    def _middle(self, layer: int, ends: tuple[int, int]) -> tuple[float, ...]:
        source, target = self.unit(layer, ends[0])[0], self.unit(layer + 1, ends[1])[0]
        return source + target, source, target

    @property
    def _gap(self) -> float:
        return self.apart + 0.05 * self.across

    def _rows(self, layer: int) -> int:
        return max(1, math.ceil(len(self.ends[layer]) * self.tight / self.across))

    def _slot(self, layer: int) -> float:
        """Return the side of a box with its share of the gaps."""
        in_row = math.ceil(max(1, len(self.ends[layer])) / self._rows(layer))
        return min(self.roomy, self.across / in_row)

    def _level(self, level: int) -> float:
        rows = (self._rows(layer) * self._slot(layer) for layer in range(level))
        return sum(rows) + 2 * self._gap * level


@dataclass(frozen=True, eq=False)
class Link:
    """A drawn edge, from a unit of one level to a unit of the next.

    layer: the index of the edge's layer, from 0. source, target: the indices of its units in the
    levels below and above. x, y: the edge function, (n,) each. score: the importance from 0 to 1
    that the opacity shows. symbolic: True if the edge is a formula, drawn in another colour.
    """

    layer: int
    source: int
    target: int
    x: numpy.ndarray
    y: numpy.ndarray
    score: float
    symbolic: bool = False

    @property
    def colour(self) -> tuple[float, float, float, float]:
        """The edge's colour (red, green, blue, opacity), with the opacity tanh(3 score)."""
        opacity = float(numpy.tanh(3.0 * max(self.score, 0.0)))
        return to_rgba(VERMILLION if self.symbolic else BLUE, opacity)


def plot_network(
    ax: Axes,
    width: Sequence[int],
    links: Sequence[Link],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> Axes:
    """Draw a network with its inputs below and its outputs above; pruned edges are left out.

    Each edge function is scaled to fill its box; edges with a higher score are more opaque. A
    circle with a plus is a unit that adds several edges.

    Args:
        ax: the axes to draw in; a data unit is one inch if they have the size that
            `network_figure` gives them.
        width: the number of units of each level.
        links: the edges to draw.
        inputs: the names of the inputs.
        outputs: the names of the outputs.

    Returns:
        The axes `ax`.

    Raises:
        InputError: if names or edges do not fit the width.

    Reference: Liu et al., KAN (2024), figure 2.4; KAN 2.0 (2024) for the opacity.
    """
    _check(width, links, inputs, outputs)
    layout = Layout(tuple(width), _ends(width, links))
    boxes = [box for layer in range(len(width) - 1) for box in layout.boxes(layer)]
    ordered = [link for layer in range(len(width) - 1) for link in links if link.layer == layer]
    _connect(ax, layout, ordered, boxes)
    _draw_boxes(ax, ordered, boxes)
    _units(ax, layout, links)
    _names(ax, layout, 0, inputs)
    _names(ax, layout, len(width) - 1, outputs)
    ax.set(xlim=(0, layout.across), aspect="equal")
    ax.set(ylim=(-layout.radius, layout.height + layout.radius))
    ax.set_axis_off()
    return ax


def network_figure(
    width: Sequence[int],
    links: Sequence[Link],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> Figure:
    """Return a figure of the size that a network needs, drawn by `plot_network`.

    It has a legend if the edges are of both kinds, splines and formulas. The arguments are those of
    `plot_network`.
    """
    _check(width, links, inputs, outputs)
    layout = Layout(tuple(width), _ends(width, links))
    below, above = (_depth(layout, names) for names in (inputs, outputs))
    kinds = {link.symbolic for link in links}
    above += 0.25 * (len(kinds) > 1)
    middle = layout.height + 2 * layout.radius
    height = middle + below + above
    figure = new_figure(layout.across, height, layout=None)
    ax = figure.add_axes((0, below / height, 1, middle / height))
    plot_network(ax, width, links, inputs, outputs)
    if len(kinds) > 1:
        handles = [
            Line2D([], [], color=c, label=name)
            for c, name in ((BLUE, "splines"), (VERMILLION, "formulas"))
        ]
        figure.legend(
            handles=handles, loc="upper right", ncols=2, frameon=False, fontsize=STYLE.letter
        )
    return figure


def _ends(width: Sequence[int], links: Sequence[Link]) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return the (source, target) pairs of the edges of each layer."""
    return tuple(
        tuple((link.source, link.target) for link in links if link.layer == layer)
        for layer in range(len(width) - 1)
    )


def _connect(ax: Axes, layout: Layout, links: Sequence[Link], boxes: Sequence[EdgeBox]) -> None:
    """Draw lines from the source unit of each edge to its box, and from there to the target."""
    lines, colours = [], []
    for link, box in zip(links, boxes, strict=True):
        half = box.size / 2
        start = layout.unit(link.layer, link.source)
        end = layout.unit(link.layer + 1, link.target)
        lines += [[start, (box.x, box.y - half)], [(box.x, box.y + half), end]]
        colours += [link.colour] * 2
    ax.add_collection(LineCollection(lines, colors=colours, linewidths=0.8, zorder=1))


def _draw_boxes(ax: Axes, links: Sequence[Link], boxes: Sequence[EdgeBox]) -> None:
    """Draw the boxes and in each the curve of its edge."""
    corners = [Rectangle((p.x - p.size / 2, p.y - p.size / 2), p.size, p.size) for p in boxes]
    patches = PatchCollection(corners, linewidths=0.6, zorder=2)
    patches.set(facecolor="white", edgecolor=[to_rgba(BLACK, link.colour[3]) for link in links])
    ax.add_collection(patches)
    curves = [_curve(link, box) for link, box in zip(links, boxes, strict=True)]
    colours = [link.colour for link in links]
    ax.add_collection(LineCollection(curves, colors=colours, linewidths=1.2, zorder=3))


def _curve(link: Link, box: EdgeBox) -> numpy.ndarray:
    """Return the points of an edge's curve in its box, (n, 2)."""
    inner = 0.72 * box.size  # leaves a margin on all sides
    columns = [_unit_interval(link.x), _unit_interval(link.y)]
    return numpy.stack(columns, axis=1) * inner + (box.x - inner / 2, box.y - inner / 2)


def _unit_interval(values: numpy.ndarray) -> numpy.ndarray:
    """Return the values scaled to [0, 1]; 0.5 if they are constant."""
    span = float(numpy.ptp(values))
    if not span > 1e-12 * float(numpy.abs(values).max()):
        return numpy.full(len(values), 0.5)  # constant, but for rounding
    return (values - values.min()) / span


def _units(ax: Axes, layout: Layout, links: Sequence[Link]) -> None:
    """Draw units as dots, those that add two edges or more as circles with a plus."""
    for level, count in enumerate(layout.width):
        for unit in range(count):
            x, y = layout.unit(level, unit)
            into = sum((k.layer, k.target) == (level - 1, unit) for k in links)
            if into < 2:
                _mark(ax, x, y, "o", 0.07, BLACK)
            else:
                _mark(ax, x, y, "o", 2 * layout.radius, "white")
                _mark(ax, x, y, "+", 1.2 * layout.radius, BLACK)


def _mark(ax: Axes, x: float, y: float, marker: str, size: float, face: str) -> None:
    """Draw a marker of this size in inches."""
    (drawn,) = ax.plot([x], [y], color=BLACK, marker=marker, markersize=72 * size, zorder=4)
    drawn.set(markerfacecolor=face, markeredgewidth=0.8)


def _names(ax: Axes, layout: Layout, level: int, names: Sequence[str]) -> None:
    """Write the names of the inputs below their units, or of the outputs above theirs."""
    top = level > 0
    upright = _turned(layout, names)
    for unit, name in enumerate(names):
        text, plain = _text(name)
        ax.annotate(
            text,
            layout.unit(level, unit),
            xytext=(0, 9 if top else -9),
            textcoords="offset points",
            ha="center",
            va="bottom" if top else "top",
            rotation=90 if upright else 0,
            fontsize=STYLE.small,
            parse_math=not plain,
            annotation_clip=False,
        )


def _text(name: str) -> tuple[str, bool]:
    """Return the text of a name, and True if it is plain text: data columns may have any name."""
    if (name.isidentifier() and len(name) <= 3) or name.startswith("\\"):
        return f"${name if name.startswith(chr(92)) else symbol(name)}$", False
    return name, True


def _turned(layout: Layout, names: Sequence[str]) -> bool:
    """Return True if the names do not fit next to each other and must be rotated."""
    return max(map(len, names)) * layout.per_letter > 0.95 * layout.across / len(names)


def _depth(layout: Layout, names: Sequence[str]) -> float:
    """Return the space in inches that the names take beyond their units."""
    letters = max(map(len, names)) if _turned(layout, names) else 2
    return 0.15 + layout.per_letter * letters


def _check(
    width: Sequence[int], links: Sequence[Link], inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    for what, names, count in (("inputs", inputs, width[0]), ("outputs", outputs, width[-1])):
        if len(names) != count:
            raise InputError(f"{what} must be {count} names, got {list(names)}")
    for k in links:
        if not (
            0 <= k.layer < len(width) - 1
            and 0 <= k.source < width[k.layer]
            and 0 <= k.target < width[k.layer + 1]
        ):
            edge = (k.layer, k.source, k.target)
            raise InputError(f"there is no edge {edge} in a network of width {list(width)}")
