"""Trials of choices: their start, and the estimates of their errors from comparisons of two."""

import copy
import math
from dataclasses import dataclass, replace

import torch

from kanpinn._support.errors import FAILED
from kanpinn.accuracy.errors import Errors, Estimate
from kanpinn.geometry.sampling import sample
from kanpinn.networks import KAN
from kanpinn.networks.layer import get_coefficients
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.choices import Choice
from kanpinn.solvers.auto.traits import is_reentrant
from kanpinn.solvers.discretization import Discretization, Loss
from kanpinn.solvers.error_estimate import (
    LARGEST_CONTRACTION,
    Comparison,
    compare,
    own_error,
    own_errors,
    start_from,
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
    def own_error(self) -> float | None:
        """The relative L2 error that the solve itself has estimated, as it does in cells."""
        return own_error(self.solution)

    @property
    def loss(self) -> float:
        """The loss at fresh points; infinite for an energy, whose loss is no residual."""
        found = self.solution.verification
        return math.inf if found is None else found.loss(Loss())

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

    def better_than(self, other: "Trial") -> bool:
        """Whether the error is lower; without a known error, the residual at fresh points."""
        if math.isfinite(min(self.error, other.error)):
            return self.error <= other.error
        if math.isinf(max(self.loss, other.loss)):
            return not self.failed
        return self.loss <= other.loss

    def estimated(
        self, errors: Errors | None, contraction: float | None, doubt: str = ""
    ) -> "Trial":
        """The trial with another estimate of its errors."""
        estimate = Estimate(errors, contraction, 0.0, doubt)
        return replace(self, solution=replace(self.solution, estimate=estimate))


def start(discretization: Discretization[Problem], known: Trial | None) -> None:
    """Start a network from a known solution, or from an output of the solution's size, in place.

    Args:
        discretization: of the trial to come.
        known: an earlier trial; its unknown numbers are a start too.
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
        start_from(known.solution, discretization)
    elif discretization.scales is not None:
        layers = network.output_layers
        sizes = discretization.scales.fields.to(get_coefficients(layers))
        with torch.no_grad():
            layers[0].coefficients.mul_(sizes)


def noise_of(solution: Solution, count: int = 200) -> float:
    """The relative statistical error of a solution due to noise in the data.

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
    ratio = distance.contraction
    if ratio is None:
        return _by_distances(one, other, distance)
    if one.observed:
        return _by_fit(one, other, distance, ratio)
    if other.own_error is not None and not distance.overfitted:
        return _by_own_error(one, other, distance, other.own_error)
    return Verdict(*_by_residuals(one, other, distance, ratio), ratio)


def judged_alone(trial: Trial) -> Trial:
    """A first trial with the error that its solve has estimated, if it has."""
    errors = own_errors(trial.solution)
    return trial if errors is None else trial.estimated(errors, None)


def _by_own_error(one: Trial, other: Trial, distance: Comparison, error: float) -> Verdict:
    """The verdict on a trial in cells, whose solve has estimated its error, and one before.

    Residuals say little of solutions that are singular at corners: theirs grow without limit. H1
    errors, most of which are in the smallest cells there, are not known.

    Args:
        one: the trial before.
        other: the trial in cells.
        distance: of the two.
        error: of the trial in cells, relative in L2.
    """
    norms, nan, ratio = distance.norms, math.nan, distance.contraction
    if not norms.l2_relative:  # the same solution, found again
        norms = own_errors(other.solution) or norms
    if distance.doubt or is_reentrant(one.solution.problem.domain):
        norms = replace(norms, h1=nan, h1_relative=nan, h1_squared=nan)
    gap = max(norms.l2_relative, torch.finfo(torch.float64).tiny)
    before = max(one.own_error or 0.0, gap)
    first, second = (
        replace(trial.estimated(norms.scaled(its / gap), ratio), confirmed=True)
        for trial, its in ((one, before), (other, error))
    )
    return Verdict(first, second, error / before)


def _by_residuals(one: Trial, other: Trial, found: Comparison, ratio: float) -> tuple[Trial, Trial]:
    """Both trials with errors from their distance d and the ratio ρ of their residuals.

    The first error is d / (1 - ρ). The second one is ρ^0.8 times that, as errors decrease more
    slowly than residuals, most of all near a resonance, and √ρ times that where its residual is
    rounding error, which says little of the solution's; no error is below rounding. Where the first
    residual is rounding error, both errors are d. Where the distance is no measure of the error, as
    for ρ > 0.7, the second error is not known, and the first one is what an earlier comparison has
    found, unless a solution with a smaller residual is three times as far.
    """
    if found.doubt:
        refuted = ratio < 1 and not found.overfitted and found.norms.l2_relative > 3 * one.error
        if one.solution.estimate is None or refuted:
            one = one.estimated(None, ratio, found.doubt)
        return one, other.estimated(None, ratio, found.doubt)
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


def _by_distances(one: Trial, other: Trial, distance: Comparison) -> Verdict:
    """The verdict on two trials of an energy, which has no residual, from distances.

    The distances d between successive trials decrease like the errors. If each one is q times the
    one before, the errors are d / (1 - q) and d q / (1 - q). A single large decrease is chance as a
    rule, so q is at least 0.5; it is at most 0.9, since nothing is known close to 1.
    """
    found, before = distance.norms.l2_relative, one.distance
    part = found / before if before else 0.0
    q = min(max(part, 0.5), 0.9)
    first, second = (
        trial.estimated(distance.with_misfit(distance.norms.scaled(factor / (1 - q))), None)
        for trial, factor in ((one, 1), (other, q))
    )
    return Verdict(first, replace(second, distance=found), part)


def _by_fit(one: Trial, other: Trial, found: Comparison, ratio: float) -> Verdict:
    """The verdict on two trials that fit noisy data.

    The noise leaves a residual that a network can only lower by overfitting. If the residual of the
    larger network is more than 0.95 times that of the smaller one, the difference is noise, and
    the comparison is settled: the smaller network is preferred, and the error of both, apart from
    the noise, is their distance. It is not settled while the error of the network is visible beside
    the noise.
    """
    if found.overfitted or not (other.resolved or ratio <= LARGEST_CONTRACTION):
        return Verdict(*_by_residuals(one, other, found, ratio), ratio)
    settled = ratio > 0.95
    if settled:
        trials = one.estimated(found.norms, ratio), other.estimated(found.norms, ratio)
    else:
        trials = _by_residuals(one, other, replace(found, doubt=""), min(ratio, 0.9))
    first, second = (_with_noise(trial) for trial in trials)
    return Verdict(first, second, ratio, settled)


def _with_noise(trial: Trial) -> Trial:
    known = trial.solution.estimate
    assert known is not None and known.errors is not None
    error = max(known.errors.l2_relative, torch.finfo(torch.float64).tiny)
    factor = (error**2 + trial.noise**2) ** 0.5 / error
    return trial.estimated(known.errors.scaled(factor), known.contraction)


def checked(trial: Trial, minimum: Trial) -> Trial:
    """A trial of the strong form whose estimated error is consistent with an energy's.

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
    return trial.estimated(distance.scaled(least / distance.l2_relative), None)
