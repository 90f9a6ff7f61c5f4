"""Problems with an exact solution that have deceived error estimates, by name."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

import kanpinn as kp
from hostile.adversarial.case import Case
from kanpinn.geometry import Domain
from kanpinn.pde import Condition

SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))


class Poisson(kp.Problem):
    """Δu = f with the source and the boundary values of a given solution."""

    def __init__(self, solution: Callable[[kp.Points], Tensor], domain: Domain = SQUARE) -> None:
        self.solution, self.domain = solution, domain

    def residual(self, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.laplacian(u) - self.source(p)

    def exact(self, p: kp.Points) -> Tensor:
        return self.solution(p)

    def conditions(self) -> list[Condition]:
        return [kp.Dirichlet(self.domain.boundary, self.exact)]


class Helmholtz(Poisson):
    """Δu + k² u = f."""

    def __init__(self, number: float, solution: Callable[[kp.Points], Tensor]) -> None:
        super().__init__(solution)
        self.number = number

    def residual(self, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.laplacian(u) + self.number**2 * u.value - self.source(p)


class Bump(kp.Problem):
    """-u'' = π² sin πx + 2 g(x) for a bump g of area 1 whose width is far below any spacing."""

    domain = kp.Box(x=(0, 1))

    def __init__(self, width: float, centre: float = 0.537) -> None:
        self.width, self.centre = width, centre

    def source(self, p: kp.Points) -> Tensor:
        z = (p.x - self.centre) / self.width
        bump = torch.exp(-z * z) / (self.width * math.sqrt(math.pi))
        return math.pi**2 * torch.sin(math.pi * p.x) + 2 * bump

    def residual(self, p: kp.Points, u: kp.Jet) -> Tensor:
        return -kp.laplacian(u) - self.source(p)

    def conditions(self) -> list[Condition]:
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact(self, p: kp.Points) -> Tensor:
        ends = torch.tensor([[0.0], [1.0]], dtype=p.coords.dtype)
        left, right = self._integral(ends)
        whole = self._integral(p.x) - left - (right - left) * p.x
        return torch.sin(math.pi * p.x) + whole

    def _integral(self, x: Tensor) -> Tensor:
        z = (x - self.centre) / self.width
        return -self.width * (z * torch.erf(z) + torch.exp(-z * z) / math.sqrt(math.pi))


class BoundaryLayer(kp.Problem):
    """-ε u'' + u' = 1 with u = 0 at both ends: a layer of width ε at x = 1."""

    domain = kp.Box(x=(0, 1))

    def __init__(self, small: float) -> None:
        self.small = small

    def residual(self, p: kp.Points, u: kp.Jet) -> Tensor:
        return -self.small * kp.laplacian(u) + kp.partial(u, "x") - 1

    def conditions(self) -> list[Condition]:
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact(self, p: kp.Points) -> Tensor:
        last = math.exp(-1 / self.small)
        return p.x - (torch.exp((p.x - 1) / self.small) - last) / (1 - last)


