"""The problems of the library: their exact solutions solve them, checked with torch.func."""

import sys
from pathlib import Path

import pytest
import reference
import torch

import kanpinn as kp
from kanpinn.geometry import Points

PROBLEMS = Path(__file__).parents[2] / "problems"


@pytest.fixture
def poisson2d(monkeypatch):
    monkeypatch.syspath_prepend(str(PROBLEMS))
    yield __import__("poisson2d").Poisson2D()
    sys.modules.pop("poisson2d", None)


def random_points(domain, n: int, generator) -> Points:
    return domain.from_unit(torch.rand(n, domain.dim, generator=generator, dtype=torch.float64))


def test_poisson2d_exact_solution_has_no_residual(poisson2d, generator):
    p = random_points(poisson2d.domain, 200, generator)
    names = poisson2d.domain.names
    exact = lambda x: poisson2d.exact(Points(x[None], names))[0]  # noqa: E731
    jet = reference.jet_of_point(exact, p.coords, names)
    source = jet.second[:, 0] + jet.second[:, 3]
    assert reference.distance(poisson2d.source(p), source) < 1e-13
    assert poisson2d.residual(p, jet).abs().max() < 1e-12


def test_poisson2d_data_are_the_exact_solution_on_the_boundary(poisson2d):
    (condition,) = poisson2d.conditions()
    p, _ = condition.boundary.quadrature(20)
    assert condition.boundary.measure == 8
    assert (condition.target(p) - poisson2d.exact(p)).abs().max() < 1e-14


def test_poisson2d_is_solved_to_ten_digits(poisson2d):
    solution = kp.solve(poisson2d, kp.KAN([2, 48, 1], degree=9, grid=[4, 8], seed=0))
    assert solution.status == "converged"
    assert solution.errors.l2_relative < 1e-9 and solution.errors.h1_relative < 1e-8
