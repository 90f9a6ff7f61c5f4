"""Trials that choose network, points and optimizers, on problems that are not in the library."""

import dataclasses
import functools
import math
from pathlib import Path

import pytest
import torch

import kanpinn as kp
from kanpinn.accuracy import Estimate
from kanpinn.solvers.auto.choices import (
    Choice,
    Family,
    Traits,
    families,
    fine_choices,
    first_choice,
    smooth_choices,
)
from kanpinn.solvers.auto.search import Climb, Trial, TrialSearch, finer_solution, turns


class Ripple(kp.Problem):
    """-Δu + u = f on a rectangle of any size, u of any size."""

    def __init__(self, length: float = 1.0, size: float = 1.0) -> None:
        self.length, self.size = length, size
        self.domain = kp.Box(a=(0, 2 * length), b=(0, length))

    def residual(self, p, u):
        return -(self.length**2) * kp.laplacian(u) + u.value - self.source(p)

    def source(self, p):
        return 9 * Ripple.exact(self, p) + 7 * self._part(self._scaled(p)[1])

    def _scaled(self, p):
        return p.a / self.length, p.b / self.length

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        a, b = self._scaled(p)
        return self.size * (2 * a).sin() * (2 * b).cos() - self._part(b)

    def _part(self, b):
        return self.size * b.sin() * 4 / math.e


class Cubic(Ripple):
    """-Δu + u³ = f."""

    def residual(self, p, u):
        return -kp.laplacian(u) + u.value**3 - self.source(p)

    def source(self, p):
        a, b = p.a, p.b
        return 8 * (2 * a).sin() * (2 * b).cos() - self._part(b) + self.exact(p) ** 3


class Sum(kp.Problem):
    """Δu = f in five dimensions."""

    domain = kp.Box(a=(0, 1), b=(0, 1), c=(0, 1), d=(0, 1), e=(0, 1))

    def residual(self, p, u):
        return kp.laplacian(u) + self.exact(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.sin(p.coords).sum(dim=1, keepdim=True)


class Front(kp.Problem):
    """u_t + u u_x = u_xx / 50: a front that moves with speed 1/2."""

    domain = kp.Box(x=(-1, 1), t=(0, 1))

    def residual(self, p, u):
        return kp.partial(u, "t") + u.value * kp.partial(u, "x") - kp.partial(u, "x", "x") / 50

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(ends, self.exact)]

    def exact(self, p):
        return 0.5 - 0.5 * torch.tanh((p.x + 0.3 - p.t / 2) * 12.5)


class Corrupted(Ripple):
    """An exact solution that is wrong inside."""

    def exact(self, p):
        true = super().exact(p)
        inside = self.domain.contains(p.coords, tolerance=-1e-6)
        return torch.where(inside[:, None], true + 1, true)


def choices(solution):
    """What was tried, without seconds and errors."""
    return [line.partition(", least squares")[0] for line in solution.log]


TOLERANCES = {Ripple: 1e-5, Cubic: 1e-5, Sum: 1e-5, Front: 1e-3}


@pytest.mark.parametrize("problem", TOLERANCES)
def test_a_problem_is_solved_to_the_tolerance(problem):
    tolerance = TOLERANCES[problem]
    solution = kp.solve(problem(), tolerance=tolerance, budget=1000)
    assert solution.status.startswith("converged: the estimated relative L2 error")
    assert solution.errors.l2_relative < 2 * tolerance
    estimated = solution.estimate.errors.l2_relative
    assert estimated <= tolerance
    rounding = 1e-13  # such an error, which Sum has, may be estimated too high
    ratio = (solution.errors.l2_relative + rounding) / (estimated + rounding)
    assert ratio < 3 and (ratio > 1 / 3 or problem is Sum)


class Kink(kp.Problem):
    """u'' = |x - 0.137|^(1/4): finer splines leave most of the residual."""

    domain = kp.Box(x=(-1, 1))

    def residual(self, p, u):
        return kp.laplacian(u) - (p.x - 0.137).abs() ** 0.25

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return (p.x - 0.137).abs() ** 2.25 / (2.25 * 1.25)


