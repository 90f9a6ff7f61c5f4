"""Ranks share the cells of a tree, and find the solution of one process."""

import numpy as np
import pytest
import torch
from ranks import Ranks

import kanpinn as kp
from kanpinn.spaces.cells.system.elimination import FaceSolver, merge_order
from kanpinn.spaces.cells.tree import Tree


class Peak(kp.Problem):
    """(1 + x) Δu + u² = f with a peak at (0.3, 0.6), and optionally a source that is not finite."""

    def __init__(self, domain, broken: bool = False) -> None:
        self.domain, self.broken = domain, broken

    def residual(self, p, u):
        return (1 + p.x) * kp.laplacian(u) + u.value**2 - self.source(p)

    def source(self, p):
        """Δ of the peak is (80² r² - 160) times it."""
        if self.broken:
            return torch.log(p.x - 0.9)
        square = (p.x - 0.3) ** 2 + (p.y - 0.6) ** 2
        return (1 + p.x) * (6400 * square - 160) * self.exact(p) + self.exact(p) ** 2

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.exp(-40 * ((p.x - 0.3) ** 2 + (p.y - 0.6) ** 2))


DOMAINS = {
    "a box": kp.Box(x=(0, 1), y=(0, 1)),
    "a box without a disk": kp.Box(x=(0, 1), y=(0, 1)) - kp.Disk((0.7, 0.3), 0.15),
}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    members = Ranks(3, tmp_path_factory.mktemp("ranks"))
    yield members
    members.end()


def _solved(domain, broken=False):
    """The status, the error and the coefficients of a solve in cells."""
    problem, network = Peak(DOMAINS[domain], broken), kp.Cells([2, 1], 6, 3)
    found = kp.solve(problem, network, kp.AdaptiveLeastSquares(tolerance=1e-5), verified=False)
    return found.status, found.errors.l2_relative, network.layer.coefficients.detach().numpy()


@pytest.mark.parametrize(("domain", "size"), [("a box", 2), ("a box without a disk", 3)])
def test_ranks_find_what_one_process_finds(ranks, domain, size):
    status, error, wanted = _solved(domain)
    assert status == "converged" and error < 1e-5
    answers = ranks.run(size, _solved, domain)
    for status, error, found in answers:
        assert status == "converged" and error < 1e-5
        assert np.array_equal(found, answers[0][2])
        assert np.allclose(found, wanted, rtol=0, atol=1e-10)


def _solved_in_one_cell():
    problem = kp.Poisson(DOMAINS["a box"], exact="sin(x)*exp(y)")
    return kp.solve(
        problem, kp.Cells([2, 1], 8, 1), kp.AdaptiveLeastSquares(1e-4)
    ).errors.l2_relative


def test_a_rank_may_have_no_cell(ranks):
    one, other = ranks.run(2, _solved_in_one_cell)
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
        assert status == "converged" and error < 1e-5
        assert np.array_equal(found, answers[0][2])
        assert np.allclose(found, wanted, rtol=0, atol=1e-8)


def test_a_source_that_is_not_finite_ends_the_solve_of_all_ranks(ranks):
    for status, *_ in ranks.run(2, _solved, "a box", True):
        assert status.startswith("failed: step 1 of AdaptiveLeastSquares broke down")


@pytest.mark.parametrize("counts", [(1,), (7,), (6, 5), (8, 8), (3, 2, 5)])
def test_boxes_are_merged_in_halves_across_the_longest_side(counts):
    tree = Tree.uniform(counts)
    made = {number: {number} for number in range(len(tree))}

    def sides(cells):
        places = tree.place[list(cells)]
        found = (places.amax(dim=0) - places.amin(dim=0) + 1).tolist()
        assert len(cells) == np.prod(found)  # they fill a box
        return found

    for one, other, number in merge_order(tree):
        pair = made.pop(one), made.pop(other)
        made[number] = pair[0] | pair[1]
        whole, low, high = map(sides, (made[number], *pair))
        (axis,) = (i for i, count in enumerate(whole) if low[i] < count)
        assert whole[axis] == max(whole) and abs(high[axis] - low[axis]) <= 1
    assert list(made.values()) == [set(range(len(tree)))]
