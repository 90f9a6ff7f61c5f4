"""The solve loop: seeds, failures, interruption, checkpoints, and other people's solvers."""

import copy
import dataclasses
import io
import logging
import math
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import library
import numpy
import pytest
import skfem
import torch
from cases import Coupled, Cubic, Line, Square, Stated
from scipy.integrate import solve_bvp
from skfem.helpers import dot, grad
from threadpoolctl import threadpool_info

import kanpinn as kp
from kanpinn._support.distributed import on_threads
from kanpinn.networks.layer import get_coefficients
from kanpinn.optimizers import Method, Stage, Step
from kanpinn.runs.config import Config
from kanpinn.solvers.discretization import SolveSettings, default_points, discretize
from kanpinn.solvers.state import SolverState


def kan(seed=0, width=(1, 6, 1)) -> kp.KAN:
    return kp.KAN(list(width), degree=5, grid=3, seed=seed)


def steps_of(problem, network, *settings, **options):
    """A solve of which only the steps are read: errors and fresh points are left out."""
    return kp.solve(problem, network, *settings, errors=False, verified=False, **options)


def solved_and_saved(step, stages):
    """A solve of `Cubic`, and its state after a step."""
    saved = {}

    def save(run: SolverState) -> None:
        if run.progress.step == step:
            saved.update(copy.deepcopy(run.state_dict()))

    return steps_of(Cubic(), kan(), stages, observers=[save]), saved


def coefficients(solution) -> torch.Tensor:
    return get_coefficients(list(solution.network.layers))


def raised(_: object) -> None:
    raise


SEQUENCE = [kp.Adam(steps=3), kp.LBFGS(steps=2, iterations=4), kp.LevenbergMarquardt(steps=2)]


@pytest.mark.parametrize("sampler", ["uniform", "sobol", "gauss"])
def test_the_same_seeds_give_the_same_run_bit_for_bit(sampler):
    points = kp.Collocation(50, 8, sampler)
    first, second = (
        kp.solve(Cubic(), kan(), SEQUENCE, points, boundary="penalty", seed=3, verified=False)
        for _ in range(2)
    )
    assert torch.equal(coefficients(first), coefficients(second))
    assert first.errors == second.errors
    for name in ("loss", "l2_relative", "evaluations"):
        assert numpy.array_equal(first.history.column(name), second.history.column(name))


@pytest.mark.parametrize("which", ["points", "network"])
def test_different_seeds_give_different_runs(which):
    points = kp.Collocation(50, 8, "uniform")
    runs = [steps_of(Cubic(), kan(int(which == "network")), SEQUENCE, points, seed=0)]
    runs.append(steps_of(Cubic(), kan(0), SEQUENCE, points, seed=int(which == "points")))
    assert not torch.equal(coefficients(runs[0]), coefficients(runs[1]))


def test_solving_touches_no_global_random_state():
    before = torch.get_rng_state()
    kp.solve(Line(), kan(), points=kp.Collocation(50, 8, "sobol"))
    assert torch.equal(torch.get_rng_state(), before)


@dataclass(frozen=True)
class Scripted(Method):
    """Does as a function says with the coefficients of the output layer and the step's number.

    before: whether a step tells the loss before it.
    """

    script: Callable[[torch.Tensor, int], None]
    steps: int = 5
    before: bool = False

    def start(self, residuals, seed):
        return ScriptedStage(self, residuals)


class ScriptedStage(Stage):
    def __init__(self, settings, residuals) -> None:
        self.settings, self.residuals, self.calls = settings, residuals, 0

    def step(self) -> Step:
        loss = self.residuals.loss()
        self.calls += 1
        with torch.no_grad():
            layer = self.residuals.surrogate.network.layers[-1]
            self.settings.script(layer.coefficients, self.calls)
        lags = self.settings.before
        return Step(loss if lags else self.residuals.loss(), loss_lags=lags)

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state) -> None:
        self.calls = state["calls"]


def spoiling(breakdown):
    """One coefficient is NaN at the second step, or linear algebra breaks down."""

    def script(coefficients, call):
        coefficients[0, 0, 0] = 7.0 if call == 1 else math.nan
        if call == 2 and breakdown:
            torch.linalg.cholesky(-torch.eye(2))

    return Scripted(script)


