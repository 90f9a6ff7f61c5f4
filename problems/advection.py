"""Advection at speed 30 on a ring, known as one on which PINNs fail."""

import math

import torch

import kanpinn as kp


class Advection(kp.Problem):
    """u_t + β u_x = 0 for x in [0, 2π], t in [0, 1], β = 30; periodic in x, u = sin x at t = 0.

    Along characteristics nothing changes: u = sin(x - βt). The wave goes almost five times round.
    This is the convection problem of Krishnapriyan et al., Characterizing possible failure modes in
    PINNs (2021), section 3.1, which a plain PINN does not solve at this speed. Hard is just that:
    the data at t = 0 are carried five times through the domain, whose two ends must be tied by
    enough points for as many periods. The solution does not lie in the trial space.

    Args:
        speed: β.
    """

    domain = kp.Box(x=(0, 2 * math.pi), t=(0, 1))

    def __init__(self, speed: float | int = 30.0) -> None:
        self.speed = speed

    def residual(self, p, u):
        return kp.partial(u, "t") + self.speed * kp.partial(u, "x")

    def conditions(self):
        return [
            kp.Initial(self.domain, self.initial),
            kp.Periodic(self.domain, "x", order=0),
        ]

    def invariants(self, p, u):
        return {"mass": u.value, "energy": u.value**2 / 2}

    def initial(self, p):
        return torch.sin(p.x)

    def exact(self, p):
        return torch.sin(p.x - self.speed * p.t)
