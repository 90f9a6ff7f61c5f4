"""Gauss–Newton steps on the output layer, for all its coefficients or by variable projection."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.distributed import from_first
from kanpinn.linalg.qr import TriangularFactor, column_scale, outside_range
from kanpinn.loss.parameters import Parameters
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import Layer, get_coefficients, set_coefficients
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers.damping import best_damping, falls_short, is_stationary, shortened
from kanpinn.optimizers.method import svd_seconds


@dataclass(frozen=True, kw_only=True)
class OutputStep:
    """The result of one Gauss–Newton step on the output layer.

    Args:
        before: the loss before the step.
        predicted: the loss of the linearised residual after the full step.
        loss: the loss after the step that was taken.
        rank: the numerical rank of the Jacobian; 0 if to first order the residual does not depend
            on the output layer.
        columns: the number of columns of the Jacobian, one for each coefficient that was solved
            for.
        share: the fraction of the full step that was taken; 0 if no step was taken.
        damping: the damping of the step, relative to the square of the Jacobian's largest singular
            value; 0 for an undamped step.
        floor: the least significant decrease of the loss: a smaller predicted decrease is due to
            rounding, or too small for another step.
        linear: True if the residual is known, or was found, to be affine in the coefficients.
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
        """True if the linearised residual predicts no significant decrease of the loss."""
        return is_stationary(self.before - self.predicted, self.before, self.floor)


def solve_output(
    residuals: Residuals,
    rcond: float | None = None,
    seconds: float = math.inf,
    linear: bool | None = None,
) -> OutputStep:
    """Take one Gauss–Newton step on the output layers' coefficients.

    The full step leads to the solution of the linearised problem. If the full step lowers the loss
    by less than half of the predicted decrease, shorter steps and damped steps
    (Levenberg–Marquardt) are tried as well. The step with the lowest true loss is taken, or no step
    if all steps raise the loss. If the predicted decrease is not significant, only the full step is
    tried, and it is taken only if it lowers the loss.

    Args:
        residuals: the terms of the loss; the surrogate's output layers are changed.
        rcond: singular values below rcond times the largest singular value are cut off; None for 50
            times the machine epsilon.
        seconds: the seconds that the step may take. Damped steps are not tried if their singular
            value decomposition would take longer.
        linear: True if the residual is known to be affine in the coefficients; the full step is
            then taken without evaluating the loss. None or False if this is to be found out from
            the loss after the step.

    Returns:
        The result of the step.

    Raises:
        LinAlgError: if the residual or a derivative is not finite.
    """
    layers, begun = residuals.surrogate.network.output_layers, time.perf_counter()
    triangle = residuals.model(layers)
    old = get_coefficients(layers)
    # If an energy has hardly any curvature, the terms of its quadratic model are so large that the
    # model's value is lost in rounding.
    before = triangle.loss() if residuals.are_squares else residuals.loss()
    # Solve for the coefficients, not their change: the minimum-norm coefficients are wanted.
    new, rank = triangle.solve(old, rcond)
    predicted, rounding = triangle.loss(new - old), rounding_of(residuals, triangle, new)
    # A sum of squares is at least zero, so a predicted decrease by 1e-4 of the sum is worth no more
    # than one trial.
    floor = rounding + (1e-4 * before if residuals.are_squares else 0.0)
    trials = _Trials(residuals, layers, triangle, old, before)
    if linear:
        taken = _Trial(new, predicted)
    else:
        taken = _Trial(new, trials.loss_at(new))
        linear = rank > 0 and trials.are_affine(taken, predicted, rounding)
        if not linear and falls_short(before, predicted, taken.loss):
            if not before - predicted <= floor:
                taken = trials.best(new, seconds - (time.perf_counter() - begun))
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
    """A step of the coefficients, with the loss after it.

    Args:
        coefficients: the coefficients after the step, (p,).
        loss: the loss after the step.
        share: the length of the step relative to the full step; 0 for no step.
        damping: the damping of the step; 0 for an undamped step.
    """

    coefficients: Tensor
    loss: float
    share: float = 1.0
    damping: float = 0.0


