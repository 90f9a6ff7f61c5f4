"""Conditions on boundaries and interfaces: values, fluxes, components of vectors, jumps."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.jets import Jet, normal_derivative
from kanpinn.pde.conditions.condition import (
    Condition,
    Data,
    OnBoundary,
    Prescribed,
    column_of,
    values_of,
)


@dataclass(frozen=True)
class Dirichlet(OnBoundary):
    """Dirichlet condition u = value on a boundary or a part of it.

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
        names = self.about or fields
        values = [partial(column_of, self.target, len(names), i) for i in range(len(names))]
        return [
            Prescribed(self, name, piece, value, is_zero=self.value == 0)
            for name, value in zip(names, values, strict=True)
            for piece in self.boundary.pieces
        ]

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return u - value, (n, m)."""
        u = torch.cat([f.value for f in fields], dim=1)
        return u - self.target(p, u.shape[1])


@dataclass(frozen=True)
class Neumann(OnBoundary):
    """Neumann condition ∂u/∂n = value, with n the outward unit normal.

    Args:
        boundary: the boundary, or a part of it.
        value: a number, a formula, or a function of points → (n, m) for m fields, or (n, 1); the
            function may use `p.normals`.

    Raises:
        InputError: for data that are no number, formula or function.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> insulated = kp.Neumann(box.boundary["x_min", "x_max"])
        >>> heated = kp.Neumann(box.boundary["y_min"], "sin(pi*x)")
        >>> insulated.surface, heated.surface
        (2.0, 1.0)
    """

    value: Data = 0.0

    data: ClassVar = ("value",)
    is_natural: ClassVar[bool] = True

    @property
    def needs_energy(self) -> bool:
        """True unless the flux is the number 0, which is natural without a boundary energy."""
        return self.value != 0

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return ∂u/∂n - value, (n, m)."""
        flux = torch.cat([normal_derivative(f, p) for f in fields], dim=1)
        return flux - values_of(self.value, p, flux.shape[1], "a Neumann value")


@dataclass(frozen=True)
class Robin(OnBoundary):
    """Robin condition alpha u + beta ∂u/∂n = value, with n the outward unit normal.

    Args:
        boundary: the boundary, or a part of it.
        alpha, beta, value: each a number, a formula, or a function of points → (n, m) for m
            fields, or (n, 1).

    Raises:
        InputError: for data that are no number, formula or function.

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
    is_natural: ClassVar[bool] = True
    fixes_constant: ClassVar[bool] = True

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return alpha u + beta ∂u/∂n - value, (n, m)."""
        u = torch.cat([f.value for f in fields], dim=1)
        flux = torch.cat([normal_derivative(f, p) for f in fields], dim=1)
        alpha, beta, value = (
            values_of(getattr(self, name), p, u.shape[1], f"Robin's {name}") for name in self.data
        )
        return alpha * u + beta * flux - value


@dataclass(frozen=True)
class Constraint(Condition):
    """A user-defined residual that vanishes on a boundary, a piece of it, or a domain.

    Args:
        on: the boundary, piece or domain. On a domain there are as many collocation points as the
            problem's residual has.
        equation: a function (p, u, …) with the arguments of a problem's residual, which returns
            (n, equations) or a tuple of such; on a boundary p has normals.

    Raises:
        InputError: where `on` is of another type, or `equation` is not callable.

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

    places: ClassVar = {"on": (Boundary, Domain, Piece)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.equation):
            raise InputError(f"Constraint takes a function (p, u, …), got {self.equation!r}")

    @property
    def inside(self) -> Domain | None:
        match self.on:
            case Domain():
                return self.on
        return None

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

    Where every piece of the boundary is perpendicular to a coordinate axis, the condition
    prescribes values of single fields, which a surrogate can have built in. Elsewhere the condition
    is a term of the loss.

    Args:
        boundary: the boundary, or a part of it.
        value: the component's values, a number, a formula or a function of points, which may use
            `p.normals`.
        fields: the names of the vector's fields, one for each coordinate of space, in their order.

    Raises:
        InputError: where the number of fields is not that of the coordinates of space.
    """

    value: Data = 0.0
    fields: tuple[str, ...] = ()

    data: ClassVar = ("value",)

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
        found = []
        for piece in self.boundary.pieces:
            normals = piece.gauss(16).normals
            assert normals is not None
            axis = int(normals[0].abs().argmax())
            plane = torch.zeros_like(normals[0])
            plane[axis] = normals[0, axis].sign()
            if not torch.allclose(normals, plane.expand_as(normals), rtol=0, atol=1e-12):
                return []  # the condition couples fields, so no single field has values
            for component, factor, column in self.plain(axis, float(plane[axis])):
                values = partial(self._values, plane, factor, column)
                name, zero = self.fields[component], self.value == 0
                found.append(Prescribed(self, name, piece, values, is_zero=zero))
        return found

    @abstractmethod
    def target(self, p: Points) -> Tensor:
        """Return the prescribed values at n points with normals, (n, equations) or (n, 1)."""

    @abstractmethod
    def plain(self, axis: int, sign: float) -> Iterator[tuple[int, float, int]]:
        """Express the condition by single fields where the normal is ± a coordinate direction.

        Args:
            axis: the number of the coordinate.
            sign: the sign of the normal along it.

        Yields:
            (component, factor, column): the field of this number has the values factor times this
            column of `target`.
        """

    def _values(self, plane: Tensor, factor: float, column: int, p: Points) -> Tensor:
        """Return the values (n, 1) of one field on a plane with this normal."""
        found = self.target(Points(p.coords, p.names, plane.to(p.coords).expand_as(p.coords)))
        return factor * (found if found.shape[1] == 1 else found[:, column, None])

    def _vector(self, p: Points, fields: Sequence[Jet]) -> tuple[Tensor, Tensor]:
        """Return the vector's values and the normal's components in space, (n, m) each."""
        assert p.normals is not None
        u = torch.cat([f.value for f in fields], dim=1)
        return u, p.normals[:, : u.shape[1]]