@pytest.mark.parametrize(("left", "error"), [(60, math.inf), (0.3, 1e-9)])
def test_a_finer_solution_refutes_a_guess_if_there_is_time(left, error):
    problem, told = Kink(), lambda choice, why, state: None
    solution = kp.solve(problem, kp.KAN([1, 1], degree=9, grid=8))
    guess = solution.errors.scaled(1e-9 / solution.errors.l2_relative)
    solution = dataclasses.replace(solution, estimate=Estimate(guess, 0.1, 0.0))
    trial = Trial(first_choice(problem), solution, seconds=0.1)
    search = TrialSearch(problem=problem, budget=left, announce=told)
    assert search._confirmed(trial).error == pytest.approx(error)


def test_a_finer_solve_keeps_to_the_time_that_is_left(monkeypatch):
    budgets = []

    def solved(discretization, optimizers, *, errors, budget_seconds):
        budgets.append(budget_seconds)
        return known

    monkeypatch.setattr("kanpinn.solvers.error_estimate.solve_discretized", solved)
    known = kp.solve(Kink(), kp.KAN([1, 1], degree=9, grid=8))
    trial = Trial(first_choice(Kink()), known, seconds=0.1)
    assert finer_solution(trial, left=0.3) is None and not budgets
    assert finer_solution(trial, left=7.0) is known and budgets == [7.0]


def test_a_solution_is_compared_with_a_finer_one_only_once():
    # The finer splines leave most of the residual, so that the guess stays.
    problem, told = Kink(), lambda choice, why, state: None
    solution = kp.solve(problem, kp.KAN([1, 1], degree=9, grid=8))
    known = Estimate(solution.errors, 0.1, 0.0)
    trial = Trial(first_choice(problem), dataclasses.replace(solution, estimate=known), 0.1)
    found = TrialSearch(problem=problem, budget=60, announce=told)._confirmed(trial)
    assert found.error == trial.error
    assert finer_solution(found, left=60) is None


@functools.cache
def ripple():
    """The solution that several tests compare with, and what was announced of its trials."""
    told = []
    announce = lambda choice, why, _: told.append((choice, why))  # noqa: E731
    return TrialSearch(problem=Ripple(), tolerance=1e-7, announce=announce).solution(), told


def test_names_units_and_sizes_change_nothing():
    one, _ = ripple()
    other = kp.solve(Ripple(1000.0, 1e-6), tolerance=1e-7)
    assert choices(one) == choices(other)
    assert max(one.errors.l2_relative, other.errors.l2_relative) < 1e-9


def test_an_exact_solution_plays_no_part():
    (one, _), other = ripple(), kp.solve(Corrupted(), tolerance=1e-7)
    assert choices(one) == choices(other)
    points = torch.rand(50, 2, dtype=torch.float64)
    assert torch.equal(one(points), other(points))


def test_a_small_budget_allows_the_first_trial_only():
    solution = kp.solve(Ripple(), tolerance=1e-15, budget=1e-3)
    assert solution.status.startswith("stopped: its error is not known, since no other trial")
    assert solution.status.endswith("(the budget of 0.001 s ended the search)")
    assert solution.errors.l2_relative < 1e-2 and not solution.success
    assert "0 s are left" in solution.log[-1] or "ends here" in solution.log[-1]


def test_what_cannot_be_reached_is_said():
    solution = kp.solve(Ripple(), tolerance=1e-17, budget=4)
    assert "above the tolerance" in solution.status
    assert solution.errors.l2_relative < 1e-9


def test_ctrl_c_keeps_the_best_trial():
    def interrupt(run):
        run.interrupted = True

    solution = kp.solve(Ripple(), observers=[interrupt])
    assert solution.status == "stopped: interrupted"
    assert len(choices(solution)) == 2


def test_every_choice_is_announced_and_the_kept_one_again():
    _, told = ripple()
    assert told[-1][1] == "kept"
    assert told[-1][0] in [choice for choice, _ in told[:-1]]


@pytest.mark.parametrize("key", ["tolerance", "budget"])
def test_impossible_limits_are_refused(key):
    with pytest.raises(kp.InputError, match=f"{key} must be"):
        kp.solve(Ripple(), **{key: -1.0})


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 10])
def test_families_grow(dim):
    box = kp.Box(**{f"x{i}": (0, 1) for i in range(dim)})
    for family in families(Traits(kp.Poisson(box, source="1", boundary="0"))):
        works = [choice.work for choice in family.choices]
        assert works == sorted(works)
        assert len(works) >= 1


