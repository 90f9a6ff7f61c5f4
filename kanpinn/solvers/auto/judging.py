"""How good trials are, by what two of them say of each other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from kanpinn.accuracy.norms import Errors
from kanpinn.geometry.sampling import sample
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.error_estimate import compare, trusted_contraction
from kanpinn.solvers.solution import Estimate, Solution


@dataclass(frozen=True, eq=False)
class Trial:
    """A choice, the solution that it led to, and the seconds that this took.

    distance: the relative one from the trial before, None where there is none. noise: the
    statistical error that data bring, relative to the solution.
    """

    choice: Choice
    solution: Solution
    seconds: float
    distance: float | None = None
    noise: float = 0.0

    @property
    def error(self) -> float:
        """The estimated relative L2 error, infinite where nothing is known of it."""
        known = self.solution.estimate
        return float("inf") if known is None else known.errors.l2_relative

    @property
    def repeats(self) -> bool:
        """Whether one solve for the output layer was not enough: the residual is nonlinear."""
        return self.solution.history.steps > 1

    @property
    def failed(self) -> bool:
        """Whether it came to nothing."""
        return self.solution.status.startswith("failed")

    @property
    def observed(self) -> bool:
        """Whether data are a part of what it fits."""
        return any(c.measurements for c in self.solution.problem.conditions())


@dataclass(frozen=True, eq=False)
class Verdict:
    """Two trials with their estimated errors.

    part: of the first one's residual (or of an energy's error) that the second one leaves, 0 where
    that is not known. settled: whether the second one tells nothing more.
    """

    first: Trial
    second: Trial
    part: float
    settled: bool = False


def judge(one: Trial, other: Trial) -> Verdict:
    """What two trials of the same form say of each other."""
    distance, ratio = compare(one.solution, other.solution)
    if ratio is None:
        return _by_distances(one, other, distance)
    if one.observed:
        return _by_fit(one, other, distance, ratio)
    return Verdict(*_by_residuals(one, other, distance, ratio), ratio)


def _by_residuals(one: Trial, other: Trial, distance: Errors, ratio: float) -> tuple[Trial, Trial]:
    """The part ρ of one's residual is left by the other.

    The distance of the two solutions is the error of the one with the larger residual but for that
    of the other one, which is less by about the ratio of the residuals, but no less than rounding.
    Where the larger network has the larger residual, it does not resolve the solution, and what the
    smaller one's is worth is not known: it is taken to be no better than the distance.
    """
    small = min(ratio, 1 / ratio if ratio else 0.0)
    larger = 1 / (1 - trusted_contraction(small))
    factors = (larger, small * larger) if ratio <= 1 else (1.0, larger)
    rounding = torch.finfo(next(one.solution.network.parameters()).dtype).eps
    least = rounding / max(distance.l2_relative, rounding)
    first, second = (
        _with_errors(trial, distance.scaled(max(factor, least)), ratio)
        for trial, factor in zip((one, other), factors, strict=True)
    )
    return first, second


def _by_distances(one: Trial, other: Trial, distance: Errors, usual: float = 0.5) -> Verdict:
    """Energies have no residual: distances d from one trial to the next fall like errors do.

    Where they do so by q each time the errors are d / (1 - q) and d q / (1 - q). One fast fall is
    chance as a rule: q is taken to be `usual` or more.
    """
    found, before = distance.l2_relative, one.distance
    part = found / before if before else 0.0
    q = trusted_contraction(max(part, usual))
    first = _with_errors(one, distance.scaled(1 / (1 - q)), None)
    second = _with_errors(other, distance.scaled(q / (1 - q)), None)
    return Verdict(first, replace(second, distance=found), part)


def _by_fit(
    one: Trial, other: Trial, distance: Errors, ratio: float, same: float = 0.95
) -> Verdict:
    """With data a residual is left that no network takes away, or only by following the noise.

    Where the larger one leaves more than the part `same` of it, what it took away is noise: the
    smaller one is right but for the noise, and the larger one has more of it.
    """
    settled = ratio > same
    if settled:
        trials: Sequence[Trial] = [_with_errors(t, distance, ratio) for t in (one, other)]
    else:
        trials = _by_residuals(one, other, distance, ratio)
    first, second = (_with_noise(trial) for trial in trials)
    return Verdict(first, second, ratio, settled)


def checked(trial: Trial, minimum: Trial) -> Trial:
    """A trial in the strong form, its error no less than a minimum of the energy allows.

    It is at least the distance to that one less the error of that one: the residual of a solution
    that is too rough for the equation falls, while the error stays.
    """
    if trial.solution.estimate is None:
        return trial
    distance, _ = compare(minimum.solution, trial.solution)
    least = distance.l2_relative - minimum.error
    if trial.error >= least:
        return trial
    return _with_errors(trial, distance.scaled(least / distance.l2_relative), None)


def _with_noise(trial: Trial) -> Trial:
    known = trial.solution.estimate
    assert known is not None
    error = max(known.errors.l2_relative, torch.finfo(torch.float64).tiny)
    factor = (error**2 + trial.noise**2) ** 0.5 / error
    return _with_errors(trial, known.errors.scaled(factor), known.contraction)


def _with_errors(trial: Trial, errors: Errors, ratio: float | None) -> Trial:
    return replace(trial, solution=replace(trial.solution, estimate=Estimate(errors, ratio, 0.0)))


def noise_of(solution: Solution, count: int = 200) -> float:
    """The relative root mean square of the fields' standard errors, all fields together.

    It is what the noise of the data does to the solution, at `count` points. Where the data leave a
    field open they say nothing of its error: such points do not count.
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
