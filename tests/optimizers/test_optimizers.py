"""Optimizers: each does what its mathematics promises."""

import copy
import math
from itertools import pairwise

import numpy
import pytest
import reference
import torch
from cases import Coupled, Cubic, Line, Square, Waves, terms_at
from scipy.optimize import minimize, rosen, rosen_der

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import _systematic, r3, rad
from kanpinn.loss.residuals import Residuals
from kanpinn.networks import Surrogate
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.optimizers.gradient import LinePoint, strong_wolfe, updated


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


# --- SSBroyden: its update is Broyden's, its line search strong Wolfe's, its stage goes on


def positive(n, generator, condition=1e2):
    """A random symmetric matrix, eigenvalues spread evenly over the condition on a log scale."""
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    return q * torch.logspace(0, math.log10(condition), n, dtype=torch.float64) @ q.T


def test_on_a_quadratic_exact_line_searches_end_in_n_steps(generator):
    n = 10
    hessian = positive(n, generator)
    x = torch.randn(n, generator=generator, dtype=torch.float64)
    gradient, inverse = hessian @ x, None
    first = gradient.norm()
    for _ in range(n):
        direction = -gradient if inverse is None else -inverse @ gradient
        length = float(-(gradient @ direction) / (direction @ hessian @ direction))
        s = length * direction
        inverse = updated(inverse, s, hessian @ s, -length * float(gradient @ s))
        gradient = gradient + hessian @ s
    assert gradient.norm() < 1e-7 * first


def test_the_update_meets_the_secant_equation_and_stays_positive_definite(generator):
    hessian = positive(8, generator)
    inverse = positive(8, generator)
    for _ in range(20):
        s = torch.randn(8, generator=generator, dtype=torch.float64)
        y = hessian @ s
        curvature = float(s @ torch.linalg.solve(inverse, s))
        inverse = updated(inverse, s, y, curvature)
        assert reference.distance(inverse @ y, s) < 1e-10
        assert float(torch.linalg.eigvalsh(inverse)[0]) > 0


def test_the_update_is_the_inverse_of_broyden_s_of_the_hessian(generator):
    """B⁺ = τ [B - B s sᵀB / sᵀBs + θ (sᵀBs) w wᵀ] + y yᵀ / yᵀs, w = y / yᵀs - Bs / sᵀBs."""
    inverse = positive(6, generator)
    b = torch.linalg.inv(inverse)
    s = torch.randn(6, generator=generator, dtype=torch.float64)
    y = positive(6, generator) @ s
    bs, ys = b @ s, float(y @ s)
    sbs, yhy = float(s @ bs), float(y @ inverse @ y)
    # Eqs. 13-23 of Urbán, Stefanou and Pons, as they stand there.
    bk, hk = sbs / ys, yhy / ys
    ak = bk * hk - 1
    ck = math.sqrt(ak / (1 + ak))
    low = min(1.0, hk * (1 - ck))
    theta = max((low - 1) / ak, min(1 / low, (1 - bk) / bk))
    sigma, high = 1 + theta * ak, min(1.0, 1 / bk)
    power = sigma ** (-1 / 5)
    tau = min(high * power, sigma) if theta <= 0 else high * min(power, 1 / theta)
    w = y / ys - bs / sbs
    new = tau * (b - torch.outer(bs, bs) / sbs + theta * sbs * torch.outer(w, w))
    new += torch.outer(y, y) / ys
    assert reference.distance(updated(inverse, s, y, sbs), torch.linalg.inv(new)) < 1e-10


def test_a_step_without_positive_curvature_changes_nothing(generator):
    inverse = positive(4, generator)
    s = torch.randn(4, generator=generator, dtype=torch.float64)
    assert torch.equal(updated(inverse.clone(), s, -s, 1.0), inverse)
    assert updated(None, s, torch.zeros_like(s), 1.0) is None


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    ("loss", "slope"),
    [
        (lambda t: (t - 2) ** 2, lambda t: 2 * (t - 2)),
        (lambda t: -t / (t**2 + 2), lambda t: (t**2 - 2) / (t**2 + 2) ** 2),
        (lambda t: math.exp(min(t, 500)) - 20 * t, lambda t: math.exp(min(t, 500)) - 20),
        (lambda t: -math.log(5 - t) - t if t < 5 else math.nan, lambda t: 1 / (5 - t) - 1),
    ],
)
@pytest.mark.parametrize("curvature", [0.9, 0.1])
def test_line_searches_end_where_the_strong_wolfe_conditions_hold(length, loss, slope, curvature):
    def at(t):
        return LinePoint(t, loss(t), slope(t) if math.isfinite(loss(t)) else math.nan)

    start = at(0.0)
    found = strong_wolfe(at, start, length, curvature=curvature)
    assert found is not None and found.length > 0
    assert found.loss <= start.loss + 1e-4 * found.length * start.slope
    assert abs(found.slope) <= curvature * abs(start.slope)


