"""Classes for the studies behind Table 1: a network with the structure, and plain fits."""

import torch
from torch import Tensor

import kanpinn as kp
from kanpinn.jets import Coordinates

LOW, HIGH = (-1.0, -2.0), (2.0, 1.0)  # the ranges of x + y² and of x - y²


class Structured(kp.KAN):
    """[2, 2 copies, 1] with the exact inner functions of sin πx sin πy²: x + y² and x - y².

    Only the outer functions are unknown, on `grid` intervals each. The grids of several copies of a
    unit are shifted by 1/copies of an interval, so that together they are finer by that factor.
    """

    def __init__(self, degree: int, grid: int, copies: int = 1) -> None:
        super().__init__([2, 2 * copies, 1], degree=degree, grid=[1, grid])
        x = torch.linspace(-1, 1, 8 * degree, dtype=torch.float64)[:, None].expand(-1, 2)
        sign = torch.tensor([1.0, -1.0], dtype=x.dtype).repeat_interleave(copies)
        values = torch.stack([x[:, :1].expand(-1, 2 * copies), x[:, 1:] ** 2 * sign], dim=1)
        inner, outer = self.layers
        with torch.no_grad():
            inner.coefficients.copy_(inner.basis.fit(x, values))
        low, high = (torch.tensor(e, dtype=x.dtype).repeat_interleave(copies) for e in (LOW, HIGH))
        step = (high - low) / (grid - (copies - 1) / copies)
        start = low - step * torch.arange(copies).repeat(2) / copies
        outer.basis = outer.basis.uniform(start, start + grid * step, grid, degree)

    def prepare(self, coordinates: Coordinates) -> None:
        """Keep the grids, which cover the hidden ranges as they are."""


class BestL2(kp.Problem):
    """The best approximation of sin πx sin πy² in L2 as a problem, whose residual is the error."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p: kp.Points, u: kp.Jet) -> Tensor | tuple[Tensor, ...]:
        return u.value - self.exact(p)

    def conditions(self) -> list[kp.Dirichlet]:
        return [kp.Dirichlet(self.domain.boundary, 0.0)]  # its weight is zero

    def exact(self, p: kp.Points) -> Tensor:
        return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y**2)


class BestH1(BestL2):
    """The best approximation in H1, whose residuals are the error and its two derivatives."""

    def residual(self, p: kp.Points, u: kp.Jet) -> tuple[Tensor, ...]:
        pi, y2 = torch.pi, p.y**2
        in_x = kp.partial(u, "x") - pi * torch.cos(pi * p.x) * torch.sin(pi * y2)
        in_y = kp.partial(u, "y") - 2 * pi * p.y * torch.sin(pi * p.x) * torch.cos(pi * y2)
        return u.value - self.exact(p), in_x, in_y
