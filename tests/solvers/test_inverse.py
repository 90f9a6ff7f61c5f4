"""Unknown numbers and coefficient fields: Jacobian, intervals, coverage, what is refused."""

import math

import pytest
import torch
from toy_inverse import LINE, Line, Toy, measured, solved

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.optimizers import LevenbergMarquardt


@pytest.mark.parametrize("positive", [False, True])
def test_the_jacobian_of_an_unknown_is_that_of_the_residual(positive):
    solution = solved(Toy(positive=positive), steps=2)
    layers = solution.network.all_layers
    rows = list(solution.residuals.rows(layers))
    jacobian, residual = (torch.cat(parts) for parts in zip(*rows, strict=True))
    start = get_coefficients(layers)

    def at(vector):
        set_coefficients(layers, vector)
        return torch.cat([r for _, r in solution.residuals.rows(layers)])

    step = 1e-6
    shift = torch.zeros_like(start)
    shift[-1] = step
    difference = (at(start + shift) - at(start - shift)) / (2 * step)
    set_coefficients(layers, start)
    assert torch.allclose(jacobian[:, -1], difference, atol=1e-8, rtol=1e-6)
    assert torch.allclose(residual, at(start))


def test_the_interval_of_a_straight_line_is_the_textbooks():
    at, values = measured()
    solution = solved(Line(values, noise=0.1))
    spread = (at - at.mean()).square().sum()
    slope = float(((at - at.mean()) * values).sum() / spread)
    found = solution.estimated["slope"]
    assert found.value == pytest.approx(slope, rel=2e-2)
    width = 1.959964 * 0.1 / float(spread.sqrt())
    assert found.high - found.value == pytest.approx(width, rel=5e-2)


def test_an_estimated_noise_widens_the_interval_by_students_t():
    at, values = measured()
    solution = solved(Line(values))
    noise = solution.covariance.noise
    assert not noise.known
    assert noise.freedom == pytest.approx(len(at) - 2, abs=1.0)
    fitted = torch.stack([torch.ones_like(at), at], dim=1)
    rest = values - fitted @ torch.linalg.lstsq(fitted, values[:, None]).solution[:, 0]
    assert noise.deviation == pytest.approx(float((rest.square().sum() / 28).sqrt()), rel=2e-2)
    assert noise.quantile == pytest.approx(2.05, abs=0.01)
    assert "Student" in str(noise)


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = [
        found.low <= 2.0 <= found.high
        for seed in range(8)
        for found in [solved(Toy(seed=seed, start=2.0)).estimated["k"]]
    ]
    assert 6 <= sum(held) <= 8


def test_a_positive_unknown_has_a_positive_interval():
    found = solved(Toy(noise=0.2, count=5, positive=True, start=3.0)).estimated["k"]
    assert 0 < found.low < found.value < found.high


def test_what_the_data_do_not_tell_is_said_and_does_not_stop_the_solve():
    class Blind(Toy):
        def __init__(self):
            super().__init__()
            self.unknowns = {**self.unknowns, "idle": kp.Unknown(3.0)}

        def residual(self, p, u, k, idle):
            return super().residual(p, u, k)

    solution = solved(Blind(), verified=True)
    assert solution.status == "converged"
    assert solution.estimated["k"].is_identified
    idle = solution.estimated["idle"]
    assert idle.value == 3.0 and idle.low == -math.inf and idle.high == math.inf
    assert "not determined" in str(idle)


def test_the_history_and_levenberg_marquardt_carry_unknowns():
    network = kp.KAN([1, 8, 1], 5, 4)
    stages = [kp.LeastSquares(30), LevenbergMarquardt(5)]
    solution = kp.solve(Toy(), network, stages, kp.Collocation(64, 2))
    column = solution.history.column("unknown_k")
    assert column[0] == 1.0
    assert column[-1] == pytest.approx(solution.estimated["k"].value)
    assert solution.errors.l2_relative < 0.02
    assert solution(torch.rand(4, 1, dtype=torch.float64)).shape == (4, 1)


