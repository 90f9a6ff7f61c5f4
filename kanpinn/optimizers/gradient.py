"""Gradient methods: Adam and L-BFGS from torch.optim, and self-scaled Broyden methods."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import CONVERGED, InputError, integer, number
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.method import INDEPENDENT, Method, Stage, Step, StepCost, gradient_cost


@dataclass(frozen=True)
class Adam(Method):
    """First-order steps against a running average of the gradient, scaled for each parameter.

    A step evaluates loss and gradient once, before the parameters change, and the history has the
    loss before the step. Since the steps are small, a KAN's hidden grids are adapted to the
    activations only after every tenth step and after the last step.

    Args:
        steps: the number of steps.
        lr: the learning rate.

    Raises:
        InputError: for values out of range.

    Reference: Kingma and Ba, Adam (2015).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> network = kp.KAN([1, 1], degree=5, grid=4)
        >>> solution = kp.solve(problem, network, kp.Adam(steps=20, lr=0.01))
        >>> solution.history.steps
        20
    """

    steps: int = 1000
    lr: float = 1e-3
    cheap_steps = True

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        number("lr", self.lr, above=True)

    def cost(self, residuals: Residuals) -> StepCost:
        return gradient_cost(residuals)

    def start(self, residuals: Residuals, seed: int) -> "AdamStage":
        optimizer = torch.optim.Adam(trainable(residuals), lr=self.lr, fused=True)
        return AdamStage(residuals, optimizer, self.steps)


@dataclass(frozen=True)
class LBFGS(Method):
    """Limited-memory BFGS with a strong Wolfe line search.

    One step is one call of torch's `step()`, with up to `iterations` quasi-Newton iterations. The
    history has the number of evaluations of loss and gradient. The method has converged after five
    consecutive steps without a loss below the lowest loss so far.

    Args:
        steps: the largest number of steps.
        lr: the step length that each line search tries first.
        iterations: the largest number of quasi-Newton iterations in each step.
        history: the number of stored pairs, each of a step and the change of the gradient by it.

    Raises:
        InputError: for values out of range.

    Reference: Liu and Nocedal, On the limited memory BFGS method (1989).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5, grid=4), kp.LBFGS(steps=5))
        >>> solution.history.steps <= 5
        True
    """

    steps: int = 100
    lr: float = 1.0
    iterations: int = 20
    history: int = 100
    title = "L-BFGS"

    def __post_init__(self) -> None:
        for name in ("steps", "iterations", "history"):
            integer(name, getattr(self, name))
        number("lr", self.lr, above=True)

    def cost(self, residuals: Residuals) -> StepCost:
        return gradient_cost(residuals)

    def start(self, residuals: Residuals, seed: int) -> "LBFGSStage":
        optimizer = torch.optim.LBFGS(
            trainable(residuals),
            lr=self.lr,
            max_iter=self.iterations,
            max_eval=2 * self.iterations,
            history_size=self.history,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )
        return LBFGSStage(residuals, optimizer)


def trainable(residuals: Residuals) -> list[torch.nn.Parameter]:
    """Return the parameters of the surrogate's networks that require a gradient."""
    return [p for p in residuals.surrogate.parameters() if p.requires_grad]


@dataclass
class TorchStage(Stage):
    """The state of a torch.optim optimizer between its steps."""

    residuals: Residuals
    optimizer: torch.optim.Optimizer

    def descend(self) -> tuple[float, int]:
        """Call torch's `step()` once; return the loss before it and the number of evaluations."""
        losses = []

        def closure() -> float:
            """Compute and return the loss, and store its gradient, as torch's `step` asks."""
            losses.append(self.residuals.backward())
            return losses[-1]

        self.optimizer.step(closure)
        return losses[0], len(losses)

    def independent(self, loss: float) -> str | None:
        """Return a status if the gradient is zero although the loss is positive; otherwise None.

        The result is also None for a loss that is not a sum of squares, such as an energy.

        Args:
            loss: the loss to which the parameters' stored gradients belong.
        """
        if loss <= 0 or not self.residuals.are_squares:
            return None
        gradients = [p.grad for p in trainable(self.residuals) if p.grad is not None]
        return None if any(bool(g.any()) for g in gradients) else INDEPENDENT

    def follow(self) -> None:
        """Adapt a KAN's grids to the activations; called between steps, not in a line search."""
        self.residuals.surrogate.follow(self.residuals.points)


