"""A run within a budget of seconds, and an error compared with a tolerance."""

import copy
import dataclasses
import itertools
import math
import time
from pathlib import Path

import pytest
import torch
from cases import Line, Stated

import kanpinn as kp
from kanpinn.linalg.qr import TriangularFactor
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers import Method, Stage, Step
from kanpinn.optimizers.method import StepCost
from kanpinn.runs.config import Config
from kanpinn.solvers.discretization import SolveSettings, discretize
from kanpinn.tasks.adapt import SolvePace

PAUSE = 0.02


@dataclasses.dataclass(frozen=True)
class Sleeper(Method):
    """Steps that take their time and lower nothing."""

    steps: int = 1000

    def start(self, residuals: Residuals, seed: int) -> Stage:
        return _Asleep()


class _Asleep(Stage):
    def step(self) -> Step:
        time.sleep(PAUSE)
        return Step(1.0)


def solve(**settings):
    return kp.solve(Line(), kp.KAN([1, 4, 1], degree=5, grid=3), **settings)


def test_a_run_ends_where_the_next_step_would_exceed_its_budget():
    solution = solve(optimizers=Sleeper(), budget=10 * PAUSE)
    assert solution.status.startswith("stopped: the budget of 0.2 s leaves no time")
    assert 0 < solution.history.steps <= 10


def test_the_first_step_is_taken_whatever_the_budget():
    solution = solve(optimizers=kp.LeastSquares(), budget=1e-9)
    assert solution.status == "converged"
    assert solution.errors.l2_relative < 1e-6


@dataclasses.dataclass(frozen=True)
class Foreseen(Sleeper):
    """Sleeping steps that are expected to take some seconds."""

    seconds: float = 0.0

    def cost(self, residuals: Residuals) -> StepCost:
        return StepCost(self.seconds, 2 * 10**9)


@pytest.mark.parametrize(("budget", "expected", "taken"), [(2, 5, 0), (2, 3, 1), (1e-3, 0.9, 1)])
def test_a_first_step_that_would_take_far_too_long_is_not_taken(budget, expected, taken):
    solution = solve(optimizers=Foreseen(1, expected), budget=budget)
    assert solution.history.steps == taken
    if not taken:
        words = "failed: the budget of 2 s is too small: a step takes some 5 s and 2 GB"
        assert solution.status == words and not solution.success and solution.errors is None


class Counted(Line):
    """The problem of `Line`, which counts the points at which its residual is evaluated."""

    points = 0

    def residual(self, p, u):
        Counted.points += len(p)
        return super().residual(p, u)


def test_a_budget_that_is_far_too_small_is_refused_before_the_loss_is_evaluated():
    points = kp.Collocation(10**6, 2, "uniform")
    network = kp.KAN([1, 4, 1], degree=5, grid=3)
    solution = kp.solve(Counted(), network, Foreseen(1, 5e3), points, budget=2, verified=False)
    assert solution.status.endswith("is too small: a step takes some 5e+03 s and 2 GB")
    assert Counted.points < 10**5


def test_the_first_step_of_a_later_optimizer_is_foreseen():
    optimizers = [Sleeper(2), Foreseen(1, 3.0)]
    solution = solve(optimizers=optimizers, budget=2)
    assert solution.history.steps == 2
    assert solution.status.endswith("a step takes 3 s)")


@pytest.mark.parametrize(
    "optimizer", [kp.LeastSquares(), kp.LevenbergMarquardt(), kp.Adam(), kp.LBFGS()]
)
def test_what_a_step_takes_grows_with_the_problem(optimizer):
    def cost(points: int, units: int) -> StepCost:
        discretization = discretize(
            Line(),
            kp.KAN([1, units, 1], degree=5, grid=3),
            SolveSettings(points=kp.Collocation(points, 2)),
        )
        discretization.prepare()
        found = optimizer.cost(discretization.residuals())
        assert found is not None
        return found

    small = cost(300, 4)
    assert 0 < small.seconds < 2
    assert cost(3_000, 4).seconds > 2 * small.seconds
    assert cost(300, 40).bytes >= 10 * small.bytes


def test_a_sparse_step_is_not_foreseen():
    network = kp.KAN([1, 1], degree=3, grid=400)
    discretization = discretize(Line(), network, SolveSettings(points=kp.Collocation(900, 2)))
    discretization.prepare()
    assert kp.LeastSquares().cost(discretization.residuals()) is None


