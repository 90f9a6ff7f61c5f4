"""The coefficients of a linear equation of second order, read from its residual."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, zero_jet
from kanpinn.pde.evaluate import ResidualFunction, find_channels


class Unbounded(Exception):
    """Raised where the theory of the bounds does not apply; the message says why."""


@dataclass(frozen=True, eq=False)
class OperatorCoefficients:
    """The linear expression A:D²u + B·∇u + C u at n points.

    Args:
        second: A, symmetric, (n, d, d).
        first: B, (n, d).
        zeroth: C, (n,).
    """

    second: Tensor
    first: Tensor
    zeroth: Tensor

    def times(self, factor: float) -> "OperatorCoefficients":
        """The expression multiplied by a number."""
        return OperatorCoefficients(factor * self.second, factor * self.first, factor * self.zeroth)

    @property
    def are_constant(self) -> bool:
        """Whether all coefficients are the same at all points, to rounding."""
        parts = (self.second, self.first, self.zeroth)
        sizes = [float(one.abs().max()) for one in parts]
        spans = [float((one.amax(dim=0) - one.amin(dim=0)).max()) for one in parts]
        return all(a <= 1e-12 * b for a, b in zip(spans, sizes, strict=True))


def read_coefficients(
    equation: ResidualFunction, points: Points, what: str
) -> OperatorCoefficients:
    """Read the coefficients of an affine expression of a scalar field's jet.

    The expression is evaluated with jets that have a single entry, and its values for random jets
    are compared with those that the coefficients give.

    >>> from kanpinn import laplacian
    >>> p = Points(torch.tensor([[0.5, 0.0]], dtype=torch.float64), ("x", "y"))
    >>> found = read_coefficients(lambda p, u: p.x * u.value - laplacian(u) - 3, p, "residual")
    >>> found.second[0].tolist(), found.zeroth.tolist()
    ([[-1.0, 0.0], [0.0, -1.0]], [0.5])

    Args:
        equation: the expression.
        points: n points, in float64.
        what: the name of the expression in messages.

    Raises:
        Unbounded: where the expression is not affine, not finite, has derivatives above the second
            order or more than one column.
    """
    p = Batch.made_of(points)
    channels, rest = find_channels(lambda c: equation(p, zero_jet(c, p.coords, 1)), p.names)
    if channels.derivative_order > 2:
        raise Unbounded(f"{what} has derivatives of order {channels.derivative_order}")
    if rest.shape[1] != 1:
        raise Unbounded(f"{what} is a system of {rest.shape[1]} equations")
    zero, generator = zero_jet(channels, p.coords, 1), torch.Generator().manual_seed(41)
    drawn = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in zero.parts()]
    slopes, scale = [], rest[:, 0].abs().clamp_min(1)  # so that the source hides no digits
    for k, part in enumerate(zero.parts()):
        for column in range(part[0].numel()):
            parts = zero.parts()
            parts[k] = part.clone()
            parts[k].flatten(1)[:, column] = scale
            slopes.append((equation(p, zero.with_parts(parts)) - rest)[:, 0] / scale)
    slope = torch.stack(slopes, dim=1)
    terms = slope * torch.cat([part.flatten(1) for part in drawn], dim=1)
    predicted, size = rest[:, 0] + terms.sum(dim=1), rest[:, 0].abs() + terms.abs().sum(dim=1)
    tried = equation(p, zero.with_parts(drawn))[:, 0]
    if not bool(tried.isfinite().all() and predicted.isfinite().all()):
        raise Unbounded(f"{what} is not finite everywhere")
    if bool(((tried - predicted).abs() > 1e-10 * size).any()):
        raise Unbounded(f"{what} is not linear in the solution")
    symbols = _symbols(channels)
    second = torch.einsum("ne,eab->nab", slope, symbols.second)
    return OperatorCoefficients(second, slope @ symbols.first, slope @ symbols.zeroth)


def _symbols(channels: Channels) -> OperatorCoefficients:
    """Return the entries of a scalar jet as expressions A:D²u + B·∇u + C u, one a row."""
    d = channels.dim
    axes = torch.eye(d, dtype=torch.float64)
    nothing, none = torch.zeros(d, d, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
    rows = [(nothing, none, 1.0)]
    if channels.gradient:
        rows += [(nothing, axis, 0.0) for axis in axes]
    if channels.second == "laplacian":
        rows.append((axes, none, 0.0))
    elif channels.second == "diagonal":
        rows += [(torch.outer(axis, axis), none, 0.0) for axis in axes]
    elif channels.second == "hessian":
        rows += [(torch.outer(a, b), none, 0.0) for a in axes for b in axes]
    for direction in channels.directions:
        v = torch.tensor(direction, dtype=torch.float64)
        orders = [(nothing, v, 0.0), (torch.outer(v, v), none, 0.0)]
        rows += orders[: channels.order]
    second, first, zeroth = zip(*rows, strict=True)
    even = torch.stack(second)
    even = (even + even.transpose(1, 2)) / 2
    return OperatorCoefficients(even, torch.stack(first), torch.tensor(zeroth, dtype=torch.float64))
