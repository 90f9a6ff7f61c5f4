"""Variable projection: a search for structured solutions with about a hundred parameters."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from kanpinn._support.errors import InputError, integer
from kanpinn._support.status import CONVERGED
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import INDEPENDENT, Optimizer, Stage, Step, require_kan
from kanpinn.optimizers.multi_start import MultiStart
from kanpinn.optimizers.projection import Descent, Projection


@dataclass(frozen=True)
class VariableProjection(Optimizer):
    """Gauss–Newton on the inner functions, with the output layer solved for, from random starts.

    The search uses a coarse output grid and a subset of the points. Each round computes the
    projected loss of random smooth inner functions and follows the best few of them by Gauss–Newton
    steps until they stall; a start whose loss gets below `tolerance` ends the search. Starts at
    which the residual is not finite are dropped. Then hidden units whose removal raises the loss
    at most fourfold are removed; the output grid is refined in steps to the network's own, with all
    points. Near a structured solution the convergence is quadratic.

    Args:
        steps: the largest number of steps in all; a screening round is one step.
        rounds: the largest number of rounds of the search; 0 starts from the present network.
        starts: the number of random inner functions in each round.
        follow: the number of them that are followed in each round.
        coarse: the number of intervals of the output grid during the search.
        tolerance: the loss that ends the search, relative to that of the zero solution (to that of
            the first start if the former is not finite).
        prune: whether hidden units that are not needed are removed.

    Raises:
        InputError: for values out of range; in a solve, without a hidden layer or for an energy.

    Reference: Golub and Pereyra (1973), Kaufman (1975); multi-start with early stopping.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> method = kp.VariableProjection(steps=5, rounds=1, starts=4)
        >>> network = kp.KAN([1, 2, 1], degree=[3, 7], grid=[1, 6])
        >>> kp.solve(problem, network, method).history.steps <= 5
        True
    """

    steps: int = 2000
    rounds: int = 40
    starts: int = 40
    follow: int = 2
    coarse: int = 6
    tolerance: float = 1e-5
    prune: bool = True
    needs_fixed_points = True

    def __post_init__(self) -> None:
        for name in ("steps", "starts", "follow", "coarse"):
            integer(name, getattr(self, name))
        integer("rounds", self.rounds, least=0)
        starts, follow = self.starts, self.follow
        if follow > starts:
            raise InputError(f"follow must be no more than starts = {starts}, got {follow!r}")
        if not 0 < self.tolerance < 1:
            raise InputError(f"tolerance must lie between 0 and 1, got {self.tolerance!r}")

    def unknowns(self, network: Network) -> int:
        return network.parameter_count

    def check(self, network: Network) -> None:
        if len(require_kan(network, "variable_projection").layers) < 2:
            raise InputError("variable_projection is for KANs with a hidden layer")

    def start(self, residuals: Residuals, seed: int) -> "VariableProjectionStage":
        if not residuals.are_squares:
            raise InputError("variable_projection needs squared residuals, the loss is an energy")
        return VariableProjectionStage(self, residuals, seed)


class Phase(StrEnum):
    """The kind of the next step."""

    SCREEN = "screen"  # draw a round of random starts, on the coarse output grid
    FOLLOW = "follow"  # one Gauss–Newton step from one of them
    PRUNE = "prune"  # try to remove one hidden unit
    ENTER = "enter"  # go to the next finer output grid, and to all points
    POLISH = "polish"  # one Gauss–Newton step on that grid


class VariableProjectionStage(Stage):
    """The state of variable projection; each step belongs to a phase, and may set the next phase.

    Attributes:
        search: the state of the multi-start search.
        levels: the numbers of intervals of the output grids that are still to come.
        descent: the steps on the present output grid; while units are removed, its loss is that of
            the present network.
        points: the number of points that the search uses.
        unit: the index of the hidden unit whose removal is tried next.
        linear: whether the residual is affine in the output coefficients; None if not known yet.
        taken: the number of steps so far.
    """

    kept = ("levels", "points", "unit", "linear", "taken")

    def __init__(self, settings: VariableProjection, residuals: Residuals, seed: int) -> None:
        network = require_kan(residuals.surrogate.network, "variable_projection")
        s, target = settings, network.layers[-1].basis.intervals
        self.settings, self.residuals, self.network, self.seed = s, residuals, network, seed
        self.phase = Phase.SCREEN if s.rounds else Phase.ENTER
        self.levels = _levels(s.coarse, target) if s.rounds else [target]
        self.search = MultiStart(s.rounds, s.starts, s.follow, s.tolerance, seed)
        self.descent = Descent()
        self.points, self.unit, self.taken = 0, 0, 0
        self.linear: bool | None = None
        self._projection: Projection | None = None

    def step(self) -> Step:
        phases = {
            Phase.SCREEN: self._screen,
            Phase.FOLLOW: self._follow,
            Phase.PRUNE: self._prune,
            Phase.ENTER: self._enter,
            Phase.POLISH: self._polish,
        }
        done = phases[self.phase]()
        self.taken += 1
        if self.taken < self.settings.steps or self.phase not in (Phase.SCREEN, Phase.FOLLOW):
            return done
        # The limit ends the search: the final grid begins with the best start so far.
        if self.search.best is not None and self.search.best_loss < self.search.descent.loss:
            self.search.go_to_best(self.projection)
        self.levels = self.levels[-1:]
        return self._enter()

    @property
    def projection(self) -> Projection:
        """The projected loss, on a subset of the points until the phase is POLISH, then on all."""
        if self._projection is None:
            whole = self.phase is Phase.POLISH
            residuals = self.residuals if whole else self.residuals.subset(self.points, self.seed)
            self._projection = Projection(residuals, self.linear)
        return self._projection

    def _screen(self) -> Step:
        """Draw a round of random starts on the coarse grid; begin with the best of them."""
        search, begun = self.search, self.search.drawn
        if search.round == 0:
            self.network.reset_output(self.settings.coarse)
            self.points = 6 * self.network.parameter_count  # with fewer, wrong starts arrive
            search.zero = self.projection.zero()
        search.screen(self.projection)
        if search.waiting:
            search.next_start(self.projection)
            self.phase = Phase.FOLLOW
            return self._report(search.descent, search.drawn - begun)
        self._end_search()
        return self._report(self.descent, search.drawn - begun)

    def _follow(self) -> Step:
        """Take one step from the present start; go to the next start if it stalls."""
        search = self.search
        done = self._report(search.descent, search.step(self.projection))
        if search.descent.stalled or search.arrived:
            search.end_descent(self.projection)
            if search.arrived or search.exhausted:
                self._end_search()
            elif search.waiting:
                search.next_start(self.projection)
            else:
                self.phase = Phase.SCREEN
        return done

    def _end_search(self) -> None:
        self.descent = Descent(self.search.go_to_best(self.projection))
        self.phase = Phase.PRUNE if self.settings.prune else Phase.ENTER

    def _prune(self) -> Step:
        """Remove one hidden unit and descend; restore it if the loss grows more than fourfold."""
        hidden = len(self.network.layers) - 2
        units = self.network.width[hidden + 1]
        if self.unit >= units or units == 1:
            return self._enter()
        before = {name: t.clone() for name, t in self.network.state_dict().items()}
        self.network.remove_unit(hidden, self.unit)
        without, evaluations = Descent(self.projection(self.projection.inner)), 0
        while not without.stalled:
            evaluations += without.step(self.projection, least_fall=3e-2, most=15)
        if without.loss <= 4 * self.descent.loss:  # without a needed unit it is far higher
            self.unit, self.descent = 0, Descent(without.loss)
        else:
            self.network.load_state_dict(before)
            self.unit += 1
        return self._report(self.descent, evaluations)

    def _enter(self) -> Step:
        """Go to the next finer output grid, and to all points; solve for the output layer there."""
        self.phase, self._projection = Phase.POLISH, None
        intervals, *self.levels = self.levels
        self.network.reset_output(intervals)
        self.descent = Descent(self.projection(self.projection.inner))
        return self._report(self.descent, 1)

    def _polish(self) -> Step:
        """Take one step on the present output grid; the next grid follows when it stalls."""
        most = 12 if self.levels else self.settings.steps
        evaluations = self.descent.step(self.projection, least_fall=1e-2, most=most)
        finished, tolerance = None, self.settings.tolerance
        if self.descent.stalled and self.levels:
            self.phase = Phase.ENTER
        elif self.descent.stalled:
            finished = CONVERGED
            if self.settings.rounds and not self.descent.loss <= tolerance * self.search.zero:
                finished = (
                    f"stopped: none of {self.search.drawn} random starts came below {tolerance:g} "
                    "of the zero solution's loss; the best one was refined"
                )
        return self._report(self.descent, evaluations, finished)

    def _report(self, descent: Descent, evaluations: int, finished: str | None = None) -> Step:
        self.linear = self.projection.linear
        drawn, units = self.search.drawn, self.network.width[-2]
        intervals = self.network.layers[-1].basis.intervals
        words = f"{units} units, {intervals} intervals in the output layer"
        return Step(
            descent.loss,
            evaluations,
            finished=INDEPENDENT if self.projection.rank == 0 else finished,
            notes={
                "starts": float(drawn),
                "round": float(self.search.round),
                "damping": descent.damping,
                "width": float(units),
                "grid": float(intervals),
            },
            words=f"{drawn} random starts, {words}" if drawn else words,
        )

    def state_dict(self) -> dict[str, Any]:
        own = {"phase": str(self.phase), "descent": asdict(self.descent)}
        return super().state_dict() | own | {"search": self.search.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({name: state[name] for name in self.kept})
        self.phase, self.descent = Phase(state["phase"]), Descent(**state["descent"])
        self.search.load_state_dict(state["search"])
        self._projection = None


def _levels(coarse: int, target: int) -> list[int]:
    """Return numbers of intervals that double from coarse to target: (6, 32) → [12, 24, 32]."""
    levels = [min(2 * coarse, target)]
    while levels[-1] < target:
        levels.append(min(2 * levels[-1], target))
    return levels
