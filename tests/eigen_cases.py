"""Eigenvalue problems with known eigenvalues, which several tests solve."""

import math

import scipy.special
import torch

import kanpinn as kp

UNIT = kp.Box(x=(0, 1), y=(0, 1))
DISK = kp.Disk((0, 0), 1.0)
DIRICHLET = sorted(math.pi**2 * (i * i + j * j) for i in range(1, 9) for j in range(1, 9))
NEUMANN = sorted(math.pi**2 * (i * i + j * j) for i in range(9) for j in range(9))


class Membrane(kp.EigenProblem):
    """-Δu = λu on the unit square, u = 0 on its boundary."""

    domain = UNIT

    def operator(self, p, u):
        return -kp.laplacian(u)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact_eigenvalues(self, count):
        return DIRICHLET[:count]


class Free(Membrane):
    """-Δu = λu, ∂u/∂n = 0: constants are a mode."""

    def conditions(self):
        return [kp.Neumann(self.domain.boundary, 0.0)]

    def exact_eigenvalues(self, count):
        return NEUMANN[:count]


class Interval(Membrane):
    """-u'' = λu on (0, 1)."""

    domain = kp.Box(x=(0, 1))

    def exact_eigenvalues(self, count):
        return [(math.pi * n) ** 2 for n in range(1, count + 1)]


class Wind(Membrane):
    """-Δu + b·∇u = λu: not self-adjoint, with the Laplacian's eigenvalues plus |b|²/4."""

    def operator(self, p, u):
        slope = kp.grad(u)
        return -kp.laplacian(u) + 8 * slope[:, :1] + 3 * slope[:, 1:]

    def exact_eigenvalues(self, count):
        return [value + 73 / 4 for value in DIRICHLET[:count]]


class Turning(Membrane):
    """-Δu + 20 ∂u/∂θ = λu on the disk: λ = j² + 20 i m."""

    domain = DISK

    def operator(self, p, u):
        slope = kp.grad(u)
        return -kp.laplacian(u) + 20 * (p.x * slope[:, 1:] - p.y * slope[:, :1])

    def exact_eigenvalues(self, count):
        found = []
        for m in range(6):
            for zero in scipy.special.jn_zeros(m, 4):
                found += [complex(zero**2, sign * 20 * m) for sign in ((1, -1) if m else (0,))]
        return sorted(found, key=lambda z: (round(z.real, 6), z.imag))[:count]


class Weighed(Interval):
    """-u'' = λ u / x² on (1, e): λ = (πn)² + 1/4."""

    domain = kp.Box(x=(1, math.e))

    def mass(self, p, u):
        return u.value / p.x**2

    def exact_eigenvalues(self, count):
        return [(math.pi * n) ** 2 + 0.25 for n in range(1, count + 1)]


class Wells(Interval):
    """-u'' + V u = λu with V far below zero: many negative eigenvalues, Mathieu's."""

    domain = kp.Box(x=(0, math.pi))
    depth = 50.0

    def operator(self, p, u):
        return -kp.laplacian(u) + 2 * self.depth * torch.cos(2 * p.x) * u.value

    def exact_eigenvalues(self, count):
        return [float(scipy.special.mathieu_b(n, self.depth)) for n in range(1, count + 1)]


class Pair(Membrane):
    """Two membranes that are coupled by springs: λ = π²(i² + j²) ± 1."""

    fields = ("u", "v")

    def operator(self, p, u, v):
        return -kp.laplacian(u) + v.value, -kp.laplacian(v) + u.value

    def exact_eigenvalues(self, count):
        return sorted(value + sign for value in DIRICHLET for sign in (-1, 1))[:count]


def solved_in_cells(problem, count, degree=10, cells=2, tolerance=1e-9, **arguments):
    network = kp.Cells([problem.domain.dim, len(problem.fields)], degree, cells)
    settings = kp.AdaptiveLeastSquares(tolerance=tolerance)
    return kp.eigen(problem, network, count, optimizers=settings, **arguments)
