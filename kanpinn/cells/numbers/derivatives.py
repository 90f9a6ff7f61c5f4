"""How equation and conditions in cells change with unknowns."""

import torch
from torch import Tensor

from kanpinn.cells.system.cell_system import AnyTerm, CellSystem
from kanpinn.cells.unknowns import WithUnknowns
from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.loss.terms import ResidualTerm


def rates_by_numbers(system: CellSystem, coefficients: Tensor) -> dict[AnyTerm, Tensor]:
    """The right-hand sides of the derivatives of the solution by K unknowns, (c, q, equations, K).

    They are the negative derivatives of the residuals.

    Args:
        system: the least-squares problem, all of whose terms are `WithUnknowns`.
        coefficients: the solution at which the derivatives are taken, (N, L, m).
    """
    found: dict[AnyTerm, Tensor] = {}
    for term in (*system.equation, *system.walls):
        rates = _rates(term.term, term.at.points, term.jet(coefficients))
        found[term] = rates.unflatten(0, term.at.weights.shape)
    for contact in system.interfaces:
        if terms := contact.contacts.terms:
            each = [_rates(term, contact.points, contact.jet) for term in terms]
            found[contact] = torch.cat(each, dim=1).unflatten(0, contact.right.shape[:2])
    return found


def _rates(term: ResidualTerm, p: Points, u: Jet) -> Tensor:
    assert isinstance(term.equation, WithUnknowns)
    return -term.equation.rates(p, u)
