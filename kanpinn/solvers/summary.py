"""The summary of a result: tables of text, and remarks, for terminals, notebooks and pages.

A result is a `Solution`, an `Eigensolution`, a `Fitted`, or a result that was read from run.json.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kanpinn._support.shown import plain_table
from kanpinn.accuracy.errors import Errors, Estimate
from kanpinn.accuracy.quantity import with_error

ABSENT = "-"
ERROR_HEAD = ("error", "absolute", "relative", "squared")
Rows = list[list[str]]
Fact = tuple[str, str]  # a name and a text


@dataclass(frozen=True, eq=False)
class ShownTable:
    """A table of text.

    Args:
        head: the titles of the columns.
        rows: the rows; the first cell of a row is its name.
        caption: a remark below the table; may be empty.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""

    def __str__(self) -> str:
        notes = f"\n({self.caption})" if self.caption else ""
        return plain_table([self.head, *self.rows]) + notes


def tables(result: Any) -> Iterator[ShownTable]:
    """Yield the tables of a result: its errors, its eigenvalues, or its scores."""
    if hasattr(result, "scores"):
        yield _scores(result)
    elif hasattr(result, "multiplicities"):
        if len(result.multiplicities):
            yield _eigenvalues(result)
    elif rows := error_rows(result):
        yield ShownTable(ERROR_HEAD, rows)


def remarks(result: Any) -> Iterator[Fact]:
    """Yield remarks on a result, with facts that neither its tables nor its status contain."""
    if hasattr(result, "multiplicities"):
        if left := result.unresolved:
            words = f"modes left out for their residual: {left}, spurious or in need of more units"
            yield "remark", words
        if len(result.multiplicities) and result.unbounded:
            yield "remark", f"no bounds: {result.unbounded}"
    elif not hasattr(result, "scores"):
        yield from _of_solution(result)


def text(result: Any) -> str:
    """Return the tables and remarks of a result, and the line of `ending`, as plain text."""
    told = [*map(str, tables(result)), *(words for _, words in remarks(result)), ending(result)]
    return "\n".join(told)


def ending(result: Any) -> str:
    """Return a line with status, steps, seconds and number of parameters."""
    steps = result.history.steps
    counted = "1 step" if steps == 1 else f"{steps} steps"
    return f"{result.status} ({counted}, {result.seconds:.2f} s, {result.parameters} parameters)"


def error_rows(solution: Any) -> Rows:
    """Return rows with errors, estimated errors, error bounds, and drifts of invariants.

    The columns have the titles `ERROR_HEAD`. The errors of each field follow the errors of the
    whole solution. There are no rows if no error is known.
    """
    rows = [] if solution.errors is None else norm_rows(solution.errors)
    rows += [] if solution.estimate is None else estimate_rows(solution.estimate)
    for name, kept in solution.invariants.items():
        rows.append([f"drift of {name}", f"{kept.drift:.2e}", f"{kept.relative_drift:.2e}", ""])
    return rows


def norm_rows(errors: Errors, how: str = "") -> Rows:
    """Return rows of L2 and H1 errors, of all fields together and of each field.

    Args:
        errors: the errors.
        how: a text that is added to the names of the norms, such as ", estimated".
    """
    rows: Rows = []
    for of, e in {
        "": errors,
        **{f" of {name}": field_errors for name, field_errors in errors.fields.items()},
    }.items():
        norms = {
            "L2": (e.l2, e.l2_relative, e.l2_squared),
            "H1": (e.h1, e.h1_relative, e.h1_squared),
        }
        for name, values in norms.items():
            if name == "L2" or not math.isnan(e.h1):  # unknown for data without derivatives
                rows.append([f"{name}{of}{how}", *(f"{v:.2e}" for v in values)])
    return rows


def estimate_rows(estimate: Estimate) -> Rows:
    """Return rows with estimated errors and guaranteed bounds; columns have titles `ERROR_HEAD`."""
    rows = [] if estimate.errors is None else norm_rows(estimate.errors, ", estimated")
    bound = estimate.bound
    if bound is not None and not bound.reason:
        pairs = {"L2": (bound.l2, bound.l2_relative), "H1": (bound.h1, bound.h1_relative)}
        pairs |= {"energy": (bound.energy, bound.energy_relative)}
        for name, values in pairs.items():
            if not math.isnan(values[0]):
                rows.append([f"{name}, bound", *(f"{v:.2e}" for v in (*values, values[0] ** 2))])
    return rows


