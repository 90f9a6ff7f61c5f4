"""Checks a certificate that `kanpinn certify` wrote, with NumPy alone.

The file has a mesh of triangles, a function v and a flux q as Bernstein polynomials, and the data
of -div(A∇u) + c u = f with u = g or A∂u/∂n + α u = g on sides. Checked are the file's digest, the
mesh, the continuity of v, and the bound of the energy norm of u - v by Prager and Synge's theorem,
all of whose parts are computed again. The polynomials that stand for the data, and the bounds of
what they miss (`lost`), are taken as given.

    python check_certificate.py certificate.npz
"""

import hashlib
import math
import sys

import numpy as np


class Wrong(Exception):
    """What is wrong with a certificate."""


def require(holds, words):
    """Raise an error unless a claim holds."""
    if not holds:
        raise Wrong(words)


def exponents(degree, parts):
    """The exponents of Bernstein polynomials, in descending order, (n, parts)."""
    if parts == 1:
        return [[degree]]
    return [[a, *row] for a in range(degree, -1, -1) for row in exponents(degree - a, parts - 1)]


def bernstein(degree, shares):
    """The polynomials at k points with barycentric coordinates (k, parts), (k, n)."""
    rows = exponents(degree, shares.shape[1])
    factors = [math.factorial(degree) / math.prod(map(math.factorial, row)) for row in rows]
    return factors * np.prod(shares[:, None] ** np.array(rows), axis=2)


def slopes(degree, shares):
    """Their derivatives by the barycentric coordinates, (k, n, parts)."""
    parts, lower = shares.shape[1], bernstein(degree - 1, shares)
    rows, less = exponents(degree, parts), exponents(degree - 1, parts)
    found = np.zeros((len(shares), len(rows), parts))
    for i, row in enumerate(less):
        for part in range(parts):
            more = [a + (j == part) for j, a in enumerate(row)]
            found[:, rows.index(more), part] = degree * lower[:, i]
    return found


