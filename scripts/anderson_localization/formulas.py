"""The mobility edge as a formula: a polynomial of few terms, or edges snapped to the library."""

import math
from dataclasses import dataclass

import sympy
from anderson_localization import polynomial, reading
from anderson_localization.chains import Model
from anderson_localization.logistic import Rows, accuracy, cross_entropy
from torch import Tensor

from kanpinn.interpret import Graph


@dataclass(frozen=True, eq=False)
class Formula:
    """The mobility edge as the zero set of an expression.

    fitted: the expression before its ratios were rounded. exact: whether its zero set is that of
    the theory. accuracy: the share of test rows that the expression's sign classifies rightly.
    """

    expression: sympy.Expr
    fitted: sympy.Expr
    exact: bool
    accuracy: float


def read(
    model: Model, graph: Graph, train: Rows, choose: Rows, test: Rows, snapped: bool = False
) -> Formula:
    """Return the formula of a KAN, without any guidance.

    Were each edge a quadratic, the graph would be a polynomial of the inputs that pruning left,
    and its coefficients the solution of a convex problem. This polynomial is reduced to the terms
    that count, and its ratios are rounded. Only where the splines explain the classes so much
    better that one more parameter for each edge would pay, the edges are snapped to the library,
    and the formula with the lesser BIC on the rows `choose` is returned. snapped: snap the edges in
    any case, and return their formula.
    """
    found = polynomial.reduced(polynomial.monomials(graph), model.inputs, train)
    cost = _cost(found(choose[0]), choose, len(found.terms))
    if snapped or _cost(graph(choose[0])[:, 0], choose, len(graph.edges)) < cost:
        rich = reading.read(graph, train, choose)
        if snapped or _cost(rich(choose[0])[:, 0], choose, len(rich.parameters)) < cost:
            expression = polynomial.expression(rich, model.inputs)
            return Formula(expression, expression, False, accuracy(rich(test[0])[:, 0], test[1]))
    simple = polynomial.rounded(found, train) or found
    exact = polynomial.equivalent(simple.expression, model.name)
    right = accuracy(simple(test[0]), test[1])
    return Formula(simple.expression, found.expression, exact, right)


def _cost(odds: Tensor, rows: Rows, parameters: int) -> float:
    return 2 * len(odds) * cross_entropy(odds, rows[1]) + parameters * math.log(len(odds))
