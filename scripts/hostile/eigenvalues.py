"""Random eigenvalue problems, and what theory or Chebyshev collocation knows of their spectra."""

import argparse
import math
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise, product
from random import Random
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special
import torch
from common.script import Verdict
from hostile import judging
from numpy.polynomial import chebyshev

import kanpinn as kp
from kanpinn.geometry import Domain
from kanpinn.solvers.eigen.spectrum import paired

PI = math.pi
L_DIRICHLET = (9.6397238440219, 15.197251926454, 2 * PI**2, 29.5214811141506, 31.9126359571263)
L_MAXWELL = (1.47562182, 3.53403137, PI**2, PI**2, 11.3894794)  # Dauge (2004)


class Drawn(kp.EigenProblem):
    """A problem whose first eigenvalues, in the order of their real parts, are `known`."""

    def __init__(
        self,
        words: str,
        domain: Domain,
        operator: Callable[..., Any],
        conditions: Sequence[Any],
        known: Sequence[Any],
        fields: Sequence[str] = ("u",),
    ) -> None:
        self.words, self.domain, self.fields = words, domain, tuple(fields)
        self._operator, self._conditions, self.known = (
            operator,
            conditions,
            sorted(known, key=_real),
        )
        self.free_constant = self.fields[2:]  # a pressure

    def operator(self, p: kp.Points, *u: Any) -> Any:
        return self._operator(p, *u)

    def conditions(self) -> list[Any]:
        return [*self._conditions]


class Weighed(Drawn):
    """The same with a mass."""

    def __init__(self, *given: Any, mass: Callable[..., Any], **options: Any) -> None:
        super().__init__(*given, **options)
        self._mass = mass

    def mass(self, p: kp.Points, *u: Any) -> Any:
        return self._mass(p, *u)


def _real(value: complex) -> tuple[float, float]:
    return round(complex(value).real, 9), complex(value).imag


def minus_laplacian(p: kp.Points, u: Any) -> Any:
    return -kp.laplacian(u)


def bending(p: kp.Points, u: Any) -> Any:
    return kp.biharmonic(u)


def line(low: float, high: float) -> tuple[Any, list[Any]]:
    """Return an interval and the condition u = 0 at its ends."""
    domain = kp.Box(x=(low, high))
    return domain, [kp.Dirichlet(domain.boundary)]


def roots(function: Callable[[float], float], ends: Sequence[float]) -> list[float]:
    """Return the roots between neighbouring numbers at which a function has different signs."""
    values = [function(x) for x in ends]
    return [
        float(scipy.optimize.brentq(function, a, b, xtol=1e-13, rtol=1e-14))
        for (a, b), (f, g) in zip(pairwise(ends), pairwise(values), strict=True)
        if f * g < 0
    ]


def collocated(
    operator: Callable[[Any, Any], Any],
    mass: Callable[[Any, Any], Any],
    ends: tuple[float, float],
    orders: Sequence[int],
) -> list[complex]:
    """Return the eigenvalues on which Chebyshev collocations of two sizes agree.

    Args:
        operator, mass: L and M as matrices, of points x (n,) and the k-th derivatives [k] (n, m).
        ends: of the interval.
        orders: of the derivatives that vanish at both ends.
    """
    found = []
    for size in (90, 120) if len(orders) == 1 else (56, 72):  # more would add rounding errors
        half, inner = (ends[1] - ends[0]) / 2, size - 2 * len(orders)
        nodes = np.cos(PI * (np.arange(inner) + 0.5) / inner)
        slopes = [chebyshev.chebder(np.eye(size), k) / half**k for k in range(5)]
        d = [chebyshev.chebvander(nodes, len(one) - 1) @ one for one in slopes]
        x = ends[0] + half * (1 + nodes)
        rims = [
            chebyshev.chebvander(np.array([-1.0, 1.0]), len(slopes[k]) - 1) @ slopes[k]
            for k in orders
        ]
        free = scipy.linalg.null_space(np.concatenate(rims))
        values = scipy.linalg.eig(operator(x, d) @ free, mass(x, d) @ free, right=False)
        found.append(values[np.isfinite(values)])
    gaps = abs(found[1][:, None] - found[0]).min(axis=1)
    kept = sorted(found[1][gaps < 1e-6 * (1 + abs(found[1]))], key=_real)
    return [complex(value) for value in kept[:40]]


