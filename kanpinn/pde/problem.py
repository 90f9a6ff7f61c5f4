"""`Problem` and `EigenProblem`, the classes that users subclass, and unknowns of inverse problems.

Further functions evaluate the exact solution of a problem and its residual, and derive the source
from the exact solution.
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
from kanpinn.pde.conditions import Condition, columns_at
from kanpinn.pde.energies import Energy


@dataclass(frozen=True)
class Unknown:
    """An unknown of an inverse problem: a scalar parameter or a coefficient field to be identified.

    The unknown is start + c or, if `positive` is True, start·exp(c). The solve determines c. For a
    parameter c is a scalar, which is zero at first; for a field c is an output of the network.

    Args:
        start: the initial value.
        positive: whether the unknown is start·exp(c), which stays positive. The confidence bounds
            of the unknown are then positive, too.
        exact: the true value of a parameter if it is known, for comparison only. The true values of
            a field are given by the problem's `exact`.

    Raises:
        InputError: for a start or exact value that is not a finite number, or that is not above 0
            although `positive` is True.

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
        """Return the jet (values and derivatives) of the unknown, start + c or start·exp(c).

        Args:
            c: the jet of c.
        """
        if not self.positive:
            return c + self.start
        return c.chain([self.value(c.value)] * 5)  # exp and its derivatives up to the fourth

    def random_start(self, generator: torch.Generator) -> float:
        """Return a random initial c, for a value of the unknown far from `start`.

        The value is `start` (1 if `start` is 0) times a random factor between 1/30 and 30. If the
        unknown may be negative, the factor is negated with a probability of 1/4.
        """
        u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        exponent = (2 * u - 1) * math.log(30.0)
        if self.positive:
            return exponent
        sign = -1.0 if v < 0.25 else 1.0
        return sign * math.exp(exponent) * (self.start or 1.0) - self.start

    def value(self, c: Tensor) -> Tensor:
        """Return the unknown's value, start + c or start·exp(c), in the shape of c."""
        return self.start * torch.exp(c) if self.positive else self.start + c

    def slope(self, c: Tensor) -> Tensor:
        """Return the derivative of the unknown's value with respect to c, in the shape of c."""
        return self.value(c) if self.positive else torch.ones_like(c)


def check_arguments(what: str, function: Callable, columns: Sequence[str] | None) -> None:
    """Refuse a method of a problem that does not accept the arguments with which it is called.

    Args:
        what: the names of the class and the method, "Class.method", for the message.
        function: the method, bound to the problem.
        columns: the names of the fields and unknown parameters. The arguments are the points and a
            jet for each of these names; None for a method without arguments.

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
    """Return a condition that is told whether its data depend on unknown scalar parameters.

    If they do, the attribute `numbers` of the returned condition has the names of all unknown
    parameters. The data depend on them if the condition's residual can be evaluated at points with
    these parameters, but not at points without them. If it can be evaluated at neither, the
    condition is returned unchanged, unless the exception is one of those below.

    Args:
        condition: the condition.
        fields: the names of the problem's fields.
        numbers: the names of the problem's unknown parameters.

    Raises:
        InputError, AttributeError: for data that are invalid even with the parameters, such as a
            formula with an unknown name.
    """
    p, columns = condition.few_points(), len(fields) + len(numbers)
    last: Exception | None = None
    for tried in (condition, altered(condition, numbers=tuple(numbers))):
        try:
            random_jets(tried.stacked_residual, p, columns)
            return tried
        except Exception as failure:  # the user's own functions may raise any exception
            last = failure
    if isinstance(last, InputError | AttributeError):
        raise last  # the message of this exception lists the unknown parameters, too
    return condition  # the solve raises any other exception of the user's own functions again


def exact_jet(problem: "Problem", p: Points, channels: Channels) -> Jet:
    """Return the exact solution's jet at points, computed by nested automatic differentiation.

    Args:
        problem: the problem.
        p: the points.
        channels: the derivatives that the jet contains.

    Raises:
        InputError: if there is no exact solution, or `exact` raises an exception or returns another
            shape.
    """
    name, exact = type(problem).__name__, problem.exact
    if exact is None:
        raise InputError(f"{name} has no exact solution: it has no method `exact`")
    jet = jet_of(
        lambda x: columns_at(exact, Points(x, p.names), f"{name}.exact"), p.coords, channels
    )
    if (count := jet.value.shape[1]) != len(problem.fields):
        raise InputError(
            f"{name}.exact must have {len(problem.fields)} columns for the fields "
            f"{', '.join(problem.fields)}, got {count}"
        )
    return jet


def exact_columns(problem: "Problem", p: Points, channels: Channels) -> Jet:
    """Return the jet of the exact solution, followed by the true values of unknown parameters.

    A jet has the values and derivatives at points.

    Args:
        problem: the problem.
        p: the points.
        channels: the derivatives that the jet contains.

    Raises:
        InputError: if there is no exact solution, or an unknown parameter has no exact value.
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


