"""How large a solution's error is, judged by what a finer network makes of its residual."""

import dataclasses
import math
import time

import torch

from kanpinn.accuracy.norms import ErrorNorm, Errors
from kanpinn.accuracy.references import Computed
from kanpinn.geometry.sampling import Collocation, weighted_sample
from kanpinn.loss.residuals import Residuals
from kanpinn.networks import KAN, Network
from kanpinn.optimizers import LeastSquares
from kanpinn.solvers.discretize import Discretization
from kanpinn.solvers.solution import Estimate, Solution
from kanpinn.solvers.solve import solve

WIDER = 1.5
LEAST_WIDTH = 64  # of random inner functions: trained networks may have very few
SEED = 7919  # added to the solution's: other inner functions, other points
MOST_CONTRACTION = 0.9
COSTLY, FEW = 3, 4000  # dimensions in which products of Gauss rules are too dear for an estimate
ENDED = ("failed", "stopped: interrupted")  # how a solve ends that has nothing to estimate with


def estimate_error(solution: Solution) -> Estimate | None:
    """A solution's errors by a second one: further, random inner functions and other points.

    The second one takes away what of the residual r its network can resolve, so their distance is
    an approximation of L⁻¹r. Where it leaves the part ρ of the residual, the error may be larger by
    1 / (1 - ρ), which is counted in. Only the output layer is solved for, which is a fraction of a
    trained network's time. That factor is at most 10: from ρ = 0.9 on the estimate is an order of
    magnitude, or rounding. Energies have no ρ, and their estimate may be somewhat low. None where
    the second solve fails or is interrupted.

    Reference: Bank and Smith, A posteriori error estimates based on hierarchical bases (1993).
    """
    begun = time.perf_counter()
    first = solution.discretization
    finer = solve(
        solution.problem,
        _wider(solution.network, first.seed + SEED),
        LeastSquares(),
        _more(first.collocation),
        boundary="penalty" if solution.surrogate.output is None else "exact",
        weights=first.weights,
        form=first.form,
        errors=False,
        seed=first.seed + SEED,
    )
    if finer.status.startswith(ENDED):
        return None
    errors, contraction = compare(solution, finer)
    factor = 1 / (1 - min(contraction or 0.0, MOST_CONTRACTION))
    return Estimate(scaled(errors, factor), contraction, time.perf_counter() - begun)


def compare(solution: Solution, finer: Solution) -> tuple[Errors, float | None]:
    """A solution's distance from a finer one, and the part of the residual that this one leaves.

    The latter is the ratio of root mean squares at fresh points; energies have none.
    """
    problem, rule = solution.problem, None
    if problem.domain.dim == COSTLY:  # few points are enough to a few parts in a hundred
        generator = torch.Generator().manual_seed(SEED)
        points, weights = weighted_sample(problem.cells(), FEW, "sobol", generator)
        rule = points, weights / problem.domain.measure
    reference = Computed("a finer solution", finer.surrogate.evaluate, rule)
    errors = ErrorNorm(problem, reference)(solution.surrogate.evaluate)
    strong = solution.discretization.form == "strong"
    return errors, _contraction(solution, finer) if strong else None


def judged(solution: Solution, tolerance: float) -> Solution:
    """The solution, whose status says how its estimated relative L2 error compares with one."""
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


def _wider(network: Network, seed: int) -> KAN:
    """A KAN with the network's inner functions and random ones beside; without any, finer grids."""
    inputs, *hidden, outputs = network.width
    like = next(network.parameters())
    if not isinstance(network, KAN):
        made = KAN([inputs, LEAST_WIDTH, outputs], 9, [4, 10], seed=seed)
    elif not hidden:
        (layer,) = network.layers
        finer = math.ceil(WIDER * layer.intervals)
        made = KAN([inputs, outputs], layer.degree, finer, basis=network.basis_name, seed=seed)
    else:
        width = max(math.ceil(WIDER * hidden[-1]), LEAST_WIDTH)
        ends = network.layers[0], network.layers[-1]
        degrees, grids = [end.degree for end in ends], [end.intervals for end in ends]
        made = KAN([inputs, width, outputs], degrees, grids, basis=network.basis_name, seed=seed)
        if len(hidden) == 1:
            _copy_units(network, made)
    return made.to(like.device, like.dtype)


@torch.no_grad()
def _copy_units(network: KAN, made: KAN) -> None:
    """Put a network's hidden units in place of the first random ones: they may be trained."""
    own = network.layers[0].coefficients
    if own.shape[:2] == made.layers[0].coefficients.shape[:2]:  # unless it has a base, too
        made.layers[0].coefficients[:, :, : own.shape[2]] = own.to(made.layers[0].coefficients)


def _more(points: Collocation) -> Collocation:
    return dataclasses.replace(
        points,
        interior=math.ceil(WIDER * points.interior),
        boundary=math.ceil(WIDER * points.boundary),
        resample=0,
        adapt=None,
    )


def _contraction(solution: Solution, finer: Solution) -> float:
    """The ratio of root mean square residuals at fresh points."""
    fresh = dataclasses.replace(finer.discretization.collocation, sampler="sobol")
    losses = []
    for one in (finer, solution):
        discretization: Discretization = dataclasses.replace(
            one.discretization,
            collocation=fresh,
            weights=finer.discretization.weights,
            seed=finer.discretization.seed + 1,
        )
        losses.append(Residuals(one.surrogate, discretization.terms()).loss())
    return math.sqrt(losses[0] / losses[1]) if losses[1] > 0 else 0.0


def scaled(errors: Errors, factor: float) -> Errors:
    """The errors, all norms times a factor."""
    names = ("l2", "l2_relative", "h1", "h1_relative")
    values = {name: factor * getattr(errors, name) for name in names}
    squares = {name: factor**2 * getattr(errors, name) for name in ("l2_squared", "h1_squared")}
    fields = {name: scaled(one, factor) for name, one in errors.fields.items()}
    return dataclasses.replace(errors, **values, **squares, fields=fields)
