"""Known functions of the points, with their derivatives."""

from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, jet_of

Function = Callable[[Points], Tensor]  # n points → (n, q)


class Known:
    """Functions of points, (n, q) in all, and their jets by nested automatic differentiation.

    The jets at a `Batch` of points are made once: an optimizer asks for them at every step.

    Args:
        functions: each gives (n, q) for q of its own.
        what: they are, for messages.
    """

    def __init__(self, functions: tuple[Function, ...], what: str) -> None:
        self.functions, self.what = functions, what

    def values(self, p: Points) -> Tensor:
        """All of them at points, (n, q).

        Raises:
            InputError: for a function that gives something of another shape.
        """
        found = [function(p) for function in self.functions]
        for values in found:
            if not isinstance(values, Tensor) or values.ndim != 2 or len(values) != len(p):
                got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
                raise InputError(
                    f"{self.what} must have shape (n, q) with n = {len(p)} points here, got {got}"
                )
        return torch.cat(found, dim=1)

    def jet(self, points: Points, channels: Channels) -> Jet:
        """All of them with their derivatives."""
        return points.once(
            (self, channels),
            lambda: jet_of(lambda x: self.values(Points(x, points.names)), points.coords, channels),
        )
