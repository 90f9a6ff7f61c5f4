"""Evolutions by kanpinn's march and by other codes, in one run: errors against seconds.

What: the problems burgers (whose odd solution is periodic too), allen_cahn, kuramoto_sivashinsky,
zabusky_kruskal and schroedinger of problems/, solved by kp.March at several tolerances; by SciPy's
solve_ivp(Radau) with Galerkin's method on the splines of the march of the same tolerance, those of
the window with the most intervals; by Fourier modes with ETDRK4 time steps, and by Dedalus with
Fourier modes and its RK443, at several resolutions. Dedalus is installed by pip into an environment
of its own, for which it needs the headers of MPI and FFTW; where that fails its row says so.

Errors are relative L2 errors over space at the last moment, against a formula or finer Fourier
modes. Seconds are those of the processor, of one thread, without imports.

How long: ten minutes on one idle core; --smoke: some seconds, without Dedalus.

Writes to --output: points.csv (every solve), table.md (seconds of the march to an error, and the
other codes' ratios to them), march_peers.png and .pdf, march_peers.json; and pieces/: a run that
was stopped continues from them.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import scipy.integrate
import scipy.interpolate
import torch
from common import script
from common.pieces import Pieces
from common.script import solve_job
from matplotlib.figure import Figure
from numpy import ndarray
from peers.launch import PeerError, default_folder, interpreter
from references import spectral

import kanpinn as kp

Slopes = Sequence[ndarray | float]


@dataclass(frozen=True)
class Case:
    """An evolution to its last moment.

    Errors are relative L2 errors over space at this moment, where no code has to interpolate.

    Args:
        name: of its file in problems/.
        equation: for Fourier modes.
        last: the last moment; the first one is 0.
        rates: u_t from u, u_x, … up to the fourth derivative, of all fields (m, n) each.
        slopes: for each derivative of order 0 to 4 that occurs, its order and the derivatives by it
            of u_t, (m, m, n).
        resolutions: modes and steps of the spectral codes, from coarse to fine.
        truth: modes and steps of the solution that errors are measured against; None where there is
            a formula.
        fields: the number of fields.
        tolerances: of the march, and of SciPy's methods.
        walls: whether the values at both ends are 0, for codes that are not periodic.
    """

    name: str
    equation: spectral.Equation
    last: float
    rates: Callable[[Sequence[ndarray]], ndarray]
    slopes: Callable[[Sequence[ndarray]], Mapping[int, ndarray]]
    resolutions: Sequence[tuple[int, float]]
    truth: tuple[int, float] | None
    fields: int = 1
    tolerances: Sequence[float] = (1e-3, 1e-5, 1e-7, 1e-9)
    walls: bool = False

    @property
    def points(self) -> ndarray:
        """Points in space, more of them in the middle, where Burgers' equation has its shock."""
        low, high = self.equation.low, self.equation.high
        xi = numpy.linspace(-1, 1, 1201)[1:-1]
        even = (low + high) / 2 + (high - low) / 2 * xi
        near = (low + high) / 2 + (high - low) / 2 * numpy.sinh(5 * xi) / math.sinh(5)
        return numpy.sort(numpy.concatenate([even, near]))

    def problem(self) -> kp.Problem:
        """The library's problem up to the last moment."""
        found = type(solve_job(self.name).problem)()
        names, (low, high) = found.domain.names, found.domain.bounds
        ends = {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}
        found.domain = kp.Box(**(ends | {"t": (0.0, self.last)}))
        return found

    def exact(self) -> ndarray:
        """The solution at the points, (m, n)."""
        if self.truth is not None:
            return fields_of(spectral_values(self, *self.truth), self.fields)
        x = torch.from_numpy(self.points)
        p = kp.Points(torch.stack([x, torch.full_like(x, self.last)], dim=1), ("x", "t"))
        formula = self.problem().exact
        assert formula is not None
        return torch.as_tensor(formula(p)).T.numpy()

    def error(self, found: ndarray, exact: ndarray) -> float:
        """The relative L2 error of values at the points, (m, n)."""
        weights = numpy.gradient(self.points)
        gap, size = ((weights * u**2).sum() for u in (found - exact, exact))
        return float(math.sqrt(gap / size))


def spectral_values(case: Case, modes: int, step: float) -> ndarray:
    """The solution at the points by Fourier modes and ETDRK4 steps, (n,)."""
    first = min(1e-6, case.last / 1000)  # short first steps for what is smoothed
    times = [0.0, first, case.last] if case.name == "allen_cahn" else [0.0, case.last]
    return spectral.solve(case.equation, numpy.array(times), modes, step)(case.points)[:, -1]


