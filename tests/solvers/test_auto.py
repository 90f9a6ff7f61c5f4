"""Trials that choose network, points and optimizers, on problems that are not in the library."""

import dataclasses
import functools
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from cases import Manufactured, OnWalls, Stated, error_of, formulas

import kanpinn as kp
from kanpinn.accuracy import Estimate
from kanpinn.jets import Channels
from kanpinn.optimizers.method import Step, StepCost
from kanpinn.runs.config import Config
from kanpinn.runs.results import RunFolder
from kanpinn.runs.results.checkpoint import read_checkpoint, write_checkpoint
from kanpinn.runs.results.folder import TRIALS as FILE_OF_TRIALS
from kanpinn.runs.results.folder import config_to_resume
from kanpinn.solvers import error_estimate
from kanpinn.solvers.auto.choices import Choice, Family, Traits, families, first_choice
from kanpinn.solvers.auto.search import (
    Climb,
    Trial,
    TrialSearch,
    Verdict,
    finer_solution,
    judge,
    next_turn,
    start,
)
from kanpinn.solvers.discretization import discretize
from kanpinn.spaces.cells.cells import Cells
from kanpinn.tasks.adapt import SolvePace
from kanpinn.tasks.march import MarchStage


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


FRONT = Manufactured(  # moves with speed 1/2
    kp.Box(x=(-1, 1), t=(0, 1)),
    lambda p, u: kp.partial(u, "t") + u.value * kp.partial(u, "x") - kp.partial(u, "x", "x") / 50,
    "(1 - tanh((x + 0.3 - t / 2) * 12.5)) / 2",
    source=False,
)
CUBIC = Manufactured(
    kp.Box(a=(0, 2)), lambda p, u: -kp.laplacian(u) + u.value**3, "2 * sin(3 * a) + a"
)
SUM = Manufactured(
    kp.Box(**dict.fromkeys("abcdf", (0, 1))),
    lambda p, u: kp.laplacian(u),
    " + ".join(f"sin({x})" for x in "abcdf"),
)


def choices(solution):
    """What was tried, without seconds and errors."""
    return [line.partition("least squares")[0] for line in solution.log]


TOLERANCES = {"cubic": (CUBIC, 1e-5), "sum": (SUM, 1e-5), "front": (FRONT, 1e-3)}


@pytest.mark.parametrize(("problem", "tolerance"), TOLERANCES.values(), ids=TOLERANCES)
def test_a_problem_is_solved_to_the_tolerance(problem, tolerance):
    solution = kp.solve(problem, tolerance=tolerance, budget=1000)
    assert solution.status.startswith("converged: the estimated relative L2 error")
    assert solution.errors.l2_relative < 2 * tolerance
    estimated = solution.estimate.errors.l2_relative
    assert estimated <= tolerance
    rounding = 1e-13  # such an error, which the sum has, may be estimated too high
    ratio = (solution.errors.l2_relative + rounding) / (estimated + rounding)
    assert ratio < 3 and (ratio > 1 / 3 or problem is SUM)


def kink():
    """u'' = |x - 0.137|^(1/4): finer splines leave most of the residual."""
    line, exact = kp.Box(x=(-1, 1)), formulas("abs(x - 0.137)**2.25 / (2.25 * 1.25)")
    residual = lambda p, u: kp.laplacian(u) - (p.x - 0.137).abs() ** 0.25  # noqa: E731
    return Stated(line, residual, [kp.Dirichlet(line.boundary, exact)], exact=exact)


@pytest.mark.parametrize(("left", "error"), [(60, math.inf), (0.3, 1e-9)])
def test_a_finer_solution_refutes_a_guess_if_there_is_time(left, error):
    problem, told = kink(), lambda choice, why, state: None
    solution = kp.solve(problem, kp.KAN([1, 1], degree=9, grid=8))
    guess = solution.errors.scaled(1e-9 / solution.errors.l2_relative)
    solution = dataclasses.replace(solution, estimate=Estimate(guess, 0.1, 0.0))
    trial = Trial(first_choice(problem), solution, seconds=0.1)
    found = TrialSearch(problem=problem, budget=left, announce=told)._confirmed(trial)
    assert found.error == pytest.approx(error)
    if math.isinf(error):  # it is compared only once
        assert finer_solution(found, left=60) is None


