"""Random nonlinear problems and layers with known solutions, solved with nothing chosen."""

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import sympy
import torch
from classes.lines import boundary_value, layers, nonlinear
from classes.task import Operator, Task, function, known, source_of, stated
from common.script import Verdict
from hostile import judging
from hostile.ill_posed import Drawn

import kanpinn as kp

X, Y = sympy.symbols("x y")


def solved_by(words: str, domain: Any, exact: Any, operator: Operator, *more: Any) -> Task:
    """Return operator(u) = operator(exact), with values on the boundary or other conditions."""
    values, tensors = function([exact], domain.names)
    load = source_of(operator, sympy.sympify(exact), domain.names)[1]
    conditions = more or [kp.Dirichlet(domain.boundary, tensors)]
    return Task(words, stated(operator, domain, conditions, load), known(domain, values), {})


def shape(draw: Random) -> Any:
    """Return a domain around the origin, inside the square of half the width 1."""
    return draw.choice(
        [
            kp.Disk((0, 0), 1),
            kp.Box(x=(-0.9, 0.8), y=(-0.7, 0.9)),
            kp.Polygon([(-0.9, -0.8), (0.8, -0.9), (0.9, 0.1), (0.1, 0.2), (0, 0.9)]),
            kp.Disk((0, 0), 1) - kp.Disk((0.3, 0.2), 0.25),
        ]
    )


def direction(draw: Random) -> tuple[float, float]:
    angle = draw.uniform(0, 2 * math.pi)
    return math.cos(angle), math.sin(angle)


# --- on an interval


def combustion(draw: Random) -> Task:
    """Bratu's problem, of whose two solutions the lower one is found from zero."""
    half = draw.uniform(0.3, 1.1)  # its two solutions meet at 1.2
    strength = 8 * half**2 / math.cosh(half) ** 2
    exact = 2 * sympy.log(math.cosh(half) / sympy.cosh(half * (1 - 2 * X)))
    return solved_by(
        f"Bratu {strength:.2f}",
        kp.Box(x=(0, 1)),
        exact,
        lambda m, p, u, d: d("x", "x") + strength * m.exp(u),
    )


def troesch(draw: Random) -> Task:
    strength = draw.uniform(1, 7)
    return boundary_value(
        f"Troesch {strength:.1f}",
        lambda m, p, u, d: d("x", "x") - strength * m.sinh(strength * u),
        (0, 1),
        ((0,), (0,)),
        1.0,
        X,
        lambda x: [x**strength, strength * x ** (strength - 1)],
    )


def star(draw: Random) -> Task:
    """The Lane-Emden equation with the power 5, multiplied by x: its leading term vanishes at 0."""
    last = draw.uniform(1, 5)
    domain = kp.Box(x=(0, last))
    exact = 1 / sympy.sqrt(1 + X**2 / 3)
    return solved_by(
        f"Lane-Emden to {last:.1f}",
        domain,
        exact,
        lambda m, p, u, d: p.x * d("x", "x") + 2 * d("x") + p.x * u**5,
        kp.Neumann(domain.boundary["x_min"], 0.0),
        kp.Dirichlet(domain.boundary["x_min"], 1.0),  # two solutions have the same value at the end
    )


def catalyst(draw: Random) -> Task:
    """A reaction that saturates, u/(1 + a u), in a slab."""
    speed, a = 10 ** draw.uniform(0, 3), draw.uniform(0.1, 5)
    domain = kp.Box(x=(0, 1))
    exact = sympy.cosh(math.sqrt(speed / 4) * X) / math.cosh(math.sqrt(speed / 4))
    return solved_by(
        f"catalyst {speed:.0f}",
        domain,
        exact,
        lambda m, p, u, d: d("x", "x") - speed * u / (1 + a * u),
        kp.Neumann(domain.boundary["x_min"], 0.0),
        kp.Dirichlet(domain.boundary["x_max"], 1.0),
    )


# --- in the plane


def ignition(draw: Random) -> Task:
    """Liouville's equation, of whose two radial solutions the lower one is found from zero."""
    rise = draw.uniform(0.1, 0.7)  # both solutions meet at 1
    strength = 8 * rise / (1 + rise) ** 2
    return solved_by(
        f"Liouville {strength:.2f}",
        kp.Disk((0, 0), 1),
        2 * sympy.log((1 + rise) / (1 + rise * (X**2 + Y**2))),
        lambda m, p, u, d: d("x", "x") + d("y", "y") + strength * m.exp(u),
    )


def power_law(draw: Random) -> Task:
    """-div(|∇u|^(p-2) ∇u) = 1 in a disk: the flux degenerates at the centre, and at u = 0."""
    p = draw.uniform(2.5, 4)
    domain, power = kp.Disk((0, 0), 1), p / (p - 1)
    radial = (X**2 + Y**2) ** (power / 2)
    values = function([(1 - radial) / power * 0.5 ** (1 / (p - 1))], "xy")[0]

    def flux(_: Any, u: kp.Jet) -> torch.Tensor:
        slope = kp.grad(u)
        return slope.square().sum(dim=1, keepdim=True) ** (p / 2 - 1) * slope

    problem = Drawn(domain, lambda q, u: kp.div(flux, q, u) + 1, kp.Dirichlet(domain.boundary, 0.0))
    return Task(f"power law {p:.2f}", problem, known(domain, values), {})


