"""Checks a certificate that `kanpinn certify` wrote, with NumPy alone.

The file has a mesh of triangles, a function v and a flux q as Bernstein polynomials, and the data
of -div(A∇u) + c u = f with u = g or A∂u/∂n + α u = g on sides; for two fields A acts on the
symmetric part of ∇u, and either condition holds for each component in the normal and the tangent.
Checked are the file's digest, the mesh, the continuity of v, and the bound of the energy norm of
u - v by Prager and Synge's theorem, all of whose parts are computed again. The polynomials that
stand for the data, estimates of what they miss (`lost`), and, for two fields, the constants by
which rounding errors are multiplied (`constants`) are taken as given.

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
    rows, less = (np.array(exponents(degree - k, shares.shape[1])) for k in (0, 1))
    lowered = rows[:, None, None] - np.eye(shares.shape[1], dtype=int)
    place = (lowered == less[:, None]).all(axis=3)
    return degree * np.einsum("kl,nlp->knp", bernstein(degree - 1, shares), place)


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

    def __init__(self, vertices, triangles, m):
        self.corners = vertices[triangles]
        along = np.roll(self.corners, -1, axis=1) - self.corners
        self.normals = np.stack([along[..., 1], -along[..., 0]], axis=2)
        self.lengths = np.linalg.norm(along, axis=2)
        (a, b), (c, d) = np.moveaxis(self.corners[:, 1:] - self.corners[:, :1], 0, -1)
        self.areas = (a * d - b * c) / 2
        require(self.areas.min() > 0, "a triangle has no positive area")
        self.slopes = -np.roll(self.normals, -1, axis=1) / (2 * self.areas[:, None, None])
        pairs = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2)
        self.reverse = pairs[..., 0] > pairs[..., 1]
        both = np.sort(pairs, axis=2).reshape(-1, 2)
        ends, number = np.unique(both, axis=0, return_inverse=True)
        self.edges = number.reshape(-1, 3)
        self.uses = np.bincount(self.edges.ravel())
        turns = np.bincount(self.edges.ravel(), np.where(self.reverse, 1, -1).ravel())
        require(self.uses.max() <= 2, "three triangles meet at an edge")
        require((turns[self.uses == 2] == 0).all(), "two triangles overlap at an edge")
        along = np.diff(vertices[ends], axis=1)[:, 0]
        x, y = (along / np.linalg.norm(along, axis=1)[:, None]).T
        frames = np.stack([y, -x, x, y], axis=1).reshape(-1, 2, 2)
        self.frames = (frames if m == 2 else np.ones((len(ends), 1, 1)))[self.edges]
        sides = np.sort(self.lengths, axis=1)
        angle = np.arcsin((2 * self.areas / sides[:, 1] / sides[:, 2]).clip(0, 1))
        self.reach, self.korn = sides[:, 2], math.sqrt(2) / np.sin(angle / 4) if m == 2 else 1.0

    def turned(self, values):
        """Values at edges of triangles, (T, 3, n, m), in the other direction where reversed."""
        return np.where(self.reverse[..., None, None], values[:, :, ::-1], values)


def friedrichs(mesh, fixed, least, reaction):
    """C in ‖w‖ ≤ C |||w||| for one field, with elements of Crouzeix and Raviart (Liu 2015)."""
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


def check(file):
    """Return the bound of the energy norm of u - v that a certificate proves, and the norm of v."""
    names = sorted(name for name in file if name != "digest")
    parts = (name.encode() + np.ascontiguousarray(file[name]).tobytes() for name in names)
    digest = hashlib.sha256(b"".join(parts))
    require(str(file["digest"]) == digest.hexdigest(), "the file was changed: its digest differs")
    require(not any(np.iscomplexobj(file[name]) for name in names), "a number is complex")
    require(all(np.isfinite(file[name]).all() for name in names), "a number is not finite")
    a, c, f, v, q = (file[name] for name in ("diffusion", "reaction", "source", "v", "q"))
    s, fixed, lost, lost_given = (file[name] for name in ("s", "fixed", "lost", "lost_given"))
    m, fields, shear = int(file["degree"]), v.shape[2], math.sqrt(0.5)
    mesh = Mesh(file["vertices"], file["triangles"], fields)
    tensors = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0, shear], [shear, 0]]])
    tensors = tensors if fields == 2 else np.eye(2)[:, None]
    require(not fixed[mesh.uses == 2].any(), "a value is prescribed inside the domain")
    constant, korn = file["constants"]
    require(min(constant, korn, lost.min(), lost_given.min()) >= 0, "a constant is negative")
    eigenvalues = np.linalg.eigvalsh((a + a.swapaxes(2, 3)) / 2)
    least, most = eigenvalues[..., 0].min(axis=1), eigenvalues[..., -1].max(axis=1)
    require(least.min() > 0, "A is not positive definite")
    require(abs(a - a.swapaxes(2, 3)).max() <= 1e-14 * most.max(), "A is not symmetric")
    # v is continuous: the coefficients on an edge are the same on both sides
    powers = np.array(exponents(m + 1, 3))
    order = [np.flatnonzero(powers[:, (j + 2) % 3] == 0) for j in range(3)]
    order = [row[np.argsort(powers[row, (j + 1) % 3])] for j, row in enumerate(order)]
    own, seen = mesh.turned(v[:, order]), np.zeros((len(mesh.uses), m + 2, fields))
    seen[mesh.edges] = own
    require((seen[mesh.edges] == own).all(), "v is not continuous")

    (shares, weights), (line, along) = triangle_rule(2 * m + 4), line_rule(2 * m + 4)
    at = {k: bernstein(m + k, shares) for k in (0, 1, 3)}
    table = np.einsum("qnk,tkd->tqnd", slopes(m + 1, shares), mesh.slopes)
    diffusion, reaction = np.einsum("qn,tnab->tqab", at[3], a), (c @ at[3].T)[..., None]
    require(reaction.min() >= -1e-10 * abs(reaction).max(), "c is negative")
    if fields == 1:
        constant, korn = friedrichs(mesh, fixed[:, 0], least.min(), reaction.min()), 1.0
    root, reach, areas = np.sqrt(least), mesh.reach, mesh.areas

    def norm(values, measure=areas, weights=weights):
        return np.sqrt(measure * ((values**2).sum(axis=-1) @ weights))

    gradient = np.einsum("tqnd,tni,aid->tqa", table, v, tensors, optimize=True)
    conormal = np.einsum("tqab,tqb->tqa", diffusion, gradient)
    gap, value, multiplier = at[1] @ q - conormal, at[1] @ v, at[0] @ s
    products = np.einsum("tqa,tqab,tqb->tq", gap, np.linalg.inv(diffusion), gap)
    misfit, steep = np.sqrt(areas * (products.clip(0) @ weights)), norm(gradient)
    divergence = np.einsum("tqnd,tna,aid->tqi", table, q, tensors, optimize=True)
    rest = at[3] @ f - reaction * multiplier + divergence
    # what the equation misses is tested with w minus a rigid motion or, where c is large, with w
    rough, far = (norm(rest) + lost[0]) / root, mesh.korn * reach / math.pi
    near = root / np.sqrt(c.min(axis=1).clip(1e-300))
    misfit += np.where(far < near, far, 0) * rough + lost[2] * steep / root
    missed = constant * np.linalg.norm(lost[3] * steep + lost[1] * norm(value) + lost[4])
    lower = norm(np.sqrt(reaction.clip(0)) * (multiplier - value))
    lower = (lower + np.where(far < near, 0, near) * rough) ** 2
    energy = abs((conormal * gradient).sum(axis=2)) + (reaction.clip(0) * value**2).sum(axis=2)
    square = areas * (energy @ weights)
    x, y = np.moveaxis(np.einsum("qk,tkd->tqd", shares - 1 / 3, mesh.corners), 2, 0)
    turn = (x * rest[..., -1] - y * rest[..., 0]) @ weights / np.sqrt((x**2 + y**2) @ weights)
    means = ((weights @ rest) ** 2).sum(axis=1) + (fields == 2) * turn**2
    spoilt = constant * math.sqrt((areas * means).sum())
    # all edges of all triangles, (T, 3, points, fields)
    sides = line @ np.eye(3)[[[0, 1], [1, 2], [2, 0]]]
    edge, edge_slopes = bernstein(m + 3, line), slopes(m + 3, line) @ [-1.0, 1.0]
    tables = np.stack([bernstein(m + 1, side) for side in sides])
    ways = np.eye(3)[[1, 2, 0]] - np.eye(3)
    steeps = np.stack([slopes(m + 1, one) @ way for one, way in zip(sides, ways, strict=True)])
    path = "jqn,tni,tjki->tjqk"
    on_v, slope_v = (np.einsum(path, x, v, mesh.frames, optimize=True) for x in (tables, steeps))
    path, unit = "jqn,tna,aid,tjd,tjki->tjqk", mesh.normals / mesh.lengths[..., None]
    normal = np.einsum(path, tables, q, tensors, unit, mesh.frames, optimize=True)
    data = (file["given"], file["robin"][..., None], file["trace"])
    g, alpha, traces = (mesh.turned(one[mesh.edges]) for one in data)
    alpha, traces = edge @ alpha, bernstein(m + fields - 1, line) @ traces
    held, length, ratio = fixed[mesh.edges][:, :, None], mesh.lengths, np.zeros(len(mesh.uses))
    natural = ~held & (mesh.uses[mesh.edges] == 1)[..., None, None]
    outer, lost_side = natural.any(axis=(2, 3)), np.moveaxis(lost_given[mesh.edges], 2, 0)
    left = natural * (edge @ g - alpha * traces - normal)
    high = 2 * areas[:, None] / length
    size = norm(left, length, along) + lost_side[2]
    size *= outer * np.sqrt(2 / high * (1 / math.pi**2 + 1 / math.pi))
    misfit += mesh.korn * reach / root * size.sum(axis=1)
    require((natural * (alpha + lost_side[1][..., None, None])).min() >= -1e-10, "α is negative")
    missing = (natural * alpha.clip(0) * (traces - on_v) ** 2).sum(axis=3) @ along
    lower += (length * missing).sum(axis=1)
    lost_robin = outer * lost_side[1] * (fields == 1)
    lost_flux = lost_robin * norm(on_v, 1, along) + outer * lost_side[3]
    trace_factor = (lost_robin * length / areas[:, None]).max()
    straight = np.stack([np.ones(len(line)), 3**0.5 * (line[:, 1] - line[:, 0])])
    straight = straight.T @ (straight * along)
    jump = np.zeros((len(mesh.uses), len(line), fields))
    np.add.at(jump, mesh.edges, mesh.turned(np.where(natural, straight @ left, normal) * ~held))
    ratio[mesh.edges] = length**2 / areas[:, None]
    pairs = v[:, [0, -m - 2, -1]][:, [[0, 1], [1, 2], [2, 0]]]
    ends = held * (g[:, :, [0, -1]] - np.einsum("tjki,tjei->tjek", mesh.frames, pairs))
    require(abs(ends).max() <= 1e-12 * abs(v).max(), "v has not the prescribed values at vertices")
    value_gap = norm(held * (edge @ g - on_v), length, along) + lost_side[0]
    slope_gap = norm(held * (edge_slopes @ g - slope_v), 1 / length, along) + lost_side[1]
    high_part = slope_gap**2 * (1 + 2 * (reach[:, None] / high) ** 2)
    flat_part = 2 * (value_gap / high) ** 2 + 1e-300
    power = np.maximum(np.sqrt(high_part / flat_part), 1)
    spread = most[:, None] * high / 2 * (high_part / power + flat_part * power)
    spread += reaction.max(axis=(1, 2))[:, None] * high / 4 * value_gap**2
    extension = (held.any(axis=(2, 3)) * np.sqrt(spread)).sum(axis=1)
    factor = 3 * (constant**2 + reach.max() * constant * korn / root.min())
    spoilt += math.sqrt(factor * ratio @ ((jump**2).sum(axis=2) @ along))
    spoilt += math.sqrt(factor * (ratio[mesh.edges] * lost_flux**2).sum())
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
        except (Wrong, OSError, KeyError, ValueError, IndexError, TypeError) as error:
            wrong, said = wrong + 1, f"WRONG, {error}"
        print(f"{path}: {said}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
