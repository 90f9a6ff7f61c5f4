"""Whether conditions are about the problem's own domain."""

from torch import Generator

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import Collocation
from kanpinn.pde.conditions import Condition, Initial
from kanpinn.pde.conditions.condition import OnBoundary
from kanpinn.pde.problem import Problem

REACH = 1e-7  # of the domain's size, within which a point is on the boundary
FEW = Collocation(4, 16)


def check_places(problem: Problem) -> None:
    """Refuse conditions at points that are not in the domain, or not on its boundary.

    Raises:
        InputError: naming the condition and a point of it.
    """
    for index, condition in enumerate(problem.conditions()):
        _check(problem, condition, f"conditions()[{index}], a {type(condition).__name__},")


def _check(problem: Problem, condition: Condition, what: str) -> None:
    domain = problem.domain
    if isinstance(condition, OnBoundary):
        own = domain.boundary.pieces
        if all(piece in own for piece in condition.boundary.pieces):
            return
    points = condition.points(FEW, 1.0, Generator().manual_seed(0))
    if points.names != domain.names:
        raise InputError(
            f"{what} has the coordinates {', '.join(points.names)}, the domain of "
            f"{type(problem).__name__} has {', '.join(domain.names)}"
        )
    low, high = domain.bounds
    reach = REACH * float((high - low).max())
    outside = ~domain.contains(points.coords, reach)
    if outside.any():
        raise InputError(f"{what} is outside of the domain, at {_place(points[outside])}")
    if isinstance(condition, OnBoundary | Initial):
        inside = domain.contains(points.coords, -reach)
        if inside.any():
            raise InputError(
                f"{what} is not on the domain's boundary but inside of it, at "
                f"{_place(points[inside])}: for values inside take Observed or Constraint"
            )


def _place(points: Points) -> str:
    first = points.coords[0].tolist()
    return ", ".join(
        f"{name} = {value:.3g}" for name, value in zip(points.names, first, strict=True)
    )
