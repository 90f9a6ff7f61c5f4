"""Weights of the residual's rows that follow the residual."""

import copy
from pathlib import Path

import pytest
import torch
from cases import POISSON_FILE, Coupled, Cubic, Known, Line, Square

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.row_weights import RowWeights, row_squares
from kanpinn.loss.terms import build_terms
from kanpinn.loss.weighting import weighted
from kanpinn.networks import Surrogate
from kanpinn.networks.network import get_coefficients


def residuals_of(problem, network, nodes=8) -> Residuals:
    surrogate, domain = Surrogate(network, problem.domain), problem.domain
    interior, boundary = domain.quadrature(nodes)[0], domain.boundary.quadrature(nodes)[0]
    surrogate.prepare(Points(torch.cat([interior.coords, boundary.coords]), domain.names))
    weights = {"interior": 1.0, "boundary": 3.0}
    return Residuals(surrogate, build_terms(problem, surrogate, interior, [boundary], weights))


def at_work(weighting, residuals, time=None) -> RowWeights:
    rows = RowWeights(weighting, time)
    residuals.terms = tuple(rows.wrap(residuals.terms))
    rows.update(residuals, 0)
    return rows


@pytest.mark.parametrize("problem", [Line, Square, Coupled])
def test_loss_gradient_and_rows_are_of_the_weighed_squares(problem, generator):
    """Σ w r² / n, its gradient 2 Jᵀr of the rows; what is reported is without w."""
    width = [problem.domain.dim, 4, len(problem.fields)]
    residuals = residuals_of(problem(), kp.KAN(width, 5, 3))
    plain, terms = residuals.loss(), residuals.terms
    drawn = [torch.rand(b.rows, generator=generator).double() for b in terms]
    residuals.terms = tuple(weighted(b, w) for b, w in zip(terms, drawn, strict=True))
    expected = sum(
        b.weight * float((w * row_squares(residuals, b)).mean())
        for b, w in zip(terms, drawn, strict=True)
    )
    assert residuals.loss() == pytest.approx(expected, rel=1e-12)
    assert residuals.plain_loss() == pytest.approx(plain, rel=1e-12)
    layers = residuals.surrogate.network.all_layers
    chunks = list(residuals.rows(layers))
    jacobian, r = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    assert float(r @ r) == pytest.approx(expected, rel=1e-12)
    assert residuals.backward() == pytest.approx(expected, rel=1e-12)
    gradient = torch.cat([layer.coefficients.grad.flatten() for layer in layers])
    assert torch.allclose(2 * jacobian.T @ r, gradient, rtol=1e-10, atol=1e-10 * gradient.norm())
    part = residuals.subset(10**6, 0)
    assert part.loss() == pytest.approx(expected, rel=1e-12)  # the weights go with their rows


def test_attention_remembers_the_residuals_relative_size():
    residuals = residuals_of(Square(), kp.KAN([2, 4, 1], 5, 3))
    rows = at_work(kp.Weighting(attention=0.8), residuals)
    term = residuals.terms[0]
    size = row_squares(residuals, term).sqrt()
    memory = 0.8 + 0.2 * size / size.max()
    assert torch.allclose(term.row_weights, memory**2 / (memory**2).mean())
    rows.update(residuals, 1)
    memory = 0.8 * memory + 0.2 * size / size.max()
    assert torch.allclose(term.row_weights, memory**2 / (memory**2).mean())
    assert all(float(b.row_weights.mean()) == pytest.approx(1) for b in residuals.terms)


def test_the_kernel_balances_the_terms_rows_of_the_jacobian():
    """‖∂r/∂c‖² means the same for each term; the interior keeps its weight."""
    residuals = residuals_of(Known(), kp.KAN([2, 4, 1], 5, 3))
    at_work(kp.Weighting(balance="ntk"), residuals)
    layers, means = residuals.surrogate.network.all_layers, []
    for term in residuals.terms:
        alone = Residuals(residuals.surrogate, [term])
        total = sum(float(j.square().sum()) for j, _ in alone.rows(layers))
        means.append(total / term.weight)
    assert means[1] == pytest.approx(means[0], rel=1e-9)
    assert torch.equal(residuals.terms[0].row_weights, torch.ones(64).double())
    assert float(residuals.terms[1].row_weights[0]) > 10  # second derivatives are large


def test_gradients_balance_the_terms_slopes():
    residuals = residuals_of(Known(), kp.KAN([2, 4, 1], 5, 3))
    at_work(kp.Weighting(balance="gradients"), residuals)
    lengths = []
    for term in residuals.terms:
        alone = Residuals(residuals.surrogate, [term])
        alone.backward()
        gradients = [p.grad.flatten() for p in residuals.surrogate.parameters()]
        lengths.append(float(torch.cat(gradients).norm()) / term.weight)
    assert lengths[1] == pytest.approx(lengths[0], rel=1e-9)


