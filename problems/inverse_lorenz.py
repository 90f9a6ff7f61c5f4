"""The three numbers of Lorenz' equations, from values of the solution without noise."""

import torch

import kanpinn as kp


class InverseLorenz(kp.Problem):
    """x' = σ (y - x), y' = x (ρ - z) - y, z' = x y - β z on [0, 3]; σ, ρ and β unknown.

    The solution starts at (-8, 7, 27). It is measured at equidistant times, without noise by
    default. The exact solution is a Taylor series about each of many short intervals, with an error
    near rounding.

    Hard: the numbers are many times as large as their start values, and without noise the error of
    the network is all that the intervals contain.

    Args:
        measurements: how many times, the first at 0 and the last at 3.
        noise: standard deviation of the measurements; 0 for none, of which the solver is not told.
        sigma, rho, beta: the true numbers.
        start: of the search for each number.
        seed: of the noise.

    Reference: Lorenz, Deterministic nonperiodic flow (1963); Lu, Meng, Mao and Karniadakis,
    DeepXDE (2021), for the inverse problem.
    """

    domain = kp.Box(t=(0, 3))
    fields = ("x", "y", "z")

    def __init__(
        self,
        measurements: int = 25,
        noise: float | int = 0,
        sigma: float | int = 10.0,
        rho: float | int = 15.0,
        beta: float | int = 8 / 3,
        start: float | int = 1.0,
        seed: int = 0,
    ) -> None:
        self.noise = noise or None
        self.truth = {"sigma": float(sigma), "rho": float(rho), "beta": float(beta)}
        self.unknowns = {name: kp.Unknown(start, exact=value) for name, value in self.truth.items()}
        self.steps = 300  # intervals of 1/100
        self.series = self._taylor_series(order=24)
        self.at = torch.linspace(0, 3, measurements, dtype=torch.float64)[:, None]
        generator = torch.Generator().manual_seed(seed)
        exact = self.exact(kp.Points(self.at, ("t",)))
        errors = torch.randn(exact.shape, generator=generator, dtype=torch.float64)
        self.values = exact + noise * errors

    def residual(self, p, x, y, z, sigma, rho, beta):
        return (
            kp.partial(x, "t") - sigma.value * (y.value - x.value),
            kp.partial(y, "t") - x.value * (rho.value - z.value) + y.value,
            kp.partial(z, "t") - x.value * y.value + beta.value * z.value,
        )

    def conditions(self):
        first, data = (-8.0, 7.0, 27.0), self.values.split(1, dim=1)
        return [
            *(kp.Initial(self.domain, u, field=f) for f, u in zip(self.fields, first, strict=True)),
            *(
                kp.Observed(self.domain, self.at, d, self.noise, field=f)
                for f, d in zip(self.fields, data, strict=True)
            ),
        ]

    def exact(self, p):
        t = p.t * (self.steps / 3)
        index = t.detach().long().clamp(0, self.steps - 1)[:, 0]
        value, local = 0.0, t - index[:, None]
        for coefficients in self.series.to(t).unbind(dim=1)[::-1]:
            value = value * local + coefficients[index]
        return value

    def _taylor_series(self, order):
        """Return the coefficients of the solution's Taylor series, (steps, order + 1, 3).

        They are those in t / h about the start of each interval of length h.
        """
        h, series = 3 / self.steps, torch.zeros(self.steps, order + 1, 3, dtype=torch.float64)
        start = torch.tensor([-8.0, 7.0, 27.0], dtype=torch.float64)
        sigma, rho, beta = self.truth.values()
        for c in series:
            c[0] = start
            for k in range(order):
                x, y, z = c[k]
                xz, xy = (c[: k + 1, 0] @ c[: k + 1, i].flip(0) for i in (2, 1))
                slopes = (sigma * (y - x), rho * x - xz - y, xy - beta * z)
                c[k + 1] = h / (k + 1) * torch.stack(slopes)
            start = c.sum(dim=0)
        return series
