"""The derivatives that a jet carries, and the layout of its second derivatives."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn._support.errors import InputError

SECOND_KINDS = ("none", "laplacian", "diagonal", "hessian")


@dataclass(frozen=True)
class Channels:
    """The derivatives that a jet carries.

    Args:
        names: the names of the d coordinates.
        gradient: whether the first derivatives are carried.
        second: "laplacian" carries one channel of second derivatives, "diagonal" d, "hessian" d²;
            each includes the ones before it and implies the gradient. "none" carries none.
        directions: constant directions of directional derivatives, d numbers each.
        order: the highest order of the directional derivatives, at most 4; all lower ones are
            carried too.

    dim: the number of coordinates d. derivative_order: the highest derivative in the jet, 0 … 4.
    second_count: the number of second derivatives in the jet: 0, 1, d or d².

    Raises:
        InputError: for an unknown kind of second derivatives.

    Example:
        >>> import kanpinn as kp
        >>> carried = kp.Channels(("x", "y"), second="laplacian")
        >>> carried.gradient, carried.second_count, carried.derivative_order
        (True, 1, 2)
    """

    names: tuple[str, ...]
    gradient: bool = False
    second: str = "none"
    directions: tuple[tuple[float, ...], ...] = ()
    order: int = 0
    dim: int = field(init=False, repr=False, compare=False)
    derivative_order: int = field(init=False, repr=False, compare=False)
    second_count: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.second not in SECOND_KINDS:
            raise InputError(f"second must be one of {SECOND_KINDS}, got {self.second!r}")
        d, second = len(self.names), self.second != "none"
        gradient = self.gradient or second
        counts = {"none": 0, "laplacian": 1, "diagonal": d, "hessian": d * d}
        object.__setattr__(self, "gradient", gradient)
        object.__setattr__(self, "dim", d)
        object.__setattr__(self, "derivative_order", max(int(gradient), 2 * second, self.order))
        object.__setattr__(self, "second_count", counts[self.second])

    def __or__(self, other: "Channels") -> "Channels":
        """The channels that carry all derivatives of both operands."""
        return Channels(
            self.names,
            self.gradient or other.gradient,
            max(self.second, other.second, key=SECOND_KINDS.index),
            tuple(dict.fromkeys(self.directions + other.directions)),
            max(self.order, other.order),
        )


@dataclass(eq=False)
class MissingChannel(Exception):
    """Raised for a derivative that a jet does not carry; `needed` are channels that contain it."""

    needed: Channels


def second_of_diagonal(diagonal: Tensor, kind: str) -> Tensor:
    """The second derivatives of a sum of univariate functions, in the layout of a kind.

    Args:
        diagonal: (n, d, m), the second derivative of each function.
        kind: a value of `Channels.second` other than "none".

    Returns:
        (n, s, m) with s = 1, d or d².
    """
    if kind == "laplacian":
        return diagonal.sum(dim=1, keepdim=True)
    if kind == "diagonal":
        return diagonal
    return torch.diag_embed(diagonal.transpose(1, 2)).movedim(1, -1).flatten(1, 2)
