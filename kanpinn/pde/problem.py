"""The base classes of problems with a solution and of eigenvalue problems, as users write them; the
exact solution of a problem: its jet, its residual, and the source derived from it.
"""

import functools
import inspect
import itertools
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, number, of_class, show
from kanpinn.geometry import Boundary, Points
from kanpinn.jets import Channels, Jet, find_channels, jet_of, join, random_jets, stack_equations
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, altered
from kanpinn.pde.conditions import Condition
from kanpinn.pde.energies import Energy


@dataclass(frozen=True)
class Unknown:
    """An unknown of an inverse problem, a number or a coefficient field.

    The unknown is start + c or, where it is positive, start·exp(c). The solve determines c: for a
    number a scalar that starts at zero, for a field an output of the network.

    Args:
        start: the initial value.
        positive: whether the unknown is start·exp(c), which stays positive; its confidence bounds
            are then positive, too.
        exact: the true value of a number where it is known, for comparison only. The true values of
            a field are given by the problem's `exact`.

    Raises:
        InputError: for a start or exact value that is not a finite number, or that is not above 0
            where `positive` is True.

    Example:
        >>> import kanpinn as kp
        >>> viscosity = kp.Unknown(start=1.0, positive=True, exact=0.1)
        >>> viscosity.start, viscosity.positive
        (1.0, True)
    """

    start: float | int = 1.0
    positive: bool = False
    exact: float | int | None = None

    def __post_init__(self) -> None:
        number("start", self.start, least=-float("inf"))
        if self.exact is not None:
            number("exact", self.exact, least=-float("inf"))
        if not isinstance(self.positive, bool):
            raise InputError(f"positive must be True or False, got {self.positive!r}")
        if self.positive and self.start <= 0:
            raise InputError(f"start must be above 0 where positive is True, got {self.start!r}")
        if self.positive and self.exact is not None and self.exact <= 0:
            raise InputError(f"exact must be above 0 where positive is True, got {self.exact!r}")

    def of(self, c: Jet) -> Jet:
        """Return the jet of the unknown from the jet of c."""
        if not self.positive:
            return c + self.start
        return c.chain([self.value(c.value)] * 5)  # exp and its derivatives up to the fourth

    def random_start(self, generator: torch.Generator) -> float:
        """Return c for a random multiple of the start value, or of 1 where the start value is 0.

        The factor lies between 1/30 and 30; if the unknown may be negative, it gets the other sign
        with a probability of 1/4.
        """
        u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        exponent = (2 * u - 1) * math.log(30.0)
        if self.positive:
            return exponent
        sign = -1.0 if v < 0.25 else 1.0
        return sign * math.exp(exponent) * (self.start or 1.0) - self.start

    def value(self, c: Tensor) -> Tensor:
        """Return the value of the unknown from the value of c, in the same shape."""
        return self.start * torch.exp(c) if self.positive else self.start + c

    def slope(self, c: Tensor) -> Tensor:
        """Return the derivative of the value by c, in the same shape."""
        return self.value(c) if self.positive else torch.ones_like(c)


def check_arguments(what: str, function: Callable, columns: Sequence[str] | None) -> None:
    """Refuse a method of a problem that does not accept the arguments it is called with.

    Args:
        what: the names of the class and the method, "Class.method", for the message.
        function: the method, bound to the problem.
        columns: the names of the fields and unknown numbers whose jets the method takes after the
            points; None for a method without arguments.

    Raises:
        InputError: naming the method and the arguments it has to accept.
    """
    given = () if columns is None else (None, *columns)
    try:
        inspect.signature(function).bind(*given)
    except TypeError as error:
        if columns is None:
            raise InputError(f"{what} takes no points: {error}") from None
        raise InputError(
            f"{what} must take points and a jet for each field and unknown, "
            f"{what.partition('.')[2]}(p, {', '.join(columns)}): {error}"
        ) from None


