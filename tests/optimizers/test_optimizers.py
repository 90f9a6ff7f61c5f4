"""Optimizers: each does what its mathematics promises."""

import copy
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy
import pytest
import reference
import torch
from cases import Coupled, Cubic, Line, Square, Stated, Waves, residuals_of, terms_at
from scipy.optimize import minimize, rosen, rosen_der

import kanpinn as kp
from kanpinn.geometry.sampling import _systematic, r3, rad
from kanpinn.loss.residuals import Residuals
from kanpinn.networks import Surrogate
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.optimizers.gradient import LinePoint, strong_wolfe, updated
from kanpinn.optimizers.method import Kept
from kanpinn.pde.checks import ProbedEquation

WEIGHTS = {"interior": 1.0, "boundary": 1.0}
OPTIMIZERS = {
    "adam": kp.Adam(steps=30, lr=1e-2),
    "lbfgs": kp.LBFGS(steps=3, iterations=5),
    "ss_broyden": kp.SSBroyden(steps=30),
    "least_squares": kp.LeastSquares(),
    "levenberg_marquardt": kp.LevenbergMarquardt(steps=10),
}


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
@pytest.mark.parametrize("problem", [Cubic, Coupled])
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
        Waves(), kp.KAN([2, 24, 1], degree=[3, 9], grid=[1, 32], seed=1), nodes=8
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


def scalar_problem(f):
    """f(u) = 0 at every point of [-1, 1]."""
    return Stated(kp.Box(x=(-1, 1)), lambda p, u: f(u.value))


def scalar(f, start):
    """Residuals f(u), and a network that starts with u = start."""
    network, problem = kp.KAN([1, 1, 1], degree=3, grid=2), scalar_problem(f)
    surrogate, interior = Surrogate(network, problem.domain), problem.domain.quadrature(12)[0]
    surrogate.prepare(interior)
    with torch.no_grad():
        network.layers[-1].coefficients.fill_(start)  # splines sum to one
    return Residuals(surrogate, terms_at(problem, surrogate, interior, [], WEIGHTS))


def test_where_a_full_step_overshoots_shorter_and_damped_ones_are_tried():
    """From u = 3 Newton's method for arctan u = 0 diverges."""
    stage = kp.LeastSquares().start(residuals := scalar(torch.atan, 3.0), 0)
    stage.begun = True  # zero, where a step might begin, is the solution
    losses = [residuals.loss(), *(stage.step().loss for _ in range(8))]
    assert all(b <= a for a, b in pairwise(losses)) and losses[-1] < 1e-20


def test_a_loss_of_rounding_errors_has_converged():
    """u = x + 2 y is met exactly by the boundary data; the residual is its rounding error."""

    square, linear = kp.Box(x=(0, 1), y=(0, 1)), lambda p: p.x + 2 * p.y
    residual = lambda p, u: kp.laplacian(u) + torch.exp(u.value) - torch.exp(linear(p))  # noqa: E731
    held = Stated(square, residual, [kp.Dirichlet(square.boundary, linear)])
    network, points = kp.KAN([2, 8, 1], degree=7, grid=4, seed=0), kp.Collocation(200, 40)
    solution = kp.solve(held, network, kp.LeastSquares(), points, boundary="exact")
    assert solution.history.rows[-1]["loss"] < 1e-28
    assert solution.status.startswith("converged") and solution.history.steps < 20


def copy_of(teacher):
    """u = the values of a network on [-1, 1]: a student of its shape leaves no residual."""
    teacher, line = copy.deepcopy(teacher).requires_grad_(False), kp.Box(x=(-1, 1))
    ends = kp.Dirichlet(line.boundary, lambda p: teacher(p.coords))
    return Stated(line, lambda p, u: u.value - teacher(p.coords), [ends])


@pytest.mark.parametrize("kind", ["kan", "mlp"])
def test_levenberg_marquardt_is_fast_where_no_residual_is_left(kind, generator):
    kan, mlp = kp.KAN([1, 2, 1], degree=3, grid=2), kp.MLP([1, 2, 1], "sine", scale=3.0)
    network = {"kan": kan, "mlp": mlp}[kind]
    residuals = residuals_of(copy_of(network), network, nodes=40)  # this places the grids
    residuals = residuals_of(copy_of(network), network, nodes=40)
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


