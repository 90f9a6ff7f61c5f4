"""Continuation: a hard problem reached from an easy one of its family, step by step."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch

from kanpinn._support.errors import InputError, integer
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.least_squares import LeastSquares
from kanpinn.optimizers.optimizer import CONVERGED, Optimizer, Stage, Step

SETTLED = 1e-2  # a full step that lowers the loss by less than this part was Newton's last
# Parts of the zero function's loss. What settles above MOST is no solution; nor is, above TINY,
# what settles at WORSE times the part of the last solution: beyond a fold there is none.
MOST, TINY, WORSE = 1e-2, 1e-6, 100.0
FIRST, SHORTEST = 0.25, 2.0**-9  # parts of the way


@dataclass(frozen=True)
class Continuation(Optimizer):
    """Newton on the output layer while a parameter of the problem goes from `initial` to its own.

    Each value's solution is where the next one starts. The way is geometric between values of one
    sign, else linear; its first step is a quarter of it. A value is solved once a full step settles
    the loss well below that of the zero function, and near the part of it that the last solution
    left. Where that took at most half of `solves`, the next step is twice as long; where it fails,
    the last solution comes back and the step is halved. Losses are those of the problem itself. A
    run fails with its continuation, whatever optimizers are to follow; one that ends on the way
    says how far it got.

    Args:
        parameter: an attribute of the problem, "reynolds", that its residual reads.
        initial: where the problem is easy.
        steps: values that are tried, at most.
        solves: Newton steps for each of them, at most.

    Raises:
        InputError: for a name or number that does not fit; at a solve, for a problem without it.

    Reference: Allgower and Georg, Numerical continuation methods (1990).
    """

    parameter: str
    initial: float | int
    steps: int = 50
    solves: int = 8

    def __post_init__(self) -> None:
        if not (isinstance(self.parameter, str) and self.parameter.isidentifier()):
            raise InputError(f"parameter must be the name of one, got {self.parameter!r}")
        real = isinstance(self.initial, Real) and not isinstance(self.initial, bool)
        if not (real and math.isfinite(self.initial)):
            raise InputError(f"initial must be a finite number, got {self.initial!r}")
        integer("steps", self.steps)
        integer("solves", self.solves, least=2)

    @property
    def needs_fixed_points(self) -> bool:
        return True

    @property
    def lowers(self) -> bool:
        return False  # but on the way to the problem's own value it may raise the problem's loss

    def start(self, residuals: Residuals, seed: int) -> "ContinuationStage":
        return ContinuationStage(self, residuals)


class ContinuationStage(Stage):
    """Continuation at work: it knows the way behind it, and the step ahead as a part of it all."""

    def __init__(self, settings: Continuation, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        if residuals.family is None:
            raise InputError("continuation is for solves of a problem, which has parameters")
        self.goal = residuals.family.parameter(settings.parameter)
        self.reached, self.stride = -1.0, FIRST  # -1: not even at `initial`
        self.left = MOST  # of the zero function's loss, by the last solution
        self.why = ""  # Newton's method failed last

    def value(self, part: float) -> float:
        """The parameter after a part of the way."""
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
        notes = {"parameter": value, "solved": float(bool(solves))}
        evaluations = solves or self.settings.solves
        return Step(self.residuals.loss(), evaluations, self._verdict(), notes)

    def _solve(self, value: float) -> int:
        """Newton's method at a value of the parameter; how many steps it took, 0 where it fails."""
        assert self.residuals.family is not None
        terms = self.residuals.family.varied(self.settings.parameter, value)
        there = Residuals(self.residuals.surrogate, terms)
        zero = _loss_of_zero(there)
        stage = LeastSquares(self.settings.solves).start(there, 0)
        stage.begun = self.reached >= 0  # the last solution is where to start, and no other
        before = there.loss()
        for count in range(1, self.settings.solves + 1):
            try:
                step = stage.step()
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                step = Step(math.nan)
            if not math.isfinite(step.loss):
                return self._failed("it breaks down")
            full = step.notes["share"] == 1 and step.notes["damping"] == 0
            settled = full and step.loss >= (1 - SETTLED) * before
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
        """Whether a loss, as a part of the zero function's, is a solution's; remembers it if so."""
        most = max(TINY, min(MOST, WORSE * self.left))
        if part <= most:
            self.left = part
            return True
        self.why = (
            f"it settles at {part:.2g} of the zero function's loss, more than {most:.2g}: there is "
            "no solution near, or the network or the points are too coarse for one"
        )
        return False

    def _verdict(self) -> str | None:
        """Why there should be no further value, if so."""
        name, first = self.settings.parameter, self.settings.initial
        if self.reached == 1:
            return CONVERGED
        if self.reached < 0:
            return (
                f"failed: diverging continuation, Newton's method fails at {name} = {first:g}: "
                f"{self.why}"
            )
        if self.stride < SHORTEST:
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

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("reached", "stride", "left")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def _loss_of_zero(residuals: Residuals) -> float:
    """The loss where the output layer is zero; infinite where it is no number."""
    layers = residuals.surrogate.network.output_layers
    present = get_coefficients(layers)
    set_coefficients(layers, torch.zeros_like(present))
    loss = residuals.loss()
    set_coefficients(layers, present)
    return loss if 0 < loss < math.inf else math.inf
