"""Random coercive problems, and their guaranteed bounds beside the true errors."""

import argparse
import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from statistics import median
from typing import Any

import numpy as np
import skfem
import torch
from common.script import Verdict, verdict
from hostile.adversarial import drawn_function, drawn_network, plane_domains
from hostile.drawn import Body, outline, solve_weakly
from hostile.numbers import waves, with_corner
from torch import Tensor

import kanpinn as kp
from kanpinn.accuracy import Bound
from kanpinn.geometry import Boundary, Domain
from kanpinn.jets import Channels, Jet

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
    """A problem whose data are those of its exact solution.

    `kinds` has the words "flux" and "robin" for sides, by name; on others values are prescribed.
    The coefficient jumps at `interfaces`.
    """

    def __init__(
        self,
        domain: Domain,
        equation: Coefficients,
        exact: Values,
        kinds: Mapping[str, str],
        interfaces: Sequence[Boundary] = (),
    ):
        self.domain, self.equation_of, self.values = domain, equation, exact
        self.kinds, self.interfaces = kinds, interfaces

    def residual(self, p: kp.Points, u: Jet) -> Tensor:
        return self.equation_of.apply(p, u) - self.source(p)

    def conditions(self) -> list[Any]:
        walls = self.domain.boundary
        if "t" in self.domain.names:
            sides = walls[tuple(name for name in walls.names if name not in ("t_min", "t_max"))]
            return [kp.Dirichlet(sides, self.exact), kp.Initial(self.domain, self.exact)]
        found: list[Any] = [
            kp.Interface(self.domain, one, self.equation_of.factor) for one in self.interfaces
        ]
        for name in walls.names:
            kind = self.kinds.get(name)
            if kind == "robin":
                data: Values = lambda p: 2 * self.exact(p) + self.slope(p)  # noqa: E731
                found.append(kp.Robin(walls[name], 2.0, 1.0, data))
            elif kind == "flux":
                found.append(kp.Neumann(walls[name], self.slope))
            else:
                found.append(kp.Dirichlet(walls[name], self.exact))
        return found

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
    _first, second, *rest = domain.boundary.names
    kinds = {second: "robin"} | dict.fromkeys(rest, "flux") if fluxes else {}
    problem = Bounded(domain, equation, solution.values, kinds)
    network, points, size = drawn_network(draw, problem, 0.25)
    return Case(f"{words}, {size}", problem, network, points)


def _domain(draw: Random) -> tuple[Domain, str]:
    plane = plane_domains(draw)
    domains = {"interval": kp.Box(x=(-1, 1)), "square": plane.pop("square")}
    domains["interval in time"] = kp.Box(x=(-1, 1), t=(-1, 1))
    place, domain = draw.choice(list((domains | plane).items()))
    return domain, place


def _equation(draw: Random, names: tuple[str, ...]) -> Coefficients:
    if names[-1] == "t":
        heat = torch.diag(torch.tensor([10 ** draw.uniform(-1.5, 0), 0.0], dtype=torch.float64))
        found = _elliptic(draw, 2, "Poisson")
        reaction = draw.choice([0.0, 3.0])
        return replace(found, matrix=heat, drift=(0.0, 1.0), zeroth=reaction, words="heat")
    kind = draw.choice(["Poisson", "Poisson", "reaction", "variable", "drift", "skew"])
    return _elliptic(draw, len(names), kind)


def _elliptic(draw: Random, d: int, kind: str) -> Coefficients:
    """Return a random elliptic equation of a kind, in d dimensions."""
    matrix, none = torch.eye(d, dtype=torch.float64), (0.0,) * d
    flat: Values = lambda p: torch.ones_like(p.x)  # noqa: E731
    level: Values = lambda p: torch.zeros_like(p.coords)  # noqa: E731
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


