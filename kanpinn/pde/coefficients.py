"""The coefficients of linear equations and conditions, read from their residuals."""

from dataclasses import dataclass

from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import (
    Linearised,
    ResidualFunction,
    coefficients_of_derivatives,
    find_channels,
    zero_jet,
)


class Unsuitable(Exception):
    """Raised if a theory does not apply to a problem; the message says why."""


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The e affine expressions A:D²u + B·∇u + C u + R of m fields u at n points.

    For one expression of one field the axes of length e and m are left out, see `scalar`.

    Args:
        second: the coefficients A of the second derivatives, symmetric, (n, e, m, d, d).
        first: the coefficients B of the gradients, (n, e, m, d).
        zeroth: the coefficients C of u, (n, e, m).
        rest: the terms R without u, (n, e).
    """

    second: Tensor
    first: Tensor
    zeroth: Tensor
    rest: Tensor

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors A, B, C and R."""
        return self.second, self.first, self.zeroth, self.rest

    def times(self, factor: float) -> "Coefficients":
        """Return the expressions multiplied by a number."""
        return Coefficients(*(factor * part for part in self.parts))

    @property
    def are_constant(self) -> bool:
        """True if A, B and C are the same at all points, up to rounding."""
        spans = (float((part.amax(dim=0) - part.amin(dim=0)).max()) for part in self.parts[:3])
        sizes = (float(part.abs().max()) for part in self.parts[:3])
        return all(a <= 1e-12 * b for a, b in zip(spans, sizes, strict=True))

    @property
    def scalar(self) -> "Coefficients":
        """The coefficients of one expression of one field, without the axes of length 1."""
        second, first, zeroth, rest = self.parts
        return Coefficients(second[:, 0, 0], first[:, 0, 0], zeroth[:, 0, 0], rest[:, 0])


def read_coefficients(
    equation: ResidualFunction, points: Points, what: str, fields: int = 1
) -> Coefficients:
    """Read the coefficients of affine expressions of fields and their derivatives.

    >>> import torch
    >>> from kanpinn import laplacian
    >>> p = Points(torch.tensor([[0.5, 0.0]], dtype=torch.float64), ("x", "y"))
    >>> found = read_coefficients(lambda p, u: p.x * u.value - laplacian(u) - 3, p, "residual")
    >>> found.second[0, 0, 0].tolist(), found.zeroth.tolist(), found.rest.tolist()
    ([[-1.0, 0.0], [0.0, -1.0]], [[[0.5]]], [[-3.0]])

    Args:
        equation: the expressions, a function of n points and the jet of the fields, (n, e).
        points: n points, in float64.
        what: the name of the expressions in messages.
        fields: the number of fields m.

    Raises:
        Unsuitable: if the expressions are not affine or not finite, or have derivatives above the
            second order.
    """
    p = Batch.made_of(points)
    channels, rest = find_channels(lambda c: equation(p, zero_jet(c, p.coords, fields)), p.names)
    if channels.derivative_order > 2:
        raise Unsuitable(f"{what} has derivatives of order {channels.derivative_order}")
    linear = Linearised.at_zero(equation, p, channels, fields)
    if not bool(linear.values.isfinite().all() and linear.slopes.isfinite().all()):
        raise Unsuitable(f"{what} is not finite everywhere")
    if not linear.is_affine():
        raise Unsuitable(f"{what} is not linear in the solution")
    d, shape = len(p.names), (*rest.shape, fields)
    zeroth, first, second = (rest.new_zeros(*shape, *(d,) * order) for order in range(3))
    for orders, factor in coefficients_of_derivatives(linear.slopes.detach(), channels).items():
        axes = [axis for axis, order in enumerate(orders) for _ in range(order)]
        if not axes:
            zeroth += factor
        elif len(axes) == 1:
            first[..., axes[0]] += factor
        else:
            second[..., axes[0], axes[1]] += factor / 2
            second[..., axes[1], axes[0]] += factor / 2
    return Coefficients(second, first, zeroth, linear.values)