def test_other_starts_and_damped_steps_are_left_out_where_they_take_too_long(monkeypatch):
    decomposed, damped = [], TriangularFactor.damped
    monkeypatch.setattr(
        TriangularFactor, "damped", lambda own: [damped(own), decomposed.append(own)][0]
    )
    box = kp.Box(x=(0, 1))
    front = Stated(
        box,
        lambda p, u: kp.partial(u, "x", "x") - 100 * (u.value**3 - u.value),
        [kp.Dirichlet(box.boundary, lambda p: 2 * p.x - 1)],
    )
    tries = []
    for seconds in (math.inf, 0.0):
        discretization = discretize(front, kp.KAN([1, 16, 1], degree=5), SolveSettings())
        discretization.prepare()
        stage = kp.LeastSquares().start(discretization.residuals(), 0)
        stage.seconds_left = seconds
        decomposed.clear()
        tries.append((stage.step().evaluations, len(decomposed)))
    (all_starts, steps), (one_start, none) = tries
    assert all_starts > one_start > 1 and steps > none == 0


class Slow(Line):
    """Its residual takes its time wherever no gradient is wanted, as between steps."""

    def residual(self, p, u):
        if not torch.is_grad_enabled():
            time.sleep(PAUSE)
        return super().residual(p, u)


def test_a_budget_counts_what_weights_cost():
    network = kp.KAN([1, 4, 1], degree=5, grid=3)
    solution = kp.solve(
        Slow(), network, kp.Adam(1000), loss=kp.Loss(balance="ntk"), budget=10 * PAUSE, errors=False
    )
    assert solution.history.steps <= 10


def test_a_stages_first_step_is_taken_to_last_as_long_as_those_before():
    solution = solve(optimizers=[Sleeper(4), Sleeper(4)], budget=4.5 * PAUSE)
    assert solution.history.steps <= 4
    assert solution.status.startswith("stopped: the budget of 0.09 s leaves no time")


def test_a_budget_counts_the_seconds_before_a_checkpoint():
    states = []
    first = solve(
        optimizers=Sleeper(),
        budget=4 * PAUSE,
        observers=[lambda run: states.append(run.state_dict())],
    )
    again = solve(optimizers=Sleeper(), budget=4 * PAUSE, checkpoint=states[-1])
    assert again.history.steps == first.history.steps
    more = solve(optimizers=Sleeper(steps=first.history.steps + 3), checkpoint=states[-1])
    assert more.history.steps == first.history.steps + 3


def test_a_fit_has_a_budget_too():
    data = kp.Table.sample(kp.Box(x=(-1, 1)), lambda p: torch.sin(p.x), 50)
    fitted = kp.fit(kp.KAN([1, 1]), data, kp.Adam(steps=10**6), budget=0.2)
    assert fitted.status.startswith("stopped: the budget of 0.2 s")


def test_a_file_with_a_budget_and_a_tolerance(tmp_path: Path):
    poisson = Path(__file__).parents[2] / "problems" / "poisson2d.toml"
    job = Config.read(poisson, ["run.tolerance=1e-6", "run.budget_seconds=30"]).build()
    assert job.estimate and job.tolerance == 1e-6 and job.budget_seconds == 30
    for key in ("tolerance", "budget_seconds"):
        with pytest.raises(kp.InputError, match=f"run.{key}"):
            Config.read(poisson, [f"run.{key}=0"]).build()
    fit = poisson.with_name("fit_exp.toml")
    with pytest.raises(
        kp.InputError, match=r"run\.tolerance = 1e-06: expected to be left out, since a fit"
    ):
        Config.read(fit, ["run.tolerance=1e-6"]).build()


@dataclasses.dataclass(frozen=True)
class Growing(Sleeper):
    """Steps that each take twice as long as the one before, and say so."""

    def start(self, residuals: Residuals, seed: int) -> Stage:
        return _Growing()


class _Growing(Stage):
    expected_seconds = PAUSE

    def __init__(self) -> None:
        self.left = []

    def step(self) -> Step:
        self.left.append(self.seconds_left)
        time.sleep(self.expected_seconds)
        self.expected_seconds *= 2
        return Step(1.0)


def test_a_stage_tells_what_its_next_step_takes_and_is_told_what_is_left():
    seen, budget = [], 10 * PAUSE
    solution = solve(optimizers=Growing(), budget=budget, observers=[seen.append])
    assert solution.history.steps <= 3  # of 1, 2 and 4 pauses; their mean would permit a fourth
    left = seen[-1].stage.left
    assert left[0] == pytest.approx(budget, abs=PAUSE) and all(
        a - b >= PAUSE for a, b in itertools.pairwise(left)
    )
    solve(optimizers=Growing(steps=1), observers=[seen.append])
    assert seen[-1].stage.left == [math.inf]


