"""The energy form: its minimum is the solution, its model is the energy to second order."""

import pytest
import torch
from cases import Manufactured, Stated

import kanpinn as kp
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.pde.equations import NormalDerivative
from kanpinn.solvers.discretization import SolveSettings, discretize

SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))


def diffusion():
    """-∇·(a ∇u) + u = f, u given on two sides, a ∂u/∂n = g on the two others."""
    a, names = lambda p: 2 + p.x * p.y, ("y_min", "y_max")

    def residual(p, u):
        slope = torch.cat([p.y, p.x], dim=1)
        flux = a(p) * kp.laplacian(u) + (slope * kp.grad(u)).sum(dim=1, keepdim=True)
        return flux - u.value

    def energy(p, u):
        squares = kp.grad(u).square().sum(dim=1, keepdim=True)
        return (a(p) * squares + u.value**2) / 2 + made.source(p) * u.value

    walls, exact = dict.fromkeys(names, "neumann"), "sin(2 * x) * exp(y / 2)"
    made = Manufactured(SQUARE, residual, exact, walls, energy=energy)
    flux = NormalDerivative(made.known)
    density = lambda p, u: -a(p) * flux(p) * u.value  # noqa: E731
    made.boundary_energies = lambda: [(SQUARE.boundary[names], density)]
    return made


def rod():
    """A nonlinear one, -(1 + u'²) u'' …: the minimum of ∫ u'²/2 + u'⁴/12 - f u, u = sin πx."""

    def energy(p, u):
        slope = kp.grad(u)
        return slope**2 / 2 + slope**4 / 12 + made.source(p) * u.value

    residual = lambda p, u: (1 + kp.grad(u) ** 2) * kp.laplacian(u)  # noqa: E731
    made = Manufactured(kp.Box(x=(0, 1)), residual, "sin(pi * x)", energy=energy)
    return made


@pytest.mark.parametrize("boundary", ["exact", "penalty"])
def test_the_minimum_of_an_energy_is_the_solution(boundary):
    solution = kp.solve(
        diffusion(),
        kp.KAN([2, 16, 1], degree=7, grid=[2, 4]),
        points=kp.Collocation(900, 60),
        boundary=boundary,
        loss=kp.Loss(form="energy"),
    )
    assert solution.status == "converged" and solution.history.steps == 1
    assert solution.errors.h1_relative < (1e-3 if boundary == "exact" else 1e-2)
    names = [term.name for term in solution.residuals.terms]
    assert names == ["interior", "energy[0]"] + ["boundary"] * (boundary == "penalty")


def scaled(radius, factor):
    """The minimum of ∫ a |∇u|² / 2 in a disk of radius r: u = exp(x / r) cos(y / r), for any a."""
    disk = kp.Disk((0, 0), radius)
    exact = lambda p: torch.exp(p.x / radius) * torch.cos(p.y / radius)  # noqa: E731
    energy = lambda p, u: factor * kp.grad(u).square().sum(dim=1, keepdim=True) / 2  # noqa: E731
    given, residual = [kp.Dirichlet(disk.boundary, exact)], lambda p, u: factor * kp.laplacian(u)
    return Stated(disk, residual, given, exact=exact, energy=energy)


def minimised(problem, weight=1.0):
    network, points = kp.KAN([2, 10, 1], degree=5, grid=[2, 4]), kp.Collocation(900, 80)
    loss = kp.Loss(boundary=weight, form="energy")
    return kp.solve(problem, network, points=points, loss=loss)


def test_a_penalty_does_not_depend_on_units():
    known, other = minimised(scaled(1.0, 1.0)), minimised(scaled(100.0, 1e4))
    assert known.surrogate.output is None
    assert known.errors.l2_relative < 2e-3
    assert other.errors.l2_relative == pytest.approx(known.errors.l2_relative, rel=1e-3)
    penalties = [one.residuals.terms[-1].weight for one in (known, other)]
    assert penalties == pytest.approx([1e3, 1e3 * 1e4 / 100**2])


@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_the_estimate_of_an_energy_contains_the_misfit_at_the_boundary(weight):
    # Solutions of other networks have the same misfit: their distance is 10 to 100 times smaller.
    solution = minimised(scaled(1.0, 1.0), weight)
    estimate = kp.estimate_error(solution)
    assert estimate.errors.l2_relative / 3 < solution.errors.l2_relative
    assert solution.errors.l2_relative < 1.5 * estimate.errors.l2_relative


def test_boundary_values_that_are_not_enforced_leave_an_energy_without_estimate():
    estimate = kp.estimate_error(minimised(scaled(1.0, 1.0), 1e-3))
    assert estimate.errors is None
    assert "conditions have the relative misfit" in estimate.reason


