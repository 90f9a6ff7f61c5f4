"""A beam that is clamped at one end and carries a load at the other: how far its tip sinks."""

import torch

import kanpinn as kp


class ClampedBeam(kp.Problem):
    """Plane stress in a strip of height 1, clamped at x = 0, with a shear load at its other end.

    div σ = 0 with σ = E / (1 - ν²) ((1 - ν) ε + ν tr(ε) I), where ε is the symmetric gradient of
    the displacements (u, v). At the end x = length the traction σ n is (0, -τ), on the upper and
    the lower side it is zero. These equations are derived from the elastic energy and the work of
    the load. Displacements are those for lengths in units of the height, and all
    stresses are divided by E: only ν, τ / E and the length are left.

    The beam of Timoshenko's theory sinks by 2.0730 at its tip, 4 τ L³ + 12/5 (1 + ν) τ L. The
    clamped end holds the sections a little stiffer: finite elements of degree 5, graded to all four
    corners, give v = -2.0682302 at (8, 1/2).

    Hard: where the clamped end meets a free side, the solution is like r^0.76 and the stress grows
    without limit, so that its second derivatives are not square integrable; and small errors of the
    stress are large ones of the displacement, as the beam bends.

    Args:
        poisson_ratio: ν, from -1 to 1/2.
        load: τ / E.
        length: the length of the beam.
    """

    fields = ("u", "v")

    def __init__(
        self,
        poisson_ratio: float | int = 0.3,
        load: float | int = 1e-3,
        length: float | int = 8.0,
    ) -> None:
        self.poisson_ratio, self.load, self.length = poisson_ratio, load, length
        self.domain = kp.Box(x=(0, length), y=(0, 1))

    def energy(self, p, u, v):
        """The density of the elastic energy, over E."""
        nu = self.poisson_ratio
        xx, yy = kp.partial(u, "x"), kp.partial(v, "y")
        shear = kp.partial(u, "y") + kp.partial(v, "x")
        volume = xx**2 + yy**2 + 2 * nu * xx * yy
        return volume / (2 * (1 - nu**2)) + shear**2 / (4 * (1 + nu))

    def boundary_energies(self):
        return [(self.domain.boundary["x_max"], lambda p, u, v: self.load * v.value)]

    def conditions(self):
        clamp = self.domain.boundary["x_min"]
        return [kp.Dirichlet(clamp, 0.0, field="u"), kp.Dirichlet(clamp, 0.0, field="v")]

    def traction(self, p, u, v):
        """σ n / E."""
        nu = self.poisson_ratio
        u_x, u_y, v_x, v_y = (kp.partial(f, a) for f in (u, v) for a in ("x", "y"))
        scale = 1 / (1 - nu**2)
        xx, yy = scale * (u_x + nu * v_y), scale * (v_y + nu * u_x)
        xy = (u_y + v_x) / (2 * (1 + nu))
        n_x, n_y = p.normals.split(1, dim=1)
        return xx * n_x + xy * n_y, xy * n_x + yy * n_y

    def quantities(self, solution):
        """The tip's displacement, and the clamp's force and moment about its middle, over E."""
        tip = torch.tensor([[self.length, 0.5]], dtype=torch.float64)
        clamp = solution.force(self.domain.boundary["x_min"], about=(0, 0.5))
        return {"tip": solution.at(tip)[0, 1], "reaction": clamp[1], "moment": clamp[2]}
