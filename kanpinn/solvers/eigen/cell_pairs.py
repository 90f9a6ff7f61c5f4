"""The eigenpairs nearest to a shift on given cells, by a Krylov space of the operator's inverse."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.prolongation import prolonged
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.problems.by_domain import problem_in_cells
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.system.cell_inverse import CellInverse
from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.linalg.arnoldi import KrylovSpace, krylov_spaces
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, residual_term
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.eigen.adjoint import subspace
from kanpinn.solvers.eigen.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class ShiftedProblem:
    """(L - σM) v = M u in cells, with homogeneous conditions.

    Args:
        shift: σ.
        up: whether the spectrum is bounded from below, not from above.
        problem: L - σM and the conditions.
        mass: M.
        fields: the number of fields m.
    """

    shift: float
    up: bool
    problem: CellProblem
    mass: ResidualTerm
    fields: int

    @classmethod
    def of(
        cls, discretization: Discretization[EigenProblem], shift: float, up: bool
    ) -> "ShiftedProblem":
        """The problem of a discretization; up: see above.

        Raises:
            InputError: for what cells cannot solve.
        """
        problem, surrogate = discretization.problem, discretization.surrogate

        def shifted(p: Points, u: Jet) -> Tensor:
            return problem.operator_values(p, u) - shift * problem.mass_values(p, u)

        points = discretization.points()[0]
        operator, mass = (
            residual_term(what, equation, points, surrogate, what)
            for what, equation in (("operator", shifted), ("mass", problem.mass_values))
        )
        residuals = Residuals(surrogate, [operator, *discretization.penalties()], discretization)
        return cls(shift, up, problem_in_cells(residuals), mass, len(problem.fields))

    def inverse(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> CellInverse:
        """The map from u to v on some cells."""
        size = (len(geometry.tree), polynomials.size, self.fields)
        zero = torch.zeros(size, dtype=torch.float64)
        return CellInverse.of(self.problem.on(geometry, polynomials, zero), self.mass)


@dataclass(frozen=True, eq=False)
class CellPairs:
    """The eigenpairs nearest to a shift on some cells.

    Args:
        spectrum: all approximate eigenpairs of the Krylov space; their residuals are those of its
            projection.
        nearest: the indices of those that are nearest to the shift, in this order, (k,).
        inverse: the map T of which they are eigenpairs.
    """

    spectrum: Spectrum
    nearest: Tensor
    inverse: CellInverse

    @property
    def values(self) -> Tensor:
        """The nearest eigenvalues, (k,)."""
        return self.spectrum.values[self.nearest]

    def block(self, count: int) -> Tensor:
        """Real functions that span the first `count` modes, (N, L m, n) with n about `count`."""
        columns = subspace(self.spectrum, self._closed(self.nearest[:count])).columns
        return self._by_cells(self.spectrum.basis @ columns)

    def _by_cells(self, functions: Tensor) -> Tensor:
        """Coefficients (N L m, n) in the shape (N, L m, n)."""
        return functions.unflatten(0, (len(self.inverse.system.geometry.tree), -1))

    def _closed(self, which: Tensor) -> Tensor:
        """Indices with those of the complex conjugates that are missing, beside them."""
        values = self.spectrum.values
        found: list[int] = []
        for index in which.tolist():
            if index not in found:
                found.append(index)
                if values[index].imag:
                    apart = (values - values[index].conj()).abs()
                    found.append(int(apart.argmin()))
        return torch.tensor(found)

    def polished(self, which: Tensor) -> Spectrum:
        """Some eigenpairs with their modes T u / μ in place of u, which have smaller residuals."""
        found = self.spectrum
        columns = subspace(found, self._closed(which)).columns
        inner = columns.T @ found.inverse @ columns
        functions = self._by_cells(found.basis @ columns)
        images = self.inverse(functions).coefficients.flatten(0, 1)
        basis = torch.linalg.solve(inner, images, left=False)
        vectors = columns.T.to(found.vectors) @ found.vectors[:, which]
        vectors = vectors / torch.linalg.vector_norm(vectors, dim=0)
        values, residuals = found.values[which], found.residuals[which]
        return Spectrum(found.shift, values, vectors, residuals, basis, inner, found.up)

    def shares(self, count: int) -> Tensor:
        """The relative error of μ = 1/(λ - σ) that each cell is responsible for, (N, count).

        It holds for modes of self-adjoint problems, see `CellInverse`.
        """
        which = self.nearest[:count]
        modes = self.spectrum.basis.to(self.spectrum.vectors) @ self.spectrum.vectors[:, which]
        images = self.inverse(self._by_cells(torch.view_as_real(modes).flatten(1)))
        shares, sizes = (
            t.unflatten(-1, (-1, 2)).sum(dim=-1) for t in (images.shares, images.sizes)
        )
        return shares / sizes


def moved_block(
    block: Tensor, polynomials: LocalPolynomials, old: CellGeometry, new: CellGeometry
) -> Tensor:
    """The coefficients of the same functions in other cells, which halve some of the old ones.

    block: the coefficients in the old cells, (N, L m, n).
    """
    if new is old:
        return block
    fields = block.shape[1] // polynomials.size
    parts = block.unflatten(1, (polynomials.size, -1)).flatten(2)
    moved = prolonged(polynomials, old.tree, old.frames, parts, new)
    return moved.unflatten(2, (fields, -1)).flatten(1, 2)


def nearest_pairs(
    shifted: ShiftedProblem, inverse: CellInverse, block: Tensor, count: int, tolerance: float
) -> CellPairs:
    """The eigenpairs of T = (L - σM)⁻¹ M with the largest μ = 1/(λ - σ).

    The Krylov space grows until the relative errors of the first `count` values are below the
    tolerance. They are about r (r + δ) for relative residuals r, where δ is the part of the
    operator that is not normal.

    Args:
        shifted: the problem with σ.
        inverse: T on some cells.
        block: start functions, (N, L m, p).
        count: the number of pairs.
        tolerance: of the values μ.
    """
    most = max(12 * block.shape[-1], 100)  # columns of a space, after which it starts anew

    def apply(x: Tensor) -> Tensor:
        return inverse.coordinates(inverse(inverse.coefficients(x)).coefficients)

    best = torch.inf
    for _ in range(4):
        for space in krylov_spaces(apply, inverse.coordinates(block)):
            found = _spectrum(space, shifted)
            nearest = (found.values - shifted.shift).abs().argsort()
            error = _error(space, found, nearest[:count])
            if error <= tolerance or space.basis.shape[1] >= min(most, len(space.basis) // 2):
                break
        basis = inverse.coefficients(space.basis).flatten(0, 1)
        pairs = CellPairs(replace(found, basis=basis), nearest, inverse)
        if error <= tolerance or error > 0.5 * best:
            break
        best, block = error, pairs.block(block.shape[-1])
    return pairs


def _spectrum(space: KrylovSpace, shifted: ShiftedProblem) -> Spectrum:
    mu, vectors = torch.linalg.eig(space.matrix)
    residuals, values = space.residuals(mu, vectors), shifted.shift + 1 / mu
    return Spectrum(
        shifted.shift, values, vectors, residuals, space.basis, space.matrix, shifted.up
    )


def _error(space: KrylovSpace, found: Spectrum, which: Tensor) -> float:
    """The estimated relative error of some values μ by what is missing in a Krylov space."""
    if space.basis.shape[1] < 2 * len(which):
        return torch.inf
    columns = subspace(found, which).columns
    image = space.matrix.T @ columns
    smallest = 1 / (found.values[which] - found.shift).abs().max()
    normal = torch.linalg.matrix_norm(image - columns @ (columns.T @ image), 2) / smallest
    residual = float(found.residuals[which].max())
    return residual * min(1.0, residual + float(normal))
