"""A reference by the finite element method."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kanpinn._support.errors import InputError, integer, number
from kanpinn.accuracy.references.reference import Recipe
from kanpinn.geometry import Planar
from kanpinn.geometry.planar.combine2d import planar
from kanpinn.jets.jet import Channels
from kanpinn.loss.terms import remembered
from kanpinn.pde.problem import Problem, with_source

if TYPE_CHECKING:  # these bring scikit-fem, a third of a second of imports
    from kanpinn.accuracy.references.field import FiniteElements
    from kanpinn.accuracy.references.mesh import Mesh
    from kanpinn.accuracy.references.rim import Rim

EDGES = 12  # of the first mesh along the domain's diameter
MOST_UNKNOWNS = 150_000
GRADING = 2.0**-16  # what a corner adds to the error in H1, about
MOST_LEVELS = 36
STRAIGHT = 1e-3  # an angle that is π, but for this
SLOWEST = 1 / 3  # at which refinements are taken to converge at worst: the error is the change
Change = tuple[float, float]  # in L2 and in H1, relative
NODES = 24  # of the rule that compares two solutions


@dataclass(frozen=True)
class FEM(Recipe):
    """Finite elements by scikit-fem, for one linear equation of second order in the plane.

    Its coefficients are found by trying the problem's residual. The triangles follow curved
    boundaries exactly and are graded towards the corners; all are refined until the solution
    changes by no more than the tolerance.

    Args:
        degree: of the polynomials, 1 to 4.
        size: of the first mesh's triangles, by default a twelfth of the domain's diameter.
        tolerance: relative, in L2. Where the limit of unknowns ends the refinement before, the
            reference's `error` says how far it came.

    Raises:
        InputError: for a degree, size or tolerance out of range.
    """

    degree: int = 4
    size: float | int | None = None
    tolerance: float | int = 1e-7

    def __post_init__(self) -> None:
        if integer("degree", self.degree) > 4:
            raise InputError(f"degree must be an integer from 1 to 4, got {self.degree!r}")
        if self.size is not None:
            number("size", self.size, above=True)
        number("tolerance", self.tolerance, above=True)

    def build(self, problem: Problem) -> "FiniteElements":
        """The solution on the finest mesh; its `error` is estimated by what refinements changed.

        Raises:
            InputError: for a problem that is not one linear equation of second order in the plane,
                or has a condition that the method does not take.
        """
        from kanpinn.accuracy.references.field import FiniteElements
        from kanpinn.accuracy.references.rim import rim_of
        from kanpinn.accuracy.references.weak_form import discretised

        domain = _domain(problem)
        if type(problem).source is Problem.source:  # derived, which is slow, once for each mesh
            problem = with_source(problem, remembered(problem.source))
        rim = rim_of(problem, domain)
        fields: list[FiniteElements] = []
        changes: list[Change] = []
        for mesh in self._meshes(domain, rim):
            fields.append(FiniteElements(discretised(problem, rim, mesh, self.degree)))
            if len(fields) > 1:
                changes.append(_change(problem, domain, *fields[-2:]))
                fields[-1].error, fields[-1].gradient_error = _left(changes)
                if fields[-1].error <= self.tolerance:
                    break
        return fields[-1]

    def _meshes(self, domain: Planar, rim: "Rim") -> Iterator["Mesh"]:
        from kanpinn.accuracy.references.meshing import mesh_of

        low, high = domain.bounds
        mesh = mesh_of(domain, self.size or float((high - low).norm()) / EDGES)
        for corner, levels in _corners(mesh, rim):
            for _ in range(levels):
                mesh = mesh.refined(mesh.touching(corner))
        yield mesh
        yield (mesh := mesh.refined())
        while 4 * len(mesh.cells) * self.degree**2 / 2 < MOST_UNKNOWNS:
            yield (mesh := mesh.refined())


def _domain(problem: Problem) -> Planar:
    if len(problem.fields) > 1:
        raise InputError(
            "finite elements are for one equation, got the fields " + ", ".join(problem.fields)
        )
    domain = planar(problem.domain)
    if domain is None:
        raise InputError(f"finite elements are for domains in the plane, got {problem.domain!r}")
    return domain


def _corners(mesh: "Mesh", rim: "Rim") -> Iterator[tuple[int, int]]:
    """Vertices where the solution is not smooth, and how many times to refine there.

    Next to a corner of the angle ω it is like r^(π/ω), with values on one side and the flux on the
    other like r^(π/(2ω)) (Grisvard 1985).
    """
    from kanpinn.accuracy.references.mesh import velocity

    leaving = {_end(mesh, i, 0.0): i for i in range(len(mesh.curves))}
    for i, curve in enumerate(mesh.curves):
        vertex = _end(mesh, i, 1.0)
        j = leaving[vertex]
        (ax, ay), (bx, by) = velocity(curve, 1.0), velocity(mesh.curves[j], 0.0)
        angle = math.pi - math.atan2(ax * by - ay * bx, ax * bx + ay * by)
        mixed = rim.essential[i] != rim.essential[j]
        if mixed or abs(angle - math.pi) > STRAIGHT:
            power = math.pi / angle / (2 if mixed else 1)
            yield vertex, min(MOST_LEVELS, math.ceil(math.log2(GRADING) / -power))


def _end(mesh: "Mesh", number: int, t: float) -> int:
    """The vertex at an end of a curve."""
    rows, columns = np.nonzero((mesh.spans == t) & (mesh.owners == number)[:, None])
    return int(mesh.edges[rows[0], columns[0]])


def _left(changes: Sequence[Change]) -> Change:
    """The errors that are left after refinements which changed the solution by so much.

    The changes fall by a factor q, so q + q² + … of the last one is to come. It is taken twice, to
    be on the safe side; after one change only that is taken for the error.
    """
    if len(changes) == 1:
        return changes[0]
    (before, before1), (last, last1) = changes[-2:]
    return _rest(before, last), _rest(before1, last1)


def _rest(before: float, last: float) -> float:
    q = min(last / before, SLOWEST) if before > 0 else SLOWEST
    return 2 * last * q / (1 - q)


def _change(
    problem: Problem, domain: Planar, coarse: "FiniteElements", fine: "FiniteElements"
) -> Change:
    """The relative difference of two solutions in L2 and in H1."""
    points, weights = domain.quadrature(NODES)
    channels = Channels(domain.names, gradient=True)
    new = fine.jet(points, channels)
    parts = []
    for jet in (coarse.jet(points, channels) - new, new):
        value, gradient = jet.value, jet.gradient
        assert gradient is not None
        if problem.free_constant:
            value = value - weights @ value / weights.sum()
        squares = torch.stack([value.square()[:, 0], gradient.square().sum(dim=(1, 2))])
        parts.append((squares @ weights).cumsum(dim=0).sqrt())
    l2, h1 = (parts[0] / parts[1]).tolist()
    return l2, h1
