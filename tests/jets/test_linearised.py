"""Linearisations of equations against formulas, and the test whether equations are affine."""

import pytest
import torch

import kanpinn as kp
from kanpinn.jets import Linearised, find_channels, jet_of, random_jets

POINTS = kp.Points(
    torch.rand(6, 2, generator=torch.Generator().manual_seed(1)).double(), ("x", "y")
)
EQUATIONS = {  # with whether they are affine
    "affine": (lambda p, u: p.x * kp.laplacian(u) - kp.partial(u, "y") + 3 * p.y, True),
    "of third order": (lambda p, u: kp.partial(u, "x", "y", "y") - u.value, True),
    "quadratic": (lambda p, u: kp.laplacian(u) + 1e-3 * u.value**2, False),
    "without fields": (lambda p, u: p.x, True),
    "in pairs": (lambda p, u: u.value[0::2] - 2 * u.value[1::2] + 1, True),
}


@pytest.mark.parametrize(("equation", "affine"), EQUATIONS.values(), ids=EQUATIONS)
def test_a_linearisation_gives_the_change_of_the_residual(equation, affine):
    u, v = random_jets(equation, POINTS, 1)
    linear = Linearised.at(equation, POINTS, u)
    assert torch.equal(linear.values, equation(POINTS, u))
    small = v * 1e-6
    change = equation(POINTS, u + small) - linear.values
    torch.testing.assert_close(linear.change(small), change, rtol=1e-3, atol=1e-14)
    torch.testing.assert_close(linear.right, linear.change(u) - linear.values)
    assert linear.is_affine() == affine


@pytest.mark.parametrize(
    "equation",
    [EQUATIONS["of third order"][0], lambda p, u: p.y * kp.hessian(u).sum(dim=(1, 2))[:, None]],
)
def test_the_symbol_is_what_an_equation_makes_of_an_exponential(equation):
    kappa = torch.tensor([0.3, -0.7], dtype=torch.float64)
    channels, _ = find_channels(
        lambda c: equation(POINTS, jet_of(lambda x: (x @ kappa).exp()[:, None], POINTS.coords, c)),
        "xy",
    )
    wave = jet_of(lambda x: (x @ kappa).exp()[:, None], POINTS.coords, channels)
    linear, expected = Linearised.at(equation, POINTS, wave), equation(POINTS, wave) / wave.value
    found = torch.cat([linear.symbol(row, kappa[None] + 0j)[0] for row in range(len(POINTS))])
    torch.testing.assert_close(found.real, expected)
    zero, one = torch.zeros(2).double(), torch.ones(2).double()
    polynomial = linear.along(0, zero + 0j, one + 0j)
    at_two = sum(c * 2**r for r, c in enumerate(polynomial))
    assert abs(at_two - linear.symbol(0, 2 * one[None] + 0j).numpy()[0]) < 1e-12
