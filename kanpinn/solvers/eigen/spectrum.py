"""The eigenvalues of a rectangular pencil, through the inverse of its operator."""

from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from kanpinn.linalg.triangle import column_scale, rank_tolerance
from kanpinn.solvers.eigen.modes import Modes
from kanpinn.solvers.eigen.pencil import Pencil

RESOLVED = 0.1  # residuals below this part of (L - σM)u are those of an eigenvalue
REAL = 1e-8  # imaginary parts below this part of |λ - σ| are rounding that splits a double one


@dataclass(frozen=True)
class Spectrum:
    """Eigenpairs of K = Uᵀ M V S⁻¹, U S Vᵀ the singular values of L - σM that are not rounding.

    K takes the right-hand side z of (L - σM) x = U z to the part of M x that is a right-hand side
    again: it is the inverse of the operator in the sense of least squares, whose largest
    eigenvalues μ = 1 / (λ - σ) are those wanted. Their residual is orthogonal to the range of
    L - σM, in which an adjoint mode is approximated as well as the mode itself: an eigenvalue's
    error is the product of both.

    values: λ (r,), complex. vectors: z (r, r), complex columns of unit length. residuals:
    ‖(L - λM) x‖ / ‖(L - σM) x‖, (r,). basis: V S⁻¹ (P, r), from z to coefficients. inverse: K.

    Reference: Saad, Numerical methods for large eigenvalue problems (2011), on shift and invert.
    """

    shift: float
    values: Tensor
    vectors: Tensor
    residuals: Tensor
    basis: Tensor
    inverse: Tensor


def spectrum(pencil: Pencil, shift: float) -> Spectrum:
    """All eigenpairs, good ones and spurious ones.

    Raises:
        LinAlgError: where the pencil has a row that is not finite, or nothing converges.
    """
    matrix = pencil.operator - shift * pencil.mass
    if not bool(torch.isfinite(matrix).all()):
        raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
            "the operator is not a finite number at some point"
        )
    scale = column_scale(matrix)
    u, s, vh = torch.linalg.svd(matrix / scale, full_matrices=False)
    kept = s > rank_tolerance(s.dtype) * s[0]
    u, basis = u[:, kept], (vh[kept].T / s[kept]) / scale[:, None]
    taken = pencil.mass @ basis
    inverse = u.T @ taken
    mu, vectors = torch.linalg.eig(inverse)
    rest = (taken - u @ inverse).to(vectors.dtype) @ vectors
    residuals = torch.linalg.vector_norm(rest, dim=0) / mu.abs()
    return Spectrum(shift, shift + 1 / mu, vectors, residuals, basis, inverse)


def better_shift(
    found: Spectrum, which: Tensor, near: float | None, close: float = 1e-4
) -> float | None:
    """Another shift where one is needed.

    That is where an eigenvalue lies so near, `close` times the distance of others, that these drown
    in its rounding, or on the other side of the shift than those that were looked for: then there
    may be more of them.
    """
    distances = (found.values - found.shift).abs().sort().values
    several = float(distances[min(4, len(distances) - 1)])
    if distances[0] <= close * several:
        return found.shift - 0.1 * several
    if near is not None or not len(which):
        return None
    side = 1 if upwards(found.values[which]) else -1
    first = side * float(found.values[which[0]].real)
    return None if first > side * found.shift else side * (first - several / 2)


def chosen(found: Spectrum, count: int, near: float | None) -> Tensor:
    """The indices of resolved eigenvalues, those asked for first, among the `count` next to σ.

    Without `near` they come from that end of the spectrum at which it is bounded: the smallest real
    parts of -Δ, the largest of Δ.
    """
    nearest = (found.values - found.shift).abs().argsort()
    nearest = nearest[found.residuals[nearest] < RESOLVED][:count]
    return nearest[order(found.values[nearest], near)]


def upwards(values: Tensor) -> bool:
    """Whether eigenvalues go on to positive real parts rather than negative ones."""
    return len(values) == 0 or float(values.real.median()) >= 0


def order(values: Tensor, near: float | None) -> Tensor:
    """How eigenvalues follow each other: pairs of complex ones side by side."""
    if near is not None:
        distance = (values - near).abs()
    else:
        distance = values.real if upwards(values) else -values.real
    first = distance.argsort(stable=True)
    ordered, size = distance[first], values[first].abs()
    # Parts that agree but for rounding must not be sorted by it.
    groups = (ordered.diff(prepend=ordered[:1]) > REAL * size).cumsum(0)
    imaginary = values[first].imag if values.is_complex() else torch.zeros_like(ordered)
    return first[torch.from_numpy(numpy.lexsort((imaginary.cpu(), groups.cpu()))).to(first)]


def real_parts(modes: Modes, shift: float) -> Modes:
    """Modes of which those with real eigenvalues are real; all of them where none is complex.

    A double eigenvalue comes out of rounding as a pair of complex ones, whose vectors' real and
    imaginary parts are its modes.
    """
    values, vectors = modes.values, modes.coefficients
    real = values.imag.abs() <= REAL * (values - shift).abs()
    turned = torch.where(values.imag < 0, vectors.imag, vectors.real)
    vectors = torch.where(real, turned.to(vectors.dtype), vectors)
    values = torch.where(real, values.real.to(values.dtype), values)
    if bool(real.all()):
        return Modes(values.real, vectors.real)
    return Modes(values, vectors)
