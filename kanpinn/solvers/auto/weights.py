"""Weights of the loss terms by the sensitivity of their residuals to the solution."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from kanpinn.jets import Channels, Jet
from kanpinn.loss.term_sizes import slopes
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.discretization import Discretization


def balanced(
    discretization: Discretization, like: Surrogate | None = None, count: int = 64
) -> dict[str, float]:
    """Return loss weights that put the interior's residual in units of the conditions' residuals.

    The size of a residual r is that of its terms for a solution of size 1 that varies on the scale
    L of the domain: Σ |∂r/∂(∂^k u)| (ω / L)^k. So the weights do not depend on the units of
    length or of the equation.

    Args:
        discretization: whose loss terms are weighted.
        like: a solution at which the derivatives of a nonlinear residual are taken; None for the
            discretization's network as it is.
        count: the number of interior points, and of boundary points, where sizes are measured.

    Returns:
        The weights "interior" and "boundary"; the latter is 1.
    """
    # Grids are placed by all points, since the few probe points cover a smaller range.
    discretization.prepare()
    few = replace(discretization.collocation, interior=count, boundary=count)
    probe = replace(discretization, collocation=few)
    terms = [b for b in probe.terms() if isinstance(b, ResidualTerm) and not b.measured]
    sizes = {b.name: _size(b, like or discretization.surrogate) for b in terms}
    inside = sizes.pop("interior", 0.0)
    around = [size for size in sizes.values() if 0 < size < math.inf]
    if not around or not 0 < inside < math.inf:
        return {"interior": 1.0, "boundary": 1.0}
    mean = math.exp(sum(map(math.log, around)) / len(around))
    return {"interior": _rounded((mean / inside) ** 2), "boundary": 1.0}


def _size(term: ResidualTerm, at: Surrogate) -> float:
    """Return the size of a term's residual, the root mean square over its equations.

    For a residual that couples several points, such as an integral, the sizes at all points add up.
    """
    low, high = at.domain.bounds
    # A derivative along an axis of length L is ω / L times the solution. With this ω = 2√5, the
    # Laplacian on [-1, 1]² has the size 10 and Δ² the size 100. Their inverse squares, 0.01 and
    # 1e-4, are weights that have proved good in experiments.
    rates = 2 * math.sqrt(5) / (high - low)
    sizes = [_of_slope(jet, rates) for jet in slopes(term, at)]
    return term.sites * math.sqrt(sum(size**2 for size in sizes) / len(sizes))


def _of_slope(jet: Jet, rates: Tensor) -> float:
    total = float(_root(jet.value))
    if jet.gradient is not None:
        total += float(_root(jet.gradient) @ rates)
    if jet.second is not None:
        total += float(_root(jet.second) @ _second(jet.channels, rates))
    if jet.lines is not None:
        directions = torch.tensor(jet.channels.directions, dtype=rates.dtype)
        along = directions.abs() @ rates
        powers = along[:, None] ** torch.arange(1, jet.channels.order + 1)
        total += float((_root(jet.lines) * powers).sum())
    return total


def _root(t: Tensor) -> Tensor:
    """Return the root mean square over points, and of these the largest over the fields."""
    return t.square().mean(dim=0).sqrt().amax(dim=-1).double().cpu()


def _second(channels: Channels, rates: Tensor) -> Tensor:
    """Return the sizes of the second derivatives in the channels for a solution of size 1."""
    if channels.second == "laplacian":
        return rates.square().sum()[None]
    if channels.second == "diagonal":
        return rates.square()
    return (rates[:, None] * rates).flatten()


def _rounded(value: float) -> float:
    """Round to one significant digit, the accuracy of these estimates."""
    return float(f"{value:.0e}")
