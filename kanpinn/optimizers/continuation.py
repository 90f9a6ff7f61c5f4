"""Continuation in a parameter: a hard problem is reached from an easy one, step by step."""

import math
from dataclasses import dataclass
from numbers import Real

import torch

from kanpinn._support.errors import InputError, integer
from kanpinn.loss.residuals import Family, Residuals
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.least_squares import LeastSquares
from kanpinn.optimizers.method import CONVERGED, Optimizer, Stage, Step


@dataclass(frozen=True)
class Continuation(Optimizer):
    """Newton's method on the output layer while a parameter of the problem goes to its own value.

    The way from `initial` is geometric between values of one sign, else linear; its first step is a
    quarter of it. The solution for each value is where the next one starts. A value is solved once
    a full step settles the loss well below that of the zero function, and near the part of it that
    the last solution left. If that took at most half of `solves`, the next step is twice as long;
    if it fails, the last solution comes back and the step is halved. Losses in the history are
    those of the problem itself. A run fails with its continuation, whatever optimizers are to
    follow; one that ends on the way says how far it got.

    Args:
        parameter: an attribute of the problem, "reynolds", that its residual reads.
        initial: the value of it at which the problem is easy.
        steps: the largest number of values that are tried.
        solves: the largest number of Newton steps for each of them.

    Raises:
        InputError: for a name or number that does not fit; in a solve, for a problem without it.

    Reference: Allgower and Georg, Numerical continuation methods (1990).
    """

    parameter: str
    initial: float | int
    steps: int = 50
    solves: int = 8
    needs_fixed_points = True
    lowers_loss = False  # on the way it may raise the loss of the problem's own value

    def __post_init__(self) -> None:
        if not (isinstance(self.parameter, str) and self.parameter.isidentifier()):
            raise InputError(f"parameter must be the name of one, got {self.parameter!r}")
        real = isinstance(self.initial, Real) and not isinstance(self.initial, bool)
        if not (real and math.isfinite(self.initial)):
            raise InputError(f"initial must be a finite number, got {self.initial!r}")
        integer("steps", self.steps)
        integer("solves", self.solves, least=2)

    def start(self, residuals: Residuals, seed: int) -> "ContinuationStage":
        if residuals.family is None:
            raise InputError("continuation is for solves of a problem, which has parameters")
        goal = residuals.family.parameter(self.parameter)
        return ContinuationStage(self, residuals, residuals.family, goal)


@dataclass
class ContinuationStage(Stage):
    """Continuation at work.

    Args:
        goal: the problem's own value of the parameter.
        reached: the part of the way at whose end there is a solution; negative if there is none at
            `initial` yet.
        stride: the next step, as a part of the way.
        left: the loss of the last solution as a part of the zero function's; above 1e-2 what
            settles is no solution.
        why: the reason for which Newton's method failed last.
    """

    settings: Continuation
    residuals: Residuals
    family: Family
    goal: float
    reached: float = -1.0
    stride: float = 0.25
    left: float = 1e-2
    why: str = ""
    kept = ("reached", "stride", "left")

    def value(self, part: float) -> float:
        """Return the parameter after a part of the way."""
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
        """Solve for a value of the parameter; return the number of Newton steps, 0 for failure."""
        terms = self.family.varied(self.settings.parameter, value)
        there = Residuals(self.residuals.surrogate, terms)
        zero = _loss_of_zero(there)
        stage = LeastSquares(self.settings.solves).start(there, 0)
        stage.begun = self.reached >= 0  # then it starts from the last solution alone
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
            if settled or step.finished == CONVERGED:
                return count if self._arrived(step.loss / zero) else 0
            if step.finished is not None:
                return self._failed(step.finished)
            before = step.loss
        return self._failed(f"it does not settle in {self.settings.solves} steps")

    def _failed(self, why: str) -> int:
        self.why = why
        return 0

    def _arrived(self, part: float) -> bool:
        """Whether a loss, as a part of the zero function's, is that of a solution; keep it if so.

        Beyond a fold there is no solution: what settles there leaves a hundred times the part that
        the last solution left. A part of 1e-6 is always good enough.
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
        """Return why no further value is tried, None if one is."""
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
    """Return the loss of a zero output layer; infinite if it is not finite and positive."""
    layers = residuals.surrogate.network.output_layers
    present = get_coefficients(layers)
    set_coefficients(layers, torch.zeros_like(present))
    loss = residuals.loss()
    set_coefficients(layers, present)
    return loss if 0 < loss < math.inf else math.inf