LINES = {  # f, u at the start, and how a method for f(u) = 0 ends: least squares, and damped steps
    "a root": (lambda u: torch.exp(u) - 1, 2.0, "converged", "converged"),
    "no number on the way, or at zero": (lambda u: torch.log(u) - 1, 1.0, "converged", "converged"),
    "a corner": (
        lambda u: (u - 1).abs() + 1,
        1.0 + 1e-13,
        "stopped: no step lowers the loss 1,",
        "stopped: no damping from 1e-04 to 1e+06",
    ),
    "a loss that grows without limit": (  # 1 at least, at u = 1, and 1e217 not far from there
        lambda u: (u - 1).abs() + 1 + torch.exp(500 * (u - 1.5)),
        1.0 + 1e-13,
        "stopped: no step lowers the loss 1,",
        "stopped: no damping from 1e-04 to 1e+06",
    ),
    "no derivative": (
        lambda u: 0 * u + 1,
        0.0,
        *2 * ("stopped: to first order the residual does",),
    ),
}


@pytest.mark.parametrize("method", [kp.LeastSquares(), kp.LevenbergMarquardt()])
@pytest.mark.parametrize("name", LINES)
def test_a_method_says_why_no_step_lowers_the_loss(name, method):
    f, start, *words = LINES[name]
    stage = method.start(residuals := scalar(f, start), 0)
    losses, finished = [residuals.loss()], None
    while finished is None and len(losses) < 40:
        step = stage.step()
        losses, finished = [*losses, step.loss], step.finished
        assert step.loss == pytest.approx(residuals.loss(), rel=1e-9, abs=1e-25)
    assert finished is not None
    assert finished.startswith(words[isinstance(method, kp.LevenbergMarquardt)])
    assert (losses[-1] < 1e-20) == (finished == "converged") == step.converged
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
        (
            lambda: kp.SSBroyden(largest=50).start(residuals_of(Waves(), kp.MLP([2, 20, 1])), 0),
            "81 parameters are more than largest = 50",
        ),
        (lambda: kp.LeastSquares(rcond=1.0), "rcond must be below 1"),
        (lambda: kp.Collocation(9, 8, "sobol", 5, "radd"), "one of rad, r3, got 'radd'"),
        (lambda: kp.Collocation(9, 8, "sobol", adapt="rad"), "needs resample > 0, .* resample = 0"),
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


@pytest.mark.parametrize("n", [2, 20])
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
        while evaluations < 80:
            step = stage.step()
            evaluations += step.evaluations
        reached[type(optimizer)] = step.loss
    assert reached[kp.SSBroyden] < 0.5 * reached[kp.LBFGS]


def test_a_loaded_state_goes_where_the_parameters_are():
    residuals = residuals_of(Waves(), kp.MLP([2, 3, 1]), nodes=4)
    stage, other = (kp.SSBroyden().start(residuals, 0) for _ in range(2))
    for _ in range(3):
        stage.step()
    other.parameters = [p.to("meta") for p in other.parameters]
    other.load_state_dict(stage.state_dict())
    tensors = [other.inverse, other.gradient, *other.points]
    assert len(tensors) > 2 and all(t.device.type == "meta" for t in tensors)


def test_where_rounding_is_all_that_is_left_it_says_so():
    valley = Valley(4)
    stage = kp.SSBroyden().start(valley, 0)
    steps = [stage.step()]
    while not steps[-1].finished:
        steps.append(stage.step())
    assert steps[-1].loss < 1e-25 and len(steps) < 300
    assert steps[-1].finished == "converged" or "rounding" in steps[-1].finished


@pytest.mark.parametrize(("balance", "adapt"), [(None, "rad"), ("gradients", None)])
def test_points_and_factors_may_change_between_steps(balance, adapt):
    """Loss and gradient are those of the present points and factors, at every step."""
    points, seen = kp.Collocation(60, 16, "sobol", resample=3, adapt=adapt), []

    def compare(run):
        gradient, loss = run.stage.gradient.clone(), run.stage.loss
        assert loss == pytest.approx(run.residuals.backward(), rel=1e-9)
        seen.append(torch.cat([p.grad.flatten() for p in run.stage.parameters]) - gradient)

    settings = {"boundary": "penalty", "errors": False, "verified": False, "observers": [compare]}
    settings["loss"] = kp.Loss(balance=balance)
    kp.solve(Waves(), kp.KAN([2, 4, 1], 4, 3, seed=0), kp.SSBroyden(8), points, **settings)
    assert len(seen) == 8 and all(float(d.abs().max()) < 1e-9 for d in seen)


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
        SQUARE.image(torch.rand(500, 2, generator=generator).double()).coords, ("x", "y")
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
    with pytest.raises(kp.NumericalError, match="not finite at 1 of 3 candidates"):
        r3(current, SQUARE, "uniform", holed, generator)
    with pytest.raises(kp.NumericalError, match="not finite at 40 of 80 candidates"):
        rad(SQUARE, 10, holed, generator)