def with_numbers(condition: Condition, fields: Sequence[str], numbers: Sequence[str]) -> Condition:
    """The condition, with the names of the unknown numbers if its data depend on unknown numbers.

    The data depend on them if the condition's functions can be evaluated with the numbers only.

    Args:
        condition: the condition.
        fields: the names of the problem's fields.
        numbers: the names of its unknown numbers.

    Raises:
        InputError, AttributeError: for data that are invalid even with the numbers, such as a
            formula with an unknown name.
    """
    p, columns = condition.few_points(), len(fields) + len(numbers)
    last: Exception | None = None
    for tried in (condition, altered(condition, numbers=tuple(numbers))):
        try:
            random_jets(tried.stacked_residual, p, columns)
            return tried
        except Exception as failure:  # by the user's own functions
            last = failure
    if isinstance(last, InputError | AttributeError):
        raise last  # which names the numbers too
    return condition  # the solve raises any other exception of the user's own functions again


def exact_jet(problem: "Problem", p: Points, channels: Channels) -> Jet:
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


def exact_columns(problem: "Problem", p: Points, channels: Channels) -> Jet:
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
    problem: "Problem", p: Points, jet: Callable[[Channels], Jet] | None = None
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


def derived_source(problem: "Problem", p: Points) -> Tensor:
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


