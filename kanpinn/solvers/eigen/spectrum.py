"""Eigenvalue problems L u = λ M u as linear algebra.

The module has surrogates with an output for each mode, samples of modes for inner products, and
the matrix pencil of L and M. Eigenpairs nearest to a shift σ are found from the inverse of L - σM
in the least-squares sense, for a pencil by a dense matrix, in cells by a Krylov space. Other
functions compute orthonormal modes of self-adjoint problems, and errors of eigenvalues.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy
import torch
from torch import Generator, Tensor, nn

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.jets import Channels, Jet, Linearised, ResidualFunction, find_channels
from kanpinn.linalg.arnoldi import krylov_spaces
from kanpinn.linalg.qr import column_scale, rank_tolerance
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import PROBE_POINTS, ResidualTerm, Term, residual_term
from kanpinn.networks import Network, Surrogate
from kanpinn.networks.constraints import Groupwise
from kanpinn.pde.problem import EigenProblem
from kanpinn.solvers.discretization import Discretization
from kanpinn.spaces.cells.problem import CellProblem, problem_in_cells
from kanpinn.spaces.cells.system.cell_system import ShiftedCells
from kanpinn.tasks.cell_errors import above_rounding, defects_in_cells, quadrature_defects

RESOLVED = 0.1  # a mode u is resolved if ‖(L - λM) u‖ is below this fraction of ‖(L - σM) u‖
REAL = 1e-8  # a smaller imaginary part, relative to |λ - σ|, is rounding of a double eigenvalue
SYMMETRIC = 1e-5  # a smaller relative asymmetry of forms is due to quadrature or penalties
# Eigenvalues count as one multiple eigenvalue if their relative difference is below this number, or
# if they differ by less than their errors.
SAME = 1e-6


@dataclass(frozen=True)
class Modes:
    """Eigenvalues, and the coefficients of their modes in the output layer.

    Args:
        values: the eigenvalues, (c,); a complex tensor only if some eigenvalues are complex.
        coefficients: the output layer's P coefficients of each mode, (P, c), real or complex as
            `values`.
    """

    values: Tensor
    coefficients: Tensor

    def __getitem__(self, which: Tensor) -> "Modes":
        return Modes(self.values[which], self.coefficients[:, which])

    @property
    def columns(self) -> Tensor:
        """The coefficients as real columns, (P, c); if complex, first their real parts, (P, 2c)."""
        c = self.coefficients
        return torch.cat([c.real, c.imag], dim=1) if c.is_complex() else c


def as_modes(columns: Tensor, values: Tensor) -> Tensor:
    """Return modes from real columns, (…, count), complex if the eigenvalues are complex.

    Args:
        columns: the modes, (…, count); for complex modes their real parts and then their imaginary
            parts, (…, 2 count).
        values: the eigenvalues, (count,).
    """
    count = len(values)
    if not values.is_complex():
        return columns[..., :count]
    return torch.complex(columns[..., :count], columns[..., count:])


def each(equation: ResidualFunction, fields: int) -> ResidualFunction:
    """Turn an equation for one mode into an equation for all modes, (n, equations, modes).

    Args:
        equation: the equation for a jet of one mode.
        fields: the number of fields of a mode; the jet of all modes has the fields of the first
            mode, then those of the second mode and so on.
    """
    return lambda p, u: torch.stack([equation(p, mode) for mode in u.groups(fields)], dim=2)


def widened(surrogate: Surrogate, columns: Tensor) -> Surrogate:
    """Return a copy of a surrogate whose outputs are all fields of several modes.

    The outputs with the indices j·m to (j+1)·m - 1 are the m fields of mode j.

    Args:
        surrogate: the surrogate, with m outputs.
        columns: the output layer's P coefficients of each mode, (P, modes).
    """
    network: Network = copy.deepcopy(surrogate.network)
    fields = network.width[-1]
    layers, modes = network.output_layers, columns.shape[1]
    parts = columns.split([layer.coefficients.numel() for layer in layers])
    with torch.no_grad():
        for layer, part in zip(layers, parts, strict=True):
            shape = layer.coefficients.shape
            wide = part.view(*shape, modes).transpose(-1, -2).flatten(-2)
            layer.coefficients = nn.Parameter(wide.contiguous())
            if isinstance(kept := getattr(layer, "kept", None), Tensor):
                layer.kept = kept.repeat(1, modes)
    output = surrogate.output and Groupwise((surrogate.output,) * modes, fields)
    inputs = None if surrogate.inputs is None else surrogate.inputs.functions[0]
    return Surrogate(network, surrogate.domain, output, inputs)


def rule(
    discretization: Discretization[EigenProblem], factor: float = 1.0, fresh: bool = False
) -> Points:
    """Return a quadrature rule: points in the domain whose `data` (n, 1) are the weights.

    The weights sum up to the measure of the domain.

    Args:
        discretization: the discretization, with domain, sampler and number of interior points.
        factor: the number of points of the rule divided by the number of interior points.
        fresh: whether random points have another seed than the points of the solve.
    """
    count = round(factor * discretization.collocation.interior)
    generator = Generator().manual_seed(discretization.seed + 7919 * fresh)
    # With the problem's own cells, which may be graded, too few points would lie in large cells.
    p, weights = weighted_sample(
        [discretization.problem.domain], count, discretization.collocation.sampler, generator
    )
    like = discretization.surrogate.low
    return Points(p.coords, p.names, data=weights[:, None]).to(like.dtype, like.device)


def fresh_rule(discretization: Discretization[EigenProblem]) -> Points:
    """Return a quadrature rule at fresh points, with 1.3 times as many points as the solve."""
    return rule(discretization, 1.3, fresh=True)


def channels_at(
    surrogate: Surrogate, equations: Sequence[ResidualFunction], points: Points
) -> Channels:
    """Return the derivatives that at least one of several equations uses.

    Args:
        surrogate: the fields for which the equations are evaluated.
        equations: functions of points and of the fields' jet.
        points: the points; only the first `PROBE_POINTS` are used.
    """
    probe = points[:PROBE_POINTS]

    def run(channels: Channels) -> list[Tensor]:
        """The values of all equations at the points, with the given derivatives."""
        jet = surrogate.jet(probe, channels)
        return [equation(probe, jet) for equation in equations]

    with torch.no_grad():
        return find_channels(run, points.names)[0]


@dataclass(frozen=True)
class ModeSamples:
    """Samples of functions u, of L u and of M u, for inner products.

    The samples are values at quadrature points, multiplied by the square roots √w of the quadrature
    weights. Each function has a column, so that the entries of the matrix fields.T @ operator are
    the integrals ∫ u_i · L u_j.

    Args:
        fields: the samples of u, (n · fields, columns).
        operator: the samples of L u, (n · equations, columns).
        mass: the samples of M u, (n · equations, columns).
    """

    fields: Tensor
    operator: Tensor
    mass: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "ModeSamples":
        """Return samples with a function applied to each matrix, such as a column selection."""
        return ModeSamples(change(self.fields), change(self.operator), change(self.mass))

    def of(self, values: Tensor) -> "ModeSamples":
        """Return the samples of modes, complex if eigenvalues are, from samples of real columns.

        Args:
            values: the eigenvalues, see `as_modes`.
        """
        return self.map(lambda columns: as_modes(columns, values))


@torch.no_grad()
def samples(
    problem: EigenProblem, surrogate: Surrogate, points: Points, chunk: int = 512
) -> ModeSamples:
    """Evaluate u, L u and M u of all modes of a widened surrogate.

    Args:
        problem: the problem, with the operator L and the mass M.
        surrogate: the surrogate, with an output for each field of each mode, see `widened`.
        points: a quadrature rule, with the weights in `data`.
        chunk: the number of points that are evaluated at a time, to bound the memory.
    """
    assert points.data is not None
    own: list[ResidualFunction] = [lambda p, u: u.value]
    own += [problem.operator_values, problem.mass_values]
    equations = [each(equation, len(problem.fields)) for equation in own]
    channels = channels_at(surrogate, equations, points)
    parts: list[list[Tensor]] = [[], [], []]
    for start in range(0, len(points), chunk):
        p = points[start : start + chunk]
        assert p.data is not None
        jet = surrogate.jet(p, channels)
        for part, equation in zip(parts, equations, strict=True):
            part.append((p.data.sqrt()[:, :, None] * equation(p, jet)).flatten(0, 1))
    return ModeSamples(*map(torch.cat, parts))


def pencil(
    discretization: Discretization[EigenProblem], points: Points, size: float
) -> tuple[Tensor, Tensor]:
    """Return the matrices L and M of the eigenvalue problem (L - λM) c = 0 in least squares.

    There are rows for each quadrature point, and a column for each of the P coefficients c of the
    output layer. The rows of penalised conditions come last, with zeros in M. Rows are scaled so
    that ‖(L - λM) c‖² is the weighted mean of the squared residual.

    Args:
        discretization: the discretization, with the surrogate, the conditions and the weights.
        points: a quadrature rule, from `rule`.
        size: the size of the operator. The rows of the operator and of the mass are divided by it,
            so that their ratio to the penalties does not depend on the unit of length.

    Returns:
        The matrices L, (N, P), and M, (N, P).
    """
    assert points.data is not None
    problem, surrogate = discretization.problem, discretization.surrogate
    weight = discretization.loss.interior / size**2
    share = len(points) / float(points.data.sum())

    def weighted(equation: ResidualFunction) -> ResidualTerm:
        """The loss term of an equation at the quadrature points, with the quadrature weights."""

        def scaled(p: Points, u: Jet) -> Tensor:
            """The equation's values times the roots of the quadrature weights."""
            assert p.data is not None
            return (share * p.data).sqrt() * equation(p, u)

        channels = channels_at(surrogate, [equation], points)
        return ResidualTerm("interior", points, weight, channels, scaled)

    def rows(terms: Sequence[Term]) -> Tensor:
        """The Jacobian of the residuals of terms by the output layer's coefficients, (rows, P)."""
        chunks = Residuals(surrogate, terms).rows(surrogate.network.output_layers)
        return torch.cat([rows.T for rows, _ in chunks], dim=1).T

    both = [rows([weighted(one)]) for one in (problem.operator_values, problem.mass_values)]
    if penalties := discretization.penalties():
        below = rows(penalties)
        both = [torch.cat([both[0], below]), torch.cat([both[1], torch.zeros_like(below)])]
    return both[0], both[1]


