"""The quantum harmonic oscillator in the plane, in a box so large that its walls do not matter."""

import kanpinn as kp


class Oscillator(kp.EigenProblem):
    """-Δu + (x² + y²) u = λu on [-9, 9]², u = 0 on its boundary; λ = 2 (i + j + 1) for i, j ≥ 0.

    On the walls the modes are smaller than e^(-30): they change eigenvalues by less than rounding.
    """

    domain = kp.Box(x=(-9, 9), y=(-9, 9))

    def operator(self, p, u):
        return -kp.laplacian(u) + (p.x**2 + p.y**2) * u.value

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact_eigenvalues(self, count):
        return [2.0 * level for level in range(1, count + 1) for _ in range(level)][:count]
