"""Random equations and conditions on random domains, with solutions that are known."""

from collections.abc import Iterator

import numpy as np
import torch
from random_domains import DOMAINS, Draw
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Domain
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, jet_of

STEADY = ("poisson", "helmholtz", "advection", "system")
EVOLVING = ("heat", "wave")
FIXING = ("dirichlet", "observed", "robin", "constraint")  # the constant
KINDS = ("dirichlet", *FIXING, "neumann")
ENDS = ("initial", "final", "t_min", "t_max")
OBSERVED = 60, 900  # points on a wall, in up to two dimensions and in three
PERIODIC, PURE = 0.4, 0.2  # probabilities of a period in a coordinate, of Neumann data only


class Known:
    """sin(k·ξ + φ) exp(c·ξ) + exp(-|ξ - c|² / d), a function of the d coordinates together.

    ξ runs over [-1, 1] along each coordinate; where it is periodic sin(πξ) / 2 stands in its place.
    """

    def __init__(self, draw: Draw, domain: Domain, periodic: list[str]) -> None:
        self.low, self.high = domain.bounds
        self.periodic = torch.tensor([name in periodic for name in domain.names])
        fast = 4 / domain.dim, 1.5 / domain.dim
        self.k, self.c = (torch.from_numpy(draw.uniform(-s, s, domain.dim)) for s in fast)
        self.phase = float(draw.uniform(0, 6))

    def __call__(self, p: kp.Points) -> Tensor:
        xi = 2 * (p.coords - self.low) / (self.high - self.low) - 1
        xi = torch.where(self.periodic, torch.sin(torch.pi * xi) / 2, xi)
        wave = torch.sin(xi @ self.k + self.phase) * torch.exp(xi @ self.c)
        return (wave + torch.exp(-((xi - self.c) ** 2).mean(dim=1)))[:, None]

    def flux(self, p: kp.Points) -> Tensor:
        """∂u/∂n."""
        jet = jet_of(
            lambda x: self(kp.Points(x, p.names)), p.coords, Channels(p.names, gradient=True)
        )
        return kp.normal_derivative(jet, p)

    def rate(self, p: kp.Points) -> Tensor:
        """∂u/∂t when the time begins, where the normal points back in time."""
        return -self.flux(p)

    def integral(self, domain: Domain) -> float:
        return float(sum((w[:, None] * self(p)).sum() for p, w in domain_rule(domain)))


class Drawn(kp.Problem):
    """One of the equations on a domain of the kind, with a condition of its own on each piece."""

    def __init__(self, kind: str, seed: int) -> None:
        draw = np.random.default_rng([[*DOMAINS].index(kind), seed])
        self.domain = DOMAINS[kind](draw)
        names, (low, high) = self.domain.names, self.domain.bounds
        self.space = [name for name in names if name != "t"]
        # A system in three dimensions takes more units than a test has the time for.
        steady = STEADY if len(names) < 3 else STEADY[:-1]
        self.equation_kind = str(draw.choice(steady if len(self.space) == len(names) else EVOLVING))
        self.fields = ("u", "v") if self.equation_kind == "system" else ("u",)
        # Not in three dimensions: a whole period takes more units than a test has the time for.
        may = isinstance(self.domain, kp.Box) and len(names) < 3
        self.periodic = [name for name in self.space if may and draw.random() < PERIODIC]
        self.known = {field: Known(draw, self.domain, self.periodic) for field in self.fields}
        self.size = float((high - low).max()) / 2
        self.center = (low + high) / 2
        slopes = draw.uniform(-0.5, 0.5, len(names)) / self.size
        slopes[[name in (*self.periodic, "t") for name in names]] = 0.0
        self.slope = torch.from_numpy(slopes)
        self.velocity = draw.uniform(-2, 2, len(names))
        self._conditions = [*_conditions(draw, self)]

    def diffusion(self, p: kp.Points, u: kp.Jet) -> Tensor:
        """∇·(a ∇u) in space, a = exp(s·x)."""
        a = torch.exp((p.coords - self.center) @ self.slope)[:, None]
        mixed = (kp.grad(u) * self.slope).sum(dim=1, keepdim=True)
        if "t" not in p.names:
            return a * (kp.laplacian(u) + mixed)
        return a * (sum(kp.partial(u, name, name) for name in self.space) + mixed)

    def residual(self, p: kp.Points, u: kp.Jet, *others: kp.Jet) -> Tensor | tuple[Tensor, ...]:
        f = self.source(p)
        if self.equation_kind == "system":
            (v,) = others
            return v.value - self.diffusion(p, u) - f[:, :1], -kp.laplacian(v) - u.value - f[:, 1:]
        return self.operator(p, u) - f

    def operator(self, p: kp.Points, u: kp.Jet) -> Tensor:
        match self.equation_kind:
            case "helmholtz":
                return -kp.laplacian(u) - u.value / self.size**2
            case "advection":
                along = (kp.grad(u) * torch.from_numpy(self.velocity)).sum(dim=1, keepdim=True)
                return along + u.value - self.diffusion(p, u)
            case "heat":
                return kp.partial(u, "t") - self.diffusion(p, u)
            case "wave":
                return kp.partial(u, "t", "t") - self.diffusion(p, u)
        return -self.diffusion(p, u)

    def conditions(self) -> list[kp.Condition]:
        return self._conditions

    def exact(self, p: kp.Points) -> Tensor:
        return torch.cat([known(p) for known in self.known.values()], dim=1)


def _conditions(draw: Draw, problem: Drawn) -> Iterator[kp.Condition]:
    domain = problem.domain
    for name in problem.periodic:
        yield kp.Periodic(domain, name)
    if "t" in domain.names:
        known = problem.known["u"]
        rate = known.rate if problem.equation_kind == "wave" else None
        yield kp.Initial(domain, known, rate=rate)
    tied = [f"{name}_{end}" for name in problem.periodic for end in ("min", "max")]
    walls = [n for n in dict.fromkeys(domain.boundary.names) if n not in (*ENDS, *tied)]
    for field, known in problem.known.items():
        pure = draw.random() < PURE
        kinds = [str(draw.choice(("neumann",) if pure else KINDS)) for _ in walls]
        for wall, kind in zip(walls, kinds, strict=True):
            yield _on_wall(draw, kind, domain, wall, known, field)
        if problem.equation_kind == "poisson" and not {*FIXING} & {*kinds}:
            yield kp.Integral(domain, known.integral(domain), field=field)


def _on_wall(
    draw: Draw, kind: str, domain: Domain, wall: str, known: Known, field: str
) -> kp.Condition:
    boundary, alpha = domain.boundary[wall], float(draw.uniform(0.3, 3))

    def robin(p: kp.Points) -> Tensor:
        return alpha * known(p) + known.flux(p)

    def own(p: kp.Points, u: kp.Jet) -> Tensor:
        return alpha * u.value + kp.normal_derivative(u, p) - robin(p)

    match kind:
        case "dirichlet":
            return kp.Dirichlet(boundary, known, field=field)
        case "neumann":
            return kp.Neumann(boundary, known.flux, field=field)
        case "robin":
            return kp.Robin(boundary, alpha, 1.0, robin, field=field)
        case "constraint":
            return kp.Constraint(boundary, own, field=field)
    p = sample(boundary, OBSERVED[domain.dim == 3], "sobol")
    return kp.Observed(domain, p.coords, known(p), field=field)
