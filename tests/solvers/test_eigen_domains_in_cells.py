"""Eigenvalues in cells of domains that need more than squares: a cube, a corner, an interface."""

import math

import numpy as np
import scipy.optimize
import torch
from eigen_cases import DISK, Membrane, solved_in_cells
from scipy.special import jv, jvp, yv, yvp

import kanpinn as kp


class Block(Membrane):
    """-Δu = λu in a cube."""

    domain = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))

    def exact_eigenvalues(self, count):
        squares = [(i * i, j * j, k * k) for i in (1, 2) for j in (1, 2) for k in (1, 2)]
        return sorted(math.pi**2 * sum(one) for one in squares)[:count]


def test_a_cube_has_triple_eigenvalues():
    solution = solved_in_cells(Block(), 4, degree=5, tolerance=1e-2)
    assert solution.success and solution.errors.max() < 1e-2
    assert solution.multiplicities == [1, 3, 3, 3]


class Bent(Membrane):
    """-Δu = λu on an L, whose first mode is singular at the corner like r^(2/3)."""

    domain = kp.Polygon([(0, 0), (1, 0), (1, 1), (-1, 1), (-1, -1), (0, -1)])

    def exact_eigenvalues(self, count):
        """The first one is of Betcke and Trefethen, Reviving the method of particular solutions."""
        return [9.6397238440219, 15.1972519264, 2 * math.pi**2][:count]


def test_an_l_shape_has_its_eigenvalues_and_honest_estimates():
    solution = solved_in_cells(Bent(), 3, degree=8, tolerance=1e-3)
    errors = (solution.values - solution.exact).abs()
    assert solution.success and solution.errors.max() < 1e-2
    assert (errors < 3 * solution.estimates).all()


def test_a_solve_that_stops_early_says_so():
    settings = kp.AdaptiveLeastSquares(tolerance=1e-8, steps=2)
    solution = kp.eigen(Bent(), kp.Cells([2, 1], 8, 4), 3, optimizers=settings)
    assert (
        solution.status == "stopped: limit of 2 steps; more steps may help" and not solution.success
    )
    errors = (solution.values - solution.exact).abs()
    assert (errors < 3 * solution.estimates).all()


class Composite(Membrane):
    """-∇·(a ∇u) = λu on the unit disk, a = 5 for r < 1/2 and 1 around it."""

    domain, stiff, radius, self_adjoint = DISK, 5.0, 0.5, True

    def coefficient(self, p):
        inside = p.x**2 + p.y**2 < self.radius**2
        return torch.where(inside, p.x.new_tensor(self.stiff), 1.0)

    def operator(self, p, u):
        return -self.coefficient(p) * kp.laplacian(u)

    def conditions(self):
        inner = kp.Disk((0, 0), self.radius).boundary
        return [*super().conditions(), kp.Interface(self.domain, inner, self.coefficient)]

    def exact_eigenvalues(self, count):
        """The zeros of the determinant of the conditions at the rim and at the interface."""
        found, grid = [], np.linspace(1, 100, 1000)
        for m in range(5):
            signs = np.sign([self._determinant(value, m) for value in grid])
            for i in np.nonzero(signs[1:] != signs[:-1])[0]:
                root = scipy.optimize.brentq(
                    self._determinant, grid[i], grid[i + 1], args=(m,), xtol=1e-12
                )
                found += [root] * (1 if m == 0 else 2)
        return sorted(found)[:count]

    def _determinant(self, value, m):
        k, q, r = math.sqrt(value), math.sqrt(value / self.stiff), self.radius
        return np.linalg.det(
            [
                [jv(m, q * r), -jv(m, k * r), -yv(m, k * r)],
                [self.stiff * q * jvp(m, q * r), -k * jvp(m, k * r), -k * yvp(m, k * r)],
                [0, jv(m, k), yv(m, k)],
            ]
        )


def test_a_membrane_of_two_materials_has_its_eigenvalues():
    solution = solved_in_cells(Composite(), 6, degree=7, cells=4, tolerance=1e-5)
    errors = (solution.values - solution.exact).abs()
    assert solution.success and solution.errors.max() < 1e-5
    assert solution.multiplicities == [1, 2, 2, 2, 2, 1]
    assert (errors < 3 * solution.estimates).all()
