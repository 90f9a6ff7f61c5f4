"""The diagram of a KAN with its edge functions (`draw_network`), the notebook card of a formula,
and `Formula.plot`.
"""

import html
import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from kanpinn._support.errors import InputError
from kanpinn.interpret.formula import Formula
from kanpinn.interpret.pruning import Pruned, Result, kan_of, score_edges
from kanpinn.plotting import card as cards
from kanpinn.plotting import style
from kanpinn.plotting.edges import activation_ranges
from kanpinn.plotting.fields import Sheet, limits_of, plot_lines, plot_values
from kanpinn.solvers.grid_fields import GridFields, RegularGrid
from kanpinn.solvers.summary import ShownTable

# Sizes in inches.
WIDEST, NARROWEST = 10.0, 2.4  # the limits of a diagram's width
ROOMY, TIGHT = 0.75, 0.28  # the largest and the least side of a box, with half the gaps around it
RADIUS = 0.075  # the radius of a unit that adds edges
PER_LETTER = 0.07  # the width of a letter of a name


class EdgeBox(NamedTuple):
    """The square in which the curve of an edge is drawn: its centre (x, y) and side, in inches."""

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Layout:
    """The places of units and boxes in a diagram, in inches.

    Levels of units are one above the other, with one or more rows of boxes between two levels.

    Args:
        width: the number of units of each level.
        ends: the (source, target) units of each layer's edges.
    """

    width: tuple[int, ...]
    ends: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def across(self) -> float:
        """The width of the diagram."""
        most = max(1, *self.width, *map(len, self.ends))
        return min(WIDEST, max(NARROWEST, ROOMY * most))

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

        def middle(k: int) -> tuple[float, ...]:
            """Return the key by which edges are sorted: the midpoint of an edge, then its units."""
            source, target = ends[k]
            low, high = self.unit(layer, source)[0], self.unit(layer + 1, target)[0]
            return low + high, low, high

        ends, (rows, slot) = self.ends[layer], self._rows(layer)
        order = sorted(range(len(ends)), key=middle)
        margin = max(slot, self.across / max(1, len(ends))) / 2
        step = (self.across - 2 * margin) / max(1, len(ends) - 1)
        low, boxes = self._level(layer) + self._gap, {}
        for place, k in enumerate(order):
            y = low + slot * (place % rows + 0.5)
            boxes[k] = EdgeBox(margin + step * place, y, 0.78 * slot)
        return [boxes[k] for k in range(len(ends))]

    @property
    def _gap(self) -> float:
        """The distance between units and the boxes above or below them."""
        return 0.4 + 0.05 * self.across

    def _rows(self, layer: int) -> tuple[int, float]:
        """Return the number of rows of boxes, and the side of the square for a box and its gaps."""
        count = len(self.ends[layer])
        rows = max(1, math.ceil(count * TIGHT / self.across))
        return rows, min(ROOMY, self.across / math.ceil(max(1, count) / rows))

    def _level(self, level: int) -> float:
        """Return the height of a level of units above the inputs, in inches."""
        return sum(math.prod(self._rows(layer)) for layer in range(level)) + 2 * self._gap * level

    def turns(self, names: Sequence[str]) -> bool:
        """Return True if the names do not fit next to each other and must be rotated."""
        return max(map(len, names)) * PER_LETTER > 0.95 * self.across / len(names)

    def depth(self, names: Sequence[str]) -> float:
        """Return the height that the names take above or below their units."""
        return 0.15 + PER_LETTER * (max(map(len, names)) if self.turns(names) else 2)


