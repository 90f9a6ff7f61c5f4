"""The search for a solution by trials, in families of choices from small to large networks.

A `Trial` is a choice with its solution. The errors of two trials are estimated from their
comparison. A `Climb` is the sequence of trials of one family. Forecasts of the time of a trial
decide whether it fits into the time left.
"""

import copy
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from kanpinn._support.distributed import from_first, together
from kanpinn._support.errors import (
    CONVERGED,
    FAILED,
    OUT_OF_TIME,
    OVERFITTED,
    STOPPED_BY_USER,
    UNCOMPARED,
    UNDETERMINED,
    InputError,
    expecting,
    integer,
    number,
)
from kanpinn._support.interrupts import entered
from kanpinn.accuracy import Errors, Estimate, Recipe
from kanpinn.geometry.sampling import sample
from kanpinn.networks import KAN
from kanpinn.networks.layer import get_coefficients
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.problem import Problem
from kanpinn.solvers import error_estimate
from kanpinn.solvers.auto.choices import Choice, Family, Traits, families, is_reentrant
from kanpinn.solvers.discretization import Discretization, Loss, discretize
from kanpinn.solvers.loop import reference_and_norm, solve_discretized
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer, SolverState
from kanpinn.spaces.cells.cells import Cells
from kanpinn.tasks import Ritz

# A function that is called with the choice of a trial, the name of its family with the estimated
# error of the best trial so far, and the state of the search.
Announce = Callable[[Choice, str, Mapping[str, Any]], None]


@dataclass(frozen=True, eq=False)
class Trial:
    """One trial: a choice, its solution and the time that it took.

    Args:
        choice: the network, points and optimizers.
        solution: the solution.
        seconds: the wall time of the trial.
        distance: for energies, the relative L2 distance between the solution and the solution of
            the trial before; otherwise None.
        noise: the relative statistical error of the solution due to noise in the data.
        confirmed: whether the solution has been compared with a finer solution.
    """

    choice: Choice
    solution: Solution
    seconds: float
    distance: float | None = None
    noise: float = 0.0
    confirmed: bool = False

    @property
    def error(self) -> float:
        """The estimated relative L2 error; infinite if it is not known."""
        known = self.solution.estimate
        return math.inf if known is None or known.errors is None else known.errors.l2_relative

    @property
    def own_error(self) -> float | None:
        """The relative L2 error that a solve in cells has estimated; None for other networks."""
        return error_estimate.own_error(self.solution)

    @property
    def is_minimum(self) -> bool:
        """True if the solution minimises an energy, so that residuals say nothing against it."""
        minimises = any(isinstance(one, Ritz) for one in self.choice.optimizers)
        return minimises or self.choice.loss.form == "energy"

    @property
    def loss(self) -> float:
        """The loss at points that no step has used; infinite for an energy (no residual)."""
        verification = self.solution.verification
        return math.inf if verification is None else verification.loss(Loss())

    @property
    def failed(self) -> bool:
        """True if the solve has failed."""
        return self.solution.status.startswith(FAILED)

    @property
    def late(self) -> bool:
        """True if the budget was too small for the first step, or has ended a march."""
        small = self.solution.status.startswith(f"{FAILED}: the budget")
        return small or (self.solution.marched < 1 and not self.failed)

    @property
    def resolved(self) -> bool:
        """True if, for each unknown, the error due to the network is known or less than the noise.

        The unknowns are the problem's unknown parameters and unknown fields.
        """
        numbers, fields = self.solution.estimated.values(), self.solution.spreads.values()
        return all(n.resolved for n in numbers) and all(f.resolved for f in fields)

    @property
    def observed(self) -> bool:
        """True if some conditions of the problem are measurements."""
        return any(c.measurements for c in self.solution.problem.conditions())

    def better_than(self, other: "Trial") -> bool:
        """Return whether the estimated error is lower than that of another trial.

        If neither error is below 1, or known, the losses at fresh points are compared. If one of
        the losses is not known either, this trial counts as better unless it has failed.

        Args:
            other: the other trial.
        """
        if min(self.error, other.error) < 1:
            return self.error <= other.error
        if math.isinf(max(self.loss, other.loss)):
            return not self.failed
        return self.loss <= other.loss

    def estimated(
        self, errors: Errors | None, contraction: float | None, doubt: str = ""
    ) -> "Trial":
        """Return the trial with another estimate of its errors.

        Args:
            errors: the estimated errors; None if they are not known.
            contraction: ρ, the ratio of the residuals of the two solutions that were compared; None
                if there is none.
            doubt: the reason why the errors are not known, as text; empty if they are known.
        """
        estimate = Estimate(errors, contraction, 0.0, doubt)
        return replace(self, solution=replace(self.solution, estimate=estimate))

    def by_itself(self) -> "Trial":
        """Return the trial with the errors that a march or a solve in cells has estimated.

        If a solve in cells has not, the trial gets the reason. Other trials are returned as they
        are.
        """
        errors = error_estimate.own_errors(self.solution)
        if errors is None and not self.solution.network.estimates_error:
            return self
        _, _, reason = self.solution.status.partition(": ")
        why, _, _ = (reason or self.solution.status).partition(";")
        return self.estimated(errors, None, "" if errors else why)

    def at_least_its_own(self) -> "Trial":
        """Return the trial with an error of at least the error that a march itself has estimated.

        Two marches with different tolerances may have the same cells, and the same error in space.
        """
        own, known = self.solution.own_estimate, self.solution.estimate
        if not self.solution.network.in_windows or own is None or own <= self.error:
            return self
        if known is None or known.errors is None:
            return self
        alike, distance = 10.0, known.errors.l2_relative  # up to 10 H1 errors grow like L2 errors
        errors = error_estimate.own_errors(self.solution)
        if own <= alike * distance:
            errors = known.errors.scaled(own / distance)
        return self.estimated(errors, known.contraction)


