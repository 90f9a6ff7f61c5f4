"""The verification of a solution: its residual is evaluated at fresh points."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.distributed import together
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sample_tree import SampleTree
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.kept_states import perturbed
from kanpinn.solvers.steep_data import CHUNK, DataScan, scan_data
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
    surrogate, term, few = residuals.surrogate, residuals.terms[0], 2048
    assert isinstance(term, ResidualTerm)
    with together():
        if scan is None:
            scan = scan_data(discretization)
        mean = _mean_in_domain(discretization, term, surrogate, scan.places)
        others = [one for one in _fresh_conditions(discretization) if not one.measured]
        squares = [_rows(one, surrogate, one.points).square().sum(dim=1) for one in others]
        boundary = sum(one.weight * float(r.mean()) for one, r in zip(others, squares, strict=True))
        if others:
            boundary += _misfit_of_spikes(discretization)
        some = torch.randperm(len(mean.points), generator=torch.Generator().manual_seed(37))[:few]
        inside = replace(term, points=mean.points[some])
        weighed = [replace(one, weight=weights["boundary"] * one.weight) for one in others]
        terms = [inside, *weighed]
        before = [_rows(term, surrogate, term.points) for term in terms]
        with perturbed(surrogate.network, seed=31):
            after = [_rows(term, surrogate, term.points) for term in terms]
        both = zip(terms, before, after, strict=True)
        rounding = sum(t.weight * float((b - a).square().sum(dim=1).mean()) for t, a, b in both)
        source, *parts = _term_sizes(inside, surrogate, inside.points)
        largest, fields = max(source, *parts), len(discretization.problem.columns)
        shares = [mean.value / largest if largest else math.inf if mean.value else 0.0]
        terms_of_all = term.weight * largest
        for one, rows in zip(weighed, squares, strict=True):
            if one.sites == 1 and (scale := max(_term_sizes(one, surrogate, inside.points))):
                shares.append(float(rows.mean()) / scale)
                terms_of_all += one.weight * scale
        # Each term of an equation is rounded, also where all coefficients of the network are zero.
        rounding += torch.finfo(surrogate.low.dtype).eps ** 2 * terms_of_all
    inner, outer = term.weight * mean.value, weights["boundary"] * boundary
    return Verification(
        own=sum(one.weight * own[one.name] for one in seen) if fitted else inner + outer,
        fresh=inner + outer,
        error=term.weight * mean.error,
        interior=mean.value,
        boundary=boundary,
        measured=data / weights["boundary"] if data else 0.0,
        relative=math.sqrt(max(shares)),
        reacts=any(parts[:fields]),
        negligible=1e-16 * term.weight * largest,
        rounding=rounding,
        where=dict(zip(term.points.names, mean.where.tolist(), strict=True)),
        on_boundary=outer > inner,
        points=mean.evaluations,
        seconds=time.perf_counter() - begun,
    )


def _fresh_conditions(discretization: Discretization) -> list[ResidualTerm]:
    """Return the terms of the conditions at fresh points, with the weight of the boundary as 1."""
    chosen = discretization.collocation
    count = max(4 * chosen.boundary, 4096)
    points = replace(chosen, boundary=count, sampler="uniform", resample=0, adapt=None)
    even, seed = dict.fromkeys(discretization.weights, 1.0), discretization.seed + 23
    return replace(discretization, collocation=points, seed=seed, weights=even).penalties()


def _misfit_of_spikes(discretization: Discretization) -> float:
    """The part of the loss of the conditions where their data are far steeper than elsewhere.

    Fresh points may miss a spike in data on a wall. On the walls of domains with two coordinates
    the data of all conditions are therefore scanned at equal distances; the residual is evaluated
    at all points of those short stretches whose values differ ten times as much as they usually do.
    """
    count, stretch, few = 2**16, 64, 8
    if discretization.problem.domain.dim != 2:
        return 0.0
    chosen = discretization.collocation
    points = replace(chosen, boundary=count, sampler="grid", resample=0, adapt=None)
    even = dict.fromkeys(discretization.weights, 1.0)
    total, surrogate = 0.0, discretization.surrogate
    for term in replace(discretization, collocation=points, weights=even).penalties():
        if term.measured or term.sites > 1 or len(term.points) < few * stretch:
            continue
        data = _rows(term, surrogate, term.points, zero=True)
        whole = len(data) // stretch
        boxes = data[: whole * stretch].unflatten(0, (whole, stretch))
        spans = boxes.amax(dim=1) - boxes.amin(dim=1)
        usual = spans.quantile(0.9, dim=0) + 1e-12 * data.abs().amax(dim=0) + 1e-300
        steepness, steepest = (spans / usual).amax(dim=1).topk(few)
        for box in steepest[steepness > 10].tolist():
            inside = term.points[box * stretch : (box + 1) * stretch]
            squares = _rows(term, surrogate, inside).square().sum()
            total += term.weight * float(squares) / len(data)
    return total


@torch.no_grad()
def boundary_misfit(discretization: Discretization) -> float:
    """Return the root mean square residual of the penalised conditions at fresh points.

    It is 0 where all conditions hold exactly.
    """
    found = 0.0
    for term in _fresh_conditions(discretization):
        squares = _rows(term, discretization.surrogate, term.points).square().sum(dim=1)
        found += 0.0 if term.measured else term.weight * float(squares.mean())
    return math.sqrt(found)


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
        values = _rows(term, surrogate, points).square().sum(dim=1)
        mean_square = float(weights @ values / weights.sum())
        error = float(values.std()) / math.sqrt(len(values))
        where = points.coords[(weights * values).argmax()]
        return _Mean(mean_square, error, where, points, len(points))
    tree = SampleTree(domain, places, seed=seed)
    tree.add(_rows(term, surrogate, tree.pending).square().sum(dim=1))
    while tree.refine(tolerance, most):
        tree.add(_rows(term, surrogate, tree.pending).square().sum(dim=1))
    points = Points(tree.coords[tree.inside], domain.names)
    return _Mean(tree.mean, tree.error, tree.largest, points, tree.evaluations)


def _rows(term: ResidualTerm, surrogate: Surrogate, points: Points, zero: bool = False) -> Tensor:
    """Return the residuals of a term, (rows, equations), in float64 on the CPU.

    With `zero` they are those of the function 0, the data.
    """
    if not len(points):  # all pending points are outside the domain
        return torch.zeros(0, 1, dtype=torch.float64)
    own = points.to(surrogate.low.dtype, surrogate.low.device)
    size = max(CHUNK // term.sites, 1) * term.sites
    starts = range(0, len(own), size)
    blocks = [own[i : i + size] for i in starts]
    if zero:
        like = surrogate.jet(own[:1], term.channels) * 0.0
        parts = [
            term.equation(p, like.map(lambda t: t.expand(len(p), *t.shape[1:])))  # noqa: B023
            for p in blocks
        ]
    else:
        parts = [term.residual(surrogate, p) for p in blocks]
    return torch.cat(parts).double().cpu()


def _term_sizes(term: ResidualTerm, surrogate: Surrogate, inside: Points) -> list[float]:
    """Return the mean squares of an equation's source and of the part of each entry of the jet.

    The source is the residual of the function 0. The part of an entry, such as u_xx, is the change
    of the residual where it is replaced by 0. It is 0 where the equation is not finite then. The
    values of the fields are the first entries.

    Args:
        term: the equation, with points.
        surrogate: the solution.
        inside: points in the domain whose jets are taken: on the boundary they may vanish.
    """
    count = min(256, len(term.points), len(inside))
    like = surrogate.low.dtype, surrogate.low.device
    points = Batch.made_of(term.points[:count].to(*like))
    channels = term.channels
    # The sum of the u_ii says nothing of their sizes where they cancel, as in Laplace's equation.
    if channels.second == "laplacian":
        channels = replace(channels, second="diagonal")
    u = surrogate.jet(inside[:count].to(*like), channels)
    whole, source = term.equation(points, u), term.equation(points, u * 0)
    sizes = [float(source.square().sum(dim=1).mean())]
    for k, part in enumerate(u.parts()):
        for i in range(part.shape[1]):
            parts = u.parts()
            parts[k] = part.clone()
            parts[k][:, i] = 0
            change = whole - term.equation(points, u.with_parts(parts))
            sizes.append(float(change.square().sum(dim=1).mean()))
    return [size if math.isfinite(size) else 0.0 for size in sizes]
