"""Self-adjoint problems: real eigenvalues and orthonormal modes from an invariant subspace."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.solvers.eigen.eigensolution import SAME
from kanpinn.solvers.eigen.modes import Modes
from kanpinn.solvers.eigen.samples import ModeSamples
from kanpinn.solvers.eigen.spectrum import Spectrum

# Relative to the largest entry; a smaller asymmetry comes from the quadrature or the penalty.
SYMMETRIC = 1e-5


@dataclass(frozen=True)
class Subspace:
    """An orthonormal real basis of the span of some eigenvectors, in the order of these.

    Args:
        columns: (r, q), the basis; its first k columns span the first k eigenvectors.
        values: (q,), the real parts of the eigenvalues that the columns belong to.
    """

    columns: Tensor
    values: Tensor


def subspace(found: Spectrum, which: Tensor, dependent: float = 1e-8) -> Subspace:
    """Return an orthonormal real basis of the span of the selected eigenvectors.

    Args:
        found: the spectrum whose eigenvectors are taken.
        which: indices of the eigenvectors, in order, complex conjugates next to each other.
        dependent: a unit vector counts as linearly dependent and is left out if its part
            orthogonal to the vectors before it is shorter than this.
    """
    vectors, values = found.vectors[:, which], found.values[which]
    real = torch.where(values.imag < 0, vectors.imag, vectors.real)
    columns, rest = torch.linalg.qr(real / torch.linalg.vector_norm(real, dim=0))
    kept = rest.diagonal().abs() > dependent
    return Subspace(columns[:, kept], values.real[kept])


def asymmetry(samples: ModeSamples) -> float:
    """Return the relative asymmetry of the bilinear forms ∫ u·Lv and ∫ u·Mv on the samples.

    It is the larger of the two forms' largest |a_ij - a_ji| over their largest |a_ij|. For a
    self-adjoint problem it is zero for any functions that satisfy the conditions, except for the
    error of the quadrature rule and, where conditions are penalised, for their residuals. It is
    infinite if there are not as many equations as fields, or if ∫ u·Mv is not positive definite.
    """
    if len(samples.operator) != len(samples.fields):
        return math.inf
    forms = [samples.fields.T @ side for side in (samples.operator, samples.mass)]
    if torch.linalg.cholesky_ex(_symmetric(forms[1])).info != 0:
        return math.inf
    tiny = torch.finfo(forms[0].dtype).tiny
    sizes = [form.abs().max().clamp_min(tiny) for form in forms]
    gaps = [(form - form.T).abs().max() for form in forms]
    return max(float(gap / size) for gap, size in zip(gaps, sizes, strict=True))


def orthonormal_modes(found: Spectrum, space: Subspace, samples: ModeSamples) -> Modes:
    """Return the eigenpairs of K on an invariant subspace, orthonormal for ∫ u·Mv.

    K is brought to Schur form, which makes each mode orthogonal to the modes before it. So later
    modes, which are less well resolved, do not change earlier ones. The diagonal blocks of equal
    eigenvalues are made symmetric; the antisymmetric part that rounding and discretisation leave
    in a block changes its eigenvalues only to second order.

    Args:
        found: the spectrum with K and its basis.
        space: the invariant subspace of K.
        samples: the functions of the subspace's columns at the points of a quadrature rule.
    """
    gram = torch.linalg.cholesky(_symmetric(samples.fields.T @ samples.mass)).T  # G = RᵀR
    inner = space.columns.T @ found.inverse @ space.columns  # triangular but for complex pairs
    schur = gram @ torch.linalg.solve_triangular(gram, inner, upper=True, left=False)
    gaps = (space.values[:, None] - space.values).abs()
    schur = schur * (gaps <= SAME * (space.values - found.shift).abs())
    mu, rotation = torch.linalg.eigh(_symmetric(schur))
    columns = torch.linalg.solve_triangular(gram, rotation, upper=True)
    return Modes(found.shift + 1 / mu, found.basis @ (space.columns @ columns))


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
