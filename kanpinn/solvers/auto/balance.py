"""Weights of the loss terms by what their residuals mean for the solution."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from kanpinn.jets import Channels, Jet
from kanpinn.loss.term_sizes import slopes
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.discretize import Discretization


def balanced(
    discretization: Discretization, like: Surrogate | None = None, count: int = 64
) -> dict[str, float]:
    """The interior's weight that puts its residual in units of the conditions'; theirs is 1.

    A residual's size is that of its terms for a solution of size 1 that varies over the domain:
    Σ |∂r/∂(∂^k u)| (ω / L)^k. It does not depend on units of lengths or of the equation. Where that
    is nonlinear the slopes are those at `like`, a solution that is known, or at the network.

    Args:
        discretization: whose terms are weighed.
        like: a solution that is known; None for the network as it is.
        count: points at which sizes are measured.
    """
    discretization.prepare()  # by all points: few ones reach less far, and so would the grids
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
    """The root of the mean square over the term's equations.

    A row that ties points together, an integral say, adds up what is felt at each of them.
    """
    low, high = at.domain.bounds
    # Derivatives by an axis of length L are ω / L times the solution. With this ω the Laplacian on
    # [-1, 1]² has the size 10 and Δ² the size 100, and their squares are the weights 0.01 and 1e-4
    # that are good for them by measurement.
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
    """The root of the mean square over points, of the field for which it is largest."""
    return t.square().mean(dim=0).sqrt().amax(dim=-1).double().cpu()


def _second(channels: Channels, rates: Tensor) -> Tensor:
    """The sizes of the second derivatives that are carried."""
    if channels.second == "laplacian":
        return rates.square().sum()[None]
    if channels.second == "diagonal":
        return rates.square()
    return (rates[:, None] * rates).flatten()


def _rounded(value: float) -> float:
    """One digit: more say nothing."""
    return float(f"{value:.0e}")
