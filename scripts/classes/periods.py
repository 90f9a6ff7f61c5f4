"""Evolutions on a period by Fourier modes, and of a porous medium by finite volumes."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from random import Random
from typing import Any

import numpy as np
import sympy
import torch
from classes.task import (
    MOMENTS,
    Array,
    Operator,
    Solves,
    Task,
    Truth,
    box,
    derivatives,
    function,
    known,
)
from hostile.ill_posed import Drawn as Asked
from references.spectral import factors_of, step_of
from scipy.integrate import solve_ivp

import kanpinn as kp


def periodic(
    words: str,
    wide: Sequence[float],
    last: float,
    linear: Mapping[tuple[str, ...], float],
    operator: Operator,
    initial: Any,
    modes: Sequence[int],
) -> Task:
    """Return u_t = sum of linear[names] u_names + operator(u), with ETDRK4 steps.

    modes: along each coordinate, of all solves; twice the last number gives the truth.
    """
    names, shape = "xyz"[: len(wide)], [-1] * len(wide)
    domain, (numbers, tensors) = box(wide, t=(0.0, last)), function([initial], names)

    def residual(p: kp.Points, u: kp.Jet) -> torch.Tensor:
        spread = sum(c * kp.partial(u, *by) for by, c in linear.items())
        return kp.partial(u, "t") - spread - operator(torch, p, u.value, derivatives(u))

    order = 2 if any(len(by) > 2 for by in linear) else 1
    tied = [kp.Periodic(domain, name, order=order) for name in names]

    def fourier(count: int, steps: int) -> tuple[Array, list[Array]]:
        """Return the spectra at all moments, (MOMENTS, count, ...), and wave numbers."""
        ks = [2 * math.pi * np.fft.fftfreq(count, w / count) for w in wide]
        waves = dict(zip(names, np.meshgrid(*ks, indexing="ij"), strict=True))
        grid = np.meshgrid(*(np.arange(count) * w / count for w in wide), indexing="ij")
        start = numbers(np.stack([one.ravel() for one in grid], axis=1))
        keep = math.prod(abs(k) <= 2 / 3 * abs(k).max() for k in waves.values())
        symbol = sum(c * math.prod(1j * waves[n] for n in by) for by, c in linear.items())
        factors = factors_of(symbol + 0 * keep, last / MOMENTS / steps)

        def rate(u: Array) -> Array:
            def d(*by: str) -> Array:
                return np.fft.ifftn(u * math.prod(1j * waves[n] for n in by)).real

            return keep * np.fft.fftn(operator(np, None, d(), d))

        u, found = np.fft.fftn(start.reshape(grid[0].shape)), []
        for i in range(MOMENTS * steps):
            u = step_of(rate, u, factors)
            if (i + 1) % steps == 0:
                found.append(u)
        return np.stack(found), [one.ravel() for one in waves.values()]

    def at(found: tuple[Array, list[Array]], coords: Array) -> Array:
        spectra, waves = found
        x = coords[: len(coords) // MOMENTS]
        phases: Any = sum(np.outer(x[:, i], k) for i, k in enumerate(waves))
        values = np.exp(1j * phases) @ spectra.reshape(MOMENTS, -1).T / waves[0].size
        return values.real.T.reshape(-1, 1)

    def etdrk4(coords: Array) -> Solves:
        for count, steps in product(modes, (10, 30, 100, 300)):
            yield f"{count}, {MOMENTS * steps}", partial(at, fourier(count, steps), coords)

    def truth(smoke: bool) -> Truth:
        x = np.random.default_rng(0).random((60 if shape[1:] else 300, len(wide))) * wide
        moments = last * np.arange(1, MOMENTS + 1) / MOMENTS
        coords = np.concatenate([np.column_stack([x, 0 * x[:, :1] + t]) for t in moments])
        fine = (modes[0], 10) if smoke else (2 * modes[-1], 400 if shape[1:] else 1000)
        return Truth(coords, at(fourier(*fine), coords))

    problem = Asked(domain, residual, kp.Initial(domain, tensors), *tied)
    return Task(words, problem, truth, {"Fourier ETDRK4": etdrk4})


def evolution(draw: Random, number: int) -> Task:
    nu, last, a = 10 ** draw.uniform(-2.3, -1.3), draw.uniform(0.7, 1.3), draw.uniform(0.2, 0.8)
    x, modes = sympy.Symbol("x"), [64, 128, 256, 512]
    spread: dict[tuple[str, ...], float] = {("x", "x"): nu}
    wave = sympy.cos(math.pi * x) + a * sympy.sin(2 * math.pi * x)
    steepening: Operator = lambda m, p, u, d: -u * d("x")  # noqa: E731
    if number % 4 == 0:
        return periodic(f"Burgers {nu:.1e}", [2.0], last, spread, steepening, wave, [*modes, 1024])
    if number % 4 == 1:
        spread = {("x", "x", "x"): -4.84e-4, ("x", "x"): nu / 10}
        words = f"KdV with viscosity {nu / 10:.1e}"
        return periodic(words, [2.0], last, spread, steepening, wave, modes)
    if number % 4 == 2:
        words, spread = f"Allen-Cahn {nu / 10:.1e}", {("x", "x"): nu / 10}
        growth: Operator = lambda m, p, u, d: 4 * (u - u**3)  # noqa: E731
        return periodic(words, [2.0], 2 * last, spread, growth, wave, modes)
    return porous(draw.choice([2, 3]), a + 0.2, (a + 0.2) * draw.uniform(2, 4))


def plane_period(draw: Random) -> Task:
    nu, (x, y), turn = 10 ** draw.uniform(-2, -1), sympy.symbols("x y"), 2 * math.pi
    first = sympy.sin(turn * x) * sympy.cos(turn * y) + sympy.cos(turn * (x + y)) / 2
    words, operator = draw.choice(
        [
            ("Burgers", lambda m, p, u, d: -u * (d("x") + d("y"))),
            ("Allen-Cahn", lambda m, p, u, d: 5 * (u - u**3)),
        ]
    )
    spread: dict[tuple[str, ...], float] = {("x", "x"): nu, ("y", "y"): nu}
    words = f"{words} in the plane {nu:.1e}"
    return periodic(words, [1.0, 1.0], 0.5, spread, operator, first, [16, 32, 64, 128])


def porous(m: int, first: float, last: float) -> Task:
    """Return Barenblatt's solution (1952) of u_t = (u^m)_xx."""
    domain, k = kp.Box(x=(-5, 5), t=(first, last)), 1 / (m + 1)

    def value(module: Any, x: Any, t: Any) -> Any:
        inside = 1 - k * (m - 1) / (2 * m) * x * x / t ** (2 * k)
        return t**-k * module.clip(inside, 0, 9) ** (1 / (m - 1))

    def residual(p: kp.Points, u: kp.Jet) -> torch.Tensor:
        flux = m * u.value ** (m - 1) * kp.partial(u, "x", "x")
        steep = m * (m - 1) * u.value ** (m - 2) * kp.partial(u, "x") ** 2
        return kp.partial(u, "t") - flux - steep

    def volumes(coords: Array) -> Solves:
        for count in (50, 100, 200, 400, 800, 1600):
            x = -5 + 10 / count * (np.arange(count) + 0.5)

            def rate(_: float, u: Array) -> Array:
                return np.diff(np.diff(abs(u) ** m, prepend=0, append=0)) * (len(u) / 10) ** 2

            more = {"rtol": 1e-7, "atol": 1e-9, "lband": 1, "uband": 1, "dense_output": True}
            start = value(np, x, first)
            yield (
                count,
                partial(at, x, solve_ivp(rate, (first, last), start, "LSODA", **more), coords),
            )

    def at(x: Array, solved: Any, coords: Array) -> Array:
        found = np.zeros((len(coords), 1))
        for t in np.unique(coords[:, 1]):
            here = coords[:, 1] == t
            found[here, 0] = np.interp(coords[here, 0], x, solved.sol(t))
        return found

    begin = kp.Initial(domain, lambda p: value(torch, p.x, p.t))
    walls = kp.Dirichlet(domain.boundary["x_min", "x_max"])
    truth = known(domain, lambda x: value(np, x[:, :1], x[:, 1:]))
    problem = Asked(domain, residual, begin, walls)
    return Task(f"porous medium {m}", problem, truth, {"finite volumes": volumes})
