"""Values of functions of points with checked shapes, derivatives in use, and random jets."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, MissingChannel, zero_jet

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


def random_jets(equation: ResidualFunction, points: Points, m: int) -> tuple[Jet, Jet]:
    """Return two random jets of m fields at the points, with the derivatives the equation uses."""
    channels, _ = find_channels(lambda c: equation(points, _random_jet(points, c, m)), points.names)
    return _random_jet(points, channels, m), _random_jet(points, channels, m, seed=1)


def _random_jet(points: Points, channels: Channels, m: int, seed: int = 0) -> Jet:
    """Return a jet of random numbers in [½, 1½), reproducible for a given seed."""
    generator = Generator().manual_seed(seed)
    zero = zero_jet(channels, points.coords, m)
    return zero.map(lambda t: 0.5 + torch.rand(t.shape, generator=generator, dtype=t.dtype))