def start(discretization: Discretization[Problem], known: Trial | None) -> None:
    """Set the initial coefficients of a trial's network, in place.

    The network starts from the solution of an earlier trial if that is possible and useful.
    Otherwise its output is scaled to the expected size of the solution.

    Args:
        discretization: the discretization of the next trial.
        known: an earlier trial, whose values of the problem's unknown parameters are also initial
            values; None for the first trial.
    """
    network, unknowns = discretization.surrogate.network, discretization.problem.unknowns
    before = None if known is None else known.solution.network
    if before is not None and unknowns:
        network.constants = copy.deepcopy(before.constants)
    if before is not None and network.take(before):
        return
    if not isinstance(network, KAN):
        return
    cold = unknowns or known is None or known.choice.loss.form == "energy"
    if known is not None and not cold and known.solution.history.steps > 1:
        error_estimate.start_from(known.solution, discretization)
    elif discretization.scales is not None:
        layers = network.output_layers
        sizes = discretization.scales.fields.to(get_coefficients(layers))
        with torch.no_grad():
            layers[0].coefficients.mul_(sizes)


def noise_of(solution: Solution, count: int = 200) -> float:
    """Return the relative statistical error of a solution due to noise in the data.

    This error is the root mean square of the standard errors of all fields at `count` points,
    divided by the root mean square of the fields. Points where the data do not determine a field
    are left out, since the standard error there is infinite. For fields that are 0 the result is 0.

    Args:
        solution: the solution, whose loss has data.
        count: the number of points.
    """
    points = sample(solution.problem.domain, count, "sobol")
    like = next(solution.network.parameters())
    points = points.to(like.dtype, like.device)
    covariance = solution.covariance
    squares = 0.0
    for index, _ in enumerate(solution.fields):
        field = covariance.field(points, index)
        errors = (field.high - field.low) / (2 * covariance.noise.quantile)
        errors = errors[errors.isfinite()]
        squares += float(errors.square().mean()) if len(errors) else 0.0
    size = float(solution(points).square().mean(dim=0).sum())
    return (squares / size) ** 0.5 if size > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Verdict:
    """Two successive trials, with the errors that follow from their comparison.

    A trial is a solve with a choice of network, points and optimizers.

    Args:
        first: the first trial; None if there was none to compare with.
        second: the second trial.
        part: ρ, the residual of the second trial divided by the residual of the first trial. For
            energies ρ is the ratio of successive distances, 0 if it is not known.
        settled: whether the second trial fits noisy data no better than the first trial.
    """

    first: Trial | None
    second: Trial
    part: float = 0.0
    settled: bool = False

    @property
    def doubtful(self) -> bool:
        """True if the comparison has shown that the second trial's error cannot be estimated."""
        known = self.second.solution.estimate
        return known is not None and known.errors is None


def judge(one: Trial, other: Trial) -> Verdict:
    """Estimate the errors of two successive trials with the same form of the loss.

    The errors of an energy's trials are estimated from distances, since an energy has no residual.
    Trials that fit measurements are judged by their fit. If just one of the two trials is a march,
    and the distance of the solutions is more than three times the estimated error of the march, the
    march keeps this estimate, and the error of the other trial is the distance. Residuals do not
    decide here: that of a march may exceed that of a network whose error is a thousand times
    larger. If the second network is in cells, its own error estimate is used. All other errors are
    estimated from the residuals.

    Args:
        one: the first trial.
        other: the second trial.
    """
    distance = error_estimate.compare(one.solution, other.solution)
    ratio = distance.contraction
    if ratio is None:
        return _by_distances(one, other, distance)
    if one.observed:
        return _by_fit(one, other, distance, ratio)
    marched, gap = one.solution.network.in_windows, distance.norms.l2_relative
    if marched != other.solution.network.in_windows:
        if marched and gap > 3 * one.error:
            return Verdict(one, other.estimated(distance.norms, None), ratio)
        if not marched and gap > 3 * other.error:
            return Verdict(one.estimated(distance.norms, None), other, ratio)
    if other.own_error is not None:  # an overfitted first trial says nothing against the second
        return _by_own_error(one, other, distance, other.own_error)
    if other.solution.network.estimates_error:  # residuals do not show wrong limits
        return Verdict(one, other.by_itself(), ratio)
    first, second = _by_residuals(one, other, distance, ratio)
    return Verdict(first.at_least_its_own(), second.at_least_its_own(), ratio)


def _by_own_error(
    one: Trial, other: Trial, distance: error_estimate.Comparison, error: float
) -> Verdict:
    """Return the verdict on two trials, the second one in cells, by the error that cells estimate.

    Residuals say little about solutions that are singular at corners, since residuals grow without
    limit there. The second error is therefore the error that its solve has estimated. The first
    error is at most the distance of the two solutions plus the second error. This sum is its
    estimate or, for a first trial in cells, its own estimate if that is larger. H1 errors are not
    known for minima of energies and at corners that point inwards, since they are largest in the
    smallest cells there.

    Args:
        one: the first trial.
        other: the second trial, in cells.
        distance: the comparison of the two solutions.
        error: the relative L2 error that the solve of the second trial has estimated. If it exceeds
            the first error, and the second residual is clearly larger, the first error stays as it
            was: the distance is then the error of the second trial, which rounding in small cells
            may have made poorer.
    """
    if distance.poorer and one.error < error and not other.is_minimum:
        errors = error_estimate.own_errors(other.solution)
        return Verdict(one, other.estimated(errors, None), distance.contraction or math.inf)
    norms, ratio = distance.norms, distance.contraction
    if not norms.l2_relative:  # both trials have found the same solution
        norms = error_estimate.own_errors(other.solution) or norms
    singular = other.is_minimum or is_reentrant(one.solution.problem.domain)
    if distance.doubt or singular:
        norms = _without_h1(norms)
    gap = max(norms.l2_relative, torch.finfo(torch.float64).tiny)
    before = max(one.own_error or 0.0, distance.norms.l2_relative + error)
    first, second = (
        replace(trial.estimated(norms.scaled(its / gap), part), confirmed=True)
        for trial, its, part in ((one, before, ratio), (other, error, None))
    )
    return Verdict(first, second, error / before)


