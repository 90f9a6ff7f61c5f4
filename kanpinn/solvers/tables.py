"""Rows of tables and lines of text on results, for the command line and for notebooks."""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress

from kanpinn.accuracy.errors import Errors, Estimate
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.fitted import Fitted
from kanpinn.solvers.solution import Solution

ABSENT = "-"
ERROR_HEAD = ["error", "absolute", "relative", "squared"]
Rows = list[list[str]]  # of a whole table, the first one has the titles of the columns


def error_rows(solution: Solution) -> Rows:
    """Return absolute, relative and squared L2 and H1 errors, estimates and bounds.

    The errors of each field follow those of the whole solution, drifts of invariants come last. The
    result is empty if nothing is known.
    """
    rows = [] if solution.errors is None else norm_rows(solution.errors)
    rows += [] if solution.estimate is None else estimate_rows(solution.estimate)
    for name, kept in solution.invariants.items():
        rows.append([f"drift of {name}", f"{kept.drift:.2e}", f"{kept.relative_drift:.2e}", ""])
    return [ERROR_HEAD, *rows] if rows else []


def norm_rows(errors: Errors, how: str = "") -> Rows:
    """Return the L2 and H1 errors, then those of each field, under the titles of `ERROR_HEAD`.

    how: what is added to their names, such as ", estimated".
    """
    rows = _rows(errors, how)
    for name, one in errors.fields.items():
        rows += _rows(one, f" of {name}{how}")
    return rows


def estimate_rows(estimate: Estimate) -> Rows:
    """Return estimated errors and guaranteed bounds, under the titles of `ERROR_HEAD`."""
    rows = [] if estimate.errors is None else norm_rows(estimate.errors, ", estimated")
    bound = estimate.bound
    if bound is not None and not bound.reason:
        pairs = {"L2": (bound.l2, bound.l2_relative), "H1": (bound.h1, bound.h1_relative)}
        pairs |= {"energy": (bound.energy, bound.energy_relative)}
        for name, values in pairs.items():
            if not math.isnan(values[0]):
                rows.append([f"{name}, bound", *(f"{v:.2e}" for v in (*values, values[0] ** 2))])
    return rows


def _rows(e: Errors, what: str) -> Rows:
    norms = {"L2": (e.l2, e.l2_relative, e.l2_squared)}
    if not math.isnan(e.h1):  # unknown if the reference data have no derivatives
        norms["H1"] = (e.h1, e.h1_relative, e.h1_squared)
    return [[name + what, *(f"{v:.2e}" for v in values)] for name, values in norms.items()]


def rule_error(solution: Solution) -> str | None:
    """Return a line on the quadrature error of the errors' norms; None if it is at most 5%."""
    errors = solution.errors
    if errors is None or not errors.rule_error > 0.05:
        return None
    return f"the quadrature error of these norms is about {errors.rule_error:.0%}"


def against(solution: Solution) -> str | None:
    """Return a line on the reference that replaces an exact solution, None if there is none."""
    reference = solution.reference
    if reference is None or solution.errors is None:
        return None
    own = "is not known" if reference.error is None else f"is about {reference.error:.1e}"
    line = f"errors are measured against {reference.source}, whose own relative L2 error {own}"
    least = solution.errors.l2_relative / 10  # its own error must be ten times smaller
    if reference.error is not None and reference.error > least:
        line += ": too large to measure that of this solution"
    return line


def unknowns(solution: Solution) -> Iterator[str]:
    """Yield lines on unknown numbers and fields: values, confidence bounds, and data noise."""
    if not solution.problem.unknowns:
        return
    noise = solution.covariance.noise
    for name, one in solution.estimated.items():
        true = "" if one.exact is None else f", exact {one.exact:.6g}"
        yield f"{name} = {one}{true}"
    for name, spread in solution.spreads.items():
        yield f"{name}: {spread}"
    arrived = [one.arrived for one in solution.estimated.values()]
    arrived += [spread.arrived for spread in solution.spreads.values()]
    if noise.failure or any(arrived):
        yield str(noise)
        yield from map(str, solution.covariance.dependences())


def quantities(solution: Solution) -> Iterator[str]:
    """Yield a line for each number that the problem computes from its solution.

    There is none if the problem's function fails, which the writer of the run folder has logged.
    """
    found: Mapping[str, float] = {}
    with suppress(Exception):
        found = solution.quantities
    yield from (f"{name} = {value:.10g}" for name, value in found.items())


def eigenvalue_rows(solution: Eigensolution) -> Rows:
    """Return the eigenvalues with multiplicity, residual, and known bounds and errors."""
    lists = {"residual": solution.residual_norms, "bound": solution.bounds}
    lists |= {"estimate": solution.estimates, "relative error": solution.errors}
    known = {name: values for name, values in lists.items() if values is not None}
    rows = [["", "eigenvalue", "multiplicity", *known]]
    for index, times in enumerate(solution.multiplicities):
        cells = [f"{float(values[index]):.1e}" for values in known.values()]
        rows.append([str(index + 1), _eigenvalue(solution, index), str(times), *cells])
    return rows


def _eigenvalue(solution: Eigensolution, index: int) -> str:
    value = complex(solution.values[index])
    if not solution.values.is_complex():
        return f"{value.real:.12g}"
    return f"{value.real:.12g} {'+-'[value.imag < 0]} {abs(value.imag):.12g}i"


def remarks(solution: Eigensolution) -> Iterator[str]:
    """Yield lines on modes that the table leaves out, and on why there are no bounds."""
    if left := solution.unresolved:
        yield f"modes left out for their residual: {left}, spurious or in need of more units"
    if solution.count and solution.unbounded:
        yield f"no bounds: {solution.unbounded}"


def score_rows(fitted: Fitted) -> Rows:
    """Return the scores on each part of the data."""
    classes = bool(fitted.data.train.classes)
    heads = ("accuracy", "cross entropy") if classes else ("RMSE", "max. error", "R²")
    rows = [["part", "rows", *heads]]
    for part, s in fitted.scores.items():
        if classes:
            cells = [_cell(s.accuracy, ".2%"), _cell(s.cross_entropy, ".3g")]
        else:
            cells = [_cell(s.rmse, ".2e"), _cell(s.max_error, ".2e"), _explained(s.r2)]
        rows.append([part, str(s.rows), *cells])
    return rows


def _cell(score: float | None, form: str) -> str:
    return ABSENT if score is None else format(score, form)


def _explained(r2: float | None) -> str:
    """Return R² as text, above 0.999 as "1 - …", so that values near 1 can be compared."""
    if r2 is None:
        return ABSENT
    return f"1 - {1 - r2:.1e}" if r2 > 0.999 else f"{r2:.4f}"


def summary(result: Solution | Eigensolution | Fitted) -> str:
    """Return a line with status, steps, seconds and number of parameters."""
    steps = result.history.steps
    counted = "1 step" if steps == 1 else f"{steps} steps"
    return f"{result.status} ({counted}, {result.seconds:.2f} s, {result.parameters} parameters)"
