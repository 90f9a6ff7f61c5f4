"""Guaranteed two-sided bounds of eigenvalues of -div(A∇u) + c u = λ r u in polygons.

On the sides u = 0, or A∂u/∂n + α u = 0. Upper bounds are those of Rayleigh and Ritz, for continuous
piecewise polynomials on triangles. With a number ρ below λ_{p+1}, fluxes on these triangles give
lower bounds of the first p eigenvalues (Lehmann and Goerisch). That ρ is below λ_{p+1} is shown
with elements of Crouzeix and Raviart.

Shapes have V vertices, E edges and T triangles; n is the number of polynomials of a basis.
"""

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy import linalg, sparse
from scipy.sparse.linalg import eigsh, splu

from kanpinn.accuracy.bounds import read_scalar
from kanpinn.accuracy.certificates import (
    INTERPOLATION,
    Array,
    Constants,
    Discrete,
    MeshData,
    Reader,
    Rules,
    Triangulation,
    bernstein,
    crouzeix_raviart,
    digest,
    edge_numbers,
    gradient_of,
    numbering,
    squared_jumps,
)
from kanpinn.geometry import Points
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.coefficients import Unsuitable
from kanpinn.pde.problem import EigenProblem
from kanpinn.tasks.adapt import dorfler_marking

DEGREE = 4  # the degree of the fluxes
MOST = 1500  # triangles
HIGHEST = 64  # eigenvalues
SHARPEST = 1e-10  # the relative width of an interval below which rounding errors dominate
ROUNDING = 1e-13  # a bound of the relative rounding error of a sum over all triangles


class PencilReader:
    """Approximates the data of an eigenvalue problem by polynomials on a mesh.

    Calling it with a mesh returns `MeshData`, in which `source` is r, and the first row of `lost`
    is the largest error of r.

    Args:
        problem: the eigenvalue problem.
        rules: the bases of polynomials, and quadrature rules.

    Attributes:
        coarse: a coarse mesh of the domain.
        sign: 1 if A and r are positive for the equation as it stands, or for its negative; -1 if
            the eigenvalues λ have to be replaced by -λ.

    Raises:
        Unsuitable: as for `Reader`; for an eigenvalue in a condition; for a mass M that is not the
            multiplication by a function.
    """

    def __init__(self, problem: EigenProblem, rules: Rules) -> None:
        self.problem, self.rules = stated(problem, EigenProblem), rules
        self.reader = Reader(self.problem, rules)
        self.reader.equation = self.problem.operator_values
        self.coarse = self.reader.coarse
        if any(condition.mass is not None for condition in self.problem.conditions()):
            raise Unsuitable("the eigenvalue stands in a condition")
        at = self._points(self.coarse, rules.shares)
        second = read_scalar(self.problem.operator_values, at, "the operator").second
        self.turned = -1.0 if float(second.diagonal(dim1=1, dim2=2).sum()) > 0 else 1.0
        self.sign = 1.0
        self.sign = 1.0 if float(self._density(self.coarse, rules.shares).sum()) > 0 else -1.0

    def _points(self, mesh: Triangulation, shares: Array) -> Points:
        coords = np.einsum("qk,tkd->tqd", shares, mesh.corners).reshape(-1, 2)
        return Points(torch.from_numpy(coords), self.reader.names)

    def _density(self, mesh: Triangulation, shares: Array) -> Array:
        """Return r at points with barycentric coordinates (Q, 3) in all triangles, (T, Q)."""
        points = self._points(mesh, shares)
        found = read_scalar(self.problem.mass_values, points, "the mass")
        if bool(found.second.any()) or bool(found.first.any()):
            raise Unsuitable("the mass has derivatives")
        values: Array = self.sign * self.turned * found.zeroth.numpy()
        return values.reshape(len(mesh.triangles), -1)

    def __call__(self, mesh: Triangulation) -> MeshData:
        data, rules = self.reader(mesh), self.rules
        density = self._density(mesh, rules.shares) @ rules.fit.T
        shares, _ = rules.others
        gap = density @ bernstein(rules.degrees["d"], shares).T - self._density(mesh, shares)
        lost = data.lost.copy()
        lost[0] = 2 * abs(gap).max(axis=1)
        lost[0] *= lost[0] > 1e-11 * abs(density).max(axis=1)
        lost[1] *= lost[1] > 1e-11 * abs(data.reaction).max(axis=1)
        return replace(data, source=density[..., None], lost=lost)


