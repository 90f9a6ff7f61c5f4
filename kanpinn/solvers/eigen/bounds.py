"""How far eigenvalues can be from exact ones, by their residuals."""

import math

import torch
from torch import Tensor

from kanpinn.solvers.eigen.eigensolution import SAME
from kanpinn.solvers.eigen.modes import as_modes
from kanpinn.solvers.eigen.samples import Samples
from kanpinn.solvers.eigen.spectrum import Spectrum


def residual_norms(values: Tensor, samples: Samples, density: Tensor | None = None) -> Tensor:
    """‖L u - λ M u‖ / ‖u‖ of each mode, (count,).

    With a density ρ, M u = ρ u, the norms are those in which M⁻¹L is self-adjoint: ∫ r²/ρ, ∫ ρ u².
    """
    left, right, u = (
        as_modes(part, values) for part in (samples.operator, samples.mass, samples.fields)
    )
    rest = left - values * right
    if density is not None:
        root = density.sqrt().repeat_interleave(len(u) // len(density), dim=0)
        rest, u = rest / root, u * root
    return torch.linalg.vector_norm(rest, dim=0) / torch.linalg.vector_norm(u, dim=0)


def relative_residuals(values: Tensor, samples: Samples, shift: float) -> Tensor:
    """‖L u - λ M u‖ / ‖L u - σ M u‖ of each mode: near 1 it is none."""
    left, right = (as_modes(part, values) for part in (samples.operator, samples.mass))
    norms = [torch.linalg.vector_norm(left - x * right, dim=0) for x in (values, shift)]
    return norms[0] / norms[1].clamp_min(torch.finfo(norms[1].dtype).tiny)


def rayleigh_gaps(values: Tensor, samples: Samples) -> Tensor:
    """How far λ is from ∫ u·Lu / ∫ u·Mu, by a rule that it does not come from, (count,)."""
    left, right, u = (
        as_modes(part, values) for part in (samples.operator, samples.mass, samples.fields)
    )
    return ((u * (left - values * right)).sum(dim=0) / (u * right).sum(dim=0)).abs()


def rounding(values: Tensor, found: Spectrum, safety: float = 4.0) -> Tensor:
    """The error of λ = σ + 1/μ for an error of μ by `safety` times the rounding eps · ‖K‖."""
    nearest = float((found.values - found.shift).abs().min())
    eps = safety * torch.finfo(found.basis.dtype).eps
    return eps * (values - found.shift).abs() ** 2 / nearest


def kato_temple(values: Tensor, norms: Tensor, others: Tensor) -> Tensor:
    """‖R‖² / gap for each value, R the residuals of all that agree with it, gap to the rest.

    A norm is an upper limit, and all there is where a gap is not known. others: further eigenvalues
    of the problem.

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
