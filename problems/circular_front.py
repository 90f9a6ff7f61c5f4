"""Poisson's equation with a steep circular front."""

import torch

import kanpinn as kp


class CircularFront(kp.Problem):
    """-Δu = f on [0, 1]²; u = arctan(100 (r - 0.7)), r the distance from (-0.05, -0.05).

    The wave front problem of Mitchell, A collection of 2D elliptic problems for testing adaptive
    grid refinement algorithms (2013), with five times the steepness of the variant that he calls
    "mild": the front is 1/100 wide and parallel to no axis.
    """

    domain = kp.Box(x=(0, 1), y=(0, 1))
    centre = (-0.05, -0.05)
    radius = 0.7
    steepness = 100.0

    def distance(self, p):
        x, y = self.centre
        return torch.sqrt((p.x - x) ** 2 + (p.y - y) ** 2)

    def source(self, p):
        r, a = self.distance(p), self.steepness
        z = a * (r - self.radius)
        slope = a / (1 + z**2)
        return 2 * z * slope**2 - slope / r

    def residual(self, p, u):
        return -kp.laplacian(u) - self.source(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.arctan(self.steepness * (self.distance(p) - self.radius))