def drawn_in_polygon(seed: int) -> tuple[Bounded, kp.KAN | kp.Cells, str]:
    """Return a random problem in a polygon, with cells or a network, and words on them."""
    draw = Random(seed)
    kind = draw.choice(["corner", "jump", "Poisson", "reaction", "variable", "drift", "skew"])
    kinds, interfaces = dict[str, str](), list[Boundary]()
    equation, wave = _elliptic(draw, 2, kind), waves(draw, 1)
    values: Values = lambda p: wave(p.coords)  # noqa: E731
    if kind == "corner":
        known = with_corner(draw, draw.choice(["corner", "mixed corner"]), "").problem
        domain, kinds = known.domain, dict.fromkeys(filter(None, [known.free]), "flux")
        values = lambda p: known.values(p.coords)  # noqa: E731
    else:
        shape = "star" if kind == "jump" else draw.choice(["L", "star", "slit"])
        domain = kp.Polygon(outline(draw, shape, draw.uniform(1, 2), (0.5, 0.5)))
        if shape == "star" and kind != "jump" and draw.random() < 0.5:
            turns = [2 * math.pi * (i + draw.uniform(-0.3, 0.3)) / 4 for i in range(4)]
            domain -= kp.Polygon([(0.2 * math.cos(t), 0.2 * math.sin(t)) for t in turns])
        if kind not in ("skew", "drift"):
            kinds = {one: draw.choice(["", "flux", "robin"]) for one in domain.boundary.names[1:]}
    if kind == "jump":
        lines = draw.choice([1, 2])
        equation, values = _jumping(draw, wave, lines)
        left, low = (domain & kp.Box(x=x, y=y) for x, y in (((-1, 0), (-1, 1)), ((-1, 1), (-1, 0))))
        interfaces = [left.boundary["x_max"], low.boundary["y_max"]][:lines]
    problem = Bounded(domain, equation, values, kinds, interfaces)
    words = ", ".join([f"{seed}: {kind}", *sorted({*kinds.values()} - {""})])
    if kind == "drift" or (kind not in ("corner", "jump") and draw.random() < 0.3):
        return problem, kp.KAN([2, 12, 1], degree=7, grid=[4, 8]), f"{words}, network"
    return problem, kp.Cells(degree=draw.choice([3, 4, 6])), f"{words}, cells"


def _jumping(
    draw: Random, wave: Callable[[Tensor], Tensor], lines: int
) -> tuple[Coefficients, Values]:
    """Return -div(a ∇u) with a number a on each side of one line or two, and a solution.

    The solution is s F / a + G: F is smooth, s = x or s = x y is zero on the lines, G is zero for
    two lines and a function of y for the line x = 0. So a ∂u/∂n is continuous.
    """
    ratio, flat = 10 ** draw.uniform(-2, 2), _elliptic(draw, 2, "Poisson")

    def product(p: kp.Points) -> Tensor:
        return p.x * p.y if lines == 2 else p.x

    def factor(p: kp.Points) -> Tensor:
        return torch.where(product(p) < 0, ratio, 1.0).to(p.coords)

    def values(p: kp.Points) -> Tensor:
        smooth = torch.sin(2 * p.y) if lines == 1 else 0.0
        return product(p) * wave(p.coords) / factor(p) + smooth

    return replace(flat, factor=factor, words="jump"), values


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
    usual = [one for one in judged if one.true < 1]  # others have bounds, but no relative ones
    rows = {
        f"bound over true error, {norm}{how}": [
            value for row in ratios if math.isfinite(value := row.get(norm, math.nan))
        ]
        for how, ratios in (
            ("", [one.alone for one in usual]),
            (", beside a finer network", [one.beside for one in usual]),
        )
        for norm in NORMS
    }
    rows["C times residual over true error, energy"] = [
        one.residual for one in usual if one.residual is not None
    ]
    names = "guaranteed bounds: problems where one fails", "guaranteed bounds: problems without"
    counts = sum(bool(one.failed) for one in judged), sum(bool(one.reason) for one in judged)
    return _verdicts(names, counts, len(judged), rows)


