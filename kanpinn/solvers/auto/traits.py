"""The traits of a problem on which choices depend; its name and exact solution are not used."""

from dataclasses import dataclass

import torch

from kanpinn.geometry import Box, Points, Product
from kanpinn.pde.problem import Problem


@dataclass(frozen=True)
class Traits:
    """The traits of a problem on which the choice of network, points and optimizers depends.

    Args:
        dim: the number of coordinates.
        inputs: the number of the network's inputs: the coordinates, unless the problem maps them.
            Periodic coordinates are not mapped to circles, since with the additional inputs random
            inner functions are less accurate by many digits.
        fields: the number of fields.
        evolves: whether there is an initial condition.
        boxed: whether the domain is a box and the network's inputs are its coordinates.
        energetic: whether the class gives an energy, and no coefficient is unknown.
        observed: whether some conditions are measurements of the solution.
        unknown: for each field, whether it is an unknown coefficient.
        combined: whether the domain is a union, an intersection or a difference, or one over time.
    """

    dim: int
    inputs: int
    fields: int
    evolves: bool
    boxed: bool = True
    energetic: bool = False
    observed: bool = False
    unknown: tuple[bool, ...] = ()
    combined: bool = False

    @property
    def sampler(self) -> str:
        """The sampler of collocation points.

        Gauss points are far better than random ones on boxes, but very uneven on domains with
        holes: there Sobol points had errors of a tenth on random elliptic problems.
        """
        return "sobol" if self.combined or self.dim > 3 else "gauss"

    @property
    def marches(self) -> bool:
        """Whether windows in time are tried: for evolutions in one space dimension."""
        return self.evolves and self.dim == 2

    @staticmethod
    def of(problem: Problem) -> "Traits":
        """Return the traits of a problem."""
        conditions = problem.conditions()
        dim, known, domain = problem.domain.dim, problem.inputs(), problem.domain
        space = domain.space if isinstance(domain, Product) else domain
        return Traits(
            dim,
            dim if known is None else _inputs(problem),
            len(problem.fields),
            any(c.is_initial for c in conditions),
            isinstance(problem.domain, Box) and known is None,
            type(problem).energy is not Problem.energy and not problem.unknowns,
            any(c.measurements for c in conditions),
            tuple(name in problem.unknowns for name in problem.fields),
            len(space.operands) > 1,
        )


def _inputs(problem: Problem) -> int:
    known = problem.inputs()
    assert known is not None
    low, high = problem.domain.bounds
    middle = Points(torch.stack([(low + high) / 2]), problem.domain.names)
    return known(middle).shape[1]
