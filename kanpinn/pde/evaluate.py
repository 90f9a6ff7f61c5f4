"""Helpers that evaluate a problem's functions: shapes of results, and derivatives in use."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, MissingChannel

T = TypeVar("T")
ResidualFunction = Callable[[Points, Jet], Tensor]  # gives (n, equations) at n points


def jets_of_fields(u: Jet) -> Sequence[Jet]:
    """Split the jet of m fields into the jets of the single fields, in the same order."""
    return [u] if u.value.shape[1] == 1 else u.components()


def stack_equations(residual: object, n: int, what: str) -> Tensor:
    """Return a residual, which may be a tuple of columns or jets, as one tensor (n, equations).

    Args:
        residual: what a problem's function returned: a tensor (n, equations), a jet, or a tuple or
            list of these.
        n: the number of points, which is the number of rows.
        what: the name of the residual in messages.

    Raises:
        InputError: for another shape, such as (n,), which would broadcast to (n, n).
    """
    parts = residual if isinstance(residual, (tuple, list)) else (residual,)
    columns: list[Any] = [getattr(part, "value", part) for part in parts]  # the values of jets
    for part in columns or (None,):
        if not isinstance(part, Tensor) or part.ndim != 2 or part.shape[0] != n or not part.numel():
            got = tuple(getattr(part, "shape", ())) or type(part).__name__
            raise InputError(f"{what} must have shape (n, 1) with n = {n} points here, got {got}")
    return torch.cat(columns, dim=1)


def find_channels(evaluate: Callable[[Channels], T], names: tuple[str, ...]) -> tuple[Channels, T]:
    """Find the channels (derivatives) that a residual uses.

    The residual is evaluated with more and more channels until none is missing.

    Args:
        evaluate: evaluates the residual with jets of the given channels.
        names: the names of the coordinates.

    Returns:
        The channels, and what `evaluate` has returned with them.

    Raises:
        InputError: where a channel is still missing after it has been added, because the derivative
            is not taken of the solution's jet.
    """
    channels = Channels(names)
    while True:
        try:
            return channels, evaluate(channels)
        except MissingChannel as missing:
            wider = channels | missing.needed
            if wider == channels:
                raise InputError(
                    "the residual takes a derivative of something that is not the solution's jet"
                ) from None
            channels = wider
