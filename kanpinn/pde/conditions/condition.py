"""What every condition is: something that holds besides the equation, at points of its own."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from typing import ClassVar

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Jet
from kanpinn.pde.evaluate import stack_equations
from kanpinn.pde.expressions import Expression

Value = float | int | Callable[[Points], Tensor]
Data = Value | str  # a text is a formula
Columns = Callable[[Points, int], Tensor]  # of points and a number of fields m, (n, 1) or (n, m)


@dataclass(frozen=True, eq=False)
class Prescribed:
    """The values that a condition prescribes for one field on one piece of a boundary.

    Args:
        condition: the condition.
        field: the name of the field.
        piece: the piece of the boundary.
        values: the values (n, 1) at points of the piece.
        rate: the field's time derivative (n, 1) there, None where it is not prescribed.
        is_zero: whether the values are the number 0.
    """

    condition: "Condition"
    field: str
    piece: Piece
    values: Callable[[Points], Tensor]
    rate: Callable[[Points], Tensor] | None = None
    is_zero: bool = False


@dataclass(frozen=True)
class Condition(ABC):
    """Something that holds besides the equation.

    A row of its residual belongs to one of its points, or ties `sites` of them together. A subclass
    says the rest of what a solve asks about it by overriding the defaults below.

    Args:
        field: the name of the field that it is about; None stands for all fields.
        weight: a factor of the weight of the loss term "boundary".

    Raises:
        InputError: for a weight that is not positive, for a place that is none, and for data that
            are no numbers, formulas or functions.
    """

    places: ClassVar[Mapping[str, tuple[type, ...]]] = {}  # the arguments that say where it holds
    data: ClassVar[tuple[str, ...]] = ()  # the arguments that are numbers, formulas or functions
    is_at_boundary: ClassVar[bool] = False  # whether it is refused inside the domain
    is_natural: ClassVar[bool] = False  # whether an energy's minimum satisfies it by itself
    is_initial: ClassVar[bool] = False  # whether it says how an evolution starts
    fixes_constant: ClassVar[bool] = False  # whether it changes with a constant added to the field

    _: KW_ONLY
    field: str | None = None
    weight: float | int = 1.0

    def __post_init__(self) -> None:
        if not (isinstance(self.weight, Real) and 0 < self.weight < math.inf):
            raise InputError(
                f"the weight of a {type(self).__name__} must be a positive number, "
                f"got {self.weight!r}"
            )
        kind = type(self).__name__
        for name, types in self.places.items():
            if not isinstance(given := getattr(self, name), types):
                known = " or ".join(f"a {one.__name__.lower()}" for one in types)
                raise InputError(f"{kind} takes {known}, got {type(given).__name__}")
        for name in self.data:
            if getattr(self, name) is None and self.__dataclass_fields__[name].default is None:
                continue  # it may be left out
            what = kind if name == "value" else f"{kind}'s {name}"
            object.__setattr__(self, name, read_data(getattr(self, name), what))

    @property
    def about(self) -> tuple[str, ...]:
        """The names of the fields that its residual takes; none stands for all of the problem's."""
        return () if self.field is None else (self.field,)

    @property
    def sites(self) -> int:
        """How many points each row of the residual ties together."""
        return 1

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces of a boundary on which it holds point by point; none for other conditions."""
        return ()

    @property
    def surface(self) -> float:
        """The measure of the boundary that it holds on, by which boundary points are shared out."""
        return sum(piece.measure for piece in self.pieces)

    @property
    def inside(self) -> Domain | None:
        """The domain in which it holds as a further equation, if that is what it is."""
        return None

    @property
    def periodic_in(self) -> str | None:
        """The coordinate in which it makes all fields periodic, if that is what it does."""
        return None

    @property
    def measurements(self) -> int:
        """How many measured values it has; 0 where it is no measurement."""
        return 0

    @property
    def noise(self) -> float | int | None:
        """The standard deviation of its measured values, None where it is not known."""
        return None

    @property
    def needs_energy(self) -> bool:
        """Whether it needs a density in `boundary_energies` to be natural."""
        return self.is_natural

    def prescribed(self, fields: Sequence[str]) -> list[Prescribed]:
        """The values that it prescribes, which a surrogate can have built in.

        Args:
            fields: the names of the problem's fields.

        Returns:
            One record for each field and piece; none where it prescribes anything but values.
        """
        return []

    def points(self, collocation: Collocation, share: float, generator: Generator) -> Points:
        """The points at which it is to hold, the sites of a row after each other.

        Args:
            collocation: how many points there are in all, and how they lie.
            share: this condition's share of the boundary points, of which it has at least one.
            generator: the only source of chance.
        """
        count = max(1, round(share * collocation.boundary))
        return sample(Boundary(self.pieces), count, collocation.sampler, generator)

    @abstractmethod
    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        """What vanishes, (rows, equations), from all its points and the fields' jets there."""


@dataclass(frozen=True)
class OnBoundary(Condition):
    """A condition on a boundary or a part of it."""

    boundary: Boundary

    places: ClassVar = {"boundary": (Boundary,)}
    is_at_boundary: ClassVar[bool] = True

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return self.boundary.pieces


def prescribed_values(
    condition: Condition,
    fields: Sequence[str],
    values: Columns,
    rates: Columns | None = None,
    is_zero: bool = False,
) -> list[Prescribed]:
    """What a condition that gives all its fields' values, and perhaps rates, prescribes."""
    names = condition.about or tuple(fields)
    found = []
    for i, name in enumerate(names):
        value, rate = (f and partial(_column, f, len(names), i) for f in (values, rates))
        assert value is not None
        found += [Prescribed(condition, name, p, value, rate, is_zero) for p in condition.pieces]
    return found


def _column(values: Columns, m: int, column: int, p: Points) -> Tensor:
    """One field's column (n, 1) of the values of m fields."""
    found = values(p, m).to(p.coords)
    return found if found.shape[1] == 1 else found[:, column, None]


def read_data(data: Data, what: str) -> Value:
    """A number or a function of points as it is, a formula as the function that it stands for.

    Raises:
        InputError: naming `what` for anything else, or what is wrong with the formula.
    """
    if isinstance(data, str):
        return Expression(data)
    if not callable(data) and not (isinstance(data, Real) and math.isfinite(data)):
        raise InputError(f"{what} takes a number or a function of points, got {data!r}")
    return data


def values_of(data: Data, p: Points, m: int, what: str) -> Tensor:
    """The values of a number or a function of points at n points.

    Args:
        data: the number or function; conditions turn their formulas into functions.
        p: the points.
        m: how many fields the values are for.
        what: the name of the data in messages.

    Returns:
        (n, 1), or (n, m) where a function gives a column, or a tuple of columns, for each field.

    Raises:
        InputError: where a function gives something of another shape.
    """
    if not callable(data):
        return torch.full_like(p.coords[:, :1], float(data))
    found = stack_equations(data(p), len(p), what)
    if found.shape[1] not in (1, m):
        fields = "" if m == 1 else f" or (n, {m}), a column for each field,"
        raise InputError(
            f"{what} must have shape (n, 1){fields} with n = {len(p)} points here, got "
            f"{tuple(found.shape)}"
        )
    return found
