"""The library's inverse problems, as their files are."""

from pathlib import Path

import torch

import kanpinn as kp
from kanpinn.pde.verify import exact_defects
from kanpinn.runs.config import Config

PROBLEMS = Path(__file__).parents[2] / "problems"


def solved(name, *pairs):
    job = Config.read(PROBLEMS / f"{name}.toml", pairs).build()
    assert all(defect.is_rounding for defect in exact_defects(job.problem))
    return job.run()


def test_the_viscosity_is_found_from_noisy_velocities():
    solution = solved("inverse_navier_stokes")
    assert solution.status == "converged"
    found = solution.estimated["viscosity"]
    assert abs(found.value - 0.1) <= found.high - found.low  # four standard deviations
    assert 0.0025 <= (found.high - found.low) / 2 <= 0.006  # the bound is 0.004
    assert solution.errors.fields["u"].l2_relative < 5e-3


def test_the_diffusion_coefficient_is_found_with_a_band():
    solution = solved("inverse_diffusion")
    axis = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    low, high = solution.interval(points, field="a")
    exact = solution.problem.exact(kp.Points(points, ("x", "y")))[1][:, 0]
    assert bool(((exact - (low + high) / 2).abs() <= high - low).all())
    assert 0.02 <= float((high - low).median() / 2) <= 0.08
    assert solution.errors.fields["a"].l2_relative < 0.05