def bessel(draw: Random) -> Drawn:
    m, radius = draw.choice([0, 1, 2]), draw.uniform(0.5, 3)
    domain = kp.Box(x=(0, radius))
    inner = (
        kp.Neumann(domain.boundary["x_min"]) if m == 0 else kp.Dirichlet(domain.boundary["x_min"])
    )
    return Drawn(
        f"Bessel {m}, radius {radius:.2f}",
        domain,
        lambda p, u: -kp.laplacian(u) - kp.grad(u) / p.x + m**2 / p.x**2 * u.value,
        [inner, kp.Dirichlet(domain.boundary["x_max"])],
        (scipy.special.jn_zeros(m, 40) / radius) ** 2,
    )


def orthogonal(draw: Random) -> Drawn:
    kind = draw.choice(["Legendre", "Chebyshev", "Euler", "power"])
    if kind == "Euler":
        domain, ends = line(1, math.e)
        known = [(PI * n) ** 2 + 0.25 for n in range(1, 40)]
        return Weighed(
            "Euler", domain, minus_laplacian, ends, known, mass=lambda p, u: u.value / p.x**2
        )
    if kind == "power":
        k = draw.choice([-1, 1, 2])
        domain, ends = line(0, 1)
        grid = np.linspace(1e-3, 130, 6000).tolist()
        # u = √x J_ν(2ν √λ x^(1/(2ν))), ν = 1 / (k + 2)
        zeros = roots(lambda s: scipy.special.jv(1 / (k + 2), s), grid)
        known = [(s * (k + 2) / 2) ** 2 for s in zeros]
        return Weighed(
            f"weight x^{k}",
            domain,
            minus_laplacian,
            ends,
            known,
            mass=lambda p, u: p.x**k * u.value,
        )
    factor = 2 if kind == "Legendre" else 1
    return Drawn(
        kind,
        kp.Box(x=(-1, 1)),
        lambda p, u: (p.x**2 - 1) * kp.laplacian(u) + factor * p.x * kp.grad(u),
        [],
        [n * (n + factor - 1) for n in range(40)],
    )


def hydrogen(draw: Random) -> Drawn:
    charge, momentum = draw.choice([0.5, 1.0, 2.0, 3.0]), draw.choice([0, 1, 2])
    domain, ends = line(0, 250 / charge)
    return Drawn(
        f"hydrogen, charge {charge}, momentum {momentum}",
        domain,
        lambda p, u: (
            -kp.laplacian(u) / 2
            + (momentum * (momentum + 1) / (2 * p.x**2) - charge / p.x) * u.value
        ),
        ends,
        [-(charge**2) / (2 * n**2) for n in range(momentum + 1, momentum + 9)],
    )


def oscillator(draw: Random) -> Drawn:
    a, b = draw.uniform(0.3, 3), draw.uniform(0.3, 3)
    if draw.random() < 0.5:
        domain, ends = line(-12 / a**0.5, 12 / a**0.5)
        known = [a * (2 * n + 1) for n in range(12)]
        return Drawn(
            f"oscillator {a:.2f}",
            domain,
            lambda p, u: -kp.laplacian(u) + (a * p.x) ** 2 * u.value,
            ends,
            known,
        )
    plane = kp.Box(x=(-9 / a**0.5, 9 / a**0.5), y=(-9 / b**0.5, 9 / b**0.5))
    return Drawn(
        f"oscillator {a:.2f}, {b:.2f}",
        plane,
        lambda p, u: -kp.laplacian(u) + ((a * p.x) ** 2 + (b * p.y) ** 2) * u.value,
        [kp.Dirichlet(plane.boundary)],
        sorted(a * (2 * n + 1) + b * (2 * m + 1) for n, m in product(range(9), repeat=2))[:20],
    )


