"""Balance: factors that bring the terms of a loss to one scale.

Penalised boundary data compete with the equation, whose residual has derivatives of the network and
is far more sensitive to its coefficients. Multiplying each term by a factor evens that out.

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
    """The factor of each term, by the term's name, at the network's present coefficients.

    Args:
        residuals: the loss; all its terms are means of squared residuals.
        by: "ntk" gives every term the same mean square of the rows of its Jacobian, which is the
            trace of its neural tangent kernel over its number of rows; "gradients" gives every
            term's mean square a gradient of the same length.
        bound: factors stay between 1 / bound and bound.

    Returns:
        The factors; the interior's is 1, as is that of a term with no slope at all.
    """
    measure = _mean_square_of_jacobian if by == "ntk" else _length_of_gradient
    sizes = {
        term.name: measure(Residuals(residuals.surrogate, [replace(term, weight=1.0, factor=1.0)]))
        for term in residuals.terms
    }
    first = sizes.get("interior", max(sizes.values(), default=1.0))
    if not first > 0:  # the equation does not depend on the network: there is no scale to share
        return dict.fromkeys(sizes, 1.0)
    return {
        name: min(max(first / size, 1 / bound), bound) if size > 0 else 1.0
        for name, size in sizes.items()
    }


def _mean_square_of_jacobian(residuals: Residuals) -> float:
    """The mean over the rows of ‖∂r/∂coefficients‖²."""
    total = torch.zeros((), dtype=torch.float64)
    with together():
        for jacobian, _ in residuals.rows(residuals.surrogate.network.all_layers):
            total = total + jacobian.double().square().sum().cpu()
    return float(summed([total])[0])


def _length_of_gradient(residuals: Residuals) -> float:
    """‖∇ mean ‖r‖²‖ over all trainable coefficients."""
    residuals.backward()
    gradients = [p.grad for p in residuals.surrogate.parameters() if p.grad is not None]
    for p in residuals.surrogate.parameters():
        p.grad = None
    return sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5
