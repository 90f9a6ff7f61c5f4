"""The problem of a loss for cells, by the kind of its domain."""

from collections.abc import Sequence
from dataclasses import replace

from kanpinn._support.errors import InputError
from kanpinn.cells.cells import require_cells
from kanpinn.cells.problems.cell_problem import (
    CellProblem,
    CellTerms,
    counted_fields,
    terms_for_cells,
)
from kanpinn.cells.problems.in_box import ProblemInBox
from kanpinn.cells.problems.in_plane import ProblemInPlane
from kanpinn.cells.problems.in_space import ProblemInSpace
from kanpinn.cells.system.constants import is_mean
from kanpinn.cells.unknowns import Unknowns, WithUnknowns
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
    surrogate, loss = residuals.surrogate, list(residuals.terms)
    network, unknowns = require_cells(surrogate.network), Unknowns(surrogate)
    own = network.own_fields
    if unknowns.layers:
        loss = [one for one in loss if not one.measured]  # `NumberSearch` takes the data
        loss = [
            replace(one, equation=WithUnknowns(one.equation, unknowns))
            if isinstance(one, ResidualTerm) and not is_mean(one)
            else one
            for one in loss
        ]
    terms = terms_for_cells(loss, domain)
    return problem_of_terms(terms, domain, counted_fields(residuals, own), own)


def problem_of_terms(
    terms: CellTerms, domain: Domain, counted: Sequence[int], fields: int
) -> CellProblem:
    """The problem of an equation and conditions, for cells.

    Args:
        terms: the equation and the conditions.
        domain: the domain.
        counted: the numbers of the fields whose errors count.
        fields: the number of fields.

    Raises:
        InputError: for a domain that cells cannot fill.
    """
    if domain.is_box and not terms.interfaces:
        return ProblemInBox.of(terms, domain, counted)
    if isinstance(domain, Planar) or (domain.is_box and domain.dim == 2):
        return ProblemInPlane.of(terms, domain, counted, fields)
    if domain.dim == 3 and domain.time_name is None:
        return ProblemInSpace.of(terms, domain, counted, fields)
    raise InputError(
        f"cells are for boxes and for domains of two and three coordinates, got {domain!r}"
    )
