"""Checks a certificate of eigenvalues that `kanpinn certify` wrote, with NumPy alone.

The file has triangles, functions v and fluxes q as Bernstein polynomials, and polynomial data of
-div(A∇u) + c u = λ r u with u = 0 or A∂u/∂n + α u = 0 on sides. A number γ was added to λ, and γ r
to c. Checked are the digest, the mesh, and intervals of the first p eigenvalues: upper bounds by
Ritz values of p continuous functions v; that at most p eigenvalues are below a number ρ, by
elements of Crouzeix and Raviart (Carstensen and Gedicke 2014, Liu 2015); with ρ and q lower bounds
by Lehmann and Goerisch's theorem. All integrals are of polynomials, by exact rules: A⁻¹, 1/c and
1/α are replaced by polynomials and bounds of the difference. Taken as given are the data with
bounds of what the polynomials miss (`lost`), and relative rounding errors of sums below 1e-13.

    python check_eigenvalue_certificate.py certificate.npz
"""

import hashlib
import itertools
import math
import sys

import numpy as np


def require(holds, words):
    """Raise an error unless a claim holds."""
    if not holds:
        raise ValueError(words)


def exponents(degree, parts):
    """The exponents of Bernstein polynomials, in descending order, (n, parts)."""
    rows = itertools.product(range(degree, -1, -1), repeat=parts)
    return np.array([row for row in rows if sum(row) == degree])


def bernstein(degree, shares):
    """The polynomials at k points with barycentric coordinates (k, parts), (k, n)."""
    rows = exponents(degree, shares.shape[1])
    factors = [math.factorial(degree) / math.prod(map(math.factorial, row)) for row in rows]
    return factors * np.prod(shares[:, None] ** rows, axis=2)


def slopes(degree, shares):
    """Their derivatives by the barycentric coordinates, (k, n, parts)."""
    rows, less = (exponents(degree - k, shares.shape[1]) for k in (0, 1))
    lowered = rows[:, None, None] - np.eye(shares.shape[1], dtype=int)
    place = (lowered == less[:, None]).all(axis=3)
    return degree * np.einsum("kl,nlp->knp", bernstein(degree - 1, shares), place)


