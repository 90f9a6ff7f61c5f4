"""The levels of hydrogen: the radial Schrödinger equation of an electron near a proton."""

import kanpinn as kp


class Hydrogen(kp.EigenProblem):
    """-u''/2 + (l (l + 1) / (2 r²) - 1/r) u = λu on (0, R), u = 0 at both ends; λ = -1 / (2 n²).

    Lengths are in Bohr radii and energies in Hartrees. The wave function is u(r) / r times a
    spherical harmonic of the degree l, and n = l + 1, l + 2, …. The potential is singular at
    r = 0. The mode number n decays like e^(-r/n), so that R does not matter for small n.

    Args:
        momentum: the quantum number l of the angular momentum.
        radius: R.

    Reference: Griffiths, Introduction to Quantum Mechanics (2005), section 4.2.
    """

    def __init__(self, momentum: int = 0, radius: float = 150.0) -> None:
        self.momentum = momentum
        self.domain = kp.Box(r=(0, float(radius)))

    def operator(self, p, u):
        barrier = self.momentum * (self.momentum + 1) / (2 * p.r**2)
        return -kp.laplacian(u) / 2 + (barrier - 1 / p.r) * u.value

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact_eigenvalues(self, count):
        first = self.momentum + 1
        return [-1 / (2 * n**2) for n in range(first, first + count)]
