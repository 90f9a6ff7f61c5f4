"""Random coercive problems, and their guaranteed bounds beside the true errors."""

import argparse
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import median
from typing import Any

import torch
from common.script import Verdict, verdict
from hostile.adversarial import drawn_function, drawn_network, plane_domains
from torch import Tensor

import kanpinn as kp
from kanpinn.accuracy import Bound
from kanpinn.geometry import Domain
from kanpinn.jets import Jet

Values = Callable[[kp.Points], Tensor]


@dataclass(frozen=True)
class Coefficients:
    """-div(a M ∇u) + b·∇u + c u with a number a for each point and a constant matrix M.

    Args:
        factor, slope: a at points and its gradient, (n, 1) and (n, d).
        matrix: M, (d, d).
        drift: b.
        zeroth: c.
        words: the name of the equation.
    """

    factor: Values
    slope: Values
    matrix: Tensor
    drift: tuple[float, ...]
    zeroth: float
    words: str

    def apply(self, p: kp.Points, u: Jet) -> Tensor:
        """Return the equation's left side at n points, (n, 1)."""
        names, total = p.names, self.zeroth * u.value
        for i, name in enumerate(names):
            part = (self.slope(p) @ self.matrix)[:, i, None]
            total = total + (self.drift[i] - part) * kp.partial(u, name)
            for j, other in enumerate(names):
                if self.matrix[i, j]:
                    second = kp.partial(u, name, other)
                    total = total - self.matrix[i, j] * self.factor(p) * second
        return total


class Bounded(kp.Problem):
    """A problem whose data are those of its exact solution."""

    def __init__(self, domain: Domain, equation: Coefficients, exact: Values, fluxes: bool):
        self.domain, self.equation_of, self.values, self.fluxes = domain, equation, exact, fluxes

    def residual(self, p: kp.Points, u: Jet) -> Tensor:
        return self.equation_of.apply(p, u) - self.source(p)

    def conditions(self) -> list[Any]:
        walls = self.domain.boundary
        if "t" in self.domain.names:
            sides = walls[tuple(name for name in walls.names if name not in ("t_min", "t_max"))]
            return [kp.Dirichlet(sides, self.exact), kp.Initial(self.domain, self.exact)]
        if not self.fluxes:
            return [kp.Dirichlet(walls, self.exact)]
        first, second, *rest = walls.names
        robin = kp.Robin(walls[second], 2.0, 1.0, lambda p: 2 * self.exact(p) + self.slope(p))
        neumann = [kp.Neumann(walls[name], self.slope) for name in rest]
        return [kp.Dirichlet(walls[first], self.exact), robin, *neumann]

    def exact(self, p: kp.Points) -> Tensor:
        return self.values(p)

    def slope(self, p: kp.Points) -> Tensor:
        """Return ∂u/∂n at points with normals, (n, 1)."""
        assert p.normals is not None
        return (gradient(self.values, p) * p.normals).sum(dim=1, keepdim=True)


@torch.enable_grad()
def gradient(function: Values, p: kp.Points) -> Tensor:
    """Return the gradient of a function at points, (n, d)."""
    coords = p.coords.detach().requires_grad_()
    (found,) = torch.autograd.grad(function(kp.Points(coords, p.names)).sum(), coords)
    return found.detach()


@dataclass(frozen=True)
class Case:
    """A problem with a network and points that may not suit it."""

    name: str
    problem: Bounded
    network: kp.KAN
    points: kp.Collocation | None


def drawn(seed: int) -> Case:
    """Return a random problem, with a network and points whose errors span many decades."""
    draw = Random(seed)
    domain, place = _domain(draw)
    names = domain.names
    equation = _equation(draw, names)
    fluxes = place in ("interval", "square") and equation.words in ("Poisson", "reaction")
    fluxes = fluxes and draw.random() < 0.4
    solution = drawn_function(draw, names)
    words = f"{seed}: {equation.words}, {place}{', fluxes' * fluxes}, {solution.words}"
    problem = Bounded(domain, equation, solution.values, fluxes)
    network, points, size = drawn_network(draw, problem, 0.25)
    return Case(f"{words}, {size}", problem, network, points)


