"""Reference solutions of the library's ordinary differential equations.

What: lotka_volterra, lorenz, van_der_pol and robertson of problems/ are solved in extended
precision by Radau collocation with 20 and with 26 stages, whose difference is a generous estimate
of the error. The files hold the solution at Gauss points in time, with their weights. Beside them
scipy's `solve_ivp` with a tolerance of 1e-12 (DOP853, or Radau where it is stiff) and the marches
of the problem files are measured: errors against the references, those of robertson as means over
the logarithm of the time, and seconds.

How long: half a minute on one idle core; --smoke: some seconds, its files are of no use.

Writes to --output: a file NAME.h5 for each equation, to be copied to problems/, and
make_ode_references.json.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy
import torch
from common import script
from common.script import solve_job
from numpy import ndarray
from scipy.integrate import solve_ivp


@dataclass(frozen=True)
class Equation:
    """u' = f(u) from a start at t = 0.

    Args:
        fields: the names of the m fields.
        rates: f, (m, …) → m arrays (…).
        slopes: its Jacobian, (m, …) → (m, m, …).
        start: u at t = 0.
        end: the last moment.
        first: the length of the first window.
        stiff: whether explicit methods need too many steps.
        logarithmic: the first moment from which on errors are means over log t; None for means
            over t.
    """

    fields: Sequence[str]
    rates: Callable[[ndarray], list[ndarray]]
    slopes: Callable[[ndarray], ndarray]
    start: Sequence[float]
    end: float
    first: float
    stiff: bool = False
    logarithmic: float | None = None


def lotka_volterra() -> Equation:
    def rates(u: ndarray) -> list[ndarray]:
        r, f = u
        both = r * f
        return [(11 * r - 4 * both) / 10, (both - 4 * f) / 10]

    def slopes(u: ndarray) -> ndarray:
        r, f = u
        return numpy.array([[1.1 - 0.4 * f, -0.4 * r], [0.1 * f, 0.1 * r - 0.4]])

    return Equation(("prey", "predators"), rates, slopes, (10, 10), 40.0, 0.1)


def lorenz() -> Equation:
    def rates(u: ndarray) -> list[ndarray]:
        x, y, z = u
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 * z / 3]

    def slopes(u: ndarray) -> ndarray:
        x, y, z = u
        o = 0 * x
        return numpy.array([[o - 10, o + 10, o], [28 - z, o - 1, -x], [y, x, o - 8 / 3]])

    return Equation(("x", "y", "z"), rates, slopes, (1, 1, 1), 20.0, 0.01)


def van_der_pol(mu: float = 1000.0) -> Equation:
    def rates(u: ndarray) -> list[ndarray]:
        y, v = u
        return [v, mu * (1 - y**2) * v - y]

    def slopes(u: ndarray) -> ndarray:
        y, v = u
        o = 0 * y
        return numpy.array([[o, o + 1], [-2 * mu * y * v - 1, mu * (1 - y**2)]])

    return Equation(("u", "v"), rates, slopes, (2, 0), 2.0 * mu, 1e-4, stiff=True)


def robertson() -> Equation:
    def rates(u: ndarray) -> list[ndarray]:
        a, b, c = u
        slow, fast, square = a / 25, 10_000 * b * c, 30_000_000 * b**2
        return [fast - slow, slow - fast - square, square]

    def slopes(u: ndarray) -> ndarray:
        a, b, c = u
        o = 0 * a
        slow, by_b, by_c, square = o + 0.04, 1e4 * c, 1e4 * b, 6e7 * b
        return numpy.array([[-slow, by_b, by_c], [slow, -by_b - square, -by_c], [o, square, o]])

    return Equation(("a", "b", "c"), rates, slopes, (1, 0, 0), 1e11, 1e-6, True, 1e-5)


EQUATIONS: Mapping[str, Callable[[], Equation]] = {
    "lotka_volterra": lotka_volterra,
    "lorenz": lorenz,
    "van_der_pol": van_der_pol,
    "robertson": robertson,
}


LONG = numpy.longdouble


@dataclass(frozen=True)
class Solution:
    """The Legendre series of the solution in windows.

    ends: the ends of the windows, (W + 1,). series: for each window (n, m).
    """

    ends: ndarray
    series: Sequence[ndarray]

    def __call__(self, times: ndarray) -> ndarray:
        """The values (k, m) at times within the windows."""
        which = numpy.searchsorted(self.ends[1:-1], times, side="right")
        found = [
            legendre(2 * (t - self.ends[i]) / (self.ends[i + 1] - self.ends[i]) - 1, len(series))
            @ series
            for t, i in zip(times.astype(LONG), which, strict=True)
            for series in [self.series[i]]
        ]
        return numpy.array(found)


def legendre(x: ndarray, count: int) -> ndarray:
    """The Legendre polynomials P_0 … P_(count - 1) at x, on a new last axis."""
    found = [x * 0 + 1, x]
    for j in range(1, count - 1):
        found.append(((2 * j + 1) * x * found[-1] - j * found[-2]) / LONG(j + 1))
    return numpy.stack(found[:count], axis=-1)


@dataclass(frozen=True)
class Scheme:
    """Radau's nodes in [-1, 1], the integrals of their Lagrange polynomials, (n, n), from -1, and
    the matrix (n, n) that turns values at the nodes into a Legendre series."""

    nodes: ndarray
    integrals: ndarray
    series: ndarray


def radau(count: int) -> Scheme:
    """Radau IIA with `count` stages, the last of which is at 1."""
    guess = numpy.polynomial.legendre.legroots([0] * (count - 1) + [-1, 1]).real
    x = numpy.sort(guess).astype(LONG)
    x[-1] = 1
    for _ in range(4):  # Newton's method for P_n - P_(n - 1), whose derivative is from the series
        p = legendre(x[:-1], count + 1)
        degrees = numpy.arange(1, count + 1)
        slopes = degrees * (x[:-1, None] * p[:, 1:] - p[:, :-1]) / (x[:-1, None] ** 2 - 1)
        x[:-1] -= (p[:, -1] - p[:, -2]) / (slopes[:, -1] - slopes[:, -2])
    p = legendre(x, count + 1)
    weights = (1 + x) / (count * p[:, count - 1]) ** 2
    series = (2 * numpy.arange(count) + 1)[:, None] / LONG(2) * weights * p[:, :count].T
    below = numpy.concatenate([-numpy.ones((count, 1), LONG), p[:, : count - 1]], axis=1)
    integrals = (p[:, 1:] - below) / (2 * numpy.arange(count) + 1) @ series
    return Scheme(x, integrals, series)


def solve(equation: Equation, count: int = 24, tolerance: float = 1e-19) -> Solution:
    """Solve up to the end of the equation.

    Args:
        equation: the equation.
        count: the number of stages.
        tolerance: the last coefficients of a window's series, relative to the largest ones so far.
    """
    scheme, end = radau(count), LONG(equation.end)
    state = numpy.array(equation.start, LONG)
    ends, series, size = [LONG(0)], [], abs(state)
    length, guess = LONG(equation.first), numpy.tile(state, (count, 1))
    while ends[-1] < end:
        length = min(length, end - ends[-1])
        values = _window(equation, scheme, state, length, guess)
        if values is None:
            length, guess = length * LONG(0.3), numpy.tile(state, (count, 1))
            continue
        found = scheme.series @ values
        size = numpy.maximum(size, abs(values).max(axis=0))
        error = float((abs(found[-3:]).max(axis=0) / size).max())
        factor = LONG(0.9 * (tolerance / max(error, 1e-30)) ** (1 / count))
        if error <= tolerance:
            ends.append(end if length == end - ends[-1] else ends[-1] + length)
            series.append(found)
            state = values[-1]
        length *= min(LONG(3), max(LONG(0.3), factor))
        guess = numpy.tile(state, (count, 1))
    return Solution(numpy.array(ends), series)


def _window(
    equation: Equation, scheme: Scheme, state: ndarray, length: numpy.longdouble, values: ndarray
) -> ndarray | None:
    """The values at the stages, (n, m), by Newton's method; None where it does not converge."""
    count, m = values.shape
    half, scale, last = length / 2, abs(state).max(), numpy.inf
    for _ in range(30):
        residual = (
            values - state - half * (scheme.integrals @ numpy.array(equation.rates(values.T)).T)
        )
        slopes = equation.slopes(values.T.astype(float))  # (m, m, n)
        jacobian = -numpy.einsum("ij,abj->iajb", (half * scheme.integrals).astype(float), slopes)
        jacobian = jacobian.reshape(count * m, count * m) + numpy.eye(count * m)
        change = numpy.linalg.solve(jacobian, residual.astype(float).ravel()).reshape(count, m)
        values = values - change
        step = float(abs(change).max() / scale)
        if not numpy.isfinite(step) or step > 1e3 * last:
            return None
        if step < 1e-17 or (step < 1e-13 and step > 0.3 * last):
            return values
        last = step
    return None