def fields_of(values: ndarray, fields: int) -> ndarray:
    """Real fields (m, n) from complex values (n,)."""
    return numpy.stack([values.real, values.imag][:fields])


def burgers() -> Case:
    nu = 0.01 / math.pi
    return Case(
        "burgers",
        spectral.burgers(nu),
        1.0,
        lambda u: -u[0] * u[1] + nu * u[2],
        lambda u: {0: -u[1][None], 1: -u[0][None], 2: numpy.full_like(u[0], nu)[None]},
        [(512, 4e-3), (1024, 1e-3), (2048, 4e-4), (4096, 1e-4)],
        None,
        walls=True,
    )


def allen_cahn() -> Case:
    return Case(
        "allen_cahn",
        spectral.allen_cahn(),
        1.0,
        lambda u: 1e-4 * u[2] + 5 * (u[0] - u[0] ** 3),
        lambda u: {0: 5 - 15 * u[0][None] ** 2, 2: numpy.full_like(u[0], 1e-4)[None]},
        [(1024, 2e-2), (2048, 1e-2), (8192, 4e-3), (16384, 2e-3)],
        (16384, 5e-4),
    )


def kuramoto_sivashinsky() -> Case:
    a, b, c = 100 / 16, 100 / 16**2, 100 / 16**4
    return Case(
        "kuramoto_sivashinsky",
        spectral.kuramoto_sivashinsky(),
        0.5,
        lambda u: -a * u[0] * u[1] - b * u[2] - c * u[4],
        lambda u: {
            0: -a * u[1][None],
            1: -a * u[0][None],
            2: numpy.full_like(u[0], -b)[None],
            4: numpy.full_like(u[0], -c)[None],
        },
        [(192, 5e-4), (256, 2e-4), (384, 5e-5), (384, 2e-5)],
        (384, 6.25e-6),
    )


def zabusky_kruskal() -> Case:
    d = 0.022**2
    return Case(
        "zabusky_kruskal",
        spectral.zabusky_kruskal(),
        1.0,
        lambda u: -u[0] * u[1] - d * u[3],
        lambda u: {0: -u[1][None], 1: -u[0][None], 3: numpy.full_like(u[0], -d)[None]},
        [(192, 2e-3), (256, 5e-4), (384, 2e-4), (512, 5e-5)],
        (768, 1e-5),
    )


def schroedinger() -> Case:
    """Return the case with a kink on the period, which nothing smooths."""

    def slopes(u: Sequence[ndarray]) -> Mapping[int, ndarray]:
        r, s = u[0]
        by_values = [[-2 * r * s, -(r**2) - 3 * s**2], [3 * r**2 + s**2, 2 * r * s]]
        turned = numpy.zeros_like(by_values)
        turned[0, 1], turned[1, 0] = -0.5, 0.5
        return {0: numpy.array(by_values), 2: turned}

    def rates(u: Sequence[ndarray]) -> ndarray:
        density = (u[0] ** 2).sum(axis=0)
        return numpy.stack([-u[2][1] / 2 - density * u[0][1], u[2][0] / 2 + density * u[0][0]])

    return Case(
        "schroedinger",
        spectral.schroedinger(),
        math.pi / 2,
        rates,
        slopes,
        [(256, 4e-3), (512, 1e-3), (1024, 4e-4), (2048, 2e-4)],
        (4096, 1e-4),
        fields=2,
        tolerances=(1e-3, 1e-4, 1e-5),
    )


CASES: Mapping[str, Callable[[], Case]] = {
    one.__name__: one
    for one in (burgers, allen_cahn, kuramoto_sivashinsky, zabusky_kruskal, schroedinger)
}


def smoke(case: Case) -> Case:
    """Return the case with few modes and long steps, over a hundredth of the time."""
    truth = None if case.truth is None else (128, 1e-3)
    coarse = [(64, 5e-3)]
    return replace(
        case, last=case.last / 100, resolutions=coarse, truth=truth, tolerances=case.tolerances[:1]
    )


