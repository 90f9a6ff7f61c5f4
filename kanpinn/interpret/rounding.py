"""Rounding of a graph's constants, in a normal form, to exact numbers such as 1/2, π and √2."""

import functools
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn.interpret.graph import Graph, Key, misfit, refit
from kanpinn.interpret.univariate import Symbolic

Array = numpy.ndarray

CHANCE = 0.02  # largest probability of an accidental agreement
# Factors and their description lengths in bits; those of square roots grow with the radicand.
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
    """Return the simplest sympy number within the tolerance of a value, or None.

    Constants p/q times 1, π, π², e, √n, log 2, … are tried first, the shortest description first;
    then decimals of up to 6 digits and integers. A constant is accepted if the probability that a
    random number near the value is within the tolerance of an equally simple constant is at most
    `chance`. A value no larger than its tolerance is 0, if the tolerance is small against 1.

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
    first, last, low, high = numpy.searchsorted(
        values, [size - reach, size + reach, size / 2, 1.5 * size]
    )
    if first < last:
        best = first + int(bits[first:last].argmin())
        # The density of equally simple constants near the value, counted on [size/2, 3 size/2].
        rivals = int((bits[low:high] <= bits[best]).sum())
        if max(rivals, 1) * 2 * reach / size <= chance:
            ratio, factor = terms[best]
            return sign * sympy.Rational(*ratio.as_integer_ratio()) * sympy.sympify(factor)
    # The decimal with the fewest digits, or an integer of any length. All constants of the table
    # are simpler.
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
    """Return positive constants p/q · factor, ascending, their lengths in bits, (p/q, factor).

    A reduced fraction has the length log₂(p) + 1.5 log₂(q). Decimals of up to three digits down to
    0.001 are shorter: as fractions of 10, 100 and 1000 they take a bit more than their digits.
    """
    longest = 12.0  # length of the longest constant in the table
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
    """A graph of formulas, some of whose constants are settled.

    exact: the recognised constants as sympy numbers, {(edge, name): number}. redundant: the
    constants that the normal form fixes.
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
        """Whether each entry of `graph.parameters` is neither recognised nor redundant."""
        return [name not in self.exact and name not in self.redundant for name in self.names]

    @property
    def complete(self) -> bool:
        """True if every constant is recognised or fixed by the normal form."""
        return not any(self.free)

    def fixed(self, values: dict[Name, Any]) -> "Rounded":
        """Return the same with these constants recognised and set."""
        graph = self.graph
        for (key, name), value in values.items():
            changed: dict[str, Any] = {name: float(value)}
            graph = graph.with_edge(key, replace(graph.formulas()[key], **changed))
        return replace(self, graph=graph, exact=self.exact | values)


def normal_form(graph: Graph) -> Rounded:
    """Return a graph of the same function with conventional constants.

    The value of a hidden unit may be shifted and scaled if the edges out of it undo this. In the
    normal form:

    - d = 0 on all edges into a hidden unit that adds;
    - a = 1 on the first edge out of a unit whose function has a scale of its own, such as sin; if
      all functions are powers or logarithms, c = 1 on the first edge into the unit instead;
    - c = 1 on all factors of a unit that multiplies but the first;
    - d = 0 on all edges into an output that adds but the first.
    """
    redundant: set[Name] = set()
    for layer, unit in sorted(graph.products):
        # Constant factors are multiplied into another factor of the same unit, and the scales of
        # all factors move to the first one.
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
    return replace(curve, c=factor * curve.c, d=factor * curve.d)


def _normal_unit(graph: Graph, layer: int, unit: int, redundant: set[Name]) -> Graph:
    """Shift and scale a hidden unit, and add the constants that this fixes to `redundant`."""
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
    """Return the formula edges of a layer into (end = 2) or out of (end = 1) a unit."""
    return {
        key: curve
        for key, curve in sorted(graph.formulas().items())
        if key[0] == layer and key[end] == unit
    }


PLAIN = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # values for constants that are not determined
NULL = 1e-9  # singular values below this share of the largest count as zero


def rounded(state: Rounded, x: Tensor, y: Tensor) -> Rounded:
    """Recognise as many constants of a graph in normal form as the data allow.

    Constants that the data do not determine, because a family of formulas gives the same function,
    are first set to simple values. Then constants close to an exact number are set to it. After
    each change the other constants are refit; a change that raises the error too much is undone.

    Args:
        state: the normal form of a graph, all of whose edges are formulas.
        x: the inputs, (n, d).
        y: the targets, (n, m).
    """
    rounding = _Rounding(x, y, state)
    while rounding.settle_one():
        pass
    guesses = rounding.guesses()
    if guesses:
        rounding.accepts(guesses)
    while guesses := rounding.guesses():
        for name, guess in guesses.items():
            if rounding.accepts({name: guess}):
                break
            rounding.refused.add(name)
    return rounding.state


class _Rounding:
    """The state of a rounding, and the constants that were refused."""

    def __init__(self, x: Tensor, y: Tensor, state: Rounded) -> None:
        least = 1e-13  # relative error that counts as rounding
        growth = 3.0  # the factor by which a rounded constant may raise the error
        # A relative error above `noise` is taken for noise, independent from row to row; then the
        # error may grow by `noisy_growth` only.
        noise, noisy_growth, sigmas = 1e-6, 1.02, 4.0
        self.x, self.y, self.state = x, y, state
        self.start = max(misfit(state.graph(x), y), least)
        # A smooth error, such as that of a solution, can shift constants by more than noise does.
        noisy = self.start > noise
        self.growth = noisy_growth if noisy else growth
        self.reach = (sigmas / math.sqrt(y.numel()) if noisy else 2.0) * self.start
        self.refused: set[Name] = set()

    def accepts(self, values: dict[Name, Any], move: Tensor | None = None) -> bool:
        """Fix these constants and refit the others; return whether the change was accepted.

        `move` (parameters,) is added to the parameters first.
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
        """Return the singular value decomposition of the Jacobian by the free constants.

        The values are a mask of the free constants, their names, the lengths by which their columns
        are divided, the singular values and the right singular vectors.
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
        """Set one constant that the data do not determine to a simple value, if any is accepted."""
        import sympy

        share = 0.1  # least norm of a constant's part in the null space
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
        """Return exact numbers as guesses for free constants."""
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
