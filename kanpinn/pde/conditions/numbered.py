"""Conditions whose data depend on unknown numbers of a problem."""

import copy
from collections.abc import Sequence

from torch import Generator, Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry.points import Points
from kanpinn.geometry.sampling import Collocation
from kanpinn.jets import Jet
from kanpinn.pde.conditions.condition import Condition
from kanpinn.pde.random_jets import random_jets


def with_numbers(condition: Condition, fields: Sequence[str], numbers: Sequence[str]) -> Condition:
    """The condition, with the names of unknown numbers if its data depend on some of them.

    They do if the condition's functions can be evaluated with these numbers, but not without.

    Args:
        condition: the condition.
        fields: the names of the problem's fields.
        numbers: the names of its unknown numbers.

    Raises:
        InputError, AttributeError: for data that are invalid also with the numbers, such as an
            unknown name.
    """
    view = copy.copy(condition)
    vars(view)["numbers"] = tuple(numbers)
    columns = len(fields) + len(numbers)
    p = condition.points(Collocation(5, 16, "uniform"), 1.0, Generator().manual_seed(0))
    if _failure(condition, fields, p, columns) is None:
        return condition
    failure = _failure(view, fields, p, columns)
    if isinstance(failure, InputError | AttributeError):
        raise failure  # which names the numbers too
    # What else the user's own functions raise they raise again in the solve.
    return view if failure is None else condition


def _failure(
    condition: Condition, fields: Sequence[str], p: Points, columns: int
) -> Exception | None:
    def residual(p: Points, u: Jet) -> Tensor:
        return condition.stacked_residual(fields, "a condition", p, u)

    try:
        random_jets(residual, p, columns)
    except Exception as failure:  # by the user's own functions
        return failure
    return None
