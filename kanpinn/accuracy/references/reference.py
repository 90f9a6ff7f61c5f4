"""What errors are measured against: the exact solution, or what stands in for it."""

from abc import ABC, abstractmethod
from functools import cached_property

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets.jet import Channels, Jet
from kanpinn.pde.problem import Problem, exact_jet


class Reference(ABC):
    """A known solution of a problem: exact, computed by another method, or data.

    error: its own relative L2 error, an estimate; None where that is not known.
    """

    error: float | None = None

    @property
    @abstractmethod
    def source(self) -> str:
        """What it is, in a sentence's end: "errors are against …"."""

    @property
    def points(self) -> tuple[Points, Tensor] | None:
        """The only points where it is known, with weights (n,) whose sum is 1; None for all."""
        return None

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
            InputError: for a problem that it is not for.
        """


class Exact(Reference):
    """The exact solution that a problem has."""

    error = 0.0

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @property
    def source(self) -> str:
        return "the exact solution"

    def jet(self, points: Points, channels: Channels) -> Jet:
        return exact_jet(self.problem, points, channels)


class Pending(Reference):
    """What a recipe gives for a problem, made when it is first looked at."""

    def __init__(self, recipe: Recipe, problem: Problem) -> None:
        self.recipe, self.problem = recipe, problem

    def __repr__(self) -> str:
        return f"the solution by {self.recipe!r}"

    @cached_property
    def made(self) -> Reference:
        """It, made.

        Raises:
            InputError: as the recipe says.
        """
        return self.recipe.build(self.problem)

    @property
    def source(self) -> str:
        return self.made.source

    @property
    def error(self) -> float | None:  # type: ignore[override]
        return self.made.error

    @property
    def points(self) -> tuple[Points, Tensor] | None:
        return self.made.points

    def jet(self, points: Points, channels: Channels) -> Jet:
        return self.made.jet(points, channels)


def reference_of(problem: Problem, recipe: Recipe | None = None) -> Reference | None:
    """What stands in for an exact solution: by the recipe, else the problem's own; or None.

    Raises:
        InputError: where the problem's `reference` gives something else, or a recipe comes for a
            problem whose solution is known.
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
