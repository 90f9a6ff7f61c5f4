"""Newton's method on the output layer, from where it stands to where it no longer pays."""

import math

import torch

from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.output_layer import solve_output

NEWTON = 12  # steps at most
FALL = 0.5  # a step that leaves more of the loss than this is the last
FORESEEN = 1e-6  # a loss that was predicted so well, relative to itself, the next step would leave


def solve_newton(residuals: Residuals) -> tuple[float, int]:
    """The loss, infinite where the linear algebra broke down, and evaluations."""
    loss, evaluations = math.inf, 0
    try:
        for _ in range(NEWTON):
            done = solve_output(residuals)
            loss, evaluations = done.loss, evaluations + done.evaluations
            foreseen = abs(done.loss - done.predicted) <= FORESEEN * done.loss
            if done.linear or foreseen or not done.loss < FALL * done.before:
                break
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return math.inf, evaluations
    return loss if math.isfinite(loss) else math.inf, evaluations
