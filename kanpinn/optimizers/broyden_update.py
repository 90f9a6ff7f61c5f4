"""The self-scaled quasi-Newton update of an inverse Hessian, from Broyden's class."""

import math

import torch
from torch import Tensor


def updated(inverse: Tensor | None, s: Tensor, y: Tensor, curvature: float) -> Tensor | None:
    """Return the inverse Hessian after a step s that changed the gradient by y.

    H⁺ = [H - Hy yᵀH / yᵀHy + φ (yᵀHy) v vᵀ] / τ + s sᵀ / yᵀs, v = s / yᵀs - Hy / yᵀHy, with φ and
    τ from a = bh - 1, b = sᵀH⁻¹s / yᵀs and h = yᵀHy / yᵀs. It is positive definite if H is and
    yᵀs > 0; if yᵀs ≤ 0, H is returned unchanged.

    Args:
        inverse: H, (P, P), changed in place; None for the identity, which is then scaled by the
            first step (τ = h / σ).
        s: the step, (P,).
        y: the change of the gradient, (P,).
        curvature: sᵀH⁻¹s; for a step s = -t H g along the gradient g it is -t sᵀg.

    Returns:
        The new inverse Hessian, (P, P); `inverse` itself if yᵀs ≤ 0.

    Reference: Urbán, Stefanou and Pons (2025), after Al-Baali (1998).
    """
    ys = float(y @ s)
    if not ys > 0:
        return inverse
    h_y = y if inverse is None else inverse @ y
    yhy = float(y @ h_y)
    phi, tau = _scaling(curvature / ys, yhy / ys, len(s), inverse is None)
    if inverse is None:
        inverse = torch.eye(len(s), dtype=s.dtype, device=s.device)
    across = -phi / (ys * tau)
    small = s.new_tensor(
        [[phi * yhy / (ys**2 * tau) + 1 / ys, across], [across, (phi - 1) / (yhy * tau)]]
    )
    both = torch.stack([s, h_y], dim=1)
    return inverse.addmm_(both @ small, both.T, beta=1 / tau)


def _scaling(b: float, h: float, n: int, first: bool) -> tuple[float, float]:
    """Return φ of Broyden's class for the inverse (1: BFGS, 0: DFP), and τ, the Hessian's scale."""
    a = max(b * h - 1, 1e-14)  # >= 0 by Cauchy and Schwarz
    rho = min(1.0, h / ((1 + a) * (1 + math.sqrt(a / (1 + a)))))  # h (1 - c), c² = a / (1 + a)
    theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b))
    sigma = 1 + a * theta
    phi = (1 - theta) / sigma
    if first:
        return phi, h / sigma
    scale, power = min(1.0, 1 / b), sigma ** (-1 / max(n - 1, 1))
    return phi, min(scale * power, sigma) if theta <= 0 else scale * min(power, 1 / theta)
