"""Builds data on walls into surrogates in time windows, whose initial values are not built in."""

from collections.abc import Sequence

from kanpinn._support.errors import InputError
from kanpinn.networks.constraints.boundary_data import (
    IMPOSITIONS,
    Imposition,
    check_data,
    numbers_of,
)
from kanpinn.networks.constraints.box import Fieldwise, on_box
from kanpinn.networks.constraints.distance import on_any_domain
from kanpinn.networks.constraints.lifting import NotExact
from kanpinn.networks.surrogate import OutputMap
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.conditions.condition import Prescribed
from kanpinn.pde.jumps import prescribed_data


def choose_imposition_on_walls(problem: BoundaryValueProblem, boundary: str) -> Imposition:
    """Choose how data on walls are imposed on a network in time windows with several coordinates.

    Data at the first moment are never built in: a march represents them in its functions of space.

    Args:
        problem: the problem.
        boundary: "auto", "exact" or "penalty".

    Raises:
        InputError: for another value of `boundary`, and where "exact" is requested but impossible.
    """
    if boundary not in IMPOSITIONS:
        raise InputError(f'boundary must be "auto", "exact" or "penalty", got {boundary!r}')
    if boundary == "penalty":
        return Imposition(None)
    try:
        data = {name: _on_walls(problem, all_) for name, all_ in prescribed_data(problem).items()}
        maps = [_of_field(problem, name, data[name]) for name in problem.fields]
        if all(one is None for one in maps):
            return Imposition(None)
        met = numbers_of(problem, lambda one: not _is_initial(problem, one))
        return Imposition(maps[0] if len(maps) == 1 else Fieldwise(tuple(maps)), met)
    except NotExact as reason:
        if boundary == "exact":
            raise InputError(
                f'boundary = "exact" is impossible here, use "penalty": {reason}'
            ) from None
        return Imposition(None, why=str(reason))


def order_in_time(problem: BoundaryValueProblem) -> int:
    """Return the order in time of the initial data: 2 with initial rates, 1 without.

    Raises:
        InputError: where only some fields have initial rates.
    """
    data = prescribed_data(problem)
    rates = {
        any(one.rate is not None for one in data[name] if _is_initial(problem, one))
        for name in problem.fields
    }
    if len(rates) > 1:
        raise InputError(
            f"a network in time windows takes initial rates for all fields or for none, "
            f"{type(problem).__name__} has them for some"
        )
    return 2 if rates.pop() else 1


def _is_initial(problem: BoundaryValueProblem, one: Prescribed) -> bool:
    return one.piece.side == (problem.domain.dim - 1, False)


def _on_walls(problem: BoundaryValueProblem, data: Sequence[Prescribed]) -> list[Prescribed]:
    first = [one.piece for one in data if _is_initial(problem, one)]
    return [one for one in data if one.piece not in first]


def _of_field(
    problem: BoundaryValueProblem, name: str, data: Sequence[Prescribed]
) -> OutputMap | None:
    if not data:
        return None
    make = on_box if problem.domain.is_box else on_any_domain
    made = make(problem.domain, data, False)
    check_data(made, data, name)
    return made
