"""What errors are measured against: the exact solution, or another known one in its place."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.pde.problem import Problem, exact_jet

Approximation = Callable[[Points, Channels], Jet]


class Reference(ABC):
    """A known solution of a problem: exact, computed by another method, or data.

    source: what it is, the end of the sentence "errors are against …".
    error: its own relative L2 error, an estimate; None if that is not known.
    points: the only points where it is known, with weights (n,) whose sum is 1; None if it is known
    everywhere.
    """

    source: str
    error: float | None = None
    points: tuple[Points, Tensor] | None = None

    @abstractmethod
    def jet(self, points: Points, channels: Channels) -> Jet:
        """Values and, where the channels ask for them, gradients; NaN where it has none."""


class Recipe(ABC):
    """How to get a reference for a problem, which may take a while; `[reference]` in a TOML file.

    Subclasses are frozen dataclasses of their settings.
    """

    @abstractmethod
    def build(self, problem: Problem) -> Reference:
        """The reference.

        Raises:
            InputError: if it cannot be built for this problem.
        """


@dataclass(frozen=True, eq=False)
class Exact(Reference):
    """The exact solution that a problem has."""

    problem: Problem
    source = "the exact solution"
    error = 0.0

    def jet(self, points: Points, channels: Channels) -> Jet:
        return exact_jet(self.problem, points, channels)


@dataclass(frozen=True, eq=False)
class Computed(Reference):
    """Another approximation of the solution, such as one with a finer network.

    Args:
        source: what it is.
        approximation: gives its jet at points.
        points: at which to compare, with weights (n,) whose sum is 1; None for a rule over the
            domain.
    """

    source: str
    approximation: Approximation
    points: tuple[Points, Tensor] | None = None

    def jet(self, points: Points, channels: Channels) -> Jet:
        return self.approximation(points, channels)


class Pending(Reference):
    """The reference by a recipe, built when it is first used."""

    def __init__(self, recipe: Recipe, problem: Problem) -> None:
        self.recipe, self.problem = recipe, problem

    def __repr__(self) -> str:
        return f"the solution by {self.recipe!r}"

    @cached_property
    def built(self) -> Reference:
        """The reference.

        Raises:
            InputError: if the recipe cannot build it for this problem.
        """
        return self.recipe.build(self.problem)

    @property
    def source(self) -> str:  # type: ignore[override]
        return self.built.source

    @property
    def error(self) -> float | None:  # type: ignore[override]
        return self.built.error

    @property
    def points(self) -> tuple[Points, Tensor] | None:  # type: ignore[override]
        return self.built.points

    def jet(self, points: Points, channels: Channels) -> Jet:
        return self.built.jet(points, channels)


def reference_of(problem: Problem, recipe: Recipe | None = None) -> Reference | None:
    """The reference of a problem without an exact solution, by the recipe or else by the problem.

    Returns:
        None if the problem has an exact solution, or has no reference of its own and there is no
        recipe.

    Raises:
        InputError: if the problem's `reference` gives anything but a reference, a recipe or None,
            or if there is a recipe for a problem with an exact solution.
    """
    if problem.has_exact:
        if recipe is not None:
            raise InputError(
                f"reference = {recipe!r} is for problems without an exact solution, which "
                f"{type(problem).__name__} has"
            )
        return None
    found = problem.reference() if recipe is None else recipe
    if isinstance(found, Recipe):
        return Pending(found, problem)
    if found is not None and not isinstance(found, Reference):
        raise InputError(
            f"{type(problem).__name__}.reference() must give a reference such as FEM(), or None, "
            f"got {found!r}"
        )
    return found
