"""The Bessel functions J₀ and J₁, accurate to rounding, with all their derivatives.

The values are computed by scipy, because torch.special.bessel_j0 and bessel_j1 have errors of up
to 5e-7 and no derivatives.
"""

from collections.abc import Callable
from typing import Any

import numpy
import scipy.special
import torch
from torch import Tensor


def bessel_j0(u: Tensor) -> Tensor:
    """Return J₀(u) elementwise, differentiable any number of times, also under torch.func."""
    return _J0.apply(u)


class _Elementwise(torch.autograd.Function):
    """The common base of the two functions: values by scipy, and the saved argument."""

    compute: Callable[[Any], Any]

    @classmethod
    def _values(cls, u: Tensor) -> Tensor:
        return torch.as_tensor(numpy.asarray(cls.compute(u.detach().cpu().numpy()))).to(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


class _J0(_Elementwise):
    """J₀ with its derivative J₀' = -J₁."""

    compute = staticmethod(scipy.special.j0)

    @staticmethod
    def forward(u: Tensor) -> Tensor:
        return _J0._values(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient * _J1.apply(*ctx.saved_tensors)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return -tangent * _J1.apply(*ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], u: Tensor) -> tuple[Tensor, int | None]:
        return _J0.apply(u), in_dims[0]


class _J1(_Elementwise):
    """J₁ with its derivative J₁' = J₀ - J₁/u."""

    compute = staticmethod(scipy.special.j1)

    @staticmethod
    def forward(u: Tensor) -> Tensor:
        return _J1._values(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * _slope(*ctx.saved_tensors)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return tangent * _slope(*ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], u: Tensor) -> tuple[Tensor, int | None]:
        return _J1.apply(u), in_dims[0]


def _slope(u: Tensor) -> Tensor:
    # J₁/u = 1/2 - u²/16 + O(u⁴/384) near 0, where the quotient is 0/0.
    near = u.abs() < 1e-3
    quotient = _J1.apply(u) / torch.where(near, torch.ones_like(u), u)
    return _J0.apply(u) - torch.where(near, 0.5 - u * u / 16, quotient)
