"""Random problems, well-posed and with a fault, and whether solves refuse the faulty ones."""

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy
import torch
from common import script
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Domain
from kanpinn.jets import biharmonic

Draw = numpy.random.Generator


class Drawn(kp.Problem):
    """A problem that is put together of a domain, a residual, conditions and known functions."""

    needs_conditions = True

    def __init__(self, domain: Domain, residual: Callable, *conditions: kp.Condition, **more: Any):
        self.domain, self.of, self.listed = domain, residual, conditions
        vars(self).update(more)

    def residual(self, p: kp.Points, *fields: kp.Jet) -> Tensor | tuple[Tensor, ...]:
        found = self.of(p, *fields)
        if self.exact is None:
            return found
        columns = found if isinstance(found, tuple) else (found,)
        source = self.source(p)
        return tuple(column - source[:, [i]] for i, column in enumerate(columns))

    def conditions(self) -> Sequence[kp.Condition]:
        return self.listed


class Known:
    """A smooth random function of the coordinates, with its derivatives along normals."""

    def __init__(self, draw: Draw, domain: Domain) -> None:
        self.low, self.high = domain.bounds
        self.waves = torch.from_numpy(draw.uniform(-2, 2, (3, domain.dim)))
        self.phases = torch.from_numpy(draw.uniform(0, 6, 3))

    def __call__(self, p: kp.Points) -> Tensor:
        xi = 2 * (p.coords - self.low) / (self.high - self.low) - 1
        return torch.sin(xi @ self.waves.T + self.phases).sum(dim=1, keepdim=True)

    def slope(self, p: kp.Points, order: int = 1) -> Tensor:
        """Return the derivative of this order along the normals."""
        assert p.normals is not None
        xi = 2 * (p.coords - self.low) / (self.high - self.low) - 1
        speeds = 2 * p.normals / (self.high - self.low) @ self.waves.T
        waves = torch.sin(xi @ self.waves.T + self.phases + order * torch.pi / 2)
        return (speeds**order * waves).sum(dim=1, keepdim=True)

    def rate(self, p: kp.Points) -> Tensor:
        return -self.slope(p)

    def mixed(self, alpha: float, p: kp.Points) -> Tensor:
        return alpha * self(p) + self.slope(p)


def plane(draw: Draw) -> Domain:
    a, b, r = draw.uniform(0.5, 3, 3)
    x, y = draw.uniform(-2, 2, 2)
    return [
        kp.Box(x=(x, x + a), y=(y, y + b)),
        kp.Disk((x, y), r),
        kp.Annulus((x, y), r / 3, r),
        kp.Polygon([(x, y), (x + a, y), (x + a / 3, y + b)]),
        kp.LShape(),
    ][draw.integers(5)]


def space(draw: Draw) -> Domain:
    a, b, c = draw.uniform(0.5, 3, 3)
    return [plane(draw), plane(draw), kp.Box(x=(0, a), y=(0, b), z=(0, c))][draw.integers(3)]


def evolving(draw: Draw) -> Domain:
    duration = float(draw.uniform(0.3, 3))
    inner = [kp.Box(x=(0, float(draw.uniform(0.5, 3)))), plane(draw), kp.Disk((0, 0), 1.0)]
    return inner[draw.integers(3)].over(t=(0, duration))


def walls_of(domain: Domain) -> list[str]:
    ends = ("initial", "final", "t_min", "t_max")
    return [name for name in dict.fromkeys(domain.boundary.names) if name not in ends]


def on_walls(draw: Draw, domain: Domain, known: Known, left: int, **field: Any) -> list:
    """Return a condition for each wall, the first one Dirichlet, without `left` of the walls."""
    found: list[kp.Condition] = []
    for index, name in enumerate(walls_of(domain)):
        wall, alpha = domain.boundary[name], float(draw.uniform(0.3, 3))
        kind = draw.integers(3) if index else 0
        found.append(
            [
                kp.Dirichlet(wall, known, **field),
                kp.Neumann(wall, known.slope, **field),
                kp.Robin(wall, alpha, 1.0, partial(known.mixed, alpha), **field),
            ][kind]
        )
    draw.shuffle(found)
    return found[left:]


