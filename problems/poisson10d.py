"""Laplace's equation in ten dimensions."""

import kanpinn as kp


class Poisson10D(kp.Problem):
    """Δu = 0 on [0, 1]¹⁰, u given on the boundary; u = x1 x2 + x3 x4 + … + x9 x10.

    A harmonic polynomial; with SPRING (Goldshlager, Abrahamsen and Lin 2024) Guzmán-Cordero et al.,
    Improving energy natural gradient descent (2025), reach a relative L2 error of 8.9e-6.

    It suits a KAN: a product is a difference of squares, xy = ((x + y)² - (x - y)²) / 4, and the
    squares of 64 random directions span all 55 quadratic forms. What is hard are the corners: the
    hidden units go further there than any collocation points show.
    """

    domain = kp.Box(**{f"x{i}": (0, 1) for i in range(1, 11)})

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        return 0 * p.x1

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.data)]

    def data(self, p):
        return (p.coords[:, ::2] * p.coords[:, 1::2]).sum(dim=1, keepdim=True)

    def exact(self, p):
        return (p.coords[:, ::2] * p.coords[:, 1::2]).sum(dim=1, keepdim=True)
