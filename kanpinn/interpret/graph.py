"""KANs as graphs whose edges are splines or formulas, and least-squares fits of graphs to data."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.interpret.univariate import Symbolic
from kanpinn.linalg.qr import fold
from kanpinn.networks.basis import BSplines
from kanpinn.networks.basis.splines import knots_from_breaks
from kanpinn.networks.kan import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers.damping import best_damping
from kanpinn.solvers.fit import Affine


@dataclass(frozen=True)
class Deadline:
    """The processor time of this process, in seconds, after which no further work begins."""

    end: float = math.inf

    @property
    def left(self) -> float:
        """Seconds of processor time until the deadline, negative after it."""
        return self.end - time.process_time()

    @property
    def over(self) -> bool:
        """True if the deadline has passed."""
        return self.left <= 0

    def within(self, seconds: float | int) -> "Deadline":
        """Return a deadline `seconds` from now, or this deadline if it is earlier."""
        return Deadline(min(self.end, time.process_time() + seconds))


NEVER = Deadline()


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
        """Return the zero spline of a degree, on equal intervals over the range of x (n,)."""
        breaks = torch.linspace(float(x.min()), float(x.max()), intervals + 1, dtype=x.dtype)
        knots = knots_from_breaks(breaks[None], degree)[0]
        return cls(knots, degree, x.new_zeros(intervals + degree))

    def moved(self, parameters: Tensor) -> "Spline":
        """Return the spline with other coefficients, (n_basis,)."""
        moved = replace(self, parameters=parameters)
        vars(moved)["_splines"] = self._splines  # the knots are the same: no second table
        return moved

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values (n,) at x (n,)."""
        return self._splines.values(x[:, None], 0)[:, 0, 0] @ self.parameters

    def derivatives(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slope (n,) at x (n,), and the derivatives by the parameters, (n, n_basis)."""
        basis = self._splines.values(x[:, None], 1)[:, :, 0]
        return basis[:, 1] @ self.parameters, basis[:, 0]

    @cached_property
    def _splines(self) -> BSplines:
        """Return the B-splines on the knots."""
        return BSplines(self.knots[None], self.degree)

    @property
    def breaks(self) -> Tensor:
        """The grid points, (intervals + 1,)."""
        return self._splines.breaks[0]

    def on(self, breaks: Tensor) -> "Spline":
        """Return the spline on other grid points.

        The function is unchanged if `breaks`, (intervals + 1,), include the inner grid points.
        """
        finer = self._splines.on(breaks[None])
        coefficients, _ = self._splines.represented(self.parameters[None, :, None], finer)
        return Spline(*finer.as_spline(coefficients[0, :, 0], 0))

    def split(self) -> "Spline":
        """Return this function as a spline with twice as many grid intervals."""
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


EdgeCurve = Spline | Symbolic
Key = tuple[int, int, int]  # layer, input unit, output unit


@dataclass(frozen=True)
class Graph:
    """A layered network in which each unit is the sum or the product of the edges into it.

    Inputs and outputs are unscaled: the affine maps that scale the data are part of the edges.

    Args:
        width: the number of units of each layer, inputs first.
        edges: the curve of each edge (layer, input, output); a missing edge contributes nothing.
        products: the units that multiply, as pairs (layer, output) of the edges into the unit; all
            other units add.

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
        """Return a copy of the graph with other parameters, in the order of `parameters`."""
        keys = sorted(self.edges)
        parts = parameters.split([len(self.edges[key].parameters) for key in keys])
        edges = {k: self.edges[k].moved(part) for k, part in zip(keys, parts, strict=True)}
        return replace(self, edges=edges)

    def with_edge(self, key: Key, curve: EdgeCurve) -> "Graph":
        """Return a copy of the graph with another curve on one edge.

        Args:
            key: the edge, (layer, input, output).
            curve: the curve.
        """
        return replace(self, edges={**self.edges, key: curve})

    def without(self, *keys: Key) -> "Graph":
        """Return a copy of the graph without some edges.

        Args:
            keys: the edges, (layer, input, output) each.
        """
        return replace(self, edges={k: c for k, c in self.edges.items() if k not in keys})

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values (n, m) at x (n, d)."""
        return self.units(x)[-1]

    def units(self, x: Tensor, last: int | None = None) -> list[Tensor]:
        """Return the values of the units at x (n, d), (n, width[l]) for each layer l up to `last`.

        Args:
            last: the index of the last layer of units, 0 for the inputs; by default the outputs.
        """
        values = [x]
        for layer, size in enumerate(self.width[1:][:last]):
            units = [x.new_full((len(x),), float((layer, o) in self.products)) for o in range(size)]
            for key in self._entering(layer):
                _, i, o = key
                value = self.edges[key](values[layer][:, i])
                units[o] = units[o] * value if (layer, o) in self.products else units[o] + value
            values.append(torch.stack(units, dim=1))
        return values

    def arguments(self, key: Key, x: Tensor) -> Tensor:
        """Return the arguments (n,) of an edge's curve at x (n, d)."""
        return self.units(x, key[0])[-1][:, key[1]]

    def _entering(self, layer: int) -> list[Key]:
        """Return the keys of the edges of a layer."""
        return [key for key in self.edges if key[0] == layer]

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values (n, m) and their Jacobian by all parameters, (n, m, parameters).

        For an edge e from unit i to unit o with the curve φ_e and the parameters θ_e,
        ∂y/∂θ_e = (∂y/∂h_o) ∂φ_e(h_i)/∂θ_e, where h are the values of units. This is computed layer
        by layer from the outputs. If unit o is a product, ∂y/∂θ_e is also multiplied by the values
        of the other edges into o.
        """
        units = self.units(x)
        m = self.width[-1]
        sensitivity = torch.eye(m).to(x).expand(len(x), m, m)
        columns: dict[Key, Tensor] = {}
        for layer in reversed(range(self.depth)):
            below = x.new_zeros(len(x), m, self.width[layer])
            for key in self._entering(layer):
                _, i, o = key
                slope, by_parameters = self.edges[key].derivatives(units[layer][:, i])
                above = sensitivity[:, :, o]
                for other in self._entering(layer) if (layer, o) in self.products else ():
                    if other != key and other[2] == o:
                        above = above * self.edges[other](units[layer][:, other[1]])[:, None]
                below[:, :, i] += above * slope[:, None]
                columns[key] = above[:, :, None] * by_parameters[:, None]
            sensitivity = below
        return units[-1], torch.cat([columns[key] for key in sorted(columns)], dim=2)

    def splines(self) -> dict[Key, Spline]:
        """Return the edges whose curves are splines."""
        return {key: curve for key, curve in self.edges.items() if isinstance(curve, Spline)}

    def formulas(self) -> dict[Key, Symbolic]:
        """Return the edges whose curves are formulas."""
        return {key: curve for key, curve in self.edges.items() if isinstance(curve, Symbolic)}


def graph_of(
    network: KAN, low: Tensor, high: Tensor, mean: Tensor | None = None, scale: Tensor | None = None
) -> Graph:
    """Return mean + scale · network(ξ(x)) as a graph; ξ maps [low, high] to [-1, 1]^d affinely.

    Args:
        network: a KAN of splines without base terms.
        low, high: the ends of the inputs' ranges, (d,) each.
        mean, scale: the affine map of the outputs, (m,) each; None for the identity.
    """
    edges: dict[Key, EdgeCurve] = {}
    last = len(network.layers) - 1
    for number, layer in enumerate(network.layers):
        inputs = layer.kept.sum(dim=0)  # the number of edges into each unit
        for i, o in layer.kept.nonzero().tolist():
            c = layer.coefficients.detach()[i, : layer.basis.size, o]
            knots, degree, c = layer.basis.as_spline(c, i)
            if number == 0:
                knots = low[i] + (knots + 1) / 2 * (high[i] - low[i])
            if number == last and mean is not None and scale is not None:
                c = scale[o] * c + mean[o] / inputs[o]  # B-splines sum to one
            edges[number, i, o] = Spline(knots, degree, c)
    return Graph(network.width, edges)


def misfit(values: Tensor, y: Tensor) -> float:
    """Return ‖values - y‖ / ‖y - mean(y)‖ for values and y (n, m); infinity in place of NaN."""
    error = float(torch.linalg.norm(values - y) / torch.linalg.norm(y - y.mean(dim=0)))
    return error if math.isfinite(error) else math.inf


def relative_error(graph: Graph, x: Tensor, y: Tensor) -> float:
    """Return the `misfit` of a graph's values at x (n, d) to y (n, m)."""
    return misfit(graph(x), y)


def split_layer(graph: Graph, layer: int) -> Graph:
    """Return a graph of the same function, with all grid intervals of one layer's splines halved.

    Args:
        graph: the graph.
        layer: the index of the layer.
    """
    finer = {key: curve.split() for key, curve in graph.splines().items() if key[0] == layer}
    return replace(graph, edges={**graph.edges, **finer})


STALLED = 0.03  # a step that lowers the sum of squares by a smaller share is idle
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

    The fit ends after `steps` steps, at the deadline, after three consecutive steps that lower the
    sum of squares by less than 3 %, if no step lowers it, or if the Jacobian is not finite. Splines
    are extended if their arguments leave the grid.

    Args:
        graph: the graph with the initial parameters.
        x: the inputs, (n, d).
        y: the targets, (n, m).
        steps: the largest number of steps.
        free: the mask of the parameters that may change, (parameters,); None for all.
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
        start, chosen = graph.parameters, slice(None) if free is None else free

        def moved(d: float) -> Graph:
            """Return the graph after a step with the damping d."""
            parameters = start.clone()  # noqa: B023
            parameters[chosen] += moves.step(d)  # noqa: B023
            return graph.moved(parameters)  # noqa: B023

        at = lambda d: _loss(moved(d), x, y)  # noqa: E731
        damping, reached, _ = best_damping(at, damping, loss)
        if not reached < loss:
            break
        graph = covering(moved(damping), x)
        idle = idle + 1 if reached > (1 - STALLED) * loss else 0
        loss = reached
        if idle >= IDLE:
            break
    return graph


def covering(graph: Graph, x: Tensor) -> Graph:
    """Return the graph with its splines extended to cover their arguments at x (n, d)."""
    for layer in range(graph.depth):
        units = graph.units(x, layer)[-1]
        for key, curve in graph.splines().items():
            if key[0] == layer:
                graph = graph.with_edge(key, curve.covering(units[:, key[1]]))
    return graph


def _loss(graph: Graph, x: Tensor, y: Tensor) -> float:
    """Return the sum of squared errors of a graph for data (x, y), infinity if it is not finite."""
    loss = float((graph(x) - y).square().sum())
    return loss if math.isfinite(loss) else math.inf


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of data to which formulas are fitted, and separate rows on which they are judged.

    Args:
        x, y: the inputs and targets for fits, (n, d) and (n, m).
        xv, yv: the inputs and targets for judging, (k, d) and (k, m).
        names: the names of the inputs.
    """

    x: Tensor
    y: Tensor
    xv: Tensor
    yv: Tensor
    names: tuple[str, ...]

    def error(self, graph: Graph) -> float:
        """Return the relative error of a graph on the rows for judging.

        Splines are extended first, since these rows may lie outside the range of the rows for fits.
        """
        return misfit(covering(graph, self.xv)(self.xv), self.yv)


def own_graph(surrogate: Surrogate) -> Graph | None:
    """Return a surrogate's network as a graph that includes the scalings of inputs and outputs.

    The result is None if the network is not a KAN of splines alone (without base terms and
    enrichment), if the network's inputs are functions of the coordinates, or if the output map is
    not affine, as with exact boundary data.
    """
    network, output = surrogate.network, surrogate.output
    if surrogate.inputs is not None or network.enrichment is not None:
        return None
    if not isinstance(network, KAN) or any(layer.base for layer in network.layers):
        return None
    affine: tuple[Tensor, ...] = ()
    if output is not None:
        if not isinstance(output, Affine):
            return None
        affine = output.mean, output.deviation
    return graph_of(network, surrogate.low, surrogate.high, *affine)
