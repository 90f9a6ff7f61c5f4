"""The rows of an equation with constant coefficients, which are those of its polynomials."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn.cells.system.cell_terms import PlacedTerm
from kanpinn.linalg.reflections import Reflections

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ProjectedReflections:
    """The orthogonal Q of A = Q R for the rows of e equations with constant coefficients in a cell.

    At the q points of a rule such equations of polynomials of degree k are themselves L polynomials
    of degree k. With the rows V of these polynomials, (q, L) and multiplied by the roots of the
    weights, V = Q₁ [R₁; 0], the first L rows of Q₁⁻¹ A are left for each equation, and all others
    are zero. In three dimensions that is a fifth of the rows.

    Args:
        points: Q₁, of the values of polynomials at the points.
        projected: of the rows that are left, (L e, L m).
        equations: e.
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
