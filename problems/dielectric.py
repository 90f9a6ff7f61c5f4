"""A line charge beside a dielectric cylinder: a coefficient that jumps across a circle."""

import math

import torch

import kanpinn as kp


class Dielectric(kp.Problem):
    """∇·(ε ∇u) = 0 in a square with a disk, ε = `ratio` in the disk and 1 around it.

    u is given on the walls; u and ε ∂u/∂n are continuous across the circle. With a charge at x₀
    outside the square, at the distance d from the disk's centre c, the solution is by images

        ln|x - x₀| + β ln(|x - x₁| / |x - c|) around the disk, (1 + β) ln|x - x₀| - β ln d in it,

    where β = (1 - ε)/(1 + ε), and x₁ is on the way from c to x₀ at the distance R²/d from c.

    Hard: the slope jumps by the factor ε across the circle, and the charge is 0.05 off the wall.

    Args:
        ratio: ε > 0 in the disk.

    Reference: Smythe, Static and Dynamic Electricity (1950), section 4.03, for the images.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1))
    centre, radius = (0.2, 0.1), 0.6
    charge = (1.05, 0.35)

    def __init__(self, ratio: float | int = 80.0) -> None:
        self.ratio = float(ratio)
        self.disk = kp.Disk(self.centre, self.radius)
        self.distance = math.dist(self.centre, self.charge)
        near = (self.radius / self.distance) ** 2
        self.image = tuple(
            c + near * (x - c) for c, x in zip(self.centre, self.charge, strict=True)
        )

    def square(self, p, point):
        """The squared distance from a point."""
        return (p.x - point[0]) ** 2 + (p.y - point[1]) ** 2

    def coefficient(self, p):
        """ε."""
        inside = self.square(p, self.centre) < self.radius**2
        return torch.where(inside, p.x.new_tensor(self.ratio), 1.0)

    def residual(self, p, u):
        return self.coefficient(p) * kp.laplacian(u)

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, self.exact),
            kp.Interface(self.domain, self.disk.boundary, self.coefficient),
        ]

    def exact(self, p):
        beta = (1 - self.ratio) / (1 + self.ratio)
        charge, centre = torch.log(self.square(p, self.charge)) / 2, self.square(p, self.centre)
        around = charge + beta / 2 * torch.log(self.square(p, self.image) / centre)
        within = (1 + beta) * charge - beta * math.log(self.distance)
        return torch.where(centre < self.radius**2, within, around)