@functools.cache
def ripple():
    """The solution that several tests compare with, and what was announced of its trials."""
    told = []
    announce = lambda choice, why, _: told.append((choice, why))  # noqa: E731
    return TrialSearch(problem=Ripple(), tolerance=1e-3, announce=announce).solution(), told


def test_units_and_sizes_and_an_exact_solution_change_nothing():
    """The exact solution is wrong inside."""
    (one, _), scaled = ripple(), Ripple(1000.0, 1e-6)

    def wrong(p):
        a, b = scaled._scaled(p)
        return Ripple.exact(scaled, p) + a * (2 - a) * b * (1 - b)

    scaled.exact = wrong
    with pytest.warns(UserWarning, match="the exact solution does not satisfy"):
        other = kp.solve(scaled, tolerance=1e-3)
    assert choices(one) == choices(other) and one.errors.l2_relative < 1e-3
    points = torch.rand(50, 2, dtype=torch.float64)
    torch.testing.assert_close(1e6 * other(1000 * points), one(points), rtol=1e-5, atol=1e-5)


def test_a_small_budget_allows_the_first_trial_only():
    solution = kp.solve(SUM, tolerance=1e-15, budget=1e-3)
    assert solution.status.startswith("stopped: its error is not known, since no other trial")
    assert solution.status.endswith("(the budget of 0.001 s ended the search)")
    assert solution.errors.l2_relative < 1e-2 and not solution.success
    assert "0 s are left" in solution.log[-1] or "ends here" in solution.log[-1]


def test_a_budget_that_is_too_small_is_named(monkeypatch):
    monkeypatch.setattr(kp.LeastSquares, "cost", lambda *_: StepCost(9.0, 1))
    monkeypatch.setattr(TrialSearch, "left", -1.0)
    solution = kp.solve(SUM, budget=2)
    assert solution.status == "failed: the budget of 2 s is too small for a first trial"


def test_no_network_for_all_times_follows_a_march_in_cells_that_the_budget_has_ended(monkeypatch):
    ended = Step(0.0, finished="stopped: the budget of 1 s leaves no time for another step")
    monkeypatch.setattr(MarchStage, "step", lambda _: ended)
    disk = kp.Heat(kp.Disk((0, 0), 1.0).over(t=(0, 1)), exact="exp(-t) * x")
    solution = kp.solve(disk, budget=5)
    assert solution.status.startswith("stopped: the march has ended after 0.0% of the span of time")
    assert all("march" in line or "windows in time" in line for line in solution.log)


def test_a_choice_that_is_too_dear_is_replaced_by_one_between_it_and_the_last_one():
    disk = kp.Heat(kp.Disk((0, 0), 1.0).over(t=(0, 1)), exact="exp(-t) * x")
    (marches,) = (one for one in families(Traits(disk)) if one.choices[0].kind is kp.CellWindows)
    coarse, fine = marches.choices[:2]
    between = fine.within(0.7, coarse)
    assert coarse.work < between.work == pytest.approx(0.7 * fine.work)
    assert fine.optimizers[0].tolerance < between.optimizers[0].tolerance < 1e-2 / 4
    assert fine.within(1.1 * coarse.work / fine.work, coarse) is None
    square = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="x*y")
    units = next(one for one in families(Traits(square)) if one.name == "random inner functions")
    few, more = units.choices[:2]
    assert few.units < more.within(0.9, few).units < more.units and more.within(0.1, few) is None


def test_families_in_very_many_dimensions_have_choices():
    box = kp.Box(**{f"x{i}": (0, 1) for i in range(45)})
    found = list(families(Traits(kp.Poisson(box, source="x0", boundary="0"))))
    assert found and all(family.choices for family in found)


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


@pytest.mark.parametrize("dim", [1, 2, 4, 10])
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
    assert Traits(Stated(domain, lambda p, u: kp.laplacian(u))).sampler == sampler


class Known(Trial):
    """A trial with a known error."""

    error = property(lambda self: self.noise)
    loss = property(lambda self: self.noise)