def well(draw: Random) -> Drawn:
    nu = draw.uniform(3, 9)
    if draw.random() < 0.5:
        domain, ends = line(-40, 40)
        known = [-((nu - n) ** 2) for n in range(int(nu) + 1) if nu - n > 0.6]
        return Drawn(
            f"Pöschl–Teller {nu:.2f}",
            domain,
            lambda p, u: -kp.laplacian(u) - nu * (nu + 1) / torch.cosh(p.x) ** 2 * u.value,
            ends,
            known,
        )
    domain, ends = line(-4, 40)
    known = [-((nu - n - 0.5) ** 2) for n in range(int(nu) + 1) if nu - n - 0.5 > 0.6]
    return Drawn(
        f"Morse {nu:.2f}",
        domain,
        lambda p, u: (
            -kp.laplacian(u) + nu**2 * (torch.exp(-2 * p.x) - 2 * torch.exp(-p.x)) * u.value
        ),
        ends,
        known,
    )


def square_well(draw: Random) -> Drawn:
    a, depth = draw.uniform(0.1, 0.9), 10 ** draw.uniform(1, 3)

    def mismatch(value: float) -> float:
        k, q = np.sqrt(value + depth + 0j), np.sqrt(value + 0j)
        return complex(
            np.cos(k * a) * np.sinc(q * (1 - a) / PI) * (1 - a)
            + np.sinc(k * a / PI) * a * np.cos(q * (1 - a))
        ).real

    domain, ends = line(0, 1)
    return Drawn(
        f"square well {depth:.0f}, width {a:.2f}",
        domain,
        lambda p, u: -kp.laplacian(u) - depth * (p.x < a) * u.value,
        ends,
        roots(mismatch, np.linspace(-depth, 4000, 40000).tolist()),
    )


def double_well(draw: Random) -> Drawn:
    c, a = draw.uniform(1, 8), draw.uniform(1, 1.8)
    domain, ends = line(-4, 4)
    known = collocated(
        lambda x, d: -d[2] + (c * (x**2 - a**2) ** 2)[:, None] * d[0],
        lambda x, d: d[0],
        (-4, 4),
        [0],
    )
    return Drawn(
        f"double well {c:.1f}, {a:.2f}",
        domain,
        lambda p, u: -kp.laplacian(u) + c * (p.x**2 - a**2) ** 2 * u.value,
        ends,
        [value.real for value in known],
    )


def advection(draw: Random) -> Drawn:
    b = draw.uniform(2, 40)
    if draw.random() < 0.5:
        domain, ends = line(0, 1)
        known = [(PI * n) ** 2 + b**2 / 4 for n in range(1, 40)]
        return Drawn(
            f"advection {b:.1f}",
            domain,
            lambda p, u: -kp.laplacian(u) + b * kp.grad(u),
            ends,
            known,
        )
    speed = draw.uniform(2, 30)
    disk = kp.Disk((0, 0), 1)
    values = [
        complex(zero**2, sign * speed * m)
        for m in range(14)
        for zero in scipy.special.jn_zeros(m, 8)
        for sign in ((1, -1) if m else (0,))
    ]
    return Drawn(
        f"turning disk {speed:.1f}",
        disk,
        lambda p, u: (
            -kp.laplacian(u) + speed * (p.x * kp.partial(u, "y") - p.y * kp.partial(u, "x"))
        ),
        [kp.Dirichlet(disk.boundary)],
        sorted(values, key=_real)[:30],
    )


def rectangle(draw: Random) -> Drawn:
    wide, high = draw.uniform(0.5, 2), draw.choice([1.0, draw.uniform(0.5, 2)])
    domain = kp.Box(x=(0, wide), y=(0, high))
    kinds = {name: draw.choice(["D", "N"]) for name in domain.boundary.names}
    conditions = [
        (kp.Dirichlet if kind == "D" else kp.Neumann)(domain.boundary[name])
        for name, kind in kinds.items()
    ]

    def modes(axis: str, length: float) -> list[float]:
        both = kinds[f"{axis}_min"] + kinds[f"{axis}_max"]
        first = {"DD": 1, "NN": 0}.get(both, 0.5)
        return [((first + n) * PI / length) ** 2 for n in range(30)]

    known = sorted(a + b for a in modes("x", wide) for b in modes("y", high))[:60]
    return Drawn(
        f"rectangle {wide:.2f} x {high:.2f} {''.join(kinds.values())}",
        domain,
        minus_laplacian,
        conditions,
        known,
    )