def _verdicts(
    names: tuple[str, str],
    counts: tuple[int, int],
    total: int,
    rows: Mapping[str, Sequence[float]],
) -> dict[str, Verdict]:
    """Return verdicts on bounds that fail, on problems without bounds, and on measured ratios.

    Of the ratios the verdicts tell the least, the median, the ninth decile and the largest.

    Args:
        names: the names of the first two verdicts.
        counts: the number of problems whose bounds fail, and of problems without bounds.
        total: the number of all problems.
        rows: the measured ratios, by the name of their verdict; an empty sequence has no verdict.
    """
    wrong, refused = counts
    found = {
        names[0]: verdict(wrong, f"0 of {total}", not wrong),
        names[1]: verdict(refused, "0, all are coercive", not refused),
    }
    for name, ratios in rows.items():
        if not ratios:
            continue
        ordered = sorted(ratios)
        ninth = ordered[min(len(ordered) - 1, (9 * len(ordered)) // 10)]
        shown = [ordered[0], median(ordered), ninth, ordered[-1]]
        words = "least {:.3g}, median {:.3g}, 90 % {:.3g}, most {:.3g}".format(*shown)
        near = "energy" in name and "residual" not in name
        target = "90 % within 10" if near else "reported"
        found[name] = verdict(words, target, ninth <= 10 if near else None)
    return found


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
    true = _true(case.problem, solution)
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


def _true(problem: Bounded, solution: kp.Solution) -> dict[str, float]:
    """Return the true errors, as means over the domain, and the largest at the points of a rule."""
    equation = problem.equation_of

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


def certified(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Bound errors and integrals of random problems in polygons, and compare with the true ones."""
    rows, lines, first = dict[str, list[float]](), [], 1000 * options.seed
    refused, budget = 0, 1 if options.smoke else 5  # in seconds
    if options.smoke:  # the solve is that of a coefficient that jumps
        drawn_in_polygon(first)
        first += 4
    for seed in range(first, first + options.certified):
        problem, network, words = drawn_in_polygon(seed)
        tolerance = None if isinstance(network, kp.KAN) else 10 ** -Random(seed).uniform(2, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of jumps at corners, and of few points
            solution = kp.solve(problem, network, tolerance=tolerance, budget=budget, errors=False)
        begun, drifts = time.process_time(), problem.equation_of.words == "drift"
        density = None if drifts else lambda p, u: u.value
        bound = kp.error_bound(solution, density=density, budget=budget)
        seconds, true = time.process_time() - begun, _true(problem, solution)
        ratios = {} if bound.reason else _ratios_to(true, bound)
        failed = [f"{norm}: {ratio:.3f}" for norm, ratio in ratios.items() if not ratio >= 0.99]
        refused += bool(bound.reason)
        half = math.nan
        if not drifts:
            values = partial(_both_values, problem)
            mine, exact = solution.integral(density=values).value.tolist()
            (low, high), slack = bound.interval, 1e-9 * abs(exact)
            half = (high - low) / 2
            if not low - slack <= exact <= high + slack:
                failed.append(f"the mean {exact} is not in [{low}, {high}]")
            rows.setdefault("interval, half, over the error of the number", []).append(
                half / max(abs(mine - exact), slack)
            )
        for norm, ratio in ratios.items():
            rows.setdefault(f"bound over true error in a polygon, {norm}", []).append(ratio)
        rows.setdefault("seconds of a bound", []).append(seconds)
        failures += [f"bound of {words}: {how}" for how in failed]
        cells = [f"{ratios[norm]:.4g}" if norm in ratios else "" for norm in NORMS]
        said = bound.reason or ", ".join(failed)
        line = f"{words} | {true['energy']:.1e} | {' | '.join(cells)} | {half:.1e} | {seconds:.1f}"
        lines.append(f"| {line} | {said} |\n")
        print(lines[-1], end="", flush=True)
    head = "| problem | true energy | L2 | H1 | energy | maximum | interval | seconds | said |\n"
    (options.output / "certified.md").write_text(
        head + "|---" * 9 + "|\n" + "".join(lines), "utf-8"
    )
    names = "bounds in polygons that fail", "problems in polygons without"
    wrong = sum("bound of " in one for one in failures)
    return _verdicts(names, (wrong, refused), options.certified, rows)


def _both_values(problem: Bounded, p: kp.Points, u: Jet) -> Tensor:
    return torch.cat([u.value, problem.values(p)], dim=1)


def bodies(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Bound the errors of random plane bodies, and compare with finite elements of degree 4."""
    rows, lines, first = dict[str, list[float]](), [], 1000 * options.seed
    refused, budget = 0, 1 if options.smoke else 5  # in seconds
    first += 8 if options.smoke else 0  # a box, with few cells
    for seed in range(first, first + options.bodies):
        draws = (Body(Random(f"bounded {seed} {i}"), False) for i in itertools.count())
        problem, draw = next(one for one in draws if not one.shape.circles), Random(seed)
        network, tolerance = kp.Cells(degree=draw.choice([3, 4, 6])), 10 ** -draw.uniform(1, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few points
            solution = kp.solve(problem, network, tolerance=tolerance, budget=budget, errors=False)
        begun = time.process_time()
        bound = kp.error_bound(
            solution, density=lambda p, u, v: u.value + v.value, budget=4 * budget
        )
        seconds = time.process_time() - begun
        exact = BodyErrors.of(problem, solution, options.smoke)
        refused += bool(bound.reason)
        energy, (low, high) = bound.energy * math.sqrt(problem.domain.measure), bound.interval
        failed = []
        if not energy >= 0.99 * exact.energy - exact.known_to:
            failed.append(f"energy: {energy} below {exact.energy}, known to {exact.known_to}")
        if not low - exact.slack <= exact.number <= high + exact.slack:
            failed.append(f"the integral {exact.number} is not in [{low}, {high}]")
        ratio, half = energy / exact.energy, (high - low) / 2
        share = half / max(exact.error, exact.slack)
        for name, value in {
            "bound over true error of a body, energy": ratio,
            "interval of a body, half, over the error of the number": share,
            "seconds of a bound of a body": seconds,
        }.items():
            rows.setdefault(name, []).append(value)
        failures += [f"bound of {seed}: {problem.words}: {how}" for how in failed]
        said = ", ".join(failed) or bound.reason or bound.ended
        words = f"{seed}: {problem.words} | {exact.energy / exact.norm:.1e} | {ratio:.4g}"
        lines.append(f"| {words} | {half:.1e} | {share:.2g} | {seconds:.1f} | {said} |\n")
        print(lines[-1], end="", flush=True)
    head = "| body | true energy | energy | interval | its share | seconds | said |\n"
    (options.output / "bodies.md").write_text(head + "|---" * 7 + "|\n" + "".join(lines), "utf-8")
    names = "bounds of bodies that fail", "bodies without bounds"
    wrong = sum("bound of " in one for one in failures)
    return _verdicts(names, (wrong, refused), options.bodies, rows)


@dataclass(frozen=True)
class BodyErrors:
    """The errors of a solution for a body, by finite elements on meshes graded to all corners.

    Args:
        energy, norm: the energy norms of the error and of the displacement.
        known_to: twice the energy norm of the difference of two finite-element solutions.
        number, error: the integral of both displacements, and the error of the solution's one.
        slack: twice the difference of this integral between two finite-element solutions.
    """

    energy: float
    norm: float
    known_to: float
    number: float
    error: float
    slack: float

    @classmethod
    def of(cls, problem: Body, solution: kp.Solution, smoke: bool) -> "BodyErrors":
        """Solve by finite elements on two meshes."""
        mesh = problem.shape.mesh(1, 4 if smoke else 30)
        element = skfem.ElementTriP2() if smoke else skfem.ElementTriP4()
        known, names = [], ("x", "y")
        for one in (mesh, mesh.refined()):
            basis, found, energy = solve_weakly(problem, one, element)
            field = basis.interpolate(found)
            known.append((energy, float(np.asarray(field).sum(axis=0).ravel() @ basis.dx.ravel())))
        points = np.asarray(basis.global_coordinates()).reshape(2, -1).T.copy()
        jets = [
            solution.surrogate.evaluate(kp.Points(x, names), Channels(names, True))
            for x in torch.from_numpy(points).split(2**15)
        ]
        slopes = torch.cat([kp.grad(jet) for jet in jets]).detach().numpy()  # (n, 2, field)
        true, weights = np.asarray(field.grad).reshape(2, 2, -1).T, basis.dx.ravel()

        def norm(slopes: np.ndarray) -> float:
            strains = (slopes + slopes.swapaxes(1, 2)) / 2
            squares = 2 * problem.mu * (strains**2).sum(axis=(1, 2))
            squares += problem.lame * np.trace(strains, axis1=1, axis2=2) ** 2
            return math.sqrt(float(weights @ squares))

        mine = torch.cat([jet.value for jet in jets]).detach().numpy().sum(axis=1)
        (coarse, rough), (fine, number) = known
        return cls(
            norm(slopes - true),
            norm(true),
            2 * math.sqrt(2 * max(coarse - fine, 0.0)),
            number,
            abs(float(weights @ mine) - number),
            2 * abs(number - rough) + 1e-9 * abs(number),
        )
