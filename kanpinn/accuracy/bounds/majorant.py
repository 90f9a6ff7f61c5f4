"""Functional error majorants of linear coercive problems: bounds of errors by residuals, with
functions on a grid of boxes: multilinear extensions of boundary misfits, fluxes, and norms of
residuals.
"""

import itertools
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import cached_property, partial, reduce
from typing import Any

import numpy
import torch
from torch import Tensor

from kanpinn.accuracy.bounds.operator import (
    Operator,
    Sides,
    barrier,
    constants_of,
    diagonal_bounds,
    operator_of,
    sides_of,
)
from kanpinn.accuracy.coefficients import Unsuitable
from kanpinn.accuracy.errors import Bound
from kanpinn.accuracy.references.reference import Approximation
from kanpinn.geometry import Points
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.rules import gauss_product
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, find_channels
from kanpinn.pde.boundary_value_problem import jumps
from kanpinn.pde.problem import Problem

CHUNK = 4096  # points in one evaluation, which bounds the memory


@dataclass(frozen=True, eq=False)
class Grid:
    """Equal cells over the bounding box of a domain of d ≤ 3 dimensions, n on each axis.

    Args:
        low: the lower corner of the box, (d,).
        h: the sides of a cell, (d,).
        shape: (n, …).
        points: the points of a Gauss rule in every cell that lie in the domain, (k, d).
        within: which points of the rule lie in the domain, (cells, rule).
        weights: the weights of the rule, (rule,), whose sum is 1.
        touched: the cells that may meet the domain, of `shape`.
        least, most: for each axis numbers a_i with diag(least) ≤ A ≤ diag(most) in the cell, of
            `shape`; infinite and 0 in cells that are not touched.
    """

    low: Tensor
    h: Tensor
    shape: tuple[int, ...]
    points: Points
    within: Tensor
    weights: Tensor
    touched: Tensor
    least: tuple[Tensor, ...]
    most: tuple[Tensor, ...]

    @property
    def volume(self) -> float:
        """The measure of a cell."""
        return float(self.h.prod())

    def integral(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the integrals of k functions, (points, k), and their estimated errors, (k,) each.

        The error is the difference from twice the integral over the white cells of a chequerboard.
        """
        parts = torch.stack([self.table(column) @ self.weights for column in values.unbind(dim=1)])
        colours = torch.stack(torch.meshgrid(*map(torch.arange, self.shape), indexing="ij"))
        colours = colours.sum(dim=0).flatten() % 2
        whole, white = parts.sum(dim=1), 2 * parts[:, colours == 0].sum(dim=1)
        return self.volume * whole, self.volume * (white - whole).abs()

    def table(self, values: Tensor) -> Tensor:
        """Enter values (k,) at the points, and 0 outside the domain: (cells, rule)."""
        table = torch.zeros(self.within.shape, dtype=torch.float64)
        table[self.within] = values
        return table


def grid_over(operator: Operator) -> Grid | None:
    """Return the grid over a problem's domain; None above three dimensions."""
    domain = operator.problem.domain
    d, (low, high) = domain.dim, domain.bounds
    if d > 3:
        return None
    count, nodes = {1: (512, 8), 2: (64, 2), 3: (16, 2)}[d]
    shape, h = (count,) * d, (high - low) / count
    unit, weights = gauss_product(nodes, d)
    index = torch.cartesian_prod(*[torch.arange(count)] * d).reshape(-1, d)
    coords = low + (index[:, None] + unit) * h
    within = domain.contains(coords.flatten(0, 1)).view(coords.shape[:2])
    touched = _most_nearby(within.any(dim=1).double().view(shape)) > 0
    low_a, high_a = _diffusion(operator, coords, within)
    least = [-_most_nearby(-a.view(shape)) for a in low_a.unbind(dim=1)]
    most = [_most_nearby(a.view(shape)) for a in high_a.unbind(dim=1)]
    return Grid(
        low,
        h,
        shape,
        Points(coords[within], domain.names),
        within,
        weights,
        touched,
        tuple(torch.where(touched, a, math.inf) for a in least),
        tuple(torch.where(touched, a, 0.0) for a in most),
    )


def _diffusion(operator: Operator, coords: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
    """Return a and b with diag(a) ≤ A ≤ diag(b) at one point in each cell, (cells, d) each."""
    cells, _, d = coords.shape
    names, seen = operator.problem.domain.names, within.any(dim=1)
    chosen = coords[seen, within[seen].double().argmax(dim=1)]
    if operator.constant is not None:
        chosen = chosen[:1]
    starts = range(0, len(chosen), CHUNK)
    matrices = [-operator.at(Points(chosen[i : i + CHUNK], names)).second for i in starts]
    low, high = diagonal_bounds(torch.cat(matrices))
    if operator.constant is not None:
        return low.expand(cells, -1), high.expand(cells, -1)
    least = torch.full((cells, d), math.inf, dtype=torch.float64)
    most = torch.zeros((cells, d), dtype=torch.float64)
    least[seen], most[seen] = low, high
    return least, most


def _most_nearby(values: Tensor) -> Tensor:
    """Return the largest value among each cell and its neighbours."""
    from scipy.ndimage import maximum_filter  # the import takes a tenth of a second

    return torch.from_numpy(maximum_filter(values.numpy(), 3, mode="nearest"))


@dataclass(frozen=True)
class Norms:
    """Norms or their bounds, not divided by the measure of the domain."""

    l2: float
    h1: float
    energy: float

    def least(self, other: "Norms") -> "Norms":
        """The lesser of each norm."""
        both = asdict(self), asdict(other)
        return Norms(**{name: min(norms[name] for norms in both) for name in both[0]})

    def plus(self, other: "Norms") -> "Norms":
        """The sum of each norm."""
        return Norms(self.l2 + other.l2, self.h1 + other.h1, self.energy + other.energy)


def norms_of(
    operator: Operator, grid: Grid | None, jet: Approximation, upper: bool = False
) -> Norms:
    """Return norms of a function by quadrature, less its estimated error or, if `upper`, more.

    Args:
        operator: gives the domain and the energy norm.
        grid: the cells, whose points are the rule; None for 8192 Sobol points.
        jet: returns the jet of the function.
        upper: whether to return upper bounds; otherwise lower bounds.
    """
    domain, channels = operator.problem.domain, Channels(operator.problem.domain.names, True)
    if grid is None:
        parts = [p for p, _ in domain_rule(domain, draws=2**13, chunk=CHUNK)]
        largest = torch.full_like(operator.diffusion, operator.largest_diffusion)
        diffusion = (largest if upper else operator.diffusion).expand(2**13, -1)
    else:
        parts = [grid.points[i : i + CHUNK] for i in range(0, len(grid.points), CHUNK)]
        cells = torch.stack([a.flatten() for a in (grid.most if upper else grid.least)], dim=1)
        diffusion = cells[:, None].expand(-1, len(grid.weights), -1)[grid.within]
    squares = []
    for p, a in zip(parts, diffusion.split(CHUNK), strict=True):
        u = jet(p, channels)
        assert u.gradient is not None
        slopes = u.gradient[..., 0].square()
        rows = u.value[:, 0].square(), slopes.sum(dim=1), (a * slopes).sum(dim=1)
        squares.append(torch.stack(rows, dim=1))
    integrands = torch.cat(squares)
    if grid is None:
        value = domain.measure * integrands.mean(dim=0)
        error = 3 * domain.measure * integrands.std(dim=0) / math.sqrt(len(integrands))
    else:
        value, error = grid.integral(integrands)
    l2, slope, energy = (value + error if upper else (value - error).clamp_min(0)).tolist()
    energy += max(operator.effective_reaction[0], 0.0) * l2
    return Norms(math.sqrt(l2), math.sqrt(l2 + slope), math.sqrt(energy))


def noise_norms(operator: Operator, noise: Approximation) -> Norms:
    """Return the norms of rounding errors from their root mean squares at 512 Sobol points.

    Args:
        operator: gives the domain and the energy norm.
        noise: returns the jet of the errors.
    """
    domain = operator.problem.domain
    jet = noise(sample(domain, 512, "sobol"), Channels(domain.names, gradient=True))
    assert jet.gradient is not None
    l2 = domain.measure * float(jet.value.square().mean())
    slope = domain.measure * float(jet.gradient.square().sum(dim=1).mean())
    energy = operator.largest_diffusion * slope + max(operator.effective_reaction[0], 0.0) * l2
    return Norms(math.sqrt(l2), math.sqrt(l2 + slope), math.sqrt(energy))


def residual_of(problem: Problem, jet: Approximation, points: Points) -> Tensor:
    """Return the residual of a function at n points, (n,)."""
    few = points[:5]
    channels, _ = find_channels(lambda c: problem.equation(few, jet(few, c)), points.names)
    parts = [points[i : i + CHUNK] for i in range(0, len(points), CHUNK)]
    return torch.cat([problem.equation(p, jet(p, channels))[:, 0] for p in parts])


@dataclass(frozen=True, eq=False)
class Multilinear:
    """A continuous function that is multilinear in each cell.

    Args:
        grid: the cells.
        nodes: the values at the corners of the cells, (n + 1, …).
    """

    grid: Grid
    nodes: Tensor

    def at(self, coords: Tensor) -> Tensor:
        """The values at points (n, d)."""
        rows, columns, weights = _interpolation(self.grid, coords)
        values = torch.zeros(len(coords), dtype=torch.float64)
        return values.index_add(0, rows, weights * self.nodes.flatten()[columns])

    def norms(self) -> tuple[float, float, float]:
        """‖∇ψ‖, ‖A^½ ∇ψ‖ and ‖ψ‖ over all cells that may meet the domain."""
        grid = self.grid
        corners = torch.stack([self.nodes[place] for place in _corners(grid.shape)], dim=-1)
        stiffness, mass = _element_matrices(grid)
        *slopes, squares = (
            ((corners @ matrix) * corners).sum(dim=-1)[grid.touched]
            for matrix in (*stiffness, mass)
        )
        weighed = [a[grid.touched] * s for a, s in zip(grid.most, slopes, strict=True)]
        sums = (torch.stack(slopes), torch.stack(weighed), squares)
        gradient, flux, value = (math.sqrt(float(part.sum())) for part in sums)
        return gradient, flux, value


def _corners(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Return slices of the nodes: for each of the 2^d corners, that corner of all cells."""
    ends = (slice(None, -1), slice(1, None))
    return [
        tuple(ends[i] for i in corner) for corner in itertools.product((0, 1), repeat=len(shape))
    ]


def _element_matrices(grid: Grid) -> tuple[list[Tensor], Tensor]:
    """Return the matrices (2^d, 2^d) of ∫ (∂_i ψ)² for each axis i, and the matrix of ∫ ψ²."""
    unit = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    slope = [unit / h for h in grid.h]
    mass = [(3 * torch.eye(2, dtype=torch.float64) - unit) * h / 6 for h in grid.h]
    axes = range(len(grid.shape))
    mixed = [[slope[i] if i == axis else mass[i] for i in axes] for axis in axes]
    return [reduce(torch.kron, parts) for parts in mixed], reduce(torch.kron, mass)


def _interpolation(grid: Grid, coords: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows, columns and values of the matrix from nodes to the values at points."""
    d, counts = len(grid.shape), torch.tensor(grid.shape)
    scaled = (coords - grid.low) / grid.h
    cells = scaled.floor().long().clamp_min(0).minimum(counts - 1)
    part = scaled - cells
    strides = torch.tensor([math.prod(n + 1 for n in grid.shape[i + 1 :]) for i in range(d)])
    rows, columns, weights = [], [], []
    for corner in itertools.product((0, 1), repeat=d):
        upper = torch.tensor(corner)
        rows.append(torch.arange(len(coords)))
        columns.append((cells + upper) @ strides)
        weights.append(torch.where(upper.bool(), part, 1 - part).prod(dim=1))
    return torch.cat(rows), torch.cat(columns), torch.cat(weights)


def harmonic(grid: Grid, coords: Tensor, values: Tensor) -> Multilinear:
    """Return a multilinear function of little energy with nearly given values on the boundary.

    It minimises ∫ A∇ψ·∇ψ over the cells that may meet the domain plus large multiples of the
    squared misfits at the points.

    Args:
        grid: the cells.
        coords: n points of the boundary, (n, d).
        values: the values there, (n,).
    """
    from scipy.sparse import coo_array  # the imports take a tenth of a second
    from scipy.sparse.linalg import spsolve

    nodes = tuple(n + 1 for n in grid.shape)
    index = torch.arange(math.prod(nodes)).view(nodes)
    corners = torch.stack([index[place] for place in _corners(grid.shape)], dim=-1).flatten(0, -2)
    outside = 1e-6 * float(torch.stack(grid.most).max())  # the weight of cells outside the domain
    weighed = [
        a.clamp_min(outside).flatten()[:, None, None] * matrix
        for a, matrix in zip(grid.most, _element_matrices(grid)[0], strict=True)
    ]
    entries, count = torch.stack(weighed).sum(dim=0), corners.shape[1]
    rows = corners[:, :, None].expand(-1, -1, count).flatten().numpy()
    columns = corners[:, None, :].expand(-1, count, -1).flatten().numpy()
    size = index.numel()
    energy = coo_array((entries.flatten().numpy(), (rows, columns)), (size, size)).tocsr()
    at, where, shares = (part.numpy() for part in _interpolation(grid, coords))
    sampling = coo_array((shares, (at, where)), (len(coords), size)).tocsr()
    stiff = 1e3 * float(entries.max())  # leaves misfits at these points far below all others
    scale = float(values.abs().max())
    right = stiff * (sampling.T @ (values / scale).numpy())
    solved = spsolve((energy + stiff * (sampling.T @ sampling)).tocsc(), right)
    return Multilinear(grid, scale * torch.from_numpy(numpy.asarray(solved)).view(nodes))


@dataclass(frozen=True)
class Extension:
    """Bounds of the norms of an extension φ of boundary values m into the domain.

    Args:
        largest: max |m|.
        gradient: ‖∇φ‖.
        flux: ‖A^½ ∇φ‖.
        value: ‖φ‖.
    """

    largest: float
    gradient: float
    flux: float
    value: float


def extension(
    operator: Operator, grid: Grid | None, sides: Sides, jet: Approximation, met: Collection[int]
) -> Extension:
    """Bound the norms of an extension φ = ψ + χ of the misfits m of prescribed values.

    ψ is multilinear in the cells, and nearly harmonic with nearly the values m. The rest m - ψ has
    a largest value M and a Lipschitz constant K on the boundary. Its extension to the whole space
    with the same K, times max(0, 1 - d/δ), is χ, with |∇χ| ≤ K (1 - d/δ) + M/δ. Here d is the
    distance from the boundary, and δ = √3 M / K.

    Args:
        operator: gives the domain and A.
        grid: the cells.
        sides: the pieces with prescribed values.
        jet: returns the jet of the approximation that misses these values.
        met: the indices of the conditions that the approximation satisfies exactly.

    Raises:
        Unsuitable: in more than three dimensions, where boundaries are too large for samples.

    Reference: McShane, Extension of range of functions (1934).
    """
    if all(number in met for _, number in sides.fixed):
        return Extension(0.0, 0.0, 0.0, 0.0)
    if grid is None:
        raise Unsuitable("boundary values must be built in above three dimensions")
    problem, count, domain = operator.problem, 2048, operator.problem.domain
    whole, places, values = sum(piece.measure for piece, _ in sides.fixed), [], []
    for index, (piece, number) in enumerate(sides.fixed):
        draws = max(16, round(count * piece.measure / whole))
        drawn = sample(piece, draws, "sobol", torch.Generator().manual_seed(53 + index))
        p = Points.cat([drawn, *filter(len, [piece.rim])])
        (data, *_) = problem.conditions()[number].prescribed(problem.fields)
        gaps = (data.values(p) - jet(p, Channels(p.names)).value)[:, 0]
        places.append(p.coords)
        values.append(torch.zeros_like(gaps) if number in met else gaps)
    coords, misfit = torch.cat(places), torch.cat(values)
    largest = float(misfit.abs().max())
    if largest == 0:
        return Extension(0.0, 0.0, 0.0, 0.0)
    psi = harmonic(grid, coords[::2], misfit[::2])  # the other points test ψ
    gradient, flux, value = psi.norms()
    rest = misfit - psi.at(coords)
    if (most := float(rest.abs().max())) == 0:
        return Extension(largest, gradient, flux, value)
    apart = torch.cdist(coords, coords)
    steepest = float(torch.where(apart > 0, (rest[:, None] - rest).abs() / apart, 0.0).max())
    apart.fill_diagonal_(math.inf)
    spacing = float(apart.amin(dim=1).quantile(0.99))
    inside = sample(domain, 4096, "sobol", torch.Generator().manual_seed(59)).coords
    distance = (torch.cdist(inside, coords).amin(dim=1) - spacing).clamp_min(0)
    width = math.sqrt(3) * most / steepest if steepest else math.inf
    share = (1 - distance / width).clamp_min(0)
    slopes = torch.where(share > 0, steepest * share + most / width, 0.0)
    root = math.sqrt(domain.measure)
    slope, height = (root * float(part.square().mean().sqrt()) for part in (slopes, most * share))
    steep = math.sqrt(operator.largest_diffusion) * slope
    return Extension(largest, gradient + slope, flux + steep, value + height)


def flux_bound(grid: Grid, operator: Operator, sides: Sides, residual: Tensor) -> float | None:
    """Bound sup ∫ r w / |||w||| over all w that vanish where values are prescribed.

    The residual r, continued by 0 outside the domain, has the means r̄ in the cells. A
    finite-volume solution z of -Σ a_i ∂_ii z + γ z = r̄ gives fluxes q through the faces, linear in
    each cell, with -div q + γ z = r̄ exactly. For all these w,
    ∫ r w = ∫ q·∇w + γ z w + (r - r̄) w. The last term is bounded in each cell with the constant of
    Payne and Weinberger, the longest side of the cell over π.

    Args:
        grid: the cells.
        operator: gives A and γ in |||w|||² = ∫ A∇w·∇w + γ w² + ∫ α w².
        sides: gives α on sides with prescribed fluxes, which only boxes may have; there q·n is α z,
            and ∫ α w² is over these sides.
        residual: r at the points of the grid, (k,).

    Returns:
        The bound; None where the equation is parabolic, or where q would have to balance the mean
        of r.

    Reference: Repin, A posteriori error estimation for variational problems with uniformly convex
    functionals (2000); Braess and Schöberl, Equilibrated residual error estimator (2008).
    """
    if not operator.is_elliptic:
        return None
    alpha = {side.piece.side: side.alpha for side in sides.natural}
    gamma, table = max(operator.effective_reaction[0], 0.0), grid.table(residual)
    columns = zip(grid.shape, grid.h.tolist(), operator.mean_diffusion.tolist(), strict=True)
    axes = [
        _axis(count, h, a, [alpha.get((i, upper), math.inf) for upper in (False, True)])
        for i, (count, h, a) in enumerate(columns)
    ]
    means = table @ grid.weights
    z = _solution(axes, gamma, means.view(grid.shape))
    if z is None:
        return None
    squares, longest, on_sides = torch.zeros_like(z), torch.zeros_like(z), 0.0
    for i, (_, _, to_faces) in enumerate(axes):
        faces = _along(z, i, to_faces).movedim(i, 0)
        left, right = faces[:-1], faces[1:]
        squares += ((left**2 + left * right + right**2) / 3).movedim(0, i) / grid.least[i]
        longest = torch.maximum(longest, grid.h[i] / grid.least[i].sqrt())
        for upper in (False, True):
            if alpha.get((i, upper)):
                square = float(faces[-int(upper)].square().sum()) / alpha[i, upper]
                on_sides += square / float(grid.h[i])  # relative to the volume of a cell
    variances = (table - means[:, None]).square() @ grid.weights
    rough = longest / math.pi * variances.view(grid.shape).sqrt()
    total = (squares.sqrt() + rough).square().sum() + gamma * z[grid.touched].square().sum()
    return math.sqrt(grid.volume * (float(total) + on_sides))


def _axis(count: int, h: float, a: float, ends: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """The finite-volume operator -a ∂² on n cells with q·n = α z at both ends; α = ∞ for z = 0.

    Returns:
        Its eigenvalues (n,) and eigenvectors (n, n), and the matrix from values in cells to fluxes
        through the faces, (n + 1, n).
    """
    to_faces = torch.zeros(count + 1, count, dtype=torch.float64)
    rows = torch.arange(count)
    to_faces[rows, rows] += a / h
    to_faces[rows + 1, rows] -= a / h
    for row, alpha in zip((0, -1), ends, strict=True):
        # The flux resists half a cell from the nearest centre to the wall, and 1/α there.
        to_faces[row] *= 0 if alpha == 0 else 1 / (1 / 2 + a / (alpha * h))
    values, vectors = torch.linalg.eigh((to_faces[:-1] - to_faces[1:]) / h)
    return values, vectors, to_faces


def _solution(
    axes: list[tuple[Tensor, Tensor, Tensor]], gamma: float, means: Tensor
) -> Tensor | None:
    """Return z with Σ -a_i ∂_ii z + γ z = r̄ in the cells; None where the operator is singular."""
    divisor, z = torch.full_like(means, gamma), means
    for i, (values, vectors, _) in enumerate(axes):
        divisor = (divisor.movedim(i, -1) + values).movedim(-1, i)
        z = _along(z, i, vectors.T)
    if float(divisor.min()) <= 1e-13 * float(divisor.max()):
        return None
    z = z / divisor
    for i, (_, vectors, _) in enumerate(axes):
        z = _along(z, i, vectors)
    return z


def _along(values: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """Multiply one axis of a tensor by a matrix."""
    return torch.tensordot(matrix, values, dims=([1], [axis])).movedim(0, axis)


@dataclass(frozen=True, eq=False)
class Approximate:
    """An approximate solution whose error is bounded.

    Args:
        jet: returns the jet of the solution at points.
        met: the indices in `conditions()` of the conditions that it satisfies exactly.
        mean_square: the mean of its squared residual at points that no fit has seen.
        error: the standard error of this mean.
        noise: returns the jet of the solution's rounding errors.
    """

    jet: Approximation
    met: Collection[int]
    mean_square: float
    error: float
    noise: Approximation


@dataclass(frozen=True)
class _Dual:
    """A bound of sup (∫ r w + ∫ ρ w) / |||w||| over all w that vanish where values are prescribed.

    value: the bound. by_flux: whether a flux gives it. largest: max |r|.
    """

    value: float
    by_flux: bool
    largest: float


class Majorant:
    """Bounds of the errors of approximate solutions of one linear coercive problem.

    With B(u, w) = ∫ A∇u·∇w + (b·∇u + c u) w and e = u - v, for all w that vanish where values are
    prescribed B(e, w) = ∫ r w + ∫ ρ w, with the residual r and the misfits ρ of prescribed fluxes.
    If v has all prescribed values, w = e gives |||e||| ≤ sup (∫ r w + ∫ ρ w) / |||w|||. If v misses
    these values by m, e - φ takes the place of e, where φ is an extension of m.

    Args:
        problem: the problem; its `conditions()` should return the same conditions at each call.

    Raises:
        Unsuitable: where the theory does not apply.

    Reference: Repin, A Posteriori Estimates for Partial Differential Equations (2008), chapter 4.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.operator = problem, operator_of(problem)
        if reasons := jumps(problem):
            raise Unsuitable(f"the solution has an infinite energy: {reasons[0]}")
        self.sides = sides_of(problem, self.operator)
        self.constants = constants_of(problem, self.operator, self.sides)
        self.grid = grid_over(self.operator)

    def __call__(self, v: Approximate, finer: Approximate | None = None) -> Bound:
        """Return bounds of the errors of v.

        Args:
            v: the approximation.
            finer: a better approximation v₂; ‖v₂ - v‖ + ‖u - v₂‖ is the bound where it is less.

        Raises:
            Unsuitable: where v misses boundary values in more than three dimensions.
        """
        extended = partial(extension, self.operator, self.grid, self.sides)
        dual, misfit, measure = self._dual(v), extended(v.jet, v.met), self.problem.domain.measure
        best = self._remaining(dual, misfit)
        if finer is not None:
            other = finer.jet
            rest = self._remaining(self._dual(finer), extended(finer.jet, finer.met))
            far = partial(norms_of, self.operator, self.grid, upper=True)
            best = best.least(far(lambda p, c: other(p, c) + -1 * v.jet(p, c)).plus(rest))
        size = asdict(norms_of(self.operator, self.grid, v.jet))
        noise = asdict(noise_norms(self.operator, v.noise))
        norms: dict[str, Any] = {}
        for name, bound in asdict(best).items():
            whole = bound + 3 * noise[name]  # rounding errors are known by their size only
            left = size[name] - whole
            norms[name] = whole / math.sqrt(measure)
            norms[f"{name}_relative"] = whole / left if left > 0 else math.inf
        if not self.operator.is_elliptic:
            norms["h1"] = norms["h1_relative"] = math.nan
        parts = ["functional a posteriori estimate (Repin 2000)", "Friedrichs' inequality"]
        if dual.by_flux:
            parts[1] = "equilibrated flux with Payne and Weinberger's constants in its cells"
        parts += ["trace inequality"] if self.sides.natural else []
        parts += ["extension of boundary values (McShane 1934)"] if misfit.largest else []
        diffusion = self.operator.diffusion
        known = {"friedrichs": self.constants.friedrichs, "coercivity": self.constants.factor}
        known["diffusion"] = float(diffusion[diffusion > 0].min())
        known["effective_reaction"] = self.operator.effective_reaction[0]
        if self.constants.traces:
            known["trace"] = max(self.constants.traces)
        if self._has_maximum_principle:
            known["barrier"] = self._barrier
        return Bound(
            **norms,
            maximum=misfit.largest + self._largest(dual) + 6 * noise["l2"] / math.sqrt(measure),
            theorem=", ".join(parts),
            constants=known,
        )

    @cached_property
    def _barrier(self) -> float:
        return barrier(self.problem.domain, self.operator)

    def _largest(self, dual: _Dual) -> float:
        """Bound max |u - v| for a v with all prescribed values; NaN without maximum principle.

        In one dimension the energy bounds it, too.
        """
        if not self._has_maximum_principle:
            return math.nan
        largest, domain = self._barrier * dual.largest, self.problem.domain
        if domain.dim > 1 or not self.operator.is_elliptic:
            return largest
        slope = dual.value / (self.constants.factor * math.sqrt(float(self.operator.diffusion)))
        return min(largest, math.sqrt(domain.measure) / 2 * slope)

    @property
    def _has_maximum_principle(self) -> bool:
        return self.operator.potential[0] >= 0 and not self.sides.natural

    def _remaining(self, dual: _Dual, phi: Extension) -> Norms:
        """Bound the norms of u - v by the dual norm of its residual and the extension φ."""
        operator, known = self.operator, self.constants
        friedrichs, root = known.friedrichs, math.sqrt(self.problem.domain.measure)
        on_sides = sum(side.largest * side.piece.measure for side in self.sides.natural)
        gamma = max(operator.effective_reaction[1], 0.0)
        energy_of_phi = math.sqrt(phi.flux**2 + gamma * phi.value**2 + on_sides * phi.largest**2)
        inner = dual.value / known.factor  # bounds |||e - φ||| for φ = 0
        if operator.convection == 0 and known.factor == 1:
            energy = math.hypot(inner, energy_of_phi)  # u - v is the sum of two orthogonal parts
            l2 = friedrichs * energy
        else:
            tied = (dual.value + self._form(phi) + on_sides * phi.largest) / known.factor
            energy, l2 = tied + energy_of_phi, friedrichs * tied + phi.value
        if self._has_maximum_principle:
            l2 = min(l2, friedrichs * inner + root * phi.largest)
        least = float(operator.diffusion.min())
        h1 = math.hypot(l2, energy / math.sqrt(least)) if least > 0 else math.inf
        return Norms(l2, h1, energy)

    def _form(self, phi: Extension) -> float:
        """Bound sup B(φ, w) / |||w|||, with b·∇φ w integrated by parts where that is better."""
        operator, friedrichs = self.operator, self.constants.friedrichs
        potential = max(map(abs, operator.potential))
        lower = friedrichs * (operator.convection * phi.gradient + potential * phi.value)
        if operator.is_elliptic and not self.sides.natural:
            # |c - div b| = |2γ - c|
            adjoint = potential + 2 * max(map(abs, operator.effective_reaction))
            part = operator.convection / math.sqrt(float(operator.diffusion.min()))
            lower = min(lower, (part + friedrichs * adjoint) * phi.value)
        return phi.flux + lower

    def _dual(self, v: Approximate) -> _Dual:
        measure, friedrichs = self.problem.domain.measure, self.constants.friedrichs
        safety = 3  # standard errors
        square, flux, largest = measure * (v.mean_square + safety * v.error), math.inf, math.nan
        if (grid := self.grid) is not None:
            residual = residual_of(self.problem, v.jet, grid.points)
            largest = float(residual.abs().max())
            on_grid = float(grid.integral(residual.square()[:, None])[0])
            square = max(square, on_grid)
            missed = measure * v.mean_square / on_grid if on_grid else 1.0
            most = 1.5  # the largest ratio of the squared residuals at other points and on the grid
            if missed <= most:
                bound = flux_bound(grid, self.operator, self.sides, residual)
                flux = math.inf if bound is None else bound * math.sqrt(max(missed, 1.0))
        inside, on_sides = min(friedrichs * math.sqrt(square), flux), 0.0
        for side, trace in zip(self.sides.natural, self.constants.traces, strict=True):
            coarse, fine = (side.misfit(v.jet, nodes) for nodes in (32, 48))
            on_sides += trace * (fine + abs(fine - coarse))  # with the change by a finer rule
        return _Dual(inside + on_sides, flux == inside, largest)
