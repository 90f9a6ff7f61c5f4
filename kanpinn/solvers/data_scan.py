"""The scan of a problem's data, its source and coefficients, for steep places, jumps and poles."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import sample
from kanpinn.jets import random_jets
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.solvers.discretization import Discretization

CHUNK = 4096  # points in one evaluation, which bounds the memory
Values = Callable[[Tensor], Tensor]  # coordinates (n, d) → values (n, k)


@dataclass(frozen=True)
class Break:
    """A place in the domain where the source or a coefficient jumps or has a pole.

    Args:
        place: the point as text.
        gap: the difference of the equation's values on both sides; infinite for a pole.
    """

    place: str
    gap: float

    def __str__(self) -> str:
        if math.isinf(self.gap):
            return f"the source or a coefficient has a pole near {self.place}"
        return f"the source or a coefficient jumps at {self.place}, by {self.gap:.2g}"


@dataclass(frozen=True)
class DataScan:
    """What a scan of a problem's data has found.

    Args:
        places: up to 8 places (k, d) where the data vary far faster than they usually do.
        breaks: jumps and poles among the places where values differ most.
    """

    places: Tensor
    breaks: tuple[Break, ...]


def scan_data(discretization: Discretization) -> DataScan:
    """Scan the source and the coefficients of a problem's equation.

    The equation is evaluated with random jets that are constant in space, so that it varies by its
    data alone, at 16 times as many points as the solve has (at least 4096 and at most 65536, in one
    dimension 131072), which are sorted into equal boxes. A box is steep if the range of values in
    it is more than ten times the 90 % quantile of the ranges of all boxes. In the steepest boxes
    two neighbouring values that differ most are followed to ever closer points between them: smooth
    values become equal, a jump stays, and a pole grows.

    Args:
        discretization: gives the problem, the number of points and the seed.

    Returns:
        What is found; nothing above three dimensions, where boxes would have too few points.
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
        found = []
        for part in coords.split(8 * CHUNK):
            p = Batch.made_of(Points(part, domain.names))
            same = (jet.map(lambda t: t[:1].expand(len(part), *t.shape[1:])) for jet in jets)  # noqa: B023
            found.append(torch.cat([problem.equation(p, jet).detach() for jet in same], dim=1))
        return torch.cat(found)

    found = values(points)
    finite = found.isfinite().all(dim=1)
    points, found = points[finite], found[finite]
    if not len(points):
        return DataScan(points, ())
    if domain.dim == 1:  # what lies between two boxes is seen in either of them
        order = points[:, 0].argsort()
        points, found = points[order], found[order]
    per_axis = max(2, round((len(points) / 8) ** (1 / domain.dim)))
    cells = ((points - low) / (high - low) * per_axis).long().clamp(0, per_axis - 1)
    index = cells @ per_axis ** torch.arange(domain.dim)
    if domain.dim == 1:
        last = (index.diff() > 0).nonzero()[:, 0]
        points, found = (torch.cat([t, t[last + 1]]) for t in (points, found))
        index = torch.cat([index, index[last]])
    return _steepest(problem, values, points, found, index)


def _steepest(
    problem: BoundaryValueProblem, values: Values, points: Tensor, found: Tensor, index: Tensor
) -> DataScan:
    """Return the steepest places, and the breaks among them.

    Args:
        problem: the problem.
        values: the values of the equation at further points.
        points: the points of the scan, (n, d).
        found: the values there, (n, k).
        index: the number of the box of each point, (n,).
    """
    number, count = index[:, None].expand_as(found), int(index.max()) + 1
    top = found.new_full((count, found.shape[1]), -math.inf)
    top = top.scatter_reduce(0, number, found, "amax")
    bottom = -torch.full_like(top, -math.inf).scatter_reduce(0, number, -found, "amax")
    spans = torch.where(top >= bottom, top - bottom, 0.0)
    usual = spans.quantile(0.9, dim=0) + 1e-12 * found.abs().amax(dim=0) + 1e-300
    steepness, where = (spans / usual).amax(dim=1).topk(min(8, len(spans)))
    places, breaks = [points[:0]], []
    largest, filled = found.abs().amax(dim=0), steepness > 0
    for rank, (box, steepest) in enumerate(zip(where[filled], steepness[filled], strict=True)):
        inside = (index == box).nonzero()[:, 0]
        near, scaled, steep = points[inside], found[inside] / usual, bool(steepest > 10)
        far = (scaled - scaled.median(dim=0).values).abs()
        place, column = divmod(int(far.argmax()), far.shape[1])
        # Two groups of values with a gap between them, as on both sides of a jump.
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


def _jump_between(
    problem: BoundaryValueProblem, values: Values, largest: Tensor, points: Tensor, scaled: Tensor
) -> Break | None:
    """Return the jump between two of the points in a box, or None.

    Args:
        problem: the problem.
        values: the values of the equation at points.
        largest: the largest absolute values in the domain, (k,).
        points: the points in the box, (n, d).
        scaled: the values there, scaled to their usual variation, (n, k).
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
            return None  # the values become equal: they are smooth
        start, end = line[at], line[at + 1]
    if not _is_inside(problem, start):
        return None
    return Break(Points(start[None], problem.domain.names).show(0), float(steps[at]))


def _pole_near(
    problem: BoundaryValueProblem, values: Values, points: Tensor, found: Tensor, column: int
) -> Break | None:
    """Return the pole to which ever larger values lead from a box, or None.

    Values are compared at points around a place whose distance is halved again and again, and the
    search goes on from the largest. Those of a spike stop growing once it is resolved, those of
    1/r, and even of log r, do not.

    Args:
        problem: the problem.
        values: the values of the equation at points.
        points: the points in the box, (n, d).
        found: the values there in one column, (n,).
        column: the number of the column.
    """
    usual, size = found.median(), points.amax(dim=0) - points.amin(dim=0)
    place = points[(found - usual).abs().argmax()]
    directions = torch.randn(24, len(place), generator=torch.Generator().manual_seed(5)).to(place)
    around = torch.cat([torch.zeros_like(place)[None], directions * size])
    peaks, apart = [], 10  # halvings between two values that are compared
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
    return Break(Points(place[None], problem.domain.names).show(0), math.inf)


def _is_inside(problem: BoundaryValueProblem, place: Tensor) -> bool:
    """Return whether a place is not on the boundary, where poles of coefficients belong."""
    low, high = problem.domain.bounds
    return bool(problem.domain.contains(place[None], -1e-6 * float((high - low).max())).all())


def warn_of_breaks(problem: BoundaryValueProblem, scan: DataScan) -> None:
    """Warn of the first jump or pole, unless the problem tells where its data break.

    It does so by interfaces, inputs of its own, known functions added to the network, or cells.
    """
    told = any(c.sites == 2 and not c.tied for c in problem.conditions())
    if not (told or problem.inputs() or problem.enrichment() or len(problem.cells()) > 1):
        warnings.warn(
            f"{scan.breaks[0]}: this limits the accuracy where no Interface and inputs() tell of "
            "it; the energy form suits jumps of a coefficient",
            stacklevel=3,
        )
