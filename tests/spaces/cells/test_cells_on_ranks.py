"""Ranks share the cells of a tree, and find the solution of one process."""

import numpy as np
import pytest
import torch
from cases import Manufactured, error_of

import kanpinn as kp
from kanpinn.spaces.cells.system.elimination import FaceSolver

DOMAINS = {
    "a box": kp.Box(x=(0, 1), y=(0, 1)),
    "a box without a disk": kp.Box(x=(0, 1), y=(0, 1)) - kp.Disk((0.7, 0.3), 0.15),
}


def peak(domain, broken=False):
    """(1 + x) Δu + u² = f with a peak at (0.3, 0.6), and optionally a source that is not finite."""
    extra = (lambda p: torch.log(p.x - 0.9)) if broken else (lambda p: 0.0)
    return Manufactured(
        domain,
        lambda p, u: (1 + p.x) * kp.laplacian(u) + u.value**2 + extra(p),
        "exp(-40 * ((x - 0.3)**2 + (y - 0.6)**2))",
        **({"source": False} if broken else {}),
    )


def _solved(domain, broken=False):
    """The status, the error and the coefficients of a solve in cells."""
    problem, network = peak(DOMAINS[domain], broken), kp.Cells([2, 1], 5, 3)
    method = kp.AdaptiveLeastSquares(tolerance=1e-3)
    found = kp.solve(problem, network, method, verified=False, errors=False)
    return found.status, error_of(found), network.layer.coefficients.detach().numpy()


@pytest.mark.parametrize(("domain", "size"), [("a box", 2), ("a box without a disk", 3)])
def test_ranks_find_what_one_process_finds(ranks, domain, size):
    status, error, wanted = _solved(domain)
    assert status == "converged" and error < 1e-3
    answers = ranks.run(size, _solved, domain)
    for status, error, found in answers:
        assert status == "converged" and error < 1e-3
        assert np.array_equal(found, answers[0][2])
        assert np.allclose(found, wanted, rtol=0, atol=1e-10)


def _solved_in_one_cell():
    problem = kp.Poisson(DOMAINS["a box"], exact="sin(x)*exp(y)")
    return kp.solve(
        problem, kp.Cells([2, 1], 8, 1), kp.AdaptiveLeastSquares(1e-4)
    ).errors.l2_relative


def test_a_rank_may_have_no_cell(ranks):
    one, other = ranks.run(2, _solved_in_one_cell)
    assert isinstance(one, float), one
    assert one == other < 1e-7


class Line(kp.Problem):
    """-Δu = f with u = d^(5/3), where d is the distance from a line in a third of the square."""

    domain = DOMAINS["a box"]

    def residual(self, p, u):
        d = self.distance(p)
        source = torch.where(d > 0, d.clamp_min(1e-300) ** (-1 / 3), 0)
        return kp.laplacian(u) - 10 / 9 * 1.25 * source

    def distance(self, p):
        return (p.x - 0.4 - p.y / 2).clamp_min(0)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, lambda p: self.distance(p) ** (5 / 3))]


def _solved_with_a_singular_source():
    network = kp.Cells([2, 1], 6, 3)
    kp.solve(Line(), network, kp.AdaptiveLeastSquares(1e-15, steps=1), verified=False)
    return network.layer.coefficients.detach().numpy()


def test_ranks_share_the_integrals_of_a_singular_source(ranks):
    wanted = _solved_with_a_singular_source()
    one, other = ranks.run(2, _solved_with_a_singular_source)
    assert np.array_equal(one, other)
    assert np.allclose(one, wanted, rtol=0, atol=1e-12)


def _solved_by_gradients(domain):
    """What `_solved` returns, by conjugate gradients, as for many cells."""
    start = FaceSolver.__init__

    def by_gradients(self, *arguments, **options):
        start(self, *arguments, **options)
        self._by_elimination = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaceSolver, "__init__", by_gradients)
        return _solved(domain)


def test_ranks_take_the_same_conjugate_gradients(ranks):
    _, _, wanted = _solved("a box")
    answers = ranks.run(2, _solved_by_gradients, "a box")
    for status, error, found in answers:
        assert status == "converged" and error < 1e-3
        assert np.array_equal(found, answers[0][2])
        assert np.allclose(found, wanted, rtol=0, atol=1e-8)


def test_a_source_that_is_not_finite_ends_the_solve_of_all_ranks(ranks):
    for status, *_ in ranks.run(2, _solved, "a box", True):
        assert status.startswith("failed: step 1 of AdaptiveLeastSquares broke down")