def _domain(draw: Random) -> tuple[Domain, str]:
    plane = plane_domains(draw)
    domains = {"interval": kp.Box(x=(-1, 1)), "square": plane.pop("square")}
    domains["interval in time"] = kp.Box(x=(-1, 1), t=(-1, 1))
    place, domain = draw.choice(list((domains | plane).items()))
    return domain, place


def _equation(draw: Random, names: tuple[str, ...]) -> Coefficients:
    d = len(names)
    matrix, none = torch.eye(d, dtype=torch.float64), (0.0,) * d
    flat: Values = lambda p: torch.ones_like(p.x)  # noqa: E731
    level: Values = lambda p: torch.zeros_like(p.coords)  # noqa: E731
    if names[-1] == "t":
        heat = torch.diag(torch.tensor([10 ** draw.uniform(-1.5, 0), 0.0], dtype=torch.float64))
        return Coefficients(flat, level, heat, (0.0, 1.0), draw.choice([0.0, 3.0]), "heat")
    kind = draw.choice(["Poisson", "Poisson", "reaction", "variable", "drift", "skew"])
    if kind == "reaction":
        return Coefficients(flat, level, matrix, none, 10 ** draw.uniform(0, 2), kind)
    if kind == "drift":
        angle, size = draw.uniform(0, 2 * math.pi), 10 ** draw.uniform(-2, 0)
        drift = (math.cos(angle), math.sin(angle))[:d] if d > 1 else (1.0,)
        return Coefficients(flat, level, size * matrix, drift, 0.0, kind)
    if kind == "variable":
        number, part = draw.uniform(1, 5), draw.uniform(0, 0.9)

        def slope(p: kp.Points) -> Tensor:
            found = torch.zeros_like(p.coords)
            found[:, :1] = part * number * torch.cos(number * p.x)
            return found

        return Coefficients(
            lambda p: 1 + part * torch.sin(number * p.x), slope, matrix, none, 0.0, kind
        )
    if kind == "skew" and d > 1:
        matrix = torch.tensor([[2.0, 0.8], [0.8, draw.uniform(0.5, 2)]], dtype=torch.float64)
    return Coefficients(flat, level, matrix, none, 0.0, kind)


NORMS = ("l2", "h1", "energy", "maximum")


