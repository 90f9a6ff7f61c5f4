"""A plate with a circular hole under tension, Kirsch's problem."""

import torch

import kanpinn as kp


class PlateHole(kp.Problem):
    """Plane stress in a quarter of a plate with a hole of radius 1 under tension S along x.

    div σ = 0 in [0, 2]² without the unit disk, σ = E / (1 - ν²) ((1 - ν) ε + ν tr(ε) I), where
    ε is the symmetric gradient of the displacements (u, v). By symmetry u = 0 and σ_xy = 0 at
    x = 0, v = 0 and σ_xy = 0 at y = 0; the hole is free of traction; on the outer sides the
    traction is that of the infinite plate, whose solution is thus the exact one. All stresses are
    divided by E and all lengths by the hole's radius: only ν and the strain S / E are left.

    Hard: a system with mixed derivatives and derivative conditions on all sides; a stress that
    rises to 3 S at the hole; and displacements with poles at its centre, which smooth features on
    the whole square approximate the more slowly, the larger the square is beside the hole.

    Args:
        youngs_modulus: E > 0.
        poisson_ratio: ν, from -1 to 1/2.
        tension: S, the remote stress.

    Reference: Kirsch (1898); Timoshenko and Goodier, Theory of Elasticity (1970), section 35.
    """

    size = 2.0
    domain = kp.Box(x=(0, size), y=(0, size)) - kp.Disk((0, 0), 1, name="hole")
    fields = ("u", "v")

    def __init__(
        self,
        youngs_modulus: float | int = 1.0,
        poisson_ratio: float | int = 0.3,
        tension: float | int = 1.0,
    ) -> None:
        self.poisson_ratio, self.strain = poisson_ratio, tension / youngs_modulus

    def residual(self, p, u, v):
        """(1 - ν²) / E · div σ."""
        nu = self.poisson_ratio
        shear, coupling = (1 - nu) / 2, (1 + nu) / 2
        return (
            kp.partial(u, "x", "x")
            + shear * kp.partial(u, "y", "y")
            + coupling * kp.partial(v, "x", "y"),
            kp.partial(v, "y", "y")
            + shear * kp.partial(v, "x", "x")
            + coupling * kp.partial(u, "x", "y"),
        )

    def stress(self, u, v):
        """σ_xx / E, σ_yy / E and σ_xy / E, (n, 1) each."""
        nu = self.poisson_ratio
        u_x, u_y, v_x, v_y = (kp.partial(f, a) for f in (u, v) for a in ("x", "y"))
        scale = 1 / (1 - nu**2)
        return (
            scale * (u_x + nu * v_y),
            scale * (v_y + nu * u_x),
            (u_y + v_x) / (2 * (1 + nu)),
        )

    def conditions(self):
        boundary = self.domain.boundary
        return [
            kp.Dirichlet(boundary["x_min"], 0.0, field="u"),
            kp.Dirichlet(boundary["y_min"], 0.0, field="v"),
            kp.Constraint(boundary["x_min", "y_min"], self.shear),
            kp.Constraint(boundary["hole"], self.traction),
            kp.Constraint(boundary["x_max", "y_max"], self.excess_traction),
        ]

    def shear(self, p, u, v):
        """σ_xy / E."""
        return self.stress(u, v)[2]

    def traction(self, p, u, v):
        """σ n / E."""
        return _traction(p, *self.stress(u, v))

    def excess_traction(self, p, u, v):
        """σ n / E less that of the infinite plate."""
        given = _traction(p, *self.plate_stress(p))
        return tuple(a - b for a, b in zip(self.traction(p, u, v), given, strict=True))

    def plate_stress(self, p):
        """Kirsch's σ_xx / E, σ_yy / E and σ_xy / E, (n, 1) each, in polar coordinates (r, θ)."""
        square, angle = p.x**2 + p.y**2, torch.atan2(p.y, p.x)
        c2, s2 = torch.cos(2 * angle) / square, torch.sin(2 * angle) / square
        c4, s4 = (f(4 * angle) * (1 / square - 1.5 / square**2) for f in (torch.cos, torch.sin))
        return (
            self.strain * (1 - 1.5 * c2 - c4),
            self.strain * (-0.5 * c2 + c4),
            self.strain * (-0.5 * s2 - s4),
        )

    def exact(self, p):
        """Kirsch's displacements, with κ = (3 - ν) / (1 + ν)."""
        nu = self.poisson_ratio
        kappa, square = (3 - nu) / (1 + nu), p.x**2 + p.y**2
        cubic = (1 - 1 / square) / square**2
        u = (kappa + 1) * p.x * (1 + 2 / square) + 2 * (p.x**3 - 3 * p.x * p.y**2) * cubic
        v = p.y * (kappa - 3 + 2 * (1 - kappa) / square)
        v = v + 2 * (3 * p.x**2 * p.y - p.y**3) * cubic
        scale = self.strain * (1 + nu) / 4
        return scale * u, scale * v


def _traction(p, xx, yy, xy):
    """σ n from the stress and the points' normals."""
    n_x, n_y = p.normals.split(1, dim=1)
    return xx * n_x + xy * n_y, xy * n_x + yy * n_y
