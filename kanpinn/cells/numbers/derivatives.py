"""How the equation in cells changes with unknown numbers."""

from torch import Tensor

from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.loss.numbered import Numbered


def rates_by_numbers(system: CellSystem, coefficients: Tensor) -> dict[SampledTerm, Tensor]:
    """The right-hand sides of the derivatives of the solution by K numbers, (c, q, equations, K).

    They are the negative derivatives of the equation's residuals.

    Args:
        system: the least-squares problem, whose equation is `Numbered`.
        coefficients: the solution at which the derivatives are taken, (N, L, m).
    """
    found = {}
    for term in system.equation:
        equation = term.term.equation
        assert isinstance(equation, Numbered)
        _, rates = equation.slopes(term.at.points, term.jet(coefficients))
        found[term] = -rates.unflatten(0, term.at.weights.shape)
    return found
