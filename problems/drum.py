"""The eigenvalues of a drum: the Laplacian of the unit disk with a fixed rim."""

import scipy.special

import kanpinn as kp

ORDERS, ZEROS = 40, 20  # of Bessel functions, that the first few hundred eigenvalues need


class Drum(kp.EigenProblem):
    """-Δu = λu on the unit disk, u = 0 on its rim; λ = j² with the zeros j of Bessel functions.

    Modes are J_m(j r) cos mθ and, for m > 0, J_m(j r) sin mθ: those eigenvalues are double.
    """

    domain = kp.Disk((0, 0), 1.0)

    def operator(self, p, u):
        return -kp.laplacian(u)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact_eigenvalues(self, count):
        squares = []
        for order in range(ORDERS):
            zeros = scipy.special.jn_zeros(order, ZEROS)
            squares += [float(zero) ** 2 for zero in zeros] * (1 if order == 0 else 2)
        return sorted(squares)[:count]
