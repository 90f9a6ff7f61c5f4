"""Continuation in a parameter of the problem, such as the Reynolds number.

Newton's method solves for one value after another, from an easy value to the problem's own value.
"""

import math
from dataclasses import dataclass, field

import torch

from kanpinn._support.breakdowns import LINALG_ERRORS
from kanpinn._support.errors import CONVERGED, InputError, integer, number
from kanpinn.loss.residuals import ProblemFamily, Residuals
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.networks.network import Network
from kanpinn.optimizers.least_squares import LeastSquaresStage
from kanpinn.optimizers.method import Method, Stage, Step
from kanpinn.optimizers.output_layer import solve_output, solve_reduced
from kanpinn.tasks.adaptive import AdaptiveLeastSquares


class NotSolved(Exception):
    """Newton's method has found no solution for a value of the parameter; the message says why."""


@dataclass
class NewtonInCells:
    """Newton's method in cells for one value of a continuation's parameter.

    Cells are refined until the relative error is below `tolerance`.

    Args:
        kept: the ratio of the error to its indicator on the last mesh, with which the solve for the
            next value of the parameter starts; 0 if unknown.
        tolerance: the largest relative error of a solution from which the continuation goes on.
    """

    kept: float = 0.0
    tolerance: float = 3e-2

    def start(self, residuals: Residuals, steps: int, begun: bool) -> Stage:
        self.stage = AdaptiveLeastSquares(self.tolerance, steps=steps).start(residuals, 0)
        self.stage.error.ratio = self.kept
        return self.stage

    def solved(self, step: Step) -> bool:
        if step.converged:
            self.kept = self.stage.error.ratio
        return step.converged


@dataclass
class NewtonOnOutputLayer:
    """Newton's method on a network's output layer, for one value of a continuation's parameter.

    It ends when a full step hardly lowers the loss any more. Beyond a fold of the path of solutions
    there is no solution. Newton's method may settle there, but at a loss more than a hundred times
    as large as the loss of the last solution. A relative loss (loss / loss of the zero function) of
    1e-6 is always accepted.

    Args:
        kept: the relative loss of the last solution.
    """

    kept: float = 1e-2

    def start(self, residuals: Residuals, steps: int, begun: bool) -> Stage:
        """Begin to solve for a value of the parameter, from the network's present coefficients.

        Args:
            residuals: the loss for this value.
            steps: the largest number of Newton steps.
            begun: whether the network has the solution for an earlier value.
        """
        layers = residuals.surrogate.network.output_layers
        present = get_coefficients(layers)
        set_coefficients(layers, torch.zeros_like(present))
        zero = residuals.loss()
        set_coefficients(layers, present)
        self.zero = zero if 0 < zero < math.inf else math.inf
        self.before = residuals.loss()
        solve = solve_reduced if residuals.surrogate.has_unknowns else solve_output
        # Only for the first value is zero tried as another start.
        return LeastSquaresStage(residuals, solve, None, begun=begun)

    def solved(self, step: Step) -> bool:
        """Return whether the solution for the value of the parameter is found.

        Args:
            step: the result of the latest step of Newton's method.

        Raises:
            NotSolved: if the method has settled at a loss too large for a solution.
        """
        full = step.notes["share"] == 1 and step.notes["damping"] == 0
        settled = full and step.loss >= 0.99 * self.before  # the last step hardly lowers the loss
        self.before = step.loss
        if not (settled or step.converged):
            return False
        part, most = step.loss / self.zero, max(1e-6, min(1e-2, 100 * self.kept))
        if part > most:
            raise NotSolved(
                f"it settles at {part:.2g} of the zero function's loss, more than {most:.2g}: "
                "there is no solution near, or the network or the points are too coarse for one"
            )
        self.kept = part
        return True


NEWTON: dict[str, type[NewtonInCells | NewtonOnOutputLayer]] = {  # keys: `Network.solved_by`
    "": NewtonOnOutputLayer,
    AdaptiveLeastSquares.__name__: NewtonInCells,
}