def stray(steps=4, factor=1e4, before=False):
    """All coefficients are multiplied by 5 in the first step, by a factor in others."""
    return Scripted(lambda c, call: c.mul_(5.0 if call == 1 else factor), steps, before)


@pytest.mark.parametrize("breakdown", [False, True])
def test_a_breakdown_restores_the_last_good_state_and_says_so(breakdown):
    solution = kp.solve(Line(), kan(), spoiling(breakdown))
    assert solution.status.startswith("failed: ")
    assert "step 2 of Scripted" in solution.status and "state after step 1" in solution.status
    assert torch.isfinite(coefficients(solution)).all()
    assert solution.network.layers[-1].coefficients[0, 0, 0] == 7
    assert math.isfinite(solution.errors.l2) and len(solution.history) == 2


def test_a_residual_that_turns_nan_fails_in_words():
    logarithm = lambda p, u: torch.log(u.value - 1e6) + kp.laplacian(u)  # noqa: E731
    problem = Stated(Line.domain, logarithm, Line().conditions())
    solution = steps_of(problem, kan(), kp.Adam(steps=4))
    assert solution.status.startswith("failed: the loss became nan in step 1")
    assert torch.isfinite(coefficients(solution)).all()


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("end", [4, 40])
def test_a_run_that_is_led_astray_goes_back_to_its_least_loss(before, end):
    """Over a limit of steps, and where the loss overflows."""
    once = steps_of(Cubic(), kan(), stray(1))
    solution = steps_of(Cubic(), kan(), stray(end, before=before))
    assert "the state after step 1 is kept: the loss has risen from" in solution.status
    assert solution.status.startswith("stopped: limit of 4" if end == 4 else "failed: ")
    assert torch.equal(coefficients(solution), coefficients(once))


def test_a_loss_that_rises_a_little_is_left_alone():
    solution = steps_of(Cubic(), kan(), stray(2, factor=1.1))
    assert solution.status == "stopped: limit of 2 steps; more steps may help"


def test_the_next_optimizer_starts_from_the_least_loss():
    astray = steps_of(Cubic(), kan(), [stray(), kp.LevenbergMarquardt(3)])
    once = steps_of(Cubic(), kan(), [stray(1), kp.LevenbergMarquardt(3)])
    assert torch.equal(coefficients(astray), coefficients(once))


@pytest.mark.parametrize(("name", "wrong"), [("step", torch.zeros(3)), ("loss", "low")])
def test_a_kept_state_with_other_values_than_numbers_is_refused(name, wrong):
    stages = [stray(), kp.LevenbergMarquardt(2)]
    _, saved = solved_and_saved(3, stages)
    saved["least"][name] = wrong
    with pytest.raises(kp.InputError, match=f"checkpoint does not hold .*{name} of a kept state"):
        steps_of(Cubic(), kan(), stages, checkpoint=saved)


def test_a_run_that_went_back_can_go_on_from_a_raised_limit():
    runs = []
    steps_of(Cubic(), kan(), stray(3), observers=[runs.append])
    again = steps_of(Cubic(), kan(), stray(5), checkpoint=runs[-1].state_dict())
    whole = steps_of(Cubic(), kan(), stray(5))
    assert again.history.column("loss").tolist() == whole.history.column("loss").tolist()


@pytest.mark.parametrize("optimizer", [kp.Adam(4), kp.LBFGS(4, iterations=4), kp.SSBroyden(4)])
def test_a_checkpoint_is_not_changed_by_going_on_from_it(optimizer):
    _, saved = solved_and_saved(2, optimizer)
    first, second = (steps_of(Cubic(), kan(), optimizer, checkpoint=saved) for _ in range(2))
    assert torch.equal(coefficients(first), coefficients(second))


def test_ctrl_c_is_an_interruption_and_the_old_handler_comes_back():
    before = signal.getsignal(signal.SIGINT)

    def press(run: SolverState) -> None:
        if run.progress.step == 2:
            signal.raise_signal(signal.SIGINT)

    solution = steps_of(Line(), kan(), kp.Adam(steps=9), observers=[press])
    assert solution.status == "stopped: interrupted"
    assert solution.history.column("step")[-1] == 2
    assert signal.getsignal(signal.SIGINT) == before


