"""Gauss–Newton on the output layer: a single damped step, and steps repeated to convergence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.linalg.triangle import TriangularFactor, column_scale
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import Layer, get_coefficients, set_coefficients
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
        columns: the number of columns of the Jacobian, one for each coefficient solved for.
        share: the fraction of the full step that was taken; 0 if no step was taken.
        damping: that of the step taken, relative to the largest singular value squared; 0 for an
            undamped step.
        floor: a predicted decrease of the loss below this is due to rounding, or too small for
            another step.
        linear: True if the residual is affine in the coefficients, as known or as measured.
        evaluations: the number of evaluations of the loss and of the Jacobian.
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
        """Whether the linearised residual predicts no significant decrease of the loss."""
        return is_stationary(self.before - self.predicted, self.before, self.floor)


def is_stationary(fall: float, loss: float, floor: float) -> bool:
    """Return whether a predicted decrease is at most 1e-8 of the loss plus the floor."""
    return fall <= 1e-8 * abs(loss) + floor


def solve_output(
    residuals: Residuals, rcond: float | None = None, linear: bool | None = None
) -> OutputStep:
    """Take one Gauss–Newton step on the output coefficients: the linearised problem's solution.

    If the full step lowers the loss by less than half of the predicted decrease, shorter steps and
    damped ones (Levenberg–Marquardt) are tried as well. The one with the lowest true loss is taken,
    or none if all raise it. If the predicted decrease is below the floor, only the full step is
    tried, and taken only if it lowers the loss.

    Args:
        residuals: the terms of the loss; the surrogate's output layers are changed.
        rcond: singular values below rcond times the largest are cut off; None for 50 eps.
        linear: True if the residual is known to be affine in the coefficients; the full step is
            then taken without evaluating the loss.

    Returns:
        The result of the step.

    Raises:
        LinAlgError: if the residual or a derivative is not finite.
    """
    layers = residuals.surrogate.network.output_layers
    triangle = residuals.model(layers)
    old, before = get_coefficients(layers), triangle.loss()
    # Solve for the coefficients, not their change: the minimum-norm coefficients are wanted.
    new, rank = triangle.solve(old, rcond)
    predicted, rounding = triangle.loss(new - old), rounding_of(residuals, triangle, new)
    # A sum of squares is at least zero, so a predicted decrease by 1e-4 of it is worth no more than
    # one trial.
    floor = rounding + (1e-4 * before if residuals.are_squares else 0.0)
    trials = _Trials(residuals, layers, triangle, old, before)
    if linear:
        taken = _Trial(new, predicted)
    else:
        taken = _Trial(new, trials.loss_at(new))
        linear = rank > 0 and trials.are_affine(taken, predicted, rounding)
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
    """Trial coefficients (p,), their loss, and the share and damping of the step to them."""

    coefficients: Tensor
    loss: float
    share: float = 1.0
    damping: float = 0.0


@dataclass
class _Trials:
    """Evaluates the true loss at trial coefficients around the old ones."""

    residuals: Residuals
    layers: Sequence[Layer]
    triangle: TriangularFactor
    old: Tensor
    before: float  # the loss at the old coefficients
    evaluations: int = 0

    def loss_at(self, coefficients: Tensor) -> float:
        """Set the network's output coefficients and return the loss."""
        set_coefficients(self.layers, coefficients)
        self.evaluations += 1
        return self.residuals.loss()

    def are_affine(self, taken: _Trial, predicted: float, rounding: float) -> bool:
        """Return whether the losses at the full step and at zero are those of an affine residual.

        They agree with those of the linearised residual to 1e-8. At the full step alone they also
        do for a nonlinear residual near convergence; zero is far from both ends of the step. Where
        the loss at the full step is above the rounding error that is estimated, that half way there
        agrees to 1e-11 as well.

        Args:
            taken: the full step.
            predicted: the loss of the linearised residual there.
            rounding: an estimate of the rounding error of that loss.
        """
        # A product of an unknown coefficient field and a field is zero to first order at zero: the
        # comparison of losses could take it for affine.
        if self.residuals.surrogate.has_unknowns:
            return False
        miss, fall = abs(taken.loss - predicted), abs(self.before - predicted)
        if not miss <= 1e-8 * fall:
            return False
        if not miss <= 0.1 * abs(predicted) + rounding:
            half = (taken.coefficients - self.old) / 2
            expected = self.triangle.loss(half)
            if not abs(self.loss_at(self.old + half) - expected) <= 1e-11 * abs(self.before):
                return False
        at_zero = self.triangle.loss(-self.old)
        return abs(self.loss_at(torch.zeros_like(self.old)) - at_zero) <= 1e-8 * abs(at_zero)

    def best(self, new: Tensor) -> _Trial:
        """Return the trial with the lowest loss among shortened and damped steps, or no step."""
        shortened = self._shortened(new)
        steps = self.triangle.damped()
        probes = Probes(lambda damping: self.loss_at(self.old + steps.step(damping)))
        damping, loss = best_damping(probes, 1e-6, self.before)
        if loss < shortened.loss:
            return _Trial(self.old + steps.step(damping), loss, damping=damping)
        return shortened

    def _shortened(self, new: Tensor) -> _Trial:
        """Return the best of the steps 1, 1/2, 1/4, … until the loss rises again, or no step."""
        best = _Trial(self.old, self.before, share=0.0)
        for halvings in range(12):
            share = 0.5**halvings
            tried = self.old + share * (new - self.old)
            if (loss := self.loss_at(tried)) < best.loss:
                best = _Trial(tried, loss, share)
            elif best.share:
                break
        return best


def rounding_of(residuals: Residuals, triangle: TriangularFactor, coefficients: Tensor) -> float:
    """Return an upper estimate of the rounding error in the loss at these coefficients.

    Each term J_pj c_j of a residual is rounded, and the squares of these errors add up; measured,
    such an error is at most a hundred eps. An energy, which is not small at its minimum, is rounded
    itself.
    """
    terms = float((column_scale(triangle.matrix) * coefficients).square().sum())
    rounding = 100 * torch.finfo(coefficients.dtype).eps
    return terms * (rounding**2 if residuals.are_squares else rounding)


def solve_newton(residuals: Residuals) -> tuple[float, int]:
    """Repeat `solve_output` from the present coefficients until further steps are not worthwhile.

    The last step is the one that leaves half of the loss or more, or whose loss was predicted to a
    relative 1e-6, or for which the residual is affine; or the twelfth.

    Returns:
        The loss, infinite if the linear algebra failed, and the number of evaluations.
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
