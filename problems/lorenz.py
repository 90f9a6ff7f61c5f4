"""Lorenz' equations, whose solutions are chaotic."""

from pathlib import Path

import kanpinn as kp


class Lorenz(kp.Problem):
    """x' = σ (y - x), y' = x (ρ - z) - y, z' = x y - β z for t in [0, 20]; (1, 1, 1) at t = 0.

    Hard: an error grows a hundred million times up to the end, so that a solution in float64 has
    eight digits there. The errors are means over the points of the reference, which is a solution
    in extended precision.

    Args:
        sigma, rho, beta: σ, ρ and β.

    Reference: Lorenz, Deterministic nonperiodic flow (1963).
    """

    domain = kp.Box(t=(0, 20))
    fields = ("x", "y", "z")

    def __init__(
        self, sigma: float | int = 10, rho: float | int = 28, beta: float | int = 8 / 3
    ) -> None:
        self.sigma, self.rho, self.beta = sigma, rho, beta

    def residual(self, p, x, y, z):
        return (
            kp.partial(x, "t") - self.sigma * (y.value - x.value),
            kp.partial(y, "t") - x.value * (self.rho - z.value) + y.value,
            kp.partial(z, "t") - x.value * y.value + self.beta * z.value,
        )

    def conditions(self):
        return [kp.Initial(self.domain, 1.0, field=name) for name in self.fields]

    def reference(self):
        if (self.sigma, self.rho, self.beta) != (10, 28, 8 / 3):
            return None
        source = "Radau collocation in extended precision, at 930 times"
        return kp.DataFile(str(Path(__file__).with_suffix(".h5")), error=1e-14, source=source)
