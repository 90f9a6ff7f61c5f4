"""What of a problem decides how it is solved: nothing of its name or its exact solution."""

from dataclasses import dataclass

import torch

from kanpinn.conditions import Initial, Periodic
from kanpinn.geometry import Points
from kanpinn.problem import Problem


@dataclass(frozen=True)
class Traits:
    """Coordinates, a network's inputs (one more for each periodic coordinate, which is then exact),
    fields, and whether initial values say where a time begins."""

    dim: int
    inputs: int
    fields: int
    evolves: bool

    @staticmethod
    def of(problem: Problem) -> "Traits":
        """Those of a problem."""
        conditions = problem.conditions()
        whole = {c.coordinate for c in conditions if isinstance(c, Periodic) and c.field is None}
        dim = problem.domain.dim
        return Traits(
            dim,
            _inputs(problem) if problem.inputs() is not None else dim + len(whole),
            len(problem.fields),
            any(isinstance(c, Initial) for c in conditions),
        )


def _inputs(problem: Problem) -> int:
    known = problem.inputs()
    assert known is not None
    low, high = problem.domain.bounds
    middle = Points(torch.stack([(low + high) / 2]), problem.domain.names)
    return known(middle).shape[1]
