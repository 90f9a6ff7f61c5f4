"""Numbers of random problems whose solutions are known, and their estimated errors beside the true
ones.
"""

import argparse
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from statistics import median
from typing import Any

import torch
from common.script import Verdict, verdict
from torch import Tensor

import kanpinn as kp
from kanpinn.accuracy import Quantity
from kanpinn.geometry import Boundary, Domain
from kanpinn.geometry.curves import Curve
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Jet, find_channels, jet_of
from kanpinn.spaces.cells.quadrature import Rule, graded_rules

Values = Callable[[Tensor], Tensor]  # coordinates (n, 2) to fields (n, m)
Density = Callable[..., Tensor]
POISSON_RATIO = 0.3  # of elastic bodies


class Known(kp.Problem):
    """Poisson's equation or plane stress, with the data of a known solution.

    On the piece `free` the flux or the traction is prescribed, elsewhere the values are.
    """

    def __init__(self, domain: Domain, values: Values, fields: tuple[str, ...], free: str) -> None:
        self.domain, self.values, self.fields, self.free = domain, values, fields, free

    def known(self, p: kp.Points, density: Density) -> Tensor:
        """Return a density of the known solution at n points, (n, m)."""

        def evaluate(channels: Any) -> Tensor:
            return density(p, *jet_of(self.values, p.coords, channels).components())

        return find_channels(evaluate, p.names)[1].detach()

    def operator(self, p: kp.Points, *fields: Jet) -> Tensor:
        """Return the left sides of the equations, (n, m)."""
        if len(fields) == 1:
            return kp.laplacian(*fields)
        (u, v), shear, mixed = fields, (1 - POISSON_RATIO) / 2, (1 + POISSON_RATIO) / 2
        first = kp.partial(u, "x", "x") + shear * kp.partial(u, "y", "y")
        second = kp.partial(v, "y", "y") + shear * kp.partial(v, "x", "x")
        across = mixed * kp.partial(v, "x", "y"), mixed * kp.partial(u, "x", "y")
        return torch.cat([first + across[0], second + across[1]], dim=1)

    def traction(self, p: kp.Points, *fields: Jet) -> Tensor:
        """Return the flux or the traction through a boundary, (n, m)."""
        if len(fields) == 1:
            return kp.normal_derivative(*fields, p)
        u, v = fields
        shear = (1 - POISSON_RATIO) / 2 * (kp.partial(u, "y") + kp.partial(v, "x"))
        xx = kp.partial(u, "x") + POISSON_RATIO * kp.partial(v, "y")
        yy = kp.partial(v, "y") + POISSON_RATIO * kp.partial(u, "x")
        x, y = p.outward[:, :1], p.outward[:, 1:]
        return torch.cat([xx * x + shear * y, shear * x + yy * y], dim=1)

    def residual(self, p: kp.Points, *fields: Jet) -> tuple[Tensor, ...]:
        return (self.operator(p, *fields) - self.known(p, self.operator)).split(1, dim=1)

    def conditions(self) -> list[Any]:
        walls = self.domain.boundary
        fixed = walls[tuple(name for name in walls.names if name != self.free)]
        found: list[Any] = [
            kp.Dirichlet(fixed, partial(self.value, number), field=name)
            for number, name in enumerate(self.fields)
        ]
        if self.free:
            found.append(kp.Constraint(walls[self.free], self.misfit))
        return found

    def value(self, number: int, p: kp.Points) -> Tensor:
        """Return the values of one field of the known solution, (n, 1)."""
        return self.values(p.coords)[:, number : number + 1]

    def misfit(self, p: kp.Points, *fields: Jet) -> Tensor:
        """Return the traction beyond that of the known solution, (n, m)."""
        return self.traction(p, *fields) - self.known(p, self.traction)


@dataclass(frozen=True)
class Case:
    """A problem, with a quadrature rule for its known solution.

    rules: over the domain. exponent: the solution is like r^exponent at a corner; 1 if regular.
    """

    name: str
    problem: Known
    rules: Sequence[Rule]
    exponent: float = 1.0


