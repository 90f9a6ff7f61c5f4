"""What the functions of a problem give, stacked as columns, and the derivatives that they use."""

from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.jets import Channels, Jet, MissingChannel


def split(u: Jet) -> list[Jet]:
    """A jet for each field."""
    count = u.value.shape[1]
    return [u] if count == 1 else [u[i] for i in range(count)]


def stack_equations(residual: object, n: int, what: str) -> Tensor:
    """The residual's equations as columns (n, equations); what would broadcast is refused."""
    parts = residual if isinstance(residual, (tuple, list)) else (residual,)
    for part in parts or (None,):
        if isinstance(part, Jet):
            part = part.value
        if not isinstance(part, Tensor) or part.ndim != 2 or part.shape[0] != n or not part.numel():
            got = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise InputError(f"{what} must have shape (n, 1) with n = {n} points here, got {got}")
    return torch.cat([p.value if isinstance(p, Jet) else p for p in parts], dim=1)


def find_channels(evaluate: Callable[[Channels], object], names: tuple[str, ...]) -> Channels:
    """The derivatives a residual uses: run it, and carry what it misses until it runs through.

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
