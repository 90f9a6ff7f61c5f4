"""How networks in time windows take the data and the settings of a solve."""

from collections.abc import Mapping
from dataclasses import replace

from kanpinn._support.errors import InputError
from kanpinn.evolution.terms.time_derivatives import order_in_time
from kanpinn.evolution.windows import Windows
from kanpinn.geometry import Box
from kanpinn.networks.constraints.boundary_data import Imposition, choose_imposition
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem


def in_windows(problem: BoundaryValueProblem, network: Windows, boundary: str) -> Imposition:
    """Prepare a network in time windows for a problem, and return how data on walls are imposed.

    With splines in space a march imposes all conditions exactly, and splines that go on around a
    circle are periodic with all of their derivatives.

    Args:
        problem: the problem.
        network: gets the order in time, and the coordinates that go around a circle.
        boundary: the argument `boundary` of `solve`.

    Raises:
        InputError: for what is not for such networks, or for this one.
    """
    for name, given in (("inputs", problem.inputs()), ("enrichment", problem.enrichment())):
        if given:
            raise InputError(
                f"{type(problem).__name__} has {name}(), which a network in time windows cannot "
                "use: take another network"
            )
    if boundary == "penalty":
        raise InputError(
            'boundary must be "exact" or "auto" for a network in time windows, got "penalty": '
            "a march satisfies conditions at walls exactly"
        )
    network.order = order_in_time(problem)
    if network.in_space and not network.of_splines:
        return choose_imposition(problem, boundary, (), walls=True)
    dim, domain = problem.domain.dim, problem.domain
    if dim > 2 and not (isinstance(domain, Box) and network.width[0] == dim):
        raise InputError(
            f"network.width must have a hidden layer here, such as {[dim, 64, network.width[-1]]}, "
            f"got {list(network.width)}: without one it stands for products of splines in a box"
        )
    conditions = problem.conditions()
    around = {i: c.periodic_in for i, c in enumerate(conditions) if c.periodic_in is not None}
    network.around = frozenset(domain.names.index(name) for name in around.values())
    chosen = "penalty" if boundary in ("auto", "exact") else boundary  # nothing is built in
    return replace(choose_imposition(problem, chosen, ()), met=frozenset(around))


def check_unweighted(method: str, weights: Mapping[str, float], balance: str | None) -> None:
    """Refuse weights for a network whose only method satisfies each equation and condition.

    Args:
        method: the method's name.
        weights: of the terms of the loss.
        balance: how they are adapted.

    Raises:
        InputError: for a weight other than 1, or a balance.
    """
    why = f"{method} does not weigh the equation against the conditions, it satisfies both"
    for name, weight in weights.items():
        if weight != 1:
            raise InputError(f"the weight of {name} must be left out, got {weight:g}: {why}")
    if balance is not None:
        raise InputError(f"balance must be left out, got {balance!r}: {why}")
