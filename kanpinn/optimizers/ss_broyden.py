"""Self-scaled Broyden: a quasi-Newton method with a dense inverse Hessian."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.status import CONVERGED
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.broyden_update import updated
from kanpinn.optimizers.first_order import trainable
from kanpinn.optimizers.method import INDEPENDENT, Optimizer, Stage, Step
from kanpinn.optimizers.wolfe import LinePoint, strong_wolfe


@dataclass(frozen=True)
class SSBroyden(Optimizer):
    """Self-scaled Broyden steps with a dense inverse Hessian and strong Wolfe line searches.

    One step is one iteration: a line search, usually with one or two evaluations of loss and
    gradient, and an update of the inverse Hessian with 4P² operations for P parameters. If points
    or their weights have changed, loss and gradient are evaluated again and the matrix is kept.

    Args:
        steps: the largest number of iterations.
        tolerance: the method has converged if 50 iterations lower the loss by less than this
            fraction.
        largest: the largest number of parameters P; the matrix takes 8P² bytes, 200 MB for 5000.

    Raises:
        InputError: for values out of range; at the start, for a network with more parameters.

    Reference: Al-Baali, Spedicato and Maggioni, Broyden's quasi-Newton methods for a nonlinear
    system of equations and unconstrained optimization (2014); Urbán, Stefanou and Pons, Unveiling
    the optimization process of PINNs (2025); Kiyani et al., Optimizing the optimizer
    for PINNs and KANs (2025).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5, grid=4), kp.SSBroyden(steps=20))
        >>> solution.history.steps <= 20
        True
    """

    steps: int = 2000
    tolerance: float = 1e-6
    largest: int = 5000
    title = "SSBroyden"

    def measures(self, step: int) -> bool:
        return step % max(1, self.steps // 250) == 0

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        number("tolerance", self.tolerance)
        if self.tolerance >= 1:
            raise InputError(f"tolerance must be below 1, got {self.tolerance!r}")
        integer("largest", self.largest)

    def start(self, residuals: Residuals, seed: int) -> "SSBroydenStage":
        # Not in `check`: methods before this one may refine or prune the network.
        count = sum(p.numel() for p in trainable(residuals))
        if count > self.largest:
            raise InputError(
                f"SSBroyden keeps a dense matrix of parameters²: {count} parameters are more than "
                f"largest = {self.largest} ({8 * count**2 / 2**30:.1f} GiB); LBFGS needs none"
            )
        return SSBroydenStage(self, residuals)


class SSBroydenStage(Stage):
    """The state of SSBroyden between its steps.

    Attributes:
        inverse: H, the inverse Hessian (P, P); None for the identity.
        loss, gradient: those at the present coefficients; the gradient is None before the first
            step.
        count: the number of iterations so far.
        mark: the loss at the last multiple of fifty iterations; infinite if there is none.
        points, factors: the collocation points and factors of the terms at which loss and gradient
            were evaluated.
    """

    kept = ("inverse", "gradient", "loss", "count", "mark", "points", "factors")

    def __init__(self, settings: SSBroyden, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        self.parameters = trainable(residuals)
        self.inverse: Tensor | None = None
        self.gradient: Tensor | None = None
        self.loss, self.count, self.mark = math.nan, 0, math.inf
        self.points: list[Tensor] = []
        self.factors: list[float] = []

    def step(self) -> Step:
        evaluations = 0
        if self._moved() or self.gradient is None:
            self.loss, self.gradient = self._evaluate()
            evaluations = 1
        spent, finished = self._iterate()
        self.count += 1
        spent += self._follow()
        if finished is None and self.count % 50 == 0:
            finished = CONVERGED if self.loss > self.mark * (1 - self.settings.tolerance) else None
            self.mark = self.loss
        return Step(self.loss, evaluations + spent, finished)

    def _iterate(self) -> tuple[int, str | None]:
        """Take a quasi-Newton step, or a gradient step if that one does not lower the loss.

        Returns:
            The number of evaluations, and the status if no step lowers the loss, else None.
        """
        spent = 0
        while True:
            assert self.gradient is not None
            inverse = self.inverse
            direction = -self.gradient if inverse is None else -(inverse @ self.gradient)
            slope = float(direction @ self.gradient)
            if slope < 0:
                evaluations, moved = self._search(direction, slope)
                spent += evaluations
                if moved:
                    return spent, None
            if inverse is None:
                return spent, self._verdict()
            self.inverse = None

    def _verdict(self) -> str:
        assert self.gradient is not None
        if not bool(self.gradient.any()):
            independent = self.residuals.are_squares and self.loss > 0
            return INDEPENDENT if independent else CONVERGED
        return "stopped: no step against the gradient lowers the loss, which is down to rounding"

    def _moved(self) -> bool:
        """Return whether points or factors of the terms have changed since the last evaluation.

        If the points have changed, `mark` is reset: losses at different points are not comparable.
        """
        terms = self.residuals.terms
        points = [term.points.coords for term in terms]
        factors = [term.factor for term in terms]
        moved = not _same(points, self.points)
        if moved:
            self.mark = math.inf
        moved = moved or factors != self.factors
        self.points, self.factors = points, factors
        return moved

    def _search(self, direction: Tensor, slope: float) -> tuple[int, bool]:
        """Search along a direction for a lower loss; if it is found, step and update the inverse.

        Args:
            direction: the search direction, (P,).
            slope: the derivative of the loss along it, negative.

        Returns:
            The number of evaluations, and whether a lower loss was found.
        """
        assert self.gradient is not None
        start = self._vector()
        gradients: dict[float, Tensor] = {}

        def at(length: float) -> LinePoint:
            self._set(start + length * direction)
            loss, gradient = self._evaluate()
            gradients[length] = gradient
            return LinePoint(length, loss, float(gradient @ direction))

        first = 1.0 if self.inverse is not None else min(1.0, 1 / float(self.gradient.abs().sum()))
        found = strong_wolfe(at, LinePoint(0.0, self.loss, slope), first)
        if found is None:
            self._set(start)
            return len(gradients), False
        self._set(start + found.length * direction)
        new = gradients[found.length]
        change = found.length * direction
        self.inverse = updated(
            self.inverse, change, new - self.gradient, -found.length * float(self.gradient @ change)
        )
        self.loss, self.gradient = found.loss, new
        return len(gradients), True

    def _follow(self) -> int:
        """Adapt the grids to the activations; return the number of evaluations.

        This is done after every iteration, since an edge function is only linear beyond its grid.
        If it changes the coefficients, loss and gradient are evaluated again.
        """
        before = self._vector()
        self.residuals.surrogate.follow(self.residuals.points)
        if torch.equal(before, self._vector()):
            return 0
        self.loss, self.gradient = self._evaluate()
        return 1

    def _vector(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.parameters]).double()

    @torch.no_grad()
    def _set(self, vector: Tensor) -> None:
        parts = vector.split([p.numel() for p in self.parameters])
        for p, part in zip(self.parameters, parts, strict=True):
            p.copy_(part.view_as(p))

    def _evaluate(self) -> tuple[float, Tensor]:
        loss = self.residuals.backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        return loss, torch.cat([g.flatten() for g in gradients]).double()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        device = self.parameters[0].device  # a checkpoint is read to the CPU
        self.inverse = None if self.inverse is None else self.inverse.to(device)
        self.gradient = None if self.gradient is None else self.gradient.to(device)
        self.points = [tensor.to(device) for tensor in self.points]


def _same(these: Sequence[Tensor], those: Sequence[Tensor]) -> bool:
    return len(these) == len(those) and all(map(torch.equal, these, those))
