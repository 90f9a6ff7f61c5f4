"""A problem's functions evaluated: results stacked as columns, and the derivatives they use."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.jets import Channels, Jet, MissingChannel


def split(u: Jet) -> list[Jet]:
    """The jets of the single fields, in their order, from the jet of all of them."""
    count = u.value.shape[1]
    return [u] if count == 1 else [u[i] for i in range(count)]


def stack_equations(residual: object, n: int, what: str) -> Tensor:
    """The columns (n, equations) of a residual, which may be a tuple of columns or jets.

    Args:
        residual: what a problem's function returned.
        n: the number of points, and of rows.
        what: the name of the residual in messages.

    Raises:
        InputError: for another shape, also one that would broadcast to (n, n).
    """
    parts = residual if isinstance(residual, (tuple, list)) else (residual,)
    columns: list[Any] = [getattr(part, "value", part) for part in parts]  # of jets
    for part in columns or (None,):
        if not isinstance(part, Tensor) or part.ndim != 2 or part.shape[0] != n or not part.numel():
            got = tuple(getattr(part, "shape", ())) or type(part).__name__
            raise InputError(f"{what} must have shape (n, 1) with n = {n} points here, got {got}")
    return torch.cat(columns, dim=1)


def find_channels(evaluate: Callable[[Channels], object], names: tuple[str, ...]) -> Channels:
    """The derivatives that a residual uses, found by running it until none is missing.

    Raises:
        InputError: where it asks for a derivative that cannot be carried.
    """
    channels = Channels(names)
    while True:
        try:
            evaluate(channels)
            return channels
        except MissingChannel as missing:
            wider = channels | missing.needed
            if wider == channels:
                raise InputError(
                    "the residual takes a derivative of something that is not the solution's jet"
                ) from None
            channels = wider
