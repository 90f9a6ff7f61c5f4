"""An estimate of a solution's error: its distance from the solution of a finer network."""

import dataclasses
import math
import time

import torch

from kanpinn.accuracy.norms import ErrorNorm, Errors
from kanpinn.accuracy.references import FunctionReference
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.networks import KAN, Network
from kanpinn.optimizers import LeastSquares
from kanpinn.solvers.solution import Estimate, Solution
from kanpinn.solvers.solve import solve
from kanpinn.solvers.state import STOPPED_BY_USER

LARGEST_CONTRACTION = 0.9  # closer to 1, the factor 1 / (1 - contraction) is not reliable
ENDED = ("failed", STOPPED_BY_USER)  # the status of a solve whose solution gives no estimate


def estimate_error(solution: Solution, wider: float = 1.5) -> Estimate | None:
    """Estimate a solution's errors by a second solve, with a wider network and other points.

    The second network has the hidden functions of the first one and additional random ones, so its
    residual is smaller, and the distance of the two solutions approximates the error L⁻¹r for the
    residual r of the first. If the second residual is ρ times the first, the error may be larger by
    the factor 1 / (1 - ρ), which is included. The factor is at most 10: for ρ > 0.9 the estimate is
    only an order of magnitude, or rounding dominates. Energies have no ρ, and their estimate may be
    somewhat low. Only the output layer is solved for, which takes a fraction of the training time.

    Args:
        solution: the solution whose errors are estimated.
        wider: the factor by which the second solve has more hidden units and points.

    Returns:
        The estimate; None if the second solve fails or is interrupted.

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
    factor = 1 / (1 - min(contraction or 0.0, LARGEST_CONTRACTION))
    return Estimate(errors.scaled(factor), contraction, time.perf_counter() - begun)


def compare(solution: Solution, finer: Solution) -> tuple[Errors, float | None]:
    """The distance of a solution from a finer one, and the ratio of their residuals.

    Returns:
        The error norms of the solution against the finer one, and the finer one's root mean square
        residual over the solution's at points that neither was trained on (None for energies, which
        have no residual).
    """
    problem, rule = solution.problem, None
    if problem.domain.dim == 3:
        # A product of Gauss rules is too expensive; Sobol points are accurate to a few percent.
        generator = torch.Generator().manual_seed(7919)
        points, weights = weighted_sample(problem.cells(), 4000, "sobol", generator)
        rule = points, weights / problem.domain.measure
    norm = ErrorNorm(problem, FunctionReference("a finer solution", finer.surrogate.evaluate, rule))
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
        solution: a solution with an estimate; without an estimate it is returned unchanged.
        tolerance: the largest acceptable relative L2 error.
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
    """A wider KAN: with the network's hidden functions, if they fit, and additional random ones.

    A KAN without hidden units gets finer grids instead.
    """
    inputs, *hidden, outputs = network.width
    like = next(network.parameters())
    least = 64  # the least number of hidden units: a trained network may have few
    if not isinstance(network, KAN):
        made = KAN([inputs, least, outputs], 9, [4, 10], seed=seed)
    elif not hidden:
        (layer,) = network.layers
        finer = math.ceil(wider * layer.basis.intervals)
        made = KAN(
            [inputs, outputs], layer.basis.degree, finer, basis=network.basis_name, seed=seed
        )
    else:
        width = max(math.ceil(wider * hidden[-1]), least)
        ends = network.layers[0], network.layers[-1]
        degrees, grids = [end.basis.degree for end in ends], [end.basis.intervals for end in ends]
        made = KAN([inputs, width, outputs], degrees, grids, basis=network.basis_name, seed=seed)
        own, random = network.layers[0].coefficients, made.layers[0].coefficients
        if len(hidden) == 1 and own.shape[:2] == random.shape[:2]:  # not with a base term
            random[:, :, : own.shape[2]] = own.to(random)
    return made.to(like.device, like.dtype)