@dataclass(frozen=True)
class Judged:
    """The bounds of one solution over its true errors, by the norm.

    Args:
        name: of the case.
        true: the relative L2 error.
        alone: the ratios of `kp.error_bound`.
        beside: those of `kp.estimate_error`, which knows a finer network.
        residual: that of C ‖residual‖, with Friedrichs' constant C, in the energy norm; None where
            boundary values are not built in.
        reason: why there are no bounds.
    """

    name: str
    true: float
    alone: dict[str, float]
    beside: dict[str, float]
    residual: float | None = None
    reason: str = ""

    @property
    def failed(self) -> list[str]:
        """The norms in which a bound does not hold, beyond the errors of the true ones' rules."""
        both = {"": self.alone, ", beside a finer network": self.beside}
        least = 0.99
        return [
            f"{name}{how}: {ratio:.3f}"
            for how, ratios in both.items()
            for name, ratio in ratios.items()
            if not ratio >= least
        ]


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Solve random coercive problems, and compare their bounds with the true errors."""
    first = 1000 * options.seed + 314
    numbers: Iterable[int] = range(first, first + options.bounded)
    if options.smoke:
        numbers = (128, 199)  # on intervals, of a flux and of a variable coefficient
    judged, lines = [], []
    for number in numbers:
        case = drawn(number)
        if options.smoke:
            width = [case.problem.domain.dim, 2, 1]
            case = replace(case, network=kp.KAN(width, degree=4, grid=2), points=None)
        one = _judged(case)
        judged.append(one)
        lines.append(_line(one))
        failures += [f"bound of {one.name}: {how}" for how in one.failed]
    head = (
        "| problem | true L2 | L2 | H1 | energy | maximum | said |\n|---|---|---|---|---|---|---|\n"
    )
    (options.output / "bounds.md").write_text(head + "".join(lines), "utf-8")
    wrong = sum(bool(one.failed) for one in judged)
    found: dict[str, Verdict] = {
        "guaranteed bounds: problems where one fails": verdict(
            wrong, f"0 of {len(judged)}", not wrong
        ),
        "guaranteed bounds: problems without": verdict(
            sum(bool(one.reason) for one in judged),
            "0, all are coercive",
            not any(one.reason for one in judged),
        ),
    }
    usual = [one for one in judged if one.true < 1]  # others have bounds, but no relative ones
    for how, rows in (
        ("", [one.alone for one in usual]),
        (", beside a finer network", [one.beside for one in usual]),
    ):
        for norm in NORMS:
            ratios = sorted(row[norm] for row in rows if math.isfinite(row.get(norm, math.nan)))
            found |= _ratios(f"bound over true error, {norm}{how}", ratios)
    alone = sorted(one.residual for one in usual if one.residual is not None)
    return found | _ratios("C times residual over true error, energy", alone)


def _ratios(name: str, ratios: Sequence[float]) -> dict[str, Verdict]:
    """Return a figure with the least, the median, the ninth decile and the largest ratio."""
    if not ratios:
        return {}
    ninth = ratios[min(len(ratios) - 1, (9 * len(ratios)) // 10)]
    shown = [ratios[0], median(ratios), ninth, ratios[-1]]
    words = "least {:.3g}, median {:.3g}, 90 % {:.3g}, most {:.3g}".format(*shown)
    near = "energy" in name and "residual" not in name
    target = "90 % within 10" if near else "reported"
    return {name: verdict(words, target, ninth <= 10 if near else None)}


def _line(one: Judged) -> str:
    cells = [f"{one.alone[norm]:.3g}" if norm in one.alone else "" for norm in NORMS]
    said = one.reason or ", ".join(one.failed)
    return f"| {one.name} | {one.true:.1e} | {' | '.join(cells)} | {said} |\n"


def _judged(case: Case) -> Judged:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jumps at corners, and of few points
        solution = kp.solve(case.problem, case.network, points=case.points)
        estimate = kp.estimate_error(solution, bound=True)
    alone = kp.error_bound(solution)
    assert solution.errors is not None and estimate.bound is not None
    relative = solution.errors.l2_relative
    if alone.reason:
        return Judged(case.name, relative, {}, {}, reason=alone.reason)
    true = _true(case, solution)
    residual = None
    if len(solution.discretization.met) == len(solution.problem.conditions()):
        assert solution.verification is not None
        size = math.sqrt(solution.verification.interior)
        residual = alone.constants["friedrichs"] * size / true["energy"]
    both = _ratios_to(true, alone), _ratios_to(true, estimate.bound)
    return Judged(case.name, relative, both[0], both[1], residual)


def _ratios_to(true: dict[str, float], bound: Bound) -> dict[str, float]:
    known = {norm: float(getattr(bound, norm)) for norm in NORMS}
    return {norm: value / true[norm] for norm, value in known.items() if not math.isnan(value)}


def _true(case: Case, solution: kp.Solution) -> dict[str, float]:
    """Return the true errors, as means over the domain, and the largest at the points of a rule."""
    problem, equation = case.problem, case.problem.equation_of

    def squares(p: kp.Points, u: Jet) -> Tensor:
        value, slope = problem.values(p) - u.value, gradient(problem.values, p) - kp.grad(u)
        energy = equation.factor(p)[:, 0] * ((slope @ equation.matrix) * slope).sum(dim=1)
        size = value[:, 0].square()
        rows = size, size + slope.square().sum(dim=1), energy + equation.zeroth * size
        return torch.stack(rows, dim=1)

    nodes = 3000 if problem.domain.dim == 1 else 100
    means = solution.integral(density=squares, nodes=nodes) / problem.domain.measure
    points = problem.domain.quadrature(nodes)[0]
    largest = float((problem.values(points) - solution(points)).abs().max())
    return dict(zip(NORMS, [*means.value.sqrt().tolist(), largest], strict=True))
