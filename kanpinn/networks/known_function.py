"""Known functions of the points, with their derivatives."""

from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, jet_of

Function = Callable[[Points], Tensor]  # n points → (n, q)


class Known:
    """Known functions of points, and their jets by nested automatic differentiation.

    The jets at a `Batch` of points are computed once, as an optimizer uses them in every step.

    Args:
        functions: each maps n points to (n, q), for its own q.
        what: the name of the functions in error messages.
    """

    def __init__(self, functions: tuple[Function, ...], what: str) -> None:
        self.functions, self.what = functions, what

    def values(self, p: Points) -> Tensor:
        """The values of all functions at n points, (n, q) with the sum q of their numbers.

        Raises:
            InputError: if a function gives another shape.
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
        """The jet of all functions at points, with the derivatives that `channels` names."""
        return points.once(
            (self, channels),
            lambda: jet_of(lambda x: self.values(Points(x, points.names)), points.coords, channels),
        )
