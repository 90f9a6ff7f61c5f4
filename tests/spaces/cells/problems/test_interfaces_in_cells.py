"""Coefficients that jump across curves inside the domain: cells with a part on either side."""

import pytest
import torch
from cases import check_estimate, error_of, solved_in_cells
from layered import Layered, part

import kanpinn as kp
from kanpinn.spaces.cells.geometry.regions import PlaneRegions

F = torch.float64
SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))


class InPlane(Layered):
    """u = sin(2x + 0.3) exp(0.7 y)."""

    factor = 3.51

    def exact(self, p):
        return torch.sin(2 * p.x + 0.3) * torch.exp(0.7 * p.y)

    def gradient(self, p):
        along = 2 * torch.cos(2 * p.x + 0.3) * torch.exp(0.7 * p.y)
        return torch.cat([along, 0.7 * self.exact(p)], dim=1)


DIVIDED = {
    "a disk": (SQUARE, part(kp.Disk((0.07, -0.12), 0.31), 10.0)),
    "a disk beside a hole": (
        kp.Disk((0, 0), 1) - kp.Disk((0.5, 0.4), 0.2),
        part(kp.Disk((-0.2, 0), 0.3), 30.0),
    ),
    "disks in each other": (
        SQUARE,
        part(kp.Disk((0, 0.1), 0.6), 0.1),
        part(kp.Disk((0, 0.1), 0.3), 7.0),
    ),
    "disks that touch": (
        SQUARE,
        part(kp.Disk((-0.3, 0), 0.3), 10.0),
        part(kp.Disk((0.3, 0), 0.3), 0.2),
    ),
    "a triangle": (SQUARE, part(kp.Polygon([(-0.5, -0.4), (0.6, -0.2), (0.1, 0.7)]), 10.0)),
    "lines on sides of cells": (
        SQUARE,
        part(kp.Box(x=(-1, 0), y=(-1, 1)), 10.0, "x_max"),
        part(kp.Box(x=(-1, 1), y=(-1, -0.5)), 3.0, "y_max"),
    ),
    "a line beside sides of cells": (
        SQUARE,
        part(kp.Box(x=(-1, 3e-8), y=(-1, 1)), 10.0, "x_max"),
    ),
    "an oblique line": (
        SQUARE,
        part(kp.Polygon([(-1, -1), (1, -1), (1, 0.7), (-1, -0.4)]), 1e-3, "edge_2"),
    ),
}


@pytest.mark.parametrize("name", DIVIDED)
def test_a_smooth_solution_is_found_across_interfaces(name):
    assert error_of(solved_in_cells(InPlane(*DIVIDED[name]), 8, 4)) < 1e-6


def test_a_line_inside_cells_is_found_as_accurately_as_one_on_their_sides():
    lines = [part(kp.Box(x=(-1, at), y=(-1, 1)), 10.0, "x_max") for at in (0.0, -0.06, -0.2499)]
    errors = [error_of(solved_in_cells(InPlane(SQUARE, one), 5, 8)) for one in lines]
    assert max(errors) < 1.5 * min(errors)  # from 8 × 8 cells, which no corner halves


class Cylinder(kp.Problem):
    """A dielectric cylinder in a uniform field: ∇·(a ∇u) = 0, a = ratio inside and 1 outside."""

    domain, center, radius = SQUARE, (0.07, -0.12), 0.31

    def __init__(self, ratio):
        self.ratio = ratio

    def inputs(self):  # for networks whose functions are smooth
        return lambda p: torch.cat([p.x, p.y, self.level(p).abs().sqrt() - 1], dim=1)

    def level(self, p):
        x, y = self.center
        return (p.x - x) ** 2 + (p.y - y) ** 2 - self.radius**2

    def a(self, p):
        return torch.where(self.level(p) < 0, p.x.new_tensor(self.ratio), 1.0)

    def residual(self, p, u):
        return self.a(p) * kp.laplacian(u)

    def exact(self, p):
        x, square = p.x - self.center[0], self.level(p) + self.radius**2
        inner = 2 / (1 + self.ratio) * x
        outer = x - (self.ratio - 1) / (self.ratio + 1) * self.radius**2 * x / square
        return torch.where(self.level(p) < 0, inner, outer)

    def conditions(self):
        rim = kp.Disk(self.center, self.radius).boundary
        return [
            kp.Dirichlet(self.domain.boundary, self.exact),
            kp.Interface(self.domain, rim, self.a),
        ]