def beside(*known: Known) -> Callable[[kp.Points], Tensor]:
    """Return the function of several fields."""
    return lambda p: torch.cat([one(p) for one in known], dim=1)


def elliptic(draw: Draw, fault: str) -> kp.Problem:
    domain = space(draw)
    known, names = Known(draw, domain), domain.names
    stretch, velocity, sign = draw.uniform(0.2, 5, 3), draw.uniform(-3, 3, 3), draw.choice([-1, 1])
    mixed, reaction = draw.uniform(-0.2, 0.2), draw.choice([0, draw.uniform(0, 5)])

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        found = reaction * u.value + 2 * mixed * kp.partial(u, *names[:2])
        for name, a, v in zip(names, stretch, velocity, strict=False):
            found = found - a * kp.partial(u, name, name) + v * kp.partial(u, name)
        return sign * found

    conditions = on_walls(draw, domain, known, int(fault == "a side"))
    if fault == "two values":
        wall, gap = domain.boundary[walls_of(domain)[0]], float(draw.uniform(0.1, 1))
        conditions += [kp.Dirichlet(wall, known), kp.Dirichlet(wall, lambda p: known(p) + gap)]
    return Drawn(domain, residual, *conditions, exact=known)


def plate(draw: Draw, fault: str) -> kp.Problem:
    domain = plane(draw)
    known, conditions = Known(draw, domain), []
    left = draw.integers(len(walls_of(domain)))
    for index, name in enumerate(walls_of(domain)):
        wall = domain.boundary[name]
        both = [kp.Dirichlet(wall, known), kp.Neumann(wall, known.slope)]
        conditions += both[: 1 + (not (fault and index == left))]
    return Drawn(domain, lambda p, u: biharmonic(u), *conditions, exact=known)


def heat(draw: Draw, fault: str) -> kp.Problem:
    domain = evolving(draw)
    known, a = Known(draw, domain), 10 ** draw.uniform(-3, 1)
    names = domain.names[:-1]

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.partial(u, "t") - a * sum(kp.partial(u, n, n) for n in names)

    begun = [] if fault == "the initial value" else [kp.Initial(domain, known)]
    walls = on_walls(draw, domain, known, int(fault == "a side"))
    return Drawn(domain, residual, *begun, *walls, exact=known)


def wave(draw: Draw, fault: str) -> kp.Problem:
    domain = evolving(draw)
    known, c, m = Known(draw, domain), draw.uniform(0.3, 5), draw.choice([0.0, 3.0])
    names = domain.names[:-1]

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        bend = sum(kp.partial(u, n, n) for n in names)
        return kp.partial(u, "t", "t") - c**2 * bend + m * u.value

    rate = None if fault == "the rate" else known.rate
    begun = [] if fault == "the initial value" else [kp.Initial(domain, known, rate)]
    walls = on_walls(draw, domain, known, int(fault == "a side"))
    return Drawn(domain, residual, *begun, *walls, exact=known)


def transport(draw: Draw, fault: str) -> kp.Problem:
    d = int(draw.integers(1, 3))
    axes = {name: (0, float(draw.uniform(0.5, 3))) for name in "xy"[:d]}
    domain = kp.Box(**axes, t=(0, float(draw.uniform(0.3, 2))))
    known, v = Known(draw, domain), draw.uniform(0.3, 3, d) * draw.choice([-1, 1], d)

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.partial(u, "t") + sum(w * kp.partial(u, n) for w, n in zip(v, axes, strict=True))

    inflow = [f"{n}_{'min' if w > 0 else 'max'}" for w, n in zip(v, axes, strict=True)]
    inflow = inflow[1:] if fault == "an inflow" else inflow
    begun = [] if fault == "the initial value" else [kp.Initial(domain, known)]
    walls = [kp.Dirichlet(domain.boundary[name], known) for name in inflow]
    return Drawn(domain, residual, *begun, *walls, exact=known)