def derived_source(problem: "Problem", p: Points) -> Tensor:
    """Return the source s, (n, equations), for which the exact solution has the residual 0.

    If r(s) is the residual of the exact solution for a constant source s, and is affine in s, then
    s = -r(0) / (r(1) - r(0)). For equations of a system that do not contain the source, s = 0.

    Args:
        problem: the problem.
        p: the n points.

    Raises:
        InputError: if there is no exact solution, if no equation contains the source, or if the
            residual r is not affine in s.
    """
    name = type(problem).__name__
    if problem.exact is None:
        raise InputError(f"{name} uses source(p) but has neither `source` nor `exact`")
    third = -0.618  # a third value of s, at which r shows whether it is affine
    jet = functools.cache(functools.partial(exact_columns, problem))  # independent of s
    few = p[:1]  # the derivatives of `exact` at all points are computed once

    def residual(
        s: float, points: Points, known: Channels | None = None
    ) -> tuple[Channels, Tensor]:
        """Return the derivatives in the residual of `exact` for a source s, and the residual."""
        fields = len(problem.fields)
        view = altered(problem, source=lambda q: q.coords.new_full((len(q), fields), s))
        return find_channels(lambda c: view.equation(points, jet(points, c)), p.names, known)

    known, _ = residual(0.0, few)
    at = [residual(s, p, known)[1] for s in (0.0, 1.0, third)]
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

    `residual(p, u)` returns (n, equations), or a tuple of columns (n, 1). Its arguments are n
    points with named coordinates (`p.x` is (n, 1)) and the jet (values and derivatives) of the
    solution. A system names its `fields`, and its residual has a jet for each field:
    residual(p, u, v). The method `exact(p)` is optional and returns the exact solution, (n, fields)
    or a tuple of columns. A solve computes errors with the exact solution, and `source(p)` is
    derived from it unless the class defines a method `source`.

    `error_fields` names the fields whose errors enter the overall error norms; by default all do.
    `free_constant` names the fields, such as a pressure, that the problem determines only up to a
    constant; their errors are computed without their means. `unknowns` is a dict from the names of
    unknown scalar parameters and coefficient fields to `Unknown`s, which a solve finds from
    measurements. In the residual's arguments, the jets of unknown parameters follow the fields. In
    the data of conditions an unknown parameter k is the column `p.k` of the points, or a name in a
    formula: kp.Robin(walls, "k", 1.0, "20*k").

    `invariants(p, u)`, for evolutions, is optional. It returns the densities of integrals over
    space that do not change in time, a dict from names to (n, 1), such as {"mass": u.value}; for an
    ordinary differential equation it returns the conserved quantities themselves. A solve reports
    how far the integrals drift. If a conserved quantity leaves through walls, `outflow(p, u)`
    returns the flux densities out of the domain, a dict with the same names, at boundary points
    with the outward unit normals `p.normals`.

    `quantities(solution)` is optional. It returns a dict from names to numbers that matter in an
    application, such as {"drag": solution.force(wall)[0]}. The numbers are floats, or tensors or
    quantities with one element, and a run reports them under these names. `traction(p, u, …)` is
    optional: it returns the traction σ n at boundary points, from which `Solution.force` computes
    forces.
    `velocity_fields` names the two velocity components of a flow in the plane; pictures then show
    the streamlines, in evolutions at the final time.

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
    traction: Callable[..., Tensor | tuple[Tensor, ...]] | None = None
    velocity_fields: tuple[str, str] | None = None
    ignores_residual: bool = False  # True in a copy that `by_energy` made

    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        """Return the residual of the equation at n points in the domain; a solution's is zero.

        By default this is the residual of the Euler–Lagrange equation, derived from `energy`.

        Args:
            p: n points.
            fields: the jet (values and derivatives) of each field, then of each unknown parameter.

        Returns:
            A tensor (n, equations), or a tuple of columns (n, 1).
        """
        return self._energy.equation(p, fields)

    @property
    def _energy(self) -> Energy:
        """The energy from which the equation and the natural conditions are derived."""
        name = f"{type(self).__name__}.energy"
        return Energy(self.energy, name, self.fields, len(self.columns))

    def source(self, p: Points) -> Tensor:
        """Return the right-hand side at n points, (n, fields), derived from `exact`.

        With this source, `exact` solves the equation. A class with a known source overrides this
        method.

        Raises:
            InputError: if there is no exact solution, or the residual is not affine in the source.
        """
        # The cache's key is the bound method: several problems may cache their sources in p.
        return p.once(self.source, functools.partial(derived_source, self, p))

    def energy(self, p: Points, *fields: Jet) -> Tensor:
        """Return the density (n, 1) of the energy that the solution minimises.

        For -div(a ∇u) = f the density is a |∇u|²/2 - f u. If the density is convex in the fields
        and their derivatives, the energy has a minimum. A solve with form="energy" minimises the
        energy in place of the squared residual; this suits solutions that are not smooth enough for
        the strong form.

        If the class has no `residual`, or in a solve with form="energy" for a network in cells, the
        equation and the natural conditions are derived from the densities. The solution is then a
        stationary point of the energy. If the density contains second derivatives, no conditions
        are derived.

        Args:
            p: n points in the domain.
            fields: the jet (values and derivatives) of each field, then of each unknown parameter.

        Raises:
            InputError: if the class does not define an energy.
        """
        raise InputError(f"{type(self).__name__} has no energy(p, {', '.join(self.fields)})")

    def boundary_energies(self) -> Sequence[tuple[Boundary, Callable[..., Tensor]]]:
        """Return the energy densities on parts of the boundary.

        Each density is a pair of a part of the boundary and a function (p, u, …), with the
        arguments of `residual`, that returns the density (n, 1) on this part.

        In the energy form the residuals of Neumann and Robin conditions are ignored; these natural
        conditions follow from the densities. For ∂u/∂n = g the density is -g u, and for
        ∂u/∂n + αu = g it is αu²/2 - g u. Where all fields are prescribed, a density has no effect.
        """
        return ()

    def check_boundary_energies(self, conditions: Sequence[Condition]) -> None:
        """Refuse `boundary_energies` that do not fit the conditions of the problem.

        A density has no effect on pieces where all fields are prescribed, and a natural condition
        needs a density on all its pieces.

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
        """Return a solution with which errors are computed if the problem has no `exact`, or None.

        The solution is a `Reference`, or a recipe by which one is computed, such as a
        `ReferenceSolution`.
        """
        return None

    @property
    def numbers(self) -> dict[str, Unknown]:
        """The unknowns that are scalar parameters, not fields, by name."""
        return {name: unknown for name, unknown in self.unknowns.items() if name not in self.fields}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the residual's arguments: the fields, then the unknown parameters."""
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
                f"{name} has outflow(p, …), the flow of invariants through the boundary, but no "
                "invariants(p, …)"
            )
        for method in ("invariants", "outflow", "traction"):
            if getattr(self, method) is not None:
                check_arguments(f"{name}.{method}", getattr(self, method), self.columns)
        check_arguments(f"{name}.reference", self.reference, None)

    @property
    def is_from_energy(self) -> bool:
        """True if the equation is derived from `energy`."""
        return self.ignores_residual or type(self).residual is Problem.residual

    def completed(self, conditions: Sequence[Condition]) -> Sequence[Condition]:
        """Return the conditions of the problem, and natural conditions if there is an energy.

        The natural conditions of `energy` are added if the equation is derived from it.
        Conditions whose data depend on unknown parameters get the attribute `numbers`.

        Args:
            conditions: the conditions of the problem.

        Raises:
            InputError: if an equation or natural conditions cannot be derived from the energy, if
                an energy with second derivatives comes with boundary energies, or if a condition
                has a mass.
        """
        for condition in conditions:
            if condition.mass is not None:
                raise InputError(
                    f"{condition.title} has a mass, the factor of an eigenvalue: expected a "
                    "kp.EigenProblem, or a condition without mass"
                )
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
        """Return the residual as one tensor, (n, equations), from the jet u of all `columns`.

        Raises:
            InputError: if the residual has another shape.
        """
        derived = functools.partial(Problem.residual, self)
        residual = derived if self.ignores_residual else self.residual
        return stack_equations(residual(p, *u.components()), len(p), "residual")


