"""The base class of problems, exact solutions and derived sources, and copies of problems."""

import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.jets import Channels, Jet, jet_of, join
from kanpinn.pde.conditions import Condition
from kanpinn.pde.evaluate import find_channels, split, stack_equations
from kanpinn.pde.unknown import Unknown
from kanpinn.pde.validate import (
    check_arguments,
    check_conditions,
    check_subset,
    check_unknowns,
)


class Problem(ABC):
    """A PDE on a domain: subclass it and write `domain`, `residual` and `conditions`.

    `residual(p, u)` returns (n, equations), or a tuple of such, from points with named coordinates
    (`p.x` is (n, 1)) and the solution's jet. A system names its `fields`, and its residual takes a
    jet for each: residual(p, u, v). The method `exact(p)` is optional and returns the exact
    solution, (n, fields) or a tuple of columns. It is used to compute errors, and `source(p)` is
    derived from it unless the class defines its own.

    `error_fields` names the fields whose errors enter the overall error norms; by default all do.
    `free_constant` names the fields, such as a pressure, that the problem determines only up to a
    constant; their errors are computed without their means.
    """

    solved_by: ClassVar[str] = "solve"  # the name of the function that solves such problems
    domain: Domain
    fields: tuple[str, ...] = ("u",)
    error_fields: tuple[str, ...] | None = None
    free_constant: tuple[str, ...] = ()
    unknowns: Mapping[str, Unknown] = MappingProxyType({})
    needs_conditions: ClassVar[bool] = True  # without any the solution is not unique
    is_stated: ClassVar[bool] = False  # whether `stated` made this copy

    @abstractmethod
    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        """Return the residual at n points in the domain, which is zero for the solution.

        Args:
            p: n points.
            fields: the jet of each field, then of each unknown number.

        Returns:
            (n, equations), or a tuple of columns (n, 1).
        """

    @abstractmethod
    def conditions(self) -> Sequence[Condition]:
        """Return the conditions that complete the equation; a solve calls this method once."""

    def source(self, p: Points) -> Tensor:
        """Return the right-hand side at n points, (n, fields), derived from `exact`.

        The derived source is that for which `exact` solves the equation. A class that defines its
        own source overrides this method.

        Raises:
            InputError: where there is no exact solution, or the residual is not affine in the
                source.
        """
        return derived_source(self, p)

    def enrichment(self) -> Sequence[Callable[[Points], Tensor]]:
        """Return known functions that are added to the network, such as those of `Corner`.

        Each returns (n, q) at n points, which are q further basis functions for every field
        separately, or (n, q, m), which are q basis functions of the m fields jointly. Their
        coefficients are determined together with those of the network's output layer.
        """
        return ()

    def inputs(self) -> Callable[[Points], Tensor] | None:
        """Return a function that computes the network's inputs, such as a `Stretch`, or None.

        It maps n points to inputs (n, q) in [-1, 1], and the network's width then starts with q.
        With None the inputs are the scaled coordinates.
        """
        return None

    def cells(self) -> Sequence[Domain]:
        """Return the parts that make up the domain.

        Integrals of energies and norms are computed as sums over the parts.
        """
        return (self.domain,)

    def energy(self, p: Points, *fields: Jet) -> Tensor:
        """Return the density (n, 1) of the energy that the solution minimises.

        The density has to be convex in the fields' jets. A solve whose form is "energy" uses it in
        place of `residual`, for solutions that are not smooth enough for the strong form. For
        -div(a ∇u) = f it is a |∇u|²/2 - f u.

        Raises:
            InputError: where the class does not define an energy.
        """
        raise InputError(f"{type(self).__name__} has no energy(p, {', '.join(self.fields)})")

    def boundary_energies(self) -> Sequence[tuple[Boundary, Callable[..., Tensor]]]:
        """Return pairs of a part of the boundary and a function for the energy's density there.

        The function returns the density (n, 1). Neumann and Robin conditions are natural in the
        energy form, which ignores their residuals, so their data enter here: for ∂u/∂n = g the
        density is -g u, for ∂u/∂n + αu = g it is αu²/2 - g u.
        """
        return ()

    def reference(self) -> object | None:
        """Return a `Reference`, or a recipe for one such as `FEM`, in place of an exact solution.

        It is not used for a problem that has `exact`.
        """
        return None

    @property
    def numbers(self) -> dict[str, Unknown]:
        """The unknowns that are numbers (not fields), by their names."""
        return {name: one for name, one in self.unknowns.items() if name not in self.fields}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the residual's arguments: the fields, then the unknown numbers."""
        return (*self.fields, *self.numbers)

    @property
    def has_exact(self) -> bool:
        """Whether the problem has a method `exact`."""
        return callable(getattr(self, "exact", None))

    def check(self) -> None:
        """Refuse a class whose attributes or methods are missing or invalid.

        The conditions are not checked here but by `stated`.

        Raises:
            InputError: naming the attribute or the method, and what it must be.
        """
        name = type(self).__name__
        if not isinstance(getattr(self, "domain", None), Domain):
            raise InputError(f"{name}.domain must be a kanpinn domain such as Box(x=(-1, 1))")
        if not self.fields or not all(isinstance(f, str) for f in self.fields):
            raise InputError(f"{name}.fields must be a tuple of names, got {self.fields!r}")
        check_subset(name, "error_fields", self.error_fields, self.fields)
        check_subset(name, "free_constant", self.free_constant or None, self.fields)
        check_unknowns(name, self.unknowns, self.fields, self.domain.names)
        check_arguments(f"{name}.residual", self.residual, self.columns)
        check_arguments(f"{name}.reference", self.reference, None)

    def equation(self, p: Points, u: Jet) -> Tensor:
        """Return the residual as one tensor, (n, equations), from the jet of all columns.

        Args:
            p: n points.
            u: the jet of all fields, then the unknown numbers.

        Raises:
            InputError: where the residual has another shape.
        """
        return stack_equations(self.residual(p, *split(u)), len(p), "residual")

    def condition_equation(self, index: int) -> Callable[[Points, Jet], Tensor]:
        """Return the function that evaluates the residual of `conditions()[index]`.

        It takes the condition's points and the jet of all fields there, and returns
        (rows, equations). It raises an InputError where the residual has another shape.
        """
        condition, what = self.conditions()[index], f"conditions()[{index}]"
        which = [self.fields.index(name) for name in condition.about or self.fields]

        def equation(p: Points, u: Jet) -> Tensor:
            columns = split(u)
            found = condition.residual(p, *(columns[i] for i in which))
            return stack_equations(found, len(p) // condition.sites, what)

        return equation


P = TypeVar("P", bound=Problem)


def stated(problem: P) -> P:
    """Check a problem and return a copy whose `conditions()` always returns the same tuple.

    The class's own `conditions` is called once. The solve, the check of the exact solution, the
    reference and the error estimate then use the same conditions, even if that method draws random
    noise. A problem that this function returned is returned unchanged.

    Raises:
        InputError: for an object that is not a problem, or a class whose attributes, methods or
            conditions are missing or invalid.
    """
    if not isinstance(problem, Problem):
        raise InputError(f"problem must be an instance of a kanpinn Problem, got {problem!r}")
    if problem.is_stated:
        return problem
    problem.check()
    conditions = problem.conditions()
    check_conditions(type(problem).__name__, conditions, problem.fields)
    view = copy.copy(problem)
    # object's own setter works also for a problem that is a frozen dataclass.
    object.__setattr__(view, "conditions", functools.partial(tuple, tuple(conditions)))
    object.__setattr__(view, "is_stated", True)
    return view


def exact_values(problem: Problem, p: Points) -> Tensor:
    """Return the exact solution's values at n points, (n, fields).

    Raises:
        InputError: where `exact` gives another shape.
    """
    name = f"{type(problem).__name__}.exact"
    values = stack_equations(problem.exact(p), len(p), name)  # type: ignore[attr-defined]
    if values.shape[1] != len(problem.fields):
        raise InputError(
            f"{name} must have {len(problem.fields)} columns for the fields "
            f"{', '.join(problem.fields)}, got {values.shape[1]}"
        )
    return values


def exact_jet(problem: Problem, p: Points, channels: Channels) -> Jet:
    """Return the exact solution's jet at points, computed by nested automatic differentiation.

    Raises:
        InputError: where `exact` gives another shape.
    """
    return jet_of(lambda x: exact_values(problem, Points(x, p.names)), p.coords, channels)


def exact_columns(problem: Problem, p: Points, channels: Channels) -> Jet:
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


def exact_residual(problem: Problem, p: Points) -> Tensor:
    """Return the residual of the exact solution at n points, (n, equations).

    It is zero where the exact solution satisfies the equation.
    """

    def evaluate(channels: Channels) -> Tensor:
        return problem.equation(p, exact_columns(problem, p, channels))

    return evaluate(find_channels(evaluate, p.names))


def derived_source(problem: Problem, p: Points) -> Tensor:
    """Return the source s with residual(exact; s) = 0, (n, equations).

    With r(s) the residual of the exact solution for a constant source s, it is
    s = -r(0) / (r(1) - r(0)). Equations that do not contain the source have s = 0.

    Raises:
        InputError: where there is no exact solution, or the residual r is not affine in s.
    """
    name = type(problem).__name__
    if not problem.has_exact:
        raise InputError(f"{name} uses source(p) but has neither `source` nor `exact`")
    third = -0.618  # a non-round s, where a residual that is not affine leaves the line
    at = [exact_residual(_with_constant_source(problem, s), p) for s in (0.0, 1.0, third)]
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


def with_source(problem: P, source: Callable[[Points], Tensor]) -> P:
    """Return a copy of the problem with another source, a function of points → (n, fields)."""
    view = copy.copy(problem)
    object.__setattr__(view, "source", source)
    return view


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


def parameter_of(problem: Problem, name: str) -> float:
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


def _with_constant_source(problem: P, value: float) -> P:
    fields = len(problem.fields)
    return with_source(problem, lambda p: p.coords.new_full((len(p), fields), value))
