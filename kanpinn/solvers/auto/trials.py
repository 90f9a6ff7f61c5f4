"""Trials of choices, and the estimates of their errors from comparisons of two of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from kanpinn._support.errors import FAILED
from kanpinn.accuracy.errors import Errors, Estimate
from kanpinn.geometry.sampling import sample
from kanpinn.solvers.auto.choices import Choice
from kanpinn.solvers.auto.traits import is_notched
from kanpinn.solvers.error_estimate import (
    LARGEST_CONTRACTION,
    Comparison,
    compare,
    own_error,
    own_errors,
)
from kanpinn.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class Trial:
    """One trial: a choice, its solution and the time that it took.

    Args:
        choice: the network, points and optimizers.
        solution: of the solve.
        seconds: the wall time of the trial.
        distance: the relative L2 distance from the trial before, known for energies only.
        noise: the relative statistical error of the solution due to noise in the data.
        confirmed: whether a finer solution has confirmed, corrected or refuted its error, or left
            it as it was.
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
    def loss(self) -> float:
        """The loss at fresh points; infinite for an energy, whose loss is no residual."""
        found = self.solution.verification
        return math.inf if found is None else found.loss(self.choice.weights)

    def better_than(self, other: "Trial") -> bool:
        """Whether the error is lower or, where neither is known, the residual at fresh points."""
        if math.isfinite(min(self.error, other.error)):
            return self.error <= other.error
        if math.isinf(max(self.loss, other.loss)):
            return not self.failed
        return self.loss <= other.loss

    @property
    def own_error(self) -> float | None:
        """The relative L2 error that the solve itself has estimated, as it does in cells."""
        return own_error(self.solution)

    @property
    def repeats(self) -> bool:
        """Whether the solve took several steps, as it does for nonlinear residuals."""
        return self.solution.history.steps > 1

    @property
    def failed(self) -> bool:
        """Whether the solve has failed."""
        return self.solution.status.startswith(FAILED)

    @property
    def resolved(self) -> bool:
        """Whether the error of the network is known, or not visible beside that of the data."""
        numbers, fields = self.solution.estimated.values(), self.solution.spreads.values()
        return all(one.resolved for one in numbers) and all(one.resolved for one in fields)

    @property
    def observed(self) -> bool:
        """Whether some conditions of the problem are measurements."""
        return any(c.measurements for c in self.solution.problem.conditions())


