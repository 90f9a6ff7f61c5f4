"""Problems: a domain, a residual, conditions, and optionally a source and an exact solution."""

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

    residual(p, u) gives (n, equations), or a tuple of such, from named points (`p.x` is (n, 1)) and
    the solution's jet; a system names its `fields` and takes a jet for each, residual(p, u, v).
    `exact(p)`, (n, fields) or a tuple of columns, is optional: it serves the errors, and
    `source(p)` is derived from it where a class does not write its own.

    error_fields: whose errors count in the overall ones, all by default. free_constant: fields such
    as a pressure that the problem determines up to a constant; errors leave out their means.
    """

    solved_by: ClassVar[str] = "solve"  # the function that takes problems of this kind
    domain: Domain
    fields: tuple[str, ...] = ("u",)
    error_fields: tuple[str, ...] | None = None
    free_constant: tuple[str, ...] = ()
    unknowns: Mapping[str, Unknown] = MappingProxyType({})
    needs_conditions: ClassVar[bool] = True  # whether a solution without any is not unique
    is_stated: ClassVar[bool] = False  # whether `conditions` gives the same tuple always

    @abstractmethod
    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        """The residual that vanishes in the domain, (n, equations) or a tuple of columns (n, 1)."""

    @abstractmethod
    def conditions(self) -> Sequence[Condition]:
        """The conditions that hold besides the residual; a solve calls this method once."""

    def source(self, p: Points) -> Tensor:
        """The right-hand side, derived so that `exact` solves the equation; (n, fields).

        Raises:
            InputError: where there is no exact solution, or the residual not affine in the source.
        """
        return derived_source(self, p)

    def enrichment(self) -> Sequence[Callable[[Points], Tensor]]:
        """Known functions beside the network, such as `Corner`'s: each gives (n, q) at points,
        which are added to every field for itself, or (n, q, m) of the m fields at once.

        Their coefficients are found with those of the network's output layer.
        """
        return ()

    def inputs(self) -> Callable[[Points], Tensor] | None:
        """The network's inputs in place of the scaled coordinates, such as a `Stretch`, or None.

        A function of points that gives (n, q) in [-1, 1]; the network's width then starts with q.
        """
        return None

    def cells(self) -> Sequence[Domain]:
        """Parts that make up the domain; the integrals of energies and norms are sums over them."""
        return (self.domain,)

    def energy(self, p: Points, *fields: Jet) -> Tensor:
        """The density (n, 1) of an energy that the solution minimises, convex in the fields' jets.

        It is used where a solve's form is "energy", in place of `residual`: for solutions that are
        too rough for the equation itself. For -div(a ∇u) = f it is a |∇u|²/2 - f u.
        """
        raise InputError(f"{type(self).__name__} has no energy(p, {', '.join(self.fields)})")

    def boundary_energies(self) -> Sequence[tuple[Boundary, Callable[..., Tensor]]]:
        """Pairs of a part of the boundary and the energy's density (n, 1) there.

        Neumann and Robin conditions are natural in the energy form, which passes over them: for
        ∂u/∂n = g the density is -g u, for ∂u/∂n + αu = g it is αu²/2 - g u.
        """
        return ()

    def reference(self) -> object | None:
        """A substitute for an exact solution: a `Reference`, or a recipe for one such as `FEM`.

        It is not asked for where there is `exact`.
        """
        return None

    @property
    def numbers(self) -> dict[str, Unknown]:
        """The unknowns that are numbers, not fields, by name."""
        return {name: one for name, one in self.unknowns.items() if name not in self.fields}

    @property
    def columns(self) -> tuple[str, ...]:
        """The residual's arguments: the fields, then the numbers."""
        return (*self.fields, *self.numbers)

    @property
    def has_exact(self) -> bool:
        """Whether the class gives an exact solution."""
        return callable(getattr(self, "exact", None))

    def check(self) -> None:
        """Refuse a class that lacks what a solve needs; `stated` also checks the conditions.

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
        """The residual as (n, equations) from the jet of all fields.

        Raises:
            InputError: where it has another shape.
        """
        return stack_equations(self.residual(p, *split(u)), len(p), "residual")

    def condition_equation(self, index: int) -> Callable[[Points, Jet], Tensor]:
        """The residual of `conditions()[index]`, (rows, equations), from the jet of all fields.

        Raises:
            InputError: where it has another shape.
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
    """The problem, checked, as a copy whose `conditions()` always gives the same tuple.

    The class's own `conditions` is called once. The solve, the check of the exact solution, the
    reference and the estimate of the errors are then about the same conditions, also where that
    method draws random noise. A problem that has been through here is returned as it is.

    Raises:
        InputError: for something else than a problem, or a class that lacks what a solve needs.
    """
    if not isinstance(problem, Problem):
        raise InputError(f"problem must be an instance of a kanpinn Problem, got {problem!r}")
    if problem.is_stated:
        return problem
    problem.check()
    conditions = problem.conditions()
    check_conditions(type(problem).__name__, conditions, problem.fields)
    view = copy.copy(problem)
    # object's setter, also where a problem is a frozen dataclass.
    object.__setattr__(view, "conditions", functools.partial(tuple, tuple(conditions)))
    object.__setattr__(view, "is_stated", True)
    return view