def front(draw: Random) -> Task:
    """A steady front of the viscous Burgers equation."""
    nu, (c, s), domain = 10 ** draw.uniform(-2, -1), direction(draw), shape(draw)
    return solved_by(
        f"Burgers front {nu:.1e}",
        domain,
        -sympy.tanh((c * X + s * Y) / (2 * nu)),
        lambda m, p, u, d: u * (c * d("x") + s * d("y")) - nu * (d("x", "x") + d("y", "y")),
    )


def phases(draw: Random) -> Task:
    """A flat wall between two phases in the Allen-Cahn equation."""
    wide, (c, s), domain = 10 ** draw.uniform(-1.7, -0.7), direction(draw), shape(draw)
    return solved_by(
        f"Allen-Cahn wall {wide:.1e}",
        domain,
        sympy.tanh((c * X + s * Y) / (math.sqrt(2) * wide)),
        lambda m, p, u, d: wide**2 * (d("x", "x") + d("y", "y")) + u - u**3,
    )


def convex(draw: Random) -> Task:
    """The Monge-Ampère equation, whose solutions are convex or concave."""
    a, domain = draw.uniform(0.3, 1), shape(draw)
    return solved_by(
        f"Monge-Ampère {a:.2f}",
        domain,
        sympy.exp(a * (X**2 + Y**2) / 2),
        lambda m, p, u, d: d("x", "x") * d("y", "y") - d("x", "y") ** 2,
    )


def film(draw: Random) -> Task:
    """Scherk's minimal surface."""
    a, domain = draw.uniform(0.5, 1.5), shape(draw)
    return solved_by(
        f"minimal surface {a:.2f}",
        domain,
        sympy.log(sympy.cos(a * Y) / sympy.cos(a * X)) / a,
        lambda m, p, u, d: (
            (1 + d("y") ** 2) * d("x", "x")
            - 2 * d("x") * d("y") * d("x", "y")
            + (1 + d("x") ** 2) * d("y", "y")
        ),
    )


def conduction(draw: Random) -> Task:
    """Heat conduction, where the conductivity grows with the temperature."""
    a, k, domain = draw.uniform(0.5, 5), draw.uniform(1, 5), shape(draw)
    return solved_by(
        f"conductivity 1 + {a:.1f} u²",
        domain,
        1 + sympy.sin(k * X + Y) * sympy.cos(Y) / 2,
        lambda m, p, u, d: (
            -(1 + a * u**2) * (d("x", "x") + d("y", "y")) - 2 * a * u * (d("x") ** 2 + d("y") ** 2)
        ),
    )


def wake(draw: Random) -> Task:
    """Kovasznay's flow behind a grid (1948)."""
    reynolds = 10 ** draw.uniform(1, 2.3)
    rate = reynolds / 2 - math.sqrt(reynolds**2 / 4 + 4 * math.pi**2)
    growth, turn = sympy.exp(rate * X), 2 * math.pi * Y
    exact = [
        1 - growth * sympy.cos(turn),
        rate / (2 * math.pi) * growth * sympy.sin(turn),
        (1 - growth**2) / 2,
    ]
    domain = kp.Box(x=(-0.5, 1), y=(-0.5, 0.5))
    values = function(exact, "xy")[0]
    flow = {name: function([one], "xy")[1] for name, one in zip("uv", exact, strict=False)}
    mean = float(sympy.integrate(exact[2], (X, -0.5, 1)))

    def residual(_: Any, u: kp.Jet, v: kp.Jet, pressure: kp.Jet) -> tuple[torch.Tensor, ...]:
        momentum = (
            u.value * kp.partial(one, "x")
            + v.value * kp.partial(one, "y")
            + kp.partial(pressure, name)
            - kp.laplacian(one) / reynolds
            for one, name in ((u, "x"), (v, "y"))
        )
        return *momentum, kp.partial(u, "x") + kp.partial(v, "y")

    problem = Drawn(
        domain,
        residual,
        *(kp.Dirichlet(domain.boundary, value, field=name) for name, value in flow.items()),
        kp.Integral(domain, mean, field="p"),
        fields=("u", "v", "p"),
    )
    return Task(f"Kovasznay {reynolds:.0f}", problem, known(domain, values), {})


KINDS: Sequence[Callable[[Random], Task]] = (
    *(partial(layers, number=number) for number in range(4)),
    *(partial(nonlinear, number=number) for number in range(4)),
    *(combustion, troesch, star, catalyst),
    *(ignition, power_law, front, phases, convex, film, conduction, wake),
)


def drawn(seed: int) -> Task:
    return KINDS[seed % len(KINDS)](Random(f"nonlinear {seed}"))


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Solve random nonlinear problems, and compare with their known solutions."""
    first, budget = 1000 * options.seed, float(options.nonlinear_budget)
    seeds: Sequence[int] = range(first, first + options.nonlinear)
    if options.smoke:  # a problem of each kind, and solves of those with functions of their own
        for seed in range(len(KINDS)):
            drawn(seed)
        seeds = [KINDS.index(power_law), KINDS.index(wake)]

    def solve(seed: int) -> judging.Row:
        tolerance = 10 ** -Random(seed).uniform(3, 8)
        return judging.solved(drawn(seed), f"{seed}", tolerance, budget, options.smoke)

    rows = judging.judged({f"{seed}": partial(solve, seed) for seed in seeds}, budget, failures)
    return judging.summary("nonlinear", rows)
