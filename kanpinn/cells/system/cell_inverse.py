"""The least-squares inverse of an operator in cells, as a linear map of coefficients."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.cells.system.placed_term import PlacedTerm
from kanpinn.loss.terms import ResidualTerm

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CellImages:
    """The functions v with A v = M u in the least-squares sense, for n functions u.

    Args:
        coefficients: of the functions v, (N, L m, n).
        shares: the part of each cell in the functional of each, (N, n).
        sizes: the integrals of the squares of M u, with the factors of the equations, (n,).
    """

    coefficients: Tensor
    shares: Tensor
    sizes: Tensor


@dataclass(frozen=True, eq=False)
class CellInverse:
    """T = A⁻¹ M in the least-squares sense, for operators A and M and homogeneous conditions.

    With P the orthogonal projection onto the functions of the cells, for the inner product of the
    least-squares functional, T is P A⁻¹ M. If A⁻¹ M is self-adjoint in it, as for self-adjoint A
    and M = 1 with conditions that hold exactly, the relative error of an eigenvalue of T is the
    functional's least value over that of v = 0: it is quadratic in the error of the mode. Where
    conditions and continuity hold in least squares only, it is the product of this error and that
    of the adjoint problem's mode.

    Args:
        system: the least-squares problem with the equation A v = 0.
        mass: M, at the points of each of the equation's terms.

    Reference: Bramble and Osborn, Rate of convergence estimates for nonselfadjoint eigenvalue
    approximations (1973).
    """

    system: CellSystem
    mass: Sequence[SampledTerm]

    @classmethod
    def of(cls, system: CellSystem, mass: ResidualTerm) -> "CellInverse":
        """The inverse for a least-squares problem; mass: M."""
        terms = []
        for one in system.equation:
            fields = one.slopes.shape[-1]
            zero = one.slopes.new_zeros(len(system.geometry.tree), one.polynomials.size, fields)
            terms.append(SampledTerm(mass, one.at, one.polynomials, zero))
        return cls(system, terms)

    def __call__(self, coefficients: Tensor) -> CellImages:
        """The images of functions; coefficients: theirs, (N, L m, n).

        Raises:
            LinAlgError: if an entry of the problem is not finite.
        """
        factors, sizes = self.system.cell_factors, np.zeros(coefficients.shape[2])

        def rights() -> Iterator[Array]:
            for group, masses in zip(factors.groups, self._masses, strict=True):
                each = [coefficients[cell] for cell in group.cells]
                if masses[0].term.is_alike:  # the rows are those of the first cell
                    each = [torch.cat(each, dim=1)]
                known = torch.cat([m.of(u) for m, u in zip(masses, each, strict=True)], dim=1)
                known = known.unflatten(1, (len(group.cells), -1)).movedim(1, 0)
                own = np.zeros((len(known), group.shape[0], known.shape[2]))
                own[:, : known.shape[1]] = known.numpy()
                np.add(sizes, np.einsum("crn,crn->n", own, own), out=sizes)
                yield own

        found = factors.solve(rights(), again=True)
        parts = found.coefficients, found.shares, sizes
        return CellImages(*map(torch.from_numpy, parts))

    @cached_property
    def _masses(self) -> list[list[PlacedTerm]]:
        """M in each cell of each group, or in its first cell if M is the same in all of them.

        The equation's rows come first among those of a cell.
        """
        masses = dict(zip(map(id, self.system.equation), self.mass, strict=True))
        found = []
        for group in self.system.cell_factors.groups:
            equations = [self.system.rows.terms[cell][0] for cell in group.cells]
            placed = [replace(one, term=masses[id(one.term)]) for one in equations]
            found.append(placed[:1] if placed[0].term.is_alike else placed)
        return found

    @cached_property
    def _roots(self) -> list[Tensor]:
        """R for each group's cells, with ‖R c‖ the L2 norm of the function with coefficients c.

        Each is (c, L, L), or (1, L, L) for equal cells. A small multiple of the unit matrix is in R
        for functions that the points do not see.
        """
        found, tiny = [], 1e-6
        for group in self.system.cell_factors.groups:
            roots = []
            for cell in group.cells:
                one = self.system.rows.terms[cell][0]
                at = one.term.at
                values = one.term.polynomials.values(at.at(one.place))
                values = at.weights[one.place].sqrt()[:, None] * values
                least = tiny * torch.linalg.matrix_norm(values, 2) * torch.eye(values.shape[1])
                roots.append(torch.linalg.qr(torch.cat([values, least.to(values)]), mode="r")[1])
                if at.alike:
                    break
            found.append(torch.stack(roots))
        return found

    def coordinates(self, coefficients: Tensor) -> Tensor:
        """Coordinates (N L m, n) of functions, in which inner products are those of L2.

        coefficients: theirs, (N, L m, n).
        """
        return self._by_cells(coefficients, torch.matmul).flatten(0, 1)

    def coefficients(self, coordinates: Tensor) -> Tensor:
        """The coefficients (N, L m, n) of functions with coordinates (N L m, n)."""
        parts = coordinates.unflatten(0, (len(self.system.geometry.tree), -1))
        return self._by_cells(
            parts, lambda root, own: torch.linalg.solve_triangular(root, own, upper=True)
        )

    def _by_cells(self, parts: Tensor, apply: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Apply R or its inverse to the parts of functions in all cells, (N, L m, n)."""
        found = torch.empty_like(parts)
        for group, root in zip(self.system.cell_factors.groups, self._roots, strict=True):
            own = parts[group.cells].unflatten(1, (root.shape[1], -1)).flatten(2)
            found[group.cells] = apply(root, own).reshape(parts[group.cells].shape)
        return found