def line_rule(nodes):
    """Gauss's rule on [0, 1]: barycentric coordinates (nodes, 2) and weights."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    return np.stack([(1 - x) / 2, (1 + x) / 2], axis=1), w / 2


def triangle_rule(nodes):
    """A rule on a triangle: barycentric coordinates and weights whose sum is 1."""
    (_, s), w = line_rule(nodes)[0].T, line_rule(nodes)[1]
    a, b = (x.ravel() for x in np.meshgrid(s, s, indexing="ij"))
    weights = 2 * np.outer(w * (1 - s), w).ravel()
    return np.stack([1 - a - (1 - a) * b, a, (1 - a) * b], axis=1), weights


class Mesh:
    """A conforming mesh; edge j of a triangle goes from its vertex j to the next one."""

    def __init__(self, vertices, triangles):
        self.points, self.triangles, corners = vertices, triangles, vertices[triangles]
        self.along = np.roll(corners, -1, axis=1) - corners
        self.normals = np.stack([self.along[..., 1], -self.along[..., 0]], axis=2)
        self.lengths = np.linalg.norm(self.along, axis=2)
        (a, b), (c, d) = np.moveaxis(corners[:, 1:] - corners[:, :1], 0, -1)
        self.areas = (a * d - b * c) / 2
        require(self.areas.min() > 0, "a triangle has no positive area")
        self.slopes = -np.roll(self.normals, -1, axis=1) / (2 * self.areas[:, None, None])
        pairs = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2)
        self.reverse = pairs[..., 0] > pairs[..., 1]
        both = np.sort(pairs, axis=2).reshape(-1, 2)
        self.ends, number = np.unique(both, axis=0, return_inverse=True)
        self.edges = number.reshape(-1, 3)
        self.uses = np.bincount(self.edges.ravel())
        turns = np.bincount(self.edges.ravel(), np.where(self.reverse, 1, -1).ravel())
        require(self.uses.max() <= 2, "three triangles meet at an edge")
        require((turns[self.uses == 2] == 0).all(), "two triangles overlap at an edge")

    def flipped(self, coefficients):
        """Coefficients on edges in the direction of each triangle, (T, 3, n)."""
        at = coefficients[self.edges]
        return np.where(self.reverse[..., None], at[..., ::-1], at)


def friedrichs(mesh, fixed, least, reaction):
    """C in ‖w‖ ≤ C |||w|||, with elements of Crouzeix and Raviart (Liu 2015)."""
    require(not fixed[mesh.uses == 2].any(), "a value is prescribed inside the coarse mesh")
    known = max(reaction, 0.0)
    if fixed.any():
        steep = -2 * np.roll(mesh.slopes, -2, axis=1)
        local = np.einsum("tad,tbd,t->tab", steep, steep, mesh.areas)
        matrix, mass = np.zeros((len(fixed), len(fixed))), np.zeros(len(fixed))
        np.add.at(matrix, (mesh.edges[:, :, None], mesh.edges[:, None, :]), local)
        np.add.at(mass, mesh.edges, np.repeat(mesh.areas[:, None] / 3, 3, axis=1))
        root = 1 / np.sqrt(mass[~fixed])
        matrix = root[:, None] * matrix[~fixed][:, ~fixed] * root
        lowest = (1 - 1e-8) * np.linalg.eigvalsh(matrix)[0]
        known += least * lowest / (1 + (0.1893 * mesh.lengths.max()) ** 2 * lowest)
    require(known > 0, "neither a value nor c fixes a constant")
    return 1 / math.sqrt(known)


def require_same_sides(coarse, fixed, mesh, held):
    """Require that the coarse mesh has the same sides, and prescribed values on no others."""
    own, outer = mesh.uses == 1, coarse.uses == 1
    ends, held = mesh.points[mesh.ends[own]], held[own]
    for (a, b), value in zip(coarse.points[coarse.ends[outer]], fixed[outer], strict=True):
        side, away = b - a, ends - a
        on = (abs(away @ [-side[1], side[0]]) < 1e-9 * (side @ side)).all(axis=1)
        shared = abs(np.diff((away @ side / (side @ side)).clip(0, 1), axis=1))[:, 0] * on
        require(abs(shared.sum() - 1) < 1e-9, "the meshes have different sides")
        require(not value or held[shared > 1e-9].all(), "C is for other prescribed values")


def check(file):
    """Return the bound of the energy norm of u - v that a certificate proves, and the norm of v."""
    names = sorted(name for name in file if name != "digest")
    parts = (name.encode() + np.ascontiguousarray(file[name]).tobytes() for name in names)
    digest = hashlib.sha256(b"".join(parts))
    require(str(file["digest"]) == digest.hexdigest(), "the file was changed: its digest differs")
    mesh, m = Mesh(file["vertices"], file["triangles"]), int(file["degree"])
    require(all(np.isfinite(file[name]).all() for name in names), "a number is not finite")
    a, c, f, v, q = (file[name] for name in ("diffusion", "reaction", "source", "v", "q"))
    s, fixed, lost, lost_given = (file[name] for name in ("s", "fixed", "lost", "lost_given"))
    require(not fixed[mesh.uses == 2].any(), "a value is prescribed inside the domain")
    require(min(lost.min(), lost_given.min()) >= 0, "a part of the data is negative")
    eigenvalues = np.linalg.eigvalsh((a + a.swapaxes(2, 3)) / 2)
    least, most = eigenvalues[..., 0].min(axis=1), eigenvalues[..., 1].max(axis=1)
    require(least.min() > 0, "A is not positive definite")
    require(abs(a - a.swapaxes(2, 3)).max() <= 1e-14 * most.max(), "A is not symmetric")

    # v is continuous: the coefficients on an edge are the same on both sides
    powers = np.array(exponents(m + 1, 3))
    seen = np.full((len(mesh.ends), m + 2), np.nan)
    for j in range(3):
        order = np.flatnonzero(powers[:, (j + 2) % 3] == 0)
        order = order[np.argsort(powers[order, (j + 1) % 3])]
        own = np.where(mesh.reverse[:, [j]], v[:, order[::-1]], v[:, order])
        other = seen[mesh.edges[:, j]]
        require((np.isnan(other) | (other == own)).all(), "v is not continuous")
        seen[mesh.edges[:, j]] = own

    shares, weights = triangle_rule(m + 7)
    line, along = line_rule(m + 7)
    at = {k: bernstein(m + k, shares) for k in (0, 1, 3)}
    table = np.einsum("qnk,tkd->tqnd", slopes(m + 1, shares), mesh.slopes)
    diffusion, reaction = np.einsum("qn,tnab->tqab", at[3], a), c @ at[3].T
    require(reaction.min() >= -1e-10 * abs(reaction).max(), "c is negative")
    coarse, known = Mesh(file["coarse_vertices"], file["coarse_triangles"]), file["coarse_fixed"]
    constant, share = friedrichs(coarse, known, least.min(), reaction.min()), coarse.areas.sum()
    require(abs(share / mesh.areas.sum() - 1) < 1e-12, "the two meshes fill different domains")
    require_same_sides(coarse, known, mesh, fixed)
    root, reach = np.sqrt(least), mesh.lengths.max(axis=1)

    def norm(squares):
        return np.sqrt(mesh.areas * (squares @ weights))

    gradient = np.einsum("tqnd,tn->tqd", table, v)
    conormal = np.einsum("tqab,tqb->tqa", diffusion, gradient)
    gap = np.einsum("qn,tnd->tqd", at[1], q) - conormal
    value, multiplier = v @ at[1].T, s @ at[0].T
    misfit = norm(np.einsum("tqa,tqab,tqb->tq", gap, np.linalg.inv(diffusion), gap))
    rest = f @ at[3].T - reaction * multiplier + np.einsum("tqnd,tnd->tq", table, q)
    steep = norm((gradient**2).sum(axis=2))
    misfit += reach / math.pi / root * (norm(rest**2) + lost[0]) + lost[2] * steep / root
    missed = constant * np.linalg.norm(lost[3] * steep + lost[1] * norm(value**2))
    lower = norm(reaction.clip(0) * (multiplier - value) ** 2) ** 2
    square = norm(np.abs((conormal * gradient).sum(axis=2)) + reaction.clip(0) * value**2) ** 2
    spoilt = constant * math.sqrt((mesh.areas * (rest @ weights) ** 2).sum())

    corners = v[:, [0, -m - 2, -1]]
    extension, jump = np.zeros(len(v)), np.zeros((len(mesh.ends), len(along)))
    robin, ratio, trace_factor = np.zeros(len(mesh.ends)), np.zeros(len(mesh.ends)), 0.0
    edge = bernstein(m + 3, line).T
    edge_slopes = (slopes(m + 3, line) @ [-1.0, 1.0]).T
    g, alpha = mesh.flipped(file["given"]), mesh.flipped(file["robin"]) @ edge
    traces = mesh.flipped(file["trace"]) @ bernstein(m, line).T
    for j in range(3):
        side = np.zeros((len(line), 3))
        side[:, [j, (j + 1) % 3]] = line
        own, length = mesh.edges[:, j], mesh.lengths[:, j]
        outer = mesh.uses[own] == 1
        natural, held = outer & ~fixed[own], outer & fixed[own]
        unit = mesh.normals[:, j] / length[:, None]
        normal = np.einsum("qn,tnd,td->tq", bernstein(m + 1, side), q, unit)
        require(alpha[natural, j].min(initial=0) >= -1e-10, "α is negative")
        left = g[:, j] @ edge - alpha[:, j] * traces[:, j] - normal
        high = 2 * mesh.areas / length
        trace_constant = reach * np.sqrt(2 / high * (1 / math.pi**2 + 1 / math.pi)) / root
        size = np.sqrt(length * (left**2 @ along)) + lost_given[own, 0]
        misfit += natural * trace_constant * size
        on_v = v @ bernstein(m + 1, side).T
        lower += natural * length * (alpha[:, j].clip(0) * (traces[:, j] - on_v) ** 2 @ along)
        lost_robin = natural * lost_given[own, 1]
        np.add.at(robin, own, lost_robin**2 * (on_v**2 @ along))
        trace_factor = max(trace_factor, (lost_robin * length / mesh.areas).max())
        turned = np.where(mesh.reverse[:, [j]], normal[:, ::-1], normal)
        np.add.at(jump, own[~outer], turned[~outer])
        np.add.at(jump, own[natural], (left @ along)[natural, None])
        ratio[own] = length**2 / mesh.areas
        slope_v = v @ (slopes(m + 1, side) @ (np.eye(3)[(j + 1) % 3] - np.eye(3)[j])).T
        gap = abs(g[:, j][:, [0, -1]] - corners[:, [j, (j + 1) % 3]])[held].max(initial=0)
        require(gap <= 1e-12 * abs(v).max(), "v has not the prescribed value at a vertex")
        value_gap = np.sqrt(length * ((g[:, j] @ edge - on_v) ** 2 @ along)) + lost_given[own, 0]
        slope_gap = np.sqrt((g[:, j] @ edge_slopes - slope_v) ** 2 @ along / length)
        high_part = (slope_gap + lost_given[own, 1]) ** 2 * (1 + 2 * (reach / high) ** 2)
        flat_part = 2 * (value_gap / high) ** 2 + 1e-300
        power = np.maximum(np.sqrt(high_part / flat_part), 1)
        spread = most * high / 2 * (high_part / power + flat_part * power)
        extension += held * np.sqrt(spread + reaction.max(axis=1) * high / 4 * value_gap**2)
    factor = 3 * (constant**2 + reach.max() * constant / root.min())
    spoilt += sum(math.sqrt(factor * (ratio * one).sum()) for one in (jump**2 @ along, robin))
    spoilt += missed + 1e-13 * math.sqrt(square.sum())
    stretch = float((constant * lost[3] / root + lost[2] / least + constant**2 * lost[1]).max())
    stretch += factor * trace_factor
    require(stretch < 1, "what the data miss is too large")
    total = math.hypot(math.sqrt((misfit**2 + lower).sum()) + spoilt, np.linalg.norm(extension))
    total, claimed = total / (1 - stretch), float(file["bound"])
    require(total <= claimed * (1 + 1e-6), f"{total:.6e} is proved, but {claimed:.6e} claimed")
    return claimed, math.sqrt(square.sum())


def main():
    """Check the files that are named on the command line; the exit code is 1 if one is wrong."""
    wrong = 0
    for path in sys.argv[1:]:
        try:
            with np.load(path, allow_pickle=False) as file:
                bound, norm = check(dict(file))
            said = f"proved, the energy norm of u - v is at most {bound:.6e} (v: {norm:.6e})"
        except (Wrong, OSError, KeyError, ValueError, IndexError) as error:
            wrong, said = wrong + 1, f"WRONG, {error}"
        print(f"{path}: {said}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
