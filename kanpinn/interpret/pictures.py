"""The picture of a KAN with its edge functions, the card of a formula, and `Formula.plot`."""

import html
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn._support.errors import InputError
from kanpinn.interpret.formula import Formula
from kanpinn.interpret.pruning import Pruned, Result, kan_of, score_edges
from kanpinn.plotting.card import (
    SMALL,
    Card,
    Drawing,
    fixed_values,
    small_axes,
    values_words,
    varying_names,
)
from kanpinn.plotting.edges import activation_ranges
from kanpinn.plotting.fields import Sheet, limits_of, plot_lines, plot_values
from kanpinn.plotting.network import Link, network_figure
from kanpinn.plotting.style import Given, cut_title, panels, returned
from kanpinn.solvers.grid_fields import GridFields, RegularGrid
from kanpinn.solvers.summary import ShownTable


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
        inputs, outputs: the names of the inputs and outputs, by default the result's own.

    Raises:
        InputError: if the network is not a KAN, or `symbolic` or the names do not fit it.

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
    samples = 120  # of each edge function, over the range of its arguments at the loss's points
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
    ax: Given = None,
) -> Any:
    """Draw a formula; the arguments are those of `Formula.plot`."""
    count = len(formula.expressions)
    if output is not None and not (type(output) is int and 0 <= output < count):
        raise InputError(f"output must be an integer from 0 to {count - 1}, got {output!r}")
    outputs = range(count) if output is None else (output,)
    fields = _sample(formula, along, at, nodes)
    size = (4.2, 3.0) if len(fields.axes) == 1 else Sheet(fields.axes).size()
    axes = panels(ax, len(outputs), 3, size)
    for panel, number in zip(axes, outputs, strict=True):
        _draw(panel, fields, number)
    return returned(axes)


def _sample(
    formula: Formula,
    along: str | Sequence[str] | None = None,
    at: Mapping[str, float | int] | None = None,
    nodes: int | None = None,
) -> GridFields:
    """Evaluate all outputs over one or two inputs, by the names "0", "1", …"""
    ranges = dict(zip(map(str, formula.symbols), formula.ranges, strict=True))
    fixed = fixed_values(ranges, at or {})
    free = [name for name in ranges if name not in fixed]
    if along is None:
        along = [name for name in free if ranges[name][0] < ranges[name][1]][:2]
    grid = RegularGrid.of(ranges, varying_names(free, along), nodes, fixed)
    values = {str(number): column for number, column in enumerate(formula(grid.coords).unbind(1))}
    return grid.fields(values, tuple(values))


def _draw(ax: Axes, fields: GridFields, number: int) -> None:
    values, label = fields.values[str(number)], "formula"
    if len(fields.fields) > 1:
        label = f"formula of output {number}"
    held = cut_title(fields.fixed) if fields.fixed else ""
    if len(fields.axes) == 1:
        ((name, x),) = fields.axes.items()
        plot_lines(ax, name, x, {label: values}, label)
        ax.set_title(held, fontsize=9)
    else:
        title = f"{label}\n{held}" if held else label
        plot_values(ax, Sheet(fields.axes), values, limits_of(values), title)


def card(formula: Formula) -> Card:
    """Return the card of a formula."""
    return Card(
        title="Formula" if len(formula.expressions) == 1 else "Formulas",
        facts=_facts(formula),
        formulas=_mathematics(formula),
        draw=lambda: _picture(formula),
        tables=[edge_table(formula, 12)] if formula.edges else [],
    )


def _facts(formula: Formula) -> Iterator[tuple[str, str]]:
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

    # Names are written as they are: those of columns of data may have any characters.
    escaped = {s: sympy.Symbol(html.escape(s.name), **s.assumptions0) for s in formula.symbols}
    for expression in formula.expressions:
        content = mathml(expression.xreplace(escaped), printer="presentation")
        # characters in place of names such as &InvisibleTimes;, which XML lacks
        names = r"&(?!amp;|lt;|gt;|quot;|apos;)\w+;"
        content = re.sub(names, lambda entity: html.unescape(entity[0]), content)
        yield (
            '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline">'
            f"<mrow>{content}</mrow></math>"
        )


def edge_table(formula: Formula, most: int | None = None) -> ShownTable:
    """Return the table of the edges as functions c f(a x + b) + d, at most `most` of them."""
    head, rows = ("edge", "function", "a", "b", "c", "d", "R²", "complexity"), []
    for e in formula.edges[:most]:
        numbers = (f"{value:.6g}" for value in (e.a, e.b, e.c, e.d))
        place = f"layer {e.layer}: {e.input} to {e.output}"
        rows.append((place, e.function, *numbers, f"{e.r2:.6f}", f"{e.complexity:g}"))
    left_out = f", {len(rows)} of {len(formula.edges)}" if len(rows) < len(formula.edges) else ""
    return ShownTable(head, rows, f"Edges as c f(a x + b) + d{left_out}")


def _picture(formula: Formula) -> Drawing:
    """Draw the first output over the first input, or over the first two."""
    fields = _sample(formula, nodes=SMALL[min(len(formula.symbols), 2)])
    ax = small_axes(Sheet(fields.axes))
    _draw(ax, fields, 0)
    over = " and ".join(fields.axes)
    return Drawing(ax, f"The formula over {over}: {values_words(fields.values['0'])}.")
