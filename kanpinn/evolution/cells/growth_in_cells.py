"""Whether waves grow without bound around a state in cells."""

import torch

from kanpinn.evolution.cells.cell_state import CellState
from kanpinn.evolution.cells.linearised_cells import TermInCells
from kanpinn.evolution.growth import Growth, GrowthTest
from kanpinn.geometry.domain import Domain
from kanpinn.loss.terms import ResidualTerm
from kanpinn.pde.symbols import Linearised


@torch.no_grad()
def growth_in_cells(state: CellState, equation: ResidualTerm, domain: Domain) -> Growth | None:
    """Waves that grow without bound around a state at its first moment; None if there are none.

    Args:
        state: the solution at the moment.
        equation: in space and time.
        domain: in space and time.
    """
    test = GrowthTest()
    points, jet = TermInCells(state.places.equation[0]).in_time(state.motion)
    few = torch.linspace(0, len(points) - 1, min(test.places, len(points))).long()
    linearised = Linearised.at(equation.equation, points[few], jet.rows(few))
    if linearised.equations != state.fields:
        return None
    low, high = domain.bounds
    return test.at(linearised, points[few], high - low, state.order)
