"""Guaranteed bounds of errors of linear coercive problems by functional majorants.

The coefficients of the equation -div(A∇u) + b·∇u + c u = f and of its boundary conditions are read
from the residuals. Errors are bounded by norms of residuals and boundary misfits times constants of
stability, which follow from the coefficients. The norms are computed on a grid of boxes.
"""

import itertools
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kanpinn.accuracy.errors import Bound
from kanpinn.geometry import Domain, Piece, Points
from kanpinn.geometry.rules import gauss_product
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, JetFunction, ResidualFunction, find_channels
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, jumps, stated
from kanpinn.pde.coefficients import Coefficients, Unsuitable, read_coefficients
from kanpinn.pde.conditions import Condition
from kanpinn.pde.problem import Problem

ROUNDING = 1e-7  # smaller relative values count as errors of difference quotients
DIFFERENCE = 5e-4  # the step of difference quotients, relative to the sides of the domain


def read_scalar(equation: ResidualFunction, points: Points, what: str) -> Coefficients:
    """Read the coefficients of one affine expression of one field, see `Coefficients.scalar`.

    Args:
        equation, points, what: as for `read_coefficients`.

    Raises:
        Unsuitable: as for `read_coefficients`, and if there is more than one expression.
    """
    read = read_coefficients(equation, points, what)
    if read.rest.shape[1] != 1:
        raise Unsuitable(f"{what} is a system of {read.rest.shape[1]} equations")
    return read.scalar


def read_operator(problem: Problem, points: Points) -> Coefficients:
    """Read L u - f = -A:D²u + (b - div A)·∇u + c u - f from a residual ±(L u - f), see `Operator`.

    The sign is the one for which the trace of A is positive.

    Args:
        problem: the problem.
        points: the points.

    Raises:
        Unsuitable: as for `read_scalar`, and for several fields or unknowns.
    """
    if len(problem.columns) != 1 or problem.unknowns:
        raise Unsuitable("the problem has several fields or unknowns")
    read = read_scalar(problem.equation, points, "the residual")
    return read.times(-1.0 if float(read.second.diagonal(dim1=1, dim2=2).sum()) > 0 else 1.0)


def flux_factor(condition: Coefficients, operator: Coefficients, p: Points, name: str) -> Tensor:
    """Return the factor κ, (n,), of a flux condition κ A∇u·n + C u + R.

    Args:
        condition: the coefficients of the condition at n points.
        operator: the coefficients of L at these points, from `read_operator`.
        p: the points, with normals.
        name: the name of the condition in messages.

    Raises:
        Unsuitable: if the condition is not of this form.
    """
    assert p.normals is not None
    conormal = -torch.einsum("nab,nb->na", operator.second, p.normals)
    kappa = (condition.first * conormal).sum(dim=1) / conormal.square().sum(dim=1)
    gap = (condition.first - kappa[:, None] * conormal).norm(dim=1)
    fits = (gap <= 1e-9 * condition.first.norm(dim=1)) & (kappa != 0)
    if not bool(fits.all()) or bool(condition.second.any()):
        raise Unsuitable(f"{name} prescribes neither a value nor a flux")
    return kappa


def read_sides(problem: BoundaryValueProblem) -> list[tuple[Piece, tuple[int, ...]]]:
    """Return the pieces of the boundary, each with the indices in `conditions()` of its conditions.

    Conditions at interfaces are left out.

    Args:
        problem: the problem, as returned by `stated`.

    Raises:
        Unsuitable: for prescribed values that jump, and for a condition that holds neither on the
            boundary nor at an interface.
    """
    if reasons := jumps(problem):
        raise Unsuitable(f"the solution has an infinite energy: {reasons[0]}")
    pieces = problem.domain.boundary.pieces
    on = [() if one.kinks else one.pieces for one in problem.conditions()]
    for condition, places in zip(problem.conditions(), on, strict=True):
        if not condition.kinks and not (places and all(piece in pieces for piece in places)):
            raise Unsuitable(f"{type(condition).__name__} does not hold on a side of the domain")
    return [(piece, tuple(i for i, places in enumerate(on) if piece in places)) for piece in pieces]


