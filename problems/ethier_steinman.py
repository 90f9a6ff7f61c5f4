"""Unsteady flow in a cube, an exact solution of the Navier-Stokes equations in space and time."""

import torch

import kanpinn as kp


class EthierSteinman(kp.Problem):
    """(u, v, w)_t + (u, v, w)·∇(u, v, w) = -∇q + Δ(u, v, w), div (u, v, w) = 0 in [-1, 1]³.

    It is a Beltrami flow: the curl of the velocity is parallel to the velocity, with
    u = -a (exp(a x) sin(a y + d z) + exp(a z) cos(a x + d y)) exp(-d² t). In v and w, (y, z, x) and
    (z, x, y) take the place of (x, y, z). The velocity is given on all sides and at t = 0, the
    pressure q at x = -1.

    Hard: four fields of four coordinates, and no equation has a time derivative of the pressure.

    Args:
        a, d: the numbers in these formulas.
        end: the last moment.

    Reference: Ethier and Steinman, Exact fully 3D Navier-Stokes solutions for benchmarking (1994).
    """

    fields = ("u", "v", "w", "q")
    error_fields = ("u", "v", "w")

    def __init__(self, a: float | int = 1.0, d: float | int = 1.0, end: float | int = 0.1) -> None:
        self.a, self.d = a, d
        self.domain = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1), t=(0, end))

    def residual(self, p, u, v, w, q):
        def moved(f):
            carried = sum(
                speed.value * kp.partial(f, name)
                for speed, name in zip((u, v, w), "xyz", strict=True)
            )
            diffused = sum(kp.partial(f, name, name) for name in "xyz")
            return kp.partial(f, "t") + carried - diffused

        return (
            moved(u) + kp.partial(q, "x"),
            moved(v) + kp.partial(q, "y"),
            moved(w) + kp.partial(q, "z"),
            kp.partial(u, "x") + kp.partial(v, "y") + kp.partial(w, "z"),
        )

    def conditions(self):
        sides = self.domain.boundary
        around = sides["x_min", "x_max", "y_min", "y_max", "z_min", "z_max"]
        velocity = []
        for i, name in enumerate("uvw"):
            given = lambda p, i=i: self.exact(p)[i]  # noqa: E731
            velocity += [
                kp.Dirichlet(around, given, field=name),
                kp.Initial(self.domain, given, field=name),
            ]
        return [*velocity, kp.Dirichlet(sides["x_min"], lambda p: self.exact(p)[3], field="q")]

    def exact(self, p):
        decay = torch.exp(-(self.d**2) * p.t)
        around = [(p.x, p.y, p.z), (p.y, p.z, p.x), (p.z, p.x, p.y)]
        pressure = sum(self._energy(*one) for one in around)
        return (*(decay * self._speed(*one) for one in around), decay**2 * pressure)

    def _speed(self, x, y, z):
        a, d = self.a, self.d
        return -a * (
            torch.exp(a * x) * torch.sin(a * y + d * z)
            + torch.exp(a * z) * torch.cos(a * x + d * y)
        )

    def _energy(self, x, y, z):
        a, d = self.a, self.d
        mixed = torch.sin(a * x + d * y) * torch.cos(a * z + d * x) * torch.exp(a * (y + z))
        return -(a**2) / 2 * (torch.exp(2 * a * x) + 2 * mixed)
