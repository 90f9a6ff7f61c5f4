"""A Riemann problem of Burgers' equation with viscosity: a jump becomes a travelling shock."""

import torch

import kanpinn as kp


class BurgersRiemann(kp.Problem):
    """u_t + u u_x = ν u_xx for x in [-1, 1], t in [0, 1]; u = 1 for x < -1/4, else 0, at t = 0.

    Cole's and Hopf's substitution gives u = 1 / (1 + exp((y - t/2) / 2ν) E(-y) / E(y - t)) with
    y = x + 1/4 and E(z) = erfc(z / (4νt)^½): the jump spreads like that of the heat equation, until
    at t = 4ν its width is that of a shock, which goes on at the speed 1/2.

    Hard are the jump, which no smooth function is near to in the maximum norm, and scales from
    nothing to the width of the shock, 8ν, that follow each other in time.

    Args:
        viscosity: ν > 0.

    Reference: Hopf, The partial differential equation u_t + u u_x = μ u_xx (1950).
    """

    domain = kp.Box(x=(-1, 1), t=(0, 1))
    jump = -0.25

    def __init__(self, viscosity: float | int = 0.01) -> None:
        self.viscosity = viscosity

    def residual(self, p, u):
        advection = u.value * kp.partial(u, "x")
        return kp.partial(u, "t") + advection - self.viscosity * kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.initial), kp.Dirichlet(ends, self.exact)]

    def initial(self, p):
        return (p.x < self.jump).to(p.x)

    def exact(self, p):
        y, t = p.x - self.jump, p.t.clamp_min(1e-16)
        width = torch.sqrt(4 * self.viscosity * t)
        shock = (y - t / 2) / (2 * self.viscosity)
        return torch.sigmoid(log_erfc((y - t) / width) - log_erfc(-y / width) - shock)


def log_erfc(z):
    """The logarithm of erfc, also where that is below the smallest number."""
    above, below = z.clamp_min(0), z.clamp_max(0)
    far = torch.log(torch.special.erfcx(above)) - above**2
    return torch.where(z > 0, far, torch.log(torch.erfc(below)))
