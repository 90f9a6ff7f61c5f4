"""`Formula`, the formula read off a network: its expressions, edges, error and defects.

The constants of a graph of formulas are brought to a normal form, and replaced by exact numbers
such as 1/2, π and √2 if the data allow it.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn._support.shown import Shown
from kanpinn.geometry import Points
from kanpinn.interpret.graph import Graph, Key, Rows, misfit, refit
from kanpinn.interpret.univariate import Symbolic, bessel_j0
from kanpinn.jets import Channels, Jet, jet_of
from kanpinn.pde.defects import Defect, defects_of
from kanpinn.pde.problem import Problem

Array = numpy.ndarray

CHANCE = 0.02  # largest probability of an accidental agreement
# Factors and their description lengths in bits; the length of √n grows with n.
_FACTORS = {
    "1": 0.0,
    "pi": 2.0,
    "1/pi": 3.0,
    "E": 3.0,
    "1/E": 4.0,
    "sqrt(pi)": 4.0,
    "pi**2": 4.0,
    "1/pi**2": 5.0,
    "1/sqrt(pi)": 5.0,
    "log(2)": 4.0,
    "E**2": 5.0,
} | {f"sqrt({n})": 2.0 + math.log2(n) for n in (2, 3, 5, 6, 7, 10, 11, 13, 14, 15)}


def recognise(
    value: float | int, tolerance: float | int, chance: float | int = CHANCE
) -> Any | None:
    """Return the simplest sympy number within the tolerance of a value, None if there is none.

    Constants p/q times 1, π, π², e, √n, log 2, … are tried first, the shortest description first;
    then decimals of up to 6 digits, and integers. A constant is accepted if a random number near
    the value would be within the tolerance of an equally simple constant with a probability of at
    most `chance`. A value whose size is at most the tolerance is recognised as 0 if twice the
    tolerance is at most `chance`.

    Args:
        value: the computed number.
        tolerance: the largest distance between the value and the constant.
        chance: the largest probability of an accidental agreement.

    Raises:
        InputError: if the value is not finite, the tolerance negative or the chance outside (0, 1].
    """
    if not math.isfinite(value):
        raise InputError(f"value must be a finite number, got {value!r}")
    number("tolerance", tolerance)
    number("chance", chance, above=True)
    if chance > 1:
        raise InputError(f"chance must be a probability of at most 1, got {chance!r}")
    import sympy

    value = float(value)
    # The tolerance is at least the rounding error of the float.
    reach = max(float(tolerance), 4 * math.ulp(value))
    if abs(value) <= reach:
        return sympy.Integer(0) if 2 * reach <= chance else None
    sign, size = int(math.copysign(1, value)), abs(value)
    values, bits, terms = _table()
    ends = [size - reach, size + reach, size / 2, 1.5 * size]
    first, last, low, high = numpy.searchsorted(values, ends)
    if first < last:
        best = first + int(bits[first:last].argmin())
        # The number of equally simple constants between size/2 and 3 size/2 gives their density.
        rivals = int((bits[low:high] <= bits[best]).sum())
        if max(rivals, 1) * 2 * reach / size <= chance:
            ratio, factor = terms[best]
            return sign * sympy.Rational(*ratio.as_integer_ratio()) * sympy.sympify(factor)
    # The decimal with the fewest digits, or an integer of any length; both are taken to be less
    # simple than all constants of the table.
    most_digits, density = 6, float(high - low) / size
    leading = math.floor(math.log10(size))
    exponents = [leading - digits for digits in range(most_digits)]
    for exponent in exponents + [0] * (leading >= most_digits):
        step = Fraction(10) ** exponent
        nearest = round(Fraction(size) / step) * step
        if 2 * reach * (density + 1 / float(step)) > chance:
            return None
        if abs(float(nearest) - size) <= reach:
            return sign * sympy.Rational(*nearest.as_integer_ratio())
    return None


@functools.cache
def _table() -> tuple[Float[Array, " n"], Float[Array, " n"], tuple[tuple[Fraction, str], ...]]:
    """Return a table of positive constants p/q · factor.

    The description length of a constant in bits is log₂(p) + 1.5 log₂(q) plus the length of the
    factor. The description length of a decimal of up to three digits, such as 0.25 with the digits
    25, is 1 + log₂(digits) + 1.5 times the number of decimal places.

    Returns:
        The values in ascending order, (n,); the lengths in bits, (n,); the n pairs (p/q, factor).
    """
    longest = 12.0  # bits: the description length of the longest constant in the table
    import sympy

    lengths: dict[tuple[Fraction, str], float] = {}
    for factor, extra in _FACTORS.items():
        for bottom in range(1, int(2 ** ((longest - extra) / 1.5)) + 1):
            spent = extra + 1.5 * math.log2(bottom)
            for top in range(1, int(2 ** (longest - spent)) + 1):
                if math.gcd(top, bottom) == 1:
                    lengths[Fraction(top, bottom), factor] = spent + math.log2(top)
    for places in (1, 2, 3):
        for digits in range(1, 1000):
            term, bits = (Fraction(digits, 10**places), "1"), 1 + math.log2(digits) + 1.5 * places
            lengths[term] = min(bits, lengths.get(term, math.inf))
    units = {factor: float(sympy.sympify(factor)) for factor in _FACTORS}
    shortest: dict[str, tuple[float, float, tuple[Fraction, str]]] = {}
    for term, bits in lengths.items():
        value = float(term[0]) * units[term[1]]
        key = f"{value:.13e}"  # 1/√2 and √2/2 are one number
        if key not in shortest or bits < shortest[key][1]:
            shortest[key] = value, bits, term
    values, sizes, terms = zip(*sorted(shortest.values()), strict=True)
    return numpy.array(values), numpy.array(sizes), terms


Name = tuple[Key, str]


@dataclass(frozen=True)
class Rounded:
    """A graph whose edges are formulas, with the constants that are known exactly.

    Args:
        graph: the graph.
        exact: the recognised constants as sympy numbers, {(edge, name): number}, with the names a,
            b, c, d.
        redundant: the (edge, name) of the constants that the normal form fixes.
    """

    graph: Graph
    exact: dict[Name, Any] = field(default_factory=dict)
    redundant: frozenset[Name] = frozenset()

    @property
    def names(self) -> list[Name]:
        """The (edge, name) of each entry of `graph.parameters`."""
        edges = sorted(self.graph.formulas().items())
        return [(key, name) for key, curve in edges for name in curve.free]

    @property
    def free(self) -> list[bool]:
        """For each entry of `graph.parameters`, True if it is neither recognised nor redundant."""
        return [name not in self.exact and name not in self.redundant for name in self.names]

    @property
    def complete(self) -> bool:
        """True if every constant is recognised or fixed by the normal form."""
        return not any(self.free)

    def fixed(self, values: dict[Name, Any]) -> "Rounded":
        """Return a copy in which the given constants are recognised and have the given values."""
        graph = self.graph
        for (key, name), value in values.items():
            changed: dict[str, Any] = {name: float(value)}
            graph = graph.with_edge(key, replace(graph.formulas()[key], **changed))
        return replace(self, graph=graph, exact=self.exact | values)


def normal_form(graph: Graph) -> Rounded:
    """Return a graph of the same function, in which redundant constants have fixed values.

    An edge is c f(a x + b) + d. Different constants can give one function: the value of a
    hidden unit may be shifted and scaled if the edges out of the unit undo this, and factors or
    summands may be moved between the edges into a unit. The normal form fixes these constants, and
    the result lists them as `redundant`:

    - d = 0 on all edges into a hidden unit that adds;
    - a = 1 on one edge out of each hidden unit. It is the first edge with a function such as sin,
      in which no change of c and d can replace a change of a (see `Univariate.free`). If there is
      no such edge, since all functions are for example powers or logarithms, then c = 1 on the
      first edge into the unit instead;
    - c = 1 on all edges into a unit that multiplies, except the first;
    - d = 0 on all edges into an output that adds, except the first.

    Args:
        graph: the graph, all of whose edges are formulas.
    """
    redundant: set[Name] = set()
    for layer, unit in sorted(graph.products):
        # Constant factors are multiplied into another factor of the same unit, and the scales c of
        # all factors are moved to the first factor.
        for key, curve in _symbolic(graph, layer, 2, unit).items():
            if curve.function.name == "0" and len(_symbolic(graph, layer, 2, unit)) > 1:
                graph = graph.without(key)
                first, other = next(iter(_symbolic(graph, layer, 2, unit).items()))
                graph = graph.with_edge(first, _times(other, curve.d))
        (first, leading), *others = _symbolic(graph, layer, 2, unit).items()
        for key, curve in others:
            redundant.add((key, "c"))
            if curve.c:
                leading = _times(leading, curve.c)
                graph = graph.with_edge(key, replace(curve, c=1.0, d=curve.d / curve.c))
        graph = graph.with_edge(first, leading)
    last = graph.depth - 1
    for layer in range(last):
        for unit in range(graph.width[layer + 1]):
            graph = _normal_unit(graph, layer, unit, redundant)
    for unit in range(graph.width[-1]):
        if (last, unit) not in graph.products:
            into = _symbolic(graph, last, 2, unit)
            total = sum(curve.d for curve in into.values())
            for at, (key, curve) in enumerate(into.items()):
                redundant |= {(key, "d")} if at else set()
                graph = graph.with_edge(key, replace(curve, d=0.0 if at else total))
    return Rounded(graph, redundant=frozenset(redundant))


def _times(curve: Symbolic, factor: float) -> Symbolic:
    """Return an edge function c f(a x + b) + d multiplied by a factor."""
    return replace(curve, c=factor * curve.c, d=factor * curve.d)


def _normal_unit(graph: Graph, layer: int, unit: int, redundant: set[Name]) -> Graph:
    """Bring the constants of the edges into and out of a hidden unit to their normal form.

    Args:
        graph: the graph.
        layer: the layer of the edges into the unit.
        unit: the index of the unit.
        redundant: the (edge, name) of the constants that the normal form fixes; extended in place.
    """
    into = _symbolic(graph, layer, 2, unit)
    out = _symbolic(graph, layer + 1, 1, unit)
    multiplies = (layer, unit) in graph.products
    scaled = [key for key, curve in out.items() if "a" in curve.function.free]
    redundant |= set() if multiplies else {(key, "d") for key in into}
    redundant |= {(key, "a") for key in scaled[:1]} or {(key, "c") for key in list(into)[:1]}
    if not into or not out:
        return graph
    shift = 0.0 if multiplies else sum(curve.d for curve in into.values())
    first = next(iter(into.values())).c
    scale = out[scaled[0]].a if scaled else 1 / first if first else math.inf
    if not math.isfinite(scale) or scale == 0:
        return graph
    for at, (key, curve) in enumerate(into.items()):
        # Set to 1 directly, since scale · c may differ from 1 by rounding.
        c = 1.0 if at == 0 and not scaled else scale * curve.c
        if not multiplies:
            graph = graph.with_edge(key, replace(curve, c=c, d=0.0))
        elif at == 0:
            graph = graph.with_edge(key, replace(curve, c=c, d=scale * curve.d))
    for key, curve in out.items():
        a = 1.0 if curve.a == scale else curve.a / scale
        b = curve.b + curve.a * shift
        parameters = curve.function.canonical(a, b, curve.c, curve.d)
        graph = graph.with_edge(key, Symbolic(curve.function, *parameters))
    return graph


def _symbolic(graph: Graph, layer: int, end: int, unit: int) -> dict[Key, Symbolic]:
    """Return the formulas on a layer's edges into a unit (end = 2) or out of a unit (end = 1)."""
    curves = sorted(graph.formulas().items())
    return {key: c for key, c in curves if key[0] == layer and key[end] == unit}


