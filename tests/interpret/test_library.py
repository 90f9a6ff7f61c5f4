"""The library of univariate functions: values, derivatives, domains, redundant parameters."""

import math

import numpy
import pytest
import scipy.special
import sympy
import torch

from kanpinn._support.errors import InputError
from kanpinn.interpret.univariate import LIBRARY, Univariate, bessel_j0, functions

ALL = list(LIBRARY.values())
TWINS = [f for f in ALL if f.twin]


def name(function: Univariate) -> str:
    return function.name


def inside(function: Univariate, generator: torch.Generator, n: int = 20) -> torch.Tensor:
    """Random arguments in the domain, away from its ends, from poles and from kinks."""
    share = 0.1 + 0.8 * torch.rand(n, generator=generator, dtype=torch.float64)
    low, high = max(function.domain[0], -2.0), min(function.domain[1], 1.5)
    u = low + (high - low) * share
    return u[(u.abs() > 0.05) & ((u.abs() - math.pi / 2).abs() > 0.05)]


@pytest.mark.parametrize("function", ALL, ids=name)
def test_values_and_slopes_are_those_of_the_sympy_expression(function, generator):
    x = sympy.Symbol("x", real=True)
    u = inside(function, generator).requires_grad_()
    values = function(u)
    (slopes,) = torch.autograd.grad(values.sum() + 0 * u.sum(), u)
    expression = function.symbol(x)
    for at, value, slope in zip(u.tolist(), values.tolist(), slopes.tolist(), strict=True):
        assert value == pytest.approx(float(expression.subs(x, at).evalf()), rel=1e-13, abs=1e-15)
        derivative = sympy.diff(expression, x).subs(x, at).evalf()
        assert slope == pytest.approx(float(derivative), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("function", ALL, ids=name)
def test_redundant_parameters_change_nothing_when_they_are_fixed(function, generator):
    for _ in range(5):
        signs = torch.randint(0, 2, (4,), generator=generator).tolist()
        drawn = 0.5 + 2 * torch.rand(4, generator=generator, dtype=torch.float64)
        a, b, c, d = ((2 * s - 1) * float(v) for s, v in zip(signs, drawn, strict=True))
        x = (inside(function, generator) - b) / a
        fixed = function.canonical(a, b, c, d)
        before = c * function(a * x + b) + d
        after = fixed[2] * function(fixed[0] * x + fixed[1]) + fixed[3]
        torch.testing.assert_close(after, before, rtol=1e-10, atol=1e-10)
        assert function.canonical(*fixed) == pytest.approx(fixed, rel=1e-15)
        assert "a" in function.free or abs(fixed[0]) == 1 or function.name == "0"
        assert "b" in function.free or fixed[1] == 0 or function.name == "0"


@pytest.mark.parametrize("function", TWINS, ids=name)
def test_twins_are_the_same_functions(function, generator):
    a, b, c, d = 0.4, 0.1, 1.7, -0.3
    x = 2 * torch.rand(20, generator=generator, dtype=torch.float64) - 1
    own = function.twin.parameters(a, b, c, d)
    expected = c * function.twin.of(a * x + b) + d
    torch.testing.assert_close(own[2] * function(own[0] * x + own[1]) + own[3], expected)


@pytest.mark.parametrize("function", [f for f in ALL if f.even_or_odd], ids=name)
def test_even_or_odd(function, generator):
    u = inside(function, generator)
    u = u[u.abs() < function.domain[1]]
    same, opposite = (function(-u) - function(u)).abs().max(), (function(-u) + function(u)).abs()
    assert min(float(same), float(opposite.max())) < 1e-12


def test_a_range_with_a_pole_or_beyond_a_branch_point_is_not_regular():
    low, high = numpy.array([-1.0, 0.1, -2.0, 0.0]), numpy.array([1.0, 1.0, -1.5, 1.0])
    answers = {
        "1/x": [False, True, True, False],
        "log": [False, True, False, True],
        "arcsin": [True, True, False, True],
        "tan": [True, True, False, True],
        "exp": [True, True, True, True],
    }
    for which, expected in answers.items():
        assert LIBRARY[which].regular(low, high).tolist() == expected
    tan = LIBRARY["tan"]
    assert not tan.regular(numpy.array([-1.0]), numpy.array([4.0]))[0]
    assert tan.regular(numpy.array([1.6]), numpy.array([4.7]))[0]


def test_an_argument_that_rounding_carried_out_of_the_domain_counts_as_its_end():
    beyond = torch.tensor([1 + 1e-15, -1 - 1e-15], dtype=torch.float64)
    torch.testing.assert_close(LIBRARY["arcsin"](beyond), torch.asin(beyond.sign()))
    assert LIBRARY["sqrt"](torch.tensor([-1e-14], dtype=torch.float64)) == 0
    assert LIBRARY["sqrt"](torch.tensor([-1e-3], dtype=torch.float64)).isnan()


def test_bessel_j0_has_all_its_derivatives():
    u = torch.tensor([-7.0, -1e-4, 0.0, 2e-3, 1.0, 12.5], dtype=torch.float64)
    function = bessel_j0
    for order in range(1, 4):
        function = torch.func.grad(function)
        known = torch.from_numpy(scipy.special.jvp(0, u.numpy(), order))
        found = torch.func.vmap(function)(u)
        torch.testing.assert_close(found, known, rtol=1e-9, atol=1e-9)


def test_functions_by_name_or_of_ones_own():
    softplus = Univariate(
        "softplus", torch.nn.functional.softplus, lambda u: sympy.log(1 + sympy.exp(u)), 3
    )
    assert functions(["sin", softplus]) == (LIBRARY["sin"], softplus)
    assert functions() == tuple(ALL)
    assert len({f.name for f in ALL}) == len(ALL) >= 27


def test_wrong_names_and_impossible_functions_are_refused():
    for names, message in [
        (["gausian"], 'unknown function .gausian.; did you mean "gaussian"'),
        (["sin", "sin"], "twice"),
        ([], "at least one"),
    ]:
        with pytest.raises(InputError, match=message):
            functions(names)
    for bad, message in [
        ({"name": ""}, "name"),
        ({"complexity": -1}, "complexity of f"),
        ({"domain": (1.0, 1.0)}, "domain of f"),
    ]:
        with pytest.raises(InputError, match=message):
            Univariate(**({"name": "f", "compute": abs, "symbol": abs, "complexity": 1} | bad))
