"""A fit of the poster's solution instead of a solve: the best its networks could reach."""

import torch

import kanpinn as kp


class Fit(kp.Problem):
    """u = s on [-1, 1]² with s = sin(πx) sin(πy²), which vanishes on the boundary."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p, u):
        return u.value - self.source(p)

    def source(self, p):
        return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y**2)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact(self, p):
        return self.source(p)
