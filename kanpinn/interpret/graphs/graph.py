"""A KAN as a graph in the data's coordinates, whose edges are splines or formulas."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.interpret.graphs.curves import EdgeCurve, Spline, Symbolic
from kanpinn.networks.kan import KAN

Key = tuple[int, int, int]  # layer, input unit, output unit


@dataclass(frozen=True)
class Graph:
    """A layered network in which each unit is the sum or the product of the edges into it.

    Inputs and outputs are in the data's coordinates: affine maps are part of the edges.

    Args:
        width: the number of units of each layer, inputs first.
        edges: the curve of each edge (layer, input, output); a missing edge contributes nothing.
        products: the units that multiply, as (layer of the edges into it, output); all others add.

    Example:
        >>> import torch
        >>> from kanpinn.interpret import LIBRARY, Graph, Symbolic
        >>> square = Symbolic(LIBRARY["x^2"], a=1.0, b=0.0, c=1.0, d=0.0)
        >>> graph = Graph((2, 1), {(0, 0, 0): square, (0, 1, 0): square})
        >>> len(graph.edges)
        2
    """

    width: tuple[int, ...]
    edges: Mapping[Key, EdgeCurve]
    products: frozenset[tuple[int, int]] = frozenset()

    @property
    def depth(self) -> int:
        """The number of layers of edges."""
        return len(self.width) - 1

    @property
    def parameters(self) -> Tensor:
        """The parameters of all curves in one vector, (parameters,), in the order of the keys."""
        return torch.cat([self.edges[key].parameters for key in sorted(self.edges)])

    def moved(self, parameters: Tensor) -> "Graph":
        """Return the same graph with other parameters, (parameters,)."""
        keys = sorted(self.edges)
        parts = parameters.split([len(self.edges[key].parameters) for key in keys])
        edges = {k: self.edges[k].moved(part) for k, part in zip(keys, parts, strict=True)}
        return replace(self, edges=edges)

    def with_edge(self, key: Key, curve: EdgeCurve) -> "Graph":
        """Return the same graph with another curve on one edge."""
        return replace(self, edges={**self.edges, key: curve})

    def without(self, *keys: Key) -> "Graph":
        """Return the same graph without these edges."""
        return replace(self, edges={k: c for k, c in self.edges.items() if k not in keys})

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values (n, m) at x (n, d)."""
        return self.units(x)[-1]

    def units(self, x: Tensor, last: int | None = None) -> list[Tensor]:
        """Return the values of the units at x (n, d), (n, width[l]) for each layer l up to `last`.

        By default `last` is the layer of the outputs.
        """
        values = [x]
        for layer, size in enumerate(self.width[1:][:last]):
            units = [x.new_full((len(x),), float((layer, o) in self.products)) for o in range(size)]
            for key in self._entering(layer):
                _, i, o = key
                units[o] = self._joined(key, units[o], self.edges[key](values[layer][:, i]))
            values.append(torch.stack(units, dim=1))
        return values

    def arguments(self, key: Key, x: Tensor) -> Tensor:
        """Return the arguments (n,) of an edge's curve at x (n, d)."""
        return self.units(x, key[0])[-1][:, key[1]]

    def _entering(self, layer: int) -> list[Key]:
        return [key for key in self.edges if key[0] == layer]

    def _joined(self, key: Key, unit: Tensor, value: Tensor) -> Tensor:
        return unit * value if key[0::2] in self.products else unit + value

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values (n, m) and their Jacobian by all parameters, (n, m, parameters).

        ∂y/∂θ_e = (∂y/∂h_o) ∂φ_e(h_i)/∂θ_e for an edge e from i to o, computed layer by layer from
        the outputs; if o multiplies, the derivative is multiplied by its other factors.
        """
        units = self.units(x)
        m = self.width[-1]
        sensitivity = torch.eye(m).to(x).expand(len(x), m, m)
        columns: dict[Key, Tensor] = {}
        for layer in reversed(range(self.depth)):
            below = x.new_zeros(len(x), m, self.width[layer])
            for key in self._entering(layer):
                _, i, o = key
                slope, own = self.edges[key].derivatives(units[layer][:, i])
                above = sensitivity[:, :, o] * self._others(key, units[layer])[:, None]
                below[:, :, i] += above * slope[:, None]
                columns[key] = above[:, :, None] * own[:, None]
            sensitivity = below
        return units[-1], torch.cat([columns[key] for key in sorted(columns)], dim=2)

    def _others(self, key: Key, units: Tensor) -> Tensor:
        """Return the product of the other factors of the edge's unit, (n,); 1 if the unit adds."""
        product = units.new_ones(len(units))
        if key[0::2] in self.products:
            for other in self._entering(key[0]):
                if other != key and other[2] == key[2]:
                    product = product * self.edges[other](units[:, other[1]])
        return product

    def splines(self) -> dict[Key, Spline]:
        """Return the edges whose curves are splines."""
        return {key: curve for key, curve in self.edges.items() if isinstance(curve, Spline)}

    def formulas(self) -> dict[Key, Symbolic]:
        """Return the edges whose curves are formulas."""
        return {key: curve for key, curve in self.edges.items() if isinstance(curve, Symbolic)}


def graph_of(
    network: KAN, low: Tensor, high: Tensor, mean: Tensor | None = None, scale: Tensor | None = None
) -> Graph:
    """Return mean + scale · network(ξ(x)) as a graph, ξ the affine map of [low, high] to [-1, 1]^d.

    Args:
        network: a KAN of splines without base terms.
        low, high: the ends of the inputs' ranges, (d,).
        mean, scale: the affine map of the outputs, (m,) each; none by default.
    """
    edges: dict[Key, EdgeCurve] = {}
    last = len(network.layers) - 1
    for number, layer in enumerate(network.layers):
        inputs = layer.coefficients.shape[0]
        for i, o in layer.kept.nonzero().tolist():
            own = layer.coefficients.detach()[i, : layer.basis.size, o]
            knots, degree, c = layer.basis.as_spline(own, i)
            if number == 0:
                knots = low[i] + (knots + 1) / 2 * (high[i] - low[i])
            if number == last and mean is not None and scale is not None:
                c = scale[o] * c + mean[o] / inputs  # B-splines sum to one
            edges[number, i, o] = Spline(knots, degree, c)
    return Graph(network.width, edges)


def relative_error(graph: Graph, x: Tensor, y: Tensor) -> float:
    """Return ‖graph(x) - y‖ / ‖y - mean(y)‖, infinite if it is not finite; x (n, d), y (n, m)."""
    spread = torch.linalg.norm(y - y.mean(dim=0))
    error = float(torch.linalg.norm(graph(x) - y) / spread)
    return error if math.isfinite(error) else math.inf


def split_layer(graph: Graph, layer: int) -> Graph:
    """Return the same graph with twice as many grid intervals on the splines of one layer."""
    finer = {key: curve.split() for key, curve in graph.splines().items() if key[0] == layer}
    return replace(graph, edges={**graph.edges, **finer})


def check_edges(graph: Graph, keys: Iterable[Key]) -> None:
    """Check that a graph has these edges.

    Raises:
        InputError: if an edge is missing; the message lists the edges of the graph.
    """
    for key in keys:
        if key not in graph.edges:
            known = ", ".join(str(k) for k in sorted(graph.edges))
            raise InputError(f"there is no edge {tuple(key)}: (layer, input, output) is of {known}")
