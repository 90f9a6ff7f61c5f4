"""Guaranteed bounds of a solution's errors, where theory gives them."""

from functools import partial

import torch

from kanpinn.accuracy.bounds import Approximate, Bound, Majorant, Unbounded
from kanpinn.evolution.network_of_windows import NetworkOfWindows
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.fresh_points import verify
from kanpinn.solvers.kept_states import perturbed
from kanpinn.solvers.solution import Solution


@torch.no_grad()
def error_bound(solution: Solution, finer: Solution | None = None) -> Bound:
    """Bound the errors of a solution by its residual.

    There are bounds for linear equations of second order for one field, elliptic or parabolic, that
    are coercive: c - div(b)/2 is above -λ, where λ is a lower bound of the least eigenvalue of
    -div(A∇u). They hold for any network but time windows, however it was trained.
    `Bound` says what in them is proved and what is computed.

    Args:
        solution: the solution whose errors are bounded.
        finer: a better solution of the same problem, which may make the bounds smaller.

    Returns:
        The bounds, or the reason why there are none.

    Reference: Repin, A posteriori error estimation for variational problems with uniformly convex
    functionals (2000).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), source="exp(x)", boundary="0")
        >>> bound = kp.error_bound(kp.solve(problem, kp.KAN([1, 1], degree=7, grid=8)))
        >>> bound.l2_relative < 1e-6
        True
    """
    if isinstance(solution.network, NetworkOfWindows):
        return Bound(reason="the network is not one function but one for each window of time")
    try:
        known = None if finer is None else _approximate(finer)
        return Majorant(solution.problem)(_approximate(solution), known)
    except Unbounded as found:
        return Bound(reason=str(found))


def _approximate(solution: Solution) -> Approximate:
    """Return a solution with its conditions that hold exactly and its residual at fresh points."""
    discretization = solution.discretization
    found = solution.verification or verify(discretization, solution.residuals, solution.loss_terms)
    if found is None:  # an energy
        generator = torch.Generator().manual_seed(61)
        points = sample(solution.problem.domain, 4096, "sobol", generator)
        squares = solution.residual(points).double().square().sum(dim=1)
        mean, error = float(squares.mean()), float(squares.std()) / 64
    else:
        mean, error = found.interior, found.error / (discretization.weights["interior"] or 1.0)
        if discretization.scales is not None:  # the verified residual has this factor
            factor = float(discretization.scales.equations[0])
            mean, error = mean / factor**2, error / factor**2
    evaluate, noise = solution.surrogate.evaluate, partial(_noise, solution.surrogate)
    return Approximate(evaluate, discretization.met, mean, error, noise)


def _noise(surrogate: Surrogate, p: Points, channels: Channels) -> Jet:
    """Return the change of the solution by rounding errors of the coefficients."""
    before = surrogate.evaluate(p, channels)
    with perturbed(surrogate.network, seed=67):
        after = surrogate.evaluate(p, channels)
    return after + -1 * before