def waves(draw: Random, fields: int) -> Values:
    """Return fields that are sums of three random waves."""
    size = draw.uniform(0.5, 3)
    rows = [[draw.gauss(0, 1) for _ in range(4)] for _ in range(3 * fields)]
    x, y, phase, height = torch.tensor(rows, dtype=torch.float64).T

    def values(coords: Tensor) -> Tensor:
        angles = size * (coords[:, :1] * x + coords[:, 1:] * y) + phase
        return (height * angles.sin()).unflatten(1, (fields, 3)).sum(dim=2)

    return values


def drawn(seed: int) -> Case:
    """Return a random problem."""
    draw = Random(seed)
    kind = ("box", "holes", "corner", "mixed corner", "elastic")[seed % 5]
    if "corner" in kind:
        return with_corner(draw, kind, f"{seed}: {kind}")
    if kind == "holes":
        domain: Domain = kp.Disk((0, 0), 1)
        for x in (-0.45, 0.45)[: draw.choice([1, 2])]:
            place = x + draw.uniform(-0.1, 0.1), draw.uniform(-0.2, 0.2)
            domain = domain - kp.Disk(place, draw.uniform(0.1, 0.25), name=f"hole{x > 0:d}")
    elif kind == "box" or draw.random() < 0.5:
        domain = kp.Box(x=(0, draw.uniform(0.5, 3)), y=(0, draw.uniform(0.5, 3)))
    else:
        notch = draw.uniform(0.7, 1.2), 1
        corners = [(0, 0), (2, 0), (2, draw.uniform(0.4, 0.9)), notch, (0.6, 2), (0, 1.3)]
        domain = kp.Polygon(corners)
    fields = ("u", "v") if kind == "elastic" else ("u",)
    free = draw.choice([*domain.boundary.names, ""])
    problem = Known(domain, waves(draw, len(fields)), fields, free)
    return Case(f"{seed}: {kind}", problem, [domain.quadrature(64)])


def with_corner(draw: Random, kind: str, name: str) -> Case:
    """Return a problem with a re-entrant corner at the origin, where u is like r^λ sin(λθ)."""
    count, angle, start = 6, draw.uniform(1.15, 1.9) * math.pi, draw.uniform(0, 6)
    turns = [start + angle * i / count for i in range(count + 1)]
    outer = [(r * math.cos(t), r * math.sin(t)) for t in turns for r in [draw.uniform(0.7, 1.3)]]
    domain, smooth, size = kp.Polygon([(0, 0), *outer]), waves(draw, 1), draw.uniform(0.5, 2)
    power = math.pi / angle * (0.5 if kind == "mixed corner" else 1)

    def values(coords: Tensor) -> Tensor:
        x, y = coords.T
        along = math.cos(start) * x + math.sin(start) * y
        theta = torch.atan2(math.cos(start) * y - math.sin(start) * x, along)
        theta = torch.where(theta < -1e-9, theta + 2 * math.pi, theta)
        part = (x.square() + y.square()) ** (power / 2) * (power * theta).sin()
        return smooth(coords) + size * part[:, None]

    ends = torch.tensor(outer, dtype=torch.float64)
    rules = [_in_triangle(ends[i : i + 2]) for i in range(count)]
    free = domain.boundary.names[-1] if kind == "mixed corner" else ""
    return Case(name, Known(domain, values, ("u",), free), rules, power)


def _in_triangle(ends: Tensor) -> Rule:
    """Return a rule in the triangle of the origin and two points (2, 2), fine at the origin."""
    unit, weights = gauss_legendre(40)
    power = 6
    far, along = unit**power, ends[0] + unit[:, None] * (ends[1] - ends[0])
    coords = (far[:, None, None] * along).flatten(0, 1)
    radial = power * unit ** (power - 1) * weights * far
    area = abs(float(torch.linalg.det(ends)))
    return kp.Points(coords, ("x", "y")), (area * radial[:, None] * weights).flatten()