class Channel(kp.Problem):
    """-v u'' + u / K = 1 between walls, v = 1e-3, K = 0.4: a boundary layer of width (v K)^½."""

    domain = LINE

    def __init__(self, start):
        truth = {"v": 1e-3, "K": 0.4}
        self.unknowns = {name: kp.Unknown(start * x, True, exact=x) for name, x in truth.items()}

    def residual(self, p, u, v, K):
        return -v.value * kp.laplacian(u) + u.value / K.value - 1

    def conditions(self):
        at = torch.linspace(0.01, 0.99, 15, dtype=torch.float64)[:, None]
        rate = (1e-3 * 0.4) ** -0.5
        sides = torch.exp(-rate * at) + torch.exp(-rate * (1 - at))
        values = 0.4 * (1 - sides / (1 + math.exp(-rate)))
        return [kp.Dirichlet(self.domain.boundary), kp.Observed(self.domain, at, values)]


@pytest.mark.parametrize("start", [0.1, 100.0])
def test_positive_numbers_are_found_from_far_away(start):
    network, points = kp.KAN([1, 1], 5, 24), kp.Collocation(120, 2)
    solution = kp.solve(Channel(start), network, points=points, errors=False, verified=False)
    for name, truth in (("v", 1e-3), ("K", 0.4)):
        found = solution.estimated[name]
        assert found.low < truth < found.high
        assert found.value == pytest.approx(truth, rel=1e-3)


def test_a_positive_number_without_a_bound_does_not_overflow():
    at = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)[:, None]
    data = kp.Observed(LINE, at, at * (1 - at) / 2e-3)  # u / K = 0
    unbounded = Channel(1.0)
    unbounded.conditions = lambda: [kp.Dirichlet(LINE.boundary), data]
    network, points = kp.KAN([1, 1], 5, 4), kp.Collocation(40, 2)
    solution = kp.solve(unbounded, network, points=points, errors=False, verified=False)
    found = solution.estimated["K"]
    assert 1e3 < found.value <= 0.4e12
    assert not found.is_identified or found.high > 1e3 * found.value


@pytest.mark.parametrize(
    ("unknowns", "words"),
    [
        ({"x": kp.Unknown()}, "'x' is a coordinate"),
        ({"k": 1.0}, r"unknowns\['k'\] must be a kanpinn Unknown, got 1.0"),
        (["k"], "must map names to unknowns"),
        ({"u": kp.Unknown(exact=1.0), "k": kp.Unknown()}, "is a field"),
    ],
)
def test_unknowns_that_cannot_be_are_refused(unknowns, words):
    problem = Toy()
    problem.unknowns = unknowns
    with pytest.raises(InputError, match=words):
        solved(problem)


def test_numbers_of_an_unknown_are_checked():
    with pytest.raises(InputError, match=r"start must be above 0.*got -1"):
        kp.Unknown(-1, positive=True)
    with pytest.raises(InputError, match=r"exact must be above 0.*got -1"):
        kp.Unknown(positive=True, exact=-1)
    with pytest.raises(InputError, match="start must be a finite number"):
        kp.Unknown(math.nan)


def test_networks_side_by_side_are_two_or_more():
    with pytest.raises(InputError, match="two or more networks"):
        kp.Beside([kp.KAN([1, 1])])


def test_noise_of_some_data_only_is_refused():
    mixed, toy = Toy(), Toy()
    mixed.conditions = lambda: [*toy.conditions(), kp.Observed(LINE, toy.at, toy.values)]
    with pytest.raises(InputError, match="noise = None beside some with a known one"):
        solved(mixed)


def test_an_energy_has_no_unknowns():
    with pytest.raises(InputError, match="which has unknowns"):
        kp.solve(Toy(), kp.KAN([1, 4, 1]), loss=kp.Loss(form="energy"))
