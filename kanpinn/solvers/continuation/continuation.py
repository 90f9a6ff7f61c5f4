"""Continuation in a parameter: a hard problem is solved by way of a sequence of easier ones."""

import math
from dataclasses import dataclass, field

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.status import CONVERGED
from kanpinn.cells import Cells
from kanpinn.loss.residuals import ProblemFamily, Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step
from kanpinn.solvers.continuation.in_cells import NewtonInCells
from kanpinn.solvers.continuation.newton import NewtonAtValue, NotSolved
from kanpinn.solvers.continuation.on_output_layer import NewtonOnOutputLayer


@dataclass(frozen=True)
class Continuation(Optimizer):
    """Solve with Newton's method for a sequence of values of a parameter.

    The parameter goes from `initial` to the problem's own value, geometrically if both have the
    same sign, else linearly; the first increment is a quarter of the way. Newton's method starts
    from the solution for the last value. On the output layer of a network a value counts as solved
    if a full Newton step hardly lowers the loss any more, and the loss, relative to that of the
    zero function, is at most 1e-2 and at most a hundred times that of the last solution (or is
    below 1e-6). In cells, which are halved on the way, it counts as solved if the estimated
    relative error is at most 0.03; a `Dissection` after the continuation makes it smaller. If a
    value took at most half of `solves`, the increment is doubled; if it fails, the last solution is
    restored and the increment is halved. The history has the losses of the problem itself, not of
    the easier ones. If the continuation fails, the run fails and later optimizers are not started;
    a run that ends before the problem's own value reports the value that it reached.

    Args:
        parameter: the name of an attribute that the problem's residual uses, such as "reynolds".
        initial: the value of the parameter at which the problem is easy.
        steps: the largest number of values that are tried.
        solves: the largest number of Newton steps for each value.

    Raises:
        InputError: for a name or number that does not fit; in a solve, for a problem without this
            parameter.

    Reference: Allgower and Georg, Numerical continuation methods (1990).

    Example:
        >>> import kanpinn as kp
        >>> steps = [kp.Continuation("reynolds", 10.0, steps=100), kp.Dissection(1e-4)]
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
        if not isinstance(network, Cells):
            super().check(network)

    def start(self, residuals: Residuals, seed: int) -> "ContinuationStage":
        if residuals.family is None:
            raise InputError("continuation is for solves of a problem, which has parameters")
        goal = residuals.family.parameter(self.parameter)
        in_cells = isinstance(residuals.surrogate.network, Cells)
        newton = NewtonInCells() if in_cells else NewtonOnOutputLayer()
        return ContinuationStage(self, residuals, residuals.family, goal, newton)


@dataclass
class ContinuationStage(Stage):
    """The state of a continuation between its steps.

    Args:
        goal: the problem's own value of the parameter.
        newton: solves for one value.
        reached: the fraction of the way from `initial` to `goal` that is solved; negative if
            `initial` is not solved yet.
        stride: the next increment, as a fraction of the way.
        why: why Newton's method failed last.
    """

    settings: Continuation
    residuals: Residuals
    family: ProblemFamily
    goal: float
    newton: NewtonAtValue = field(repr=False)
    reached: float = -1.0
    stride: float = 0.25
    why: str = ""
    kept = ("reached", "stride", "of_last")

    @property
    def of_last(self) -> float:
        """What Newton's method keeps of the last value, for a checkpoint."""
        return self.newton.kept

    @of_last.setter
    def of_last(self, number: float) -> None:
        self.newton.kept = number

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
        there = Residuals(self.residuals.surrogate, terms, self.family)
        try:
            return self.newton.solve(there, self.settings.solves, self.reached >= 0)
        except NotSolved as failure:
            self.why = str(failure)
            return 0

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
