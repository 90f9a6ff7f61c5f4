"""An estimate of a solution's error: its distance from the solution of a finer network."""

import dataclasses
import math
import time

import torch

from kanpinn.accuracy.norms import ErrorNorm, Errors
from kanpinn.accuracy.references import Computed
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.networks import KAN, Network
from kanpinn.optimizers import LeastSquares
from kanpinn.solvers.solution import Estimate, Solution
from kanpinn.solvers.solve import solve

ENDED = ("failed", "stopped: interrupted")  # how a solve ends that has nothing to estimate with


def estimate_error(solution: Solution, wider: float = 1.5) -> Estimate | None:
    """Estimate a solution's errors by a second solve, of a wider network on other points.

    The second network has the first one's inner functions and random ones beside, so that it
    removes the part of the residual r that it resolves: the distance of the two solutions is an
    approximation of the error L⁻¹r. Where it leaves the part ρ of the residual, the error may be
    larger by 1 / (1 - ρ), which is counted in. That factor is at most 10: from ρ = 0.9 on the
    estimate is an order of magnitude, or rounding. Energies have no ρ, and their estimate may be
    somewhat low. Only the output layer is solved for, which is a fraction of the time of training.

    Args:
        solution: to judge.
        wider: the second solve has so many times the hidden units and the points of the first one.

    Returns:
        The estimate; None where the second solve fails or is interrupted.

    Reference: Bank and Smith, A posteriori error estimates based on hierarchical bases (1993).
    """
    begun = time.perf_counter()
    first = solution.discretization
    seed = first.seed + 7919  # other random inner functions, other points
    points = dataclasses.replace(
        first.collocation,
        interior=math.ceil(wider * first.collocation.interior),
        boundary=math.ceil(wider * first.collocation.boundary),
        resample=0,
        adapt=None,
    )
    finer = solve(
        solution.problem,
        _wider(solution.network, wider, seed),
        LeastSquares(),
        points,
        boundary="penalty" if solution.surrogate.output is None else "exact",
        weights=first.weights,
        form=first.form,
        errors=False,
        seed=seed,
    )
    if finer.status.startswith(ENDED):
        return None
    errors, contraction = compare(solution, finer)
    factor = 1 / (1 - trusted_contraction(contraction or 0.0))
    return Estimate(errors.scaled(factor), contraction, time.perf_counter() - begun)


def trusted_contraction(contraction: float) -> float:
    """At most 0.9: closer to 1 the factor 1 / (1 - ρ) would be a guess."""
    return min(contraction, 0.9)


def compare(solution: Solution, finer: Solution) -> tuple[Errors, float | None]:
    """A solution's distance from a finer one, and the part of its residual that the finer one has.

    Returns:
        The distance, and the ratio of the root mean squares of both residuals at points that
        neither has seen; None for energies, which have no residual.
    """
    problem, rule = solution.problem, None
    if problem.domain.dim == 3:
        # A product of Gauss rules is too expensive here; this one is good to a few per cent.
        generator = torch.Generator().manual_seed(7919)
        points, weights = weighted_sample(problem.cells(), 4000, "sobol", generator)
        rule = points, weights / problem.domain.measure
    norm = ErrorNorm(problem, Computed("a finer solution", finer.surrogate.evaluate, rule))
    errors = norm(solution.surrogate.evaluate)
    if solution.discretization.form != "strong":
        return errors, None
    fresh = dataclasses.replace(finer.discretization.collocation, sampler="sobol")
    seed, weighing = finer.discretization.seed + 1, finer.discretization.weights
    mine, its = (
        dataclasses.replace(d, collocation=fresh, weights=weighing, seed=seed).residuals().loss()
        for d in (solution.discretization, finer.discretization)
    )
    return errors, math.sqrt(its / mine) if mine > 0 else 0.0


def judged_by_tolerance(solution: Solution, tolerance: float) -> Solution:
    """The solution, with a status that says whether its estimated error is within a tolerance.

    Args:
        solution: with an estimate; without one it is given back as it is.
        tolerance: of the relative L2 error.
    """
    if solution.estimate is None:
        return solution
    error = solution.estimate.errors.l2_relative
    what = f"the estimated relative L2 error {error:.1e} is"
    if error <= tolerance:
        status = f"converged: {what} within the tolerance {tolerance:.1e}"
    else:
        ended = solution.status.removeprefix("stopped: ")
        status = f"stopped: {what} above the tolerance {tolerance:.1e}; {ended}"
    return dataclasses.replace(solution, status=status)


@torch.no_grad()
def _wider(network: Network, wider: float, seed: int) -> KAN:
    """A KAN with a network's inner functions and random ones beside; without any, finer grids."""
    inputs, *hidden, outputs = network.width
    like = next(network.parameters())
    least = 64  # random inner functions: a trained network may have very few
    if not isinstance(network, KAN):
        made = KAN([inputs, least, outputs], 9, [4, 10], seed=seed)
    elif not hidden:
        (layer,) = network.layers
        finer = math.ceil(wider * layer.intervals)
        made = KAN([inputs, outputs], layer.degree, finer, basis=network.basis_name, seed=seed)
    else:
        width = max(math.ceil(wider * hidden[-1]), least)
        ends = network.layers[0], network.layers[-1]
        degrees, grids = [end.degree for end in ends], [end.intervals for end in ends]
        made = KAN([inputs, width, outputs], degrees, grids, basis=network.basis_name, seed=seed)
        own, random = network.layers[0].coefficients, made.layers[0].coefficients
        if len(hidden) == 1 and own.shape[:2] == random.shape[:2]:  # unless it has a base, too
            random[:, :, : own.shape[2]] = own.to(random)
    return made.to(like.device, like.dtype)
