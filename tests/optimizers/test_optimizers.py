"""Optimizers: each does what its mathematics promises."""

import copy
import math
from itertools import pairwise

import pytest
import reference
import torch
from cases import Coupled, Cubic, Line, Square, terms_at

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.loss.residuals import Residuals
from kanpinn.networks import Surrogate
from kanpinn.networks.layer import get_coefficients, set_coefficients


class Ripples(kp.Problem):
    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p, u):
        return kp.laplacian(u) - 40 * torch.sin(3 * p.x) * torch.cos(5 * p.y**2)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


WEIGHTS = {"interior": 1.0, "boundary": 1.0}
OPTIMIZERS = {
    "adam": kp.Adam(steps=30, lr=1e-2),
    "lbfgs": kp.LBFGS(steps=3, iterations=5),
    "ss_broyden": kp.SSBroyden(steps=30),
    "least_squares": kp.LeastSquares(),
    "levenberg_marquardt": kp.LevenbergMarquardt(steps=10),
}


def residuals_of(problem, network, nodes=12) -> Residuals:
    surrogate, domain = Surrogate(network, problem.domain), problem.domain
    interior, boundary = domain.quadrature(nodes)[0], domain.boundary.quadrature(nodes)[0]
    surrogate.prepare(Points(torch.cat([interior.coords, boundary.coords]), domain.names))
    return Residuals(surrogate, terms_at(problem, surrogate, interior, [boundary], WEIGHTS))


def run(optimizer, residuals, steps):
    """The losses of a stage, from before its first step on."""
    stage, losses = optimizer.start(residuals, 0), [residuals.loss()]
    for _ in range(steps):
        step = stage.step()
        told = losses[-1] if isinstance(optimizer, kp.Adam) else residuals.loss()  # before, after
        assert step.loss == pytest.approx(told, rel=1e-9)
        losses.append(residuals.loss())
        if step.finished:
            break
    return losses


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("problem", [Line, Cubic, Square, Coupled])
@pytest.mark.parametrize("kind", ["kan", "mlp"])
def test_every_optimizer_lowers_the_loss(optimizer, problem, kind):
    width = [problem.domain.dim, 4, len(problem.fields)]
    network = kp.KAN(width, degree=5, grid=3) if kind == "kan" else kp.MLP(width)
    losses = run(optimizer, residuals_of(problem(), network, nodes=8), min(optimizer.steps, 30))
    assert losses[-1] < 0.9 * losses[0]


def test_a_linear_problem_is_solved_in_one_step():
    residuals = residuals_of(Line(), kp.KAN([1, 8, 1], degree=6, grid=4), nodes=40)
    stage = kp.LeastSquares().start(residuals, 0)
    step = stage.step()
    assert step.finished == "converged" and step.notes["share"] == 1
    first = get_coefficients(residuals.surrogate.network.layers[-1:])
    assert stage.step().loss <= step.loss * (1 + 1e-6)
    values = residuals.surrogate(residuals.terms[0].points)
    set_coefficients(residuals.surrogate.network.layers[-1:], first)
    assert reference.distance(residuals.surrogate(residuals.terms[0].points), values) < 1e-7


def test_more_unknowns_than_points_take_one_step_too():
    """The residual vanishes but for rounding, which must not hide that it is linear."""
    residuals = residuals_of(
        Ripples(), kp.KAN([2, 24, 1], degree=[3, 9], grid=[1, 32], seed=1), nodes=8
    )
    step = kp.LeastSquares().start(residuals, 0).step()
    rows = sum(len(term.points) for term in residuals.terms)
    assert step.finished == "converged" and step.loss < 1e-20
    assert 0.9 * rows <= step.notes["rank"] <= rows < residuals.surrogate.network.parameter_count


def test_a_nonlinear_residual_is_not_taken_for_linear_where_unknowns_are_many():
    residuals = residuals_of(Cubic(), kp.KAN([1, 24, 1], degree=[3, 9], grid=[1, 24]), nodes=40)
    losses = run(kp.LeastSquares(), residuals, 20)
    assert len(losses) >= 4 and losses[-1] < 1e-18


def test_least_squares_reaches_the_minimum_over_the_output_layer():
    """The gradient with respect to the output layer vanishes."""
    residuals = residuals_of(Line(), kp.KAN([1, 3, 1], degree=4, grid=2), nodes=40)
    residuals.backward()
    last = residuals.surrogate.network.layers[-1].coefficients
    before = last.grad.norm()
    kp.LeastSquares().start(residuals, 0).step()
    last.grad = None
    residuals.backward()
    assert last.grad.norm() < 1e-9 * before