P = TypeVar("P", bound=Problem)


def by_energy(problem: P) -> P:
    """Return a copy of a problem with the equation and natural conditions derived from `energy`.

    Args:
        problem: the problem, as `stated` returned it.

    Raises:
        InputError: if no equation can be derived from the energy: its derivatives differ from
            difference quotients, or the problem has a time.
    """
    if problem.is_from_energy:
        return problem
    return altered(problem, ignores_residual=True).with_conditions(problem.conditions())


Columns = Tensor | Jet | tuple[Tensor | Jet, ...]


class EigenProblem(BoundaryValueProblem):
    """An eigenvalue problem L u = λ M u: subclass it and write `domain`, `operator`, `conditions`.

    `operator(p, u)` returns L u, (n, equations) or a tuple of columns, at n points with named
    coordinates, from the jet (values and derivatives) of the field. L has to be linear. The
    operator of a system has a jet for each of the `fields` as arguments. `mass(p, u)` returns M u,
    by default u. The conditions have to be homogeneous, such as u = 0, ∂u/∂n = 0 or periodic. The
    eigenvalue may stand in a condition, as in ∂u/∂n = λ u, see `Constraint`; an equation without it
    has the mass `0 * u.value`.

    `self_adjoint` says whether L and M are self-adjoint under the conditions; None leaves this to a
    numerical test.

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

        M u has as many equations as L u.
        """
        return fields

    def exact_eigenvalues(self, count: int) -> Sequence[float | complex]:
        """Return the first `count` exact eigenvalues, repeated by multiplicity, to compute errors.

        Args:
            count: the number of eigenvalues.

        Raises:
            InputError: if the class does not define exact eigenvalues.
        """
        raise InputError(f"{type(self).__name__} has no exact_eigenvalues(count)")

    @property
    def has_exact_eigenvalues(self) -> bool:
        """True if the class defines exact eigenvalues."""
        return type(self).exact_eigenvalues is not EigenProblem.exact_eigenvalues

    def operator_values(self, p: Points, u: Jet) -> Tensor:
        """Return L u at n points, (n, equations), from the jet of all fields.

        Raises:
            InputError: if `operator` returns another shape.
        """
        return stack_equations(self.operator(p, *u.components()), len(p), "operator")

    def mass_values(self, p: Points, u: Jet) -> Tensor:
        """Return M u at n points, (n, equations), from the jet of all fields.

        Raises:
            InputError: if `mass` returns another shape.
        """
        return stack_equations(self.mass(p, *u.components()), len(p), "mass")

    def equation(self, p: Points, u: Jet) -> Tensor:
        """Return (L + M) u, (n, equations), from which the derivatives in L and M are found.

        The equation of a mode is L u = λ M u, so (L + M) u is no residual.

        Args:
            p: n points.
            u: the jet (values and derivatives) of all fields.

        Raises:
            InputError: if `operator` or `mass` returns another shape.
        """
        return self.operator_values(p, u) + self.mass_values(p, u)

    def check_class(self) -> None:
        name = type(self).__name__
        if self.unknowns:
            raise InputError(f"{name}.unknowns: an eigenvalue problem has none")
        check_arguments(f"{name}.operator", self.operator, self.fields)
        check_arguments(f"{name}.mass", self.mass, self.fields)
