"""The checks of a solve.

The checks are: the residual at fresh points, which no step of the solve has used; whether the
problem is singular, as at a resonance; whether an energy has a minimum at the solution; and a scan
of the source and the coefficients for steep places, jumps and poles.
"""

import math
import re
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Generator, Tensor

from kanpinn._support.distributed import together, world
from kanpinn._support.errors import CONVERGED, FAILED, OVERFITTED, InputError
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import Collocation, SampleTree, sample, weighted_sample
from kanpinn.jets import (
    Channels,
    Jet,
    Linearised,
    find_channels,
    of_lower_order,
    random_jets,
)
from kanpinn.linalg.qr import undetermined
from kanpinn.loss import Residuals, ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers.method import Balance
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.energies import Density, Integrand
from kanpinn.pde.problem import Problem
from kanpinn.solvers.discretization import Discretization, Loss
from kanpinn.solvers.state import SolverState, perturbed

CHUNK = 4096  # points in one evaluation, which bounds the memory
Values = Callable[[Tensor], Tensor]  # coordinates (n, d) → values (n, k)


@dataclass(frozen=True)
class DataScan:
    """The findings of a scan of a problem's data, which are its source and coefficients.

    Args:
        places: the coordinates of at most 8 places where the data vary more than ten times as fast
            as in most of the domain, (places, d).
        breaks: sentences, one for each jump and pole that was found.
        undefined: a sentence on a place where the equation is not finite for any of the random
            jets, although it is finite at other places; "" if there is none.
    """

    places: Tensor
    breaks: tuple[str, ...]
    undefined: str = ""


def scan_data(discretization: Discretization) -> DataScan:
    """Scan the source and the coefficients of a problem's equation.

    The equation's residual is evaluated for random values and derivatives of the fields, which are
    constant in space, so that only the data make the residual vary. The number of points is 16
    times the number of interior points of the solve (at least 4096 and at most 65536, in one
    dimension always 131072). The points are sorted into equal boxes. A box is steep if the
    range of the residuals in the box, their maximum minus minimum, is more than ten times the 90 %
    quantile of the ranges of all boxes. In the steepest boxes the equation is evaluated at ever
    closer points: the differences between neighbours vanish for smooth data and stay at a jump, and
    the values grow at a pole.

    Args:
        discretization: the discretized problem, with the number of interior points and the seed.

    Returns:
        The findings; empty above three dimensions, where the boxes would have too few points.
    """
    problem, seed = discretization.problem, discretization.seed + 29
    domain = problem.domain
    low, high = domain.bounds
    if domain.dim > 3:
        return DataScan(low.new_zeros(0, domain.dim), ())
    count = min(max(16 * discretization.collocation.interior, 2**12), 2**16)
    count = 2**17 if domain.dim == 1 else count
    points = sample(domain, count, "sobol", torch.Generator().manual_seed(seed)).coords
    jets = random_jets(problem.equation, sample(domain, 5, "uniform"), len(problem.columns))

    def values(coords: Tensor) -> Tensor:
        """The residuals at points for all random jets, (n, equations · jets)."""
        found = []
        for part in coords.split(8 * CHUNK):
            p = Batch.made_of(Points(part, domain.names))
            same = (jet.map(lambda t: t[:1].expand(len(part), *t.shape[1:])) for jet in jets)  # noqa: B023
            found.append(torch.cat([problem.equation(p, jet).detach() for jet in same], dim=1))
        return torch.cat(found)

    found = values(points)
    undefined, bad = "", ~found.isfinite().any(dim=1)
    if 0 < int(bad.sum()) < len(points):
        where = Points(points, domain.names).show(int(bad.byte().argmax()))
        undefined = f"the source or a coefficient is not finite at {where}: define it there"
    finite = found.isfinite().all(dim=1)
    if not bool(finite.all()):
        points, found = points[finite], found[finite]
    if not len(points):
        return DataScan(points, (), undefined)
    if domain.dim == 1:  # to see jumps between boxes, each box gets the first point of the next box
        order = torch.from_numpy(points[:, 0].numpy().argsort())  # four times as fast as torch's
        points, found = points[order], found[order]
    per_axis = max(2, round((len(points) / 8) ** (1 / domain.dim)))
    cells = ((points - low) / (high - low) * per_axis).long().clamp(0, per_axis - 1)
    index = cells @ per_axis ** torch.arange(domain.dim)
    if domain.dim == 1:
        last = (index.diff() > 0).nonzero()[:, 0]
        points, found = (torch.cat([t, t[last + 1]]) for t in (points, found))
        index = torch.cat([index, index[last]])
    return replace(_steepest(problem, values, points, found, index), undefined=undefined)