def _of_solution(solution: Any) -> Iterator[Fact]:
    """Yield the remarks on a solution of a PDE."""
    errors, estimate = solution.errors, solution.estimate
    if errors is not None and errors.rule_error > 0.05:
        yield "error", f"the quadrature error of these norms is about {errors.rule_error:.0%}"
    yield from (("unknowns", line) for line in unknowns(solution))
    yield from (("quantity", line) for line in quantities(solution))
    if estimate is not None and estimate.errors is not None:  # the table has the errors
        yield "estimate", str(estimate).splitlines()[-1]
    elif estimate is not None and estimate.reason not in solution.status:
        yield from (("estimate", line) for line in str(estimate).splitlines())
    own = solution.estimated_error
    if estimate is None and own is not None and "estimated relative" not in solution.status:
        yield "estimate", f"estimated relative L2 error {own:.1e}, by the solve itself"
    balance = solution.verification and solution.verification.balance
    if balance and balance.words not in solution.status:
        yield "balance", balance.words
    if solution.reference is not None and errors is not None:
        yield "error", _against(solution.reference, errors)


def _against(reference: Any, errors: Errors) -> str:
    """Return a line on the reference against which the errors are measured, and its own error."""
    size = "is not known" if reference.error is None else f"is about {reference.error:.1e}"
    line = f"errors are measured against {reference.source}, whose own relative L2 error {size}"
    least = errors.l2_relative / 10  # the reference's error must be ten times smaller
    if reference.error is not None and reference.error > least:
        line += ": too large to measure that of this solution"
    return line


def unknowns(solution: Any) -> Iterator[str]:
    """Yield lines on unknown parameters and fields: values, confidence intervals, and data noise.

    Lines on the noise, and on parameters that the data hardly distinguish, follow if the search for
    at least one unknown has converged, or if no covariance could be computed. There are no lines
    for problems without unknowns.
    """
    if not solution.problem.unknowns:
        return
    noise = solution.covariance.noise
    for name, estimate in solution.estimated.items():
        true = "" if estimate.exact is None else f", exact {estimate.exact:.6g}"
        yield f"{name} = {estimate}{true}"
    for name, spread in solution.spreads.items():
        yield f"{name}: {spread}"
    every = [*solution.estimated.values(), *solution.spreads.values()]
    if noise.failure or any(estimate.arrived for estimate in every):
        yield str(noise)
        yield from map(str, solution.covariance.dependences())


def quantities(solution: Any) -> Iterator[str]:
    """Yield a line for each number that the problem computes from its solution.

    A line contains the error of its number if the error needs no further solve.

    There are no lines if the problem's function fails; the failure is logged when the run folder is
    written.
    """
    numbers, errors = dict[str, float](), dict[str, float]()
    with suppress(Exception):
        numbers = solution.quantities
        errors = getattr(solution, "quantity_errors", {})  # run.json has none
    for name, value in numbers.items():
        error = errors.get(name, math.nan)
        told = with_error(value, error) if math.isfinite(error) else f"{value:.10g}"
        yield f"{name} = {told}"


def _eigenvalues(solution: Any) -> ShownTable:
    """Return a table of the eigenvalues, their multiplicities, residuals, bounds and errors."""
    lists = {"residual": solution.residual_norms, "bound": solution.bounds}
    lists |= {"estimate": solution.estimates, "relative error": solution.errors}
    known = {name: values for name, values in lists.items() if values is not None}
    rows = []
    for index, times in enumerate(solution.multiplicities):
        value = complex(solution.values[index])
        text = f"{value.real:.12g}"
        if solution.values.is_complex():
            text += f" {'+-'[value.imag < 0]} {abs(value.imag):.12g}i"
        cells = [f"{float(values[index]):.1e}" for values in known.values()]
        rows.append([str(index + 1), text, str(times), *cells])
    return ShownTable(("mode", "eigenvalue", "multiplicity", *known), rows)


def _scores(fitted: Any) -> ShownTable:
    """Return a table with the scores on each part of the data."""
    rows, classes = [], False
    for part, s in fitted.scores.items():
        if classes := s.cross_entropy is not None:
            cells = [(s.accuracy, ".2%"), (s.cross_entropy, ".3g")]
        else:
            cells = [(s.rmse, ".2e"), (s.max_error, ".2e"), (s.r2, ".4f")]
        texts = [ABSENT if score is None else format(score, form) for score, form in cells]
        if s.r2 is not None and s.r2 > 0.999:  # values near 1 can be compared then
            texts[-1] = f"1 - {1 - s.r2:.1e}"
        rows.append([part, str(s.rows), *texts])
    heads = ("accuracy", "cross entropy") if classes else ("RMSE", "max. error", "R²")
    return ShownTable(("part", "rows", *heads), rows)
