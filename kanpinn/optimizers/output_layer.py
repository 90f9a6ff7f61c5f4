"""Gauss–Newton on the output layer: one damped step, and Newton's method as repeated steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.linalg.triangle import Triangle, column_scale
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Layer, get_coefficients, set_coefficients
from kanpinn.optimizers.damping import Probes, best_damping


@dataclass(frozen=True, kw_only=True)
class OutputStep:
    """The result of one Gauss–Newton step on the output layer.

    Args:
        before: the loss before the step.
        predicted: the loss of the linearised residual after the full step.
        loss: the loss after the step that was taken.
        rank: the numerical rank of the Jacobian; 0 if to first order the residual does not depend
            on the output layer.
        columns: of the Jacobian, one for each coefficient that was solved for.
        share: the part of the full step that was taken; 0 for none.
        damping: of the step that was taken, relative to the largest singular value squared; 0 for
            an undamped one.
        floor: a predicted fall of the loss below this is rounding, or not worth another step.
        linear: whether the losses are those of a residual that is affine in the coefficients.
        evaluations: of the loss and of the Jacobian.
    """

    before: float
    predicted: float
    loss: float
    rank: int
    columns: int
    share: float = 1.0
    damping: float = 0.0
    floor: float
    linear: bool = False
    evaluations: int

    @property
    def stationary(self) -> bool:
        """Whether the loss of the linearised residual could not fall any further."""
        return is_stationary(self.before - self.predicted, self.before, self.floor)


def is_stationary(fall: float, loss: float, floor: float) -> bool:
    """Whether a predicted fall of the loss counts as none: below 1e-8 of it and the floor."""
    return fall <= 1e-8 * abs(loss) + floor


def solve_output(
    residuals: Residuals, rcond: float | None = None, linear: bool | None = None
) -> OutputStep:
    """Take one Gauss–Newton step on the output coefficients, the least-squares solution.

    If the full step brings less than half of the predicted fall, shorter and damped steps
    (Levenberg–Marquardt) are tried as well, and the one with the lowest true loss is taken, or
    none. If hardly any fall is predicted, the full step is taken only if it lowers the loss.

    Args:
        residuals: the terms of the loss; the surrogate's output layers are changed.
        rcond: singular values below rcond times the largest are cut off; None for 50 eps.
        linear: True if the residual is known to be affine in the coefficients: no loss is evaluated
            then.

    Returns:
        What the step did.

    Raises:
        LinAlgError: if the residual or a derivative is not finite.
    """
    layers = residuals.surrogate.network.output_layers
    triangle = residuals.model(layers)
    old, before = get_coefficients(layers), triangle.loss()
    # Solve for the coefficients themselves, not their change: the smallest ones are wanted.
    new, rank = triangle.solve(old, rcond)
    predicted, rounding = triangle.loss(new - old), rounding_of(residuals, triangle, new)
    # No sum of squares is negative: a step for so little of it is tried once, and is the last.
    floor = rounding + (1e-4 * before if residuals.are_squares else 0.0)
    trials = _Trials(residuals, layers, triangle, old, before)
    if linear:
        taken = _Trial(new, predicted)
    else:
        taken = _Trial(new, trials.loss_at(new))
        # A product of a coefficient field and a field is linear at zero, and nowhere else.
        linear = rank > 0 and not residuals.surrogate.has_unknowns
        linear = linear and trials.are_linear(taken, predicted, rounding)
        if not linear and not before - taken.loss >= 0.5 * (before - predicted):
            if not before - predicted <= floor:
                taken = trials.best(new)
            elif not taken.loss < before:
                taken = _Trial(old, before, share=0.0)
    set_coefficients(layers, taken.coefficients)
    return OutputStep(
        before=before,
        predicted=predicted,
        loss=taken.loss,
        rank=rank,
        columns=len(new),
        share=taken.share,
        damping=taken.damping,
        floor=floor,
        linear=linear,
        evaluations=trials.evaluations + 1,
    )


@dataclass(frozen=True)
class _Trial:
    """Coefficients, their loss, and the share and damping of the step that leads there."""

    coefficients: Tensor
    loss: float
    share: float = 1.0
    damping: float = 0.0


@dataclass
class _Trials:
    """The true loss at trial coefficients around the old ones."""

    residuals: Residuals
    layers: Sequence[Layer]
    triangle: Triangle
    old: Tensor
    before: float  # the loss at the old coefficients
    evaluations: int = 0

    def loss_at(self, coefficients: Tensor) -> float:
        """Return the loss at coefficients; the network keeps them."""
        set_coefficients(self.layers, coefficients)
        self.evaluations += 1
        return self.residuals.loss()

    def are_linear(self, full: _Trial, predicted: float, rounding: float) -> bool:
        """Whether the true losses are those of the linearised residual to 1e-8, even far away.

        The last of Newton's steps is as well predicted as the step of a linear residual. The loss
        of the zero function, far from both ends of the step, tells them apart.
        """
        error = abs(full.loss - predicted)
        near = error <= 1e-8 * abs(self.before - predicted)
        if not (near and error <= 0.1 * abs(predicted) + rounding):
            return False
        at_zero = self.triangle.loss(-self.old)
        loss = self.loss_at(torch.zeros_like(self.old))
        return abs(loss - at_zero) <= 1e-8 * abs(at_zero)

    def best(self, new: Tensor) -> _Trial:
        """Return the trial of the lowest loss among shortened and damped steps."""
        shortened = self._shortened(new)
        steps = self.triangle.damped()
        probes = Probes(lambda damping: self.loss_at(self.old + steps.step(damping)))
        damping, loss = best_damping(probes, 1e-6, self.before)
        if loss < shortened.loss:
            return _Trial(self.old + steps.step(damping), loss, damping=damping)
        return shortened

    def _shortened(self, new: Tensor) -> _Trial:
        """Return the best of the steps 1, 1/2, 1/4, … up to the first that is worse, or none."""
        best = _Trial(self.old, self.before, share=0.0)
        for halvings in range(12):
            share = 0.5**halvings
            tried = self.old + share * (new - self.old)
            if (loss := self.loss_at(tried)) < best.loss:
                best = _Trial(tried, loss, share)
            elif best.share:
                break
        return best


def rounding_of(residuals: Residuals, triangle: Triangle, coefficients: Tensor) -> float:
    """Return the part of the loss at these coefficients that may be rounding.

    Each term J_pj c_j of a residual is rounded, and the squares of these errors add up; by
    measurement such an error is at most a hundred eps. An energy is not small at its minimum: it is
    rounded itself.
    """
    terms = float((column_scale(triangle.matrix) * coefficients).square().sum())
    rounding = 100 * torch.finfo(coefficients.dtype).eps
    return terms * (rounding**2 if residuals.are_squares else rounding)


def solve_newton(residuals: Residuals) -> tuple[float, int]:
    """Repeat `solve_output` from the present coefficients until a step no longer pays.

    The last step is the one that leaves more than half of the loss, or the twelfth; or one so well
    predicted, to 1e-6 of the loss, that another would bring nothing.

    Returns:
        The loss, infinite if the linear algebra broke down, and the number of evaluations.
    """
    loss, evaluations = math.inf, 0
    try:
        for _ in range(12):
            done = solve_output(residuals)
            loss, evaluations = done.loss, evaluations + done.evaluations
            well_predicted = abs(done.loss - done.predicted) <= 1e-6 * done.loss
            if done.linear or well_predicted or not done.loss < 0.5 * done.before:
                break
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return math.inf, evaluations
    return loss if math.isfinite(loss) else math.inf, evaluations