@dataclass
class AdamStage(TorchStage):
    """The state of Adam between its steps.

    Args:
        steps: the number of all steps.
        count: the number of steps that are done.
    """

    steps: int
    count: int = 0
    kept = ("count", "optimizer")

    def step(self) -> Step:
        loss, evaluations = self.descend()
        self.count += 1
        if self.count % 10 == 0 or self.count == self.steps:
            self.follow()
        return Step(loss, evaluations, self.independent(loss), loss_lags=True)


@dataclass
class LBFGSStage(TorchStage):
    """The state of L-BFGS between its steps.

    Args:
        best: the lowest loss after a step so far.
        idle: the number of steps since the lowest loss.
    """

    best: float = math.inf
    idle: int = 0
    kept = ("best", "idle", "optimizer")

    def step(self) -> Step:
        evaluations = self.descend()[1]
        self.follow()
        loss = self.residuals.loss()
        self.idle = 0 if loss < self.best else self.idle + 1
        self.best = min(self.best, loss)
        finished = CONVERGED if self.idle >= 5 else None
        return Step(loss, evaluations, self.independent(loss) or finished)


def updated(inverse: Tensor | None, s: Tensor, y: Tensor, curvature: float) -> Tensor | None:
    """Return the approximate inverse Hessian after a step s that changed the gradient by y.

    The new inverse Hessian is [H - Hy yᵀH / yᵀHy + φ (yᵀHy) v vᵀ] / τ + s sᵀ / yᵀs for the old
    inverse Hessian H, with v = s / yᵀs - Hy / yᵀHy. The numbers φ and τ depend on a = bh - 1,
    b = sᵀH⁻¹s / yᵀs and h = yᵀHy / yᵀs. The new matrix is positive definite if H is and if yᵀs > 0;
    if yᵀs ≤ 0, H is returned unchanged.

    Args:
        inverse: H, (P, P), changed in place; None for the identity, which is then scaled by the
            first step (τ = h / σ with σ = 1 + a θ; θ is the parameter of Broyden's class).
        s: the step, (P,).
        y: the change of the gradient, (P,).
        curvature: the number sᵀH⁻¹s, which is -t sᵀg for a step s = -t H g with the gradient g.

    Returns:
        The new inverse Hessian, (P, P); `inverse` itself if yᵀs ≤ 0.

    Reference: Urbán, Stefanou and Pons (2025), after Al-Baali (1998).
    """
    ys = float(y @ s)
    if not ys > 0:
        return inverse
    h_y = y if inverse is None else inverse @ y
    yhy = float(y @ h_y)
    b, h = curvature / ys, yhy / ys
    a = max(b * h - 1, 1e-14)  # at least 0 by the Cauchy–Schwarz inequality
    rho = min(1.0, h / ((1 + a) * (1 + math.sqrt(a / (1 + a)))))  # h (1 - c), c² = a / (1 + a)
    theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b))
    sigma = 1 + a * theta
    phi = (1 - theta) / sigma  # the parameter of the inverse update: 1 for BFGS, 0 for DFP
    scale, power = min(1.0, 1 / b), sigma ** (-1 / max(len(s) - 1, 1))
    tau = min(scale * power, sigma) if theta <= 0 else scale * min(power, 1 / theta)
    if inverse is None:
        tau = h / sigma
        inverse = torch.eye(len(s), dtype=s.dtype, device=s.device)
    across = -phi / (ys * tau)
    small = s.new_tensor(
        [[phi * yhy / (ys**2 * tau) + 1 / ys, across], [across, (phi - 1) / (yhy * tau)]]
    )
    both = torch.stack([s, h_y], dim=1)
    return inverse.addmm_(both @ small, both.T, beta=1 / tau)


@dataclass(frozen=True)
class LinePoint:
    """A step length that a line search has tried, with the loss there.

    Args:
        length: the step length, in units of the search direction.
        loss: the loss at this step length.
        slope: the derivative of the loss by the step length.
    """

    length: float
    loss: float
    slope: float