def test_least_squares_converges_on_a_nonlinear_problem():
    residuals = residuals_of(Cubic(), kp.KAN([1, 8, 1], degree=7, grid=4), nodes=40)
    losses = run(kp.LeastSquares(), residuals, 20)
    assert 3 <= len(losses) <= 15 and losses[-1] < 1e-8
    assert all(b <= a for a, b in pairwise(losses))


def test_newton_s_method_is_quadratic_where_no_residual_is_left():
    """The loss of a step goes like the square of the loss before: twice the digits."""
    residuals = residuals_of(Cubic(), kp.KAN([1, 8, 1], degree=9, grid=4), nodes=40)
    losses = [loss for loss in run(kp.LeastSquares(), residuals, 20) if loss > 1e-18]
    orders = [
        math.log(c / b) / math.log(b / a)
        for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)
    ]
    assert len(losses) >= 4 and orders[-1] > 1.7


def test_the_first_step_is_from_zero_where_noise_is_the_worse_start():
    network = kp.KAN([1, 8, 1], degree=7, grid=4)
    noise = get_coefficients(network.layers[-1:])
    reached = []
    for start in (0 * noise, noise, 1e3 * noise):
        set_coefficients(network.layers[-1:], start)
        reached.append(kp.LeastSquares().start(residuals_of(Cubic(), network, 40), 0).step().loss)
    assert reached[1] <= reached[0] * (1 + 1e-6) and reached[2] <= reached[0] * (1 + 1e-6)


def test_a_network_that_is_solved_stays_as_it_is():
    residuals = residuals_of(Cubic(), kp.KAN([1, 8, 1], degree=7, grid=4), nodes=40)
    least = run(kp.LeastSquares(), residuals, 20)[-1]
    step = kp.LeastSquares().start(residuals, 0).step()
    assert step.finished == "converged" and step.loss <= least


class Scalar(kp.Problem):
    """f(u) = 0 at every point of [-1, 1]."""

    domain = kp.Box(x=(-1, 1))

    def __init__(self, f):
        self.f = f

    def residual(self, p, u):
        return self.f(u.value)

    def conditions(self):
        return []


def scalar(f, start):
    """Residuals f(u), and a network that starts with u = start."""
    network = kp.KAN([1, 1, 1], degree=3, grid=2)
    residuals = residuals_of_interior(Scalar(f), network)
    with torch.no_grad():
        network.layers[-1].coefficients.fill_(start)  # splines sum to one
    return residuals


def residuals_of_interior(problem, network) -> Residuals:
    surrogate = Surrogate(network, problem.domain)
    interior = problem.domain.quadrature(12)[0]
    surrogate.prepare(interior)
    return Residuals(surrogate, terms_at(problem, surrogate, interior, [], WEIGHTS))


def solved(f, start, steps=40):
    """The last step of least squares for f(u) = 0, and the losses."""
    stage, losses = kp.LeastSquares().start(residuals := scalar(f, start), 0), []
    for _ in range(steps):
        step = stage.step()
        losses.append(step.loss)
        assert step.loss == pytest.approx(residuals.loss(), rel=1e-9, abs=1e-25)
        if step.finished:
            break
    return step, losses


def test_where_a_full_step_overshoots_shorter_and_damped_ones_are_tried():
    """From u = 3 Newton's method for arctan u = 0 diverges."""
    stage = kp.LeastSquares().start(residuals := scalar(torch.atan, 3.0), 0)
    stage.begun = True  # zero, where a step might begin, is the solution
    losses = [residuals.loss(), *(stage.step().loss for _ in range(8))]
    assert all(b <= a for a, b in pairwise(losses)) and losses[-1] < 1e-20


def test_zero_may_be_where_the_residual_has_no_number():
    step, losses = solved(lambda u: torch.log(u) - 1, 1.0)
    assert step.finished == "converged" and losses[-1] < 1e-20


def test_a_residual_without_a_number_at_the_start_is_said():
    problem = Scalar(lambda u: torch.log(u - 10))
    solution = kp.solve(problem, kp.KAN([1, 2, 1]), kp.LeastSquares(), kp.Collocation(20, 2))
    assert solution.status.startswith("failed") and "not a finite number" in solution.status
    assert bool(get_coefficients(solution.network.layers).isfinite().all())


def test_a_jacobian_of_zero_is_said():
    """u² + 1 is stationary at u = 0, and has no zero."""
    stage = kp.LeastSquares().start(scalar(lambda u: u**2 + 1, 0.0), 0)
    step = stage.step()
    assert step.loss == pytest.approx(1.0)
    assert step.finished.startswith("stopped: to first order the residual does not depend on")


