"""Error norms against integrals in closed form."""

import math

import pytest
import torch
from cases import Stated

import kanpinn as kp
from kanpinn.accuracy import fit_order
from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.jets import Jet
from kanpinn.pde.problem import exact_jet


def problem_of(exact, domain, fields=("u",), **attributes):
    """A problem that has nothing but an exact solution."""
    return Stated(domain, lambda p, u: u.value, fields=fields, exact=exact, **attributes)


def jets_of(function, domain, fields=("u",)):
    """The approximation that is this function."""
    known = problem_of(function, domain, fields)
    return lambda p, channels: exact_jet(known, p, channels)


def test_the_error_of_one_polynomial_against_another():
    """u = x², its approximation x² + x³ - 2 on (0, 2): e = x³ - 2, e' = 3x²."""
    box = kp.Box(x=(0, 2))
    norm = ErrorNorm(problem_of(lambda p: p.x**2, box))
    errors = norm(jets_of(lambda p: p.x**2 + p.x**3 - 2, box))
    l2 = 2**6 / 7 - 4 * 2**3 / 4 + 4  # means of x⁶ - 4x³ + 4
    h1 = l2 + 9 * 2**4 / 5
    u, du = 2**4 / 5, 4 * 2**2 / 3
    assert errors.l2_squared == pytest.approx(l2, rel=1e-13)
    assert errors.h1_squared == pytest.approx(h1, rel=1e-13)
    assert errors.l2 == pytest.approx(math.sqrt(l2), rel=1e-13)
    assert errors.h1 == pytest.approx(math.sqrt(h1), rel=1e-13)
    assert errors.l2_relative == pytest.approx(math.sqrt(l2 / u), rel=1e-13)
    assert errors.h1_relative == pytest.approx(math.sqrt(h1 / (u + du)), rel=1e-13)


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_zero_has_a_relative_error_of_one_in_any_dimension(dim):
    """u = Π sin(π x_a) on [0, 1]^d: mean u² = 2^-d, mean |∇u|² = d π² 2^-d."""
    box = kp.Box(**{name: (0, 1) for name in "abcd"[:dim]})
    norm = ErrorNorm(problem_of(lambda p: torch.sin(torch.pi * p.coords).prod(1, True), box))
    errors = norm(jets_of(lambda p: 0 * p.coords[:, :1], box))
    accuracy = 1e-12 if dim < 4 else 4 * errors.rule_error  # quasi-Monte Carlo
    assert accuracy < 0.03
    assert errors.l2_squared == pytest.approx(2.0**-dim, rel=accuracy)
    h1 = 2.0**-dim * (1 + dim * math.pi**2)
    assert errors.h1_squared == pytest.approx(h1, rel=accuracy)
    assert errors.l2_relative == errors.h1_relative == 1


def test_norms_of_a_system_are_sums_over_its_error_fields():
    box = kp.Box(x=(0, 1), y=(0, 1))
    exact = lambda p: torch.cat([p.x, 2 * p.y], dim=1)  # noqa: E731
    approximation = lambda p: torch.cat([p.x + 1, 2 * p.y + p.x], dim=1)  # noqa: E731
    jets = jets_of(approximation, box, ("u", "v"))
    errors = ErrorNorm(problem_of(exact, box, ("u", "v")))(jets)
    assert errors.fields["u"].l2_squared == pytest.approx(1)
    assert errors.fields["v"].h1_squared == pytest.approx(1 / 3 + 1)
    assert errors.l2_squared == pytest.approx(1 + 1 / 3)
    assert errors.h1_squared == pytest.approx(1 + 1 / 3 + 1)
    assert errors.l2_relative == pytest.approx(math.sqrt((4 / 3) / (1 / 3 + 4 / 3)))
    errors = ErrorNorm(problem_of(exact, box, ("u", "v"), error_fields=("v",)))(jets)
    assert errors.fields["u"].l2_squared == pytest.approx(1)
    assert errors.l2_squared == errors.fields["v"].l2_squared == pytest.approx(1 / 3)
    assert errors.h1_relative == errors.fields["v"].h1_relative


@pytest.mark.parametrize("dim", [2, 4])
def test_the_mean_of_a_field_with_a_free_constant_is_left_out(dim):
    """p = x + 1e6 and x + ε y + 5 on the unit cube: e - ē = ε (y - 1/2), with mean ε² / 12."""
    box = kp.Box(**{name: (0, 1) for name in "xyzw"[:dim]})
    pressure = problem_of(lambda p: p.x + 1e6, box, free_constant=("u",))
    errors = ErrorNorm(pressure)(jets_of(lambda p: p.x + 1e-3 * p.y + 5, box))
    accuracy = 1e-8 if dim == 2 else 1e-2
    assert errors.l2_squared == pytest.approx(1e-6 / 12, rel=accuracy)
    assert errors.l2_relative == pytest.approx(1e-3, rel=accuracy)
    assert errors.h1_squared == pytest.approx(1e-6 / 12 + 1e-6, rel=accuracy)


@pytest.mark.parametrize("key", ["error_fields", "free_constant"])
@pytest.mark.parametrize("names", [("u", "w"), ("u", "u"), "u"])
def test_names_that_are_no_fields_are_refused(key, names):
    problem = problem_of(lambda p: p.x, kp.Box(x=(0, 1)), ("u", "v"), **{key: names})
    with pytest.raises(kp.InputError, match=rf"Stated\.{key} must be .* u, v, got"):
        problem.check()


