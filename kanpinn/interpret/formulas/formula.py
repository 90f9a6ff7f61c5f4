"""The formula read off a network: its expressions, edges, error and defects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.shown import Shown
from kanpinn.geometry import Points
from kanpinn.interpret.formulas.composition import compose, evaluate_expression
from kanpinn.interpret.formulas.normal import normal_form
from kanpinn.interpret.formulas.rounding import rounded
from kanpinn.interpret.formulas.simplify import simplest
from kanpinn.interpret.graphs.graph import Graph
from kanpinn.interpret.graphs.rows import Rows
from kanpinn.jets import Channels, Jet, jet_of
from kanpinn.pde.problem import Problem
from kanpinn.pde.verify import Defect, defects_of


@dataclass(frozen=True)
class EdgeRow:
    """One edge of the network as c f(a x + b) + d.

    r2 is the squared correlation of this curve's values with those of the original edge.

    Example:
        >>> from kanpinn.interpret import EdgeRow
        >>> row = EdgeRow(0, 0, 0, "sin", a=3.0, b=0.0, c=1.0, d=0.0, r2=1.0, complexity=2)
        >>> row.function, row.r2
        ('sin', 1.0)
    """

    layer: int
    input: int
    output: int
    function: str
    a: float
    b: float
    c: float
    d: float
    r2: float
    complexity: float | int


@dataclass(frozen=True, eq=False, repr=False)
class Formula(Shown):
    """A formula for each output of a network; a call returns its values.

    Notebooks show its mathematics, with a picture.

    Args:
        expressions: the simplified sympy expressions, one for each output.
        symbols: the sympy symbols of the inputs.
        error: ‖formula - data‖ / ‖data - mean‖ on rows that no constant was fitted to.
        exact_constants: whether all constants were recognised (π, 1/2, …), so that none is a float.
        edges: the edges of the network as functions, in the normal form of the graph.
        defects: the formula's defects in the equation and the conditions of a solution; none for a
            fit.
        graph: the graph of the edges.
        ranges: the least and the greatest value of each input in the rows that it was found from.
        own_edges: whether the edges are those of the result's own network; otherwise they are those
            of a smaller network fitted to its values.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import interpret
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, x**2))
        >>> formula = interpret(fitted, ["x^2"])
        >>> formula.expressions, formula.exact_constants
        ((x0**2,), True)
    """

    shown_by = "kanpinn.interpret.formulas.notebook"

    expressions: tuple[Any, ...]
    symbols: tuple[Any, ...]
    error: float
    exact_constants: bool
    edges: tuple[EdgeRow, ...]
    defects: tuple[Defect, ...]
    graph: Graph
    ranges: tuple[tuple[float, float], ...]
    own_edges: bool = False

    def __repr__(self) -> str:
        return f"<Formula {'; '.join(map(str, self.expressions))}: relative error {self.error:.1e}>"

    @property
    def expression(self) -> Any:
        """The formula of the first output."""
        return self.expressions[0]

    @property
    def latex(self) -> str:
        """The formula of the first output in LaTeX."""
        import sympy

        return str(sympy.latex(self.expression))

    @property
    def is_identity(self) -> bool:
        """True if the formula solves the problem up to rounding; False for a fit."""
        identity = 1e-10  # relative defect that counts as rounding
        return bool(self.defects) and all(d.relative <= identity for d in self.defects)

    @property
    def complexity(self) -> int:
        """The number of operations in all expressions."""
        return sum(int(e.count_ops()) for e in self.expressions)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values (n, m) at rows of inputs (n, d)."""
        return _values(self.expressions, self.symbols, x)

    def plot(
        self,
        output: int | None = None,
        *,
        along: str | Sequence[str] | None = None,
        at: Mapping[str, float | int] | None = None,
        nodes: int | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw the formula over its inputs' ranges: lines over one input, maps over two.

        Args:
            output: the number of an output, from 0; by default there is a panel for each.
            along: the name of the input, or the names of two, that vary; by default the first two.
            at: values of the other inputs, by name; by default the centres of their ranges.
            nodes: points along each axis; by default 401 of a line, 129 of a map.
            ax: axes of Matplotlib to draw in, one for each panel; by default those of a new figure
                of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several outputs an array of them, (outputs,).

        Raises:
            InputError: for an output or input that there is not, or another number of axes than of
                panels.
        """
        return self._view().plot(self, output, along=along, at=at, nodes=nodes, ax=ax)

    def jet(self, p: Points, channels: Channels) -> Jet:
        """Return the formula's jet at points, computed by automatic differentiation."""
        return jet_of(self, p.coords, channels)


def formula_of(
    graph: Graph, rows: Rows, problem: Problem | None, origin: Graph, own_edges: bool
) -> Formula:
    """Return the formula of a graph without splines, with constants recognised and simplified.

    Args:
        graph: the graph, all of whose edges are formulas.
        rows: the rows to refit constants to, and those to compute the error on.
        problem: the problem in which the formula is checked; None for a fit.
        origin: the graph of splines from which the formulas were found.
        own_edges: whether `origin` is the graph of the result's own network.
    """
    import sympy

    done = rounded(normal_form(graph), rows.x, rows.y)
    symbols = _symbols(rows)
    forms = tuple(simplest(e) for e in compose(done, symbols))
    edges = _edge_rows(done.graph, origin, rows.x)
    exact = not any(isinstance(atom, sympy.Float) for form in forms for atom in form.atoms())
    ranges = tuple((float(column.min()), float(column.max())) for column in rows.x.T)
    unchecked = Formula(forms, symbols, 0.0, exact, edges, (), done.graph, ranges, own_edges)
    error = rows.relative(unchecked(rows.xv) - rows.yv)
    defects = () if problem is None else tuple(defects_of(problem, unchecked.jet))
    return replace(unchecked, error=error, defects=defects)


def _symbols(rows: Rows) -> tuple[Any, ...]:
    """Return the inputs' symbols, positive if the data are, so that sympy may join logarithms."""
    import sympy

    return tuple(
        sympy.Symbol(name, **({"positive": True} if float(c.min()) > 0 else {"real": True}))
        for name, c in zip(rows.names, rows.x.T, strict=True)
    )


def _values(expressions: Sequence[Any], symbols: Sequence[Any], x: Tensor) -> Tensor:
    return torch.stack([evaluate_expression(e, symbols, x) for e in expressions], dim=1)


def _edge_rows(graph: Graph, origin: Graph, x: Tensor) -> tuple[EdgeRow, ...]:
    """Return the table of edges.

    R² is that of a linear regression of the original edge's values on the formula's.
    """
    units, old = graph.units(x), origin.units(x)
    rows = []
    for key, curve in sorted(graph.formulas().items()):
        layer, i, _ = key
        pair = curve(units[layer][:, i]), origin.edges[key](old[layer][:, i])
        r2 = float(torch.corrcoef(torch.stack(pair))[0, 1] ** 2)
        f = curve.function
        rows.append(EdgeRow(*key, f.name, *(curve.a, curve.b, curve.c, curve.d), r2, f.complexity))
    return tuple(rows)
