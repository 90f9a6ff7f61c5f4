"""The edge functions of a KAN."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kanpinn.jets.jet import Channels, Coordinates, Jet
from kanpinn.networks.beside import Beside
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.networks.network import Network
from kanpinn.plotting.style import BLUE, GREY, ORANGE, ROUND, tidy
from kanpinn.plotting.symbols import symbol
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution

SAMPLES = 200
PLAIN = (-2, 4)  # powers of ten that tick labels carry themselves
TINY = 6


@dataclass(frozen=True, eq=False)
class Edge:
    """One edge function φ: x and y (n,), its grid points, and the range of its activations."""

    source: str
    target: str
    x: numpy.ndarray
    y: numpy.ndarray
    breaks: numpy.ndarray
    seen: tuple[float, float]


@torch.no_grad()
def edges_of(result: Solution | Fitted) -> list[list[Edge]]:
    """The edges of each KAN layer, input by input; empty for other layers.

    The first layer's x are the coordinates themselves, not scaled, or what a problem's `inputs`
    make of them. `seen` is the range of the activations at the points of the first term. Of
    networks side by side the layers follow each other.
    """
    network, fields = result.network, list(result.fields)
    if isinstance(network, Beside):
        layers: list[list[Edge]] = []
        for part in network.parts:
            own, fields = fields[: part.width[-1]], fields[part.width[-1] :]
            layers += _Chain(result, part, own, "".join(map(symbol, own))).edges()
        return layers
    if any(part is not network for part in network.parts):
        return []  # in windows of time they are no one chain of layers
    return _Chain(result, network, fields).edges()


@dataclass(frozen=True)
class _Chain:
    """The layers of one network; title tells its units from those of another."""

    result: Solution | Fitted
    network: Network
    fields: Sequence[str]
    title: str = ""

    def edges(self) -> list[list[Edge]]:
        points = self.result.residuals.terms[0].points
        surrogate = self.result.surrogate
        h: Jet | Coordinates = surrogate.coordinates(points, Channels(points.names))
        layers = []
        for i, layer in enumerate(self.network.layers):
            if isinstance(layer, KANLayer):
                layers.append(list(self._layer_edges(i, layer, h.value)))
            else:
                layers.append([])
            h = layer(h)
        return layers

    def _layer_edges(self, number: int, layer: KANLayer, h: torch.Tensor) -> Iterator[Edge]:
        breaks = layer.breaks
        share = torch.linspace(0, 1, SAMPLES, dtype=breaks.dtype, device=breaks.device)[:, None]
        seen = torch.stack([h.amin(0), h.amax(0)])
        x = torch.lerp(breaks[:, 0].minimum(seen[0]), breaks[:, -1].maximum(seen[1]), share)
        values = layer.edges(x)[:, 0].cpu().numpy()
        if number == 0 and self.result.surrogate.inputs is None:
            x, breaks, seen = (_unscaled(self.result, t) for t in (x, breaks.T, seen))
            breaks = breaks.T
        sources, targets = self._names(number), self._names(number + 1)
        for i, source in enumerate(sources):
            for o, target in enumerate(targets):
                low, high = seen[:, i].tolist()
                column = x[:, i].cpu().numpy()
                grid = breaks[i].cpu().numpy()
                yield Edge(source, target, column, values[:, i, o], grid, (low, high))

    def _names(self, level: int) -> list[str]:
        """Mathtext names of the units before layer `level`."""
        width, surrogate = self.network.width, self.result.surrogate
        if level == 0 and surrogate.inputs is not None:
            return [f"\\xi_{{{i + 1}}}" for i in range(width[0])]
        if level == 0:
            return [symbol(name) for name in surrogate.domain.names]
        if level == len(width) - 1:
            return [self._output(field) for field in self.fields]
        above = [self.title] if self.title else []
        above += [f"({level})"] if len(width) > 3 else []
        mark = f"^{{{''.join(above)}}}" if above else ""
        return [f"h{mark}_{{{i + 1}}}" for i in range(width[level])]

    def _output(self, field: str) -> str:
        """With exact boundary data, or data that are scaled, the network is only a part of it.

        So it is of a coefficient that is looked for.
        """
        surrogate = self.result.surrogate
        sought = dict(zip(self.result.fields, surrogate.coefficients, strict=False)).get(field)
        part = surrogate.output is not None or sought is not None
        return f"N_{{{symbol(field)}}}" if part else symbol(field)


def _unscaled(result: Solution | Fitted, scaled: torch.Tensor) -> torch.Tensor:
    low, high = result.surrogate.low, result.surrogate.high
    return low + (scaled + 1) * (high - low) / 2


def _power(values: numpy.ndarray) -> tuple[int, int]:
    """The power of ten to take out of large and small values, and the digits that tell them."""
    top = float(numpy.abs(values).max())
    if not 0 < top < math.inf:
        return 0, 4
    span = max(float(numpy.ptp(values)) / top, 1e-4)
    power = math.floor(math.log10(top))
    return 0 if PLAIN[0] <= power < PLAIN[1] else power, 3 + math.ceil(-math.log10(min(span, 1)))


def _label(value: float, digits: int) -> str:
    return f"{value:.{digits}g}".replace("-", "−")


def plot_edge(ax: Axes, edge: Edge) -> Axes:
    """One edge function with its grid points as lines, the range of its activations shaded.

    Dotted where activations lie outside the grid and it is continued by its tangent.
    """
    ax.axvspan(*edge.seen, color=ORANGE, alpha=0.18, linewidth=0)
    inside = (edge.x >= edge.breaks[0]) & (edge.x <= edge.breaks[-1])
    ax.plot(edge.x[inside], edge.y[inside], color=BLUE, linewidth=1.2)
    if not inside.all():
        ax.plot(edge.x, edge.y, ":", color=BLUE, linewidth=1.2)
    across = ax.get_xaxis_transform()
    ax.vlines(edge.breaks, 0, 1, color=GREY, linewidth=0.4, alpha=0.5, transform=across)
    power, digits = _power(edge.y)
    unit = f" \\;/\\; 10^{{{power}}}" if power else ""
    ax.set_title(f"${edge.source} \\to {edge.target}{unit}$", fontsize=TINY + 2, pad=2)
    # Matplotlib would write a common power above the axes, into the title.
    ax.yaxis.set_major_formatter(lambda value, _: _label(value / 10.0**power, digits))
    ax.xaxis.set_major_formatter(lambda value, _: _label(value, 4))
    ax.xaxis.set_major_locator(MaxNLocator(3, steps=ROUND))
    ax.yaxis.set_major_locator(MaxNLocator(3, steps=ROUND))
    tidy(ax)
    ax.tick_params(labelsize=TINY, length=2, pad=1)
    ax.margins(x=0.02)
    return ax