@pytest.mark.parametrize("ratio", [1e-3, 10.0, 1e4])
def test_the_estimate_is_honest_for_any_ratio_of_coefficients(ratio):
    solution = solved_in_cells(Cylinder(ratio), 8, 4, tolerance=1e-6, steps=10)
    check_estimate(solution, 1e-6)
    assert solution.network.count < 160  # soft inclusions take no more cells than stiff ones


def test_errors_fall_with_the_degree():
    errors = [error_of(solved_in_cells(Cylinder(10.0), degree, 4)) for degree in (4, 7, 10)]
    assert errors[1] < 0.05 * errors[0] and errors[2] < 0.2 * errors[1]


def test_the_flux_is_continuous_and_the_slope_is_not():
    solution = solved_in_cells(Cylinder(10.0), 10, 4)
    rim = kp.Disk(Cylinder.center, Cylinder.radius).boundary.quadrature(20)[0]
    both = rim.on_both_sides(SQUARE.bounds)
    slopes = (solution.gradient(both) * both.normals).sum(dim=1)
    assert torch.allclose(10 * slopes[0::2], slopes[1::2], atol=1e-4)
    values = solution(both)
    assert torch.allclose(values[0::2], values[1::2], atol=1e-5)


def test_a_network_knows_the_sides_of_an_interface_after_saving():
    solution = solved_in_cells(Cylinder(10.0), 6, 4)
    other = solution.network.richer(0)
    assert torch.equal(other.layer.sides, solution.network.layer.sides)
    fresh = kp.Cells([2, 1], 6, 4)
    fresh.load_state_dict(solution.network.state_dict())
    x = 2 * torch.rand(500, 2, dtype=F) - 1
    assert torch.equal(fresh(x), solution.network(x)) and torch.equal(other(x), fresh(x))


def test_points_belong_to_the_region_around_them():
    inner, outer = kp.Disk((0.5, 0.5), 0.25), kp.Box(x=(0, 1), y=(0, 2)) - kp.Disk((0.5, 0.5), 0.25)
    regions = PlaneRegions.of([outer, inner], outer.bounds)
    p = kp.Box(x=(0, 1), y=(0, 2)).gauss(2000)
    scaled = p.coords * torch.tensor([2.0, 1.0]) - 1
    expected = ((p.x - 0.5) ** 2 + (p.y - 0.5) ** 2 < 0.25**2)[:, 0]
    assert torch.equal(regions.of_points(scaled), expected.long())
    walls = outer.boundary["x_min", "x_max", "y_min", "y_max"].quadrature(30)[0].coords
    assert not regions.of_points(walls * torch.tensor([2.0, 1.0]) - 1).any()


class Wave(Cylinder):
    """Two fields, the flux of one of which is continuous, and the slope of the other."""

    fields = ("u", "v")

    def residual(self, p, u, v):
        return self.a(p) * kp.laplacian(u), kp.laplacian(v) - v.value + u.value - self.source(p)

    def source(self, p):
        v, u = torch.exp(p.x) * torch.cos(2 * p.y), super().exact(p)
        return -3 * v - v + u

    def exact(self, p):
        return torch.cat([super().exact(p), torch.exp(p.x) * torch.cos(2 * p.y)], dim=1)

    def conditions(self):
        rim = kp.Disk(self.center, self.radius).boundary
        return [
            kp.Dirichlet(self.domain.boundary, self.exact),
            kp.Interface(self.domain, rim, self.a, field="u"),
        ]


def test_fields_without_a_flux_have_continuous_slopes():
    assert error_of(solved_in_cells(Wave(10.0), 10, 4)) < 1e-5


def test_what_cells_do_not_take_is_said_in_words():
    cells = kp.Cells([2, 1], 4, 4)
    problem = InPlane(SQUARE, part(kp.Box(x=(0, 0.3), y=(0, 0.7)), 10.0, "x_max"))
    with pytest.raises(kp.InputError, match="must be closed or end on the domain's boundary"):
        kp.solve(problem, cells, kp.AdaptiveLeastSquares())

    class Around(InPlane):
        def conditions(self):
            walls = self.domain.boundary["y_min", "y_max"]
            around = kp.Periodic(self.domain, "x")
            return [around, kp.Dirichlet(walls, 0.0), *super().conditions()[1:]]

    with pytest.raises(kp.InputError, match="Interface and a periodic coordinate"):
        kp.solve(Around(SQUARE, part(kp.Disk((0, 0), 0.3), 10.0)), cells, kp.AdaptiveLeastSquares())
