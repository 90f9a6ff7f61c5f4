"""What every condition is: something that holds besides the equation, at points of its own."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from numbers import Real

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets.jet import Jet
from kanpinn.pde.expressions import Expression

Data = float | int | str | Callable[[Points], Tensor]  # a text is a formula


@dataclass(frozen=True)
class Condition(ABC):
    """Something that holds besides the equation.

    A row of its residual belongs to one of its points, or ties `sites` of them together.

    Args:
        field: the one that it is about; with None it is about all of them.
        weight: times that of the loss term "boundary".

    Raises:
        InputError: for a weight that is not positive.
    """

    _: KW_ONLY
    field: str | None = None
    weight: float | int = 1.0

    def __post_init__(self) -> None:
        if not (isinstance(self.weight, Real) and 0 < self.weight < math.inf):
            raise InputError(
                f"the weight of a {type(self).__name__} must be a positive number, "
                f"got {self.weight!r}"
            )

    @property
    def sites(self) -> int:
        """How many points each row of the residual ties together."""
        return 1

    @property
    def surface(self) -> float:
        """How much of the boundary it holds on, by which "boundary" points are shared out."""
        return 0.0

    @abstractmethod
    def points(self, collocation: Collocation, share: float, generator: Generator) -> Points:
        """Its points, the sites of a row after each other; share: of the boundary points."""

    @abstractmethod
    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        """What vanishes, (rows, equations), from all its points and the fields' jets there."""


@dataclass(frozen=True)
class OnBoundary(Condition):
    """A condition on a boundary or a part of it."""

    boundary: Boundary

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.boundary, Boundary):
            raise InputError(
                f"{type(self).__name__} takes a boundary, got {type(self.boundary).__name__}"
            )

    @property
    def surface(self) -> float:
        return self.boundary.measure

    def points(self, collocation: Collocation, share: float, generator: Generator) -> Points:
        count = max(1, round(share * collocation.boundary))
        return sample(self.boundary, count, collocation.sampler, generator)


def check_data(data: Data, what: str) -> None:
    """Refuse what is neither a finite number, a formula nor a function of points."""
    if isinstance(data, str):
        data = Expression(data)
    if not callable(data) and not (isinstance(data, Real) and math.isfinite(data)):
        raise InputError(f"{what} takes a number or a function of points, got {data!r}")


def values_of(data: Data, p: Points, m: int, what: str) -> Tensor:
    """A number, a formula or a function of points at points, (n, 1) or (n, m).

    Raises:
        InputError: where a function gives something of another shape.
    """
    if isinstance(data, str):
        data = Expression(data)
    if not callable(data):
        return torch.full_like(p.coords[:, :1], float(data))
    found = data(p)
    if isinstance(found, tuple | list) and all(isinstance(part, Tensor) for part in found):
        found = torch.cat(tuple(found), dim=1)
    shapes = {(len(p), 1), (len(p), m)}
    if not isinstance(found, Tensor) or tuple(found.shape) not in shapes:
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        fields = "" if m == 1 else f" or (n, {m}), a column for each field,"
        raise InputError(
            f"{what} must have shape (n, 1){fields} with n = {len(p)} points here, got {got}"
        )
    return found
