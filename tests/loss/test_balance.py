"""Balance: factors that bring the terms of a loss to one scale."""

import copy
from pathlib import Path

import pytest
import torch
from cases import POISSON_FILE, Coupled, Cubic, Known, Line, Square, terms_at

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.loss.residuals import Residuals, balance_factors
from kanpinn.networks import Surrogate
from kanpinn.networks.layer import get_coefficients


def residuals_of(problem, network, nodes=8) -> Residuals:
    surrogate, domain = Surrogate(network, problem.domain), problem.domain
    interior, boundary = domain.quadrature(nodes)[0], domain.boundary.quadrature(nodes)[0]
    surrogate.prepare(Points(torch.cat([interior.coords, boundary.coords]), domain.names))
    weights = {"interior": 1.0, "boundary": 3.0}
    return Residuals(surrogate, terms_at(problem, surrogate, interior, [boundary], weights))


@pytest.mark.parametrize("problem", [Line, Square, Coupled])
def test_loss_gradient_and_rows_are_of_the_terms_times_their_factors(problem):
    """Σ weight · factor · mean r², its gradient 2 Jᵀr of the rows; reports leave factors out."""
    width = [problem.domain.dim, 4, len(problem.fields)]
    plain = residuals_of(problem(), kp.KAN(width, 5, 3))
    factors = {term.name: 0.3 + i for i, term in enumerate(plain.terms)}
    residuals, values = plain.with_factors(factors), plain.term_values()
    expected = sum(t.weight * factors[t.name] * values[t.name] for t in plain.terms)
    assert residuals.loss() == pytest.approx(expected, rel=1e-12)
    assert residuals.loss(reported=True) == pytest.approx(plain.loss(), rel=1e-12)
    layers = residuals.surrogate.network.all_layers
    chunks = list(residuals.rows(layers))
    jacobian, r = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    assert float(r @ r) == pytest.approx(expected, rel=1e-12)
    assert residuals.backward() == pytest.approx(expected, rel=1e-12)
    gradient = torch.cat([layer.coefficients.grad.flatten() for layer in layers])
    assert torch.allclose(2 * jacobian.T @ r, gradient, rtol=1e-10, atol=1e-10 * gradient.norm())
    part = residuals.subset(10**6, 0)
    assert part.loss() == pytest.approx(expected, rel=1e-12)  # the factors go with their terms


def test_the_kernel_balances_the_terms_rows_of_the_jacobian():
    """‖∂r/∂c‖² means the same for each term; the interior keeps its weight."""
    residuals = residuals_of(Known(), kp.KAN([2, 4, 1], 5, 3))
    residuals = residuals.with_factors(balance_factors(residuals, "ntk"))
    layers, means = residuals.surrogate.network.all_layers, []
    for term in residuals.terms:
        alone = Residuals(residuals.surrogate, [term])
        total = sum(float(j.square().sum()) for j, _ in alone.rows(layers))
        means.append(total / term.weight)
    assert means[1] == pytest.approx(means[0], rel=1e-9)
    assert residuals.terms[0].factor == 1
    assert residuals.terms[1].factor > 10  # second derivatives are large


def test_gradients_balance_the_terms_slopes():
    residuals = residuals_of(Known(), kp.KAN([2, 4, 1], 5, 3))
    residuals = residuals.with_factors(balance_factors(residuals, "gradients"))
    lengths = []
    for term in residuals.terms:
        alone = Residuals(residuals.surrogate, [term])
        alone.backward()
        gradients = [p.grad.flatten() for p in residuals.surrogate.parameters()]
        lengths.append(float(torch.cat(gradients).norm()) / term.weight)
    assert lengths[1] == pytest.approx(lengths[0], rel=1e-9)