@dataclass(frozen=True)
class Splines:
    """Splines on given intervals, with their derivatives at Gauss points of each interval.

    knots: of the splines. degree: theirs. spread: the number of the function for each spline.
    places, weights: a quadrature rule, (P,). values: the derivatives of order 0 to 4 of all
    functions there, (P, n) each.
    """

    knots: ndarray
    degree: int
    spread: ndarray
    places: ndarray
    weights: ndarray
    values: list[ndarray]

    def at(self, x: ndarray, order: int = 0) -> ndarray:
        """A derivative of all functions at points, (k, n)."""
        splines = scipy.interpolate.BSpline(self.knots, numpy.eye(len(self.spread)), self.degree)
        found = splines.derivative(order)(x) if order else splines(x)
        summed = numpy.zeros((len(x), self.spread.max() + 2))
        numpy.add.at(summed.T, self.spread, found.T)
        return summed[:, : self.spread.max() + 1]


def splines_on(breaks: ndarray, degree: int, walls: bool) -> Splines:
    """Splines on intervals: those that are 0 at both ends, or periodic ones."""
    count = len(breaks) - 1
    if walls:
        knots = numpy.concatenate([[breaks[0]] * degree, breaks, [breaks[-1]] * degree])
        spread = numpy.arange(-1, count + degree - 1)
        spread[-1] = -1  # the first and the last spline are left out
    else:
        length = breaks[-1] - breaks[0]
        before, after = breaks[-degree - 1 : -1] - length, breaks[1 : degree + 1] + length
        knots = numpy.concatenate([before, breaks, after])
        spread = numpy.arange(count + degree) % count
    nodes, weights = numpy.polynomial.legendre.leggauss(degree + 1)
    widths = numpy.diff(breaks)
    places = (breaks[:-1, None] + widths[:, None] * (nodes + 1) / 2).ravel()
    rule = (widths[:, None] * weights / 2).ravel()
    made = Splines(knots, degree, spread, places, rule, [])
    return Splines(
        knots, degree, spread, places, rule, [made.at(places, order) for order in range(5)]
    )


def radau_of_splines(
    case: Case, breaks: ndarray, degree: int, tolerance: float
) -> tuple[ndarray, float]:
    """Solve on the splines of a march; return values at the case's points, (m, n), and seconds.

    The seconds are those of the processor. The mass matrix is inverted once, since SciPy's methods
    have none, so that Jacobians are dense.
    """
    begin = time.process_time()
    space, m = splines_on(breaks, degree, case.walls), case.fields
    tests = space.values[0].T * space.weights
    inverse = numpy.linalg.inv(tests @ space.values[0])
    tests = inverse @ tests

    def derivatives(y: ndarray) -> list[ndarray]:
        found = [(values @ y.reshape(m, -1).T).T for values in space.values]
        return found if m > 1 else [one[0] for one in found]

    def rate(_: float, y: ndarray) -> ndarray:
        return (tests @ numpy.atleast_2d(case.rates(derivatives(y))).T).T.ravel()

    def jacobian(_: float, y: ndarray) -> ndarray:
        slopes = case.slopes(derivatives(y))
        blocks = [[numpy.zeros_like(inverse) for _ in range(m)] for _ in range(m)]
        for order, by in slopes.items():
            by = by.reshape(m, m, -1)
            for i, j in numpy.ndindex(m, m):
                if by[i, j].any():
                    blocks[i][j] += tests @ (by[i, j][:, None] * space.values[order])
        return numpy.block(blocks)

    start = fields_of(case.equation.initial(space.places) + 0j, m)
    first = (tests @ start.T).T.ravel()
    found = scipy.integrate.solve_ivp(
        rate,
        (0.0, case.last),
        first,
        method="Radau",
        jac=jacobian,
        rtol=max(tolerance, 3e-14),
        atol=tolerance / 100,
        t_eval=[case.last],
    )
    at_end = (space.at(case.points) @ found.y[:, -1].reshape(m, -1).T).T
    return at_end, time.process_time() - begin


RUNNER = Path(__file__).parent / "marches" / "run_dedalus.py"


@dataclass(frozen=True)
class Point:
    """A solve: the code, its tolerance or resolution, seconds of the processor, and the error."""

    case: str
    code: str
    setting: str
    seconds: float
    error: float


def march(case: Case, tolerance: float) -> tuple[kp.Solution, float]:
    """Solve by kanpinn's march; return the solution and the seconds of the processor."""
    begin = time.process_time()
    solution = kp.solve(
        case.problem(),
        kp.Windows([2, case.fields]),
        kp.March(tolerance),
        errors=False,
        verified=False,
    )
    return solution, time.process_time() - begin


