"""Conditions of a problem: on boundaries and interfaces, between pairs of points, measurements."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError, calling, integer, number
from kanpinn._support.shapes import Vector
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.geometry.division import parts_inside
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Jet, Law, directional, normal_derivative, normal_flux, stack_equations
from kanpinn.pde.expressions import Expression


@dataclass(frozen=True, eq=False)
class Prescribed:
    """The values that a condition prescribes for one field on one piece of a boundary.

    Args:
        condition: the condition.
        field: the name of the field.
        piece: the piece of the boundary.
        values: a function that returns the values (n, 1) at n points of the piece.
        rate: a function that returns the field's time derivative (n, 1) at n points of the piece;
            None if no time derivative is prescribed.
        is_zero: whether the values are given as the number 0.
    """

    condition: "Condition"
    field: str
    piece: Piece
    values: Callable[[Points], Tensor]
    rate: Callable[[Points], Tensor] | None = None
    is_zero: bool = False


@dataclass(frozen=True)
class Condition(ABC):
    """Base class of the conditions that a solution satisfies besides the problem's equation.

    Each row of the residual belongs to one point or, if `sites` is above 1, combines the values at
    `sites` consecutive points, such as two opposite points of a periodic condition. Subclasses set
    the attributes and override the properties below, by which a solve knows how to treat the
    condition.

    Args:
        field: the name of the field in the condition; None stands for all fields.
        weight: a factor of the condition's weight in the loss term "boundary".

    Attributes:
        about: the names of the fields in the residual; () stands for all fields.
        sites: the number of consecutive points that one row of the residual combines.
        surface: the measure of the pieces `seats`, to which the condition's share of the boundary
            points is proportional; 0 for conditions that do not hold on a boundary.
        measurements: the number of measured points; 0 for conditions that are no measurements.
        numbers: the names of all unknown scalar parameters of the problem, in their order, if the
            condition's data depend on one of them; otherwise (). Their values are columns of the
            points, such as `p.k`.
        seats: the boundary pieces on which the condition's collocation points are drawn, by default
            `pieces`. For `Periodic` in x this is "x_min"; each point on "x_min" determines a point
            on "x_max".
        kinks: the pieces of interfaces inside the domain at which the condition permits a kink of
            the fields, such as the circle of an `Interface` around a disk.
        tied: the boundary pieces on which the condition makes the fields agree, such as "x_min" and
            "x_max" for `Periodic` in x.
        inside: the domain in which a `Constraint` is a further equation; None for other conditions.
        fixed: the points of a condition that does not draw points, such as `Observed`; otherwise
            None.
        periodic_in: the name of the coordinate in which the condition makes all fields periodic, or
            None.
        all_fields: the names of the problem's fields; `stated` sets this attribute.
        title: the condition's name in messages, such as "conditions()[0]"; `stated` sets this
            attribute.

    Raises:
        InputError: for a weight that is not positive and finite, for a boundary, piece or domain of
            the wrong type, and for data that are no numbers, formulas or functions.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> wall = kp.Dirichlet(box.boundary["x_min"], "sin(pi*y)", weight=10)
        >>> isinstance(wall, kp.Condition), wall.weight
        (True, 10)
    """

    # The arguments that say where the condition holds, with their permitted types.
    places: ClassVar[Mapping[str, tuple[type, ...]]] = {}
    data: ClassVar[tuple[str, ...]] = ()  # arguments that are numbers, formulas or functions
    of_fields: ClassVar[tuple[str, ...]] = ()  # arguments that are functions (p, u, …)
    is_at_boundary: ClassVar[bool] = False  # whether the points must be on a boundary
    is_natural: ClassVar[bool] = False  # whether minimisers of the energy satisfy the condition
    fixes_constant: ClassVar[bool] = False  # whether adding a constant to u violates the condition

    _: KW_ONLY
    field: str | None = None
    weight: float | int = 1.0
    # Subclasses set other values of these attributes in __post_init__.
    about: tuple[str, ...] = dataclasses.field(default=(), init=False, repr=False, compare=False)
    sites: int = dataclasses.field(default=1, init=False, repr=False, compare=False)
    surface: float = dataclasses.field(default=0.0, init=False, repr=False, compare=False)
    measurements: int = dataclasses.field(default=0, init=False, repr=False, compare=False)
    numbers: tuple[str, ...] = dataclasses.field(default=(), init=False, repr=False, compare=False)
    seats: tuple[Piece, ...] = dataclasses.field(default=(), init=False, repr=False, compare=False)
    kinks: tuple[Piece, ...] = dataclasses.field(default=(), init=False, repr=False, compare=False)
    tied: tuple[Piece, ...] = dataclasses.field(default=(), init=False, repr=False, compare=False)
    inside: Domain | None = dataclasses.field(default=None, init=False, repr=False, compare=False)
    fixed: Points | None = dataclasses.field(default=None, init=False, repr=False, compare=False)
    periodic_in: str | None = dataclasses.field(default=None, init=False, repr=False, compare=False)
    all_fields: Sequence[str] = dataclasses.field(default=(), init=False, repr=False, compare=False)
    title: str = dataclasses.field(default="a condition", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kind = type(self).__name__
        number(f"the weight of a {kind}", self.weight, above=True)
        for name, types in self.places.items():
            if not isinstance(given := getattr(self, name), types):
                known = " or ".join(f"a {one.__name__.lower()}" for one in types)
                raise InputError(f"{kind} takes {known}, got {type(given).__name__}")
        for name in (*self.data, *self.of_fields):
            given = getattr(self, name)
            if callable(given) or (given is self.__dataclass_fields__[name].default is None):
                continue  # an optional argument may be None
            if name in self.of_fields:
                raise InputError(f"{kind}'s {name} must be a function (p, u, …), got {given!r}")
            if isinstance(given, str):
                vars(self)[name] = Expression(given)
            elif not (isinstance(given, Real) and math.isfinite(given)):
                what = kind if name == "value" else f"{kind}'s {name}"
                raise InputError(f"{what} takes a number or a function of points, got {given!r}")
        about = () if self.field is None else (self.field,)
        surface = sum(piece.measure for piece in self.pieces)
        vars(self).update(about=about, surface=surface, seats=self.pieces)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The boundary pieces on which the condition holds at each single point.

        For a `Dirichlet` condition, for example, these are the pieces of its argument `boundary`.
        They are () for `Periodic`, which compares two points, and for `Observed`.
        """
        return ()

    @property
    def is_initial(self) -> bool:
        """True if there are `pieces`, and all of them are at the initial time."""
        return bool(self.pieces) and all(piece.is_initial for piece in self.pieces)

    @property
    def mass(self) -> Callable[..., Tensor | tuple[Tensor, ...]] | None:
        """The function B of a condition `residual` = λ B u of an eigenvalue problem, or None.

        The function has the arguments of `residual` and returns as many equations.
        """
        return None

    @property
    def noise(self) -> float | int | None:
        """The standard deviation of measured values; None if it is not known."""
        return None

    @property
    def needs_energy(self) -> bool:
        """True if the energy form needs an energy density for the condition.

        `Problem.boundary_energies` returns this density.
        """
        return self.is_natural

    def prescribed(self, fields: Sequence[str]) -> list[Prescribed]:
        """Return the values that the condition prescribes and that can be built into a surrogate.

        Args:
            fields: the names of the problem's fields.

        Returns:
            One `Prescribed` for each field and piece; an empty list for conditions that do not
            prescribe values of single fields.
        """
        return []

    def points(
        self,
        collocation: Collocation,
        share: float,
        generator: Generator,
        units: Vector | None = None,
    ) -> Points:
        """Return the condition's collocation points.

        Args:
            collocation: the numbers of points of the whole problem, and the sampler.
            share: this condition's fraction of the problem's boundary points; the condition gets at
                least one point.
            generator: the random number generator, the only source of randomness.
            units: the length unit of each coordinate, (d,), in which the pieces of the boundary are
                measured to divide the points among them; None for the problem's units.

        Returns:
            rows · sites points; the `sites` points of each row of the residual follow one another.
        """
        if self.fixed is not None:
            return self.fixed
        if self.inside is not None:
            return sample(self.inside, collocation.interior, collocation.sampler, generator)
        count = max(1, round(share * collocation.boundary))
        drawn = sample(Boundary(self.seats), count, collocation.sampler, generator, units)
        return self.rows_at(drawn)

    def rows_at(self, drawn: Points) -> Points:
        """Return the collocation points of the residual, `sites` consecutive points for each row.

        Args:
            drawn: points on the boundary pieces `seats`, one for each row of the residual.
        """
        return drawn

    def few_points(self) -> Points:
        """Return a few of the condition's points, always the same, for checks of the problem."""
        return self.points(Collocation(5, 16, "uniform"), 1.0, Generator().manual_seed(0))

    def stacked_residual(self, p: Points, u: Jet) -> Tensor:
        """Return the residual as one tensor, (rows, equations), from the jet of all fields.

        Args:
            p: the condition's points.
            u: the jet (values and derivatives) at these points of all fields, followed by the
                problem's unknown scalar parameters.

        Raises:
            InputError: if the user's residual has another shape.
        """
        return self._stacked(self.residual, p, u)

    def stacked_mass(self, p: Points, u: Jet) -> Tensor:
        """Return B u of a condition `residual` = λ B u as one tensor, (rows, equations).

        Args:
            p: the condition's points.
            u: the jet (values and derivatives) of all fields at these points.
        """
        assert self.mass is not None
        return self._stacked(self.mass, p, u)

    def _stacked(self, function: Callable[..., Any], p: Points, u: Jet) -> Tensor:
        """Return a user's function of points and fields as one tensor, (rows, equations).

        Args:
            function: `residual` or `mass`.
            p: the condition's points.
            u: the jet (values and derivatives) of all columns at these points.
        """
        columns, fields = u.components(), self.all_fields
        assert fields, "residuals are those of conditions of a problem that is stated"
        if self.numbers:
            values = [number.value for number in columns[len(fields) :]]
            p = p.with_numbers(dict(zip(self.numbers, values, strict=True)))
        about = [columns[fields.index(name)] for name in self.about or fields]
        return stack_equations(function(p, *about), len(p) // self.sites, self.title)

    @abstractmethod
    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        """Return the residual, a tensor (rows, equations) or a tuple of such tensors.

        Args:
            p: the rows · sites points of the condition.
            fields: the jet (values and derivatives) at these points of each field in the condition.
        """


@dataclass(frozen=True)
class OnBoundary(Condition):
    """Base class of conditions that hold at each point of a boundary or of a part of a boundary."""

    boundary: Boundary

    places: ClassVar = {"boundary": (Boundary,)}
    is_at_boundary: ClassVar[bool] = True

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return self.boundary.pieces


def prescribed_values(
    condition: Condition,
    fields: Sequence[str],
    value: "Data",
    what: str,
    rate: "Data | None" = None,
) -> list[Prescribed]:
    """Return the values that a condition prescribes for each of its fields on each boundary piece.

    Args:
        condition: the condition that prescribes values.
        fields: the names of the problem's fields.
        value: the values, data with a column for each field in the condition, or a single column
            for all these fields.
        what: the name of the values in messages.
        rate: the fields' time derivatives, data of the same kind; None if none are prescribed.
    """
    names, every = condition.about or fields, list[Prescribed]()
    for i, name in enumerate(names):
        values = partial(_column_of, value, len(names), i, what)
        rates = (
            rate if rate is None else partial(_column_of, rate, len(names), i, "an initial rate")
        )
        for piece in condition.pieces:
            every.append(Prescribed(condition, name, piece, values, rates, is_zero=value == 0))
    return every


def _column_of(data: "Data", m: int, column: int, what: str, p: Points) -> Tensor:
    """Return the values (n, 1) of one of m fields at n points.

    Args:
        data: data with m columns, or with a single column for all fields.
        m: the number of fields.
        column: the index of the field.
        what: the name of the data in messages.
        p: the points.
    """
    columns = values_of(data, p, m, what).to(p.coords)
    return columns if columns.shape[1] == 1 else columns[:, column, None]


Value = float | int | Callable[[Points], Tensor]
Data = Value | str  # a str is a formula


def columns_at(function: Callable[[Points], object], p: Points, what: str) -> Tensor:
    """Evaluate a function that a user wrote at n points, (n, columns).

    Args:
        function: returns (n, columns) or a tuple of columns (n, 1).
        p: the points.
        what: the name of the function in messages.

    Raises:
        InputError: if the function raises an exception or returns another shape.
    """
    with calling(what, f"points of the shape {tuple(p.coords.shape)}"):
        values = function(p)
    return stack_equations(values, p.coords.shape[0], what)  # also in an export


def values_of(data: Data, p: Points, m: int, what: str) -> Tensor:
    """Evaluate a number or a function of points at n points.

    Args:
        data: the number or function; conditions have turned formulas into functions.
        p: the points.
        m: the number of fields to which the values belong.
        what: the name of the data in messages.

    Returns:
        The values, (n, 1), or (n, m) if a function returns a column for each field.

    Raises:
        InputError: if the function raises an exception or returns another shape.
    """
    if not callable(data):
        return torch.full_like(p.coords[:, :1], float(data))
    columns = columns_at(data, p, what)
    if columns.shape[1] not in (1, m):
        fields = "" if m == 1 else f" or (n, {m}), a column for each field,"
        raise InputError(
            f"{what} must have shape (n, 1){fields} with n = {len(p)} points here, got "
            f"{tuple(columns.shape)}"
        )
    return columns


@dataclass(frozen=True)
class Dirichlet(OnBoundary):
    """Dirichlet condition u = value on a boundary or a part of a boundary.

    Args:
        boundary: the boundary, or a part of it.
        value: a number, a formula, or a function of points → (n, m) for m fields, or (n, 1).

    Raises:
        InputError: for data that are no number, formula or function.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> walls = kp.Dirichlet(box.boundary["x_min", "x_max", "y_min"], 0.0)
        >>> lid = kp.Dirichlet(box.boundary["y_max"], "x * (1 - x)", field="u")
        >>> walls.surface, lid.surface, lid.field
        (3.0, 1.0, 'u')
    """

    value: Data = 0.0

    data: ClassVar = ("value",)
    fixes_constant: ClassVar[bool] = True

    def target(self, p: Points, m: int = 1) -> Tensor:
        """Return the prescribed values at n points, (n, 1) or, for m fields, (n, m)."""
        return values_of(self.value, p, m, "a Dirichlet value")

    def prescribed(self, fields: Sequence[str]) -> list[Prescribed]:
        return prescribed_values(self, fields, self.value, "a Dirichlet value")

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return u - value, (n, m)."""
        u = torch.cat([f.value for f in fields], dim=1)
        return u - self.target(p, u.shape[1])


@dataclass(frozen=True)
class FluxCondition(OnBoundary):
    """Base class of conditions on the normal component n · F of a flux F, by default F = ∇u.

    Args:
        boundary: the boundary, or a part of it.
        law: the flux F as a function (p, u, …), see `div`; None for F = ∇u.

    Raises:
        InputError: if the law is no function.
    """

    _: KW_ONLY
    law: Law | None = None

    of_fields: ClassVar = ("law",)
    is_natural: ClassVar[bool] = True


@dataclass(frozen=True)
class Neumann(FluxCondition):
    """Neumann condition ∂u/∂n = value or n · F = value, with n the outward unit normal.

    Args:
        boundary: the boundary, or a part of it.
        value: a number, a formula, or a function of points → (n, m) for m fields, or (n, 1); the
            function may use `p.normals`.
        law: the flux F as a function (p, u, …), whose divergence `div` computes, such as the stress
            in a fluid; None for F = ∇u. The function gets the jets of all fields, or of `field`
            alone. If it returns m equations, n · F has m components, and m replaces the number of
            fields in the shape of `value`.

    Raises:
        InputError: for data that are no number, formula or function, and for a law that is no
            function.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> insulated = kp.Neumann(box.boundary["x_min", "x_max"])
        >>> heated = kp.Neumann(box.boundary["y_min"], "sin(pi*x)")
        >>> insulated.surface, heated.surface
        (2.0, 1.0)
        >>> def conduction(p, u):
        ...     return (1 + u.value**2) * kp.grad(u)
        >>> kp.Neumann(box.boundary["y_max"], -3.0, law=conduction).surface
        1.0
    """

    value: Data = 0.0

    data: ClassVar = ("value",)

    @property
    def needs_energy(self) -> bool:
        """True unless `value` is the number 0: ∂u/∂n = 0 is natural without a boundary energy."""
        return self.value != 0

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return n · F - value, (n, m)."""
        flux = normal_flux(self.law, p, fields)
        return flux - values_of(self.value, p, flux.shape[1], "a Neumann value")


@dataclass(frozen=True)
class Robin(FluxCondition):
    """Robin condition alpha u + beta (n · F) = value, with n the outward unit normal.

    Args:
        boundary: the boundary, or a part of it.
        alpha, beta, value: each a number, a formula, or a function of points → (n, m) for m
            fields, or (n, 1).
        law: the flux F as a function (p, u, …), whose divergence `div` computes, with one equation
            for each field; None for F = ∇u. The function gets the jets of all fields, or of `field`
            alone.

    Raises:
        InputError: for data that are no number, formula or function, and for a law that is no
            function.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> cooled = kp.Robin(box.boundary["x_max"], alpha=2.0, beta=1.0, value=20.0)
        >>> cooled.surface
        1.0
    """

    alpha: Data
    beta: Data
    value: Data = 0.0

    data: ClassVar = ("alpha", "beta", "value")
    fixes_constant: ClassVar[bool] = True

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return alpha u + beta (n · F) - value, (n, m)."""
        u = torch.cat([f.value for f in fields], dim=1)
        flux = normal_flux(self.law, p, fields)
        alpha, beta, value = (
            values_of(getattr(self, name), p, u.shape[1], f"Robin's {name}") for name in self.data
        )
        return alpha * u + beta * flux - value


@dataclass(frozen=True)
class Constraint(Condition):
    """A user-defined residual that vanishes on a boundary, a piece of a boundary, or a domain.

    Args:
        on: the boundary, piece or domain. In a domain the constraint has as many collocation points
            as the problem's equation.
        equation: a function (p, u, …) with the arguments of a problem's residual. It returns a
            tensor (n, equations) or a tuple of such tensors; on a boundary p has normals.
        mass: for an eigenvalue problem whose condition contains the eigenvalue λ, such as
            ∂u/∂n = λ u (Steklov), the function B such that the constraint is `equation` = λ B u. It
            has the arguments of `equation` and returns as many equations. Then `on` must be a
            boundary or a piece, and the network must be cells. None for other constraints.

    Raises:
        InputError: if `on` is of another type, if `equation` or `mass` is not callable, or if a
            constraint in a domain has a mass.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> def slip(p, u, v):
        ...     return u.value * p.normals[:, :1] + v.value * p.normals[:, 1:]
        >>> kp.Constraint(box.boundary["y_min"], slip).surface
        1.0
    """

    on: Boundary | Domain | Piece
    equation: Callable[..., Tensor | tuple[Tensor, ...]]
    mass: Callable[..., Tensor | tuple[Tensor, ...]] | None = None

    places: ClassVar = {"on": (Boundary, Domain, Piece)}
    of_fields: ClassVar = ("equation", "mass")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mass is not None and isinstance(self.on, Domain):
            raise InputError(
                "Constraint takes a mass on a boundary only: in the domain the problem's operator "
                "and mass have further equations"
            )
        vars(self)["inside"] = self.on if isinstance(self.on, Domain) else None

    @property
    def pieces(self) -> tuple[Piece, ...]:
        match self.on:
            case Boundary():
                return self.on.pieces
            case Piece():
                return (self.on,)
        return ()

    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        return self.equation(p, *fields)


@dataclass(frozen=True)
class ComponentDirichlet(OnBoundary):
    """Base class: a component of a vector field has given values on a boundary.

    If every piece of the boundary is perpendicular to a coordinate axis, the condition prescribes
    values of single fields, which can be built into a surrogate. Otherwise the condition is a term
    of the loss.

    Args:
        boundary: the boundary, or a part of it.
        value: the values of the component: a number, a formula or a function of points, which may
            use `p.normals`.
        fields: the names of the m fields that are the components of the vector along the
            coordinates of space, in the order of the coordinates.

    Raises:
        InputError: unless there is one field for each coordinate of space.
    """

    value: Data = 0.0
    fields: tuple[str, ...] = ()

    data: ClassVar = ("value",)
    columns = 1  # the number of columns of the prescribed values

    def __post_init__(self) -> None:
        super().__post_init__()
        vars(self)["about"] = self.fields
        kind, names = type(self).__name__, self.boundary.pieces[0].names
        if self.field is not None:
            raise InputError(f"{kind} takes fields = {(self.field, '…')}, not field")
        normals = Points.cat(piece.gauss(1) for piece in self.boundary.pieces).normals
        assert normals is not None
        # The last coordinate may be time; the normals of walls have no component along it.
        fits = len(names) - 1 <= len(self.fields) <= len(names)
        if not fits or len(self.fields) < 2 or bool(normals[:, len(self.fields) :].any()):
            raise InputError(
                f"{kind}.fields must name a field for each of the coordinates of space among "
                f"{', '.join(names)}, got {self.fields!r}"
            )

    def prescribed(self, fields: Sequence[str]) -> list[Prescribed]:
        every = []
        for piece in self.boundary.pieces:
            normals = piece.gauss(16).normals
            assert normals is not None
            axis = int(normals[0].abs().argmax())
            plane = torch.zeros_like(normals[0])
            plane[axis] = normals[0, axis].sign()
            if not torch.allclose(normals, plane.expand_as(normals), rtol=0, atol=1e-12):
                return []  # the condition couples fields, so no single field has values
            for column, row in enumerate(self.rows(plane[None, : len(self.fields)])[0]):
                if row.any():  # for a normal along an axis, each row of A has one non-zero entry
                    values = partial(self._values, plane, row, column)
                    name = self.fields[int(row.abs().argmax())]
                    every.append(Prescribed(self, name, piece, values, is_zero=self.value == 0))
        return every

    @abstractmethod
    def rows(self, normals: Tensor) -> Tensor:
        """Return matrices A, (n, k, m), such that A u is the component of u with given values.

        Args:
            normals: the unit normals in space, (n, m), without a component along time.

        Returns:
            For each of n points the matrix A, with k rows and a column for each of m fields.
        """

    def target(self, p: Points) -> Tensor:
        """Return the prescribed values at n points with normals, (n, k) or (n, 1)."""
        return values_of(self.value, p, self.columns, f"a {type(self).__name__} value")

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return the component of u minus the component of the given values, (n, k)."""
        assert p.normals is not None
        u, value = torch.cat([f.value for f in fields], dim=1), self.target(p)
        rows = self.rows(p.normals[:, : len(fields)])
        if rows.shape[1] == 1:
            return torch.einsum("nkm,nm->nk", rows, u) - value
        return torch.einsum("nkm,nm->nk", rows, u - value)

    def _values(self, plane: Tensor, row: Tensor, column: int, p: Points) -> Tensor:
        """Return the values (n, 1) that are prescribed for a single field on a plane piece.

        Args:
            plane: the unit normal of the piece, (d,).
            row: a row of the matrix A that `rows` returns for this normal, (m,). Its only entry
                that is not 0 belongs to the field.
            column: the index of the row in A.
            p: n points of the piece.
        """
        target = self.target(Points(p.coords, p.names, plane.to(p.coords).expand_as(p.coords)))
        target = target if target.shape[1] == 1 else target[:, column, None]
        return target * float(row.sum())


@dataclass(frozen=True)
class NormalDirichlet(ComponentDirichlet):
    """Condition u · n = value for a vector field u, with n the outward unit normal.

    At an impermeable wall the value is 0. `TangentialDirichlet` prescribes the tangential
    component. The arguments are those of `ComponentDirichlet`.

    Example:
        >>> import kanpinn as kp
        >>> wall = kp.Box(x=(0, 2), y=(0, 1)).boundary["y_min", "y_max"]
        >>> kp.NormalDirichlet(wall, 0.0, ("u", "v")).fields
        ('u', 'v')
    """

    def rows(self, normals: Tensor) -> Tensor:
        return normals[:, None]


@dataclass(frozen=True)
class TangentialDirichlet(ComponentDirichlet):
    """The tangential component of a vector field u has given values on a boundary.

    For two fields the component is the scalar u · t, where t = (-n_y, n_x) is the normal n turned
    by +90°; on the outer boundary t runs counterclockwise. For three fields the component is the
    vector u - (u · n) n, and `value` is 0 or a function of points → (n, 3), of which only the
    tangential part is used. The arguments are those of `ComponentDirichlet`.

    Raises:
        InputError: as for `ComponentDirichlet`, and for three fields with a number other than 0.

    Example:
        >>> import kanpinn as kp
        >>> lid = kp.Box(x=(0, 1), y=(0, 1)).boundary["y_max"]
        >>> kp.TangentialDirichlet(lid, -1.0, ("u", "v")).fields
        ('u', 'v')
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.fields) > 2 and not (callable(self.value) or self.value == 0):
            raise InputError(
                "TangentialDirichlet takes 0 or a function of points that gives a vector for "
                f"{len(self.fields)} fields, got {self.value!r}"
            )
        vars(self)["columns"] = 1 if len(self.fields) == 2 else len(self.fields)

    def rows(self, normals: Tensor) -> Tensor:
        if normals.shape[1] == 2:
            return torch.stack([-normals[:, 1], normals[:, 0]], dim=1)[:, None]
        identity = torch.eye(normals.shape[1]).to(normals)
        return identity - normals[:, :, None] * normals[:, None]


@dataclass(frozen=True)
class Interface(Condition):
    """Condition n · F_outside - n · F_inside = flux on an interface, by default with F = a ∇u.

    The interface is the boundary of a part of the domain, and the normal n points out of this part.
    The condition does not hold where the part's boundary lies on the boundary of the domain.
    The surrogate has to have a kink at the interface: give the network the distance |φ(x)| from the
    interface as a further input, by `Problem.inputs`; on a line this is done by default. Networks
    in cells (`Cells`) need no such input and ignore it, because the interface divides the cells; in
    space the interface must then consist of spheres and faces of boxes. In the energy form the
    condition with flux = 0 is natural and need not be listed.

    Args:
        domain: the whole domain.
        on: the boundary of the part of the domain, or some pieces of this boundary.
        coefficient: the coefficient a of F = a ∇u: a number, a formula or a function of points; the
            values on the two sides of the interface may differ. None if `law` is given.
        flux: a number, a formula or a function of points, such as minus the power per area of a
            heat source on the interface for F = a ∇u.
        law: the flux F as a function (p, u, …), whose divergence `div` computes; F may jump at the
            interface. None for F = a ∇u.

    Raises:
        InputError: for an interface outside the domain, for data of another kind, if both or
            neither of `coefficient` and `law` are given, and in a solve in float32, in which the
            points on the two sides coincide.

    Example:
        >>> import kanpinn as kp
        >>> box, wire = kp.Box(x=(-1, 1), y=(-1, 1)), kp.Disk((0, 0), 0.5)
        >>> flux = kp.Interface(box, wire.boundary, "where(x**2 + y**2 < 0.25, 80, 1)")
        >>> flux.coefficient is not None, flux.weight
        (True, 1.0)
    """

    domain: Domain
    on: Boundary
    coefficient: Data | None = None
    flux: Data = 0.0
    law: Law | None = None

    places: ClassVar = {"on": (Boundary,)}
    data: ClassVar = ("coefficient", "flux")
    of_fields: ClassVar = ("law",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.coefficient is None) == (self.law is None):
            raise InputError(
                "Interface takes either the coefficient a of the flux a ∇u, or another flux as law"
            )
        pieces = parts_inside(self.domain, self.on.pieces)
        surface = Boundary(pieces).measure
        vars(self).update(sites=2, surface=surface)  # a point on each side
        vars(self).update(seats=pieces, kinks=pieces)

    def rows_at(self, drawn: Points) -> Points:
        return drawn.on_both_sides(self.domain.bounds)

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return n · F_outside - n · F_inside - flux for each of m equations, (rows, m).

        A row belongs to two points of p: first the point inside, then the point outside. The flux
        is the mean of its values at the two points.
        """
        if torch.equal(p.coords[0::2], p.coords[1::2]):
            raise InputError(f"Interface needs float64: in {p.coords.dtype} its two sides coincide")
        across = normal_flux(self.law, p, fields)
        m = across.shape[1]
        if self.coefficient is not None:
            across = values_of(self.coefficient, p, m, "Interface's coefficient") * across
        flux = values_of(self.flux, p, m, "Interface's flux")
        return across[1::2] - across[0::2] - (flux[1::2] + flux[0::2]) / 2


@dataclass(frozen=True)
class Initial(Condition):
    """Initial condition: u = value and, if a rate is given, ∂u/∂t = rate at the initial time.

    Args:
        domain: a space-time domain, whose boundary has a piece "initial", or a box with the piece
            "t_min".
        value: a number, a formula, or a function of points → (n, m) for m fields, or (n, 1).
        rate: the initial time derivative, given like `value`; None if it is not prescribed.

    Raises:
        InputError: if the domain has no time, or for data of another kind.

    Example:
        >>> import kanpinn as kp
        >>> string = kp.Box(x=(0, 1), t=(0, 1))
        >>> start = kp.Initial(string, "sin(pi*x)", rate=0.0)
        >>> start.value is not None, start.rate is not None
        (True, True)
    """

    domain: Domain
    value: Data = 0.0
    rate: Data | None = None

    data: ClassVar = ("value", "rate")
    is_at_boundary: ClassVar[bool] = True
    fixes_constant: ClassVar[bool] = True

    @property
    def boundary(self) -> Boundary:
        """The part of the boundary at the initial time."""
        whole = self.domain.boundary
        for name in ("initial", "t_min"):
            if name in whole.names:
                return whole[name]
        raise InputError(
            "Initial takes a domain with a time, such as Box(x=(0, 1), t=(0, 1)) or "
            f"domain.over(t=(0, 1)), got one with the pieces {', '.join(whole.names)}"
        )

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return self.boundary.pieces

    def target(self, p: Points, m: int = 1) -> Tensor:
        """Return the prescribed values at n points, (n, 1) or, for m fields, (n, m)."""
        return values_of(self.value, p, m, "an initial value")

    def prescribed(self, fields: Sequence[str]) -> list[Prescribed]:
        return prescribed_values(self, fields, self.value, "an initial value", self.rate)

    def residual(self, p: Points, *fields: Jet) -> tuple[Tensor, ...]:
        """Return u - value and, if a rate is given, ∂u/∂t - rate, (n, m) each."""
        u = torch.cat([f.value for f in fields], dim=1)
        m = u.shape[1]
        residuals = [u - self.target(p, m)]
        if self.rate is not None:
            rates = torch.cat([-normal_derivative(f, p) for f in fields], dim=1)
            residuals.append(rates - values_of(self.rate, p, m, "an initial rate"))
        return tuple(residuals)


@dataclass(frozen=True)
class Observed(Condition):
    """Measurements: u = values at given points.

    A single value also fixes the constant of a field that the other conditions determine only up to
    a constant, such as a pressure.

    Args:
        domain: the domain in which the points lie.
        at: the points, (n, d), with columns in the order of the domain's coordinates.
        values: the measured values, (n,) or, for m fields, (n, m).
        noise: the standard deviation of the values, by which the residual is divided; None if it is
            not known and a solve shall estimate it from the differences of u and the values.

    Raises:
        InputError: for points or values that are not finite, points outside the domain, shapes
            that do not fit, or a noise that is not positive and finite.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), t=(0, 1))
        >>> data = kp.Observed(box, at=[[0.5, 0.1], [0.5, 0.2]], values=[0.90, 0.82], noise=0.01)
        >>> data.measurements
        2
    """

    domain: Domain
    at: Tensor | Sequence
    values: Tensor | Sequence
    noise: float | int | None = None

    fixes_constant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            at = torch.as_tensor(self.at, dtype=torch.float64)
            values = torch.as_tensor(self.values, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            raise InputError(
                "Observed takes arrays of numbers as points and values, got "
                f"{type(self.at).__name__} and {type(self.values).__name__}"
            ) from None
        values = values[:, None] if values.ndim == 1 else values
        d = self.domain.dim
        if at.ndim != 2 or at.shape[1] != d or values.ndim != 2 or len(at) != len(values):
            raise InputError(
                f"Observed takes points (n, {d}) and values (n,) or (n, m), got "
                f"{tuple(at.shape)} and {tuple(values.shape)}"
            )
        if self.noise is not None and not 0 < self.noise < math.inf:
            raise InputError(f"Observed takes a noise > 0, got {self.noise!r}")
        low, high = self.domain.bounds
        # The tolerance is relative to the domain's size: points may be given with few digits.
        inside = self.domain.contains(at, tolerance=1e-9 * float((high - low).max()))
        for rows, what in (
            (~at.isfinite().all(dim=1), "points that are not finite"),
            (~values.isfinite().all(dim=1), "values that are not finite"),
            (~inside, "points outside the domain"),
        ):
            if rows.any():
                first = at[rows][0].tolist()
                raise InputError(f"Observed has {int(rows.sum())} {what}, the first is {first}")
        points = Points(at, self.domain.names, data=values)
        vars(self).update(at=at, values=values, measurements=len(values), fixed=points)

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return (u - values) / noise, (n, m), or u - values if the noise is not known."""
        assert p.data is not None
        u = torch.cat([f.value for f in fields], dim=1)
        if p.data.shape[1] not in (1, u.shape[1]):
            raise InputError(
                f"Observed has {p.data.shape[1]} columns of values for {u.shape[1]} fields"
            )
        return (u - p.data) / (self.noise or 1.0)


@dataclass(frozen=True)
class Periodic(Condition):
    """Periodic condition: u and its derivatives agree at the ends "x_min" and "x_max" of x.

    If the network has one more input than there are coordinates, its inputs are cos and sin of
    2πx / L in place of x, where L is the period. Such a network is periodic with all of its
    derivatives: the condition holds exactly and has no term in the loss. The solution need not be
    more accurate, because with more inputs, networks with random inner functions need more units.

    Args:
        domain: the domain, whose boundary has the pieces "x_min" and "x_max" for the coordinate x.
        coordinate: the name of the periodic coordinate, such as "x".
        order: the order of the highest derivative along the coordinate that has to agree; 1 suits
            equations of second order.

    Raises:
        InputError: for a coordinate that the domain does not have, a domain without the pieces
            "x_min" and "x_max" for this coordinate x, or a negative order.

    Example:
        >>> import kanpinn as kp
        >>> ring = kp.Box(x=(0, 1), y=(0, 1))
        >>> kp.Periodic(ring, "x").coordinate
        'x'
    """

    domain: Domain
    coordinate: str
    order: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("order", self.order, least=0)
        if self.coordinate not in self.domain.names:
            raise InputError(
                f"Periodic has no coordinate {self.coordinate!r}: expected one of "
                f"{', '.join(self.domain.names)}"
            )
        low, high = (self.domain.boundary[f"{self.coordinate}_{end}"] for end in ("min", "max"))
        vars(self).update(sites=2, surface=low.measure, seats=low.pieces)  # a point at each end
        name = self.coordinate if self.field is None else None
        vars(self).update(tied=low.pieces + high.pieces, periodic_in=name)

    def rows_at(self, drawn: Points) -> Points:
        axis = self.domain.names.index(self.coordinate)
        high = drawn.coords.clone()
        high[:, axis] = self.domain.bounds[1][axis]
        return Points(torch.stack([drawn.coords, high], dim=1).flatten(0, 1), drawn.names)

    def residual(self, p: Points, *fields: Jet) -> tuple[Tensor, ...]:
        """Return u, ∂_x u, … at the lower end of x minus those at the upper end, (rows, 1) each."""
        direction = [float(name == self.coordinate) for name in p.names]
        values = [f.value for f in fields]
        for order in range(1, self.order + 1):
            values += [directional(f, direction, order) for f in fields]
        return tuple(value[0::2] - value[1::2] for value in values)


@dataclass(frozen=True)
class Integral(Condition):
    """Integral condition ∫ u = value over a domain or a boundary.

    If a field is determined only up to a constant, for example, the condition fixes the constant.

    Args:
        over: the domain or boundary of integration.
        value: the value of the integral, a number.
        density: the integrand, a function (p, u, …) → (n, 1) with the arguments of a problem's
            residual; by default the field itself.

    Raises:
        InputError: if `over` is neither a domain nor a boundary, or the value is not finite.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> mean = kp.Integral(box, 0.0, field="q")
        >>> mean.field, mean.value
        ('q', 0.0)
    """

    over: Domain | Boundary
    value: float | int = 0.0
    density: Callable[..., Tensor] | None = None

    places: ClassVar = {"over": (Domain, Boundary)}

    _weights: Tensor = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        number("the value of an Integral", self.value, -math.inf)
        if isinstance(self.over, Boundary):
            points, weights = self.over.quadrature(32)
        else:
            nodes, most, chunks = 32, 2**12, [*domain_rule(self.over, 32, draws=2**12)]
            # One row of the residual needs all points at once; their number is therefore bounded.
            while sum(len(p) for p, _ in chunks) > most and nodes > 1 and self.over.dim <= 3:
                nodes = nodes * 3 // 4
                chunks = [*domain_rule(self.over, nodes, draws=most)]
            points = Points.cat(p for p, _ in chunks)
            weights = torch.cat([w for _, w in chunks])
        vars(self).update(fixed=points, _weights=weights, sites=len(points))

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return (∫ u - value) / |over|, (rows, m), where |over| is the measure of `over`."""
        density = self.density
        densities = density(p, *fields) if density else torch.cat([f.value for f in fields], dim=1)
        weights = self._weights.to(densities)
        integrals = torch.einsum("rsm,s->rm", densities.unflatten(0, (-1, self.sites)), weights)
        return (integrals - float(self.value)) / self.over.measure
