"""The base class of problems: a differential equation on a domain, with conditions."""

import copy
import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from kanpinn._support.errors import InputError, of_class
from kanpinn.geometry import Domain, Piece, Points
from kanpinn.jets import Jet
from kanpinn.pde.conditions import Condition, Prescribed


class BoundaryValueProblem(ABC):
    """The base class of `Problem` and `EigenProblem`: a differential equation with conditions.

    A subclass states the domain, the unknown functions (the fields), the equation and the
    conditions, and may choose the inputs and further functions of the network.

    Attributes:
        domain: the domain of the equation.
        fields: the names of the unknown functions.
        free_constant: the names of the fields, such as a pressure, that are determined only up to
            a constant; their errors are computed without their means.
        error_fields: the names of the fields whose errors enter the overall error norms; None for
            all fields.
        needs_conditions: whether a solve refuses the problem if there are fewer conditions than the
            equation needs for a unique solution, or if the data of a pure Neumann problem do not
            balance.
        is_stated: whether the problem is a checked copy, as `stated` returns it.
        unknowns: the `Unknown`s (scalar parameters and coefficient fields to be identified) of an
            inverse problem by name; empty for other problems.
    """

    domain: Domain
    fields: tuple[str, ...] = ("u",)
    free_constant: tuple[str, ...] = ()
    error_fields: tuple[str, ...] | None = None
    needs_conditions: bool = True
    is_stated: ClassVar[bool] = False  # whether `stated` made this copy
    unknowns: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def conditions(self) -> Sequence[Condition]:
        """Return the conditions that complete the equation; a solve calls this method once."""

    @abstractmethod
    def equation(self, p: Points, u: Jet) -> Tensor:
        """Return the equation's residual at n points; for an `EigenProblem` L u = λ M u, (L + M) u.

        Args:
            p: n points.
            u: the jet (values and derivatives) of all `columns` (fields and unknown scalar
                parameters) at the points.

        Returns:
            A tensor (n, equations).

        Raises:
            InputError: if the user's function returns another shape.
        """

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of `equation`'s jet u: the fields, then unknown parameters."""
        return tuple(self.fields)

    def completed(self, conditions: Sequence[Condition]) -> Sequence[Condition]:
        """Return the given conditions and further conditions that follow from the equation."""
        return conditions

    def with_conditions(self, conditions: Sequence[Condition]) -> Self:
        """Return a copy of the problem with other conditions.

        Conditions that follow from the equation are added (`completed`), and each condition gets
        the title "conditions()[i]" for messages.
        """

        def placed(some: Sequence[Condition]) -> tuple[Condition, ...]:
            """Copies of conditions with the names of the fields and a title for messages."""
            return tuple(
                altered(c, all_fields=self.fields, title=f"conditions()[{i}]")
                for i, c in enumerate(some)
            )

        every = placed(self.completed(placed(conditions)))
        return altered(self, conditions=functools.partial(tuple, every), is_stated=True)

    def enrichment(self) -> Sequence[Callable[[Points], Tensor]]:
        """Return known functions that are added to the network, such as a `Corner`.

        Each function returns the values (n, q) of q basis functions at n points. Each field of the
        solution has its own coefficients of the basis functions, which are determined together with
        the coefficients of the network's output layer. A function may have a method
        `richer(factor)`, as `Corner` has, which returns a function with `factor` times as many
        basis functions. An error estimate then uses this function for its finer solution.
        """
        return ()

    def inputs(self) -> Callable[[Points], Tensor] | None:
        """Return a function that computes the network's inputs, such as a `Stretch`, or None.

        The function maps n points to inputs (n, q) in [-1, 1], and the list of the network's layer
        widths then starts with q. With None the inputs are the coordinates, scaled to [-1, 1].

        By default they are the coordinates, but on a line with interfaces the coordinate and the
        distance from each interface, so that the network has kinks there.
        """
        kinks = {piece for condition in self.conditions() for piece in condition.kinks}
        if self.domain.dim > 1 or not kinks:
            return None
        places = sorted(float(piece.quadrature(1)[0].coords) for piece in kinks)
        return functools.partial(_distances, self.domain, places)

    def cells(self) -> Sequence[Domain]:
        """Return domains whose union is the domain, without overlaps.

        Integrals of energies and norms are computed as sums over these parts.
        """
        return (self.domain,)

    @abstractmethod
    def check_class(self) -> None:
        """Refuse missing or invalid attributes or methods of a subclass; `check` calls this method.

        Raises:
            InputError: naming the attribute or the method, and what it must be.
        """

    def check(self) -> None:
        """Refuse a class whose attributes or methods are missing or invalid.

        Conditions are not checked here; `stated` checks them.

        Raises:
            InputError: naming the attribute or the method, and what it must be.
        """
        name, fields = type(self).__name__, self.fields
        if not isinstance(getattr(self, "domain", None), Domain):
            raise InputError(f"{name}.domain must be a kanpinn domain such as Box(x=(-1, 1))")
        if not fields or not all(isinstance(field, str) for field in fields):
            raise InputError(f"{name}.fields must be a tuple of names, got {fields!r}")
        for key in ("free_constant", "error_fields", "velocity_fields"):
            chosen: Any = getattr(self, key, None)
            if chosen is None or (key == "free_constant" and not chosen):
                continue
            listed = isinstance(chosen, tuple | list) and {*chosen} <= {*fields}
            if not listed or not chosen or len(chosen) != len({*chosen}):
                raise InputError(
                    f"{name}.{key} must be a tuple of some of the fields {', '.join(fields)}, got "
                    f"{chosen!r}"
                )
        self.check_class()


