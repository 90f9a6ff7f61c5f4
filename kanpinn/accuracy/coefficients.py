"""The coefficients of a linear expression of second order, read from its values."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import ResidualFunction, derivatives_of_parts, find_channels, zero_jet


class Unsuitable(Exception):
    """Raised where an equation is not of the kind that a method is for; the message says why."""


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The affine expression A:D²u + B·∇u + C u + R at n points.

    Args:
        second: A, symmetric, (n, d, d).
        first: B, (n, d).
        zeroth: C, (n,).
        rest: R, (n,).
    """

    second: Tensor
    first: Tensor
    zeroth: Tensor
    rest: Tensor

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """A, B, C and R."""
        return self.second, self.first, self.zeroth, self.rest

    def times(self, factor: float) -> "Coefficients":
        """The expression multiplied by a number."""
        return Coefficients(*(factor * part for part in self.parts))

    @property
    def are_constant(self) -> bool:
        """Whether A, B and C are the same at all points, to rounding."""
        spans = (float((part.amax(dim=0) - part.amin(dim=0)).max()) for part in self.parts[:3])
        sizes = (float(part.abs().max()) for part in self.parts[:3])
        return all(a <= 1e-12 * b for a, b in zip(spans, sizes, strict=True))


def read_coefficients(equation: ResidualFunction, points: Points, what: str) -> Coefficients:
    """Read the coefficients of an affine expression of a scalar field's jet.

    The expression is evaluated with jets that have a single entry, and its values for random jets
    are compared with those that the coefficients give.

    >>> from kanpinn import laplacian
    >>> p = Points(torch.tensor([[0.5, 0.0]], dtype=torch.float64), ("x", "y"))
    >>> found = read_coefficients(lambda p, u: p.x * u.value - laplacian(u) - 3, p, "residual")
    >>> found.second[0].tolist(), found.zeroth.tolist(), found.rest.tolist()
    ([[-1.0, 0.0], [0.0, -1.0]], [0.5], [-3.0])

    Args:
        equation: the expression.
        points: n points, in float64.
        what: the name of the expression in messages.

    Raises:
        Unsuitable: where the expression is not affine, not finite, has derivatives above the second
            order or more than one column.
    """
    p = Batch.made_of(points)
    channels, rest = find_channels(lambda c: equation(p, zero_jet(c, p.coords, 1)), p.names)
    if channels.derivative_order > 2:
        raise Unsuitable(f"{what} has derivatives of order {channels.derivative_order}")
    if rest.shape[1] != 1:
        raise Unsuitable(f"{what} is a system of {rest.shape[1]} equations")
    zero, generator = zero_jet(channels, p.coords, 1), torch.Generator().manual_seed(41)
    drawn = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in zero.parts()]
    slopes, scale = [], rest[:, 0].detach().abs().clamp_min(1)  # so that R hides no digits
    for k, part in enumerate(zero.parts()):
        for column in range(part[0].numel()):
            parts = zero.parts()
            parts[k] = part.clone()
            parts[k].flatten(1)[:, column] = scale
            slopes.append((equation(p, zero.with_parts(parts)) - rest)[:, 0] / scale)
    slope, (n, d) = torch.stack(slopes, dim=1), p.coords.shape
    terms = slope * torch.cat([part.flatten(1) for part in drawn], dim=1)
    predicted, size = rest[:, 0] + terms.sum(dim=1), rest[:, 0].abs() + terms.abs().sum(dim=1)
    tried = equation(p, zero.with_parts(drawn))[:, 0]
    if not bool(tried.isfinite().all() and predicted.isfinite().all()):
        raise Unsuitable(f"{what} is not finite everywhere")
    if bool(((tried - predicted).abs() > 1e-10 * size).any()):
        raise Unsuitable(f"{what} is not linear in the solution")
    second, first, zeroth = slope.new_zeros(n, d, d), slope.new_zeros(n, d), slope.new_zeros(n)
    for part, derivatives in zip(slope.unbind(dim=1), derivatives_of_parts(channels), strict=True):
        for orders, factor in derivatives:
            axes = [axis for axis, order in enumerate(orders) for _ in range(order)]
            if not axes:
                zeroth = zeroth + part
            elif len(axes) == 1:
                first[:, axes[0]] += factor * part
            else:
                second[:, axes[0], axes[1]] += factor / 2 * part
                second[:, axes[1], axes[0]] += factor / 2 * part
    return Coefficients(second, first, zeroth, rest[:, 0])


def flux_factor(condition: Coefficients, second: Tensor, p: Points) -> Tensor | None:
    """Return κ, (n,), for a condition κ A∇u·n + C u + R; None if it is not of this form.

    Args:
        condition: the coefficients of the condition at n points.
        second: A, (n, d, d).
        p: the points, with normals.
    """
    assert p.normals is not None
    conormal = torch.einsum("nab,nb->na", second, p.normals)
    kappa = (condition.first * conormal).sum(dim=1) / conormal.square().sum(dim=1)
    gap = (condition.first - kappa[:, None] * conormal).norm(dim=1)
    fits = (gap <= 1e-9 * condition.first.norm(dim=1)) & (kappa != 0)
    return kappa if bool(fits.all()) and not bool(condition.second.any()) else None
