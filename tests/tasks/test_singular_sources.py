"""Sources that are singular at a line: their integrals, and estimates that see their errors."""

import math

import pytest
import torch
from cases import OnWalls, error_of

import kanpinn as kp
from kanpinn.spaces.cells.system.cell_system import CellSystem


class InteriorLine(OnWalls):
    """-Δu = f on [-1, 1]²; u = cos(π y/2) + d^α for d = x - β (y + 1) > 0, and without d^α else.

    Reference: Mitchell, A collection of 2D elliptic problems for testing adaptive grid refinement
    algorithms (2013).
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def __init__(self, power, slope):
        self.power, self.slope = power, slope

    def distance(self, p):
        return (p.x - self.slope * (p.y + 1)).clamp_min(0)

    def exact(self, p):
        return torch.cos(math.pi * p.y / 2) + self.distance(p) ** self.power

    def residual(self, p, u):
        d, power = self.distance(p), self.power
        curved = torch.where(d > 0, power * (power - 1) * d.clamp_min(1e-300) ** (power - 2), 0)
        smooth = (math.pi / 2) ** 2 * torch.cos(math.pi * p.y / 2)
        return -kp.laplacian(u) - smooth + (1 + self.slope**2) * curved


def estimated(solution):
    return solution.history.rows[-1]["estimated_error"]


@pytest.mark.parametrize(
    ("power", "slope", "largest"), [(1.1, 0.0, 3e-3), (1.5, 0.0, 1e-4), (1.5, 0.6, 2e-3)]
)
def test_errors_of_sources_that_are_not_square_integrable_are_seen(power, slope, largest):
    settings = kp.AdaptiveLeastSquares(1e-8, cells=60)
    solution = kp.solve(
        InteriorLine(power, slope), kp.Cells([2, 1], 8, 4), settings, verified=False
    )
    assert solution.status.startswith("stopped") and error_of(solution) < largest
    assert error_of(solution) < 3 * estimated(solution)


def test_cells_become_small_at_a_line_until_the_error_is_within_the_tolerance():
    settings = kp.AdaptiveLeastSquares(1e-6, cells=300)
    solution = kp.solve(InteriorLine(2.5, 1.1), kp.Cells([2, 1], 8, 4), settings, verified=False)
    assert solution.status == "converged" and error_of(solution) < 3e-6


class Smooth(OnWalls):
    """-Δu + c u³ = f on the unit square."""

    domain = kp.Box(x=(0, 1), y=(0, 1))

    def __init__(self, cube):
        self.cube = cube

    def residual(self, p, u):
        return self.cube * u.value**3 - kp.laplacian(u) - self.source(p)

    def exact(self, p):
        return torch.exp(p.x) * torch.sin(3 * p.y)


@pytest.mark.parametrize("cube", [0.0, 1.0])
def test_a_smooth_source_costs_no_solve_with_other_integrals(monkeypatch, cube):
    solves, solve = [], CellSystem.solve
    monkeypatch.setattr(
        CellSystem, "solve", lambda own, **how: solves.append(own) or solve(own, **how)
    )
    network = kp.Cells([2, 1], 6, 2)
    solution = kp.solve(Smooth(cube), network, kp.AdaptiveLeastSquares(1e-7), verified=False)
    assert solution.status == "converged" and error_of(solution) < 3e-7
    # Solutions are compared with those of a higher degree only.
    degrees = [own.polynomials.degree for own in solves]
    assert degrees[-2:] == [6, 8]
    assert degrees.count(6) == len(solution.history.rows) - 1  # the first row is the start