def triangle(draw: Random) -> Drawn:
    free, equal = draw.random() < 0.4, draw.random() < 0.5
    # Lamé (1852) for the equilateral triangle; modes of the square for half of it.
    if equal:
        corners = [(0.0, 0.0), (1.0, 0.0), (0.5, 3**0.5 / 2)]
        first = 0 if free else 1
        known = [
            16 * PI**2 / 9 * (m * m + m * n + n * n) for m, n in product(range(first, 14), repeat=2)
        ]
    else:
        corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
        known = [
            PI**2 * (m * m + n * n) for m in range(14) for n in range(m, 14) if free or 0 < m < n
        ]
    domain = kp.Polygon(corners)
    kind = kp.Neumann if free else kp.Dirichlet
    return Drawn(
        f"triangle, {'equal' if equal else 'right'}, free {free}",
        domain,
        minus_laplacian,
        [kind(domain.boundary)],
        sorted(known)[:60],
    )


def ring(draw: Random) -> Drawn:
    inner, free = draw.choice([0.0, draw.uniform(0.1, 0.6)]), draw.random() < 0.5
    first = scipy.special.jvp if free else scipy.special.jv
    second = scipy.special.yvp if free else scipy.special.yv

    def mismatch(k: float, m: int) -> float:
        if not inner:
            return float(first(m, k))
        j, y = scipy.special.jv(m, k * inner), scipy.special.yv(m, k * inner)
        return float(first(m, k) * y - second(m, k) * j)

    known = [0.0] if free and not inner else []
    for m in range(25):
        zeros = roots(partial(mismatch, m=m), np.linspace(1e-4, 40, 4001).tolist())
        known += [z**2 for z in zeros] * (1 if m == 0 else 2)
    domain: Any = kp.Annulus((0, 0), inner, 1) if inner else kp.Disk((0, 0), 1)
    outside = domain.boundary["outer"] if inner else domain.boundary
    conditions: list[Any] = [(kp.Neumann if free else kp.Dirichlet)(outside)]
    conditions += [kp.Dirichlet(domain.boundary["inner"])] if inner else []
    words = f"ring {inner:.2f}, free {free}"
    return Drawn(words, domain, minus_laplacian, conditions, sorted(known)[:60])


def sector(draw: Random) -> Drawn:
    angle, mixed = draw.uniform(0.3, 1.95) * PI, draw.random() < 0.4
    domain, known = kp.Sector((0, 0), 1, 0, angle), list[float]()
    for n in range(40):
        bessel_function = partial(scipy.special.jv, (n + (0.5 if mixed else 1)) * PI / angle)
        known += [z**2 for z in roots(bessel_function, np.linspace(1e-2, 40, 4000).tolist())]
    kinds = {
        "start": kp.Dirichlet,
        "arc": kp.Dirichlet,
        "end": kp.Neumann if mixed else kp.Dirichlet,
    }
    conditions = [kind(domain.boundary[name]) for name, kind in kinds.items()]
    words = f"sector {angle / PI:.2f} π, mixed {mixed}"
    return Drawn(words, domain, minus_laplacian, conditions, sorted(known)[:60])


def corner(draw: Random) -> Drawn:
    domain = kp.LShape()
    if draw.random() < 0.5:
        return Drawn(
            "L, Dirichlet", domain, minus_laplacian, [kp.Dirichlet(domain.boundary)], L_DIRICHLET
        )
    return Drawn(
        "L, Neumann", domain, minus_laplacian, [kp.Neumann(domain.boundary)], (0.0, *L_MAXWELL)
    )