def noise_of(solution: Solution, count: int = 200) -> float:
    """Return the relative statistical error of a solution due to noise in the data.

    It is the root mean square of the standard errors of all fields at `count` points, over that of
    the solution. Points where a field is not determined by the data, with an infinite standard
    error, are left out.
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
    """Two trials with their estimated errors.

    Args:
        first: the trial before; None if there was none to compare with.
        second: the later trial.
        part: ρ, the second one's residual over the first one's; for energies the ratio of
            successive distances, 0 if it is not known.
        settled: whether the second one fits the data no better than the first one.
    """

    first: Trial | None
    second: Trial
    part: float = 0.0
    settled: bool = False

    @property
    def doubtful(self) -> bool:
        """Whether the comparison of two residuals has left the second error unknown."""
        known = self.second.solution.estimate
        return known is not None and known.errors is None


def judge(one: Trial, other: Trial) -> Verdict:
    """Estimate the errors of two successive trials of the same form from their comparison."""
    distance = compare(one.solution, other.solution)
    if distance.contraction is None:
        return _by_distances(one, other, distance)
    if one.observed:
        return _by_fit(one, other, distance, distance.contraction)
    if other.own_error is not None and not distance.overfitted:
        return _by_own_error(one, other, distance, other.own_error)
    first, second = _by_residuals(one, other, distance, distance.contraction)
    return Verdict(first, second, distance.contraction)


def judged_alone(trial: Trial) -> Trial:
    """Return a first trial with the error that its solve has estimated, if it has."""
    errors = own_errors(trial.solution)
    return trial if errors is None else _with_errors(trial, errors, None)


def _by_own_error(one: Trial, other: Trial, distance: Comparison, error: float) -> Verdict:
    """Return the verdict on a trial in cells, whose solve has estimated its error, and one before.

    Residuals say little of solutions that are singular at corners: theirs grow without limit. H1
    errors, most of which are in the smallest cells there, are not known.

    Args:
        one: the trial before.
        other: the trial in cells.
        distance: of the two.
        error: of the trial in cells, relative in L2.
    """
    norms, nan, own = distance.norms, math.nan, own_errors(other.solution)
    if own is not None and not norms.l2_relative:  # the same solution, found again
        norms = own
    if distance.doubt or is_notched(one.solution.problem.domain):
        norms = replace(norms, h1=nan, h1_relative=nan, h1_squared=nan)
    gap = max(norms.l2_relative, torch.finfo(torch.float64).tiny)
    second = _with_errors(other, norms.scaled(error / gap), distance.contraction)
    before = max(one.own_error or 0.0, gap)
    first = _with_errors(one, norms.scaled(before / gap), distance.contraction)
    return Verdict(replace(first, confirmed=True), replace(second, confirmed=True), error / before)


def _by_residuals(one: Trial, other: Trial, found: Comparison, ratio: float) -> tuple[Trial, Trial]:
    """Return both trials with errors from their distance d and the ratio ρ of their residuals.

    The first error is d / (1 - ρ). The second one is ρ^0.8 times that, as errors decrease more
    slowly than residuals, most of all near a resonance, and √ρ times that where its residual is
    rounding error, which says little of the solution's; no error is below rounding. Where the first
    residual is rounding error, both errors are d. Where the distance is no measure of the error, as
    for ρ > 0.7, the second error is not known, and the first one is what an earlier comparison has
    found, unless a solution with a smaller residual is three times as far.
    """
    if found.doubt:
        unknown = Estimate(None, ratio, 0.0, found.doubt)
        second = replace(other, solution=replace(other.solution, estimate=unknown))
        refuted = ratio < 1 and not found.overfitted and found.norms.l2_relative > 3 * one.error
        first = one
        if one.solution.estimate is None or refuted:
            first = replace(one, solution=replace(one.solution, estimate=unknown))
        return first, second
    larger, smaller = 1.0, 1.0
    if not found.is_rounding:
        larger = 1 / (1 - ratio)
        its = other.solution.verification
        slower = 0.5 if its is not None and its.is_rounding else 0.8
        smaller = larger * ratio**slower
    rounding = torch.finfo(next(one.solution.network.parameters()).dtype).eps
    least = rounding / (found.norms.l2_relative or math.inf)
    first, second = (
        _with_errors(trial, found.norms.scaled(max(factor, least)), ratio)
        for trial, factor in ((one, larger), (other, smaller))
    )
    return replace(first, confirmed=True), second


def _by_distances(
    one: Trial, other: Trial, distance: Comparison, usual: float = 0.5, largest: float = 0.9
) -> Verdict:
    """Return the verdict on two trials of an energy, which has no residual, from distances.

    The distances d between successive trials decrease like the errors. If each one is q times the
    one before, the errors are d / (1 - q) and d q / (1 - q). A single large decrease is chance as a
    rule, so q is at least `usual`; it is at most `largest`, since nothing is known close to 1.
    """
    found, before = distance.norms.l2_relative, one.distance
    part = found / before if before else 0.0
    q = min(max(part, usual), largest)
    first = _with_errors(one, distance.with_misfit(distance.norms.scaled(1 / (1 - q))), None)
    second = _with_errors(other, distance.with_misfit(distance.norms.scaled(q / (1 - q))), None)
    return Verdict(first, replace(second, distance=found), part)


def _by_fit(
    one: Trial, other: Trial, found: Comparison, ratio: float, same: float = 0.95
) -> Verdict:
    """Return the verdict on two trials that fit noisy data.

    The noise leaves a residual that a network can only lower by overfitting. If the residual of the
    larger network is more than `same` times that of the smaller one, the difference is noise, and
    the comparison is settled: the smaller network is preferred, and the error of both, apart from
    the noise, is their distance. It is not settled while the error of the network is visible beside
    the noise.
    """
    if found.overfitted or not (other.resolved or ratio <= LARGEST_CONTRACTION):
        return Verdict(*_by_residuals(one, other, found, ratio), ratio)
    settled = ratio > same
    if settled:
        trials: Sequence[Trial] = [_with_errors(t, found.norms, ratio) for t in (one, other)]
    else:
        trials = _by_residuals(one, other, replace(found, doubt=""), min(ratio, 0.9))
    first, second = (_with_noise(trial) for trial in trials)
    return Verdict(first, second, ratio, settled)


def checked(trial: Trial, minimum: Trial) -> Trial:
    """Return a trial of the strong form whose estimated error is consistent with an energy's.

    The error is at least the distance from the energy's minimum less the error of this minimum. A
    solution may be too rough for the strong form; then the residual decreases while the error
    does not.

    Args:
        trial: of the strong form.
        minimum: the last trial of the energy.
    """
    if not math.isfinite(trial.error):
        return trial
    distance = compare(minimum.solution, trial.solution).norms
    least = distance.l2_relative - minimum.error
    if trial.error >= least:
        return trial
    return _with_errors(trial, distance.scaled(least / distance.l2_relative), None)


def _with_noise(trial: Trial) -> Trial:
    known = trial.solution.estimate
    assert known is not None and known.errors is not None
    error = max(known.errors.l2_relative, torch.finfo(torch.float64).tiny)
    factor = (error**2 + trial.noise**2) ** 0.5 / error
    return _with_errors(trial, known.errors.scaled(factor), known.contraction)


def _with_errors(trial: Trial, errors: Errors, ratio: float | None) -> Trial:
    return replace(trial, solution=replace(trial.solution, estimate=Estimate(errors, ratio, 0.0)))
