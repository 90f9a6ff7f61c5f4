"""The rows of an equation with constant coefficients, whose residuals are polynomials."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn.cells.system.placed_term import PlacedTerm
from kanpinn.linalg.reflections import Reflections

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ProjectedReflections:
    """The orthogonal Q of A = Q R for the rows of e equations with constant coefficients in a cell.

    For fields that are polynomials of degree k, the residual of such an equation is a polynomial of
    degree k too. So the rows of each equation are V C, where V, (q, L), has the values of the L
    polynomials at the q points of a rule, times the roots of the weights. With V = Q₁ [R₁; 0] only
    the first L rows of Q₁⁻¹ V C are not zero. In three dimensions they are a fifth of the rows.

    Args:
        points: Q₁.
        projected: the reflections of the rows that are not zero, (L e, L m).
        equations: the number e of equations.
    """

    points: Reflections
    projected: Reflections
    equations: int

    @classmethod
    def of(cls, equation: PlacedTerm) -> "ProjectedReflections":
        """Factorise the rows of an equation, of which all points have the same slopes."""
        term, place = equation.term, equation.place
        assert term.is_alike
        roots = term.at.weights[place].sqrt()[:, None]
        points = Reflections.of((roots * term.polynomials.values(term.at.at(place))).numpy())
        scale = term.at.scale[place]
        derived = term.polynomials.derived(term.term.channels, scale, term.parts).numpy()
        own = np.tensordot(points.triangle, derived, 1)  # (L, parts, L)
        slopes = (term.slopes[place, 0] * equation.factors[:, None, None])[:, term.parts].numpy()
        rows = np.einsum("qpl,epm->qelm", own, slopes, optimize=True)
        shape = len(own) * slopes.shape[0], len(own) * slopes.shape[2]
        return cls(points, Reflections.of(rows.reshape(shape)), slopes.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows q e and columns L m of A."""
        return len(self.points.vectors) * self.equations, self.projected.shape[1]

    @property
    def triangle(self) -> Array:
        """R, (min(L e, L m), L m)."""
        return self.projected.triangle

    def apply(self, rights: Array) -> Array:
        """Q⁻¹ times a matrix, both (q e, n)."""
        each = self.equations * rights.shape[1]
        flat = np.ascontiguousarray(rights).reshape(-1, each)
        # The reflections of the points are real: they are applied to both parts of complex numbers.
        moved = self.points.apply(flat.view(flat.real.dtype)).copy().view(flat.dtype)
        count = self.points.vectors.shape[1]
        first, rest = (part.reshape(-1, rights.shape[1]) for part in (moved[:count], moved[count:]))
        return np.concatenate([self.projected.apply(first), rest])
