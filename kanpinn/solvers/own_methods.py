"""What networks in cells and in windows, which have a method of their own, have in common."""

from collections.abc import Mapping

from kanpinn._support.errors import InputError
from kanpinn.networks.known_function import Function
from kanpinn.networks.network import Network
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem


def inputs_of(problem: BoundaryValueProblem, in_cells: bool) -> Function | None:
    """The function that computes a network's inputs from points; None for the coordinates.

    Functions of inputs give networks a kink at an interface. A network in cells has this kink
    without them, so it takes the coordinates if the problem has interfaces.

    Args:
        problem: the problem.
        in_cells: whether it is a network in cells.
    """
    has_kinks = any(condition.kinks for condition in problem.conditions())
    return None if in_cells and has_kinks else problem.inputs()


def refuse_unfit(
    problem: BoundaryValueProblem, functions: Mapping[str, object], form: str, network: str
) -> None:
    """Refuse problems with functions that such networks cannot use, and energies.

    Args:
        problem: the problem.
        functions: those that such networks cannot use, by name, as far as the problem has them.
        form: the argument `form` of `solve`.
        network: what kind of network it is, for messages.

    Raises:
        InputError: see above.
    """
    for name, given in functions.items():
        if given:
            raise InputError(
                f"{type(problem).__name__} has {name}(), which {network} cannot use: take another "
                "network"
            )
    if form == "energy":
        raise InputError(f'form must be "strong" for {network}')


def refuse_weights(problem: BoundaryValueProblem, network: Network) -> None:
    """Refuse weights of conditions for a network whose method ignores them.

    Raises:
        InputError: for a weight other than 1.
    """
    for i, condition in enumerate(problem.conditions()):
        if condition.weight != 1:
            raise InputError(
                f"the weight of conditions()[{i}] must be left out, got {condition.weight:g}: "
                f"{network.unweighted}"
            )


def periodic_axes(problem: BoundaryValueProblem) -> dict[int, int]:
    """The indices of periodic conditions on all fields, with those of their coordinates."""
    named = {i: c.periodic_in for i, c in enumerate(problem.conditions())}
    names = problem.domain.names
    return {i: names.index(name) for i, name in named.items() if name is not None}


def check_unweighted(why: str, weights: Mapping[str, float], balance: str | None) -> None:
    """Refuse weights of the loss for a network to whose method they mean nothing.

    Args:
        why: the reason, see `Network.unweighted`.
        weights: of the terms of the loss.
        balance: how they are adapted.

    Raises:
        InputError: for a weight other than 1, or a balance.
    """
    for name, weight in weights.items():
        if weight != 1:
            raise InputError(f"the weight of {name} must be left out, got {weight:g}: {why}")
    if balance is not None:
        raise InputError(f"balance must be left out, got {balance!r}: {why}")
