"""Formulas in sympy: polynomials reduced to the terms that count, and compared with the theory."""

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import sympy
import torch
from anderson_localization.logistic import Rows, cross_entropy, regress
from anderson_localization.subsets import search
from torch import Tensor

from kanpinn.interpret import Graph, Symbolic

DENOMINATOR, ROUNDED = 4, 0.05  # rationals tried, and by which part a coefficient may change

E, LAM, P = sympy.Symbol("E", real=True), sympy.Symbol("lam", positive=True), sympy.Symbol("p")
ALPHA = sympy.Symbol("alpha", real=True)
SYMBOLS = {"E": E, "lam": LAM, "alpha": ALPHA, "p": P, "phi": sympy.Symbol("phi")}
EXACT = {
    "mosaic2": 2 / sympy.Abs(E),
    "mosaic3": 2 / sympy.Abs(E**2 - 1),
    "gaam": 1 - ALPHA * E / 2,
    "maam": (E + sympy.exp(P)) / sympy.cosh(P),
}  # λ on the edge


def expression(graph: Graph, names: tuple[str, ...]) -> sympy.Expr:
    """Return a graph of formulas as one expression."""
    values = [SYMBOLS[name] for name in names]
    for layer, size in enumerate(graph.width[1:]):
        sums = [sympy.Integer(0)] * size
        for (at, i, o), curve in sorted(graph.edges.items()):
            if at == layer:
                assert isinstance(curve, Symbolic)
                sums[o] += curve.expression(values[i])
        values = sums
    return values[0]


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Σ_m c_m Π_i x_i^m_i, which is the log odds up to a factor; terms: {powers: c}."""

    names: tuple[str, ...]
    terms: dict[tuple[int, ...], float | Fraction]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values (n,) at x (n, d)."""
        c = torch.tensor([float(c) for c in self.terms.values()], dtype=x.dtype)
        return columns(x, list(self.terms)) @ c

    @property
    def expression(self) -> sympy.Expr:
        """The polynomial as a sympy expression."""
        symbols = [SYMBOLS[name] for name in self.names]
        return sympy.Add(
            *(
                sympy.sympify(c) * sympy.prod([s**n for s, n in zip(symbols, m, strict=True)])
                for m, c in self.terms.items()
            )
        )


def columns(x: Tensor, powers: list[tuple[int, ...]]) -> Tensor:
    """Return the values of the monomials at x, (n, k)."""
    return torch.stack([(x ** torch.tensor(m)).prod(dim=1) for m in powers], dim=1)


def monomials(graph: Graph) -> list[tuple[int, ...]]:
    """Return the powers of all monomials of the inputs left by pruning, up to the graph's degree.

    The degree is that of quadratics of quadratics, as deep as the graph. The graph does not say
    which products occur: a sum of curves can stand for a product too, as log xy = log x + log y.
    """
    degree, count = 2 ** (len(graph.width) - 1), graph.width[0]
    kept = {i for layer, i, _ in graph.edges if layer == 0}
    every = itertools.product(*(range(degree + 1 if i in kept else 1) for i in range(count)))
    return [powers for powers in every if sum(powers) <= degree]


def reduced(powers: list[tuple[int, ...]], names: tuple[str, ...], train: Rows) -> Polynomial:
    """Return the polynomial of few terms that explains the classes best."""
    x, y = train
    chosen, c = search(columns(x, powers), y)
    return Polynomial(names, {powers[i]: float(v) for i, v in zip(chosen, c, strict=True)})


def rounded(polynomial: Polynomial, train: Rows) -> Polynomial | None:
    """Return the polynomial divided by one of its coefficients, all ratios replaced by rationals.

    Among the rationals within a few per cent of the fitted ratios the simplest are taken with
    which, a common factor alone being fitted, the cross entropy is as small as BIC demands. None if
    there are no such rationals.
    """
    x, y = train
    least = regress(columns(x, list(polynomial.terms)), y)[1]
    allowed = least + (len(polynomial.terms) - 1) * math.log(len(y)) / (2 * len(y))
    found = []
    for unit in polynomial.terms.values():
        choices = [_simple(float(c) / float(unit)) for c in polynomial.terms.values()]
        for ratios in itertools.product(*choices):
            sign = 1 if unit > 0 else -1
            trial = Polynomial(
                polynomial.names,
                {m: sign * r for m, r in zip(polynomial.terms, ratios, strict=True)},
            )
            if _scaled(trial, x, y) <= allowed:
                found.append(trial)
    return min(found, key=_size, default=None)


def _scaled(trial: Polynomial, x: Tensor, y: Tensor) -> float:
    value = trial(x)
    return cross_entropy(float(regress(value[:, None], y)[0]) * value, y)


def _simple(ratio: float) -> list[Fraction]:
    """Return the rationals of small denominators near a ratio."""
    near = {Fraction(round(ratio * q), q) for q in range(1, DENOMINATOR + 1)}
    return [f for f in near if f and abs(float(f) - ratio) <= ROUNDED * abs(ratio)]


def _size(trial: Polynomial) -> int:
    return sum(
        abs(f.numerator) + f.denominator for f in (Fraction(c) for c in trial.terms.values())
    )


def equivalent(formula: sympy.Expr, model: str) -> bool:
    """Return whether formula = 0 is the exact edge, with that λ > 0 alone for E of either sign."""
    for sign in ({"positive": True}, {"negative": True}):
        e = sympy.Symbol("E", **sign)
        left, exact = formula.subs(E, e), EXACT[model].subs(E, e)
        if sympy.simplify(left.subs(LAM, exact)) != 0 or len(sympy.solve(left, LAM)) != 1:
            return False
    return True
