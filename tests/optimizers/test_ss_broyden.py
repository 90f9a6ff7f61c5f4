"""SSBroyden: its update is Broyden's, its line search strong Wolfe's, its stage goes on."""

import copy
import math

import numpy
import pytest
import reference
import torch
from cases import Waves
from scipy.optimize import minimize, rosen, rosen_der
from test_optimizers import residuals_of

import kanpinn as kp
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import get_coefficients
from kanpinn.optimizers.gradient import LinePoint, strong_wolfe, updated


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
