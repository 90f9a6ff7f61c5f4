"""Trials for energies, for data with noise, and in other units; problems not in the library."""

import functools
import math

import pytest
import torch
from cases import ZeroOnWalls

import kanpinn as kp
from kanpinn.solvers.auto import first_choice


class Bent(ZeroOnWalls):
    """-Δu = 1 on the L-shape, u = 0 on the boundary: the strong form cannot find it."""

    domain = kp.LShape()

    def residual(self, p, u):
        return kp.laplacian(u) + 1

    def energy(self, p, u):
        return kp.grad(u).square().sum(dim=1, keepdim=True) / 2 - u.value


class Rod(ZeroOnWalls):
    """-u'' = sin(3x) on [0, 2], with its energy, u smooth."""

    domain = kp.Box(x=(0, 2))

    def residual(self, p, u):
        return kp.laplacian(u) + torch.sin(3 * p.x)

    def energy(self, p, u):
        return kp.grad(u).square().sum(dim=1, keepdim=True) / 2 - torch.sin(3 * p.x) * u.value

    def exact(self, p):
        return torch.sin(3 * p.x) / 9 - p.x * math.sin(6) / 18


class Swing(kp.Problem):
    """-c u'' = f on [0, 3], c unknown, u measured with noise."""

    domain = kp.Box(x=(0, 3))
    stiffness = 2.0

    def __init__(self, noise=0.02, seed=0):
        self.noise = noise
        self.unknowns = {"c": kp.Unknown(1.0, positive=True, exact=self.stiffness)}
        generator = torch.Generator().manual_seed(seed)
        self.at = 3 * torch.rand(100, 1, generator=generator, dtype=torch.float64)
        true = self.exact(kp.Points(self.at, ("x",)))
        self.values = true + noise * torch.randn(100, 1, generator=generator, dtype=torch.float64)

    def residual(self, p, u, c):
        return -c.value * kp.laplacian(u) - self.source(p)

    def source(self, p):
        return self.stiffness * torch.sin(p.x)

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, self.exact),
            kp.Observed(self.domain, self.at, self.values, self.noise),
        ]

    def exact(self, p):
        return torch.sin(p.x)


class Plate(kp.Problem):
    """-Δu + u/L² = f on a disk of any size, in any units; data that go into the loss."""

    def __init__(self, length=1.0, size=1.0, unit=1.0):
        self.length, self.size, self.unit = length, size, unit
        self.domain = kp.Disk((0.0, 0.0), length)

    def residual(self, p, u):
        return self.unit * (u.value / self.length**2 - kp.laplacian(u)) - self.source(p)

    def source(self, p):
        return self.unit * 6 / self.length**2 * Plate.exact(self, p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return self.size * torch.sin(2 * p.x / self.length) * torch.cos(p.y / self.length)


def test_an_energy_is_minimised_where_the_equation_asks_too_much():
    solution = kp.solve(Bent(), tolerance=1.2e-2, budget=1000)
    assert solution.discretization.form == "energy"
    assert solution.status.startswith("converged")
    value = float(solution(torch.tensor([[-0.5, -0.5]], dtype=torch.float64)))
    assert value == pytest.approx(0.1310, rel=2e-2)


def test_a_smooth_solution_with_an_energy_is_as_good_as_without():
    solution = kp.solve(Rod(), tolerance=1e-11, budget=1000)
    assert solution.discretization.form == "strong"
    assert solution.errors.l2_relative < 1e-10


@pytest.mark.parametrize("seed", range(3))
def test_data_are_fitted_down_to_their_noise_and_no_further(seed):
    solution = kp.solve(Swing(seed=seed), tolerance=1e-6, budget=1000)
    assert solution.log[-1].endswith("the last one fits the data no better")
    assert solution.network.width[1] < 20
    assert solution.errors.l2_relative < 0.02
    estimated = solution.estimate.errors.l2_relative
    assert solution.errors.l2_relative / 5 < estimated < 0.2
    assert solution.estimated["c"].value == pytest.approx(2.0, rel=0.2)


@functools.cache
def plate():
    return kp.solve(Plate(), tolerance=1e-9, budget=1000)


@pytest.mark.parametrize("units", [(50.0, 1.0, 1.0), (1.0, 1000.0, 1.0), (0.02, 1.0, 1e5)])
def test_units_of_length_solution_and_equation_do_not_matter(units):
    one = plate()
    other = kp.solve(Plate(*units), tolerance=1e-9, budget=1000)
    assert len(one.log) == len(other.log)
    ratio = other.errors.l2_relative / one.errors.l2_relative
    assert 1 / 5 < ratio < 5


class Still(kp.Problem):
    """u'' = 0 with values that the surrogate has built in: the network is zero."""

    domain = kp.Box(x=(0, 2))

    def residual(self, p, u):
        return kp.laplacian(u)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return 3 + 7 * p.x


def test_a_solution_that_is_built_in_is_known_to_rounding():
    solution = kp.solve(Still())
    assert solution.status.startswith("converged: the estimated") and len(solution.log) < 5
    assert solution.errors.l2_relative < 1e-14
    assert solution.estimate.errors.l2_relative < 1e-12


class Spread(kp.Problem):
    """Heat in a square, with a condition on one side whose factors vary along it."""

    domain = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.1))

    def residual(self, p, u):
        return kp.partial(u, "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y")

    def exact(self, p):
        return torch.exp(-2 * p.t) * torch.cos(p.x) * torch.cos(p.y)

    def exchange(self, p, u):
        exact = self.exact(p)
        return kp.partial(u, "y") + torch.tan(p.y) * exact + (1 + p.x) * (u.value - exact)

    def conditions(self):
        side = self.domain.boundary
        given = kp.Dirichlet(side["x_min", "x_max", "y_min"], self.exact)
        odd = kp.Constraint(side["y_max"], self.exchange)
        return [kp.Initial(self.domain, self.exact), given, odd]


def test_what_products_of_splines_refuse_is_left_to_other_networks():
    problem = Spread()
    assert first_choice(problem).kind is kp.Windows
    solution = kp.solve(problem, tolerance=1e-3, budget=20)
    assert not isinstance(solution.network, kp.Windows)
    assert solution.errors.l2_relative < 1e-3
