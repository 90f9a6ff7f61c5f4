"""Whether there are as many equations as fields."""

from collections.abc import Callable

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Domain, Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets.jet import Jet
from kanpinn.pde.conditions import Constraint, Observed
from kanpinn.pde.problem import Problem
from kanpinn.pde.well_posed.uniqueness import channels_of, random_jet

FEW = Collocation(5, 1, "uniform")


def check_equations(problem: Problem) -> None:
    """Refuse a system with fewer equations in its domain than fields.

    Constraints in the domain count; with observations a field may be what is looked for, such as a
    coefficient, and have no equation.

    Raises:
        InputError: naming the numbers.
    """
    fields, conditions = problem.fields, problem.conditions()
    if len(fields) == 1 or any(isinstance(c, Observed) for c in conditions):
        return
    points = sample(problem.domain, FEW.interior, FEW.sampler)
    equations = [problem.equation] + [
        problem.condition_equation(index)
        for index, condition in enumerate(conditions)
        if isinstance(condition, Constraint) and isinstance(condition.on, Domain)
    ]
    try:
        found = sum(_count(equation, points, len(problem.columns)) for equation in equations)
    except Exception:
        return  # whatever is wrong with an equation is said where it is used
    if found < len(fields):
        many = f"{found} equation" + "s" * (found > 1)
        raise InputError(
            f"{type(problem).__name__}.residual gives {many} for the {len(fields)} fields "
            f"{', '.join(fields)}: expected one for each, a tuple of columns (n, 1)"
        )


def _count(equation: Callable[[Points, Jet], Tensor], points: Points, columns: int) -> int:
    channels = channels_of(equation, points, columns)
    return equation(points, random_jet(points, channels, columns, 0)).shape[1]
