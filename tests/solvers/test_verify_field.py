"""`verify`: fields of other codes, with known errors."""

import math

import numpy
import pytest
import torch

import kanpinn as kp

BOX = kp.Box(x=(0, 1), y=(0, 1))
# -Δu = 2π² sin πx sin πy with u = 0, without the exact solution.
UNKNOWN = kp.Poisson(BOX, source="2 * pi**2 * sin(pi*x) * sin(pi*y)", boundary="0")


def sine(x, error, of=torch):
    """The solution with a relative L2 error, in the mode sin 2πx sin πy."""
    u = of.sin(math.pi * x[:, 0]) * of.sin(math.pi * x[:, 1])
    return u + error * of.sin(2 * math.pi * x[:, 0]) * of.sin(math.pi * x[:, 1])


@pytest.mark.parametrize("error", [1e-1, 1e-4, 1e-7])
def test_the_error_of_a_field_is_measured_to_a_tenth_of_itself(error):
    found = kp.verify(UNKNOWN, lambda x: sine(x, error))
    assert found.errors.l2_relative == pytest.approx(error, rel=0.1)
    # |∇| of the modes is √5 π/2 and √2 π/2; the H1 norm has the mean of u² as well.
    ratio = math.sqrt((1 + 5 * math.pi**2) / (1 + 2 * math.pi**2))
    assert found.errors.h1_relative == pytest.approx(ratio * error, rel=0.1)
    assert found.uncertainty <= 0.1 * error
    assert found.success


def test_derivatives_by_differences_give_the_same_errors():
    exact = kp.Poisson(BOX, exact="sin(pi*x) * sin(pi*y)")
    by_differences = kp.verify(exact, lambda x: sine(x, 1e-3, of=numpy))
    by_pytorch = kp.verify(exact, lambda x: sine(x, 1e-3))
    assert by_differences.errors.h1_relative == pytest.approx(
        by_pytorch.errors.h1_relative, rel=1e-6
    )
    assert by_differences.errors.l2_relative == pytest.approx(1e-3, rel=1e-6)
    assert not by_differences.defects and by_pytorch.defects


def test_the_residual_and_the_conditions_of_a_function_are_reported():
    shifted = kp.verify(UNKNOWN, lambda x: sine(x, 0.0) + 0.1)
    inside, boundary = shifted.defects
    assert inside.relative < 1e-12  # a constant is not seen by the equation
    assert boundary.size == pytest.approx(0.1)


def test_the_status_compares_with_the_tolerance():
    exact = kp.Poisson(BOX, exact="sin(pi*x) * sin(pi*y)")
    good, bad = (kp.verify(exact, lambda x: sine(x, 1e-3), tolerance=t) for t in (1e-2, 1e-4))
    assert good.outcome is kp.Outcome.CONVERGED and good.success
    assert bad.outcome is kp.Outcome.FAILED and not bad.success
    assert "above the tolerance 1.0e-04" in bad.status


def test_the_worst_place_and_other_units_are_told():
    exact = kp.Poisson(BOX, exact="sin(pi*x) * sin(pi*y)")

    def with_a_bump(x):
        return sine(x, 0.0) + torch.exp(-((x - 0.25) ** 2).sum(dim=1) / 1e-3)

    bump = kp.verify(exact, with_a_bump)
    assert all(abs(place - 0.25) < 0.03 for place in bump.worst.values())
    assert bump.largest == pytest.approx(1.0, abs=0.2)
    millimetres = kp.verify(exact, lambda x: 1000 * sine(x, 0.0))
    assert millimetres.factor == pytest.approx(1e-3)
    assert "other units" in str(millimetres)
    assert bump.factor is None


def test_values_at_points_have_errors_as_means_over_them(tmp_path):
    x = torch.rand(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    columns = {"x": x[:, 0], "y": x[:, 1], "u": 1.01 * sine(x, 0.0)}
    numpy.savez(tmp_path / "field.npz", **columns)
    for field in (columns, tmp_path / "field.npz"):
        found = kp.verify(UNKNOWN, field)
        assert found.errors.l2_relative == pytest.approx(0.01, rel=1e-3)
        assert math.isnan(found.errors.h1_relative)


def test_each_field_of_a_system_has_its_errors():
    class Pair(kp.Problem):
        domain, fields = kp.Box(x=(0, 1)), ("u", "v")

        def residual(self, p, u, v):
            return kp.laplacian(u) - v.value, kp.laplacian(v)

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, value=self.exact)]

        def exact(self, p):
            return p.x**3 / 6, p.x

    found = kp.verify(Pair(), lambda x: torch.cat([x**3 / 6, 1.1 * x], dim=1))
    assert found.errors.fields["u"].l2_relative < 1e-14
    assert found.errors.fields["v"].l2_relative == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (lambda x: x[:, 0] / 0, "must be finite in the domain: it is not at 256 of 256 points"),
        (lambda x: x, r"the shape \(4, 1\) for 4 points and the fields u, got \(4, 2\)"),
        (lambda x: x[:, 0] + 0j, "must be real"),
        (3.0, "must be a function of points, a mapping with values at points, or the path"),
        ({"x": [0.5], "u": [0.5]}, "the field has no column 'y'; its columns are x, u"),
        ({"x": [0.5], "y": [2.0], "u": [0.5]}, "the field has 1 points outside the domain"),
        ({"x": [0.5], "y": [0.5, 1], "u": [0.5]}, "the field: y has 2 numbers, x has 1"),
        ("missing.npz", "missing.npz cannot be read"),
    ],
)
def test_bad_fields_are_refused(field, said):
    with pytest.raises(kp.InputError, match=said):
        kp.verify(UNKNOWN, field)
