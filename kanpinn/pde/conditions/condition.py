"""The base class of conditions, and the values that conditions prescribe."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import ClassVar

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError, number
from kanpinn._support.shapes import Vector
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Jet
from kanpinn.pde.evaluate import jets_of_fields, stack_equations
from kanpinn.pde.expressions import Expression

Columns = Callable[[Points, int], Tensor]  # (points, fields m) → (n, 1) or (n, m)


@dataclass(frozen=True, eq=False)
class Prescribed:
    """The values that a condition prescribes for one field on one piece of a boundary.

    Args:
        condition: the condition.
        field: the name of the field.
        piece: the piece of the boundary.
        values: a function that returns the values (n, 1) at n points of the piece.
        rate: a function that returns the field's time derivative (n, 1) there; None where it is
            not prescribed.
        is_zero: whether the values were given as the number 0.
    """

    condition: "Condition"
    field: str
    piece: Piece
    values: Callable[[Points], Tensor]
    rate: Callable[[Points], Tensor] | None = None
    is_zero: bool = False


@dataclass(frozen=True)
class Condition(ABC):
    """Base class of conditions, which hold besides the problem's equation.

    Each row of the residual belongs to one point or, where `sites` is above one, combines the
    values at `sites` consecutive points. Subclasses override the properties below to describe
    themselves to a solve.

    Args:
        field: the name of the field that the condition is about; None stands for all fields.
        weight: a factor of the weight of the loss term "boundary".

    Attributes:
        about: the names of the fields that the residual takes; () stands for all fields.
        sites: the number of consecutive points that one row of the residual combines.
        surface: the measure of its `seats`, by which it gets its share of the boundary points; 0
            for conditions that do not hold on a boundary.
        measurements: the number of measured points; 0 for conditions that are no measurements.
        numbers: the names of the problem's unknown numbers, in their order, if its data depend on
            some of them; otherwise (). Their values are columns of the points, such as `p.k`.

    Raises:
        InputError: for a weight that is not positive and finite, for a place (boundary, piece,
            domain) of the wrong type, and for data that are no numbers, formulas or functions.

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
    is_at_boundary: ClassVar[bool] = False  # whether its points must be on a boundary
    is_natural: ClassVar[bool] = False  # whether a minimiser of the energy satisfies it
    is_initial: ClassVar[bool] = False  # whether it prescribes initial values
    fixes_constant: ClassVar[bool] = False  # whether adding a constant to u violates it

    _: KW_ONLY
    field: str | None = None
    weight: float | int = 1.0
    # Subclasses with other values set them in __post_init__.
    about: tuple[str, ...] = dataclasses.field(default=(), init=False, repr=False, compare=False)
    sites: int = dataclasses.field(default=1, init=False, repr=False, compare=False)
    surface: float = dataclasses.field(default=0.0, init=False, repr=False, compare=False)
    measurements: int = dataclasses.field(default=0, init=False, repr=False, compare=False)
    numbers: tuple[str, ...] = dataclasses.field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kind = type(self).__name__
        number(f"the weight of a {kind}", self.weight, above=True)
        for name, types in self.places.items():
            if not isinstance(given := getattr(self, name), types):
                known = " or ".join(f"a {one.__name__.lower()}" for one in types)
                raise InputError(f"{kind} takes {known}, got {type(given).__name__}")
        for name in self.data:
            given = getattr(self, name)
            if isinstance(given, str):
                vars(self)[name] = Expression(given)
            elif given is None and self.__dataclass_fields__[name].default is None:
                continue  # an optional argument
            elif not callable(given) and not (isinstance(given, Real) and math.isfinite(given)):
                what = kind if name == "value" else f"{kind}'s {name}"
                raise InputError(f"{what} takes a number or a function of points, got {given!r}")
        about = () if self.field is None else (self.field,)
        vars(self).update(about=about, surface=sum(piece.measure for piece in self.pieces))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The boundary pieces on which it holds pointwise; empty for other conditions."""
        return ()

    @property
    def seats(self) -> tuple[Piece, ...]:
        """The boundary pieces on which its collocation points are drawn."""
        return self.pieces

    @property
    def kinks(self) -> tuple[Piece, ...]:
        """The pieces of interfaces inside the domain at which it lets fields have a kink."""
        return ()

    @property
    def inside(self) -> Domain | None:
        """The domain in which the condition is a further equation, or None."""
        return None

    @property
    def fixed(self) -> Points | None:
        """The points of a condition that has points of its own, or None."""
        return None

    @property
    def periodic_in(self) -> str | None:
        """The coordinate in which the condition makes all fields periodic, or None."""
        return None

    @property
    def tied(self) -> tuple[Piece, ...]:
        """The boundary pieces on which it makes the fields agree; empty for other conditions."""
        return ()

    @property
    def noise(self) -> float | int | None:
        """The standard deviation of the measured values, or None where it is not known."""
        return None

    @property
    def needs_energy(self) -> bool:
        """Whether the energy form needs a density in `boundary_energies` for the condition."""
        return self.is_natural

    def prescribed(self, fields: Sequence[str]) -> list[Prescribed]:
        """Return the values that the condition prescribes, which a surrogate can have built in.

        Args:
            fields: the names of the problem's fields.

        Returns:
            One record for each field and piece; an empty list for conditions that do not prescribe
            values of single fields.
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
            share: this condition's fraction of the boundary points; it gets at least one.
            generator: the random number generator, the only source of randomness.
            units: of the coordinates in which the pieces are measured, see `sample`.

        Returns:
            rows · sites points, where the `sites` points of each row follow one another.
        """
        if self.fixed is not None:
            return self.fixed
        if self.inside is not None:
            return sample(self.inside, collocation.interior, collocation.sampler, generator)
        count = max(1, round(share * collocation.boundary))
        drawn = sample(Boundary(self.seats), count, collocation.sampler, generator, units)
        return self.rows_at(drawn)

    def rows_at(self, drawn: Points) -> Points:
        """Return the `sites` points of each row, from points that are drawn on its `seats`."""
        return drawn

    def few_points(self) -> Points:
        """Return a few of its points, always the same, for trials."""
        return self.points(Collocation(5, 16, "uniform"), 1.0, Generator().manual_seed(0))

    def stacked_residual(self, fields: Sequence[str], what: str, p: Points, u: Jet) -> Tensor:
        """Return the residual as one tensor, (rows, equations), from the jet of all fields.

        Args:
            fields: the names of the problem's fields.
            what: the name of the condition in messages.
            p: the condition's points.
            u: the jet of all fields at these points, followed by those of unknown numbers.

        Raises:
            InputError: where the residual has another shape.
        """
        columns = jets_of_fields(u)
        if self.numbers:
            values = [one.value for one in columns[len(fields) :]]
            p = p.with_numbers(dict(zip(self.numbers, values, strict=True)))
        about = [columns[fields.index(name)] for name in self.about or fields]
        return stack_equations(self.residual(p, *about), len(p) // self.sites, what)

    @abstractmethod
    def residual(self, p: Points, *fields: Jet) -> Tensor | tuple[Tensor, ...]:
        """Return the residual, (rows, equations) or a tuple of such.

        Args:
            p: the condition's points, rows · sites of them.
            fields: the jets at these points of the fields that the condition is about.
        """


@dataclass(frozen=True)
class OnBoundary(Condition):
    """Base class of conditions that hold pointwise on a boundary or a part of it."""

    boundary: Boundary

    places: ClassVar = {"boundary": (Boundary,)}
    is_at_boundary: ClassVar[bool] = True

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return self.boundary.pieces


def column_of(values: Columns, m: int, column: int, p: Points) -> Tensor:
    """Return the values (n, 1) of one of m fields; a single column serves all fields.

    Args:
        values: a function of points and m, which returns (n, 1) or (n, m).
        m: the number of fields.
        column: the index of the field.
        p: n points.
    """
    found = values(p, m).to(p.coords)
    return found if found.shape[1] == 1 else found[:, column, None]


Value = float | int | Callable[[Points], Tensor]
Data = Value | str  # a text is a formula


def values_of(data: Data, p: Points, m: int, what: str) -> Tensor:
    """Evaluate a number or a function of points at n points.

    Args:
        data: the number or function; conditions turn their formulas into functions.
        p: the points.
        m: how many fields the values are for.
        what: the name of the data in messages.

    Returns:
        (n, 1), or (n, m) where a function gives a column, or a tuple of columns, for each field.

    Raises:
        InputError: where the function returns another shape.
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
