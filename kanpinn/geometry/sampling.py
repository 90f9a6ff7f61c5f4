"""Collocation points: samples of a region, residual-adaptive samples, and means over domains by
stratified sampling.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError, NumericalError, integer, one_of
from kanpinn._support.shapes import Coords, Vector, Weights
from kanpinn.geometry.domain import Boundary, Domain, Region
from kanpinn.geometry.points import Points, morton_order
from kanpinn.geometry.rules import axis_counts, tensor_grid

COPIES = 4  # a solve holds at least so many copies of its points


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
            points anew, half of them with a density proportional to the absolute residual |r|; "r3"
            retains the points with |r| above the mean and draws all other points from the sampler.
            With either method the mean squared residual is a mean over the points without weights,
            as in the papers, and jumps when the points change. A least-squares solve then needs far
            more points than coefficients. Measured errors for a solution with a peak: 1.7e-2 with
            "rad", the same as with Sobol points, and 2.4 with "r3".

    Raises:
        InputError: if a count is out of range, the sampler or the adaptive method is unknown, or a
            fixed rule is to be resampled.

    Reference: see `rad` and `r3` in `kanpinn.geometry.sampling`.

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
            one_of("adapt", self.adapt, ADAPTATIONS)
            raise InputError(
                f"adapt = {self.adapt!r} needs resample > 0, the number of steps after which the "
                f"points adapt, got resample = {self.resample}"
            )
        if self.resample and self.sampler in FIXED and not self.adapt:
            fixed = f"the sampler {self.sampler!r}, whose points are always the same"
            raise InputError(f"resample must be 0 for {fixed}, got {self.resample}")

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
    """Return n points of a domain, a boundary or a boundary piece, in float64 on the CPU.

    "grid" (the centres of equal cells) and "gauss" are product rules. On a cube the numbers of
    points on the axes differ by at most 1, and their product is the smallest possible one ≥ n. On a
    boundary the n points are divided among the pieces in proportion to the pieces' measures, with
    at least 1 point on each piece; a piece that is a single point yields this point once.

    Args:
        region: the region that contains the points; points on boundaries have normals.
        n: the number of points.
        sampler: the sampling method, one of SAMPLERS.
        generator: the CPU random generator; None stands for a new one with seed 0.
        units: the length unit of each coordinate, (d,). The n points are divided among the pieces
            of a boundary in proportion to the pieces' measures in these units; None for `measure`.

    Returns:
        n points; more if the sampler is a product rule or a boundary has more than n pieces, fewer
        if pieces are single points.

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
    """Return the measure of a piece of a boundary in other units, up to a common factor.

    In units N_i of the coordinates, an area with the unit normal n grows by the factor
    |(N_i n_i)_i| Π (1 / N_i). The product is the same for all pieces and is left out. The measure
    of a piece without normals is not converted.

    Args:
        piece: the piece.
        units: the length unit of each coordinate, (d,).
    """
    points, weights = piece.quadrature(8 if piece.dim < 3 else 1)
    if points.normals is None:
        return piece.measure
    return float(weights @ (points.normals * units).norm(dim=1))


def weighted_sample(
    cells: Sequence[Region | Boundary], n: int, sampler: str, generator: Generator
) -> tuple[Points, Weights]:
    """Return sample points of disjoint cells with the weights of a quadrature rule on their union.

    "gauss" uses the same number of nodes per axis in all cells and increases this number until
    there are n points. The other samplers divide the points among the cells by measure; all points
    of a cell then have the same weight.

    Args:
        cells: the cells, regions that do not overlap.
        n: the least number of points.
        sampler: the sampling method, one of SAMPLERS.
        generator: the CPU random generator.

    Returns:
        k ≥ n points, and their weights (k,), whose sum is the measure of all cells.
    """
    if sampler != "gauss":
        counts = _shares([cell.measure for cell in cells], n)
        both = zip(cells, counts, strict=True)
        parts = [sample(cell, count, sampler, generator) for cell, count in both]
        sizes = torch.tensor([len(part) for part in parts])
        measures = torch.tensor([cell.measure for cell in cells], dtype=torch.float64)
        return Points.cat(parts), (measures / sizes).repeat_interleave(sizes)
    nodes = 1
    while True:
        rules = [cell.quadrature(nodes) for cell in cells]
        points, weights = zip(*rules, strict=True)
        if sum(map(len, points)) >= n:
            return Points.cat(points), torch.cat(weights)
        nodes += math.ceil(nodes / 8)