class _PressedWhileItWrites(io.RawIOBase):
    """A file during whose first write Ctrl-C is pressed."""

    def __init__(self):
        self.text, self.pressed = "", False

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        if not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)
        self.text += bytes(data).decode()
        return len(data)


def test_ctrl_c_while_a_line_is_written_is_an_interruption():
    file = _PressedWhileItWrites()
    stream = io.TextIOWrapper(io.BufferedWriter(file), line_buffering=True)
    handler, log = logging.StreamHandler(stream), logging.getLogger("kanpinn")
    handler.handleError = raised  # an error of the stream must not be printed and forgotten
    others, level = set(threading.enumerate()), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)

    def write(run: SolverState) -> None:
        log.info("step %d", run.progress.step)

    try:
        solution = steps_of(Line(), kan(), kp.Adam(steps=9), observers=[write])
        for thread in set(threading.enumerate()) - others:
            thread.join()
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    assert solution.status == "stopped: interrupted"
    lines = [line for line in file.text.splitlines() if "step" in line]
    assert sorted(line.split(":")[0] for line in lines) == ["interrupted", "step 1"]


RESAMPLED = kp.Collocation(40, 8, "uniform", resample=5)
ADAPTED = kp.Collocation(60, 8, "sobol", resample=2, adapt="r3")
RESUMED = {  # methods, points, balance
    "several methods": (
        [kp.Adam(4), kp.LBFGS(3, iterations=4), kp.Refine([6, 9]), kp.LevenbergMarquardt(3)],
        *(RESAMPLED, None),
    ),
    "points and factors that follow": (
        [kp.LevenbergMarquardt(3), kp.LBFGS(3, iterations=3), kp.Adam(2)],
        *(ADAPTED, "ntk"),
    ),
    "inverse Hessian": (
        [kp.SSBroyden(5), kp.LeastSquares(2)],
        *(dataclasses.replace(ADAPTED, adapt="rad"), "gradients"),
    ),
    "led astray": ([stray(), kp.LevenbergMarquardt(2)], RESAMPLED, None),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(name):
    methods, points, balance = RESUMED[name]
    loss, saved = kp.Loss(balance=balance), {}

    def save(run: SolverState) -> None:
        saved[run.progress.step] = copy.deepcopy(run.state_dict())

    def solved(seed=0, **more):
        settings = {"boundary": "penalty", "loss": loss} | more
        return steps_of(Cubic(), kan(seed), methods, points, **settings)

    whole = solved(observers=[save])
    for state in [*saved.values()][1::3]:
        resumed = solved(seed=5, checkpoint=state)
        assert torch.equal(coefficients(whole), coefficients(resumed))
        assert whole.status == resumed.status
        for column in ("loss", "evaluations"):
            columns = (one.history.column(column).tolist() for one in (whole, resumed))
            assert len({str(one) for one in columns}) == 1
        assert len(resumed.optimizer_seconds) == len(methods)


def test_resampling_draws_new_points_every_so_many_steps():
    seen = []

    def look(run: SolverState) -> None:
        seen.append(run.residuals.terms[0].points.coords.clone())

    points = kp.Collocation(20, 4, "uniform", resample=2)
    steps_of(Line(), kan(), kp.Adam(steps=5), points, boundary="penalty", observers=[look])
    changes = [not torch.equal(a, b) for a, b in pairwise(seen)]
    assert changes == [False, True, False, True]


def square(inside):
    """`Square` with an exact solution that is wrong everywhere but on the boundary, or right."""

    def exact(p):
        bump = p.x * (p.x - 2) * (p.y + 1) * (p.y - 0.5)
        return 1 + p.x - 2 * p.y + inside * bump * torch.cos(p.x)

    one = Square()
    given = [kp.Dirichlet(one.domain.boundary, exact)]
    return Stated(one.domain, one.residual, given, exact=exact)


@pytest.mark.parametrize("boundary", ["exact", "penalty"])
def test_corrupting_the_exact_solution_inside_leaves_the_solution_unchanged(boundary):
    clean, corrupted = (
        kp.solve(problem, kan(width=(2, 6, 1)), boundary=boundary, verified=False)
        for problem in (square(0.0), square(1e6))
    )
    assert torch.equal(coefficients(clean), coefficients(corrupted))
    assert corrupted.errors.l2 > 1e3 * max(clean.errors.l2, 1e-3)


def test_a_solution_gives_values_gradients_and_residuals():
    solution = kp.solve(Line(), kp.KAN([1, 8, 1], degree=7, grid=4))
    x = torch.linspace(-1, 2, 30, dtype=torch.float64)[:, None]
    p = kp.Points(x, ("x",))
    assert (solution(p) - Line().exact(p)).abs().max() < 1e-6
    assert (solution.gradient(x) - 2 * torch.cos(2 * x) - 1).abs().max() < 1e-5
    assert solution.residual(x).shape == (30, 1) and solution.residual(x).abs().max() < 1e-3
    assert solution.parameters == sum(c.numel() for c in solution.network.parameters())
    assert solution.history.column("l2_relative")[-1] == pytest.approx(
        solution.errors.l2_relative, rel=0.1
    )


def test_single_precision_gives_what_single_precision_can():
    network = kp.KAN([1, 8, 1], degree=5, grid=4, dtype=torch.float32)
    solution = kp.solve(Line(), network)
    assert solution.status == "converged" and solution.errors.l2_relative < 1e-3
    assert all(c.dtype == torch.float32 for c in network.parameters())


def test_a_problem_without_exact_solution_has_no_errors():
    assert kp.solve(Coupled(), kan(width=(2, 4, 2)), kp.Adam(steps=1)).errors is None


def test_a_nonlinear_equation_agrees_with_scipy():
    """-u'' + u³ = 1 on [0, 1], u(0) = 0, u(1) = 1, against solve_bvp."""
    line = kp.Box(x=(0, 1))
    ends = [kp.Dirichlet(line.boundary[n], v) for n, v in (("x_min", 0.0), ("x_max", 1.0))]
    problem = Stated(line, lambda p, u: u.value**3 - kp.laplacian(u) - 1, ends)
    solution = kp.solve(problem, kp.KAN([1, 1], degree=7, grid=8))
    x = numpy.linspace(0, 1, 20)
    slopes = lambda x, y: numpy.stack([y[1], y[0] ** 3 - 1])  # noqa: E731
    gaps = lambda a, b: numpy.array([a[0], b[0] - 1])  # noqa: E731
    theirs = solve_bvp(slopes, gaps, x, numpy.stack([x, 0 * x + 1]), tol=1e-10).sol
    ours = solution(torch.as_tensor(x)[:, None])[:, 0].numpy()
    assert solution.status == "converged" and numpy.abs(ours - theirs(x)[0]).max() < 1e-8


def finite_elements(x: numpy.ndarray, refinements: int) -> numpy.ndarray:
    """-Δu = 1 on the unit square, u = 0 on its boundary, by quadratic elements, at x (2, n)."""
    basis = skfem.Basis(skfem.MeshTri().refined(refinements), skfem.ElementTriP2())
    stiffness = skfem.BilinearForm(lambda u, v, _: dot(grad(u), grad(v))).assemble(basis)
    load = skfem.LinearForm(lambda v, _: v).assemble(basis)
    u = skfem.solve(*skfem.condense(stiffness, load, D=basis.get_dofs()))
    return basis.probes(x) @ u


def test_torsion_of_a_square_bar_agrees_with_finite_elements():
    torsion = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), source=1, boundary=0)
    solution = steps_of(torsion, kp.KAN([2, 40, 1], degree=7, grid=[3, 8], seed=0))
    x = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    grid = torch.cartesian_prod(x, x)
    coarse, fine = (finite_elements(grid.T.numpy(), r) for r in (3, 4))
    error = numpy.abs(coarse - fine).max()  # of the coarse one, nearly
    assert error < 1e-3
    assert numpy.abs(solution(grid)[:, 0].numpy() - fine).max() < error
    middle = float(solution(torch.full((1, 2), 0.5).double()))
    assert middle == pytest.approx(0.0736713533, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"boundary": "periodic"}, "boundary must be.*'periodic'"),
        ({"optimizers": []}, "optimizers must be"),
        ({"network": kan(width=(1, 3, 2))}, "end with 1 outputs"),
        ({"network": kan(width=(2, 3, 1))}, "1 inputs"),
        ({"network": kp.MLP([1, 4, 1]), "optimizers": [kp.Adam(5), kp.Refine(4)]}, "refine"),
        ({"network": 3}, "network must be an instance of kanpinn's Network, got 3"),
        ({"points": 300}, "points must be an instance of kanpinn's Collocation, got 300"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, words):
    with pytest.raises(kp.InputError, match=words):
        kp.solve(**{"problem": Line(), "network": kan()} | change)