def test_a_comparison_that_does_not_fit_into_the_budget_is_left_out():
    problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(-20*(x - y)**2)")
    network, method = kp.Cells([2, 1], degree=6, cells=2), kp.AdaptiveLeastSquares(tolerance=0.5)
    assert kp.solve(problem, network, method, errors=False).status == "converged"
    late = kp.solve(problem, kp.Cells([2, 1], 6, 2), method, budget=1e-6)
    assert late.status.startswith("stopped: the budget leaves no time for the comparison with a")
    assert "degree 7 (0 s are left" in late.status  # of a single cell of degree 5
    estimated = late.estimated_error  # None on a slow machine
    assert late.network.count == 1 and late.errors.l2_relative <= 3 * (estimated or math.inf)
    assert late.history.steps == 1 and kp.estimate_error(late, budget=60).errors is not None
    again = kp.Cells([2, 1], 6, 2)
    again.load_state_dict(late.network.state_dict())
    assert (again.degree, again.tree.roots) == (5, (1, 1))


def test_fewer_first_cells_are_cut_anew_by_the_boundary():
    cube, part = (kp.Box(x=(0, w), y=(0, w), z=(0, w)) for w in (1, 0.5))
    problem, network = kp.Poisson(cube - part, source="1", boundary="0"), kp.Cells([3, 1], 3, 4)
    discretization = discretize(problem, network, SolveSettings(), 0)
    stage = kp.AdaptiveLeastSquares().start(discretization.residuals(), 0)
    assert network.count == 4**3 - 2**3
    stage._restart((2, 2, 2), 3)
    assert network.count == 2**3 - 1


def test_fewer_first_cells_integrate_a_singular_source_anew():
    problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), source="abs(x - 0.31)**-0.5", boundary="0")
    found = []
    for many in (4, 2):
        network = kp.Cells([2, 1], 4, many)
        residuals = discretize(problem, network, SolveSettings(), 0).residuals()
        stage = kp.AdaptiveLeastSquares().start(residuals, 0)
        stage._first_system()
        stage._restart((2, 2), 4)
        found.append(stage._first_system().equation[0])
    assert all(term.is_corrected for term in found)
    assert torch.equal(*(term.right for term in found))


def test_the_last_forecast_is_that_of_the_degree_that_is_solved_with(monkeypatch):
    """No degree leaves time for a comparison, and the first degree for the solve alone."""
    degrees, forecast = [], SolvePace.forecast

    def long(pace, system, finer, degree):
        degrees.append(degree)
        return forecast(pace, system, finer, degree)[0], math.inf

    monkeypatch.setattr(SolvePace, "forecast", long)
    method = kp.AdaptiveLeastSquares(steps=1)
    solution = kp.solve(PLATE, kp.Cells(degree=8, cells=1), method, budget=60, verified=False)
    assert degrees == [8, 7, 6, 5, 8] and solution.network.degree == 8


def test_the_first_solve_has_the_cells_and_the_degree_that_reach_the_most_digits(monkeypatch):
    """A solve of degree k in n cells takes n k^6 seconds; degrees rise from 4 to 14."""

    def forecasts(pace, system):
        pace.cells = len(system.geometry.tree)
        return lambda k, cells=system.geometry: len(cells.tree) * k**6

    monkeypatch.setattr(SolvePace, "forecasts", forecasts)
    cube, chosen = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1)), []
    two, all_degrees = 4**6 + 6**6, sum(k**6 for k in range(4, 15, 2))
    for seconds in (two / 2, 1.3 * two, all_degrees, 10 * all_degrees, 100 * all_degrees):
        network = kp.Cells([3, 1], 4, 4)
        problem = kp.Poisson(cube, source="1", boundary="0")
        residuals = discretize(problem, network, SolveSettings(), 0).residuals()
        stage = kp.AdaptiveLeastSquares(highest=14).start(residuals, 0)
        stage.seconds_left = seconds
        stage.planned()
        chosen.append((network.count, network.degree))
    assert chosen[0] == (1, 5)  # a degree of its own: there is no time for the degrees 4 and 6
    assert chosen[1] == (1, 4) and chosen[-1] == (64, 4)
    assert chosen[1:] == sorted(chosen[1:])