def exact_values(problem: Problem, p: Points) -> Tensor:
    """The exact solution's values at n points, (n, fields).

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
    """The exact solution's jet at points, by nested automatic differentiation.

    Raises:
        InputError: where `exact` gives another shape.
    """
    return jet_of(lambda x: exact_values(problem, Points(x, p.names)), p.coords, channels)


def exact_columns(problem: Problem, p: Points, channels: Channels) -> Jet:
    """`exact_jet` with the unknown numbers' true values after the fields.

    Raises:
        InputError: where one of these is not known.
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
    """The residual of the exact solution, (n, equations); zero where problem and solution agree."""

    def evaluate(channels: Channels) -> Tensor:
        return problem.equation(p, exact_columns(problem, p, channels))

    return evaluate(find_channels(evaluate, p.names))


def derived_source(problem: Problem, p: Points) -> Tensor:
    """The source s with residual(exact; s) = 0, s = -r(0) / (r(1) - r(0)), (n, equations).

    Raises:
        InputError: where there is no exact solution, or the residual r is not affine in s.
    """
    name = type(problem).__name__
    if not problem.has_exact:
        raise InputError(f"{name} uses source(p) but has neither `source` nor `exact`")
    third = -0.618  # no round number, at which more than affine functions would fit a line
    at = [exact_residual(_with_constant_source(problem, s), p) for s in (0.0, 1.0, third)]
    slope = at[1] - at[0]
    curvature = (at[2] - at[0] - third * slope).abs().max()
    rounding = 1e3 * torch.finfo(slope.dtype).eps * (1 + max(r.abs().max() for r in at))
    unused = (slope == 0).all(dim=0)  # equations of a system that have no source
    if bool(((slope == 0) & ~unused).any()) or bool(unused.all()) or curvature > rounding:
        raise InputError(
            f"{name}: a source is derived from `exact` only if the residual is affine in "
            "source(p); write source(p) yourself"
        )
    return torch.where(unused, torch.zeros_like(slope), -at[0] / slope).detach()


def with_source(problem: P, source: Callable[[Points], Tensor]) -> P:
    """A copy of the problem with another source, a function of points that gives (n, fields)."""
    view = copy.copy(problem)
    object.__setattr__(view, "source", source)
    return view


def with_parameter(problem: P, name: str, value: float) -> P:
    """The same problem with another value of a parameter, an attribute that its methods read.

    Its conditions may depend on the parameter, so they are asked for anew.

    Raises:
        InputError: where it has no such number.
    """
    parameter_of(problem, name)
    view = copy.copy(problem)
    object.__setattr__(view, name, value)
    if not problem.is_stated:
        return view
    del view.__dict__["conditions"], view.__dict__["is_stated"]
    return stated(view)


def parameter_of(problem: Problem, name: str) -> float:
    """A number that the problem has as an attribute.

    Raises:
        InputError: where it has none of that name.
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
