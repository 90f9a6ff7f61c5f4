"""Dirichlet, Neumann and Robin boundary conditions, and constraints with a user's residual."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Vector
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Jet, normal_derivative
from kanpinn.pde.conditions.condition import Condition, OnBoundary, Prescribed, column_of
from kanpinn.pde.conditions.values import Data, values_of


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

    def points(
        self,
        collocation: Collocation,
        share: float,
        generator: Generator,
        units: Vector | None = None,
    ) -> Points:
        if self.inside is None:
            return super().points(collocation, share, generator, units)
        return sample(self.inside, collocation.interior, collocation.sampler, generator)

    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        return self.equation(p, *fields)