def linearised_sides(
    problem: EigenProblem, surrogate: Surrogate, points: Points
) -> tuple[Linearised, Linearised]:
    """Return the operators L and M of L u = λ M u, linearised about zero fields at points.

    Args:
        problem: the problem.
        surrogate: fields for which L and M are evaluated to find the derivatives that they use.
        points: the points.

    Returns:
        L and M, in this order.
    """
    sides, fields = (problem.operator_values, problem.mass_values), len(problem.fields)
    channels = channels_at(surrogate, sides, points)
    operator, mass = (Linearised.at_zero(one, points, channels, fields) for one in sides)
    return operator, mass


def eigenvalues_of_waves(operator: Linearised, mass: Linearised, waves: Tensor) -> Tensor:
    """Return the eigenvalues λ of plane waves, L c exp(iω·x) = λ M c exp(iω·x), (k,), complex.

    For each point and each wave vector ω, L and M act on the wave as matrices, which are called
    their symbols. Rows and columns of the symbols are scaled to entries up to 1, since the orders
    of derivatives differ between equations and between fields. Eigenvalues above 1000 times the
    smallest |λ| of the same point and wave vector are left out. So are the infinite eigenvalues of
    a singular M.

    Args:
        operator, mass: L and M, linearised at n points.
        waves: the wave vectors ω, (s, d).
    """
    kappa, clear = 1j * waves, 1e-3
    left, right = (
        torch.stack([side.symbol(row, kappa) for row in range(len(side.points))]).flatten(0, 1)
        for side in (operator, mass)
    )
    finite = (left.isfinite() & right.isfinite()).flatten(1).all(dim=1)
    left, right = left[finite], right[finite]
    for _ in range(8):
        for axis in (1, 2):
            size = left.abs().amax(dim=axis, keepdim=True).clamp_min(1e-300).sqrt()
            left, right = left / size, right / size
    mu = torch.linalg.eigvals(torch.linalg.pinv(left) @ right)
    kept = mu.abs() > clear * mu.abs().amax(dim=1, keepdim=True)
    return 1 / mu[kept]