def plate(draw: Random) -> Drawn:
    def determinant(k: float, m: int) -> float:
        inner = scipy.special.ive(m, k)
        slope = scipy.special.ive(m + 1, k) + m / k * inner
        return float(scipy.special.jv(m, k) * slope - inner * scipy.special.jvp(m, k))

    if draw.random() < 0.5:
        disk, known = kp.Disk((0, 0), 1), list[float]()
        for m in range(12):
            zeros = roots(partial(determinant, m=m), scipy.special.jn_zeros(m, 9).tolist())
            known += [k**4 for k in zeros] * (1 if m == 0 else 2)
        clamped = [kp.Dirichlet(disk.boundary), kp.Neumann(disk.boundary)]
        return Drawn("plate, clamped disk", disk, bending, clamped, sorted(known)[:30])
    wide = draw.uniform(0.6, 2)
    box = kp.Box(x=(0, wide), y=(0, 1))
    known = [PI**4 * ((i / wide) ** 2 + j**2) ** 2 for i, j in product(range(1, 12), repeat=2)]
    held = [
        kp.Dirichlet(box.boundary),
        kp.Constraint(box.boundary, lambda p, u: kp.laplacian(u)),
    ]
    return Drawn(f"plate, held {wide:.2f} x 1", box, bending, held, sorted(known)[:40])


def buckling(draw: Random) -> Drawn:
    mass = lambda p, u: -kp.laplacian(u)  # noqa: E731
    if draw.random() < 0.5:
        domain, _ = line(0, 1)
        zeros = roots(
            lambda k: math.sin(k / 2) * (k / 2 * math.cos(k / 2) - math.sin(k / 2)),
            np.linspace(0.5, 80, 3000).tolist(),
        )
        known = [k**2 for k in zeros]
    else:
        domain = kp.Disk((0, 0), 1)
        known = [
            z**2
            for m in range(14)
            for z in scipy.special.jn_zeros(m + 1, 8)
            for _ in range(1 if m == 0 else 2)
        ]
    rim = domain.boundary
    return Weighed(
        f"buckling in {domain.dim}-D",
        domain,
        lambda p, u: kp.biharmonic(u),
        [kp.Dirichlet(rim), kp.Neumann(rim)],
        sorted(known)[:30],
        mass=mass,
    )


def stokes(draw: Random) -> Drawn:
    radius = draw.uniform(0.5, 2)
    disk = kp.Disk((0, 0), radius)
    known = [
        (z / radius) ** 2
        for m in range(14)
        for z in scipy.special.jn_zeros(m + 1, 8)
        for _ in range(1 if m == 0 else 2)
    ]
    return Weighed(
        f"Stokes, radius {radius:.2f}",
        disk,
        lambda p, u, v, q: (
            -kp.laplacian(u) + kp.partial(q, "x"),
            -kp.laplacian(v) + kp.partial(q, "y"),
            kp.div(u, v),
        ),
        [kp.Dirichlet(disk.boundary, 0.0, field=name) for name in "uv"],
        sorted(known)[:30],
        ("u", "v", "q"),
        mass=lambda p, u, v, q: (u.value, v.value, 0 * q.value),
    )


def orr_sommerfeld(draw: Random) -> Drawn:
    alpha, reynolds = draw.uniform(0.7, 1.3), 10 ** draw.uniform(1.5, 3)
    square = alpha**2

    def left(x: Any, d: Any) -> Any:
        flow, bend = (1 - x**2)[:, None], -2.0
        viscous = (d[4] - 2 * square * d[2] + square**2 * d[0]) / reynolds
        return 1j * alpha * (flow * (d[2] - square * d[0]) - bend * d[0]) - viscous

    known = collocated(left, lambda x, d: d[2] - square * d[0], (-1, 1), [0, 1])
    domain = kp.Box(x=(-1, 1))

    def inner(u: Any) -> Any:
        return kp.laplacian(u) - square * u.value

    def operator(p: kp.Points, u: Any, v: Any) -> Any:
        def viscous(one: Any) -> Any:
            return (
                kp.biharmonic(one) - 2 * square * kp.laplacian(one) + square**2 * one.value
            ) / reynolds

        def carried(one: Any) -> Any:
            return alpha * ((1 - p.x**2) * inner(one) + 2 * one.value)

        return -viscous(u) - carried(v), -viscous(v) + carried(u)

    rim = domain.boundary
    conditions = [
        kind(rim, 0.0, field=name) for name in "uv" for kind in (kp.Dirichlet, kp.Neumann)
    ]
    both = [value for one in known[:20] for value in (one, one.conjugate())]
    return Weighed(
        f"Orr–Sommerfeld {alpha:.2f}, {reynolds:.0f}", domain, operator, conditions, both, "uv",
        mass=lambda p, u, v: (inner(u), inner(v)),
    )  # fmt: skip