NAME = Path(__file__).stem


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        NAME, __doc__, given, only=dict(nargs="+", choices=EQUATIONS, default=[*EQUATIONS])
    )
    by_march(chosen.only[0], numpy.zeros(1), 1e-2)  # imports what later solves have to have
    figures: dict[str, script.Verdict] = {}
    for name in chosen.only:
        figures |= make(name, chosen.output / f"{name}.h5", chosen.smoke)
    script.write_verdicts(chosen.output / f"{NAME}.json", figures)


def make(name: str, path: Path, smoke: bool) -> dict[str, script.Verdict]:
    """Write the file of one equation and return its figures."""
    equation = EQUATIONS[name]()
    coarse, fine = (
        solve(equation, n, tolerance)
        for n, tolerance in ([(6, 1e-3), (7, 1e-3)] if smoke else [(20, 3e-16), (26, 1e-16)])
    )
    times, weights = rule(equation, fine)
    exact = fine(times).astype(float)
    over_time = weights if equation.logarithmic is None else weights * times
    with h5py.File(path, "w") as file:
        names = ("t", "weight", *equation.fields)
        for one, column in zip(names, (times, over_time, *exact.T), strict=True):
            file.create_dataset(one, data=column, compression="gzip", shuffle=True)

    def error(values: ndarray) -> float:
        squares = [(weights @ u**2).sum() for u in (values - exact, exact)]
        return float((squares[0] / squares[1]) ** 0.5)

    own = error(coarse(times).astype(float))
    scipy = timed(lambda: by_scipy(equation, times, 1e-3 if smoke else 1e-12))
    march = timed(lambda: by_march(name, times, 1e-2 if smoke else None))
    ratios = {
        "error of two references": (own, 1e-13),
        "error of the march over scipy's": (error(march[0]) / error(scipy[0]), 10.0),
        "seconds of the march over scipy's": (march[1] / scipy[1], 5.0),
    }
    print(f"{name}: {own:.1e}, {len(times)} points")
    for who, (values, seconds) in {"scipy": scipy, "march": march}.items():
        print(f"  {who}: error {error(values):.1e}, {seconds:.2f} s", flush=True)
    return {
        f"{name}: {what}": script.verdict(
            value, f"<= {target:g}", None if smoke else value <= target
        )
        for what, (value, target) in ratios.items()
    }