def strong_wolfe(
    at: Callable[[float], LinePoint], start: LinePoint, length: float, curvature: float = 0.9
) -> LinePoint | None:
    """Search for a step length that satisfies the strong Wolfe conditions.

    The conditions are φ(t) ≤ φ(0) + 1e-4 t φ'(0) and |φ'(t)| ≤ c |φ'(0)|, where φ(t) is the loss at
    the step length t. If the search ends by rounding errors or after 25 evaluations, the trial with
    the lowest loss is returned, provided that its loss is below φ(0). A loss that is not finite
    counts as too high.

    Args:
        at: evaluates the loss and its slope at a step length.
        start: the trial of length 0; its slope is negative.
        length: the step length that is tried first.
        curvature: c, below 1; 0.9 suits quasi-Newton methods, 0.1 makes the search nearly exact.

    Returns:
        The trial at the step length t; None if no trial lowers the loss.

    Reference: Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6.
    """
    low, high, trials = start, None, []
    for _ in range(25):
        trial = at(length)
        trials.append(trial)
        enough = trial.loss <= start.loss + 1e-4 * length * start.slope
        if not enough or (low is not start and trial.loss >= low.loss):
            high = trial
        elif abs(trial.slope) <= -curvature * start.slope:
            return trial
        elif trial.slope * (1.0 if high is None else high.length - low.length) >= 0:
            low, high = trial, low
        else:
            low = trial
        if high is None:
            length = _beyond(start if len(trials) < 2 else trials[-2], trial)
            continue
        fall = abs(low.slope * (high.length - low.length))
        rounding = math.isfinite(high.loss) and fall <= 1e-15 * abs(low.loss)
        if rounding or abs(high.length - low.length) <= 1e-12 * low.length:
            break
        # The next length is the minimum of a cubic, at least 10 % away from the interval's ends.
        left, right = sorted((low.length, high.length))
        margin, minimum = 0.1 * (right - left), _cubic_minimum(low, high)
        length = (left + right) / 2 if minimum is None else minimum
        length = min(max(length, left + margin), right - margin)
    best = min(trials, key=lambda each: each.loss if math.isfinite(each.loss) else math.inf)
    return best if best.loss < start.loss else None


def _beyond(before: LinePoint, last: LinePoint) -> float:
    """Return the next, longer step length after two trials that do not enclose a minimum.

    It is the minimum of the cubic polynomial through losses and slopes of the two trials, but at
    least 2 and at most 10 times the length of the last trial. If the polynomial has no minimum, or
    has it before the first of the two trials, the result is 10 times the length of the last trial.

    Args:
        before: the trial before the last trial.
        last: the last trial.
    """
    minimum = _cubic_minimum(before, last)
    most, least = 10 * last.length, 2 * last.length
    return most if minimum is None or minimum < before.length else min(max(minimum, least), most)


def _cubic_minimum(a: LinePoint, b: LinePoint) -> float | None:
    """Return the step length at the minimum of the cubic polynomial through two trials.

    The polynomial has the losses and slopes of the two trial step lengths, as in equation 3.59 of
    Nocedal and Wright, Numerical Optimization. The result is None if the polynomial has no minimum,
    or if a loss or a slope is not below 1e100 in size.

    Args:
        a: one trial.
        b: the other trial, with another length.
    """
    if not all(abs(x) < 1e100 for x in (a.loss, b.loss, a.slope, b.slope)):
        return None  # the squares of these numbers would overflow
    first = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length)
    square = first**2 - a.slope * b.slope
    if square < 0:
        return None
    second = math.copysign(math.sqrt(square), b.length - a.length)
    below = b.slope - a.slope + 2 * second
    if below == 0:
        return None
    return b.length - (b.length - a.length) * (b.slope + second - first) / below


