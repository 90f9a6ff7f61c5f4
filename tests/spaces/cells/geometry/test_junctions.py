"""Points where interfaces cross, have corners or end at walls: the exponents of solutions there."""

import math

import pytest
import torch
from cases import cells_of, error_of, solved_in_cells

import kanpinn as kp
from kanpinn.spaces.cells.geometry.singularities import junctions

SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))
CROSS = (
    kp.Box(x=(-1, 0), y=(-1, 1)).boundary["x_max"],
    kp.Box(x=(-1, 1), y=(-1, 0)).boundary["y_max"],
)


class Divided(kp.Problem):
    """∇·(a ∇u) = 0 with u given on the walls."""

    domain = SQUARE

    def __init__(self, a, *interfaces):
        self.a, self.interfaces = a, interfaces

    def residual(self, p, u):
        return self.a(p) * kp.laplacian(u)

    def values(self, p):
        return p.x

    def conditions(self):
        walls = kp.Dirichlet(self.domain.boundary, self.values)
        return [walls, *(kp.Interface(self.domain, one, self.a) for one in self.interfaces)]


def exponents(problem):
    found = cells_of(problem, kp.Cells([2, 1], 4, 2))
    terms = found.division, found.interfaces, found.conditions
    return junctions(*terms, SQUARE.bounds, 1)


def chequered(ratio):
    return lambda p: torch.where(p.x * p.y > 0, p.x.new_tensor(ratio), 1.0)


@pytest.mark.parametrize("ratio", [161.4476387975881, 5.0])
def test_exponents_of_a_chequerboard_are_those_of_kellogg(ratio):
    # λ = 4/π arctan(1/√R) is 0.1 for the first one.
    ((point, exponent),) = exponents(Divided(chequered(ratio), *CROSS))
    assert point == pytest.approx((0, 0))
    assert exponent == pytest.approx(4 / math.pi * math.atan(ratio**-0.5), abs=1e-3)


def test_an_oblique_line_at_a_wall_has_the_exponent_of_both_angles():
    part = kp.Polygon([(-1, -1), (1, -1), (1, 0.7), (-1, -0.4)])
    inside = lambda p: part.contains(p.coords)[:, None]  # noqa: E731
    problem = Divided(
        lambda p: torch.where(inside(p), p.x.new_tensor(10.0), 1.0), part.boundary["edge_2"]
    )
    slope = math.atan2(1.1, 2)
    for (x, _), exponent in exponents(problem):
        below = math.pi / 2 + (slope if x < 0 else -slope)  # the angle of the part
        above = math.pi - below
        flux = 10 / math.tan(exponent * below) + 1 / math.tan(exponent * above)
        assert flux == pytest.approx(0, abs=0.05)


def test_smooth_interfaces_have_no_singular_points():
    disk = kp.Disk((0.1, 0), 0.4)
    a = lambda p: torch.where((p.x - 0.1) ** 2 + p.y**2 < 0.16, p.x.new_tensor(50.0), 1.0)  # noqa: E731
    assert exponents(Divided(a, disk.boundary)) == []
    halves = lambda p: torch.where(p.x < 0, p.x.new_tensor(50.0), 1.0)  # noqa: E731
    assert exponents(Divided(halves, CROSS[0])) == []


class Chequered(Divided):
    """u = r^λ φ(θ) on a chequerboard: φ is even in quadrants with a = R and odd in the others."""

    def __init__(self, ratio):
        super().__init__(chequered(ratio), *CROSS)
        self.exponent = 4 / math.pi * math.atan(ratio**-0.5)

    def exact(self, p):
        power, angle = self.exponent, torch.atan2(p.y, p.x)
        sign = torch.where(angle < 0, -1.0, 1.0)  # φ(θ + π) = -φ(θ)
        angle = torch.where(angle < 0, angle + math.pi, angle)
        even = torch.cos(power * (angle - math.pi / 4))
        odd = -torch.sin(power * (angle - 3 * math.pi / 4)) / math.tan(power * math.pi / 4)
        shape = torch.where(angle < math.pi / 2, even, odd)
        return sign * (p.x**2 + p.y**2) ** (power / 2) * shape

    def values(self, p):
        return self.exact(p)


def test_a_singular_solution_at_a_crossing_is_found():
    solution = solved_in_cells(Chequered(3.0), 5, 4, tolerance=3e-3, steps=20)  # λ = 2/3
    estimated = solution.history.column("estimated_error")[-1]
    assert solution.status == "converged" and estimated <= 3e-3
    assert 0.3 * estimated < error_of(solution) < 3 * estimated
