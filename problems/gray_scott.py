"""The Gray–Scott equations: a spot of one substance grows into a pattern."""

import math
from pathlib import Path

import torch

import kanpinn as kp


class GrayScott(kp.Problem):
    """u_t = 0.2 Δu + 40 (1 - u) - 1000 u v², v_t = 0.1 Δv - 100 v + 1000 u v².

    x and y in [-1, 1], t in [0, 1], periodic. The substance u is fed everywhere and v decays; where
    they meet, v makes more of itself from u. At t = 0 there is one spot with v = 1, and one beside
    it without u. The coefficients are those of Wang et al., PirateNets (2024).

    Hard: the spot becomes a ring that opens and folds inwards; small errors change where it does.
    The reference is a Fourier spectral solution of ours, good to 2e-7.
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1), t=(0, 1))
    fields = ("u", "v")

    def residual(self, p, u, v):
        reaction = 1000 * u.value * v.value**2
        return (
            kp.partial(u, "t") - 0.2 * self.diffusion(u) - 40 * (1 - u.value) + reaction,
            kp.partial(v, "t") - 0.1 * self.diffusion(v) + 100 * v.value - reaction,
        )

    def diffusion(self, u):
        return kp.partial(u, "x", "x") + kp.partial(u, "y", "y")

    def conditions(self):
        around = [kp.Periodic(self.domain, name) for name in ("x", "y")]
        return [kp.Initial(self.domain, self.initial), *around]

    def initial(self, p):
        return torch.cat([1 - self.spot(p, -0.05, -0.02), self.spot(p, 0.05, 0.02)], dim=1)

    def spot(self, p, x, y):
        """A periodic bump of height 1, about 0.1 wide."""
        apart = 2 - torch.cos(math.pi * (p.x - x)) - torch.cos(math.pi * (p.y - y))
        return torch.exp(-16 * apart)

    def reference(self):
        source = "Fourier modes and ETDRK4 time steps"
        return kp.DataFile(str(Path(__file__).with_suffix(".h5")), error=2e-7, source=source)
