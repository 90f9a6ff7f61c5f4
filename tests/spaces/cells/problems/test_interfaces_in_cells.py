"""Coefficients that jump across curves inside the domain: cells with a part on either side."""

import library
import pytest
import torch
from cases import Layered, check_estimate, error_of, part, solved_in_cells

import kanpinn as kp
from kanpinn.solvers.auto.choices import Traits

F = torch.float64
SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))


def in_plane(domain, *parts, **settings):
    return Layered(domain, "sin(2 * x + 0.3) * exp(0.7 * y)", *parts, **settings)


DIVIDED = {
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
    assert error_of(solved_in_cells(in_plane(*DIVIDED[name]), 6, 4)) < 1e-4


def test_a_line_inside_cells_is_found_as_accurately_as_one_on_their_sides():
    lines = [part(kp.Box(x=(-1, at), y=(-1, 1)), 10.0, "x_max") for at in (0.0, -0.06, -0.2499)]
    errors = [error_of(solved_in_cells(in_plane(SQUARE, one), 4, 6)) for one in lines]
    assert max(errors) < 1.5 * min(errors)  # from 6 × 6 cells, which no corner halves


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


@pytest.mark.parametrize("ratio", [1e-3, 1e4])
def test_the_estimate_is_honest_for_any_ratio_of_coefficients(ratio):
    solution = solved_in_cells(Cylinder(ratio), 6, 4, tolerance=1e-4, steps=10)
    check_estimate(solution, 1e-4)
    assert solution.network.count < 160  # soft inclusions take no more cells than stiff ones


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


def check_saved(solution, cells):
    """A network that takes the state of a solution's network has its values at both sides."""
    network = solution.network
    fresh = kp.Cells(network.width, network.degree, cells)
    fresh.load_state_dict(network.state_dict())
    x = 2 * torch.rand(500, network.width[0], dtype=F) - 1
    assert torch.equal(fresh(x), network(x))
    return x


def test_the_flux_of_one_field_and_the_slope_of_the_other_are_continuous():
    """Also in the network after it is saved, and in its refinement."""
    solution = solved_in_cells(Wave(10.0), 10, 4)
    assert error_of(solution) < 1e-5
    rim = kp.Disk(Cylinder.center, Cylinder.radius).boundary.quadrature(20)[0]
    both = rim.on_both_sides(SQUARE.bounds)
    slopes = torch.einsum("npm,np->nm", solution.gradient(both), both.normals)
    factors = torch.tensor([10.0, 1.0], dtype=F)
    assert torch.allclose(factors * slopes[0::2], slopes[1::2], atol=1e-4)
    values = solution(both)
    assert torch.allclose(values[0::2], values[1::2], atol=1e-5)
    x, other = check_saved(solution, 4), solution.network.refined()
    assert torch.equal(other.layer.sides, solution.network.layer.sides)
    assert torch.allclose(other(x), solution.network(x), rtol=1e-12)


def test_what_cells_do_not_take_is_said_in_words():
    cells = kp.Cells([2, 1], 4, 4)
    problem = in_plane(SQUARE, part(kp.Box(x=(0, 0.3), y=(0, 0.7)), 10.0, "x_max"))
    with pytest.raises(kp.InputError, match="must be closed or end on the domain's boundary"):
        kp.solve(problem, cells, kp.AdaptiveLeastSquares())

    with pytest.raises(kp.InputError, match="Interface and a periodic coordinate"):
        around = in_plane(SQUARE, part(kp.Disk((0, 0), 0.3), 10.0), periodic=("x",))
        kp.solve(around, cells, kp.AdaptiveLeastSquares())


# --- Coefficients that jump across surfaces inside a solid: cells with a part on either side


CUBE = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))


def up_to(x):
    return kp.Box(x=(-1, x), y=(-1, 1), z=(-1, 1))


def in_space(domain, *parts):
    return Layered(domain, "sin(x + 0.3) * exp(0.7 * y) * cos(z)", *parts)


DIVIDED_INTERFACES_IN_SPACE = {
    "a box": (CUBE, part(kp.Box(x=(-0.5, 0.5), y=(-0.4, 0.3), z=(-0.2, 0.5)), 1000.0)),
    "a block in a corner": (
        CUBE,
        part(kp.Box(x=(-1, 0), y=(-1, 0.5), z=(-1, 0.3)), 10.0, "x_max", "y_max", "z_max"),
    ),
    "planes in cells": (CUBE, part(up_to(-0.3), 10.0, "x_max"), part(up_to(0.37), 0.1, "x_max")),
    "a plane on sides of cells": (CUBE, part(up_to(0), 10.0, "x_max")),
    "a plane that leaves slivers out": (CUBE, part(up_to(1.5e-6), 10.0, "x_max")),
    "a plane that leaves slivers": (CUBE, part(up_to(1e-3), 10.0, "x_max")),
}


@pytest.mark.parametrize("name", DIVIDED_INTERFACES_IN_SPACE)
def test_a_smooth_solution_is_found_across_planes(name):
    assert error_of(solved_in_cells(in_space(*DIVIDED_INTERFACES_IN_SPACE[name]), 4, 2)) < 2e-3


def test_a_smooth_solution_is_found_across_a_sphere_beside_a_plane():
    ball = part(kp.Ball((-0.1, 0.1, 0), 0.6), 7.0)
    problem = in_space(CUBE, part(up_to(0.75), 0.1, "x_max"), ball)
    assert error_of(solved_in_cells(problem, 3, 2)) < 2e-3


def test_the_estimate_is_honest_and_cells_are_halved():
    problem = in_space(CUBE, part(up_to(0.37), 10.0, "x_max"))
    solution = solved_in_cells(problem, 4, 2, tolerance=1e-3, steps=10)
    check_estimate(solution, 1e-3, 0.2)


def test_the_flux_is_continuous_across_a_sphere_also_after_saving():
    problem = library.class_of("dielectric_ball", "DielectricBall")(10.0)
    solution = solved_in_cells(problem, 4, 2)
    assert error_of(solution) < 2e-2
    both = problem.ball.boundary.quadrature(9)[0].on_both_sides(CUBE.bounds)
    slopes = (solution.gradient(both) * both.normals).sum(dim=1)
    assert torch.allclose(10 * slopes[0::2], slopes[1::2], atol=0.5)
    assert slopes[1::2].abs().max() > 2
    check_saved(solution, 2)


REFUSED = {
    "must be inside the domain": part(up_to(1), 10.0, "x_max"),
    "must divide the domain: the piece 'y_max'": part(
        kp.Box(x=(-1, 0.3), y=(-1, 0.7), z=(-1, 1)), 10.0, "x_max"
    ),
    "must consist of whole spheres or faces of boxes": part(
        kp.Ball((0, 0, 0), 0.5) - kp.Ball((0.3, 0, 0), 0.5), 10.0
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_divide_a_solid_is_refused(message):
    with pytest.raises(kp.InputError, match=message):
        kp.solve(
            in_space(CUBE, REFUSED[message]), kp.Cells([3, 1], 4, 2), kp.AdaptiveLeastSquares()
        )


def test_interfaces_that_meet_are_refused_and_automatic_solves_know_of_cells():
    one = part(up_to(0.1), 10.0, "x_max")
    across = part(kp.Ball((0.1, 0, 0), 0.3), 5.0)
    with pytest.raises(kp.InputError, match="must not meet"):
        solved_in_cells(in_space(CUBE, one, across), 4, 2)
    assert Traits(in_space(CUBE, one)).takes_cells
    with pytest.raises(kp.InputError, match="must not meet"):
        Traits(in_space(CUBE, one, across))
