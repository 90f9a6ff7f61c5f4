"""Gauss–Newton on the output layer; for a linear PDE this is one least-squares solve."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.status import CONVERGED
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step
from kanpinn.optimizers.output_layer import OutputStep, solve_output
from kanpinn.optimizers.reduced import solve_reduced
from kanpinn.optimizers.several_starts import SeveralStarts
from kanpinn.optimizers.step_cost import StepCost, dense_cost

INDEPENDENT = "stopped: to first order the residual does not depend on the output layer here"


@dataclass(frozen=True)
class LeastSquares(Optimizer):
    """Solve for the output layer's coefficients by rank-revealing least squares.

    The inner layers are not changed. A linear problem takes one step, with an error of about
    eps·max|c| for coefficients c. A nonlinear problem takes damped Gauss–Newton steps, which
    converge quadratically if the residual vanishes at the solution. They start from the present
    output layer or from zero, whichever has the lower loss after the first step: the output layer
    of a new network is random, but that of an earlier solve is a good start. With random inner
    functions this is the random feature method, or an extreme learning machine.

    Args:
        steps: the largest number of Gauss–Newton steps.
        rcond: singular values below rcond times the largest are cut off; None for 50 eps.
        starts: the largest number of other starts for a problem with unknowns. They are tried if
            the given one does not lead to a fit of the data: at first one from the data, with an
            equation whose weight is raised in steps, then random multiples of the start values.
            Each of them counts as one step.

    Raises:
        InputError: for values out of range.

    Reference: Dwivedi and Srinivasan, PIELM (2020); Chen et al., random feature method (2022).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN([1, 32, 1], degree=9), kp.LeastSquares())
        >>> solution.history.steps, solution.errors.l2_relative < 1e-10
        (1, True)
    """

    steps: int = 20
    rcond: float | None = None
    starts: int = 8
    title = "Least Squares"
    output_layer_only = True
    advice = "more steps may help, or Continuation from an easier value of a parameter"

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        integer("starts", self.starts, least=0)
        if self.rcond is not None:
            number("rcond", self.rcond)
            if self.rcond >= 1:
                raise InputError(f"rcond must be below 1, got {self.rcond!r}")

    def unknowns(self, network: Network) -> int:
        return sum(part.layers[-1].coefficients.numel() for part in network.parts)

    def cost(self, residuals: Residuals) -> StepCost | None:
        return dense_cost(residuals, residuals.surrogate.network.output_layers, damped=False)

    def start(self, residuals: Residuals, seed: int) -> Stage:
        known = not residuals.surrogate.has_unknowns
        solve = solve_output if known else solve_reduced
        descent = LeastSquaresStage(residuals, solve, self.rcond)
        return descent if known else SeveralStarts(descent, self.rcond, self.starts, seed)


@dataclass
class LeastSquaresStage(Stage):
    """The state of Gauss–Newton on the output layer between its steps.

    Args:
        solve: takes one step, given the residuals and rcond.
        begun: whether the first step was taken; only that one tries zero as a start as well.
    """

    residuals: Residuals
    solve: Callable[[Residuals, float | None], OutputStep]
    rcond: float | None
    begun: bool = False
    kept = ("begun",)

    def step(self) -> Step:
        """Take a step; the first one starts from the present output layer and from zero.

        Raises:
            LinAlgError: if the residual is not finite at any start.
        """
        layers = self.residuals.surrogate.network.output_layers
        present = get_coefficients(layers)
        starts = [present] if self.begun else [present, torch.zeros_like(present)]
        tried: list[tuple[OutputStep, Tensor]] = []
        for start in starts:
            set_coefficients(layers, start)
            try:
                tried.append((self.solve(self.residuals, self.rcond), get_coefficients(layers)))
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                if start is starts[-1] and not tried:
                    raise
                continue  # for example log u at u = 0
            if tried[0][0].linear or not bool(present.any()):
                break
        done, best = min(tried, key=lambda each: each[0].loss)
        set_coefficients(layers, best)
        self.begun = True
        words = [f"rank {done.rank} of {done.columns}"]
        finished = CONVERGED if done.linear or done.stationary else None
        if done.rank == 0:
            finished = INDEPENDENT
        elif not done.share:
            words.append("no step taken")
            finished = finished or self._verdict(done)
        elif done.share < 1:
            words.append(f"step shortened to {done.share:.2g}")
        if done.damping:
            words.append(f"damping {done.damping:.0e}")
        return Step(
            done.loss,
            sum(each.evaluations for each, _ in tried),
            finished,
            notes={"rank": float(done.rank), "share": done.share, "damping": done.damping},
            words=", ".join(words),
        )

    def _verdict(self, done: OutputStep) -> str:
        """Return the status where no step lowers the loss: at rounding error it has converged.

        The loss is at rounding error if it is at most (100 eps)² of the loss by which a change of
        all coefficients of the output layer by one would raise it. The change is smaller than one,
        and its loss is scaled up, because nonlinear residuals such as exp u can grow without limit.
        """
        layers = self.residuals.surrogate.network.output_layers
        present, change = get_coefficients(layers), 1e-3
        set_coefficients(layers, present + change)
        scale = (self.residuals.loss() - done.before) / change**2
        set_coefficients(layers, present)
        if done.before <= (100 * torch.finfo(present.dtype).eps) ** 2 * scale < math.inf:
            return (
                f"{CONVERGED}: no step lowers the loss {done.before:.3g}, which is rounding error"
            )
        part = 1 - done.predicted / done.before if done.before else 0.0
        return (
            f"stopped: no step lowers the loss {done.before:.3g}, though the linearised residual "
            f"would lose {part:.2g} of it"
        )
