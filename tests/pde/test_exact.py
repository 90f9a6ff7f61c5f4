"""A solve warns of an exact solution that does not solve the problem."""

import math

import pytest
import torch
from cases import Stated

import kanpinn as kp

LINE = kp.Box(x=(0, 1))


@pytest.mark.parametrize(
    ("exact", "words"),
    [
        (lambda p: p.x**2 - p.x, r"does not satisfy Stated\.residual"),
        (lambda p: (p.x - p.x**2) / 2 + 1, r"does not satisfy Stated\.conditions\(\)\[0\]"),
        (lambda p: p.x * math.nan, r"exact is not finite"),
    ],
)
def test_an_exact_solution_that_is_none_is_warned_of(exact, words):
    given = [kp.Dirichlet(LINE.boundary, 0.0)]
    problem = Stated(LINE, lambda p, u: kp.laplacian(u) + 1, given, exact=exact)
    with pytest.warns(UserWarning, match=words):
        solution = kp.solve(problem, kp.KAN([1, 1], degree=5))
    middle = float(solution(torch.tensor([[0.5]]).double()))
    assert solution.status == "converged" and middle == pytest.approx(1 / 8)
