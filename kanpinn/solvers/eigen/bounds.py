"""Error bounds and error estimates of eigenvalues, from the residuals of their modes."""

import math

import torch
from torch import Tensor

from kanpinn.solvers.eigen.eigensolution import SAME
from kanpinn.solvers.eigen.modes import as_modes
from kanpinn.solvers.eigen.samples import ModeSamples
from kanpinn.solvers.eigen.spectrum import Spectrum


def residual_norms(values: Tensor, samples: ModeSamples, density: Tensor | None = None) -> Tensor:
    """Return ‖L u - λ M u‖ / ‖u‖ of each mode, (count,).

    With a density ρ, where M u = ρ u, the squared norms are ∫ r²/ρ and ∫ ρ u²: those in which
    M⁻¹L is self-adjoint.

    Args:
        values: the eigenvalues λ, (count,).
        samples: of the modes.
        density: ρ at the points of the samples, (n, 1); None for plain L2 norms.
    """
    left, right, u = (
        as_modes(part, values) for part in (samples.operator, samples.mass, samples.fields)
    )
    rest = left - values * right
    if density is not None:
        root = density.sqrt().repeat_interleave(len(u) // len(density), dim=0)
        rest, u = rest / root, u * root
    return torch.linalg.vector_norm(rest, dim=0) / torch.linalg.vector_norm(u, dim=0)


def relative_residuals(values: Tensor, samples: ModeSamples, shift: float) -> Tensor:
    """Return ‖L u - λ M u‖ / ‖L u - σ M u‖ of each mode, (count,); near 1 for spurious modes."""
    left, right = (as_modes(part, values) for part in (samples.operator, samples.mass))
    norms = [torch.linalg.vector_norm(left - x * right, dim=0) for x in (values, shift)]
    return norms[0] / norms[1].clamp_min(torch.finfo(norms[1].dtype).tiny)


def rayleigh_gaps(values: Tensor, samples: ModeSamples) -> Tensor:
    """Return |λ - ∫ u·Lu / ∫ u·Mu| of each mode, (count,).

    The samples are at points of another quadrature rule than that of the solve.
    """
    left, right, u = (
        as_modes(part, values) for part in (samples.operator, samples.mass, samples.fields)
    )
    return ((u * (left - values * right)).sum(dim=0) / (u * right).sum(dim=0)).abs()


def rounding(values: Tensor, found: Spectrum, safety: float = 4.0) -> Tensor:
    """Return the error of each λ = σ + 1/μ if μ is off by `safety` · eps · ‖K‖, (count,)."""
    nearest = float((found.values - found.shift).abs().min())
    eps = safety * torch.finfo(found.basis.dtype).eps
    return eps * (values - found.shift).abs() ** 2 / nearest


def kato_temple(values: Tensor, norms: Tensor, others: Tensor) -> Tensor:
    """Return the Kato-Temple error estimate ‖R‖² / gap of each eigenvalue, (count,).

    R are the residuals of all values that agree with the eigenvalue, and gap is its distance from
    the nearest one that does not. The estimate is at most the residual norm of the eigenvalue, and
    equals it where no gap is known.

    Args:
        values: the eigenvalues, (count,).
        norms: their residual norms, (count,).
        others: further eigenvalues of the problem, which serve for the gaps only.

    Reference: Kato, On the upper and lower bounds of eigenvalues (1949); Davis and Kahan, The
    rotation of eigenvectors by a perturbation (1970), for several that agree.
    """
    everything = torch.cat([values, others])
    found = torch.empty_like(values)
    for i, value in enumerate(values):
        same = (values - value).abs() <= SAME * value.abs() + norms[i]
        apart = (everything - value).abs()
        apart = apart[apart > SAME * value.abs() + norms[i]]
        gap = float(apart.min()) if len(apart) else math.nan
        squares = float(norms[same].square().sum())
        found[i] = min(float(norms[i]), squares / gap) if gap > 0 else norms[i]
    return found