def _without_h1(errors: Errors) -> Errors:
    """Return errors whose H1 norms, of all fields together and of each field, are not known."""
    nan = math.nan
    fields = {name: _without_h1(its) for name, its in errors.fields.items()}
    return replace(errors, h1=nan, h1_relative=nan, h1_squared=nan, fields=fields)


def _by_residuals(
    one: Trial, other: Trial, found: error_estimate.Comparison, ratio: float
) -> tuple[Trial, Trial]:
    """Return two trials with errors from their distance d and the ratio ρ of their residuals.

    The first error is d / (1 - ρ). The second error is ρ^0.8 times the first error, since errors
    decrease more slowly than residuals, most of all near a resonance. If the second residual is
    rounding error, the second error is √ρ times the first error. If the first residual is rounding
    error, both errors are d. No error is smaller than the machine epsilon. If the distance does not
    measure the error, as for ρ > 0.7, the second error is not known, unless a march has estimated
    it itself and the distance is at most three times the sum of both errors. The first error then
    stays the error of an earlier comparison or the march's own; but it becomes unknown if the
    second residual is smaller and the distance is more than three times that error. If the second
    trial is clearly the poorer one, as another kind of network may be, the roles of the trials are
    exchanged.

    Args:
        one: the first trial.
        other: the second trial.
        found: the comparison of the two solutions.
        ratio: ρ, the residual of the second trial divided by the residual of the first trial.
    """
    if found.poorer:
        turned = error_estimate.compare(other.solution, one.solution)
        if not turned.doubt and turned.contraction is not None:
            poorer, better = _by_residuals(other, one, turned, turned.contraction)
            return (better if math.isinf(one.error) else one), poorer
    if found.doubt:
        gap = 0.0 if found.overfitted else found.norms.l2_relative
        refuted = ratio < 1 and gap > 3 * one.error
        if one.solution.estimate is None or refuted:
            one = one.estimated(None, ratio, found.doubt)
        if math.isinf(other.error) or gap > 3 * (one.error + other.error):
            other = other.estimated(None, ratio, found.doubt)
        return one, other
    larger, smaller = 1.0, 1.0
    if not found.is_rounding:
        larger = 1 / (1 - ratio)
        its = other.solution.verification
        smaller = larger * ratio ** (0.5 if its is not None and its.is_rounding else 0.8)
    rounding = torch.finfo(next(one.solution.network.parameters()).dtype).eps
    least = rounding / (found.norms.l2_relative or math.inf)
    first, second = (
        trial.estimated(found.norms.scaled(max(factor, least)), ratio)
        for trial, factor in ((one, larger), (other, smaller))
    )
    return replace(first, confirmed=True), second


def _by_distances(one: Trial, other: Trial, distance: error_estimate.Comparison) -> Verdict:
    """Return the verdict on two trials of an energy, which has no residual, from distances.

    The distances d between successive solutions decrease like the errors. If each distance is q
    times the distance before, the errors of the two trials are d / (1 - q) and d q / (1 - q). A
    single large decrease is mostly chance, so q is at least 0.5. It is at most 0.9, since the
    errors are not known for a ratio close to 1.

    Args:
        one: the first trial, with its distance from the trial before.
        other: the second trial.
        distance: the comparison of the two solutions.
    """
    d, before = distance.norms.l2_relative, one.distance
    part = d / before if before else 0.0
    q = min(max(part, 0.5), 0.9)
    first, second = (
        trial.estimated(distance.with_misfit(distance.norms.scaled(factor / (1 - q))), None)
        for trial, factor in ((one, 1), (other, q))
    )
    return Verdict(first, replace(second, distance=d), part)


def _by_fit(one: Trial, other: Trial, found: error_estimate.Comparison, ratio: float) -> Verdict:
    """Return the verdict on two trials that fit noisy data.

    The noise leaves a residual that a network can lower only by overfitting. If the residual of the
    larger network is more than 0.95 times the residual of the smaller network, the difference is
    noise and the verdict is settled: the smaller network is preferred, and the error of each trial
    is the distance of the solutions, plus the effect of the noise.

    Args:
        one: the first trial, with the smaller network.
        other: the second trial, with the larger network.
        found: the comparison of the two solutions.
        ratio: ρ, the residual of the second trial divided by the residual of the first trial.
    """
    if found.overfitted or not (other.resolved or ratio <= error_estimate.LARGEST_CONTRACTION):
        return Verdict(*_by_residuals(one, other, found, ratio), ratio)
    settled = ratio > 0.95
    if settled:
        trials = one.estimated(found.norms, ratio), other.estimated(found.norms, ratio)
    else:
        trials = _by_residuals(one, other, replace(found, doubt=""), min(ratio, 0.9))
    with_noise = []
    for trial in trials:
        known = trial.solution.estimate
        assert known is not None and known.errors is not None
        error = max(known.errors.l2_relative, torch.finfo(torch.float64).tiny)
        errors = known.errors.scaled((error**2 + trial.noise**2) ** 0.5 / error)
        with_noise.append(trial.estimated(errors, known.contraction))
    first, second = with_noise
    return Verdict(first, second, ratio, settled)