class AnisotropicHeat(kp.Problem):
    """u_t = 0.01 u_xx + 0.0001 u_yy from a sum of four products of sines."""

    domain = kp.Box(x=(0, 1), y=(0, 1), t=(0, 1))

    def residual(self, p: kp.Points, u: kp.Jet) -> Tensor:
        spread = 0.01 * kp.partial(u, "x", "x") + 1e-4 * kp.partial(u, "y", "y")
        return kp.partial(u, "t") - spread

    def exact(self, p: kp.Points) -> Tensor:
        u = torch.zeros_like(p.x)
        for k, m, size in ((1, 2, 1.0), (3, 9, 0.7), (5, 17, 0.5), (2, 25, 0.4)):
            decay = (0.01 * k * k + 1e-4 * m * m) * math.pi**2
            waves = torch.sin(k * math.pi * p.x) * torch.sin(m * math.pi * p.y)
            u = u + size * waves * torch.exp(-decay * p.t)
        return u

    def conditions(self) -> list[Condition]:
        walls = self.domain.boundary["x_min", "x_max", "y_min", "y_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(walls, 0.0)]


class Corner(kp.Problem):
    """Laplace's equation in the L-shape: u = r^(2/3) sin(2φ/3), whose gradient is infinite."""

    domain = kp.Polygon([(-1, -1), (0, -1), (0, 0), (1, 0), (1, 1), (-1, 1)])

    def residual(self, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.laplacian(u)

    def exact(self, p: kp.Points) -> Tensor:
        radius, angle = torch.hypot(p.x, p.y), torch.atan2(p.y, p.x)
        return radius ** (2 / 3) * torch.sin(
            2 / 3 * torch.where(angle < 0, angle + 2 * math.pi, angle)
        )

    def conditions(self) -> list[Condition]:
        return [kp.Dirichlet(self.domain.boundary, self.exact)]


class BlackScholes(kp.Problem):
    """A European call, in units of a currency in which the strike is `strike`."""

    def __init__(self, strike: float) -> None:
        self.strike, self.rate, self.volatility = strike, 0.05, 0.2
        self.domain = kp.Box(s=(0.5 * strike, 1.5 * strike), t=(0.5, 1.0))

    def residual(self, p: kp.Points, v: kp.Jet) -> Tensor:
        spread = 0.5 * self.volatility**2 * p.s**2 * kp.partial(v, "s", "s")
        drift = self.rate * p.s * kp.partial(v, "s")
        return kp.partial(v, "t") - spread - drift + self.rate * v.value

    def exact(self, p: kp.Points) -> Tensor:
        spread = self.volatility * p.t.sqrt()
        one = (torch.log(p.s / self.strike) + self.rate * p.t) / spread + spread / 2
        price = p.s * torch.special.ndtr(one)
        return price - self.strike * torch.exp(-self.rate * p.t) * torch.special.ndtr(one - spread)

    def conditions(self) -> list[Condition]:
        walls = self.domain.boundary["s_min", "s_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(walls, self.exact)]


class LotkaVolterra(kp.Problem):
    """Predators and prey for several periods; the exact solution is an integration by SciPy."""

    domain = kp.Box(t=(0, 20))
    fields = ("prey", "predators")

    def residual(self, p: kp.Points, a: kp.Jet, b: kp.Jet) -> tuple[Tensor, Tensor]:
        met = a.value * b.value
        return (
            kp.partial(a, "t") - 1.5 * a.value + met,
            kp.partial(b, "t") + 3 * b.value - met,
        )

    def conditions(self) -> list[Condition]:
        start = torch.tensor([[10.0, 5.0]], dtype=torch.float64)
        return [kp.Initial(self.domain, lambda p: start.to(p.coords).expand(len(p), 2))]

    @cached_property
    def path(self) -> Callable[[np.ndarray], np.ndarray]:
        """The prey and the predators, (2, n), at n times, by SciPy."""

        def rate(t: float, y: Any) -> tuple[float, float]:
            return 1.5 * y[0] - y[0] * y[1], -3 * y[1] + y[0] * y[1]

        done = solve_ivp(
            rate, (0, 20), (10, 5), "DOP853", dense_output=True, rtol=1e-12, atol=1e-12
        )
        path: Callable[[np.ndarray], np.ndarray] = done.sol
        return path

    def exact(self, p: kp.Points) -> Tensor:
        times = p.coords[:, 0].detach().cpu().numpy()
        return torch.as_tensor(self.path(times).T).to(p.coords)


class Bratu(kp.Problem):
    """u'' + λ eᵘ = 0, which has two solutions for 0 < λ < 3.51; the exact one is the lower."""

    domain = kp.Box(x=(0, 1))
    strength = 3.0

    def residual(self, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.laplacian(u) + self.strength * torch.exp(u.value)

    def conditions(self) -> list[Condition]:
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact(self, p: kp.Points) -> Tensor:
        theta = 1.0
        for _ in range(200):  # of θ = √(2λ) cosh(θ/4), towards its lower root
            theta = math.sqrt(2 * self.strength) * math.cosh(theta / 4)
        return -2 * torch.log(torch.cosh((p.x - 0.5) * theta / 2) / math.cosh(theta / 4))


def _square(p: kp.Points, x: float, y: float) -> Tensor:
    return (p.x - x) ** 2 + (p.y - y) ** 2


def _holes() -> kp.Problem:
    holes = [((0.4, 0.3), 0.15), ((-0.5, -0.2), 0.1), ((0.1, -0.6), 0.12)]
    domain: Domain = SQUARE
    for centre, radius in holes:
        domain = domain - kp.Disk(centre, radius)

    def solution(p: kp.Points) -> Tensor:
        sizes = (0.1, 0.2, -0.1)
        terms = [s * torch.log(_square(p, *c)) for s, (c, _) in zip(sizes, holes, strict=True)]
        return torch.stack(terms).sum(0) + p.x * p.y

    return Poisson(solution, domain)


def _peaks(sharp: float) -> kp.Problem:
    return Poisson(
        lambda p: (
            torch.exp(-sharp * _square(p, 0.5, 0.5)) + torch.exp(-sharp * _square(p, -0.3, 0.2))
        )
    )


def _front(steep: float) -> kp.Problem:
    return Poisson(lambda p: torch.atan(steep * (_square(p, -1.2, -1.3).sqrt() - 1.4)))


def _kernel(gap: float) -> Callable[[kp.Points], Tensor]:
    """A smooth function, and a harmonic one whose values on the wall y = -1 are a narrow peak."""
    return lambda p: (
        torch.sin(2 * p.x) * p.y + gap * (p.y + 1 + gap) / (_square(p, 0.137, -1 - gap))
    )


def _smooth(p: kp.Points) -> Tensor:
    return torch.sin(2.3 * p.x + 1) * torch.cos(3.1 * p.y) + torch.exp(p.x * p.y)


PROBLEMS: dict[str, Callable[[], kp.Problem]] = {
    "bump of width 1e-5": lambda: Bump(1e-5),
    "bump of width 1e-3": lambda: Bump(1e-3),
    "bump of width 0.05": lambda: Bump(0.05),
    "boundary layer 1e-4": lambda: BoundaryLayer(1e-4),
    "boundary layer 1e-2": lambda: BoundaryLayer(1e-2),
    "logarithm of width 1e-3": lambda: Poisson(
        lambda p: torch.log(p.x**2 + p.y**2 + 1e-6) / 10 + torch.sin(2 * p.x) * torch.sin(3 * p.y)
    ),
    "pole 1e-4 outside the wall": lambda: Poisson(lambda p: torch.log(_square(p, 1.0001, 0.2))),
    "pole 0.1 outside the wall": lambda: Poisson(lambda p: torch.log(_square(p, 1.1, 0.2))),
    "peak 1e-3 in the wall's data": lambda: Poisson(_kernel(1e-3)),
    "peak 1e-5 in the wall's data": lambda: Poisson(_kernel(1e-5)),
    "peaks exp(-1000 r²)": lambda: _peaks(1000),
    "peaks exp(-50 r²)": lambda: _peaks(50),
    "front of slope 100": lambda: _front(100),
    "front of slope 10": lambda: _front(10),
    "three holes": _holes,
    "corner of an L-shape": Corner,
    "anisotropic heat": AnisotropicHeat,
    "Helmholtz 12": lambda: Helmholtz(12, _smooth),
    "Helmholtz 40": lambda: Helmholtz(40, _smooth),
    "resonance 1e-6": lambda: Helmholtz(math.pi / math.sqrt(2) * (1 + 1e-6), _smooth),
    "Black-Scholes in dollars": lambda: BlackScholes(100.0),
    "Black-Scholes in strikes": lambda: BlackScholes(1.0),
    "Lotka-Volterra": LotkaVolterra,
    "Bratu": Bratu,
}


def named(name: str) -> Case:
    """Return the problem of a name, with a network that was not chosen for it."""
    problem = PROBLEMS[name]()
    dimension = problem.domain.dim
    width = [dimension, 40, len(problem.fields)]
    return Case(name, problem, kp.KAN(width, degree=9, grid=[4, 8]))
