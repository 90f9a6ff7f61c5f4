"""The verification of a solution: its residual is evaluated at fresh points."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.distributed import together
from kanpinn.geometry import Points
from kanpinn.geometry.sample_tree import SampleTree
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.fresh_conditions import misfit_of_spikes, misfits
from kanpinn.solvers.kept_states import perturbed
from kanpinn.solvers.steep_data import DataScan, scan_data
from kanpinn.solvers.term_values import rows_of, term_sizes
from kanpinn.solvers.verification import Verification


@torch.no_grad()
def verify(
    discretization: Discretization,
    residuals: Residuals,
    own: Mapping[str, float],
    scan: DataScan | None = None,
    fitted: bool = True,
) -> Verification | None:
    """Compare the loss of a solution at fresh points with that at the points of its solve.

    Fresh points of the conditions are random, four times as many as their own and at least 4096:
    data may have a spike between the solve's points. With several ranks each computes the same.

    Args:
        discretization: the discretization that was solved.
        residuals: the loss at the end of the solve.
        own: its value for each term, as `Solution.loss_terms`.
        scan: what a scan of the problem's data has found; by default they are scanned here.
        fitted: whether the solve has lowered the residual at its points. Otherwise these say
            nothing, and the loss at fresh points counts as its own.

    Returns:
        The comparison; None for an energy, which has no residual.
    """
    if discretization.form != "strong":
        return None
    begun, weights = time.perf_counter(), discretization.weights
    seen = [one for one in residuals.terms if not one.measured]
    data = sum(one.weight * own[one.name] for one in residuals.terms if one.measured)
    surrogate, term = residuals.surrogate, residuals.terms[0]
    assert isinstance(term, ResidualTerm)
    with together():
        if scan is None:
            scan = scan_data(discretization)
        found = _measured(discretization, term, surrogate, scan.places)
    mean, scales = found.inside, found.scales
    inner, outer = term.weight * mean.value, weights["boundary"] * found.boundary
    return Verification(
        own=sum(one.weight * own[one.name] for one in seen) if fitted else inner + outer,
        fresh=inner + outer,
        error=term.weight * mean.error,
        interior=mean.value,
        boundary=found.boundary,
        measured=data / weights["boundary"] if data else 0.0,
        relative=math.sqrt(scales.relative),
        reacts=any(scales.parts[: len(discretization.problem.columns)]),
        negligible=1e-16 * term.weight * scales.largest,
        rounding=found.rounding,
        where=dict(zip(term.points.names, mean.where.tolist(), strict=True)),
        on_boundary=outer > inner,
        points=mean.evaluations,
        seconds=time.perf_counter() - begun,
    )


@dataclass(frozen=True)
class _Measured:
    """What evaluations at fresh points give.

    inside: the mean squared residual of the equation. boundary: the loss of the conditions, with
    the weight of the boundary as 1. scales: the sizes of the terms. rounding: the part of the loss
    that is rounding error.
    """

    inside: "_Mean"
    boundary: float
    scales: "_Scales"
    rounding: float


def _measured(
    discretization: Discretization, term: ResidualTerm, surrogate: Surrogate, places: Tensor
) -> _Measured:
    """Evaluate the equation and the conditions at fresh points.

    Args:
        discretization: the discretization.
        term: the equation.
        surrogate: the solution.
        places: where source and coefficients vary fast.
    """
    mean = _mean_in_domain(discretization, term, surrogate, places)
    conditions = misfits(discretization, surrogate)
    boundary = sum(one.weight * square for one, square in conditions)
    if conditions:
        boundary += misfit_of_spikes(discretization)
    inside, weight = replace(term, points=_some(mean.points, 2048)), discretization.weights
    weighed = [
        (replace(one, weight=weight["boundary"] * one.weight), square) for one, square in conditions
    ]
    scales = _Scales.of(inside, mean.value, weighed, surrogate)
    rounding = _rounded([inside, *(one for one, _ in weighed)], surrogate)
    # Each term of an equation is rounded, also where all coefficients of the network are zero.
    rounding += torch.finfo(surrogate.low.dtype).eps ** 2 * scales.weighted
    return _Measured(mean, boundary, scales, rounding)


def _some(points: Points, most: int) -> Points:
    """Return at most so many of the points, chosen at random."""
    chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(37))
    return points[chosen[:most]]


def _rounded(terms: Sequence[ResidualTerm], surrogate: Surrogate) -> float:
    """Return the mean square by which rounding of the coefficients changes the weighted terms."""
    before = [rows_of(term, surrogate, term.points) for term in terms]
    with perturbed(surrogate.network, seed=31):
        after = [rows_of(term, surrogate, term.points) for term in terms]
    both = zip(terms, before, after, strict=True)
    return sum(t.weight * float((b - a).square().sum(dim=1).mean()) for t, a, b in both)


@dataclass(frozen=True)
class _Scales:
    """The sizes of the terms of an equation and its conditions, as mean squares.

    parts: those of the equation's terms that depend on the solution. largest: the greatest of its
    terms, the source among them. weighted: the greatest ones of the equation and of each condition,
    with the weights in the loss, added up. relative: the greatest residual relative to these.
    """

    parts: Sequence[float]
    largest: float
    weighted: float
    relative: float

    @classmethod
    def of(
        cls,
        inside: ResidualTerm,
        residual: float,
        conditions: Sequence[tuple[ResidualTerm, float]],
        surrogate: Surrogate,
    ) -> "_Scales":
        """Evaluate the terms.

        Args:
            inside: the equation, with points in the domain.
            residual: its mean squared residual.
            conditions: the conditions with theirs.
            surrogate: the solution.
        """
        source, *parts = term_sizes(inside, surrogate, inside.points)
        largest = max(source, *parts)
        shares = [residual / largest if largest else math.inf if residual else 0.0]
        weighted = inside.weight * largest
        for one, square in conditions:
            if one.sites == 1 and (scale := max(term_sizes(one, surrogate, inside.points))):
                shares.append(square / scale)
                weighted += one.weight * scale
        return cls(parts, largest, weighted, max(shares))


@dataclass(frozen=True)
class _Mean:
    """A mean over the domain, its standard error, where the function is largest, the points."""

    value: float
    error: float
    where: Tensor
    points: Points
    evaluations: int


def _mean_in_domain(
    discretization: Discretization, term: ResidualTerm, surrogate: Surrogate, places: Tensor
) -> _Mean:
    """Return the mean squared residual of the equation at fresh points.

    They are random in the boxes of a tree, which is refined first where source and coefficients
    vary fastest, then where the residual does, until the standard error of the mean is a fifth of
    it, or there are twice as many as the solve has, within 2048 and 8192. Above three dimensions
    they are uniformly random, and in a domain that fills little of its bounding box they are Gauss
    points.
    """
    tolerance = 0.2  # relative standard error of the mean square
    most = min(max(2 * discretization.collocation.interior, 2048), 8192)  # fresh points
    seed, domain = discretization.seed + 17, discretization.problem.domain
    low, high = domain.bounds
    thin = domain.measure < 0.05 * float((high - low).prod())
    if thin or domain.dim > 3:
        sampler = "gauss" if domain.dim <= 3 else "uniform"
        generator = torch.Generator().manual_seed(seed)
        points, weights = weighted_sample([domain], 2048, sampler, generator)
        values = rows_of(term, surrogate, points).square().sum(dim=1)
        mean_square = float(weights @ values / weights.sum())
        error = float(values.std()) / math.sqrt(len(values))
        where = points.coords[(weights * values).argmax()]
        return _Mean(mean_square, error, where, points, len(points))
    tree = SampleTree(domain, places, seed=seed)
    tree.add(rows_of(term, surrogate, tree.pending).square().sum(dim=1))
    while tree.refine(tolerance, most):
        tree.add(rows_of(term, surrogate, tree.pending).square().sum(dim=1))
    points = Points(tree.coords[tree.inside], domain.names)
    return _Mean(tree.mean, tree.error, tree.largest, points, tree.evaluations)
