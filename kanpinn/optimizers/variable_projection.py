"""Variable projection: a search for solutions by small KANs, with about a hundred parameters."""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.breakdowns import LINALG_ERRORS
from kanpinn._support.errors import CONVERGED, InputError, integer
from kanpinn.linalg.qr import TriangularFactor, fold, outside_range
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.networks.network import Network
from kanpinn.optimizers.damping import best_damping
from kanpinn.optimizers.method import INDEPENDENT, Method, Stage, Step, require_kan
from kanpinn.optimizers.output_layer import solve_output


class Projection:
    """The projected loss f(θ) = min_c ‖r(θ, c)‖² of a KAN with inner coefficients θ.

    The output layer's coefficients c are the least-squares solution for given inner functions,
    found by damped Gauss–Newton steps if the residual r is nonlinear in c. Some changes of the
    coefficients leave the function unchanged. For example, a constant can be added to one edge of a
    hidden unit and subtracted from another edge of this unit. The value of a unit can also be
    scaled and shifted, if the next layer undoes it. This freedom, called the gauge, is removed
    before each solve, since its directions would dominate the step.

    Args:
        residuals: the terms of the loss; the surrogate's network is a KAN with a hidden layer.
        linear: whether the residual is affine in c; None if not known yet.

    Attributes:
        rank: the rank of the last least-squares problem for c; 0 if to first order the residual
            does not depend on c, and -1 before the first solve.
        evaluations: the number of evaluations of the loss and of Jacobians so far.

    Reference: Golub and Pereyra (1973); Kaufman (1975) for the Jacobian (I - QQᵀ) J_inner.
    """

    reach = 0.98  # the part of the output layer's grid [-1, 1] that the hidden units fill

    def __init__(self, residuals: Residuals, linear: bool | None = None) -> None:
        self.residuals, self.linear = residuals, linear
        self.network = require_kan(residuals.surrogate.network, "variable_projection")
        self.evaluations, self.rank = 0, -1
        self._inputs = residuals.surrogate.inputs_at(residuals.points)

    @property
    def inner(self) -> Tensor:
        """The inner coefficients θ, of all layers except the output layer, (p,)."""
        return get_coefficients(self.network.layers[:-1])

    @property
    def outer(self) -> Tensor:
        """The output layer's coefficients c, (q,)."""
        return get_coefficients(self.network.output_layers)

    def __call__(self, inner: Tensor, outer: Tensor | None = None) -> float:
        """Return the projected loss f(θ), and set the network's coefficients.

        The network gets the inner coefficients θ, with the gauge fixed, and the output coefficients
        that minimise the loss.

        Args:
            inner: the inner coefficients θ, (p,).
            outer: the coefficients c from which the steps start if the residual is nonlinear, (q,).
                By default they are zeros. If the residual or a derivative is not finite at zero, or
                if the residual does not depend on c to first order, they are all 1 or all -1.

        Returns:
            The loss; infinite if the residual or its derivatives are not finite at the start.
        """
        set_coefficients(self.network.layers[:-1], inner)
        with torch.no_grad():  # fix the gauge of the last hidden layer
            hidden = self.network.layers[-2]
            activations = self.network.activations(self._inputs)
            depth = len(self.network.layers) - 2
            hidden.spread(next(itertools.islice(activations, depth, None)), self.reach)
        if self.linear:
            return self._solved(self.outer)
        starts = [torch.full_like(self.outer, value) for value in (0.0, 1.0, -1.0)]
        for start in starts if outer is None else [outer]:
            if math.isfinite(loss := self._solved(start)) and self.rank:
                break
            self.linear = False
        return loss

    def _solved(self, outer: Tensor) -> float:
        """Solve for the output layer's coefficients, and return the loss.

        The inner coefficients are fixed. For a nonlinear residual, at most twenty steps are taken,
        until a step lowers the loss by less than a thousandth. If a step breaks down, the
        coefficients and the loss are those from before the step; if this is the first step, the
        loss is infinite.

        Args:
            outer: the coefficients from which the steps start, (q,).
        """
        set_coefficients(self.network.output_layers, outer)
        loss = math.inf
        for _ in range(20):
            outer = self.outer
            try:
                done = solve_output(self.residuals, linear=self.linear)
            except LINALG_ERRORS:
                set_coefficients(self.network.output_layers, outer)
                break
            loss, self.rank = done.loss, done.rank
            self.evaluations += done.evaluations
            if self.linear is None:
                self.linear = done.linear
            if self.linear or done.stationary or done.loss > (1 - 1e-3) * done.before:
                break
        return loss

    def step(self, loss: float, damping: float) -> tuple[float, float]:
        """Take one damped Gauss–Newton step in the inner coefficients of the network.

        No step is taken if no damping lowers the loss, or if derivatives of the residual are not
        finite.

        Args:
            loss: the projected loss at the present coefficients.
            damping: the damping that is tried first.

        Returns:
            The projected loss after the step, and the damping of the step.
        """
        start = self.inner, self.outer
        try:
            steps = self._projected_triangle().damped()
        except LINALG_ERRORS:
            self.evaluations += 1
            return loss, damping
        reached: dict[float, tuple[Tensor, Tensor]] = {}

        def loss_at(damping: float) -> float:
            """Return the loss after the step with this damping, with the best output layer."""
            # All trials start from the same output layer, so that f does not depend on the order
            # of the dampings.
            loss = self(start[0] + steps.step(damping), start[1])
            reached[damping] = self.inner, self.outer
            return loss

        damping, lowest, _ = best_damping(loss_at, damping, loss)
        inner, outer = reached[damping] if lowest < loss else start
        set_coefficients(self.network.layers[:-1], inner)
        set_coefficients(self.network.output_layers, outer)
        return min(lowest, loss), damping

    def _projected_triangle(self) -> TriangularFactor:
        """Return the linearised projected residual, as the factor of (I - QQᵀ)[J_inner, r].

        J_inner and J_output are the Jacobians of the residual r by the inner and by the output
        coefficients, and Q is an orthonormal basis of the range of J_output. If [J_output, J_inner,
        r] has the triangular factor [R₁₁, R₁₂; 0, R₂₂], the result is the factor of R₂₂ and, if R₁₁
        is singular, of the component of R₁₂ orthogonal to the range of R₁₁.
        """
        split, outputs = len(self.inner), len(self.outer)
        rows = self.residuals.rows(self.network.all_layers)
        factor = fold((j.roll(-split, dims=1), r) for j, r in rows).factor
        left, upper = factor[:outputs, :outputs], factor[:outputs, outputs:]
        remains = torch.cat([outside_range(left, upper), factor[outputs:, outputs:]])
        return TriangularFactor(torch.linalg.qr(remains, mode="r").R)


