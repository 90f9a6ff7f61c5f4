"""How networks in time windows take the data and the settings of a solve."""

from dataclasses import replace

from kanpinn._support.errors import InputError
from kanpinn._support.wording import of_class
from kanpinn.evolution import CellWindows, Windows
from kanpinn.evolution.terms.time_derivatives import order_in_time
from kanpinn.geometry import Box
from kanpinn.networks.constraints.boundary_data import Imposition, choose_imposition
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.solvers.own_methods import periodic_axes, refuse_unfit, refuse_weights


def in_windows(
    problem: BoundaryValueProblem, network: Windows, boundary: str, form: str
) -> Imposition:
    """Prepare a network in time windows for a problem, and return how data on walls are imposed.

    With splines in space a march imposes all conditions exactly, and splines that go on around a
    circle are periodic with all of their derivatives.

    Args:
        problem: the problem.
        network: gets the order in time, and the coordinates that go around a circle.
        boundary, form: the arguments of `solve`.

    Raises:
        InputError: for what is not for such networks, or for this one.
    """
    refuse_unfit(problem, _functions(problem), form, "a network in time windows")
    if boundary == "penalty":
        raise InputError(
            'boundary must be "exact" or "auto" for a network in time windows, got "penalty": '
            "a march satisfies conditions at walls exactly"
        )
    last = problem.domain.dim - 1
    for i, condition in enumerate(problem.conditions()):
        if condition.numbers and any(piece.side == (last, False) for piece in condition.pieces):
            raise InputError(
                f"conditions()[{i}], {of_class(condition)}, has initial values that depend "
                "on unknown numbers: a march takes unknown numbers in the equation and at walls"
            )
    follows = "a march takes short windows and intervals for it if the equation smooths it"
    network.order = order_in_time(problem)
    if network.in_space and not network.of_splines:
        return replace(choose_imposition(problem, boundary, (), walls=True), follows=follows)
    dim, domain = problem.domain.dim, problem.domain
    if dim > 2 and not (isinstance(domain, Box) and network.width[0] == dim):
        raise InputError(
            f"network.width must have a hidden layer here, such as {[dim, 64, network.width[-1]]}, "
            f"got {list(network.width)}: without one it stands for products of splines in a box"
        )
    around = periodic_axes(problem)
    network.around = frozenset(around.values())
    chosen = "penalty" if boundary in ("auto", "exact") else boundary  # nothing is built in
    found = choose_imposition(problem, chosen, ())
    return replace(found, met=frozenset(around), follows=follows)


def in_cell_windows(
    problem: BoundaryValueProblem, network: CellWindows, boundary: str, form: str
) -> Imposition:
    """Prepare a network in time windows with cells, and say how data on walls are imposed.

    Args:
        problem: the problem.
        network: its cells become neighbours across the ends of periodic coordinates.
        boundary, form: the arguments of `solve`.

    Raises:
        InputError: for a boundary or form, a weight of a condition, or an interface that a march
            with cells does not support.
    """
    refuse_unfit(problem, _functions(problem), form, "a network in time windows")
    if boundary not in ("auto", "penalty"):
        raise InputError(
            f'boundary must be "auto" or "penalty" for CellWindows, got {boundary!r}: '
            "the conditions are part of the least-squares problems in cells"
        )
    refuse_weights(problem, network)
    if any(condition.kinks for condition in problem.conditions()):
        raise InputError(
            f"{type(problem).__name__} has an Interface: a march with cells expects none"
        )
    network.order = order_in_time(problem)
    around = periodic_axes(problem)
    network.go_around(frozenset(around.values()))
    follows = "a march takes short windows and small cells for it if the equation smooths it"
    return Imposition(None, met=frozenset(around), follows=follows)


def _functions(problem: BoundaryValueProblem) -> dict[str, object]:
    """The functions of a problem that networks in windows cannot use, by name."""
    return {"inputs": problem.inputs(), "enrichment": problem.enrichment()}
