"""How networks in cells take the data and the settings of a solve."""

from kanpinn._support.errors import InputError
from kanpinn._support.wording import of_class
from kanpinn.cells import Cells
from kanpinn.cells.geometry.divided import regions_of
from kanpinn.networks.constraints.boundary_data import Imposition
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.pde.problem import Problem
from kanpinn.solvers.own_methods import inputs_of, periodic_axes, refuse_unfit, refuse_weights


def in_cells(problem: BoundaryValueProblem, network: Cells, boundary: str, form: str) -> Imposition:
    """Return how the conditions of a problem are imposed on a network in cells: as residuals.

    Cells at both ends of a periodic coordinate are neighbours, and need no condition.

    Args:
        problem: the problem.
        network: gets the coordinates that go around a circle, and the regions of the domain.
        boundary, form: the arguments of `solve`.

    Raises:
        InputError: for what is not for such networks.
    """
    functions = {"inputs": inputs_of(problem, in_cells=True)}
    refuse_unfit(problem, functions, form, "a network in cells")
    if boundary not in ("auto", "penalty"):
        raise InputError(
            f'boundary must be "auto" or "penalty" for a network in cells, got {boundary!r}: cells '
            "have the conditions in their least-squares problem"
        )
    refuse_weights(problem, network)
    _refuse_numbers(problem)
    _refuse_coefficients(problem, network)
    around = periodic_axes(problem)
    axes = frozenset(around.values())
    kinks = [piece for condition in problem.conditions() for piece in condition.kinks]
    _refuse_together(problem, network, axes, bool(kinks))
    network.layer.go_around(axes)
    network.layer.divide(regions_of(problem.domain, kinks))
    return Imposition(None, met=frozenset(around))


def _refuse_numbers(problem: BoundaryValueProblem) -> None:
    """Refuse unknown numbers in conditions elsewhere than on boundaries and interfaces."""
    for i, condition in enumerate(problem.conditions()):
        if condition.numbers and not (condition.pieces or condition.kinks):
            raise InputError(
                f"conditions()[{i}], {of_class(condition)}, depends on unknown numbers: in "
                "cells only conditions on boundaries and interfaces may do so"
            )


def _refuse_coefficients(problem: BoundaryValueProblem, network: Cells) -> None:
    """Refuse coefficient fields without a network of their own, and conditions that prescribe them.

    Raises:
        InputError: naming the fields, or the condition and the field.
    """
    unknowns = problem.unknowns if isinstance(problem, Problem) else {}
    others = [name for name in problem.fields if name in unknowns]
    if others != list(problem.fields[network.own_fields :]):
        names = ", ".join(others) or "none"
        raise InputError(
            "in cells unknown coefficient fields are the last fields and have a network of their "
            "own, as in Cells([2, 2], coefficient=KAN([2, 1])): the coefficient fields of "
            f"{type(problem).__name__} are {names}"
        )
    for i, condition in enumerate(problem.conditions()):
        about = {*condition.about, *(one.field for one in condition.prescribed(problem.fields))}
        if not condition.measurements and (found := [name for name in others if name in about]):
            raise InputError(
                f"conditions()[{i}], {of_class(condition)}, is about the unknown "
                f"coefficient {found[0]}: in cells such a field takes measurements, kp.Observed"
            )


def _refuse_together(
    problem: BoundaryValueProblem, network: Cells, axes: frozenset[int], divided: bool
) -> None:
    """Refuse what cells do not take together.

    Args:
        problem: the problem.
        network: the network.
        axes: the coordinates that are periodic.
        divided: whether interfaces divide the domain.

    Raises:
        InputError: for a single cell along a periodic coordinate, known functions with any of the
            others, and an interface with a periodic coordinate.
    """
    name = type(problem).__name__
    for axis in axes:
        if network.tree.roots[axis] < 2:
            raise InputError(
                f"network.cells must be at least 2 along {problem.domain.names[axis]}, which is "
                "periodic, got 1"
            )
    if problem.enrichment() and (divided or axes or isinstance(problem, EigenProblem)):
        raise InputError(
            f"{name} has enrichment(), which cells take neither with an Interface nor with a "
            "periodic coordinate, nor for eigenvalues"
        )
    if divided and axes:
        raise InputError(
            f"{name} has an Interface and a periodic coordinate, which cells do not take together"
        )