@dataclass(frozen=True, eq=False)
class Link:
    """A drawn edge, from a unit of one level to a unit of the next.

    Args:
        layer: the index of the edge's layer, from 0.
        source, target: the indices of its units in the level below and the level above.
        x, y: the arguments and values of the edge function, (n,) each.
        score: the importance of the edge, from 0 to 1, which the opacity shows.
        symbolic: whether the edge is a formula, drawn in another colour.
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
        return to_rgba(style.VERMILLION if self.symbolic else style.BLUE, opacity)

    def curve(self, box: EdgeBox) -> numpy.ndarray:
        """Return the points of the curve in its box, (n, 2); a constant is a line in the middle."""
        inner = 0.72 * box.size  # leaves a margin on all sides
        shares = []
        for values in (self.x, self.y):
            span = float(numpy.ptp(values))
            varies = span > 1e-12 * float(numpy.abs(values).max())  # by more than rounding
            shares.append((values - values.min()) / span if varies else 0.5 + 0 * values)
        return numpy.stack(shares, axis=1) * inner + (box.x - inner / 2, box.y - inner / 2)


def network_figure(
    width: Sequence[int], links: Sequence[Link], inputs: Sequence[str], outputs: Sequence[str]
) -> Figure:
    """Return a figure of a network with its inputs below and its outputs above.

    Each edge function is scaled to fill its box; edges with a higher score are more opaque. A
    circle with a plus is a unit that adds several edges. The figure has a legend if some edges are
    splines and some are formulas.

    Args:
        width: the number of units of each level.
        links: the edges to draw; pruned edges are left out.
        inputs: the names of the inputs.
        outputs: the names of the outputs.

    Raises:
        InputError: if names or edges do not fit the width.

    Reference: Liu et al., KAN (2024), figure 2.4; KAN 2.0 (2024) for the opacity.
    """
    for what, names, count in (("inputs", inputs, width[0]), ("outputs", outputs, width[-1])):
        if len(names) != count:
            raise InputError(f"{what} must be {count} names, got {list(names)}")
    ends_of = [(range(a), range(b)) for a, b in itertools.pairwise(width)]
    for k in links:
        there = ends_of[k.layer] if k.layer in range(len(ends_of)) else ((), ())
        if k.source not in there[0] or k.target not in there[1]:
            edge = (k.layer, k.source, k.target)
            raise InputError(f"there is no edge {edge} in a network of width {list(width)}")
    layers = [[link for link in links if link.layer == k] for k in range(len(width) - 1)]
    ends = tuple(tuple((link.source, link.target) for link in layer) for layer in layers)
    layout, kinds = Layout(tuple(width), ends), {link.symbolic for link in links}
    below = layout.depth(inputs)
    above = layout.depth(outputs) + 0.25 * (len(kinds) > 1)
    middle = layout.height + 2 * RADIUS
    height = middle + below + above
    figure = style.new_figure(layout.across, height, layout=None)
    ax = figure.add_axes((0, below / height, 1, middle / height))  # a data unit is an inch
    boxes = [box for layer in range(len(layers)) for box in layout.boxes(layer)]
    _edges(ax, layout, [link for layer in layers for link in layer], boxes)
    for level, count in enumerate(width):
        for unit in range(count):
            adds = sum((k.layer, k.target) == (level - 1, unit) for k in links) > 1
            marks = [("o", 2 * RADIUS, "white"), ("+", 1.2 * RADIUS, style.BLACK)]
            for marker, inches, face in marks if adds else [("o", 0.07, style.BLACK)]:
                look: dict[str, Any] = {"markerfacecolor": face, "markeredgewidth": 0.8}
                look |= {"marker": marker, "markersize": 72 * inches, "zorder": 4}
                ax.plot(*layout.unit(level, unit), color=style.BLACK, **look)
    _names(ax, layout, 0, inputs)
    _names(ax, layout, len(width) - 1, outputs)
    ax.set(xlim=(0, layout.across), ylim=(-RADIUS, layout.height + RADIUS), aspect="equal")
    ax.set_axis_off()
    if len(kinds) > 1:
        colours = {"splines": style.BLUE, "formulas": style.VERMILLION}
        handles = [Line2D([], [], color=c, label=name) for name, c in colours.items()]
        look = {"loc": "upper right", "ncols": 2, "frameon": False, "fontsize": style.STYLE.letter}
        figure.legend(handles=handles, **look)
    return figure


def _edges(ax: Axes, layout: Layout, links: Sequence[Link], boxes: Sequence[EdgeBox]) -> None:
    """Draw the box and the curve of each edge, and lines that join the box to its two units."""
    lines, colours = [], [link.colour for link in links]
    for link, box in zip(links, boxes, strict=True):
        start = layout.unit(link.layer, link.source)
        end = layout.unit(link.layer + 1, link.target)
        lines += [[start, (box.x, box.y - box.size / 2)], [(box.x, box.y + box.size / 2), end]]
    twice = [colour for colour in colours for _ in range(2)]
    ax.add_collection(LineCollection(lines, colors=twice, linewidths=0.8, zorder=1))
    corners = [Rectangle((p.x - p.size / 2, p.y - p.size / 2), p.size, p.size) for p in boxes]
    patches = PatchCollection(corners, linewidths=0.6, zorder=2)
    patches.set(
        facecolor="white", edgecolor=[to_rgba(style.BLACK, colour[3]) for colour in colours]
    )
    ax.add_collection(patches)
    curves = [link.curve(box) for link, box in zip(links, boxes, strict=True)]
    ax.add_collection(LineCollection(curves, colors=colours, linewidths=1.2, zorder=3))


def _names(ax: Axes, layout: Layout, level: int, names: Sequence[str]) -> None:
    """Write the names of inputs below the input units, or of outputs above the output units."""
    top = level > 0
    look: dict[str, Any]
    for unit, name in enumerate(names):
        # Columns of data may have any name: long names are plain text.
        formula = name.startswith("\\") or (name.isidentifier() and len(name) <= 3)
        text = f"${name if name.startswith(chr(92)) else style.symbol(name)}$" if formula else name
        look = {"textcoords": "offset points", "ha": "center", "va": "bottom" if top else "top"}
        look |= {"rotation": 90 if layout.turns(names) else 0, "fontsize": style.STYLE.small}
        look |= {"parse_math": formula, "annotation_clip": False}
        ax.annotate(text, layout.unit(level, unit), xytext=(0, 9 if top else -9), **look)


def draw_network(
    result: Result,
    symbolic: Collection[tuple[int, int, int]] = (),
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Figure:
    """Draw a result's network; `plotting.style.save` writes the figure as PNG, SVG or PDF.

    Args:
        result: a `Solution`, a `Fitted` or a `Pruned` of a KAN.
        symbolic: edges (layer, input, output) that are formulas, drawn in another colour.
        inputs, outputs: the names of the inputs and outputs; by default the names in the result.

    Raises:
        InputError: if the network is not a KAN, an edge in `symbolic` does not exist, or the names
            are not as many as the inputs and outputs.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import draw_network
        >>> x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1]), kp.Table(x, x**2))
        >>> figure = draw_network(fitted, inputs=["x"], outputs=["y"])
        >>> len(figure.axes) > 0
        True
    """
    samples = 120  # of an edge function, over the range of its arguments at the points of the loss
    surrogate, points, network = result.surrogate, result.residuals.points, kan_of(result.surrogate)
    scores, width, links = score_edges(surrogate, points).edges, network.width, []
    share = torch.linspace(0, 1, samples).to(surrogate.low)[:, None]
    for number, (low, high) in enumerate(activation_ranges(surrogate, points)):
        layer, x = network.layers[number], torch.lerp(low, high, share)
        y = layer.edges(x)[:, 0].detach()
        for i, o in layer.kept.nonzero().tolist():
            curve = x[:, i].cpu().numpy(), y[:, i, o].cpu().numpy()
            score, is_formula = float(scores[number][i, o]), (number, i, o) in symbolic
            links.append(Link(number, i, o, *curve, score, is_formula))
    strangers = set(symbolic) - {(link.layer, link.source, link.target) for link in links}
    if strangers:
        raise InputError(f"there is no edge {min(strangers)} in a KAN {list(width)}")
    if inputs is None:
        named = surrogate.inputs is None
        names = surrogate.domain.names
        inputs = names if named else [f"\\xi_{{{i + 1}}}" for i in range(width[0])]
    if outputs is None:
        count = width[-1]
        plain = [f"y{i}" for i in range(count)] if count > 1 else ["y"]
        outputs = plain if isinstance(result, Pruned) else result.fields
    return network_figure(width, links, inputs, outputs)


def plot(
    formula: Formula,
    output: int | None = None,
    *,
    along: str | Sequence[str] | None = None,
    at: Mapping[str, float | int] | None = None,
    nodes: int | None = None,
    ax: style.Given = None,
) -> Any:
    """Draw a formula; the arguments are those of `Formula.plot`."""
    count = len(formula.expressions)
    if output is not None and not (type(output) is int and 0 <= output < count):
        raise InputError(f"output must be an integer from 0 to {count - 1}, got {output!r}")
    outputs = range(count) if output is None else (output,)
    fields = _sample(formula, along, at, nodes)
    size = (4.2, 3.0) if len(fields.axes) == 1 else Sheet(fields.axes).size()
    axes = style.panels(ax, len(outputs), 3, size)
    for panel, number in zip(axes, outputs, strict=True):
        _draw(panel, fields, number)
    return style.returned(axes)


def _sample(
    formula: Formula,
    along: str | Sequence[str] | None = None,
    at: Mapping[str, float | int] | None = None,
    nodes: int | None = None,
) -> GridFields:
    """Evaluate all outputs, named "0", "1", …, on a grid over one or two inputs.

    The arguments are those of `Formula.plot`.
    """
    ranges = dict(zip(map(str, formula.symbols), formula.ranges, strict=True))
    fixed = cards.fixed_values(ranges, at or {})
    free = [name for name in ranges if name not in fixed]
    if along is None:
        along = [name for name in free if ranges[name][0] < ranges[name][1]][:2]
    grid = RegularGrid.of(ranges, cards.varying_names(free, along), nodes, fixed)
    values = {str(number): column for number, column in enumerate(formula(grid.coords).unbind(1))}
    return grid.fields(values, tuple(values))


def _draw(ax: Axes, fields: GridFields, number: int) -> None:
    """Draw the values of an output of a formula on axes, as a curve or in colours.

    Args:
        ax: the axes.
        fields: the values of the formula on a grid.
        number: the number of the output.
    """
    values, label = fields.values[str(number)], "formula"
    if len(fields.fields) > 1:
        label = f"formula of output {number}"
    held = style.cut_title(fields.fixed) if fields.fixed else ""
    if len(fields.axes) == 1:
        ((name, x),) = fields.axes.items()
        plot_lines(ax, name, x, {label: values}, label)
        ax.set_title(held, fontsize=9)
    else:
        title = f"{label}\n{held}" if held else label
        plot_values(ax, Sheet(fields.axes), values, limits_of(values), title)


def card(formula: Formula) -> cards.Card:
    """Return the card that notebooks show for a formula."""
    return cards.Card(
        title="Formula" if len(formula.expressions) == 1 else "Formulas",
        facts=_facts(formula),
        formulas=_mathematics(formula),
        draw=lambda: _picture(formula),
        tables=[edge_table(formula, 12)] if formula.edges else [],
    )


def _facts(formula: Formula) -> Iterator[tuple[str, str]]:
    """Yield the rows (name, text) of a formula's notebook card."""
    yield "text", "; ".join(map(str, formula.expressions))
    yield "relative error", f"{formula.error:.2e}, on rows that no constant was fitted to"
    yield "constants", "all are exact" if formula.exact_constants else "some are decimal numbers"
    if formula.defects:
        words = "it solves the problem up to rounding"
        worst = max(formula.defects, key=lambda defect: defect.relative)
        if not formula.is_identity:
            words = f"the largest defect is that in {worst.name}: {worst.relative:.1e} of the terms"
        yield "as a solution", words
    yield "edges", "of the network itself" if formula.own_edges else "of a smaller network"


