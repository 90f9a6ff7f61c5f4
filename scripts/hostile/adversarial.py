"""Problems whose errors are hard to estimate, named and drawn, and how their estimates are
judged.
"""

import argparse
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from random import Random
from statistics import median
from typing import Any

import numpy as np
import torch
from common.script import Verdict, verdict
from scipy.integrate import solve_ivp
from torch import Tensor

import kanpinn as kp
from kanpinn import Points
from kanpinn.geometry import Domain
from kanpinn.pde import Condition
from kanpinn.pde.defects import exact_defects


@dataclass(frozen=True)
class Case:
    """A problem with an exact solution, and a solve of it.

    Args:
        name: says what is hard about it.
        problem: with `exact`.
        network: of the solve.
        points: of the solve; None for the default.
    """

    name: str
    problem: kp.Problem
    network: kp.KAN
    points: kp.Collocation | None = None


@dataclass(frozen=True)
class Function:
    """A function of points, (n, 1), and words that describe it."""

    values: Callable[[Points], Tensor]
    words: str


def drawn_function(draw: Random, axes: tuple[str, ...]) -> Function:
    """Return the sum of one to three random parts of size about 1, whose scales span two decades.

    Args:
        draw: the source of random numbers.
        axes: the names of the coordinates, of which each has the range -1 to 1.
    """
    kinds = [_wave, _wave, _peak, _pole, _front]
    parts = [draw.choice(kinds)(draw, axes) for _ in range(draw.choice([1, 2, 3]))]
    sizes = [draw.uniform(0.3, 1) for _ in parts]

    def values(p: Points) -> Tensor:
        terms = [size * part.values(p) for size, part in zip(sizes, parts, strict=True)]
        return torch.stack(terms).sum(dim=0)

    return Function(values, " + ".join(part.words for part in parts))


def _columns(p: Points, axes: tuple[str, ...]) -> list[Tensor]:
    return [getattr(p, name) for name in axes]


def _direction(draw: Random, dimension: int) -> list[float]:
    """Return a random unit vector."""
    vector = [draw.gauss(0, 1) for _ in range(dimension)]
    length = math.hypot(*vector)
    return [component / length for component in vector]


def _along(p: Points, axes: tuple[str, ...], direction: list[float]) -> Tensor:
    return torch.stack([n * x for n, x in zip(direction, _columns(p, axes), strict=True)]).sum(0)


def _wave(draw: Random, axes: tuple[str, ...]) -> Function:
    number, phase = 10 ** draw.uniform(0, 1.6), draw.uniform(0, 6)
    direction = _direction(draw, len(axes))
    return Function(
        lambda p: torch.sin(number * _along(p, axes, direction) + phase), f"wave {number:.3g}"
    )


def _peak(draw: Random, axes: tuple[str, ...]) -> Function:
    width, centre = 10 ** draw.uniform(-2, -0.2), [draw.uniform(-0.8, 0.8) for _ in axes]

    def values(p: Points) -> Tensor:
        both = zip(centre, _columns(p, axes), strict=True)
        return torch.exp(-torch.stack([(x - c) ** 2 for c, x in both]).sum(0) / width**2)

    return Function(values, f"peak {width:.2g}")


def _pole(draw: Random, axes: tuple[str, ...]) -> Function:
    gap, direction = 10 ** draw.uniform(-2.5, 0), _direction(draw, len(axes))
    far = max(abs(component) for component in direction)
    centre = [(1 + gap) * component / far for component in direction]

    def values(p: Points) -> Tensor:
        both = zip(centre, _columns(p, axes), strict=True)
        return 0.5 * torch.log(torch.stack([(x - c) ** 2 for c, x in both]).sum(0))

    return Function(values, f"pole {gap:.2g} outside")


def _front(draw: Random, axes: tuple[str, ...]) -> Function:
    steep, where = 10 ** draw.uniform(0, 2.2), draw.uniform(-0.5, 0.5)
    direction = _direction(draw, len(axes))
    return Function(
        lambda p: torch.tanh(steep * (_along(p, axes, direction) - where)), f"front {steep:.3g}"
    )


SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))


def poisson(solution: str, domain: Domain = SQUARE) -> kp.Problem:
    """Return -Δu = f with the source and the boundary values of a solution."""
    return kp.Poisson(domain, exact=solution)


