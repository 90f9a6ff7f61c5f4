"""Known functions of the points, with their derivatives."""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets.autograd_jet import jet_of
from kanpinn.jets.jet import Channels, Jet

Function = Callable[[Points], Tensor]  # n points → (n, q)


class Known:
    """Functions of points, (n, q) in all, and their jets by nested automatic differentiation.

    Jets are kept for as long as their points: an optimizer asks for them at every step.

    Args:
        functions: each gives (n, q) for q of its own.
        what: they are, for messages.
    """

    def __init__(self, functions: tuple[Function, ...], what: str) -> None:
        self.functions, self.what = functions, what
        self._jets: WeakKeyDictionary[Points, dict[Channels, Jet]] = WeakKeyDictionary()

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
        known = self._jets.setdefault(points, {})
        if channels not in known:
            known[channels] = jet_of(
                lambda x: self.values(Points(x, points.names)), points.coords, channels
            )
        return known[channels]
