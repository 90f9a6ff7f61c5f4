"""Plots of the edge functions of a KAN."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kanpinn.geometry import Points
from kanpinn.networks.combined import Beside
from kanpinn.networks.kan import KANLayer
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.plotting.style import BLUE, GREY, ORANGE, STYLE, new_figure, symbol, tidy
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class Edge:
    """One edge function φ of a KAN, sampled at n points.

    Args:
        source, target: the names of the units that the edge joins, in mathtext.
        x, y: the arguments and the values of φ, (n,) each.
        breaks: the grid points of φ.
        seen: the least and the greatest activation of the source unit.
    """

    source: str
    target: str
    x: numpy.ndarray
    y: numpy.ndarray
    breaks: numpy.ndarray
    seen: tuple[float, float]


@torch.no_grad()
def edges_of(result: Solution | Fitted) -> list[list[Edge]]:
    """Return the edges of each KAN layer, ordered by input, then output; [] for other layers.

    The arguments of the first layer's edges are the unscaled coordinates or, if the problem defines
    `inputs`, these inputs. `Edge.seen` is the range of the activations at the points of the first
    loss term. The layers of networks side by side follow each other. The result is [] for networks
    in time windows.
    """
    network, surrogate = result.network, result.surrogate
    chains: list[tuple[Network, list[str], str]] = [(network, list(result.fields), "")]
    if isinstance(network, Beside):
        chains, rest = [], iter(result.fields)
        for part in network.parts:
            fields = list(itertools.islice(rest, part.width[-1]))
            # The fields of a part distinguish its hidden units from those of the other parts.
            chains.append((part, fields, "".join(map(symbol, fields))))
    elif any(part is not network for part in network.parts):
        return []  # the networks of time windows do not form one chain of layers
    points = result.residuals.terms[0].points
    layers: list[list[Edge]] = []
    for part, fields, title in chains:
        ranges = activation_ranges(surrogate, points, part)
        for number, (layer, seen) in enumerate(zip(part.layers, ranges, strict=False)):
            layers.append([])
            if not isinstance(layer, KANLayer):
                continue
            breaks = layer.basis.breaks
            share = torch.linspace(0, 1, 200, dtype=breaks.dtype, device=breaks.device)[:, None]
            x = torch.lerp(breaks[:, 0].minimum(seen[0]), breaks[:, -1].maximum(seen[1]), share)
            values, grids = layer.edges(x)[:, 0].cpu().numpy(), breaks.T
            if number == 0 and surrogate.inputs is None:  # the inputs are scaled coordinates
                low, high = surrogate.low, surrogate.high
                x, grids, seen = (low + (t + 1) * (high - low) / 2 for t in (x, grids, seen))
            ends = [_unit_names(result, part, fields, title, number + i) for i in range(2)]
            for i, source in enumerate(ends[0]):
                column, grid = x[:, i].cpu().numpy(), grids[:, i].cpu().numpy()
                least, most = seen[:, i].tolist()
                for target, curve in zip(ends[1], values[:, i].T, strict=True):
                    layers[-1].append(Edge(source, target, column, curve, grid, (least, most)))
    return layers


def activation_ranges(
    surrogate: Surrogate, points: Points, part: Network | None = None
) -> list[torch.Tensor]:
    """Return the least and greatest values of each layer's inputs at points, (2, n_in) each.

    Args:
        surrogate: the surrogate.
        points: the points.
        part: the network whose layers are meant, one of several networks side by side; None for the
            surrogate's whole network.
    """
    chunks = surrogate.activations(points, part)
    blocks = [[torch.stack(h.aminmax(dim=0)) for h in inputs] for inputs in chunks]
    return [torch.stack(torch.cat(ends).aminmax(dim=0)) for ends in zip(*blocks, strict=True)]


def _unit_names(
    result: Solution | Fitted, network: Network, fields: Sequence[str], title: str, level: int
) -> list[str]:
    """Return the names of the units of a level in mathtext; level 0 has the inputs.

    An output is called N_u, not u, if the field u is a function of the network's output: with
    exact boundary data, with scaled data, or for an unknown coefficient.

    Args:
        result: the solution or the fit.
        network: the network, or one of several networks side by side.
        fields: the names of the fields, one for each output of the network.
        title: an upper index that distinguishes hidden units of networks side by side, or "".
        level: 0 for the inputs, k for the outputs of the k-th layer.
    """
    width, surrogate = network.width, result.surrogate
    if level == 0 and surrogate.inputs is not None:
        return [f"\\xi_{{{i + 1}}}" for i in range(width[0])]
    if level == 0:
        return [symbol(name) for name in surrogate.domain.names]
    if level == len(width) - 1:
        sought = dict(zip(result.fields, surrogate.coefficients, strict=False))
        parts = [surrogate.output is not None or sought.get(f) is not None for f in fields]
        names = zip(map(symbol, fields), parts, strict=True)
        return [f"N_{{{name}}}" if part else name for name, part in names]
    above = [title] if title else []
    above += [f"({level})"] if len(width) > 3 else []
    mark = f"^{{{''.join(above)}}}" if above else ""
    return [f"h{mark}_{{{i + 1}}}" for i in range(width[level])]


def plot_edge(ax: Axes, edge: Edge) -> Axes:
    """Plot one edge function with its grid points as lines and the range of activations shaded.

    The curve is dotted outside the grid, where the function is continued by its tangent.
    """
    tiny = 6  # font size in points: a figure has many edges
    ax.axvspan(*edge.seen, color=ORANGE, alpha=0.18, linewidth=0)
    inside = (edge.x >= edge.breaks[0]) & (edge.x <= edge.breaks[-1])
    ax.plot(edge.x[inside], edge.y[inside], color=BLUE, linewidth=1.2)
    if not inside.all():
        ax.plot(edge.x, edge.y, ":", color=BLUE, linewidth=1.2)
    across = ax.get_xaxis_transform()
    ax.vlines(edge.breaks, 0, 1, color=GREY, linewidth=0.4, alpha=0.5, transform=across)
    # A power of ten is factored out of the tick labels of very large and very small values. The
    # labels have as many digits as they need to differ.
    power, digits, largest = 0, 4, float(numpy.abs(edge.y).max())
    if 0 < largest < math.inf:
        exponent = math.floor(math.log10(largest))
        power = 0 if -2 <= exponent < 4 else exponent
        relative = min(max(float(numpy.ptp(edge.y)) / largest, 1e-4), 1.0)
        digits = 3 + math.ceil(-math.log10(relative))
    over = f" \\;/\\; 10^{{{power}}}" if power else ""
    ax.set_title(f"${edge.source} \\to {edge.target}{over}$", fontsize=tiny + 2, pad=2)
    # Matplotlib would write a common power above the axes, into the title.
    for axis, unit, count in ((ax.xaxis, 1.0, 4), (ax.yaxis, 10.0**power, digits)):
        form = lambda x, _, unit=unit, count=count: f"{x / unit:.{count}g}".replace("-", "−")  # noqa: E731
        axis.set_major_formatter(form)
        axis.set_major_locator(MaxNLocator(3, steps=STYLE.round))
    tidy(ax)
    ax.tick_params(labelsize=tiny, length=2, pad=1)
    ax.margins(x=0.02)
    return ax


def edges_figure(layers: list[list[Edge]]) -> Figure:
    """Return a figure of the edge functions; if there are more than 60, 12 of each layer.

    Args:
        layers: the edges of each layer, from `edges_of`.
    """
    total = most = sum(len(edges) for edges in layers)
    title = "edge functions; lines: grid points, shaded: activations"
    if total > 60:
        most = 12
        counts = ", ".join(f"{min(most, len(edges))} of {len(edges)}" for edges in layers if edges)
        title += f"; shown of each layer: {counts}"
    shown = [edges[:most] for edges in layers]
    columns = min(6, max(len(edges) for edges in shown))
    rows = sum(-(-len(edges) // columns) for edges in shown)  # each layer begins a row
    width, height = max(4.5, 1.7 * columns), 1.4 * rows + 0.45
    figure = new_figure(width, height, layout=None)  # the sizes are known: no layout to solve
    figure.subplots_adjust(0.5 / width, 0.25 / height, 1 - 0.1 / width, 1 - 0.55 / height)
    gaps = {"wspace": 0.36, "hspace": 0.42}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=gaps)
    panels = iter(grid.flat)
    for edges in shown:
        for edge in edges:
            plot_edge(next(panels), edge)
        for _ in range(-len(edges) % columns):
            next(panels).set_axis_off()
    figure.text(0.5, 1 - 0.12 / height, title, ha="center", va="top", fontsize=9)
    return figure