def test_a_residual_that_is_no_number_where_points_could_go_fails_in_words():
    """At few places: the loss does not see it, what points are drawn by does."""

    class Holed(Line):
        def residual(self, p, u):
            first = kp.laplacian(u) - self.source(p)
            return first + torch.where((p.x > 0) & (len(p) > 20), torch.nan, 0.0)

    points = kp.Collocation(20, 2, "sobol", resample=2, adapt="rad")
    solution = kp.solve(Holed(), kp.KAN([1, 3, 1], 5, 2), kp.Adam(5), points, errors=False)
    assert solution.status.startswith(
        "failed: points cannot follow the residual, which is not finite"
    )
    assert solution.status.endswith("the state after step 2 is kept")


@pytest.mark.parametrize(("adapt", "problem"), [("rad", Line), ("r3", Coupled)])
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


def test_a_linear_solve_goes_on_with_new_points_up_to_its_limit():
    points = kp.Collocation(80, 2, "sobol", resample=1, adapt="rad")
    solution = kp.solve(Line(), kp.KAN([1, 8, 1], 6, 4), kp.LeastSquares(steps=3), points)
    assert solution.history.steps == 3 and solution.status == "converged"
    assert solution.errors.l2_relative < 1e-6


def test_an_energy_takes_no_adapted_points():
    class Energetic(Line):
        def energy(self, p, u):
            return u.gradient[:, 0].square() / 2 + self.source(p) * u.value

    points = kp.Collocation(50, 8, "sobol", resample=1, adapt="rad")
    with pytest.raises(kp.InputError, match="integral"):
        kp.solve(Energetic(), kp.KAN([1, 4, 1], 5, 3), points=points, loss=kp.Loss(form="energy"))


def test_points_of_an_estimate_do_not_adapt():
    points = kp.Collocation(50, 2, "sobol", resample=1, adapt="rad")
    solution = kp.solve(Line(), kp.KAN([1, 4, 1], 5, 3), kp.LeastSquares(steps=2), points)
    assert kp.estimate_error(solution) is not None


# --- A residual that does not depend on the solution: no optimizer may say that it converged


# A residual that does not depend on u; the check before a solve refuses it.
FREE = Stated(Line.domain, lambda p, u: 0 * u.value + p.x, Line().conditions())
OPTIMIZERS_SINGULAR = {
    "least_squares": kp.LeastSquares(6),
    "levenberg_marquardt": kp.LevenbergMarquardt(6),
    "ss_broyden": kp.SSBroyden(6),
    "adam": kp.Adam(6),
    "lbfgs": kp.LBFGS(6),
    "variable_projection": kp.VariableProjection(6, rounds=1, starts=3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS_SINGULAR.values(), ids=OPTIMIZERS_SINGULAR)
def test_a_residual_without_the_solution_is_told(optimizer, monkeypatch):
    with pytest.raises(kp.InputError, match="does not depend on the fields"):
        kp.solve(FREE)
    monkeypatch.setattr(ProbedEquation, "fault", lambda _: None)
    network = kp.KAN([1, 3, 1], [3, 5], [2, 4], seed=0)
    solution = kp.solve(FREE, network, optimizer, kp.Collocation(40, 2), errors=False)
    words = "stopped: to first order the residual does not depend on the"
    assert solution.status.startswith(words) and solution.history.steps == 1


def test_a_checkpoint_of_other_attributes_is_refused_and_values_return_by_their_names():
    @dataclass
    class Progress:
        error: float
        ratio: float = 0.0

    class Sweep(Kept):
        kept = ("progress",)

        def __init__(self, progress: Progress) -> None:
            self.progress = progress

    state = Sweep(Progress(0.5, 2.0)).state_dict()
    again = Sweep(Progress(1.0))
    again.load_state_dict({"progress": dict(reversed(state["progress"].items()))})
    assert again.progress == Progress(0.5, 2.0)
    for other in ({"error": 0.5}, {"error": 0.5, "ratio": 2.0, "old": 1.0}, (0.5, 2.0)):
        with pytest.raises(kp.InputError, match=r"Progress keeps \['error', 'ratio'\].*solve anew"):
            again.load_state_dict({"progress": other})
