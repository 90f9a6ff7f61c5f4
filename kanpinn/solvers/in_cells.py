"""How networks in cells take the data and the settings of a solve."""

from kanpinn._support.errors import InputError
from kanpinn.networks.constraints.boundary_data import Imposition
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem


def in_cells(problem: BoundaryValueProblem, boundary: str, form: str) -> Imposition:
    """Return how the conditions of a problem are imposed on a network in cells: as residuals.

    Args:
        problem: the problem.
        boundary: the argument `boundary` of `solve`.
        form: the argument `form` of `solve`.

    Raises:
        InputError: for what is not for such networks.
    """
    for name, given in (("inputs", problem.inputs()), ("enrichment", problem.enrichment())):
        if given:
            raise InputError(
                f"{type(problem).__name__} has {name}(), which a network in cells cannot use: take "
                "another network"
            )
    if form == "energy":
        raise InputError('form must be "strong" for a network in cells')
    if boundary not in ("auto", "penalty"):
        raise InputError(
            f'boundary must be "auto" or "penalty" for a network in cells, got {boundary!r}: cells '
            "have the conditions in their least-squares problem"
        )
    return Imposition(None)
