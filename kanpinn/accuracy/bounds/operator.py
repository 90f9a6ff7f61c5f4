"""A linear equation of second order, -div(A∇u) + b·∇u + c u = f: its coefficients, its boundary
conditions, and the constants of its stability.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from kanpinn.accuracy.coefficients import Coefficients, Unsuitable, flux_factor, read_coefficients
from kanpinn.accuracy.references.reference import Approximation
from kanpinn.geometry import Domain, Piece, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import ResidualFunction, find_channels
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.conditions import Condition
from kanpinn.pde.problem import Problem

ROUNDING = 1e-7  # relative; smaller values are errors of difference quotients
DIFFERENCE = 5e-4  # the step of difference quotients, relative to the sides of the domain


@dataclass(frozen=True, eq=False)
class Operator:
    """L u = -div(A∇u) + b·∇u + c u, where L u - f is ± the residual.

    The effective reaction is γ = c - div(b)/2, so that ∫ w Lw = ∫ A∇w·∇w + γ w² for all w that
    vanish on the boundary. Extremes are taken over some hundred points, and derivatives of the
    coefficients by difference quotients.

    Args:
        problem: the problem with this residual.
        sign: L u - f = sign · residual.
        constant: the coefficients of L if they are the same everywhere, one row.
        diffusion: numbers a_i, (d,), with A ≥ diag(a) everywhere; 0 for the time.
        mean_diffusion: the means of A_ii, (d,).
        largest_diffusion: the largest eigenvalue of A.
        effective_reaction: the least and the largest value of γ.
        convection: the largest |b|.
        potential: the least and the largest value of c.
        transport: the least and the largest value of the components of b - div A, (2, d).
    """

    problem: Problem = field(repr=False)
    sign: float
    constant: Coefficients | None = field(repr=False)
    diffusion: Tensor
    mean_diffusion: Tensor
    largest_diffusion: float
    effective_reaction: tuple[float, float]
    convection: float
    potential: tuple[float, float]
    transport: Tensor

    @property
    def is_elliptic(self) -> bool:
        """Whether A is positive definite; otherwise the equation is parabolic."""
        return bool((self.diffusion > 0).all())

    def at(self, p: Points) -> Coefficients:
        """The coefficients of L at n points: of -A:D²u + B·∇u + c u."""
        if self.constant is None:
            return read_coefficients(self.problem.equation, p, "the residual").times(self.sign)
        parts = (part.expand(len(p), *part.shape[1:]) for part in self.constant.parts)
        return Coefficients(*parts)

    def least_outflow(self, p: Points, found: Coefficients) -> float:
        """A lower bound of b·n at n points with normals, where L has the coefficients `found`."""
        assert p.normals is not None
        if self.convection == 0:
            return 0.0
        conormal = torch.einsum("nab,nb->na", found.second, p.normals)
        if self.constant is None and bool(conormal.abs().max() > 0):
            return -self.convection
        return float((found.first * p.normals).sum(dim=1).min())


def operator_of(problem: Problem) -> Operator:
    """Read the operator of a linear problem from its residual.

    Raises:
        Unsuitable: where the problem is nonlinear, a system, of another order than the second, or
            not elliptic or parabolic.
    """
    if len(problem.columns) != 1:
        raise Unsuitable("the problem has several fields or unknowns")
    domain, count = problem.domain, 512
    points = sample(domain, count, "sobol", torch.Generator().manual_seed(43))
    edge = sample(domain.boundary, count // 2, "sobol", torch.Generator().manual_seed(47))
    everywhere = Points(torch.cat([points.coords, edge.coords]), domain.names)
    read = read_coefficients(problem.equation, everywhere, "the residual")
    sign = -1.0 if float(read.second.diagonal(dim1=1, dim2=2).sum()) > 0 else 1.0
    terms = read.times(sign)
    diffusion = -terms.second
    low, high = diagonal_bounds(diffusion)
    lowest, used = low.amin(dim=0), high.amax(dim=0) > 0
    if not bool(used.any()):
        raise Unsuitable("the equation has no second derivatives")
    if not bool((lowest[used] > 1e-12 * high.max()).all()) or bool((low[:, ~used] < 0).any()):
        raise Unsuitable("the equation is neither elliptic nor parabolic")
    constant, b, divergence = None, terms.first, torch.zeros(1, dtype=torch.float64)
    if terms.are_constant:
        constant = Coefficients(*(part[:1] for part in terms.parts))
        potential = terms.zeroth
    else:
        if domain.dim > 4:
            raise Unsuitable("the coefficients vary in space, in more than four dimensions")
        assert edge.normals is not None
        inner = edge.coords - 8 * DIFFERENCE * _lengths(problem) * edge.normals
        within = Points(torch.cat([points.coords, inner]), domain.names)
        inside, b, divergence = _drift(problem, sign, within)
        potential = inside.zeroth
    scale = diffusion.abs().amax(dim=0) @ (1 / _lengths(problem)) + terms.first.abs().amax(dim=0)
    if bool((b.abs() <= ROUNDING * scale).all()):
        b, divergence = torch.zeros_like(b), torch.zeros_like(divergence)
    effective = potential - divergence / 2
    return Operator(
        problem,
        sign,
        constant,
        lowest,
        diffusion.diagonal(dim1=1, dim2=2).mean(dim=0),
        float(high.max()),
        (float(effective.min()), float(effective.max())),
        float(torch.linalg.vector_norm(b, dim=1).max()),
        (float(terms.zeroth.min()), float(terms.zeroth.max())),
        torch.stack([terms.first.amin(dim=0), terms.first.amax(dim=0)]),
    )


def _lengths(problem: Problem) -> Tensor:
    low, high = problem.domain.bounds
    return high - low


def diagonal_bounds(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return a and b with diag(a) ≤ A ≤ diag(b) for symmetric matrices A (n, d, d), (n, d) each.

    Axes on which all matrices are 0, such as the time, get 0 and do not spoil the others.
    """
    size = matrices.abs().amax(dim=0)
    used = size.amax(dim=1) > 1e-14 * size.max()
    diagonal = matrices.diagonal(dim1=1, dim2=2).clone()
    off = size - torch.diag(size.diagonal())
    if bool((off <= 1e-14 * size.max()).all()):
        return diagonal, diagonal
    eigenvalues = torch.linalg.eigvalsh(matrices[:, used][:, :, used])
    low, high = torch.zeros_like(diagonal), torch.zeros_like(diagonal)
    low[:, used], high[:, used] = eigenvalues[:, :1], eigenvalues[:, -1:]
    return low, high