@dataclass(frozen=True, eq=False)
class Operator:
    """The operator L u = -div(A∇u) + b·∇u + c u of a problem with the residual ±(L u - f).

    The effective reaction is γ = c - div(b)/2, so that ∫ w Lw = ∫ A∇w·∇w + γ w² for all w that
    vanish on the boundary. Extremes are taken over some hundred points. Derivatives of the
    coefficients are difference quotients.

    Args:
        problem: the problem.
        constant: the coefficients of L, one row, if they are the same everywhere; otherwise None.
        diffusion: numbers a_i, (d,), with A ≥ diag(a) everywhere; 0 for the time.
        mean_diffusion: the means of the diagonal entries A_ii over the domain, (d,).
        largest_diffusion: the largest eigenvalue of A.
        effective_reaction: the least and the largest value of γ.
        convection: the largest |b|.
        potential: the least and the largest value of c.
        transport: the least and the largest value of each component of b - div A, (2, d).
    """

    problem: Problem = field(repr=False)
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
        """True if A is positive definite; otherwise the equation is parabolic."""
        return bool((self.diffusion > 0).all())

    def at(self, p: Points) -> Coefficients:
        """Return the coefficients of L u = -A:D²u + (b - div A)·∇u + c u at n points.

        The parts of the result are `second` = -A, `first` = b - div A and `zeroth` = c. Its `rest`
        is -f only if the coefficients vary; if they are constant, `rest` has no meaning.

        Args:
            p: the points.
        """
        if self.constant is None:
            return read_operator(self.problem, p)
        parts = (part.expand(len(p), *part.shape[1:]) for part in self.constant.parts)
        return Coefficients(*parts)

    def least_outflow(self, p: Points, found: Coefficients) -> float:
        """Return a lower bound of b·n over points with normals n.

        The bound is 0 if b is 0. If the coefficients vary and A n is not 0, it is -max |b|, since
        div A is then not known at the points. Otherwise it is the least b·n at the points.

        Args:
            p: the points.
            found: the coefficients of L at these points.
        """
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
        Unsuitable: if the problem is nonlinear, a system, not of second order, or neither elliptic
            nor parabolic; or if its coefficients vary and are not smooth, or vary in more than four
            dimensions.
    """
    domain, count = problem.domain, 512
    points = sample(domain, count, "sobol", torch.Generator().manual_seed(43))
    edge = sample(domain.boundary, count // 2, "sobol", torch.Generator().manual_seed(47))
    everywhere = Points(torch.cat([points.coords, edge.coords]), domain.names)
    terms = read_operator(problem, everywhere)
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
            raise Unsuitable("the coefficients vary, which is for at most four dimensions")
        assert edge.normals is not None
        inner = edge.coords - 8 * DIFFERENCE * _lengths(problem) * edge.normals
        within = Points(torch.cat([points.coords, inner]), domain.names)
        inside, b, divergence = _drift(problem, within)
        potential = inside.zeroth
    scale = diffusion.abs().amax(dim=0) @ (1 / _lengths(problem)) + terms.first.abs().amax(dim=0)
    if bool((b.abs() <= ROUNDING * scale).all()):
        b, divergence = torch.zeros_like(b), torch.zeros_like(divergence)
    effective = potential - divergence / 2
    return Operator(
        problem,
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
    """Return the lengths of the sides of a domain's bounding box, (d,)."""
    low, high = problem.domain.bounds
    return high - low


