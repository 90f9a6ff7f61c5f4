"""Copies of a problem with another value of a parameter."""

import copy

from kanpinn._support.errors import InputError
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, P, stated


def with_parameter(problem: P, name: str, value: float) -> P:
    """Return a copy of the problem with another value of a parameter.

    The conditions may depend on the parameter, so for a problem that `stated` returned they are
    made and checked again.

    Args:
        problem: the problem.
        name: the name of the parameter, an attribute that the problem's methods read.
        value: the parameter's new value.

    Raises:
        InputError: where the problem has no number as an attribute of that name.
    """
    parameter_of(problem, name)
    view = copy.copy(problem)
    object.__setattr__(view, name, value)
    if not problem.is_stated:
        return view
    del view.__dict__["conditions"], view.__dict__["is_stated"]
    return stated(view)


def parameter_of(problem: BoundaryValueProblem, name: str) -> float:
    """Return the value of a parameter: an attribute of the problem that is a number.

    Raises:
        InputError: where the problem has no such attribute.
    """
    found = {k: v for k, v in vars(problem).items() if isinstance(v, int | float)}
    if name not in found:
        there = ", ".join(found) or "none"
        raise InputError(
            f"{type(problem).__name__} has no parameter {name!r}: its attributes that are numbers "
            f"are {there}"
        )
    return float(found[name])