@dataclass(frozen=True)
class NormalDirichlet(ComponentDirichlet):
    """u · n = value for a vector field u, n the outward unit normal; 0 at an impermeable wall.

    An example is `kp.NormalDirichlet(wall, 0.0, ("u", "v"))`. The tangential component is
    prescribed by `TangentialDirichlet`.

    Example:
        >>> import kanpinn as kp
        >>> wall = kp.Box(x=(0, 2), y=(0, 1)).boundary["y_min", "y_max"]
        >>> kp.NormalDirichlet(wall, 0.0, ("u", "v")).fields
        ('u', 'v')
    """

    def target(self, p: Points) -> Tensor:
        return values_of(self.value, p, 1, "a NormalDirichlet value")

    def plain(self, axis: int, sign: float) -> Iterator[tuple[int, float, int]]:
        yield axis, sign, 0

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return u · n - value, (n, 1)."""
        u, normal = self._vector(p, fields)
        return (u * normal).sum(dim=1, keepdim=True) - self.target(p)


@dataclass(frozen=True)
class TangentialDirichlet(ComponentDirichlet):
    """The tangential component of a vector field u has given values on a boundary.

    For two fields the component is the scalar u · t, where t = (-n_y, n_x) is the normal turned by
    +90°; on the outer boundary t runs counterclockwise. For three fields it is the vector
    u - (u · n) n, and `value` is 0 or a function of points → (n, 3), of which only the tangential
    part is used.

    Raises:
        InputError: also for a number other than 0 with three fields.

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

    def target(self, p: Points) -> Tensor:
        m = len(self.fields)
        return values_of(self.value, p, 1 if m == 2 else m, "a TangentialDirichlet value")

    def plain(self, axis: int, sign: float) -> Iterator[tuple[int, float, int]]:
        if len(self.fields) == 2:
            yield 1 - axis, sign if axis == 0 else -sign, 0
        else:
            yield from ((i, 1.0, i) for i in range(len(self.fields)) if i != axis)

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return u · t - value, (n, 1), or in space the tangential part of u - value, (n, 3)."""
        u, normal = self._vector(p, fields)
        if len(fields) == 2:
            tangent = torch.stack([-normal[:, 1], normal[:, 0]], dim=1)
            return (u * tangent).sum(dim=1, keepdim=True) - self.target(p)
        gap = u - self.target(p)
        return gap - (gap * normal).sum(dim=1, keepdim=True) * normal


@dataclass(frozen=True)
class Interface(Condition):
    """Flux condition (a ∂u/∂n)_outside - (a ∂u/∂n)_inside = flux on an interface.

    The interface is the boundary of a part of the domain, and n points out of that part. The
    surrogate has to have a kink at the interface: give its network the distance |φ(x)| from the
    interface as a further input, by `Problem.inputs`. Networks in cells (`Cells`) need no such
    input and leave it out: they are divided by the interface, which in space consists of spheres
    and faces of boxes. In the energy form the condition with flux = 0 is natural and need not be
    listed.

    Args:
        domain: the whole domain.
        on: the boundary of the part, or some pieces of it.
        coefficient: a, a number, a formula or a function of points; it is evaluated on both sides.
        flux: a number, a formula or a function of points, such as a heat source on the interface.

    Raises:
        InputError: for data of another kind, and in a solve in float32, where the points of the
            two sides coincide.

    Example:
        >>> import kanpinn as kp
        >>> box, wire = kp.Box(x=(-1, 1), y=(-1, 1)), kp.Disk((0, 0), 0.5)
        >>> flux = kp.Interface(box, wire.boundary, "where(x**2 + y**2 < 0.25, 80, 1)")
        >>> flux.coefficient is not None, flux.weight
        (True, 1.0)
    """

    domain: Domain
    on: Boundary
    coefficient: Data
    flux: Data = 0.0

    places: ClassVar = {"on": (Boundary,)}
    data: ClassVar = ("coefficient", "flux")

    def __post_init__(self) -> None:
        super().__post_init__()
        vars(self).update(sites=2, surface=self.on.measure)  # a point on each side

    @property
    def seats(self) -> tuple[Piece, ...]:
        return self.on.pieces

    @property
    def kinks(self) -> tuple[Piece, ...]:
        return self.on.pieces

    def rows_at(self, drawn: Points) -> Points:
        return drawn.on_both_sides(self.domain.bounds)

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return the jump of a ∂u/∂n across the interface minus the flux, (rows, m)."""
        if torch.equal(p.coords[0::2], p.coords[1::2]):
            raise InputError(f"Interface needs float64, its two sides are one in {p.coords.dtype}")
        slopes = torch.cat([normal_derivative(u, p) for u in fields], dim=1)
        m = slopes.shape[1]
        across = values_of(self.coefficient, p, m, "Interface's coefficient") * slopes
        flux = values_of(self.flux, p, m, "Interface's flux")
        return across[1::2] - across[0::2] - (flux[1::2] + flux[0::2]) / 2
