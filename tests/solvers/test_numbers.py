"""Numbers that are computed from a solution, with their errors."""

import math
import warnings
from functools import cache
from itertools import pairwise

import pytest
import torch

import kanpinn as kp
from kanpinn.accuracy.quantity import ROWS, Quantity, with_error
from kanpinn.geometry.rules import gauss_legendre


def quantity(values, better) -> Quantity:
    """Numbers, and the same numbers from a better solution."""
    value, other = (torch.tensor(one, dtype=torch.float64) for one in (values, better))
    rows = value.expand(ROWS, *value.shape).clone()
    rows[0] = other
    return Quantity(value, lambda: rows)


def test_errors_of_sums_ratios_and_functions_are_those_of_the_better_numbers():
    a, b = quantity([2.0, 3.0], [2.1, 3.0]), quantity(4.0, 4.2)
    found = [a + b, a - 1, 2 * a, a / b, 1 / a, -a, a**2, a.map(torch.sqrt), 3 - a]
    expected = [
        [0.3, 0.2],
        [0.1, 0.0],
        [0.2, 0.0],
        [0.0, 3 / 4 - 3 / 4.2],
        [1 / 2 - 1 / 2.1, 0.0],
        [0.1, 0.0],
        [0.41, 0.0],
        [math.sqrt(2.1) - math.sqrt(2), 0.0],
        [0.1, 0.0],
    ]
    for one, errors in zip(found, expected, strict=True):
        assert one.error.tolist() == pytest.approx(errors, abs=1e-12)
    assert [float(x) for x in a] == [2.0, 3.0]
    assert float(a[0].error) == pytest.approx(0.1)


def test_a_console_shows_an_error_only_where_it_needs_no_solve():
    asked = []

    def others():
        asked.append(True)
        return torch.full((ROWS,), 2.01).double()

    number = 3 * Quantity(torch.tensor(2.0).double(), others, lambda: bool(asked))
    assert repr(number).startswith("6 (its error takes another solve") and not asked
    assert str(number) == repr(number) == repr(number + 0) == "6.0 ± 1e-01" and len(asked) == 1


def test_errors_in_parts_that_cancel_are_not_lost():
    rows = torch.ones(ROWS).double()
    rows[1], rows[2] = 1.03, 0.96  # together they change the number by -0.01 only
    rows[0] = 0.99
    assert float(Quantity(torch.tensor(1.0).double(), lambda: rows).error) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.03514425373, 4.2e-10, "0.0351442537 ± 4e-10"),
        (-123.456, 0.012, "-123.46 ± 1e-02"),
        (6.02214e23, 3e18, "6.02214e+23 ± 3e+18"),
        (0.0, 1e-9, "0e+00 ± 1e-09"),
        (1.5, math.nan, "1.5 (the error is not known)"),
    ],
)
def test_the_last_digit_is_the_first_of_the_error(value, error, text):
    assert with_error(value, error) == text


@cache
def known_in_a_pierced_disk():
    """-Δu = 0 for u = e^x sin y in a disk with a hole, solved in cells."""
    disk = kp.Disk((0, 0), 1) - kp.Disk((0.3, 0.2), 0.3, name="hole")
    problem = kp.Poisson(disk, exact="exp(x) * sin(y)")
    return kp.solve(problem, kp.Cells(degree=5), tolerance=1e-3, errors=False)