def raced(spent, tolerance, *tried):
    """The family that makes the next trial, and its share, for seconds and errors of trials."""
    networks = next(one for one in families(Traits(Ripple())) if one.choices[0].kind is kp.KAN)
    cells = Family("cells", (Choice(Cells, {}, kp.Collocation(9, 9), (), 1.0),) * 3, rate=3.0)
    climbs = [Climb(family) for family in (networks, cells)]
    solution = ripple()[0]
    for climb, known in zip(climbs, tried, strict=False):
        climb.taken = len(known)
        climb.trials = [
            Known(choice, solution, seconds, noise=error)
            for choice, (seconds, error) in zip(climb.family.choices, known, strict=False)
        ]
    search = SimpleNamespace(tolerance=tolerance, seconds=spent)
    climb, share = next_turn(climbs, search)
    return climb.family.name, share


def test_the_family_that_will_be_first_makes_the_next_trial():
    """Errors fall like a power of a family's seconds."""
    converges, slow = [(1.0, 1e-2), (9.0, 1e-5)], [(1.0, 1e-2), (9.0, 5e-3)]
    name = "random inner functions"
    assert raced(10, 1e-6, converges) == (name, 1.0)  # needs some 12 s
    assert raced(10, 1e-12, converges) == ("cells", 0.5)  # which have not been tried
    assert raced(10, 1e-6, slow) == ("cells", 0.5)
    assert raced(10, 1e-6, [(1.0, math.inf), (9.0, math.inf)]) == ("cells", 0.5)  # no digit
    assert raced(20, 1e-6, slow, [(9.0, 1e-3)]) == ("cells", 1.0)  # 90 s by their usual rate
    assert raced(20, 1e-6, converges, [(9.0, 1e-3)]) == (name, 1.0)
    rising = [(1.0, 1e-2), (9.0, 2e-2)]
    assert raced(20, 1e-6, rising, [(1.0, 1e-1), (9.0, 2e-1)]) == (name, 1.0)  # the least loss


# --- Automatic solves by networks in cells, where one network cannot resolve what is local


class Equation(OnWalls):
    """-a Δu + b u_x + c u = f on a rectangle of the width 2, with u = exp(-s |x|²)."""

    domain = kp.Box(x=(-1, 1), y=(-0.5, 0.5))
    a, b, c, s = 1.0, 0.0, 0.0, 1.0

    def exact(self, p):
        return torch.exp(-self.s * (p.x**2 + p.y**2))

    def residual(self, p, u):
        left = -self.a * kp.laplacian(u) + self.b * kp.partial(u, "x") + self.c * u.value
        return left - self.source(p)


def equation(**values):
    made = Equation()
    vars(made).update(values)
    return made


def test_the_first_choice_is_that_of_the_problem_s_traits():
    ring, square = kp.Annulus((0, 0), 0.5, 1), kp.Box(x=(0, 1), y=(0, 1), t=(0, 1))
    cube = kp.Box(x=(-1, 1), y=(0, 1), z=(0, 1))
    kinked = with_interface(DISK, inputs=lambda: lambda p: torch.cat([p.x, p.y, p.x], dim=1))
    both = lambda p, u, v: (kp.laplacian(u), kp.laplacian(v) - 1)  # noqa: E731
    expected = [
        (equation(), Cells),
        (equation(domain=cube), Cells),
        (Stated(cube, both, [kp.Dirichlet(cube.boundary)], ("u", "v")), Cells),
        (kp.Wave(ring.over(t=(0, 1)), exact="sin(x + t)"), kp.CellWindows),
        (kp.Heat(square, exact="exp(-t) * sin(x)"), kp.Windows),
        (kp.Heat(kp.Box(x=(0, 1), y=(0, 1)).over(t=(0, 1)), exact="exp(-t) * x"), kp.Windows),
        (kp.Heat(kp.Box(x=(0, 1), y=(0, 1), z=(0, 1), t=(0, 1)), exact="exp(-t) * x"), kp.Windows),
        (with_interface(DISK), Cells),
        (kinked, Cells),  # which needs no input with a kink
        (NOTCH, Cells),
    ]
    assert [first_choice(problem).kind for problem, _ in expected] == [kind for _, kind in expected]
    choice = first_choice(equation(c=-(30.0**2)))
    assert choice.arguments["degree"] >= 60 / choice.arguments["cells"] + 10
    names = [family.name for family in families(Traits(equation()))]
    assert names[:2] == ["cells", "random inner functions"]


