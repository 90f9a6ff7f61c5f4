"""Random evolutions with known solutions, in one and two dimensions, solved with nothing chosen."""

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import sympy
import torch
from classes.meshes import heat as moving_source
from classes.periods import periodic, porous
from classes.task import POINTS, Array, Operator, Task, Truth, function, within
from common.script import Verdict
from hostile import judging
from hostile.ill_posed import Drawn
from scipy.special import erfc, erfcx

import kanpinn as kp
from kanpinn.geometry import Domain

X, Y, T = sympy.symbols("x y t")
KEEP = ("t_min", "t_max", "initial", "final")  # the pieces of a boundary that are no walls


def walls(domain: Domain) -> Any:
    return domain.boundary[tuple(n for n in dict.fromkeys(domain.boundary.names) if n not in KEEP)]


def truth_of(domain: Domain, values: Callable[[Array], Array], known_to: float = 0.0) -> Any:
    """Return the truth at random points in space and time."""

    def truth(smoke: bool) -> Truth:
        coords = within(domain, 20 if smoke else POINTS)
        return Truth(coords, values(coords), known_to)

    return truth


def stated(
    words: str,
    domain: Domain,
    exact: Sequence[Any],
    equations: Callable[..., Sequence[Any]],
    order: int = 1,
    steep: Sequence[str] = (),
) -> Task:
    """Return the equations with the source for which expressions in the coordinates solve them.

    equations(m, p, *fields): the left-hand sides, for fields with a `value` and a derivative `d`.
    order: of the derivative in time. steep: walls where the derivative along the normal is given.
    """
    names, fields = domain.names, ("u", "v", "w")[: len(exact)]
    place = SimpleNamespace(**{name: sympy.Symbol(name) for name in names})

    def of(value: Any, derivative: Callable[..., Any]) -> SimpleNamespace:
        return SimpleNamespace(value=value, d=derivative)

    symbolic = [of(e, lambda *by, e=e: sympy.diff(e, *by)) for e in exact]
    load = function([sympy.N(e) for e in equations(sympy, place, *symbolic)], names)[1]
    values, tensors = function(exact, names)
    rates = function([sympy.N(sympy.diff(e, "t")) for e in exact], names)[1]
    slopes = [function([sympy.N(sympy.diff(e, n)) for n in names], names)[1] for e in exact]

    def residual(p: kp.Points, *jets: Any) -> tuple[Any, ...]:
        found = equations(torch, p, *(of(u.value, partial(kp.partial, u)) for u in jets))
        source = load(p)
        return tuple(one - source[:, [i]] for i, one in enumerate(found))

    conditions: list[Any] = []
    for i, name in enumerate(fields):
        own: Any = {"field": name} if len(fields) > 1 else {}
        one = lambda p, i=i: tensors(p)[:, [i]]  # noqa: E731
        flux = lambda p, i=i: (slopes[i](p) * p.normals).sum(dim=1, keepdim=True)  # noqa: E731
        conditions.append(kp.Initial(domain, one, **own))
        if order == 2:
            start = domain.boundary["t_min" if "t_min" in domain.boundary.names else "initial"]
            conditions.append(
                kp.Constraint(start, lambda p, *u, i=i: kp.partial(u[i], "t") - rates(p)[:, [i]])
            )
        sides = [n for n in dict.fromkeys(domain.boundary.names) if n not in (*KEEP, *steep)]
        conditions.append(kp.Dirichlet(domain.boundary[tuple(sides)], one, **own))
        if steep:
            conditions.append(kp.Neumann(domain.boundary[tuple(steep)], flux, **own))
    problem = Drawn(domain, residual, *conditions, fields=fields)
    return Task(words, problem, truth_of(domain, values), {})


def waves(draw: Random, *along: Any) -> Any:
    """Return a smooth expression: a few waves that move."""
    return sum(
        draw.uniform(0.3, 1)
        * sympy.sin(
            sum(draw.uniform(1, 4) * x for x in along)
            + draw.uniform(-3, 3) * T
            + draw.uniform(0, 6)
        )
        for _ in range(2)
    )