def checked(trial: Trial, minimum: Trial) -> Trial:
    """Return a trial of the strong form, with a larger error if an energy's minimum refutes it.

    The error is at least the distance of the two solutions minus the error of the energy's trial.
    The estimate from residuals may be too small: if a solution is too rough for the strong form,
    the residual decreases while the error does not.

    Args:
        trial: a trial of the strong form.
        minimum: the last trial that minimised the energy.
    """
    if not math.isfinite(trial.error):
        return trial
    distance = error_estimate.compare(minimum.solution, trial.solution).norms
    least = distance.l2_relative - minimum.error
    if trial.error >= least:
        return trial
    return trial.estimated(distance.scaled(least / distance.l2_relative), None)


@dataclass(kw_only=True)
class TrialSearch:
    """The search for a solution by trials of networks, points and optimizers.

    Trials run in families, each from small to large networks. Up to three dimensions the families
    are: networks that minimise an energy, if the problem's class has an energy, or if an energy
    follows from the equation of several fields in a box in space; windows in time, for evolutions
    in no or one space dimension or in a rectangle; windows in time with cells in space, for
    evolutions in the plane; splines, in one dimension; cells; random inner functions; random inner
    functions on finer grids; and sums of functions of one coordinate. For evolutions that can be
    marched, cells come after random inner functions, unless there are interfaces, or corners that
    point inwards. For other problems in space no family follows cells unless their solve failed.
    Above three dimensions the families are windows in time, for evolutions in a box in space; sums
    of functions of one coordinate; linear inner functions; and inner functions that are found by
    variable projection.

    Systems in time alone, and evolutions in the plane and in a box in space, are solved in windows
    in time only, unless their first trial has failed for another reason than a small budget: least
    squares over all times have minima far from the solution of a nonlinear system, and in more
    dimensions networks for all times are coarse.

    The families race. Each has a forecast from its own errors and seconds, see `Climb.needed`. The
    family with the least forecast goes on if the forecast is at most four times the time of the
    search so far; otherwise the next family makes its first trial. So a family that does not
    converge, or converges slowly, costs at most a part of the time. When all families have been
    tried and none has a forecast, the family with the least residual goes on, at first with other
    points, until the time is used up.

    The errors of two successive solutions are estimated from their comparison. Let the residual of
    the second solution at fresh points (points that no solve has used) be ρ times the residual of
    the first. Then the error of the first solution is the distance of the solutions divided by 1 -
    ρ. The error of the second solution is ρ^0.8 times the first error, since errors decrease more
    slowly than residuals. If ρ > 0.7 or a solution is overfitted, the errors are not known. The
    second error is only a rough estimate, which may be 100 times too high. So if this estimate is
    within the tolerance, and also at the end of the search, the second solution is compared with a
    solution with 1.25 times the hidden units, as in `estimate_error`, provided that time is left.
    Marches and solves in cells estimate their own errors; if no time is left to compare such a
    solution with a better one, the status is "stopped". For energies, ρ is the ratio of successive
    distances, and the second error is ρ times the first error.

    An overfitted trial is repeated with more points. With noisy data, the search keeps the smallest
    network that fits the data as well as the next larger network, and its error estimate includes
    the noise. Except for energies, time windows, cells, data and unknowns, residuals are divided by
    their sizes (`balance="sizes"` of `solve`), so that the units of coordinates, fields and
    equations do not matter. Neither the problem's name nor its exact solution influences a choice.
    `Solution.log` lists the trials, why families ended, and the trial that more time would allow.

    Args:
        problem: the problem to solve.
        boundary, seed: as for `solve`.
        dtype, device: the dtype and the device of the networks.
        tolerance: the estimated relative L2 error at which the search ends.
        budget: the seconds for all trials. No trial but the first, and no step within a trial,
            starts if it is forecast to take longer than the time left.
        observers: called with the `SolverState` of a trial after every step.
        announce: called before each trial with the choice, the name of its family with the
            estimated error so far where it is known, and the state of the search; and at the end
            with the choice that is kept. None to announce nothing.
        checkpoint: the state of a search, as `announce` got it. The search goes on with the rest of
            the budget.

    Attributes:
        made: a record of each trial so far: its choice, budget and time, and the state from which
            its solve can continue.
        best: the trial with the least estimated error; None before the first trial.
        minimum: the last trial that minimised an energy; None if there is none.
        undetermined: of the trials with an error in nearly singular directions the one with the
            least residual; None if there is none.
        log: lines that tell the trials, and the reasons why families ended.
        interrupted: whether the user interrupted a trial.
        late: the first choice that did not fit into the time left, in words; empty if all did.
        refusal: the first `InputError` by which a family was refused; None if there is none.
        climbs: the trials of each family.

    Raises:
        InputError: for impossible settings, or a checkpoint that is not the state of a search.
    """

    problem: Problem
    boundary: str = "auto"
    seed: int = 0
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"
    tolerance: float | int = 1e-9
    budget: float | int = 300.0
    observers: Sequence[Observer] = ()
    announce: Announce | None = None
    checkpoint: Mapping[str, Any] | None = None
    best: Trial | None = field(default=None, init=False)
    minimum: Trial | None = field(default=None, init=False)
    undetermined: Trial | None = field(default=None, init=False)
    log: list[str] = field(default_factory=list, init=False)
    interrupted: bool = field(default=False, init=False)
    late: str = field(default="", init=False)
    refusal: InputError | None = field(default=None, init=False)
    climbs: list["Climb"] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.problem = stated(self.problem, Problem)
        number("tolerance", self.tolerance, above=True)
        number("budget", self.budget, above=True)
        integer("seed", self.seed, least=0)
        self.made: list[dict[str, Any]] = []
        self._earlier: list[dict[str, Any]] = []
        self._before, self._begun = 0.0, time.perf_counter()
        if self.checkpoint is not None:
            with expecting("the checkpoint of the trials"):
                self._earlier = [dict(trial) for trial in self.checkpoint["trials"]]
                for trial in self._earlier:
                    trial["choice"], trial["run"], float(trial["budget"]), float(trial["elapsed"])

    @property
    def seconds(self) -> float:
        """The seconds so far, by the clock of rank 0; all ranks must read it at the same time."""
        return from_first(self._before + time.perf_counter() - self._begun)

    @property
    def state(self) -> dict[str, Any]:
        """The state from which a search continues: tensors and plain values.

        It has the final state of each trial of the search so far. A search that continues from it
        makes the decisions of the earlier search again from these states, without steps of the
        solves, and then goes on with new trials.
        """
        return {"trials": list(self.made)}

    def solution(self, reference: Recipe | None = None, errors: bool = True) -> Solution:
        """Run the search, and return the best solution.

        The best solution has the least estimated error of all trials. If no error is known, it has
        the least residual at fresh points, and the status says that the error is not known. The
        errors against an exact solution or a reference are measured at the end, since no choice
        depends on them. The solution's `seconds` do not include the time to compute a reference.

        Args:
            reference: how to compute the reference solution, as for `solve`.
            errors: whether to measure the errors.

        Raises:
            InputError: if every family was refused.
        """
        with entered(self.observers):  # around all trials: one line shows the progress of all
            self.climbs = [Climb(one) for one in families(Traits(self.problem), self.tolerance)]
            while not self._is_over() and (turn := next_turn(self.climbs, self)) is not None:
                climb, share = turn
                self._step(climb, share)
                if self._is_over():
                    climb.ended = climb.ended or "the search ends here"
                if climb.ended:
                    self.log.append(f"{climb.family.name}: {climb.ended}")
            if self.late:
                self.log.append(f"with more time: {self.late}")
            if self.best is None and self.refusal is not None:
                raise self.refusal
            assert self.best is not None
            best = self.best if self.interrupted else self._confirmed(self.best)
            if best is not self.best or best.error > self.tolerance:
                best = self._as_determined(best)
            solution = self._finished(best)
        begun = time.perf_counter()
        known, norm, waited = reference_and_norm(solution.problem, reference, errors)
        if norm is None:
            return solution
        waited = 0.0 if known is None else waited
        measured = norm.converged(solution.surrogate.evaluate, solution.network.pieces)
        seconds = solution.seconds + time.perf_counter() - begun - waited
        return replace(
            solution, errors=measured, reference=known, reference_seconds=waited, seconds=seconds
        )

    def _step(self, climb: "Climb", share: float) -> None:
        """Make the next trial of a family, or store the reason why there is no further trial.

        Args:
            climb: the trials of the family, which get the new trial.
            share: the part of the time left that the trial may take.
        """
        planned, known = climb.following(), climb.last or self.best
        if planned is None:
            climb.ended = "there is no larger one"
            return
        if self.problem.unknowns:  # confidence intervals are right for loss weights 1 only
            planned = replace(planned, loss=replace(planned.loss, balance=None))
        choice, late = self._fitting(planned, known, climb)
        if choice is None:
            climb.ended = late
            return
        try:
            trial = self._try(choice, climb.family.name, known, share)
            trial = self._with_enough_points(trial, climb.family.name, known)
        except InputError as error:
            # For example, time windows are refused if conditions couple different times.
            self.refusal = self.refusal or error
            climb.ended = f"not for this problem ({error})"
            return
        if climb.family.alone and (trial.late or not trial.failed):
            self.climbs = [one for one in self.climbs if one.trials or one is climb]
        if trial.late or (trial.failed and self.best is not None):
            self.best = self.best or trial
            climb.ended = trial.solution.status
        elif not self.interrupted or self.best is None:
            verdict = self._judge(climb, known, trial)
            for other in self.climbs:
                other.learn(verdict.first)
            climb.see(verdict, planned)
        climb.ended = climb.ended or late

    def _fitting(
        self, choice: Choice, known: Trial | None, climb: "Climb"
    ) -> tuple[Choice | None, str]:
        """Return a choice that fits into the time left.

        Args:
            choice: the choice that is next in the family.
            known: the trial from which the time is forecast; None before the first trial.
            climb: the trials of the family.

        Returns:
            The choice, or a choice between it and the earlier one, or None if neither fits into the
            time left.
            The reason, as text, why the first result is not `choice`; "" if it is.
        """
        late = None if known is None else unaffordable(choice, known, self.left)
        if known is None or late is None:
            return choice, ""
        if choice.kind is known.choice.kind:
            self.late = self.late or f"{choice}, {late}"
        if climb.last is None or known.choice.kind is not choice.kind or self.left <= 0:
            return None, late
        part = 0.9 * self.left / forecast(choice, known)  # forecasts may be too low
        return choice.within(part, known.choice), late

    def _try(self, choice: Choice, why: str, known: Trial | None, share: float = 1.0) -> Trial:
        """Solve with a choice, and return the trial with its solution.

        Args:
            choice: the choice.
            why: the name of its family.
            known: an earlier trial, from which the solve starts; None for the first trial.
            share: the part of the time left that the solve may take.
        """
        begun, last = self.seconds, list[SolverState]()
        network = choice.network(self.seed, self.dtype, self.device)
        with together():
            settings = choice.settings(self.boundary)
            discretization = discretize(self.problem, network, settings, self.seed)
        start(discretization, known)
        earlier = self._earlier[len(self.made) :][:1]
        if not earlier or earlier[0]["choice"] != str(choice):
            earlier = self._earlier = []  # the choices differ now: drop later records
            if self.announce is not None:
                known_to = math.inf if self.best is None else self.best.error
                so_far = f" (estimated error so far {known_to:.1e})" if known_to < 1 else ""
                self.announce(choice, f"{why}{so_far}", self.state)
        left = share * self.left - (0.0 if known is None else beside_steps(choice, known))
        budget = earlier[0]["budget"] if earlier else max(left, 1e-3)
        solution = solve_discretized(
            discretization,
            choice.optimizers,
            errors=False,
            budget_seconds=budget,
            observers=(last.append, *self.observers),
            checkpoint=earlier[0]["run"] if earlier else None,
        )
        self.interrupted = solution.status == STOPPED_BY_USER
        if earlier and not self.interrupted:
            self._before, self._begun = float(earlier[0]["elapsed"]), time.perf_counter()
            self.made.append(earlier[0])
        elif not self.interrupted:
            run = last[-1].state_dict() if last else None
            record = {"choice": str(choice), "run": run, "budget": budget}
            self.made.append({**record, "elapsed": self.seconds})
        seconds = from_first(solution.optimizer_seconds)  # so that ranks forecast the same
        solution = replace(solution, optimizer_seconds=seconds)
        trial = Trial(choice, solution, self.seconds - begun)
        return replace(trial, noise=noise_of(solution)) if trial.observed else trial

    def _with_enough_points(self, trial: Trial, why: str, known: Trial | None) -> Trial:
        """Return a trial after repeating it with more points while it is overfitted.

        Args:
            trial: the trial.
            why: the name of its family.
            known: an earlier trial, from which the repeated trials start; None if there is none.
        """
        factor, most = 2.0, 4
        for _ in range(most):
            fresh = trial.solution.verification
            if fresh is None or not fresh.overfitted or trial.failed:
                break
            choice = trial.choice.with_more_points(factor, only_boundary=fresh.on_boundary)
            if unaffordable(choice, trial, self.left / 2):
                break
            denser = self._try(choice, why, known)
            if denser.failed or self.interrupted:
                break
            self.log.append(f"{trial.choice}: {trial.seconds:.2g} s, overfitted")
            trial = denser
        return trial

    def _judge(self, climb: "Climb", known: Trial | None, trial: Trial) -> Verdict:
        """Estimate the error of a trial by comparison with earlier trials, and store the best one.

        If the comparison with the trial before leaves the error unknown, the trial is compared with
        an earlier trial that has a much larger residual. The seconds of the trial include the
        seconds of the comparisons, so that forecasts include them, too.

        Args:
            climb: the trials of the family.
            known: the trial before; None for the first trial.
            trial: the trial.
        """
        begun, trial = self.seconds, trial.by_itself()
        verdict = Verdict(None, trial)
        alike = (
            known is not None
            and not known.late
            and known.choice.loss.form == trial.choice.loss.form
        )
        if known is not None and alike and trial.is_minimum >= known.is_minimum:
            verdict = judge(known, trial)
            self._consider(verdict.first or known)
            if verdict.doubtful and (earlier := climb.far_behind(trial)) is not None:
                again = judge(earlier, trial)
                self._consider(again.first or earlier)
                verdict = replace(verdict, second=again.second)
        seconds = trial.seconds + self.seconds - begun
        trial = replace(verdict.second, seconds=seconds)
        if trial.error <= self.tolerance:
            trial = self._confirmed(trial, known)
        if trial.is_minimum:
            self.minimum = trial
        elif self.minimum is not None:
            trial = checked(trial, self.minimum)
        if not verdict.settled:
            self._consider(trial)
        said = str(trial.solution.estimate or "").splitlines()
        error = f", {said[0]}" if said else ""
        self.log.append(f"{trial.choice}: {trial.seconds:.2g} s{error}")
        return replace(verdict, second=trial)

    def _confirmed(self, trial: Trial, before: Trial | None = None) -> Trial:
        """Return a trial with an error from the comparison with a finer solution, if time is left.

        Args:
            trial: the trial.
            before: an earlier trial, which is compared with the finer solution if the comparison
                of `trial` leaves the error unknown; None for no other comparison.
        """
        finer = finer_solution(trial, self.left)
        if finer is None or finer.status.startswith(error_estimate.ENDED):
            self.interrupted |= finer is not None and finer.status == STOPPED_BY_USER
            return trial
        judged = judge(trial, last := Trial(trial.choice, finer, 0.0)).first or trial
        if before is not None and math.isinf(judged.error):
            self._consider(judge(before, last).first or before)
        return replace(judged, confirmed=True)

    def _consider(self, trial: Trial) -> None:
        """Store a trial as `best` if it is better than the best trial so far.

        Errors within the tolerance count after a check that the data determine the solution. Solves
        in cells make this check themselves.
        """
        if trial.error <= self.tolerance or UNDETERMINED in trial.solution.status:
            trial = self._as_determined(trial)
        best = self.best  # `trial` may be the best trial with a new estimate
        if best is None or best.choice is trial.choice or trial.better_than(best):
            self.best = trial

    def _as_determined(self, trial: Trial) -> Trial:
        """Return a trial with the error that remains where the data hardly determine the solution.

        A layer that is not resolved hides nearly singular directions. So the error that another
        trial with a smaller residual has in these directions counts as well.
        """
        known = trial.solution.estimate
        if known is None or known.errors is None:
            return trial
        estimate, finest = (
            error_estimate.with_undetermined(known, trial.solution, self.left),
            self.undetermined,
        )
        if finest is not None and finest.loss < trial.loss:
            estimate = error_estimate.at_least(estimate, finest.error)
        found = replace(trial, solution=replace(trial.solution, estimate=estimate))
        hidden = found.error > trial.error or UNDETERMINED in trial.solution.status
        if hidden and (finest is None or found.loss < finest.loss):
            self.undetermined = found
        return found

    @property
    def left(self) -> float:
        """The seconds left of the budget."""
        return self.budget - self.seconds

    def _is_over(self) -> bool:
        """Return whether the search ends: tolerance reached, budget used up, or interrupted."""
        if self.best is None:
            return False  # there is at least one trial
        return self.best.error <= self.tolerance or self.left <= 0 or self.interrupted

    def _finished(self, best: Trial) -> Solution:
        """Return the best trial's solution with the log, and a status by its estimated error.

        A solution in cells or a march that was not compared with another solution does not get the
        status "converged", since only its own solve has estimated its error.
        """
        if self.announce is not None:
            self.announce(best.choice, "kept", self.state)
        solution = replace(best.solution, seconds=self.seconds, log=tuple(self.log))
        status = solution.status
        if self.interrupted:
            return replace(solution, status=STOPPED_BY_USER)
        if status.startswith(FAILED):
            if best.late:  # the trial's status names what was left of the budget
                status = f"{FAILED}: the budget of {self.budget:g} s is too small for a first trial"
            return replace(solution, status=status)
        ended, known = "", solution.estimate
        alone = solution.network.in_windows and known is not None and known.contraction is None
        uncompared = alone or UNCOMPARED in status
        if self.left <= 0 or self.late or status.startswith(OUT_OF_TIME):
            ended = f"the budget of {self.budget:g} s ended the search"
            if not status.startswith(OVERFITTED):
                solution = replace(solution, status=f"stopped: {ended}")
        if known is None:
            why = "its error is not known, since no other trial followed"
            if solution.marched < 1:
                why = f"the march has ended after {solution.marched:.1%} of the span of time"
            return replace(solution, status=f"stopped: {why} ({ended or solution.status})")
        judged = error_estimate.judged_by_tolerance(solution, self.tolerance)
        if uncompared and judged.status.startswith(CONVERGED):
            _, estimated = judged.status.split(": ")
            why = "no comparison with a better solution has confirmed it"
            judged = replace(judged, status=f"stopped: {estimated}, but {why}")
        return judged