def test_weights_that_are_no_numbers_above_zero_are_refused():
    for name, weight in (("interior", -1.0), ("boundary", math.nan)):
        with pytest.raises(kp.InputError, match=f"weight of {name}.*{weight}"):
            kp.Loss(**{name: weight})


# --- A solve in cells computes on one thread, and leaves the number of threads as it was


BUMP = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="x * (1 - x) * y * (1 - y)")


def counted() -> set[int]:
    pools = {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}
    return pools | {torch.get_num_threads()}


@pytest.mark.parametrize(
    ("network", "expected"), [(kp.Cells([2, 1], 4, 2), 1), (kp.KAN([2, 16, 1], seed=0), 2)]
)
def test_a_solve_in_cells_computes_on_one_thread(network: kp.KAN | kp.Cells, expected: int) -> None:
    seen: list[set[int]] = []
    with on_threads(2):
        kp.solve(BUMP, network, observers=[lambda _: seen.append(counted())])
        assert counted() == {2}
    assert seen and all(one == {expected} for one in seen)


def test_threads_are_restored_after_an_error() -> None:
    before = counted()
    with pytest.raises(ZeroDivisionError), on_threads(3):
        assert counted() == {3}
        raise ZeroDivisionError
    assert counted() == before


def test_more_threads_for_cells_are_refused() -> None:
    sections = {"problem": {"class": "poisson2d.py:Poisson2D"}, "run": {"threads": 2}}
    sections["network"] = {"type": "cells", "width": [2, 1]}
    config = Config.from_dict(sections, library.PROBLEMS)
    with pytest.raises(kp.InputError, match=r"run\.threads must be 1 for Cells.*got 2"):
        config.build()


