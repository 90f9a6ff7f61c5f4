"""Poisson's equation on the L-shape with the corners' singular functions in the output space."""

import kanpinn as kp

CONVEX = [(-1, -1), (1, -1), (1, 0), (0, 1), (-1, 1)]


class LShapeSingular(kp.Problem):
    """-Δu = 1 on [-1, 1]² without [0, 1]², u = 0 on the boundary.

    Hard about it: u behaves like r^(2/3) sin(2θ/3) at the corner that points inwards, and like
    r² ln r at the five others. Such functions are added to the network's output space, harmonic
    all of them, and what is left for the network is smooth. There is no exact solution: errors are
    against a solution in cells.

    inward: how many of r^(2j/3) sin(2jθ/3), j = 1 … ; outward: of those with ln r at each of the
    other corners.
    """

    domain = kp.LShape()

    def __init__(self, inward: int = 10, outward: int = 3):
        self.inward, self.outward = inward, outward

    def enrichment(self):
        corners = [((0, 0), self.inward), *((at, self.outward) for at in CONVEX)]
        return [kp.Corner(self.domain, at, terms) for at, terms in corners if terms]

    def cells(self):
        return kp.graded(self.domain, (0, 0))

    def residual(self, p, u):
        return kp.laplacian(u) + 1

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]
