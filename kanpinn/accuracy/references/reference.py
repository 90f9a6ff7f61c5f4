"""Reference solutions, against which errors are measured: the exact or another known solution."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, JetFunction
from kanpinn.pde.problem import Problem


class Reference(ABC):
    """A known solution of a problem: exact, computed by another method, or data.

    Attributes:
        source: a description that completes the sentence "errors are measured against …".
        error: an estimate of the reference's own relative L2 error; None if it is unknown.
        points: the n points at which the reference has values, and their weights, (n,), whose sum
            is 1; None if the reference has values everywhere.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Disk((0, 0), 1), source="1", boundary="0")
        >>> reference = kp.ReferenceSolution(tolerance=1e-2).build(problem)
        >>> isinstance(reference, Reference), reference.error < 1e-2
        (True, True)
    """

    source: str
    error: float | None = None
    points: tuple[Points, Tensor] | None = None

    @property
    def is_ready(self) -> bool:
        """True if the values can be evaluated without first solving a problem or reading a file."""
        return True

    @abstractmethod
    def jet(self, points: Points, channels: Channels) -> Jet:
        """Return values (n, m) and, if the channels have gradients, gradients (n, d, m).

        Values and derivatives that the reference does not know are NaN.

        Args:
            points: n points.
            channels: which derivatives are needed.
        """


class Recipe(ABC):
    """Settings from which a reference for a problem is built, which may take long.

    Subclasses are frozen dataclasses with the settings. In a TOML file, a recipe is the table
    `[reference]`.

    Example:
        >>> import kanpinn as kp
        >>> isinstance(kp.ReferenceSolution(tolerance=1e-6), Recipe)
        True
    """

    @abstractmethod
    def build(self, problem: Problem) -> Reference:
        """Build and return the reference of a problem.

        Raises:
            InputError: if the reference cannot be built for this problem.
        """


@dataclass(frozen=True, eq=False)
class FunctionReference(Reference):
    """A reference given by a function, such as the exact solution, or a finer network's solution.

    Args:
        source: a description of the solution, for messages.
        function: returns the jet of the solution for points and channels.
        points: the n points at which errors are evaluated, and their weights, (n,), whose sum is 1;
            None for a quadrature rule over the domain.
        error: an estimate of the relative L2 error of the function; None if it is unknown.
    """

    source: str
    function: JetFunction
    points: tuple[Points, Tensor] | None = None
    error: float | None = None

    def jet(self, points: Points, channels: Channels) -> Jet:
        return self.function(points, channels)


class Pending(Reference):
    """A reference that is built from its recipe on first use.

    Args:
        recipe: the recipe of the reference.
        problem: the problem for which the reference is built.
    """

    def __init__(self, recipe: Recipe, problem: Problem) -> None:
        self.recipe, self.problem = recipe, problem

    def __repr__(self) -> str:
        return f"the solution by {self.recipe!r}"

    @cached_property
    def built(self) -> Reference:
        """The reference, built on first access.

        Raises:
            InputError: if the reference cannot be built for this problem.
        """
        return self.recipe.build(self.problem)

    @property
    def is_ready(self) -> bool:
        return "built" in vars(self)

    source = property(lambda pending: pending.built.source)
    error = property(lambda pending: pending.built.error)
    points = property(lambda pending: pending.built.points)

    def jet(self, points: Points, channels: Channels) -> Jet:
        return self.built.jet(points, channels)


def reference_of(problem: Problem, recipe: Recipe | None = None) -> Reference | None:
    """Return the reference of a problem that has no exact solution.

    Args:
        problem: the problem.
        recipe: the recipe of the reference; by default the problem's own `reference()` is used.

    Returns:
        The reference; None if the problem has an exact solution, or if there is neither a recipe
        nor a reference of the problem.

    Raises:
        InputError: if the problem's `reference()` returns anything but a reference, a recipe or
            None, or if a recipe is given for a problem with an exact solution.
    """
    if problem.exact is not None:
        if recipe is not None:
            having = f"which {type(problem).__name__} has"
            raise InputError(f"{recipe!r} is for problems without an exact solution, {having}")
        return None
    found = problem.reference() if recipe is None else recipe
    if isinstance(found, Recipe):
        return Pending(found, problem)
    if found is not None and not isinstance(found, Reference):
        expected = f"a reference such as ReferenceSolution(), or None, got {found!r}"
        raise InputError(f"{type(problem).__name__}.reference() must give {expected}")
    return found