def dispersive(draw: Draw, fault: str) -> kp.Problem:
    domain = kp.Box(x=(0, float(draw.uniform(0.5, 3))), t=(0, float(draw.uniform(0.3, 2))))
    known, c = Known(draw, domain), draw.uniform(0.1, 2) * draw.choice([-1, 1])

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.partial(u, "t") + kp.partial(u, "x") + c * kp.partial(u, "x", "x", "x")

    ends = kp.Dirichlet(domain.boundary["x_min", "x_max"], known)
    # u_t + u_xxx = 0 takes one condition at the left end and two at the right one.
    twice = kp.Neumann(domain.boundary["x_max" if c > 0 else "x_min"], known.slope)
    more = [] if fault else [twice]
    return Drawn(domain, residual, kp.Initial(domain, known), ends, *more, exact=known)


def ordinary(draw: Draw, fault: str) -> kp.Problem:
    order = int(draw.integers(1, 5))
    domain = kp.Box(x=(0, float(draw.uniform(0.5, 5))))
    known, a = Known(draw, domain), draw.uniform(-1, 1, order)

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        low = [u.value, *(kp.partial(u, *("x",) * r) for r in range(1, order))]
        return kp.partial(u, *("x",) * order) + sum(b * t for b, t in zip(a, low, strict=True))

    conditions: list[kp.Condition] = [kp.Dirichlet(domain.boundary["x_min"], known)]
    conditions += [kp.Neumann(domain.boundary["x_min"], known.slope)] if order > 2 else []
    conditions += [kp.Dirichlet(domain.boundary["x_max"], known)] if order > 1 else []
    conditions += [kp.Neumann(domain.boundary["x_max"], known.slope)] if order > 3 else []
    draw.shuffle(conditions)
    return Drawn(domain, residual, *conditions[bool(fault) :], exact=known)


def waves(draw: Draw, fault: str) -> kp.Problem:
    """Helmholtz' equation, whose wave number is 2 % from a resonance of the box, or at one."""
    a, b = draw.uniform(0.5, 2, 2)
    domain = kp.Box(x=(0, float(a)), y=(0, float(b)))
    known, sizes = Known(draw, domain), torch.tensor([a, b], dtype=torch.float64)
    squares = sorted(
        float(((torch.pi * torch.tensor([m, n], dtype=torch.float64) / sizes) ** 2).sum())
        for m in range(1, 9)
        for n in range(1, 9)
    )
    number = int(draw.integers(0, 6))
    square = squares[number] if fault else (squares[number] + squares[number + 1]) / 2
    near = min(abs(square / one - 1) for one in squares)
    square *= 1.0 if fault or near > 0.02 else (0.96 * squares[0] / square)

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        return -kp.laplacian(u) - square * u.value

    return Drawn(domain, residual, kp.Dirichlet(domain.boundary, known), exact=known)


def fluxes(draw: Draw, fault: str) -> kp.Problem:
    domain = space(draw)
    known, sign = Known(draw, domain), draw.choice([-1, 1])
    more = float(10 ** draw.uniform(-1.5, 1)) if fault else 0.0
    steep = draw.uniform(-0.5, 0.5)

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        a = torch.exp(steep * p.x)
        return sign * a * (kp.laplacian(u) + steep * kp.partial(u, "x"))

    flux = kp.Neumann(domain.boundary, lambda p: known.slope(p) + more)
    return Drawn(domain, residual, flux, kp.Integral(domain, 1.0), exact=known)


def schroedinger(draw: Draw, fault: str) -> kp.Problem:
    domain = kp.Box(x=(0, float(draw.uniform(1, 6))), t=(0, float(draw.uniform(0.3, 2))))
    one, two = Known(draw, domain), Known(draw, domain)

    def residual(p: kp.Points, u: kp.Jet, v: kp.Jet) -> tuple[Tensor, ...]:
        return (
            kp.partial(u, "t") + kp.partial(v, "x", "x") / 2,
            kp.partial(v, "t") - kp.partial(u, "x", "x") / 2,
        )

    ends = "x_max" if fault == "a field at a side" else ("x_min", "x_max")
    conditions = [
        kp.Dirichlet(domain.boundary["x_min", "x_max"], one, field="u"),
        kp.Dirichlet(domain.boundary[ends], two, field="v"),
        kp.Initial(domain, one, field="u"),
        kp.Initial(domain, two, field="v"),
    ]
    kept = conditions[:-1] if fault == "a field's initial value" else conditions
    return Drawn(domain, residual, *kept, fields=("u", "v"), exact=beside(one, two))


