"""Checks that a problem is well posed, made by evaluating its equations at a few points."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Generator

from kanpinn._support.errors import InputError
from kanpinn._support.wording import of_class
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Jet
from kanpinn.pde.balance_of_data import Imbalance, imbalance, pure_fluxes
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.conditions import Condition
from kanpinn.pde.evaluate import ResidualFunction
from kanpinn.pde.needed_conditions import Lack, excess_conditions, lacking_conditions
from kanpinn.pde.random_jets import random_jets


def check_well_posed(problem: BoundaryValueProblem, strong: bool = True) -> None:
    """Refuse a problem with misplaced conditions, or that has no solution or more than one.

    These properties are checked:

    - The points of each condition lie in the domain, and those of a boundary condition on the
      domain's boundary.
    - A system has as many equations as fields. Constraints in the domain count; problems with
      measurements may have fewer, since a field may be an unknown coefficient.
    - Every field is determined completely, not only up to a constant, unless `free_constant`
      names it.
    - Each side has as many conditions as the equation needs there (`lacking_conditions`). A lack
      that is not certain is only warned of, and so are conditions in excess, which may agree
      (`excess_conditions`).
    - The data of a pure Neumann problem balance (`imbalance`).

    If the user's own functions raise an exception, all checks but the first are skipped.

    Args:
        problem: the problem, as `stated` returned it.
        strong: whether the solve minimises the residual (strong form). Only then are equations and
            conditions counted: an energy has no equations, and its natural conditions need not be
            stated.

    Raises:
        InputError: naming the condition, the numbers of equations and fields, the field, the side,
            or the integral of the data.
    """
    conditions = problem.conditions()
    few = Collocation(5, 16, "uniform")
    places = [c.points(few, 1.0, Generator().manual_seed(0)) for c in conditions]
    own = problem.domain.boundary.pieces
    for index, condition in enumerate(conditions):
        if not condition.is_at_boundary or any(piece not in own for piece in condition.pieces):
            what = f"conditions()[{index}], {of_class(condition)},"
            _check_place(problem, condition, places[index], what)
    try:
        found = _findings(problem, conditions, places, strong)
    except Exception:  # raised by the user's own functions, and again when the solve calls them
        return
    if strong and not any(c.measurements for c in conditions):
        _check_count(problem, found.equations)
    if found.lack is not None:
        _say_lack(problem, found.lack)
    if found.excess:
        warnings.warn(
            f"{type(problem).__name__} has no solution unless its conditions agree: {found.excess}",
            stacklevel=5,
        )
    if found.free:
        _refuse_free(problem, found.free[0])
    if found.unbalanced is not None and found.unbalanced.relative > 0:
        _say_imbalance(problem, found.unbalanced)


@dataclass(frozen=True)
class _Findings:
    """What evaluations of a problem's equations and conditions show.

    equations: their number in the domain, 0 for a problem with one field. free: the fields that are
    determined up to a constant only. lack: conditions that are missing. excess: where there are
    too many. unbalanced: the data of a pure Neumann problem.
    """

    equations: int
    free: Sequence[str]
    lack: Lack | None = None
    excess: str = ""
    unbalanced: Imbalance | None = None


def _findings(
    problem: BoundaryValueProblem,
    conditions: Sequence[Condition],
    places: Sequence[Points],
    strong: bool,
) -> _Findings:
    """Evaluate equations and conditions at a few points, for random jets there."""
    fields, lack, excess, unbalanced = problem.fields, None, "", None
    names = [name for name in fields if name not in problem.free_constant]
    probes = _probes(problem, places)
    seen = {name for name in names for probe in probes if _sees(*probe, fields.index(name))}
    count = sum(
        equation(points, jets[0]).shape[1]
        for condition, (equation, points, jets) in zip((None, *conditions), probes, strict=True)
        if len(fields) > 1 and (condition is None or condition.inside)
    )
    if strong and problem.needs_conditions:
        order = probes[0][2][0].channels.derivative_order
        pieces = {piece for c in conditions for piece in c.pieces}
        one_each = pieces.issuperset(problem.domain.boundary.pieces)
        if not (one_each and len(fields) == 1 and order <= 2 and not problem.domain.time_name):
            lack = lacking_conditions(problem)
        excess = "" if lack else excess_conditions(problem)
        if not any(c.fixes_constant for c in conditions) and pure_fluxes(problem):
            unbalanced = imbalance(problem)
    return _Findings(count, [name for name in names if name not in seen], lack, excess, unbalanced)


def _check_count(problem: BoundaryValueProblem, count: int) -> None:
    """Refuse a system with fewer equations than fields."""
    fields = problem.fields
    unknown = [one for one in getattr(problem, "unknowns", {}) if one in fields]
    if count < len(fields) > 1 and unknown:
        raise InputError(
            f"{type(problem).__name__} has no measurements from which the unknown field "
            f"{unknown[0]} could be found: add kp.Observed to conditions()"
        )
    if count < len(fields) > 1:
        many = f"{count} equation" + "s" * (count > 1)
        raise InputError(
            f"{type(problem).__name__}.residual gives {many} for the {len(fields)} fields "
            f"{', '.join(fields)}: expected one for each, a tuple of columns (n, 1)"
        )


def _refuse_free(problem: BoundaryValueProblem, name: str) -> None:
    """Refuse a problem that leaves a constant of a field undetermined."""
    field = f', field="{name}"' if len(problem.fields) > 1 else ""
    raise InputError(
        f"the equation and conditions of {type(problem).__name__} leave a constant of {name} "
        f"undetermined: add kp.Integral(self.domain, 0.0{field}) to conditions(), or list it in "
        "free_constant if its value does not matter"
    )


def _say_lack(problem: BoundaryValueProblem, lack: Lack) -> None:
    """Refuse a problem that lacks conditions, or warn of it where others may make up for them."""
    if lack.is_sure:
        raise InputError(
            f"the solution of {type(problem).__name__} is not unique: {lack.text}; add the "
            "missing ones to conditions(), or set needs_conditions = False in the class to solve "
            "for one of its solutions"
        )
    warnings.warn(
        f"{type(problem).__name__} may have more than one solution, or a solution that depends on "
        f"its data without bound: {lack.text}",
        stacklevel=6,
    )


def _say_imbalance(problem: BoundaryValueProblem, found: Imbalance) -> None:
    """Refuse a pure Neumann problem without a solution, or warn of data with few digits."""
    digits = 1e-3  # the relative imbalance of data that are known to few digits
    text = (
        f"{type(problem).__name__} prescribes fluxes and no values, and has a solution only if "
        f"source and fluxes balance: their integrals add up to {found.value:.3g}, "
        f"{found.relative:.1%} of those of their absolute values"
    )
    if found.relative > digits:
        raise InputError(text)
    warnings.warn(f"{text}, which limits the accuracy", stacklevel=6)


def _probes(
    problem: BoundaryValueProblem, places: Sequence[Points]
) -> list[tuple[ResidualFunction, Points, tuple[Jet, Jet]]]:
    """Return the equation, then each condition's residual, with points and two random jets there.

    Args:
        problem: the problem.
        places: points of each condition.
    """
    equations: list[tuple[ResidualFunction, Points]] = [
        (problem.equation, sample(problem.domain, 5, "uniform"))
    ]
    for index, condition in enumerate(problem.conditions()):
        what = f"conditions()[{index}]"
        residual = partial(condition.stacked_residual, problem.fields, what)
        equations.append((residual, places[index]))
    # The equations are evaluated many times at the same points: a batch keeps their sources.
    batches = [(equation, Batch.made_of(points)) for equation, points in equations]
    return [(*one, random_jets(*one, len(problem.columns))) for one in batches]


def _sees(equation: ResidualFunction, points: Points, jets: Sequence[Jet], field: int) -> bool:
    """True if adding a constant to the field changes the residual by more than rounding."""
    for jet in jets:
        shift = torch.zeros_like(jet.value)
        shift[:, field] = 1.0
        before = equation(points, jet)
        change = equation(points, replace(jet, value=jet.value + shift)) - before
        # A residual that is NaN proves nothing, so it counts as a change and refuses nothing.
        if not (change.abs() <= 1e-10 * (1 + before.abs())).all():
            return True
    return False


def _check_place(
    problem: BoundaryValueProblem, condition: Condition, points: Points, what: str
) -> None:
    """Refuse points outside the domain, and points of a boundary condition that are interior."""
    domain = problem.domain
    if points.names != domain.names:
        raise InputError(
            f"{what} has the coordinates {', '.join(points.names)}, the domain of "
            f"{type(problem).__name__} has {', '.join(domain.names)}"
        )
    low, high = domain.bounds
    reach = 1e-7 * float((high - low).max())  # tolerance for points on the boundary
    outside = ~domain.contains(points.coords, reach)
    if outside.any():
        raise InputError(f"{what} is outside of the domain, at {points[outside].show(0)}")
    inside = domain.contains(points.coords, -reach)
    if condition.is_at_boundary and inside.any():
        raise InputError(
            f"{what} is not on the domain's boundary but inside of it, at "
            f"{points[inside].show(0)}: for values inside take Observed or Constraint"
        )