P = TypeVar("P", bound=BoundaryValueProblem)
T = TypeVar("T")


def stated(problem: P, kind: type = BoundaryValueProblem) -> P:
    """Check a problem and return a copy whose `conditions()` always returns the same tuple.

    The class's own method `conditions` is called once. The solve, the check of the exact solution,
    the reference solution and the error estimate then use the same conditions, even if that method
    draws random noise. A problem that this function returned is returned unchanged. Conditions may
    only be about fields of the problem, either all measurements or none may have a known noise, and
    each piece of an interface may have only one condition.

    Args:
        problem: the problem.
        kind: the class of which the problem has to be an instance.

    Raises:
        InputError: for an object of another class, or a problem whose attributes, methods or
            conditions are missing or invalid.
    """
    if not isinstance(problem, kind):
        raise InputError(
            f"problem must be an instance of a kanpinn {kind.__name__}, got {problem!r}: "
            "kanpinn.solve takes a Problem, kanpinn.eigen an EigenProblem"
        )
    if problem.is_stated:
        return problem
    problem.check()
    name, fields, conditions = type(problem).__name__, problem.fields, problem.conditions()
    if not isinstance(conditions, Sequence):
        raise InputError(f"{name}.conditions() must be a list of conditions, got {conditions!r}")
    for condition in conditions:
        if not isinstance(condition, Condition):
            raise InputError(f"{name}.conditions() must list conditions, got {conditions!r}")
        if unknown := [field for field in condition.about if field not in fields]:
            raise InputError(
                f"{name} has no field {unknown[0]!r}, which {of_class(condition)} names: "
                f"its fields are {', '.join(fields)}"
            )
    noises = [c.noise for c in conditions if c.measurements]
    if None in noises and any(noises):
        raise InputError(
            f"{name}.conditions() has data with noise = None beside some with a known one, "
            f"{noises}: give that of all, or of none"
        )
    seen: dict[Piece, int] = {}
    for index, condition in enumerate(conditions):
        for piece in condition.kinks:
            if piece in seen:
                raise InputError(
                    f"{name}.conditions() must name each piece of an interface once, got "
                    f"{piece.name!r} in conditions()[{seen[piece]}] and conditions()[{index}]: "
                    f"{of_class(condition)} holds for all fields, with one coefficient and flux"
                )
            seen[piece] = index
    return problem.with_conditions(conditions)


def altered(problem: T, **attributes: object) -> T:
    """Return a copy of a problem or condition with other attributes, even if it is frozen."""
    view = copy.copy(problem)
    vars(view).update(attributes)
    return view


@dataclass(frozen=True)
class Jump:
    """A point of the boundary where two conditions prescribe different values for a field.

    Args:
        field: the name of the field.
        gap: the absolute difference of the two values.
        place: the point as text, for messages.
        pieces: the names of the two boundary pieces; equal if both conditions are on one piece.
        contradictory: whether both conditions are on one piece and their values differ by more than
            1e-4 of their size, that is by more than the last digits of measured data.
    """

    field: str
    gap: float
    place: str
    pieces: tuple[str, str]
    contradictory: bool = False

    def __str__(self) -> str:
        where = " meets ".join(self.pieces) if len(set(self.pieces)) > 1 else self.pieces[0]
        return (
            f"the values prescribed for {self.field} disagree by {self.gap:.3g} at {self.place}, "
            f"{'where' if len(set(self.pieces)) > 1 else 'on'} {where}"
        )