def numbers(case: Case, solution: kp.Solution) -> Iterator[tuple[str, Quantity, Tensor]]:
    """Yield the kind of number, numbers of the solution, and the same numbers of the known one."""
    problem, domain = case.problem, case.problem.domain

    def field(p: kp.Points, *u: Jet) -> Tensor:
        return torch.cat([one.value for one in u], dim=1)

    def square(p: kp.Points, *u: Jet) -> Tensor:
        return field(p, *u).square()

    def energy(p: kp.Points, *u: Jet) -> Tensor:
        return sum((kp.grad(one).square().sum(dim=1, keepdim=True) for one in u), torch.zeros(1))

    def slope(p: kp.Points, *u: Jet) -> Tensor:
        return torch.cat([kp.grad(one) for one in u], dim=1)

    def moment(p: kp.Points, *u: Jet) -> Tensor:
        return problem.traction(p, *u) * p.x

    def second(p: kp.Points, *u: Jet) -> Tensor:
        pairs = [("x", "x"), ("x", "y"), ("y", "y")]
        return torch.cat([kp.partial(one, *names) for one in u for names in pairs], dim=1)

    def true(rules: Sequence[Rule], density: Density) -> Tensor:
        return torch.stack([w @ problem.known(p, density) for p, w in rules]).sum(dim=0)

    for name, density in {"mean": field, "square": square, "energy": energy}.items():
        yield name, solution.integral(density=density), true(case.rules, density)
    walls = domain.boundary
    for side in {walls.names[0], walls.names[-1]}:
        rules = list(_on(walls[side], case.exponent))
        for name, density in {"force": problem.traction, "moment": moment}.items():
            yield name, solution.integral(walls[side], density), true(rules, density)
    at = sample(domain, 8, "sobol")
    kinds = {"value": field, "slope": slope} | ({"second": second} if case.exponent == 1 else {})
    for name, density in kinds.items():
        yield name, solution.at(at, density), problem.known(at, density)
    # A maximum that the known solution has elsewhere is larger than that at the found place.
    largest, place = solution.largest()
    many = torch.cat([sample(part, 2**14, "sobol").coords for part in (domain, walls)])
    known = problem.values(torch.cat([many, place.coords]))[:, 0].max()
    yield "largest", largest, known


def _on(boundary: Boundary, exponent: float) -> Iterator[Rule]:
    for piece in boundary.pieces:
        if isinstance(piece, Curve):
            breaks = torch.tensor([0.0, 1.0], dtype=torch.float64)
            yield from graded_rules(piece, breaks, 60, exponents=(exponent, exponent))
        else:
            yield piece.quadrature(80)


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Solve random problems, and compare the errors of their numbers with the estimates."""
    first = 1000 * options.seed
    rows: dict[str, list[float]] = {}
    for seed in range(first, first + options.numbers):
        case, draw = drawn(seed), Random(seed)
        method = kp.AdaptiveLeastSquares(tolerance=10 ** -draw.uniform(3, 9), cells=400)
        network = kp.Cells(degree=draw.randint(4, 10), cells=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of jumps at corners
            solution = kp.solve(case.problem, network, method, budget=20, errors=False)
        wrong = 0
        for name, found, true in numbers(case, solution):
            wrong_by = (found.value - true).abs()
            apart = torch.where(wrong_by == 0, 0.0, wrong_by / found.error).flatten()
            rows.setdefault(name, []).extend(apart.tolist())
            for ratio in apart[~(apart <= 3)].tolist():
                wrong += 1
                failures.append(f"{case.name}, {name}: {ratio:.2g} times the estimated error")
        print(f"{case.name}, {solution.network.parameter_count}: {wrong} wrong", flush=True)
    every = [ratio for ratios in rows.values() for ratio in ratios]
    good = sum(ratio <= 3 for ratio in every) / len(every)
    words = f"{good:.2%} of {len(every)}"
    judged = {"true error at most 3 estimates": verdict(words, "99 %", good > 0.99)}
    for name, ratios in rows.items():
        words = f"median {median(ratios):.2g}, most {max(ratios):.2g}"
        judged[f"true error over estimate, {name}"] = verdict(words, "reported")
    return judged
