"""Steady flow around a cylinder in a channel."""

import torch

import kanpinn as kp


class Cylinder(kp.Problem):
    """(u, v)·∇(u, v) = -∇q + ν Δ(u, v), u_x + v_y = 0 in a channel of 2.2 × 0.41 with a cylinder.

    The cylinder has its centre at (0.2, 0.2) and the radius 0.05. The flow enters at x = 0 with the
    parabola of the greatest speed `peak`, and leaves without tension, (ν ∂u/∂x - q, ν ∂v/∂x) = 0.
    There is no exact solution. With the defaults, Re = 20, the drag and lift coefficients are
    5.57953523384 and 0.010618948146, and the pressure falls by 0.11752016697 along the cylinder.

    Hard: a thin layer around the cylinder, and a wake that is as long as the channel.

    Args:
        viscosity: ν > 0.
        peak: the greatest speed at the inflow.

    References: Schäfer and Turek, Benchmark computations of laminar flow around a cylinder (1996);
    Nabh, On high order methods for the stationary incompressible Navier-Stokes equations (1998),
    for the numbers.
    """

    height, diameter = 0.41, 0.1
    domain = kp.Box(x=(0, 2.2), y=(0, height)) - kp.Disk((0.2, 0.2), diameter / 2, name="cylinder")
    fields = ("u", "v", "q")
    error_fields = velocity_fields = ("u", "v")

    def __init__(self, viscosity: float | int = 1e-3, peak: float | int = 0.3) -> None:
        self.viscosity, self.peak = viscosity, peak
        self.mean = 2 * peak / 3  # of the speed at the inflow
        self.unit_force = self.diameter * self.mean**2 / 2  # of the coefficients

    def residual(self, p, u, v, q):
        return (
            _advected(u, u, v) + kp.partial(q, "x") - self.viscosity * kp.laplacian(u),
            _advected(v, u, v) + kp.partial(q, "y") - self.viscosity * kp.laplacian(v),
            kp.div(u, v),
        )

    def conditions(self):
        boundary = self.domain.boundary
        walls = boundary["y_min", "y_max", "cylinder"]
        return [
            kp.Dirichlet(boundary["x_min"], self.inflow, field="u"),
            kp.Dirichlet(walls, 0.0, field="u"),
            kp.Dirichlet(boundary["x_min", "y_min", "y_max", "cylinder"], 0.0, field="v"),
            kp.Constraint(boundary["x_max"], self.tension),
        ]

    def inflow(self, p):
        """The parabola of the speed at x = 0."""
        return 4 * self.peak * p.y * (self.height - p.y) / self.height**2

    def tension(self, p, u, v, q):
        """(ν ∂u/∂x - q, ν ∂v/∂x)."""
        along = (self.viscosity * kp.partial(u, "x"), self.viscosity * kp.partial(v, "x"))
        return along[0] - q.value, along[1]

    def traction(self, p, u, v, q):
        """The force per length by which the flow acts on a wall at N points, (N, 2).

        It is q n - ν (∇w + ∇wᵀ) n with w = (u, v) and the normal n, which points into the wall.
        """
        n_x, n_y = p.normals[:, :1], p.normals[:, 1:2]  # over the time there is a third component
        shear = kp.partial(u, "y") + kp.partial(v, "x")
        viscous_x = 2 * kp.partial(u, "x") * n_x + shear * n_y
        viscous_y = shear * n_x + 2 * kp.partial(v, "y") * n_y
        x, y = q.value * n_x, q.value * n_y
        return torch.cat([x - self.viscosity * viscous_x, y - self.viscosity * viscous_y], dim=1)

    def quantities(self, solution):
        force = solution.integral(self.domain.boundary["cylinder"], self.traction, nodes=96)
        front, back = solution(torch.tensor([[0.15, 0.2], [0.25, 0.2]]).double())[:, 2].tolist()
        drag, lift = (force / self.unit_force).tolist()
        return {"drag": drag, "lift": lift, "pressure difference": front - back}


def _advected(w, u, v):
    """u w_x + v w_y, (n, 1)."""
    return u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")
