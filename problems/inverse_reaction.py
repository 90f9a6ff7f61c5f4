"""Rate and diffusivity of a reaction, two numbers, in coordinates that resolve an initial layer."""

import math

import numpy as np
import torch
from scipy.integrate import solve_ivp

import kanpinn as kp


class InverseReaction(kp.Problem):
    """a_t = κ a_xx - k a b², b_t = κ b_xx - 2 k a b² for x in [0, 1], t in [0, 10]; k, κ unknown.

    Both concentrations are exp(-20 x) at first and 1 - x at the walls. κ = D / 1000, so that the
    unknown parameter D is of the order of one. Both are measured at random points. The values are
    those of Chebyshev collocation in space, with an error of 1e-7.

    Hard: the data do not agree at x = 0, t = 0, where a_t is zero by the wall's values and κ a_xx -
    k a b² by the initial ones. There the second derivatives are discontinuous, which smooth
    functions of x and t resolve slowly. So the coordinates are X and T in [0, 1], with
    x = (exp(p X) - 1) / 5, p = log 6, and t = (exp(q T) - 1) / 2, q = log 21, in which points and
    knots are closest at the corner. The equations are multiplied by the root of dx/dX dt/dT: their
    mean square is that over x and t.

    Args:
        measurements: how many points.
        noise: standard deviation of the measurements; 0 for none, of which the solver is not told.
        rate, diffusivity: the true numbers k and D.
        start: of the search for both, as a multiple of the true numbers.
        seed: of points and noise.

    Reference: Lu, Meng, Mao and Karniadakis, DeepXDE (2021), for the inverse problem; Flyer and
    Fornberg, Accurate numerical resolution of transients in initial-boundary value problems for the
    heat equation (2003), for the corner.
    """

    domain = kp.Box(X=(0, 1), T=(0, 1))
    fields = ("a", "b")
    stretch = (math.log(6), math.log(21))

    def __init__(
        self,
        measurements: int = 500,
        noise: float | int = 0,
        rate: float | int = 0.1,
        diffusivity: float | int = 2.0,
        start: float | int = 0.5,
        seed: int = 0,
    ) -> None:
        self.noise = noise or None
        self.truth = {"rate": float(rate), "diffusivity": float(diffusivity)}
        self.unknowns = {
            name: kp.Unknown(start * value, positive=True, exact=value)
            for name, value in self.truth.items()
        }
        generator = torch.Generator().manual_seed(seed)
        both = torch.rand(measurements, 2, generator=generator, dtype=torch.float64)
        x, t = both[:, :1], 10 * both[:, 1:]
        p, q = self.stretch
        self.at = torch.cat([torch.log1p(5 * x) / p, torch.log1p(2 * t) / q], dim=1)
        exact = self.concentrations(x[:, 0], t[:, 0])
        errors = torch.randn(exact.shape, generator=generator, dtype=torch.float64)
        self.values = exact + noise * errors

    def residual(self, p, a, b, rate, diffusivity):
        stretch_x, stretch_t = self.stretch
        x_X = stretch_x / 5 * torch.exp(stretch_x * p.X)
        t_T = stretch_t / 2 * torch.exp(stretch_t * p.T)
        reacted = rate.value * a.value * b.value**2
        lines = []
        for u, parts in ((a, 1), (b, 2)):
            u_xx = (kp.partial(u, "X", "X") - stretch_x * kp.partial(u, "X")) / x_X**2
            change = kp.partial(u, "T") / t_T - 1e-3 * diffusivity.value * u_xx
            lines.append((x_X * t_T).sqrt() * (change + parts * reacted))
        return tuple(lines)

    def conditions(self):
        walls = self.domain.boundary["X_min", "X_max"]
        begin = self.domain.boundary["T_min"]
        data = zip(self.fields, self.values.split(1, dim=1), strict=True)
        return [
            *(kp.Dirichlet(walls, lambda p: 1 - self.place(p), field=u) for u in self.fields),
            *(
                kp.Dirichlet(begin, lambda p: torch.exp(-20 * self.place(p)), field=u)
                for u in self.fields
            ),
            *(kp.Observed(self.domain, self.at, d, self.noise, field=u) for u, d in data),
        ]

    def place(self, p):
        """x, (n, 1), at points in the stretched coordinates."""
        return torch.expm1(self.stretch[0] * p.X) / 5

    def concentrations(self, x, t, count=64):
        """Return a and b, (n, 2), at places x and times t, by Chebyshev collocation in x."""
        angles = np.pi * np.arange(count + 1) / count
        nodes = (1 - np.cos(angles)) / 2
        weights = (-1.0) ** np.arange(count + 1)
        weights[[0, -1]] /= 2
        distance = nodes[:, None] - nodes
        np.fill_diagonal(distance, 1.0)
        slope = weights / weights[:, None] / distance
        np.fill_diagonal(slope, 0.0)
        np.fill_diagonal(slope, -slope.sum(axis=1))
        second = (slope @ slope)[1:-1] * self.truth["diffusivity"] / 1000
        walls, inner = 1 - nodes, nodes[1:-1]

        def rates(_, u):
            a, b = u.reshape(2, -1)
            reacted = self.truth["rate"] * a * b**2
            a_t, b_t = (second[:, 1:-1] @ c + second[:, 0] for c in (a, b))
            return np.concatenate([a_t - reacted, b_t - 2 * reacted])

        first = np.tile(np.exp(-20 * inner), 2)
        tolerances = {"rtol": 1e-10, "atol": 1e-12}
        run = solve_ivp(rates, (0, 10), first, "LSODA", dense_output=True, **tolerances)
        found = run.sol(t.numpy()).reshape(2, count - 1, -1)
        ends = np.broadcast_to(walls[[0, -1], None], (2, 2, len(t)))
        values = np.concatenate([ends[:, :1], found, ends[:, 1:]], axis=1)
        lagrange = weights / (x.numpy()[:, None] - nodes)  # barycentric interpolation
        lagrange /= lagrange.sum(axis=1, keepdims=True)
        return torch.from_numpy(np.einsum("nk,mkn->nm", lagrange, values))