def _drift(problem: Problem, sign: float, points: Points) -> tuple[Coefficients, Tensor, Tensor]:
    """Return L's coefficients at some of the points, with b = B + div A, (k, d), and div b, (k,).

    Derivatives are differences of fourth order with two steps; only points whose neighbours lie in
    the domain are used.

    Raises:
        Unsuitable: where the two steps do not agree: the coefficients are not smooth.
    """
    domain, lengths = problem.domain, _lengths(problem)
    step = DIFFERENCE * lengths
    corners = torch.tensor([*itertools.product((-1.0, 1.0), repeat=domain.dim)]).double()
    near = points.coords[:, None] + 4 * step * corners
    kept = domain.contains(near.flatten(0, 1)).view(len(points), -1).all(dim=1)
    coords = points.coords[kept]
    if not len(coords):
        raise Unsuitable("the domain is too thin for differences of the coefficients")

    def read(x: Tensor) -> Coefficients:
        terms = read_coefficients(problem.equation, Points(x, domain.names), "the residual")
        return terms.times(sign)

    def drift(x: Tensor, h: Tensor) -> Tensor:
        slopes = _slopes(lambda y: read(y).second, x, h)  # (n, axis, d, d)
        return read(x).first - torch.einsum("naab->nb", slopes)

    def divergence(x: Tensor, h: Tensor) -> Tensor:
        return torch.einsum("naa->n", _slopes(lambda y: drift(y, h), x, h))

    b, coarse = drift(coords, step / 2), drift(coords, step)
    fine, other = divergence(coords, step / 2), divergence(coords, step)
    terms = read(coords)
    slope = terms.second.abs().amax(dim=0) @ (1 / lengths)  # of a coefficient across the domain
    for half, rough, scale in ((b, coarse, slope), (fine, other, slope @ (1 / lengths))):
        if bool(((half - rough).abs() > 1e-3 * (half.abs().amax(dim=0) + scale)).any()):
            raise Unsuitable("the coefficients are not smooth")
    return terms, b, fine


def _slopes(function: Callable[[Tensor], Tensor], x: Tensor, h: Tensor) -> Tensor:
    """Return the derivatives along each axis, (n, d, …), by central differences of fourth order.

    h: the step on each axis, (d,).
    """
    slopes = []
    for axis, step in zip(torch.diag(h), h.tolist(), strict=True):
        once = function(x + axis) - function(x - axis)
        twice = function(x + 2 * axis) - function(x - 2 * axis)
        slopes.append((8 * once - twice) / (12 * step))
    return torch.stack(slopes, dim=1)


