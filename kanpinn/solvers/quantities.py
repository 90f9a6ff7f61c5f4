"""Numbers that a problem computes from its solution, such as the drag of a body in a flow."""

from collections.abc import Mapping
from numbers import Real

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.pde.problem import Problem


def quantities_of(problem: Problem, solution: object) -> dict[str, float]:
    """Return the quantities of a problem's solution by name; empty if the class defines none.

    Raises:
        InputError: unless `quantities` returns a dict from names to real numbers, or to tensors
            with one real element.
    """
    if problem.quantities is None:
        return {}
    found, where = problem.quantities(solution), f"{type(problem).__name__}.quantities"
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise InputError(f"{where} must return a dict from names to numbers, got {found!r}")
    return {name: _number(value, f"{where}: {name}") for name, value in found.items()}


def _number(value: object, where: str) -> float:
    number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    if isinstance(number, bool) or not isinstance(number, Real):
        raise InputError(f"{where} must be a real number, got {value!r}")
    return float(number)