@dataclass(frozen=True, eq=False)
class Pencil:
    """An eigenvalue problem on a mesh, with c replaced by c + γ r, which is positive.

    Its eigenvalues are λ + γ.

    Args:
        found: the mesh, the bases of polynomials, and the data with c + γ r as the reaction and r
            as the source.
        shift: the number γ.
    """

    found: Discrete
    shift: float

    @classmethod
    def of(cls, mesh: Triangulation, data: MeshData, rules: Rules, shift: float) -> "Pencil":
        """Return the problem on a mesh, for the data with c as the reaction."""
        shifted = replace(data, reaction=data.reaction + shift * data.source[..., 0])
        return cls(Discrete(mesh, shifted, rules), shift)

    def modes(self, count: int) -> tuple[Array, Array]:
        """Return Ritz values λ + γ, (count,), and their functions in the basis "v", (T, n, count).

        Args:
            count: the number of values, from the smallest one on.
        """
        found, mesh, rules = self.found, self.found.mesh, self.found.rules
        stiffness = found.stiffness()
        mass = found.mass(mesh.areas[:, None] * found.source[..., 0], rules.of["v"])
        degree, size = rules.degrees["v"], stiffness.shape[1]
        outer, on_edges, total = numbering(mesh, degree)
        inner = np.setdiff1d(np.arange(size), outer)
        number = np.zeros((len(stiffness), size), int)
        number[:, outer] = on_edges
        number[:, inner] = total + np.arange(len(stiffness) * len(inner)).reshape(-1, len(inner))
        total += len(stiffness) * len(inner)
        free = np.ones(total, bool)
        free[edge_numbers(mesh, degree)[found.data.fixed[:, 0]]] = False
        rows = np.broadcast_to(number[:, :, None], stiffness.shape).ravel()
        columns = np.broadcast_to(number[:, None, :], stiffness.shape).ravel()
        both = [
            sparse.csc_array((x.ravel(), (rows, columns)), shape=(total, total))[free][:, free]
            for x in (stiffness, mass)
        ]
        start = np.random.default_rng(0).standard_normal(int(free.sum()))
        values, vectors = eigsh(both[0], count, both[1], sigma=0.0, v0=start)
        order, whole = np.argsort(values), np.zeros((total, count))
        whole[free] = vectors[:, order]
        return values[order], whole[number]

    def modes_up_to(self, value: float, least: int) -> tuple[Array, Array, int]:
        """Return Ritz values λ + γ up to a value of λ, with their functions, and six further ones.

        Args:
            value: the value of λ.
            least: the least number of Ritz values up to it.

        Returns:
            The Ritz values, (k,), their functions, (T, n, k), and the number of Ritz values up to
            the given value.
        """
        further, count = 6, least + 8
        limit = (value + self.shift) * (1 + 1e-3)
        while True:
            count = min(count, HIGHEST)
            ritz, modes = self.modes(count)
            number = max(least, int((ritz <= limit).sum()))
            if number + further <= count:
                count = number + further
                return ritz[:count], modes[..., :count], number
            if count == HIGHEST:
                first = HIGHEST - further
                raise Unsuitable(f"the largest computed eigenvalue is not among the first {first}")
            count *= 2

    def separation(self, low: float, high: float, count: int) -> float | None:
        """Return a number ρ below which there are at most `count` eigenvalues λ + γ.

        Args:
            low, high: Ritz values, between which ρ is searched.
            count: the number of eigenvalues.

        Returns:
            The number, or None if the mesh is too coarse to show that there is one.
        """
        tries = (low + part * (high - low) for part in (0.8, 0.5, 0.25))
        return next((float(bound) for bound in tries if self.separates(float(bound), count)), None)

    def separates(self, bound: float, count: int) -> bool:
        """Return whether it is shown that at most `count` eigenvalues λ + γ are below a bound."""
        matrix = self.lower_form(bound)
        return matrix is not None and negative_eigenvalues(matrix) <= count

    @cached_property
    def lost(self) -> Array:
        """The largest relative errors of the data in each triangle, (2, T).

        The first row is for the data of ∫ A∇u·∇u + (c + γ r) u² + ∫ α u², the second one for r.
        """
        data = self.found.data
        r, c, a, *_ = data.lost
        errors = a / data.least, (c + abs(self.shift) * r) / data.reaction.min(axis=1)
        robin = data.robin.min(axis=1)
        sides = data.lost_given[:, 1] * ~data.fixed[:, 0]
        at_edges = np.divide(sides, robin, out=0 * sides, where=sides > 0)
        rows = [np.maximum(*errors), r / data.source.min(axis=(1, 2))]
        rows[0] = np.maximum(rows[0], at_edges[self.found.mesh.edges].max(axis=1))
        return np.stack(rows)

    @cached_property
    def least_diffusion(self) -> Array:
        """A constant matrix in each triangle that is nowhere above A, (T, 2, 2)."""
        diffusion = self.found.data.diffusion
        mean = diffusion.mean(axis=1)
        above = np.linalg.eigvalsh(mean[:, None] - diffusion)[..., 1].max(axis=1)
        return mean - above.clip(0)[:, None, None] * np.eye(2)

    def reach(self, bound: float) -> tuple[Array, Array]:
        """Return w and s, (T,) each, in the form w / (1 - s) ∫ u² of `lower_form`.

        w is an upper bound of ρ r - c - γ r, and s is w (0.1893 h)² / a, with a lower bound a of A
        and the longest edge h.

        Args:
            bound: the number ρ.
        """
        data, mesh = self.found.data, self.found.mesh
        weight = (bound * data.source[..., 0] - data.reaction).max(axis=1)
        least = np.linalg.eigvalsh(self.least_diffusion)[:, 0]
        return weight, weight * (INTERPOLATION * mesh.lengths.max(axis=1)) ** 2 / least

    def lower_form(self, bound: float) -> sparse.csc_array | None:
        """Return a matrix with at least as many negative eigenvalues as λ + γ are below a bound.

        Let |||u|||² < ρ ∫ r u² for all u ≠ 0 of a space. Then no interpolant Iu is zero, and the
        form of the matrix is negative for all Iu. This follows from two facts: in each triangle
        ∫ ∇(u - Iu) = 0, and ∫ w u² ≤ w / (1 - s) ∫ (Iu)² + a ∫ |∇(u - Iu)|², see `reach`.

        Args:
            bound: the number ρ.

        Returns:
            The matrix, or None if triangles are too large for it.

        Reference: Carstensen and Gedicke, Guaranteed lower bounds for eigenvalues (2014); Liu, A
        framework of verified eigenvalue bounds for self-adjoint differential operators (2015).
        """
        mesh, data = self.found.mesh, self.found.data
        weight, part = self.reach(bound)
        if part.max() >= 1 or np.linalg.eigvalsh(self.least_diffusion)[:, 0].min() <= 0:
            return None
        matrix = crouzeix_raviart(mesh, self.least_diffusion)
        diagonal = np.zeros(len(mesh.ends))
        local = weight / (1 - part) * mesh.areas / 3
        np.subtract.at(diagonal, mesh.edges, np.repeat(local[:, None], 3, axis=1))
        lengths = np.zeros(len(mesh.ends))
        lengths[mesh.edges] = mesh.lengths
        diagonal += (
            lengths * data.robin.min(axis=1).clip(0) * ((mesh.piece >= 0) & ~data.fixed[:, 0])
        )
        free = ~data.fixed[:, 0]
        whole: sparse.csc_array = (matrix + sparse.diags_array(diagonal)).tocsc()[free][:, free]
        return whole