# --- one dimension


def smooth_heat(draw: Random) -> Task:
    a, domain = 10 ** draw.uniform(-2, 0), kp.Box(x=(0, 1), t=(0, draw.uniform(0.5, 2)))
    return stated(
        f"heat {a:.1e}",
        domain,
        [waves(draw, X)],
        lambda m, p, u: [u.d("t") - a * u.d("x", "x")],
        steep=["x_max"],
    )


def sudden(draw: Random) -> Task:
    """Heat from u = 0 with a side that is hot at once."""
    a, last = 10 ** draw.uniform(-2, 0), draw.uniform(0.5, 2)
    domain = kp.Box(x=(0, 1), t=(0, last))

    def values(coords: Array) -> Array:
        x, t = coords[:, :1], coords[:, 1:]
        n, root = np.arange(40), 2 * np.sqrt(a * np.maximum(t, 1e-30))
        images = erfc((2 * n + x) / root) - erfc((2 * n + 2 - x) / root)
        return images.sum(axis=1, keepdims=True)

    sides = domain.boundary
    problem = Drawn(
        domain,
        lambda p, u: kp.partial(u, "t") - a * kp.partial(u, "x", "x"),
        kp.Initial(domain, 0.0),
        kp.Dirichlet(sides["x_min"], 1.0),
        kp.Dirichlet(sides["x_max"], 0.0),
    )
    return Task(f"sudden heat {a:.1e}", problem, truth_of(domain, values), {})


def cooling(draw: Random) -> Task:
    """Heat from u = 1 that leaves by Robin's condition, which contradicts the initial values."""
    a, h, last = 10 ** draw.uniform(-2, 0), draw.uniform(0.5, 10), draw.uniform(0.5, 2)
    domain, k = kp.Box(x=(0, 1), t=(0, last)), np.arange(4000) * math.pi
    low, high = k.copy(), k + math.pi / 2
    for _ in range(80):  # k tan k = h by bisection
        middle = (low + high) / 2
        above = middle * np.sin(middle) > h * np.cos(middle)
        even = np.cos(low + 1e-9) > 0
        right = np.where(even, above, ~above)
        low, high = np.where(right, low, middle), np.where(right, middle, high)
    k = (low + high) / 2
    c = 4 * np.sin(k) / (2 * k + np.sin(2 * k))

    def values(coords: Array) -> Array:
        rows = [np.exp(-a * k**2 * t) * np.cos(k * x) @ c for x, t in coords]
        return np.array(rows)[:, None]

    sides = domain.boundary
    problem = Drawn(
        domain,
        lambda p, u: kp.partial(u, "t") - a * kp.partial(u, "x", "x"),
        kp.Initial(domain, 1.0),
        kp.Neumann(sides["x_min"], 0.0),
        kp.Constraint(sides["x_max"], lambda p, u: kp.partial(u, "x") + h * u.value),
    )
    return Task(f"cooling {a:.1e}, {h:.2g}", problem, truth_of(domain, values, 1e-9), {})


def on_period(kind: str, draw: Random) -> Task:
    nu, last, a = 10 ** draw.uniform(-2.3, -1.3), draw.uniform(0.7, 1.3), draw.uniform(0.2, 0.8)
    wave, modes = sympy.cos(math.pi * X) + a * sympy.sin(2 * math.pi * X), [512]
    spread: dict[tuple[str, ...], float] = {("x", "x"): nu}
    operator: Operator = lambda m, p, u, d: -u * d("x")  # noqa: E731
    if kind == "KdV":
        nu = draw.choice([0.0, nu / 10])
        spread = {("x", "x", "x"): -4.84e-4, ("x", "x"): nu}
    if kind == "Allen-Cahn":
        nu, last = nu / 10, 2 * last
        spread = {("x", "x"): nu}
        operator = lambda m, p, u, d: 4 * (u - u**3)  # noqa: E731
    return periodic(f"{kind} {nu:.1e}", [2.0], last, spread, operator, wave, modes)


