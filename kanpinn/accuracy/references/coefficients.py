"""The coefficients of a linear equation, found by evaluating its residual for polynomials."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.pde.evaluate import ResidualFunction, find_channels

Numbers = tuple[float | int, ...]


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of second : ∇²u + first · ∇u + zeroth u = right at n points in the plane.

    second: symmetric, (n, 2, 2). divergence: the divergence of the columns of `second`, (n, 2).
    first: (n, 2). zeroth, right: (n,).
    """

    second: Tensor
    divergence: Tensor
    first: Tensor
    zeroth: Tensor
    right: Tensor


def coefficients_of(equation: ResidualFunction, p: Points, what: str) -> Coefficients:
    """Return the coefficients of an equation, found from its residuals for quadratic polynomials.

    Args:
        equation: the residual (n, 1) for points and the jet of u.
        p: n points in the plane.
        what: the name of the equation in error messages.

    Raises:
        InputError: if it is not linear, of higher than second order, or more than one equation.
    """
    coords = p.coords.detach().clone().requires_grad_()
    p = Points(coords, p.names, p.normals)
    channels = _channels(equation, p, what)

    def residual(
        value: float = 0.0, gradient: Numbers = (0, 0), hessian: Numbers = (0, 0, 0)
    ) -> Tensor:
        found = equation(p, _jet(channels, len(p), value, gradient, hessian))
        if found.shape[1] != 1:
            raise InputError(f"{what}: finite elements are for one equation, got {found.shape[1]}")
        return found[:, 0]

    with torch.enable_grad():
        base = residual()
        xx, yy, xy = (residual(hessian=h) - base for h in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
        second = torch.stack([xx, xy / 2, xy / 2, yy], dim=1).unflatten(1, (2, 2))
        divergence = _divergence(second, coords)
    first = torch.stack([residual(gradient=g) - base for g in ((1, 0), (0, 1))], dim=1)
    zeroth = residual(value=1.0) - base
    found = Coefficients(*(t.detach() for t in (second, divergence, first, zeroth, -base)))
    value, gradient, hessian = 0.7, (-1.3, 0.4), (0.9, -0.6, 1.7)  # a test of linearity
    terms = [
        (found.second * _matrix(hessian)).sum(dim=(1, 2)),
        found.first @ torch.tensor(gradient, dtype=torch.float64),
        value * found.zeroth,
        -found.right,
    ]
    scale = torch.stack([t.abs() for t in terms]).amax()
    gap = (torch.stack(terms).sum(dim=0) - residual(value, gradient, hessian).detach()).abs().amax()
    if not gap <= 1e-9 * scale:
        raise InputError(f"{what} is not linear: finite elements are for linear equations")
    return found


def _channels(equation: ResidualFunction, p: Points, what: str) -> Channels:
    """Return the derivatives that the equation uses, found by evaluating it at a few points."""
    few, zero = p[:5], (0.0, (0, 0), (0, 0, 0))
    channels, _ = find_channels(lambda c: equation(few, _jet(c, len(few), *zero)), p.names)
    if channels.derivative_order > 2:
        raise InputError(
            f"{what}: finite elements are for equations of second order, got one of order "
            f"{channels.derivative_order}"
        )
    return channels


def _jet(channels: Channels, n: int, value: float, gradient: Numbers, hessian: Numbers) -> Jet:
    """Return the jet (n points) of a function with this value, gradient and Hessian (xx, yy, xy).

    The derivatives are the same at all points.
    """
    slope, full = torch.tensor(gradient, dtype=torch.float64), _matrix(hessian)
    second = {
        "none": None,
        "laplacian": full.trace()[None],
        "diagonal": full.diagonal(),
        "hessian": full.flatten(),
    }[channels.second]
    steps = torch.tensor(channels.directions, dtype=torch.float64).reshape(-1, 2)
    along = torch.stack([steps @ slope, ((steps @ full) * steps).sum(dim=1)], dim=1)
    more = torch.zeros(len(steps), 2, dtype=torch.float64)  # third and fourth derivatives vanish
    lines = torch.cat([along, more], dim=1)[:, : channels.order] if channels.directions else None
    parts = (slope if channels.gradient else None, second, lines)
    rows = (None if t is None else t[None, ..., None].expand(n, *t.shape, 1) for t in parts)
    return Jet(channels, torch.full((n, 1), float(value), dtype=torch.float64), *rows)


def _matrix(hessian: Numbers) -> Tensor:
    xx, yy, xy = hessian
    return torch.tensor([[xx, xy], [xy, yy]], dtype=torch.float64)


def _divergence(second: Tensor, coords: Tensor) -> Tensor:
    """Return Σ_i ∂_i a_ij, (n, 2); it is 0 where a does not depend on the points."""
    columns = []
    for j in range(2):
        total = torch.zeros(len(coords), dtype=torch.float64)
        for i in range(2):
            if second.requires_grad:
                (slopes,) = torch.autograd.grad(
                    second[:, i, j].sum(), coords, retain_graph=True, allow_unused=True
                )
                total = total if slopes is None else total + slopes[:, i]
        columns.append(total)
    return torch.stack(columns, dim=1)
