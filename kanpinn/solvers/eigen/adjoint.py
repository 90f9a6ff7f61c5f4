"""Self-adjoint problems: real eigenvalues and orthonormal modes from an invariant subspace."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.solvers.eigen.eigensolution import SAME
from kanpinn.solvers.eigen.modes import Modes
from kanpinn.solvers.eigen.samples import Samples
from kanpinn.solvers.eigen.spectrum import Spectrum

SYMMETRIC = 1e-5  # of the largest entry: asymmetry below that is quadrature's or the penalty's


@dataclass(frozen=True)
class Subspace:
    """Orthonormal real columns (r, q), the first of which span the first eigenvectors.

    values: (q,), the real parts of the eigenvalues that they belong to.
    """

    columns: Tensor
    values: Tensor


def subspace(found: Spectrum, which: Tensor, dependent: float = 1e-8) -> Subspace:
    """The span of eigenvectors in this order, pairs of complex ones side by side.

    A vector of unit length of which less than `dependent` is left beside those before it depends on
    them, and is left out.
    """
    vectors, values = found.vectors[:, which], found.values[which]
    real = torch.where(values.imag < 0, vectors.imag, vectors.real)
    columns, rest = torch.linalg.qr(real / torch.linalg.vector_norm(real, dim=0))
    kept = rest.diagonal().abs() > dependent
    return Subspace(columns[:, kept], values.real[kept])


def asymmetry(samples: Samples) -> float:
    """How far ∫ u·Lv and ∫ u·Mv are from symmetric for the functions at hand, relative to them.

    Integration by parts is exact whatever the functions solve, but for the rule's error and, where
    they are penalised, for what conditions are missed by. It is infinite where the sides have no
    such forms, or the latter is not positive.
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


def orthonormal_modes(found: Spectrum, space: Subspace, samples: Samples) -> Modes:
    """The eigenpairs of K on an invariant subspace, orthonormal in the inner product ∫ u·Mv.

    K's Schur form makes each mode orthogonal to those before it, which the ones behind, less well
    resolved, leave as they are. Blocks of eigenvalues that agree are made symmetric: what rounding
    and discretisation have of an antisymmetric part changes them by its square.

    samples: of the subspace's functions.
    """
    gram = torch.linalg.cholesky(_symmetric(samples.fields.T @ samples.mass)).T  # G = RᵀR
    inner = space.columns.T @ found.inverse @ space.columns  # triangular, as R is, but for pairs
    schur = gram @ torch.linalg.solve_triangular(gram, inner, upper=True, left=False)
    gaps = (space.values[:, None] - space.values).abs()
    schur = schur * (gaps <= SAME * (space.values - found.shift).abs())
    mu, rotation = torch.linalg.eigh(_symmetric(schur))
    columns = torch.linalg.solve_triangular(gram, rotation, upper=True)
    return Modes(found.shift + 1 / mu, found.basis @ (space.columns @ columns))


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