def stokes(draw: Draw, fault: str) -> kp.Problem:
    length, nu = float(draw.uniform(0.5, 4)), 10 ** draw.uniform(-2, 1)
    domain = kp.Box(x=(0, length), y=(0, 1))
    around = domain.boundary["y_min", "y_max"]
    inlet, outlet = domain.boundary["x_min"], domain.boundary["x_max"]

    def residual(p: kp.Points, u: kp.Jet, v: kp.Jet, q: kp.Jet) -> tuple[Tensor, ...]:
        return (
            kp.partial(q, "x") - nu * kp.laplacian(u),
            kp.partial(q, "y") - nu * kp.laplacian(v),
            kp.div(u, v),
        )

    def stress(p: kp.Points, u: kp.Jet, v: kp.Jet, q: kp.Jet) -> tuple[Tensor, ...]:
        return nu * kp.partial(u, "x") - q.value, nu * kp.partial(v, "x")

    out: list[kp.Condition] = [kp.Constraint(outlet, stress)]
    if draw.random() < 0.5:
        out = [kp.Dirichlet(outlet, 0.0, field="q"), kp.Dirichlet(outlet, 0.0, field="v")]
    match fault:
        case "the outlet":
            out = [kp.Integral(domain, 0.0, field="q")]
        case "a condition at the outlet":
            out = [kp.Dirichlet(outlet, 0.0, field="q")]
    wall = domain.boundary["y_min"] if fault == "a field at a side" else around
    return Drawn(
        domain,
        residual,
        kp.Dirichlet(around, 0.0, field="u"),
        kp.Dirichlet(wall, 0.0, field="v"),
        kp.Dirichlet(inlet, lambda p: p.y * (1 - p.y), field="u"),
        kp.Dirichlet(inlet, 0.0, field="v"),
        *out,
        fields=("u", "v", "q"),
    )


def elastic(draw: Draw, fault: str) -> kp.Problem:
    domain, first = plane(draw), float(draw.uniform(0.3, 3))
    walls = walls_of(domain)

    def residual(p: kp.Points, u: kp.Jet, v: kp.Jet) -> tuple[Tensor, ...]:
        return (
            kp.laplacian(u) + first * (kp.partial(u, "x", "x") + kp.partial(v, "x", "y")),
            kp.laplacian(v) + first * (kp.partial(u, "x", "y") + kp.partial(v, "y", "y")),
        )

    both = [kp.Dirichlet(domain.boundary[name], 0.0) for name in walls]
    if fault:
        both[-1] = kp.Dirichlet(domain.boundary[walls[-1]], 0.0, field="u")
    return Drawn(domain, residual, *both, fields=("u", "v"))


def kinetics(draw: Draw, fault: str) -> kp.Problem:
    m = int(draw.integers(2, 5))
    domain, a = kp.Box(t=(0, float(draw.uniform(0.5, 3)))), draw.uniform(-1, 1, (m, m))
    fields = tuple("uvwz"[:m])

    def residual(p: kp.Points, *u: kp.Jet) -> tuple[Tensor, ...]:
        return tuple(
            kp.partial(one, "t") - sum(b * other.value for b, other in zip(row, u, strict=True))
            for one, row in zip(u, a, strict=True)
        )

    begun = [kp.Initial(domain, float(draw.uniform(0, 2)), field=name) for name in fields]
    return Drawn(domain, residual, *begun[bool(fault) :], fields=fields)


def reaction(draw: Draw, fault: str) -> kp.Problem:
    domain = evolving(draw)
    one, two = Known(draw, domain), Known(draw, domain)
    names, a = domain.names[:-1], draw.uniform(0.05, 2, 2)

    def residual(p: kp.Points, u: kp.Jet, v: kp.Jet) -> tuple[Tensor, ...]:
        bend = [sum(kp.partial(w, n, n) for n in names) for w in (u, v)]
        return (
            kp.partial(u, "t") - a[0] * bend[0] - u.value + u.value**2 * v.value,
            kp.partial(v, "t") - a[1] * bend[1] - u.value**2 * v.value,
        )

    begun = [kp.Initial(domain, one, field="u"), kp.Initial(domain, two, field="v")]
    kept = begun[:1] if fault == "a field's initial value" else begun
    walls = on_walls(draw, domain, one, 0, field="u")
    walls += on_walls(draw, domain, two, int(fault == "a field at a side"), field="v")
    return Drawn(domain, residual, *kept, *walls, fields=("u", "v"), exact=beside(one, two))


