"""The base class of problems: a differential equation on a domain, with conditions."""

import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import of_class
from kanpinn.geometry import Domain, Piece, Points
from kanpinn.jets import Jet
from kanpinn.pde.conditions import Condition


class BoundaryValueProblem(ABC):
    """A differential equation on a domain, with conditions: the base of `Problem`, `EigenProblem`.

    It is what the discretization of both has in common: where the fields live, which conditions
    they satisfy, and how the network that approximates them is made.

    Attributes:
        domain: the domain of the equation.
        fields: the names of the functions that the equation is for.
        free_constant: the names of the fields, such as a pressure, that are determined only up to
            a constant; their errors are computed without their means.
        error_fields: the names of the fields whose errors enter the overall error norms; None for
            all.
        needs_conditions: whether a solve refuses the problem where it has fewer conditions than its
            equation needs for one solution, or data that do not balance.
    """

    domain: Domain
    fields: tuple[str, ...] = ("u",)
    free_constant: tuple[str, ...] = ()
    error_fields: tuple[str, ...] | None = None
    needs_conditions: bool = True
    is_stated: ClassVar[bool] = False  # whether `stated` made this copy

    @abstractmethod
    def conditions(self) -> Sequence[Condition]:
        """Return the conditions that complete the equation; a solve calls this method once."""

    @abstractmethod
    def equation(self, p: Points, u: Jet) -> Tensor:
        """Return what the differential operators give for a jet at n points, (n, equations).

        Args:
            p: n points.
            u: the jet of all `columns`.

        Raises:
            InputError: where the user's function returns another shape.
        """

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of the jet that `equation` takes, the fields first."""
        return tuple(self.fields)

    def completed(self, conditions: Sequence[Condition]) -> Sequence[Condition]:
        """Return the conditions of the class with those that follow from the equation."""
        return conditions

    def enrichment(self) -> Sequence[Callable[[Points], Tensor]]:
        """Return known functions that are added to the network, such as those of `Corner`.

        Each returns (n, q) at n points, which are q further basis functions for every field
        separately, or (n, q, m), which are q basis functions of the m fields jointly. Their
        coefficients are determined together with those of the network's output layer. An error
        estimate replaces a function that has a method `richer(factor)`, as `Corner` has, by what
        this returns: the same kind of functions, and more of them by the factor.
        """
        return ()

    def inputs(self) -> Callable[[Points], Tensor] | None:
        """Return a function that computes the network's inputs, such as a `Stretch`, or None.

        It maps n points to inputs (n, q) in [-1, 1], and the network's width then starts with q.
        With None the inputs are the scaled coordinates.
        """
        return None

    def cells(self) -> Sequence[Domain]:
        """Return the parts that make up the domain.

        Integrals of energies and norms are computed as sums over the parts.
        """
        return (self.domain,)

    @abstractmethod
    def check(self) -> None:
        """Refuse a class whose attributes or methods are missing or invalid.

        The conditions are not checked here but by `stated`.

        Raises:
            InputError: naming the attribute or the method, and what it must be.
        """


P = TypeVar("P", bound=BoundaryValueProblem)


def stated(problem: P, kind: type = BoundaryValueProblem) -> P:
    """Check a problem and return a copy whose `conditions()` always returns the same tuple.

    The class's own `conditions` is called once. The solve, the check of the exact solution, the
    reference and the error estimate then use the same conditions, even if that method draws random
    noise. A problem that this function returned is returned unchanged. Conditions may only be about
    fields of the problem, measurements have either all a known noise or none, and each piece of an
    interface has one condition.

    Args:
        problem: the problem.
        kind: the class that it has to be an instance of.

    Raises:
        InputError: for an object of another kind, or a class whose attributes, methods or
            conditions are missing or invalid.
    """
    if not isinstance(problem, kind):
        raise InputError(
            f"problem must be an instance of a kanpinn {kind.__name__}, got {problem!r}: "
            "kanpinn.solve and kanpinn.auto take a Problem, kanpinn.eigen an EigenProblem"
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
    _check_interfaces(name, conditions)
    conditions = problem.completed(conditions)
    view = copy.copy(problem)
    # object's own setter works also for a problem that is a frozen dataclass.
    object.__setattr__(view, "conditions", functools.partial(tuple, tuple(conditions)))
    object.__setattr__(view, "is_stated", True)
    return view


def _check_interfaces(name: str, conditions: Sequence[Condition]) -> None:
    """Refuse a piece of an interface that is named twice; name: of the problem's class."""
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