@pytest.mark.parametrize("balance", ["ntk", "gradients"])
@pytest.mark.parametrize("at", [1, 3])
def test_a_balanced_run_goes_on_bit_for_bit(balance, at):
    optimizers = [kp.LevenbergMarquardt(2), kp.LBFGS(2, iterations=3)]
    settings = {"loss": kp.Loss(balance=balance), "boundary": "penalty"}
    points, kept = kp.Collocation(60, 8), {}

    def keep(run):
        if run.progress.step == at:
            kept.update(copy.deepcopy(run.state_dict()))

    def network():
        return kp.KAN([1, 5, 1], 5, 3)

    whole = kp.solve(Cubic(), network(), optimizers, points, observers=[keep], **settings)
    again = kp.solve(Cubic(), network(), optimizers, points, checkpoint=kept, **settings)
    first, second = (get_coefficients(s.network.all_layers) for s in (whole, again))
    assert torch.equal(first, second)
    assert whole.history.column("loss").tolist() == again.history.column("loss").tolist()


def test_a_balanced_run_that_has_ended_goes_on_bit_for_bit():
    """From the state after its end, which is what its folder keeps."""
    points, runs = kp.Collocation(60, 8), []

    def solve(steps, checkpoint=None):
        return kp.solve(
            Line(),
            kp.KAN([1, 3, 1], 5, 2),
            kp.Adam(steps, lr=1e-2),
            points,
            boundary="penalty",
            loss=kp.Loss(balance="ntk"),
            observers=[runs.append],
            checkpoint=checkpoint,
        )

    whole = solve(6)
    solve(3)
    again = solve(6, copy.deepcopy(runs[-1].state_dict()))
    assert whole.history.column("loss").tolist() == again.history.column("loss").tolist()


def test_gradients_do_not_switch_conditions_off_where_the_equation_has_none():
    class Solved(Line):
        def residual(self, p, u):
            return 0 * u.value

    residuals = residuals_of(Solved(), kp.KAN([1, 3, 1], 5, 2))
    assert set(balance_factors(residuals, "gradients").values()) == {1.0}


def test_factors_of_a_balance_are_bounded():
    class Stiff(Line):
        def residual(self, p, u):
            return 1e-30 * u.value

    residuals = residuals_of(Stiff(), kp.KAN([1, 3, 1], 5, 2))
    factors = balance_factors(residuals, "gradients")
    assert factors["interior"] == 1 and min(factors.values()) == 1e-6


def test_losses_are_reported_without_the_factors():
    solution = kp.solve(
        Known(),
        kp.KAN([2, 6, 1], 5, 4),
        points=kp.Collocation(200, 40),
        boundary="penalty",
        loss=kp.Loss(balance="ntk"),
    )
    terms = solution.loss_terms
    assert terms["interior"] + terms["boundary"] == pytest.approx(
        solution.history.rows[-1]["loss"], rel=1e-9
    )
    assert solution.residuals.loss() > 1.1 * solution.residuals.loss(reported=True)


def test_balance_holds_the_boundary_where_the_residual_would_swamp_it():
    """With too few functions for the equation, u on the boundary is better for it, and u too."""
    errors = []
    for balance in (None, "ntk"):
        solution = kp.solve(
            Known(),
            kp.KAN([2, 8, 1], 5, 8),
            points=kp.Collocation(600, 100),
            boundary="penalty",
            loss=kp.Loss(balance=balance),
        )
        errors.append(solution.errors.l2_relative)
    assert errors[1] < errors[0] / 2


def test_a_balance_that_does_not_fit_the_solve_is_refused():
    points, network = kp.Collocation(40, 8), kp.KAN([2, 2, 1], 5, 3)
    with pytest.raises(
        kp.InputError, match="balance must be one of ntk, gradients, sizes, got 'ntks'"
    ):
        kp.solve(Square(), network, None, points, loss=kp.Loss(balance="ntks"))
    with pytest.raises(kp.InputError, match="balance must be None for Variable Projection"):
        kp.solve(Square(), network, kp.VariableProjection(), points, loss=kp.Loss(balance="ntk"))


def test_a_problem_file_may_balance(tmp_path: Path):
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
balance = "ntk"

[[optimizer]]
type = "levenberg_marquardt"
steps = 4
"""
    )
    path = tmp_path / "balanced.toml"
    path.write_text(text, encoding="utf-8")
    job = Config.read(path).build()
    assert job.settings.loss.balance == "ntk" and job.settings.points.adapt == "r3"
    assert job.run().history.steps == 4
    path.write_text(text.replace('"ntk"', '"ntks"'), encoding="utf-8")
    with pytest.raises(kp.InputError, match=r"loss\.balance"):
        Config.read(path).build()