def test_where_no_step_lowers_the_loss_it_is_said():
    """|u| + 1 has a corner at its least value, where no derivative vanishes."""
    step, losses = solved(lambda u: (u - 1).abs() + 1, 1.0 + 1e-13)
    assert losses[-1] == pytest.approx(1.0)
    assert step.finished.startswith("stopped: no step lowers the loss 1,")


def test_a_loss_that_grows_without_limit_is_not_taken_for_rounding():
    """The residual is 1 at least, at u = 1, and 1e217 not far from there."""
    step, losses = solved(lambda u: (u - 1).abs() + 1 + torch.exp(500 * (u - 1.5)), 1.0 + 1e-13)
    assert losses[-1] == pytest.approx(1.0)
    assert step.finished.startswith("stopped: no step lowers the loss 1,") and not step.converged


def test_a_loss_of_rounding_errors_has_converged():
    """u = x + 2 y is met exactly by the boundary data; the residual is its rounding error."""

    class Held(kp.Problem):
        domain = kp.Box(x=(0, 1), y=(0, 1))

        def residual(self, p, u):
            return kp.laplacian(u) + torch.exp(u.value) - torch.exp(p.x + 2 * p.y)

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, lambda p: p.x + 2 * p.y)]

    network, points = kp.KAN([2, 8, 1], degree=7, grid=4, seed=0), kp.Collocation(200, 40)
    solution = kp.solve(Held(), network, kp.LeastSquares(), points, boundary="exact")
    assert solution.history.rows[-1]["loss"] < 1e-28
    assert solution.status.startswith("converged") and solution.history.steps < 20


class Copy(kp.Problem):
    """u = the values of a teacher network on [-1, 1]: a student of its shape leaves no residual."""

    domain = kp.Box(x=(-1, 1))

    def __init__(self, teacher):
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)

    def residual(self, p, u):
        return u.value - self.teacher(p.coords)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, lambda p: self.teacher(p.coords))]


@pytest.mark.parametrize("kind", ["kan", "mlp"])
def test_levenberg_marquardt_is_fast_where_no_residual_is_left(kind, generator):
    kan, mlp = kp.KAN([1, 2, 1], degree=3, grid=2), kp.MLP([1, 2, 1], "sine", scale=3.0)
    network = {"kan": kan, "mlp": mlp}[kind]
    residuals = residuals_of(Copy(network), network, nodes=40)  # this places the grids
    residuals = residuals_of(Copy(network), network, nodes=40)
    layers = list(network.layers)
    vector = get_coefficients(layers)
    noise = torch.randn(vector.shape, generator=generator, dtype=vector.dtype)
    set_coefficients(layers, vector + 1e-2 * noise)
    losses = run(kp.LevenbergMarquardt(), residuals, 8)
    assert losses[0] > 1e-6 and losses[-1] < 1e-20
    # Faster than linear: some step gains more digits than all the steps before it.
    digits = [-torch.log10(torch.tensor(loss)) for loss in losses]
    gains = [float(b - a) for a, b in pairwise(digits)]
    assert max(gains) > 3


def test_levenberg_marquardt_remembers_its_damping():
    residuals = residuals_of(Cubic(), kp.KAN([1, 4, 1], degree=4))
    stage = kp.LevenbergMarquardt(damping=1e2).start(residuals, 0)
    dampings = [stage.step().notes["damping"] for _ in range(3)]
    assert dampings[-1] < 1e2 and stage.state_dict()["damping"] == dampings[-1]


LINES = {  # f, u at the start, how Levenberg–Marquardt for f(u) = 0 ends
    "a root": (lambda u: torch.exp(u) - 1, 2.0, "converged"),
    "values without a number on the way": (lambda u: torch.log(u) - 1, 1.0, "converged"),
    "a corner": (
        lambda u: (u - 1).abs() + 1,
        1.0 + 1e-13,
        "stopped: no damping from 1e-04 to 1e+06",
    ),
    "no derivative": (lambda u: u**2 + 1, 0.0, "stopped: to first order the residual does not"),
}


@pytest.mark.parametrize(("f", "start", "words"), LINES.values(), ids=LINES)
def test_levenberg_marquardt_says_why_no_damping_lowers_the_loss(f, start, words):
    stage = kp.LevenbergMarquardt().start(residuals := scalar(f, start), 0)
    losses, finished = [residuals.loss()], None
    while finished is None and len(losses) < 30:
        step = stage.step()
        losses, finished = [*losses, step.loss], step.finished
        assert step.loss == pytest.approx(residuals.loss(), rel=1e-9, abs=1e-25)
    assert finished is not None and finished.startswith(words)
    assert (losses[-1] < 1e-25) == (finished == "converged")
    assert all(b <= a for a, b in pairwise(losses))


