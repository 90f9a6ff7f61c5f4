"""One damped Gauss–Newton step on the output layer, exact where the residual is linear in it."""

from dataclasses import dataclass

from torch import Tensor

from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.residuals import Residuals

LINEAR = 1e-8  # a step whose loss is predicted so well, relative to the loss before, was linear
MOST_HALVINGS = 12


@dataclass(frozen=True)
class OutputStep:
    """What a step did: losses before and after, the rank, the share of the step taken (0: none).

    linear: whether the loss was as a linear residual's would be. evaluations: of loss and rows.
    """

    before: float
    loss: float
    rank: int
    share: float
    linear: bool
    evaluations: int


def solve_output(
    residuals: Residuals, rcond: float | None = None, linear: bool | None = None
) -> OutputStep:
    """Least squares for the output coefficients, linearised at the present ones.

    The step is halved until the true loss falls. linear = True (known to be so) spares that.
    """
    layers = residuals.surrogate.network.output_layers
    triangle = residuals.model(layers)
    old, before = get_coefficients(layers), triangle.loss()
    # Solve for the coefficients themselves, not their change: the smallest ones are wanted.
    new, rank = triangle.solve(triangle.matrix @ old - triangle.target, rcond)
    predicted = triangle.loss(new - old)
    if linear:
        set_coefficients(layers, new)
        return OutputStep(before, predicted, rank, 1.0, True, 1)
    loss, share, evaluations = _search(residuals, old, new, before)
    linear = share == 1.0 and abs(loss - predicted) <= LINEAR * abs(before - predicted)
    return OutputStep(before, loss, rank, share, linear, evaluations + 1)


def _search(
    residuals: Residuals, old: Tensor, new: Tensor, before: float
) -> tuple[float, float, int]:
    """The longest of the steps 1, 1/2, 1/4, … that lowers the true loss."""
    layers = residuals.surrogate.network.output_layers
    for halvings in range(MOST_HALVINGS):
        share = 0.5**halvings
        set_coefficients(layers, new if share == 1 else old + share * (new - old))
        loss = residuals.loss()
        if loss < before:
            return loss, share, halvings + 1
    set_coefficients(layers, old)
    return before, 0.0, MOST_HALVINGS