def fisher(draw: Random) -> Task:
    r, last = draw.uniform(0.5, 4), draw.uniform(1, 4)
    domain = kp.Box(x=(-8, 16), t=(0, last))
    z = sympy.sqrt(r / 6) * (X - 5 * sympy.sqrt(r / 6) * T)
    return stated(
        f"Fisher {r:.2g}",
        domain,
        [(1 + sympy.exp(z)) ** -2],
        lambda m, p, u: [u.d("t") - u.d("x", "x") - r * u.value * (1 - u.value)],
    )


def wave(draw: Random) -> Task:
    c, last, q = draw.uniform(0.5, 3), draw.uniform(0.5, 2), [draw.randint(1, 6) for _ in range(3)]
    parts = [sympy.sin(math.pi * k * X) * sympy.cos(math.pi * k * c * T) / k for k in q]
    return stated(
        f"wave {c:.2g}, {q}",
        kp.Box(x=(0, 1), t=(0, last)),
        [sum(parts)],
        lambda m, p, u: [u.d("t", "t") - c**2 * u.d("x", "x")],
        order=2,
    )


def schroedinger(draw: Random) -> Task:
    """The soliton of the cubic Schroedinger equation."""
    a, v, last = draw.uniform(0.7, 2), draw.uniform(-2, 2), draw.uniform(0.5, 2)
    shape, phase = a / sympy.cosh(a * (X - v * T)), v * X + (a**2 - v**2) * T / 2

    def equations(m: Any, p: Any, u: Any, w: Any) -> list[Any]:
        power = u.value**2 + w.value**2
        return [
            u.d("t") + w.d("x", "x") / 2 + power * w.value,
            w.d("t") - u.d("x", "x") / 2 - power * u.value,
        ]

    exact = [shape * sympy.cos(phase), shape * sympy.sin(phase)]
    return stated(f"soliton {a:.2g}, {v:.2g}", kp.Box(x=(-10, 10), t=(0, last)), exact, equations)


def brusselator(draw: Random) -> Task:
    a, b, k = draw.uniform(0.5, 1.5), draw.uniform(1, 3), 10 ** draw.uniform(-3, -1)

    def equations(m: Any, p: Any, u: Any, v: Any) -> list[Any]:
        both = u.value**2 * v.value
        return [
            u.d("t") - k * u.d("x", "x") - a - both + (b + 1) * u.value,
            v.d("t") - k * v.d("x", "x") - b * u.value + both,
        ]

    exact = [1 + waves(draw, X) / 3, b / a + waves(draw, X) / 3]
    return stated(f"Brusselator {k:.1e}", kp.Box(x=(0, 1), t=(0, 2)), exact, equations)


def gas(draw: Random) -> Task:
    """Euler's equations of an isentropic gas, with viscosity."""
    nu, domain = 10 ** draw.uniform(-3, -1), kp.Box(x=(0, 1), t=(0, draw.uniform(0.5, 1)))

    def equations(m: Any, p: Any, u: Any, v: Any) -> list[Any]:
        r, s = u.value, v.value  # density and speed
        return [
            u.d("t") + s * u.d("x") + r * v.d("x") - nu * u.d("x", "x"),
            v.d("t") + s * v.d("x") + 1.4 * r**-0.6 * u.d("x") - nu * v.d("x", "x") / r,
        ]

    exact = [2 + waves(draw, X) / 3, waves(draw, X) / 3]
    return stated(f"viscous gas {nu:.1e}", domain, exact, equations)