FILE = """
[problem]
equation = "poisson"
domain = { type = "box", x = [-1, 1] }
exact = "sin(pi*x)"

[run]
tolerance = 1e-5
"""


@pytest.mark.parametrize(
    "auto", ["", '[[optimizer]]\ntype = "auto"\n', '[network]\ntype = "auto"\n']
)
def test_a_file_that_names_no_network(tmp_path: Path, auto: str):
    from kanpinn.runs.config import Config
    from kanpinn.runs.results import RunFolder

    (tmp_path / "file.toml").write_text(FILE + auto)
    config = Config.read(tmp_path / "file.toml")
    job = config.build()
    folder = RunFolder.create(tmp_path, "file", config)
    solution = job.run([folder.checkpoint], folder.state, folder.adopt)
    path = folder.finish(solution, figures=False)
    again = kp.load(path)
    points = torch.rand(20, 1, dtype=torch.float64)
    assert torch.equal(again(points), solution(points))
    assert again.log == solution.log and again.status == solution.status
    assert again.status.startswith("converged: the estimated")


ADAM, KAN = '[[optimizer]]\ntype = "adam"\n', '[network]\ntype = "kan"\nwidth = [1, 4, 1]\n'
TRIALS, NETWORK = '[[optimizer]]\ntype = "auto"\n', '[network]\ntype = "auto"\n'


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (2 * TRIALS, "to be the only optimizer"),
        (KAN + TRIALS, 'optimizer\\[0\\].type = "auto": expected no network beside it, got "kan"'),
        (NETWORK + ADAM, 'optimizer\\[0\\].type = "adam": expected no optimizer beside'),
        (NETWORK + "width = [1, 4, 1]\n", "network.width = .* expected to be left out"),
        (
            "[points]\ninterior = 100\nboundary = 40\n",
            "points.interior = 100: expected to be left out",
        ),
        ("[loss]\nboundary = 2.0\n", "loss.* expected to be left out, since trials choose it"),
    ],
)
def test_what_trials_choose_is_left_out(tmp_path: Path, sections: str, message: str):
    from kanpinn.runs.config import Config

    (tmp_path / "file.toml").write_text(FILE + sections)
    with pytest.raises(kp.InputError, match=message):
        Config.read(tmp_path / "file.toml").build()


SQUARE, HOLE = kp.Box(x=(-1, 1), y=(-1, 1)), kp.Disk((0.2, 0.1), 0.2)


@pytest.mark.parametrize(
    ("domain", "sampler"),
    [
        (SQUARE, "gauss"),
        (kp.Disk((0, 0), 1e-3), "gauss"),
        (kp.LShape(), "gauss"),
        (SQUARE - HOLE, "sobol"),
        (kp.Annulus((0, 0), 5.0, 20.0), "sobol"),
        ((SQUARE - HOLE).over(t=(0, 1e6)), "sobol"),
    ],
)
def test_points_are_even_on_domains_with_holes(domain, sampler):
    class Somewhere(Ripple):
        def __init__(self):
            self.domain = domain

        def residual(self, p, u):
            return kp.laplacian(u)

        def conditions(self):
            return []

    assert Traits(Somewhere()).sampler == sampler


def test_a_dear_trial_waits_until_networks_of_other_kinds_have_been_tried():
    traits = Traits(Ripple())
    cells = Choice(kp.Cells, {}, kp.Collocation(10, 10), (kp.AdaptiveLeastSquares(),), work=1.0)
    dear, other, fine = (
        Climb(Family(name, choices))
        for name, choices in (
            ("smooth", smooth_choices(traits)),
            ("cells", (cells,)),
            ("fine", fine_choices(traits)),
        )
    )
    made = turns([dear, other, fine], lambda: False)
    assert next(made) == (dear, 0.25)  # cells are to come
    dear.postponed = True
    assert next(made) == (other, 1.0)  # only networks of a kind that has been tried
    other.ended = "there is no larger one"
    assert next(made) == (fine, 1.0)
    fine.ended = "there is no larger one"
    assert [next(made) for _ in range(2)] == [(dear, 1.0)] * 2
