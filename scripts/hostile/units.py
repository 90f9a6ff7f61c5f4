"""The library's problems in other units: `auto` must reach the same errors in all of them."""

import argparse
from collections.abc import Iterator

from common import verdicts
from common.problem_files import PROBLEMS, solve_job

import kanpinn as kp
from hostile.in_units import SHAPES, InUnits, Units
from kanpinn.runs.config import SolveJob

LEAST = 1e-11  # errors below are rounding
# Problems that are not stated in other units: their data, inputs or measurements have fixed ones,
# or they need more than minutes.
LEFT_OUT = (
    "inverse_",
    "lshape_singular",
    "poisson100d",
    "poisson10d_coupled",
    "drum",
    "oscillator",
    "fit_",
)


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, verdicts.Figure]:
    """Solve every problem in its own units and in random ones, and compare the errors."""
    few = ("heat", "disk_hole")
    names = [name for name in _names() if name in few or not chosen.smoke]
    ratios = []
    for name in names:
        found = errors(name, chosen.units, chosen.seed, 1e-3 if chosen.smoke else 1e-7)
        first, *others = (max(error, LEAST) for error in found)
        ratio = max(max(first / other, other / first) for other in others)
        ratios.append(ratio)
        if not ratio <= 2:
            listed = ", ".join(f"{error:.1e}" for error in found)
            failures.append(f"{name} in {len(found)} units has the errors {listed}")
    far = sum(not ratio <= 2 for ratio in ratios)
    return {
        "units: problems whose error changes by more than 2": {
            "value": far,
            "target": f"0 of {len(ratios)}",
            "met": far == 0,
        },
        "units: the largest change": {"value": max(ratios), "target": "2", "met": max(ratios) <= 2},
    }


def _names() -> Iterator[str]:
    for path in sorted(PROBLEMS.glob("*.toml")):
        if not path.stem.startswith(LEFT_OUT):
            yield path.stem


def errors(name: str, count: int, seed: int, tolerance: float) -> list[float]:
    """Return the relative L2 errors of `auto` in the problem's own units and in drawn ones.

    Args:
        name: of the problem file.
        count: the number of draws.
        seed: of the draws.
        tolerance: at which the trials end.
    """
    job, shape = solve_job(name), SHAPES.get(name)
    problem = job.problem
    own = Units((1.0,) * problem.domain.dim, (1.0,) * len(problem.fields))
    drawn = [Units.drawn(problem, shape is not None, seed + i) for i in range(count)]
    return [_error(job, InUnits(problem, units, shape), tolerance) for units in (own, *drawn)]


def _error(job: SolveJob, problem: InUnits, tolerance: float) -> float:
    seconds = 60.0
    found = kp.auto(problem, tolerance=tolerance, budget_seconds=seconds, errors=False)
    return problem.l2_relative(found, job.reference)