def front(draw: Random) -> Task:
    """A front that is carried and spreads."""
    nu, last = 10 ** draw.uniform(-3.5, -1.5), draw.uniform(0.4, 0.7)
    old, from_ = 10 ** draw.uniform(-2, 0), draw.uniform(0.1, 0.3)
    exact = sympy.erf((X - from_ - T) / sympy.sqrt(4 * nu * (T + old))) / 2 + 1
    return stated(
        f"front {nu:.1e}, {old:.1e}",
        kp.Box(x=(0, 1), t=(0, last)),
        [exact],
        lambda m, p, u: [u.d("t") + u.d("x") - nu * u.d("x", "x")],
    )


def barenblatt(draw: Random) -> Task:
    return porous(draw.choice([2, 3]), draw.uniform(0.4, 1), draw.uniform(1.5, 4))


# --- two dimensions


def source_at_hole(draw: Random) -> Task:
    return moving_source(draw, draw.choice([0, 1]))


def hot_side(draw: Random) -> Task:
    """Heat in a square from u = 0, one side of which is hot at once."""
    a, last = 10 ** draw.uniform(-1, 0), draw.uniform(0.05, 0.3)
    domain, k = kp.Box(x=(0, 1), y=(0, 1), t=(0, last)), math.pi * np.arange(1, 1200, 2)

    def half_line(x: Any, t: Any) -> Array:
        """The solution in x > 0 of w_t = w_xx - k² w with w = 1 at x = 0."""
        root = np.sqrt(t)
        far, near = x / 2 / root + k * root, x / 2 / root - k * root
        left = np.exp(-((x / 2 / root) ** 2) - k**2 * t)
        return (np.exp(-k * x) * erfc(near) + left * erfcx(far)) / 2

    def values(coords: Array) -> Array:
        found = []
        for x, y, time_ in coords:
            t = max(a * time_, 1e-12)
            w = sum(half_line(2 * n + x, t) - half_line(2 * n + 2 - x, t) for n in range(4))
            found.append(4 / k * w @ np.sin(k * y))
        return np.array(found)[:, None]

    sides = domain.boundary
    problem = Drawn(
        domain,
        lambda p, u: kp.partial(u, "t") - a * (kp.partial(u, "x", "x") + kp.partial(u, "y", "y")),
        kp.Initial(domain, 0.0),
        kp.Dirichlet(sides["x_min"], 1.0),
        kp.Dirichlet(sides["x_max", "y_min", "y_max"], 0.0),
    )
    return Task(f"hot side {a:.1e}", problem, truth_of(domain, values, 1e-5), {})


def quenched(draw: Random) -> Task:
    """Heat in a square from u = 1, whose sides are cold at once."""
    a, last = 10 ** draw.uniform(-1, 0), draw.uniform(0.05, 0.3)
    domain, k = kp.Box(x=(0, 1), y=(0, 1), t=(0, last)), math.pi * np.arange(1, 4000, 2)

    def values(coords: Array) -> Array:
        found = []
        for *place, t in coords:
            fall = np.exp(-a * k**2 * t) * 4 / k
            found.append(math.prod(fall @ np.sin(k * x) for x in place))
        return np.array(found)[:, None]

    problem = Drawn(
        domain,
        lambda p, u: kp.partial(u, "t") - a * (kp.partial(u, "x", "x") + kp.partial(u, "y", "y")),
        kp.Initial(domain, 1.0),
        kp.Dirichlet(walls(domain), 0.0),
    )
    return Task(f"quenched {a:.1e}", problem, truth_of(domain, values, 1e-6), {})


def plane_period(kind: str, draw: Random) -> Task:
    nu, turn = 10 ** draw.uniform(-2, -1), 2 * math.pi
    first = sympy.sin(turn * X) * sympy.cos(turn * Y) + sympy.cos(turn * (X + Y)) / 2
    operators: dict[str, Operator] = {
        "Burgers": lambda m, p, u, d: -u * (d("x") + d("y")),
        "Allen-Cahn": lambda m, p, u, d: 5 * (u - u**3),
    }
    spread: dict[tuple[str, ...], float] = {("x", "x"): nu, ("y", "y"): nu}
    words = f"{kind} in the plane {nu:.1e}"
    return periodic(words, [1.0, 1.0], 0.5, spread, operators[kind], first, [64])


