"""The Allen–Cahn equation: two phases part, with thin layers between them."""

from pathlib import Path

import torch

import kanpinn as kp


class AllenCahn(kp.Problem):
    """u_t = D u_xx + 5 (u - u³) for x in [-1, 1], t in [0, 1]; periodic, u = x² cos(πx) at t = 0.

    This is the problem of Raissi, Perdikaris and Karniadakis, Physics-informed neural networks
    (2019), section 3.2.1, with D = 1e-4.

    Hard are the layers between the phases u = ±1, (D/5)^½ wide, of which x = ±1/2 is one and x = 0,
    where u = 0 has to hold out, another; and that u_x is ∓2 at x = ±1 at first, which no periodic
    function's slope is: for D = 1e-4 the kink in u is smoothed over a width (Dt)^½ from t = 0 on.
    The reference, for that D, is a Fourier spectral solution of ours, whose relative L2 error is
    3e-10.

    Args:
        diffusion: D > 0.
    """

    domain = kp.Box(x=(-1, 1), t=(0, 1))

    def __init__(self, diffusion: float | int = 1e-4) -> None:
        self.diffusion = diffusion

    def residual(self, p, u):
        reaction = 5 * (u.value - u.value**3)
        return kp.partial(u, "t") - self.diffusion * kp.partial(u, "x", "x") - reaction

    def conditions(self):
        return [kp.Initial(self.domain, self.initial), kp.Periodic(self.domain, "x")]

    def initial(self, p):
        return p.x**2 * torch.cos(torch.pi * p.x)

    def reference(self):
        if self.diffusion != 1e-4:
            return None
        source = "Fourier modes and ETDRK4 time steps"
        path = Path(__file__).with_suffix(".h5")
        return kp.DataFile(str(path), error=3e-10, source=source, degree=7)
