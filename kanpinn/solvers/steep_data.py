"""Places where the data of a problem are steep: its source and its coefficients."""

import math

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import sample
from kanpinn.loss.terms import ResidualTerm
from kanpinn.solvers.discretization import Discretization

CHUNK = 4096  # points in one evaluation, which bounds the memory


def steep_places(discretization: Discretization, term: ResidualTerm) -> Tensor:
    """Return places where the source or a coefficient varies far faster than it usually does.

    The equation is evaluated with jets that are constant in space, so that it varies by its data
    alone, at 16 times as many points as the solve has (at least 4096, in one dimension 32768, and
    at most 65536), which are sorted into equal boxes. A box is steep if the range of values in it
    is more than ten times the 90 % quantile of the ranges of all boxes.

    Args:
        discretization: gives the domain, and the jets, those of the solution at three points.
        term: the term of the equation.

    Returns:
        Up to 8 places (k, d); none above three dimensions, where boxes would have too few points.
    """
    domain, surrogate = discretization.problem.domain, discretization.surrogate
    low, high = domain.bounds
    if domain.dim > 3:
        return low.new_zeros(0, domain.dim)
    like, jets = surrogate.low, []
    for point in sample(domain, 3, "sobol").to(like.dtype, like.device).coords:
        jets.append(surrogate.jet(Points(point[None], domain.names), term.channels))
    least = 2**15 if domain.dim == 1 else 2**12
    count = min(max(16 * discretization.collocation.interior, least), 2**16)
    generator = torch.Generator().manual_seed(discretization.seed + 29)
    points = sample(domain, count, "sobol", generator)
    values = []
    for start in range(0, len(points), CHUNK):
        p = Batch.made_of(points[start : start + CHUNK].to(like.dtype, like.device))
        everywhere = [jet.map(lambda t: t.expand(len(p), *t.shape[1:])) for jet in jets]  # noqa: B023
        columns = [term.equation(p, jet) for jet in everywhere]
        values.append(torch.cat(columns, dim=1).double().cpu())
    found = torch.cat(values)
    finite = found.isfinite().all(dim=1)
    return _steep(points.coords[finite], found[finite], low, high)


def _steep(coords: Tensor, values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return up to 8 of the points (n, d) whose values (n, k) differ most within small boxes."""
    if not len(coords):
        return coords
    d = coords.shape[1]
    per_axis = max(2, round((len(coords) / 8) ** (1 / d)))
    cells = ((coords - low) / (high - low) * per_axis).long().clamp(0, per_axis - 1)
    index = cells @ per_axis ** torch.arange(d)
    number = index[:, None].expand_as(values)
    shape = per_axis**d, values.shape[1]
    top = values.new_full(shape, -math.inf).scatter_reduce(0, number, values, "amax")
    bottom = values.new_full(shape, math.inf).scatter_reduce(0, number, values, "amin")
    spans = torch.where(top >= bottom, top - bottom, 0.0)
    usual = spans.quantile(0.9, dim=0) + 1e-12 * values.abs().amax(dim=0) + 1e-300
    steepness, where = (spans / usual).amax(dim=1).topk(min(8, len(spans)))
    places = []
    for box in where[steepness > 10]:
        inside = (index == box).nonzero()[:, 0]
        middle = values[inside].median(dim=0).values
        far = ((values[inside] - middle).abs() / usual).amax(dim=1)
        places.append(coords[inside[far.argmax()]])
    return torch.stack(places) if places else coords[:0]