class Problem(BoundaryValueProblem):
    """A PDE on a domain: subclass it and write `domain`, `residual` and `conditions`.

    `residual(p, u)` returns (n, equations), or a tuple of columns, from points with named
    coordinates (`p.x` is (n, 1)) and the solution's jet. A system names its `fields`, and its
    residual takes a jet for each: residual(p, u, v). The method `exact(p)` is optional and returns
    the exact solution, (n, fields) or a tuple of columns. It is used to compute errors, and
    `source(p)` is derived from it unless the class defines its own.

    `error_fields` names the fields whose errors enter the overall error norms; by default all do.
    `free_constant` names the fields, such as a pressure, that the problem determines only up to a
    constant; their errors are computed without their means. `unknowns` maps the names of unknown
    numbers and coefficient fields, which a solve finds from measurements, to an `Unknown` each. The
    residual takes the numbers as jets, after the fields. In the data of conditions they are columns
    of the points, `p.k`, or names in formulas: kp.Robin(walls, "k", 1.0, "20*k").

    `invariants(p, u)`, for evolutions, is optional. It returns the densities of integrals over
    space that do not change in time, a dict from names to (n, 1), such as {"mass": u.value}; for an
    ordinary differential equation it returns the conserved quantities themselves. A solve reports
    how far the integrals drift. If a conserved quantity leaves through walls, `outflow(p, u)`
    returns the flux densities out of the domain, a dict with the same names, at boundary points
    with the outward unit normals `p.normals`.

    `quantities(solution)` is optional. It returns a dict from names to numbers that matter in an
    application, such as {"drag": solution.integral(wall, self.traction)[0]}; they are floats or
    tensors with one element, and a run reports them by these names. `velocity_fields` names the
    two velocity components of a flow in the plane; pictures then show its streamlines, in
    evolutions those at the last moment.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> class Membrane(kp.Problem):
        ...     domain = kp.Box(x=(0, 1), y=(0, 1))
        ...     def residual(self, p, u):
        ...         return kp.laplacian(u) + 1
        ...     def conditions(self):
        ...         return [kp.Dirichlet(self.domain.boundary, 0.0)]
        >>> solution = kp.solve(Membrane(), kp.KAN([2, 32, 1], degree=7))
        >>> f"{float(solution(torch.tensor([[0.5, 0.5]]))):.3f}"
        '0.074'
    """

    unknowns: Mapping[str, Unknown] = MappingProxyType({})
    exact: Callable[[Points], Tensor | tuple[Tensor, ...]] | None = None
    invariants: Callable[..., Mapping[str, Tensor]] | None = None
    outflow: Callable[..., Mapping[str, Tensor]] | None = None
    quantities: Callable[..., Mapping[str, Tensor | float]] | None = None
    velocity_fields: tuple[str, str] | None = None
    ignores_residual: bool = False  # True in a copy that `by_energy` made

    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        """Return the residual at n points in the domain, which is zero for the solution.

        By default it is the Euler–Lagrange equation of `energy`, derived by differentiation.

        Args:
            p: n points.
            fields: the jet of each field, then of each unknown number.

        Returns:
            (n, equations), or a tuple of columns (n, 1).
        """
        return self._energy.equation(p, fields)

    @property
    def _energy(self) -> Energy:
        name = f"{type(self).__name__}.energy"
        return Energy(self.energy, name, self.fields, len(self.columns))

    def source(self, p: Points) -> Tensor:
        """Return the right-hand side at n points, (n, fields), derived from `exact`.

        With the derived source `exact` solves the equation. A class that defines its own source
        overrides this method.

        Raises:
            InputError: where there is no exact solution, or the residual is not affine in the
                source.
        """
        # The method is the key, since a residual may use the sources of several problems at p.
        return p.once(self.source, functools.partial(derived_source, self, p))

    def energy(self, p: Points, *fields: Jet) -> Tensor:
        """Return the density (n, 1) of the energy that the solution minimises.

        For -div(a ∇u) = f the density is a |∇u|²/2 - f u. If it is convex in the fields' jets, the
        energy has a minimum. A solve whose form is "energy" minimises it in place of the squared
        residual, for solutions that are not smooth enough for the strong form.

        If the class has no `residual`, or if the form is "energy" for a network in cells, the
        equation and the natural conditions are derived from the densities. The solution is then a
        stationary point of the energy. If the density contains second derivatives, no conditions
        are derived.

        Raises:
            InputError: where the class does not define an energy.
        """
        raise InputError(f"{type(self).__name__} has no energy(p, {', '.join(self.fields)})")

    def boundary_energies(self) -> Sequence[tuple[Boundary, Callable[..., Tensor]]]:
        """Return pairs of a part of the boundary and a function (p, u, …) for the density there.

        The function returns the energy density (n, 1). Neumann and Robin conditions are natural in
        the energy form, which ignores their residuals, so their data enter here: for ∂u/∂n = g the
        density is -g u, for ∂u/∂n + αu = g it is αu²/2 - g u. Where all fields are prescribed a
        density changes nothing.
        """
        return ()

    def check_boundary_energies(self, conditions: Sequence[Condition]) -> None:
        """Refuse densities on the boundary that change nothing, and fluxes without such a density.

        Where all fields are prescribed, the integral of a density is a constant.

        Raises:
            InputError: naming the density or the condition, or for an entry that is not a pair of a
                boundary and a function.
        """
        what, densities = f"{type(self).__name__}.boundary_energies()", self.boundary_energies()
        given = {(d.piece, d.field) for c in conditions for d in c.prescribed(self.fields)}
        for i, pair in enumerate(densities):
            match pair:
                case (Boundary(), density) if callable(density):
                    pieces = pair[0].pieces
                case _:
                    raise InputError(
                        f"{what}[{i}] must be a pair of a part of the boundary and a function "
                        f"(p, u, …), such as (domain.boundary, density), got {show(pair)}"
                    )
            if given.issuperset(itertools.product(pieces, self.fields)):
                raise InputError(
                    f"{what}[{i}] changes nothing: all fields are prescribed on "
                    f"{', '.join(piece.name for piece in pieces)}"
                )
        covered = {piece for part, _ in densities for piece in part.pieces}
        for condition in conditions:
            if condition.needs_energy and not covered.issuperset(condition.pieces):
                raise InputError(
                    f"{condition.title}, {of_class(condition)}, is natural for an energy, but "
                    f"{what} has no density there: the density for ∂u/∂n = g is -g u, and for "
                    "∂u/∂n + αu = g it is αu²/2 - g u"
                )

    def reference(self) -> object | None:
        """Return a `Reference`, or a recipe such as `ReferenceSolution`, in place of `exact`.

        It is not used for a problem that has `exact`.
        """
        return None

    @property
    def numbers(self) -> dict[str, Unknown]:
        """The unknowns that are numbers (not fields), by their names."""
        return {name: unknown for name, unknown in self.unknowns.items() if name not in self.fields}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the residual's arguments: the fields, then the unknown numbers."""
        return (*self.fields, *self.numbers) if self.unknowns else tuple(self.fields)

    def check_class(self) -> None:
        name = type(self).__name__
        kinds, ends = ("exact", "reference", "error", "residual"), [f"_{u}" for u in self.fields]
        columns = {kind + end for kind in kinds for end in ("", *ends)}
        if taken := columns & {*self.fields}:
            raise InputError(
                f"{name}.fields must not have {min(taken)!r}, the name of a column in files of "
                f"results, got {tuple(self.fields)}: take another name"
            )
        if self.velocity_fields is not None:
            axes = self.domain.dim - (self.domain.time_name is not None)
            if not len(self.velocity_fields) == 2 == axes:
                raise InputError(
                    f"{name}.velocity_fields must name two fields of a problem in the plane, got "
                    f"{self.velocity_fields!r} and {axes} coordinates in space"
                )
        where = f"{name}.unknowns"
        if not isinstance(self.unknowns, Mapping):
            raise InputError(
                f'{where} must map names to unknowns, {{"viscosity": kp.Unknown()}}, got '
                f"{self.unknowns!r}"
            )
        for key, unknown in self.unknowns.items():
            if not isinstance(key, str) or not key.isidentifier() or key in self.domain.names:
                raise InputError(f"{where}: {key!r} is a coordinate, or no name for an unknown")
            if not isinstance(unknown, Unknown):
                raise InputError(f"{where}[{key!r}] must be a kanpinn Unknown, got {unknown!r}")
            if key in self.fields and unknown.exact is not None:
                raise InputError(
                    f"{where}[{key!r}] is a field: its exact values are those of exact()"
                )
        if not (self.exact is None or callable(self.exact)):
            raise InputError(f"{name}.exact must be a method, or None, got {self.exact!r}")
        if self.is_from_energy and type(self).energy is Problem.energy:
            raise InputError(f"{name} has neither residual(p, …) nor energy(p, …)")
        check_arguments(f"{name}.residual", self.residual, self.columns)
        if self.outflow is not None and self.invariants is None:
            raise InputError(
                f"{name} has outflow(p, …) but no invariants(p, …), whose flow through walls it "
                "would be"
            )
        for method in ("invariants", "outflow"):
            if getattr(self, method) is not None:
                check_arguments(f"{name}.{method}", getattr(self, method), self.columns)
        check_arguments(f"{name}.reference", self.reference, None)

    @property
    def is_from_energy(self) -> bool:
        """Whether the equation is derived from `energy`."""
        return self.ignores_residual or type(self).residual is Problem.residual

    def completed(self, conditions: Sequence[Condition]) -> Sequence[Condition]:
        """Return the conditions, with the unknown numbers that they depend on, see `with_numbers`.

        If the equation is derived from `energy`, its natural conditions are added.
        """
        if self.unknowns and (numbers := list(self.numbers)):
            conditions = [with_numbers(condition, self.fields, numbers) for condition in conditions]
        if not self.is_from_energy:
            return conditions
        energy, parts = self._energy, self.boundary_energies()
        check_arguments(energy.what, self.energy, self.columns)
        if energy.order(self.domain) > 1:
            if parts:
                raise InputError(
                    f"{energy.what} contains second derivatives, for which "
                    "boundary_energies() must be empty: state all conditions in conditions()"
                )
            return conditions
        self.check_boundary_energies(conditions)
        return energy.with_natural(conditions, self.domain, parts)

    def equation(self, p: Points, u: Jet) -> Tensor:
        """Return the residual as one tensor, (n, equations), from the jet of all columns.

        Raises:
            InputError: where the residual has another shape.
        """
        derived = functools.partial(Problem.residual, self)
        residual = derived if self.ignores_residual else self.residual
        return stack_equations(residual(p, *u.components()), len(p), "residual")