class Evolving(kp.Problem):
    """u_t = u_xx + f."""

    domain = kp.Box(x=(0, 1), t=(0, 2))

    def residual(self, p, u):
        return kp.partial(u, "t") - kp.partial(u, "x", "x") - self.source(p)

    def source(self, p):
        return 1.0 + p.x * p.t

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, 0.0), kp.Dirichlet(ends, 0.0)]


def test_causal_weights_fall_with_the_losses_of_earlier_times():
    solution = kp.solve(Evolving(), kp.KAN([2, 4, 1], 5, 3), kp.Adam(1), kp.Collocation(1600, 40))
    residuals = solution.residuals
    rows = at_work(kp.Weighting(causal=5.0), residuals, time=1)
    term = residuals.terms[0]
    times, order = term.points.t[:, 0], term.points.t[:, 0].argsort()
    weights = term.row_weights
    assert bool((weights[order].diff() <= 0).all()) and len(weights.unique()) == 32
    assert float(weights[times == times.min()].min()) == 1
    squares = row_squares(residuals, term)
    # Slices are of about equal size: the last weight is e^(-5 · mean of all the others).
    last = times > times.quantile(31 / 32)
    others = float(squares[~last].mean() / squares.mean())
    assert float(weights[last].max()) == pytest.approx(2.718281828 ** (-5 * others), rel=0.5)
    assert rows.strictness == 1.0


def test_causal_weights_become_stricter_once_all_are_near_one():
    solution = kp.solve(Evolving(), kp.KAN([2, 4, 1], 5, 3), kp.Adam(1), kp.Collocation(400, 40))
    rows = at_work(kp.Weighting(causal=1e-3), solution.residuals, time=1)
    assert rows.strictness == 10.0
    for step in range(1, 9):
        rows.update(solution.residuals, step)
    assert 10 <= rows.strictness <= 1e4
    assert float(solution.residuals.terms[0].row_weights.min()) < 0.99


@pytest.mark.parametrize(
    "weighting",
    [
        kp.Weighting(attention=0.9),
        kp.Weighting(balance="ntk"),
        kp.Weighting(balance="gradients"),
        kp.Weighting(attention=0.5, balance="ntk"),
    ],
)
@pytest.mark.parametrize("at", [1, 3])
def test_a_weighed_run_goes_on_bit_for_bit(weighting, at):
    optimizers = [kp.LevenbergMarquardt(2), kp.LBFGS(2, iterations=3)]
    settings = {"weighting": weighting, "boundary": "penalty"}
    points, kept = kp.Collocation(60, 8), {}

    def keep(run):
        if run.step == at:
            kept.update(copy.deepcopy(run.state_dict()))

    def network():
        return kp.KAN([1, 5, 1], 5, 3)

    whole = kp.solve(Cubic(), network(), optimizers, points, observers=[keep], **settings)
    again = kp.solve(Cubic(), network(), optimizers, points, checkpoint=kept, **settings)
    first, second = (get_coefficients(s.network.all_layers) for s in (whole, again))
    assert torch.equal(first, second)
    assert whole.history.column("loss").tolist() == again.history.column("loss").tolist()


@pytest.mark.parametrize(
    "weighting", [kp.Weighting(attention=0.9), kp.Weighting(attention=0.5, causal=1.0)]
)
def test_a_weighed_run_that_has_ended_goes_on_bit_for_bit(weighting):
    """From the state after its end, which is what its folder keeps."""
    problem = Line() if weighting.causal is None else Evolving()
    points, runs = kp.Collocation(60, 8), []

    def solve(steps, checkpoint=None):
        network = kp.KAN([problem.domain.dim, 3, 1], 5, 2)
        optimizer = kp.Adam(steps, lr=1e-2)
        return kp.solve(
            problem,
            network,
            optimizer,
            points,
            weighting=weighting,
            observers=[runs.append],
            checkpoint=checkpoint,
        )

    whole = solve(6)
    solve(3)
    again = solve(6, copy.deepcopy(runs[-1].state_dict()))
    assert whole.history.column("loss").tolist() == again.history.column("loss").tolist()


def test_following_residuals_are_evaluated_once_a_step(monkeypatch):
    """Attention costs a step of Adam one evaluation of the residual more than none."""

    class Counted(Line):
        count = 0

        def residual(self, p, u):
            Counted.count += 1
            return super().residual(p, u)

    counts = []
    for weighting in (None, kp.Weighting(attention=0.9)):
        for steps in (2, 7):
            Counted.count = 0
            network, points = kp.KAN([1, 3, 1], 5, 2), kp.Collocation(40, 2)
            optimizer = kp.Adam(steps, lr=1e-4)
            kp.solve(Counted(), network, optimizer, points, weighting=weighting, errors=False)
            counts.append(Counted.count)
    assert counts[3] - counts[2] == 2 * (counts[1] - counts[0])