def test_waves_are_solved_by_cells():
    solution = kp.solve(equation(c=-(12.0**2), s=10.0), tolerance=1e-4, budget=60, errors=False)
    assert isinstance(solution.network, Cells) and solution.success
    assert error_of(solution) < 1e-4
    assert solution.log[0].startswith("Cells with")


def test_a_wall_of_two_layers_is_solved_with_nothing_chosen():
    """-(k u')' = 1 with k = 100 and 1: u' = (c - x) / k, and u = 0 at both ends gives c."""
    line, a, k = kp.Box(x=(0, 1)), 0.3, lambda p: torch.where(p.x < 0.3, 100.0, 1.0)
    c = (a**2 / 200 + (1 - a**2) / 2) / (a / 100 + 1 - a)

    def exact(p):
        left = lambda x: (c * x - x**2 / 2) / 100  # noqa: E731
        right = lambda x: c * x - x**2 / 2  # noqa: E731
        beyond = right(p.x) - right(a) + left(a)
        return torch.where(p.x < a, left(p.x), beyond)

    interface = kp.Interface(line, kp.Box(x=(0, a)).boundary["x_max"], k)
    conditions = [kp.Dirichlet(line.boundary), interface]
    wall = Stated(line, lambda p, u: -k(p) * kp.laplacian(u) - 1, conditions, exact=exact)
    solution = kp.solve(wall, tolerance=1e-9)
    assert solution.success and error_of(solution) < 1e-11


def with_interface(interface, **values):
    """Laplace's equation with a coefficient of 10 on one side of an interface."""

    def ratio(p):
        return torch.where(p.x**2 + p.y**2 < 0.3**2, p.x.new_tensor(10.0), 1.0)

    def exact(p):
        square = p.x**2 + p.y**2
        outer = p.x * (1 - 9 / 11 * 0.3**2 / square)
        return torch.where(square < 0.3**2, 2 / 11 * p.x, outer)

    box = Equation.domain
    given = [kp.Dirichlet(box.boundary, exact), kp.Interface(box, interface, ratio)]
    residual = lambda p, u: ratio(p) * kp.laplacian(u)  # noqa: E731
    return Stated(box, residual, given, exact=exact, **values)


DISK = kp.Disk((0, 0), 0.3).boundary


def test_cells_are_first_where_a_coefficient_jumps():
    open_end = kp.Box(x=(-0.2, 0.2), y=(-0.2, 0.2)).boundary["x_max"]
    with pytest.raises(kp.InputError, match="must be closed or end on"):
        kp.solve(with_interface(open_end))
    solution = kp.solve(with_interface(DISK), tolerance=1e-3, budget=60, errors=False)
    assert isinstance(solution.network, Cells) and error_of(solution) < 1e-3


def test_solids_take_cells_first_and_no_other_network_after_them():
    cube = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))
    first = next(families(Traits(equation(domain=cube - kp.Ball((0, 0, 0), 0.5)))))
    assert first.name == "cells" and first.alone
    (choice,) = first.choices
    method = choice.optimizers[0]
    assert choice.arguments["degree"] < method.highest  # the first answer is cheap
    assert not Traits(equation(domain=kp.Disk((0, 0), 1).over(t=(0, 1)))).takes_cells


# u = 0 on the sides of an L: u is singular at the corner
BENT = kp.LShape()
CUBIC_AUTO_CELLS = Stated(
    BENT, lambda p, u: u.value**3 - kp.laplacian(u) - 1, [kp.Dirichlet(BENT.boundary, 0.0)]
)


def test_a_trial_in_cells_starts_from_the_solution_before_and_its_functions_of_corners():
    # Newton's method did not converge from the polynomials alone.
    problem, cells = CUBIC_AUTO_CELLS, kp.Cells([2, 1], 6, 4)
    choice = next(f for f in families(Traits(problem)) if f.name == "cells").choices[0]
    known = kp.solve(problem, kp.Cells([2, 1], 6, 4), kp.AdaptiveLeastSquares(1e-3))
    discretization = discretize(problem, cells, choice.settings("auto"), 0)
    start(discretization, Trial(choice, known, 1.0))
    points = problem.domain.gauss(400)
    found = discretization.surrogate.evaluate(points, Channels(("x", "y"))).value
    assert torch.allclose(found, known(points), atol=1e-13)
    assert known.network.corners is not None
    inputs, richer = torch.rand(50, 2, dtype=torch.float64), kp.Cells([2, 1], 8, 4)
    assert richer.take(known.network)
    assert torch.allclose(richer(inputs), known.network(inputs), atol=1e-13)


