"""The problem of a loss for cells, by the kind of its domain."""

from kanpinn._support.errors import InputError
from kanpinn.cells.cell_problem import CellProblem
from kanpinn.cells.in_box import ProblemInBox
from kanpinn.cells.in_plane import ProblemInPlane
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.planar import Planar
from kanpinn.loss.residuals import Residuals


def problem_in_cells(residuals: Residuals) -> CellProblem:
    """The problem of a loss, for cells.

    Raises:
        InputError: for what cells cannot solve.
    """
    domain = residuals.surrogate.domain
    if isinstance(domain, Domain) and domain.is_box:
        return ProblemInBox.of(residuals, domain)
    if isinstance(domain, Planar):
        return ProblemInPlane.of(residuals, domain)
    raise InputError(f"cells are for boxes and for domains in the plane so far, got {domain!r}")