@dataclass
class _Trials:
    """Trial steps from the coefficients before a Gauss–Newton step, and their true losses.

    Args:
        residuals: the terms of the loss.
        layers: the output layers, with p coefficients.
        triangle: the linearised residual at the old coefficients.
        old: the old coefficients, (p,).
        before: the loss at the old coefficients.
        evaluations: the number of evaluations of the loss so far.
    """

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
        """Return whether the residual is affine in the coefficients, judged by losses.

        The losses after the full step and for zero coefficients must agree with the losses of the
        linearised residual to 1e-8. Near convergence the loss after the full step agrees for a
        nonlinear residual, too, but zero coefficients are far from both ends of the step. If the
        loss after the full step differs by more than the estimated rounding error, the loss half
        way to the full step must also agree, to 1e-11.

        Args:
            taken: the full step.
            predicted: the loss of the linearised residual after the full step.
            rounding: an estimate of the rounding error of the loss after the full step.
        """
        # The product of an unknown coefficient field and a field is zero to first order at zero
        # coefficients, so the comparison of losses could find it to be affine.
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

    def best(self, new: Tensor, seconds: float) -> _Trial:
        """Return the trial with the lowest loss among shortened steps, damped steps and no step.

        Args:
            new: the coefficients after the full step, (p,).
            seconds: the seconds that are left for the damped steps.
        """
        share, least = shortened(lambda s: self.loss_at(self._towards(new, s)), self.before)
        late = math.isfinite(seconds) and svd_seconds(len(new), new) > seconds
        if from_first(late):  # so that all ranks take the same step
            return _Trial(self._towards(new, share), least, share)
        steps = self.triangle.damped()
        damping, loss, _ = best_damping(
            lambda damping: self.loss_at(self.old + steps.step(damping)), 1e-6, self.before
        )
        if loss < least:
            return _Trial(self.old + steps.step(damping), loss, damping=damping)
        return _Trial(self._towards(new, share), least, share)

    def _towards(self, new: Tensor, share: float) -> Tensor:
        """The coefficients old + share · (new - old) after a share of the full step, (p,)."""
        return self.old + share * (new - self.old)


def rounding_of(residuals: Residuals, triangle: TriangularFactor, coefficients: Tensor) -> float:
    """Return an upper estimate of the rounding error in the loss.

    Each term J_ij c_j of a residual i is rounded, with a relative error of at most a hundred eps as
    measured, and the squares of these errors add up. Here J is the Jacobian, c are the
    coefficients, and eps is the machine epsilon. An energy is not small at its minimum; its
    rounding error is relative to its terms.

    Args:
        residuals: the terms of the loss.
        triangle: the linearised residual, with the triangular factor of J.
        coefficients: the coefficients c at which the loss is evaluated, (p,).
    """
    terms = float((column_scale(triangle.matrix) * coefficients).square().sum())
    rounding = 100 * torch.finfo(coefficients.dtype).eps
    return terms * (rounding**2 if residuals.are_squares else rounding)


def solve_reduced(
    residuals: Residuals, rcond: float | None = None, seconds: float = math.inf
) -> OutputStep:
    """Take one Gauss–Newton step in the unknowns of an inverse problem, and solve for the fields.

    The unknowns are the scalar parameters and coefficient fields that the inverse problem
    identifies. If the residual is nearly zero, the loss as a function of fields and unknowns
    together is a narrow curved valley, in which straight steps must be short. A step in the
    unknowns is therefore judged by the loss after solving for the fields at the new unknowns. If
    the fields are not yet the solution for the present unknowns, the step solves for the fields
    only.

    Args:
        residuals: the terms of the loss; the surrogate's output layers are changed.
        rcond: singular values below rcond times the largest singular value are cut off; None for 50
            times the machine epsilon.
        seconds: the seconds that the step may take. Damped steps are not tried later, unless the
            full step raises the loss.

    Returns:
        The result of the step.

    Reference: Golub and Pereyra (1973), variable projection; Haber, Ascher and Oldenburg (2000), on
    reduced-space methods for inverse problems.
    """
    reduced, begun = _Reduced(residuals, rcond), time.perf_counter()
    triangle = residuals.model(reduced.layers)
    before = triangle.loss()
    old = get_coefficients(reduced.layers)
    new, rank = reduced.fields_solution(triangle, old)
    predicted = triangle.loss(new - old)
    columns, damping = int((~reduced.unknown).sum()), 0.0
    if before - predicted > reduced.followed * before:
        loss = reduced.follow(new)
    else:
        columns = len(old)
        new, rank = triangle.solve(old, rcond)
        predicted = triangle.loss(new - old)  # for a shorter step the fields are not known yet
        change = reduced.parameters.limited(old, new - old)
        new = torch.where(change == new - old, new, old + change)  # `new` avoids rounding
        loss = reduced.follow(new)
        late = from_first(time.perf_counter() - begun > seconds)
        if falls_short(before, predicted, loss) and not (late and loss < before):
            loss, damping = reduced.damped(triangle, old, (loss, new), before)
    return OutputStep(
        before=before,
        predicted=predicted,
        loss=loss,
        rank=rank,
        columns=columns,
        share=float(loss < before),
        damping=damping,
        floor=1e-8 * before,
        evaluations=reduced.evaluations,
    )