@dataclass(eq=False)
class Climb:
    """The trials of one family, from small networks to larger networks.

    The name means that each trial has a larger network than the trial before. A climb is idle if
    its last trials have lowered the residual little. Then other families are tried. If time is left
    after them, an idle climb goes on: once with other points, then with larger networks.

    Args:
        family: the family whose choices are tried.
        ended: the reason why no further choice is tried, as text; empty before the end.
        trials: the trials of the family so far.
        idle: the number of successive trials that have lowered the residual little; some trials
            count half, see `see`.
        taken: the number of the family's choices that have been tried.
        other_points: whether other points have been tried with the same network.
        sampler: the sampler of the points; None for the sampler of the family's choices.
    """

    family: Family
    ended: str = ""
    trials: list[Trial] = field(default_factory=list)
    idle: float = 0.0
    taken: int = 0
    other_points: bool = False
    sampler: str | None = None

    @property
    def last(self) -> Trial | None:
        """The last trial; None before the first one."""
        return self.trials[-1] if self.trials else None

    @property
    def loss(self) -> float:
        """The least loss at fresh points over all trials; infinite if no loss is known."""
        return min((trial.loss for trial in self.trials), default=math.inf)

    @property
    def is_idle(self) -> bool:
        """True if the last trials have lowered the residual little."""
        return self.idle >= self.family.patience

    def needed(self, tolerance: float) -> float:
        """Return the seconds after which the error is expected to be within a tolerance.

        The error e is extrapolated as a power of the family's seconds T so far, from two trials:
        e ~ T^-r. After one trial r is the family's usual rate. If the first error is not known yet,
        the next trial is needed to know it; for nonlinear problems and energies a further trial is
        expected.

        Args:
            tolerance: the relative L2 error.

        Returns:
            The seconds; infinite before the first trial, if the climb is idle, if the errors do
            not decrease, and if the last error is not known after two trials or more.
        """
        choice, last = self.following(), self.last
        if choice is None or last is None or self.is_idle:
            return math.inf
        if math.isinf(last.error):
            if len(self.trials) > 1:
                return math.inf
            sure = last.solution.history.steps == 1 and not last.is_minimum
            return forecast(choice, last) * (1 if sure else 2)
        errors = [trial.error for trial in self.trials]
        spent = list(itertools.accumulate(trial.seconds for trial in self.trials))
        known = [(t, e) for t, e in zip(spent, errors, strict=True) if math.isfinite(e)]
        rate = self.family.rate
        if len(known) > 1:
            (before, larger), (after, smaller) = known[-2:]
            rate = math.log(larger / smaller) / math.log(after / before) if smaller else math.inf
        if rate <= 0:
            return math.inf
        reached = math.log(max(last.error / tolerance, 1.0)) / rate  # log of a ratio of seconds
        return spent[-1] * math.expm1(reached) if reached < 100 else math.inf

    def far_behind(self, trial: Trial) -> Trial | None:
        """Return an earlier trial whose loss at fresh points is at least twice as large.

        Args:
            trial: the trial whose loss is compared.

        Returns:
            The latest such trial, but not the last trial of this climb; None if there is none.
        """
        most = error_estimate.LARGEST_CONTRACTION**2
        far = [earlier for earlier in self.trials[:-1] if trial.loss <= most * earlier.loss]
        return far[-1] if far else None

    def following(self) -> Choice | None:
        """Return the next choice to try; None if all choices have been tried."""
        if (other := self._with_other_points()) is not None:
            return other
        if self.taken == len(self.family.choices):
            return None
        choice = self.family.choices[self.taken]
        if self.sampler is None:
            return choice
        return replace(choice, points=replace(choice.points, sampler=self.sampler))

    def learn(self, known: Trial | None) -> None:
        """Replace the last trial if `known` is this trial with an error from a later comparison."""
        if known is not None and self.last is not None and known.choice is self.last.choice:
            self.trials[-1] = known

    def see(self, verdict: Verdict, tried: Choice) -> None:
        """Add a trial to this sequence of trials of one family.

        A trial counts as idle if its residual is more than half the residual of the trial before.
        It counts half if its residual is more than twice the residual before: then the network does
        not resolve the solution yet, but a larger network may do so.

        Args:
            verdict: the verdict on the trial before and this trial, which is `verdict.second`.
            tried: the choice of the trial as `following` returned it.
        """
        trial, before, stalled = verdict.second, self.loss, 0.5
        idle = self.last is not None and verdict.part > stalled
        if self._with_other_points() is not None:
            self.other_points = True
            if trial.loss < stalled**2 * before:
                self.sampler = tried.points.sampler
        else:
            self.taken += 1
        # Solves in cells to a tolerance that is met already would find the same solution again.
        self.taken += sum(trial.error <= one.aim for one in self.family.choices[self.taken :])
        self.idle = self.idle + (0.5 if verdict.part > 2.0 else 1.0) if idle else 0.0
        self.trials.append(trial)
        self.ended = self._saturated(verdict)

    def _with_other_points(self) -> Choice | None:
        """Return the last choice with other points if it is the next choice, otherwise None.

        It is the next choice if the climb is idle and has not tried other points.
        """
        if self.last is None or self.other_points or not self.is_idle:
            return None
        return self.last.choice.with_other_points()

    def _saturated(self, verdict: Verdict) -> str:
        """Return the reason, as text, why larger networks cannot be shown to be better.

        The reason is empty if a larger network may be better.

        Args:
            verdict: the verdict on the last two trials.
        """
        rounding = 1e-6  # the least error that an energy resolves, about the root of its rounding
        if verdict.second.choice.loss.form == "energy" and verdict.second.error <= rounding:
            return "rounding of the energy limits the accuracy"
        if verdict.settled:
            return "the last one fits the data no better"
        verification = verdict.second.solution.verification
        if self.idle and verification is not None and verification.is_rounding:
            return "the residual is rounding error"
        return ""