@dataclass(frozen=True)
class Continuation(Method):
    """Solve with Newton's method for a sequence of values of a parameter.

    The parameter goes from `initial` to the problem's own value, geometrically if the two values
    have the same sign, else linearly; the first increment is a quarter of the way. Newton's method
    starts from the solution for the last value. On the output layer of a network, a value counts as
    solved if a full Newton step hardly lowers the loss any more and the relative loss is small. The
    relative loss is the loss divided by the loss of the zero function. It is small if it is below
    1e-6, or at most 1e-2 and at most a hundred times the relative loss of the last solution. In
    cells, which are halved on the way, a value counts as solved if the estimated relative error is
    at most 0.03; `AdaptiveLeastSquares` after the continuation makes the error smaller. If a value
    took at most half of `solves`, the increment is doubled. If Newton's method fails for a value,
    the last solution is restored and the increment is halved. The history has the losses of the
    problem itself, not of the easier problems. If the continuation fails, the run fails and later
    optimizers are not started. A run that ends before it reaches the problem's own value reports
    the last value.

    Args:
        parameter: the name of an attribute that the problem's residual uses, such as "reynolds".
        initial: the value of the parameter for which the problem is easy.
        steps: the largest number of values that are tried.
        solves: the largest number of Newton steps for each value.

    Raises:
        InputError: for a name that is no identifier or a number out of range; in a solve, for a
            problem without this parameter.

    Reference: Allgower and Georg, Numerical continuation methods (1990).

    Example:
        >>> import kanpinn as kp
        >>> steps = [kp.Continuation("reynolds", 10.0, steps=100), kp.AdaptiveLeastSquares(1e-4)]
        >>> steps[0].parameter, steps[0].initial
        ('reynolds', 10.0)
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

    def check(self, network: Network) -> None:
        if network.solved_by not in NEWTON:
            super().check(network)

    def start(self, residuals: Residuals, seed: int) -> "ContinuationStage":
        if residuals.family is None:
            raise InputError("continuation is for solves of a problem, which has parameters")
        goal = residuals.family.parameter(self.parameter)
        newton = NEWTON[residuals.surrogate.network.solved_by]()
        return ContinuationStage(self, residuals, residuals.family, goal, newton)


@dataclass
class ContinuationStage(Stage):
    """The state of a continuation between its steps.

    Args:
        settings: the settings.
        residuals: the terms of the problem's own loss.
        family: the problem for other values of the parameter.
        goal: the problem's own value of the parameter.
        newton: the method that solves for one value.
        reached: the fraction of the way from `initial` to `goal` that is solved; negative if
            `initial` is not solved yet.
        stride: the next increment, as a fraction of the way.
        why: the reason, in words, of the last failure of Newton's method.
    """

    settings: Continuation
    residuals: Residuals
    family: ProblemFamily
    goal: float
    newton: NewtonInCells | NewtonOnOutputLayer = field(repr=False)
    reached: float = -1.0
    stride: float = 0.25
    why: str = ""
    kept = ("reached", "stride", "newton")

    def value(self, part: float) -> float:
        """Return the value of the parameter at a fraction of the way from `initial` to `goal`.

        The way is geometric, initial · (goal / initial)^part, if both have the same sign, otherwise
        linear.

        Args:
            part: the fraction, from 0 to 1.
        """
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
        count, notes = solves or self.settings.solves, {"parameter": value}
        notes["solved"], solved = float(bool(solves)), "solved" if solves else "not solved"
        words = f"{self.settings.parameter} = {value:.4g} {solved}"
        return Step(self.residuals.loss(), count, self._verdict(), notes, words)

    def _solve(self, value: float) -> int:
        """Solve for a value of the parameter; return the number of Newton steps, 0 if it fails."""
        terms = self.family.varied(self.settings.parameter, value)
        there = Residuals(self.residuals.surrogate, terms, self.family)
        steps = self.settings.solves
        try:
            stage = self.newton.start(there, steps, self.reached >= 0)
            for count in range(1, steps + 1):
                step = stage.step()
                if not math.isfinite(step.loss):
                    raise NotSolved("it breaks down")
                if self.newton.solved(step):
                    return count
                if step.finished is not None:
                    raise NotSolved(step.finished)
            raise NotSolved(f"it does not settle in {steps} steps")
        except LINALG_ERRORS:
            self.why = "it breaks down"
        except NotSolved as failure:
            self.why = str(failure)
        return 0

    def _verdict(self) -> str | None:
        """Return the status with which the continuation ends here; None if it goes on.

        It ends when `goal` is reached. It fails if `initial` is not solved, or if the increment has
        become shorter than 2^-9 of the way.
        """
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
