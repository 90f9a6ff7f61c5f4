"""What of a problem decides how it is solved: nothing of its name or its exact solution."""

from dataclasses import dataclass

import torch

from kanpinn.conditions import Initial, Periodic
from kanpinn.geometry import Box, Points
from kanpinn.problem import Problem


@dataclass(frozen=True)
class Traits:
    """Coordinates, a network's inputs (one more for each periodic coordinate, which is then exact),
    fields, whether initial values say where a time begins, and whether the domain is a box whose
    coordinates a network sees as they are."""

    dim: int
    inputs: int
    fields: int
    evolves: bool
    boxed: bool = True

    @property
    def marches(self) -> bool:
        """Whether windows in time are tried: one place and a time."""
        return self.evolves and self.dim == 2

    @staticmethod
    def of(problem: Problem) -> "Traits":
        """Those of a problem."""
        conditions = problem.conditions()
        whole = {c.coordinate for c in conditions if isinstance(c, Periodic) and c.field is None}
        dim, known = problem.domain.dim, problem.inputs()
        return Traits(
            dim,
            dim + len(whole) if known is None else _inputs(problem),
            len(problem.fields),
            any(isinstance(c, Initial) for c in conditions),
            isinstance(problem.domain, Box) and known is None,
        )


def _inputs(problem: Problem) -> int:
    known = problem.inputs()
    assert known is not None
    low, high = problem.domain.bounds
    middle = Points(torch.stack([(low + high) / 2]), problem.domain.names)
    return known(middle).shape[1]
