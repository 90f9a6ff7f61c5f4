"""Energies in cells: their stationary points are the solutions of the strong form."""

import math
from pathlib import Path

import pytest
import torch
from cases import error_of

import kanpinn as kp
from kanpinn.runs.config import Config

PROBLEMS = Path(__file__).parents[4] / "problems"
SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def _solved(problem, degree=10, form="strong", **settings):
    network = kp.Cells([2, len(problem.fields)], degree=degree, cells=2)
    settings = {"loss": kp.Loss(form=form), "errors": False} | settings
    return kp.solve(problem, network, kp.AdaptiveLeastSquares(1e-6), **settings)


class Stiffening(kp.Problem):
    """-div((1 + |∇u|²) ∇u) = f, with a flux that grows with u on one side."""

    domain = SQUARE

    def energy(self, p, u):
        slopes = kp.grad(u).square().sum(dim=1, keepdim=True)
        return (1 + slopes) ** 2 / 4 - self.source(p) * u.value

    def boundary_energies(self):
        top = self.domain.boundary["y_max"]
        return [(top, lambda p, u: u.value**2 - self.given(p) * u.value)]

    def given(self, p):
        slope = torch.cos(2 * p.x + p.y)
        return 2 * self.exact(p) + (1 + 5 * slope**2) * slope

    def conditions(self):
        walls = self.domain.boundary["x_min", "x_max", "y_min"]
        return [kp.Dirichlet(walls, self.exact)]

    def exact(self, p):
        return torch.sin(2 * p.x + p.y)


class Block(kp.Problem):
    """A block of a compressible material (neo-Hooke) on rollers, with dead loads."""

    domain = SQUARE
    fields = ("u", "v")

    def strain_energy(self, u, v):
        a, b = 1 + kp.partial(u, "x"), kp.partial(u, "y")
        c, d = kp.partial(v, "x"), 1 + kp.partial(v, "y")
        area = a * d - b * c
        return (a**2 + b**2 + c**2 + d**2) / 2 - area.log() + (area - 1) ** 2

    def energy(self, p, u, v):
        load = self.source(p)
        return self.strain_energy(u, v) - load[:, :1] * u.value - load[:, 1:] * v.value

    def conditions(self):
        walls = self.domain.boundary
        return [
            kp.Dirichlet(walls["x_min"], 0.0, field="u"),
            kp.Dirichlet(walls["y_min", "y_max"], self.exact),
            kp.Dirichlet(walls["x_max"], self.exact),
        ]

    def exact(self, p):
        u, v = torch.sin(3 * p.x) * p.y, torch.cos(3 * p.x) * torch.sin(p.y)
        return 0.1 * torch.cat([u, v], dim=1)


def test_nonlinear_energies_are_solved_to_eight_digits():
    found = _solved(Stiffening(), degree=9, verified=False)
    assert found.status == "converged"
    assert error_of(found) < 1e-8


def test_a_system_has_natural_conditions_for_each_field():
    """The shear is zero on the rollers at x = 0, since v has no slope along x there."""
    with pytest.warns(UserWarning, match="not known whether it is a minimum"):
        found = _solved(Block(), degree=7, form="energy")
    assert found.status == "converged"
    assert error_of(found) < 1e-5


class Quadratic(Stiffening):
    """With two squares of slopes, the second times `sign`, and the solution on the boundary."""

    def __init__(self, first, second, sign):
        self.slopes, self.sign = (first, second), sign

    def energy(self, p, u):
        first, second = (kp.directional(u, way) ** 2 for way in self.slopes)
        return (first + self.sign * second) / 2 - self.source(p) * u.value

    def boundary_energies(self):
        return ()

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]


def test_a_stationary_point_that_is_no_minimum_has_a_status_that_says_so():
    found = _solved(Quadratic((1, 0), (0, 1), -0.3), 8)
    assert found.status.startswith("stopped: the solution is a stationary point of the energy but")
    assert error_of(found) < 1e-7


def test_energies_of_derivatives_along_directions_are_judged_by_all_of_the_gradient():
    ways = (1 / 5**0.5, 2 / 5**0.5), (2 / 5**0.5, -1 / 5**0.5)
    assert _solved(Quadratic(*ways, 1.0), 8).status == "converged"
    assert "concave in the gradient" in _solved(Quadratic(*ways, -0.3), 8).status


class Plate(kp.Problem):
    """A clamped plate of constant thickness: D Δ²u = f."""

    domain = SQUARE

    def energy(self, p, u):
        xx, yy, xy = (kp.partial(u, *names) for names in ("xx", "yy", "xy"))
        bent = (xx + yy) ** 2 - 1.4 * (xx * yy - xy**2)
        return bent - 50 * self.exact(p) * u.value

    def conditions(self):
        def slope(p):
            change = torch.cos(2 * p.x + p.y)
            return p.normals[:, :1] * 2 * change + p.normals[:, 1:] * change

        walls = self.domain.boundary
        return [kp.Dirichlet(walls, self.exact), kp.Neumann(walls, slope)]

    def exact(self, p):
        return torch.sin(2 * p.x + p.y)


def test_the_energy_of_a_plate_gives_the_equation_of_fourth_order():
    found = _solved(Plate(), degree=9)
    assert found.status == "converged"
    assert error_of(found) < 1e-8


def test_the_file_of_a_soap_film_finds_the_catenoid():
    pairs = ["run.tolerance=1e-2", "network.degree=5", "run.estimate=false"]
    found = Config.read(PROBLEMS / "soap_film.toml", pairs).build().run(())
    assert found.status == "converged"
    assert found.errors.l2_relative < 1e-2


def test_networks_without_cells_take_the_derived_equation():
    class Membrane(kp.Problem):
        domain = SQUARE
        exact = lambda self, p: torch.sin(math.pi * p.x) * torch.sin(2 * p.y)  # noqa: E731

        def energy(self, p, u):
            return kp.grad(u).square().sum(dim=1, keepdim=True) / 2 - self.source(p) * u.value

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, self.exact)]

    network = [kp.KAN([2, 24, 1], degree=9, seed=0) for _ in range(2)]
    assert kp.solve(Membrane(), network[0]).errors.l2_relative < 1e-6
    assert kp.solve(Membrane(), network[1], loss=kp.Loss(form="energy")).errors.l2_relative < 1e-2