def marches(case: Case, exact: ndarray, budget: float) -> Iterator[tuple[Point, float, ndarray]]:
    """Yield a point for each tolerance, the tolerance, and the intervals where they are most."""
    x = torch.from_numpy(case.points)
    ends = torch.stack([x, torch.full_like(x, case.last)], dim=1)
    low, high = case.equation.low, case.equation.high
    for tolerance in case.tolerances:
        solution, seconds = march(case, tolerance)
        error = case.error(solution(ends).T.numpy(), exact)
        network = solution.network
        assert isinstance(network, kp.Windows)
        bases: list[Any] = [one.layers[0].basis for one in network.members]
        finest = max((basis.breaks[0].numpy() for basis in bases), key=len)
        breaks = low + (finest + 1) / 2 * (high - low)
        yield _point(case, "kanpinn", f"{tolerance:g}", seconds, error), tolerance, breaks
        if seconds > budget:
            return


def radau(case: Case, exact: ndarray, tolerance: float, breaks: ndarray) -> Point:
    """Return the point of SciPy's Radau on the intervals of a march of the same tolerance."""
    found, seconds = radau_of_splines(case, breaks, 9, tolerance)
    error = case.error(found, exact)
    return _point(case, "splines, scipy Radau", f"{tolerance:g}", seconds, error)


def etdrk4(case: Case, exact: ndarray, modes: int, step: float) -> Point:
    """Return the point of Fourier modes and ETDRK4 steps."""
    begin = time.process_time()
    found = fields_of(spectral_values(case, modes, step), case.fields)
    seconds = time.process_time() - begin
    error = case.error(found, exact)
    return _point(case, "Fourier, ETDRK4", f"{modes}, {step:g}", seconds, error)


def dedalus(case: Case, exact: ndarray, modes: int, step: float, folder: Path) -> Point:
    """Return the point of Dedalus, with its Runge-Kutta method RK443.

    Raises:
        PeerError: if Dedalus cannot be installed or fails.
    """
    log = folder / "dedalus.log"
    python = interpreter("dedalus", ("dedalus",), folder, log)
    start = case.equation.initial(case.equation.grid(modes))
    low, high = case.equation.low, case.equation.high
    with tempfile.TemporaryDirectory() as empty:
        first, last = Path(empty) / "first.npy", Path(empty) / "last.npy"
        numpy.save(first, start + 0j if case.fields > 1 else start)
        command = [str(python), str(RUNNER), case.name, "--ends", *map(str, (low, high, case.last))]
        command += ["--modes", str(modes), "--step", str(step)]
        command += ["--start", str(first), "--values", str(last)]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment["OMP_NUM_THREADS"] = "1"
        done = subprocess.run(command, capture_output=True, text=True, cwd=empty, env=environment)
        if done.returncode:
            raise PeerError(f"Dedalus failed: {done.stderr.strip().splitlines()[-1:]}")
        values = numpy.load(last)
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("{")]
    k = case.equation.waves(modes)
    waves = numpy.exp(1j * numpy.outer(case.points - low, k))
    found = fields_of(waves @ numpy.fft.fft(values) / modes, case.fields)
    seconds = json.loads(line)["seconds"]
    error = case.error(found, exact)
    return _point(case, "Dedalus, RK443", f"{modes}, {step:g}", seconds, error)


def _point(case: Case, code: str, setting: str, seconds: float, error: float) -> Point:
    return Point(case.name, code, setting, seconds, error)


COLOURS = {
    "kanpinn": "#b2182b",
    "splines, scipy Radau": "#2166ac",
    "Fourier, ETDRK4": "#404040",
    "Dedalus, RK443": "#1b9e77",
}


def seconds_to(points: Sequence[Point], error: float) -> float:
    """Return the seconds to an error, between points on logarithmic scales; NaN if not reached.

    Where the coarsest solve is more accurate already its seconds count.
    """
    ordered = sorted(points, key=lambda one: one.seconds)
    best, kept = math.inf, []
    for one in ordered:  # a slower solve that is no better says nothing
        if one.error < best:
            best = one.error
            kept.append(one)
    if not kept or kept[-1].error > error:
        return math.nan
    x = [-math.log(one.error) for one in kept]
    y = [math.log(one.seconds) for one in kept]
    return float(math.exp(numpy.interp(-math.log(error), x, y)))