_Draw = Callable[[int, int, Generator], Coords]


def _uniform(n: int, dim: int, generator: Generator) -> Coords:
    """Independent uniform points of the unit cube, (n, dim)."""
    return torch.rand(n, dim, dtype=torch.float64, generator=generator)


def _sobol(n: int, dim: int, generator: Generator) -> Coords:
    """Scrambled Sobol points of the unit cube, (n, dim)."""
    seed = int(torch.randint(2**31, (), generator=generator))
    engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed)
    most = 2**20  # points drawn at once: the engine makes copies of them, which need memory
    found = torch.empty(n, dim, dtype=torch.float64)
    for part in found.split(most):
        part.copy_(engine.draw(len(part), dtype=torch.float64))
    return found


def _halton(n: int, dim: int, generator: Generator) -> Coords:
    """Scrambled Halton points of the unit cube, (n, dim)."""
    from scipy.stats import qmc  # the import takes half a second

    seed = int(torch.randint(2**31, (), generator=generator))
    engine = qmc.Halton(dim, scramble=True, rng=seed)
    return torch.from_numpy(engine.random(n))


def _grid(n: int, dim: int, generator: Generator) -> Coords:
    """The centres of equal cells of the unit cube, (k, dim) with k ≥ n."""
    axes = [torch.arange(count, dtype=torch.float64) for count in axis_counts(n, dim)]
    return tensor_grid([(axis + 0.5) / len(axis) for axis in axes])