# Laplace's equation on the L-shape, u = r^(2/3) sin(2θ/3)
NOTCH = Manufactured(BENT, lambda p, u: kp.laplacian(u), kp.Corner(BENT, (0, 0), 1), source=False)


def test_corners_that_point_inwards_take_cells_with_the_estimates_of_their_solves():
    # Residuals grow without limit towards the corner, so they do not tell the error.
    solution = kp.solve(NOTCH, tolerance=1e-2, budget=60)
    assert solution.success
    estimated, true = solution.estimate.errors, solution.errors
    assert 1 / 3 < estimated.l2_relative / true.l2_relative < 3
    assert math.isnan(estimated.h1_relative) and "H1" not in str(solution.estimate)


def test_an_overfitted_network_leaves_the_error_that_cells_estimate():
    problem = kp.Poisson(kp.Disk((0, 0), 1), exact="exp(x*y)")
    few = kp.solve(problem, kp.KAN([2, 24, 1], 9), points=kp.Collocation(60, 12, "sobol"))
    cells = kp.solve(problem, kp.Cells([2, 1], 12, 2), kp.AdaptiveLeastSquares(1e-4))
    assert few.verification.overfitted
    first, second = (Trial(first_choice(problem), one, seconds=0.1) for one in (few, cells))
    verdict = judge(first, second)
    assert verdict.second.error == second.own_error
    assert 1 / 3 < verdict.first.error / few.errors.l2_relative < 3


def test_a_trial_in_cells_that_is_poorer_does_not_raise_the_error_before():
    problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(6*x)")
    good, poor = (
        kp.solve(problem, kp.Cells([1, 1], degree, 2), kp.AdaptiveLeastSquares(aim))
        for degree, aim in ((12, 1e-6), (3, 1e-2))
    )
    first, second = (Trial(first_choice(problem), one, seconds=0.1) for one in (good, poor))
    known = first.estimated(error_estimate.own_errors(good), None)
    assert judge(known, second).first is known
    # Without an estimate of its own, the first error is the distance plus the second error.
    network = kp.solve(problem, kp.KAN([1, 1], degree=5))
    verdict = judge(Trial(first_choice(problem), network, seconds=0.1), second)
    assert verdict.first.error > second.own_error


def test_families_in_one_dimension_draw_other_points_for_each_network():
    """Else all of them would see a jump of the source at the same wrong place."""
    problem = kp.Poisson(kp.Box(x=(0, 1)), source="1", boundary="0")
    for family in families(Traits(problem)):
        counts = [one.points.interior for one in family.choices if one.kind is kp.KAN]
        assert len(set(counts)) == len(counts)


def test_the_same_solution_found_again_has_the_error_that_its_solve_estimates():
    problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="sin(x)*exp(y)")
    solution = kp.solve(problem, kp.Cells([2, 1], 12, 2), kp.AdaptiveLeastSquares(1e-4))
    trial = Trial(first_choice(problem), solution, seconds=0.1)
    verdict = judge(trial, trial)
    assert verdict.first.error == verdict.second.error == trial.own_error > 0


def test_a_tolerance_that_cells_have_met_is_not_tried_again():
    problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="sin(x)*exp(y)")
    climb = Climb(next(f for f in families(Traits(problem), 1e-15) if f.name == "cells"))
    solution = kp.solve(problem, kp.Cells([2, 1], 12, 2), kp.AdaptiveLeastSquares(1e-4))
    choice = climb.following()
    trial = Trial(choice, solution, seconds=0.1).by_itself()
    climb.see(Verdict(None, trial), choice)
    assert choice.aim == 1e-4 and trial.error < 1e-7  # which is another tolerance
    assert climb.following().aim == 0.5e-15
    # Without a comparison the status of the solve says why the error is not known.
    late = "the budget leaves no time for the comparison"
    history = dataclasses.replace(solution.history, rows=({},))
    unknown = dataclasses.replace(solution, history=history, status=f"stopped: {late}; no error")
    assert Trial(choice, unknown, seconds=0.1).by_itself().solution.estimate.reason == late