def rules(nodes):
    """Rules on [0, 1] and on a triangle, exact up to degree 2 nodes - 2: coordinates, weights."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    s, w = (1 + x) / 2, w / 2
    a, b = (x.ravel() for x in np.meshgrid(s, s, indexing="ij"))
    weights, shares = np.outer(w * (1 - s), w).ravel(), [1 - a - (1 - a) * b, a, (1 - a) * b]
    return np.stack([1 - s, s], axis=1), w, np.stack(shares, axis=1), 2 * weights


class Mesh:
    """A conforming mesh; edge j of a triangle goes from its vertex j to the next one."""

    def __init__(self, vertices, triangles):
        corners = vertices[triangles]
        along = np.roll(corners, -1, axis=1) - corners
        self.normals = np.stack([along[..., 1], -along[..., 0]], axis=2)
        self.lengths = np.linalg.norm(along, axis=2)
        (a, b), (c, d) = np.moveaxis(corners[:, 1:] - corners[:, :1], 0, -1)
        self.areas = (a * d - b * c) / 2
        require(self.areas.min() > 0, "a triangle has no positive area")
        self.slopes = -np.roll(self.normals, -1, axis=1) / (2 * self.areas[:, None, None])
        pairs = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2)
        self.reverse = pairs[..., 0] > pairs[..., 1]
        both = np.sort(pairs, axis=2).reshape(-1, 2)
        self.edges = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1, 3)
        self.uses = np.bincount(self.edges.ravel())
        turns = np.bincount(self.edges.ravel(), np.where(self.reverse, 1, -1).ravel())
        require(self.uses.max() <= 2, "three triangles meet at an edge")
        require((turns[self.uses == 2] == 0).all(), "two triangles overlap at an edge")

    def turned(self, values):
        """Values at edges of triangles, (T, 3, n, m), in the other direction where reversed."""
        return np.where(self.reverse[..., None, None], values[:, :, ::-1], values)


def negative(local, edges, tries=0):
    """An upper bound of the number of negative eigenvalues of a sum of matrices, (T, 3, 3).

    Edges at one distance from one of them are a block; the sum is block tridiagonal. It is L D Lᵀ
    plus a multiple of the identity, but for smaller errors. The negative eigenvalues of D are
    counted (Sylvester). If errors are larger, distances are those from another edge.
    """
    slack, found, missed = 1e-8 * abs(local).max(), 0, np.zeros(3)
    level, place = np.full(edges.max() + 1, -2), np.zeros(edges.max() + 1, int)
    level[tries * len(level) // 10], blocks = 0, 1
    while level.min() < 0:
        touched = edges[(level[edges] == blocks - 1).any(axis=1)]
        fresh = np.isin(np.arange(len(level)), touched) & (level < 0)
        fresh[level.argmin()] |= not fresh.any()
        level[fresh], place[fresh], blocks = blocks, np.arange(fresh.sum()), blocks + 1
    rows, columns = np.repeat(edges, 3, axis=1).ravel(), np.tile(edges, 3).ravel()
    sizes, before = [*np.bincount(level), 0], np.zeros((0, 0))
    for k in range(blocks):
        some = (level[rows] == k) & (level[columns] <= k)
        matrix = np.zeros((sizes[k], sizes[k - 1] + sizes[k]))
        at = place[columns[some]] + sizes[k - 1] * (level[columns[some]] == k)
        np.add.at(matrix, (place[rows[some]], at), local.ravel()[some])
        beside, own = np.split(matrix, [sizes[k - 1]], axis=1)
        own, factor = own - slack * np.eye(sizes[k]), np.linalg.solve(before, beside.T).T
        product, rounding = factor @ before, 2.3e-16 * (3 + len(before))
        after, large = own - product @ factor.T, rounding * abs(factor) @ abs(before)
        after, off = (after + after.T) / 2, abs(beside - product) + large
        diagonal = abs(own - after - product @ factor.T) + 2 * large @ abs(factor.T)
        sums = diagonal.sum(axis=1), off.sum(axis=1), off.sum(axis=0)
        missed = np.maximum(missed, [x.max(initial=0) for x in sums])
        values, before = np.linalg.eigvalsh(after), after
        found += (values <= 1e-12 * abs(values).max()).sum()
    require(missed.sum() < slack or tries < 9, "rounding errors of a matrix are too large")
    return found if missed.sum() < slack else negative(local, edges, tries + 1)


def form(weights, left, right):
    """The integrals of left_i · right_j, of values (T, Q, components, p) at points."""
    return np.einsum("tq,tqai,tqaj->ij", weights, left, right, optimize=True)


def inverse_form(basis, along, weights, factor, f, least):
    """An upper bound of the matrix of ∫ f_i · F⁻¹ f_j, for polynomials f_i and F ≥ least.

    It is ∫ f_i · k_j + k_i · f_j - k_i · F k_j + g_i · F⁻¹ g_j, with polynomials k_i near F⁻¹ f_i
    and g_i = f_i - F k_i. In the last term F⁻¹ is replaced by 1/least.
    """
    root = np.sqrt(along)
    near = np.linalg.pinv(root[:, None] * basis) * root
    near = np.einsum("sn,nq,tqai->tsai", basis, near, np.linalg.solve(factor, f), optimize=True)
    both, rest = form(weights, f, near), f - factor @ near
    both = both + both.T - form(weights, near, factor @ near)
    return both + form(weights / least[:, None], rest, rest)


def eigenvalues(left, right):
    """The numbers μ in left x = μ right x for symmetric matrices, of which right is positive."""
    root = np.linalg.cholesky(right)
    return np.linalg.eigvalsh(np.linalg.solve(root, np.linalg.solve(root, left).T))


def check(file):
    """Return the lower and upper bounds of the first p eigenvalues that a certificate proves."""
    names = sorted(name for name in file if name != "digest")
    parts = b"".join(name.encode() + np.ascontiguousarray(file[name]).tobytes() for name in names)
    require(hashlib.sha256(parts).hexdigest() == str(file["digest"]), "the file was changed")
    require(all(np.isfinite(file[name]).all() for name in names), "a number is not finite")
    a, c, r, v, q = (file[name].real for name in ("diffusion", "reaction", "source", "v", "q"))
    r, fixed, robin, lost = r[..., 0], file["fixed"][:, 0], file["robin"].real, abs(file["lost"])
    bound, shift, sign = (float(file[name]) for name in ("separation", "shift", "sign"))
    m, count, mesh = int(file["degree"]), v.shape[2], Mesh(file["vertices"].real, file["triangles"])
    edges, lengths, areas = mesh.edges, mesh.lengths, mesh.areas
    held, longest = fixed[edges], lengths.max(axis=1)
    require(not fixed[mesh.uses == 2].any(), "a value is prescribed inside the domain")
    elastic = (mesh.uses == 1) & ~fixed & (robin != 0).any(axis=1)
    least = np.linalg.eigvalsh((a + a.swapaxes(2, 3)) / 2)[..., 0].min(axis=1)
    require(abs(a - a.swapaxes(2, 3)).max() <= 1e-14 * abs(a).max(), "A is not symmetric")
    smallest = [x.min(initial=1) for x in (least, c, r, robin[elastic])]
    require(min(smallest) > 0 and abs(sign) == 1, "A, c + γ r, r or α is not positive")
    # v is continuous: the coefficients on an edge are the same on both sides
    powers = exponents(m + 1, 3)
    order = [np.flatnonzero(powers[:, (j + 2) % 3] == 0) for j in range(3)]
    order = [row[np.argsort(powers[row, (j + 1) % 3])] for j, row in enumerate(order)]
    own, seen = mesh.turned(v[:, order]), np.zeros((len(fixed), m + 2, count))
    seen[edges] = own
    require((seen[edges] == own).all() and not seen[fixed].any(), "v is not conforming")
    # at most p eigenvalues are below the number ρ
    mean, weight = a.mean(axis=1), (bound * r - c).max(axis=1)
    above = np.linalg.eigvalsh(mean[:, None] - a)[..., 1].max(axis=1).clip(0)
    mean = mean - above[:, None, None] * np.eye(2)
    lowest = np.linalg.eigvalsh(mean)[:, 0]
    part = weight / lowest * (0.1893 * longest) ** 2
    require(lowest.min() > 0 and part.max() < 1, "a triangle is too large to separate eigenvalues")
    steep = -2 * np.roll(mesh.slopes, -2, axis=1)
    local = np.einsum("tia,tab,tjb,t->tij", steep, mean, steep, areas, optimize=True)
    mass = (weight / (1 - part) * areas / 3)[:, None]
    local += np.eye(3) * (lengths * (robin.min(axis=1) * elastic)[edges] - mass)[:, None]
    local = np.where(held[:, None] | held[..., None], np.eye(3), local)
    require(negative(local, edges) <= count, f"more than {count} eigenvalues may be below {bound}")
    # the matrices of ∫ A∇v·∇v + c v² + ∫ α v², of ∫ r v², and of the squared norm of the fluxes
    line, along, shares, weights = rules(2 * m + 8)
    at, local = {k: bernstein(m + k, shares) for k in (1, 3, 4)}, slopes(m + 1, shares)
    a0, a1, a2 = np.zeros((3, count, count))
    for some in np.array_split(np.arange(len(areas)), 1 + len(areas) * count // 2000):
        table = np.einsum("qnk,tkd->tqnd", local, mesh.slopes[some])
        steep = np.einsum("tqnd,tni->tqdi", table, v[some])
        flux = np.einsum("qn,tndi->tqdi", at[1], q[some])
        value, size = (at[1] @ v[some])[:, :, None], areas[some, None] * weights
        diffusion = np.einsum("qn,tnab->tqab", at[3], a[some])
        reaction, density = ((x[some] @ at[3].T)[..., None, None] for x in (c, r))
        load = density * value + np.einsum("tqnd,tndi->tqi", table, q[some])[:, :, None]
        a0 += form(size, steep, diffusion @ steep) + form(size, value, reaction * value)
        a1 += form(size, value, density * value)
        a2 += inverse_form(at[4], weights, size, diffusion, flux, least[some])
        a2 += inverse_form(at[4], weights, size, reaction, load, c[some].min(axis=1))
    sides = [bernstein(m + 1, line @ np.eye(3)[[j, (j + 1) % 3]]) for j in range(3)]
    on_v, unit = np.einsum("jkn,tni->tjki", sides, v), mesh.normals / lengths[..., None]
    normal = np.einsum("jkn,tndi,tjd->tjki", sides, q, unit, optimize=True)
    own, factor = elastic[edges], bernstein(m + 3, line) @ mesh.turned(robin[edges][..., None])
    value, load, factor = on_v[own][:, :, None], normal[own][:, :, None], factor[own][..., None]
    size, smallest = lengths[own][:, None] * along, robin[edges][own].min(axis=1)
    a0 += form(size, value, factor * value)
    a2 += inverse_form(bernstein(m + 4, line), along, size, factor, load, smallest)
    # rounding errors in the continuity of the fluxes, and where they should vanish
    jump, ratio = np.zeros((len(fixed), len(line), count)), np.zeros(len(fixed))
    np.add.at(jump, edges, mesh.turned(normal * ~(elastic | fixed)[edges][..., None, None]))
    ratio[edges], constant = lengths**2 / areas[:, None], 1 / math.sqrt(c.min())
    spoilt = np.einsum("e,k,eki->", ratio, along, jump**2)
    spoilt *= 3 * (constant**2 + longest.max() / math.sqrt(least.min()) * constant)
    part = 1e-13 + math.sqrt(spoilt / np.trace(a2))
    a2 = (1 + part) * a2 + (1 + 1 / part) * spoilt * np.eye(count)
    # Lehmann and Goerisch; then what the polynomials miss of the data
    d0, d1, d2 = (count * 1e-13 * np.diag(np.diag(x)) for x in (a0, a1, a2))
    upper, left = eigenvalues(a0 + d0, a1 - d1), a0 - bound * a1 + d0 + bound * d1
    right = a0 - 2 * bound * a1 + bound**2 * a2 + d0 + 2 * bound * d1 + bound**2 * d2
    below = eigenvalues(left, right)
    require(below.max() < 0, "an upper bound is not below the separating number")
    lower, missed = np.sort(bound * -below / (1 - below)), abs(file["lost_given"][:, 1]) * ~fixed
    errors = [lost[2] / least, (lost[1] + abs(shift) * lost[0]) / c.min(axis=1)]
    errors.append(missed / robin.min(axis=1).clip(1e-300))
    energy, mass = max(x.max() for x in errors), (lost[0] / r.min(axis=1)).max()
    require(max(energy, mass) < 1, "what the data miss is too large")
    lower, upper = lower * (1 - energy) / (1 + mass), upper * (1 + energy) / (1 - mass)
    low, high = np.sort(sign * (np.stack([lower, upper]) - shift), axis=0)
    for i, one in enumerate(zip(low, high, file["lower"], file["upper"], strict=True), 1):
        words = "eigenvalue {} is in [{}, {}], but [{}, {}] is claimed".format(i, *one)
        require(one[2] <= one[0] and one[1] <= one[3], words)
    return file["lower"], file["upper"]


def main():
    """Check the files that are named on the command line; the exit code is 1 if one is wrong."""
    wrong = 0
    for path in sys.argv[1:]:
        try:
            with np.load(path, allow_pickle=False) as file:
                found = [f"[{low}, {high}]" for low, high in zip(*check(dict(file)), strict=True)]
            said = f"proved, the first eigenvalues, with multiplicity, are in {', '.join(found)}"
        except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
            wrong, said = wrong + 1, f"WRONG, {error}"
        print(f"{path}: {said}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