def _steepest(
    problem: BoundaryValueProblem, values: Values, points: Tensor, found: Tensor, index: Tensor
) -> DataScan:
    """Return the places where the data are steepest, and sentences on jumps and poles there.

    Args:
        problem: the problem.
        values: evaluates the residuals at further points, (n, d) → (n, k).
        points: the points of the scan, (n, d).
        found: the residuals at these points, (n, k): one column for each equation and each random
            jet, see `scan_data`.
        index: the index of the box in which each point lies, (n,).
    """
    number, count = index[:, None].expand_as(found), int(index.max()) + 1
    none = found.new_full((count, found.shape[1]), -math.inf)
    top, negated = (none.scatter_reduce(0, number, each, "amax") for each in (found, -found))
    spans = torch.where(top >= -negated, top + negated, 0.0)
    usual, steepness, where = _steepest_of(spans, found)
    places, breaks = [points[:0]], []
    largest, filled = found.abs().amax(dim=0), steepness > 0
    for rank, (box, steepest) in enumerate(zip(where[filled], steepness[filled], strict=True)):
        inside = (index == box).nonzero()[:, 0]
        near, scaled, steep = points[inside], found[inside] / usual, bool(steepest > 10)
        far = (scaled - scaled.median(dim=0).values).abs()
        place, column = divmod(int(far.argmax()), far.shape[1])
        # True if there is a gap between two groups of values, as for values beside a jump.
        gaps, span = scaled.sort(dim=0).values.diff(dim=0), scaled.amax(dim=0) - scaled.amin(dim=0)
        apart = bool((gaps > 0.5 * span).any())
        if steep:
            places.append(near[[place]])
        try:
            if steep and rank < 2:
                breaks.append(_pole_near(problem, values, near, found[inside, column], column))
            if (steep or apart) and rank < 4:
                breaks.append(_jump_between(problem, values, largest, near, scaled))
        except InputError:  # a source that is derived from `exact` fails next to a pole
            continue
    return DataScan(torch.cat(places), tuple(one for one in breaks if one is not None))


