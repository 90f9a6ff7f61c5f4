"""Unknown parameters of problems, and checks of what a problem's class declares."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn.jets import Jet


@dataclass(frozen=True)
class Unknown:
    """An unknown of an inverse problem, a number or a coefficient field.

    The unknown is start + c or, where it is positive, start·exp(c). The solve determines c: for a
    number a scalar that starts at zero, for a field an output of the network.

    Args:
        start: the initial value.
        positive: whether the unknown is start·exp(c), which stays positive; its confidence bounds
            are then positive, too.
        exact: the true value of a number where it is known, for comparison only. The true values of
            a field are given by the problem's `exact`.

    Raises:
        InputError: for a start or exact value that is not a finite number, or that is not above 0
            where `positive` is True.

    Example:
        >>> import kanpinn as kp
        >>> viscosity = kp.Unknown(start=1.0, positive=True, exact=0.1)
        >>> viscosity.start, viscosity.positive
        (1.0, True)
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
        """Return the jet of the unknown from the jet of c."""
        if not self.positive:
            return c + self.start
        return c.chain([self.value(c.value)] * 5)  # exp and its derivatives up to the fourth

    def random_start(self, spread: float, generator: torch.Generator) -> float:
        """Return c for a random multiple of the start value, or of 1 where that is 0.

        The multiple lies between 1 / spread and spread; where the unknown may be negative, every
        fourth one has the other sign.
        """
        u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        exponent = (2 * u - 1) * math.log(spread)
        if self.positive:
            return exponent
        sign = -1.0 if v < 0.25 else 1.0
        return sign * math.exp(exponent) * (self.start or 1.0) - self.start

    def value(self, c: Tensor) -> Tensor:
        """Return the value of the unknown from the value of c, in the same shape."""
        return self.start * torch.exp(c) if self.positive else self.start + c

    def slope(self, c: Tensor) -> Tensor:
        """Return the derivative of the value by c, in the same shape."""
        return self.value(c) if self.positive else torch.ones_like(c)
