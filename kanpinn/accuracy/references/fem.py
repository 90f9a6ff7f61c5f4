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
from kanpinn.geometry.combination import planar
from kanpinn.jets import Channels
from kanpinn.pde.problem import Problem

if TYPE_CHECKING:  # these import scikit-fem, which takes a third of a second
    from kanpinn.accuracy.references import finite_elements as fe


@dataclass(frozen=True)
class FEM(Recipe):
    """Finite elements by scikit-fem, for one linear equation of second order in the plane.

    The coefficients of the equation are found by evaluating the problem's residual. The triangles
    follow curved boundaries exactly and are graded towards corners. The mesh is refined uniformly
    until the estimated error is at most the tolerance.

    Args:
        degree: the degree of the polynomials, 1 to 4.
        size: the size of the first mesh's triangles; by default a twelfth of the diagonal of the
            domain's bounding box.
        tolerance: the relative L2 error at which refinement ends. If the limit of 150,000 unknowns
            ends it earlier, the reference's `error` is above the tolerance.

    Raises:
        InputError: if the degree, size or tolerance is out of range.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.LShape(), source="1", boundary="0")
        >>> reference = kp.FEM(degree=2, tolerance=1e-2).build(problem)
        >>> reference.error < 1e-2
        True
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

    def build(self, problem: Problem) -> "fe.FiniteElements":
        """Return the solution on the finest mesh, with its `error` estimated from refinements.

        Raises:
            InputError: if the problem is not one linear equation of second order in the plane, or
                has a condition that the finite element method does not support.
        """
        from kanpinn.accuracy.references import finite_elements as fe

        domain = planar(problem.domain)
        if len(problem.fields) > 1:
            fields_of = ", ".join(problem.fields)
            raise InputError(f"finite elements are for one equation, got the fields {fields_of}")
        if domain is None:
            raise InputError(
                f"finite elements are for domains in the plane, got {problem.domain!r}"
            )
        conditions = fe.fem_conditions(problem, domain)
        fields: list[fe.FiniteElements] = []
        changes: list[float] = []
        for mesh in self._meshes(domain, conditions):
            fields.append(fe.finite_element_solution(problem, conditions, mesh, self.degree))
            if len(fields) > 1:
                changes.append(_change(problem, domain, *fields[-2:]))
                fields[-1].error = error = _remaining(changes)
                if error <= self.tolerance:
                    break
        return fields[-1]

    def _meshes(self, domain: Planar, conditions: "fe.FEMConditions") -> "Iterator[fe.PlanarMesh]":
        """Yield at least two meshes, each finer than the last, up to about 150,000 unknowns."""
        from kanpinn.accuracy.references.finite_elements import mesh_of

        low, high = domain.bounds
        mesh = mesh_of(domain, self.size or float((high - low).norm()) / 12)
        for corner, levels in _corners(mesh, conditions[0]):
            for _ in range(levels):
                mesh = mesh.refined(np.flatnonzero((mesh.triangles.t == corner).any(axis=0)))
        yield mesh
        yield (mesh := mesh.refined())
        while 4 * mesh.triangles.nelements * self.degree**2 / 2 < 150_000:
            yield (mesh := mesh.refined())


def _corners(mesh: "fe.PlanarMesh", on: "Sequence[fe.CurveCondition]") -> Iterator[tuple[int, int]]:
    """Yield the vertices where the solution may be singular, and how many times to refine there.

    Near a corner of angle ω the solution behaves like r^(π/ω), and like r^(π/(2ω)) if values are
    prescribed on one side and the flux on the other (Grisvard 1985). The number of refinements is
    such that the corner contributes about 2⁻¹⁶ to the H1 error.
    """
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    places = np.array([(curve.start, curve.stop) for curve in mesh.curves])
    gaps = np.linalg.norm(places[:, :, None] - mesh.triangles.p.T, axis=3)
    firsts, lasts = gaps.argmin(axis=2).T.tolist()
    for i, (curve, vertex) in enumerate(zip(mesh.curves, lasts, strict=True)):
        j = firsts.index(vertex)
        (ax, ay), (bx, by) = curve.velocity(ends)[1], mesh.curves[j].velocity(ends)[0]
        angle = math.pi - math.atan2(ax * by - ay * bx, ax * bx + ay * by)
        mixed = on[i].essential != on[j].essential
        if mixed or abs(angle - math.pi) > 1e-3:
            power = math.pi / angle / (2 if mixed else 1)
            yield vertex, min(36, math.ceil(16 / power))


def _remaining(changes: Sequence[float]) -> float:
    """Estimate the remaining error in L2 from the changes between refinements.

    If successive changes decrease by a factor q, the remaining error is q + q² + … times the last
    change. The estimate is twice that, as a safety factor. q is bounded by 1/3, so that the
    estimate is at most the last change. With a single change, the estimate is this change.
    """
    if len(changes) == 1:
        return changes[0]
    before, last = changes[-2:]
    q = min(last / before, 1 / 3) if before > 0 else 1 / 3
    return 2 * last * q / (1 - q)


def _change(
    problem: Problem, domain: Planar, coarse: "fe.FiniteElements", fine: "fe.FiniteElements"
) -> float:
    """Return the L2 norm of the difference of two solutions relative to that of the finer one."""
    points, weights = domain.quadrature(24)
    old, new = (u.jet(points, Channels(domain.names)).value[:, 0] for u in (coarse, fine))
    if problem.free_constant:
        old, new = (value - weights @ value / weights.sum() for value in (old, new))
    return float((weights @ (old - new).square() / (weights @ new.square())).sqrt())