def ratios(points: Sequence[Point], errors: Sequence[float]) -> list[list[str]]:
    """Return a table: for each case and error the march's seconds, and the others' ratios."""
    codes = [code for code in COLOURS if any(one.code == code for one in points)]
    table = [["problem", "error", f"{codes[0]}, seconds", *(f"{c}, ratio" for c in codes[1:])]]
    for case in dict.fromkeys(one.case for one in points):
        for error in errors:
            taken = [
                seconds_to([p for p in points if p.case == case and p.code == code], error)
                for code in codes
            ]
            if not math.isnan(taken[0]):
                others = ["-" if math.isnan(t) else f"{t / taken[0]:.2g}" for t in taken[1:]]
                table.append([case, f"{error:g}", f"{taken[0]:.2f}", *others])
    return table


def draw_errors(points: Sequence[Point]) -> Figure:
    """Draw the error of each solve against its seconds, a panel for each case."""
    names = list(dict.fromkeys(one.case for one in points))
    figure = Figure(figsize=(10.5, 6.5), layout="constrained")
    panels = figure.subplots(2, 3, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        for code, colour in COLOURS.items():
            own = [one for one in points if one.case == name and one.code == code]
            own = sorted(own, key=lambda one: one.seconds)
            axes.plot(
                [one.seconds for one in own],
                [one.error for one in own],
                color=colour,
                marker="o",
                markersize=4,
                linewidth=1.8 if code == "kanpinn" else 1.0,
                label=code,
            )
        axes.set(xscale="log", yscale="log", title=name.replace("_", " "))
        axes.set(xlabel="seconds of one core", ylabel="relative $L_2$ error at the end")
        axes.grid(alpha=0.3)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    panels[-1].legend(handles, labels, loc="center", frameon=False)
    return figure


NAME = Path(__file__).stem
ERRORS = (1e-4, 1e-6, 1e-8)


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        NAME,
        __doc__,
        given,
        only=dict(nargs="+", choices=CASES, default=[*CASES]),
        budget=dict(type=float, default=20.0, help="seconds of the last solve (20)"),
        environments=dict(type=Path, default=default_folder()),
    )
    torch.set_num_threads(1)
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    march(smoke(burgers()), 1e-3)  # imports what a solve needs
    points: list[Point] = []
    for name in chosen.only:
        case = CASES[name]()
        case = smoke(case) if chosen.smoke else case
        folder = None if chosen.smoke else chosen.environments.expanduser()
        made = partial(measured, case, chosen.budget, folder)
        points += pieces.records(Point, {"case": name, "budget": chosen.budget}, made)
    script.write_rows(chosen.output / "points.csv", Point, points)
    head, *rows = ratios(points, ERRORS)
    drawn = {NAME: draw_errors(points)}
    script.publish(chosen, script.markdown(head, rows), judged(points), drawn, page="table")


def measured(case: Case, budget: float, folder: Path | None) -> list[Point]:
    """Return the points of all codes; without Dedalus if there is no folder for it."""
    found = []
    for one in points_of(case, budget, folder):
        print(f"{one.case}, {one.code}, {one.setting}: {one.error:.1e} in {one.seconds:.2f} s")
        sys.stdout.flush()
        found.append(one)
    return found


def points_of(case: Case, budget: float, folder: Path | None) -> Iterator[Point]:
    """Yield the points of all codes; a code stops after the first solve above the budget."""
    exact, patient = case.exact(), True
    for point, tolerance, breaks in marches(case, exact, budget):
        yield point
        if patient:
            other = radau(case, exact, tolerance, breaks)
            yield other
            patient = 3 * other.seconds < budget
    yield from (etdrk4(case, exact, *one) for one in case.resolutions)
    if folder is not None:
        yield from of_dedalus(case, exact, budget, folder)


def of_dedalus(case: Case, exact: ndarray, budget: float, folder: Path) -> Iterator[Point]:
    """Yield the points of Dedalus, or say why there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for one in case.resolutions:
            found = dedalus(case, exact, *one, folder)
            yield found
            if 3 * found.seconds > budget:
                return
    except PeerError as error:
        print(f"{case.name}: no row for Dedalus: {error}", file=sys.stderr)


def judged(points: Sequence[Point]) -> dict[str, script.Verdict]:
    """Return the seconds of SciPy's Radau over those of the march."""
    figures: dict[str, script.Verdict] = {}
    for case in dict.fromkeys(one.case for one in points):
        own = [one for one in points if one.case == case]
        march, other = (
            seconds_to([p for p in own if p.code == code], 1e-6)
            for code in ("kanpinn", "splines, scipy Radau")
        )
        figures[f"{case}: seconds of scipy's Radau to 1e-6 on the same splines, ratio"] = (
            script.verdict(other / march, ">= 1", other >= march)
        )
    return figures


if __name__ == "__main__":
    main()