# --- What a solve starts from fits together, or is refused in words


SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def laplace(*conditions, domain=SQUARE, **attributes):
    """Δu = 0 with the conditions that it is given."""
    return Stated(domain, lambda p, u: kp.laplacian(u), conditions, **attributes)


def put_together(problem, boundary="exact", network=None, points=None):
    network = kp.KAN([2, 4, 1], degree=4, grid=2) if network is None else network
    points = default_points(network) if points is None else points
    settings = SolveSettings(points=points, boundary=boundary)
    return discretize(problem, network, settings)


@pytest.mark.parametrize("boundary", ["exact", "penalty"])
def test_data_that_disagree_at_a_corner_are_refused_where_they_would_have_to_be_exact(boundary):
    walls = kp.Dirichlet(SQUARE.boundary["x_min", "x_max", "y_min"], 0.0)
    lid = kp.Dirichlet(SQUARE.boundary["y_max"], 1.0)
    problem = laplace(walls, lid)
    if boundary == "penalty":
        with pytest.warns(UserWarning, match="u disagree by 1 at x = 0, y = 1, where x_min meets"):
            assert len(put_together(problem, boundary).terms()) == 3
        return
    with pytest.raises(kp.InputError, match=r'"penalty": the values prescribed for u disagree'):
        put_together(problem, boundary)


def test_data_that_agree_are_met_exactly_face_by_face():
    linear = lambda p: p.x + 2 * p.y  # noqa: E731
    faces = [kp.Dirichlet(SQUARE.boundary[name], linear) for name in SQUARE.boundary.names]
    surrogate = put_together(laplace(*faces)).surrogate
    points = SQUARE.boundary.quadrature(5)[0]
    torch.testing.assert_close(surrogate(points), linear(points), rtol=0, atol=1e-14)