def test_a_search_that_ends_early_does_not_say_that_its_budget_ended_it(monkeypatch):
    def few(*given):
        return [dataclasses.replace(one, choices=one.choices[:2]) for one in families(*given)][:2]

    monkeypatch.setattr("kanpinn.solvers.auto.search.families", few)
    problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(3*x + 1)")
    solution = kp.solve(problem, tolerance=1e-17, budget=1000)
    assert solution.seconds < 500 and solution.errors.l2_relative < 1e-9
    assert "above the tolerance" in solution.status and "budget" not in solution.status


def test_an_error_that_no_comparison_has_confirmed_does_not_converge(monkeypatch):
    too_late = SolvePace.too_late

    def only_once(pace, system, left):
        return too_late(pace, system, 0.0) if pace.dearer else ""

    monkeypatch.setattr(SolvePace, "is_last_chance", lambda pace, *_: not pace.dearer)
    monkeypatch.setattr(SolvePace, "too_late", only_once)
    exact = "exp(-300*((x - 0.3)**2 + (y - 0.6)**2))"
    problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact=exact)
    solution = kp.solve(problem, tolerance=1e-3, errors=False)
    assert solution.estimate.errors.l2_relative < 1e-3
    assert solution.status.startswith("stopped: the estimated relative L2 error")
    assert solution.status.endswith("but no comparison with a better solution has confirmed it")


# --- Trials for energies, for data with noise, and in other units; problems not in the library


def of_energy(domain, source, exact=None):
    """-Δu = f, u = 0 on the boundary, with its energy."""

    class WithEnergy(Stated):
        def energy(self, p, u):
            return kp.grad(u).square().sum(dim=1, keepdim=True) / 2 - source(p) * u.value

    given = [kp.Dirichlet(domain.boundary, 0.0)]
    residual = lambda p, u: kp.laplacian(u) + source(p)  # noqa: E731
    return WithEnergy(domain, residual, given, **({"exact": exact} if exact else {}))


def swing():
    """-c u'' = 2 sin x on [0, 3], c unknown, u measured with noise."""
    return Manufactured(
        kp.Box(x=(0, 3)),
        lambda p, u, c: -c.value * kp.laplacian(u),
        "sin(x)",
        observed=(100, 0.02),
        unknowns={"c": kp.Unknown(1.0, positive=True, exact=2.0)},
    )


def test_an_energy_is_minimised_where_the_equation_asks_too_much():
    """The source of u = x^0.6 - x is not square integrable, so no residual is."""
    rod = of_energy(kp.Box(x=(0, 1)), lambda p: 0.24 * p.x**-1.4)
    rod.inputs = lambda: lambda p: p.coords  # which cells refuse
    solution = kp.solve(rod, tolerance=5e-2, budget=1000)
    assert solution.discretization.loss.form == "energy"
    assert solution.status.startswith("converged")
    x = torch.linspace(0.01, 1, 50, dtype=torch.float64)[:, None]
    exact = x**0.6 - x
    assert float((solution(x) - exact).norm() / exact.norm()) < 5e-2


def test_a_smooth_solution_with_an_energy_is_as_good_as_without():
    exact = formulas(f"sin(3 * x) / 9 - x * {math.sin(6) / 18}")
    rod = of_energy(kp.Box(x=(0, 2)), lambda p: torch.sin(3 * p.x), exact)
    solution = kp.solve(rod, tolerance=1e-11, budget=1000)
    assert solution.discretization.loss.form == "strong"
    assert solution.errors.l2_relative < 1e-10


def test_data_are_fitted_down_to_their_noise_and_no_further():
    solution = kp.solve(swing(), tolerance=1e-6, budget=1000)
    assert solution.log[-1].endswith("the last one fits the data no better")
    assert solution.network.width[1] < 20
    assert solution.errors.l2_relative < 0.02
    estimated = solution.estimate.errors.l2_relative
    assert solution.errors.l2_relative / 5 < estimated < 0.2
    assert solution.estimated["c"].value == pytest.approx(2.0, rel=0.2)