def test_a_line_without_a_lower_loss_is_left_alone():
    assert (
        strong_wolfe(lambda t: LinePoint(t, 1.0 + t, 1.0), LinePoint(0.0, 1.0, -1.0), 1.0) is None
    )
    assert (
        strong_wolfe(lambda t: LinePoint(t, math.nan, 0.0), LinePoint(0.0, 1.0, -1.0), 1.0) is None
    )


class Valley(Residuals):
    """Rosenbrock's function in the place of residuals."""

    points, terms, are_squares = None, (), True

    def __init__(self, n):
        self.x = torch.nn.Parameter(torch.tensor([-1.2, 1.0] * (n // 2), dtype=torch.float64))
        self.surrogate = torch.nn.ParameterList([self.x])
        self.surrogate.follow = lambda points: None

    def backward(self):
        x = self.x.detach().numpy()
        self.x.grad = torch.from_numpy(rosen_der(x))
        return float(rosen(x))


@pytest.mark.parametrize("n", [2, 10, 30])
def test_rosenbrock_s_valley_takes_about_as_many_steps_as_scipy_s_bfgs(n):
    valley = Valley(n)
    stage = kp.SSBroyden(steps=1000).start(valley, 0)
    steps = 0
    while steps < 1000 and not (stage.loss < 1e-16):
        assert stage.step().finished is None
        steps += 1
    start = numpy.array([-1.2, 1.0] * (n // 2))
    other = minimize(rosen, start, jac=rosen_der, method="BFGS", options={"gtol": 1e-8})
    assert steps <= 1.6 * other.nit


def test_it_beats_lbfgs_at_equal_evaluations():
    reached = {}
    for optimizer in (kp.SSBroyden(), kp.LBFGS()):
        residuals = residuals_of(Waves(), kp.MLP([2, 8, 8, 1]), nodes=7)
        stage, evaluations = optimizer.start(residuals, 0), 0
        while evaluations < 200:
            step = stage.step()
            evaluations += step.evaluations
        reached[type(optimizer)] = step.loss
    assert reached[kp.SSBroyden] < 0.5 * reached[kp.LBFGS]


def test_where_rounding_is_all_that_is_left_it_says_so():
    valley = Valley(4)
    stage = kp.SSBroyden().start(valley, 0)
    steps = [stage.step()]
    while not steps[-1].finished:
        steps.append(stage.step())
    assert steps[-1].loss < 1e-25 and len(steps) < 300
    assert steps[-1].finished == "converged" or "rounding" in steps[-1].finished


@pytest.mark.parametrize("balance", [None, "gradients"])
@pytest.mark.parametrize("adapt", [None, "rad"])
def test_points_and_factors_may_change_between_steps(balance, adapt):
    """Loss and gradient are those of the present points and factors, at every step."""
    points = kp.Collocation(60, 16, "sobol", resample=3, adapt=adapt)
    kept, seen = {}, []

    def keep(run):
        gradient, loss = run.stage.gradient.clone(), run.stage.loss
        assert loss == pytest.approx(run.residuals.backward(), rel=1e-9)
        seen.append(torch.cat([p.grad.flatten() for p in run.stage.parameters]) - gradient)
        if run.progress.step == 7:
            kept.update(copy.deepcopy(run.state_dict()))

    optimizer = kp.SSBroyden(12)

    def solved(**more):
        network = kp.KAN([2, 4, 1], 4, 3, seed=0)
        settings = {"boundary": "penalty", "errors": False, "verified": False}
        settings["loss"] = kp.Loss(balance=balance)
        return kp.solve(Waves(), network, optimizer, points, **settings, **more)

    whole = solved(observers=[keep])
    again = solved(checkpoint=kept)
    assert len(seen) == 12 and all(float(d.abs().max()) < 1e-9 for d in seen)
    rows = [[row[n] for n in ("loss", "evaluations")] for row in whole.history.rows]
    assert rows == [[row[n] for n in ("loss", "evaluations")] for row in again.history.rows]
    ends = (get_coefficients(s.network.all_layers) for s in (whole, again))
    assert torch.equal(*ends)


def test_a_loaded_state_goes_where_the_parameters_are():
    residuals = residuals_of(Waves(), kp.MLP([2, 3, 1]), nodes=4)
    stage, other = (kp.SSBroyden().start(residuals, 0) for _ in range(2))
    for _ in range(3):
        stage.step()
    other.parameters = [p.to("meta") for p in other.parameters]
    other.load_state_dict(stage.state_dict())
    tensors = [other.inverse, other.gradient, *other.points]
    assert len(tensors) > 2 and all(t.device.type == "meta" for t in tensors)


def test_too_many_parameters_are_refused_with_the_number():
    residuals = residuals_of(Waves(), kp.MLP([2, 20, 20, 1]), nodes=4)
    with pytest.raises(kp.InputError, match=r"501 parameters are more than largest = 500"):
        kp.SSBroyden(largest=500).start(residuals, 0)


# --- Points and knots that follow the residual


SQUARE = kp.Box(x=(0, 1), y=(-1, 1))


def corner(points):
    """A residual that is large near one corner only."""
    return torch.exp(-4 * (points.x**2 + (points.y + 1) ** 2))[:, 0]


def state(solution) -> torch.Tensor:
    return get_coefficients(solution.network.all_layers)


def test_half_of_rads_points_follow_the_residual(generator):
    """The density is |r| / mean |r| + 1: half of a peak's share, and half of its area's."""
    points = rad(SQUARE, 1000, corner, generator)
    near = float((points.x**2 + (points.y + 1) ** 2 < 0.25).double().mean())
    assert len(points) == 1000 and near == pytest.approx(0.365, abs=0.03)
    assert len(points.coords.unique(dim=0)) == 1000


def test_rad_spreads_points_evenly_over_an_even_residual(generator):
    points = rad(SQUARE, 1024, lambda p: torch.ones(len(p)), generator)
    counts = torch.histogramdd(points.coords, [4, 4], range=[0.0, 1.0, -1.0, 1.0]).hist
    assert float(counts.min()) > 40 and float(counts.max()) < 90  # 64 ± 8 of independent points


def test_a_draw_is_in_proportion_to_its_density_and_never_twice(generator):
    density = torch.cat([torch.full((700,), 1.0), torch.full((100,), 7.0)]).double()
    drawn = _systematic(density, 140, generator)
    assert len(drawn.unique()) == 140 and int((drawn >= 700).sum()) == pytest.approx(70, abs=1)
    steep = torch.cat([torch.full((700,), 1.0), torch.full((100,), 1e6)]).double()
    drawn = _systematic(steep, 140, generator)
    assert len(drawn.unique()) == 140 and int((drawn >= 700).sum()) == 100


def test_r3_retains_what_is_above_the_mean_and_no_more(generator):
    current = kp.Points(
        SQUARE.from_unit(torch.rand(500, 2, generator=generator).double()).coords, ("x", "y")
    )
    size = corner(current)
    found = r3(current, SQUARE, "uniform", corner, generator)
    kept = current.coords[size > size.mean()]
    assert len(found) == 500 and 0 < len(kept) < 250
    assert torch.equal(found.coords[: len(kept)], kept)
    assert not (found.coords[len(kept) :, None] == current.coords).all(dim=2).any()


def test_points_cannot_follow_what_is_no_number(generator):
    def holed(points):
        return torch.where(points.x[:, 0] > 0.5, torch.nan, corner(points))

    current = kp.Points(torch.tensor([[0.25, 0], [0.75, 0], [0.1, 0]]).double(), ("x", "y"))
    with pytest.raises(kp.NumericalError, match="not a finite number at 1 of 3 candidates"):
        r3(current, SQUARE, "uniform", holed, generator)
    with pytest.raises(kp.NumericalError, match="not a finite number at 40 of 80 candidates"):
        rad(SQUARE, 10, holed, generator)


def test_a_residual_that_is_no_number_where_points_could_go_fails_in_words():
    """At few places: the loss does not see it, what points are drawn by does."""

    class Holed(Line):
        def residual(self, p, u):
            first = kp.laplacian(u) - self.source(p)
            return first + torch.where((p.x > 0) & (len(p) > 20), torch.nan, 0.0)

    points = kp.Collocation(20, 2, "sobol", resample=2, adapt="rad")
    solution = kp.solve(Holed(), kp.KAN([1, 3, 1], 5, 2), kp.Adam(5), points, errors=False)
    assert solution.status.startswith("failed: points cannot follow the residual, which is not a")
    assert solution.status.endswith("the state after step 2 is kept")


@pytest.mark.parametrize("adapt", ["rad", "r3"])
@pytest.mark.parametrize("problem", [Line, Square, Coupled])
def test_points_are_the_same_for_the_same_seed_and_go_where_the_residual_is(adapt, problem):
    width = [problem.domain.dim, 3, len(problem.fields)]
    points = kp.Collocation(60, 16, "sobol", resample=2, adapt=adapt)
    settings = {"verified": False, "errors": False}
    first, second, other = (
        kp.solve(
            problem(), kp.KAN(width, 5, 3), kp.LevenbergMarquardt(3), points, seed=seed, **settings
        )
        for seed in (0, 0, 1)
    )
    places = [s.residuals.terms[0].points.coords for s in (first, second, other)]
    assert len(places[0]) == 60 and torch.equal(places[0], places[1])
    assert torch.equal(state(first), state(second))
    assert not torch.equal(places[0], places[2])
    assert not torch.equal(places[0], first.discretization.points(0)[0].coords)


@pytest.mark.parametrize("adapt", ["rad", "r3"])
def test_a_run_with_adapted_points_goes_on_bit_for_bit(adapt):
    points = kp.Collocation(60, 8, "sobol", resample=2, adapt=adapt)
    optimizers = [kp.LevenbergMarquardt(4), kp.LBFGS(4, iterations=3)]
    kept = {}

    def keep(run):
        kept[run.progress.step] = copy.deepcopy(run.state_dict())

    def solved(**more):
        settings = {"boundary": "penalty", "verified": False, "errors": False}
        settings["loss"] = kp.Loss(balance="ntk")
        return kp.solve(Cubic(), kp.KAN([1, 5, 1], 5, 3), optimizers, points, **settings, **more)

    whole = solved(observers=[keep])
    for at in (1, 2, 3, 5):
        again = solved(checkpoint=kept[at])
        assert torch.equal(state(whole), state(again)), at
        assert whole.history.column("loss").tolist() == again.history.column("loss").tolist()


def test_a_linear_solve_goes_on_with_new_points_up_to_its_limit():
    points = kp.Collocation(80, 2, "sobol", resample=1, adapt="rad")
    solution = kp.solve(Line(), kp.KAN([1, 8, 1], 6, 4), kp.LeastSquares(steps=3), points)
    assert solution.history.steps == 3 and solution.status == "converged"
    assert solution.errors.l2_relative < 1e-6


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"adapt": "radd", "resample": 5}, "adapt must be one of rad, r3, not 'radd'"),
        ({"adapt": "rad"}, "resample the number of steps .* got resample = 0"),
    ],
)
def test_bad_adaptation_is_refused(settings, words):
    with pytest.raises(kp.InputError, match=words):
        kp.Collocation(50, 8, "sobol", **settings)


def test_an_energy_takes_no_adapted_points():
    class Energetic(Line):
        def energy(self, p, u):
            return u.gradient[:, 0].square() / 2 + self.source(p) * u.value

    points = kp.Collocation(50, 8, "sobol", resample=1, adapt="rad")
    with pytest.raises(kp.InputError, match="integral"):
        kp.solve(Energetic(), kp.KAN([1, 4, 1], 5, 3), points=points, loss=kp.Loss(form="energy"))


def test_points_of_an_estimate_do_not_adapt():
    points = kp.Collocation(80, 2, "sobol", resample=1, adapt="rad")
    solution = kp.solve(Line(), kp.KAN([1, 8, 1], 6, 4), kp.LeastSquares(steps=2), points)
    assert kp.estimate_error(solution) is not None


# --- A residual that does not depend on the solution: no optimizer may say that it converged


class Free(Line):
    """A residual without u."""

    def residual(self, p, u):
        return 0 * u.value + p.x


OPTIMIZERS_SINGULAR = {
    "least_squares": kp.LeastSquares(6),
    "levenberg_marquardt": kp.LevenbergMarquardt(6),
    "ss_broyden": kp.SSBroyden(6),
    "adam": kp.Adam(6),
    "lbfgs": kp.LBFGS(6),
    "variable_projection": kp.VariableProjection(6, rounds=1, starts=3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS_SINGULAR.values(), ids=OPTIMIZERS_SINGULAR)
def test_a_residual_without_the_solution_is_told(optimizer):
    network = kp.KAN([1, 3, 1], [3, 5], [2, 4], seed=0)
    solution = kp.solve(Free(), network, optimizer, kp.Collocation(40, 2), errors=False)
    words = "stopped: to first order the residual does not depend on the"
    assert solution.status.startswith(words) and solution.history.steps == 1


@pytest.mark.parametrize("rcond", [1.0, 2.0])
def test_a_cut_off_above_everything_is_refused(rcond):
    with pytest.raises(kp.InputError, match="rcond must be below 1"):
        kp.LeastSquares(rcond=rcond)