@dataclass
class _Reduced:
    """The loss as a function of an inverse problem's unknowns only, minimised over the fields.

    The unknowns are scalar parameters and coefficient fields.

    Args:
        residuals: the terms of the loss.
        rcond: singular values below rcond times the largest one are cut off; None for 50 times the
            machine epsilon.
        followed: the fields count as the solution for the present unknowns if their next step would
            lower the loss by less than this fraction. For smaller values more solves are needed;
            for larger values a step in the unknowns is judged by too high a loss. Values from 1e-6
            to 1e-2 are sensible.
        evaluations: the number of evaluations of the loss and of Jacobians so far.
        layers: the output layers, with p coefficients.
        unknown: a mask of the coefficients that belong to unknowns, (p,).
        parameters: the unknown scalar parameters, whose coefficients are the last of the p.
    """

    residuals: Residuals
    rcond: float | None
    followed: ClassVar[float] = 1e-3
    evaluations: int = 1
    layers: list[Layer] = field(init=False)
    unknown: Tensor = field(init=False)
    parameters: Parameters = field(init=False)

    def __post_init__(self) -> None:
        self.layers = self.residuals.surrogate.network.output_layers
        self.unknown = unknown_columns(self.residuals.surrogate)
        # The coefficients of unknown parameters are the last coefficients.
        self.parameters = Parameters(self.residuals.surrogate.network.constants)

    def fields_solution(self, triangle: TriangularFactor, old: Tensor) -> tuple[Tensor, int]:
        """Solve the linearised problem for the fields, with an inverse problem's unknowns fixed.

        Args:
            triangle: the linearised residual at the old coefficients.
            old: the old coefficients, (p,).

        Returns:
            All coefficients, (p,), and the rank of the Jacobian for the fields.
        """
        free = ~self.unknown
        columns = torch.cat([free, free.new_ones(1)])
        part = TriangularFactor(torch.linalg.qr(triangle.factor[:, columns], mode="r").R)
        new = old.clone()
        new[free], rank = part.solve(old[free], self.rcond)
        return new, rank

    def follow(self, coefficients: Tensor) -> float:
        """Solve for the fields at fixed unknown parameters, by at most eight Gauss–Newton steps.

        The network gets the coefficients with the lowest loss.

        Args:
            coefficients: the coefficients of the fixed unknowns, and the coefficients of the fields
                from which the steps start, (p,).

        Returns:
            The lowest loss.
        """
        set_coefficients(self.layers, coefficients)
        loss, best = self.residuals.loss(), coefficients
        self.evaluations += 1
        for _ in range(8):
            triangle = self.residuals.model(self.layers)
            new, _ = self.fields_solution(triangle, best)
            predicted = triangle.loss(new - best)
            if not loss - predicted > self.followed * predicted:
                break
            set_coefficients(self.layers, new)
            self.evaluations += 2
            if not (reached := self.residuals.loss()) < loss:
                break
            loss, best = reached, new
            if reached - predicted <= self.followed * predicted:
                break
        set_coefficients(self.layers, best)
        return loss

    def damped(
        self, triangle: TriangularFactor, old: Tensor, full: tuple[float, Tensor], before: float
    ) -> tuple[float, float]:
        """Take the full step or the damped step with the lowest loss, or no step if all raise it.

        Args:
            triangle: the linearised residual at the old coefficients.
            old: the coefficients before the step, (p,).
            full: the loss and the coefficients (p,) of the full step.
            before: the loss at the old coefficients.

        Returns:
            The loss after the step, and its damping.
        """
        # The steps are for (I - QQᵀ)[J_unknown, r], where Q is a basis of the range of J_fields.
        last = self.unknown.new_zeros(1)
        fields = triangle.factor[:, torch.cat([~self.unknown, last])]
        rest = triangle.factor[:, torch.cat([self.unknown, ~last])]
        steps = TriangularFactor(torch.linalg.qr(outside_range(fields, rest), mode="r").R).damped()

        def at(damping: float) -> float:
            """Return the loss after the step with this damping."""
            change = torch.zeros_like(old)
            change[self.unknown] = steps.step(damping)
            return self.follow(old + self.parameters.limited(old, change))

        damping, loss, _ = best_damping(at, 1e-6, before)
        if full[0] < min(loss, before):
            return self.follow(full[1]), 0.0
        if loss < before:
            return at(damping), damping
        set_coefficients(self.layers, old)
        return before, damping


def unknown_columns(surrogate: Surrogate) -> Tensor:
    """Return a mask (p,) of the output coefficients that belong to an inverse problem's unknowns.

    They are the coefficients of scalar parameters and coefficient fields that are identified.
    """
    network, columns = surrogate.network, []
    chosen = [coefficient is not None for coefficient in surrogate.coefficients]
    fields = {}  # for each output layer: a list of whether each of its outputs is unknown
    first = 0
    for part in network.parts:
        fields[part.layers[-1]] = chosen[first : first + part.width[-1]]
        first += part.width[-1]
    for layer in network.output_layers:
        numbers = layer in (network.constants, network.sensitivities)
        unknown = [True] if numbers else fields.get(layer, chosen)
        like = layer.coefficients
        columns.append(torch.tensor(unknown, device=like.device).expand(like.shape).flatten())
    return torch.cat(columns)