def rotating(draw: Random) -> Task:
    """A pulse in a disk, carried around and spreading."""
    nu, speed, width = 10 ** draw.uniform(-3, -1.5), draw.uniform(1, 6), draw.uniform(0.05, 0.2)
    domain, radius = kp.Disk((0, 0), 1).over(t=(0, 1)), draw.uniform(0.2, 0.5)
    wide = width + 4 * nu * T
    off = (X - radius * sympy.cos(speed * T)) ** 2 + (Y - radius * sympy.sin(speed * T)) ** 2
    return stated(
        f"rotating pulse {nu:.1e}",
        domain,
        [width / wide * sympy.exp(-off / wide)],
        lambda m, p, u: [
            u.d("t")
            + speed * (p.x * u.d("y") - p.y * u.d("x"))
            - nu * (u.d("x", "x") + u.d("y", "y"))
        ],
    )


def plane_reaction(draw: Random) -> Task:
    k, shape = 10 ** draw.uniform(-2, -1), kp.Disk((0, 0), 1)
    domain = draw.choice([shape, shape - kp.Disk((0.3, 0.2), 0.25), kp.Box(x=(0, 1), y=(0, 1))])

    def equations(m: Any, p: Any, u: Any, v: Any) -> list[Any]:
        both = u.value * v.value**2
        return [
            u.d("t") - k * (u.d("x", "x") + u.d("y", "y")) + both,
            v.d("t") - k / 2 * (v.d("x", "x") + v.d("y", "y")) - both + v.value,
        ]

    exact = [1 + waves(draw, X, Y) / 4, 1 + waves(draw, X, Y) / 4]
    over = (
        kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.5))
        if isinstance(domain, kp.Box)
        else domain.over(t=(0, 0.5))
    )
    return stated(f"reaction in the plane {k:.1e}", over, exact, equations)


def plane_wave(draw: Random) -> Task:
    c, square = draw.uniform(0.5, 2), kp.Box(x=(-1, 1), y=(-1, 1))
    corner = kp.Polygon([(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)])
    shape = draw.choice([corner, square - kp.Disk((0.1, 0.2), 0.3)])
    return stated(
        f"wave in the plane {c:.2g}",
        shape.over(t=(0, 1)),
        [waves(draw, X, Y)],
        lambda m, p, u: [u.d("t", "t") - c**2 * (u.d("x", "x") + u.d("y", "y"))],
        order=2,
    )


KINDS: Sequence[Callable[[Random], Task]] = (
    smooth_heat,
    sudden,
    cooling,
    partial(on_period, "Burgers"),
    partial(on_period, "KdV"),
    partial(on_period, "Allen-Cahn"),
    fisher,
    wave,
    schroedinger,
    brusselator,
    gas,
    front,
    barenblatt,
    source_at_hole,
    lambda draw: draw.choice([hot_side, quenched])(draw),
    partial(plane_period, "Burgers"),
    partial(plane_period, "Allen-Cahn"),
    rotating,
    plane_reaction,
    plane_wave,
)


def drawn(seed: int) -> Task:
    return KINDS[seed % len(KINDS)](Random(f"evolution {seed}"))


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Solve random evolutions, and compare with their known solutions."""
    first, budget = 1000 * options.seed, float(options.evolution_budget)
    if options.smoke:  # a problem of each kind, one with hot sides (seed 74), and a solve
        for seed in (*range(len(KINDS)), 74):
            drawn(seed).truth(True)

    def solve(seed: int) -> judging.Row:
        tolerance = 10 ** -Random(seed).uniform(2, 8)
        return judging.solved(drawn(seed), f"{seed}", tolerance, budget, options.smoke)

    seeds = range(first, first + options.evolutions)
    rows = judging.judged({f"{seed}": partial(solve, seed) for seed in seeds}, budget, failures)
    return judging.summary("evolutions", rows)
