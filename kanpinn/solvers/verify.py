"""`verify`: compare a field that another code has computed with a solution by this package."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import (
    CONVERGED,
    FAILED,
    STOPPED_BY_USER,
    Ended,
    InputError,
    Outcome,
    calling,
    number,
)
from kanpinn._support.shown import Shown
from kanpinn.accuracy import ErrorNorm, Errors
from kanpinn.accuracy.references import (
    DataColumns,
    DataFile,
    FunctionReference,
    Recipe,
    Reference,
    renamed,
)
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet, jet_of
from kanpinn.pde.defects import Defect, defects_of
from kanpinn.pde.problem import Problem, exact_jet
from kanpinn.solvers.reference_solution import solution_and_error
from kanpinn.solvers.solution import Solution

Field = Callable[[Any], Any] | Recipe | Reference | Mapping[str, Any] | str | Path
PART = 0.1  # the wanted error of the solution by this package, relative to the field's error


@dataclass(frozen=True, eq=False, repr=False)
class Verified(Shown, Ended):
    """The errors of a field that another code has computed, against an accurate solution.

    Args:
        status: a sentence that says the field's error, and whether it is within the tolerance.
        problem: the problem.
        field: the field, as a function of points or as values at given points.
        errors: the absolute and relative errors of the field; H1 errors are NaN if the field's
            derivatives are not known.
        reference: the solution with which the field is compared: the exact solution or, if the
            problem has none, a solution by this package.
        solution: the solution by this package; None if the problem has an exact solution.
        uncertainty: the estimated relative L2 error of the reference, by which the field's true
            error may differ from `errors`; 0 for an exact solution, NaN if it is not known.
        worst: the coordinates, by name, of the point with the largest error, among the field's
            points or 4096 points in the domain.
        largest: the error at that point, relative to the largest value of the reference.
        defects: the residuals of the field in the equation and in the conditions; empty if PyTorch
            cannot differentiate the field, or if the problem has unknowns.
        factor: a number that makes the error of the field at least 20 times smaller if the field
            is multiplied by it, as for a field in other units; None if there is no such number,
            or if it is between 0.5 and 2.
        tolerance: the largest acceptable relative L2 error; None without a tolerance.
        seconds: the time of the verification, in seconds.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="x * (1 - x)")
        >>> verified = kp.verify(problem, lambda x: 1.01 * x * (1 - x), tolerance=1e-3)
        >>> verified.success, verified.status
        (False, 'failed: the relative L2 error is 1.0e-02, above the tolerance 1.0e-03')
    """

    shown_by = "kanpinn.plotting.verified"

    status: str
    problem: Problem
    field: Reference
    errors: Errors
    reference: Reference
    solution: Solution | None
    uncertainty: float
    worst: Mapping[str, float]
    largest: float
    defects: tuple[Defect, ...] = ()
    factor: float | None = None
    tolerance: float | None = None
    seconds: float = 0.0

    def __repr__(self) -> str:
        return f"<Verified {type(self.problem).__name__}: {self.status}>"

    def __str__(self) -> str:
        e, place = self.errors, ", ".join(f"{n} = {x:.6g}" for n, x in self.worst.items())
        against = self.reference.source
        known = "" if math.isnan(e.h1_relative) else f", H1 {e.h1_relative:.2e}"
        lines = [
            f"{self.status}",
            f"relative errors against {against}: L2 {e.l2_relative:.2e}{known}",
        ]
        lines += [
            f"  {name}: L2 {own.l2_relative:.2e}"
            + ("" if math.isnan(own.h1_relative) else f", H1 {own.h1_relative:.2e}")
            for name, own in e.fields.items()
        ]
        lines.append(f"largest error: {self.largest:.2e} of the largest value, at {place}")
        lines += [f"residual of {d.name}: {d.relative:.1e} of its terms" for d in self.defects]
        if self.factor is not None:
            lines.append(
                f"the field times {self.factor:.6g} is much closer: it may have other units"
            )
        return "\n".join(lines)

    def gaps(self, count: int = 4096) -> tuple[Points, Tensor]:
        """Return points and the absolute errors of the field at these points.

        Args:
            count: the number of points in the domain; ignored if the field is known only at points
                of its own, which are then used.

        Returns:
            The n points, and the absolute errors of the m fields, (n, m).
        """
        points, values, others = _compared(self.problem, self.field, self.reference, count)
        return points, (values - others).abs()

    def record(self) -> dict[str, Any]:
        """Return errors, residuals and status for a JSON file, with None for what is not known."""

        def norms(e: Errors) -> dict[str, float | None]:
            """Return error norms by name, with None for norms that are not finite."""
            pairs = {"l2": e.l2, "l2_relative": e.l2_relative, "h1": e.h1}
            pairs["h1_relative"] = e.h1_relative
            return {name: x if math.isfinite(x) else None for name, x in pairs.items()}

        return {
            "problem": type(self.problem).__name__,
            "status": self.status,
            "errors": norms(self.errors),
            "fields": {name: norms(e) for name, e in self.errors.fields.items()},
            "uncertainty": None if math.isnan(self.uncertainty) else self.uncertainty,
            "compared_with": self.reference.source,
            "worst": {"at": dict(self.worst), "relative": self.largest},
            "residuals": {d.name: {"size": d.size, "relative": d.relative} for d in self.defects},
            "factor": self.factor,
            "tolerance": self.tolerance,
            "seconds": self.seconds,
        }


def verify(
    problem: Problem,
    field: Field,
    *,
    tolerance: float | int | None = None,
    budget: float | int = 60.0,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
) -> Verified:
    """Compare a field of another code with the exact solution, or with a solution by this package.

    If the problem has no exact solution, `solve` computes a solution, with a network chosen by
    trials. The solves are repeated with smaller tolerances until the estimated error of the
    solution is at most a tenth of the field's error or the budget is used up.

    Args:
        problem: the problem that the field should solve.
        field: a function of points, an array or tensor (n, d), that returns (n,) or (n, m) for the
            m fields, such as a trained network or an interpolant of finite elements; a mapping
            from names to arrays with the coordinates and the fields at points; or a file, see
            `DataFile`. A function of tensors is differentiated by automatic differentiation, other
            functions by finite differences.
        tolerance: the largest acceptable relative L2 error; None to report the error only.
        budget: the most seconds for all solves.
        seed: the seed of the solves.
        columns: for values at points, the names of columns for coordinates and fields of the
            problem that have other names there, such as {"u": "temperature"}.

    Returns:
        The errors of the field, with the status.

    Raises:
        InputError: if the field cannot be evaluated, has values that are not finite, has not one
            column for each field of the problem, or if its points are not in the domain.

    Example:
        >>> import numpy
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), source="pi**2 * sin(pi*x)", boundary="0")
        >>> def by_another_code(x):
        ...     return numpy.sin(numpy.pi * x) + 1e-3 * numpy.sin(3 * numpy.pi * x)
        >>> found = kp.verify(problem, by_another_code, tolerance=1e-2)
        >>> found.success, f"{found.errors.l2_relative:.2e}"
        (True, '1.00e-03')
    """
    started = time.perf_counter()
    if tolerance is not None:
        number("tolerance", tolerance, above=True)
    number("budget", budget, above=True)
    given, differentiable = _as_reference(problem, field, columns or {})
    jet = given.jet
    _check_values(problem, given)
    solution, unsure = None, 0.0
    reference = FunctionReference(
        "the exact solution", partial(exact_jet, problem), given.points, 0.0
    )
    if problem.exact is None:
        wanted = 1e-3 if tolerance is None else min(1e-3, PART * tolerance)
        while True:
            left = budget - (time.perf_counter() - started)
            solution, unsure = solution_and_error(problem, wanted, max(left, 1.0), seed)
            reference = FunctionReference(
                "a solution by kanpinn", solution.surrogate.evaluate, given.points, unsure
            )
            errors = ErrorNorm(problem, reference)(jet)
            wanted = max(0.5 * PART * errors.l2_relative, 1e-13)
            left = budget - (time.perf_counter() - started)
            if solution.status == STOPPED_BY_USER or left < 0.2 * budget or wanted >= unsure:
                break
            if not unsure > PART * errors.l2_relative:
                break
    norm = ErrorNorm(problem, reference)
    errors = norm(jet) if given.points is not None else norm.converged(jet, most=2)
    points, values, others = _compared(problem, given, reference)
    gaps = (values - others).abs()
    row = int(gaps.amax(dim=1).argmax())
    defects: tuple[Defect, ...] = ()
    if differentiable and not problem.unknowns:
        defects = tuple(defects_of(problem, jet))
    factor = float((others * values).sum() / values.square().sum().clamp_min(1e-300))
    rest = torch.linalg.vector_norm(factor * values - others)
    is_other = float(rest) < 0.05 * float(torch.linalg.vector_norm(values - others))
    return Verified(
        _status(errors.l2_relative, unsure, tolerance, solution),
        problem,
        given,
        errors,
        reference,
        solution,
        unsure,
        dict(zip(points.names, points.coords[row].tolist(), strict=True)),
        float(gaps[row].max() / others.abs().max().clamp_min(1e-300)),
        defects,
        factor if is_other and not 0.5 < factor < 2 else None,
        None if tolerance is None else float(tolerance),
        time.perf_counter() - started,
    )


def _status(
    error: float, unsure: float, tolerance: float | int | None, solution: Solution | None
) -> str:
    """Return the status of a verification, as a sentence.

    If `unsure` is not known, the status is "failed: ...". Otherwise it is "measured: ..." without a
    tolerance. With a tolerance it is "converged: ..." if `error` + `unsure` is within the
    tolerance, "failed: ..." if `error` - `unsure` is above the tolerance, and else "stopped: ...".

    Args:
        error: the relative L2 error of the field.
        unsure: the estimated relative L2 error of the solution with which the field is compared;
            NaN if it is not known.
        tolerance: the largest acceptable relative L2 error; None without a tolerance.
        solution: the solution by this package; None if the problem has an exact solution.
    """
    said = f"the relative L2 error is {error:.1e}"
    if math.isnan(unsure):
        why = "" if solution is None else f" ({solution.status})"
        return f"failed: the solution to compare with has no estimated error{why}; {said}"
    if unsure > PART * error:
        said += f", up to the {unsure:.1e} of the solution that it is compared with"
    if tolerance is None:
        return f"{Outcome.MEASURED}: {said}; a tolerance would tell whether this is enough"
    limit = f"the tolerance {tolerance:.1e}"
    if error + unsure <= tolerance:
        return f"{CONVERGED}: {said}, within {limit}"
    if error - unsure > tolerance:
        return f"{FAILED}: {said}, above {limit}"
    return f"stopped: {said}; a larger budget would tell whether it is within {limit}"


def _compared(
    problem: Problem, given: Reference, reference: Reference, count: int = 4096
) -> tuple[Points, Tensor, Tensor]:
    """Return points, and the values of a given field and of a reference at these points.

    If a field of the problem is determined up to a constant only, a constant is added to the given
    field, so that it has the mean of the reference.

    Args:
        problem: the problem.
        given: the field of another code.
        reference: the solution with which the field is compared.
        count: the number of points, if `given` has no points of its own.

    Returns:
        The n points, the values of `given` (n, m), and the values of `reference` (n, m).
    """
    points = sample(problem.domain, count, "sobol") if given.points is None else given.points[0]
    channels = Channels(points.names)
    with torch.no_grad():
        values, others = (one.jet(points, channels).value for one in (given, reference))
    free = torch.tensor([name in problem.free_constant for name in problem.fields])
    return points, values - torch.where(free, (values - others).mean(dim=0), 0.0), others


def _check_values(problem: Problem, given: Reference) -> None:
    """Check that a field is finite at its points, or at 256 points in the domain.

    Raises:
        InputError: if the field is not finite.
    """
    points = sample(problem.domain, 256, "sobol") if given.points is None else given.points[0]
    values = given.jet(points, Channels(points.names)).value
    bad = ~torch.isfinite(values).all(dim=1)
    if bool(bad.any()):
        first = points.coords[bad][0].tolist()
        raise InputError(
            f"the field must be finite in the domain: it is not at {int(bad.sum())} of "
            f"{len(points)} points, the first is {first}"
        )


def _as_reference(
    problem: Problem, field: Field, names: Mapping[str, str]
) -> tuple[Reference, bool]:
    """Return a field as a `Reference`, and whether the field has derivatives of any order.

    Args:
        problem: the problem.
        field, names: `field` and `columns` of `verify`.
    """
    of_columns = isinstance(field, str | Path | Mapping)
    if names and not of_columns:
        raise InputError(f"columns is for values at points, not for the field {field!r}")
    if isinstance(field, Reference):
        return field, False
    if isinstance(field, str | Path):
        field = DataFile(str(field), columns=names)
    if isinstance(field, Recipe):
        return field.build(problem), False
    if isinstance(field, Mapping):
        columns = {name: numpy.asarray(values) for name, values in field.items()}
        known = renamed(columns, names, "the field")
        return DataColumns(known, "the field", "values at points").build(problem), False
    if not callable(field):
        raise InputError(
            f"field must be a function of points, a mapping with values at points, or the path of "
            f"a file, got {field!r}"
        )
    few = sample(problem.domain, 4, "sobol").coords
    in_torch = _in_torch(field, few)
    is_torch, field = in_torch is not None, in_torch or field
    function = partial(_columns, problem, field, is_torch)
    _columns(problem, field, is_torch, few)  # refuses a wrong shape before anything is solved
    if is_torch:
        return FunctionReference("a function", lambda p, c: jet_of(function, p.coords, c)), True
    return FunctionReference("a function", partial(_by_differences, problem, function)), False


def _converted(field: Callable[[Any], Any], dtype: torch.dtype, x: Tensor) -> Any:
    """Return the values of a field at points x (n, d), which are converted to a dtype."""
    return field(x.to(dtype))


def _in_torch(field: Callable[[Any], Any], few: Tensor) -> Callable[[Tensor], Any] | None:
    """Return a field as a function of points in float64 that PyTorch differentiates.

    The result is None if the field is no function that PyTorch can differentiate. If the field is a
    trained network in float32, its points are converted to float32.

    Args:
        field: the function.
        few: some points, (n, d), with which the function is tried.
    """
    for dtype in (torch.float64, torch.float32):
        with suppress(Exception):  # the user's own function may raise any exception
            value = field(few.to(dtype, copy=True).requires_grad_())
            if isinstance(value, Tensor) and value.requires_grad:
                return partial(_converted, field, dtype)
    return None


def _columns(problem: Problem, field: Callable[[Any], Any], is_torch: bool, x: Tensor) -> Tensor:
    """Return the values of a function at points x (n, d), (n, m), in the dtype of x.

    Args:
        problem: the problem, which has m fields.
        field: the function, which may return (n,) for m = 1.
        is_torch: whether the function has tensors as arguments, otherwise NumPy arrays.
        x: the coordinates of the points.

    Raises:
        InputError: if the function raises an exception, or its values are complex or have a wrong
            shape.
    """
    with calling("the field", f"{'a tensor' if is_torch else 'an array'} of {len(x)} points"):
        value = field(x) if is_torch else field(x.detach().cpu().numpy())
    value = value if isinstance(value, Tensor) else torch.as_tensor(numpy.asarray(value))
    if value.is_complex():
        raise InputError("the field must be real: give the real and the imaginary part as two")
    value = value.to(x.dtype)
    columns = value[:, None] if value.ndim == 1 else value
    expected = (len(x), len(problem.fields))
    if columns.shape != expected:
        raise InputError(
            f"the field must return an array of the shape {expected} for {len(x)} points and the "
            f"fields {', '.join(problem.fields)}, got {tuple(value.shape)}"
        )
    return columns


def _by_differences(
    problem: Problem, function: Callable[[Tensor], Tensor], p: Points, channels: Channels
) -> Jet:
    """Return a function's values and first derivatives, by differences of second order.

    Args:
        problem: the problem; the differences use points inside its domain only.
        function: the function, (n, d) → (n, m).
        p: n points.
        channels: which derivatives are needed; the result has no derivatives of higher order.
    """
    value = function(p.coords)
    if not channels.gradient:
        return Jet(channels, value)
    low, high = problem.domain.bounds
    slopes = []
    for axis, largest in enumerate(6e-6 * (high - low)):
        left, slope = torch.arange(len(p)), torch.full_like(value, math.nan)
        for step in largest * 8.0 ** -torch.arange(5):  # smaller steps in narrow corners
            shift = torch.zeros(problem.domain.dim).to(p.coords)
            shift[axis] = step
            # The weights of the values at one step, at no step and at one or two steps behind.
            for weights in (
                {1: 0.5, -1: -0.5},
                {0: -1.5, 1: 2, 2: -0.5},
                {0: 1.5, -1: -2, -2: 0.5},
            ):
                x = p.coords[left]
                inside = [problem.domain.contains(x + k * shift) for k in weights if k]
                whole = torch.stack(inside).all(dim=0)
                if bool(whole.any()):
                    terms = [w * function(x[whole] + k * shift) for k, w in weights.items()]
                    slope[left[whole]] = torch.stack(terms).sum(dim=0) / step
                    left = left[~whole]
        slopes.append(slope)
    return Jet(channels, value, torch.stack(slopes, dim=1))
