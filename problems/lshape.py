"""Poisson's equation on the L-shape, whose solution is rough at the corner that points inwards."""

import kanpinn as kp


class LShape(kp.Problem):
    """-Δu = 1 on [-1, 1]² without [0, 1]², u = 0 on the boundary.

    Hard about it: u behaves like r^(2/3) sin(2θ/3) at the corner at the origin, so its second
    derivatives are not square integrable: minimising the equation's residual does not converge to u
    with exact boundary values, and slowly with a penalty. Here the energy ∫ |∇u|²/2 - u is
    minimised, in coordinates that are fine near the corner. There is no exact solution: errors are
    against a solution in cells.

    size: of the region around the corner that is not resolved any further; None for no stretching.
    """

    domain = kp.LShape()

    def __init__(self, size: float | None = 0.005, levels: int = 7):
        self.size, self.levels = size, levels

    def inputs(self):
        return None if self.size is None else kp.Stretch(self.domain, (0, 0), self.size)

    def cells(self):
        return kp.graded(self.domain, (0, 0), self.levels)

    def residual(self, p, u):
        return kp.laplacian(u) + 1

    def energy(self, p, u):
        return kp.grad(u).square().sum(dim=1, keepdim=True) / 2 - u.value

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]
