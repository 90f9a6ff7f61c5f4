"""Laplace's equation in a square without a wedge, whose corner points inwards."""

import math

import kanpinn as kp


class ReentrantCorner(kp.Problem):
    """Δu = 0 in [-1, 1]² without the wedge between the angles ω and 360°; u = r^(π/ω) sin(πθ/ω).

    Hard: the gradient is infinite at the corner, and second derivatives are not square integrable
    there, so that the squared residual of an approximation has no minimum close to u.

    Args:
        angle: ω in degrees, from 180 to 360 without the ends; 270 makes the L-shape.

    Reference: Mitchell, A collection of 2D elliptic problems for testing adaptive grid refinement
    algorithms (2013), section 2.2.
    """

    def __init__(self, angle: float | int = 270.0) -> None:
        end = math.radians(angle)
        far = 1 / max(abs(math.cos(end)), abs(math.sin(end)))  # where the wedge leaves the square
        square = zip((45, 135, 225, 315), ((1, 1), (-1, 1), (-1, -1), (1, -1)), strict=True)
        around = [corner for at, corner in square if at < angle - 1e-6]
        last = (far * math.cos(end), far * math.sin(end))
        self.domain = kp.Polygon([(0, 0), (1, 0), *around, last])
        self.corner = kp.Corner(self.domain, (0, 0), 1)

    def cells(self):
        return kp.graded(self.domain, (0, 0), 16)

    def residual(self, p, u):
        return kp.laplacian(u)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return self.corner(p)