def diagonal_bounds(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors a and b with diag(a) ≤ A ≤ diag(b) for each of n symmetric matrices A.

    The matrices are (n, d, d), the vectors (n, d). An inequality between matrices means that their
    difference is positive semidefinite. On axes on which all matrices are 0, such as the time, a
    and b are 0; these axes do not change the bounds on the other axes.
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


def _drift(problem: Problem, points: Points) -> tuple[Coefficients, Tensor, Tensor]:
    """Compute the convection b of an operator with variable coefficients, and its divergence.

    Derivatives of the coefficients are differences of fourth order. They are computed with two
    steps, and only at points whose neighbours lie in the domain.

    Args:
        problem: the problem.
        points: n points in the domain.

    Returns:
        The coefficients of L at the k points that were used; b = B + div A, (k, d), where B are the
        coefficients of ∇u in L; and div b, (k,).

    Raises:
        Unsuitable: if the results of the two steps do not agree, so that the coefficients are not
            smooth, or if no point has all its neighbours in the domain.
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
        """Return the coefficients of L at points (n, d)."""
        return read_operator(problem, Points(x, domain.names))

    def drift(x: Tensor, h: Tensor) -> Tensor:
        """Return b = B + div A, (n, d), at points (n, d), by differences with the steps h, (d,)."""
        slopes = _slopes(lambda y: read(y).second, x, h)  # (n, axis, d, d)
        return read(x).first - torch.einsum("naab->nb", slopes)

    def divergence(x: Tensor, h: Tensor) -> Tensor:
        """Return div b, (n,), at points (n, d), by differences with the steps h, (d,)."""
        return torch.einsum("naa->n", _slopes(lambda y: drift(y, h), x, h))

    b, coarse = drift(coords, step / 2), drift(coords, step)
    fine, other = divergence(coords, step / 2), divergence(coords, step)
    terms = read(coords)
    slope = terms.second.abs().amax(dim=0) @ (1 / lengths)  # a change of A across the domain
    for half, rough, scale in ((b, coarse, slope), (fine, other, slope @ (1 / lengths))):
        if bool(((half - rough).abs() > 1e-3 * (half.abs().amax(dim=0) + scale)).any()):
            raise Unsuitable("the coefficients are not smooth")
    return terms, b, fine


def _slopes(function: Callable[[Tensor], Tensor], x: Tensor, h: Tensor) -> Tensor:
    """Return the derivatives of a function along each axis, by differences of fourth order.

    Args:
        function: the function, which maps points (n, d) to values (n, …).
        x: the points, (n, d).
        h: the step on each axis, (d,).

    Returns:
        The derivatives, (n, d, …).
    """
    slopes = []
    for axis, step in zip(torch.diag(h), h.tolist(), strict=True):
        once = function(x + axis) - function(x - axis)
        twice = function(x + 2 * axis) - function(x - 2 * axis)
        slopes.append((8 * once - twice) / (12 * step))
    return torch.stack(slopes, dim=1)


@dataclass(frozen=True, eq=False)
class NaturalPiece:
    """A piece of the boundary with a Neumann or Robin condition κ (A∂u/∂n + α u) = h.

    A is the diffusion and b the convection of the equation, see `Operator`.

    Args:
        piece: the piece of the boundary.
        equation: the residual of the condition, which is ±(κ (A∂u/∂n + α u) - h).
        scale: the least |κ|.
        alpha: a lower bound of α + b·n/2, at least 0.
        largest: an upper bound of α + b·n/2.
    """

    piece: Piece
    equation: ResidualFunction
    scale: float
    alpha: float
    largest: float

    def misfit(self, jet: JetFunction, nodes: int) -> float:
        """Bound the L2 norm of the misfit h/κ - (A∂v/∂n + α v) of a function v on the piece.

        The bound is the L2 norm of the residual of the condition, divided by the least |κ|.

        Args:
            jet: returns the jet of v at points.
            nodes: the number of Gauss nodes per axis.
        """
        p, weights = self.piece.quadrature(nodes)
        _, values = find_channels(lambda c: self.equation(p, jet(p, c)), p.names)
        return math.sqrt(float(weights @ values[:, 0].square())) / self.scale


class Sides(NamedTuple):
    """The pieces of a domain's boundary, sorted by the kind of their conditions.

    Args:
        fixed: the pieces with prescribed values, each with the index of its condition in
            `conditions()`.
        natural: the pieces with prescribed fluxes.
    """

    fixed: tuple[tuple[Piece, int], ...]
    natural: tuple[NaturalPiece, ...]


def sides_of(problem: Problem, operator: Operator) -> Sides:
    """Return the pieces of the boundary, sorted by the conditions that hold there.

    A piece without condition at which the solution flows out is in neither list of the result.

    Args:
        problem: the problem.
        operator: the operator of its equation.

    Raises:
        Unsuitable: as for `read_sides`; for an interface, and a condition that prescribes neither
            values nor a flux, or that prescribes a rate; for a piece without condition unless it is
            an outflow; and for a Robin condition with a negative α + b·n/2.
    """
    problem, fixed, natural = stated(problem), [], []
    sides, conditions = read_sides(problem), problem.conditions()
    if any(condition.kinks for condition in conditions):
        raise Unsuitable("the coefficients jump at an interface")
    for piece, held in sides:
        if len(held) > 1:
            raise Unsuitable(f"there are several conditions on {piece.name}")
        if not held:
            p = piece.gauss(32)  # an outflow must have A n = 0 and b·n ≥ 0, as the final time has
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
    """Return a piece of the boundary with its Neumann or Robin condition.

    Args:
        operator: the operator of the equation.
        piece: the piece.
        condition: the condition on the piece.

    Raises:
        Unsuitable: if the condition does not prescribe a flux, or if α + b·n/2 is negative.
    """
    name = f"the condition on {piece.name}"
    equation, p = condition.stacked_residual, piece.gauss(32)
    read, terms = read_scalar(equation, p, name), operator.at(p)
    alpha = read.zeroth / (kappa := flux_factor(read, terms, p, name))
    outflow = operator.least_outflow(p, terms) / 2
    least, largest = float(alpha.min()) + outflow, float(alpha.max()) + operator.convection / 2
    if least < -1e-12 * abs(largest):
        raise Unsuitable(f"{name} is not coercive: α + b·n/2 is {least:.3g}")
    return NaturalPiece(piece, equation, float(kappa.abs().min()), max(least, 0.0), largest)


class InequalityConstants(NamedTuple):
    """The constants of Friedrichs' inequality, of coercivity and of trace inequalities.

    The inequalities are for functions w that vanish where values are prescribed. The energy norm of
    an equation -div(A∇u) + b·∇u + c u = f has the square
    |||w|||² = ∫ A∇w·∇w + γ w² + ∫ α w², where γ is max(min(c - div(b)/2), 0). The last integral is
    over pieces with prescribed fluxes, and α is the number `alpha` of `NaturalPiece`.

    Args:
        friedrichs: the constant C in ‖w‖ ≤ C |||w|||.
        factor: the constant in B(w, w) ≥ factor · |||w|||² for the weak form B of the equation; 1
            unless c - div(b)/2 is negative somewhere.
        traces: for each piece with a prescribed flux the constant T in ∫ w² ≤ T² |||w|||², where
            the integral is over the piece.
    """

    friedrichs: float
    factor: float
    traces: tuple[float, ...]


def constants_of(problem: Problem, operator: Operator, sides: Sides) -> InequalityConstants:
    """Return constants for a problem: of Friedrichs' and trace inequalities, and of coercivity.

    The inequalities, see `InequalityConstants`, are for functions w that vanish where values are
    prescribed. In a box their constants follow from the least eigenvalue k² of -w'' on each axis,
    with the conditions of the two sides at its ends. Another domain must have no prescribed fluxes.
    The functions w are then continued by 0 into the bounding box, and the constants of this box are
    returned.

    Args:
        problem: the problem.
        operator: the operator of its equation.
        sides: the pieces of its boundary, sorted by the conditions that hold there.

    Raises:
        Unsuitable: if no constant is known, or if the problem is not coercive.

    Reference: Repin, A Posteriori Estimates for Partial Differential Equations (2008), section 1.4;
    Mikhlin, Constants in Some Inequalities of Analysis (1986).
    """
    domain, a = problem.domain, operator.diffusion
    lengths = domain.bounds[1] - domain.bounds[0]
    ends = torch.full((domain.dim, 2), math.inf, dtype=torch.float64)
    if not domain.is_box and sides.natural:
        raise Unsuitable("no Friedrichs constant is known: a flux is given, the domain is no box")
    for one in sides.natural:
        axis, upper = _side(one.piece)
        ends[axis, int(upper)] = one.alpha / float(a[axis])
    wave = [_least_wave(float(n), *map(float, e)) for n, e in zip(lengths, ends, strict=True)]
    of_diffusion = sum(float(a_i) * k**2 for a_i, k in zip(a, wave, strict=True))
    gamma = operator.effective_reaction[0]
    least, factor = of_diffusion + max(gamma, 0.0), 1.0
    if gamma < 0:
        factor = 1 + gamma / of_diffusion if of_diffusion else -math.inf
    if factor <= 0:
        known = f"the least eigenvalue without it is known to be above {of_diffusion:.3g} only"
        raise Unsuitable(f"the problem is not coercive: c - div(b)/2 is {gamma:.3g}, and {known}")
    if least <= 0:
        raise Unsuitable("the problem is not coercive: neither a value nor c fixes a constant")
    traces = []  # for each natural piece, the least of several constants that are valid
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
    """Return the axis of the box's side on which a piece lies, and True for the upper side.

    Raises:
        Unsuitable: if the piece is no side of a box.
    """
    side = piece.side
    if side is None:
        raise Unsuitable(f"{piece.name} is no side of a box")
    return side


def _least_wave(length: float, low: float, high: float) -> float:
    """Return the least k for which -w'' = k² w has a solution w other than 0 in an interval.

    At the lower end ∂w/∂n = -low w, at the upper end ∂w/∂n = -high w. The result k is the solution
    of k·length = π - atan(k / low) - atan(k / high).

    Args:
        length: the length of the interval.
        low, high: the numbers in the conditions, from 0 (Neumann) to infinity (Dirichlet).
    """
    from scipy.optimize import brentq  # the import takes a tenth of a second

    def excess(k: float) -> float:
        """Return the left minus the right side of the equation for k; it increases with k."""
        return k * length - math.pi + math.atan2(k, low) + math.atan2(k, high)

    if low == high == 0:
        return 0.0
    above, precision = 1.000001 * math.pi / length, 1e-15
    root = float(brentq(excess, 0, above, xtol=1e-300, rtol=precision, maxiter=2000))
    return (1 - 10 * precision) * root  # a lower bound in spite of rounding


def barrier(domain: Domain, operator: Operator) -> float:
    """Return a bound of max |w| for all w with |Lw| ≤ 1 that vanish where values are prescribed.

    Here L w = -div(A∇w) + b·∇w + c w is the operator of the equation. The maximum principle must
    hold, so c must be at least 0. If c is positive, one bound is 1 / min c. For each coordinate
    there are other bounds: the largest values of functions ψ of this coordinate with Lψ ≥ 1 and
    ψ ≥ 0. The result is the least of these bounds.

    Args:
        domain: the domain of the equation.
        operator: the operator L.

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


CHUNK = 4096  # points in one evaluation, which bounds the memory


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid of equal cells over the bounding box of a domain of d ≤ 3 dimensions.

    Each cell has a Gauss rule with r points.

    Args:
        h: the lengths of the sides of a cell, (d,).
        shape: the number of cells along each axis, d equal numbers.
        points: the points of the Gauss rules of all cells that lie in the domain, (k, d).
        within: for each cell and each of its Gauss points, whether the point lies in the domain,
            (cells, r).
        weights: the weights of the Gauss rule of a cell, (r,), whose sum is 1.
        touched: for each cell, whether it may intersect the domain; a mask of `shape`.
        least, most: bounds diag(a) ≤ A ≤ diag(b) of the diffusion A in each cell. `least` is a
            tensor of `shape` for each axis i, with the numbers a_i of all cells, and `most` has the
            numbers b_i. In cells that are not `touched`, a_i is infinite and b_i is 0.
    """

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
        """Return the integrals over the domain of k functions, and the estimated errors, (k,) each.

        The estimated error is the difference between the integral and twice the integral over half
        of the cells, the white cells of a chequerboard.

        Args:
            values: the values of the functions at `points`, (points, k).
        """
        parts = torch.stack([self.table(column) @ self.weights for column in values.unbind(dim=1)])
        colours = torch.stack(torch.meshgrid(*map(torch.arange, self.shape), indexing="ij"))
        colours = colours.sum(dim=0).flatten() % 2
        whole, white = parts.sum(dim=1), 2 * parts[:, colours == 0].sum(dim=1)
        return self.volume * whole, self.volume * (white - whole).abs()

    def table(self, values: Tensor) -> Tensor:
        """Return values (k,) at `points` as a table (cells, r), with 0 outside the domain."""
        table = torch.zeros(self.within.shape, dtype=torch.float64)
        table[self.within] = values
        return table


def grid_over(operator: Operator) -> Grid | None:
    """Return the grid over a problem's domain; None above three dimensions.

    It has 512 cells in one dimension, and 64 or 16 cells along each axis in two or three.

    Args:
        operator: the operator of the problem, with the diffusion A that `Grid.least` and
            `Grid.most` bound.
    """
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
    least = (-_most_nearby(-a.view(shape)) for a in low_a.unbind(dim=1))
    most = (_most_nearby(a.view(shape)) for a in high_a.unbind(dim=1))
    lowest = tuple(torch.where(touched, a, math.inf) for a in least)
    highest = tuple(torch.where(touched, a, 0.0) for a in most)
    points = Points(coords[within], domain.names)
    return Grid(h, shape, points, within, weights, touched, lowest, highest)


def _diffusion(operator: Operator, coords: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
    """Return a and b with diag(a) ≤ A ≤ diag(b) at a point in each cell, (cells, d) each.

    In cells without a point in the domain, a is infinite and b is 0, unless A is constant.

    Args:
        operator: the operator, with the diffusion A.
        coords: the Gauss points of all cells, (cells, r, d).
        within: for each cell and each of its Gauss points, whether the point lies in the domain,
            (cells, r).
    """
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
    """Return, for each cell of a grid, the largest of the values of the cell and its neighbours.

    Cells with a common corner are neighbours.

    Args:
        values: a value for each cell, in the shape of the grid.
    """
    from scipy.ndimage import maximum_filter  # the import takes a tenth of a second

    return torch.from_numpy(maximum_filter(values.numpy(), 3, mode="nearest"))


class Norms(NamedTuple):
    """The L2, H1 and energy norm of a function, or bounds: roots of integrals, not of means."""

    l2: float
    h1: float
    energy: float


def norms_of(operator: Operator, grid: Grid | None, jet: JetFunction, upper: bool = False) -> Norms:
    """Return bounds of the L2, H1 and energy norm of a function w, by quadrature.

    The squared energy norm is ∫ A∇w·∇w + γ w², where γ is the least effective reaction, or 0 if
    that is negative. The quadrature error is estimated. It is added to the integrals for upper
    bounds, and subtracted for lower bounds.

    Args:
        operator: the operator, with the domain and the diffusion A of the energy norm.
        grid: the grid, whose points are the quadrature points. Without a grid (None) there are 8192
            Sobol points, and for upper bounds A is replaced by its largest eigenvalue.
        jet: returns the jet of the function at points.
        upper: whether to return upper bounds; otherwise lower bounds.
    """
    domain, channels = operator.problem.domain, Channels(operator.problem.domain.names, True)
    if grid is None:
        points = sample(domain, 2**13, "sobol")
        largest = torch.full_like(operator.diffusion, operator.largest_diffusion)
        diffusion = (largest if upper else operator.diffusion).expand(len(points), -1)
    else:
        points = grid.points
        cells = torch.stack([a.flatten() for a in (grid.most if upper else grid.least)], dim=1)
        diffusion = cells[:, None].expand(-1, len(grid.weights), -1)[grid.within]
    squares, parts = [], (points[i : i + CHUNK] for i in range(0, len(points), CHUNK))
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


def residual_of(problem: Problem, jet: JetFunction, points: Points) -> Tensor:
    """Return the residual of a problem's equation for a function at n points, (n,).

    Args:
        problem: the problem, with a single equation.
        jet: returns the jet of the function at points.
        points: the points.
    """
    few = points[:5]
    channels, _ = find_channels(lambda c: problem.equation(few, jet(few, c)), points.names)
    parts = [points[i : i + CHUNK] for i in range(0, len(points), CHUNK)]
    return torch.cat([problem.equation(p, jet(p, channels))[:, 0] for p in parts])


@dataclass(frozen=True)
class Extension:
    """Bounds of the norms of an extension φ of boundary values m into the domain.

    Args:
        largest: a bound of max |m| on the boundary.
        gradient: a bound of ‖∇φ‖.
        flux: a bound of ‖A^½ ∇φ‖.
        value: a bound of ‖φ‖.
    """

    largest: float
    gradient: float
    flux: float
    value: float


def extension(
    operator: Operator, sides: Sides, jet: JetFunction, met: Collection[int]
) -> Extension:
    """Bound the norms of an extension φ of boundary misfits m into the domain.

    A misfit m is the difference of a prescribed value and the value of an approximation. It has a
    Lipschitz constant K on the boundary, and a function with the same constant K extends it to the
    whole space (McShane). φ is this function times max(0, 1 - d/δ), with the distance d from the
    boundary and a width δ. At a point at the distance r from a point y of the boundary, the
    absolute value of the function is at most s = |m(y)| + K r. So where d < δ, |∇φ| is at most
    K (1 - d/δ) + s/δ; elsewhere φ is 0. Of eleven widths δ the one with the least bound of ‖∇φ‖ is
    taken.

    Args:
        operator: the operator, with the domain and the diffusion A.
        sides: the pieces of the boundary with prescribed values.
        jet: returns the jet of the approximation at points.
        met: the indices of the conditions that the approximation satisfies exactly.

    Raises:
        Unsuitable: for misfits in more than three dimensions, where boundaries are too large for
            samples.

    Reference: McShane, Extension of range of functions (1934).
    """
    if all(number in met for _, number in sides.fixed):
        return Extension(0.0, 0.0, 0.0, 0.0)
    problem, count, domain = operator.problem, 2048, operator.problem.domain
    if domain.dim > 3:
        raise Unsuitable("boundary values must be built in above three dimensions")
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
    apart = torch.cdist(coords, coords)
    steepest = float(torch.where(apart > 0, (misfit[:, None] - misfit).abs() / apart, 0.0).max())
    apart.fill_diagonal_(math.inf)
    spacing = float(apart.amin(dim=1).quantile(0.99))
    inside = sample(domain, 4096, "sobol", torch.Generator().manual_seed(59)).coords
    distance, nearest = torch.cdist(inside, coords).min(dim=1)
    size = (misfit[nearest].abs() + steepest * distance).clamp_max(largest)
    distance, norms = (distance - spacing).clamp_min(0), []
    for factor in 2.0 ** torch.arange(-2, 3.5, 0.5, dtype=torch.float64):
        width = float(factor) * largest / steepest if steepest else math.inf
        share = (1 - distance / width).clamp_min(0)
        slopes = torch.where(share > 0, steepest * share + size / width, 0.0)
        norms.append([float(part.square().mean().sqrt()) for part in (slopes, size * share)])
    slope, height = (math.sqrt(domain.measure) * norm for norm in min(norms))
    return Extension(largest, slope, math.sqrt(operator.largest_diffusion) * slope, height)


def flux_bound(grid: Grid, operator: Operator, sides: Sides, residual: Tensor) -> float | None:
    """Bound the dual norm sup ∫ r w / |||w||| of a residual r by an equilibrated flux.

    The supremum is over all w that vanish where values are prescribed, and |||w|||² is
    ∫ A∇w·∇w + γ w² + ∫ α w², with the last integral over sides with prescribed fluxes. The residual
    r is continued by 0 outside the domain; r̄ are its means in the cells. A finite-volume solution z
    of -Σ a_i ∂_ii z + γ z = r̄ gives fluxes q through the faces of the cells. The function q, linear
    in each cell, satisfies -div q + γ z = r̄ exactly. Therefore ∫ r w = ∫ q·∇w + γ z w + (r - r̄) w
    for all w. The last term is bounded in each cell with the constant of Payne and Weinberger,
    which is the longest side of the cell divided by π.

    Args:
        grid: the grid of cells.
        operator: the operator, with A and γ.
        sides: the pieces of the boundary, with α on sides with prescribed fluxes, which only boxes
            may have. On these sides q·n is α z.
        residual: r at the points of the grid, (k,).

    Returns:
        The bound; None if the equation is parabolic, or if there is no solution z, since the
        operator is singular.

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
    """Return the finite-volume operator -a ∂² for functions z on n equal cells of an axis.

    At the ends of the axis the outward flux -a ∂z is α z.

    Args:
        count: the number n of cells.
        h: the length of a cell.
        a: the diffusion along the axis.
        ends: α at the lower and the upper end; infinite for the condition z = 0.

    Returns:
        The eigenvalues of the operator, (n,); its eigenvectors, (n, n); and the matrix that maps
        values in the cells to fluxes through the faces, (n + 1, n).
    """
    to_faces = torch.zeros(count + 1, count, dtype=torch.float64)
    rows = torch.arange(count)
    to_faces[rows, rows] += a / h
    to_faces[rows + 1, rows] -= a / h
    for row, alpha in zip((0, -1), ends, strict=True):
        # Two resistances are in series: half a cell, h/(2a), and the boundary, 1/α.
        to_faces[row] *= 0 if alpha == 0 else 1 / (1 / 2 + a / (alpha * h))
    values, vectors = torch.linalg.eigh((to_faces[:-1] - to_faces[1:]) / h)
    return values, vectors, to_faces


def _solution(
    axes: list[tuple[Tensor, Tensor, Tensor]], gamma: float, means: Tensor
) -> Tensor | None:
    """Return the solution z of -Σ a_i ∂_ii z + γ z = r̄ in the cells; None if there is none.

    Args:
        axes: eigenvalues, eigenvectors and flux matrix of each axis, from `_axis`.
        gamma: the number γ.
        means: the means r̄ of the residual in the cells, with an axis for each coordinate.
    """
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
    """Return Σ_j matrix[i, j] values[…, j, …], where j and i are the index along one axis."""
    return torch.tensordot(matrix, values, dims=([1], [axis])).movedim(0, axis)


@dataclass(frozen=True, eq=False)
class Approximate:
    """An approximate solution whose error is bounded.

    Args:
        jet: returns the jet of the solution at points.
        met: the indices in `conditions()` of the conditions that the solution satisfies exactly.
        mean_square: the mean squared residual of the equation at points that no fit has used.
        error: the standard error of `mean_square`.
        noise: returns the jet of the solution's rounding errors at points.
    """

    jet: JetFunction
    met: Collection[int]
    mean_square: float
    error: float
    noise: JetFunction


@dataclass(frozen=True)
class _Dual:
    """A bound of the dual norm sup (∫ r w + ∫ ρ w) / |||w||| of residual r and flux misfits ρ.

    The supremum is over all w that vanish where values are prescribed.

    Args:
        value: the bound.
        by_flux: whether the bound of ∫ r w comes from `flux_bound`.
        largest: the largest |r| at the points of `Majorant.grid`; NaN above three dimensions, where
            there is no grid.
    """

    value: float
    by_flux: bool
    largest: float


class Majorant:
    """Computes bounds of the errors of approximate solutions of a linear coercive problem.

    The weak form is B(u, w) = ∫ A∇u·∇w + (b·∇u + c u) w. The error e = u - v of an approximation v
    satisfies B(e, w) = ∫ r w + ∫ ρ w for all w that vanish where values are prescribed. Here r is
    the residual of v, and ρ are the misfits of prescribed fluxes. If v has all prescribed values, w
    = e gives |||e||| ≤ sup (∫ r w + ∫ ρ w) / |||w|||. If v misses the prescribed values by m, e is
    replaced by e - φ, where φ is an extension of m into the domain.

    Args:
        problem: the problem; its `conditions()` should return the same conditions at each call.

    Raises:
        Unsuitable: if the theory does not apply to the problem.

    Reference: Repin, A Posteriori Estimates for Partial Differential Equations (2008), chapter 4.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.operator = problem, operator_of(problem)
        self.sides = sides_of(problem, self.operator)
        self.constants = constants_of(problem, self.operator, self.sides)
        self.grid = grid_over(self.operator)

    def __call__(self, v: Approximate, finer: Approximate | None = None) -> Bound:
        """Return bounds of the errors of an approximation v of the solution u.

        Args:
            v: the approximation.
            finer: a better approximation v₂. The bound is then ‖v₂ - v‖ plus the bound of ‖u - v₂‖
                if this sum is smaller than the bound without v₂.

        Raises:
            Unsuitable: if v misses boundary values in more than three dimensions.
        """
        extended = partial(extension, self.operator, self.sides)
        dual, misfit, measure = self._dual(v), extended(v.jet, v.met), self.problem.domain.measure
        best = self._remaining(dual, misfit)
        if finer is not None:
            other = finer.jet
            rest = self._remaining(self._dual(finer), extended(finer.jet, finer.met))
            far = partial(norms_of, self.operator, self.grid, upper=True)
            between = far(lambda p, c: other(p, c) + -1 * v.jet(p, c))
            best = Norms(*(min(a, b + c) for a, b, c in zip(best, between, rest, strict=True)))
        size = norms_of(self.operator, self.grid, v.jet)
        noise = norms_of(self.operator, None, v.noise, upper=True)
        norms: dict[str, Any] = {}
        for name, bound, error, norm in zip(Norms._fields, best, noise, size, strict=True):
            whole = bound + 3 * error  # only the size of rounding errors is known
            left = norm - whole
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
        maximum = misfit.largest + self._largest(dual) + 6 * noise.l2 / math.sqrt(measure)
        return Bound(**norms, maximum=maximum, theorem=", ".join(parts), constants=known)

    @cached_property
    def _barrier(self) -> float:
        """A bound of max |w| for all w with |Lw| ≤ 1, see `barrier`."""
        return barrier(self.problem.domain, self.operator)

    def _largest(self, dual: _Dual) -> float:
        """Bound max |u - v| for an approximation v with all prescribed values.

        The bound is NaN without a maximum principle. In one dimension it is the smaller one of the
        bounds by the maximum principle and by the energy norm.

        Args:
            dual: the bound of the dual norm of the residual of v.
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
        """Return whether the maximum principle holds: c ≥ 0 and prescribed values everywhere."""
        return self.operator.potential[0] >= 0 and not self.sides.natural

    def _remaining(self, dual: _Dual, phi: Extension) -> Norms:
        """Return bounds of the norms of the error u - v.

        The bound of the H1 norm is infinite if A is singular.

        Args:
            dual: the bound of the dual norm of the residual of v.
            phi: the bounds of the norms of the extension φ of the boundary misfits of v.
        """
        operator, known = self.operator, self.constants
        friedrichs, root = known.friedrichs, math.sqrt(self.problem.domain.measure)
        on_sides = sum(side.largest * side.piece.measure for side in self.sides.natural)
        gamma = max(operator.effective_reaction[1], 0.0)
        energy_of_phi = math.sqrt(phi.flux**2 + gamma * phi.value**2 + on_sides * phi.largest**2)
        inner = dual.value / known.factor  # a bound of the energy norm of the error if φ = 0
        if operator.convection == 0 and known.factor == 1:
            energy = math.hypot(inner, energy_of_phi)  # two orthogonal parts
            l2 = friedrichs * (inner + energy_of_phi) + phi.value  # only e - φ vanishes on sides
        else:
            tied = (dual.value + self._form(phi) + on_sides * phi.largest) / known.factor
            energy, l2 = tied + energy_of_phi, friedrichs * tied + phi.value
        if self._has_maximum_principle:
            l2 = min(l2, friedrichs * inner + root * phi.largest)
        least = float(operator.diffusion.min())
        h1 = math.hypot(l2, energy / math.sqrt(least)) if least > 0 else math.inf
        return Norms(l2, h1, energy)

    def _form(self, phi: Extension) -> float:
        """Bound sup B(φ, w) / |||w||| for the weak form B and the extension φ of boundary misfits.

        The term b·∇φ w is integrated by parts if the bound is smaller then.
        """
        operator, friedrichs = self.operator, self.constants.friedrichs
        potential = max(map(abs, operator.potential))
        lower = friedrichs * (operator.convection * phi.gradient + potential * phi.value)
        if operator.is_elliptic and not self.sides.natural:
            # The adjoint operator has the reaction c - div b, and |c - div b| = |2γ - c|.
            adjoint = potential + 2 * max(map(abs, operator.effective_reaction))
            part = operator.convection / math.sqrt(float(operator.diffusion.min()))
            lower = min(lower, (part + friedrichs * adjoint) * phi.value)
        return phi.flux + lower

    def _dual(self, v: Approximate) -> _Dual:
        """Bound the dual norm of the residual and the flux misfits of an approximate solution v."""
        measure, friedrichs = self.problem.domain.measure, self.constants.friedrichs
        safety = 3  # the number of standard errors
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
            on_sides += trace * (fine + abs(fine - coarse))  # plus the change by a finer rule
        return _Dual(inside + on_sides, flux == inside, largest)