def helmholtz(number: float) -> kp.Problem:
    """Return Helmholtz' equation with a wave number and the data of a smooth solution."""
    smooth = "sin(2.3*x + 1) * cos(3.1*y) + exp(x*y)"
    return kp.Helmholtz(SQUARE, wavenumber=number, exact=smooth)


def bump(width: float, centre: float = 0.537) -> kp.Problem:
    """Return -u'' = π² sin πx + 2 g(x) for a bump g of area 1, far narrower than any spacing."""

    def integral(x: str) -> str:
        z = f"(({x} - {centre}) / {width})"
        return f"(-{width} * ({z} * erf({z}) + exp(-{z}**2) / sqrt(pi)))"

    left, right = integral("0"), integral("1")
    source = f"2 * exp(-((x - {centre}) / {width})**2) / ({width} * sqrt(pi))"
    return kp.Poisson(
        kp.Box(x=(0, 1)),
        source=f"pi**2 * sin(pi*x) + {source}",
        boundary=0.0,
        exact=f"sin(pi*x) + {integral('x')} - {left} - ({right} - {left}) * x",
    )


def boundary_layer(small: float) -> kp.Problem:
    """Return -ε u'' + u' = 1 with u = 0 at both ends: a layer of width ε at x = 1."""
    last = math.exp(-1 / small)
    exact = f"x - (exp((x - 1) / {small}) - {last}) / (1 - {last})"
    return kp.AdvectionDiffusion(
        kp.Box(x=(0, 1)), velocity=[1.0], diffusion=small, source=1.0, boundary=0.0, exact=exact
    )


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
        sides = self.domain.boundary["x_min", "x_max", "y_min", "y_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(sides, 0.0)]


def corner() -> kp.Problem:
    """Return Laplace's equation in the L-shape: u = r^(2/3) sin(2φ/3), of infinite gradient."""
    domain = kp.Polygon([(-1, -1), (0, -1), (0, 0), (1, 0), (1, 1), (-1, 1)])
    return kp.Poisson(domain, source=0.0, exact=kp.Corner(domain, (0, 0), 1))


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
        ends = self.domain.boundary["s_min", "s_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(ends, self.exact)]


class LotkaVolterra(kp.Problem):
    """Predators and prey for several periods; the exact solution is an integration by SciPy."""

    domain = kp.Box(t=(0, 20))
    fields = ("prey", "predators")

    def residual(self, p: kp.Points, a: kp.Jet, b: kp.Jet) -> tuple[Tensor, Tensor]:
        met = a.value * b.value
        return (kp.partial(a, "t") - 1.5 * a.value + met, kp.partial(b, "t") + 3 * b.value - met)

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


def _square(x: float, y: float) -> str:
    """The squared distance from a point."""
    return f"((x - {x})**2 + (y - {y})**2)"


def _holes() -> kp.Problem:
    holes = {((0.4, 0.3), 0.15): 0.1, ((-0.5, -0.2), 0.1): 0.2, ((0.1, -0.6), 0.12): -0.1}
    domain: Domain = SQUARE
    for centre, radius in holes:
        domain = domain - kp.Disk(centre, radius)
    terms = [f"{size} * log({_square(*centre)})" for (centre, _), size in holes.items()]
    return poisson(" + ".join([*terms, "x * y"]), domain)


def _peaks(sharp: float) -> kp.Problem:
    places = (0.5, 0.5), (-0.3, 0.2)
    return poisson(" + ".join(f"exp(-{sharp} * {_square(*place)})" for place in places))


def _moving_front(steep: float) -> kp.Problem:
    return poisson(f"atan({steep} * (sqrt({_square(-1.2, -1.3)}) - 1.4))")


def _kernel(gap: float) -> kp.Problem:
    """A smooth function, and a harmonic one whose values on the wall y = -1 are a narrow peak."""
    return poisson(f"sin(2*x) * y + {gap} * (y + 1 + {gap}) / {_square(0.137, -1 - gap)}")


PROBLEMS: dict[str, Callable[[], kp.Problem]] = {
    "bump of width 1e-5": lambda: bump(1e-5),
    "bump of width 1e-3": lambda: bump(1e-3),
    "bump of width 0.05": lambda: bump(0.05),
    "boundary layer 1e-4": lambda: boundary_layer(1e-4),
    "boundary layer 1e-2": lambda: boundary_layer(1e-2),
    "logarithm of width 1e-3": lambda: poisson(
        "log(x**2 + y**2 + 1e-6) / 10 + sin(2*x) * sin(3*y)"
    ),
    "pole 1e-4 outside the wall": lambda: poisson(f"log({_square(1.0001, 0.2)})"),
    "pole 0.1 outside the wall": lambda: poisson(f"log({_square(1.1, 0.2)})"),
    "peak 1e-3 in the wall's data": lambda: _kernel(1e-3),
    "peak 1e-5 in the wall's data": lambda: _kernel(1e-5),
    "peaks exp(-1000 r²)": lambda: _peaks(1000),
    "peaks exp(-50 r²)": lambda: _peaks(50),
    "front of slope 100": lambda: _moving_front(100),
    "front of slope 10": lambda: _moving_front(10),
    "three holes": _holes,
    "corner of an L-shape": corner,
    "anisotropic heat": AnisotropicHeat,
    "Helmholtz 12": lambda: helmholtz(12),
    "Helmholtz 40": lambda: helmholtz(40),
    "resonance 1e-6": lambda: helmholtz(math.pi / math.sqrt(2) * (1 + 1e-6)),
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


Operator = Callable[[kp.Points, kp.Jet], Tensor]


class Manufactured(kp.Problem):
    """A problem whose source and boundary values are those of its exact solution."""

    def conditions(self) -> list[Condition]:
        return [kp.Dirichlet(self.domain.boundary, self.exact)]  # type: ignore[arg-type]


def drawn(seed: int) -> Case:
    """Return a random problem with a random network; some have few points."""
    draw = Random(seed)
    family = draw.choice([_elliptic, _elliptic, _elliptic, _in_time, _system, _rough])
    problem, words = family(draw)
    network, points, size = drawn_network(draw, problem, 0.3)
    return Case(f"{seed}: {words}, {size}", problem, network, points)


def drawn_network(
    draw: Random, problem: kp.Problem, few: float
) -> tuple[kp.KAN, kp.Collocation | None, str]:
    """Return a random network, its points, and words on its size.

    few: how often there are hardly more points than coefficients; else the default ones.
    """
    units, degree = draw.choice([12, 24, 40]), draw.choice([5, 7, 9])
    grid = [4, draw.choice([4, 8])]
    network = kp.KAN([problem.domain.dim, units, len(problem.fields)], degree=degree, grid=grid)
    if draw.random() >= few:
        return network, None, f"{units} units"
    points = kp.Collocation(int(1.1 * units * (degree + grid[1])), 60, "gauss")
    return network, points, f"{units} units, few points"


def plane_domains(draw: Random) -> dict[str, Domain]:
    """Return five domains of the plane by their names, some of them random."""
    disk = kp.Disk((0, 0), 1)
    place, radius = (draw.uniform(-0.4, 0.4), draw.uniform(-0.4, 0.4)), draw.uniform(0.1, 0.4)
    return {
        "square": SQUARE,
        "disk": disk,
        "L-shape": kp.Polygon([(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]),
        "square with a hole": SQUARE - kp.Disk(place, radius),
        "annulus": disk - kp.Disk((0, 0), draw.uniform(0.1, 0.5)),
    }


def _domain(draw: Random, dimension: int) -> tuple[Domain, str]:
    if dimension == 1:
        return kp.Box(x=(-1, 1)), "interval"
    if dimension == 3:
        return kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)), "cube"
    where, domain = draw.choice(list(plane_domains(draw).items()))
    return domain, where


def _problem(
    domain: Domain, operator: Operator | None, exact: Callable[[kp.Points], Any], **more: Any
) -> kp.Problem:
    members = {"domain": domain, "exact": lambda self, p: exact(p)}
    if operator is not None:
        members["residual"] = lambda self, p, u: operator(p, u) - self.source(p)
    made: kp.Problem = type("Drawn", (Manufactured,), members | more)()
    return made


def _elliptic(draw: Random) -> tuple[kp.Problem, str]:
    dimension = draw.choice([1, 2, 2, 2, 3])
    domain, where = _domain(draw, dimension)
    function = drawn_function(draw, domain.names)
    name, operator = _operator(draw, domain)
    return _problem(domain, operator, function.values), f"{name} in {where}: {function.words}"


def _operator(draw: Random, domain: Domain) -> tuple[str, Operator]:
    size, small = draw.uniform(1, 200), 10 ** draw.uniform(-2.5, 0)
    near = 1 + draw.choice([-1, 1]) * 10 ** draw.uniform(-6, -1)
    resonant = near * (math.pi / 2) ** 2 * domain.dim

    def variable(p: kp.Points, u: kp.Jet) -> Tensor:
        factor, slope = 1 + 0.9 * torch.sin(3 * p.x), 2.7 * torch.cos(3 * p.x)
        return factor * kp.laplacian(u) + slope * kp.partial(u, "x")

    kinds: list[tuple[str, Operator]] = [
        ("Poisson", lambda p, u: kp.laplacian(u)),
        (f"Helmholtz {size:.3g}", lambda p, u: kp.laplacian(u) + size * u.value),
        (f"resonance {near - 1:.0e}", lambda p, u: kp.laplacian(u) + resonant * u.value),
        (f"convection {small:.2g}", lambda p, u: kp.partial(u, "x") - small * kp.laplacian(u)),
        (f"reaction {size:.3g}", lambda p, u: size * u.value - kp.laplacian(u)),
        ("variable coefficient", variable),
        ("cubic", lambda p, u: u.value**3 - kp.laplacian(u)),
        (f"Allen-Cahn {small:.2g}", lambda p, u: u.value**3 - u.value - small * kp.laplacian(u)),
    ]
    return draw.choice(kinds)


def _in_time(draw: Random) -> tuple[kp.Problem, str]:
    domain = kp.Box(x=(-1, 1), t=(-1, 1))
    function, small = drawn_function(draw, domain.names), 10 ** draw.uniform(-3, 0)

    def burgers(p: kp.Points, u: kp.Jet) -> Tensor:
        flow = u.value * kp.partial(u, "x")
        return kp.partial(u, "t") + flow - small * kp.partial(u, "x", "x")

    kinds: dict[str, Operator] = {
        "heat": lambda p, u: kp.partial(u, "t") - small * kp.partial(u, "x", "x"),
        "wave": lambda p, u: kp.partial(u, "t", "t") - kp.partial(u, "x", "x"),
        "Burgers": burgers,
        "advection": lambda p, u: kp.partial(u, "t") + kp.partial(u, "x"),
    }
    name = draw.choice(sorted(kinds))

    def conditions(self: Any) -> list[Condition]:
        ends = ["x_min"] if name == "advection" else ["x_min", "x_max"]
        rate = function_rate(function) if name == "wave" else None
        start = kp.Initial(self.domain, self.exact, rate)
        return [start, *(kp.Dirichlet(self.domain.boundary[one], self.exact) for one in ends)]

    problem = _problem(domain, kinds[name], function.values, conditions=conditions)
    return problem, f"{name} {small:.2g}: {function.words}"


def function_rate(function: Function) -> Callable[[kp.Points], Tensor]:
    """Return ∂/∂t of a function, by automatic differentiation."""

    def rate(p: kp.Points) -> Tensor:
        def at(coords: Tensor) -> Tensor:
            return function.values(kp.Points(coords, p.names))

        direction = torch.zeros_like(p.coords)
        direction[:, p.names.index("t")] = 1
        derivative: Tensor = torch.func.jvp(at, (p.coords,), (direction,))[1]
        return derivative

    return rate


def _system(draw: Random) -> tuple[kp.Problem, str]:
    domain, where = _domain(draw, draw.choice([1, 2]))
    first, second = drawn_function(draw, domain.names), drawn_function(draw, domain.names)
    coupling = 10 ** draw.uniform(-1, 2)

    def residual(self: Any, p: kp.Points, u: kp.Jet, v: kp.Jet) -> tuple[Tensor, Tensor]:
        f, g = self.source(p).split(1, dim=1)
        one = -kp.laplacian(u) + coupling * (u.value - v.value) - f
        other = -kp.laplacian(v) + coupling * (v.value - u.value) + u.value * v.value - g
        return one, other

    def exact(p: kp.Points) -> tuple[Tensor, Tensor]:
        return first.values(p), second.values(p)

    def conditions(self: Any) -> list[Condition]:
        both = {"u": first, "v": second}.items()
        return [kp.Dirichlet(self.domain.boundary, f.values, field=name) for name, f in both]

    members = {"fields": ("u", "v"), "residual": residual, "conditions": conditions}
    problem = _problem(domain, None, exact, **members)
    return problem, f"system {coupling:.2g} in {where}: {first.words} | {second.words}"


def _rough(draw: Random) -> tuple[kp.Problem, str]:
    """Return a problem in one dimension whose source or coefficient jumps or has a narrow bump.

    The solution of -u'' = f is known in closed form: f is a step, or 2 g(x) for a bump g.
    """
    where, width = draw.uniform(-0.8, 0.8), 10 ** draw.uniform(-5, -1)
    domain, jump = kp.Box(x=(-1, 1)), draw.random() < 0.4
    smooth = drawn_function(draw, domain.names)

    def primitive(x: Tensor) -> Tensor:
        if jump:
            return 0.5 * (x - where).clamp_min(0) ** 2
        z = (x - where) / width
        return width * (z * torch.erf(z) + torch.exp(-z * z) / math.sqrt(math.pi)) / 2

    def source(self: Any, p: kp.Points) -> Tensor:
        if jump:
            return (p.x > where).to(p.x)
        z = (p.x - where) / width
        return torch.exp(-z * z) / (width * math.sqrt(math.pi))

    class Rough(Manufactured):
        def residual(self, p: kp.Points, u: kp.Jet) -> Tensor:
            return kp.laplacian(u) - source(self, p) - self.smooth_source(p)

        def smooth_source(self, p: kp.Points) -> Tensor:
            at = p.coords.detach().clone().requires_grad_()
            with torch.enable_grad():
                value = smooth.values(kp.Points(at, p.names))
                (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
                (second,) = torch.autograd.grad(slope.sum(), at)
            return second.detach()

        def exact(self, p: kp.Points) -> Tensor:
            return smooth.values(p) + primitive(p.x)

    Rough.domain = domain
    kind = "step" if jump else f"bump {width:.1g}"
    return Rough(), f"source with a {kind}: {smooth.words}"


@dataclass(frozen=True)
class Judged:
    """A solve of a case.

    Args:
        name: of the case.
        true: the relative L2 error; infinite where it is not a number.
        estimated: the estimated one; None where it is not known.
        status: of the solution.
        reason: why the error is not known.
        solving: the seconds of the solve.
        verifying: those of the comparison at fresh points.
        estimating: those of the estimate.
    """

    name: str
    true: float
    estimated: float | None
    status: str
    reason: str
    solving: float
    verifying: float = 0.0
    estimating: float = 0.0

    @property
    def ratio(self) -> float | None:
        """The true error over the estimated one; an error below 3e-14 counts as rounding."""
        if self.estimated is None:
            return None
        floor = 3e-14
        return max(self.true, floor) / max(self.estimated, floor)

    @property
    def within(self) -> bool:
        """Whether the solution is said to be within the tolerance."""
        return "within the tolerance" in self.status

    @property
    def row(self) -> str:
        """A line of a table."""
        said = "unknown" if self.estimated is None else f"{self.estimated:.1e}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2g}"
        words = self.reason or self.status
        return f"| {self.name} | {self.true:.1e} | {said} | {ratio} | {words} |"


def solved(case: Case, seed: int) -> Judged:
    """Solve a case with its network, and estimate the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a warning says is not what is measured
        solution = kp.solve(case.problem, case.network, points=case.points, seed=seed, budget=60)
    estimate = kp.estimate_error(solution)
    seen = solution.verification
    return Judged(
        case.name,
        _error(solution),
        None if estimate.errors is None else estimate.errors.l2_relative,
        solution.status,
        estimate.reason,
        solution.seconds,
        0.0 if seen is None else seen.seconds,
        estimate.seconds,
    )


def chosen(case: Case, seed: int, seconds: float, tolerance: float) -> Judged:
    """Solve the problem of a case with a network that is found by trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = kp.solve(case.problem, budget=seconds, tolerance=tolerance, seed=seed)
    estimate = solution.estimate
    errors = None if estimate is None else estimate.errors
    return Judged(
        case.name,
        _error(solution),
        None if errors is None else errors.l2_relative,
        solution.status,
        "" if estimate is None else estimate.reason,
        solution.seconds,
    )


def _error(solution: kp.Solution) -> float:
    assert solution.errors is not None
    found = solution.errors.l2_relative
    return found if math.isfinite(found) else math.inf


def outcome(judge: Callable[[], Judged], name: str) -> Judged | str:
    """Return what a solve gives, or the refusal of its problem, in words."""
    try:
        return judge()
    except kp.InputError as error:
        return f"{name}: refused: {error}"


LARGEST = 3.0  # the true error over the estimated one
TOLD = ("Lotka-Volterra",)  # exact values without derivatives, by SciPy
TOLERANCE = 1e-6  # of the searches
SMALL = partial(kp.KAN, [1, 8, 1], degree=5, grid=2)  # network of a smoke run


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Solve named and random problems with given networks, and by trials."""
    makers: list[Callable[[], Case]] = [partial(named, one) for one in list(PROBLEMS)]
    if options.smoke:
        makers = [lambda: replace(named("bump of width 0.05"), network=SMALL())]
    first = 1000 * options.seed
    makers += [partial(drawn, number) for number in range(first, first + options.draws)]
    given = _all("given networks", partial(solved, seed=options.seed), makers, options, failures)
    search = partial(chosen, seed=options.seed, seconds=options.budget, tolerance=TOLERANCE)
    found = _all("auto", search, makers[: options.searches], options, failures)
    wrong = _inconsistent(range(first, first + (20 if options.smoke else max(options.draws, 60))))
    failures += wrong
    false = [one for one in found if one.within and one.true > LARGEST * TOLERANCE]
    failures += [f"auto, {one.name}: {one.status}, true {one.true:.1e}" for one in false]
    costs = [one.verifying / one.solving for one in given]
    return {
        "problems that their exact solution does not solve": verdict(len(wrong), "0", not wrong),
        **_estimates("given networks", given),
        **_estimates("auto", found),
        "auto: within the tolerance, though the error is above it": verdict(
            len(false), f"0 of {len(found)}", not false
        ),
        "time of the verification over that of the solve": verdict(
            f"median {median(costs):.2f}, most {max(costs):.2f}", "at most 1", max(costs) <= 1
        ),
    }


def _inconsistent(numbers: Iterable[int]) -> list[str]:
    """Return the named and drawn problems whose exact solution has a residual, with its place."""
    makers: list[Callable[[], Case]] = [partial(named, one) for one in PROBLEMS if one not in TOLD]
    makers += [partial(drawn, number) for number in numbers]
    found = []
    for make in makers:
        case = make()
        found += [
            f"{case.name}: {one.name} has the relative residual {one.relative:.1e}"
            for one in exact_defects(case.problem)
            if not one.relative <= 1e-6
        ]
    return found


def _all(
    title: str,
    judge: Callable[[Case], Judged],
    makers: Sequence[Callable[[], Case]],
    options: argparse.Namespace,
    failures: list[str],
) -> list[Judged]:
    """Judge all cases, and write their table to the output."""
    judged, lines = [], []
    for make in makers:
        case = make()
        one = outcome(partial(judge, case), case.name)
        if isinstance(one, str):
            lines.append(f"| {one} | | | | |")
            continue
        judged.append(one)
        lines.append(one.row)
        if one.ratio is not None and one.ratio > LARGEST:
            failures.append(
                f"{title}, {one.name}: true error {one.true:.1e}, estimated {one.estimated:.1e}"
            )
    head = "| problem | true | estimated | ratio | said |\n|---|---|---|---|---|\n"
    path = options.output / f"adversarial_{title.replace(' ', '_')}.md"
    path.write_text(f"# Relative L2 errors, {title}\n\n{head}" + "\n".join(lines) + "\n", "utf-8")
    return judged


def _estimates(title: str, judged: Sequence[Judged]) -> dict[str, Verdict]:
    ratios = sorted(one.ratio for one in judged if one.ratio is not None)
    low = sum(ratio > LARGEST for ratio in ratios)
    spread = f"median {median(ratios):.2g}, {ratios[0]:.2g} to {ratios[-1]:.2g}" if ratios else ""
    return {
        f"{title}: true error above {LARGEST:g} times the estimated one": verdict(
            f"{low} of {len(ratios)} known, {len(judged) - len(ratios)} unknown",
            "at most 1 %",
            low <= 0.01 * len(ratios),
        ),
        f"{title}: true error over the estimated one": verdict(spread, "about 1"),
    }
