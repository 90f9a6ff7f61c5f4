"""Continuation in a parameter: a hard problem is solved by way of a sequence of easier ones."""

import math
from dataclasses import dataclass

import torch

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.status import CONVERGED
from kanpinn.loss.residuals import ProblemFamily, Residuals
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.optimizers.least_squares import LeastSquaresStage
from kanpinn.optimizers.method import Optimizer, Stage, Step
from kanpinn.optimizers.output_layer import solve_output
from kanpinn.optimizers.reduced import solve_reduced


@dataclass(frozen=True)
class Continuation(Optimizer):
    """Solve with Newton's method on the output layer for a sequence of values of a parameter.

    The parameter goes from `initial` to the problem's own value, geometrically if both have the
    same sign, else linearly; the first increment is a quarter of the way. Newton's method starts
    from the solution for the last value. A value counts as solved if a full Newton step hardly
    lowers the loss any more, and the loss, relative to that of the zero function, is at most 1e-2
    and at most a hundred times that of the last solution (or is below 1e-6). If this took at most
    half of `solves`, the increment is doubled; if it fails, the last solution is restored and the
    increment is halved. The history has the losses of the problem itself, not of the easier ones.
    If the continuation fails, the run fails and later optimizers are not started; a run that ends
    before the problem's own value reports the value that it reached.

    Args:
        parameter: the name of an attribute that the problem's residual uses, such as "reynolds".
        initial: the value of the parameter at which the problem is easy.
        steps: the largest number of values that are tried.
        solves: the largest number of Newton steps for each value.

    Raises:
        InputError: for a name or number that does not fit; in a solve, for a problem without this
            parameter.

    Reference: Allgower and Georg, Numerical continuation methods (1990).
    """

    parameter: str
    initial: float | int
    steps: int = 50
    solves: int = 8
    needs_fixed_points = True
    lowers_loss = False  # easier problems' solutions may raise the problem's loss

    def __post_init__(self) -> None:
        if not (isinstance(self.parameter, str) and self.parameter.isidentifier()):
            raise InputError(f"parameter must be the name of one, got {self.parameter!r}")
        number("initial", self.initial, -math.inf)
        integer("steps", self.steps)
        integer("solves", self.solves, least=2)

    def start(self, residuals: Residuals, seed: int) -> "ContinuationStage":
        if residuals.family is None:
            raise InputError("continuation is for solves of a problem, which has parameters")
        goal = residuals.family.parameter(self.parameter)
        return ContinuationStage(self, residuals, residuals.family, goal)


@dataclass
class ContinuationStage(Stage):
    """The state of a continuation between its steps.

    Args:
        goal: the problem's own value of the parameter.
        reached: the fraction of the way from `initial` to `goal` that is solved; negative if
            `initial` is not solved yet.
        stride: the next increment, as a fraction of the way.
        left: the loss of the last solution, relative to that of the zero function.
        why: why Newton's method failed last.
    """

    settings: Continuation
    residuals: Residuals
    family: ProblemFamily
    goal: float
    reached: float = -1.0
    stride: float = 0.25
    left: float = 1e-2
    why: str = ""
    kept = ("reached", "stride", "left")

    def value(self, part: float) -> float:
        """Return the value of the parameter at a fraction of the way, 0 to 1."""
        first = float(self.settings.initial)
        if part >= 1:
            return self.goal
        if first * self.goal > 0:
            return first * (self.goal / first) ** part
        return first + part * (self.goal - first)

    def step(self) -> Step:
        part = 0.0 if self.reached < 0 else min(1.0, self.reached + self.stride)
        value, network = self.value(part), self.residuals.surrogate.network
        good = {name: t.clone() for name, t in network.state_dict().items()}
        solves = self._solve(value)
        if solves:
            self.reached = part
            if part > 0 and solves <= self.settings.solves // 2:
                self.stride *= 2
        else:
            network.load_state_dict(good)
            self.stride = (part - max(self.reached, 0.0)) / 2
        return Step(
            self.residuals.loss(),
            solves or self.settings.solves,
            finished=self._verdict(),
            notes={"parameter": value, "solved": float(bool(solves))},
            words=f"{self.settings.parameter} = {value:.4g} {'solved' if solves else 'not solved'}",
        )

    def _solve(self, value: float) -> int:
        """Solve for a value of the parameter; return the number of Newton steps, 0 if it fails."""
        terms = self.family.varied(self.settings.parameter, value)
        there = Residuals(self.residuals.surrogate, terms)
        zero = _loss_of_zero(there)
        solve = solve_reduced if there.surrogate.has_unknowns else solve_output
        # After the first value it does not start from zero as well.
        stage = LeastSquaresStage(there, solve, None, begun=self.reached >= 0)
        before = there.loss()
        for count in range(1, self.settings.solves + 1):
            try:
                step = stage.step()
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                step = Step(math.nan)
            if not math.isfinite(step.loss):
                return self._failed("it breaks down")
            full = step.notes["share"] == 1 and step.notes["damping"] == 0
            settled = full and step.loss >= 0.99 * before  # Newton's last step hardly lowers it
            if settled or step.converged:
                return count if self._arrived(step.loss / zero) else 0
            if step.finished is not None:
                return self._failed(step.finished)
            before = step.loss
        return self._failed(f"it does not settle in {self.settings.solves} steps")

    def _failed(self, why: str) -> int:
        self.why = why
        return 0

    def _arrived(self, part: float) -> bool:
        """Return whether a relative loss is that of a solution; if so, store it in `left`.

        Beyond a fold there is no solution: Newton's method may settle there, but at a loss of more
        than a hundred times that of the last solution. A relative loss of 1e-6 is always accepted.

        Args:
            part: the loss relative to that of the zero function.
        """
        most = max(1e-6, min(1e-2, 100 * self.left))
        if part <= most:
            self.left = part
            return True
        self.why = (
            f"it settles at {part:.2g} of the zero function's loss, more than {most:.2g}: there is "
            "no solution near, or the network or the points are too coarse for one"
        )
        return False

    def _verdict(self) -> str | None:
        """Return why the continuation ends here, None if it goes on."""
        name, first = self.settings.parameter, self.settings.initial
        if self.reached == 1:
            return CONVERGED
        if self.reached < 0:
            return (
                f"failed: diverging continuation, Newton's method fails at {name} = {first:g}: "
                f"{self.why}"
            )
        if self.stride < 2.0**-9:
            return (
                f"failed: diverging continuation, no solution found beyond {name} = "
                f"{self.value(self.reached):.4g} on the way to {self.goal:g}, where Newton's "
                f"method fails: {self.why}; that state is kept"
            )
        return None

    def short(self) -> str:
        if self.reached == 1:
            return ""
        value = self.value(max(self.reached, 0.0))
        return f"reached {self.settings.parameter} = {value:.4g} of {self.goal:g}"


def _loss_of_zero(residuals: Residuals) -> float:
    """Return the loss with a zero output layer; infinity if it is not finite and positive."""
    layers = residuals.surrogate.network.output_layers
    present = get_coefficients(layers)
    set_coefficients(layers, torch.zeros_like(present))
    loss = residuals.loss()
    set_coefficients(layers, present)
    return loss if 0 < loss < math.inf else math.inf