def _mathematics(formula: Formula) -> Iterator[str]:
    """Yield the expressions as MathML, which browsers draw without a script."""
    import sympy
    from sympy.printing.mathml import mathml

    # Names are escaped, since names of columns of data may have any characters.
    escaped = {s: sympy.Symbol(html.escape(s.name), **s.assumptions0) for s in formula.symbols}
    for expression in formula.expressions:
        content = mathml(expression.xreplace(escaped), printer="presentation")
        # characters in place of names such as &InvisibleTimes;, which XML lacks
        names = r"&(?!amp;|lt;|gt;|quot;|apos;)\w+;"
        content = re.sub(names, lambda entity: html.unescape(entity[0]), content)
        kind = 'xmlns="http://www.w3.org/1998/Math/MathML" display="inline"'
        yield f"<math {kind}><mrow>{content}</mrow></math>"


def edge_table(formula: Formula, most: int | None = None) -> ShownTable:
    """Return a table of the edges as functions c f(a x + b) + d.

    Args:
        formula: the formula.
        most: the largest number of rows; None for all edges.
    """
    head, rows = ("edge", "function", "a", "b", "c", "d", "R²", "complexity"), []
    for e in formula.edges[:most]:
        numbers = (f"{value:.6g}" for value in (e.a, e.b, e.c, e.d))
        place = f"layer {e.layer}: {e.input} to {e.output}"
        rows.append((place, e.function, *numbers, f"{e.r2:.6f}", f"{e.complexity:g}"))
    left_out = f", {len(rows)} of {len(formula.edges)}" if len(rows) < len(formula.edges) else ""
    return ShownTable(head, rows, f"Edges as c f(a x + b) + d{left_out}")


def _picture(formula: Formula) -> cards.Drawing:
    """Draw the first output over the first one or two inputs."""
    fields = _sample(formula, nodes=cards.SMALL[min(len(formula.symbols), 2)])
    ax = cards.small_axes(Sheet(fields.axes))
    _draw(ax, fields, 0)
    over = " and ".join(fields.axes)
    return cards.Drawing(ax, f"The formula over {over}: {cards.values_words(fields.values['0'])}.")