def still():
    """u'' = 0 with values that the surrogate has built in: the network is zero."""
    line, exact = kp.Box(x=(0, 2)), formulas("3 + 7 * x")
    given = [kp.Dirichlet(line.boundary, exact)]
    return Stated(line, lambda p, u: kp.laplacian(u), given, exact=exact)


def test_a_solution_that_is_built_in_is_known_to_rounding():
    solution = kp.solve(still())
    assert solution.status.startswith("converged: the estimated") and len(solution.log) < 5
    assert solution.errors.l2_relative < 1e-14
    assert solution.estimate.errors.l2_relative < 1e-12


def spread():
    """Heat in a square, with a condition on one side whose factors vary along it."""
    cube = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.1))
    exact = formulas("exp(-2 * t) * cos(x) * cos(y)")

    def exchange(p, u):
        known = exact(p)
        return kp.partial(u, "y") + torch.tan(p.y) * known + (1 + p.x) * (u.value - known)

    given = kp.Dirichlet(cube.boundary["x_min", "x_max", "y_min"], exact)
    conditions = [kp.Initial(cube, exact), given, kp.Constraint(cube.boundary["y_max"], exchange)]
    heat = lambda p, u: kp.partial(u, "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y")  # noqa: E731
    return Stated(cube, heat, conditions, exact=exact)


def test_what_products_of_splines_refuse_is_left_to_other_networks():
    problem = spread()
    assert first_choice(problem).kind is kp.Windows
    solution = kp.solve(problem, tolerance=1e-1, budget=10)
    assert not isinstance(solution.network, kp.Windows)
    assert solution.errors.l2_relative < 0.1


# --- A search that is killed goes on with its trials, and ends as if it had not been


class Killed(Exception):
    """In place of SIGKILL: nothing but what is on the disk is left."""


def without_seconds(log):
    return [" ".join(w for w in line.split() if not w[0].isdigit()) for line in log]


def same(one, other):
    points = torch.linspace(0, 1, 50, dtype=torch.float64)[:, None]
    assert torch.equal(one(points), other(points))
    assert without_seconds(one.log) == without_seconds(other.log)
    assert one.status == other.status


def test_what_is_no_state_of_a_search_is_refused():
    for wrong in ({}, {"trials": 3}, {"trials": [{"choice": "KAN"}]}):
        with pytest.raises(kp.InputError, match="checkpoint of the trials"):
            TrialSearch(problem=still(), checkpoint=wrong).solution()


FILE_AUTO_RESUME = """
[problem]
equation = "poisson"
domain = { type = "box", x = [0, 1] }
exact = "exp(-60*(x - 0.4)**2)"

[run]
tolerance = 1e-6
budget_seconds = 1000
"""


def test_a_killed_run_is_resumed_in_its_folder(tmp_path: Path):
    (tmp_path / "bump.toml").write_text(FILE_AUTO_RESUME)
    config = Config.read(tmp_path / "bump.toml")

    def run(folder, job, after=100):
        def adopt(choice, why, state):
            folder.adopt(choice, why, state)
            if len(state["trials"]) == after:
                raise Killed

        return job.run([folder.checkpoint], folder.state, adopt)

    folder = RunFolder.create(tmp_path / "killed", "bump", config)
    with pytest.raises(Killed):
        run(folder, config.build(), after=2)
    folder.lock.release(folder.path)
    resumed = RunFolder.resume(folder.path)
    assert len(resumed.state["trials"]) == 2
    again = run(resumed, resumed.config.build())
    whole = RunFolder.create(tmp_path / "whole", "bump", config)
    same(again, run(whole, config.build()))
    path = resumed.finish(again, figures=False)
    assert not (path / "trials.pt").exists()
    points = torch.rand(20, 1, dtype=torch.float64)
    assert torch.equal(kp.load(path)(points), again(points))


def search_without_time(tmp_path: Path) -> tuple[kp.Solution, Path]:
    """The result of a search that had no time, and its folder."""
    (tmp_path / "bump.toml").write_text(FILE_AUTO_RESUME)
    config = Config.read(tmp_path / "bump.toml", ["run.budget_seconds=1e-3"])
    folder = RunFolder.create(tmp_path, "bump", config)
    result = config.build().run([folder.checkpoint], None, folder.adopt)
    return result, folder.finish(result, figures=False)