@pytest.mark.filterwarnings("ignore:.* unless its conditions agree")
def test_two_conditions_on_one_face_are_refused():
    for value, words in ((0.0, "two conditions prescribe u on x_min"), (1.0, "disagree .* x_min")):
        twice = kp.Dirichlet(SQUARE.boundary), kp.Dirichlet(SQUARE.boundary["x_min"], value)
        with pytest.raises(kp.InputError, match=words):
            put_together(laplace(*twice))


def test_the_boundary_term_is_one_mean_however_the_conditions_are_split():
    """A condition for each face weighs as much as one for the whole boundary."""
    points = kp.Collocation(16, 40)
    whole = put_together(laplace(kp.Dirichlet(SQUARE.boundary, 1.0)), "penalty", points=points)
    split = [kp.Dirichlet(SQUARE.boundary[name], 1.0) for name in SQUARE.boundary.names]
    parts = put_together(laplace(*split), "penalty", points=points)
    assert sum(b.weight for b in parts.terms()[1:]) == pytest.approx(whole.terms()[1].weight)


def test_the_default_points_are_enough_for_the_output_layer():
    network = kp.KAN([2, 100, 1], degree=9, grid=20)
    assert default_points(network).interior >= network.layers[-1].coefficients.numel()


def test_resampling_is_refused_where_a_method_needs_the_same_points():
    points = kp.Collocation(16, 8, "uniform", resample=1)
    with pytest.raises(kp.InputError, match="resample must be 0"):
        problem = laplace(kp.Dirichlet(SQUARE.boundary))
        kp.solve(problem, kp.KAN([2, 2, 1]), kp.VariableProjection(), points)


@pytest.mark.parametrize("years", [1e-3, 1.0, 1e3])
def test_the_shares_of_boundary_points_do_not_depend_on_units(years):
    domain = kp.Box(price=(0, 300), t=(0, years))
    ends = kp.Dirichlet(domain.boundary["price_min", "price_max"], 0.0)
    problem = laplace(ends, kp.Initial(domain, 0.0), domain=domain, needs_conditions=False)
    made = put_together(problem, "penalty", points=kp.Collocation(100, 90))
    sides, start = made.points()[1:]
    assert len(sides) == 60 and len(start) == 30
    assert int((sides.price == 0).sum()) == 30


PLANE = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="sin(3*x) * exp(y)")


@pytest.mark.parametrize(
    ("network", "width"),
    [
        (kp.KAN(hidden=[8], degree=5, grid=3), (2, 8, 1)),
        (kp.MLP(hidden=[24]), (2, 24, 1)),
        (kp.Cells(degree=4), (2, 1)),
    ],
)
def test_a_width_that_is_left_out_follows_from_the_problem(network, width):
    solution = kp.solve(PLANE, network, tolerance=1e-1)
    assert solution.network is network and network.width == width
    assert solution.outcome is kp.Outcome.CONVERGED and solution.errors.l2_relative < 1e-1


def test_a_tolerance_that_is_not_reached_is_said():
    solution = kp.solve(PLANE, kp.KAN(hidden=[2], degree=3, grid=2), tolerance=1e-12)
    assert solution.outcome == "stopped" and "above the tolerance 1.0e-12" in solution.status


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kp.KAN(), "width, .*, or hidden"),
        (lambda: kp.KAN([2, 1], hidden=[4]), "got width .2, 1. and hidden .4."),
        (lambda: kp.KAN(hidden=[4]).to(torch.float32), "give it a dtype or a width"),
        (lambda: kp.solve(PLANE, verified=False), "verified=False needs a network"),
        (
            lambda: kp.solve(PLANE, loss=kp.Loss(form="energy")),
            "loss must be left out without a network",
        ),
        (lambda: kp.solve(PLANE, kp.KAN(hidden=[4]), tolerance=0), "tolerance must be"),
    ],
)
def test_widths_and_settings_that_do_not_go_together_are_refused(call, words):
    with pytest.raises(kp.InputError, match=words):
        call()
