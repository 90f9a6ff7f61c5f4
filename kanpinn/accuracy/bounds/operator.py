"""A linear equation of second order, -div(A∇u) + b·∇u + c u = f, by extremes of A, b and c."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn.accuracy.bounds.coefficients import OperatorCoefficients, Unbounded, read_coefficients
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.pde.problem import Problem

ROUNDING = 1e-7  # relative; what is smaller is an error of difference quotients
DIFFERENCE = 5e-4  # the step of difference quotients, relative to the sides of the domain


@dataclass(frozen=True, eq=False)
class Operator:
    """L u = -div(A∇u) + b·∇u + c u, where L u - f is ± the residual.

    The effective reaction is γ = c - div(b)/2, so that ∫ w Lw = ∫ A∇w·∇w + γ w² for all w that
    vanish on the boundary. Extremes are those at some hundred points, where derivatives of the
    coefficients are differences.

    Args:
        problem: whose residual is meant.
        sign: L u - f = sign · residual.
        constant: the coefficients of L if they are the same everywhere, one row.
        diffusion: numbers a_i, (d,), with A ≥ diag(a) everywhere; 0 for a time.
        mean_diffusion: the means of A_ii, (d,).
        largest_diffusion: the largest eigenvalue of A.
        effective_reaction: the least and the largest value of γ.
        convection: the largest |b|.
        potential: the least and the largest value of c.
        transport: the least and the largest value of the components of b - div A, (2, d).
    """

    problem: Problem = field(repr=False)
    sign: float
    constant: OperatorCoefficients | None = field(repr=False)
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

    def at(self, p: Points) -> OperatorCoefficients:
        """The coefficients of L at n points: of -A:D²u + B·∇u + c u."""
        if self.constant is None:
            return read_coefficients(self.problem.equation, p, "the residual").times(self.sign)
        n, d = p.coords.shape
        second, first = self.constant.second.expand(n, d, d), self.constant.first.expand(n, d)
        return OperatorCoefficients(second, first, self.constant.zeroth.expand(n))

    def least_outflow(self, p: Points, found: OperatorCoefficients) -> float:
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
        Unbounded: where the problem is nonlinear, a system, of another order than the second, or
            not elliptic or parabolic.
    """
    if len(problem.columns) != 1:
        raise Unbounded("the problem has several fields or unknowns")
    domain, count = problem.domain, 512
    points = sample(domain, count, "sobol", torch.Generator().manual_seed(43))
    edge = sample(domain.boundary, count // 2, "sobol", torch.Generator().manual_seed(47))
    everywhere = Points(torch.cat([points.coords, edge.coords]), domain.names)
    read = read_coefficients(problem.equation, everywhere, "the residual")
    sign = -1.0 if float(read.second.diagonal(dim1=1, dim2=2).sum()) > 0 else 1.0
    found = read.times(sign)
    diffusion = -found.second
    low, high = diagonal_bounds(diffusion)
    lowest, used = low.amin(dim=0), high.amax(dim=0) > 0
    if not bool(used.any()):
        raise Unbounded("the equation has no second derivatives")
    if not bool((lowest[used] > 1e-12 * high.max()).all()) or bool((low[:, ~used] < 0).any()):
        raise Unbounded("the equation is neither elliptic nor parabolic")
    constant, b, divergence = None, found.first, torch.zeros(1, dtype=torch.float64)
    if found.are_constant:
        constant = OperatorCoefficients(found.second[:1], found.first[:1], found.zeroth[:1])
        potential = found.zeroth
    else:
        if domain.dim > 4:
            raise Unbounded("the coefficients vary in space, in more than four dimensions")
        assert edge.normals is not None
        inner = edge.coords - 8 * DIFFERENCE * _lengths(problem) * edge.normals
        within = Points(torch.cat([points.coords, inner]), domain.names)
        inside, b, divergence = _drift(problem, sign, within)
        potential = inside.zeroth
    scale = diffusion.abs().amax(dim=0) @ (1 / _lengths(problem)) + found.first.abs().amax(dim=0)
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
        (float(found.zeroth.min()), float(found.zeroth.max())),
        torch.stack([found.first.amin(dim=0), found.first.amax(dim=0)]),
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


def _drift(
    problem: Problem, sign: float, points: Points
) -> tuple[OperatorCoefficients, Tensor, Tensor]:
    """Return L's coefficients at some of the points, with b = B + div A, (k, d), and div b, (k,).

    Derivatives are differences of fourth order with two steps; only points whose neighbours lie in
    the domain are used.

    Raises:
        Unbounded: where the two steps do not agree: the coefficients are not smooth.
    """
    domain, lengths = problem.domain, _lengths(problem)
    step = DIFFERENCE * lengths
    near = points.coords[:, None] + 4 * step * _offsets(domain.dim)
    kept = domain.contains(near.flatten(0, 1)).view(len(points), -1).all(dim=1)
    coords = points.coords[kept]
    if not len(coords):
        raise Unbounded("the domain is too thin for differences of the coefficients")

    def read(x: Tensor) -> OperatorCoefficients:
        return read_coefficients(problem.equation, Points(x, domain.names), "the residual").times(
            sign
        )

    def drift(x: Tensor, h: Tensor) -> Tensor:
        slopes = _slopes(lambda y: read(y).second, x, h)  # (n, axis, d, d)
        return read(x).first - torch.einsum("naab->nb", slopes)

    def divergence(x: Tensor, h: Tensor) -> Tensor:
        return torch.einsum("naa->n", _slopes(lambda y: drift(y, h), x, h))

    b, coarse = drift(coords, step / 2), drift(coords, step)
    fine, other = divergence(coords, step / 2), divergence(coords, step)
    found = read(coords)
    slope = found.second.abs().amax(dim=0) @ (1 / lengths)  # of a coefficient across the domain
    for one, rough, scale in ((b, coarse, slope), (fine, other, slope @ (1 / lengths))):
        if bool(((one - rough).abs() > 1e-3 * (one.abs().amax(dim=0) + scale)).any()):
            raise Unbounded("the coefficients are not smooth")
    return found, b, fine


def _offsets(d: int) -> Tensor:
    """Return the corners of the cube [-1, 1]^d, (2^d, d)."""
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    return torch.cartesian_prod(*[ends] * d).reshape(-1, d)


def _slopes(function: Callable[[Tensor], Tensor], x: Tensor, h: Tensor) -> Tensor:
    """Return the derivatives along each axis, (n, d, …), by central differences of fourth order.

    h: the step on each axis, (d,).
    """
    found = []
    for axis, step in zip(torch.diag(h), h.tolist(), strict=True):
        once = function(x + axis) - function(x - axis)
        twice = function(x + 2 * axis) - function(x - 2 * axis)
        found.append((8 * once - twice) / (12 * step))
    return torch.stack(found, dim=1)
