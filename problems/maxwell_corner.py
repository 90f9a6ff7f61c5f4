"""Electric fields in a cavity of metal in the form of an L: the first is infinite at the corner."""

import math

import kanpinn as kp

# To eight decimals: Dauge, Benchmark computations for Maxwell equations (2004). The third to the
# fifth mode are also modes of a square: 9.8696… is π².
VALUES = (1.47562182, 3.53403137, math.pi**2, math.pi**2, 11.38947940)


class MaxwellCorner(kp.EigenProblem):
    """curl curl E = λE and div E = 0 in an L, n × E = 0 on its walls; λ = (ω / c)².

    Since curl curl E = -ΔE for div E = 0, the equations are -ΔE = λE and, as the third one,
    div E = 0. At the corner that points inwards E is like the gradient of r^(2/3) sin(2θ/3): it is
    not bounded, and its first derivatives are not square integrable. With div E = 0 on the walls
    only, in place of the third equation, this mode would be missed.
    """

    domain = kp.LShape()
    fields = ("e_x", "e_y")

    def operator(self, p, e_x, e_y):
        return -kp.laplacian(e_x), -kp.laplacian(e_y), kp.div(e_x, e_y)

    def mass(self, p, e_x, e_y):
        return e_x.value, e_y.value, 0 * e_x.value

    def conditions(self):
        return [kp.TangentialDirichlet(self.domain.boundary, 0.0, fields=self.fields)]

    def exact_eigenvalues(self, count):
        return list(VALUES[:count])
