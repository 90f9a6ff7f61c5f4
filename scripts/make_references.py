"""Reference solutions of the library's evolution problems that have no closed form.

What: the Allen–Cahn, Kuramoto–Sivashinsky, Schrödinger and Zabusky–Kruskal problems of problems/,
periodic in x, and its Allen–Cahn and Gray–Scott problems in two dimensions, are solved with Fourier
modes and ETDRK4 time steps in float64, each with two resolutions, whose difference is a generous
estimate of the finer one's error. Where the solution is smooth enough, the file holds its values on
a grid, between whose points splines interpolate, and the error of these splines at other points is
measured too. Otherwise, and in two dimensions, it holds points with weights.

How long: five minutes on one idle core; --smoke: some seconds, its files are of no use.

Writes to --output: a file for each problem, such as allen_cahn.h5, to be copied to problems/;
make_references.json; and pieces/, each solution: a run that was stopped continues from them.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import numpy
import torch
from common import script
from common.pieces import Pieces
from numpy import ndarray
from references import spectral
from references.spectral import Equation, factors_of, solve, step_of

from kanpinn.accuracy.references import GridData
from kanpinn.geometry import Points
from kanpinn.jets import Channels


@dataclass(frozen=True)
class PlaneCase:
    """u_t = L u + N(u) for m fields on a square, its resolution, and the points of its file.

    Args:
        low, high: the ends of a period in x and in y.
        linear: L at the squares of wave numbers, (…) → (m, …).
        nonlinear: N at values of the fields, (m, …) → (m, …).
        initial: the fields at t = 0 at x and y, (…), (…) → (m, …).
        fields: their names.
        end: the end of the time.
        modes, step: of the spectral solution, the modes of each coordinate.
        target: the largest relative L2 difference from half the resolution, whose error is some 16
            times as large.
        points, times: the numbers of points of each coordinate and of times in the file.
        digits: after the point are kept.
    """

    low: float
    high: float
    linear: Callable[[ndarray], ndarray]
    nonlinear: Callable[[ndarray], ndarray]
    initial: Callable[[ndarray, ndarray], ndarray]
    fields: tuple[str, ...]
    end: float
    modes: int
    step: float
    target: float
    points: int = 32
    times: int = 12
    digits: int = 9

    def coarser(self) -> "PlaneCase":
        """Return the case with half the modes and steps twice as long."""
        return replace(self, modes=self.modes // 2, step=2 * self.step)

    def grid(self) -> tuple[ndarray, ndarray]:
        """Return x and y at the grid points of a period, (modes, modes) each."""
        line = self.low + (self.high - self.low) * numpy.arange(self.modes) / self.modes
        x, y = numpy.meshgrid(line, line, indexing="ij")
        return x, y

    def rule(self) -> tuple[ndarray, ndarray]:
        """Return the times of the file, of a Gauss rule, and their weights."""
        nodes, weights = numpy.polynomial.legendre.leggauss(self.times)
        return (1 + nodes) * self.end / 2, weights / 2


def solve_plane(case: PlaneCase) -> dict[str, ndarray]:
    """Solve a case and return its fields at the points and times of its file, (x, y, t)."""
    n, length = case.modes, case.high - case.low
    k = 2 * math.pi * numpy.fft.fftfreq(n, length / n)
    squares = (k**2)[:, None] + (k[: n // 2 + 1] ** 2)[None]
    linear = case.linear(squares)
    u = numpy.fft.rfft2(case.initial(*case.grid()))
    found = []
    for begin, end in itertools.pairwise([0.0, *case.rule()[0]]):
        count = math.ceil((end - begin) / case.step * (1 - 1e-12))
        factors = factors_of(linear, (end - begin) / count)
        for _ in range(count):
            u = step_of(
                lambda v: numpy.fft.rfft2(case.nonlinear(numpy.fft.irfft2(v, (n, n)))), u, factors
            )
        stride = n // case.points
        found.append(numpy.fft.irfft2(u, (n, n))[:, ::stride, ::stride])
    return dict(zip(case.fields, numpy.stack(found, axis=-1), strict=True))


def write_plane(path: Path, case: PlaneCase, fields: Mapping[str, ndarray]) -> None:
    """Write points with weights."""
    times, weights = case.rule()
    line = case.low + (case.high - case.low) * numpy.arange(case.points) / case.points
    x, y, t = numpy.meshgrid(line, line, times, indexing="ij")
    columns = {"x": x, "y": y, "t": t, "weight": numpy.broadcast_to(weights, x.shape)}
    write_file(path, columns, fields, case.digits)


def write_file(
    path: Path, columns: Mapping[str, ndarray], fields: Mapping[str, ndarray], digits: int
) -> None:
    """Write columns as they are, and fields with so many digits after the point."""
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file.create_dataset(name, data=column, compression="gzip", shuffle=True)
        for name, values in fields.items():
            file.create_dataset(name, data=values, scaleoffset=digits)


def plane_difference(
    case: PlaneCase, found: Mapping[str, ndarray], exact: Mapping[str, ndarray]
) -> float:
    """Return the relative L2 difference of two solutions at the points of the file."""
    _, weights = case.rule()
    error = sum((weights * (found[name] - u) ** 2).sum() for name, u in exact.items())
    return float((error / sum((weights * u**2).sum() for u in exact.values())) ** 0.5)


def allen_cahn2d(width: float = 0.05, radius: float = 0.6) -> PlaneCase:
    """Return the case of u_t = Δu + (u - u³) / ε², with a circle that shrinks."""

    def initial(x: ndarray, y: ndarray) -> ndarray:
        squares = numpy.sin(math.pi * x / 2) ** 2 + numpy.sin(math.pi * y / 2) ** 2
        inside = radius**2 - 4 / math.pi**2 * squares
        return numpy.tanh(inside / (2 * math.sqrt(2) * radius * width))[None]

    return PlaneCase(
        -1.0,
        1.0,
        lambda k2: (1 / width**2 - k2)[None],
        lambda u: -(u**3) / width**2,
        initial,
        ("u",),
        end=0.15,
        modes=256,
        step=5e-5,
        target=1e-7,
    )


def gray_scott() -> PlaneCase:
    """Return the case of two substances that react and diffuse from one spot."""

    def initial(x: ndarray, y: ndarray) -> ndarray:
        def spot(a: float, b: float) -> ndarray:
            c, s = (1 - numpy.cos(math.pi * (x - a))), (1 - numpy.cos(math.pi * (y - b)))
            return numpy.exp(-16 * (c + s))

        return numpy.stack([1 - spot(-0.05, -0.02), spot(0.05, 0.02)])

    def reaction(w: ndarray) -> ndarray:
        u, v = w
        rate = 1000 * u * v**2
        return numpy.stack([40 - rate, rate])

    return PlaneCase(
        -1.0,
        1.0,
        lambda k2: numpy.stack([-0.2 * k2 - 40, -0.1 * k2 - 100]),
        reaction,
        initial,
        ("u", "v"),
        end=1.0,
        modes=192,
        step=1e-4,
        target=2e-6,
    )


PLANE_CASES: Mapping[str, Callable[[], PlaneCase]] = {
    "allen_cahn2d": allen_cahn2d,
    "gray_scott": gray_scott,
}


@dataclass(frozen=True)
class Case:
    """An equation, its resolution, and the points of its file.

    Args:
        equation: the equation.
        x, t: the grid of the file.
        weights: of the points, (x, t), if errors are weighted means over them; None if splines of
            `degree` interpolate between them.
        modes, step: of the spectral solution.
        degree: of the splines.
        targets: the largest relative L2 errors, each up to a time.
        periodic: whether the splines are periodic in x.
        digits: after the point are kept, which makes a file small.
    """

    equation: Equation
    x: ndarray
    t: ndarray
    modes: int
    step: float
    targets: Mapping[float, float]
    weights: ndarray | None = None
    degree: int = 0
    periodic: bool = False
    digits: int = 9

    def coarser(self) -> "Case":
        """Return the case with half the modes and steps twice as long."""
        return replace(self, modes=self.modes // 2, step=2 * self.step)


def spaced(low: float, high: float, count: int, density: Callable[[ndarray], ndarray]) -> ndarray:
    """Return points from one end to the other, with distances proportional to 1 / density."""
    fine = numpy.linspace(low, high, 400001)
    rho = density(fine)
    total = numpy.concatenate([[0], numpy.cumsum(rho[1:] + rho[:-1])])
    points = numpy.interp(numpy.linspace(0, total[-1], count), total, fine)
    points[[0, -1]] = low, high
    return points


def _interfaces(x: ndarray) -> ndarray:
    """Return a density that is large where the solution changes fast.

    That is at ±1/2 and 0, between the phases, and at ±1, where the initial values have a kink.
    """
    layers = 10 * numpy.exp(-(((abs(x) - 0.5) / 0.055) ** 2))
    return 1 + layers + 1.5 * numpy.exp(-((x / 0.15) ** 2)) + 0.2 / (1 - abs(x) + 3e-4)


def allen_cahn() -> Case:
    x = spaced(-1, 1, 385, _interfaces)
    t = spaced(0, 1, 129, lambda t: 1 + 0.1 / (t + 1e-5))
    return Case(spectral.allen_cahn(), x, t, 65536, 1e-3, {1: 5e-10}, degree=7, digits=10)


def kuramoto_sivashinsky() -> Case:
    x, t = numpy.linspace(0, 2 * math.pi, 257), numpy.linspace(0, 1, 257)
    targets = {0.5: 5e-9, 1: 5e-7}  # the chaos between these times amplifies errors
    equation = spectral.kuramoto_sivashinsky()
    return Case(equation, x, t, 512, 2.5e-5, targets, degree=9, periodic=True)


def schroedinger() -> Case:
    """Return the case of the Schrödinger equation, with points in place of splines.

    Waves from the kink at ±5 fill the domain and are too fast in time for splines.
    """
    nodes, weights = numpy.polynomial.legendre.leggauss(80)
    x, t = -5 + 10 * (numpy.arange(200) + 0.5) / 200, (1 + nodes) * math.pi / 4
    return Case(
        spectral.schroedinger(),
        x,
        numpy.concatenate([[0], t]),
        4096,
        2.5e-5,
        {math.pi / 2: 1e-6},
        weights=numpy.concatenate([[0], weights]),
    )


def zabusky_kruskal() -> Case:
    """Return the case of the Korteweg–de Vries equation whose wave decays into solitons.

    Points in place of splines, which would need many more points for ten digits.
    """
    nodes, weights = numpy.polynomial.legendre.leggauss(64)
    x, t = -1 + 2 * (numpy.arange(256) + 0.5) / 256, (1 + nodes) / 2
    return Case(
        spectral.zabusky_kruskal(),
        x,
        numpy.concatenate([[0], t]),
        768,
        1e-5,
        {1: 1e-10},
        weights=numpy.concatenate([[0], weights]),
        digits=12,
    )


CASES: Mapping[str, Callable[[], Case]] = {
    "allen_cahn": allen_cahn,
    "kuramoto_sivashinsky": kuramoto_sivashinsky,
    "schroedinger": schroedinger,
    "zabusky_kruskal": zabusky_kruskal,
}


def smoke(case: Case) -> Case:
    """Return the case with few modes and steps."""
    return replace(case, modes=min(case.modes, 256), step=1e-2)


SIZE = 300_000  # bytes at most


def fields_of(case: Case) -> dict[str, ndarray]:
    """Solve a case and return its real fields on its grid, (x, t).

    The values at t = 0 are the given initial values.
    """
    values = solve(case.equation, case.t, case.modes, case.step)(case.x)
    values[:, 0] = case.equation.initial(case.x)
    return dict(zip(case.equation.fields, (values.real, values.imag), strict=False))


def write(path: Path, case: Case, fields: Mapping[str, ndarray]) -> None:
    """Write a grid of values, or, if the case has weights, points with weights."""
    columns = {"x": case.x, "t": case.t}
    if case.weights is not None:
        kept = case.weights > 0
        weights = numpy.broadcast_to(case.weights[kept], (len(case.x), kept.sum()))
        x, t = numpy.meshgrid(case.x, case.t[kept], indexing="ij")
        columns = {"x": x, "t": t, "weight": weights}
        fields = {name: values[:, kept] for name, values in fields.items()}
    write_file(path, columns, fields, case.digits)


def between(case: Case, path: Path) -> Mapping[float, float]:
    """Return the relative L2 errors of the splines up to each of the case's `targets`.

    They are measured in the middle between neighbouring grid points, where splines are worst.
    """
    x, t = ((axis[1:] + axis[:-1]) / 2 for axis in (case.x, case.t))
    known = numpy.concatenate([case.t[:1], t])
    exact = solve(case.equation, known, case.modes, case.step)(x)[:, 1:].real
    with h5py.File(path) as file:
        axes, values = [file["x"][:], file["t"][:]], file["u"][:][..., None]
    found = GridData(axes, values, case.degree, "", periodic=[case.periodic, False])
    grid = numpy.stack(numpy.meshgrid(x, t, indexing="ij"), axis=-1).reshape(-1, 2)
    jet = found.jet(Points(torch.from_numpy(grid), ("x", "t")), Channels(("x", "t")))
    u, cells = jet.value.numpy().reshape(exact.shape), numpy.outer(*map(numpy.diff, axes))
    return {
        end: relative({"u": u[:, t < end]}, {"u": exact[:, t < end]}, cells[:, t < end])
        for end in case.targets
    }


def differences_of(
    case: Case, found: Mapping[str, ndarray], exact: Mapping[str, ndarray]
) -> Mapping[float, float]:
    """Return the relative L2 differences of two solutions up to each of the times of `targets`."""
    weights, errors = weights_of(case), {}
    for end in case.targets:
        part = case.t <= end * (1 + 1e-12)
        a, b = ({name: u[:, part] for name, u in of.items()} for of in (found, exact))
        errors[end] = relative(a, b, weights[:, part])
    return errors


def relative(
    found: Mapping[str, ndarray], exact: Mapping[str, ndarray], weights: ndarray | None = None
) -> float:
    """Return ‖found - exact‖ / ‖exact‖ over all fields; weights: of the points, by default one."""
    rho = 1.0 if weights is None else weights
    error, size = (
        sum((rho * u**2).sum() for u in fields)
        for fields in ([found[name] - exact[name] for name in exact], exact.values())
    )
    return float((error / size) ** 0.5)


def weights_of(case: Case) -> ndarray:
    """Return the weights of the case's points, (x, t), for a grid the trapezoidal rule's."""
    t = numpy.gradient(case.t) if case.weights is None else case.weights
    return numpy.outer(numpy.gradient(case.x), t)


NAME = Path(__file__).stem


def main(given: Sequence[str] | None = None) -> None:
    known = [*CASES, *PLANE_CASES]
    chosen = script.options(
        NAME, __doc__, given, only=dict(nargs="+", choices=known, default=known)
    )
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    figures: dict[str, script.Verdict] = {}
    for name in chosen.only:
        if name in PLANE_CASES:
            square = PLANE_CASES[name]()
            square = (replace(square, modes=64, step=square.end / 50)) if chosen.smoke else square
            figures |= make_plane(name, square, chosen.output / f"{name}.h5", pieces)
            continue
        case = CASES[name]()
        case = smoke(case) if chosen.smoke else case
        figures |= make(name, case, chosen.output / f"{name}.h5", pieces)
    script.write_verdicts(chosen.output / f"{NAME}.json", figures, chosen.smoke)


def make(name: str, case: Case, path: Path, pieces: Pieces) -> dict[str, script.Verdict]:
    """Write the file of one reference solution and return its figures."""
    coarse, fine = (
        pieces.pickled(key_of(name, c, "fields"), partial(fields_of, c))
        for c in (case.coarser(), case)
    )
    differences = differences_of(case, coarse, fine)
    write(path, case, fine)
    found: dict[str, tuple[float, float]] = {"bytes": (path.stat().st_size, SIZE)}
    for end, difference in differences.items():
        what = f"relative L2 difference of two resolutions up to t = {end:.3g}"
        found[what] = difference, case.targets[end]
    if case.weights is None:
        errors = pieces.pickled(key_of(name, case, "between"), partial(between, case, path))
        for end, error in errors.items():
            found[f"relative L2 error between the points up to t = {end:.3g}"] = (
                error,
                case.targets[end],
            )
    return judged(name, found)


def make_plane(name: str, case: PlaneCase, path: Path, pieces: Pieces) -> dict[str, script.Verdict]:
    """Write the file of one reference solution in two dimensions and return its figures."""
    coarse, fine = (
        pieces.pickled(key_of(name, c, "fields"), partial(solve_plane, c))
        for c in (case.coarser(), case)
    )
    write_plane(path, case, fine)
    difference = plane_difference(case, coarse, fine)
    return judged(
        name,
        {
            "bytes": (path.stat().st_size, SIZE),
            "relative L2 difference of two resolutions": (difference, case.target),
        },
    )


def judged(name: str, found: Mapping[str, tuple[float, float]]) -> dict[str, script.Verdict]:
    """Print values and return them beside their targets."""
    figures: dict[str, script.Verdict] = {}
    for what, (value, target) in found.items():
        met = value <= target
        figures[f"{name}: {what}"] = script.verdict(value, f"<= {target:g}", met)
        print(f"{name}: {what}: {value:.2g}", flush=True)
    return figures


def key_of(name: str, case: Case | PlaneCase, what: str) -> dict[str, object]:
    """Return the key of a piece: what is kept of a case, and its resolution."""
    return {"reference": name, "what": what, "modes": case.modes, "step": case.step}


if __name__ == "__main__":
    main()
