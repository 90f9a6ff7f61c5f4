"""The frequencies of a plate that is clamped at its rim."""

import itertools

import scipy.optimize
import scipy.special

import kanpinn as kp

ORDERS, ZEROS = 20, 20  # enough for the first hundred eigenvalues


class ClampedPlate(kp.EigenProblem):
    """Δ²u = λu on the unit disk, u = ∂u/∂n = 0 on its rim; λ = k⁴, the frequency is like k².

    The modes are (J_m(k r) / J_m(k) - I_m(k r) / I_m(k)) cos mθ and, for m > 0, the same with
    sin mθ, where k is a zero of J_m I_m' - I_m J_m'.

    Reference: Leissa, Vibration of Plates (1969), section 2.1.
    """

    domain = kp.Disk((0, 0), 1.0)

    def operator(self, p, u):
        return kp.biharmonic(u)

    def conditions(self):
        rim = self.domain.boundary
        return [kp.Dirichlet(rim, 0.0), kp.Neumann(rim, 0.0)]

    def exact_eigenvalues(self, count):
        found = []
        for m in range(ORDERS):
            # One zero lies between two neighbouring zeros of J_m.
            bounds = scipy.special.jn_zeros(m, ZEROS + 1)
            for ends in itertools.pairwise(bounds):
                zero = scipy.optimize.brentq(_determinant, *ends, args=(m,), xtol=1e-14, rtol=1e-15)
                found += [zero**4] * (1 if m == 0 else 2)
        return sorted(found)[:count]


def _determinant(k, m):
    """J_m I_m' - I_m J_m' at k, divided by e^k."""
    inner = scipy.special.ive(m + 1, k) + m / k * scipy.special.ive(m, k)
    slope = scipy.special.jvp(m, k)
    return scipy.special.jv(m, k) * inner - scipy.special.ive(m, k) * slope