def test_numbers_in_cut_cells_have_errors_that_hold():
    solution = known_in_a_pierced_disk()
    domain, u = solution.problem.domain, solution.problem.exact
    one = solution.integral(density=lambda p, u: torch.ones_like(u.value))
    assert float(one) == pytest.approx(domain.measure, rel=1e-9)
    p, weights = domain.quadrature(64)
    hole = domain.boundary["hole"]
    moment = solution.integral(hole, lambda p, u: u.value * p.x)
    on_hole, arcs = hole.quadrature(96)
    inside = torch.tensor([[-0.5, 0.1], [0.0, -0.6]]).double()
    x, y = inside.T
    slopes = torch.stack([x.exp() * y.sin(), x.exp() * y.cos()], dim=1)
    pairs = [
        (solution.integral(), weights @ u(p)),
        (solution.flux(hole), torch.zeros(1)),
        (moment, arcs @ (u(on_hole) * on_hole.x)),
        (solution.at(inside), u(kp.Points(inside, ("x", "y")))),
        (solution.at(inside, lambda p, u: kp.grad(u)), slopes),
    ]
    for found, true in pairs:
        apart = (found.value - true).abs()
        assert bool((apart <= 3 * found.error).all()) and float(found.error.max()) < 1e-1


def test_a_line_has_distances_and_values_with_errors():
    solution = known_in_a_pierced_disk()
    line = solution.along((-0.6, 0.0), (0.0, -0.8), 3)
    assert line.distance.tolist() == pytest.approx([0, 0.5, 1])
    assert torch.equal(line.values.value, solution(line.points))
    for end in ((1, 0, 0), ("a", 0), (math.nan, 0), 1):
        with pytest.raises(kp.InputError, match="end must have the coordinates x, y, got"):
            solution.along((0, 0), end)
    with pytest.raises(kp.InputError, match="points must be an integer of at least 2"):
        solution.largest(points=1)


def test_the_better_solution_is_made_again_where_it_is_missing():
    solution = known_in_a_pierced_disk()
    before = solution.integral().error
    solution.network.better = None
    vars(solution).pop("_better")
    torch.testing.assert_close(solution.integral().error, before, rtol=1e-2, atol=0)


def test_a_comparison_that_takes_longer_than_the_solve_is_made_with_a_poorer_solution():
    square = kp.Box(x=(0, 1), y=(0, 1))
    problem = kp.Poisson(square, source="exp(x)", boundary="0")
    solution = kp.solve(problem, kp.Cells(degree=6, cells=2), tolerance=1e-3)
    method, residuals = solution.optimizers[-1], solution.residuals
    numbers = []
    for seconds, degree in ((1e-9, 4), (1e3, 8)):
        solution.network.better = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            other, _ = method.better(residuals, seconds)
        assert other.degree == degree
        assert [str(one.message)[:14] for one in caught] == ["the comparison"] * (degree == 4)
        vars(solution).pop("_better", None)
        numbers.append(solution.at(torch.full((1, 2), 0.3).double()).error.item())
    assert 0 < numbers[1] < numbers[0] < 1e-3


def test_a_network_is_compared_with_a_finer_one():
    problem = kp.Poisson(kp.Box(x=(0, 1)), exact="exp(x)")
    solution = kp.solve(problem, kp.KAN([1, 1], degree=4, grid=5))
    found = solution.integral()
    assert abs(float(found) - (math.e - 1)) <= 3 * float(found.error) < 1e-3


def test_numbers_of_an_energy_know_the_error_by_the_penalty():
    class Load(kp.Problem):
        """-Δu = 1 on the unit disk, u = 0 on its rim: the integral of u is π/8."""

        domain = kp.Disk((0, 0), 1)

        def energy(self, p, u):
            return kp.grad(u).square().sum(dim=1, keepdim=True) / 2 - u.value

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, 0.0)]

    network, form = kp.KAN(hidden=[16], degree=5), kp.Loss(form="energy")
    found = kp.solve(Load(), network, loss=form, boundary="penalty").integral()
    error = abs(float(found) - math.pi / 8)
    assert error > 1e-3 and 0.5 < error / float(found.error) < 2


def test_rules_on_a_boundary_are_accurate_for_singularities_at_its_corners():
    solution = kp.solve(
        kp.Poisson(kp.LShape(), source="1", boundary="0"),
        kp.Cells(degree=6),
        tolerance=1e-2,
        errors=False,
    )
    sides = solution.problem.domain.boundary
    for power in (-1 / 3, -0.5):  # of the distance from the corner at the origin

        def singular(p, u, a=power):
            return p.coords.norm(dim=1, keepdim=True) ** a

        found = solution.integral(sides["notch_x"], singular)
        apart = abs(float(found) - 1 / (1 + power))
        assert apart < 3 * float(found.error) < 0.01
        assert apart < 1e-6 or power == -0.5  # the solution is like r^(2/3)


