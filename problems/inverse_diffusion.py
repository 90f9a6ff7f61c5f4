"""A diffusion coefficient that is looked for, from noisy measurements inside the domain."""

import torch

import kanpinn as kp


class InverseDiffusion(kp.Problem):
    """-div(a ∇u) = f on [0, 1]², u = 0 on the boundary, a unknown, u measured at points inside.

    The solution is manufactured: u = sin(πx) sin(πy), a = 1 + 0.4 sin(πx) + 0.3 cos(πy), and f
    what makes it one. The measurements are exact values of u at random points, with Gaussian noise.

    Hard: where ∇u is small they say little of a, whose intervals are wide there.

    Args:
        measurements: how many.
        noise: their standard deviation.
        seed: of points and noise.
    """

    domain = kp.Box(x=(0, 1), y=(0, 1))
    fields = ("u", "a")

    def __init__(self, measurements: int = 400, noise: float | int = 0.01, seed: int = 0) -> None:
        self.noise = noise
        self.unknowns = {"a": kp.Unknown(start=1.0)}
        generator = torch.Generator().manual_seed(seed)
        self.at = torch.rand(measurements, 2, generator=generator, dtype=torch.float64)
        exact = self.exact(kp.Points(self.at, ("x", "y")))[0]
        errors = torch.randn(exact.shape, generator=generator, dtype=torch.float64)
        self.values = exact + noise * errors

    def residual(self, p, u, a):
        flux = sum(kp.partial(a, axis) * kp.partial(u, axis) for axis in ("x", "y"))
        return -a.value * kp.laplacian(u) - flux - self.source(p)

    def source(self, p):
        pi, x, y = torch.pi, p.x, p.y
        u, a = self.exact(p)
        u_x = pi * torch.cos(pi * x) * torch.sin(pi * y)
        u_y = pi * torch.sin(pi * x) * torch.cos(pi * y)
        a_x = 0.4 * pi * torch.cos(pi * x)
        a_y = -0.3 * pi * torch.sin(pi * y)
        return 2 * pi**2 * a * u - a_x * u_x - a_y * u_y

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, 0.0, field="u"),
            kp.Observed(self.domain, self.at, self.values, self.noise, field="u"),
        ]

    def exact(self, p):
        pi, x, y = torch.pi, p.x, p.y
        u = torch.sin(pi * x) * torch.sin(pi * y)
        return u, 1 + 0.4 * torch.sin(pi * x) + 0.3 * torch.cos(pi * y)