def next_turn(climbs: Sequence[Climb], search: TrialSearch) -> tuple[Climb, float] | None:
    """Return the family that makes the next trial, and its share of the time left.

    The first trial of a family gets half of the time left if networks of other kinds may follow.

    Args:
        climbs: the climbs of all families, in the order of their first trials.
        search: the search, with its tolerance and time.

    Returns:
        The climb and the share; None if all families have ended.
    """
    patience, least = 4.0, 2.0  # relative to the time so far, and in seconds
    tried = [climb for climb in climbs if climb.trials and not climb.ended]
    fresh = [climb for climb in climbs if not (climb.trials or climb.ended)]
    needed = [climb.needed(search.tolerance) for climb in tried]
    soonest = min(needed, default=math.inf)
    if fresh and soonest > max(least, patience * search.seconds):
        kinds = {climb.family.choices[0].kind for climb in (*fresh, *tried)}
        return fresh[0], 0.5 if len(kinds) > 1 and not fresh[0].family.alone else 1.0
    if math.isfinite(soonest):
        return tried[needed.index(soonest)], 1.0
    return (min(tried, key=lambda climb: climb.loss), 1.0) if tried else None


def finer_solution(trial: Trial, left: float) -> Solution | None:
    """Return a solution with 1.25 times the hidden units of a trial, to estimate its error.

    The error of the second of two trials is a guess from their residuals: for smooth solutions,
    whose errors decrease faster, it was up to 100 times too high. The comparison with a finer
    solution estimates this error, as the comparison of the two trials estimates the error of the
    first trial. The finer solution may take four times as long as the trial.

    Args:
        trial: the second of two trials, or the only trial.
        left: the seconds left.

    Returns:
        The finer solution. None if there is no time for it, if the trial has already been compared
        with a finer solution, as all solutions in cells have, or if its error cannot be estimated.
    """
    fresh = trial.solution.verification
    known = fresh is not None and not (
        fresh.overfitted or trial.failed or trial.late or trial.observed
    )
    if trial.own_error is not None or trial.confirmed or not known or 4.0 * trial.seconds > left:
        return None
    return next(error_estimate.finer_solutions(trial.solution, 1.25, left))


