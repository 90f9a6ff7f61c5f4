"""Constants are recognised where they are, and hardly ever where they are not."""

import math

import pytest
import sympy
import torch

from kanpinn._support.errors import InputError
from kanpinn.interpret.rounding import recognise

KNOWN = ["1", "-3", "12", "1/2", "-2/3", "7/4", "pi", "-pi/2", "2*pi", "pi**2", "pi/4", "E"]
KNOWN += ["sqrt(2)", "-sqrt(3)/2", "1/pi", "sqrt(pi)", "3*pi/2", "sqrt(10)", "3/10", "1/E"]


@pytest.mark.parametrize("text", KNOWN)
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-10, 0.0])
def test_constants_are_recognised_from_four_digits_on(text, tolerance):
    constant = sympy.sympify(text)
    for shift in (-0.5, 0.0, 0.7):
        assert recognise(float(constant) + shift * tolerance, tolerance) == constant


@pytest.mark.parametrize("value", [0.137, -1.37, 12.5, 0.004, 1234567, 98.7654, 2.5e-5])
def test_decimals_of_few_digits_and_integers_are_recognised(value):
    assert float(recognise(value, abs(value) * 1e-10)) == pytest.approx(value, rel=1e-15)


def test_simpler_constants_win_and_three_digits_are_no_evidence_for_long_ones():
    assert recognise(math.pi + 4e-4, 1e-3) == sympy.pi
    assert recognise(3.142, 0.02) in (sympy.pi, None)
    assert recognise(22 / 7 * math.pi, 5e-3) != sympy.Rational(22, 7) * sympy.pi
    assert recognise(22 / 7 * math.pi, 1e-9) == sympy.Rational(22, 7) * sympy.pi
    assert recognise(1234.3, 0.4) is None
    assert recognise(0.5, 0.3) is None


def test_what_is_smaller_than_its_tolerance_is_zero():
    assert recognise(0.0, 0.0) == 0
    assert recognise(-3e-7, 1e-6) == 0
    assert recognise(0.05, 0.1) is None  # known too badly to say so


@pytest.mark.parametrize("span", [(0.5, 1.5), (-5, 5), (0.02, 0.1), (10, 100), (300, 3000)])
@pytest.mark.parametrize("chance", [0.02, 0.1])
def test_random_numbers_are_no_constants_at_any_tolerance(span, chance, generator):
    low, high = span
    drawn = low + (high - low) * torch.rand(300, generator=generator, dtype=torch.float64)
    for digits in range(1, 14):
        tolerance = 10.0**-digits
        named = sum(recognise(value, tolerance, chance) is not None for value in drawn.tolist())
        deviation = math.sqrt(chance * len(drawn))
        assert named <= 1.3 * chance * len(drawn) + 3 * deviation
        if digits > 10:
            assert named == 0


def test_numbers_that_make_no_sense_are_refused():
    for arguments, message in [
        ((math.nan, 1e-3), "value must be a finite"),
        ((1.0, -1e-3), "tolerance"),
        ((1.0, 1e-3, 0.0), "chance"),
        ((1.0, 1e-3, 1.5), "chance"),
    ]:
        with pytest.raises(InputError, match=message):
            recognise(*arguments)
