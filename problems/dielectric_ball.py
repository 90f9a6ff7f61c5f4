"""A dielectric ball in a field that is not uniform: a coefficient that jumps across a sphere."""

import torch

import kanpinn as kp


class DielectricBall(kp.Problem):
    """∇·(ε ∇u) = 0 in a cube with a ball, ε = `ratio` in the ball and 1 around it.

    u is given on the walls; u and ε ∂u/∂n are continuous across the sphere. Without the ball the
    potential is h₁ + h₂, with h₁ = x and h₂ = z² - (x² + y²) / 2 + xy from the ball's centre. With
    it the solution is Σ_l (1 - β_l (R/r)^(2l+1)) h_l around the ball, and Σ_l (1 - β_l) h_l in it,
    where β_l = (ε - 1) l / (ε l + l + 1).

    Hard: the slope jumps by the factor ε across the sphere, which cuts a third of all cells.

    Args:
        ratio: ε > 0 in the ball.

    Reference: Jackson, Classical Electrodynamics (1999), section 4.4.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
    centre, radius = (0.1, -0.05, 0.15), 0.6

    def __init__(self, ratio: float | int = 10.0) -> None:
        self.ratio = float(ratio)
        self.ball = kp.Ball(self.centre, self.radius)

    def square(self, p):
        """The squared distance from the centre."""
        return sum((x - c) ** 2 for x, c in zip((p.x, p.y, p.z), self.centre, strict=True))

    def coefficient(self, p):
        """ε."""
        return torch.where(self.square(p) < self.radius**2, p.x.new_tensor(self.ratio), 1.0)

    def residual(self, p, u):
        return self.coefficient(p) * kp.laplacian(u)

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, self.exact),
            kp.Interface(self.domain, self.ball.boundary, self.coefficient),
        ]

    def exact(self, p):
        x, y, z = (one - c for one, c in zip((p.x, p.y, p.z), self.centre, strict=True))
        far = self.square(p).clamp_min(self.radius**2)  # in the ball (R/r)^(2l+1) becomes 1
        found = torch.zeros_like(x)
        for degree, h in ((1, x), (2, z**2 - (x**2 + y**2) / 2 + x * y)):
            beta = (self.ratio - 1) * degree / (self.ratio * degree + degree + 1)
            found = found + h * (1 - beta * (self.radius**2 / far) ** (degree + 0.5))
        return found
