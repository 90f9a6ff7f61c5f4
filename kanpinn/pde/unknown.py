"""Unknowns of inverse problems: numbers, and coefficients that are fields."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn.jets import Jet


@dataclass(frozen=True)
class Unknown:
    """A number, or a coefficient field, that a problem looks for: start + c, or start·exp(c).

    c is what is solved for: the number, which starts at zero, or the network's output.

    Args:
        start: where the search begins.
        positive: whether it stays positive, as start·exp(c); its intervals then do so, too.
        exact: a number's true value, where it is known, for comparison only; that of a field is the
            problem's `exact`.

    Raises:
        InputError: for what is not a finite number, or a start or an exact ≤ 0 of what stays
            positive.
    """

    start: float | int = 1.0
    positive: bool = False
    exact: float | int | None = None

    def __post_init__(self) -> None:
        number("start", self.start, least=-float("inf"))
        if self.exact is not None:
            number("exact", self.exact, least=-float("inf"))
        if not isinstance(self.positive, bool):
            raise InputError(f"positive must be True or False, got {self.positive!r}")
        if self.positive and self.start <= 0:
            raise InputError(f"start must be above 0 where positive is True, got {self.start!r}")
        if self.positive and self.exact is not None and self.exact <= 0:
            raise InputError(f"exact must be above 0 where positive is True, got {self.exact!r}")

    def of(self, c: Jet) -> Jet:
        """The unknown's jet from that of c."""
        if not self.positive:
            return c + self.start
        return c.chain([self.value(c.value)] * 5)  # exp and its derivatives up to the fourth

    def value(self, c: Tensor) -> Tensor:
        """The unknown's value."""
        return self.start * torch.exp(c) if self.positive else self.start + c
