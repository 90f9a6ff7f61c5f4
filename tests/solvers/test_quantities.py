"""Numbers that a problem computes from its solution."""

import pytest

import kanpinn as kp
from kanpinn.cli import tables
from kanpinn.runs.results.solves import SolveContents


class Poiseuille(kp.Problem):
    """u'' = -2 on (0, 1), u = 0 at both ends: u = y (1 - y), ∫ u = 1/6."""

    domain = kp.Box(y=(0, 1))

    def __init__(self, answer=lambda solution: {"flow": solution.integral()}):
        self.quantities = answer

    def residual(self, p, u):
        return kp.laplacian(u) + 2.0

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


def solved(*answer) -> kp.Solution:
    return kp.solve(Poiseuille(*answer), kp.KAN([1, 1], degree=3), verified=False)


def test_a_flow_through_a_channel_is_a_sixth():
    found = {"flow": pytest.approx(1 / 6, abs=1e-12)}
    solution = solved()
    assert solution.quantities == SolveContents().record(solution)["quantities"] == found
    assert list(tables.quantities(solution)) == ["flow = 0.1666666667"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda s: 1.0, "quantities must return a dict from names to numbers, got 1.0"),
        (lambda s: {1: 1.0}, "must return a dict from names"),
        (lambda s: {"flow": s.gradient}, "quantities: flow must be a number, got"),
    ],
)
def test_what_is_no_number_with_a_name_is_refused(answer, words):
    with pytest.raises(kp.InputError, match=words):
        _ = solved(answer).quantities


def test_two_fields_are_a_velocity_in_the_plane():
    class Odd(Poiseuille):
        velocity_fields = ("u",)

    with pytest.raises(kp.InputError, match="velocity_fields must name two fields"):
        kp.solve(Odd(), kp.KAN([1, 1]))