def negative_eigenvalues(matrix: sparse.csc_array) -> int:
    """Return an upper bound of the number of negative eigenvalues of a symmetric sparse matrix.

    It is the number of negative pivots D of L D Lᵀ for the matrix minus a small multiple of the
    identity, which is larger than the rounding errors of L D Lᵀ (Sylvester's law of inertia).
    """
    slack = 1e-11 * float(abs(matrix).max())
    shifted = (matrix - slack * sparse.eye_array(matrix.shape[0])).tocsc()
    options = {"SymmetricMode": True}
    factors = splu(shifted, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    size = matrix.shape[0]
    if bool((factors.perm_r != factors.perm_c).any()):
        return size
    order = np.argsort(factors.perm_r)
    pivots = factors.U.diagonal()
    rest = factors.L @ sparse.diags_array(pivots) @ factors.L.T - shifted[order][:, order]
    large = abs(factors.L) @ (abs(pivots) * (abs(factors.L).T @ np.ones(size)))
    if not float((abs(rest).sum(axis=1) + 1e-14 * large).max()) < slack:
        return size
    return int((pivots <= 0).sum())


@dataclass(frozen=True, eq=False)
class SpectralBounds:
    """Bounds of the first p eigenvalues λ + γ of a `Pencil`.

    Args:
        lower, upper: the bounds, (p,) each, in ascending order.
        v: the functions of the upper bounds, (T, n, p).
        q: the fluxes of the lower bounds, (T, n, 2, p).
        indicator: the square of each triangle's contribution to the relative width, (T,).
    """

    lower: Array
    upper: Array
    v: Array
    q: Array
    indicator: Array


def spectral_bounds(pencil: Pencil, v: Array, bound: float) -> SpectralBounds:
    """Bound the first p eigenvalues λ + γ from both sides.

    Args:
        pencil: the eigenvalue problem.
        v: p functions near the first modes, in the basis "v", (T, n, p).
        bound: a number ρ that is not above the eigenvalue p + 1, and above the upper bounds.

    Reference: Goerisch and He, The determination of guaranteed bounds to eigenvalues with the use
    of variational methods (1990).
    """
    found, mesh, rules, data = (
        pencil.found,
        pencil.found.mesh,
        pencil.found.rules,
        pencil.found.data,
    )
    count, areas = v.shape[2], mesh.areas
    values = np.einsum("qn,tni->tqi", rules.of["v"], v)
    density = found.source[..., 0]
    q = found.flux((density[..., None] * values)[:, :, None])[0]
    flux = np.einsum("qn,tndi->tqdi", rules.of["q"], q)
    divergence = np.einsum("tqdid->tqi", gradient_of(mesh, rules, "q", q))
    steep = gradient_of(mesh, rules, "v", v).swapaxes(2, 3)
    weights = areas[:, None] * rules.weights

    def form(factor: Array, left: Array) -> Array:
        result: Array = np.einsum("tq,tqi,tqj->ij", weights * factor, left, left, optimize=True)
        return result

    def matrix_form(factor: Array, left: Array) -> Array:
        result: Array = np.einsum(
            "tq,tqai,tqab,tqbj->ij", weights, left, factor, left, optimize=True
        )
        return result

    inner = (density[..., None] * values + divergence) / found.reaction[..., None]
    a0 = matrix_form(found.diffusion, steep) + form(found.reaction, values)
    a1 = form(density, values)
    a2 = matrix_form(found.inverse, flux) + form(found.reaction, inner)
    natural, _, alpha = found.on_sides()
    jumps = np.zeros((len(mesh.ends), len(rules.along), count))
    for j in range(3):
        length, side = mesh.lengths[:, j], rules.sides["q"][j]
        unit = mesh.normals[:, j] / length[:, None]
        normal = np.einsum("qn,tndi,td->tqi", side, q, unit)
        on_v = np.einsum("qn,tni->tqi", rules.sides["v"][j], v)
        robin = natural[:, j, 0] & (alpha[:, j].max(axis=1) > 0)
        own = (length[:, None] * rules.along)[robin]
        a0 += np.einsum("tq,tqi,tqj->ij", own * alpha[robin, j], on_v[robin], on_v[robin])
        a2 += np.einsum("tq,tqi,tqj->ij", own / alpha[robin, j], normal[robin], normal[robin])
        some = ~data.fixed[mesh.edges[:, j], 0] & ~robin
        turned = np.where(mesh.reverse[:, [j], None], normal[:, ::-1], normal)
        np.add.at(jumps, mesh.edges[some, j], turned[some])
    constants = Constants(1 / math.sqrt(float(data.reaction.min())))
    factor = constants.of_traces(float(mesh.lengths.max()) / math.sqrt(float(data.least.min())))
    spoilt = factor * squared_jumps(mesh, jumps, rules.along)
    lower, upper = lehmann_goerisch(a0, a1, a2, spoilt, bound)
    known = np.diag(a0) / np.diag(a1)
    gaps = known * flux - np.einsum("tqab,tqbi->tqai", found.diffusion, steep)
    squares = np.einsum("tqai,tqab,tqbi->tqi", gaps, found.inverse, gaps, optimize=True)
    squares += found.reaction[..., None] * (known * inner - values) ** 2
    indicator = np.einsum("tq,tqi->ti", weights, squares) @ (1 / np.diag(a0))
    return SpectralBounds(lower, upper, v, q, indicator)


def lehmann_goerisch(
    a0: Array, a1: Array, a2: Array, spoilt: Array, bound: float
) -> tuple[Array, Array]:
    """Return lower and upper bounds of the first p eigenvalues λ + γ, (p,) each.

    Args:
        a0, a1, a2: the matrices of |||v|||², ∫ r v² and of the square of the norm of the fluxes,
            (p, p) each.
        spoilt: the squared norm of the rounding errors in the equilibrium of each flux, (p,).
        bound: the number ρ.

    Raises:
        Unsuitable: if rounding errors, or errors of the functions, are too large.
    """
    norm = math.sqrt(float(np.trace(a2)))
    spoilt_norm = math.sqrt(float(spoilt.sum()))
    part = ROUNDING + spoilt_norm / norm
    a2 = (1 + part) * a2 + (1 + 1 / part) * float(spoilt.sum()) * np.eye(len(a2))
    slack = len(a0) * ROUNDING
    d0, d1, d2 = (np.diag(np.diag(x)) for x in (a0, a1, a2))
    upper: Array = linalg.eigh(a0 + slack * d0, a1 - slack * d1, eigvals_only=True)
    left = a0 - bound * a1 + slack * (d0 + bound * d1)
    right = a0 - 2 * bound * a1 + bound**2 * a2 + slack * (d0 + 2 * bound * d1 + bound**2 * d2)
    try:
        below = linalg.eigh(left, right, eigvals_only=True)
    except linalg.LinAlgError:
        raise Unsuitable("rounding errors are too large") from None
    if not below.max() < 0:
        raise Unsuitable("the Ritz values are not below the next eigenvalue")
    lower: Array = np.sort(bound * -below / (1 - below))
    return lower, upper


@dataclass(frozen=True)
class EigenvalueBounds:
    """Guaranteed lower and upper bounds of eigenvalues.

    The inequalities are proved. The sums in them are computed with rounding errors, for which the
    bounds contain a relative slack of 1e-13 for each sum. What polynomials miss of coefficients
    that are not polynomials is estimated at sampled points.

    Args:
        values: the computed eigenvalues, in the order in which they were given.
        lower, upper: for each computed eigenvalue the bounds of an exact eigenvalue.
        numbers: the numbers of these exact eigenvalues in the sequence of all eigenvalues, which is
            counted with multiplicity from the bounded end of the spectrum on; the first number
            is 1.
        reason: the reason why there are no bounds, as text; empty if there are bounds.
        ended: what narrower intervals need more of, such as time, as text; empty if the intervals
            are as narrow as was asked for.
    """

    values: tuple[float, ...] = ()
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    numbers: tuple[int, ...] = ()
    reason: str = ""
    ended: str = ""

    @property
    def missed(self) -> list[int]:
        """The numbers below the largest of `numbers` that belong to no computed eigenvalue."""
        return sorted(set(range(1, max(self.numbers, default=0))) - set(self.numbers))

    def __str__(self) -> str:
        if self.reason:
            return f"no guaranteed bounds: {self.reason}"
        lines = []
        for number, value, low, high in zip(
            self.numbers, self.values, self.lower, self.upper, strict=True
        ):
            digits = max(0, 2 - math.floor(math.log10(high - low)))
            step = 10.0**-digits
            low, high = math.floor(low / step) * step, math.ceil(high / step) * step
            interval = f"[{low:.{digits}f}, {high:.{digits}f}]"
            lines.append(f"eigenvalue {number} in {interval}, computed {value:.{digits}f}")
        if self.ended:
            lines.append(f"(narrower intervals need {self.ended})")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class EigenvalueCertificate:
    """Bounds of the first p eigenvalues, with all data that are needed to check them.

    Args:
        pencil: the mesh with the data.
        bounds: the bounds of λ + γ with the functions and fluxes.
        separation: the number ρ that is below all other eigenvalues λ + γ.
        sign: 1, or -1 for bounds of -λ.
        values: the computed eigenvalues.
        ended: `EigenvalueBounds.ended`.
    """

    pencil: Pencil
    bounds: SpectralBounds
    separation: float
    sign: float
    values: Array
    ended: str = ""

    @property
    def limits(self) -> tuple[Array, Array]:
        """The lower and upper bounds of the first p eigenvalues λ, or -λ, (p,) each."""
        form, mass = self.pencil.lost.max(axis=1)
        lower = self.bounds.lower * (1 - form) / (1 + mass)
        upper = self.bounds.upper * (1 + form) / (1 - mass)
        return lower - self.pencil.shift, upper - self.pencil.shift

    def arrays(self) -> dict[str, Array]:
        """Return what `scripts/check_eigenvalue_certificate.py` needs, with its digest, by name."""
        found, (lower, upper) = self.pencil.found, self.limits
        names = ("diffusion", "reaction", "source", "fixed", "robin", "lost", "lost_given")
        arrays = {name: getattr(found.data, name) for name in names}
        arrays |= {"vertices": found.mesh.vertices, "triangles": found.mesh.triangles}
        arrays |= {"v": self.bounds.v, "q": self.bounds.q, "degree": np.array(found.rules.m)}
        arrays |= {"shift": np.array(self.pencil.shift), "sign": np.array(self.sign)}
        arrays |= {"separation": np.array(self.separation)}
        # Sums in another order, and A⁻¹ at other points, change the bounds a little.
        slack = 1e-3 * (upper - lower) + ROUNDING * self.bounds.upper
        low, high = np.sort(self.sign * np.stack([lower - slack, upper + slack]), axis=0)
        arrays |= {"lower": low, "upper": high}
        return arrays | {"digest": np.array(digest(arrays))}

    def bound(self) -> EigenvalueBounds:
        """Return the bounds of the exact eigenvalues that belong to the computed ones."""
        lower, upper = self.limits
        own = self.sign * self.values
        place = paired(own, (lower + upper) / 2)
        low, high = np.sort(self.sign * np.stack([lower[place], upper[place]]), axis=0)
        numbers = (place + 1).tolist()
        return EigenvalueBounds(
            tuple(self.values.tolist()),
            tuple(low.tolist()),
            tuple(high.tolist()),
            tuple(numbers),
            ended=self.ended,
        )


def paired(values: Array, middles: Array) -> Array:
    """Assign to each of k values one of p ≥ k ascending numbers; return the indices, (k,).

    No number is assigned twice, and the sum of the distances between values and numbers is the
    least. Of equal numbers the first ones are taken.

    Args:
        values: the values, (k,).
        middles: the numbers, (p,).
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    distances = abs(values[:, None] - middles)
    distances += 1e-12 * distances.max() * np.arange(len(middles))
    found = np.zeros(len(values), int)
    found[np.argsort(values, kind="stable")] = np.sort(linear_sum_assignment(distances)[1])
    return found


def eigenvalue_certificate(
    problem: EigenProblem,
    values: Array,
    widths: Array,
    most: int = MOST,
    deadline: float = math.inf,
) -> EigenvalueCertificate:
    """Return bounds of the exact eigenvalues next to computed eigenvalues, on an adaptive mesh.

    The mesh is refined until it shows that all further eigenvalues are larger, and then until all
    intervals are as narrow as was asked for. Refinement ends before that if there are too many
    triangles, if rounding errors dominate, or if the time that the next mesh needs is not left.

    Args:
        problem: the eigenvalue problem.
        values: the computed eigenvalues, (k,).
        widths: the widths of the intervals at which refinement ends, (k,).
        most: the number of triangles above which the mesh is not refined further.
        deadline: the time by `time.perf_counter` at which the best bounds so far are returned.

    Raises:
        Unsuitable: if there are no bounds for the problem.
    """
    rules = Rules(DEGREE)
    reader = PencilReader(problem, rules)
    mesh, corners = reader.coarse, len(reader.coarse.vertices)
    while len(mesh.triangles) < 64:
        mesh = mesh.refined(np.ones(len(mesh.triangles), bool))
    made, best, size, is_first, ended = None, math.inf, 0.0, True, ""
    while True:
        begun, data = time.perf_counter(), reader(mesh)
        smallest, largest = data.robin.min(axis=1), data.robin.max(axis=1)
        faults = {
            "the equation is not elliptic": data.least <= 1e-9 * data.most,
            "the mass is not positive": data.source.min(axis=(1, 2)) <= 0,
            "α vanishes on a part of a side": (smallest < largest / 100)[mesh.edges].any(axis=1),
        }
        if named := [words for words, where in faults.items() if bool(where.any())]:
            if len(mesh.triangles) > most or mesh.areas.min() < 1e-6 * mesh.areas.sum():
                raise Unsuitable(named[0])
            mesh = mesh.refined(faults[named[0]])
            continue
        # The gradients of A's errors were up to 300 times the errors over the triangle's height.
        drift = data.lost[3] * 2 * mesh.areas / mesh.lengths.max(axis=1)
        if bool((drift > 1000 * data.lost[2] + 1e-9 * data.least).any()):
            raise Unsuitable("the equation has convection")
        if size == 0:
            size = float(data.least.mean() / data.source.mean() / mesh.areas.sum())
        # c + γ r is positive, and of the order of the eigenvalues λ + γ.
        shift = float((-data.reaction / data.source[..., 0]).max()) + size
        pencil = Pencil.of(mesh, data, rules, shift)
        rough = pencil.lost.max(axis=0) > SHARPEST / 10
        if bool(rough.any()) and 2 * len(rough) < most:
            mesh = mesh.refined(rough)
            continue
        ritz, modes, least = pencil.modes_up_to(float((reader.sign * values).max()), len(values))
        if is_first:
            size, is_first = (float(ritz[least - 1]) - size) / 2 + size / 10, False
            continue
        count = last_before_gap(ritz, least)
        separation = pencil.separation(ritz[count - 1], ritz[count], count)
        if separation is None:
            part = pencil.reach(float(ritz[count]))[1]
            finer = mesh.refined(part > part.max() / 2)
        else:
            bounds = spectral_bounds(pencil, modes[..., :count], separation)
            found = EigenvalueCertificate(pencil, bounds, separation, reader.sign, values)
            lower, upper = found.limits
            place = paired(reader.sign * values, (lower + upper) / 2)
            allowed = np.maximum(widths, SHARPEST * bounds.upper[place])
            before, now = best, float(((upper - lower)[place] / allowed).max())
            if now < best:
                made, best = found, now
            if now <= 1:
                return found
            if now > 0.9 * before:
                ended = "more digits than those of double precision"
            marked = dorfler_marking(torch.from_numpy(bounds.indicator).sqrt(), 0.8).numpy()
            # The solution may be singular at a corner, to which several triangles are marked.
            singular = np.unique(mesh.triangles[marked])
            singular = singular[singular < corners]
            finer = mesh.refined(marked)
            for _ in range(2):
                touching = np.asarray(np.isin(finer.triangles, singular))
                finer = finer.refined(touching.max(axis=1))
        after, growth = time.perf_counter(), len(finer.triangles) / len(mesh.triangles)
        if len(mesh.triangles) > most:
            ended = f"more than {most} triangles"
        elif made is not None and not ended and after + growth * (after - begun) > deadline:
            ended = "a larger budget"
        if ended and made is None:
            raise Unsuitable(
                f"the eigenvalues are not separated from the next one, which needs {ended}"
            )
        if ended:
            assert made is not None
            return replace(made, ended=ended)
        mesh = finer


def last_before_gap(ritz: Array, least: int) -> int:
    """Return a number p such that the eigenvalues p and p + 1 are well separated.

    It is the smallest number, from `least` on, for which the gap between both eigenvalues is at
    least 5 % of the larger one. If there is none, it is the number with the largest relative gap.

    Args:
        ritz: the first eigenvalues, which are positive, (k,).
        least: the smallest number p; the largest is k - 1.
    """
    gaps = np.diff(ritz)[least - 1 :] / ritz[least:]
    wide = np.flatnonzero(gaps >= 0.05)
    return least + int(wide[0] if len(wide) else gaps.argmax())
