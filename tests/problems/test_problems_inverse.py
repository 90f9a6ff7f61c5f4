"""The library's inverse problems, as their files are."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from library import class_of
from scipy.integrate import solve_ivp

import kanpinn as kp
from kanpinn.jets import Channels, jet_of
from kanpinn.pde.defects import exact_defects
from kanpinn.runs.config import Config

PROBLEMS = Path(__file__).parents[2] / "problems"


def solved(name, *pairs, assessed=False):
    job = Config.read(PROBLEMS / f"{name}.toml", pairs).build()
    assert all(defect.is_rounding for defect in exact_defects(job.problem))
    return job.run(assessed=assessed)


def test_the_viscosity_is_found_from_noisy_velocities():
    solution = solved("inverse_navier_stokes", assessed=True)
    assert solution.status == "converged"
    found = solution.estimated["viscosity"]
    assert abs(found.value - 0.1) <= found.high - found.low  # four standard deviations
    assert 0.0025 <= (found.high - found.low) / 2 <= 0.006  # the bound is 0.004
    assert solution.errors.fields["u"].l2_relative < 5e-3


def test_the_diffusion_coefficient_is_found_with_a_band():
    solution = solved("inverse_diffusion", assessed=True)
    axis = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    low, high = solution.interval(points, field="a")
    exact = solution.problem.exact(kp.Points(points, ("x", "y")))[1][:, 0]
    assert bool(((exact - (low + high) / 2).abs() <= high - low).all())
    assert 0.02 <= float((high - low).median() / 2) <= 0.08
    assert solution.errors.fields["a"].l2_relative < 0.05


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # by torch.func.jvp
@pytest.mark.parametrize(
    ("name", "pairs", "largest"),
    [
        ("inverse_lorenz", ["optimizer.0.tolerance=1e-6"], 1e-5),
        ("inverse_brinkman", [], 1e-6),
    ],
)
def test_numbers_are_found_from_data_without_noise(name, pairs, largest):
    solution = solved(name, *pairs)
    assert solution.success
    for found in solution.estimated.values():
        assert found.low < found.exact < found.high
        assert found.high - found.low < 2 * largest * found.exact


@pytest.mark.parametrize(
    ("name", "pairs", "half_width"),
    [
        ("inverse_lotka_volterra", ["problem.parameters.measurements=30"], 0.06),
        ("inverse_burgers", ["problem.parameters.viscosity=0.05"], 0.05),
    ],
)
def test_numbers_of_evolutions_are_found_from_noisy_data(name, pairs, half_width):
    solution = solved(name, "optimizer.0.tolerance=1e-4", *pairs)
    assert solution.status == "converged"
    for found in solution.estimated.values():
        assert abs(found.value - found.exact) <= found.high - found.low  # four deviations
        assert (found.high - found.low) / 2 < half_width * found.exact


def test_the_lorenz_curve_agrees_with_a_runge_kutta_method():
    problem = class_of("inverse_lorenz", "InverseLorenz")(sigma=8, rho=20, beta=2)
    times = torch.linspace(0, 3, 7, dtype=torch.float64)

    def slopes(_, u):
        x, y, z = u
        return 8 * (y - x), x * (20 - z) - y, x * y - 2 * z

    settings = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-12}
    run = solve_ivp(slopes, (0, 3), (-8, 7, 27), t_eval=times.numpy(), **settings)
    found = problem.exact(kp.Points(times[:, None], ("t",)))
    np.testing.assert_allclose(found.numpy(), run.y.T, atol=1e-6)


def test_rate_and_diffusivity_of_a_reaction_are_found():
    solution = solved("inverse_reaction", "optimizer.0.tolerance=1e-4")
    assert solution.success
    for found in solution.estimated.values():
        assert found.low < found.exact < found.high
        assert found.high - found.low < 1e-3 * found.exact


def test_the_concentrations_solve_the_reaction_s_equations():
    kind = class_of("inverse_reaction", "InverseReaction")
    problem = kind(measurements=1, rate=0.2, diffusivity=3)
    x, t, h, k = torch.tensor(0.3), torch.tensor(4.0), 1e-2, 1e-2
    x_at = torch.stack([x, x - h, x + h, x, x]).double()
    t_at = torch.stack([t, t, t, t - k, t + k]).double()
    (a, b), left, right, before, after = problem.concentrations(x_at, t_at).unbind(0)
    second = (left - 2 * torch.stack([a, b]) + right) / h**2
    change = (after - before) / (2 * k)
    reacted = 0.2 * a * b**2 * torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert torch.allclose(change, 3e-3 * second - reacted, rtol=1e-3, atol=1e-6)
    first = problem.concentrations(x_at[:1], torch.zeros(1, dtype=torch.float64))
    assert torch.allclose(first, torch.exp(-20 * x_at[:1, None]).expand(1, 2), atol=1e-9)


def test_stretched_coordinates_change_the_reaction_s_equations_by_a_factor_only():
    problem = class_of("inverse_reaction", "InverseReaction")(measurements=1)
    p, q = problem.stretch
    at = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x, t = torch.expm1(p * at[:, :1]) / 5, torch.expm1(q * at[:, 1:]) / 2
    points = kp.Points(at, ("X", "T"))
    assert torch.allclose(problem.place(points), x)

    def fields(c):
        place, time = torch.expm1(p * c[:, :1]) / 5, torch.expm1(q * c[:, 1:]) / 2
        return torch.cat([torch.sin(3 * place) + time**2, place**2 * time], dim=1)

    jet = jet_of(fields, at, Channels(points.names, second="diagonal"))
    numbers = [SimpleNamespace(value=value) for value in (0.1, 2.0)]
    found = problem.residual(points, jet[0], jet[1], *numbers)
    a, b = torch.sin(3 * x) + t**2, x**2 * t
    expected = (
        2 * t + 2e-3 * 9 * torch.sin(3 * x) + 0.1 * a * b**2,
        x**2 - 2e-3 * 2 * t + 0.2 * a * b**2,
    )
    factor = ((p * (x + 0.2)) * (q * (t + 0.5))).sqrt()
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, factor * other)