@torch.no_grad()
def magnitude_of_waves(
    problem: EigenProblem, surrogate: Surrogate, points: Points, phase: float
) -> float:
    """Return the median |λ| of plane waves, as an estimate of the size of eigenvalues.

    The median is replaced by 1 if it is zero or if there are no finite λ.

    Args:
        problem: the problem.
        surrogate: a surrogate of one mode.
        points: points in the domain.
        phase: the change of the phase of the waves over half the domain, in radians.
    """
    half = (surrogate.high - surrogate.low) / 2
    sides = linearised_sides(problem, surrogate, points[:: max(1, len(points) // 64)])
    sizes = eigenvalues_of_waves(*sides, phase / half[None]).abs()
    return float(sizes.median()) or 1.0 if len(sizes) else 1.0


def end_of_spectrum(
    problem: EigenProblem, surrogate: Surrogate, points: Points
) -> tuple[bool, float]:
    """Return at which end the spectrum is bounded, and an estimate of the extreme eigenvalue there.

    Plane waves of high frequency have eigenvalues λ of the linearised problem at each point. If
    these have positive real parts, the spectrum is bounded from below; if negative, from above.

    The estimate is for equations like -Δu + V u = λ u with a potential V. The lowest mode is
    concentrated in a well, a region where V is low. In a well of the width w its eigenvalue is
    about (mean of V over the well) + (π/w)². The well is not known, so all regions {V < level} are
    tried as wells. For a safe distance, a quarter of (π/w)² is taken. The estimate is the minimum
    over these regions and 0, or less if a boundary condition attracts modes, see `attracted`.

    Args:
        problem: the problem.
        surrogate: a surrogate of one mode.
        points: a quadrature rule in the domain.

    Returns:
        True if the spectrum is bounded from below, False if it is bounded from above; and the
        estimate. For a spectrum that is bounded from above, it is minus the estimate for -L.

    Raises:
        InputError: if the real parts of the waves' eigenvalues have both signs, as for a wave
            operator or Dirac's operator.
    """
    m, d, frequency, clear = len(problem.fields), points.coords.shape[1], 1e4, 1e-2
    few_points = 0.05  # the largest part of the points that singular points may have
    waves = torch.randn(8 * d, d, generator=Generator().manual_seed(0)).to(points.coords)
    waves = waves / torch.linalg.vector_norm(waves, dim=1, keepdim=True)
    half = (surrogate.high - surrogate.low) / 2
    few = linearised_sides(problem, surrogate, points[:: max(1, len(points) // 64)])
    found = eigenvalues_of_waves(*few, frequency * waves / half)
    signs = found.real / found.abs()
    # Close to a singular point, such as r = 0 of -1/r, a potential exceeds the waves' eigenvalues.
    both = [float(mask.sum()) / max(1, len(signs)) for mask in (signs < -clear, signs > clear)]
    if min(both) > few_points:
        raise InputError(
            f"the eigenvalues of {type(problem).__name__} are bounded neither from below nor from "
            "above: there are no first ones; give near, the number that they shall be nearest to"
        )
    up = not float(signs.sum()) < 0
    # The entries 0 of the slopes belong to the values of the fields: L and M of constants.
    operator, mass = (one.slopes[:, :, 0] for one in linearised_sides(problem, surrogate, points))
    if operator.shape[1] != m or points.data is None:
        return up, 0.0
    regular = torch.isfinite(operator).all(dim=2).all(dim=1)
    regular &= torch.linalg.cond(mass) < 1e8
    if not bool(regular.any()):
        return up, 0.0
    inner = torch.linalg.eigvals(torch.linalg.solve(mass[regular], operator[regular])).real
    lowest, which = (inner if up else -inner).amin(dim=1).sort()
    weights = points.data[:, 0][regular][which]
    parts = weights.cumsum(0) / weights.sum()
    means = (weights * lowest).cumsum(0) / weights.cumsum(0)
    phases = math.pi / (2 * parts ** (1 / d))
    symbol = float(found.abs().median()) if len(found) else 0.0
    kinetic = symbol * (phases / frequency) ** few[0].jet.channels.derivative_order
    least = min(float((means + kinetic / 4).min()), 0.0, *attracted(problem, surrogate, up))
    return up, least if up else -least


def attracted(problem: EigenProblem, surrogate: Surrogate, up: bool) -> Iterator[float]:
    """Yield estimates of the eigenvalues of modes that decay away from the boundary.

    With a condition ∂u/∂n = κ u, κ > 0, there is a mode like e^(-κ d) at the distance d from the
    boundary.

    Args:
        problem: the problem.
        surrogate: a surrogate of one mode.
        up: True if the spectrum is bounded from below; False if it is bounded from above, and then
            the negatives of the eigenvalues are yielded.
    """
    for condition in problem.conditions() if len(problem.fields) == 1 else ():
        p = condition.few_points()
        if p.normals is None or condition.sites > 1:
            continue
        equation = condition.stacked_residual
        known = Linearised.at_zero(equation, p, channels_at(surrogate, [equation], p), 1)
        if known.equations > 1 or known.jet.channels.derivative_order != 1:
            continue
        values = known.symbol
        operator, mass = linearised_sides(problem, surrogate, p)
        for row, normal in enumerate(p.normals):
            own, flux = values(row, 0 * normal[None]), values(row, normal[None])
            rate = float(own / (own - flux)) if bool(own != flux) else 0.0
            left, right = (side.symbol(row, rate * normal[None]) for side in (operator, mass))
            value = float(left / right) if rate > 0 and bool(right != 0) else 0.0
            if math.isfinite(value):
                yield value if up else -value


@torch.no_grad()
def density_of(problem: EigenProblem, surrogate: Surrogate, points: Points) -> Tensor | None:
    """Return the density ρ > 0 at points, (n, 1), if the mass is M u = ρ u.

    If M is the identity, ρ is 1 for any number of fields. For other M, the result is None if there
    are several fields, if M has derivatives, or if ρ is not positive at a point.

    Args:
        problem: the problem.
        surrogate: a field for which M is evaluated to find the derivatives that it uses.
        points: the points.
    """
    if type(problem).mass is EigenProblem.mass:
        return torch.ones_like(points.coords[:, :1])
    equation = problem.mass_values
    if len(problem.fields) > 1 or channels_at(surrogate, [equation], points).derivative_order:
        return None
    one = Jet(Channels(points.names), torch.ones_like(points.coords[:, :1]))
    density = equation(points, one)
    return density if bool((density > 0).all()) else None


def paired(values: Tensor, others: Tensor) -> Tensor:
    """Pair each of some values with one of other numbers.

    Each number is paired at most once, so that the sum of the distances is least. The result has
    the number that is paired with each value, (count,), in the order of the values.

    Args:
        values: the values, (count,).
        others: the other numbers, at least `count` of them, (k,).
    """
    from scipy.optimize import linear_sum_assignment

    distances = (values.cpu()[:, None] - others).abs().double()
    _, columns = linear_sum_assignment(distances.numpy())
    return others[torch.from_numpy(columns)]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The eigenpairs nearest to a shift σ, from a matrix K that represents (L - σM)⁻¹ M.

    K acts on the coefficients z in a basis of r functions. An eigenvalue μ = 1 / (λ - σ) of K
    belongs to an eigenvalue λ of the problem, so that the largest μ belong to the λ nearest to σ.
    The eigenpairs are in the order of |λ - near|, where `near` is the number around which
    eigenvalues are computed, or of |λ - σ| without it.

    Args:
        shift: the shift σ.
        up: whether the spectrum is bounded from below, not from above.
        values: the eigenvalues λ, (c,), complex.
        vectors: the eigenvectors z of K, (r, c), complex columns of unit length. The entries of z
            are the coefficients of a mode in the basis.
        residuals: the relative residuals of the eigenpairs, (c,).
        basis: the output layer's P coefficients of each basis function, (P, r).
        inverse: the matrix K, (r, r).

    Reference: Saad, Numerical methods for large eigenvalue problems (2011), on shift and invert.
    """

    shift: float
    up: bool
    values: Tensor
    vectors: Tensor
    residuals: Tensor
    basis: Tensor
    inverse: Tensor

    @classmethod
    def of(
        cls,
        shift: float,
        near: complex | None,
        up: bool,
        inverse: Tensor,
        rest: Tensor,
        basis: Tensor,
    ) -> "Spectrum":
        """Compute all eigenpairs (μ, z) of the matrix K, see the class.

        Args:
            shift: the shift σ.
            near: the number around which eigenvalues are computed, for the order; None for σ.
            up: whether the spectrum is bounded from below, not from above.
            inverse: the matrix K, (r, r).
            rest: a matrix with r columns; the residual of an eigenpair (μ, z) is ‖rest z‖ / |μ|.
            basis: the coefficients of the basis functions, (P, r).

        Raises:
            LinAlgError: if the decomposition does not converge.
        """
        mu, vectors = torch.linalg.eig(inverse)
        centre = shift if near is None else near
        nearest = (shift + 1 / mu - centre).abs().argsort()
        mu, vectors = mu[nearest], vectors[:, nearest]
        residuals = torch.linalg.vector_norm(rest.to(vectors) @ vectors, dim=0) / mu.abs()
        return cls(shift, up, shift + 1 / mu, vectors, residuals, basis, inverse)

    @property
    def distances(self) -> Tensor:
        """The distances |λ - σ| of the eigenvalues from the shift, (c,)."""
        return (self.values - self.shift).abs()

    def modes(self, which: Tensor) -> Modes:
        """Return the eigenvalues with the indices `which`, and the coefficients of their modes."""
        return Modes(self.values[which], self.basis.to(self.vectors) @ self.vectors[:, which])

    def span(self, which: Tensor, dependent: float = 1e-8) -> tuple[Tensor, Tensor]:
        """Return an orthonormal real basis of the span of selected eigenvectors.

        Args:
            which: the indices of the eigenvectors, in order, complex conjugates next to each other.
            dependent: a vector counts as linearly dependent and is left out if its component
                orthogonal to the vectors before it is shorter than this length. Vectors have the
                length 1.

        Returns:
            The basis, (r, q), whose first k columns span the first k eigenvectors; and the real
            parts of the eigenvalues to which the columns belong, (q,).
        """
        vectors, values = self.vectors[:, which], self.values[which]
        real = torch.where(values.imag < 0, vectors.imag, vectors.real)
        columns, rest = torch.linalg.qr(real / torch.linalg.vector_norm(real, dim=0))
        kept = rest.diagonal().abs() > dependent
        return columns[:, kept], values.real[kept]


def pencil_spectrum(
    operator: Tensor, mass: Tensor, shift: float, near: complex | None, up: bool
) -> Spectrum:
    """Compute all eigenpairs of L c = λ M c in least squares, by shift and invert.

    The result includes spurious eigenpairs. The truncated SVD of L - σM, of rank r, is U S Vᵀ. The
    inverse of the operator in the least-squares sense is K = Uᵀ M V S⁻¹. For the coordinates z of a
    right-hand side U z, let x be the solution of (L - σM) x = U z. Then K z are the coordinates of
    the projection of M x onto the range of L - σM. The relative residual of an eigenpair is ‖(L -
    λM) x‖ / ‖(L - σM) x‖. The residual vector is orthogonal to the range of L - σM. Since this
    range approximates the adjoint mode, the error of an eigenvalue is the product of the
    approximation errors of the mode and of the adjoint mode.

    Args:
        operator, mass: the matrices L and M, (N, P) each, from `pencil`.
        shift: the shift σ.
        near: the number around which eigenvalues are computed, for the order; None for σ.
        up: whether the spectrum is bounded from below, not from above.

    Raises:
        LinAlgError: if an entry is not finite, or a decomposition does not converge.
    """
    matrix = operator - shift * mass
    if not bool(torch.isfinite(matrix).all()):
        raise numpy.linalg.LinAlgError("the operator is not a finite number at some point")
    scale = column_scale(matrix)
    u, s, vh = torch.linalg.svd(matrix / scale, full_matrices=False)
    kept = s > rank_tolerance(s.dtype) * s[0]
    u, basis = u[:, kept], (vh[kept].T / s[kept]) / scale[:, None]
    image = mass @ basis
    inverse = u.T @ image
    return Spectrum.of(shift, near, up, inverse, image - u @ inverse, basis)


def better_shift(found: Spectrum, near: complex | None) -> float | None:
    """Return another shift if the spectrum must be computed again with it; otherwise None.

    Let D be the distance of the fifth nearest eigenvalue from the present shift. A first reason for
    another shift is that the nearest eigenvalue is closer to the shift than 1e-4 D. Then the other
    eigenvalues lose digits to the rounding error of the nearest one, and the new shift is smaller
    by 0.1 D. Without `near` a second reason is that an eigenvalue lies beyond the shift, however
    far, since there may be more such eigenvalues. The new shift then lies beyond this eigenvalue,
    by D / 2.

    Args:
        found: the spectrum for the present shift.
        near: the number around which eigenvalues are computed; None for the eigenvalues at the
            bounded end of the spectrum.
    """
    distances = found.distances.sort().values
    several = float(distances[min(4, len(distances) - 1)])
    if distances[0] <= 1e-4 * several:
        return found.shift - 0.1 * several
    resolved = found.values[found.residuals < RESOLVED].real
    if near is not None or not len(resolved):
        return None
    side = 1 if found.up else -1
    first = float((side * resolved).min())
    return None if first > side * found.shift else side * (first - several / 2)


def closer_shift(values: Tensor, shift: float, up: bool, share: float = 0.1) -> float | None:
    """Return a shift close to the first eigenvalues; None if the present shift is close to them.

    For a shift close to the first eigenvalues, Krylov spaces of the inverse are small, and these
    eigenvalues keep most of their digits.

    Args:
        values: the first few eigenvalues, in order.
        shift: the present shift.
        up: whether the spectrum is bounded from below, not from above.
        share: the distance of the returned shift from the first eigenvalue, divided by the largest
            distance of the values from the first eigenvalue.
    """
    first, span = float(values[0].real), float((values - values[0]).abs().max())
    closer = first - share * span * (1 if up else -1)
    far = abs(shift - first) > 3 * share * span + 1e-3 * abs(first)
    return closer if far and span > 0 else None


def order(values: Tensor, near: complex | None, up: bool = True) -> Tensor:
    """Return the indices that sort eigenvalues, with complex conjugates next to each other, (k,).

    Args:
        values: the eigenvalues, (k,).
        near: the eigenvalues are sorted by their distance from this number; None to sort from the
            bounded end of the spectrum: by ascending real part for -Δ, by descending for Δ.
        up: whether the spectrum is bounded from below, not from above.
    """
    if near is not None:
        distance = (values - near).abs()
    else:
        distance = values.real if up else -values.real
    first = distance.argsort(stable=True)
    ordered, size = distance[first], values[first].abs()
    # Eigenvalues with equal distances, up to rounding, are ordered by their imaginary parts.
    groups = (ordered.diff(prepend=ordered[:1]) > REAL * size).cumsum(0)
    imaginary = values[first].imag if values.is_complex() else torch.zeros_like(ordered)
    return first[torch.from_numpy(numpy.lexsort((imaginary.cpu(), groups.cpu()))).to(first)]


def real_parts(modes: Modes, shift: float) -> Modes:
    """Return modes with real coefficients for eigenvalues that are real up to rounding.

    Rounding splits a double real eigenvalue into a complex pair; the real and the imaginary part of
    the eigenvectors of this pair are the two modes. The tensors of the result are real if all
    eigenvalues are real.

    Args:
        modes: the modes with complex eigenvalues and coefficients.
        shift: the shift σ.
    """
    values, vectors = modes.values, modes.coefficients
    real = values.imag.abs() <= REAL * (values - shift).abs()
    turned = torch.where(values.imag < 0, vectors.imag, vectors.real)
    if bool(real.all()):
        return Modes(values.real, turned)
    vectors = torch.where(real, turned.to(vectors.dtype), vectors)
    return Modes(torch.where(real, values.real.to(values.dtype), values), vectors)


def asymmetry(samples: ModeSamples) -> float:
    """Return the relative asymmetry of the bilinear forms ∫ u·Lv and ∫ u·Mv for sampled functions.

    The asymmetry of a form with the matrix a_ij is the largest |a_ij - a_ji| divided by the largest
    |a_ij|. The result is the larger one of the asymmetries of the two forms. For a self-adjoint
    problem and functions that satisfy the conditions the asymmetry is zero, up to the error of the
    quadrature rule and the residuals of penalised conditions. It is infinite if there are not as
    many equations as fields, or if ∫ u·Mv is not positive definite.
    """
    if len(samples.operator) != len(samples.fields):
        return math.inf
    forms = [samples.fields.T @ side for side in (samples.operator, samples.mass)]
    if torch.linalg.cholesky_ex(_symmetric(forms[1])).info != 0:
        return math.inf
    tiny = torch.finfo(forms[0].dtype).tiny
    return max(float((a - a.T).abs().max() / a.abs().max().clamp_min(tiny)) for a in forms)


def orthonormal_modes(
    found: Spectrum, columns: Tensor, values: Tensor, samples: ModeSamples
) -> Modes:
    """Return the modes in an invariant subspace of a spectrum, orthonormal for ∫ u·Mv.

    The matrix K of the spectrum is brought to Schur form, which makes each mode orthogonal to the
    modes before it. Later modes, which are less well resolved, therefore do not change earlier
    modes. The diagonal blocks of equal eigenvalues are made symmetric. This removes an
    antisymmetric part that is due to rounding and discretisation, and changes the eigenvalues of
    the block only to second order.

    Args:
        found: the spectrum with K and its basis.
        columns, values: a basis of the invariant subspace, (r, q), and the eigenvalues to which the
            columns belong, (q,), from `Spectrum.span`.
        samples: the samples of the functions of this basis.
    """
    gram = torch.linalg.cholesky(_symmetric(samples.fields.T @ samples.mass)).T  # G = RᵀR
    inner = columns.T @ found.inverse @ columns  # triangular, except for complex pairs
    schur = gram @ torch.linalg.solve_triangular(gram, inner, upper=True, left=False)
    gaps = (values[:, None] - values).abs()
    schur = schur * (gaps <= SAME * (values - found.shift).abs())
    mu, rotation = torch.linalg.eigh(_symmetric(schur))
    rotation = torch.linalg.solve_triangular(gram, rotation, upper=True)
    return Modes(found.shift + 1 / mu, found.basis @ (columns @ rotation))


def _symmetric(matrix: Tensor) -> Tensor:
    """The symmetric part of a square matrix."""
    return (matrix + matrix.T) / 2


def residual_norms(values: Tensor, modes: ModeSamples, density: Tensor | None = None) -> Tensor:
    """Return ‖L u - λ M u‖ / ‖u‖ of each mode, (count,).

    For a density ρ with M u = ρ u, the squared norm of the residual r is ∫ r²/ρ, and that of u is
    ∫ ρ u². With these norms the residual norm bounds the error of λ if M⁻¹L is self-adjoint for the
    inner product ∫ ρ u v.

    Args:
        values: the eigenvalues λ, (count,).
        modes: the samples of the modes.
        density: ρ at the points of the samples, (n, 1); None for plain L2 norms.
    """
    rest, u = modes.operator - values * modes.mass, modes.fields
    if density is not None:
        root = density.sqrt().repeat_interleave(len(u) // len(density), dim=0)
        rest, u = rest / root, u * root
    return torch.linalg.vector_norm(rest, dim=0) / torch.linalg.vector_norm(u, dim=0)


def rounding(values: Tensor, found: Spectrum, safety: float = 4.0) -> Tensor:
    """Return an estimate of the rounding error of each eigenvalue λ = σ + 1/μ, (count,).

    The estimate is the change of λ if μ changes by `safety` · eps · max |μ|.

    Args:
        values: the eigenvalues λ, (count,).
        found: the spectrum, with the shift σ and all eigenvalues.
        safety: a safety factor.
    """
    eps = safety * torch.finfo(found.basis.dtype).eps
    return eps * (values - found.shift).abs() ** 2 / float(found.distances.min())


def kato_temple(values: Tensor, norms: Tensor, others: Tensor) -> Tensor:
    """Return the Kato-Temple error estimate ‖R‖² / gap of each eigenvalue, (count,).

    For a multiple eigenvalue, R has the residuals of all modes whose eigenvalues agree with it up
    to their errors. The gap is the distance to the nearest eigenvalue that does not agree with it.
    The estimate is at most the residual norm of the eigenvalue's mode, and equals this norm if all
    eigenvalues agree.

    Args:
        values: the eigenvalues, (count,).
        norms: the residual norms of the eigenvalues, (count,).
        others: further eigenvalues of the problem, which are used for the gaps only.

    Reference: Kato, On the upper and lower bounds of eigenvalues (1949); Davis and Kahan, The
    rotation of eigenvectors by a perturbation (1970), for several eigenvalues that agree.
    """
    near = (SAME * values.abs() + norms)[:, None]
    gaps = (values[:, None] - torch.cat([values, others])).abs()
    gap = torch.where(gaps > near, gaps, math.inf).amin(dim=1)
    same = (values[:, None] - values).abs() <= near
    estimates = (same * norms.square()).sum(dim=1) / gap
    return torch.where(gap < math.inf, torch.minimum(norms, estimates), norms)


def problem_in_time(discretization: Discretization[EigenProblem]) -> CellProblem:
    """Return the evolution L u - M u' = 0 in cells, with the conditions of an eigenvalue problem.

    Solutions e^λt u of the evolution are the modes u of the eigenvalue problem. The equation and
    the conditions take jets with the m fields u, or with u and the m time derivatives u'. For jets
    without u' the equation is L u = 0.

    Raises:
        InputError: if cells cannot solve the problem.
    """
    problem, surrogate = discretization.problem, discretization.surrogate
    fields, points = len(problem.fields), discretization.points()[0]
    operator, mass = (
        residual_term(what, equation, points, surrogate, what)
        for what, equation in (("operator", problem.operator_values), ("mass", problem.mass_values))
    )

    def evolution(p: Points, u: Jet) -> Tensor:
        """The residual L u - M u' for the jet of u and u', or L u for the jet of u."""
        values, *rates = u.groups(fields)
        found = problem.operator_values(p, values)
        return found - problem.mass_values(p, rates[0]) if rates else found

    def condition(term: ResidualTerm) -> ResidualTerm:
        """A condition of the eigenvalue problem as a condition of the evolution."""

        def evolving(p: Points, u: Jet) -> Tensor:
            """The condition's residual for the jet of u and u', as for `evolution`."""
            values, *rates = u.groups(fields)
            found = term.equation(p, values)
            return found - term.mass(p, rates[0]) if rates and term.mass else found

        used = term.channels
        if term.mass:
            used |= residual_term(term.name, term.mass, term.points, surrogate, term.name).channels
        return replace(term, channels=used, equation=evolving)

    channels = operator.channels | mass.channels
    terms = [replace(operator, channels=channels, equation=evolution)]
    terms += map(condition, discretization.penalties())
    return problem_in_cells(Residuals(surrogate, terms, discretization))


@dataclass(frozen=True, eq=False)
class CellPairs:
    """Eigenpairs in cells of the inverse operator T = P A⁻¹ M, computed in a Krylov space.

    The problem is L u = λ M u. Here A is L - σM with the shift σ, and P is the orthogonal
    projection onto the functions of the cells for the inner product of the least-squares
    functional. A⁻¹ M is self-adjoint in this inner product if A is self-adjoint, M = 1, and the
    conditions hold exactly. Then the relative error of an eigenvalue μ of T is the minimum of the
    functional divided by its value at 0, which is quadratic in the error of the mode. If conditions
    and continuity hold in the least-squares sense only, the error of μ is the product of the errors
    of the mode and of the adjoint problem's mode.

    Args:
        spectrum: all eigenpairs in the Krylov space. Their residuals are due to the projection onto
            this space.
        cells: the evolution L u - M u' = 0 in cells, whose shifted problems are solved.
        errors: the estimated relative errors of the first eigenvalues μ of T, (count,).

    Reference: Bramble and Osborn, Rate of convergence estimates for nonselfadjoint eigenvalue
    approximations (1973).
    """

    spectrum: Spectrum
    cells: ShiftedCells
    errors: Tensor

    def block(self, count: int) -> Tensor:
        """Return real functions that span the first `count` modes, as coefficients (N, L, m, n).

        There are N cells, L polynomials per cell and m fields. The number n of functions may be
        larger than `count`, since complex conjugates are added, or smaller, since linearly
        dependent functions are left out.
        """
        columns, _ = self.spectrum.span(self._closed(torch.arange(count)))
        return self._by_cells(self.spectrum.basis @ columns)

    def columns(self, count: int) -> int:
        """Return how many functions `block` has for the first `count` modes.

        These are the modes and their complex conjugates; `block` has fewer functions if some of
        them are linearly dependent.
        """
        return len(self._closed(torch.arange(count)))

    def _by_cells(self, functions: Tensor) -> Tensor:
        """Reshape coefficients of n functions in cells, (N L m, n), to (N, L, m, n)."""
        return functions.unflatten(0, (-1, self.cells.base.polynomials.size, self.cells.fields))

    def _closed(self, which: Tensor) -> Tensor:
        """Return the indices `which`, with the indices of missing complex conjugates inserted."""
        values, closed = self.spectrum.values, list[int]()
        for index in which.tolist():
            if index not in closed:
                closed.append(index)
                if values[index].imag:
                    closed.append(int((values - values[index].conj()).abs().argmin()))
        return torch.tensor(closed)

    def polished(self, which: Tensor) -> Spectrum:
        """Return selected eigenpairs with lower residuals, by applying the inverse operator T once.

        Each mode u with the eigenvalue μ of T is replaced by T u / μ.

        Args:
            which: the indices of the selected eigenpairs, in order.
        """
        found = self.spectrum
        columns, _ = found.span(self._closed(which))
        inner = columns.T @ found.inverse @ columns
        images, _ = self.cells.solve(found.shift, -self._by_cells(found.basis @ columns))
        vectors = columns.T.to(found.vectors) @ found.vectors[:, which]
        return replace(
            found,
            values=found.values[which],
            vectors=vectors / torch.linalg.vector_norm(vectors, dim=0),
            residuals=found.residuals[which],
            basis=torch.linalg.solve(inner, images.flatten(0, 2), left=False),
            inverse=inner,
        )

    def _images(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the first modes, their images under T, and the functional of each image.

        Returns:
            The coefficients of the real and the imaginary part of each mode, one after the other,
            (N, L, m, 2 count); those of the images of these functions; and the contributions of the
            cells to the functionals, (N, 2 count).
        """
        modes = self.spectrum.modes(torch.arange(count)).coefficients
        functions = self._by_cells(torch.view_as_real(modes).flatten(1))
        return functions, *self.cells.solve(self.spectrum.shift, -functions)

    def above_rounding(self, count: int) -> Tensor:
        """Return the cells that may be halved in spite of rounding, for each mode, (N, count)."""
        system, (_, images, shares) = self.cells.system(self.spectrum.shift), self._images(count)
        return above_rounding(system, images, shares).unflatten(1, (-1, 2)).all(dim=2)

    def shares(self, count: int) -> Tensor:
        """Return each cell's contribution to the relative errors of the eigenvalues, (N, count).

        The contribution is the cell's part of the least-squares functional of the mode, divided by
        the value of the functional at 0. For self-adjoint problems the contributions sum up to the
        relative error of the eigenvalue μ = 1/(λ - σ) of the inverse operator.

        Args:
            count: the number of eigenvalues.
        """
        functions, _, shares = self._images(count)
        system, sizes = self.cells.system(self.spectrum.shift), shares.new_zeros(shares.shape[1])
        every = zip(
            self.cells.terms, [*system.equation_factors, *system.boundary_factors], strict=True
        )
        for term, factors in every:
            squares = term.at.weights, factors.square(), term.of_rates(functions).square()
            sizes += torch.einsum("cq,ce,cqen->n", *squares)
        shares, sizes = (t.unflatten(-1, (-1, 2)).sum(dim=-1) for t in (shares, sizes))
        return shares / sizes

    def quadrature_errors(self, count: int) -> Tensor:
        """Return each cell's contribution to the eigenvalues' errors by quadrature, (N, count).

        A mode u satisfies L u - λ M u = r, where r is what the collocation points have missed, see
        `quadrature_defects`. The relative error of the eigenvalue μ of the inverse operator T is
        then the component of (L - σM)⁻¹ r in the mode, for the decomposition into eigenvectors of
        T. The components in all of the first modes are taken together, since modes of multiple
        eigenvalues are not unique.

        Args:
            count: the number of eigenvalues.
        """
        found, base = self.spectrum, self.cells.base
        modes = found.modes(torch.arange(count))
        own = self._by_cells(modes.coefficients)
        both = torch.view_as_real(torch.cat([own, modes.values * own], dim=2)).flatten(3)
        functions = [base.about.of(one) for one in both.unbind(3)]
        defects = quadrature_defects(base, functions)
        data = [
            torch.zeros(*term.right.shape, 2 * count, dtype=torch.float64)
            for term in self.cells.terms
        ]
        for one, known in zip(data, defects, strict=False):
            one += known[:, None]
        zero = torch.zeros_like(both[:, :, : self.cells.fields])
        images, _ = self.cells.solve(found.shift, zero, data)
        images = base.norms.coordinates(images)
        basis = base.norms.coordinates(self._by_cells(found.basis))
        changes = torch.view_as_complex((basis.T @ images).unflatten(1, (-1, 2)).contiguous())
        inverse = torch.linalg.pinv(found.vectors, rtol=1e-10)[:count]
        errors = torch.linalg.vector_norm(inverse @ changes, dim=0)
        parts = defects_in_cells(base, defects).unflatten(1, (-1, 2)).sum(dim=2)
        return parts * (errors / parts.sum(dim=0).clamp_min(1e-300))


def nearest_pairs(
    cells: ShiftedCells,
    shift: float,
    near: complex | None,
    up: bool,
    block: Tensor,
    count: int,
    tolerance: float,
    least: int = 0,
    late: Callable[[], bool] = lambda: False,
) -> CellPairs:
    """Compute eigenpairs of the inverse operator T = (L - σM)⁻¹ M in cells, in a Krylov space.

    The Krylov space grows until the relative errors of the first `count` eigenvalues μ = 1/(λ - σ)
    are below the tolerance, or until it is late. See `_errors` for the errors.

    Args:
        cells: the evolution L u - M u' = 0 in the cells.
        shift: the shift σ.
        near: the eigenvalues λ nearest to this number come first; None to begin with the λ nearest
            to σ, which have the largest μ.
        up: whether the spectrum is bounded from below, not from above.
        block: the functions with which the Krylov space starts, (N, L, m, p).
        count: the number of eigenpairs.
        tolerance: the largest acceptable relative error of an eigenvalue μ.
        least: the smallest dimension of the Krylov space.
        late: returns whether there is no time to enlarge a Krylov space of 2 · `count` dimensions.
    """
    most = max(12 * block.shape[-1], 100)  # the dimension at which a new Krylov space is started
    norms, fields = cells.base.norms, cells.fields

    def apply(x: Tensor) -> Tensor:
        """The inverse operator T for columns of coordinates, (N L m, p)."""
        return norms.coordinates(cells.solve(shift, -norms.coefficients(x, fields))[0])

    best = torch.inf
    for _ in range(4):
        for space in krylov_spaces(apply, norms.coordinates(block)):
            found = Spectrum.of(shift, near, up, space.matrix, space.rest, space.basis)
            errors, columns = _errors(found, count), space.basis.shape[1]
            error = float(errors.max())
            if columns >= min(most, len(space.basis) // 2):
                break
            if (error <= tolerance and columns >= least) or (columns >= 2 * count and late()):
                break
        basis = norms.coefficients(space.basis, fields).flatten(0, 2)
        pairs = CellPairs(replace(found, basis=basis), cells, errors)
        if error <= tolerance or error > 0.5 * best or late():
            break
        best, block = error, pairs.block(block.shape[-1])
    return pairs


def _errors(found: Spectrum, count: int) -> Tensor:
    """Return the estimated relative errors of the first eigenvalues μ of the inverse, (count,).

    The error of an eigenvalue with the relative residual r is κ r · min(r' + δ, 1), where r' is the
    largest of the first `count` residuals, δ is the relative size of the part of the inverse that
    is not normal, and κ is the norm of the spectral projection onto the first `count` modes: the
    condition number of a single eigenvalue, 1 if the inverse is normal. Without κ the errors of
    -u'' + b u' = λ u with b = 18 were 17 times too low. The errors are infinite if the Krylov space
    has fewer than 2 · `count` dimensions.

    Args:
        found: the eigenpairs in the Krylov space.
        count: the number of eigenvalues.

    Reference: Saad, Numerical methods for large eigenvalue problems (2011), on condition numbers.
    """
    if found.basis.shape[1] < 2 * count:
        return torch.full((count,), math.inf, dtype=torch.float64)
    columns, _ = found.span(torch.arange(count))
    image = found.inverse.T @ columns
    smallest = 1 / float(found.distances[:count].max())
    normal = torch.linalg.matrix_norm(image - columns @ (columns.T @ image), 2) / smallest
    residuals = found.residuals[:count]
    projection = found.vectors[:, :count] @ torch.linalg.pinv(found.vectors, rtol=1e-10)[:count]
    condition = torch.linalg.matrix_norm(projection, 2)
    return condition * residuals * (residuals.max() + normal).clamp(max=1.0)