@dataclass(frozen=True, eq=False)
class NaturalPiece:
    """A piece with a flux condition κ (A∂u/∂n + α u) = h, as is a Neumann or Robin condition.

    Args:
        piece: the piece of the boundary.
        equation: the residual of the condition, ± the misfit times κ.
        scale: the least |κ|.
        alpha: the least value of α + b·n/2.
        largest: an upper bound of α + b·n/2.
    """

    piece: Piece
    equation: ResidualFunction
    scale: float
    alpha: float
    largest: float

    def misfit(self, jet: Approximation, nodes: int) -> float:
        """The norm of h/κ - (A∂v/∂n + α v) on the piece, by a rule with `nodes` per axis."""
        p, weights = self.piece.quadrature(nodes)
        _, values = find_channels(lambda c: self.equation(p, jet(p, c)), p.names)
        return math.sqrt(float(weights @ values[:, 0].square())) / self.scale


class Sides(NamedTuple):
    """The pieces of a domain's boundary by the kind of their conditions.

    fixed: pieces with prescribed values, and the indices of their conditions in `conditions()`.
    natural: pieces with prescribed fluxes.
    """

    fixed: tuple[tuple[Piece, int], ...]
    natural: tuple[NaturalPiece, ...]


def sides_of(problem: Problem, operator: Operator) -> Sides:
    """Sort the pieces of the boundary by the conditions that hold there.

    Raises:
        Unsuitable: for a condition of another kind, two conditions on one piece, a piece without
            condition that is no outflow, and a Robin condition with a negative α + b·n/2.
    """
    conditions, fixed, natural = stated(problem).conditions(), [], []
    pieces = problem.domain.boundary.pieces
    for condition in conditions:
        if not condition.pieces or any(piece not in pieces for piece in condition.pieces):
            raise Unsuitable(f"{type(condition).__name__} does not hold on a side of the domain")
    for piece in pieces:
        held = [i for i, c in enumerate(conditions) if piece in c.pieces]
        if len(held) > 1:
            raise Unsuitable(f"there are several conditions on {piece.name}")
        if not held:
            p = piece.gauss(32)  # A n = 0 and b·n ≥ 0, as at the end of time
            terms, normals = operator.at(p), p.normals
            assert normals is not None
            conormal = torch.einsum("nab,nb->na", terms.second, normals)
            if bool(conormal.abs().max() > 0) or operator.least_outflow(p, terms) < 0:
                raise Unsuitable(f"there is no condition on {piece.name}")
            continue
        data = conditions[held[0]].prescribed(problem.fields)
        if not data:
            natural.append(_natural(operator, piece, conditions[held[0]]))
        elif any(values.rate is not None for values in data):
            raise Unsuitable(f"a rate is prescribed on {piece.name}")
        else:
            fixed.append((piece, held[0]))
    return Sides(tuple(fixed), tuple(natural))


def _natural(operator: Operator, piece: Piece, condition: Condition) -> NaturalPiece:
    """Return the flux condition on a piece.

    Raises:
        Unsuitable: if the condition is on no flux, or α + b·n/2 is negative.
    """
    name = f"the condition on {piece.name}"
    equation, p = condition.stacked_residual, piece.gauss(32)
    read, terms = read_coefficients(equation, p, name), operator.at(p)
    kappa = flux_factor(read, -terms.second, p)
    if kappa is None:
        raise Unsuitable(f"{name} prescribes neither a value nor a flux")
    alpha = read.zeroth / kappa
    outflow = operator.least_outflow(p, terms) / 2
    least, largest = float(alpha.min()) + outflow, float(alpha.max()) + operator.convection / 2
    if least < -1e-12 * abs(largest):
        raise Unsuitable(f"{name} is not coercive: α + b·n/2 is {least:.3g}")
    return NaturalPiece(piece, equation, float(kappa.abs().min()), max(least, 0.0), largest)


class InequalityConstants(NamedTuple):
    """The constants of the bounds, for all w that vanish where values are prescribed.

    friedrichs: C with ‖w‖ ≤ C |||w|||, where |||w|||² is S(w) = ∫ A∇w·∇w + γ w² + ∫ α w² with
    γ = max(c - div(b)/2, 0). factor: B(w, w) ≥ factor · S(w), 1 unless c - div(b)/2 is negative
    somewhere. traces: for each natural piece T with ∫ w² ≤ T² S(w), the integral over the piece.
    """

    friedrichs: float
    factor: float
    traces: tuple[float, ...]


