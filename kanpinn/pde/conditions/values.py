"""The data of conditions and equations: numbers, formulas and functions of points."""

from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.pde.evaluate import stack_equations

Value = float | int | Callable[[Points], Tensor]
Data = Value | str  # a text is a formula


def values_of(data: Data, p: Points, m: int, what: str) -> Tensor:
    """Evaluate a number or a function of points at n points.

    Args:
        data: the number or function; conditions turn their formulas into functions.
        p: the points.
        m: how many fields the values are for.
        what: the name of the data in messages.

    Returns:
        (n, 1), or (n, m) where a function gives a column, or a tuple of columns, for each field.

    Raises:
        InputError: where the function returns another shape.
    """
    if not callable(data):
        return torch.full_like(p.coords[:, :1], float(data))
    found = stack_equations(data(p), len(p), what)
    if found.shape[1] not in (1, m):
        fields = "" if m == 1 else f" or (n, {m}), a column for each field,"
        raise InputError(
            f"{what} must have shape (n, 1){fields} with n = {len(p)} points here, got "
            f"{tuple(found.shape)}"
        )
    return found