def test_a_nonlinear_energy_is_minimised_by_newton_steps():
    network = kp.KAN([1, 12, 1], degree=7, grid=[2, 4])
    points = kp.Collocation(60, 2)
    solution = kp.solve(rod(), network, points=points, loss=kp.Loss(form="energy"))
    assert 1 < solution.history.steps < 15
    assert solution.errors.h1_relative < 1e-4


def test_levenberg_marquardt_lowers_an_energy_in_all_layers():
    network = kp.KAN([1, 3, 1], degree=5, grid=[1, 2])
    optimizers = [kp.LeastSquares(), kp.LevenbergMarquardt(steps=5)]
    points = kp.Collocation(60, 2)
    solution = kp.solve(rod(), network, optimizers, points, loss=kp.Loss(form="energy"))
    losses = solution.history.column("loss")
    assert losses[-1] < losses[-3] < losses[0]


def test_the_model_of_a_quadratic_energy_is_the_energy():
    network = kp.KAN([2, 3, 1], degree=3, grid=2, seed=3)
    problem = diffusion()
    chosen = kp.Collocation(400, 40)
    discretization = discretize(
        problem,
        network,
        SolveSettings(points=chosen, boundary="exact", loss=kp.Loss(form="energy")),
    )
    discretization.prepare()
    residuals = Residuals(discretization.surrogate, discretization.terms())
    layers = network.output_layers
    model, start = residuals.model(layers), get_coefficients(layers)
    assert model.loss() == pytest.approx(residuals.loss(), rel=1e-12)
    change = 1e-2 * torch.randn(len(start), dtype=torch.float64, generator=torch.Generator())
    set_coefficients(layers, start + change)
    assert model.loss(change) == pytest.approx(residuals.loss(), rel=1e-9)


@pytest.mark.parametrize("sampler", ["gauss", "sobol"])
def test_energy_weights_are_those_of_integrals(sampler):
    points, loss = kp.Collocation(400, 40, sampler), kp.Loss(form="energy")
    settings = SolveSettings(points=points, boundary="exact", loss=loss)
    inside, side = discretize(diffusion(), kp.KAN([2, 3, 1], degree=3, grid=2), settings).terms()
    assert float(inside.points.data.mean()) == pytest.approx(1, rel=1e-12)
    # Two sides of length 2 each, over the area 4.
    assert float(side.points.data.mean()) == pytest.approx(1, rel=1e-12)


def changed(problem, **attributes):
    vars(problem).update(attributes)
    return problem


REFUSED = {
    "none": (Stated(rod().domain, rod().residual, rod().conditions()), r"has no energy\(p, u\)"),
    "wide": (
        changed(rod(), energy=lambda p, u: torch.cat([u.value, u.value], dim=1)),
        r"energy must have shape \(n, 1\), got \(5, 2\)",
    ),
    "a natural condition is forgotten": (
        changed(diffusion(), boundary_energies=list),
        r"conditions\(\)\[1\], a Neumann, is natural",
    ),
}


@pytest.mark.parametrize(("problem", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_energy_is_refused(problem, words):
    network = kp.KAN([problem.domain.dim, 3, 1], degree=5, grid=2)
    with pytest.raises(kp.InputError, match=words):
        kp.solve(problem, network, loss=kp.Loss(form="energy"))


def test_forms_and_methods_that_are_not_for_energies_are_refused():
    network = kp.KAN([1, 3, 1], degree=5, grid=2)
    with pytest.raises(kp.InputError, match="form must be one of strong, energy, got 'weak'"):
        kp.Loss(form="weak")
    with pytest.raises(kp.InputError, match="variable_projection needs squared residuals"):
        kp.solve(rod(), network, kp.VariableProjection(), loss=kp.Loss(form="energy"))


def layers():
    """∫ a u'² / 2 with a = 1 on the left half, and 100 on the right one."""
    line, a = kp.Box(x=(-1, 1)), lambda p: torch.where(p.x < 0, 1.0, 100.0)
    energy = lambda p, u: a(p) * kp.grad(u) ** 2 / 2  # noqa: E731
    given = [kp.Dirichlet(line.boundary, 0.0)]
    return Stated(line, lambda p, u: a(p) * kp.laplacian(u), given, energy=energy)


def test_the_strength_of_an_energy_is_that_of_the_whole_domain():
    settings = SolveSettings(
        points=kp.Collocation(400, 2), loss=kp.Loss(form="energy"), boundary="penalty"
    )
    made = discretize(layers(), kp.KAN([1, 4, 1]), settings, 0)
    (term, *_) = made.residuals().terms
    assert term.strength(made.surrogate) == pytest.approx(50.5, rel=0.05)