def prescribed_data(problem: BoundaryValueProblem) -> dict[str, list[Prescribed]]:
    """Return the prescribed values of each field by the field's name, in the order of conditions.

    Fields without prescribed values have an empty list. Conditions whose data depend on unknown
    parameters are left out.
    """
    data: dict[str, list[Prescribed]] = {name: [] for name in problem.fields}
    for condition in problem.conditions():
        for prescribed in () if condition.numbers else condition.prescribed(problem.fields):
            data[prescribed.field].append(prescribed)
    return data


def jumps(problem: BoundaryValueProblem) -> list[Jump]:
    """Return the points where two conditions of a problem prescribe different values, as `Jump`s.

    The largest difference comes first. For each field and each pair of boundary pieces with
    prescribed values, only the largest jump is returned. Differences due to rounding are not jumps.
    """
    low, high = problem.domain.bounds
    reach = 1e-9 * float((high - low).max())  # points closer than this count as equal
    largest: list[Jump] = []
    for data in prescribed_data(problem).values():
        # The data of a single condition have no jumps, and skipping them saves time: in many
        # dimensions the rims have many points.
        several = len({id(given.condition) for given in data}) > 1
        rims = [(given, given.piece.rim) for given in data if several]
        for (a, p), (b, q) in itertools.combinations(rims, 2):
            if a.condition is b.condition:
                continue
            if a.piece == b.piece:
                p = q = a.piece.gauss(9)
            near = cKDTree(q.coords).query(p.coords, distance_upper_bound=reach)[1]
            same = torch.as_tensor(near)
            met = (same < len(q)).nonzero()[:, 0]  # at other points `near` is the number of points
            if len(met) and (jump := _largest(a, p[met], b, q[same[met]])) is not None:
                largest.append(jump)
    return sorted(largest, key=lambda jump: -jump.gap)


def _largest(a: Prescribed, p: Points, b: Prescribed, q: Points) -> Jump | None:
    """Return the largest difference between two prescriptions of a field's values, as a `Jump`.

    Args:
        a, b: the prescribed values, each on a piece of the boundary.
        p, q: n common points of the two pieces, once with the normals of each piece.

    Returns:
        The jump; None if the values agree.
    """
    u, v = a.values(p), b.values(q)
    # Values that are NaN or infinite at a corner do not count as a disagreement.
    gaps = (u - v).abs().nan_to_num(0.0, 0.0)[:, 0]
    size = max(float(t.abs().nan_to_num(0.0, 0.0).max()) for t in (u, v))
    if gaps.max() <= 1e-8 * (1 + size):  # the values agree to rounding
        return None
    worst = int(gaps.argmax())
    gap, names = float(gaps[worst]), (a.piece.name, b.piece.name)
    digits = 1e-4  # data on one piece with a smaller relative difference may be measured
    return Jump(a.field, gap, p.show(worst), names, a.piece == b.piece and gap > digits * size)


def with_parameter(problem: P, name: str, value: float) -> P:
    """Return a copy of the problem with another value of a parameter.

    The conditions may depend on the parameter. For a problem that `stated` returned, they are
    therefore made and checked again.

    Args:
        problem: the problem.
        name: the name of the parameter, an attribute that the problem's methods read.
        value: the parameter's new value.

    Raises:
        InputError: if the problem has no attribute of that name that is a number.
    """
    parameter_of(problem, name)
    view = altered(problem, **{name: value})
    if not problem.is_stated:
        return view
    del view.__dict__["conditions"], view.__dict__["is_stated"]
    return stated(view)


def parameter_of(problem: BoundaryValueProblem, name: str) -> float:
    """Return the value of a parameter: an attribute of the problem that is a number.

    Raises:
        InputError: if the problem has no attribute of that name that is a number.
    """
    numbers = {k: v for k, v in vars(problem).items() if isinstance(v, int | float)}
    if name not in numbers:
        there = ", ".join(numbers) or "none"
        raise InputError(
            f"{type(problem).__name__} has no parameter {name!r}: its attributes that are numbers "
            f"are {there}"
        )
    return float(numbers[name])


def _distances(line: Domain, places: Sequence[float], p: Points) -> Tensor:
    """The coordinate of n points and their distances from some places, in [-1, 1], (n, 1 + places).

    Args:
        line: the domain of one coordinate.
        places: the coordinates of the places.
        p: the points.
    """
    low, high = (end.to(p.coords) for end in line.bounds)
    apart = (p.coords - p.coords.new_tensor(places)).abs() / (high - low)
    return 2 * torch.cat([(p.coords - low) / (high - low), apart], dim=1) - 1