def forecast(choice: Choice, known: Trial) -> float:
    """Return the seconds that a choice would take, extrapolated from an earlier trial.

    The optimizers' time is proportional to the work, the other time to the number of interior
    points. If the earlier trial has a network of another class, whose work has another unit, the
    forecast is 0, since families begin with small networks. But after a solution in cells the
    forecast for other networks is infinite: on an L-shape they took minutes and were less accurate.

    A network in cells starts with the cells of the earlier trial, and its solve may end after any
    step. Its first step takes about as long as the last step of the earlier trial. The forecast is
    1.5 times as long, since the first step is useful only if time is left for smaller cells.

    Args:
        choice: the choice.
        known: the earlier trial.
    """
    if choice.kind is not known.choice.kind:
        return math.inf if known.choice.kind is Cells else 0.0
    rows, beside = known.solution.history.rows, beside_steps(choice, known)
    if choice.kind is Cells and len(rows) > 1:
        last = from_first(float(rows[-1]["seconds"] - rows[-2]["seconds"]))  # the same on all ranks
        return 1.5 * last + beside
    return sum(known.solution.optimizer_seconds) * choice.work / known.choice.work + beside


def beside_steps(choice: Choice, known: Trial) -> float:
    """Return the seconds that a trial would take in addition to its steps, such as for checks.

    They are extrapolated from an earlier trial, in proportion to the number of interior points.

    Args:
        choice: the choice of the trial.
        known: the earlier trial.
    """
    beside = known.seconds - sum(known.solution.optimizer_seconds)
    return beside * choice.points.interior / known.choice.points.interior


def unaffordable(choice: Choice, known: Trial, left: float) -> str | None:
    """Return the reason, as text, why a choice does not fit into the time left; None if it does.

    Args:
        choice: the choice.
        known: an earlier trial, from which the time is forecast.
        left: the seconds left.
    """
    seconds = forecast(choice, known)
    if seconds <= left:
        return None
    if math.isinf(seconds):
        return "networks in cells have been more accurate"
    return f"the next one would take {seconds:.2g} s, {max(left, 0):.2g} s are left"