@pytest.mark.parametrize("power", [1, 12])
def test_the_rule_says_how_far_it_is_off_in_five_dimensions(power):
    """u = Π (1 + (2x_a - 1)^power), smooth or concentrated in the corners: mean u² is known."""
    box = kp.Box(**{name: (0, 1) for name in "abcde"})
    exact = lambda p: (1 + (2 * p.coords - 1) ** power).prod(1, True)  # noqa: E731
    norm, zero = ErrorNorm(problem_of(exact, box)), jets_of(lambda p: 0 * p.a, box)
    true = (1 + 2 * (power % 2 == 0) / (power + 1) + 1 / (2 * power + 1)) ** 2.5
    for errors in (norm(zero), norm.converged(zero)):
        off = abs(errors.l2 - true) / true
        assert off < 4 * errors.rule_error < 0.2
    assert errors.rule_error < 1e-2


def test_the_rule_error_of_a_gauss_rule_is_what_its_refinement_changed():
    box = kp.Box(x=(0, 1), y=(0, 1))
    norm, zero = ErrorNorm(problem_of(lambda p: p.x * p.y, box)), jets_of(lambda p: 0 * p.x, box)
    assert math.isnan(norm(zero).rule_error)
    assert norm.converged(zero).rule_error < 1e-13


def test_points_above_three_dimensions_are_limited_by_the_dimension():
    """An error in one corner of 60 dimensions: a thousandth of the points meet it."""
    box = kp.Box(**{f"x{i}": (0, 1) for i in range(60)})
    corner = lambda p: (p.coords[:, :10] > 0.47).all(1, True).double()  # noqa: E731
    counted = []

    def jet(p, channels):
        counted.append(len(p))
        return jets_of(corner, box)(p, channels)

    errors = ErrorNorm(problem_of(lambda p: 0 * p.x0, box)).converged(jet)
    assert errors.rule_error > 1e-2 and sum(counted) * 60 < 2**20


def test_the_rule_is_refined_until_the_norms_have_converged():
    """A ridge of width 0.01 that 24 nodes miss: mean e² = 0.01 √(π/2) / 2 on [-1, 1]."""
    box = kp.Box(x=(-1, 1))
    norm = ErrorNorm(problem_of(lambda p: torch.exp(-(((p.x - 0.3) / 0.01) ** 2)), box))
    zero = jets_of(lambda p: 0 * p.x, box)
    true = 0.01 * math.sqrt(math.pi / 2) / 2
    assert abs(norm(zero).l2_squared - true) > 0.05 * true
    assert norm.converged(zero).l2_squared == pytest.approx(true, rel=1e-2)


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_errors_up_to_a_time_are_means_over_what_comes_before(dim):
    """The error of t is 0 up to t = 1/2 and 1 after; up to t = 3/4 its mean square is 1/3."""
    names = ["a", "b", "c"][: dim - 1]
    box = kp.Box(**{name: (0, 3) for name in names}, t=(0, 1))
    norm = ErrorNorm(problem_of(lambda p: p.t, box))
    late = jets_of(lambda p: p.t + (p.t > 0.5), box)
    assert norm.up_to(late, 0.5).l2 < 1e-15
    assert norm.up_to(late, 0.75).l2_squared == pytest.approx(1 / 3, abs=0.08)
    assert norm.up_to(late, 0.75).l2_relative == pytest.approx(4 / 3, abs=0.2)
    assert norm.up_to(late, 0.0) is None


@pytest.mark.parametrize("width", [1e-3, 1e-5])
def test_random_points_in_pieces_see_an_error_that_is_large_in_few_of_them(width):
    """The error √(1 - x/width) sin 9t of √2 in a strip, in pieces graded towards it."""
    box = kp.Box(x=(0, 1), t=(0, 2))
    counted = []

    def jet(p, channels):
        counted.append(len(p))
        inside = (1 - p.x / width).clamp_min(0)
        value = 2**0.5 + inside.sqrt() * torch.sin(9 * p.t)
        zero = torch.zeros(len(p), 2, 1, dtype=torch.float64)
        return Jet(channels, value, zero)

    breaks = torch.tensor([0.0, *(width * 10 ** (k / 6 - 2) for k in range(30)), 1.0]).double()
    x = torch.stack([breaks[:-1], breaks[1:]], dim=1)
    t = torch.tensor([[0.0, 0.3], [0.3, 1.0]], dtype=torch.float64)
    pieces = torch.stack([x.repeat_interleave(2, 0), t.repeat(31, 1)], dim=2)
    errors = ErrorNorm(problem_of(lambda p: 0 * p.x + 2**0.5, box)).converged(jet, pieces)
    true = width / 2 * (1 - math.sin(36) / 36) / 2
    assert errors.rule_error < 1e-2 and sum(counted) < 2**16
    assert errors.l2_squared == pytest.approx(true, rel=8 * errors.rule_error)
    assert errors.l2_relative == pytest.approx(errors.l2 / 2**0.5, rel=1e-6)


def test_relative_errors_of_a_vanishing_solution_are_not_a_number():
    box = kp.Box(x=(0, 1))
    errors = ErrorNorm(problem_of(lambda p: 0 * p.x, box))(jets_of(lambda p: p.x, box))
    assert math.isnan(errors.l2_relative) and errors.l2_squared == pytest.approx(1 / 3)


def test_the_observed_order_of_a_power_law_is_its_exponent():
    sizes = [4, 8, 16, 32]
    assert fit_order(sizes, [3 * n**-2.5 for n in sizes]).order == pytest.approx(2.5)
