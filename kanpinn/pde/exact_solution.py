"""The exact solution of a problem: its jet, its residual, and the source derived from it."""

import functools
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, find_channels, jet_of, join, stack_equations
from kanpinn.pde.boundary_value_problem import altered
from kanpinn.pde.unknown import Unknown


@runtime_checkable
class Stated(Protocol):
    """A problem as far as the functions here need it: equation, and exact solution if known."""

    fields: tuple[str, ...]
    exact: Callable[[Points], Tensor | tuple[Tensor, ...]] | None

    @property
    def numbers(self) -> Mapping[str, Unknown]:
        """The unknowns that are numbers, by their names."""

    def equation(self, p: Points, u: Jet) -> Tensor:
        """Return the residual, (n, equations), from the jet of all columns."""


def exact_jet(problem: Stated, p: Points, channels: Channels) -> Jet:
    """Return the exact solution's jet at points, computed by nested automatic differentiation.

    Raises:
        InputError: where there is no exact solution, or `exact` gives another shape.
    """
    name, exact = type(problem).__name__, problem.exact
    if exact is None:
        raise InputError(f"{name} has no exact solution: it has no method `exact`")
    jet = jet_of(
        lambda x: stack_equations(exact(Points(x, p.names)), len(x), f"{name}.exact"),
        p.coords,
        channels,
    )
    if (count := jet.value.shape[1]) != len(problem.fields):
        raise InputError(
            f"{name}.exact must have {len(problem.fields)} columns for the fields "
            f"{', '.join(problem.fields)}, got {count}"
        )
    return jet


def exact_columns(problem: Stated, p: Points, channels: Channels) -> Jet:
    """Return `exact_jet` with further columns for the true values of the unknown numbers.

    Raises:
        InputError: where an unknown number has no exact value.
    """
    fields = exact_jet(problem, p, channels)
    for name, unknown in problem.numbers.items():
        if unknown.exact is None:
            raise InputError(
                f"{type(problem).__name__}.unknowns[{name!r}] has no exact value, which the exact "
                "solution's residual needs"
            )
        fields = join([fields, fields[0] * 0 + unknown.exact])
    return fields


def exact_residual(
    problem: Stated, p: Points, jet: Callable[[Channels], Jet] | None = None
) -> Tensor:
    """Return the residual of the exact solution at n points, (n, equations).

    It is zero where the exact solution satisfies the equation.

    Args:
        problem: the problem.
        p: the points.
        jet: returns `exact_columns` at the points, by default computed here.
    """
    exact = jet or functools.partial(exact_columns, problem, p)
    return find_channels(lambda channels: problem.equation(p, exact(channels)), p.names)[1]


def derived_source(problem: Stated, p: Points) -> Tensor:
    """Return the source s with residual(exact; s) = 0, (n, equations).

    With r(s) the residual of the exact solution for a constant source s, it is
    s = -r(0) / (r(1) - r(0)). Equations that do not contain the source have s = 0.

    Raises:
        InputError: where there is no exact solution, or the residual r is not affine in s.
    """
    name = type(problem).__name__
    if problem.exact is None:
        raise InputError(f"{name} uses source(p) but has neither `source` nor `exact`")
    third = -0.618  # a non-round s, where a residual that is not affine leaves the line
    jet = functools.cache(functools.partial(exact_columns, problem, p))  # the same for each s

    def residual(s: float) -> Tensor:
        fields = len(problem.fields)
        view = altered(problem, source=lambda q: q.coords.new_full((len(q), fields), s))
        return exact_residual(view, p, jet)

    at = [residual(s) for s in (0.0, 1.0, third)]
    slope = at[1] - at[0]
    curvature = (at[2] - at[0] - third * slope).abs().max()
    rounding = 1e3 * torch.finfo(slope.dtype).eps * (1 + max(r.abs().max() for r in at))
    unused = (slope == 0).all(dim=0)  # equations of a system that do not contain the source
    if bool(((slope == 0) & ~unused).any()) or bool(unused.all()) or curvature > rounding:
        raise InputError(
            f"{name}: a source is derived from `exact` only if the residual is affine in "
            "source(p); write source(p) yourself"
        )
    return torch.where(unused, torch.zeros_like(slope), -at[0] / slope).detach()
