"""Lotka's and Volterra's equations of predators and their prey."""

from pathlib import Path

import kanpinn as kp


class LotkaVolterra(kp.Problem):
    """x' = α x - β x y, y' = δ x y - γ y for t in [0, 40]; x = y = 10 at t = 0.

    x are the prey, y the predators. The solution is periodic, with a period of about ten; the
    quantity δ x - γ log x + β y - α log y stays as it is.

    Hard for a network on the whole time: the four bursts differ in nothing but their time. The
    errors are means over the points of the reference, which is a solution in extended precision.

    Args:
        growth: α, of the prey.
        predation: β, of the prey by each predator.
        death: γ, of the predators.
        reproduction: δ, of the predators by each prey.

    Reference: Lotka, Analytical note on certain rhythmic relations in organic systems (1920);
    Volterra, Fluctuations in the abundance of a species (1926).
    """

    domain = kp.Box(t=(0, 40))
    fields = ("prey", "predators")

    def __init__(
        self,
        growth: float | int = 1.1,
        predation: float | int = 0.4,
        death: float | int = 0.4,
        reproduction: float | int = 0.1,
    ) -> None:
        self.growth, self.predation = growth, predation
        self.death, self.reproduction = death, reproduction

    def residual(self, p, prey, predators):
        x, y = prey.value, predators.value
        return (
            kp.partial(prey, "t") - (self.growth * x - self.predation * x * y),
            kp.partial(predators, "t") - (self.reproduction * x * y - self.death * y),
        )

    def conditions(self):
        return [kp.Initial(self.domain, 10.0, field=name) for name in self.fields]

    def invariants(self, p, prey, predators):
        x, y = prey.value, predators.value
        kept = self.reproduction * x - self.death * x.log()
        return {"cycle": kept + self.predation * y - self.growth * y.log()}

    def reference(self):
        if (self.growth, self.predation, self.death, self.reproduction) != (1.1, 0.4, 0.4, 0.1):
            return None
        source = "Radau collocation in extended precision, at 366 times"
        return kp.DataFile(str(Path(__file__).with_suffix(".h5")), error=1e-15, source=source)
