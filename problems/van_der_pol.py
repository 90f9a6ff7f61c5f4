"""Van der Pol's oscillator, whose relaxation is stiff."""

from pathlib import Path

import kanpinn as kp


class VanDerPol(kp.Problem):
    """u' = v, v' = μ (1 - u²) v - u for t in [0, 2 μ]; u = 2, v = 0 at t = 0.

    Hard: for long times u decays slowly, with a stiffness of μ², and jumps from 1 to -2 and from -1
    to 2 within a time of 1 / μ: windows differ in length by seven orders of magnitude. The errors
    are means over the points of the reference, which is a solution in extended precision.

    Args:
        stiffness: μ.

    Reference: van der Pol, On relaxation oscillations (1926); Hairer and Wanner, Solving Ordinary
    Differential Equations II (1996), IV.1.
    """

    fields = ("u", "v")

    def __init__(self, stiffness: float | int = 1000) -> None:
        self.stiffness = stiffness
        self.domain = kp.Box(t=(0, 2 * stiffness))

    def residual(self, p, u, v):
        damping = self.stiffness * (1 - u.value**2)
        return (
            kp.partial(u, "t") - v.value,
            kp.partial(v, "t") - damping * v.value + u.value,
        )

    def conditions(self):
        return [
            kp.Initial(self.domain, 2.0, field="u"),
            kp.Initial(self.domain, 0.0, field="v"),
        ]

    def reference(self):
        if self.stiffness != 1000:
            return None
        source = "Radau collocation in extended precision, at 3348 times"
        return kp.DataFile(str(Path(__file__).with_suffix(".h5")), error=1e-12, source=source)
