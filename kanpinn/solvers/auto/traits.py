"""What of a problem decides how it is solved: nothing of its name or its exact solution."""

from dataclasses import dataclass

import torch

from kanpinn.geometry import Box, Points
from kanpinn.pde.problem import Problem


@dataclass(frozen=True)
class Traits:
    """Coordinates, a network's inputs, fields, whether initial values say where a time begins,
    whether the domain is a box whose coordinates a network sees as they are, whether the class
    gives an energy, whether data tell of the solution, and which fields are unknown coefficients.

    The inputs are the coordinates unless the problem has others: on circles, one input more for
    each periodic coordinate, random inner functions are less accurate by many digits.
    """

    dim: int
    inputs: int
    fields: int
    evolves: bool
    boxed: bool = True
    energetic: bool = False
    observed: bool = False
    unknown: tuple[bool, ...] = ()

    @property
    def marches(self) -> bool:
        """Whether windows in time are tried: one place and a time."""
        return self.evolves and self.dim == 2

    @staticmethod
    def of(problem: Problem) -> "Traits":
        """Those of a problem."""
        conditions = problem.conditions()
        dim, known = problem.domain.dim, problem.inputs()
        return Traits(
            dim,
            dim if known is None else _inputs(problem),
            len(problem.fields),
            any(c.is_initial for c in conditions),
            isinstance(problem.domain, Box) and known is None,
            type(problem).energy is not Problem.energy and not problem.unknowns,
            any(c.measurements for c in conditions),
            tuple(name in problem.unknowns for name in problem.fields),
        )


def _inputs(problem: Problem) -> int:
    known = problem.inputs()
    assert known is not None
    low, high = problem.domain.bounds
    middle = Points(torch.stack([(low + high) / 2]), problem.domain.names)
    return known(middle).shape[1]
