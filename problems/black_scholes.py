"""The Black–Scholes equation: the price of a European call, whose payoff has a kink."""

import math

import torch

import kanpinn as kp


class BlackScholes(kp.Problem):
    """u_t = σ² s² u_ss / 2 + r s u_s - r u for s in [0, 400], t in [0, 1]; u = max(s - K, 0) at 0.

    u is the price of a call with the strike K = 100 when the share costs s, t years before it
    expires; σ = 0.2 is the volatility and r = 0.05 the rate of interest. u is 0 at s = 0. Far above
    the strike the call will be exercised, and its price is s - K exp(-rt). At s = 400 this is true
    up to 1e-12, what the right not to exercise it is worth there.

    Hard are the kink of the payoff, where u_ss is infinite at first, and coefficients that vanish
    at one end and are 16 times those at the strike at the other.

    Reference: Black and Scholes, The pricing of options and corporate liabilities (1973).
    """

    domain = kp.Box(s=(0, 400), t=(0, 1))
    strike, volatility, rate = 100.0, 0.2, 0.05

    def residual(self, p, u):
        diffusion = self.volatility**2 * p.s**2 / 2 * kp.partial(u, "s", "s")
        growth = self.rate * (p.s * kp.partial(u, "s") - u.value)
        return kp.partial(u, "t") - diffusion - growth

    def conditions(self):
        ends = self.domain.boundary
        return [
            kp.Initial(self.domain, lambda p: (p.s - self.strike).clamp_min(0)),
            kp.Dirichlet(ends["s_min"], 0.0),
            kp.Dirichlet(ends["s_max"], lambda p: p.s - self.discounted(p)),
        ]

    def discounted(self, p):
        """What the strike at the end is worth t years before."""
        return self.strike * torch.exp(-self.rate * p.t)

    def exact(self, p):
        spread = self.volatility * torch.sqrt(p.t.clamp_min(1e-16))
        forward = torch.log(p.s.clamp_min(1e-12) / self.strike) + self.rate * p.t
        above, below = forward / spread + spread / 2, forward / spread - spread / 2
        normal = lambda z: torch.erfc(-z / math.sqrt(2)) / 2  # noqa: E731
        return p.s * normal(above) - self.discounted(p) * normal(below)
