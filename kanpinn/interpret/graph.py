"""KANs as graphs whose edges are splines or formulas, and their fits to data."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.interpret.deadline import NEVER, Deadline
from kanpinn.interpret.univariate import Symbolic
from kanpinn.linalg.qr import DampedSteps, fold
from kanpinn.networks.basis import BSplines
from kanpinn.networks.basis.splines import knots_from_breaks
from kanpinn.networks.kan import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers.output_layer import best_damping
from kanpinn.solvers.fit import Affine


@runtime_checkable
class EdgeCurve(Protocol):
    """A function of one variable with parameters."""

    @property
    def parameters(self) -> Tensor:
        """The parameters that a refit may change, (parameters,)."""

    def moved(self, parameters: Tensor) -> "EdgeCurve":
        """Return the same kind of curve with other parameters."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values (n,) at x (n,)."""

    def derivatives(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slope (n,) and the derivatives by the parameters, (n, parameters)."""


@dataclass(frozen=True)
class Spline:
    """The spline Σ_j c_j B_j(x).

    Args:
        knots: the knots, (n_basis + degree + 1,).
        degree: the degree of the B-splines.
        parameters: the coefficients c, (n_basis,).

    Example:
        >>> import torch
        >>> from kanpinn.interpret import Spline
        >>> knots = torch.linspace(-3, 3, 7, dtype=torch.float64)
        >>> Spline(knots, degree=2, parameters=torch.ones(4, dtype=torch.float64)).degree
        2
    """

    knots: Tensor
    degree: int
    parameters: Tensor

    @classmethod
    def zero(cls, x: Tensor, degree: int, intervals: int) -> "Spline":
        """Return the zero spline on the range of x (n,)."""
        breaks = torch.linspace(float(x.min()), float(x.max()), intervals + 1, dtype=x.dtype)
        knots = knots_from_breaks(breaks[None], degree)[0]
        return cls(knots, degree, x.new_zeros(intervals + degree))

    def moved(self, parameters: Tensor) -> "Spline":
        moved = replace(self, parameters=parameters)
        vars(moved)["_splines"] = self._splines  # the same knots: no second table of them
        return moved

    def __call__(self, x: Tensor) -> Tensor:
        return self._basis(x, 0)[:, 0] @ self.parameters

    def derivatives(self, x: Tensor) -> tuple[Tensor, Tensor]:
        basis = self._basis(x, 1)
        return basis[:, 1] @ self.parameters, basis[:, 0]

    def _basis(self, x: Tensor, order: int) -> Tensor:
        return self._splines.values(x[:, None], order)[:, :, 0]

    @cached_property
    def _splines(self) -> BSplines:
        return BSplines(self.knots[None], self.degree)

    @property
    def breaks(self) -> Tensor:
        """The grid points, (intervals + 1,)."""
        return self._splines.breaks[0]

    def on(self, breaks: Tensor) -> "Spline":
        """Return the spline on other grid points.

        It is the same function if they include the inner grid points of this spline.
        """
        finer = self._splines.on(breaks[None])
        coefficients, _ = self._splines.represented(self.parameters[None, :, None], finer)
        return Spline(*finer.as_spline(coefficients[0, :, 0], 0))

    def split(self) -> "Spline":
        """Return the same function on twice as many grid intervals."""
        breaks = self.breaks
        middles = (breaks[1:] + breaks[:-1]) / 2
        return self.on(torch.cat([breaks, middles]).sort().values)

    def covering(self, x: Tensor) -> "Spline":
        """Return the spline with its first and last interval extended to cover all of x (n,)."""
        low, high, breaks = float(x.min()), float(x.max()), self.breaks.clone()
        if low >= breaks[0] and high <= breaks[-1]:
            return self
        pad = 0.02 * (high - low)
        breaks[0] = min(float(breaks[0]), low - pad)
        breaks[-1] = max(float(breaks[-1]), high + pad)
        return self.on(breaks)


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


STALLED = 0.03  # a step that reduces the sum of squares by a smaller share counts as idle
IDLE = 3  # consecutive idle steps after which a refit ends


def refit(
    graph: Graph,
    x: Tensor,
    y: Tensor,
    steps: int = 20,
    free: Tensor | None = None,
    deadline: Deadline = NEVER,
) -> Graph:
    """Return the graph with its parameters fitted to data by damped Gauss–Newton steps.

    The fit ends after `steps`, at the deadline, after three consecutive steps that gain little, or
    where no step reduces the loss or the Jacobian is not finite. Splines are extended where their
    arguments leave the grid.

    Args:
        graph: the graph with the initial parameters.
        x: the inputs, (n, d).
        y: the targets, (n, m).
        steps: the largest number of steps.
        free: a mask of the parameters that may change, (parameters,); all by default.
        deadline: the time after which no further step begins.
    """
    start_damping = 1e-3
    graph = covering(graph, x)
    damping, idle = start_damping, 0
    loss = _loss(graph, x, y)
    for _ in range(steps):
        if deadline.over:
            break
        values, jacobian = graph.jacobian(x)
        if not bool(jacobian.isfinite().all()):
            break  # at the end of a function's domain, such as sqrt at 0
        rows = jacobian.flatten(0, 1)
        moves = fold([(rows if free is None else rows[:, free], (values - y).flatten())]).damped()
        moved = partial(_moved, graph, moves, free)
        at = lambda d: _loss(moved(d), x, y)  # noqa: B023, E731
        damping, reached, _ = best_damping(at, damping, loss)
        if not reached < loss:
            break
        graph = covering(moved(damping), x)
        idle = idle + 1 if reached > (1 - STALLED) * loss else 0
        loss = reached
        if idle >= IDLE:
            break
    return graph


def _moved(graph: Graph, moves: DampedSteps, free: Tensor | None, damping: float) -> Graph:
    step = moves.step(damping)
    parameters = graph.parameters
    if free is None:
        return graph.moved(parameters + step)
    parameters[free] += step
    return graph.moved(parameters)


def covering(graph: Graph, x: Tensor) -> Graph:
    """Extend the splines of a graph to cover the arguments that they get at x (n, d)."""
    for layer in range(graph.depth):
        units = graph.units(x, layer)[-1]
        for key, curve in graph.splines().items():
            if key[0] == layer:
                graph = graph.with_edge(key, curve.covering(units[:, key[1]]))
    return graph


def _loss(graph: Graph, x: Tensor, y: Tensor) -> float:
    loss = float((graph(x) - y).square().sum())
    return loss if math.isfinite(loss) else math.inf


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of data to fit formulas to, and separate rows to judge them by.

    Args:
        x, y: the rows to fit to, (n, d) and (n, m).
        xv, yv: the rows to judge by, (k, d) and (k, m).
        names: the names of the inputs.
    """

    x: Tensor
    y: Tensor
    xv: Tensor
    yv: Tensor
    names: tuple[str, ...]

    def error(self, graph: Graph) -> float:
        """Return the relative error of a graph on the rows to judge by.

        Splines are extended first, since these rows may lie outside the range of the others.
        """
        return relative_error(covering(graph, self.xv), self.xv, self.yv)

    def relative(self, difference: Tensor) -> float:
        """Return ‖difference‖ / ‖yv - mean(yv)‖ for a difference to yv, (k, m)."""
        norm = torch.linalg.norm
        return float(norm(difference) / norm(self.yv - self.yv.mean(dim=0)))


def own_graph(surrogate: Surrogate) -> Graph | None:
    """Return a surrogate's graph, or None if it is not a KAN of splines and affine maps alone."""
    network, output = surrogate.network, surrogate.output
    if surrogate.inputs is not None or network.enrichment is not None:
        return None
    if not isinstance(network, KAN) or any(layer.base for layer in network.layers):
        return None
    if output is None:
        return graph_of(network, surrogate.low, surrogate.high)
    if not isinstance(output, Affine):
        return None
    return graph_of(network, surrogate.low, surrogate.high, output.mean, output.deviation)
