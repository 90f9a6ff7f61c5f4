"""The problem of a loss for cells, by the kind of its domain."""

from kanpinn._support.errors import InputError
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.problems.in_box import ProblemInBox
from kanpinn.cells.problems.in_plane import ProblemInPlane
from kanpinn.cells.problems.in_space import ProblemInSpace
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.planar import Planar
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm


def problem_in_cells(residuals: Residuals) -> CellProblem:
    """The problem of a loss, for cells.

    Raises:
        InputError: for what cells cannot solve.
    """
    domain = residuals.surrogate.domain
    assert isinstance(domain, Domain)
    kinks = any(isinstance(term, ResidualTerm) and term.kinks for term in residuals.terms)
    if domain.is_box and not kinks:
        return ProblemInBox.of(residuals, domain)
    if isinstance(domain, Planar) or (domain.is_box and domain.dim == 2):
        return ProblemInPlane.of(residuals, domain)
    if domain.dim == 3 and domain.time_name is None:
        return ProblemInSpace.of(residuals, domain)
    raise InputError(
        f"cells are for boxes and for domains of two and three coordinates, got {domain!r}"
    )
