"""Random problems: elliptic, parabolic, hyperbolic, nonlinear, systems, resonant ones."""

import math
from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor

import kanpinn as kp
from hostile.adversarial.case import Case
from hostile.adversarial.functions import Function, drawn_function
from kanpinn.geometry import Domain
from kanpinn.pde import Condition

Residual = Callable[..., Any]  # of a problem, points and the jets of the fields


class Manufactured(kp.Problem):
    """A problem whose source and boundary values are those of its exact solution."""

    def conditions(self) -> list[Condition]:
        return [kp.Dirichlet(self.domain.boundary, self.exact)]  # type: ignore[arg-type]


def drawn(seed: int) -> Case:
    """Return a random problem with a random network; some have few points."""
    draw = Random(seed)
    family = draw.choice([_elliptic, _elliptic, _elliptic, _in_time, _system, _rough])
    problem, words = family(draw)
    units, degree = draw.choice([12, 24, 40]), draw.choice([5, 7, 9])
    grid = [4, draw.choice([4, 8])]
    network = kp.KAN([problem.domain.dim, units, len(problem.fields)], degree=degree, grid=grid)
    points = None
    if draw.random() < 0.3:
        words += ", few points"
        points = kp.Collocation(int(1.1 * units * (degree + grid[1])), 60, "gauss")
    return Case(f"{seed}: {words}, {units} units", problem, network, points)


def _domain(draw: Random, dimension: int) -> tuple[Domain, str]:
    if dimension == 1:
        return kp.Box(x=(-1, 1)), "interval"
    if dimension == 3:
        return kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)), "cube"
    square, disk = kp.Box(x=(-1, 1), y=(-1, 1)), kp.Disk((0, 0), 1)
    place, radius = [draw.uniform(-0.4, 0.4), draw.uniform(-0.4, 0.4)], draw.uniform(0.1, 0.4)
    corners = [(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]
    return draw.choice(
        [
            (square, "square"),
            (disk, "disk"),
            (kp.Polygon(corners), "L-shape"),
            (square - kp.Disk(place, radius), "square with a hole"),
            (disk - kp.Disk((0, 0), draw.uniform(0.1, 0.5)), "annulus"),
        ]
    )


def _problem(
    domain: Domain, residual: Residual, exact: Callable[[kp.Points], Any], **more: Any
) -> kp.Problem:
    members = {"domain": domain, "residual": residual, "exact": lambda self, p: exact(p)}
    made: kp.Problem = type("Drawn", (Manufactured,), members | more)()
    return made


def _elliptic(draw: Random) -> tuple[kp.Problem, str]:
    dimension = draw.choice([1, 2, 2, 2, 3])
    domain, where = _domain(draw, dimension)
    function = drawn_function(draw, domain.names)
    name, residual = _operator(draw, domain)
    return _problem(domain, residual, function.values), f"{name} in {where}: {function.words}"


def _operator(draw: Random, domain: Domain) -> tuple[str, Residual]:
    size, small = draw.uniform(1, 200), 10 ** draw.uniform(-2.5, 0)
    near = 1 + draw.choice([-1, 1]) * 10 ** draw.uniform(-6, -1)
    resonant = near * (math.pi / 2) ** 2 * domain.dim

    def poisson(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.laplacian(u) - self.source(p)

    def helmholtz(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.laplacian(u) + size * u.value - self.source(p)

    def resonance(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.laplacian(u) + resonant * u.value - self.source(p)

    def convection(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return -small * kp.laplacian(u) + kp.partial(u, "x") - self.source(p)

    def reaction(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return -kp.laplacian(u) + size * u.value - self.source(p)

    def variable(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        factor, slope = 1 + 0.9 * torch.sin(3 * p.x), 2.7 * torch.cos(3 * p.x)
        return factor * kp.laplacian(u) + slope * kp.partial(u, "x") - self.source(p)

    def cubic(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return -kp.laplacian(u) + u.value**3 - self.source(p)

    def stiff(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return -small * kp.laplacian(u) + u.value**3 - u.value - self.source(p)

    return draw.choice(
        [
            ("Poisson", poisson),
            (f"Helmholtz {size:.3g}", helmholtz),
            (f"resonance {near - 1:.0e}", resonance),
            (f"convection {small:.2g}", convection),
            (f"reaction {size:.3g}", reaction),
            ("variable coefficient", variable),
            ("cubic", cubic),
            (f"Allen-Cahn {small:.2g}", stiff),
        ]
    )


def _in_time(draw: Random) -> tuple[kp.Problem, str]:
    domain = kp.Box(x=(-1, 1), t=(-1, 1))
    function, small = drawn_function(draw, domain.names), 10 ** draw.uniform(-3, 0)

    def heat(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.partial(u, "t") - small * kp.partial(u, "x", "x") - self.source(p)

    def wave(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x") - self.source(p)

    def burgers(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        flow = u.value * kp.partial(u, "x")
        return kp.partial(u, "t") + flow - small * kp.partial(u, "x", "x") - self.source(p)

    def advection(self: Any, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.partial(u, "t") + kp.partial(u, "x") - self.source(p)

    kinds = {"heat": heat, "wave": wave, "Burgers": burgers, "advection": advection}
    name = draw.choice(sorted(kinds))

    def conditions(self: Any) -> list[Condition]:
        walls = ["x_min"] if name == "advection" else ["x_min", "x_max"]
        rate = function_rate(function) if name == "wave" else None
        start = kp.Initial(self.domain, self.exact, rate)
        return [start, *(kp.Dirichlet(self.domain.boundary[one], self.exact) for one in walls)]

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
        edge = self.domain.boundary
        return [
            kp.Dirichlet(edge, first.values, field="u"),
            kp.Dirichlet(edge, second.values, field="v"),
        ]

    problem = _problem(domain, residual, exact, fields=("u", "v"), conditions=conditions)
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
