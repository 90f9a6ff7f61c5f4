"""Balance: factors that bring the terms of a loss to one scale."""

import tomllib
from pathlib import Path

import pytest
import torch
from cases import POISSON_FILE, Coupled, Known, Line, Manufactured, Square, Stated, residuals_of

import kanpinn as kp
from kanpinn.loss.residuals import Residuals, balance_factors
from kanpinn.loss.scales import scales_of
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.runs.config import Config


@pytest.mark.parametrize("problem", [Line, Square, Coupled])
def test_loss_gradient_and_rows_are_of_the_terms_times_their_factors(problem):
    """Σ weight · factor · mean r², its gradient 2 Jᵀr of the rows; reports leave factors out."""
    width = [problem.domain.dim, 4, len(problem.fields)]
    plain = residuals_of(problem(), kp.KAN(width, 5, 3), 8, 3.0)
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
    residuals = residuals_of(Known(), kp.KAN([2, 4, 1], 5, 3), 8, 3.0)
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
    residuals = residuals_of(Known(), kp.KAN([2, 4, 1], 5, 3), 8, 3.0)
    residuals = residuals.with_factors(balance_factors(residuals, "gradients"))
    lengths = []
    for term in residuals.terms:
        alone = Residuals(residuals.surrogate, [term])
        alone.backward()
        gradients = [p.grad.flatten() for p in residuals.surrogate.parameters()]
        lengths.append(float(torch.cat(gradients).norm()) / term.weight)
    assert lengths[1] == pytest.approx(lengths[0], rel=1e-9)


@pytest.mark.parametrize(("size", "least"), [(0.0, 1.0), (1e-30, 1e-6)])
def test_factors_are_bounded_and_leave_conditions_on_where_the_equation_has_no_slope(size, least):
    problem = Stated(Line.domain, lambda p, u: size * u.value, Line().conditions())
    factors = balance_factors(residuals_of(problem, kp.KAN([1, 3, 1], 5, 2), 8, 3.0), "gradients")
    assert factors["interior"] == 1 and min(factors.values()) == least


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
    line = Line()
    line.energy = lambda p, u: u.value**2
    with pytest.raises(kp.InputError, match='balance must not be "sizes" for an energy'):
        kp.solve(line, kp.KAN([1, 4, 1]), loss=kp.Loss(form="energy", balance="sizes"))


def test_a_problem_file_may_balance(tmp_path: Path):
    points = {"interior": 60, "boundary": 16, "sampler": "sobol", "resample": 2, "adapt": "r3"}
    optimizer = {"type": "levenberg_marquardt", "steps": 4}
    sections = tomllib.loads(POISSON_FILE) | {"points": points, "optimizer": [optimizer]}
    job = Config.from_dict(sections | {"loss": {"balance": "ntk"}}, tmp_path).build()
    assert job.settings.loss.balance == "ntk" and job.settings.points.adapt == "r3"
    assert job.run().history.steps == 4
    with pytest.raises(kp.InputError, match=r"loss\.balance"):
        Config.from_dict(sections | {"loss": {"balance": "ntks"}}, tmp_path).build()


# --- Scales of fields and equations: other units change nothing but the scales themselves


class Channel(kp.Problem):
    """Steady flow between two plates, with pressure; lengths, speeds and viscosity in any units."""

    fields = ("u", "v", "q")

    def __init__(self, length=1.0, speed=1.0, factor=1.0):
        self.length, self.speed, self.factor = length, speed, factor
        self.viscosity = 0.1 * length * speed
        self.domain = kp.Box(x=(0, 3 * length), y=(0, length))

    def residual(self, p, u, v, q):
        move = lambda f: u.value * kp.partial(f, "x") + v.value * kp.partial(f, "y")  # noqa: E731
        return (
            self.factor * (move(u) + kp.partial(q, "x") - self.viscosity * kp.laplacian(u)),
            move(v) + kp.partial(q, "y") - self.viscosity * kp.laplacian(v),
            kp.div(u, v),
        )

    def conditions(self):
        walls = self.domain.boundary
        return [
            kp.Dirichlet(walls["x_min", "y_min", "y_max"], lambda p: self.exact(p)[0], field="u"),
            kp.Dirichlet(walls, 0.0, field="v"),
            kp.Dirichlet(walls["x_max"], 0.0, field="q"),
        ]

    def exact(self, p):
        y = p.y / self.length
        drop = 8 * self.viscosity * self.speed / self.length**2
        return 4 * self.speed * y * (1 - y), 0 * p.x, drop * (3 * self.length - p.x)


def test_other_units_change_the_scales_by_their_factors():
    one = scales_of(stated(Channel()))
    length, speed, factor = 1e-2, 1e3, 1e-5
    other = scales_of(stated(Channel(length, speed, factor)))
    sizes = torch.tensor([speed, speed, speed**2], dtype=torch.float64)
    force = speed**2 / length
    rows = torch.tensor([factor * force, force, speed / length], dtype=torch.float64)
    assert torch.allclose(other.fields, one.fields * sizes, rtol=1e-6)
    assert torch.allclose(other.equations * rows, one.equations, rtol=1e-6)
    for mine, its, size in zip(one.conditions, other.conditions, sizes, strict=True):
        assert torch.allclose(its * size, mine, rtol=1e-6)


def test_decoupled_fields_have_the_sizes_of_their_own_data():
    line = kp.Box(x=(0, 1))
    data = [kp.Dirichlet(line.boundary, v, field=f) for f, v in (("u", 1e6), ("v", 1e-3))]
    residual = lambda p, u, v: (kp.laplacian(u), kp.laplacian(v))  # noqa: E731
    sizes = scales_of(stated(Stated(line, residual, data, ("u", "v")))).fields
    assert sizes.tolist() == pytest.approx([1e6, 1e-3])


def solved(problem):
    network = kp.KAN([2, 8, 3], 7, [2, 4], seed=0)
    points = kp.Collocation(200, 80)
    return kp.solve(
        problem, network, points=points, boundary="penalty", loss=kp.Loss(balance="sizes")
    )


def test_a_loss_with_scales_has_the_same_minimum_in_other_units():
    one, other = solved(Channel()), solved(Channel(0.01, 20.0, 1e4))
    for name in Channel.fields:
        mine, its = (s.errors.fields[name].l2 for s in (one, other))
        size = {"u": 20.0, "v": 20.0, "q": 400.0}[name]
        assert its / size == pytest.approx(mine, rel=0.5, abs=1e-13)
    assert other.loss_terms["interior"] == pytest.approx(one.loss_terms["interior"], rel=0.5)


def product(p, u, v):
    """-u'' + c = f, -v'' - c + u v = g for c = (u - v) / 5."""
    c = (u.value - v.value) / 5
    return -kp.laplacian(u) + c, -kp.laplacian(v) - c + u.value * v.value


def test_data_that_oscillate_do_not_make_nonlinear_terms_outweigh_the_others():
    """u oscillates, and f is large beside it."""
    line, exact = kp.Box(x=(-1, 1)), ("sin(32 * x)", "sin(4 * x)")
    problem = Manufactured(line, product, exact, fields=("u", "v"))
    first, second = scales_of(stated(problem, kp.Problem)).equations.tolist()
    assert 1 / 20 < first / second < 20
