"""Self-scaled Broyden: a quasi-Newton method with a dense inverse Hessian."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.broyden_update import updated
from kanpinn.optimizers.first_order import trainable
from kanpinn.optimizers.method import CONVERGED, INDEPENDENT, Optimizer, Stage, Step
from kanpinn.optimizers.wolfe import Trial, strong_wolfe


@dataclass(frozen=True)
class SSBroyden(Optimizer):
    """Self-scaled Broyden steps, the inverse Hessian a dense matrix, strong Wolfe line searches.

    One step is one iteration: a line search (one or two evaluations of loss and gradient, as a
    rule) and an update of the matrix, 4P² operations for P parameters. If points or their weights
    have changed, loss and gradient are evaluated anew, and the matrix is kept.

    Args:
        steps: the largest number of iterations.
        tolerance: it has converged once 50 iterations lower the loss by less than this part of it.
        largest: the number of parameters from which on a network is refused; the matrix takes 8P²
            bytes, 200 MB for 5000.

    Raises:
        InputError: for values out of range; at the start, for a network of more parameters.

    Reference: Al-Baali, Spedicato and Maggioni, Broyden's quasi-Newton methods for a nonlinear
    system of equations and unconstrained optimization (2014); Urbán, Stefanou and Pons, Unveiling
    the optimization process of PINNs (2025); Kiyani et al., Optimizing the optimizer
    for PINNs and KANs (2025).
    """

    steps: int = 2000
    tolerance: float = 1e-6
    largest: int = 5000
    title = "SSBroyden"

    @property
    def measure_every(self) -> int:
        return max(1, self.steps // 250)

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        number("tolerance", self.tolerance)
        if self.tolerance >= 1:
            raise InputError(f"tolerance must be below 1, got {self.tolerance!r}")
        integer("largest", self.largest)

    def start(self, residuals: Residuals, seed: int) -> "SSBroydenStage":
        count = sum(p.numel() for p in trainable(residuals))
        if count > self.largest:
            raise InputError(
                f"SSBroyden keeps a dense matrix of parameters²: {count} parameters are more than "
                f"largest = {self.largest} ({8 * count**2 / 2**30:.1f} GiB); LBFGS needs none"
            )
        return SSBroydenStage(self, residuals)


class SSBroydenStage(Stage):
    """SSBroyden at work.

    Attributes:
        inverse: H, the inverse Hessian (P, P); None for a multiple of the identity.
        loss, gradient: at the present coefficients, points and factors; None before the first step.
        count: the number of iterations so far.
        mark: the loss of fifty iterations ago.
        points, factors: those that loss and gradient belong to.
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
        """Take a quasi-Newton step, or one along the gradient if that fails.

        Returns:
            The number of evaluations, and why no further step is possible, None if one is.
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
        """Whether points or factors of the terms are others than those of loss and gradient.

        The loss is not compared with that at other points: `mark` is forgotten.
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
        """Go along the direction to a lower loss.

        Returns:
            The number of evaluations, and whether there was a lower loss.
        """
        assert self.gradient is not None
        start = self._vector()
        gradients: dict[float, Tensor] = {}

        def at(length: float) -> Trial:
            self._set(start + length * direction)
            loss, gradient = self._evaluate()
            gradients[length] = gradient
            return Trial(length, loss, float(gradient @ direction))

        first = 1.0 if self.inverse is not None else min(1.0, 1 / float(self.gradient.abs().sum()))
        found = strong_wolfe(at, Trial(0.0, self.loss, slope), first)
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
        """Let the grids follow the activations; return the number of evaluations.

        It is done after every iteration, since beyond its grid an edge goes on as a tangent. If
        that changes the coefficients, the gradient is evaluated anew.
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
