"""Random domains of every kind, and random problems on them with solutions that are known."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Domain
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, jet_of

Draw = np.random.Generator
WHOLE = 2 * np.pi


def _place(draw: Draw) -> tuple[np.ndarray, float]:
    """Where a domain is, and about how large its radius is."""
    return draw.uniform(-2, 2, 2), float(draw.uniform(0.5, 2))


def _ranges(draw: Draw, names: str) -> dict[str, tuple[float, float]]:
    low, length = draw.uniform(-2, 2, len(names)), draw.uniform(0.7, 2, len(names))
    return {n: (float(a), float(a + w)) for n, a, w in zip(names, low, length, strict=True)}


def _corners(draw: Draw, count: int, rough: float, center: np.ndarray, size: float) -> np.ndarray:
    """Corners around a centre, at distances between (1 - rough) · size and size."""
    angles = (np.arange(count) + draw.uniform(-0.2, 0.2, count)) * WHOLE / count
    radii = size * (1 - draw.uniform(0, rough, count))
    ray = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return center + radii[:, None] * ray


def _polygon(draw: Draw, count: int, rough: float = 0.1) -> kp.Planar:
    return kp.Polygon(_corners(draw, count, rough, *_place(draw)))


def _star(draw: Draw) -> kp.Planar:
    """A polygon with a corner that points inward."""
    center, size = _place(draw)
    corners = _corners(draw, 7, 0.1, center, size)
    corners[3] = center + 0.4 * (corners[3] - center)
    return kp.Polygon(corners)


def _holed(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    hole = _corners(draw, 3, 0.3, center + 0.1 * size, 0.4 * size)
    return kp.Polygon(_corners(draw, 6, 0.1, center, size), [hole])


def _shape(draw: Draw, center: np.ndarray, size: float, name: str) -> kp.Planar | kp.Box:
    """A disk, an ellipse, a box or a polygon."""
    x, y = (float(c) for c in center)
    kind = draw.integers(4)
    if kind == 0:
        return kp.Disk((x, y), size, name=name)
    if kind == 1:
        return kp.Ellipse((x, y), (size, 0.7 * size), float(draw.uniform(0, np.pi)), name=name)
    if kind == 2:
        return kp.Box(x=(x - size, x + 0.8 * size), y=(y - 0.7 * size, y + 0.9 * size))
    return kp.Polygon(_corners(draw, 5, 0.1, center, size), pieces=[name] * 5)


def _two(draw: Draw) -> tuple[Domain, Domain]:
    """Two shapes, either of which is outside of the other with a part."""
    center, size = _place(draw)
    angle = draw.uniform(0, WHOLE)
    other = center + 0.9 * size * np.array([np.cos(angle), np.sin(angle)])
    return _shape(draw, center, size, "first"), _shape(draw, other, 0.8 * size, "second")


def _lshape(draw: Draw) -> Domain:
    """A box without a box in one of its corners."""
    (x, y), size = _place(draw)
    right, top = (float(v) for v in size * draw.uniform(0.3, 0.7, 2))
    whole = kp.Box(x=(x, x + size), y=(y, y + size))
    return whole - kp.Box(x=(x + right, x + 2 * size), y=(y + top, y + 2 * size))


def _disk(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    return kp.Disk(center, size)


def _ellipse(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    axes = size, size * float(draw.uniform(0.4, 0.9))
    return kp.Ellipse(center, axes, float(draw.uniform(0, np.pi)))


def _annulus(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    return kp.Annulus(center, size * float(draw.uniform(0.2, 0.6)), size)


def _sector(draw: Draw) -> kp.Planar:
    center, size = _place(draw)
    start = float(draw.uniform(0, WHOLE))
    return kp.Sector(center, size, start, start + float(draw.uniform(0.8, 5)))


def _ball(draw: Draw) -> Domain:
    return kp.Ball(draw.uniform(-2, 2, 3).tolist(), float(draw.uniform(0.5, 2)))


def _union(draw: Draw) -> Domain:
    a, b = _two(draw)
    return a | b


def _difference(draw: Draw) -> Domain:
    a, b = _two(draw)
    return a - b


def _intersection(draw: Draw) -> Domain:
    a, b = _two(draw)
    return a & b


def _over(space: Callable[[Draw], Domain]) -> Callable[[Draw], Domain]:
    return lambda draw: space(draw).over(**_ranges(draw, "t"))


DOMAINS: dict[str, Callable[[Draw], Domain]] = {
    "interval": lambda draw: kp.Box(**_ranges(draw, "x")),
    "rectangle": lambda draw: kp.Box(**_ranges(draw, "xy")),
    "box": lambda draw: kp.Box(**_ranges(draw, "xyz")),
    "disk": _disk,
    "ellipse": _ellipse,
    "annulus": _annulus,
    "sector": _sector,
    "triangle": lambda draw: kp.Triangle(*_corners(draw, 3, 0.3, *_place(draw))),
    "convex polygon": lambda draw: _polygon(draw, 6),
    "star": _star,
    "polygon with hole": _holed,
    "L-shape": _lshape,
    "union": _union,
    "difference": _difference,
    "intersection": _intersection,
    "ball": _ball,
    "interval over time": lambda draw: kp.Box(**_ranges(draw, "xt")),
    "box over time": _over(lambda draw: kp.Box(**_ranges(draw, "xy"))),
    "disk over time": _over(_disk),
    "L-shape over time": _over(_lshape),
}


# --- Random equations and conditions on them, with solutions that are known


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
