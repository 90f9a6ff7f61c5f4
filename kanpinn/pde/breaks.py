"""A scan of functions on a domain, such as a source or coefficients, for jumps and poles."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Domain, Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import sample
from kanpinn.jets import random_jets
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem

CHUNK = 2**15  # points in one evaluation, which bounds the memory
Values = Callable[[Tensor], Tensor]  # coordinates (n, d) → values (n, k)


@dataclass(frozen=True)
class DataScan:
    """The findings of a scan of functions, such as the source and the coefficients of a problem.

    Args:
        places: the coordinates of at most 8 places where the functions vary more than ten times as
            fast as in most of the domain, (places, d).
        jumps, poles: sentences, one for each jump and pole that was found.
        undefined: a sentence on a place where no function is finite, although some are finite at
            other places; "" if there is none.
    """

    places: Tensor
    jumps: tuple[str, ...] = ()
    poles: tuple[str, ...] = ()
    undefined: str = ""

    @property
    def breaks(self) -> tuple[str, ...]:
        """The sentences on poles, then those on jumps."""
        return self.poles + self.jumps


def scan_data(problem: BoundaryValueProblem, count: int, seed: int) -> DataScan:
    """Scan the source and the coefficients of a problem's equation.

    The equation's residual is evaluated for random values and derivatives of the fields, which are
    constant in space, so that only the data make the residual vary.

    Args:
        problem: the problem.
        count: the number of points.
        seed: the seed of the points.

    Returns:
        The findings; empty above three dimensions, where the boxes would have too few points.
    """
    domain = problem.domain
    if domain.dim > 3:
        return DataScan(domain.bounds[0].new_zeros(0, domain.dim))
    jets = random_jets(problem.equation, sample(domain, 5, "uniform"), len(problem.columns))

    def values(coords: Tensor) -> Tensor:
        """The residuals at points for all random jets, (n, equations · jets)."""
        p = Batch.made_of(Points(coords, domain.names))
        same = (jet.map(lambda t: t[:1].expand(len(p), *t.shape[1:])) for jet in jets)
        return torch.cat([problem.equation(p, jet).detach() for jet in same], dim=1)

    return scan(domain, values, count, seed)


def scan(
    domain: Domain,
    function: Values,
    count: int,
    seed: int,
    what: str = "the source or a coefficient",
    apart: Tensor | None = None,
) -> DataScan:
    """Scan functions on a domain for steep places, jumps and poles.

    The points are sorted into equal boxes. A box is steep if the range of the values in the box,
    their maximum minus minimum, is more than ten times the 90 % quantile of the ranges of all
    boxes. In the steepest boxes the functions are evaluated at ever closer points: the differences
    between neighbours vanish for smooth functions and stay at a jump, and the values grow at a
    pole.

    Args:
        domain: the domain, with d coordinates.
        function: the values of the k functions at points, (n, d) → (n, k).
        count: the number of points.
        seed: the seed of the points.
        what: the name of the functions in sentences.
        apart: points (q, d), such as those of interfaces; boxes that contain some are left out.
    """
    low, high = domain.bounds
    points = sample(domain, count, "sobol", torch.Generator().manual_seed(seed)).coords

    def values(coords: Tensor) -> Tensor:
        """The functions at points, (n, k)."""
        return torch.cat([function(part) for part in coords.split(CHUNK)])

    found = values(points)
    undefined, bad = "", ~found.isfinite().any(dim=1)
    if 0 < int(bad.sum()) < len(points):
        where = Points(points, domain.names).show(int(bad.byte().argmax()))
        undefined = f"{what} is not finite at {where}: define it there"
    finite = found.isfinite().all(dim=1)
    if not bool(finite.all()):
        points, found = points[finite], found[finite]
    if not len(points):
        return DataScan(points, undefined=undefined)
    if domain.dim == 1:  # to see jumps between boxes, each box gets the first point of the next box
        order = torch.from_numpy(points[:, 0].numpy().argsort())  # four times as fast as torch's
        points, found = points[order], found[order]
    per_axis = max(2, round((len(points) / 8) ** (1 / domain.dim)))

    def box(coords: Tensor) -> Tensor:
        """The indices of the boxes in which points lie."""
        cells = ((coords - low) / (high - low) * per_axis).long().clamp(0, per_axis - 1)
        return cells @ per_axis ** torch.arange(domain.dim)

    index = box(points)
    if domain.dim == 1:
        last = (index.diff() > 0).nonzero()[:, 0]
        points, found = (torch.cat([t, t[last + 1]]) for t in (points, found))
        index = torch.cat([index, index[last]])
    if apart is not None:
        kept = ~torch.isin(index, box(apart))
        points, found, index = points[kept], found[kept], index[kept]
    steepest = _steepest(domain, values, points, found, index, what)
    return replace(steepest, undefined=undefined)


def _steepest(
    domain: Domain, values: Values, points: Tensor, found: Tensor, index: Tensor, what: str
) -> DataScan:
    """Return the places where functions are steepest, and sentences on jumps and poles there.

    Args:
        domain: the domain.
        values: evaluates the functions at further points, (n, d) → (n, k).
        points: the points of the scan, (n, d).
        found: the values of the functions at these points, (n, k).
        index: the index of the box in which each point lies, (n,).
        what: the name of the functions in sentences.
    """
    number, count = index[:, None].expand_as(found), int(index.max()) + 1
    none = found.new_full((count, found.shape[1]), -math.inf)
    top, negated = (none.scatter_reduce(0, number, each, "amax") for each in (found, -found))
    spans = torch.where(top >= -negated, top + negated, 0.0)
    usual, steepness, where = steepest_of(spans, found)
    places, jumps, poles = [points[:0]], list[str | None](), list[str | None]()
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
                poles.append(_pole_near(domain, values, near, found[inside, column], column))
            if (steep or apart) and rank < 4:
                jumps.append(_jump_between(domain, values, largest, near, scaled))
        except InputError:  # a source that is derived from `exact` fails next to a pole
            continue

    def sentences(found: list[str | None]) -> tuple[str, ...]:
        """The sentences about what was found."""
        return tuple(f"{what} {one}" for one in found if one is not None)

    return DataScan(torch.cat(places), sentences(jumps), sentences(poles))


def steepest_of(spans: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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
    domain: Domain, values: Values, largest: Tensor, points: Tensor, scaled: Tensor
) -> str | None:
    """Return the end of a sentence on a jump between points in a box; None if there is no jump.

    The search starts at the two points with the steepest difference quotient. It divides the line
    between them into 16 parts, goes on with the part with the largest difference, and so on.

    Args:
        domain: the domain.
        values: evaluates the k functions at points, (n, d) → (n, k).
        largest: the largest absolute value of each function in the domain, (k,).
        points: the points in the box, (n, d).
        scaled: the functions at these points, divided by their usual ranges, (n, k).
    """
    parts, kept, low, high = 16, 0.25, *domain.bounds
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
    if not _is_inside(domain, start):
        return None
    place = Points(start[None], domain.names).show(0)
    return f"jumps at {place}, by {float(steps[at]):.2g}"


def _pole_near(
    domain: Domain, values: Values, points: Tensor, found: Tensor, column: int
) -> str | None:
    """Return the end of a sentence on a pole in a box; None if there is no pole.

    The search evaluates points around a place, moves to the point with the largest value, and
    repeats this with half the distances. At a spike the largest value stops growing when the
    distances resolve the spike; at a pole of 1/r, and even of log r, the largest value goes on
    growing.

    Args:
        domain: the domain.
        values: evaluates the k functions at points, (n, d) → (n, k).
        points: the points in the box, (n, d).
        found: one of the functions at these points, (n,).
        column: the index of this function.
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
    if not (late > 0.3 * early > 0 and _is_inside(domain, place)):
        return None
    where = Points(place[None], domain.names).show(0)
    return f"has a pole near {where}"


def _is_inside(domain: Domain, place: Tensor) -> bool:
    """Return whether a point (d,) is inside the domain, not on its boundary."""
    low, high = domain.bounds
    return bool(domain.contains(place[None], -1e-6 * float((high - low).max())).all())
