"""Factors that bring the terms of a loss to one scale.

A penalty for boundary data competes with the residual of the equation, which contains derivatives
of the network and is far more sensitive to its coefficients. A factor for each term balances them.

Reference: Wang, Teng and Perdikaris, Understanding and mitigating gradient flow pathologies in
physics-informed neural networks (2021), for gradients; Wang, Yu and Perdikaris, When and why PINNs
fail to train: a neural tangent kernel perspective (2022), for the kernel.
"""

from dataclasses import replace

import torch

from kanpinn._support.distributed import summed, together
from kanpinn.loss.residuals import Residuals

BALANCES = ("ntk", "gradients")


def balance_factors(residuals: Residuals, by: str, bound: float = 1e6) -> dict[str, float]:
    """The balancing factor of each term by its name, at the network's present coefficients.

    Args:
        residuals: the loss; all its terms are means of squared residuals.
        by: "ntk" makes the mean squared row of the Jacobian equal for all terms (it is the trace
            of the term's neural tangent kernel divided by its number of rows); "gradients" makes
            the norm of the gradient of the mean square equal for all terms.
        bound: factors are clipped to [1 / bound, bound].

    Returns:
        The factors; the interior's is 1, as is that of a term whose Jacobian or gradient is zero.
    """
    measure = _mean_square_of_jacobian if by == "ntk" else _length_of_gradient
    sizes = {
        term.name: measure(Residuals(residuals.surrogate, [replace(term, weight=1.0, factor=1.0)]))
        for term in residuals.terms
    }
    first = sizes.get("interior", max(sizes.values(), default=1.0))
    if not first > 0:  # the equation's residual is constant: it gives no scale for the others
        return dict.fromkeys(sizes, 1.0)
    return {
        name: min(max(first / size, 1 / bound), bound) if size > 0 else 1.0
        for name, size in sizes.items()
    }


def _mean_square_of_jacobian(residuals: Residuals) -> float:
    """The mean of ‖∂r/∂coefficients‖² over the rows."""
    total = torch.zeros((), dtype=torch.float64)
    with together():
        for jacobian, _ in residuals.rows(residuals.surrogate.network.all_layers):
            total = total + jacobian.double().square().sum().cpu()
    return float(summed([total])[0])


def _length_of_gradient(residuals: Residuals) -> float:
    """The norm of the gradient of mean ‖r‖² with respect to all trainable coefficients."""
    residuals.backward()
    gradients = [p.grad for p in residuals.surrogate.parameters() if p.grad is not None]
    for p in residuals.surrogate.parameters():
        p.grad = None
    return sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5