@dataclass(frozen=True)
class VariableProjection(Method):
    """Gauss–Newton on the inner functions of a KAN, from random starts.

    The loss of inner functions is the projected loss: its minimum over the coefficients of the
    output layer. The search uses a coarse grid of the output layer and a subset of the points. Each
    round draws several starts, each with random smooth inner functions. Gauss–Newton steps improve
    the starts with the least projected loss until the loss stalls. The search ends if the loss gets
    below `tolerance`. Starts at which the residual is not finite are dropped.

    After the search, hidden units are removed if the loss grows at most fourfold without them. Then
    the output grid is refined in steps to the grid of the network, with all points. The convergence
    is quadratic near a solution that the network represents exactly.

    Args:
        steps: the largest number of steps in all; drawing the starts of a round is one step.
        rounds: the largest number of rounds of the search; 0 starts from the present network.
        starts: the number of starts in each round, each with random inner functions.
        follow: the number of starts in each round that are improved by Gauss–Newton steps.
        coarse: the number of intervals of the output grid during the search.
        tolerance: the loss that ends the search, relative to the loss of the zero solution or, if
            that is not finite, of the first start.
        prune: whether hidden units that are not needed are removed.

    Raises:
        InputError: for values out of range; in a solve, for a network without a hidden layer, or
            for an energy.

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


# The kinds of steps. "screen": draw a round of random starts, on the coarse output grid. "follow":
# one Gauss–Newton step of the descent from a start. "prune": try to remove one hidden unit.
# "enter": change to the next finer output grid and all points. "polish": one Gauss–Newton step on
# that grid.
Phase = Literal["screen", "follow", "prune", "enter", "polish"]


class VariableProjectionStage(Stage):
    """The state of variable projection; each step belongs to a phase, and may set the next phase.

    The phases draw random starts, descend from each by Gauss–Newton steps, remove hidden units, and
    refine the output grid. The projected loss is minimised over the output layer's coefficients.

    Attributes:
        zero: the loss of the zero network or, if that is not finite, of the first start.
        round: the number of rounds so far.
        drawn: the number of random starts so far.
        waiting: the inner coefficients of starts of the present round from which a descent is still
            to begin, (p,) each.
        best: the inner coefficients with the lowest loss at the end of a descent, (p,); None before
            the first descent has ended.
        best_loss: the lowest loss at the end of a descent.
        levels: the numbers of intervals of the output grids that are still to come.
        phase: the kind of the next step, see `Phase`.
        loss: the projected loss at the network's present coefficients.
        damping: the damping of the last Gauss–Newton step.
        count: the number of Gauss–Newton steps in the present descent.
        points: the number of points that the search uses.
        unit: the index of the hidden unit whose removal is tried next.
        linear: whether the residual is affine in the output coefficients; None if not known yet.
        taken: the number of steps so far.
    """

    kept = (
        *("zero", "round", "drawn", "waiting", "best", "best_loss"),
        *("levels", "points", "unit", "linear", "taken", "phase", "loss", "damping", "count"),
    )

    def __init__(self, settings: VariableProjection, residuals: Residuals, seed: int) -> None:
        network = require_kan(residuals.surrogate.network, "variable_projection")
        s, target = settings, network.layers[-1].basis.intervals
        self.settings, self.residuals, self.network, self.seed = s, residuals, network, seed
        self.phase: Phase = "screen" if s.rounds else "enter"
        self.levels = [min(2 * s.coarse, target) if s.rounds else target]
        while self.levels[-1] < target:  # the intervals double: for 6 and 32 [12, 24, 32]
            self.levels.append(min(2 * self.levels[-1], target))
        self.zero, self.round, self.drawn = math.nan, 0, 0
        self.waiting: list[Tensor] = []
        self.best: Tensor | None = None
        self.best_loss = math.inf
        self._begin(math.inf)
        self.points, self.unit, self.taken = 0, 0, 0
        self.linear: bool | None = None
        self._projection: Projection | None = None

    def step(self) -> Step:
        done: Step = getattr(self, f"_{self.phase}")()
        self.taken += 1
        if self.taken < self.settings.steps or self.phase not in ("screen", "follow"):
            return done
        # The limit of steps ends the search: the final grid begins with the best descent so far.
        if self.best is not None and self.best_loss < self.loss:
            self.projection(self.best)
        self.levels = self.levels[-1:]
        return self._enter()

    def _begin(self, loss: float) -> None:
        """Begin a descent from the present coefficients, with the projected loss `loss`."""
        self.loss, self.damping, self.count = loss, 1.0, 0

    def _descend(self, least_fall: float, most: int) -> tuple[int, bool]:
        """Take one Gauss–Newton step of a descent.

        Args:
            least_fall: the descent has stalled if a step lowers the loss by less than this
                fraction of the loss.
            most: the number of steps after which the descent counts as stalled in any case.

        Returns:
            The number of evaluations, and whether the descent has stalled.
        """
        before, spent = self.loss, self.projection.evaluations
        self.loss, self.damping = self.projection.step(before, self.damping)
        self.count += 1
        stalled = not self.loss < before * (1 - least_fall) or self.count >= most
        return self.projection.evaluations - spent, stalled

    @property
    def projection(self) -> Projection:
        """The loss minimised over the output layer, at all points only in the last phase."""
        if self._projection is None:
            whole = self.phase == "polish"
            residuals = self.residuals if whole else self.residuals.subset(self.points, self.seed)
            self._projection = Projection(residuals, self.linear)
        return self._projection

    def _screen(self) -> Step:
        """Draw a round of random starts on the coarse output grid, and descend from the best.

        Further rounds are drawn until a start has a finite loss, up to the largest number of
        rounds. If no start has a finite loss, the best descent of earlier rounds goes on.

        Raises:
            LinAlgError: if no start of any round had a finite loss.
        """
        settings, begun = self.settings, self.drawn
        if self.round == 0:
            self.network.reset_output(settings.coarse)
            # With fewer points, the tolerance would also be reached from wrong starts.
            self.points = 6 * self.network.parameter_count
            layers = self.network.output_layers
            set_coefficients(layers, torch.zeros_like(get_coefficients(layers)))
            self.zero = self.projection.residuals.loss()
        tried: list[tuple[float, Tensor]] = []
        while not tried and self.round < settings.rounds:
            drawn = [self.random_start() for _ in range(settings.starts)]
            tried = [start for start in drawn if math.isfinite(start[0])]
            self.round += 1
        if tried and not math.isfinite(self.zero):
            self.zero = tried[0][0]  # the loss at u = 0 is not finite, for example log u
        tried.sort(key=lambda start: start[0])
        self.waiting = [inner for _, inner in tried[: settings.follow]]
        self._next_start()
        return self._report(self.drawn - begun)

    def random_start(self) -> tuple[float, Tensor]:
        """Draw random smooth inner functions, and return their projected loss and coefficients.

        Returns:
            The projected loss, and the inner coefficients, (p,).
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.drawn)
        self.drawn += 1
        for layer in self.network.layers[:-1]:
            # Quadratic functions: starts of higher degree reached the tolerance half as often.
            layer.randomise(generator, degree=2, decay=0.5)
        return self.projection(self.projection.inner), self.projection.inner

    def _next_start(self) -> None:
        """Begin a descent from the next waiting start, or go on from the end of the best descent.

        Raises:
            LinAlgError: if no start had a finite loss.
        """
        if self.waiting:
            start, self.phase = self.waiting.pop(0), "follow"
        elif self.best is not None:
            start, self.phase = self.best, "prune" if self.settings.prune else "enter"
        else:
            raise np.linalg.LinAlgError(
                f"the residual has no finite number from any of {self.drawn} random starts"
            )
        self._begin(self.projection(start))

    def _follow(self) -> Step:
        """Take one step of the present descent; if the descent stalls, go to the next start.

        If no start is waiting, the next round draws new starts. After the last round, or if the
        loss is below the tolerance, the search ends, and the best descent goes on.
        """
        # Measured: descents that reach the tolerance lower the loss by more than 3 % in each step,
        # and take fewer than 40 steps.
        evaluations, stalled = self._descend(least_fall=3e-2, most=40)
        done, settings = self._report(evaluations), self.settings
        arrived = self.loss <= settings.tolerance * self.zero
        if stalled or arrived:
            if self.loss < self.best_loss:
                self.best_loss, self.best = self.loss, self.projection.inner
            self.waiting = [] if arrived else self.waiting
            if arrived or self.waiting or self.round >= settings.rounds:
                self._next_start()
            else:
                self.phase = "screen"
        return done

    def _prune(self) -> Step:
        """Remove a hidden unit and descend; restore the unit if the loss grows over fourfold.

        If each unit has been tried, or only one is left, the next phase begins.
        """
        hidden = len(self.network.layers) - 2
        units = self.network.width[hidden + 1]
        if self.unit >= units or units == 1:
            return self._enter()
        before = {name: t.clone() for name, t in self.network.state_dict().items()}
        present, evaluations, stalled = self.loss, 0, False
        self.network.remove_unit(hidden, self.unit)
        self._begin(self.projection(self.projection.inner))
        while not stalled:
            spent, stalled = self._descend(least_fall=3e-2, most=15)
            evaluations += spent
        if self.loss <= 4 * present:  # without a unit that is needed, the loss is far higher
            self.unit = 0
        else:
            self.network.load_state_dict(before)
            self.unit, self.loss = self.unit + 1, present
        self.damping = 1.0
        return self._report(evaluations)

    def _enter(self) -> Step:
        """Change to the next finer output grid and to all points; solve for the output layer."""
        self.phase, self._projection = "polish", None
        intervals, *self.levels = self.levels
        self.network.reset_output(intervals)
        self._begin(self.projection(self.projection.inner))
        return self._report(1)

    def _polish(self) -> Step:
        """Take one step on the present output grid; the next grid follows if the loss stalls.

        If the loss stalls on the last grid, the stage is finished.
        """
        most = 12 if self.levels else self.settings.steps
        evaluations, stalled = self._descend(least_fall=1e-2, most=most)
        finished, tolerance = None, self.settings.tolerance
        if stalled and self.levels:
            self.phase = "enter"
        elif stalled:
            finished = CONVERGED
            if self.settings.rounds and not self.loss <= tolerance * self.zero:
                finished = (
                    f"stopped: none of {self.drawn} random starts came below {tolerance:g} "
                    "of the zero solution's loss; the best one was refined"
                )
        return self._report(evaluations, finished)

    def _report(self, evaluations: int, finished: str | None = None) -> Step:
        """The result of a step of this stage.

        Args:
            evaluations: the number of evaluations in the step.
            finished: the status that ends the stage; None to continue.
        """
        self.linear = self.projection.linear
        units, intervals = self.network.width[-2], self.network.layers[-1].basis.intervals
        words = f"{units} units, {intervals} intervals in the output layer"
        return Step(
            self.loss,
            evaluations,
            finished=INDEPENDENT if self.projection.rank == 0 else finished,
            notes={
                "starts": float(self.drawn),
                "round": float(self.round),
                "damping": self.damping,
                "width": float(units),
                "grid": float(intervals),
            },
            words=f"{self.drawn} random starts, {words}" if self.drawn else words,
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._projection = None
