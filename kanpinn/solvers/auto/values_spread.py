"""The statistical error of a solution that data with noise are a part of."""

from kanpinn.geometry.sampling import sample
from kanpinn.solvers.solution import Solution

POINTS = 200


def noise_of(solution: Solution) -> float:
    """The relative root mean square of the fields' standard errors, all fields together.

    Where the data leave a field open they say nothing of its error: such points do not count.
    """
    points = sample(solution.problem.domain, POINTS, "sobol")
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