def test_a_search_without_time_goes_on_with_a_larger_budget(tmp_path: Path):
    result, path = search_without_time(tmp_path)
    longer = config_to_resume(path).override(["run.budget_seconds=1000"])
    folder = RunFolder.resume(path, longer)
    assert [one["status"] for one in folder.earlier] == [result.status]
    assert len(folder.state["trials"]) == 1
    solution = folder.config.build().run([folder.checkpoint], folder.state, folder.adopt)
    assert solution.success and len(solution.log) > 2


def test_trials_that_name_foreign_code_are_refused(tmp_path: Path):
    _, path = search_without_time(tmp_path)
    state = read_checkpoint(path, FILE_OF_TRIALS)
    state["config"]["problem"]["class"] = "../evil.py:Bump"
    (path.parent / "evil.py").write_text("")
    write_checkpoint(path, state["run"], state["config"], [], FILE_OF_TRIALS)
    with pytest.raises(kp.InputError, match=r"evil\.py, which is not in that folder"):
        config_to_resume(path)


@pytest.mark.parametrize(("agreed", "error"), [(1e-3, 1.0), (10.0, 10.0)])
def test_marches_that_agree_have_at_least_the_errors_that_they_estimate(agreed, error):
    """Marches with two tolerances in the same cells have the same error in space."""
    rod = kp.Heat(kp.Box(x=(0, 1), t=(0, 1)), exact="exp(-t) * cos(3*x)")
    solution = kp.solve(rod, kp.Windows(degree=5, grid=6), kp.March(1e-3))
    own = solution.own_estimate
    guess = solution.errors.scaled(agreed * own / solution.errors.l2_relative)
    solution = dataclasses.replace(solution, estimate=Estimate(guess, 0.1, 0.0))
    trial = Trial(first_choice(rod), solution, seconds=0.1).at_least_its_own()
    assert trial.error == pytest.approx(error * own)


def test_a_march_has_the_error_that_it_estimates_until_a_comparison_confirms_it(monkeypatch):
    rod = kp.Heat(kp.Box(x=(0, 1), t=(0, 1)), exact="exp(-t) * cos(3*x)")
    march, poor = (
        kp.solve(rod, network, method)
        for network, method in ((kp.Windows(degree=5), kp.March(1e-3)), (kp.KAN([2, 1], 3), None))
    )
    first, second = (Trial(first_choice(rod), one, seconds=0.1) for one in (march, poor))
    known = first.by_itself()
    assert known.error == march.own_estimate and second.by_itself() is second
    verdict = judge(known, second)  # by the distance, since a march may have a large residual
    assert verdict.first is known and verdict.second.error == pytest.approx(
        poor.errors.l2_relative, rel=0.01
    )
    assert judge(second, known).second is known
    monkeypatch.setattr("kanpinn.solvers.auto.search.finer_solution", lambda *_: None)
    solution = kp.solve(rod, tolerance=1e-2, errors=False)
    assert solution.estimated_error < 1e-2 and "no comparison" in solution.status


def test_a_search_solves_a_nonlinear_system_in_time_by_marches_alone():
    """Lorenz's attractor, to a tolerance that rounding forbids; a finer march is the reference."""
    time = kp.Box(t=(0, 5))

    def residual(p, x, y, z):
        a, b, c = x.value, y.value, z.value
        rates = 10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c
        return tuple(kp.partial(u, "t") - rate for u, rate in zip((x, y, z), rates, strict=True))

    start = [kp.Initial(time, 1.0, field=name) for name in "xyz"]
    lorenz = Stated(time, residual, start, fields=("x", "y", "z"))
    found = kp.solve(lorenz, tolerance=1e-16, budget=9)
    exact, at = kp.solve(lorenz, kp.Windows(), kp.March(1e-14)), torch.linspace(0, 5, 99)[:, None]
    gap = torch.dist(found(at.double()), exact(at.double())) / exact(at.double()).norm()
    assert gap < min(1e-9, 3 * found.estimate.errors.l2_relative)
    assert all(line.startswith(("Windows", "windows")) for line in found.log)