def rule(equation: Equation, solution: Solution, points: int = 6) -> tuple[ndarray, ndarray]:
    """Gauss points in the windows of a solution, or in each half of a decade, and their weights.

    The weights are those of means over the time or, in decades, over its logarithm.
    """
    nodes, weights = numpy.polynomial.legendre.leggauss(points)
    ends = solution.ends.astype(float)
    if equation.logarithmic is not None:
        first, last = math.log10(equation.logarithmic), math.log10(equation.end)
        ends = numpy.linspace(first, last, 2 * round(last - first) + 1)
    widths = numpy.diff(ends)
    at = (ends[:-1, None] + widths[:, None] * (1 + nodes) / 2).ravel()
    found = numpy.outer(widths, weights).ravel()
    return at if equation.logarithmic is None else 10**at, found / found.sum()


def timed(call: Callable[[], ndarray]) -> tuple[ndarray, float]:
    """The result of a call and its processor time in seconds.

    The time is the mean over all calls within 0.1 s, because some systems count processor time in
    hundredths of a second.
    """
    begun, calls = time.process_time(), 0
    while (seconds := time.process_time() - begun) < 0.1:
        result, calls = call(), calls + 1
    return result, seconds / calls


def by_scipy(equation: Equation, times: ndarray, tolerance: float) -> ndarray:
    """The values at times, (k, m), by scipy."""
    jacobian = {"jac": lambda t, u: equation.slopes(u)} if equation.stiff else {}
    found = solve_ivp(
        lambda t, u: equation.rates(u),
        (0, equation.end),
        numpy.array(equation.start, float),
        method="Radau" if equation.stiff else "DOP853",
        t_eval=times,
        rtol=tolerance,
        atol=1e-2 * tolerance,
        **jacobian,
    )
    return found.y.T


def by_march(name: str, times: ndarray, tolerance: float | None) -> ndarray:
    """The values at times, (k, m), by the problem file, perhaps with another tolerance."""
    changes = [] if tolerance is None else [f"run.tolerance={tolerance}"]
    solution = solve_job(name, changes).run(assessed=False)
    return solution(torch.from_numpy(times)[:, None]).numpy()


if __name__ == "__main__":
    main()
