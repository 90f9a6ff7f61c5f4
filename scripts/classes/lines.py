"""Problems on an interval and systems in time by SciPy; eigenvalues by Chebyshev collocation."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.linalg
import sympy
import torch
from classes.task import Array, Operator, Solves, Task, Truth, known, source_of, stated, within
from hostile.eigenvalues import Drawn as Spectrum
from hostile.eigenvalues import minus_laplacian
from hostile.ill_posed import Drawn as Asked
from scipy.integrate import solve_bvp, solve_ivp

import kanpinn as kp

X = sympy.Symbol("x")


def boundary_value(
    words: str,
    operator: Operator,
    ends: Sequence[float],
    orders: Sequence[Sequence[int]],
    lead: float,
    exact: Any,
    start: Callable[[Array], Sequence[Any]] | None = None,
) -> Task:
    """Return operator(u) = operator(exact), or 0 where the exact solution is not known.

    Args:
        words: of the table.
        operator: linear in the highest derivative.
        ends: of the interval.
        orders: for each end the orders of the derivatives that are given.
        lead: the coefficient of the highest derivative.
        exact: an expression in x; an expression with `start` only gives the values at the ends.
        start: a guess of u, u', ... at x, from which SciPy finds the solution; None for zero.
    """
    pairs = [(end, k) for end, given in enumerate(orders) for k in given]
    values = [float(sympy.diff(exact, X, k).subs(X, ends[end])) for end, k in pairs]
    count, domain, kinds = len(pairs), kp.Box(x=tuple(ends)), (kp.Dirichlet, kp.Neumann)
    conditions = [
        kinds[k](domain.boundary[f"x_{('min', 'max')[end]}"], value * (-1) ** (k * (1 - end)))
        for (end, k), value in zip(pairs, values, strict=True)
    ]
    numbers, tensors = source_of(operator, exact, "x")
    if start:
        numbers, tensors = (lambda x: 0 * x), (lambda p: 0 * p.x)

    def rate(x: Array, y: Array) -> Array:
        lower: Any = lambda *by: y[len(by)] if len(by) < count else 0.0  # noqa: E731
        rest = operator(np, SimpleNamespace(x=x), y[0], lower)
        return np.vstack([*y[1:], (numbers(x[:, None])[:, 0] - rest) / lead])

    def gaps(a: Array, b: Array) -> Array:
        return np.array([(a, b)[end][k] for end, k in pairs]) - values

    def solved(tolerance: float, size: int) -> Any:
        half = np.linspace(-1, 1, size)  # points are denser towards both ends
        x = ends[0] + (ends[1] - ends[0]) * (0.5 + np.sign(half) * (1 - (1 - abs(half)) ** 2.5) / 2)
        y = np.stack([one + 0 * x for one in start(x)]) if start else np.zeros((count, size))
        return solve_bvp(rate, gaps, x, y, tol=tolerance, max_nodes=200_000)

    def by_scipy(coords: Array) -> Solves:
        for digits in range(2, 13, 2):
            if not (found := solved(10.0**-digits, 101)).success:
                return
            yield f"1e-{digits}", partial(lambda sol: sol(coords[:, 0])[:1].T, found.sol)

    def reference(_: bool) -> Truth:
        x, found = within(domain), solved(3e-9, 301)
        return Truth(x, found.sol(x[:, 0])[:1].T, 1e-12 if found.success else math.nan)

    truth = reference if start else known(domain, sympy_values(exact))
    problem = stated(operator, domain, conditions, tensors)
    return Task(words, problem, truth, {"SciPy solve_bvp": by_scipy})


def sympy_values(exact: Any) -> Callable[[Array], Array]:
    return source_of(lambda m, p, u, d: u, exact, "x")[0]


def layers(draw: Random, number: int) -> Task:
    eps, a, b = 10 ** draw.uniform(-5, -3), draw.uniform(0.5, 2), draw.uniform(1, 4)
    wave, root = sympy.sin(b * X) + a, math.sqrt(eps)
    second: tuple[tuple[int, ...], ...] = (0,), (0,)
    return [
        lambda: boundary_value(
            f"outflow layer {eps:.1e}",
            lambda m, p, u, d: -eps * d("x", "x") + d("x"),
            (-1, 0), second, -eps, wave * (1 - sympy.exp(X / eps)),
        ),
        lambda: boundary_value(
            f"reaction layers {root:.1e}",
            lambda m, p, u, d: -eps * d("x", "x") + u,
            (0, 1), second, -eps, wave + sympy.exp(-X / root) + 2 * sympy.exp((X - 1) / root),
        ),
        lambda: boundary_value(
            f"turning point {eps:.1e}",
            lambda m, p, u, d: eps * d("x", "x") + 2 * p.x * d("x"),
            (-1, 1), second, eps, sympy.erf(X / root),
        ),
        lambda: boundary_value(
            f"clamped beam under tension {root:.1e}",
            lambda m, p, u, d: eps * d("x", "x", "x", "x") - d("x", "x"),
            (0, 1), ((0, 1), (0, 1)), eps, sympy.cos(b * X) + root * sympy.exp(-X / root),
        ),
    ][number % 4]()  # fmt: skip


def nonlinear(draw: Random, number: int) -> Task:
    eps, a, reynolds = (
        10 ** draw.uniform(-2.3, -1.7),
        draw.uniform(0.3, 1),
        10 ** draw.uniform(1, 3),
    )
    length, width = draw.uniform(8, 15), 0.5 - a / 4
    return [
        lambda: boundary_value(
            f"Falkner-Skan {a:.2f} to {length:.1f}",
            lambda m, p, u, d: d("x", "x", "x") + u * d("x", "x") + a * (1 - d("x") * d("x")),
            (0, length), ((0, 1), (1,)), 1.0, X**2 / (2 * length),
            lambda x: [x, 1, np.exp(-x)],
        ),
        lambda: boundary_value(
            f"interior layer {eps:.1e}",
            lambda m, p, u, d: eps * d("x", "x") + u * d("x") - u,
            (0, 1), ((0,), (0,)), eps, (1 + 2 * width) * X - 2 * width * a,
            lambda x: [x - a / 2 + width * np.tanh(width * (x - a / 2) / 2 / eps), 1],
        ),
        lambda: boundary_value(
            f"viscous eikonal {2 * eps:.1e}",
            lambda m, p, u, d: 2 * eps * d("x", "x") + d("x") * d("x") - 1,
            (0, 1), ((0,), (0,)), 2 * eps,
            2 * eps * sympy.log(sympy.exp(-X / eps / 2) + sympy.exp((X - 1 + a / 2) / eps / 2)),
        ),
        lambda: boundary_value(
            f"flow through a wall, R = {reynolds:.0f}",
            lambda m, p, u, d: (
                d("x", "x", "x", "x") - reynolds * (d("x") * d("x", "x") - u * d("x", "x", "x"))
            ),
            (0, 1), ((0, 1), (0, 1)), 1.0, 3 * X**2 - 2 * X**3,
            lambda x: [3 * x**2 - 2 * x**3, 6 * x - 6 * x**2, 6 - 12 * x, -12],
        ),
    ][number % 4]()  # fmt: skip


def bodies(y: Any) -> list[Any]:
    """Return the rates of places and velocities (28) of seven bodies of masses 1 to 7."""
    pulls = [[0.0 * y[0]] * 7, [0.0 * y[0]] * 7]
    for i, j in product(range(7), range(7)):
        if i != j:
            gaps = [y[7 * k + j] - y[7 * k + i] for k in (0, 1)]
            pull = (j + 1) * (gaps[0] ** 2 + gaps[1] ** 2) ** -1.5
            for k in (0, 1):
                pulls[k][i] = pulls[k][i] + pull * gaps[k]
    return [*y[14:], *pulls[0], *pulls[1]]


SEVEN = [
    3,
    3,
    -1,
    -3,
    2,
    -2,
    2,
    3,
    -3,
    2,
    0,
    0,
    -4,
    4,
    0,
    0,
    0,
    0,
    0,
    1.75,
    -1.5,
    0,
    0,
    0,
    -1.25,
    1,
]


def ordinary(draw: Random, number: int) -> Task:
    a, last, first = draw.uniform(0.5, 2), draw.uniform(10, 20), draw.uniform(0.5, 2)
    rates: Callable[[Any], list[Any]]
    words, last, start, rates = [
        ("seven bodies", 3.0, [a**0.2 * x for x in SEVEN] + [0, 0], bodies),
        (
            f"van der Pol {10 * a:.1f}", last, [first, 0],
            lambda y: [y[1], 10 * a * (1 - y[0] ** 2) * y[1] - y[0]],
        ),
        (
            f"predators and prey {a:.2f}", last, [first, 1],
            lambda y: [a * y[0] - y[0] * y[1], y[0] * y[1] - 2 * y[1]],
        ),
        (
            f"Lorenz until {last / 4:.1f}", last / 4, [first, 1, 1],
            lambda y: [10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]],
        ),
    ][number % 4]  # fmt: skip
    domain, values = kp.Box(t=(0, last)), torch.tensor([start], dtype=torch.float64)

    def residual(p: kp.Points, *y: kp.Jet) -> torch.Tensor:
        slopes = torch.cat([kp.partial(one, "t") for one in y], dim=1)
        return slopes - torch.cat(rates([one.value for one in y]), dim=1)

    fields = tuple(f"y{i}" for i in range(len(start)))
    begin = kp.Initial(domain, lambda p: values.expand(len(p), len(start)))

    def path(method: str, tolerance: float) -> Any:
        right: Any = lambda t, y: np.array(rates(y))  # noqa: E731
        more = {"rtol": tolerance, "atol": tolerance / 10, "dense_output": True}
        return solve_ivp(right, (0, last), start, method, **more).sol

    def by_scipy(method: str, coords: Array) -> Solves:
        for digits in range(3, 14, 2):
            yield f"1e-{digits}", partial(lambda s: s(coords[:, 0]).T, path(method, 10.0**-digits))

    def truth(_: bool) -> Truth:
        return Truth(x := within(domain), path("DOP853", 2.3e-14)(x[:, 0]).T)

    methods = {f"SciPy {name}": partial(by_scipy, name) for name in ("DOP853", "Radau")}
    return Task(words, Asked(domain, residual, begin, fields=fields), truth, methods)


def spectral_task(problem: Spectrum, sought: Array, codes: Any, skipped: int = 0) -> Task:
    """Return the task to find eigenvalues after `skipped` zeros; values are relative to them."""
    vars(problem).update(sought=sought, skipped=skipped)
    whole = Truth(np.arange(len(sought))[:, None], np.ones((len(sought), 1)))
    return Task(problem.words, problem, lambda _: whole, codes)


def line_spectrum(draw: Random) -> Task:
    """Return -u'' + V u = λ u on an interval, where V has one or two wells."""
    c, a, wide, count = draw.uniform(1, 8), draw.uniform(0.8, 1.8), 5.0, 6
    words, potential = draw.choice(
        [
            ("double well", lambda x: c * (x**2 - a**2) ** 2),
            ("quartic oscillator", lambda x: c * x**4 + a * x),
        ]
    )
    domain = kp.Box(x=(-wide, wide))

    def collocated(size: int) -> Array:
        """Return the first eigenvalues of Trefethen's matrices (2000)."""
        x = np.cos(math.pi * np.arange(size + 1) / size)
        weights = np.r_[2, np.ones(size - 1), 2] * (-1.0) ** np.arange(size + 1)
        slopes = np.outer(weights, 1 / weights) / (x[:, None] - x + np.eye(size + 1))
        slopes -= np.diag(slopes.sum(axis=1))
        second = (slopes @ slopes)[1:-1, 1:-1] / wide**2
        matrix = np.diag(potential(wide * x[1:-1])) - second
        return np.sort(scipy.linalg.eigvals(matrix).real)[:count]

    def by_chebyshev(_: Array) -> Solves:
        for size in (12, 24, 32, 48, 64, 96, 128, 192, 256):
            yield size, partial(lambda found: (found / sought)[:, None], collocated(size))

    sought = collocated(160)
    problem = Spectrum(
        f"{words} {c:.1f}, {a:.2f}",
        domain,
        lambda p, u: minus_laplacian(p, u) + potential(p.x) * u.value,
        [kp.Dirichlet(domain.boundary)],
        sought.tolist(),
    )
    return spectral_task(problem, sought, {"Chebyshev collocation": by_chebyshev})
