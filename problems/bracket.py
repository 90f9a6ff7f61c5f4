"""A bracket on two bolts that carries a pin: plane stress on a mesh of Gmsh."""

from pathlib import Path

import kanpinn as kp


class Bracket(kp.Problem):
    """div σ = 0 with σ = E / (1 - ν²) ((1 - ν) ε + ν tr(ε) I).

    ε is the symmetric gradient of the displacements (u, v).

    The rims of both bolts' holes are fixed, (u, v) = 0; on the rim of the pin's hole the traction
    σ n is (0, -P); the outer rim is free of traction. Displacements are those for P / E = 1. The
    domain is bracket.msh, from the drawing bracket.geo. There is no exact solution: errors are
    against finite elements of degree 4 with exact arcs (`scripts/make_bracket_reference.py`).

    Hard: the end beyond the pin moves by 26 times P / E, as the bracket bends: small errors of the
    tractions are large ones of the displacements. Where a straight side goes over into an arc, the
    curvature jumps, and the second derivatives of the solution are like ln r.

    Args:
        poisson_ratio: ν, from -1 to 1/2.
        load: P / E.
    """

    domain = kp.Mesh(Path(__file__).with_name("bracket.msh"))
    fields = ("u", "v")

    def __init__(self, poisson_ratio: float | int = 0.3, load: float | int = 1.0) -> None:
        self.poisson_ratio, self.load = poisson_ratio, load

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

    def conditions(self):
        boundary = self.domain.boundary
        return [
            kp.Dirichlet(boundary["bolts"], 0.0, field="u"),
            kp.Dirichlet(boundary["bolts"], 0.0, field="v"),
            kp.Constraint(boundary["rim"], self.traction),
            kp.Constraint(boundary["pin"], self.missing_load),
        ]

    def traction(self, p, u, v):
        """σ n / E."""
        nu = self.poisson_ratio
        u_x, u_y, v_x, v_y = (kp.partial(f, a) for f in (u, v) for a in ("x", "y"))
        scale = 1 / (1 - nu**2)
        xx, yy = scale * (u_x + nu * v_y), scale * (v_y + nu * u_x)
        xy = (u_y + v_x) / (2 * (1 + nu))
        n_x, n_y = p.normals.split(1, dim=1)
        return xx * n_x + xy * n_y, xy * n_x + yy * n_y

    def missing_load(self, p, u, v):
        """(σ n + (0, P)) / E."""
        along, across = self.traction(p, u, v)
        return along, across + self.load

    def reference(self):
        if (self.poisson_ratio, self.load) != (0.3, 1):
            return None
        file = Path(__file__).with_name("bracket.h5")
        return kp.DataFile(str(file), 1e-6, "finite elements of degree 4 with exact arcs")
