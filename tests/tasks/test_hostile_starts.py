"""Equations without a linearisation about zero are solved from other starts, or refused."""

import math

import pytest
import torch
from cases import Stated

import kanpinn as kp

LINE, SQUARE = kp.Box(x=(0, 1)), kp.Box(x=(0, 1), y=(0, 1))


def first(u):
    return kp.partial(u, "x")


def second(u):
    return kp.partial(u, "x", "x")


def dirichlet(domain, exact):
    return [kp.Dirichlet(domain.boundary, exact)]


# Each vanishes or is not finite about zero, and about the data's extension.
SQUARED = lambda p: (2 - p.x) * p.x + 1  # noqa: E731
HOSTILE = {
    "porous medium": (
        lambda p, u: kp.laplacian(u * u) + 2.0,
        lambda p: torch.sqrt(p.x * (1 - p.x) + 1),
    ),
    "logarithm": (
        lambda p, u: second(u) + 2 + torch.log(u.value) - torch.log(SQUARED(p)),
        SQUARED,
    ),
    "quotient": (lambda p, u: second(u) + 2 + 1 / u.value - 1 / SQUARED(p), SQUARED),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("network", [lambda: kp.Cells(degree=10), lambda: kp.KAN([1, 1], 9, 8)])
def test_equations_that_are_hostile_to_zero_are_solved(name, network):
    residual, exact = HOSTILE[name]
    problem = Stated(LINE, residual, dirichlet(LINE, exact), exact=exact)
    solution = kp.solve(problem, network(), tolerance=1e-6)
    assert solution.success and solution.errors.l2_relative < 1e-6


def test_p_laplacian_as_an_energy_has_no_curvature_at_zero():
    problem = Stated(
        LINE, None, dirichlet(LINE, 0.0), energy=lambda p, u: first(u) ** 4 / 4 - u.value
    )
    network = kp.KAN([1, 1], degree=5, grid=16)
    with torch.no_grad():
        network.output_layers[0].coefficients.zero_()
    solution = kp.solve(problem, network, loss=kp.Loss(form="energy"))
    middle = float(solution(torch.tensor([[0.5]]).double()))
    assert middle == pytest.approx(0.75 * 0.5 ** (4 / 3), abs=5e-3)


def test_a_breakdown_is_a_sentence_with_a_remedy():
    never = lambda p, u: second(u) + torch.log(-1 - u.value**2)  # noqa: E731
    for network in (kp.Cells(degree=4), kp.KAN([1, 1], degree=5)):
        solution = kp.solve(Stated(LINE, never, dirichlet(LINE, 0.0)), network)
        assert solution.status.startswith("failed: step 1 of ")
        assert "Continuation" in solution.status and math.isfinite(solution.history.rows[0]["step"])


def test_an_energy_with_a_logarithm_is_minimised_within_a_budget():
    """J = 1 + u' is not positive for the random output layer of a new network."""

    def energy(p, u):
        stretch = 1 + first(u)
        return stretch**2 / 2 - torch.log(stretch)

    ends = LINE.boundary
    given = [kp.Dirichlet(ends["x_min"], 0.0), kp.Dirichlet(ends["x_max"], 0.5)]
    problem = Stated(LINE, None, given, energy=energy)
    network, loss = kp.KAN([1, 1], degree=5, grid=8), kp.Loss(form="energy")
    with torch.no_grad():
        network.output_layers[0].coefficients.mul_(10)
    solution = kp.solve(problem, network, loss=loss, budget=60)
    middle = float(solution(torch.tensor([[0.5]]).double()))
    assert solution.success and middle == pytest.approx(0.25, abs=1e-6)
