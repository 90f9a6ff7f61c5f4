"""Poisson's equation in a cube without one of its octants, whose vertex points inwards."""

import itertools

import kanpinn as kp


class Fichera(kp.Problem):
    """-Δu = f in (-1, 1)³ without [0, 1)³; u = r^q, with the distance r from the origin.

    Hard: the gradient is infinite at the vertex, and f is not square integrable there for q ≤ 1/2,
    so that the squared residual of an approximation has no minimum close to u. For q = 1/2, in
    cells that are halved towards the vertex eight times or more, the best polynomials have the
    relative error 2e-5 with the degree 5, and 2e-6 with the degree 7. With rows that are weighted
    by distances, the least-squares solution has 5e-6 to 8e-6 with the degree 7, and 5e-7 with the
    degree 9.

    Args:
        power: q, above 0.

    Reference: Mitchell, A collection of 2D elliptic problems for testing adaptive grid refinement
    algorithms (2013), and Fichera, Asymptotic behaviour of the electric field near the singular
    points of the conductor surface (1975), for the domain.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)) - kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))

    def __init__(self, power: float | int = 0.5) -> None:
        self.power = power

    def cells(self):
        """Cubes that become smaller towards the vertex, where their width is 2^-4."""
        levels = 4
        parts = []
        for width in (2.0**-level for level in range(1, levels + 1)):
            last = width == 2.0**-levels
            for corner in itertools.product((-2, -1, 0, 1), repeat=3):
                inner = all(i in (-1, 0) for i in corner)
                if all(i >= 0 for i in corner) or (inner and not last):
                    continue
                ends = [(i * width, (i + 1) * width) for i in corner]
                parts.append(kp.Box(**dict(zip(self.domain.names, ends, strict=True))))
        return parts

    def residual(self, p, u):
        return -kp.laplacian(u) - self.source(p)

    def source(self, p):
        q = self.power
        return -q * (q + 1) * self._squared(p) ** (q / 2 - 1)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return self._squared(p) ** (self.power / 2)

    def _squared(self, p):
        return p.x**2 + p.y**2 + p.z**2