def constants_of(problem: Problem, operator: Operator, sides: Sides) -> InequalityConstants:
    """Return the constants of the bounds from the bounding box, or the domain if it is a box.

    In a box they follow from the least eigenvalue k² of -w'' on each axis, with the conditions of
    its two sides. Functions that vanish on the whole boundary of another domain are continued by 0
    into its bounding box.

    Raises:
        Unsuitable: where no constant is known, or the problem is not coercive.

    Reference: Repin, A Posteriori Estimates for Partial Differential Equations (2008), section 1.4;
    Mikhlin, Constants in Some Inequalities of Analysis (1986).
    """
    domain, a = problem.domain, operator.diffusion
    lengths = domain.bounds[1] - domain.bounds[0]
    ends = torch.full((domain.dim, 2), math.inf, dtype=torch.float64)
    if not domain.is_box and sides.natural:
        raise Unsuitable(
            "no Friedrichs constant is known: a flux is prescribed, and the domain is no box"
        )
    for side in sides.natural:
        axis, upper = _side(side.piece)
        ends[axis, int(upper)] = side.alpha / float(a[axis])
    wave = [_least_wave(float(n), *map(float, e)) for n, e in zip(lengths, ends, strict=True)]
    of_diffusion = sum(float(a_i) * k**2 for a_i, k in zip(a, wave, strict=True))
    gamma = operator.effective_reaction[0]
    least, factor = of_diffusion + max(gamma, 0.0), 1.0
    if gamma < 0:
        factor = 1 + gamma / of_diffusion if of_diffusion else -math.inf
    if factor <= 0:
        raise Unsuitable(
            f"the problem is not coercive: c - div(b)/2 is {gamma:.3g} somewhere, and the least "
            f"eigenvalue without it is known to be above {of_diffusion:.3g} only"
        )
    if least <= 0:
        raise Unsuitable("the problem is not coercive: neither a value nor c fixes a constant")
    traces = []  # the least of the constants that apply, for each natural piece
    for side in sides.natural:
        axis, upper = _side(side.piece)
        length, a_i = float(lengths[axis]), float(a[axis])
        squares = [1 / (length * least) + 2 / math.sqrt(least * a_i)]
        if side.alpha > 0:
            squares.append(1 / side.alpha)
        if math.isinf(ends[axis, int(not upper)]):
            squares.append(length / a_i)
        traces.append(math.sqrt(min(squares)))
    return InequalityConstants(1 / math.sqrt(least), factor, tuple(traces))


def _side(piece: Piece) -> tuple[int, bool]:
    side = piece.side
    if side is None:
        raise Unsuitable(f"{piece.name} is no side of a box")
    return side


def _least_wave(length: float, low: float, high: float) -> float:
    """Return the least k with -w'' = k² w in an interval, ∂w/∂n = -low w and -high w at its ends.

    It is the solution of k·length = π - atan(k / low) - atan(k / high).
    """
    from scipy.optimize import brentq  # the import takes a tenth of a second

    def excess(k: float) -> float:
        return k * length - math.pi + math.atan2(k, low) + math.atan2(k, high)

    if low == high == 0:
        return 0.0
    above, precision = 1.000001 * math.pi / length, 1e-15
    root = float(brentq(excess, 0, above, xtol=1e-300, rtol=precision, maxiter=2000))
    return (1 - 10 * precision) * root  # a lower bound in spite of rounding


def barrier(domain: Domain, operator: Operator) -> float:
    """Return a bound of max |w| for all w with |Lw| ≤ 1 that vanish where values are prescribed.

    It is the largest value of a function ψ of one coordinate with Lψ ≥ 1 and ψ ≥ 0, for the best
    coordinate, or 1 / min c. The maximum principle must hold, so c ≥ 0.

    Reference: Gilbarg and Trudinger, Elliptic Partial Differential Equations of Second Order
    (2001), theorem 3.7.
    """
    least = operator.potential[0]
    bounds = [1 / least] if least > 0 else []
    low, high = domain.bounds
    columns = (high - low, operator.diffusion, *operator.transport)
    for length, a, slow, fast in zip(*(column.tolist() for column in columns), strict=True):
        if slow > 0 or fast < 0:
            bounds.append(length / min(abs(slow), abs(fast)))
        speed = max(abs(slow), abs(fast))
        if a > 0:
            kappa = speed * length / (2 * a)  # half the Péclet number
            # (a / speed²) (exp(κ) - 1 - κ), without cancellation for small κ
            series = 0.5 + kappa
            if kappa > 1e-3:
                series = (math.exp(kappa) - 1 - kappa) / kappa**2 if kappa < 700 else math.inf
            bounds.append(length**2 / (4 * a) * series)
    return min(bounds)
