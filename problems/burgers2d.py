"""Burgers' equations in two dimensions: a front that crosses a square."""

import torch

import kanpinn as kp


class Burgers2D(kp.Problem):
    """u_t + u u_x + v u_y = ν Δu and v_t + u v_x + v v_y = ν Δv for x, y and t in [0, 1]; ν = 0.01.

    u = 3/4 - s and v = 3/4 + s with s = 1/4 / (1 + exp((4 y - 4 x - t) / (32 ν))) is exact; its
    values are given on all walls. Fletcher, Generating exact solutions of the two-dimensional
    Burgers' equations (1983).

    Hard: two fields that carry each other, and walls whose values change as the front passes.
    """

    domain = kp.Box(x=(0, 1), y=(0, 1), t=(0, 1))
    fields = ("u", "v")
    viscosity = 0.01

    def residual(self, p, u, v):
        def carried(w):
            diffusion = kp.partial(w, "x", "x") + kp.partial(w, "y", "y")
            advection = u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")
            return kp.partial(w, "t") + advection - self.viscosity * diffusion

        return carried(u), carried(v)

    def conditions(self):
        walls = self.domain.boundary["x_min", "x_max", "y_min", "y_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(walls, self.exact)]

    def exact(self, p):
        front = torch.sigmoid((4 * p.x - 4 * p.y + p.t) / (32 * self.viscosity)) / 4
        return torch.cat([0.75 - front, 0.75 + front], dim=1)