def test_energies_at_a_corner_near_a_side_of_large_cells_are_accurate():
    rim = [(0, -0.8), (0, 0), (1.001, 0), (1.001, 1), (-1, 1), (-1, -0.8)]
    problem, density = kp.Poisson(kp.Polygon(rim), source="1", boundary="0"), -2 / 3
    solution = kp.solve(problem, kp.Cells(degree=4), tolerance=1e-2, errors=False)
    found = solution.integral(density=lambda p, u: p.coords.norm(dim=1, keepdim=True) ** density)
    exact, (unit, weights) = 0.0, gauss_legendre(30)
    for start, stop in pairwise(torch.tensor(rim[2:] + rim[:1], dtype=torch.float64)):
        # The integral over the triangle of the corner and a side of the boundary.
        radii = torch.lerp(start, stop, unit[:, None]).norm(dim=1)
        area = float(torch.linalg.det(torch.stack([start, stop])))
        exact += area * float(weights @ radii**density) / (density + 2)
    assert abs(float(found) - exact) < 3 * float(found.error) < 1e-5


def test_fluxes_through_a_periodic_boundary_are_integrated():
    class Stripes(kp.Problem):
        """-Δu = 2, u = 0 at y = 0 and 1, periodic in x: u = y (1 - y)."""

        domain = kp.Box(x=(0, 2), y=(0, 1))

        def residual(self, p, u):
            return kp.laplacian(u) + 2

        def conditions(self):
            walls = self.domain.boundary
            return [kp.Periodic(self.domain, "x"), kp.Dirichlet(walls["y_min", "y_max"], 0.0)]

    solution = kp.solve(Stripes(), kp.Cells(degree=4, cells=2), tolerance=1e-6)
    around = solution.integral(Stripes.domain.boundary, lambda p, u: torch.ones_like(u.value))
    assert float(around) == pytest.approx(6)
    assert float(solution.flux()) == pytest.approx(-4)


def test_the_largest_of_two_maxima_on_a_round_boundary_is_found():
    # On the unit circle u is 1.1 cos 2θ + 0.001 cos θ: the maximum is 1.101 at (1, 0).
    problem = kp.Poisson(kp.Disk((0, 0), 1), exact="1.1 * (x**2 - y**2) + 0.001 * x")
    solution = kp.solve(problem, kp.Cells(degree=4, cells=2), tolerance=1e-4, errors=False)
    value, place = solution.largest()
    assert float(value) == pytest.approx(1.101, abs=1e-10)
    assert place.coords[0].tolist() == pytest.approx([1, 0], abs=1e-5)


def test_other_operands_are_exact_and_broadcast():
    rows = torch.full((ROWS,), 2.001, dtype=torch.float64)
    number = Quantity(torch.tensor(2.0, dtype=torch.float64), lambda: rows)
    for count in (3, ROWS):
        factors = torch.linspace(0, 1, count, dtype=torch.float64)
        for found in (number * factors, factors.numpy() * number, number / (1 / factors)):
            expected = factors * float(number.error)
            assert torch.allclose(found.error, expected) and found.shape == (count,)
    assert float((2 / number).error) == pytest.approx(float(number.error) / 2, rel=1e-3)


def test_an_integral_beyond_the_domain_is_refused():
    square = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), source="1", boundary="0")
    solution = kp.solve(square, kp.Cells(degree=4), tolerance=1e-2)
    wider = kp.Box(x=(0, 2), y=(0, 1))
    for region in (wider, wider.boundary["x_max"]):
        with pytest.raises(kp.InputError, match="not defined outside the domain"):
            solution.integral(region)