def test_indicators_of_a_solve_without_a_comparison_are_no_estimate():
    problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(-20*(x - y)**2)")
    method = kp.AdaptiveLeastSquares(tolerance=1e-9, steps=2)
    solution = kp.solve(problem, kp.Cells([2, 1], 6, 2), method, verified=False)
    assert "before the error was estimated; its indicator of" in solution.status
    assert solution.estimated_error is None


def test_fewer_cells_are_halved_where_little_time_is_left(monkeypatch):
    def cells_of(solution):
        return solution.history.column("cells")

    problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(-50*((x - 0.3)**2 + (y - 0.6)**2))")
    method = kp.AdaptiveLeastSquares(tolerance=1e-9, steps=2)
    free = cells_of(kp.solve(problem, kp.Cells([2, 1], 6, 4), method, errors=False))
    with monkeypatch.context() as patched:
        patched.setattr(SolvePace, "cells_within", lambda pace, left: 2 * pace.cells)
        few = cells_of(kp.solve(problem, kp.Cells([2, 1], 6, 4), method, errors=False))
    assert few[-2] == free[-2] == 16 and 16 < few[-1] <= 32 < free[-1]
    pace = SolvePace(cells=100, seconds=2.0, power=1.5)
    pace.begin()
    assert pace.cells_within(math.inf) == math.inf
    assert pace.cells_within(2.0 * 4**1.5) == pytest.approx(400, rel=0.01)


def test_a_resumed_solve_in_cells_knows_what_its_next_step_takes(monkeypatch):
    monkeypatch.setattr(SolvePace, "on", lambda pace, cells: math.inf if pace.cells else None)
    problem, states = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(-50*(x - y)**2)"), [None]
    for _ in range(2):
        solution = kp.solve(
            problem,
            kp.Cells([2, 1], 6, 4),
            kp.AdaptiveLeastSquares(1e-9),
            budget=1e4,
            observers=[lambda state: states.append(copy.deepcopy(state.state_dict()))],
            checkpoint=states[-1],
            verified=False,
        )
        assert solution.history.steps == 1
        assert "leaves no time for another step" in solution.status


# --- What cannot fit into memory is refused by a forecast, before it is taken


PLATE = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), source="1", boundary="0")


@pytest.mark.parametrize(
    ("network", "settings", "words"),
    [
        (
            kp.KAN(hidden=[8]),
            {"points": kp.Collocation(10**12, 100)},
            r"1000000000000 \+ 100 points: needs at least 64 TB of memory, and .* are free",
        ),
        (kp.KAN(hidden=[5 * 10**4]), {}, r"Least Squares for 400000 coefficients: needs .* TB"),
    ],
)
def test_points_and_coefficients_that_cannot_fit_are_refused(network, settings, words):
    with pytest.raises(kp.InputError, match=words):
        kp.solve(PLATE, network, **settings)


class ClampedPlate(kp.Problem):
    """Δ²u = 1 in the unit square, u = ∂u/∂n = 0; the indicators miss errors from the corners."""

    domain = kp.Box(x=(0, 1), y=(0, 1))
    centre = 0.00126531909  # the value of u, Taylor and Govindjee (2004)

    def residual(self, p, u):
        return kp.biharmonic(u) - 1

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary), kp.Neumann(self.domain.boundary)]


@pytest.mark.filterwarnings("ignore:the values prescribed")
def test_a_window_of_a_march_in_cells_ends_with_the_budget():
    """Data that disagree take many refinements in the first window."""
    problem = kp.Heat(kp.Disk((0, 0), 1).over(t=(0, 1)), initial="1", boundary="0")
    few = {"budget": 1e-3, "errors": False, "verified": False}
    solution = kp.solve(problem, kp.CellWindows(degree=6, cells=2), **few)
    assert solution.status.startswith("stopped: the budget of 0.001 s")
    assert "window" not in solution.history.rows[-1]  # none was finished


def test_the_last_tree_with_time_for_a_comparison_is_compared(monkeypatch):
    def late(pace, system, following, left):
        return not pace.dearer and len(system.geometry.tree) > 50

    monkeypatch.setattr(SolvePace, "is_last_chance", late)
    method = kp.AdaptiveLeastSquares(tolerance=1e-9, steps=2)
    solution = kp.solve(ClampedPlate(), kp.Cells(degree=6), method, verified=False)
    error = abs(float(solution(torch.tensor([[0.5, 0.5]]))[0, 0]) / ClampedPlate.centre - 1)
    assert error / 3 < solution.estimated_error < 10 * error  # from indicators: error / 13
