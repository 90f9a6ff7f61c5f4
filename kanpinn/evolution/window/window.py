"""A window that has been solved, or tried: its polynomials in time and the errors that it makes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.evolution.time.polynomials import at_moments, series_in_time
from kanpinn.evolution.time.stages import Stages
from kanpinn.evolution.window.control import Tried

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Window:
    """The solution in one window.

    Args:
        stages: its stages.
        start, length: its first moment and its length.
        states: the coefficients of the value, and for second order the rate, at the start, then the
            unknowns of the stages (see `Polynomials`), (order + s, n, m).
        error: the estimated error that the window adds, relative to the size of the solution, in
            the root mean square over the window.
        lower: the error that two stages fewer would leave.
        splines: the root mean square errors of splines in each interval, the largest over the
            window, (E,).
        lifetimes: the times for which such errors last, (E,).
        carried: the estimated error of the state at the end, (order, n, m), see `carried_error`;
            empty for a window that has not been solved, or if it does not matter.
        size: the root mean square of the solution at the end.
        iterations: the number of Newton steps.
        converged: whether Newton's method has converged.
        rate: the ratio of the sizes of its successive steps.
    """

    stages: Stages
    start: float
    length: float
    states: Tensor
    error: float
    lower: float
    splines: Tensor
    lifetimes: Tensor
    carried: Tensor
    size: float
    iterations: int
    converged: bool
    rate: float = 0.0

    @classmethod
    def of_states(cls, stages: Stages, start: float, length: float, states: Tensor) -> "Window":
        """The polynomials in time with these states, of which no errors are known."""
        none = states.new_zeros(0)
        return cls(
            stages=stages,
            start=start,
            length=length,
            states=states,
            error=math.inf,
            lower=0.0,
            splines=none,
            lifetimes=none,
            carried=none,
            size=0.0,
            iterations=0,
            converged=False,
        )

    @property
    def order(self) -> int:
        """The order of the equation in time."""
        return len(self.states) - self.stages.count

    @property
    def tried(self) -> Tried:
        """What the controller needs to know."""
        return Tried(self.length, self.stages.count, self.error, self.lower, self.rate)

    @property
    def keeps_waves(self) -> bool:
        """Whether the equation, of first order, damps no waves as short as an interval of splines.

        It is false in time alone, and for an equation of second order, in which values and rates
        take turns.
        """
        waves = self.order == 1 and len(self.lifetimes) > 0
        return waves and bool((self.lifetimes >= self.length).all())

    def at(self, moments: Array, derivative: int = 0) -> Tensor:
        """The coefficients at moments, from 0 to 1 in the window, (k, n, m)."""
        rates = at_moments(self.stages, moments, self.length, self.order, derivative).rates
        return torch.tensordot(torch.from_numpy(rates[derivative]), self.states, dims=1)

    def series(self, derivative: int = 0) -> Tensor:
        """The Legendre series of the polynomials, or of their rates, (s + order, n, m)."""
        rates = series_in_time(self.stages, self.length, self.order).rates
        return torch.tensordot(torch.from_numpy(rates[derivative]), self.states, dims=1)

    def guess(self, stages: Stages, start: float, length: float) -> Tensor:
        """A guess for the stages of a window that starts in this one or at its end, (s, n, m).

        The Legendre series of the value, or for second order of the rate, is cut off for each stage
        after its smallest term: beyond the end the polynomials of high degree grow fast.
        """
        series = self.series(self.order - 1).numpy()
        modes, begin = len(series), (start - self.start) / self.length
        moments = begin + np.append(0.0, length / self.length * stages.nodes)
        values = np.polynomial.legendre.legvander(2 * moments - 1, modes - 1)
        terms = abs(values) * np.sqrt((series**2).sum(axis=(1, 2)))
        pairs = np.maximum(terms[:, :-1], terms[:, 1:])  # one of two may vanish by symmetry
        last = modes - 1 - pairs[:, ::-1].argmin(axis=1)
        values[np.arange(modes) > last[:, None]] = 0
        found = np.tensordot(values, series, axes=1)
        return torch.from_numpy(found[1:] - found[0])

    def end(self) -> Tensor:
        """The coefficients of value and, for second order, rate at the end, (order, n, m)."""
        return self.end_of(self.states)

    def end_of(self, states: Tensor) -> Tensor:
        """The same of other polynomials of this window, (order + s, n, m)."""
        rates = at_moments(self.stages, np.ones(1), self.length, self.order, self.order - 1).rates
        return torch.cat([torch.tensordot(torch.from_numpy(r), states, dims=1) for r in rates])
