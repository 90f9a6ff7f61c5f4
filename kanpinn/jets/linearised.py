"""Equations as functions of jets: the derivatives that they use, and their linearisations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy
import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets.jet import Channels, Jet, MissingChannel, parts_of_wave, slopes_of, zero_jet

ROUNDING = 1e-9  # relative difference of two values that are equal but for rounding
ResidualFunction = Callable[[Points, Jet], Tensor]  # gives (n, equations) at n points
JetFunction = Callable[[Points, Channels], Jet]  # gives the jet of fields at points
CHANGES = (
    "changes its points or fields in place, as p.x.mul_(2) does: write an expression with a new "
    "result, such as 2 * p.x"
)
T = TypeVar("T")


@contextmanager
def refusing_changes(what: str) -> Iterator[None]:
    """Turn PyTorch's error about tensors that were changed in place into an InputError.

    Args:
        what: the name of the user's function that the block calls, for the message.

    Raises:
        InputError: if a tensor was changed from which derivatives are taken.
    """
    try:
        yield
    except RuntimeError as error:
        if "in-place" in str(error) or "inplace" in str(error):
            raise InputError(f"{what} {CHANGES}") from error
        raise


def find_channels(
    evaluate: Callable[[Channels], T], names: tuple[str, ...], known: Channels | None = None
) -> tuple[Channels, T]:
    """Find the channels (derivatives) that a residual uses.

    The residual is evaluated with more and more channels until none is missing.

    Args:
        evaluate: evaluates the residual with jets of the given channels.
        names: the names of the coordinates.
        known: channels that the residual uses, if some are known.

    Returns:
        The channels, and the result of `evaluate` with them.

    Raises:
        InputError: if the residual takes a derivative of something else than the solution's jet;
            the channel is then still missing after it has been added. Also if the residual reads a
            derivative, such as `u.gradient`, from a jet that does not carry it.
    """
    channels = known or Channels(names)
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
        except (TypeError, AttributeError) as error:
            every = channels | Channels(names, gradient=True, second="hessian")
            if (
                "NoneType" not in str(error)
                or every == channels
                or not _is_evaluated(evaluate, every)
            ):
                raise
            raise InputError(
                "the residual reads derivatives from a jet, such as u.gradient, which has those "
                "alone that are asked for by operators: write kp.grad(u), kp.partial(u, "
                f'"{names[0]}") or kp.hessian(u)'
            ) from error


def _is_evaluated(evaluate: Callable[[Channels], Any], channels: Channels) -> bool:
    """Return whether a residual raises no exception with jets of the given channels."""
    try:
        evaluate(channels)
    except Exception:  # the user's own functions may raise any exception
        return False
    return True


def random_jets(equation: ResidualFunction, points: Points, m: int) -> tuple[Jet, Jet]:
    """Return two random jets of m fields at the points, with the derivatives in the equation.

    All values and derivatives are in [½, 1½). The random numbers have fixed seeds.
    """

    def jet(channels: Channels, seed: int = 0) -> Jet:
        """Return a jet with random values and derivatives for these channels."""
        generator, zero = Generator().manual_seed(seed), zero_jet(channels, points.coords, m)
        return zero.map(lambda t: 0.5 + torch.rand(t.shape, generator=generator, dtype=t.dtype))

    channels, _ = find_channels(lambda c: equation(points, jet(c)), points.names)
    return jet(channels), jet(channels, seed=1)


@dataclass(frozen=True, eq=False)
class Linearised:
    """k equations r for m fields, linearised at a jet u: r(u + v) ≈ r(u) + slopes · v.

    A jet has the fields' values and derivatives at points.

    Args:
        equation: a function of points and a jet that returns k residuals at each of n points, or
            for each group of consecutive points (then (groups, k)).
        points: the n points.
        jet: the jet u of the fields.
        values: the residuals r(u), (n, k), or (groups, k).
        slopes: the derivatives of the residuals by each value and derivative in u at each point,
            (n, k, parts, m), in the order of `Jet.stacked`.
    """

    equation: ResidualFunction
    points: Points
    jet: Jet
    values: Tensor
    slopes: Tensor

    @classmethod
    def at(cls, equation: ResidualFunction, points: Points, jet: Jet) -> Self:
        """Linearise equations at a jet, by automatic differentiation.

        Args:
            equation, points, jet: see the class.
        """
        parts = [part.detach().requires_grad_() for part in jet.parts()]
        with torch.enable_grad(), refusing_changes("the residual"):
            values = equation(points, jet.with_parts(parts))
            slopes = [slopes_of(row, *parts) for row in values.unbind(dim=1)]
        stacked = torch.stack([jet.with_parts(column).stacked() for column in slopes], dim=1)
        return cls(equation, points, jet, values.detach(), stacked)

    @classmethod
    def at_zero(
        cls, equation: ResidualFunction, points: Points, channels: Channels, fields: int
    ) -> Self:
        """Linearise equations at fields that vanish with all their derivatives.

        Args:
            equation, points: see the class.
            channels: the derivatives that the equations use.
            fields: the number of fields m.
        """
        return cls.at(equation, points, zero_jet(channels, points.coords, fields))

    @property
    def equations(self) -> int:
        """The number of equations k."""
        return self.slopes.shape[1]

    def change(self, v: Jet) -> Tensor:
        """The change slopes · v of the residuals to first order, in the shape of `values`.

        Args:
            v: a jet of the m fields, added to the jet at which the equations are linearised.
        """
        changes = torch.einsum("nkpm,npm->nk", self.slopes, v.stacked())
        rows = len(self.values)
        return changes if rows == len(changes) else changes.unflatten(0, (rows, -1)).sum(dim=1)

    @cached_property
    def right(self) -> Tensor:
        """The right-hand side slopes · u - r(u) of Newton's equations, in the shape of `values`."""
        return self.change(self.jet) - self.values

    @torch.no_grad()
    def is_affine(self) -> bool:
        """Return whether the equations equal their linearisation, tested with random fields."""
        generator = torch.Generator().manual_seed(0)
        trial = self.jet.map(lambda t: torch.randn(t.shape, generator=generator).to(t))
        values, expected = self.equation(self.points, trial), self.change(trial)
        # Coefficients such as 1 / r² would hide nonlinear terms at other points.
        gap, sizes = (values + self.right - expected).abs(), values.abs() + expected.abs()
        return bool((gap.amax(dim=1) <= ROUNDING * sizes.amax(dim=1)).all())

    def symbol(self, row: int, kappa: Tensor) -> Tensor:
        """The symbol M(κ) of the linearised operator L at a point: its matrix for waves exp(κ·x).

        For a constant vector c (m,), L (c exp(κ·x)) = M(κ) c exp(κ·x).

        Args:
            row: the index of the point.
            kappa: complex vectors κ, (s, d).

        Returns:
            The matrices, (s, k, m).
        """
        parts = parts_of_wave(self.jet.channels, kappa)
        return torch.einsum("sp,kpm->skm", parts, self.slopes[row].to(kappa))

    def along(self, row: int, start: Tensor, direction: Tensor) -> numpy.ndarray:
        """The coefficients of the matrix polynomial ζ ↦ M(start + ζ direction), with M of `symbol`.

        M(κ) is the matrix with which the linearised operator acts on waves exp(κ·x).

        Args:
            row: the index of the point.
            start: a complex vector, (d,).
            direction: a vector, (d,).

        Returns:
            The coefficients, the constant first, (r, k, m), where r - 1 is the order of the
            equations, at least 1.
        """
        count = max(1, self.jet.channels.derivative_order) + 1
        zeta = torch.exp(2j * torch.pi * torch.arange(count, dtype=torch.float64) / count)
        values = self.symbol(row, start[None] + zeta[:, None] * direction[None])
        return torch.fft.fft(values, dim=0).numpy() / count
