"""Collocation points in domains and on boundaries."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator

from kanpinn._support.errors import InputError, integer, one_of
from kanpinn._support.shapes import Coords, Vector, Weights
from kanpinn.geometry.boundary import Boundary
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Region
from kanpinn.geometry.rules import axis_counts, tensor_grid


@dataclass(frozen=True)
class Collocation:
    """The numbers of collocation points of a solve and the methods that choose the points.

    Args:
        interior: the number of points in the domain; "grid" and "gauss" round it up to a product,
            see `sample`.
        boundary: the number of points on the boundary, divided among its pieces by measure.
        sampler: the sampling method, one of SAMPLERS.
        resample: the number of steps after which new points are drawn; 0 keeps the first points.
        adapt: the residual-adaptive method for new points in the domain, or None. "rad" draws all
            points anew, half of them with a density proportional to |r|; "r3" retains the points
            with |r| above the mean and draws the others from the sampler. The mean squared residual
            is then a mean over these points without weights, as in the papers, and jumps when the
            points change. A least-squares solve then needs far more points than coefficients. For a
            peak "rad" has the same error as Sobol points (1.7e-2 each) and "r3" a larger one (2.4),
            see scripts/sharp_features.py.

    Raises:
        InputError: if a count is out of range, the sampler or the adaptive method is unknown, or a
            fixed rule is to be resampled.

    Reference: see `kanpinn.geometry.adaptive`.

    Example:
        >>> import kanpinn as kp
        >>> points = kp.Collocation(interior=400, boundary=80, sampler="sobol")
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="x * y")
        >>> solution = kp.solve(problem, kp.KAN([2, 8, 1], degree=5), points=points)
        >>> len(solution.residuals.terms[0].points)
        400
    """

    interior: int
    boundary: int
    sampler: str = "gauss"
    resample: int = 0
    adapt: str | None = None

    def __post_init__(self) -> None:
        integer("interior", self.interior)
        integer("boundary", self.boundary)
        integer("resample", self.resample, least=0)
        one_of("sampler", self.sampler, SAMPLERS)
        if self.adapt is not None and (self.adapt not in ADAPTATIONS or not self.resample):
            wrong = "" if self.adapt in ADAPTATIONS else f", not {self.adapt!r}"
            raise InputError(
                f"adapt must be one of {', '.join(ADAPTATIONS)}{wrong}, and resample the number of "
                f"steps after which points adapt, got resample = {self.resample}"
            )
        if self.resample and self.sampler in FIXED and not self.adapt:
            raise InputError(
                f"resample must be 0 for the sampler {self.sampler!r}, whose points are always "
                f"the same, got {self.resample}"
            )

    @property
    def fresh(self) -> str:
        """The sampler for new points: `sampler`, or "uniform" if `sampler` is a fixed rule."""
        return "uniform" if self.sampler in FIXED else self.sampler


def sample(
    region: Region | Boundary,
    n: int,
    sampler: str = "uniform",
    generator: Generator | None = None,
    units: Vector | None = None,
) -> Points:
    """Return n points of a domain, a boundary or a piece of one, in float64 on the CPU.

    "grid" (the centres of equal cells) and "gauss" are product rules. On a cube the sizes of their
    axes differ by at most 1 and the product is the smallest one ≥ n. On a boundary n is divided
    among the pieces in proportion to their measure, with at least 1 point on each piece; a piece
    that is a single point gives that point once.

    Args:
        region: the region that contains the points; points on boundaries have normals.
        n: the number of points.
        sampler: the sampling method, one of SAMPLERS.
        generator: the CPU random generator; None stands for a new one with seed 0.
        units: of the coordinates, (d,), in which the pieces of a boundary are measured;
            None for their `measure`.

    Returns:
        n points; a few more if the sampler is a product rule or a boundary has more than n pieces,
        fewer if pieces are single points.

    Raises:
        InputError: unless n is a positive integer and the sampler is known.
    """
    n = integer("n", n)
    one_of("sampler", sampler, SAMPLERS)
    draw = _DRAWS[sampler]
    generator = Generator().manual_seed(0) if generator is None else generator
    if isinstance(region, Boundary):
        pieces = region.pieces
        measures = [p.measure if units is None else measure_in(p, units) for p in pieces]
        parts = zip(pieces, _shares(measures, n), strict=True)
        return Points.cat(sample(piece, count, sampler, generator) for piece, count in parts)
    if draw is None:
        return region.gauss(n)
    points = region.place(n, lambda count, dim: draw(count, dim, generator))
    return points if draw is _grid else points[:n]


def measure_in(piece: Region, units: Vector) -> float:
    """Return the measure of a piece of a boundary in other units of the coordinates.

    Area grows by the factor |N n| Π (1 / N_i) for units N and normals n; the product, which is the
    same for all pieces, is left out.

    Args:
        piece: the piece.
        units: of the coordinates, (d,).
    """
    points, weights = piece.quadrature(8 if piece.dim < 3 else 1)
    if points.normals is None:
        return piece.measure
    return float(weights @ (points.normals * units).norm(dim=1))


def weighted_sample(
    cells: Sequence[Region | Boundary], n: int, sampler: str, generator: Generator
) -> tuple[Points, Weights]:
    """Return sample points of disjoint regions with the weights of a quadrature rule on the union.

    "gauss" uses the same number of nodes per axis in all cells and increases it until there are n
    points. The other samplers divide the points among the cells by measure; all points of a cell
    have the same weight.

    Args:
        cells: regions that do not overlap.
        n: the least number of points.
        sampler: the sampling method, one of SAMPLERS.
        generator: the CPU random generator.

    Returns:
        At least n points, and their weights, whose sum is the measure of all cells.
    """
    if sampler != "gauss":
        return _even(cells, n, sampler, generator)
    nodes = 1
    while True:
        rules = [cell.quadrature(nodes) for cell in cells]
        points, weights = zip(*rules, strict=True)
        if sum(map(len, points)) >= n:
            return Points.cat(points), torch.cat(weights)
        nodes += math.ceil(nodes / 8)


def _even(
    cells: Sequence[Region | Boundary], n: int, sampler: str, generator: Generator
) -> tuple[Points, Weights]:
    counts = _shares([cell.measure for cell in cells], n)
    both = list(zip(cells, counts, strict=True))
    parts = [sample(cell, count, sampler, generator) for cell, count in both]
    weights = [
        part.coords.new_full((len(part),), cell.measure / len(part))
        for part, cell in zip(parts, cells, strict=True)
    ]
    return Points.cat(parts), torch.cat(weights)


_Draw = Callable[[int, int, Generator], Coords]


def _uniform(n: int, dim: int, generator: Generator) -> Coords:
    return torch.rand(n, dim, dtype=torch.float64, generator=generator)


def _latin_hypercube(n: int, dim: int, generator: Generator) -> Coords:
    """Draw n points, one in each of the n strata of every axis (McKay, Beckman & Conover 1979)."""
    strata = [torch.randperm(n, generator=generator) for _ in range(dim)]
    return (torch.stack(strata, dim=1) + _uniform(n, dim, generator)) / n


def _sobol(n: int, dim: int, generator: Generator) -> Coords:
    seed = int(torch.randint(2**31, (), generator=generator))
    engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed)
    most = 2**20  # points at once, of which the engine makes copies
    found = torch.empty(n, dim, dtype=torch.float64)
    for part in found.split(most):
        part.copy_(engine.draw(len(part), dtype=torch.float64))
    return found


def _halton(n: int, dim: int, generator: Generator) -> Coords:
    from scipy.stats import qmc  # the import takes half a second

    seed = int(torch.randint(2**31, (), generator=generator))
    engine = qmc.Halton(dim, scramble=True, rng=seed)
    return torch.from_numpy(engine.random(n))


def _grid(n: int, dim: int, generator: Generator) -> Coords:
    axes = [torch.arange(count, dtype=torch.float64) for count in axis_counts(n, dim)]
    return tensor_grid([(axis + 0.5) / len(axis) for axis in axes])


_DRAWS: dict[str, _Draw | None] = {
    "uniform": _uniform,
    "latin_hypercube": _latin_hypercube,
    "sobol": _sobol,
    "halton": _halton,
    "grid": _grid,
    "gauss": None,  # each region has its own rule
}
SAMPLERS = tuple(_DRAWS)
FIXED = ("grid", "gauss")
ADAPTATIONS = ("rad", "r3")


def _shares(measures: list[float], n: int) -> list[int]:
    """Divide n into integers ≥ 1 in proportion to the measures, by the largest remainders.

    If n is less than the number of measures, each share is 1.
    """
    total = sum(measures)
    excess = [max(n * measure / total - 1, 0.0) for measure in measures]
    spare = max(n - len(measures), 0)
    scale = spare / sum(excess) if spare else 0.0
    quotas = [scale * part for part in excess]
    shares = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda i: shares[i] - quotas[i])
    for i in by_remainder[: spare - sum(shares)]:
        shares[i] += 1
    return [1 + share for share in shares]
