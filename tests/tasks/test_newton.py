"""Newton's method in cells: when its steps end, and for which fields."""

import math

import pytest
import torch

import kanpinn as kp
from kanpinn.tasks.adaptive import NewtonProgress
from kanpinn.tasks.cell_errors import ErrorProgress


def test_the_changes_that_are_left_follow_from_the_rate():
    progress = NewtonProgress()
    for change in (1.0, 0.25, 0.0625):
        progress.add(change)
    assert progress.left == pytest.approx(sum(0.0625 * 0.25**i for i in range(1, 50)))


def test_on_a_new_tree_the_square_of_a_change_is_expected_next():
    progress = NewtonProgress()
    for change in (1e-1, 3e-2, 2.7e-3):  # 3 c² each
        progress.add(change)
    progress = progress.on_new_tree()
    assert progress.left == math.inf
    progress.add(1e-4)
    assert progress.left == pytest.approx(3e-8, rel=1e-3)


def test_steps_that_do_not_contract_are_seen():
    progress = NewtonProgress()
    for change in (1.0, 0.9, 0.8, 0.7):
        progress.add(change)
        assert not progress.stagnates
    progress.add(0.6)
    assert progress.stagnates and not progress.on_new_tree().stagnates


def test_steps_that_halve_a_solution_that_is_far_too_large_contract():
    progress, x = NewtonProgress(), 1e6
    for _ in range(25):  # for x³ = 1: each step changes x by a third of it
        before, x = x, (2 * x + x**-2) / 3
        progress.add(abs(x - before) / x, x)
        assert not progress.stagnates
    assert progress.rate == pytest.approx(2 / 3, rel=1e-3)


def test_steps_are_counted_on_all_trees_and_a_failure_leaves_no_estimate():
    progress = NewtonProgress()
    for change in (1.0, 0.1):
        progress.add(change)
    assert progress.on_new_tree().steps == 2
    error = ErrorProgress()
    error.extrapolate(1.0, 1.0)
    error.extrapolate(0.1, 0.5)
    assert error.estimate == pytest.approx(0.05)
    error.forget()
    error.extrapolate(0.1, 1e-9)  # from the solution that had failed: of no meaning
    assert error.estimate == pytest.approx(0.05)


class Shock(kp.Problem):
    """u u_x = ε u_xx with ε = 0.08, whose solution -tanh((x - a) / 2ε) has a shock at a = 0.3."""

    domain = kp.Box(x=(0, 1))

    def residual(self, p, u):
        return u.value * kp.partial(u, "x") - 0.08 * kp.partial(u, "x", "x")

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return -torch.tanh((p.x - 0.3) / 0.16)


def test_cells_are_halved_where_the_steps_do_not_contract():
    solution = kp.solve(Shock(), kp.Cells([1, 1], 4, 2), kp.AdaptiveLeastSquares(1e-8))
    assert solution.status == "converged" and solution.errors.l2_relative < 3e-8


class Pair(kp.Problem):
    """Δu = 0 beside Δq = f, where q is large and has a steep slope."""

    domain = kp.Box(x=(0, 1), y=(0, 1))
    fields = ("u", "q")

    def residual(self, p, u, q):
        return kp.laplacian(u), (kp.laplacian(q) - self.source(p)[:, 1:]) / 1e6

    def conditions(self):
        boundary = self.domain.boundary
        return [
            kp.Dirichlet(boundary, lambda p: self.exact(p)[0], field="u"),
            kp.Dirichlet(boundary, lambda p: self.exact(p)[1], field="q"),
        ]

    def exact(self, p):
        return torch.exp(p.x) * torch.sin(p.y), 1e6 * torch.tanh(20 * (p.x - p.y))


class FirstOfPair(Pair):
    error_fields = ("u",)


def test_cells_are_halved_for_the_fields_whose_errors_count():
    for problem, halved in ((FirstOfPair(), False), (Pair(), True)):
        network = kp.Cells([2, 2], 8, 2)
        solution = kp.solve(problem, network, kp.AdaptiveLeastSquares(1e-4), verified=False)
        assert solution.status == "converged" and solution.errors.l2_relative < 3e-4
        assert (network.count > 30) == halved