def steklov(draw: Random) -> Drawn:
    inner = draw.choice([0.0, draw.uniform(0.1, 0.7)])
    domain: Any = kp.Annulus((0, 0), inner, 1) if inner else kp.Disk((0, 0), 1)
    known = list[float]()
    for n in range(16):
        if not inner:
            own = [float(n)]
        elif n == 0:
            own = [0.0, -(1 + 1 / inner) / math.log(inner)]
        else:
            a, b = inner**n, inner**-n  # r^n and r^-n at the inner rim, where the normal is -r
            slopes = np.array([[n, -n], [-n * a / inner, n * b / inner]])
            own = scipy.linalg.eigvals(slopes, np.array([[1, 1], [a, b]])).real.tolist()
        known += own * (1 if n == 0 else 2)
    flux = kp.Constraint(
        domain.boundary, lambda p, u: kp.normal_derivative(u, p), mass=lambda p, u: u.value
    )
    return Weighed(
        f"Steklov {inner:.2f}",
        domain,
        minus_laplacian,
        [flux],
        sorted(known)[:24],
        mass=lambda p, u: 0 * u.value,
    )


def maxwell(draw: Random) -> Drawn:
    wide = draw.uniform(0.6, 2)
    box, ell = kp.Box(x=(0, wide), y=(0, 1)), kp.LShape()
    domain: Any = draw.choice([box, ell])
    known = [PI**2 * ((i / wide) ** 2 + j**2) for i, j in product(range(12), repeat=2) if i or j]
    return Weighed(
        f"Maxwell {'L' if domain is ell else f'{wide:.2f} x 1'}",
        domain,
        lambda p, u, v: (-kp.laplacian(u), -kp.laplacian(v), kp.div(u, v)),
        [kp.TangentialDirichlet(domain.boundary, 0.0, fields=("u", "v"))],
        L_MAXWELL if domain is ell else sorted(known)[:30],
        "uv",
        mass=lambda p, u, v: (u.value, v.value, 0 * u.value),
    )


def singular_mass(draw: Random) -> Drawn:
    kind = draw.choice(["convection", "mixed plate", "Mathieu"])
    if kind == "Mathieu":
        q, domain = draw.uniform(0.5, 8), kp.Box(x=(0, 2 * PI))
        known = [scipy.special.mathieu_a(n, q) for n in range(12)]
        known += [scipy.special.mathieu_b(n, q) for n in range(1, 12)]
        tied = [kp.Periodic(domain, "x")]
        return Drawn(
            f"Mathieu {q:.1f}",
            domain,
            lambda p, u: -kp.laplacian(u) + 2 * q * torch.cos(2 * p.x) * u.value,
            tied,
            known,
        )
    if kind == "mixed plate":
        wide = draw.uniform(0.6, 2)
        box = kp.Box(x=(0, wide), y=(0, 1))
        known = [PI**4 * ((i / wide) ** 2 + j**2) ** 2 for i, j in product(range(1, 12), repeat=2)]
        return Weighed(
            f"mixed plate {wide:.2f}",
            box,
            lambda p, u, v: (-kp.laplacian(u) - v.value, -kp.laplacian(v)),
            [kp.Dirichlet(box.boundary, 0.0, field=name) for name in "uv"],
            sorted(known)[:40],
            "uv",
            mass=lambda p, u, v: (0 * u.value, u.value),
        )
    a, domain = draw.uniform(1.5, 4), kp.Box(x=(0, 1))
    # Rayleigh (1916): free surfaces, λ = Ra.
    known = [((PI * n) ** 2 + a**2) ** 3 / a**2 for n in range(1, 20)]
    rim = domain.boundary
    inner: Callable[[Any], Any] = lambda u: kp.laplacian(u) - a**2 * u.value  # noqa: E731
    return Weighed(
        f"convection {a:.2f}",
        domain,
        lambda p, u, v: (
            kp.biharmonic(u) - 2 * a**2 * kp.laplacian(u) + a**4 * u.value,
            inner(v) + u.value,
        ),
        [
            *(kp.Dirichlet(rim, 0.0, field=name) for name in "uv"),
            kp.Constraint(rim, lambda p, u, v: kp.laplacian(u)),
        ],
        known,
        "uv",
        mass=lambda p, u, v: (a**2 * v.value, 0 * v.value),
    )