def test_lbfgs_counts_its_evaluations(monkeypatch):
    residuals = residuals_of(Cubic(), kp.KAN([1, 4, 1], degree=4))
    calls, backward = [], residuals.backward
    monkeypatch.setattr(residuals, "backward", lambda: calls.append(1) or backward())
    stage = kp.LBFGS(iterations=7).start(residuals, 0)
    for _ in range(3):
        before = len(calls)
        assert stage.step().evaluations == len(calls) - before >= 7


def test_a_step_of_adam_is_one_evaluation_and_grids_follow_now_and_then(monkeypatch):
    residuals = residuals_of(Square(), kp.KAN([2, 4, 1], degree=5))
    calls, backward, follow = [], residuals.backward, residuals.surrogate.follow
    monkeypatch.setattr(residuals, "loss", None)
    monkeypatch.setattr(residuals, "backward", lambda: calls.append("loss") or backward())
    monkeypatch.setattr(residuals.surrogate, "follow", lambda p: calls.append("grids") or follow(p))
    stage = kp.Adam(steps=13).start(residuals, 0)
    assert [stage.step().evaluations for _ in range(13)] == [1] * 13
    assert calls == [*10 * ["loss"], "grids", *3 * ["loss"], "grids"]


def test_a_refinement_leaves_the_loss_unchanged_and_coarsening_reports_its_error():
    residuals = residuals_of(Square(), kp.KAN([2, 4, 1], degree=5, grid=[2, 3]))
    loss = residuals.loss()
    for grid in ([4, 9], [5, 10]):
        step = kp.Refine(grid=grid).start(residuals, 0).step()
        assert step.finished == "converged" and step.notes["projection_error"] == 0
        assert step.loss == pytest.approx(loss, rel=1e-8)
    step = kp.Refine(grid=[4, 7]).start(residuals, 0).step()
    assert 0 < step.notes["projection_error"] < 1


def test_refining_an_mlp_is_refused():
    with pytest.raises(kp.InputError, match="MLP has no grid"):
        kp.Refine(grid=4).start(residuals_of(Line(), kp.MLP([1, 3, 1])), 0).step()


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_stage_goes_on_bit_for_bit_from_its_state(optimizer):
    residuals = residuals_of(Cubic(), kp.KAN([1, 4, 1], degree=4))
    network = residuals.surrogate.network
    stage = optimizer.start(residuals, 0)
    for _ in range(2):
        stage.step()
    saved = copy.deepcopy((network.state_dict(), stage.state_dict()))
    losses = [stage.step().loss for _ in range(2)]
    coefficients = get_coefficients(list(network.layers))
    network.load_state_dict(saved[0])
    stage = optimizer.start(residuals, 0)
    stage.load_state_dict(saved[1])
    assert [stage.step().loss for _ in range(2)] == losses
    assert torch.equal(get_coefficients(list(network.layers)), coefficients)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: kp.Adam(steps=0), "steps.*got 0"),
        (lambda: kp.Adam(lr=-1.0), "lr.*-1"),
        (lambda: kp.LBFGS(lr=float("nan")), "lr.*nan"),
        (lambda: kp.LBFGS(history=0), "history.*got 0"),
        (lambda: kp.LeastSquares(steps=-1), "steps.*got -1"),
        (lambda: kp.LevenbergMarquardt(steps=True), "steps.*got True"),
        (lambda: kp.LevenbergMarquardt(damping=-1.0), "damping.*-1"),
        (lambda: kp.LevenbergMarquardt(tolerance=float("nan")), "tolerance.*nan"),
        (lambda: kp.LeastSquares(rcond=-1.0), "rcond.*-1"),
        (lambda: kp.Refine(grid=[4, 0]), "grid.*got 0"),
        (lambda: kp.SSBroyden(steps=0), "steps.*got 0"),
        (lambda: kp.SSBroyden(tolerance=-1.0), "tolerance.*-1"),
        (lambda: kp.SSBroyden(tolerance=2.0), "tolerance must be below 1, got 2.0"),
        (lambda: kp.SSBroyden(largest=0), "largest.*got 0"),
        (lambda: kp.VariableProjection(rounds=-1), "rounds.*got -1"),
        (lambda: kp.VariableProjection(starts=0), "starts.*got 0"),
        (lambda: kp.VariableProjection(follow=0), "follow.*got 0"),
        (lambda: kp.VariableProjection(coarse=0), "coarse.*got 0"),
        (lambda: kp.VariableProjection(starts=4, follow=5), "follow must .* starts = 4, got 5"),
        (lambda: kp.VariableProjection(tolerance=1.0), "tolerance.*got 1.0"),
        (lambda: kp.VariableProjection(tolerance=float("nan")), "tolerance.*got nan"),
    ],
)
def test_impossible_settings_are_refused(make, words):
    with pytest.raises(kp.InputError, match=words):
        make()