def _steepest_of(spans: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the steepest boxes of a scan, at most 8.

    Args:
        spans: for each box and each of k functions, the range (maximum minus minimum) of the
            function in the box, (boxes, k).
        values: the values of the functions at all points, (n, k).

    Returns:
        The usual range of each function, (k,): the 90 % quantile of its ranges. The steepness of
        the steepest boxes, in descending order, (8,): the largest ratio of a range to the usual
        range. The indices of these boxes, (8,).
    """
    usual = spans.quantile(0.9, dim=0) + 1e-12 * values.abs().amax(dim=0) + 1e-300
    return usual, *(spans / usual).amax(dim=1).topk(min(8, len(spans)))


def _jump_between(
    problem: BoundaryValueProblem, values: Values, largest: Tensor, points: Tensor, scaled: Tensor
) -> str | None:
    """Return a sentence on a jump between points in a box; None if there is no jump.

    The search starts at the two points with the steepest difference quotient. It divides the line
    between them into 16 parts, goes on with the part with the largest difference, and so on.

    Args:
        problem: the problem.
        values: evaluates the residuals at points, (n, d) → (n, k), see `scan_data`.
        largest: the largest absolute value of each of the k residuals in the domain, (k,).
        points: the points in the box, (n, d).
        scaled: the residuals at these points, divided by their usual ranges, (n, k).
    """
    parts, kept, low, high = 16, 0.25, *problem.domain.bounds
    column = int((scaled.amax(dim=0) - scaled.amin(dim=0)).argmax())
    slopes = (scaled[:, None, column] - scaled[:, column]).abs()
    apart = torch.cdist(points, points)
    slopes = torch.where(apart > 0, slopes / apart, 0.0)
    i, j = divmod(int(slopes.argmax()), len(points))
    start, end, first = points[i], points[j], 0.0
    share = torch.linspace(0, 1, parts + 1).to(start)[:, None]
    while float(((end - start) / (high - low)).norm()) > 1e-12:
        line = start + share * (end - start)
        found = values(line)[:, column]
        steps = found.diff().abs().nan_to_num()
        at, first = int(steps.argmax()), first or float((found[-1] - found[0]).abs())
        if not float(steps[at]) > max(kept * first, 1e-6 * float(largest[column])):
            return None  # the differences vanish: the data are smooth
        start, end = line[at], line[at + 1]
    if not _is_inside(problem, start):
        return None
    place = Points(start[None], problem.domain.names).show(0)
    return f"the source or a coefficient jumps at {place}, by {float(steps[at]):.2g}"


def _pole_near(
    problem: BoundaryValueProblem, values: Values, points: Tensor, found: Tensor, column: int
) -> str | None:
    """Return a sentence on a pole in a box; None if there is no pole.

    The search evaluates points around a place, moves to the point with the largest value, and
    repeats this with half the distances. At a spike the largest value stops growing when the
    distances resolve the spike; at a pole of 1/r, and even of log r, the largest value goes on
    growing.

    Args:
        problem: the problem.
        values: evaluates the residuals at points, (n, d) → (n, k), see `scan_data`.
        points: the points in the box, (n, d).
        found: one of the k residuals at these points, (n,).
        column: the index of this residual.
    """
    usual, size = found.median(), points.amax(dim=0) - points.amin(dim=0)
    place = points[(found - usual).abs().argmax()]
    directions = torch.randn(24, len(place), generator=torch.Generator().manual_seed(5)).to(place)
    around = torch.cat([torch.zeros_like(place)[None], directions * size])
    peaks, apart = [], 10  # the number of halvings between two compared values
    for halvings in range(3 * apart):
        tried = place + 0.5**halvings * around
        sizes = (values(tried)[:, column] - usual).abs().nan_to_num(math.inf)
        place = tried[sizes.argmax()]
        peaks.append(float(sizes.max()))
        if math.isinf(peaks[-1]):
            break
    lag = min(apart, len(peaks) - 1)
    early, late = peaks[lag], peaks[-1] - peaks[-1 - lag]
    if not (late > 0.3 * early > 0 and _is_inside(problem, place)):
        return None
    where = Points(place[None], problem.domain.names).show(0)
    return f"the source or a coefficient has a pole near {where}"


def _is_inside(problem: BoundaryValueProblem, place: Tensor) -> bool:
    """Return whether a point (d,) is inside the domain, not on its boundary."""
    low, high = problem.domain.bounds
    return bool(problem.domain.contains(place[None], -1e-6 * float((high - low).max())).all())


def warn_of_breaks(problem: BoundaryValueProblem, scan: DataScan) -> None:
    """Warn of the first jump or pole, unless the problem is made for jumps or poles.

    A problem is made for them if it has interfaces, input functions, functions that are added to
    the network, or a domain of several parts.
    """
    told = any(c.sites == 2 and not c.tied for c in problem.conditions())
    if not (told or problem.inputs() or problem.enrichment() or len(problem.cells()) > 1):
        warnings.warn(
            f"{scan.breaks[0]}: this limits the accuracy unless an Interface and inputs() state "
            "the place; for jumps of a coefficient the energy form is suitable",
            stacklevel=3,
        )


@dataclass(frozen=True)
class Verification:
    """A comparison of a solution's loss at fresh points with its loss at the collocation points.

    No step of the solve has used the fresh points. The loss is Σ weight · mean ‖r‖² over the
    equation and all conditions except measurements. In up to three dimensions there are more fresh
    points where the source, a coefficient or the residual varies fast. A feature of the data is
    missed if it lies between all points. Such a feature is narrower than about 1/100000 of an
    interval or of the boundary of a plane domain, or in a square narrower in both directions than
    1/100 of the side.

    Args:
        own: the loss at the points of the solve.
        fresh: the loss at fresh points.
        error: the standard error of `fresh`.
        interior: the mean squared residual of the equation at fresh points.
        boundary: the sum of the mean squared residuals of the conditions at fresh points, for the
            boundary weight 1 in `Loss`.
        measured: the mean squared residual of the measurements, for the boundary weight 1.
        relative: the largest ratio, over the equation and the conditions, of the root mean square
            residual to the root mean square of the largest term of the equation or condition.
        negligible: the loss for a residual of 1e-8 times the largest term of the equation.
        rounding: the loss of the rounding errors in the residuals: of the changes of the residuals
            by rounding errors of the coefficients, and of rounding errors of the terms.
        where: the coordinates, by name, of the place that contributes most to `interior`.
        on_boundary: whether the conditions contribute more than half of `fresh`.
        points: the number of fresh points in the domain.
        seconds: the time that the verification took.
        balance: whether the solution balances the terms of the equation in all cells; None for a
            network that is not in cells, and if the error of the solve was not estimated.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> check = kp.solve(problem, kp.KAN([1, 1], degree=7, grid=8)).verification
        >>> check.fresh < 1e-6, check.points > 0
        (True, True)
    """

    own: float
    fresh: float
    error: float
    interior: float
    boundary: float
    measured: float
    relative: float
    negligible: float
    rounding: float
    where: dict[str, float]
    on_boundary: bool
    points: int
    seconds: float
    balance: Balance | None = None

    @property
    def growth(self) -> float:
        """The loss at fresh points divided by the loss at the points of the solve.

        If the loss at the points of the solve is 0, the growth is infinite, or 1 if both losses
        are 0.
        """
        return self.fresh / self.own if self.own else math.inf if self.fresh else 1.0

    @property
    def overfitted(self) -> bool:
        """True if the residual at fresh points is much larger than at the points of the solve.

        It is False if the residual is rounding error, or at most 1e-8 of the largest term of the
        equation.
        """
        most = 10.0  # the largest `growth` that does not count as overfitted
        return not (self.is_rounding or self.fresh <= max(most * self.own, self.negligible))

    @property
    def is_rounding(self) -> bool:
        """True if the residual is rounding error, which no larger network could lower.

        This is the case if `fresh` is at most 1000 times `rounding`, and both are finite.
        """
        usual = 1e3  # (rounding error of sums / rounding error of coefficients)², as measured
        return math.isfinite(self.fresh) and self.fresh <= usual * self.rounding < math.inf

    @property
    def small(self) -> bool:
        """True if the residual is small relative to the terms of the equation and the conditions.

        The residual is also small if `fresh` is at most `negligible`: a condition whose terms all
        vanish, such as zero flux of a constant field, has no scale for a relative residual.
        """
        largest = 0.1  # the largest `relative` of a residual that counts as small
        return self.is_rounding or self.relative <= largest or self.fresh <= self.negligible

    @property
    def words(self) -> str:
        """A text that compares the losses at fresh points and at the points of the solve."""
        place = ", ".join(f"{name} = {value:.4g}" for name, value in self.where.items())
        place = "on the boundary" if self.on_boundary else f"near {place}"
        if not math.isfinite(self.fresh):
            return f"the residual is not finite {place}"
        larger = f"the mean squared residual is {self.growth:.2g} times as large"
        most = f", most of all {place}" if self.on_boundary or len(self.where) <= 3 else ""
        return f"{larger} at points that no step has seen{most}"

    def loss(self, weights: Loss) -> float:
        """Return the loss at fresh points for other weights, including the measurements.

        The loss is weights.interior · `interior` + weights.boundary · (`boundary` + `measured`).

        Args:
            weights: the weights of the equation and of the conditions.
        """
        return weights.interior * self.interior + weights.boundary * (self.boundary + self.measured)


def rows_of(term: ResidualTerm, surrogate: Surrogate, points: Points, zero: bool = False) -> Tensor:
    """Return the residuals of a loss term at points, (rows, equations), in float64 on the CPU.

    There is a row for every `term.sites` consecutive points, which is 1 except for terms that
    compare points.

    Args:
        term: the loss term.
        surrogate: the solution.
        points: the points.
        zero: whether to return the residuals of the function 0 instead of the solution. For a
            condition these residuals are its data.
    """
    if not len(points):  # as if all points are outside the domain
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


def term_sizes(term: ResidualTerm, surrogate: Surrogate, inside: Points) -> list[float]:
    """Return the mean squares of the source of an equation and of its terms.

    The source is the residual of the function 0. An equation has a term for each field and for each
    derivative, such as u_xx: the change of the residual if this derivative is replaced by 0. A term
    counts as 0 if the residual without it is not finite.

    Args:
        term: the loss term of the equation or of a condition, with its points.
        surrogate: the solution.
        inside: points in the domain, at which fields and derivatives are evaluated also for a
            condition: on the boundary they may vanish.

    Returns:
        The mean squares, in this order: of the source, of the terms of the fields, of the terms of
        their derivatives.
    """
    count = min(256, len(term.points), len(inside))
    like = surrogate.low.dtype, surrogate.low.device
    points = Batch.made_of(term.points[:count].to(*like))
    channels = term.channels
    # The sum of the u_ii does not show how large they are if they cancel, as in Laplace's equation.
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


@torch.no_grad()
def misfits(
    discretization: Discretization, surrogate: Surrogate
) -> list[tuple[ResidualTerm, float]]:
    """Return the loss terms of the conditions at fresh points, and their mean squared residuals.

    Measurements, and conditions that hold exactly, are left out. The loss terms have the weights
    for `Loss(boundary=1)`.

    Args:
        discretization: the discretized problem.
        surrogate: the solution.

    Returns:
        A pair for each condition: its loss term, and its mean squared residual.
    """
    count = max(4 * discretization.collocation.boundary, 4096)
    fresh = _conditions(discretization, count, "uniform", shift=23)
    terms = [one for one in fresh if not one.measured]
    squares = [rows_of(one, surrogate, one.points).square().sum(dim=1).mean() for one in terms]
    return list(zip(terms, map(float, squares), strict=True))


def boundary_misfit(discretization: Discretization) -> float:
    """Return the root mean square residual of the penalised conditions at fresh points.

    The result is 0 if all conditions hold exactly.
    """
    found = misfits(discretization, discretization.surrogate)
    return math.sqrt(sum(one.weight * square for one, square in found))


def _conditions(
    discretization: Discretization, count: int, sampler: str, shift: int = 0
) -> list[ResidualTerm]:
    """Return the loss terms of the conditions at other points, for the boundary weight 1.

    Args:
        discretization: the discretized problem.
        count: the number of points of all conditions together.
        sampler: the sampler of the points, as for `Collocation`.
        shift: the number that is added to the seed of the points.
    """
    points = Collocation(discretization.collocation.interior, count, sampler)
    even, seed = replace(discretization.loss, boundary=1.0), discretization.seed + shift
    return replace(discretization, collocation=points, seed=seed, loss=even).penalties()


def misfit_of_spikes(discretization: Discretization) -> float:
    """Return the loss of the conditions on parts of the boundary where their data are very steep.

    Random points may miss a spike in the boundary data. In domains with two coordinates the data of
    the conditions are therefore evaluated at 65536 equidistant points of the boundary in all, in
    stretches of 64 points. In stretches where the data vary more than ten times as much as usual,
    the residual is evaluated at all 64 points. In other domains the result is 0.
    """
    count, stretch, few = 2**16, 64, 8
    if discretization.problem.domain.dim != 2:
        return 0.0
    total, surrogate = 0.0, discretization.surrogate
    for term in _conditions(discretization, count, "grid"):
        if term.measured or term.sites > 1 or len(term.points) < few * stretch:
            continue
        data = rows_of(term, surrogate, term.points, zero=True)
        whole = len(data) // stretch
        boxes = data[: whole * stretch].unflatten(0, (whole, stretch))
        _, steepness, steepest = _steepest_of(boxes.amax(dim=1) - boxes.amin(dim=1), data)
        for box in steepest[steepness > 10].tolist():
            inside = term.points[box * stretch : (box + 1) * stretch]
            squares = rows_of(term, surrogate, inside).square().sum()
            total += term.weight * float(squares) / len(data)
    return total


@torch.no_grad()
def verification_of(
    discretization: Discretization,
    residuals: Residuals,
    own: Mapping[str, float],
    scan: DataScan | None = None,
    fitted: bool = True,
) -> Verification | None:
    """Compare a solution's loss at fresh points with its loss at the points of its solve.

    The fresh points of the conditions are random: four times as many as the boundary points of the
    solve, and at least 4096, since data may have a spike between the boundary points of the solve.
    Every rank computes the same comparison.

    Args:
        discretization: the discretization that was solved.
        residuals: the loss at the end of the solve.
        own: the mean of each loss term at the points of the solve, as `Solution.loss_terms`.
        scan: the findings of `scan_data`; by default the problem's data are scanned here.
        fitted: whether the solve has minimised the residual at its points. If not, the result's
            `own` is the loss at fresh points.

    Returns:
        The comparison; None for an energy, which has no residual.
    """
    if discretization.loss.form != "strong":
        return None
    begun, outer_weight = time.perf_counter(), float(discretization.loss.boundary)
    seen = [one for one in residuals.terms if not one.measured]
    data = sum(one.weight * own[one.name] for one in residuals.terms if one.measured)
    surrogate, term = residuals.surrogate, residuals.terms[0]
    assert isinstance(term, ResidualTerm)
    with together():
        scan = scan_data(discretization) if scan is None else scan
        found = _mean_in_domain(discretization, term, surrogate, scan.places)
        mean, error, where, points, evaluations = found
        conditions = misfits(discretization, surrogate)
        boundary = sum(one.weight * square for one, square in conditions)
        if conditions:
            boundary += misfit_of_spikes(discretization)
        some = torch.randperm(len(points), generator=torch.Generator().manual_seed(37))[:2048]
        inside = replace(term, points=points[some])
        weighed = [
            (replace(one, weight=outer_weight * one.weight), square) for one, square in conditions
        ]
        # The mean squares of the source and of the other terms, in the equation and each condition.
        source, *parts = term_sizes(inside, surrogate, inside.points)
        largest = max(source, *parts)
        shares = [mean / largest if largest else math.inf if mean else 0.0]
        weighted = inside.weight * largest
        for one, square in weighed:
            if one.sites == 1 and (scale := max(term_sizes(one, surrogate, inside.points))):
                shares.append(square / scale)
                weighted += one.weight * scale
        terms, rounding = [inside, *(one for one, _ in weighed)], 0.0
        before = [rows_of(one, surrogate, one.points) for one in terms]
        with perturbed(surrogate.network, seed=31):
            for one, rows in zip(terms, before, strict=True):
                change = rows_of(one, surrogate, one.points) - rows
                rounding += one.weight * float(change.square().sum(dim=1).mean())
        # Each term of an equation is rounded, also where all coefficients of the network are zero.
        rounding += torch.finfo(surrogate.low.dtype).eps ** 2 * weighted
    inner, outer = term.weight * mean, outer_weight * boundary
    return Verification(
        own=sum(one.weight * own[one.name] for one in seen) if fitted else inner + outer,
        fresh=inner + outer,
        error=term.weight * error,
        interior=mean,
        boundary=boundary,
        measured=data / outer_weight if data else 0.0,
        relative=math.sqrt(max(shares)),
        negligible=1e-16 * term.weight * largest,
        rounding=rounding,
        where=dict(zip(term.points.names, where.tolist(), strict=True)),
        on_boundary=outer > inner,
        points=evaluations,
        seconds=time.perf_counter() - begun,
    )


def _mean_in_domain(
    discretization: Discretization, term: ResidualTerm, surrogate: Surrogate, places: Tensor
) -> tuple[float, float, Tensor, Points, int]:
    """Return the mean squared residual of the equation at fresh points.

    The points are random in the boxes of a tree of boxes. The tree is refined first at `places`,
    then where the residual varies fastest. Refinement ends when the standard error of the mean is a
    fifth of the mean, or when the largest number of points is reached: twice the number of interior
    points of the solve, but at least 2048 and at most 8192. Above three dimensions there are 2048
    uniformly random points instead. In a domain of at most three dimensions that fills less than 5
    % of its bounding box there are Gauss points.

    Args:
        discretization: the discretization that was solved.
        term: the loss term of the equation.
        surrogate: the solution.
        places: the places where source and coefficients vary fastest, (places, d), from `DataScan`.

    Returns:
        The mean; its standard error; the place that contributes most to the mean, (d,); the fresh
        points in the domain; the number of evaluations of the residual.
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
        return mean_square, error, where, points, len(points)
    tree = SampleTree(domain, places, seed=seed)
    tree.add(rows_of(term, surrogate, tree.pending).square().sum(dim=1))
    while tree.refine(tolerance, most):
        tree.add(rows_of(term, surrogate, tree.pending).square().sum(dim=1))
    points = Points(tree.coords[tree.inside], domain.names)
    return tree.mean, tree.error, tree.largest, points, tree.evaluations


def judged(
    discretization: Discretization[Problem],
    state: SolverState,
    status: str,
    values: Mapping[str, float],
    scan: DataScan | None,
) -> tuple[str, Verification | None]:
    """Verify a solution at fresh points, and return the status that follows.

    If the solution is overfitted, or its residual is not small although the optimizers have
    converged, the status says so and names a remedy. A solve that has estimated the error, as in
    cells, may leave a large residual: at corners residuals grow without limit. The integrals of
    this residual over cells must be small, or the status is "stopped: the equation does not
    balance". A solve that was stopped for another reason than its limit of steps keeps its status,
    since its solution may be incomplete: a march may not have reached the end. A steady solve of
    one step has failed if the problem is singular.

    Args:
        discretization: the discretization that was solved.
        state: the state at the end of the solve.
        status: the status when the optimizers ended.
        values: the mean of each loss term at the points of the solve.
        scan: the findings of `scan_data`; None to scan the problem's data here.

    Returns:
        The status of the solve, and the verification; None for an energy.
    """
    problem, network = discretization.problem, state.surrogate.network
    fitted = any(stage.fits_points for stage in state.optimizers)
    converged = status.startswith(CONVERGED)
    found = verification_of(discretization, state.residuals, values, scan, fitted)
    if found is not None and state.stage is not None and state.stage.balance.is_known:
        found = replace(found, balance=state.stage.balance)
    if found is not None and (
        converged or re.fullmatch(r"stopped: limit of \d+ steps(; .*)?", status)
    ):
        points = discretization.collocation
        sizes = f"{points.interior} + {points.boundary} points for"
        sizes = f"{sizes} {network.parameter_count} parameters"
        if found.overfitted:
            ended = "" if converged else f" ({status})"
            status = f"{OVERFITTED}: {found.words}; more points help, these are {sizes}{ended}"
        elif converged and not (found.small or network.estimates_error):
            status = (
                f"stopped: the residual is still {found.relative:.0%} of the terms of the "
                f"equation; a larger network helps, this has {sizes}"
            )
        elif converged and found.balance is not None and not found.balance.is_small:
            status = (
                f"stopped: {found.balance.words}. Least squares may have a wrong limit there: "
                "check the conditions, or minimise an energy"
            )
    # Cells (`fitted` is False) also represent discontinuous functions, which are no modes.
    single = fitted and state.history.steps == 1 and problem.domain.time_name is None
    if found is not None and single and status.startswith(CONVERGED):
        nearest = resonance(discretization, state.residuals, found)
        if nearest is not None and nearest.matters:
            status = f"{FAILED}: {nearest.words}"
    if discretization.loss.form == "strong":
        status = judged_by_curvature(status, problem, state.surrogate.evaluate)
    return status, found


@dataclass(frozen=True)
class Resonance:
    """A function v of root mean square 1 that nearly solves the homogeneous, linearised problem.

    Args:
        residual: the root mean square residual of v in the equation and the conditions, which is
            the smallest singular value of the problem.
        coefficient: the root mean square of the coefficient of the fields in the equation, with
            which `residual` is compared.
        error: the possible relative L2 error of the solution in the direction of v: the root mean
            square of the multiple of v that has the same residual as the solution, divided by the
            root mean square of the solution.
        undetermined: the relative L2 error by `kanpinn.linalg.qr.undetermined`, which is 0 unless v
            is one of few such functions.
    """

    residual: float
    coefficient: float
    error: float
    undetermined: float

    @property
    def matters(self) -> bool:
        """True if the problem is so close to singular that its solution is not determined.

        This is the case if `residual` / `coefficient` is at most 1e-9, so that rounding errors of
        the data are amplified by 1e9, or if it is at most 1e-3 and `error` is above 5 %.
        """
        if not self.coefficient:  # no multiple of the fields, and so no resonance
            return False
        ratio = self.residual / self.coefficient  # a singular value without units
        return ratio <= 1e-9 or (ratio <= 1e-3 and self.error > 0.05)

    @property
    def words(self) -> str:
        """The reason that the status of the solve contains, as text."""
        return (
            "the problem is singular to rounding, as at a resonance: with all data zero, a "
            f"function of size 1 solves it up to a residual of {self.residual:.1e}"
        )


def resonance(
    discretization: Discretization,
    residuals: Residuals,
    found: Verification,
    finer: Callable[[], Residuals] | None = None,
) -> Resonance | None:
    """Find the function in the span of the output layer's basis with the smallest residual.

    The functions of root mean square 1 with the smallest residuals come from `_responses`.

    Args:
        discretization: the discretization of a steady problem.
        residuals: the loss.
        found: the verification of the solution.
        finer: returns the loss of a finer network, from which the error in a nearly singular
            direction is found if the problem is linear, see `kanpinn.linalg.qr.undetermined`.

    Returns:
        The residual of the function, and its comparison with the solution. None with several ranks,
        and for an equation without terms below its highest order, see `of_lower_order`.
    """
    if world() > 1:
        return None
    surrogate, term, problem = residuals.surrogate, residuals.terms[0], discretization.problem
    assert isinstance(term, ResidualTerm)
    points = term.points[:: max(1, len(term.points) // 256)]
    batch = Batch.made_of(points)
    linear = Linearised.at(term.equation, batch, surrogate.evaluate(batch, term.channels))
    if not bool(of_lower_order(linear.slopes, term.channels).any()):
        return None
    coefficient = float(linear.slopes[:, :, 0].square().sum(dim=(1, 2)).mean().sqrt())
    responses = _responses(problem, residuals)
    size = float(surrogate(points).square().sum(dim=1).mean().sqrt())
    residual = 1 / float(responses[0]) if responses[0] else math.inf
    if not size:
        return Resonance(residual, coefficient, math.inf, 0.0)
    left, affine = math.sqrt(found.fresh + found.rounding), linear.is_affine()

    def resolved() -> Tensor:
        """The responses of the finer network."""
        assert finer is not None
        return _responses(problem, finer()) / size

    known = resolved if finer is not None and affine else None
    error = undetermined(responses / size, left, affine, known)
    return Resonance(residual, coefficient, left / residual / size, error)


def _responses(problem: Problem, residuals: Residuals) -> Tensor:
    """Singular values of the inverse of the least-squares problem for the output layer, (n,).

    They are those of Φ J⁺ for the matrix J of the least-squares problem, linearised about the
    solution, and the matrix Φ of the values of the basis functions at points of the equation.
    Fields that error norms leave out are left out of Φ, and so are means of fields that are
    determined only up to a constant. The triangular factor of J is bounded from below at the
    rounding errors of J. Then its inverse is applied to Φ, which costs less than the least-squares
    solve.

    Args:
        problem: the problem.
        residuals: the loss.
    """
    surrogate, term = residuals.surrogate, residuals.terms[0]
    points = term.points[:: max(1, len(term.points) // 256)]
    layers = surrogate.network.output_layers
    matrix = residuals.model(layers).matrix
    length = torch.linalg.vector_norm(matrix, dim=0)
    scale = torch.where(length > 0, length, 1.0)
    scaled = matrix / scale
    rounding = 10 * torch.finfo(scaled.dtype).eps * torch.linalg.matrix_norm(scaled)
    least = rounding * torch.eye(len(scale)).to(scaled)
    triangle = torch.linalg.qr(torch.cat([scaled, least]), mode="r").R
    channels, names, values = Channels(points.names), list(problem.fields), []
    for name in problem.error_fields or names:
        value = partial(_value, field=names.index(name))
        one = ResidualTerm(name, points, 1.0, channels, value)
        rows = torch.cat([j for j, _ in Residuals(surrogate, [one]).rows(layers)])
        values.append(rows - rows.mean(dim=0) if name in problem.free_constant else rows)
    sized = torch.linalg.solve_triangular(
        triangle, torch.cat(values) / scale, upper=True, left=False
    )
    return torch.linalg.svdvals(sized)


def _value(_: Points, fields: Jet, *, field: int) -> Tensor:
    """Return the values of one field at n points, (n, 1)."""
    return fields.value[:, [field]]


def _hessian(
    density: Density, p: Points, evaluate: Callable[[Points, Channels], Jet], what: str
) -> tuple[Tensor, int]:
    """Return the second derivatives of an energy density by the fields and their derivatives.

    Args:
        density: the energy density.
        p: n points.
        evaluate: returns the jet of the solution at points.
        what: the name of the density, for error messages.

    Returns:
        The second derivatives, (n, q, q), with q = m + d m + … for m fields and d coordinates; and
        the highest order of derivatives in the density. The order of the q variables is: the values
        of the fields; the d first derivatives of the first field, of the second field and so on;
        the second derivatives.
    """
    with torch.enable_grad():
        _, at = find_channels(
            lambda c: Integrand.at(density, p, evaluate(p, c).components(), what), p.names
        )

        def flat(of: Tensor) -> Tensor:
            """Return the derivatives of a density by all parts of the jet, side by side."""
            _, by_levels = at.slopes(of.view(-1, 1))
            return torch.cat([slope for level in by_levels for slope in level], dim=1)

        rows = [flat(column) for column in flat(at.density).unbind(dim=1)]
    return torch.stack(rows, dim=1).detach(), at.order


def _least_along(hessian: Tensor, d: int, m: int) -> Tensor:
    """Return the least curvature of a density in directions of rank one, (n,).

    The curvature at a point is the second derivative of the density in a direction a ⊗ ξ of the
    gradient of the fields, with unit vectors a (m,) and ξ (d,). For several fields the minimum is
    taken over 128 random ξ.

    Args:
        hessian: the second derivatives of a density of order 1 from `_hessian`, (n, q, q).
        d: the number of coordinates.
        m: the number of fields.
    """
    block = hessian[:, m:, m:].unflatten(2, (m, d)).unflatten(1, (m, d))
    if m == 1:
        return torch.linalg.eigvalsh(block[:, 0, :, 0])[:, 0]
    draws = torch.randn(128, d, generator=Generator().manual_seed(0), dtype=hessian.dtype)
    directions = draws / draws.norm(dim=1, keepdim=True)
    acoustic = torch.einsum("niajb,ra,rb->nrij", block, directions, directions)
    return torch.linalg.eigvalsh(acoustic)[..., 0].amin(dim=1)


def judged_by_curvature(
    status: str, problem: Problem, evaluate: Callable[[Points, Channels], Jet]
) -> str:
    """Check that the solution of an equation derived from an energy is a minimum of the energy.

    The equation holds at all stationary points of the energy. If the energy density is convex in
    values and gradients of the fields at all points, the second variation of the energy is at least
    zero. A minimum requires only that the density is convex in gradients of rank one (Legendre and
    Hadamard). If the density is not convex in gradients of rank one at some point, the status is
    "stopped: ...". If the density is convex in gradients of rank one only, a warning says that the
    solution is not known to be a minimum. The status is also "stopped: ..." if second derivatives
    of the density are not finite at some point.

    Nothing is checked, and the status is unchanged, if it does not begin with "converged", if the
    equation is not derived from an energy, or if the problem has unknown parameters.

    Args:
        status: the status so far.
        problem: the problem.
        evaluate: returns the jet of the solution at points.

    Returns:
        The status.
    """
    if not status.startswith(CONVERGED) or not problem.is_from_energy or problem.numbers:
        return status
    rounding, name = 1e-9, f"{type(problem).__name__}.energy"
    p = sample(problem.domain, 512, "sobol")
    hessian, order = _hessian(problem.energy, p, evaluate, name)
    finite = hessian.flatten(1).isfinite().all(dim=1)
    if not bool(finite.all()):
        where = p.show(int((~finite).byte().argmax()))
        return f"stopped: the second derivatives of the energy density are not finite at {where}"
    size = hessian.abs().amax(dim=(1, 2)) + torch.finfo(hessian.dtype).tiny
    if order == 1:
        concave = _least_along(hessian, len(p.names), len(problem.fields)) < -rounding * size
        if bool(concave.any()):
            return (
                "stopped: the solution is a stationary point of the energy but no minimum: the "
                f"density is concave in the gradient at {p.show(int(concave.byte().argmax()))}"
            )
    convex = bool((torch.linalg.eigvalsh(hessian)[:, 0] >= -rounding * size).all())
    for part, density in problem.boundary_energies():
        side, _ = _hessian(density, sample(part, 64, "uniform"), evaluate, name)
        convex &= bool((torch.linalg.eigvalsh(side)[:, 0] >= -rounding).all())
    if not convex:
        warnings.warn(
            f"{name} is not convex at the solution, which is a stationary point: it is not known "
            "whether it is a minimum",
            stacklevel=4,
        )
    return status