KINDS = (
    *(bessel, orthogonal, hydrogen, oscillator, well, square_well, double_well, advection),
    *(rectangle, triangle, ring, sector, corner, plate, buckling, stokes, orr_sommerfeld),
    *(steklov, maxwell, singular_mass),
)


def drawn(seed: int) -> tuple[Drawn, dict[str, Any], Any]:
    """Return a random problem, the arguments of `kp.eigen`, and the eigenvalues (k,) asked for."""
    draw = Random(f"eigenvalues {seed}")
    problem = KINDS[seed % len(KINDS)](draw)
    known = np.array([complex(value) for value in problem.known])
    count = min(draw.randint(1, 8), len(known) - 2)
    options: dict[str, Any] = {"count": count, "tolerance": 10 ** -draw.uniform(3, 8)}
    order = known.real - known.real[0] if abs(known.imag).max() < 1e-12 else known.real + 1e9
    chosen = draw.random()
    if chosen < 0.4:
        middle = known[draw.randrange(min(len(known) - count, 12) // 2 + 1)]
        near = middle if chosen < 0.1 else middle * (1 + draw.uniform(-0.2, 0.2)) + 0.01
        options["near"] = complex(near) if abs(near.imag) > 1e-9 else float(near.real)
        order = abs(known - options["near"])
    last = np.sort(order)[count - 1]
    if "near" in options and last > 0.9 * abs(known[-1] - options["near"]):
        del options["near"]  # the known ones do not reach as far on the other side
        order = known.real
        last = np.sort(order)[count - 1]
    return problem, options, known[order <= last + 1e-9 * (1 + abs(last))]


def solved(seed: int, budget: float, smoke: bool) -> judging.Row:
    """Search for eigenvalues, and return the row of the search."""
    problem, options, asked = drawn(seed)
    if smoke:
        options, budget = {"count": 1, "tolerance": 0.3}, 0.2
    clocks = time.process_time(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = kp.eigen(problem, budget=budget, **options)
    seconds = min(time.process_time() - clocks[0], time.perf_counter() - clocks[1])
    values = solution.values.to(torch.complex128)
    exact = paired(values, torch.tensor(asked)) if len(values) else values
    scale = max(1e-3, float(np.abs(asked).max()))
    sizes = torch.where(exact.abs() > 1e-6 * scale, exact.abs(), scale).real
    true, known_to = ((values - exact).abs() / sizes).tolist(), 2e-9
    estimates: list[float | None] = [None] * len(true)
    if solution.estimates is not None:
        estimates = (solution.estimates / sizes).tolist()
    ratios = (judging.ratio(t, known_to, e) for t, e in zip(true, estimates, strict=True))
    return {
        "name": f"{seed}: {problem.words}",
        **options,
        "near": str(options.get("near")),
        "status": solution.status,
        "found": len(values),
        "known_to": known_to,
        "true": max(true, default=math.inf),
        "estimate": max((one for one in estimates if one is not None), default=None),
        "ratio": max((one for one in ratios if one is not None), default=None),
        "values": [str(complex(v)) for v in values.tolist()],
        "asked": [str(complex(v)) for v in asked],
        "seconds": seconds,
    }


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Search for eigenvalues of random problems, and compare with the known ones."""
    first, budget = 1000 * options.seed, float(options.eigen_budget)
    if options.smoke:  # a problem of each kind, and solves of those with all kinds of terms
        for seed in range(len(KINDS)):
            drawn(seed)
        first = KINDS.index(plate)
    seeds = range(first, first + options.eigenvalues)
    solves = {f"{seed}": partial(solved, seed, budget, options.smoke) for seed in seeds}
    return judging.summary("eigenvalues", judging.judged(solves, budget, failures))
