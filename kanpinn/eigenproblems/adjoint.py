"""Self-adjoint problems: real eigenvalues and orthonormal modes from an invariant subspace."""

import torch
from torch import Tensor

from kanpinn.eigenproblems.modes import Modes
from kanpinn.eigenproblems.samples import Samples
from kanpinn.eigenproblems.spectrum import Spectrum

SYMMETRIC = 1e-5  # of the largest entry: asymmetry below that is quadrature's or the penalty's
DEPENDENT = 1e-8  # singular values of vectors of unit length below that are none


def real_basis(vectors: Tensor) -> Tensor:
    """Orthonormal real columns that span complex vectors and their conjugates, (r, q)."""
    both = torch.cat([vectors.real, vectors.imag], dim=1)
    u, s, _ = torch.linalg.svd(both, full_matrices=False)
    return u[:, s > DEPENDENT * s[0]]


def is_self_adjoint(samples: Samples) -> bool:
    """Whether ∫ u·Lv and ∫ u·Mv are symmetric for the functions at hand, and the latter positive.

    Integration by parts is exact whatever the functions solve, but for the rule's error and, where
    they are penalised, for what conditions are missed by.
    """
    for side in (samples.operator, samples.mass):
        form = samples.fields.T @ side if len(side) == len(samples.fields) else None
        if form is None or float((form - form.T).abs().max()) > SYMMETRIC * float(form.abs().max()):
            return False
    return bool(torch.linalg.cholesky_ex(_symmetric(samples.fields.T @ samples.mass)).info == 0)


def orthonormal_modes(found: Spectrum, basis: Tensor, samples: Samples) -> Modes:
    """The eigenpairs of K on an invariant subspace, made symmetric in the inner product ∫ u·Mv.

    What rounding and discretisation have of an antisymmetric part changes eigenvalues by its
    square. basis (r, q): of the subspace; samples: of its functions.
    """
    gram = torch.linalg.cholesky(_symmetric(samples.fields.T @ samples.mass)).T  # G = RᵀR
    inner = torch.linalg.solve_triangular(
        gram, basis.T @ found.inverse @ basis, upper=True, left=False
    )
    mu, rotation = torch.linalg.eigh(_symmetric(gram @ inner))
    columns = torch.linalg.solve_triangular(gram, rotation, upper=True)
    return Modes(found.shift + 1 / mu, found.basis @ (basis @ columns))


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