PLAIN = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # values for constants that are not determined
NULL = 1e-9  # singular values below this share of the largest count as zero


def rounded(state: Rounded, x: Tensor, y: Tensor) -> Rounded:
    """Recognise as many constants of a graph in normal form as the data allow.

    If a family of formulas gives the same function, the data do not determine some constants. These
    constants are first set to simple values. Then constants that are close to an exact number are
    set to this number. After each change the other constants are refit; a change that raises the
    error too much is undone.

    Args:
        state: the normal form of a graph, all of whose edges are formulas.
        x: the inputs, (n, d).
        y: the targets, (n, m).
    """
    rounding = _Rounding(x, y, state)
    while rounding.settle_one():
        pass
    if guesses := rounding.guesses():
        rounding.accepts(guesses)
    while guesses := rounding.guesses():
        for name, guess in guesses.items():
            if rounding.accepts({name: guess}):
                break
            rounding.refused.add(name)
    return rounding.state


class _Rounding:
    """The state of `rounded`: the graph with its exact constants, and the refused constants."""

    def __init__(self, x: Tensor, y: Tensor, state: Rounded) -> None:
        self.x, self.y, self.state = x, y, state
        self.start = max(misfit(state.graph(x), y), 1e-13)  # not below rounding errors
        # A relative error above 1e-6 is taken for noise, independent from row to row. A smooth
        # error, such as the error of a solution, can shift constants by more than noise.
        noisy = self.start > 1e-6
        self.growth = 1.02 if noisy else 3.0  # the factor by which a constant may raise the error
        self.reach = (4 / math.sqrt(y.numel()) if noisy else 2.0) * self.start
        self.refused: set[Name] = set()

    def accepts(self, values: dict[Name, Any], move: Tensor | None = None) -> bool:
        """Fix the given constants and refit the others, if the error stays small enough.

        Args:
            values: the values of the constants, by (edge, name).
            move: the change of all parameters that is made first, (parameters,); None for none.

        Returns:
            Whether the change was made.
        """
        steps = 40
        graph = self.state.graph
        if move is not None:
            graph = graph.moved(graph.parameters + move)
        trial = replace(self.state, graph=graph).fixed(values)
        if not trial.complete:
            free = torch.tensor(trial.free)
            trial = replace(trial, graph=refit(trial.graph, self.x, self.y, steps, free))
        if misfit(trial.graph(self.x), self.y) > self.growth * self.start:
            return False
        self.state = trial
        return True

    def _decomposed(self) -> tuple[Tensor, list[Name], Tensor, Tensor, Tensor]:
        """Decompose the Jacobian with respect to the k free constants by singular values.

        Returns:
            The mask of the free constants, (parameters,); their names; the lengths by which their
            columns are divided, (k,); the singular values, (k,); the right singular vectors,
            (k, k).
        """
        free = torch.tensor(self.state.free, dtype=torch.bool)
        names = [n for n, f in zip(self.state.names, free.tolist(), strict=True) if f]
        _, jacobian = self.state.graph.jacobian(self.x)
        scale = torch.linalg.norm(self.y - self.y.mean(dim=0))
        matrix = jacobian.flatten(0, 1)[:, free] / scale
        lengths = torch.linalg.vector_norm(matrix, dim=0).clamp_min(1e-300)
        _, s, vh = torch.linalg.svd(matrix / lengths, full_matrices=False)
        return free, names, lengths, s, vh

    def settle_one(self) -> bool:
        """Set a constant that the data do not determine to a simple value.

        Returns:
            Whether a constant was set; False if the data determine all constants, or if every
            simple value of an undetermined constant makes the graph worse.
        """
        import sympy

        share = 0.1  # constants whose component in the null space is smaller are left as they are
        free, names, lengths, s, vh = self._decomposed()
        null = s <= NULL * s[0] if len(s) else s > 0
        if not bool(null.any()):
            return False
        directions = vh[null]
        weights = directions.square().sum(dim=0).sqrt()
        for k in torch.argsort(-weights).tolist():
            if names[k] in self.refused or weights[k] < share:
                continue
            value = float(self.state.graph.parameters[free][k])
            # The shortest step in the null space that changes this constant by one.
            along = directions.T @ directions[:, k] / weights[k] ** 2 * lengths[k] / lengths
            for plain in sorted(PLAIN, key=lambda p: abs(p - value))[:3]:
                move = torch.zeros_like(self.state.graph.parameters)
                move[free] = along * (plain - value)
                if self.accepts({names[k]: sympy.Rational(plain)}, move):
                    return True
            self.refused.add(names[k])
        return False

    def guesses(self) -> dict[Name, Any]:
        """Return exact numbers that are close to constants of the graph, by (edge, name).

        Only constants that are free (neither exact nor fixed by the normal form) are tried. Those
        without a close exact number are left out, and so are those that were refused.
        """
        free, names, lengths, s, vh = self._decomposed()
        if not names:
            return {}
        inverse = torch.where(s > NULL * s[0], 1 / s, 0.0)
        spread = (vh.T * inverse).square().sum(dim=1).sqrt() / lengths
        values = self.state.graph.parameters[free]
        reach = (self.reach * spread).clamp_min(1e-14)
        guesses = {
            name: recognise(float(value), float(tolerance))
            for name, value, tolerance in zip(names, values, reach, strict=True)
            if name not in self.refused
        }
        return {name: guess for name, guess in guesses.items() if guess is not None}


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

    The expression tree is evaluated node by node; no code is compiled from text.

    Args:
        expression: a sympy expression.
        symbols: the symbol for each column of x.
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
    """Return an equivalent expression with the fewest operations, found by sympy's transformations.

    The edges of a network make products by detours, which the transformations undo: sums of cosines
    and differences of squares become products, exponentials of logarithms become powers. A sequence
    of transformations ends at a form of more than 200 operations: it would not lead to the shortest
    form, and sympy may take hours to factor it.
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
    """One edge of the network, from unit `input` to unit `output` of a layer, as c f(a x + b) + d.

    Args:
        function: the name of f.
        r2: the squared correlation of the values of the formula and the values of the original
            edge.
        complexity: the complexity of f, see `Univariate`.

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
    """A formula for each of the m outputs of a network; a call returns the values (n, m).

    Notebooks show the formulas as mathematics, with a picture.

    Args:
        expressions: the simplified sympy expressions, one for each output.
        symbols: the sympy symbols of the inputs.
        error: ‖formula - data‖ / ‖data - mean‖ on rows to which no constant was fitted.
        exact_constants: whether all constants were recognised (π, 1/2, …), so that none is a float.
        edges: the edges of the network as functions, with constants in the normal form.
        defects: the residuals that the formula leaves in the equation and the conditions of the
            problem; none for a fit.
        graph: the graph of the edges.
        ranges: the least and the greatest value of each input in the rows used.
        own_edges: True if the edges are edges of the result's own network, False if they are edges
            of a smaller network that was fitted to the result's values.

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
            output: the number of an output, from 0; by default each output has a panel.
            along: the name of the input that varies, or the names of two; by default the first two
                inputs.
            at: values of the other inputs, by name; by default the centres of their ranges.
            nodes: the number of points along each axis; by default 401 for a line, 129 for a map.
            ax: axes of Matplotlib to draw in, one for each panel; by default the axes of a new
                figure of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several outputs an array of axes, (outputs,).

        Raises:
            InputError: for an output or input that does not exist, or if `ax` has not one axes for
                each panel.
        """
        return self._view().plot(self, output, along=along, at=at, nodes=nodes, ax=ax)

    def jet(self, p: Points, channels: Channels) -> Jet:
        """Return the formula's jet at points, computed by automatic differentiation."""
        return jet_of(self, p.coords, channels)


def formula_of(
    graph: Graph, rows: Rows, problem: Problem | None, origin: Graph, own_edges: bool
) -> Formula:
    """Return the simplified formula of a graph without splines, with its constants recognised.

    Args:
        graph: the graph, all of whose edges are formulas.
        rows: the rows to which constants are refit, and the rows on which the error is computed.
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
        r2 = float(torch.corrcoef(torch.stack(pair))[0, 1] ** 2)  # R² of a linear regression
        f = curve.function
        edges.append(EdgeRow(*key, f.name, *curve.constants, r2, f.complexity))
    exact = not any(isinstance(atom, sympy.Float) for form in forms for atom in form.atoms())
    ranges = tuple((float(column.min()), float(column.max())) for column in rows.x.T)
    unchecked = Formula(forms, symbols, 0.0, exact, tuple(edges), (), done.graph, ranges, own_edges)
    error = misfit(unchecked(rows.xv), rows.yv)
    defects = () if problem is None else tuple(defects_of(problem, unchecked.jet))
    return replace(unchecked, error=error, defects=defects)
