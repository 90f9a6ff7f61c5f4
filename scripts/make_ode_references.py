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
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy
import torch
from common import options, verdicts
from common.problem_files import solve_job
from numpy import ndarray
from odes.collocation import Solution, solve
from odes.equations import EQUATIONS, Equation
from scipy.integrate import solve_ivp

NAME = Path(__file__).stem


def main(given: Sequence[str] | None = None) -> None:
    parser = options.parser(NAME, __doc__)
    parser.add_argument("--only", nargs="+", choices=EQUATIONS, default=[*EQUATIONS])
    chosen = options.finish(NAME, parser.parse_args(given))
    chosen.output.mkdir(parents=True, exist_ok=True)
    by_march(chosen.only[0], numpy.zeros(1), 1e-2)  # imports what later solves have to have
    figures: dict[str, verdicts.Figure] = {}
    for name in chosen.only:
        figures |= make(name, chosen.output / f"{name}.h5", chosen.smoke)
    verdicts.write(chosen.output / f"{NAME}.json", figures)


def make(name: str, path: Path, smoke: bool) -> dict[str, verdicts.Figure]:
    """Write the file of one equation and return its figures."""
    equation = EQUATIONS[name]()
    coarse, fine = (
        solve(equation, n, tolerance)
        for n, tolerance in ([(8, 1e-5), (9, 1e-6)] if smoke else [(20, 3e-16), (26, 1e-16)])
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
    scipy = timed(lambda: by_scipy(equation, times, 1e-5 if smoke else 1e-12))
    march = timed(lambda: by_march(name, times, 1e-3 if smoke else None))
    ratios = {
        "error of two references": (own, 1e-13),
        "error of the march over scipy's": (error(march[0]) / error(scipy[0]), 10.0),
        "seconds of the march over scipy's": (march[1] / scipy[1], 5.0),
    }
    print(f"{name}: {own:.1e}, {len(times)} points")
    for who, (values, seconds) in {"scipy": scipy, "march": march}.items():
        print(f"  {who}: error {error(values):.1e}, {seconds:.2f} s", flush=True)
    return {
        f"{name}: {what}": {
            "value": value,
            "target": f"<= {target:g}",
            "met": None if smoke else value <= target,
        }
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
    """The result of a call and its processor time in seconds."""
    begun = time.process_time()
    return call(), time.process_time() - begun


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
    changes = [] if tolerance is None else [f"optimizer.0.tolerance={tolerance}"]
    solution = solve_job(name, changes).run(assessed=False)
    return solution(torch.from_numpy(times)[:, None]).numpy()


if __name__ == "__main__":
    main()