def test_gradients_do_not_switch_conditions_off_where_the_equation_has_none():
    class Solved(Line):
        def residual(self, p, u):
            return 0 * u.value

    residuals = residuals_of(Solved(), kp.KAN([1, 3, 1], 5, 2))
    rows = at_work(kp.Weighting(balance="gradients"), residuals)
    assert set(rows.factors.values()) == {1.0}


def test_factors_of_a_balance_are_bounded():
    class Stiff(Line):
        def residual(self, p, u):
            return 1e-30 * u.value

    residuals = residuals_of(Stiff(), kp.KAN([1, 3, 1], 5, 2))
    rows = at_work(kp.Weighting(balance="gradients"), residuals)
    assert rows.factors["interior"] == 1 and min(rows.factors.values()) == 1e-6


def test_late_times_that_are_still_weighed_down_have_not_converged():
    def status(network, causal):
        points, weighting = kp.Collocation(100, 20), kp.Weighting(causal=causal)
        return kp.solve(
            Evolving(), network, kp.LeastSquares(40), points, weighting=weighting
        ).status

    small, wide = kp.KAN([2, 2, 1], 5, 1), kp.KAN([2, 40, 1], 7, 4)
    assert "stopped: causal weights of late times are down to 0." in status(small, 100.0)
    assert status(wide, 0.1) == "converged"


def test_losses_are_reported_without_the_weights():
    weighting = kp.Weighting(balance="ntk")
    solution = kp.solve(
        Known(),
        kp.KAN([2, 6, 1], 5, 4),
        points=kp.Collocation(200, 40),
        boundary="penalty",
        weighting=weighting,
    )
    terms = solution.loss_terms
    assert terms["interior"] + terms["boundary"] == pytest.approx(
        solution.history.rows[-1]["loss"], rel=1e-9
    )
    assert solution.residuals.loss() > 1.1 * solution.residuals.plain_loss()


def test_balance_holds_the_boundary_where_the_residual_would_swamp_it():
    """With too few functions for the equation, u on the boundary is better for it, and u too."""
    errors = []
    for balance in (None, "ntk"):
        solution = kp.solve(
            Known(),
            kp.KAN([2, 8, 1], 5, 8),
            points=kp.Collocation(600, 100),
            boundary="penalty",
            weighting=kp.Weighting(balance=balance),
        )
        errors.append(solution.errors.l2_relative)
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"attention": 1.0}, "attention must be between 0 and 1, got 1.0"),
        ({"attention": True}, "attention must be a finite number above 0, got True"),
        ({"balance": "ntks"}, "balance must be one of ntk, gradients, got 'ntks'"),
        ({"causal": 0}, "causal must be a finite number above 0, got 0"),
    ],
)
def test_bad_weighting_is_refused(settings, words):
    with pytest.raises(kp.InputError, match=words):
        kp.Weighting(**settings)


def test_weights_that_do_not_fit_the_solve_are_refused():
    points = kp.Collocation(40, 8)
    with pytest.raises(kp.InputError, match="causal weights need a coordinate of time"):
        kp.solve(Square(), kp.KAN([2, 4, 1], 5, 3), None, points, weighting=kp.Weighting(causal=1))
    every = kp.Collocation(40, 8, "sobol", resample=1)
    with pytest.raises(kp.InputError, match="resample must be 0 or an integer of at least 2"):
        kp.solve(
            Square(), kp.KAN([2, 4, 1], 5, 3), None, every, weighting=kp.Weighting(attention=0.9)
        )
    search = kp.VariableProjection()
    with pytest.raises(kp.InputError, match="weighting must be None for Variable Projection"):
        kp.solve(
            Square(), kp.KAN([2, 2, 1], 5, 3), search, points, weighting=kp.Weighting(attention=0.9)
        )


def test_a_problem_file_may_weigh(tmp_path: Path):
    from kanpinn.runs.config import Config

    text = (
        POISSON_FILE
        + """
[points]
interior = 60
boundary = 16
sampler = "sobol"
resample = 2
adapt = "r3"

[loss]
attention = 0.9
balance = "ntk"

[[optimizer]]
type = "levenberg_marquardt"
steps = 4
"""
    )
    path = tmp_path / "weighed.toml"
    path.write_text(text, encoding="utf-8")
    job = Config.read(path).build()
    assert job.settings.weighting == kp.Weighting(0.9, "ntk") and job.settings.points.adapt == "r3"
    assert job.run().history.steps == 4
    path.write_text(text.replace("0.9", "1.5"), encoding="utf-8")
    with pytest.raises(kp.InputError, match=r"loss\.attention"):
        Config.read(path).build()
