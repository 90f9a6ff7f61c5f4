"""The eigenvalues of a rectangular pencil, from the least-squares inverse of its operator."""

from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from kanpinn.linalg.triangle import column_scale, rank_tolerance
from kanpinn.solvers.eigen.modes import Modes
from kanpinn.solvers.eigen.pencil import Pencil

RESOLVED = 0.1  # an eigenvalue is resolved if its residual is below this part of ‖(L - σM) u‖
REAL = 1e-8  # an imaginary part below this part of |λ - σ| is rounding of a double eigenvalue


@dataclass(frozen=True)
class Spectrum:
    """Eigenpairs of K = Uᵀ M V S⁻¹, where U S Vᵀ is the truncated SVD of L - σM, of rank r.

    K maps a right-hand side z, with (L - σM) x = U z, to the projection of M x onto the range of
    L - σM. So it is the inverse of the operator in the least-squares sense, and its largest
    eigenvalues μ = 1 / (λ - σ) belong to the λ nearest to σ. The residual of an eigenpair is
    orthogonal to the range of L - σM, which approximates the adjoint mode as well as the mode
    itself: the error of an eigenvalue is the product of both approximation errors.

    Args:
        shift: σ.
        values: the eigenvalues λ, (r,), complex.
        vectors: z, (r, r), complex columns of unit length.
        residuals: ‖(L - λM) x‖ / ‖(L - σM) x‖, (r,).
        basis: V S⁻¹, (P, r), which maps z to the coefficients x.
        inverse: K, (r, r).
        up: whether the spectrum is bounded from below, not from above; None if this is decided by
            the median of the eigenvalues' real parts.

    Reference: Saad, Numerical methods for large eigenvalue problems (2011), on shift and invert.
    """

    shift: float
    values: Tensor
    vectors: Tensor
    residuals: Tensor
    basis: Tensor
    inverse: Tensor
    up: bool | None = None


def spectrum(pencil: Pencil, shift: float) -> Spectrum:
    """Compute all eigenpairs of a pencil for a shift, spurious ones included.

    Raises:
        LinAlgError: if an entry of the pencil is not finite, or a decomposition does not converge.
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
    """Return another shift if the spectrum needs one, else None.

    It needs one if the nearest eigenvalue is closer to the shift than `close` times the distance of
    others, which then lose their digits to its rounding error. Without `near` it also needs one if
    the first eigenvalue lies beyond the shift, since there may be more of them.
    """
    distances = (found.values - found.shift).abs().sort().values
    several = float(distances[min(4, len(distances) - 1)])
    if distances[0] <= close * several:
        return found.shift - 0.1 * several
    if near is not None or not len(which):
        return None
    side = 1 if _points_up(found.values[which], found.up) else -1
    first = side * float(found.values[which[0]].real)
    return None if first > side * found.shift else side * (first - several / 2)


def closer_shift(values: Tensor, shift: float, up: bool, share: float = 0.1) -> float | None:
    """Return a shift close to the first eigenvalues if the present one is not, else None.

    Its distance from the first one is `share` times that of the last one from the first. Krylov
    spaces of the inverse are small then, and the first eigenvalues keep most of their digits.

    Args:
        values: the first few eigenvalues, in order.
        shift: the present shift.
        up: see `Spectrum`.
        share: see above.
    """
    first, span = float(values[0].real), float((values - values[0]).abs().max())
    wanted = first - share * span * (1 if up else -1)
    far = abs(shift - first) > 3 * share * span + 1e-3 * abs(first)
    return wanted if far and span > 0 else None


def chosen(found: Spectrum, count: int, near: float | None) -> Tensor:
    """Return the indices of the `count` resolved eigenvalues nearest to the shift, in order.

    They are ordered by their distance from `near`. Without it they are ordered from the end at
    which the spectrum is bounded: from the smallest real part for -Δ, from the largest for Δ.
    """
    nearest = (found.values - found.shift).abs().argsort()
    nearest = nearest[found.residuals[nearest] < RESOLVED][:count]
    return nearest[order(found.values[nearest], near, found.up)]


def _points_up(values: Tensor, up: bool | None) -> bool:
    """Return whether the first eigenvalues are those at the lower end; up: see `Spectrum`.

    If `up` is None, they are where the median of the real parts is not negative.
    """
    if up is not None:
        return up
    return len(values) == 0 or float(values.real.median()) >= 0


def order(values: Tensor, near: float | None, up: bool | None = None) -> Tensor:
    """Return the indices that order eigenvalues, complex conjugates next to each other.

    The order is by the distance from `near`, or from the bounded end of the spectrum if it is None.

    Args:
        values: the eigenvalues.
        near: the number from which distances are measured, or None.
        up: see `Spectrum`.
    """
    if near is not None:
        distance = (values - near).abs()
    else:
        distance = values.real if _points_up(values, up) else -values.real
    first = distance.argsort(stable=True)
    ordered, size = distance[first], values[first].abs()
    # Distances that are equal up to rounding form a group, sorted by the imaginary parts.
    groups = (ordered.diff(prepend=ordered[:1]) > REAL * size).cumsum(0)
    imaginary = values[first].imag if values.is_complex() else torch.zeros_like(ordered)
    return first[torch.from_numpy(numpy.lexsort((imaginary.cpu(), groups.cpu()))).to(first)]


def real_parts(modes: Modes, shift: float) -> Modes:
    """Return modes whose coefficients are real where the eigenvalue is real up to rounding.

    Rounding splits a double real eigenvalue into a complex pair; the real and the imaginary part of
    its eigenvectors are the two modes. The tensors are real if all eigenvalues are.
    """
    values, vectors = modes.values, modes.coefficients
    real = values.imag.abs() <= REAL * (values - shift).abs()
    turned = torch.where(values.imag < 0, vectors.imag, vectors.real)
    vectors = torch.where(real, turned.to(vectors.dtype), vectors)
    values = torch.where(real, values.real.to(values.dtype), values)
    if bool(real.all()):
        return Modes(values.real, vectors.real)
    return Modes(values, vectors)