@dataclass(frozen=True)
class SSBroyden(Method):
    """Self-scaled Broyden steps with a dense inverse Hessian and strong Wolfe line searches.

    One step is one iteration: a line search, usually with one or two evaluations of loss and
    gradient, and an update of the inverse Hessian with 4P² operations for P parameters. If the
    points or the weights of loss terms have changed since the last step, loss and gradient are
    evaluated again, and the inverse Hessian is kept.

    Args:
        steps: the largest number of iterations.
        tolerance: the method has converged if 50 iterations lower the loss by less than this
            fraction of the loss.
        largest: the largest number of parameters P; the inverse Hessian takes 8P² bytes, 200 MB for
            5000.

    Raises:
        InputError: for values out of range; at the start of the method, for a network with more
            than `largest` parameters.

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
    cheap_steps = True
    title = "SSBroyden"

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
    """The state of the self-scaled Broyden method between its steps.

    Attributes:
        inverse: the approximate inverse Hessian H, (P, P); None for the identity.
        loss: the loss at the present coefficients.
        gradient: the gradient of the loss at the present coefficients, (P,); None before the first
            step.
        count: the number of iterations so far.
        mark: the loss after the latest iteration whose number is a multiple of fifty, for the test
            of convergence; infinite until such an iteration since the points have changed.
        points: the collocation points of each loss term at the last evaluation.
        factors: the factor of each loss term at the last evaluation.
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
        """Take a quasi-Newton step or, if it does not lower the loss, a gradient step.

        A gradient step makes the inverse Hessian start again from the identity. The stage finishes
        if no step against the gradient lowers the loss, if the gradient is zero, or if the loss has
        hardly fallen in fifty iterations.
        """
        evaluations, finished, moved = 0, None, False
        if self._moved() or self.gradient is None:
            self.loss, self.gradient = self._evaluate()
            evaluations = 1
        while not (moved or finished):
            gradient, first = self.gradient, self.inverse is None
            direction = -gradient if self.inverse is None else -(self.inverse @ gradient)
            if (slope := float(direction @ gradient)) < 0:
                spent, moved = self._search(direction, slope)
                evaluations += spent
            if moved:
                continue
            self.inverse = None
            if first and not bool(gradient.any()):
                independent = self.residuals.are_squares and self.loss > 0
                finished = INDEPENDENT if independent else CONVERGED
            elif first:
                reason = "no step against the gradient lowers the loss"
                finished = f"stopped: {reason}, which is down to rounding"
        self.count += 1
        evaluations += self._follow()
        if finished is None and self.count % 50 == 0:
            finished = CONVERGED if self.loss > self.mark * (1 - self.settings.tolerance) else None
            self.mark = self.loss
        return Step(self.loss, evaluations, finished)

    def _moved(self) -> bool:
        """Return whether points or factors of loss terms have changed since the last evaluation.

        If the points have changed, `mark`, an earlier loss for the test of convergence, becomes
        infinite: losses at different points are not comparable.
        """
        terms = self.residuals.terms
        points = [term.points.coords for term in terms]
        factors = [term.factor for term in terms]
        moved = len(points) != len(self.points)
        moved = moved or not all(map(torch.equal, points, self.points))
        if moved:
            self.mark = math.inf
        moved = moved or factors != self.factors
        self.points, self.factors = points, factors
        return moved

    def _search(self, direction: Tensor, slope: float) -> tuple[int, bool]:
        """Search along a direction for a lower loss; if one is found, step and update H.

        H is the approximate inverse Hessian.

        Args:
            direction: the search direction, (P,).
            slope: the derivative of the loss along the direction; it is negative.

        Returns:
            The number of evaluations, and whether a lower loss was found.
        """
        assert self.gradient is not None
        start = self._vector()
        gradients: dict[float, Tensor] = {}

        def at(length: float) -> LinePoint:
            """Return loss and slope after a step of this length, and store the gradient."""
            self._set(start + length * direction)
            loss, gradient = self._evaluate()
            gradients[length] = gradient
            return LinePoint(length, loss, float(gradient @ direction))

        first = 1.0 if self.inverse is not None else min(1.0, 1 / float(self.gradient.abs().sum()))
        end = strong_wolfe(at, LinePoint(0.0, self.loss, slope), first)
        if end is None:
            self._set(start)
            return len(gradients), False
        self._set(start + end.length * direction)
        new = gradients[end.length]
        change = end.length * direction
        self.inverse = updated(
            self.inverse, change, new - self.gradient, -end.length * float(self.gradient @ change)
        )
        self.loss, self.gradient = end.loss, new
        return len(gradients), True

    def _follow(self) -> int:
        """Adapt a KAN's grids to the activations, and return the number of evaluations of the loss.

        The grids are adapted after every iteration, since an edge function is only linear beyond
        its grid. If this changes the coefficients, loss and gradient are evaluated again.
        """
        before = self._vector()
        self.residuals.surrogate.follow(self.residuals.points)
        if torch.equal(before, self._vector()):
            return 0
        self.loss, self.gradient = self._evaluate()
        return 1

    def _vector(self) -> Tensor:
        """All trainable parameters as one vector in float64, (P,)."""
        return torch.cat([p.detach().flatten() for p in self.parameters]).double()

    @torch.no_grad()
    def _set(self, vector: Tensor) -> None:
        """Set all trainable parameters to the entries of a vector, (P,)."""
        parts = vector.split([p.numel() for p in self.parameters])
        for p, part in zip(self.parameters, parts, strict=True):
            p.copy_(part.view_as(p))

    def _evaluate(self) -> tuple[float, Tensor]:
        """The loss at the present parameters, and its gradient in float64, (P,)."""
        loss = self.residuals.backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        return loss, torch.cat([g.flatten() for g in gradients]).double()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        device = self.parameters[0].device  # a checkpoint is read to the CPU
        self.inverse = None if self.inverse is None else self.inverse.to(device)
        self.gradient = None if self.gradient is None else self.gradient.to(device)
        self.points = [tensor.to(device) for tensor in self.points]
