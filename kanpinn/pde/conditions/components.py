"""Dirichlet conditions on the normal or the tangential component of a vector field."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.pde.conditions.condition import OnBoundary, Prescribed
from kanpinn.pde.conditions.values import Data, values_of


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
