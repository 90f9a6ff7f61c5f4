"""The edge as a formula: a polynomial of few terms, or edges snapped to the library."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import sympy
from anderson_localization import polynomial, reading
from anderson_localization.chains import Model
from anderson_localization.logistic import Rows, cross_entropy
from torch import Tensor

from kanpinn.interpret import Graph


@dataclass(frozen=True, eq=False)
class Formula:
    """expression = 0 is the edge, odds its values; fitted: before its ratios were rounded."""

    expression: sympy.Expr
    odds: Callable[[Tensor], Tensor]
    fitted: sympy.Expr
    exact: bool


def read(model: Model, graph: Graph, train: Rows, choose: Rows) -> Formula:
    """The formula of a KAN; nobody guides it.

    Were each edge a quadratic, the graph would be a polynomial of the inputs that pruning left:
    its coefficients are a convex problem. It is reduced to the terms that count, and its ratios
    are rounded. Only where the splines explain the classes so much better that they would pay for
    a parameter an edge, the edges are snapped to the library, and the one with the lesser BIC is
    taken.
    """
    found = polynomial.reduced(polynomial.monomials(graph), model.inputs, train)
    cost = _cost(found(choose[0]), choose, len(found.terms))
    if _cost(graph(choose[0])[:, 0], choose, len(graph.edges)) < cost:
        rich = reading.read(graph, train, choose)
        if _cost(rich(choose[0])[:, 0], choose, len(rich.parameters)) < cost:
            expression = polynomial.expression(rich, model.inputs)
            return Formula(expression, lambda x: rich(x)[:, 0], expression, False)
    simple = polynomial.rounded(found, train) or found
    exact = polynomial.equivalent(simple.expression, model.name)
    return Formula(simple.expression, simple, found.expression, exact)


def _cost(odds: Tensor, rows: Rows, parameters: int) -> float:
    return 2 * len(odds) * cross_entropy(odds, rows[1]) + parameters * math.log(len(odds))
