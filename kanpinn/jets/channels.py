"""Which derivatives a jet carries, and how its second derivatives are laid out."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn._support.errors import InputError

SECOND_KINDS = ("none", "laplacian", "diagonal", "hessian")


@dataclass(frozen=True)
class Channels:
    """Which derivatives a jet carries.

    Args:
        names: of the d coordinates.
        gradient: whether the first derivatives are carried.
        second: "laplacian" carries one channel of second derivatives, "diagonal" d, "hessian" d²;
            each includes the ones before it and implies the gradient. "none" carries none.
        directions: lines along which derivatives are carried, each of d numbers.
        order: of these derivatives, 1 … order, at most 4.

    dim: the number of coordinates d. derivative_order: the highest derivative in the jet, 0 … 4.
    second_count: how many second derivatives are carried: 0, 1, d or d².

    Raises:
        InputError: for an unknown kind of second derivatives.
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
        """All derivatives of both."""
        return Channels(
            self.names,
            self.gradient or other.gradient,
            max(self.second, other.second, key=SECOND_KINDS.index),
            tuple(dict.fromkeys(self.directions + other.directions)),
            max(self.order, other.order),
        )


@dataclass(eq=False)
class MissingChannel(Exception):
    """A derivative was asked of a jet that does not carry it; `needed` are channels that do."""

    needed: Channels


def second_of_diagonal(diagonal: Tensor, kind: str) -> Tensor:
    """The second derivatives of a sum of univariate functions, in the layout of a kind.

    Args:
        diagonal: (n, d, m), the second derivative of each function.
        kind: of `Channels.second`, not "none".

    Returns:
        (n, s, m) with s = 1, d or d².
    """
    if kind == "laplacian":
        return diagonal.sum(dim=1, keepdim=True)
    if kind == "diagonal":
        return diagonal
    return torch.diag_embed(diagonal.transpose(1, 2)).movedim(1, -1).flatten(1, 2)
