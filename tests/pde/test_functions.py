"""Equations and conditions are functions of each point and of the fields there."""

import pytest
import torch
from cases import Stated

import kanpinn as kp
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.checks import check_well_posed

SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def zero_on(domain):
    return [kp.Dirichlet(domain.boundary, 0.0)]


@pytest.mark.parametrize(
    ("residual", "words"),
    [
        (lambda p, u: kp.laplacian(u) + p.x.mul_(2), "in place"),
        (lambda p, u: kp.laplacian(u) + u.value.mul_(2), "in place"),
        (lambda p, u: kp.laplacian(u) - u.value.mean(), "other points"),
        (lambda p, u: kp.laplacian(u) - u.value.flip(0), "other points"),
        (lambda p, u: kp.laplacian(u) + torch.rand(len(p), 1), "each call"),
        (lambda p, u: kp.laplacian(u).detach() + 1, "detach"),
        (lambda p, u: kp.laplacian(u) + u.value.detach() ** 2, "detach"),
        (lambda p, u: kp.laplacian(u) + 1j, "must be real"),
        (lambda p, u: kp.laplacian(u).float() + 1, "computes in float32"),
        (lambda p, u: kp.laplacian(u) + u(p.x - 0.1), "method of steps"),
    ],
)
def test_residual_is_refused_unless_it_is_a_function_of_points_and_fields(residual, words):
    problem = Stated(SQUARE, residual, zero_on(SQUARE))
    with pytest.raises(kp.InputError, match=words):
        kp.solve(problem, kp.KAN(hidden=[4], degree=5))


@pytest.mark.parametrize(
    "residual",
    [
        lambda p, u: kp.laplacian(u) + torch.log(u.value - 0.9),  # is not finite everywhere
        lambda p, u: kp.laplacian(u) + u.value.abs() + torch.sign(u.value - 1) + u.value.floor(),
        lambda p, u: 1e-12 * kp.laplacian(u) + 1e3 * torch.sin(9 * p.x),
        lambda p, u: kp.laplacian(u) + torch.where(u.value > 1, u.value**3, u.value),
    ],
)
def test_residual_may_have_kinks_jumps_and_rounding(residual):
    check_well_posed(stated(Stated(SQUARE, residual, zero_on(SQUARE))))


def test_data_of_conditions_are_functions_of_points():
    condition = kp.Dirichlet(SQUARE.boundary, lambda p: p.x - p.x.mean())
    problem = Stated(SQUARE, lambda p, u: kp.laplacian(u), [condition])
    with pytest.raises(kp.InputError, match=r"conditions\(\)\[0\].*other points"):
        check_well_posed(stated(problem))


def test_an_unknown_number_needs_data():
    line = kp.Box(x=(0, 1))
    known = {"unknowns": {"k": kp.Unknown()}}
    residual = lambda p, u, k: k.value * kp.laplacian(u) + 1  # noqa: E731
    with pytest.raises(kp.InputError, match=r"unknown number k could be found: add kp\.Observed"):
        check_well_posed(stated(Stated(line, residual, zero_on(line), **known)))
    with pytest.raises(kp.InputError, match=r"unknown number k could be found: add kp\.Observed"):
        check_well_posed(stated(Stated(SQUARE, residual, zero_on(SQUARE), **known)))
    more = kp.Neumann(line.boundary["x_min"], 1.0)
    check_well_posed(stated(Stated(line, residual, [*zero_on(line), more], **known)))