_DRAWS: dict[str, _Draw | None] = {
    "uniform": _uniform,
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


Sizes = Callable[[Points], Tensor]  # the residual's size |r| at points, (n,)


def rad(domain: Domain, n: int, sizes: Sizes, generator: Generator) -> Points:
    """Draw n points with a density proportional to |r| / mean |r| + 1 out of 8 n Sobol points.

    In expectation half of the points are uniformly distributed and half follow |r|. The candidates
    are ordered along a Morton curve, which keeps neighbours together, and divided into n parts of
    equal probability; one point is drawn from each part. This leaves smaller gaps than independent
    draws. Each candidate is drawn at most once, so the density nowhere exceeds eight times the
    uniform density.

    Args:
        domain: the domain in which the points lie.
        n: the number of points.
        sizes: returns the absolute residual |r| at points, (n,).
        generator: the CPU random generator.

    Returns:
        n points.

    Reference: Wu, Zhu, Tan, Kartha and Lu, A comprehensive study of non-adaptive and residual-based
    adaptive sampling (2023), RAD with k = c = 1.

    Raises:
        NumericalError: if a residual is not finite.
    """
    found = sample(domain, 8 * n, "sobol", generator)
    found = found[morton_order(found.coords)]
    size = _finite(sizes(found)).to(found.coords)
    density = size / size.mean().clamp_min(torch.finfo(size.dtype).tiny) + 1
    return found[_systematic(density, n, generator)]


def r3(current: Points, domain: Domain, sampler: str, sizes: Sizes, generator: Generator) -> Points:
    """Retain the points with |r| above the mean of |r|, and replace all other points by samples.

    Args:
        current: the n current collocation points.
        domain: the domain in which new points are drawn.
        sampler: the sampler of the new points, one of SAMPLERS.
        sizes: returns the absolute residual |r| at points, (n,).
        generator: the CPU random generator.

    Returns:
        The retained points, then the new ones: n points in all, or a few more if the sampler is a
        product rule.

    Reference: Daw, Bu, Wang, Perdikaris and Karpatne, Mitigating propagation failures in
    physics-informed neural networks using retain-resample-release sampling (2023).

    Raises:
        NumericalError: if a residual is not finite.
    """
    size = _finite(sizes(current))
    retained = current[size > size.mean()]
    fresh = sample(domain, max(1, len(current) - len(retained)), sampler, generator)
    like = current.coords
    return Points.cat([retained, fresh.to(like.dtype, like.device)])


def _finite(size: Tensor) -> Tensor:
    """Return absolute residuals at points unchanged, (n,), after a check that they are finite.

    Raises:
        NumericalError: if a residual is not finite.
    """
    bad = int((~size.isfinite()).sum())
    if bad:
        where = f"at {bad} of {len(size)} candidates"
        raise NumericalError(f"points cannot follow the residual, which is not finite {where}")
    return size


def _systematic(density: Tensor, n: int, generator: Generator) -> Tensor:
    """Draw n < N distinct indices out of N, index i with probability min(1, c density_i).

    Args:
        density: the densities, (N,); the constant c is such that the probabilities have the sum n.
        n: the number of indices.
        generator: the CPU random generator.
    """
    share = density / density.sum()
    # Indices with probability 1 are drawn exactly once; the other indices share the other draws.
    for _ in range(20):
        certain = n * share >= 1
        left = n - int(certain.sum())
        rest = torch.where(certain, 0, density)
        grown = torch.where(certain, 1 / n, rest / rest.sum() * (left / n))
        if bool((n * grown <= 1 + 1e-9).all()):
            break
        share = grown
    reached = (n * grown).cumsum(0)
    start = torch.rand((), dtype=density.dtype, generator=generator).to(density)
    marks = torch.arange(n).to(density) + start
    return torch.searchsorted(reached, marks).clamp_max(len(density) - 1)


LONGEST = 8.0  # a box's side is halved if longer than 1/LONGEST of the box's longest side


class SampleTree:
    """The mean of a function ≥ 0 over a domain by stratified sampling in boxes that are halved.

    The bounding box is divided into equal boxes with the same number of points each. The caller
    evaluates the function at the `pending` points and passes the values to `add`; `refine` halves
    boxes and makes the new points of the halves pending. The mean of x² over the unit disk is 1/4:

    >>> from kanpinn.geometry import Disk
    >>> tree = SampleTree(Disk((0, 0), 1))
    >>> tree.add(tree.pending.x[:, 0] ** 2)
    >>> while tree.refine(tolerance=0.005, most=20_000):
    ...     tree.add(tree.pending.x[:, 0] ** 2)
    >>> abs(tree.mean - 0.25) < 3 * tree.error < 0.004
    True

    At points outside the domain the function counts as zero.

    Args:
        domain: the domain.
        places: points (k, d). The first boxes that contain them are halved until their sides are
            2⁻¹² of the sides of the bounding box.
        seed: the seed of the random points.

    Attributes:
        pending: the points inside the domain at which the function is to be evaluated.
        coords: the points of all boxes, (b, e, d): e points in each of b boxes.
        inside: a mask of the points that lie in the domain, (b, e).
        mean: the mean of the function over the domain.
        error: the standard error of the mean.
        largest: the centre (d,) of the box with the largest share of the mean.
        evaluations: the number of points at which the function has been evaluated.

    Reference: Press and Farrar, Recursive stratified sampling for multidimensional Monte Carlo
    integration (1990).
    """

    def __init__(self, domain: Domain, places: Coords | None = None, *, seed: int = 0) -> None:
        self.domain, self.evaluations, d = domain, 0, domain.dim
        first, each = 1024, 8  # about the number of points in all first boxes, and in each box
        self._low, self._high = domain.bounds
        self._generator = torch.Generator().manual_seed(seed)
        per_axis = max(1, round((first / each) ** (1 / d)))
        self._each = max(each, first // per_axis**d)
        axis = torch.arange(per_axis, dtype=torch.float64) / per_axis
        corners = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
        size = self._high - self._low
        self._lows = self._low + corners * size
        self._highs = self._lows + size / per_axis
        # Boxes around places are halved along their longest sides until these sides are short.
        while places is not None and len(places):
            sides = (self._highs - self._lows) / size
            around = (places[:, None] >= self._lows) & (places[:, None] < self._highs)
            chosen = around.all(dim=2).any(dim=0) & (sides.amax(dim=1) > 2.0**-12)
            if not chosen.any():
                break
            lows, highs = halves(self._lows[chosen], self._highs[chosen], sides[chosen].argmax(1))
            self._lows = torch.cat([self._lows[~chosen], lows])
            self._highs = torch.cat([self._highs[~chosen], highs])
        self._values = size.new_zeros(0, self._each)
        self.coords, self.inside = self._drawn(self._lows, self._highs)

    def add(self, values: Tensor) -> None:
        """Store the values (n,) of the function, which are at least 0, at the pending points."""
        inside = self.inside[len(self._values) :]
        drawn = torch.zeros(inside.shape, dtype=torch.float64)
        drawn[inside] = values.to(drawn)
        self._values = torch.cat([self._values, drawn])
        self.evaluations += len(values)
        volumes = (self._highs - self._lows).prod(dim=1)
        measure = float(volumes @ self.inside.double().mean(dim=1)) or 1.0
        shares = volumes * self._values.mean(dim=1)
        self._errors = volumes * self._values.std(dim=1) / math.sqrt(self._each)
        self.mean = float(shares.sum()) / measure
        self.error = float(self._errors.square().sum().sqrt()) / measure
        at = int(shares.argmax())
        self.largest = (self._lows[at] + self._highs[at]) / 2

    def refine(self, tolerance: float, most: int) -> bool:
        """Halve the boxes that account for 70 % of the squared error, and draw their new points.

        Args:
            tolerance: the standard error at which the refinement ends, relative to the mean.
            most: the largest number of evaluations in all. The boxes have at most 4 · most points,
                including the points outside the domain, where the function is not evaluated.

        Returns:
            Whether boxes were halved; False if the error is within the tolerance, or `most` is
            reached.
        """
        left = min(most - self.evaluations, 4 * most - self._values.numel())
        count = max(left // (2 * self._each), 0)  # the number of boxes that may be halved
        if not (count and self.error > tolerance * self.mean):
            return False
        order = self._errors.argsort(descending=True)
        squares = self._errors[order].square().cumsum(0)
        chosen = torch.zeros(len(order), dtype=torch.bool)
        chosen[order[: min(count, 1 + int((squares < 0.7 * squares[-1]).sum()))]] = True
        # Each box is halved along the axis for which the means of the two halves differ most, and
        # if the means agree, along its longest side. A side that is LONGEST times shorter than the
        # longest side is not halved.
        low, high, values = self._lows[chosen], self._highs[chosen], self._values[chosen][..., None]
        upper = self.coords[chosen] > (low + high)[:, None] / 2
        above = (values * upper).sum(dim=1) / upper.sum(dim=1).clamp_min(1)
        below = (values * ~upper).sum(dim=1) / (~upper).sum(dim=1).clamp_min(1)
        sides = (high - low) / (self._high - self._low)
        sides = sides / sides.amax(dim=1, keepdim=True)
        score = (above - below).abs() + (1e-3 * values.mean(dim=1) + 1e-300) * sides
        lows, highs = halves(low, high, torch.where(sides > 1 / LONGEST, score, -1.0).argmax(1))
        coords, inside = self._drawn(lows, highs)
        self._lows = torch.cat([self._lows[~chosen], lows])
        self._highs = torch.cat([self._highs[~chosen], highs])
        self.coords = torch.cat([self.coords[~chosen], coords])
        self.inside = torch.cat([self.inside[~chosen], inside])
        self._values = self._values[~chosen]
        return True

    def _drawn(self, lows: Tensor, highs: Tensor) -> tuple[Tensor, Tensor]:
        """Draw a Latin hypercube of points in each of b boxes; store the inner points as `pending`.

        Args:
            lows, highs: the lower and upper corners of the boxes, (b, d) each.

        Returns:
            The points, (b, e, d), and a mask of the points that lie in the domain, (b, e).
        """
        shape = len(lows), self._each, self.domain.dim
        strata = torch.rand(shape, generator=self._generator).argsort(dim=1)
        within = torch.rand(shape, generator=self._generator, dtype=torch.float64)
        coords = lows[:, None] + (strata + within) / self._each * (highs - lows)[:, None]
        inside = self.domain.contains(coords.flatten(0, 1)).view(shape[:2])
        self.pending = Points(coords[inside], self.domain.names)
        return coords, inside


def halves(low: Tensor, high: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Halve B boxes, each along its own axis.

    Args:
        low, high: the lower and upper corners, (B, d) each.
        axis: the axis of each box, (B,).

    Returns:
        The lower and upper corners, (2B, d) each, of all lower halves, then of all upper halves.
    """
    rows, middle = torch.arange(len(low)), (low + high) / 2
    left, right = high.clone(), low.clone()
    left[rows, axis] = right[rows, axis] = middle[rows, axis]
    return torch.cat([low, right]), torch.cat([left, high])
