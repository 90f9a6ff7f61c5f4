"""Jets and their algebra against torch.func."""

import pytest
import reference
import torch

from kanpinn._support.errors import InputError
from kanpinn.jets import SECOND_KINDS, Channels, Jet, jet_of

NAMES = ("x", "y")
DIRECTIONS = ((1.0, 0.0), (1.0, 1.0), (2.0, -0.5))
FULL = Channels(NAMES, second="hessian", directions=DIRECTIONS, order=4)
TOLERANCE = 1e-12


def f(x):
    return torch.stack([torch.exp(x[0]) * torch.cos(x[1]), 2 + x[0] * x[1] ** 2])


def g(x):
    return torch.stack([2 + torch.sin(x[0] * x[1]), 3 + x[0] - x[1]])


@pytest.fixture
def x(generator) -> torch.Tensor:
    return 2 * torch.rand(7, 2, generator=generator, dtype=torch.float64) - 1


def jet(function, x, channels=FULL) -> Jet:
    return jet_of(lambda rows: torch.stack([function(row) for row in rows]), x, channels)


def assert_jet_of(found: Jet, function, x) -> None:
    """Every channel of a jet is the derivative of the function."""
    true = reference.jet_of_point(function, x, NAMES)
    for name in ("value", "gradient", "second"):
        assert reference.distance(getattr(found, name), getattr(true, name)) < TOLERANCE
    for i, direction in enumerate(DIRECTIONS):
        line = reference.along(function, x, direction, 4)
        for order in range(4):
            assert reference.distance(found.lines[:, i, order], line[:, order]) < TOLERANCE


def test_nested_differentiation_gives_the_jet_of_a_function(x):
    assert_jet_of(jet(f, x), f, x)


@pytest.mark.parametrize(
    "combine",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: 3 / b + 2 * a - 1,
        lambda a, b: 1 - a / 4,
        lambda a, b: -(b**3) + a**2 * b,
        lambda a, b: b**-2 + b**0.5,
        lambda a, b: b**1 - b**0,
    ],
)
def test_arithmetic_of_jets_is_arithmetic_of_functions(combine, x):
    found = combine(jet(f, x), jet(g, x))
    assert_jet_of(found, lambda row: combine(f(row), g(row)), x)


def test_the_chain_rule_holds_to_fourth_order(x):
    b = jet(g, x)
    s, c = torch.sin(b.value), torch.cos(b.value)
    assert_jet_of(b.chain([s, c, -s, -c, s]), lambda row: torch.sin(g(row)), x)


def test_powers_of_zero_have_finite_derivatives():
    zero = torch.zeros(1, 1, dtype=torch.float64)
    u = jet_of(lambda x: x, zero, Channels(("x",), second="laplacian"))
    square = u**2
    assert square.gradient.item() == 0 and square.second.item() == 2


@pytest.mark.parametrize("kind", SECOND_KINDS[1:])
def test_each_kind_of_second_channel_obeys_the_product_and_the_quotient_rule(kind, x):
    channels = Channels(NAMES, second=kind)
    found = jet(f, x, channels) / jet(g, x, channels)
    true = reference.jet_of_point(lambda row: f(row) / g(row), x, NAMES)
    full = true.second.unflatten(1, (2, 2))
    diagonal = torch.stack([full[:, 0, 0], full[:, 1, 1]], dim=1)
    expected = {
        "laplacian": diagonal.sum(1, keepdim=True),
        "diagonal": diagonal,
        "hessian": true.second,
    }[kind]
    assert reference.distance(found.second, expected) < TOLERANCE


def test_a_tensor_has_no_derivatives_so_arithmetic_with_it_gives_values(x):
    a, t = jet(f, x), torch.full((7, 2), 2.0, dtype=torch.float64)
    for found, value in (
        (a * t, a.value * 2),
        (t * a, a.value * 2),
        (a / t, a.value / 2),
        (t / a, 2 / a.value),
        (t - a, 2 - a.value),
        (a + t, a.value + 2),
    ):
        assert isinstance(found, torch.Tensor)
        torch.testing.assert_close(found, value)


def test_a_component_of_a_jet_is_the_jet_of_the_component(x):
    assert_jet_of(jet(f, x)[1], lambda row: f(row)[1:], x)


def test_channels_join_to_the_least_that_has_both():
    a = Channels(NAMES, second="diagonal", directions=((1.0, 0.0),), order=3)
    b = Channels(NAMES, gradient=True, directions=((0.0, 1.0), (1.0, 0.0)), order=2)
    both = a | b
    assert both == Channels(NAMES, True, "diagonal", ((1.0, 0.0), (0.0, 1.0)), 3)
    assert both.derivative_order == 3 and both | a == both
    assert Channels(NAMES).derivative_order == 0
    assert Channels(NAMES, second="laplacian").gradient


def test_an_unknown_kind_of_second_derivative_is_refused():
    with pytest.raises(InputError, match="'trace'"):
        Channels(NAMES, second="trace")
