"""The electric fields that oscillate in a box of metal: Maxwell's equations in a cavity."""

import itertools
import math

import kanpinn as kp


class MaxwellCavity(kp.EigenProblem):
    """curl curl E = λE and div E = 0 in a box, n × E = 0 on its walls; λ = (ω / c)².

    Since curl curl E = -ΔE for div E = 0, the equations are -ΔE = λE and, as the fourth one,
    div E = 0, without which there are modes that are gradients. The exact eigenvalues are
    π² ((l / a)² + (m / b)² + (n / c)²) for the widths a, b, c and integers of which at most one is
    zero; they are double if none is.

    Args:
        widths: a, b, c.

    Reference: Jackson, Classical Electrodynamics (1999), section 8.7.
    """

    fields = ("e_x", "e_y", "e_z")

    def __init__(self, widths: tuple[float, ...] | list[float] = (1.0, 0.9, 0.7)) -> None:
        self.widths = tuple(float(width) for width in widths)
        self.domain = kp.Box(
            **{name: (0, width) for name, width in zip("xyz", self.widths, strict=True)}
        )

    def operator(self, p, e_x, e_y, e_z):
        return *(-kp.laplacian(e) for e in (e_x, e_y, e_z)), kp.div(e_x, e_y, e_z)

    def mass(self, p, e_x, e_y, e_z):
        return e_x.value, e_y.value, e_z.value, 0 * e_x.value

    def conditions(self):
        walls = self.domain.boundary
        along = {
            name: [f"{other}_{end}" for other in "xyz" if other != name for end in ("min", "max")]
            for name in "xyz"
        }
        return [
            kp.Dirichlet(walls[tuple(sides)], 0.0, field=f"e_{name}")
            for name, sides in along.items()
        ]

    def exact_eigenvalues(self, count):
        found = []
        for waves in itertools.product(range(count + 2), repeat=3):
            zeros = waves.count(0)
            if zeros < 2:
                value = sum((n / width) ** 2 for n, width in zip(waves, self.widths, strict=True))
                found += [math.pi**2 * value] * (2 - zeros)
        return sorted(found)[:count]
