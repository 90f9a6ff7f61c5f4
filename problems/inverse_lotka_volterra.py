"""The four numbers of Lotka's and Volterra's equations, from noisy values of both species."""

import torch

import kanpinn as kp


class InverseLotkaVolterra(kp.Problem):
    """x' = a x - b x y, y' = d x y - c y for t in [0, 20]; a, b, c and d unknown and positive.

    The prey x and the predators y start at 1.5 and 1. Both are measured at equidistant times. The
    exact solution is a Taylor series about each of many short intervals, with an error near
    rounding.

    Hard: small errors of the numbers shift the later of the three periods, so that the misfit has
    many minima.

    Args:
        measurements: how many times, the last at 20.
        noise: standard deviation of the measurements; 0 for none, of which the solver is not told.
        growth, predation, death, gain: the true numbers a, b, c and d.
        start: of the search for each number.
        seed: of the noise.

    Reference: Lotka, Elements of physical biology (1925); Volterra, Fluctuations in the abundance
    of a species considered mathematically (1926).
    """

    domain = kp.Box(t=(0, 20))
    fields = ("x", "y")

    def __init__(
        self,
        measurements: int = 50,
        noise: float | int = 0.02,
        growth: float | int = 1.1,
        predation: float | int = 0.9,
        death: float | int = 0.8,
        gain: float | int = 0.7,
        start: float | int = 0.5,
        seed: int = 0,
    ) -> None:
        self.noise = noise or None
        true = (growth, predation, death, gain)
        names = ("growth", "predation", "death", "gain")
        self.truth = {name: float(value) for name, value in zip(names, true, strict=True)}
        self.unknowns = {
            n: kp.Unknown(start, positive=True, exact=v) for n, v in self.truth.items()
        }
        self.steps = 400  # intervals of 1/20
        self.series = self._taylor_series(order=20)
        self.at = torch.linspace(0, 20, measurements + 1, dtype=torch.float64)[1:, None]
        generator = torch.Generator().manual_seed(seed)
        exact = self.exact(kp.Points(self.at, ("t",)))
        errors = torch.randn(exact.shape, generator=generator, dtype=torch.float64)
        self.values = exact + noise * errors

    def residual(self, p, x, y, growth, predation, death, gain):
        meetings = x.value * y.value
        return (
            kp.partial(x, "t") - growth.value * x.value + predation.value * meetings,
            kp.partial(y, "t") - gain.value * meetings + death.value * y.value,
        )

    def conditions(self):
        return [
            kp.Initial(self.domain, 1.5, field="x"),
            kp.Initial(self.domain, 1.0, field="y"),
            *(
                kp.Observed(self.domain, self.at, values, self.noise, field=name)
                for name, values in zip(self.fields, self.values.split(1, dim=1), strict=True)
            ),
        ]

    def exact(self, p):
        t = p.t * (self.steps / 20)
        index = t.detach().long().clamp(0, self.steps - 1)[:, 0]
        value, local = 0.0, t - index[:, None]
        for coefficients in self.series.to(t).unbind(dim=1)[::-1]:
            value = value * local + coefficients[index]
        return value

    def _taylor_series(self, order):
        """Return the coefficients of the solution's Taylor series, (steps, order + 1, 2).

        They are those in t / h about the start of each interval of length h.
        """
        h, series = 20 / self.steps, torch.zeros(self.steps, order + 1, 2, dtype=torch.float64)
        start = torch.tensor([1.5, 1.0], dtype=torch.float64)
        growth, predation, death, gain = self.truth.values()
        for c in series:
            c[0] = start
            for k in range(order):
                x, y = c[k]
                xy = c[: k + 1, 0] @ c[: k + 1, 1].flip(0)
                slopes = (growth * x - predation * xy, gain * xy - death * y)
                c[k + 1] = h / (k + 1) * torch.stack(slopes)
            start = c.sum(dim=0)
        return series