P = TypeVar("P", bound=Problem)


def by_energy(problem: P) -> P:
    """Return a copy of a problem with the equation and natural conditions of its energy.

    Args:
        problem: the problem, as `stated` returned it.

    Raises:
        InputError: where no equation can be derived from the energy, see `Energy.order`.
    """
    if problem.is_from_energy:
        return problem
    return altered(problem, ignores_residual=True).with_conditions(problem.conditions())


Columns = Tensor | Jet | tuple[Tensor | Jet, ...]


class EigenProblem(BoundaryValueProblem):
    """An eigenvalue problem L u = λ M u: subclass it and write `domain`, `operator`, `conditions`.

    `operator(p, u)` returns L u, (n, equations) or a tuple of columns, from points with named
    coordinates and the field's jet, and has to be linear. For a system it takes a jet for each of
    the `fields`. The conditions have to be homogeneous, such as u = 0, ∂u/∂n = 0 or periodic.

    `self_adjoint` says whether L and M are self-adjoint under the conditions; with None this is
    determined numerically.

    Example:
        >>> import kanpinn as kp
        >>> class String(kp.EigenProblem):
        ...     domain = kp.Box(x=(0, 1))
        ...     def operator(self, p, u):
        ...         return -kp.laplacian(u)
        ...     def conditions(self):
        ...         return [kp.Dirichlet(self.domain.boundary)]
        >>> modes = kp.eigen(String(), kp.KAN([1, 1], degree=9, grid=8), count=2)
        >>> [f"{value:.6f}" for value in modes.values.tolist()]
        ['9.869604', '39.478418']
    """

    needs_conditions = False
    self_adjoint: bool | None = None

    @abstractmethod
    def operator(self, p: Points, *fields: Jet) -> Columns:
        """Return L u at n points, such as -Δu: (n, equations) or a tuple of columns (n, 1)."""

    def mass(self, p: Points, *fields: Jet) -> Columns:
        """Return M u at n points, by default the fields themselves.

        It has as many equations as the operator.
        """
        return fields

    def exact_eigenvalues(self, count: int) -> Sequence[float | complex]:
        """Return the first `count` exact eigenvalues, repeated by multiplicity, to compute errors.

        Raises:
            InputError: where the class does not define them.
        """
        raise InputError(f"{type(self).__name__} has no exact_eigenvalues(count)")

    @property
    def has_exact_eigenvalues(self) -> bool:
        """Whether the class defines exact eigenvalues."""
        return type(self).exact_eigenvalues is not EigenProblem.exact_eigenvalues

    def operator_values(self, p: Points, u: Jet) -> Tensor:
        """Return L u at n points, (n, equations), from the jet of all fields.

        Raises:
            InputError: where `operator` returns another shape.
        """
        return stack_equations(self.operator(p, *u.components()), len(p), "operator")

    def mass_values(self, p: Points, u: Jet) -> Tensor:
        """Return M u at n points, (n, equations), from the jet of all fields.

        Raises:
            InputError: where `mass` returns another shape.
        """
        return stack_equations(self.mass(p, *u.components()), len(p), "mass")

    def equation(self, p: Points, u: Jet) -> Tensor:
        """Return (L + M) u, which uses all derivatives in L and M; it is not zero for modes."""
        return self.operator_values(p, u) + self.mass_values(p, u)

    def check_class(self) -> None:
        name = type(self).__name__
        if self.unknowns:
            raise InputError(f"{name}.unknowns: an eigenvalue problem has none")
        check_arguments(f"{name}.operator", self.operator, self.fields)
        check_arguments(f"{name}.mass", self.mass, self.fields)
