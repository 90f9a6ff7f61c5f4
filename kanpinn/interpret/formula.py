"""The formula read off a network: its expressions, edges, error and defects."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shown import Shown
from kanpinn.geometry import Points
from kanpinn.interpret.graph import Graph, Key, Rows, misfit
from kanpinn.interpret.rounding import Rounded, normal_form, rounded
from kanpinn.interpret.univariate import bessel_j0
from kanpinn.jets import Channels, Jet, jet_of
from kanpinn.pde.problem import Problem
from kanpinn.pde.verify import Defect, defects_of


def compose(rounded: Rounded, symbols: Sequence[Any]) -> list[Any]:
    """Return the outputs of a graph as sympy expressions in the symbols of its inputs."""
    import sympy

    def constant(key: Key, name: str) -> Any:
        """Return a recognised constant, 0, 1 or -1 as a sympy number, or else a float."""
        value = rounded.exact.get((key, name), getattr(rounded.graph.edges[key], name))
        if isinstance(value, float):
            return sympy.Integer(int(value)) if value in (0, 1, -1) else sympy.Float(value, 17)
        return value

    units = list(symbols)
    for layer, size in enumerate(rounded.graph.width[1:]):
        products = {o for at, o in rounded.graph.products if at == layer}
        joined = [sympy.Integer(int(o in products)) for o in range(size)]
        for key, curve in sorted(rounded.graph.formulas().items()):
            if key[0] == layer:
                a, b, c, d = (constant(key, name) for name in "abcd")
                term = c * curve.function.symbol(a * units[key[1]] + b) + d
                o = key[2]
                joined[o] = joined[o] * term if o in products else joined[o] + term
        units = joined
    return units


Function = Callable[..., Tensor]

_SAME = ("sin", "cos", "tan", "exp", "log", "Abs", "sign", "sinh", "cosh", "tanh")
_FUNCTIONS: Mapping[str, Function] = {
    name: getattr(torch, name.lower()) for name in (*_SAME, "asin", "acos", "atan", "atanh")
} | {
    "cot": lambda t: 1 / torch.tan(t),
    "sec": lambda t: 1 / torch.cos(t),
    "csc": lambda t: 1 / torch.sin(t),
    "besselj": lambda _, t: bessel_j0(t),
}


def evaluate_expression(expression: Any, symbols: Sequence[Any], x: Tensor) -> Tensor:
    """Return the values (n,) of a sympy expression at x (n, d), differentiable by torch.

    The expression tree is walked; no code is compiled from text.

    Args:
        expression: a sympy expression.
        symbols: its symbols, one for each column of x.
        x: the points, (n, d).

    Raises:
        InputError: if the expression has a function that cannot be evaluated.
    """
    if expression in symbols:
        return x[:, list(symbols).index(expression)]
    if expression.is_number:
        return x.new_full((len(x),), float(expression))
    arguments = [evaluate_expression(part, symbols, x) for part in expression.args]
    if expression.is_Add:
        return reduce(torch.add, arguments)
    if expression.is_Mul:
        return reduce(torch.mul, arguments)
    if expression.is_Pow:
        base, exponent = arguments[0], expression.args[1]
        if not exponent.is_number:
            return base ** arguments[1]
        if math.isclose(float(exponent), 0.5):
            return base.sqrt()
        # a plain number is exact at negative bases
        return base ** (int(exponent) if exponent.is_Integer else float(exponent))
    name = type(expression).__name__
    if name not in _FUNCTIONS:
        raise InputError(f"the formula has a function that cannot be evaluated, {name}")
    return _FUNCTIONS[name](*arguments)


def simplest(expression: Any) -> Any:
    """Return the equivalent form with the fewest operations that sympy's transformations give.

    They undo the detours that products take through the edges of a network: sums of cosines and
    differences of squares become products, exponentials of logarithms become powers. A sequence of
    transformations ends at a form of more than 200 operations: it would not become the shortest,
    and sympy may take hours to factor it.
    """
    import sympy

    longest = 200
    # sympy raises errors of several kinds where it fails
    failures = (NotImplementedError, ValueError, TypeError, AttributeError, RecursionError)
    expand, factor, together = sympy.expand, sympy.factor, sympy.together
    angles, joined = lambda e: sympy.expand_trig(e), sympy.trigsimp
    logs = lambda e: sympy.expand_log(e)  # noqa: E731
    powers = lambda e: sympy.powsimp(sympy.expand_power_exp(e))  # noqa: E731
    # as in 2 artanh(1 - 2/(x + 1)) = log x
    artanh = lambda e: sympy.simplify(sympy.together(e.rewrite(sympy.log)))  # noqa: E731
    basic = [
        [expand, factor],
        [angles, expand, factor],
        [angles, expand, joined, factor],
        [logs, expand, powers, factor],
        [powers, factor],
        [together, factor],
        [sympy.logcombine, expand],
        [artanh] if expression.has(sympy.atanh) else [],
    ]
    forms = {expression}
    for steps in [*basic, *([*steps, sympy.simplify] for steps in basic[:2])]:
        form = expression
        for step in steps:
            with suppress(*failures):
                form = step(form)
            forms.add(form)
            if form.count_ops() > longest:
                break
    # the fewest operations, then the fewest characters, which prefers short constants
    return min(forms, key=lambda form: (int(form.count_ops()), len(str(form))))


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

    shown_by = "kanpinn.interpret.pictures"

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
        values = [evaluate_expression(e, self.symbols, x) for e in self.expressions]
        return torch.stack(values, dim=1)

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
    # positive inputs let sympy join logarithms
    signs = [{"positive": True} if float(c.min()) > 0 else {"real": True} for c in rows.x.T]
    symbols = tuple(sympy.Symbol(n, **s) for n, s in zip(rows.names, signs, strict=True))
    forms = tuple(simplest(e) for e in compose(done, symbols))
    units, old, edges = done.graph.units(rows.x), origin.units(rows.x), []
    for key, curve in sorted(done.graph.formulas().items()):
        layer, i, _ = key
        pair = curve(units[layer][:, i]), origin.edges[key](old[layer][:, i])
        r2 = float(torch.corrcoef(torch.stack(pair))[0, 1] ** 2)  # of a linear regression
        f = curve.function
        edges.append(EdgeRow(*key, f.name, *curve.constants, r2, f.complexity))
    exact = not any(isinstance(atom, sympy.Float) for form in forms for atom in form.atoms())
    ranges = tuple((float(column.min()), float(column.max())) for column in rows.x.T)
    unchecked = Formula(forms, symbols, 0.0, exact, tuple(edges), (), done.graph, ranges, own_edges)
    error = misfit(unchecked(rows.xv), rows.yv)
    defects = () if problem is None else tuple(defects_of(problem, unchecked.jet))
    return replace(unchecked, error=error, defects=defects)
