"""Variable projection: the structure of a solution, found with a hundred parameters."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.kan import KAN
from kanpinn.optimizers.optimizer import CONVERGED, INDEPENDENT, Optimizer, Stage, Step
from kanpinn.optimizers.projection import Projection

POINTS_PER_PARAMETER = 6  # during the search; the refinement uses all points
START_DAMPING = 1.0
STALLED_SEARCH, STALLED = 3e-2, 1e-2  # parts of the loss; starts that arrive fall faster
FOLLOW_STEPS, LEVEL_STEPS, PRUNE_STEPS = 40, 12, 15
PRUNE_FACTOR = 4.0  # a unit whose removal raises the loss by less is not needed


@dataclass(frozen=True)
class VariableProjection(Optimizer):
    """Gauss–Newton on the inner functions, the output layer eliminated, from many random starts.

    The search works on a coarse output grid: each round screens random smooth inner functions by
    their projected loss, follows the best few and drops those that stall; a start below `tolerance`
    ends it. Units that the survivor does not need are removed, then the output grid is refined to
    the network's own, with all points. Near a structured solution the convergence is quadratic.

    Args:
        steps: at most so many Gauss–Newton steps in all.
        rounds: of the search; 0 goes on from the network as it is.
        starts: screened in each round.
        follow: how many of them are followed.
        coarse: intervals of the output grid during the search.
        tolerance: relative to the zero solution's loss (the first start's where that is no number),
            where a start has arrived.
        prune: whether units that are not needed are removed.

    Starts from which the residual gets no finite number are dropped.

    Raises:
        InputError: for values that mean nothing; at the start for a network without inner
            functions, or an energy.

    Reference: Golub and Pereyra (1973), Kaufman (1975); multi-start with early stopping.
    """

    steps: int = 2000
    rounds: int = 40
    starts: int = 40
    follow: int = 2
    coarse: int = 6
    tolerance: float = 1e-5
    prune: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "starts", "follow", "coarse"):
            integer(name, getattr(self, name))
        integer("rounds", self.rounds, least=0)
        if self.follow > self.starts:
            raise InputError(
                f"follow must be no more than starts = {self.starts}, got {self.follow!r}"
            )
        if not 0 < self.tolerance < 1:
            raise InputError(f"tolerance must lie between 0 and 1, got {self.tolerance!r}")

    @property
    def needs_fixed_points(self) -> bool:
        return True

    def start(self, residuals: Residuals, seed: int) -> "VariableProjectionStage":
        network = residuals.surrogate.network
        if not isinstance(network, KAN) or len(network.layers) < 2:
            raise InputError("variable_projection is for KANs with a hidden layer")
        if not residuals.are_squares:
            raise InputError("variable_projection needs squared residuals, the loss is an energy")
        return VariableProjectionStage(self, residuals, seed)


@dataclass
class _State:
    """How the search goes on: the phase, counters, and the inner coefficients that wait."""

    phase: str
    levels: list[int]  # output grids still to come
    round: int = 0
    starts: int = 0
    waiting: list[Tensor] = field(default_factory=list)
    steps: int = 0  # from the present start, or on the present level
    loss: float = math.inf
    damping: float = START_DAMPING
    best_loss: float = math.inf
    best: Tensor | None = None
    zero: float = math.nan  # the zero network's loss
    points: int = 0  # of the search
    unit: int = 0  # whose removal is tried next
    linear: bool | None = None
    taken: int = 0  # steps in all


class VariableProjectionStage(Stage):
    """The search and what follows it, one Gauss–Newton step (or one screening) at a time."""

    def __init__(self, settings: VariableProjection, residuals: Residuals, seed: int) -> None:
        self.settings, self.residuals, self.seed = settings, residuals, seed
        self.network: KAN = residuals.surrogate.network  # type: ignore[assignment]
        target = self.network.layers[-1].intervals
        levels = _levels(settings.coarse, target) if settings.rounds else [target]
        self.state = _State("screen" if settings.rounds else "enter", levels)
        self._projection: Projection | None = None

    def step(self) -> Step:
        phases = {
            "screen": self._screen,
            "follow": self._follow,
            "prune": self._prune,
            "enter": self._enter_level,
            "polish": self._polish,
        }
        report = phases[self.state.phase]()
        self.state.taken += 1
        searching = self.state.phase in ("screen", "follow")
        return (
            self._break_off() if searching and self.state.taken >= self.settings.steps else report
        )

    def _break_off(self) -> Step:
        """The limit of steps ends the search: the best start, on the final grid and all points."""
        state = self.state
        if state.best is not None and state.best_loss < state.loss:
            state.loss = self.projection(state.best)
        state.levels = state.levels[-1:]
        return self._enter_level()

    def state_dict(self) -> dict[str, Any]:
        return asdict(self.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = _State(**state)
        self._projection = None

    @property
    def projection(self) -> Projection:
        """The projected loss on the points of the present phase."""
        if self._projection is None:
            residuals = self.residuals
            if self.state.phase != "polish":
                residuals = residuals.subset(self.state.points, self.seed)
            self._projection = Projection(residuals, self.state.linear)
        return self._projection

    def _screen(self) -> Step:
        """A round of random starts on the coarse grid; the best few are to be followed."""
        s, state = self.settings, self.state
        if state.round == 0:
            self.network.reset_output(s.coarse)
            state.points = POINTS_PER_PARAMETER * self.network.parameter_count
            state.zero = self.projection.zero()
        begun, tried = state.starts, self._tried()
        state.waiting = [inner for _, inner in tried[: s.follow]]
        if tried:
            self._next_start()
        else:
            self._choose()
        return self._report(state.starts - begun)

    def _tried(self) -> list[tuple[float, Tensor]]:
        """Random starts with their losses, the best one first; none where no round is left."""
        s, state = self.settings, self.state
        tried: list[tuple[float, Tensor]] = []
        while not tried and state.round < s.rounds:
            every = [self._random_start() for _ in range(s.starts)]
            tried = [start for start in every if math.isfinite(start[0])]
            state.round += 1
        if tried and not math.isfinite(state.zero):
            state.zero = tried[0][0]  # log u, say, at u = 0
        return sorted(tried, key=lambda start: start[0])

    def _random_start(self) -> tuple[float, Tensor]:
        number = self.seed * 1_000_003 + self.state.starts
        self.state.starts += 1
        generator = torch.Generator().manual_seed(number)
        for layer in self.network.layers[:-1]:
            # Quadratics: rougher starts arrive half as often.
            layer.randomise(generator, degree=2, decay=0.5)
        return self.projection(self.projection.inner), self.projection.inner

    def _next_start(self) -> None:
        waiting = self.state.waiting
        loss = self.projection(waiting[0])
        self.state.phase = "follow"
        self.state.loss = loss
        self.state.damping = START_DAMPING
        self.state.steps = 0
        self.state.waiting = waiting[1:]

    def _follow(self) -> Step:
        """One step from the present start; where it stalls the next one's turn comes."""
        s, state = self.settings, self.state
        evaluations, stalled = self._gauss_newton(STALLED_SEARCH, FOLLOW_STEPS)
        report = self._report(evaluations)
        arrived = state.loss <= s.tolerance * state.zero
        if not (stalled or arrived):
            return report
        if state.loss < state.best_loss:
            state.best_loss = state.loss
            state.best = self.projection.inner
        if arrived or (state.round >= s.rounds and not state.waiting):
            self._choose()
        elif state.waiting:
            self._next_start()
        else:
            state.phase = "screen"
        return report

    def _choose(self) -> None:
        """The search is over: go to its best start.

        Raises:
            LinAlgError: where there is none.
        """
        state = self.state
        if state.best is None:
            raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
                f"the residual has no finite number from any of {state.starts} random starts"
            )
        state.loss = self.projection(state.best)
        state.phase = "prune" if self.settings.prune else "enter"

    def _prune(self) -> Step:
        """Try the network without one hidden unit; keep it so where the loss hardly grows."""
        state, hidden = self.state, len(self.network.layers) - 2
        units = self.network.width[hidden + 1]
        if state.unit >= units or units == 1:
            return self._enter_level()
        kept = {name: t.clone() for name, t in self.network.state_dict().items()}
        self.network.remove_unit(hidden, state.unit)
        loss = self.projection(self.projection.inner)
        done = self.projection.polish(loss, START_DAMPING, PRUNE_STEPS, STALLED_SEARCH)
        if done.loss <= PRUNE_FACTOR * state.loss:
            state.unit = 0
            state.loss = done.loss
        else:
            self.network.load_state_dict(kept)
            state.unit += 1
        return self._report(done.evaluations)

    def _enter_level(self) -> Step:
        """The next finer output grid, and all points: the output layer is solved anew there."""
        state = self.state
        state.phase = "polish"
        state.steps = 0
        state.damping = START_DAMPING
        self._projection = None
        self.network.reset_output(state.levels[0])
        state.levels = state.levels[1:]
        state.loss = self.projection(self.projection.inner)
        return self._report(1)

    def _polish(self) -> Step:
        steps = LEVEL_STEPS if self.state.levels else self.settings.steps
        evaluations, stalled = self._gauss_newton(STALLED, steps)
        if not stalled:
            return self._report(evaluations)
        if self.state.levels:
            self.state.phase = "enter"
            return self._report(evaluations)
        return self._report(evaluations, self._verdict())

    def _gauss_newton(self, tolerance: float, steps: int) -> tuple[int, bool]:
        """One step; the evaluations it took and whether it is time to stop."""
        state = self.state
        before = state.loss
        done = self.projection.step(before, state.damping)
        state.loss = done.loss
        state.damping = done.damping
        state.steps = state.steps + 1
        stalled = not done.loss < before * (1 - tolerance) or state.steps >= steps
        return done.evaluations, stalled

    def _verdict(self) -> str:
        s, state = self.settings, self.state
        if not s.rounds or state.loss <= s.tolerance * state.zero:
            return CONVERGED
        return (
            f"stopped: none of {state.starts} random starts came below {s.tolerance:g} of the "
            "zero solution's loss; the best one was refined"
        )

    def _report(self, evaluations: int, finished: str | None = None) -> Step:
        self.state.linear = self.projection.linear
        if self.projection.rank == 0:
            finished = INDEPENDENT
        notes = {
            "starts": float(self.state.starts),
            "round": float(self.state.round),
            "damping": self.state.damping,
            "width": float(self.network.width[-2]),
            "grid": float(self.network.layers[-1].intervals),
        }
        return Step(self.state.loss, evaluations, finished, notes)


def _levels(coarse: int, target: int) -> list[int]:
    """Doubling output grids from above the coarse one to the target, 6 → [12, 24, 32]."""
    levels = []
    while coarse < target:
        coarse = min(2 * coarse, target)
        levels.append(coarse)
    return levels or [target]
