"""Steady flow in a driven cavity by spectral elements: what the problem's reference data come from.

    python tests/flow_reference.py problems/cavity.npz

Taylor–Hood elements, Q_p for the velocity and Q_(p-1) for the pressure, on a tensor mesh that is
graded towards the walls, geometrically so towards the corners where the lid meets the walls; the
velocity is that of the lid on it and 0 at its two ends. Newton's method from rest. What limits u
and v are the elements near the lid's ends, of which each is as far from them as it is large: p = 7
on a mesh five times as fine towards them from one element to the next differs by 1.1e-4 and 1.5e-4
(relative L2) from the data's p = 8 at 2.5 times, p = 9 there by 1.3e-6 and 2.3e-6.
"""

import sys
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander
from scipy import sparse
from scipy.sparse.linalg import splu

STEPS, SETTLED = 20, 1e-7  # the convergence is quadratic
NODES = 40  # of the rule whose points the data are at


@dataclass(frozen=True)
class Line:
    """Continuous piecewise polynomials of a degree between breaks, by their values at nodes."""

    breaks: np.ndarray
    degree: int

    @property
    def nodes(self) -> np.ndarray:
        """Chebyshev–Lobatto points of each interval, ends shared."""
        s = (1 - np.cos(np.pi * np.arange(self.degree + 1) / self.degree)) / 2
        inside = self.breaks[:-1, None] + np.diff(self.breaks)[:, None] * s[:-1]
        return np.append(inside.ravel(), self.breaks[-1])

    def at(self, x: np.ndarray) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Values and derivatives at points from values at the nodes, (points, nodes) each."""
        p = self.degree
        cells = np.clip(np.searchsorted(self.breaks, x, "right") - 1, 0, len(self.breaks) - 2)
        size = np.diff(self.breaks)[cells]
        s = 2 * (x - self.breaks[cells]) / size - 1
        inverse = np.linalg.inv(legvander(-np.cos(np.pi * np.arange(p + 1) / p), p))
        columns = (cells * p)[:, None] + np.arange(p + 1)
        rows = np.repeat(np.arange(len(x)), p + 1)
        parts = legvander(s, p) @ inverse, _slopes(s, p) @ inverse * (2 / size)[:, None]
        shape = len(x), (len(self.breaks) - 1) * p + 1
        return tuple(
            sparse.csr_matrix((part.ravel(), (rows, columns.ravel())), shape) for part in parts
        )

    def rule(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Gauss points, so many in each interval, and weights."""
        s, w = leggauss(count)
        half = np.diff(self.breaks)[:, None] / 2
        return (self.breaks[:-1, None] + half * (1 + s)).ravel(), (half * w).ravel()


def _slopes(s: np.ndarray, degree: int) -> np.ndarray:
    """Derivatives of Legendre's polynomials."""
    return np.stack([np.polynomial.Legendre.basis(j).deriv()(s) for j in range(degree + 1)], 1)


@dataclass(frozen=True)
class Flow:
    """Velocity and pressure at the nodes of their elements."""

    velocity: tuple[Line, Line]
    pressure: tuple[Line, Line]
    u: np.ndarray
    v: np.ndarray
    q: np.ndarray

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """u, v and q on the grid of the points x and y, (len(x), len(y)) each."""
        both = [(self.velocity, self.u), (self.velocity, self.v), (self.pressure, self.q)]
        return tuple(
            (sparse.kron(a.at(x)[0], b.at(y)[0]) @ values).reshape(len(x), len(y))
            for (a, b), values in both
        )


def breaks(levels: int, ratio: float, inside: int) -> np.ndarray:
    """Of [0, 1]: equal intervals from 1/5 to 4/5, geometrically smaller ones towards the ends."""
    end = np.append(0.0, 0.2 * ratio ** np.arange(levels, -1, -1))
    return np.concatenate([end[:-1], np.linspace(0.2, 0.8, inside + 1), 1 - end[-2::-1]])


def cavity(
    reynolds: float, degree: int = 6, levels: int = 6, ratio: float = 0.25, inside: int = 3
) -> Flow:
    """The flow in [0, 1]² whose lid y = 1 moves with the velocity 1."""
    xs = breaks(levels, ratio, inside)
    ys = xs[(xs > 0.04) | (xs == 0)]  # the corners at rest are no hard ones
    lines, lower = (tuple(Line(b, k) for b in (xs, ys)) for k in (degree, degree - 1))
    operators = _operators(lines, lower)
    w, free = _walls(lines)
    q = np.zeros(operators.test.shape[1])
    for _ in range(STEPS):
        change, pressure = _newton(operators, reynolds, w, q, free)
        w[free] += change
        q += pressure
        if np.abs(change).max() < SETTLED:
            return Flow(lines, lower, *np.split(w, 2), q)
    raise ArithmeticError(f"Newton's method has not settled in {STEPS} steps")


