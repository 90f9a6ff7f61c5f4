"""One damped Gauss–Newton step on the output layer, exact where the residual is linear in it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.linalg.triangle import Triangle, column_scale
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.damping import Probes, best_damping

LINEAR = 1e-8  # a step whose loss is predicted so well, relative to the loss before, was linear
ENOUGH = 0.5  # of the predicted fall: a full step that brings less is compared with other steps
MOST_HALVINGS = 12
START_DAMPING = 1e-6
ROUNDING = 1e2  # times eps: what of a residual's terms is rounding, by measurement
STATIONARY = 1e-8  # a predicted fall of less than this part of the loss is none
# For squares, which nothing lies beneath: a step for so little is tried once, and is the last.
LITTLE = 1e-4


@dataclass(frozen=True)
class OutputStep:
    """What a step did: losses before and after, the rank, the share of the step taken (0: none).

    predicted: the loss of the linearised residual after a full step. damping: of the step that was
    taken, 0 where it was not damped. floor: a predicted fall that is none, or not worth a further
    step. linear: whether the loss was as a linear residual's would be. evaluations: of loss and
    rows.
    """

    before: float
    predicted: float
    loss: float
    rank: int
    share: float
    damping: float
    floor: float
    linear: bool
    evaluations: int

    @property
    def stationary(self) -> bool:
        """Whether the linearised residual could not fall any further before the step."""
        return self.before - self.predicted <= STATIONARY * abs(self.before) + self.floor


def solve_output(
    residuals: Residuals, rcond: float | None = None, linear: bool | None = None
) -> OutputStep:
    """Least squares for the output coefficients, linearised at the present ones.

    Where the full step brings less than half of the predicted fall it is shortened (halved), and
    damped (Levenberg–Marquardt), and whatever has the least true loss is taken, or nothing; where
    hardly any fall is predicted it is taken only if it brings one. linear = True (known to be so)
    spares that.
    """
    layers = residuals.surrogate.network.output_layers
    triangle = residuals.model(layers)
    old, before = get_coefficients(layers), triangle.loss()
    # Solve for the coefficients themselves, not their change: the smallest ones are wanted.
    new, rank = triangle.solve(triangle.matrix @ old - triangle.target, rcond)
    predicted, rounding = triangle.loss(new - old), rounding_of(residuals, triangle, new)
    floor = rounding + (LITTLE * before if residuals.are_squares else 0.0)
    if linear:
        set_coefficients(layers, new)
        return OutputStep(before, predicted, predicted, rank, 1.0, 0.0, floor, True, 1)
    search = _Search(residuals, old)
    loss, share, damping = search.loss_at(new), 1.0, 0.0
    # A coefficient times a field is linear at the zero function, and nowhere else.
    linear = rank > 0 and not residuals.surrogate.has_unknowns
    linear = linear and _is_linear(search, triangle, new, loss, before, rounding)
    if linear or before - loss >= ENOUGH * (before - predicted):
        set_coefficients(layers, new)
    elif before - predicted <= floor:
        loss, share = search.better(new, loss, before)
    else:
        loss, share, damping = search.best(new, triangle, before)
    return OutputStep(
        before, predicted, loss, rank, share, damping, floor, linear, search.evaluations + 1
    )


class _Search:
    """The true loss at trial coefficients, of which it remembers the best."""

    def __init__(self, residuals: Residuals, old: Tensor) -> None:
        self.residuals, self.old, self.evaluations = residuals, old, 0

    def loss_at(self, coefficients: Tensor) -> float:
        """The loss there; the network is left there."""
        set_coefficients(self.residuals.surrogate.network.output_layers, coefficients)
        self.evaluations += 1
        return self.residuals.loss()

    def better(self, new: Tensor, loss: float, before: float) -> tuple[float, float]:
        """Loss and share of the full step, or of none, where the network is left."""
        better = loss < before
        layers = self.residuals.surrogate.network.output_layers
        set_coefficients(layers, new if better else self.old)
        return (loss, 1.0) if better else (before, 0.0)

    def best(self, new: Tensor, triangle: Triangle, before: float) -> tuple[float, float, float]:
        """Loss, share and damping of the best step, where the network is left."""
        loss, share = self._halved(new, before)
        best = self.old + share * (new - self.old)
        steps = triangle.damped()
        probes = Probes(lambda damping: self.loss_at(self.old + steps.step(damping)))
        damping, damped = best_damping(probes, START_DAMPING, before)
        if damped < loss:
            loss, share, best = damped, 1.0, self.old + steps.step(damping)
        else:
            damping = 0.0
        set_coefficients(self.residuals.surrogate.network.output_layers, best)
        return loss, share, damping

    def _halved(self, new: Tensor, before: float) -> tuple[float, float]:
        """The best of the steps 1, 1/2, 1/4, … up to the first that is worse; share 0 for none."""
        loss, best = before, 0.0
        for halvings in range(MOST_HALVINGS):
            share = 0.5**halvings
            tried = self.loss_at(self.old + share * (new - self.old))
            if tried < loss:
                loss, best = tried, share
            elif best:
                break
        return loss, best


def rounding_of(residuals: Residuals, triangle: Triangle, coefficients: Tensor) -> float:
    """The part of the loss at these coefficients that may be rounding.

    Each term J_pj c_j of a residual is rounded; the squares of these errors add up. An energy is
    not small where it is least: it is rounded itself.
    """
    terms = float((column_scale(triangle.matrix) * coefficients).square().sum())
    rounding = ROUNDING * torch.finfo(coefficients.dtype).eps
    return terms * (rounding**2 if residuals.are_squares else rounding)


def _is_linear(
    search: _Search, triangle: Triangle, new: Tensor, loss: float, before: float, floor: float
) -> bool:
    """Whether losses far apart are those of the linearised residual.

    The last of Newton's steps is as well predicted as a linear residual's: the loss of the zero
    function, far from both its ends, tells them apart.
    """
    predicted = triangle.loss(new - search.old)
    error = abs(loss - predicted)
    if not (error <= LINEAR * abs(before - predicted) and error <= 0.1 * abs(predicted) + floor):
        return False
    at_zero = triangle.loss(-search.old)
    return abs(search.loss_at(torch.zeros_like(new)) - at_zero) <= LINEAR * abs(at_zero)