@dataclass(frozen=True)
class Case:
    """A problem, and what is wrong with it: an empty text where nothing is."""

    family: str
    fault: str
    problem: kp.Problem

    def said(self, tiny: bool = False) -> str:
        """Return what a solve says against the problem; an empty text where it says nothing.

        tiny: whether the network only has to be solved for, as in a smoke run.
        """
        d, m = self.problem.domain.dim, len(self.problem.fields)
        wide = self.family == "waves"  # a resonance is seen where its mode is resolved
        network = kp.KAN([d, 60 if wide else 24, m], degree=7, grid=[3, 6])
        points = kp.Collocation(800, 100) if wide else kp.Collocation(80, 60)
        if tiny:
            network, points = kp.KAN([d, 4, m], degree=5, grid=2), kp.Collocation(20, 20)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                done = kp.solve(self.problem, network, kp.LeastSquares(1), points, errors=False)
            except kp.InputError as error:
                return f"refused: {error}"
        if told:
            return f"warned: {told[0].message}"
        return done.status if done.status.startswith("failed") else ""


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, script.Verdict]:
    """Return how many faults of drawn problems are missed, and how many alarms are false.

    Args:
        chosen: the options: the number of well-posed problems, each of which is drawn with a fault
            as well, and the seed of all draws.
        failures: gets a line for each wrong answer.
    """
    wrong: dict[str, list[str]] = {"faults that are missed": [], "false alarms": []}
    for index, case in enumerate(cases(chosen.problems, chosen.seed)):
        if chosen.smoke and not case.fault and index not in (0, 6):
            continue  # what is well-posed is solved, what is not is refused before
        said = case.said(tiny=chosen.smoke)
        if bool(said) != bool(case.fault):
            kind = "faults that are missed" if case.fault else "false alarms"
            wrong[kind].append(f"{case.family} {index // 2}: {case.fault or said}")
    failures += [
        f"ill-posed problems, {kind}: {one}" for kind, all_ in wrong.items() for one in all_
    ]
    return {
        f"ill-posed problems: {kind}": script.verdict(
            len(found), f"0 of {chosen.problems}", not found
        )
        for kind, found in wrong.items()
    }


def cases(count: int, seed: int) -> Iterator[Case]:
    """Yield a well-posed problem and one with a fault, `count` times."""
    for index in range(count):
        family = [*FAMILIES][index % len(FAMILIES)]
        make, faults = FAMILIES[family]
        for ill in (False, True):
            draw = numpy.random.default_rng([seed, index])
            fault = str(draw.choice(faults)) if ill else ""
            yield Case(family, fault, make(numpy.random.default_rng([seed, index, 1]), fault))


FAMILIES: dict[str, tuple[Callable[[Draw, str], kp.Problem], list[str]]] = {
    "elliptic": (elliptic, ["a side", "a side", "two values"]),
    "plate": (plate, ["a condition at a side"]),
    "heat": (heat, ["the initial value", "a side"]),
    "wave": (wave, ["the rate", "the initial value", "a side"]),
    "transport": (transport, ["an inflow", "the initial value"]),
    "dispersive": (dispersive, ["a condition at a side"]),
    "schroedinger": (schroedinger, ["a field at a side", "a field's initial value"]),
    "stokes": (stokes, ["the outlet", "a condition at the outlet", "a field at a side"]),
    "elastic": (elastic, ["a field at a side"]),
    "ordinary": (ordinary, ["a condition"]),
    "kinetics": (kinetics, ["a field's initial value"]),
    "reaction": (reaction, ["a field's initial value", "a field at a side"]),
    "waves": (waves, ["a resonance"]),
    "fluxes": (fluxes, ["the balance"]),
}