@dataclass(frozen=True)
class Operators:
    """From nodal values to the points of a rule, whose weights are a diagonal matrix.

    value and slopes, ∂x and ∂y, of a component of the velocity; test: of the pressure.
    """

    value: sparse.csr_matrix
    slopes: tuple[sparse.csr_matrix, ...]
    test: sparse.csr_matrix
    weight: sparse.dia_matrix

    @property
    def divergence(self) -> sparse.csr_matrix:
        """Of a velocity, negative, against the pressure's functions."""
        return sparse.hstack([-self.test.T @ self.weight @ slope for slope in self.slopes], "csr")

    @property
    def stiffness(self) -> sparse.csr_matrix:
        """Of the Laplacian, negative."""
        return sum(slope.T @ self.weight @ slope for slope in self.slopes)


def _operators(lines: tuple[Line, Line], lower: tuple[Line, Line]) -> Operators:
    rules = [line.rule(line.degree + 2) for line in lines]
    (bx, dx), (by, dy) = (line.at(rule[0]) for line, rule in zip(lines, rules, strict=True))
    value, x_slope, y_slope = (sparse.kron(*f, "csr") for f in ((bx, by), (dx, by), (bx, dy)))
    tests = (line.at(rule[0])[0] for line, rule in zip(lower, rules, strict=True))
    weight = sparse.diags(np.kron(rules[0][1], rules[1][1]))
    return Operators(value, (x_slope, y_slope), sparse.kron(*tests, "csr"), weight)


def _walls(lines: tuple[Line, Line]) -> tuple[np.ndarray, np.ndarray]:
    """u and v at the nodes, at rest but for the lid, and the indices that are not on a wall."""
    x, y = (grid.ravel() for grid in np.meshgrid(*(line.nodes for line in lines), indexing="ij"))
    along = (x > 0) & (x < 1)
    inner = along & (y > 0) & (y < 1)
    lid = (along & (y == 1)).astype(float)
    return np.append(lid, 0 * lid), np.flatnonzero(np.append(inner, inner))


def _newton(
    operators: Operators, reynolds: float, w: np.ndarray, q: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Changes of the free values of the velocity and of the pressure, whose mean is held at 0."""
    jacobian, force = _momentum(operators, reynolds, w)
    divergence = operators.divergence
    mean = operators.test.T @ operators.weight.diagonal()
    held, residual = divergence[:, free], force + divergence.T @ q
    system = sparse.bmat(
        [
            [jacobian[free][:, free], held.T, None],
            [held, None, mean[:, None]],
            [None, mean[None], None],
        ],
        "csc",
    )
    right = np.concatenate([residual[free], divergence @ w, [mean @ q]])
    change = splu(system).solve(-right)
    return change[: len(free)], change[len(free) : -1]


def _momentum(
    operators: Operators, reynolds: float, w: np.ndarray
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """What the velocity w carries and rubs, and its derivative."""
    value, parts = operators.value, np.split(w, 2)
    along = sum(
        sparse.diags(value @ part) @ slope
        for part, slope in zip(parts, operators.slopes, strict=True)
    )
    force = value.T @ operators.weight
    carried = operators.stiffness / reynolds + force @ along
    turned = [
        [force @ sparse.diags(slope @ part) @ value for slope in operators.slopes] for part in parts
    ]
    for i in (0, 1):
        turned[i][i] += carried
    return sparse.bmat(turned, "csr"), np.concatenate([carried @ part for part in parts])


def write(path: str, reynolds: float = 100.0) -> None:
    """The data file: u, v and q at the points of a Gauss rule, q with the mean 0."""
    s, w = leggauss(NODES)
    s, w = (s + 1) / 2, w / 2
    u, v, q = cavity(reynolds, degree=8, levels=7, ratio=0.4, inside=2).at(s, s)
    x, y = np.meshgrid(s, s, indexing="ij")
    weight = np.outer(w, w)
    columns = dict(x=x, y=y, u=u, v=v, q=q - (weight * q).sum(), weight=weight)
    np.savez_compressed(path, **{name: column.ravel() for name, column in columns.items()})


if __name__ == "__main__":
    write(sys.argv[1])
